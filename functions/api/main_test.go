package main

import (
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/settings/documented"
)

// good is an environment the function starts with.
var good = map[string]string{
	"TABLE_NAME": "strongroom",
	"KMS_KEY_ID": "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
	"AWS_REGION": "eu-central-1",
	"ACCOUNT_ID": "111122223333",
}

// but is the good environment with some variables changed.
func but(changes map[string]string) map[string]string {
	env := maps.Clone(good)
	maps.Copy(env, changes)
	return env
}

func getenv(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestSettings(t *testing.T) {
	t.Parallel()
	defaults := options{
		Table:        "strongroom",
		Key:          "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
		KeepDataKeys: time.Minute,
		ARNs:         secret.ARNs{Partition: "aws", Region: "eu-central-1", Account: "111122223333"},
		Retention:    secret.DefaultRetention,

		Policies:            "policies.json",
		MinRotationInterval: 4 * time.Hour,
		AuditRequired:       true,
	}
	tests := []struct {
		name    string
		changes map[string]string
		want    func(*options)
	}{
		{"defaults", nil, func(*options) {}},
		{"no data key is kept", map[string]string{"DATA_KEY_SECONDS": "0"}, func(s *options) { s.KeepDataKeys = 0 }},
		{"for as long as may be", map[string]string{"DATA_KEY_SECONDS": "3600"}, func(s *options) { s.KeepDataKeys = time.Hour }},
		{
			"rotation, audit and policies",
			map[string]string{
				"ROTATE_FUNCTION": "arn:aws:lambda:eu-central-1:111122223333:function:rotate", "MIN_ROTATION_INTERVAL": "1m",
				"AUDIT_REQUIRED": "false", "POLICIES": "who.json", "REPLICA_REGIONS": "eu-west-1,eu-west-3",
			},
			func(s *options) {
				s.RotateFunction, s.MinRotationInterval = "arn:aws:lambda:eu-central-1:111122223333:function:rotate", time.Minute
				s.AuditRequired, s.Policies, s.ReplicaRegions = false, "who.json", "eu-west-1,eu-west-3"
			},
		},
		{
			"a key by its id",
			map[string]string{"KMS_KEY_ID": "mrk-1234abcd12ab34cd56ef1234567890ab"},
			func(s *options) { s.Key = "mrk-1234abcd12ab34cd56ef1234567890ab" },
		},
		{
			"another partition",
			map[string]string{"PARTITION": "aws-us-gov", "AWS_REGION": "us-gov-west-1"},
			func(s *options) { s.ARNs.Partition, s.ARNs.Region = "aws-us-gov", "us-gov-west-1" },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := defaults
			test.want(&want)
			got, err := readOptions(getenv(but(test.changes)))
			if err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, value, want string }{
		{"POLICIES", "../policies.json", `POLICIES is "../policies.json", and must be the name of a file beside the program`},
		{"ROTATE_FUNCTION", "rotate!", `ROTATE_FUNCTION is "rotate!", and must be the ARN or the name of a Lambda function`},
		{"MIN_ROTATION_INTERVAL", "5h", `MIN_ROTATION_INTERVAL is "5h", and must be a duration from 1m0s to 4h0m0s`},
		{"MIN_ROTATION_INTERVAL", "59s", `MIN_ROTATION_INTERVAL is "59s", and must be a duration from 1m0s to 4h0m0s`},
		{"REPLICA_REGIONS", "eu-west-1,", `REPLICA_REGIONS is "eu-west-1,", and must be Regions with commas between them, such as eu-west-1,eu-west-3`},
		{"REPLICA_REGIONS", "eu west 1", `REPLICA_REGIONS is "eu west 1", and must be Regions with commas between them, such as eu-west-1,eu-west-3`},
		{"AUDIT_REQUIRED", "yes", `AUDIT_REQUIRED is "yes", and must be true or false`},
		{"TABLE_NAME", "", `TABLE_NAME is not set, and must be the name of a DynamoDB table`},
		{"TABLE_NAME", "my table", `TABLE_NAME is "my table", and must be the name of a DynamoDB table`},
		{"TABLE_NAME", "ab", `TABLE_NAME is "ab", and must be the name of a DynamoDB table`},
		{"KMS_KEY_ID", "", `KMS_KEY_ID is not set, and must be the ARN or the id of a KMS key`},
		{"KMS_KEY_ID", "alias/strongroom", `KMS_KEY_ID is "alias/strongroom", and must be the ARN or the id of a KMS key`},
		{"KMS_KEY_ID", "arn:aws:s3:::bucket", `KMS_KEY_ID is "arn:aws:s3:::bucket", and must be the ARN or the id of a KMS key`},
		{"DATA_KEY_SECONDS", "-1", `DATA_KEY_SECONDS is "-1", and must be a number of seconds from 0 to 3600`},
		{"DATA_KEY_SECONDS", "3601", `DATA_KEY_SECONDS is "3601", and must be a number of seconds from 0 to 3600`},
		{"DATA_KEY_SECONDS", "60s", `DATA_KEY_SECONDS is "60s", and must be a number of seconds from 0 to 3600`},
		{"DATA_KEY_SECONDS", "99999999999999999999", `DATA_KEY_SECONDS is "99999999999999999999", and must be a number of seconds from 0 to 3600`},
		{"PARTITION", "azure", `PARTITION is "azure", and must be a partition such as aws or aws-cn`},
		{"AWS_REGION", "", `AWS_REGION is not set, and must be a Region such as eu-central-1`},
		{"AWS_REGION", "Frankfurt", `AWS_REGION is "Frankfurt", and must be a Region such as eu-central-1`},
		{"ACCOUNT_ID", "", `ACCOUNT_ID is not set, and must be the 12 digits of an AWS account`},
		{"ACCOUNT_ID", "1111-2222-3333", `ACCOUNT_ID is "1111-2222-3333", and must be the 12 digits of an AWS account`},
		{"ACCOUNT_ID", "111122223333\n", `ACCOUNT_ID is "111122223333\n", and must be the 12 digits of an AWS account`},
	}
	for _, test := range tests {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			t.Parallel()
			_, err := readOptions(getenv(but(map[string]string{test.name: test.value})))
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestAllWrongSettingsAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := readOptions(getenv(but(map[string]string{"TABLE_NAME": "", "ACCOUNT_ID": "1"})))
	want := "TABLE_NAME is not set, and must be the name of a DynamoDB table\n" +
		`ACCOUNT_ID is "1", and must be the 12 digits of an AWS account`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestVariablesInDocs(t *testing.T) {
	t.Parallel()
	var read []string
	_, _ = build(func(name string) string { read = append(read, name); return good[name] }, slog.New(slog.DiscardHandler))
	documented.Variables(t, "../../docs/settings.md", "## The functions", "api", read)
}
