package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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
	set, err := read(file.Context)
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
	const one, two = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd", "arn:aws:kms:eu-central-1:444455556666:key/mrk-1a"
	got, err := read(object{
		"stackName": "Vault-2", "account": "111122223333", "region": "eu-central-1", "tags": "team=blue,stage=a=b",
		"permissionsBoundaryArn": "arn:aws:iam::111122223333:policy/edge/of/all", "terminationProtection": "false",
		"policies": "mine.json", "allowEveryone": "true", "breakGlassRoleArn": "", "tracing": "true",
		"frontDoor": "rest", "throttleRate": "10", "throttleBurst": "20", "endpointType": "private", "endpointAccess": "basic",
		"vpcEndpointIds": "vpce-0123456789abcdef0,vpce-01234567", "callerAccounts": "444455556666", "callerOrganizations": "o-a1b2c3d4e5",
		"callerIpRanges": "10.0.0.0/8,2001:db8::/32", "domainName": "", "certificateArn": "", "truststoreUri": "", "webAcl": "managed",
		"logRetentionDays": "30", "dataKeySeconds": "0", "kmsKeyArns": one + "," + two, "apiGatewayLogsRole": "false",
		"maxVersions": "3", "minAge": "90m", "versionQuota": "4", "pruneEveryMinutes": "5", "schedules": "false", "alarmTopicArn": topic,
		"slowMilliseconds": "100", "concurrencyAlarm": "5", "dashboard": "false",
		"tableName": "old", "keyArn": one, "backupRetentionDays": "35", "backupVaultLock": "governance",
		"replicaRegions":      `{"eu-west-1": {"table": "there", "keyArn": "` + irelandKey + `"}}`,
		"minRotationInterval": "1m", "rotationStepSeconds": "200", "rotationsAtOnce": "1", "rotationFunctionArns": mysql + "," + abroad,
		"auditRetentionDays": "3653", "auditRequired": "true", "auditSubscriptionArn": stream, "auditSubscriptionRoleArn": writer,
	})
	want := settings{
		stackName: "Vault-2", account: "111122223333", region: "eu-central-1", tags: map[string]string{"team": "blue", "stage": "a=b"},
		permissionsBoundaryArn: "arn:aws:iam::111122223333:policy/edge/of/all", policies: "mine.json", allowEveryone: true,
		tracing: true, logRetentionDays: 30, kmsKeyArns: []string{one, two},
		reach: reach{
			frontDoor: "rest", throttleRate: 10, throttleBurst: 20, endpointType: "private", endpointAccess: "basic",
			vpcEndpointIds: []string{"vpce-0123456789abcdef0", "vpce-01234567"}, callerAccounts: []string{"444455556666"},
			callerOrganizations: []string{"o-a1b2c3d4e5"}, callerIPRanges: []string{"10.0.0.0/8", "2001:db8::/32"}, webACL: "managed",
		},
		maxVersions: 3, minAge: 90 * time.Minute, versionQuota: 4,
		pruneEveryMinutes: 5, alarmTopicArn: topic, slowMilliseconds: 100, concurrencyAlarm: 5,
		tableName: "old", keyArn: one, backupRetentionDays: 35, backupVaultLock: "governance",
		replicaRegions:      map[string]peer{"eu-west-1": {Table: "there", KeyArn: irelandKey}},
		minRotationInterval: time.Minute, rotationStepSeconds: 200, rotationsAtOnce: 1, rotationFunctionArns: []string{mysql, abroad},
		auditRetentionDays: 3653, auditRequired: true, auditSubscriptionArn: stream, auditSubscriptionRoleArn: writer,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// many is a list that is too long.
func many(n int, format string) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return all
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string][]any{
		"stackName":              {nil, "", "2nd", "a b", 3},
		"logRetentionDays":       {nil, 0, 31, "never", 1.5},
		"frontDoor":              {nil, "", "http", true},
		"throttleRate":           {nil, 0, -1, 10_001, "fast"},
		"throttleBurst":          {nil, 0, 5_001},
		"dataKeySeconds":         {nil, -1, 3_601, "60s"},
		"account":                {nil, "1234", 111122223333},
		"region":                 {nil, "Frankfurt", "eu-central", 1},
		"tags":                   {nil, true, "team", object{"": "x"}, object{"aws:team": "x"}, many(51, "tag%d=x")},
		"permissionsBoundaryArn": {nil, "boundary", writer},
		"terminationProtection":  {nil, "yes"},
		"policies":               {nil, ""},
		"allowEveryone":          {nil, "everyone"},
		"breakGlassRoleArn":      {nil, "admin", topic},
		"tracing":                {nil, "on"},
		"endpointType":           {nil, "", "edge", "private"},
		"vpcEndpointIds":         {nil, "vpce-01234567", []any{"vpc-01234567"}, many(21, "vpce-%08d")},
		"endpointAccess":         {nil, "", "STRICT"},
		"callerAccounts":         {nil, "44445555666", "o-a1b2c3d4e5", many(51, "%012d")},
		"callerOrganizations":    {nil, "444455556666", many(21, "o-%010d")},
		"callerIpRanges":         {nil, "10.0.0.1", "10.0.0.1/8", many(61, "10.0.0.%d/32")},
		"domainName":             {nil, "-.example.com", "https://example.com"},
		"certificateArn":         {nil, "certificate", topic},
		"truststoreUri":          {nil, "s3://authorities/all.pem"},
		"webAcl":                 {nil, "", "all", "arn:aws:wafv2:us-east-1:111122223333:global/webacl/a/1a"},
		"tableName":              {nil, "a", "old"},
		"keyArn":                 {nil, "old", topic},
		"backupRetentionDays":    {nil, -1, "always"},
		"backupVaultLock":        {nil, "", "forever", "governance"},
		"replicaRegions": {
			nil, true, "eu-west-1", `{"eu-west-1": {}}`, `{"eu-west-1": {"table": "there"}}`,
			[]any{"eu-west-1"},
			`{"eu-west-1": {"table": "there", "keyArn": "` + irelandKey + `"}} {}`,
			object{"Ireland": object{"table": "there", "keyArn": irelandKey}},
			object{"eu-west-1": object{"table": "th", "keyArn": irelandKey}},
			object{"eu-west-1": object{"table": "there", "keyArn": "arn:aws:kms:eu-west-1:111122223333:alias/there"}},
			object{"eu-west-1": object{"table": "there", "keyArn": irelandKey, "endpoint": "https://there"}},
			object{"eu-west-1": object{"table": "there", "keyArn": irelandKey, "roleArn": "there"}},
			object{"eu-west-1": object{"table": "there", "keyArn": irelandKey, "kmsKeyArns": []any{"there"}}},
			object{"us-east-1": object{"table": "there", "keyArn": irelandKey}},
			peersOf(mostPeers+1, 0), peersOf(1, mostKeysOfReplicas+1),
		},
		"slowMilliseconds": {nil, 0, "2s", 30_000},
		"concurrencyAlarm": {nil, 0},
		"dashboard":        {nil, 1},
		"schedules":        {nil, "off"},

		"kmsKeyArns":         {nil, true, many(61, "arn:aws:kms:eu-central-1:111122223333:key/%d"), "alias/other", "arn:aws:kms:eu-central-1:111122223333:alias/other", []any{"*"}, []any{1}},
		"apiGatewayLogsRole": {nil, "", "yes", 1},
		"maxVersions":        {nil, -1, 1_000_001, "many", 1e6 + 1.0, 500},
		"minAge":             {nil, "", "-1h", "a day", 24},
		"versionQuota":       {nil, -1, 1_000_001, "none", 1, 200},
		"pruneEveryMinutes":  {nil, 0, 4, 361, 7.5, "15m"},
		"alarmTopicArn":      {nil, true, "alarms", "arn:aws:sqs:eu-central-1:111122223333:alarms", topic + ":sub"},

		"minRotationInterval":      {nil, "", "59s", "4h1s", "-1h", 4},
		"rotationStepSeconds":      {nil, 0, 201, "60s"},
		"rotationsAtOnce":          {nil, 0, 1_001, "all"},
		"rotationFunctionArns":     {nil, true, many(26, "arn:aws:lambda:eu-central-1:111122223333:function:f%d"), "rotator", "*", mysql + ":live", mysql + ":*", strings.Replace(mysql, "mysql", "*", 1), []any{mysql, 1}},
		"auditRetentionDays":       {nil, 0, 732, "never"},
		"auditRequired":            {nil, "", "yes", 1},
		"auditSubscriptionArn":     {nil, true, "audit", topic, mysql + ":*", "arn:aws:s3:::audit", strings.Replace(stream, "stream", "table", 1)},
		"auditSubscriptionRoleArn": {nil, true, "writer", writer, "arn:aws:iam::111122223333:user/writer"},
	} {
		for _, value := range wrong {
			set := maps.Clone(plain)
			set[name] = value
			if _, err := read(set); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s = %#v: got error %v, want one that names it", name, value, err)
			}
		}
	}
}

