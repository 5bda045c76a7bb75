package main

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/prune"
)

func TestPruneFunction(t *testing.T) {
	t.Parallel()
	function := stack(t).function(t, pruneName)
	settled := object{
		"Architectures": []string{"arm64"},
		"Runtime":       "provided.al2023",
		"Handler":       "bootstrap",
		"MemorySize":    256,
		"Timeout":       300,
		"Environment": object{"Variables": object{
			"TABLE_NAME":   stack(t).ref(t, "AWS::DynamoDB::Table"),
			"ACCOUNT_ID":   "${AWS::AccountId}",
			"PARTITION":    "${AWS::Partition}",
			"MAX_VERSIONS": "200",
			"MIN_AGE":      "36h0m0s",
		}},
		"DeadLetterConfig":             object{"TargetArn": stack(t).arn(t, "AWS::SQS::Queue")},
		"ReservedConcurrentExecutions": nil,
	}
	for name, want := range settled {
		same(t, name, function.Properties[name], want)
	}
	same(t, "retries", stack(t).one(t, "AWS::Lambda::EventInvokeConfig").Properties, object{
		"FunctionName":             "${" + function.ID + "}",
		"Qualifier":                "$LATEST",
		"MaximumEventAgeInSeconds": 20 * 60,
		"MaximumRetryAttempts":     1,
	})
}

// TestPruneMay has every right of the function in full, and none to the keys of
// values among them.
func TestPruneMay(t *testing.T) {
	t.Parallel()
	function := stack(t).function(t, pruneName)
	role, table := stack(t).of(t, function.Properties["Role"]), stack(t).arn(t, "AWS::DynamoDB::Table")
	same(t, "who may take the role", role.statements()[0]["Principal"], object{"Service": "lambda.amazonaws.com"})
	same(t, "statements", role.statements()[1:], []object{
		{
			"Sid":    "RemoveSecrets",
			"Effect": "Allow",
			"Action": []string{
				"dynamodb:GetItem", "dynamodb:Query",
				"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem",
			},
			"Resource": table,
		},
		{
			"Sid":      "FindDue",
			"Effect":   "Allow",
			"Action":   "dynamodb:Query",
			"Resource": []string{table + "/index/age", table + "/index/due"},
		},
		{
			"Sid":      "OpenTable",
			"Effect":   "Allow",
			"Action":   "kms:Decrypt",
			"Resource": stack(t).arn(t, "AWS::KMS::Key"),
			"Condition": object{"StringEquals": object{
				"kms:ViaService": "dynamodb.${AWS::Region}.amazonaws.com",
				"kms:EncryptionContext:aws:dynamodb:tableName":    stack(t).ref(t, "AWS::DynamoDB::Table"),
				"kms:EncryptionContext:aws:dynamodb:subscriberId": "${AWS::AccountId}",
			}},
		},
		{
			"Sid":      "NoteFailure",
			"Effect":   "Allow",
			"Action":   "sqs:SendMessage",
			"Resource": stack(t).arn(t, "AWS::SQS::Queue"),
		},
		{
			"Sid":      "WriteLogs",
			"Effect":   "Allow",
			"Action":   []string{"logs:CreateLogStream", "logs:PutLogEvents"},
			"Resource": "${" + stack(t).logsOf(t, function).ID + ".Arn}",
		},
	})
}

