package main

import (
	"strings"
	"testing"
)

func TestAgentLayers(t *testing.T) {
	t.Parallel()
	for output, machine := range map[string]string{"AgentLayer": "arm64", "AgentLayerX86": "x86_64"} {
		layer := stack(t).of(t, stack(t).Outputs[output].Value)
		same(t, output+": machines", layer.Properties["CompatibleArchitectures"], []string{machine})
		same(t, output+": runtimes", layer.Properties["CompatibleRuntimes"], nil)
		same(t, output+": files", stack(t).layers[output], []string{"extensions/strongroom-agent"})
		for _, text := range []string{layer.Properties["Description"].(string), stack(t).Outputs[output].Description} {
			if !strings.Contains(text, "STRONGROOM_ENDPOINT") || !strings.Contains(text, machine) || len(text) > 256 {
				t.Errorf("%q does not say what is needed, in 256 characters", text)
			}
		}
	}
}