// TestMisspeltSettings are refused: they would have no effect.
func TestMisspeltSettings(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"retentionDays":  "did you mean",
		"allowEverybody": "did you mean allowEveryone?",
		"alarmTopicARN":  "did you mean alarmTopicArn?",
		"cli-telemetry":  "",
		"@aws-cdk/core:validateAgainstDefaultRules": "",
		"aws:cdk:toolkit": "",
	} {
		set := maps.Clone(plain)
		set[name] = "x"
		_, err := read(set)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

// TestPlaces has what a setting names where the stack can use it.
func TestPlaces(t *testing.T) {
	t.Parallel()
	frankfurt, own := place{region: "eu-central-1"}, place{"111122223333", "eu-central-1"}
	const boundary = "arn:aws:iam::111122223333:policy/edge"
	for _, one := range []struct {
		name, value string
		at          place
		ok          bool
	}{
		{"alarmTopicArn", topic, place{}, true},
		{"alarmTopicArn", topic, frankfurt, true},
		{"alarmTopicArn", topic, place{region: "eu-west-1"}, false},
		{"alarmTopicArn", topic, place{"444455556666", "eu-central-1"}, true},
		{"rotationFunctionArns", abroad, own, true},
		{"rotationFunctionArns", abroad, place{region: "us-east-1"}, false},
		{"kmsKeyArns", "arn:aws:kms:us-east-1:111122223333:key/1a", own, false},
		{"keyArn", "arn:aws:kms:eu-central-1:111122223333:key/1a", own, true},
		{"keyArn", "arn:aws:kms:eu-central-1:444455556666:key/1a", own, false},
		{"auditSubscriptionArn", "arn:aws:lambda:eu-central-1:444455556666:function:records", own, false},
		{"auditSubscriptionArn", "arn:aws:logs:eu-central-1:444455556666:destination:audit", own, true},
		{"breakGlassRoleArn", writer, own, true},
		{"breakGlassRoleArn", writer, place{account: "444455556666"}, false},
		{"permissionsBoundaryArn", boundary, own, true},
		{"permissionsBoundaryArn", boundary, place{account: "444455556666"}, false},
		{"permissionsBoundaryArn", "arn:aws:iam::aws:policy/PowerUserAccess", own, true},
		{"auditSubscriptionArn", strings.Replace(mysql, "eu-central-1", "us-east-1", 1), own, false},
		{"callerAccounts", "111122223333", own, false},
		{"replicaRegions", peerText(irelandKey, ""), own, true},
		{"replicaRegions", peerText(irelandKey, ""), place{"444455556666", "eu-central-1"}, false},
		{"replicaRegions", peerText(irelandKey, ""), place{"111122223333", "eu-west-1"}, false},
		{"replicaRegions", peerText("arn:aws:kms:eu-central-1:111122223333:key/1a", ""), own, false},
		{"replicaRegions", peerText(irelandKey, "arn:aws:iam::111122223333:role/there"), own, true},
		{"replicaRegions", peerText(irelandKey, "arn:aws:iam::444455556666:role/there"), own, false},
		{"callerAccounts", "444455556666", own, true},
	} {
		set := maps.Clone(plain)
		set[one.name] = one.value
		if _, err := readAt(set, one.at); (err == nil) != one.ok {
			t.Errorf("%s=%s in %+v: got %v, want it taken: %t", one.name, one.value, one.at, err, one.ok)
		}
		// What is set comes before what the credentials say.
		set["account"], set["region"] = one.at.account, one.at.region
		if _, err := readAt(set, place{"999900001111", "ap-south-1"}); one.at.account != "" && one.at.region != "" && (err == nil) != one.ok {
			t.Errorf("%s=%s, set to %+v: got %v, want it taken: %t", one.name, one.value, one.at, err, one.ok)
		}
	}
}

// TestReach has the settings that need each other.
func TestReach(t *testing.T) {
	t.Parallel()
	const certificate = "arn:aws:acm:eu-central-1:111122223333:certificate/1a-2b"
	for _, one := range []struct {
		set object
		ok  bool
	}{
		{object{"domainName": "secrets.example.com", "certificateArn": certificate}, true},
		{object{"domainName": "secrets.example.com"}, false},
		{object{"certificateArn": certificate}, false},
		{object{"domainName": "secrets.example.com", "certificateArn": certificate, "truststoreUri": "s3://authorities/all.pem"}, true},
		{object{"domainName": "secrets.example.com", "certificateArn": certificate, "truststoreUri": "https://authorities/all.pem"}, false},
		{object{"endpointType": "private", "vpcEndpointIds": "vpce-01234567"}, true},
		{object{"endpointType": "private", "vpcEndpointIds": "vpce-01234567", "domainName": "secrets.example.com", "certificateArn": certificate}, false},
		{object{"frontDoor": "url"}, true},
		{object{"frontDoor": "url", "callerIpRanges": "192.0.2.0/24"}, false},
		{object{"frontDoor": "url", "webAcl": "managed"}, false},
		{object{"frontDoor": "url", "callerAccounts": "444455556666"}, false},
		{object{"keyArn": "arn:aws:kms:eu-central-1:111122223333:key/1a", "breakGlassRoleArn": writer}, false},
		{object{"webAcl": "arn:aws:wafv2:eu-central-1:111122223333:regional/webacl/all/1a-2b"}, true},
		{object{"tableName": "old", "keyArn": "arn:aws:kms:eu-central-1:111122223333:key/1a"}, true},
		{object{"backupVaultLock": "compliance", "backupRetentionDays": 30}, true},
	} {
		set := maps.Clone(plain)
		maps.Copy(set, one.set)
		if _, err := read(set); (err == nil) != one.ok {
			t.Errorf("%v: got %v, want it taken: %t", one.set, err, one.ok)
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
		if _, err := read(set); (err == nil) != one.ok {
			t.Errorf("%q with role %q: got %v, want it taken: %t", one.arn, one.role, err, one.ok)
		}
	}
}

// TestPeersOfFile has what -c names, since JSON is awkward on a command line.
func TestPeersOfFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "frankfurt.json")
	write(t, file, peerText(irelandKey, irelandRole))
	set := maps.Clone(plain)
	set["replicaRegions"] = file
	got, err := read(set)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "deployments", got.replicaRegions, map[string]peer{"eu-west-1": {Table: "there", KeyArn: irelandKey, RoleArn: irelandRole}})
}

