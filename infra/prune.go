package main

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"github.com/strongroom/strongroom/pkg/metrics"
	"github.com/strongroom/strongroom/pkg/prune"
)

// pruneMinutes is how long a run may take, and the least there is between two
// starts: the schedule alone never has two at once.
const pruneMinutes = 5

// newPrune makes functions/prune, and what starts it, tries it again and says when
// that was in vain.
//
// No concurrency is reserved for it. That would keep away a second run, started
// by a retry or by hand, which does no harm; its price is a place taken from the
// account's other functions, and a new account has too few to reserve any.
func newPrune(
	stack awscdk.Stack, set settings, asset string, key awskms.Key, table awsdynamodb.Table, logs awslogs.LogGroup,
) {
	failures := newFailures(stack)
	pruner := newFunction(stack, set, table, function{
		id:          "Prune",
		description: "Strongroom: removes versions and secrets that need not be kept",
		asset:       asset,
		seconds:     60 * pruneMinutes,
		logs:        logs,
		role: newRole(stack, "PruneRole", pruneName,
			removeSecrets(table), findDue(table), openTable(stack, key, table), noteFailure(failures), writeLogs(logs)),
	})
	retry(pruner, set, failures)
	schedule(stack, set, pruner, failures)
	for _, a := range alarms(set, table, pruner, failures) {
		a.addTo(stack, set)
	}
}

// removeSecrets are the table's calls. TransactWriteItems is allowed by the
// actions of what it does, which is no ConditionCheckItem here; BatchWriteItem
// by an action of its own. PutItem is for the note of what a secret leaves over.
func removeSecrets(table awsdynamodb.Table) awsiam.PolicyStatement {
	return allow("RemoveSecrets", nil, jsii.Strings(*table.TableArn()),
		"dynamodb:GetItem", "dynamodb:Query",
		"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem")
}

func findDue(table awsdynamodb.Table) awsiam.PolicyStatement {
	return allow("FindDue", nil, jsii.Strings(*table.TableArn()+"/index/age", *table.TableArn()+"/index/due"), "dynamodb:Query")
}

func noteFailure(failures awssqs.Queue) awsiam.PolicyStatement {
	return allow("NoteFailure", nil, jsii.Strings(*failures.QueueArn()), "sqs:SendMessage")
}

// newFailures is the dead-letter queue, for starts that came to nothing: from the
// schedule those that it could not hand to Lambda, from Lambda those that failed,
// or waited, until they were given up.
//
// SQS encrypts it with a key of its own: a message says that something failed, and
// nothing of any secret, and so nobody needs a right to the key for it.
func newFailures(stack awscdk.Stack) awssqs.Queue {
	return awssqs.NewQueue(stack, jsii.String("PruneFailures"), &awssqs.QueueProps{
		Encryption:      awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:      jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)), // the longest there is
	})
}

// retry says what Lambda does with a start: a run that failed is run once more
// after a minute, and a start that waits is given up when the next one comes.
func retry(pruner awslambda.Function, set settings, failures awssqs.Queue) {
	pruner.ConfigureAsyncInvoke(&awslambda.EventInvokeConfigOptions{
		MaxEventAge:   awscdk.Duration_Minutes(jsii.Number(set.pruneEveryMinutes)),
		RetryAttempts: jsii.Number(1),
	})
	// Not as a property of the construct, which would give rights to the role.
	pruner.Node().DefaultChild().(awslambda.CfnFunction).SetDeadLetterConfig(
		&awslambda.CfnFunction_DeadLetterConfigProperty{TargetArn: failures.QueueArn()})
}

