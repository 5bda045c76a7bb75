package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// signingFile is where botocore looks for it under a folder of AWS_DATA_PATH.
const signingFile = "secretsmanager/2017-10-17/service-2.sdk-extras.json"

func TestSigningLayer(t *testing.T) {
	t.Parallel()
	layer := stack(t).of(t, stack(t).Outputs["SigningLayer"].Value)
	same(t, "runtimes", layer.Properties["CompatibleRuntimes"],
		[]string{"python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14"})
	same(t, "architectures", layer.Properties["CompatibleArchitectures"], []string{"x86_64", "arm64"})
	same(t, "files", stack(t).layers["SigningLayer"], []string{strings.TrimPrefix(signingPath, "/opt/") + "/" + signingFile})
	for _, text := range []string{layer.Properties["Description"].(string), stack(t).Outputs["SigningLayer"].Description} {
		if !strings.Contains(text, "AWS_DATA_PATH="+signingPath) {
			t.Errorf("%q does not say what AWS_DATA_PATH must be", text)
		}
	}
}

func TestSigningFile(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(signingFolder, signingFile))
	if err != nil {
		t.Fatal(err)
	}
	var file any
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	same(t, "file", file, object{"version": 1.0, "merge": object{"metadata": object{"signingName": "execute-api"}}})
}

// signingFolder is what the layer has at [signingPath].
var signingFolder = filepath.Join("signing", strings.TrimPrefix(signingPath, "/opt/"))
