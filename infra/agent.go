package main

import (
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/jsii-runtime-go"
)

const (
	// agentFolder holds what the layers are made of, by machine.
	agentFolder = "agent-layer"
	// agentBinary is the extension's name: Lambda starts every file in /opt/extensions.
	agentBinary = "strongroom-agent"
)

// newAgentLayers bring functions/agent as a Lambda extension. Functions of others have
// them: they stay when the stack goes, or has newer ones.
func newAgentLayers(b base) {
	for _, machine := range []struct {
		id, output, folder string
		architecture       awslambda.Architecture
	}{
		{"AgentArm64", "AgentLayer", "arm64", awslambda.Architecture_ARM_64()},
		{"AgentX86", "AgentLayerX86", "x86_64", awslambda.Architecture_X86_64()},
	} {
		about := "the agent for functions on " + machine.folder + "; they need STRONGROOM_ENDPOINT, which is the Endpoint, " +
			"and AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:2773"
		layer := awslambda.NewLayerVersion(b.stack, &machine.id, &awslambda.LayerVersionProps{
			Description:             jsii.String("Strongroom: " + about),
			Code:                    awslambda.Code_FromAsset(jsii.String(filepath.Join(b.from.bin, agentFolder, machine.folder)), nil),
			RemovalPolicy:           keep,
			CompatibleArchitectures: &[]awslambda.Architecture{machine.architecture},
		})
		output(b.stack, machine.output, layer.LayerVersionArn(), "A layer with "+about)
	}
}
