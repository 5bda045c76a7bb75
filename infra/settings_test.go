package main

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/schedule"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/settings/documented"
)

// TestSettingsOfTheFile reads cdk.json as it is, whatever an operator chose.
func TestSettingsOfTheFile(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Context object }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	set, err := readSettings(from(file.Context))
	if err != nil {
		t.Errorf("cdk.json: %v", err)
	}
	if got := (secret.Retention{MaxVersions: set.maxVersions, MinAge: set.minAge}); got != secret.DefaultRetention {
		t.Errorf("cdk.json keeps %+v, the code by itself %+v", got, secret.DefaultRetention)
	}
	if set.minRotationInterval != schedule.Least {
		t.Errorf("cdk.json takes rotations every %s, AWS every %s", set.minRotationInterval, schedule.Least)
	}
}

// TestSettingsByHand are those of -c, which are all strings.
func TestSettingsByHand(t *testing.T) {
	t.Parallel()
	const one, two = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd", "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1a"
	got, err := readSettings(from(object{
		"stackName": "Vault-2", "logRetentionDays": "30", "frontDoor": "url", "throttleRate": "10", "throttleBurst": "20",
		"dataKeySeconds": "0", "kmsKeyArns": one + "," + two, "apiGatewayLogsRole": "false",
		"maxVersions": "3", "minAge": "90m", "versionQuota": "4", "pruneEveryMinutes": "5", "alarmTopicArn": topic,
		"minRotationInterval": "1m", "rotationStepSeconds": "200", "rotationsAtOnce": "1", "rotationFunctionArns": mysql + "," + abroad,
		"auditRetentionDays": "3653", "auditRequired": "true", "auditSubscriptionArn": stream, "auditSubscriptionRoleArn": writer,
	}))
	want := settings{
		stackName: "Vault-2", logRetentionDays: 30, frontDoor: "url", throttleRate: 10, throttleBurst: 20,
		kmsKeyArns: []string{one, two}, maxVersions: 3, minAge: 90 * time.Minute, versionQuota: 4,
		pruneEveryMinutes: 5, alarmTopicArn: topic,
		minRotationInterval: time.Minute, rotationStepSeconds: 200, rotationsAtOnce: 1, rotationFunctionArns: []string{mysql, abroad},
		auditRetentionDays: 3653, auditRequired: true, auditSubscriptionArn: stream, auditSubscriptionRoleArn: writer,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string][]any{
		"stackName":          {nil, "", "2nd", "a b", 3},
		"logRetentionDays":   {nil, 0, 31, "never", 1.5},
		"frontDoor":          {nil, "", "http", true},
		"throttleRate":       {nil, 0, -1, 10_001, "fast"},
		"throttleBurst":      {nil, 0, 5_001},
		"dataKeySeconds":     {nil, -1, 3_601, "60s"},
		"kmsKeyArns":         {nil, true, "alias/other", "arn:aws:kms:eu-central-1:111122223333:alias/other", []any{"*"}, []any{1}},
		"apiGatewayLogsRole": {nil, "", "yes", 1},
		"maxVersions":        {nil, -1, 1_000_001, "many", 1e6 + 1.0, 500},
		"minAge":             {nil, "", "-1h", "a day", 24},
		"versionQuota":       {nil, -1, 1_000_001, "none", 1, 200},
		"pruneEveryMinutes":  {nil, 0, 4, 361, 7.5, "15m"},
		"alarmTopicArn":      {nil, true, "alarms", "arn:aws:sqs:eu-central-1:111122223333:alarms", topic + ":sub"},

		"minRotationInterval":      {nil, "", "59s", "4h1s", "-1h", 4},
		"rotationStepSeconds":      {nil, 0, 201, "60s"},
		"rotationsAtOnce":          {nil, 0, 1_001, "all"},
		"rotationFunctionArns":     {nil, true, "rotator", "*", mysql + ":live", mysql + ":*", strings.Replace(mysql, "mysql", "*", 1), []any{mysql, 1}},
		"auditRetentionDays":       {nil, 0, 732, "never"},
		"auditRequired":            {nil, "", "yes", 1},
		"auditSubscriptionArn":     {nil, true, "audit", topic, mysql + ":*", "arn:aws:s3:::audit", strings.Replace(stream, "stream", "table", 1)},
		"auditSubscriptionRoleArn": {nil, true, "writer", writer, "arn:aws:iam::111122223333:user/writer"},
	} {
		for _, value := range wrong {
			set := maps.Clone(plain)
			set[name] = value
			if _, err := readSettings(from(set)); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s = %#v: got error %v, want one that names it", name, value, err)
			}
		}
	}
}

// TestSubscriptions has a role where one is needed, and nowhere else.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	const destination = "arn:aws:logs:eu-central-1:444455556666:destination:audit"
	for _, one := range []struct {
		arn, role string
		ok        bool
	}{
		{"", "", true},
		{"", writer, false},
		{mysql, "", true},
		{mysql + ":live", "", true},
		{mysql, writer, false},
		{destination, "", true},
		{destination, writer, false},
		{stream, writer, true},
		{stream, "", false},
		{"arn:aws-cn:firehose:cn-north-1:111122223333:deliverystream/a.b", "arn:aws-cn:iam::111122223333:role/writer", true},
	} {
		set := maps.Clone(plain)
		set["auditSubscriptionArn"], set["auditSubscriptionRoleArn"] = one.arn, one.role
		if _, err := readSettings(from(set)); (err == nil) != one.ok {
			t.Errorf("%q with role %q: got %v, want it taken: %t", one.arn, one.role, err, one.ok)
		}
	}
}

// TestLargeNumbers are whole also when JSON made floats of them.
func TestLargeNumbers(t *testing.T) {
	t.Parallel()
	set := maps.Clone(plain)
	set["versionQuota"] = float64(mostVersions)
	if got, err := readSettings(from(set)); err != nil || got.versionQuota != mostVersions {
		t.Errorf("got %d, %v", got.versionQuota, err)
	}
}

const (
	topic  = "arn:aws:sns:eu-central-1:111122223333:alarms"
	mysql  = "arn:aws:lambda:eu-central-1:111122223333:function:mysql_single-user"
	abroad = "arn:aws:lambda:eu-central-1:444455556666:function:postgres"
	stream = "arn:aws:kinesis:eu-central-1:111122223333:stream/audit"
	writer = "arn:aws:iam::111122223333:role/logs/writer"
)

func from(set object) func(string) any {
	return func(name string) any { return set[name] }
}

func TestSettingsInDocs(t *testing.T) {
	t.Parallel()
	var known []string
	_, _ = readSettings(func(name string) any { known = append(known, name); return "" })
	documented.Same(t, "../docs/settings.md", "## The stack", known)
}
