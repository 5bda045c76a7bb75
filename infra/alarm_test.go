package main

import (
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/metrics"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/replicate"
	"github.com/strongroom/strongroom/pkg/rotate"
)

func TestAlarms(t *testing.T) {
	t.Parallel()
	table := []object{{"Name": "Table", "Value": "${" + whole(t).one(t, "AWS::DynamoDB::Table").ID + "}"}}
	server := []object{{"Name": "FunctionName", "Value": "${" + whole(t).function(t, apiName).ID + "}"}}
	stage := []object{{"Name": "ApiName", "Value": "Vault"}, {"Name": "Stage", "Value": "v1"}}
	stored := []object{{"Name": "TableName", "Value": table[0]["Value"]}}
	soon := func(namespace, metric, statistic string, of []object, threshold, windows int) object {
		alarm := object{
			"Namespace": namespace, "MetricName": metric, "Dimensions": of, "Statistic": statistic,
			"ComparisonOperator": "GreaterThanThreshold", "Threshold": threshold,
			"Period": 5 * 60, "EvaluationPeriods": windows, "TreatMissingData": "notBreaching",
		}
		if statistic == "p99" {
			alarm["ExtendedStatistic"] = statistic
			delete(alarm, "Statistic")
		}
		return alarm
	}
	failed := func(metric string) object {
		return object{
			"Namespace": "Strongroom", "MetricName": metric, "Dimensions": table, "Statistic": "Sum",
			"ComparisonOperator": "GreaterThanThreshold", "Threshold": 0,
			"Period": 20 * 60, "EvaluationPeriods": 1, "TreatMissingData": "notBreaching",
		}
	}
	want := map[string]object{
		"RotationsFailed":  failed("RotationsFailed"),
		"RotationsGivenUp": failed("RotationsGivenUp"),

		"ReplicationsFailed": failed("ReplicationsFailed"),

		"Api5xx":              soon("AWS/ApiGateway", "5XXError", "Sum", stage, 0, 1),
		"ApiSlow":             soon("AWS/ApiGateway", "Latency", "p99", stage, 1500, 3),
		"ApiFunctionErrors":   soon("AWS/Lambda", "Errors", "Sum", server, 0, 1),
		"ApiThrottles":        soon("AWS/Lambda", "Throttles", "Sum", server, 0, 1),
		"ApiConcurrency":      soon("AWS/Lambda", "ConcurrentExecutions", "Maximum", server, 70, 1),
		"TableReadThrottles":  soon("AWS/DynamoDB", "ReadThrottleEvents", "Sum", stored, 0, 2),
		"TableWriteThrottles": soon("AWS/DynamoDB", "WriteThrottleEvents", "Sum", stored, 0, 2),
		"ApiErrors":           soon("Strongroom/Vault", "ServerErrors", "Sum", []object{}, 0, 1),
		"KmsFailures":         soon("Strongroom/Vault", "KMSFailures", "Sum", []object{}, 0, 1),
		"RecordsLost":         soon("Strongroom/Vault", "LostRecords", "Sum", []object{}, 0, 1),
	}
	for name, job := range timings {
		function := []object{{"Name": "FunctionName", "Value": "${" + whole(t).function(t, name).ID + "}"}}
		queue := []object{{"Name": "QueueName", "Value": "${" + whole(t).failures(t, name).ID + ".QueueName}"}}
		maps.Copy(want, map[string]object{
			job.id + "Failed": {
				"Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": function, "Statistic": "Sum",
				"ComparisonOperator": "GreaterThanThreshold", "Threshold": 0,
				"Period": 60 * job.window, "EvaluationPeriods": 1, "TreatMissingData": "ignore",
			},
			job.id + "Behind": {
				"Namespace": "Strongroom", "MetricName": job.behind, "Dimensions": table, "Statistic": "Maximum",
				"ComparisonOperator": "GreaterThanThreshold", "Threshold": 60 * job.late,
				"Period": 60 * job.window, "EvaluationPeriods": 1, "TreatMissingData": "notBreaching",
			},
			job.id + "Missing": {
				"Namespace": "AWS/Lambda", "MetricName": "Invocations", "Dimensions": function, "Statistic": "Sum",
				"ComparisonOperator": "LessThanThreshold", "Threshold": 1,
				"Period": 60 * job.window, "EvaluationPeriods": job.silent, "TreatMissingData": "breaching",
			},
			job.id + "GivenUp": {
				"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible", "Dimensions": queue, "Statistic": "Maximum",
				"ComparisonOperator": "GreaterThanThreshold", "Threshold": 0,
				"Period": 60 * job.window, "EvaluationPeriods": 1, "TreatMissingData": "notBreaching",
			},
		})
	}
	for _, alarm := range whole(t).all("AWS::CloudWatch::Alarm") {
		got := maps.Clone(alarm.Properties)
		if got["AlarmDescription"] == nil {
			t.Errorf("%s does not say what is wrong", alarm.ID)
		}
		for _, actions := range []string{"AlarmActions", "OKActions"} {
			same(t, alarm.ID+" "+actions, got[actions], []string{whole(t).ref(t, "AWS::SNS::Topic")})
			delete(got, actions)
		}
		delete(got, "AlarmDescription")
		same(t, alarm.ID, got, want[alarm.ID])
		delete(want, alarm.ID)
	}
	same(t, "alarms that are not there", slices.Sorted(maps.Keys(want)), nil)
}