func TestPruneSchedule(t *testing.T) {
	t.Parallel()
	function, queue := "${"+stack(t).function(t, pruneName).ID+".Arn}", stack(t).arn(t, "AWS::SQS::Queue")
	role := stack(t).role(t, "scheduler.amazonaws.com")
	schedule := maps.Clone(stack(t).one(t, "AWS::Scheduler::Schedule").Properties)
	delete(schedule, "Description")
	same(t, "schedule", schedule, object{
		"GroupName":          stack(t).ref(t, "AWS::Scheduler::ScheduleGroup"),
		"ScheduleExpression": "rate(20 minutes)",
		"FlexibleTimeWindow": object{"Mode": "OFF"},
		"Target": object{
			"Arn":              function,
			"RoleArn":          "${" + role.ID + ".Arn}",
			"Input":            "{}",
			"DeadLetterConfig": object{"Arn": queue},
			"RetryPolicy":      object{"MaximumEventAgeInSeconds": 20 * 60},
		},
	})
	same(t, "role", role.statements(), []object{
		{
			"Effect":    "Allow",
			"Action":    "sts:AssumeRole",
			"Principal": object{"Service": "scheduler.amazonaws.com"},
			"Condition": object{"StringEquals": object{
				"aws:SourceAccount": "${AWS::AccountId}",
				"aws:SourceArn":     stack(t).arn(t, "AWS::Scheduler::ScheduleGroup"),
			}},
		},
		{"Sid": "Start", "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function},
		{"Sid": "NoteFailure", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue},
	})
}

func TestPruneFailures(t *testing.T) {
	t.Parallel()
	queue := stack(t).one(t, "AWS::SQS::Queue")
	same(t, "queue", queue.Properties, object{"SqsManagedSseEnabled": true, "MessageRetentionPeriod": 14 * 24 * 3600})
	policy := stack(t).one(t, "AWS::SQS::QueuePolicy")
	same(t, "queues of the policy", policy.Properties["Queues"], []string{"${" + queue.ID + "}"})
	same(t, "policy", policy.statements(), []object{{
		"Effect":    "Deny",
		"Action":    "sqs:*",
		"Principal": object{"AWS": "*"},
		"Resource":  "${" + queue.ID + ".Arn}",
		"Condition": object{"Bool": object{"aws:SecureTransport": "false"}},
	}})
}

func TestPruneAlarms(t *testing.T) {
	t.Parallel()
	function := []object{{"Name": "FunctionName", "Value": "${" + stack(t).function(t, pruneName).ID + "}"}}
	queue := []object{{"Name": "QueueName", "Value": "${" + stack(t).one(t, "AWS::SQS::Queue").ID + ".QueueName}"}}
	table := []object{{"Name": "Table", "Value": "${" + stack(t).one(t, "AWS::DynamoDB::Table").ID + "}"}}
	want := map[string]object{
		"PruneFailed": {
			"Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": function, "Statistic": "Sum",
			"ComparisonOperator": "GreaterThanThreshold", "Threshold": 0,
			"EvaluationPeriods": 1, "TreatMissingData": "ignore",
		},
		"PruneBehind": {
			"Namespace": "Strongroom", "MetricName": "OldestDueSeconds", "Dimensions": table, "Statistic": "Maximum",
			"ComparisonOperator": "GreaterThanThreshold", "Threshold": 2 * 20 * 60,
			"EvaluationPeriods": 1, "TreatMissingData": "ignore",
		},
		"PruneMissing": {
			"Namespace": "AWS/Lambda", "MetricName": "Invocations", "Dimensions": function, "Statistic": "Sum",
			"ComparisonOperator": "LessThanThreshold", "Threshold": 1,
			"EvaluationPeriods": 4, "TreatMissingData": "breaching",
		},
		"PruneGivenUp": {
			"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible", "Dimensions": queue, "Statistic": "Maximum",
			"ComparisonOperator": "GreaterThanThreshold", "Threshold": 0,
			"EvaluationPeriods": 1, "TreatMissingData": "notBreaching",
		},
	}
	for _, alarm := range stack(t).all("AWS::CloudWatch::Alarm") {
		got := maps.Clone(alarm.Properties)
		if got["AlarmDescription"] == nil {
			t.Errorf("%s does not say what is wrong", alarm.ID)
		}
		delete(got, "AlarmDescription")
		wanted := want[alarm.ID]
		if wanted == nil {
			t.Fatalf("an alarm %s", alarm.ID)
		}
		wanted["Period"] = 20 * 60 // there is one run in it; and no action without a topic
		same(t, alarm.ID, got, wanted)
	}
}

// TestMetricIsWhatPruneWrites looks for the metric of the alarm in the log line
// that CloudWatch has it from.
func TestMetricIsWhatPruneWrites(t *testing.T) {
	t.Parallel()
	line := object{}
	for _, attr := range prune.Metrics("secrets", prune.Summary{}, time.Now()) {
		line[attr.Key] = attr.Value.Any()
	}
	raw, err := json.Marshal(line["_aws"])
	if err != nil {
		t.Fatal(err)
	}
	var format struct {
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	}
	if err := json.Unmarshal(raw, &format); err != nil || len(format.CloudWatchMetrics) != 1 {
		t.Fatalf("got %s, %v", raw, err)
	}
	written, alarm := format.CloudWatchMetrics[0], stack(t).Resources["PruneBehind"].Properties
	same(t, "namespace", alarm["Namespace"], written.Namespace)
	same(t, "dimensions", written.Dimensions, [][]string{{metrics.Dimension}})
	same(t, "the table", line[metrics.Dimension], "secrets")
	if !slices.ContainsFunc(written.Metrics, func(m struct{ Name, Unit string }) bool {
		return m.Name == alarm["MetricName"] && m.Unit == "Seconds" && line[m.Name] != nil
	}) {
		t.Errorf("prune does not write %v, in seconds: %v", alarm["MetricName"], line)
	}
}
