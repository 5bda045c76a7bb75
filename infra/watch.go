package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"

	"github.com/strongroom/strongroom/pkg/metrics"
)

// alerts are where alarms go, and what happens to the key: an SNS topic of the stack's
// own, or one that the settings name.
type alerts struct{ arn *string }

// newAlerts makes the topic without a key: one under the stack's own could not tell that
// this was disabled. Its messages name alarms and the stack, and no secret.
func newAlerts(stack awscdk.Stack, set settings) alerts {
	if set.alarmTopicArn != "" {
		return alerts{&set.alarmTopicArn}
	}
	topic := awssns.NewTopic(stack, jsii.String("AlarmTopic"), &awssns.TopicProps{EnforceSSL: jsii.Bool(true)})
	// A policy of its own takes the place of the one by which the account may publish. AWS
	// does not say that EventBridge meets conditions in the policy of a topic, so that there
	// is none: noise in the topic is less bad than silence.
	publish := func(service string, when conditions) {
		topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(&service, nil)},
			Actions:    jsii.Strings("sns:Publish"),
			Resources:  jsii.Strings(*topic.TopicArn()),
			Conditions: when.all(),
		}))
	}
	publish("cloudwatch.amazonaws.com", conditions{"StringEquals": conditions{"aws:SourceAccount": stack.Account()}})
	publish("events.amazonaws.com", nil)
	return alerts{topic.TopicArn()}
}

// What a log line counts as: see [watchLogs].
const (
	serverErrors = "ServerErrors"
	kmsFailures  = "KMSFailures"
	lostRecords  = "LostRecords"
)

// Lines of functions/api that should not be there. A metric exists, and costs money, for
// the hours in which there are some.
var lines = map[string]string{
	serverErrors: `{ $.level = "ERROR" }`,
	kmsFailures: `{ $.eventCategory = "Management" && ($.errorCode = "EncryptionFailure" || $.errorCode = "DecryptionFailure" || ` +
		`$.errorMessage = "Access to KMS is not allowed") }`,
	lostRecords: `{ $.msg = "the audit record is not kept" || $.error = "the audit record is not kept*" }`,
}

// namespace is where the metrics of log lines are: they have no dimension that would tell
// the stacks of an account apart.
func namespace(b base) string { return metrics.Namespace + "/" + b.set.stackName }

func watchLogs(b base) {
	for _, name := range []string{serverErrors, kmsFailures, lostRecords} {
		awslogs.NewCfnMetricFilter(b.stack, jsii.String(name+"Lines"), &awslogs.CfnMetricFilterProps{
			LogGroupName:  b.logs.api.LogGroupName(),
			FilterPattern: jsii.String(lines[name]),
			MetricTransformations: []any{&awslogs.CfnMetricFilter_MetricTransformationProperty{
				MetricNamespace: jsii.String(namespace(b)), MetricName: &name, MetricValue: jsii.String("1"), Unit: jsii.String("Count"),
			}},
		})
	}
}

// watchServer has the alarms about calls and what they need.
func watchServer(b base, f front, server deployed) {
	watchLogs(b)
	function := dimension("FunctionName", server.function.FunctionName())
	table := dimension("TableName", b.table.TableName())
	logged := func(id, metric, description string) alarm {
		return alarm{id, description, namespace(b), metric, nil, "Sum", above, 0, 5, 1, "notBreaching"}
	}
	all := []alarm{
		{"ApiFunctionErrors", "functions/api crashed or ran out of time.", "AWS/Lambda", "Errors", function, "Sum", above, 0, 5, 1, "notBreaching"},
		{"ApiThrottles", "Calls were refused since the account has no more Lambda concurrency.", "AWS/Lambda", "Throttles", function, "Sum", above, 0, 5, 1, "notBreaching"},
		{"ApiConcurrency", "Many calls are under way at once: compare with the account's concurrency.", "AWS/Lambda", "ConcurrentExecutions", function, "Maximum", above, b.set.concurrencyAlarm, 5, 1, "notBreaching"},
		{"TableReadThrottles", "DynamoDB throttles reads of the table.", "AWS/DynamoDB", "ReadThrottleEvents", table, "Sum", above, 0, 5, 2, "notBreaching"},
		{"TableWriteThrottles", "DynamoDB throttles writes to the table: one secret is written too often, or all are.", "AWS/DynamoDB", "WriteThrottleEvents", table, "Sum", above, 0, 5, 2, "notBreaching"},
		logged("ApiErrors", serverErrors, "functions/api answered InternalServiceError: its log says why, beside level ERROR."),
		logged("KmsFailures", kmsFailures, "KMS refused to seal or open values: is the key disabled, or its policy changed?"),
		logged("RecordsLost", lostRecords, "Audit records could not be written."),
	}
	if f.api == nil {
		all = append(all,
			alarm{"Api5xx", "Calls are answered with a server error.", "AWS/Lambda", "Url5xxCount", function, "Sum", above, 0, 5, 1, "notBreaching"},
			alarm{"ApiSlow", "One call in a hundred is slow.", "AWS/Lambda", "Duration", function, "p99", above, b.set.slowMilliseconds, 5, 3, "notBreaching"})
	} else {
		stage := append(dimension("ApiName", &b.set.stackName), &awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String("Stage"), Value: jsii.String(stageName)})
		all = append(all,
			alarm{"Api5xx", "Calls are answered with a server error.", "AWS/ApiGateway", "5XXError", stage, "Sum", above, 0, 5, 1, "notBreaching"},
			alarm{"ApiSlow", "One call in a hundred is slow.", "AWS/ApiGateway", "Latency", stage, "p99", above, b.set.slowMilliseconds, 5, 3, "notBreaching"})
	}
	for _, a := range all {
		a.addTo(b)
	}
}

// watchKey tells at once when somebody takes the key away, or changes who may use it.
// EventBridge knows of it from CloudTrail, so the account needs a trail.
func watchKey(b base) {
	awsevents.NewCfnRule(b.stack, jsii.String("KeyRule"), &awsevents.CfnRuleProps{
		Description: jsii.String("Strongroom: the key of the values was disabled, scheduled for deletion, or has another policy"),
		EventPattern: map[string]any{
			"source":      []string{"aws.kms"},
			"detail-type": []string{"AWS API Call via CloudTrail"},
			"detail": map[string]any{
				"eventSource": []string{"kms.amazonaws.com"},
				"eventName":   []string{"DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy"},
				"resources":   map[string]any{"ARN": []*string{b.key.KeyArn()}},
			},
		},
		Targets: []any{&awsevents.CfnRule_TargetProperty{Id: jsii.String("Alarms"), Arn: b.alerts.arn}},
	})
}
