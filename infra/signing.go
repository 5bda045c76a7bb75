package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/jsii-runtime-go"
)

// signingPath is where the folder of the signing layer is found by a function that
// has the layer. botocore looks there when AWS_DATA_PATH says so.
const signingPath = "/opt/strongroom/models"

// newSigningLayer brings the file by which boto3 signs for API Gateway, so that
// rotation functions in Python run as they are: the folder infra/signing is /opt.
//
// It stays when the stack goes, or has a newer one: functions of others have it.
func newSigningLayer(b base) awslambda.LayerVersion {
	return awslambda.NewLayerVersion(b.stack, jsii.String("Signing"), &awslambda.LayerVersionProps{
		Description:   jsii.String("Strongroom: has boto3 sign for execute-api, with AWS_DATA_PATH=" + signingPath),
		Code:          awslambda.Code_FromAsset(&b.from.signing, nil),
		RemovalPolicy: keep,
		CompatibleRuntimes: &[]awslambda.Runtime{
			awslambda.Runtime_PYTHON_3_9(), awslambda.Runtime_PYTHON_3_10(), awslambda.Runtime_PYTHON_3_11(),
			awslambda.Runtime_PYTHON_3_12(), awslambda.Runtime_PYTHON_3_13(), awslambda.Runtime_PYTHON_3_14(),
		},
		CompatibleArchitectures: &[]awslambda.Architecture{awslambda.Architecture_X86_64(), awslambda.Architecture_ARM_64()},
	})
}
