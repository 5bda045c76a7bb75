package main

import (
	"maps"
	"testing"
)

// A timing is what is a job's own in what all jobs have, in minutes.
type timing struct {
	id, rate                       string
	patience, window, silent, late int
	behind                         string
}

// timings are those of the jobs with plain settings.
var timings = map[string]timing{
	pruneName:  {"Prune", "rate(20 minutes)", 20, 25, 3, 40, "OldestDueSeconds"},
	rotateName: {"Rotate", "rate(1 minute)", 5, 20, 1, 15, "OldestRotationDueSeconds"},

	replicateName: {"Replicate", "rate(1 minute)", 5, 20, 1, 10, "OldestReplicationDueSeconds"},
}

// failures is the dead-letter queue of a function.
func (m template) failures(t *testing.T, name string) resource {
	t.Helper()
	config, ok := m.function(t, name).Properties["DeadLetterConfig"].(object)
	if !ok {
		t.Fatalf("%s has no dead-letter queue", name)
	}
	return m.of(t, config["TargetArn"])
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for name, want := range timings {
		function := whole(t).function(t, name)
		same(t, name+" reserved", function.Properties["ReservedConcurrentExecutions"], nil)
		same(t, name+" retries", whole(t).with(t, "AWS::Lambda::EventInvokeConfig", "FunctionName", "${"+function.ID+"}").Properties, object{
			"FunctionName":             "${" + function.ID + "}",
			"Qualifier":                "part 7 of " + whole(t).live(t, name) + " by :", // of the alias's ARN: its name
			"MaximumEventAgeInSeconds": 60 * want.patience,
			"MaximumRetryAttempts":     1,
		})
	}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	for name, want := range timings {
		function, queue := whole(t).live(t, name), "${"+whole(t).failures(t, name).ID+".Arn}"
		schedule := maps.Clone(whole(t).Resources[want.id+"Schedule"].Properties)
		role := whole(t).of(t, schedule["Target"].(object)["RoleArn"])
		delete(schedule, "Description")
		same(t, name+" schedule, its state", schedule["State"], "ENABLED")
		delete(schedule, "State")
		same(t, name+" schedule", schedule, object{
			"GroupName":          whole(t).ref(t, "AWS::Scheduler::ScheduleGroup"),
			"ScheduleExpression": want.rate,
			"FlexibleTimeWindow": object{"Mode": "OFF"},
			"Target": object{
				"Arn":              function,
				"RoleArn":          "${" + role.ID + ".Arn}",
				"Input":            "{}",
				"DeadLetterConfig": object{"Arn": queue},
				"RetryPolicy":      object{"MaximumEventAgeInSeconds": 60 * want.patience},
			},
		})
		same(t, name+" role", role.statements(), []object{
			{
				"Effect":    "Allow",
				"Action":    "sts:AssumeRole",
				"Principal": object{"Service": "scheduler.amazonaws.com"},
				"Condition": object{"StringEquals": object{
					"aws:SourceAccount": "${AWS::AccountId}",
					"aws:SourceArn":     whole(t).arn(t, "AWS::Scheduler::ScheduleGroup"),
				}},
			},
			{"Sid": "Start", "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function},
			{"Sid": "NoteFailure", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue},
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name := range timings {
		queue := whole(t).failures(t, name)
		same(t, name+" queue", queue.Properties, object{"SqsManagedSseEnabled": true, "MessageRetentionPeriod": 14 * 24 * 3600})
		policy := whole(t).with(t, "AWS::SQS::QueuePolicy", "Queues", []any{"${" + queue.ID + "}"})
		same(t, name+" policy", policy.statements(), []object{{
			"Effect":    "Deny",
			"Action":    "sqs:*",
			"Principal": object{"AWS": "*"},
			"Resource":  "${" + queue.ID + ".Arn}",
			"Condition": object{"Bool": object{"aws:SecureTransport": "false"}},
		}})
	}
}