// schedule starts the function at a rate. Its role may be taken for schedules of
// the stack's own group and no other: a single schedule cannot be named there.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
func schedule(stack awscdk.Stack, set settings, pruner awslambda.Function, failures awssqs.Queue) {
	group := awsscheduler.NewCfnScheduleGroup(stack, jsii.String("Schedules"), nil)
	role := awsiam.NewRole(stack, jsii.String("PruneScheduleRole"), &awsiam.RoleProps{
		Description: jsii.String("Strongroom: what the schedule of functions/prune may do"),
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("scheduler.amazonaws.com"), &awsiam.ServicePrincipalOpts{
			Conditions: conditions{"StringEquals": conditions{
				"aws:SourceAccount": stack.Account(),
				"aws:SourceArn":     group.AttrArn(),
			}}.all(),
		}),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"Calls": statements(
			allow("Start", nil, jsii.Strings(*pruner.FunctionArn()), "lambda:InvokeFunction"), noteFailure(failures))},
	})
	awsscheduler.NewCfnSchedule(stack, jsii.String("PruneSchedule"), &awsscheduler.CfnScheduleProps{
		Description:        jsii.String("Strongroom: starts functions/prune"),
		GroupName:          group.Ref(),
		ScheduleExpression: jsii.String(fmt.Sprintf("rate(%d minutes)", set.pruneEveryMinutes)),
		FlexibleTimeWindow: &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn:              pruner.FunctionArn(),
			RoleArn:          role.RoleArn(),
			Input:            jsii.String("{}"),
			DeadLetterConfig: &awsscheduler.CfnSchedule_DeadLetterConfigProperty{Arn: failures.QueueArn()},
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{ // until the next start
				MaximumEventAgeInSeconds: jsii.Number(60 * set.pruneEveryMinutes),
			},
		},
	})
}

// An alarm is raised when a metric is above or below a threshold for so many of
// the schedule's periods.
type alarm struct {
	id, description   string
	namespace, metric string
	of                []*awscloudwatch.CfnAlarm_DimensionProperty
	statistic         string
	comparison        string
	threshold         int
	periods           int
	missing           string // what a period without data means
}

const (
	above = "GreaterThanThreshold"
	below = "LessThanThreshold"
)

func alarms(set settings, table awsdynamodb.Table, pruner awslambda.Function, failures awssqs.Queue) []alarm {
	function, queue := dimension("FunctionName", pruner.FunctionName()), dimension("QueueName", failures.QueueName())
	return []alarm{
		{
			"PruneFailed", "A run of functions/prune failed: its log says why.",
			"AWS/Lambda", "Errors", function, "Sum", above, 0, 1, "ignore", // nothing changes until the next run
		},
		{
			"PruneBehind", "What functions/prune left undone is due for more than two periods of its schedule.",
			metrics.Namespace, prune.OldestDue, dimension(metrics.Dimension, table.TableName()), "Maximum", above, 2 * 60 * set.pruneEveryMinutes, 1, "ignore",
		},
		{
			"PruneMissing", "Nothing has started functions/prune for four periods of its schedule.",
			"AWS/Lambda", "Invocations", function, "Sum", below, 1, 4, "breaching",
		},
		{
			"PruneGivenUp", "A start of functions/prune came to nothing: its dead-letter queue says which. Empty it when that is mended.",
			"AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, "Maximum", above, 0, 1, "notBreaching",
		},
	}
}

func dimension(name string, value *string) []*awscloudwatch.CfnAlarm_DimensionProperty {
	return []*awscloudwatch.CfnAlarm_DimensionProperty{{Name: &name, Value: value}}
}

func (a alarm) addTo(stack awscdk.Stack, set settings) {
	props := &awscloudwatch.CfnAlarmProps{
		AlarmDescription:   &a.description,
		Namespace:          &a.namespace,
		MetricName:         &a.metric,
		Statistic:          &a.statistic,
		ComparisonOperator: &a.comparison,
		Threshold:          jsii.Number(a.threshold),
		Period:             jsii.Number(60 * set.pruneEveryMinutes),
		EvaluationPeriods:  jsii.Number(a.periods),
		TreatMissingData:   &a.missing,
		Dimensions:         a.of,
	}
	if set.alarmTopicArn != "" {
		props.AlarmActions = &[]any{&set.alarmTopicArn}
	}
	awscloudwatch.NewCfnAlarm(stack, &a.id, props)
}