// TestLargeNumbers are whole also when JSON made floats of them.
func TestLargeNumbers(t *testing.T) {
	t.Parallel()
	set := maps.Clone(plain)
	set["versionQuota"] = float64(mostVersions)
	if got, err := read(set); err != nil || got.versionQuota != mostVersions {
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

func peerText(key, role string) string {
	return fmt.Sprintf(`{"eu-west-1": {"table": "there", "keyArn": %q, "roleArn": %q}}`, key, role)
}

// peersOf are so many Regions, the first with so many further keys, and with names as long
// as they may be.
func peersOf(n, keys int) object {
	all := object{}
	for i := range n {
		region := fmt.Sprintf("us-gov-west-%d", i+2)
		p := object{
			"table":   strings.Repeat("t", 255),
			"keyArn":  "arn:aws-us-gov:kms:" + region + ":111122223333:key/mrk-0123456789abcdef0123456789abcdef",
			"roleArn": "arn:aws-us-gov:iam::111122223333:role/" + strings.Repeat("r", 64),
		}
		if i == 0 {
			p["kmsKeyArns"] = many(keys, "arn:aws-us-gov:kms:"+region+":111122223333:key/mrk-0123456789abcdef0123456789abcd%02d")
		}
		all[region] = p
	}
	return all
}

// read reads settings where the credentials say nothing.
func read(set object) (settings, error) { return readAt(set, place{}) }

func readAt(set object, current place) (settings, error) {
	return readSettings(func(name string) any { return set[name] }, slices.Sorted(maps.Keys(set)), current)
}

func TestSettingsInDocs(t *testing.T) {
	t.Parallel()
	var known []string
	_, _ = readSettings(func(name string) any { known = append(known, name); return "" }, nil, place{})
	documented.Same(t, "../docs/settings.md", "## The stack", known)
}
