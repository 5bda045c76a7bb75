package main

import (
	"slices"
	"testing"

	"github.com/strongroom/strongroom/pkg/audit"
)

// trail are the log groups of the functions, with the audit records in them.
func (m template) trail(t *testing.T) []resource {
	t.Helper()
	var groups []resource
	for _, name := range []string{apiName, pruneName, rotateName} {
		groups = append(groups, m.logsOf(t, m.function(t, name)))
	}
	return groups
}

// writeLogs are the rights to the trail that a function has: to add to its own log.
func (m template) writeLogs(t *testing.T, function resource) []object {
	t.Helper()
	logs := m.logsOf(t, function)
	return append([]object{{
		"Sid":      "WriteLogs",
		"Effect":   "Allow",
		"Action":   []string{"logs:CreateLogStream", "logs:PutLogEvents"},
		"Resource": "${" + logs.ID + ".Arn}",
	}}, m.encryptLogs(t, logs)...)
}

// encryptLogs are the rights to the key that CloudWatch Logs may ask of a writer.
func (m template) encryptLogs(t *testing.T, groups ...resource) []object {
	t.Helper()
	var arns []string
	for _, group := range groups {
		arns = append(arns, "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${"+group.ID+"}")
	}
	via := object{"kms:ViaService": "logs.${AWS::Region}.${AWS::URLSuffix}"}
	return []object{
		{
			"Sid":    "EncryptLogs",
			"Effect": "Allow",
			"Action": []string{
				"kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext",
			},
			"Resource":  m.arn(t, "AWS::KMS::Key"),
			"Condition": object{"StringEquals": via, "ArnEquals": object{"kms:EncryptionContext:aws:logs:arn": arns}},
		},
		{
			"Sid":       "DescribeLogsKey",
			"Effect":    "Allow",
			"Action":    "kms:DescribeKey",
			"Resource":  m.arn(t, "AWS::KMS::Key"),
			"Condition": object{"StringEquals": via},
		},
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	got, want := map[string]object{}, map[string]object{}
	for _, r := range stack(t).all("AWS::Logs::QueryDefinition") {
		got[r.Properties["Name"].(string)] = r.Properties
	}
	var groups []string
	for _, group := range stack(t).trail(t) {
		groups = append(groups, "${"+group.ID+"}")
	}
	for _, q := range append(slices.Clone(audit.Queries), slowest) {
		name := "Vault/" + q.Name
		want[name] = object{"Name": name, "QueryString": q.Text, "LogGroupNames": groups}
	}
	same(t, "queries", got, want)
}

// TestSubscriptionToAFunction may call it for records of this trail and nothing
// else. TestChoices has one to a stream.
func TestSubscriptionToAFunction(t *testing.T) {
	t.Parallel()
	const function = "arn:aws:lambda:eu-central-1:111122223333:function:siem:live"
	chosen := synthesizeWith(t, object{"auditSubscriptionArn": function})
	same(t, "subscriptions", len(chosen.all("AWS::Logs::SubscriptionFilter")), 3)
	for _, group := range chosen.trail(t) {
		filter := chosen.with(t, "AWS::Logs::SubscriptionFilter", "LogGroupName", "${"+group.ID+"}")
		same(t, "subscription", filter.Properties, object{
			"LogGroupName":   "${" + group.ID + "}",
			"FilterPattern":  `{ $.eventCategory = "Management" }`,
			"DestinationArn": function,
		})
		permission := chosen.with(t, "AWS::Lambda::Permission", "SourceArn", "${"+group.ID+".Arn}")
		same(t, "permission", permission.Properties, object{
			"FunctionName":  function,
			"Action":        "lambda:InvokeFunction",
			"Principal":     "logs.amazonaws.com",
			"SourceAccount": "${AWS::AccountId}",
			"SourceArn":     "${" + group.ID + ".Arn}",
		})
		same(t, "what the subscription waits for", filter.DependsOn, []string{permission.ID})
	}
}
