package main

import (
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"github.com/strongroom/strongroom/pkg/metrics"
)

// An alarm is raised when a metric is above or below a threshold for so many
// windows, each of so many minutes. A window slides: it is not one of the clock's.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation-window.html
type alarm struct {
	id, description   string
	namespace, metric string
	of                []*awscloudwatch.CfnAlarm_DimensionProperty
	statistic         string // Sum, Maximum, or a percentile such as p99
	comparison        string
	threshold         int
	window, windows   int
	missing           string // what a window without data means
}

const (
	above = "GreaterThanThreshold"
	below = "LessThanThreshold"
)

// alarms are those that every job has. The metrics of our own are written only when
// there is something to tell: one that is missing is a good one, and costs nothing.
func (j job) alarms(b base, f deployed, failures awssqs.Queue) []alarm {
	function, queue := dimension("FunctionName", f.function.FunctionName()), dimension("QueueName", failures.QueueName())
	name := "functions/" + j.name
	return []alarm{
		{
			j.id + "Failed", "A run of " + name + " failed: its log says why.",
			"AWS/Lambda", "Errors", function, "Sum", above, 0, j.window, 1, "ignore", // nothing changes until the next run
		},
		{
			j.id + "Behind", fmt.Sprintf("What %s left undone is due for more than %d minutes.", name, j.late),
			metrics.Namespace, j.behind, deployment(b), "Maximum", above, 60 * j.late, j.window, 1, "notBreaching",
		},
		{
			j.id + "Missing", fmt.Sprintf("Nothing has started %s for %d minutes.", name, j.silent*j.window),
			"AWS/Lambda", "Invocations", function, "Sum", below, 1, j.window, j.silent, "breaching",
		},
		{
			j.id + "GivenUp", "A start of " + name + " came to nothing: its dead-letter queue says which. Empty it when that is mended.",
			"AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, "Maximum", above, 0, j.window, 1, "notBreaching",
		},
	}
}

// deployment tells the metrics that this stack's functions write from another's.
func deployment(b base) []*awscloudwatch.CfnAlarm_DimensionProperty {
	return dimension(metrics.Dimension, b.table.TableName())
}

func dimension(name string, value *string) []*awscloudwatch.CfnAlarm_DimensionProperty {
	return []*awscloudwatch.CfnAlarm_DimensionProperty{{Name: &name, Value: value}}
}

func (a alarm) addTo(b base) {
	props := &awscloudwatch.CfnAlarmProps{
		AlarmDescription:   &a.description,
		Namespace:          &a.namespace,
		MetricName:         &a.metric,
		Statistic:          &a.statistic,
		ComparisonOperator: &a.comparison,
		Threshold:          jsii.Number(a.threshold),
		Period:             jsii.Number(60 * a.window),
		EvaluationPeriods:  jsii.Number(a.windows),
		TreatMissingData:   &a.missing,
		Dimensions:         a.of,
	}
	if strings.HasPrefix(a.statistic, "p") {
		props.Statistic, props.ExtendedStatistic = nil, &a.statistic
	}
	props.AlarmActions = &[]any{b.alerts.arn}
	props.OkActions = &[]any{b.alerts.arn}
	awscloudwatch.NewCfnAlarm(b.stack, &a.id, props)
}
