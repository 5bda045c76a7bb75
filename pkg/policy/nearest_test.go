package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/spelling"
)

// A name that means nothing is refused in a policies file, with the nearest that does.
func TestMisspelt(t *testing.T) {
	t.Parallel()
	condition := func(text string) string {
		return `"Effect": "Deny", ` + all + `, "Action": "*", "Resource": "*", "Condition": ` + text
	}
	action := func(name, action string) string {
		return `"Effect": "Deny", ` + all + `, "` + name + `": ` + action + `, "Resource": "*"`
	}
	for _, tt := range []struct{ statement, want string }{
		{action("Action", `"secretsmanager:GetSecretValu"`), `there is no action "secretsmanager:GetSecretValu"; did you mean secretsmanager:GetSecretValue?`},
		{action("Action", `"secretsmanager:DeleteSecrets"`), `there is no action "secretsmanager:DeleteSecrets"; did you mean secretsmanager:DeleteSecret?`},
		{action("Action", `["secretsmanager:*", "SecretsManager:deletesecrets"]`), `there is no action "SecretsManager:deletesecrets"; did you mean secretsmanager:DeleteSecret?`},
		{action("NotAction", `"secretsmanager:DescribeSecrets"`), `there is no action "secretsmanager:DescribeSecrets"; did you mean secretsmanager:DescribeSecret?`},
		{action("Action", `"secretsmanager:GetSecret"`), `there is no action "secretsmanager:GetSecret"; did you mean secretsmanager:GetSecretValue?`},
		{action("Action", `"secretsmanager:ListSecret"`), `there is no action "secretsmanager:ListSecret"; did you mean secretsmanager:ListSecrets?`},
		{action("Action", `"secretsmanager:Desribe*"`), `there is no action "secretsmanager:Desribe*"; did you mean secretsmanager:DescribeSecret?`},
		{action("Action", `"secretsmanager:GetSecretValue?"`), `there is no action "secretsmanager:GetSecretValue?"; did you mean secretsmanager:GetSecretValue?`},
		{action("Action", `"secretmanager:GetSecretValue"`), `Action "secretmanager:GetSecretValue" is none of a secret; did you mean secretsmanager:GetSecretValue?`},
		{action("Action", `"s3:GetObject"`), `Action "s3:GetObject" is none of a secret`},
		{action("Action", `"strongroom:RollBackSecret"`), `Action "strongroom:RollBackSecret" is none of a secret`},
		{condition(`{"StringEquals": {"secretsmanager:KmsKeyArm": "x"}}`), `unknown condition key "secretsmanager:KmsKeyArm"; did you mean secretsmanager:KmsKeyArn?`},
		{condition(`{"Bool": {"aws:SecureTransports": "false"}}`), `unknown condition key "aws:SecureTransports"; did you mean aws:SecureTransport?`},
		{condition(`{"StringEquals": {"aws:ResourceTags/team": "x"}}`), `unknown condition key "aws:ResourceTags/team"; did you mean aws:ResourceTag/team?`},
		{condition(`{"StringEquals": {"s3:prefix": "x"}}`), `unknown condition key "s3:prefix"`},
		{condition(`{"ForAnyValue:StringLikesIfExists": {"aws:TagKeys": "x"}}`), `unknown condition operator "ForAnyValue:StringLikesIfExists"; did you mean StringLike?`},
		{strings.Replace(action("Action", `"*"`), "Resource", "Resources", 1), `unknown element "Resources"; did you mean Resource?`},
	} {
		_, err := ParseSet("policies.json", []byte("["+stmt(`"Sid": "S"`, tt.statement)+"]"))
		if got := fmt.Sprint(err); !strings.HasPrefix(got, "policies.json: document 1: statement 1") || !strings.HasSuffix(got, ": "+tt.want) {
			t.Errorf("%s:\n got %v\nwant …%s", tt.statement, err, tt.want)
		}
	}
}

// AWS takes a resource policy with an action that does not exist. To validate it says so.
func TestValidateActions(t *testing.T) {
	t.Parallel()
	text := stmt(`"Effect": "Deny", ` + all + `, "Action": ["secretsmanager:GetSecretValu", "secretsmanager:Get*", "secretsmanager:DeleteSecrets"], "Resource": "*"`)
	if _, err := Parse(text); err != nil {
		t.Errorf("Parse: %v", err)
	}
	got, err := Validate(text)
	want := []Finding{
		{invalidAction, "The action secretsmanager:GetSecretValu does not exist. Did you mean secretsmanager:GetSecretValue?"},
		{invalidAction, "The action secretsmanager:DeleteSecrets does not exist. Did you mean secretsmanager:DeleteSecret?"},
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Validate = %q, %v,\nwant %q", got, err, want)
	}
}

// Every name is nearest to itself, and every key can be used.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range keyNames {
		if _, err := findKey(name); err != nil || spelling.Nearest(name, keyNames) != name {
			t.Errorf("%s: %v, nearest %s", name, err, spelling.Nearest(name, keyNames))
		}
	}
	for name := range keyTypes {
		if !containsFold(keyNames, name) {
			t.Errorf("%s is missing in keyNames", name)
		}
	}
	for _, name := range actionNames {
		if got := spelling.Nearest(name, actionNames); got != name {
			t.Errorf("%s is nearest to %s", name, got)
		}
	}
}
