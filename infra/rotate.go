package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/strongroom/strongroom/pkg/metrics"
	"github.com/strongroom/strongroom/pkg/rotate"
)

// rotateMinutes is how long a run may take, which is the longest there is: it waits
// for rotation functions, and ends when the last of them has. The schedule starts
// the next one all the same; a secret's lease keeps them apart.
const rotateMinutes = 15

// rotating is patient with a start for a little longer than until the next one, so
// that a failure that is over after a minute leaves nothing in the queue.
//
// A metric has the time at which its run began, and comes when that ends. So alarms
// look further back than a run takes.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
var rotating = job{
	id: "Rotate", name: rotateName,
	every: 1, patience: 5,
	window: rotateMinutes + 5, silent: 1,
	behind: rotate.OldestDue, late: rotateMinutes,
}

// newRotate makes functions/rotate, and what starts it, tries it again and says when
// that was in vain, or a rotation was.
func newRotate(b base) (deployed, awsiam.Role) {
	j := rotating
	failures := newFailures(b, j)
	calls := append(callRotationFunctions(b),
		rotateSecrets(b.table), findDue(b.table, "due"), openTable(b.stack, b.key, b.table),
		noteFailure(failures))
	role := newRole(b.stack, "RotateRole", j.name)
	permit(b, role, b.logs.rotate, calls...)
	rotator := newFunction(b, function{
		id:          j.id,
		name:        j.name,
		description: "Strongroom: calls the rotation functions of secrets that are due",
		seconds:     60 * rotateMinutes,
		logs:        b.logs.rotate,
		role:        role,
		environment: map[string]*string{
			"ROTATION_STEP_SECONDS": number(b.set.rotationStepSeconds),
			"ROTATIONS_AT_ONCE":     number(b.set.rotationsAtOnce),
		},
	})
	j.run(b, rotator, failures)
	for _, a := range rotationAlarms(b, j) {
		a.addTo(b)
	}
	return rotator, role
}

// rotateSecrets are the table's calls. TransactWriteItems is allowed by the
// actions of what it does, which is no ConditionCheckItem here. PutItem and
// DeleteItem are for the note of when a rotation is due; no version is written.
func rotateSecrets(table awsdynamodb.ITable) awsiam.PolicyStatement {
	return allow("RotateSecrets", nil, jsii.Strings(*table.TableArn()),
		"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")
}

// The tag of a function that may rotate secrets. Those who may tag a function, or
// change the code of one that has the tag, decide what is called here.
const (
	rotationTag   = "strongroom:rotation"
	rotationValue = "allowed"
)

// callRotationFunctions lets the rotator call functions of this account and Region
// that have the tag, and those that the settings list. A star at the end of an ARN
// goes beyond colons, so versions and aliases are among them; these have the tags
// of their function.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
func callRotationFunctions(b base) []awsiam.PolicyStatement {
	functions := b.stack.FormatArn(&awscdk.ArnComponents{
		Service:      jsii.String("lambda"),
		Resource:     jsii.String("function"),
		ResourceName: jsii.String("*"),
		ArnFormat:    awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	calls := []awsiam.PolicyStatement{allow("CallTagged", conditions{
		"StringEquals": conditions{"aws:ResourceTag/" + rotationTag: jsii.String(rotationValue)},
	}, jsii.Strings(*functions), "lambda:InvokeFunction")}
	if listed := b.set.rotationFunctionArns; len(listed) > 0 {
		calls = append(calls, allow("CallListed", nil, qualified(listed...), "lambda:InvokeFunction"))
	}
	return calls
}

// keepOff denies the rotator the stack's own functions, whatever is tagged or listed:
// callers that may set up a rotation choose which function is called.
//
// It is a policy of its own, and not in the role, because a function is made after
// its role and cannot be named there.
func keepOff(b base, role awsiam.Role, functions ...deployed) {
	var arns []string
	for _, f := range functions {
		arns = append(arns, *f.function.FunctionArn())
	}
	awsiam.NewPolicy(b.stack, jsii.String("RotateKeepsOff"), &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{role},
		Document: statements(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid:       jsii.String("KeepOff"),
			Effect:    awsiam.Effect_DENY,
			Actions:   jsii.Strings("lambda:InvokeFunction"),
			Resources: qualified(arns...),
		})),
	})
}

// qualified are functions with their versions and aliases.
func qualified(functions ...string) *[]*string {
	var arns []string
	for _, arn := range functions {
		arns = append(arns, arn, arn+":*")
	}
	return jsii.Strings(arns...)
}

// startRotations is what functions/api asks of functions/rotate.
func startRotations(rotator deployed) awsiam.PolicyStatement {
	return allow("StartRotations", nil, jsii.Strings(*rotator.live.FunctionArn()), "lambda:InvokeFunction")
}

// rotationAlarms are about rotations that failed, where the function did its part.
func rotationAlarms(b base, j job) []alarm {
	return []alarm{
		{
			"RotationsFailed", "An attempt at a rotation failed: the log of functions/rotate has the step, and that of the rotation function the reason.",
			metrics.Namespace, rotate.FailedMetric, deployment(b), "Sum", above, 0, j.window, 1, "notBreaching",
		},
		{
			"RotationsGivenUp", "A rotation failed for the last time and is stuck until its next window: see the audit trail for RotationFailed.",
			metrics.Namespace, rotate.GivenUpMetric, deployment(b), "Sum", above, 0, j.window, 1, "notBreaching",
		},
	}
}