// TestMetricsAreWhatIsWritten looks for the metrics of the alarms in the log lines
// that CloudWatch has them from.
func TestMetricsAreWhatIsWritten(t *testing.T) {
	t.Parallel()
	now := time.Now()
	due := now.Add(-time.Minute)
	pruned := prune.Metrics("secrets", prune.Summary{OldestDue: due}, now)
	rotated := rotate.Metrics("secrets", rotate.Summary{OldestDue: due, Outcomes: map[rotate.Outcome]int{rotate.GivenUp: 1}}, now)
	replicated := replicate.Metrics("secrets", replicate.Summary{Oldest: due, Outcomes: map[replicate.Outcome]int{replicate.Failed: 1}}, now)
	lines := map[string][]slog.Attr{
		"PruneBehind": pruned, "RotateBehind": rotated, "RotationsFailed": rotated, "RotationsGivenUp": rotated,
		"ReplicateBehind": replicated, "ReplicationsFailed": replicated,
	}
	for _, alarm := range whole(t).all("AWS::CloudWatch::Alarm") {
		if alarm.Properties["Namespace"] == metrics.Namespace {
			isWritten(t, alarm, lines[alarm.ID])
		}
	}
}

// TestNoMetricIsWrittenForNothing, nor any that no alarm looks at: each costs money.
func TestNoMetricIsWrittenForNothing(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, attr := range slices.Concat(
		prune.Metrics("secrets", prune.Summary{Secrets: 1}, now), rotate.Metrics("secrets", rotate.Summary{Secrets: 1}, now),
		replicate.Metrics("secrets", replicate.Summary{Notes: 1}, now),
	) {
		if attr.Key == "_aws" {
			t.Errorf("a run that left nothing writes %v", attr.Value)
		}
	}
}

func isWritten(t *testing.T, alarm resource, attrs []slog.Attr) {
	t.Helper()
	line := object{}
	for _, attr := range attrs {
		line[attr.Key] = attr.Value.Any()
	}
	raw, err := json.Marshal(line["_aws"])
	if err != nil {
		t.Fatal(err)
	}
	type metric struct{ Name, Unit string }
	var format struct {
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []metric
		}
	}
	if err := json.Unmarshal(raw, &format); err != nil || len(format.CloudWatchMetrics) != 1 {
		t.Fatalf("%s: got %s, %v", alarm.ID, raw, err)
	}
	written, unit := format.CloudWatchMetrics[0], "Count"
	if alarm.Properties["Statistic"] == "Maximum" {
		unit = "Seconds"
	}
	same(t, alarm.ID+" namespace", alarm.Properties["Namespace"], written.Namespace)
	same(t, alarm.ID+" dimensions", written.Dimensions, [][]string{{metrics.Dimension}})
	same(t, alarm.ID+" table", line[metrics.Dimension], "secrets")
	name, _ := alarm.Properties["MetricName"].(string)
	if !slices.Contains(written.Metrics, metric{name, unit}) || line[name] == nil {
		t.Errorf("%s: nobody writes %s as %s: %v", alarm.ID, name, unit, line)
	}
}
