package main

import (
	"testing"

	"github.com/strongroom/strongroom/pkg/audit"
)

// audit is the log group of the audit trail.
func (m template) audit(t *testing.T) resource {
	t.Helper()
	return m.with(t, "AWS::Logs::LogGroup", "LogGroupName", "/strongroom/"+m.ref(t, "AWS::ApiGateway::RestApi")+"/audit")
}

// writeAudit is the only right to the trail that anybody has.
func (m template) writeAudit(t *testing.T) object {
	t.Helper()
	return object{
		"Sid":      "WriteAudit",
		"Effect":   "Allow",
		"Action":   []string{"logs:CreateLogStream", "logs:PutLogEvents"},
		"Resource": "${" + m.audit(t).ID + ".Arn}",
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	got, want := map[string]object{}, map[string]object{}
	for _, r := range stack(t).all("AWS::Logs::QueryDefinition") {
		got[r.Properties["Name"].(string)] = r.Properties
	}
	for _, q := range audit.Queries {
		name := "Vault/" + q.Name
		want[name] = object{"Name": name, "QueryString": q.Text, "LogGroupNames": []string{"${" + stack(t).audit(t).ID + "}"}}
	}
	same(t, "queries", got, want)
}

// TestSubscriptionToAFunction may call it for records of this trail and nothing
// else. TestChoices has one to a stream.
func TestSubscriptionToAFunction(t *testing.T) {
	t.Parallel()
	const function = "arn:aws:lambda:eu-central-1:111122223333:function:siem:live"
	chosen := synthesizeWith(t, object{"auditSubscriptionArn": function})
	filter := chosen.one(t, "AWS::Logs::SubscriptionFilter")
	same(t, "subscription", filter.Properties, object{
		"LogGroupName":   "${" + chosen.audit(t).ID + "}",
		"FilterPattern":  "",
		"DestinationArn": function,
	})
	permission := chosen.with(t, "AWS::Lambda::Permission", "FunctionName", function)
	same(t, "permission", permission.Properties, object{
		"FunctionName":  function,
		"Action":        "lambda:InvokeFunction",
		"Principal":     "logs.amazonaws.com",
		"SourceAccount": "${AWS::AccountId}",
		"SourceArn":     "${" + chosen.audit(t).ID + ".Arn}",
	})
	same(t, "what the subscription waits for", filter.DependsOn, []string{permission.ID})
}
