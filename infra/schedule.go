package main

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
)

// A job is what a schedule has a function do. All times are in minutes.
//
// No concurrency is reserved for it. That would keep away a second run, started
// by a retry or by hand, which does no harm; its price is a place taken from the
// account's other functions, and a new account has too few to reserve any.
type job struct {
	id, name string // of the function; what belongs to it is called after it
	every    int    // from one start to the next
	patience int    // until a start that came to nothing is given up

	window int // what an alarm looks at together
	silent int // windows without a start that raise an alarm

	behind string // the metric of how long the oldest of what a run left has been due
	late   int    // how long that may be
}

// newFailures is the dead-letter queue, for starts that came to nothing: from the
// schedule those that it could not hand to Lambda, from Lambda those that failed,
// or waited, until they were given up.
//
// SQS encrypts it with a key of its own: a message says that something failed, and
// of a secret no more than its name, and so nobody needs a right to the key for it.
func newFailures(b base, j job) awssqs.Queue {
	return awssqs.NewQueue(b.stack, jsii.String(j.id+"Failures"), &awssqs.QueueProps{
		Encryption:      awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:      jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)), // the longest there is
	})
}

func noteFailure(failures awssqs.Queue) awsiam.PolicyStatement {
	return allow("NoteFailure", nil, jsii.Strings(*failures.QueueArn()), "sqs:SendMessage")
}

// run has the function do its job: started, tried again, and watched by alarms.
func (j job) run(b base, f deployed, failures awssqs.Queue) {
	j.retry(f, failures)
	j.schedule(b, f, failures)
	for _, a := range j.alarms(b, f, failures) {
		a.addTo(b)
	}
}

// retry says what Lambda does with a start: a run that failed is run once more
// after a minute, and one that waits is given up in the end.
func (j job) retry(f deployed, failures awssqs.Queue) {
	f.live.ConfigureAsyncInvoke(&awslambda.EventInvokeConfigOptions{
		MaxEventAge:   awscdk.Duration_Minutes(jsii.Number(j.patience)),
		RetryAttempts: jsii.Number(1),
	})
	// Not as a property of the construct, which would give rights to the role.
	f.function.Node().DefaultChild().(awslambda.CfnFunction).SetDeadLetterConfig(
		&awslambda.CfnFunction_DeadLetterConfigProperty{TargetArn: failures.QueueArn()})
}

// schedule starts the function at a rate. Its role may be taken for schedules of
// the stack's own group and no other: a single schedule cannot be named there.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
func (j job) schedule(b base, f deployed, failures awssqs.Queue) {
	role := awsiam.NewRole(b.stack, jsii.String(j.id+"ScheduleRole"), &awsiam.RoleProps{
		Description: jsii.String("Strongroom: what the schedule of functions/" + j.name + " may do"),
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("scheduler.amazonaws.com"), &awsiam.ServicePrincipalOpts{
			Conditions: conditions{"StringEquals": conditions{
				"aws:SourceAccount": b.stack.Account(),
				"aws:SourceArn":     b.schedules.AttrArn(),
			}}.all(),
		}),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"Calls": statements(
			allow("Start", nil, jsii.Strings(*f.live.FunctionArn()), "lambda:InvokeFunction"), noteFailure(failures))},
	})
	awsscheduler.NewCfnSchedule(b.stack, jsii.String(j.id+"Schedule"), &awsscheduler.CfnScheduleProps{
		Description:        jsii.String("Strongroom: starts functions/" + j.name),
		GroupName:          b.schedules.Ref(),
		ScheduleExpression: jsii.String(j.rate()),
		State:              jsii.String(state(b.set.schedules)),
		FlexibleTimeWindow: &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn:              f.live.FunctionArn(),
			RoleArn:          role.RoleArn(),
			Input:            jsii.String("{}"),
			DeadLetterConfig: &awsscheduler.CfnSchedule_DeadLetterConfigProperty{Arn: failures.QueueArn()},
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{
				MaximumEventAgeInSeconds: jsii.Number(60 * j.patience),
			},
		},
	})
}

func state(on bool) string {
	if on {
		return "ENABLED"
	}
	return "DISABLED"
}

func (j job) rate() string {
	if j.every == 1 {
		return "rate(1 minute)"
	}
	return fmt.Sprintf("rate(%d minutes)", j.every)
}
