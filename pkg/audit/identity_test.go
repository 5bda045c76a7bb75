package audit

import (
	"encoding/json"
	"testing"
)

func TestIdentityOf(t *testing.T) {
	const account = "123456789012"
	for _, c := range []struct{ name, arn, account, userID, accessKey, want string }{
		{
			"user", "arn:aws:iam::123456789012:user/ann", account, "AIDAEXAMPLE", "AKIAEXAMPLE",
			`{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::123456789012:user/ann","accountId":"123456789012","accessKeyId":"AKIAEXAMPLE","userName":"ann"}`,
		},
		{
			"user with a path", "arn:aws:iam::123456789012:user/team/blue/ann", account, "AIDAEXAMPLE", "",
			`{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::123456789012:user/team/blue/ann","accountId":"123456789012","userName":"ann"}`,
		},
		{
			"session of a role", "arn:aws:sts::123456789012:assumed-role/app/i-0abc", account, "AROAEXAMPLE:i-0abc", "ASIAEXAMPLE",
			`{"type":"AssumedRole","principalId":"AROAEXAMPLE:i-0abc","arn":"arn:aws:sts::123456789012:assumed-role/app/i-0abc","accountId":"123456789012","accessKeyId":"ASIAEXAMPLE",` +
				`"sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLE","arn":"arn:aws:iam::123456789012:role/app","accountId":"123456789012","userName":"app"}}}`,
		},
		{
			"another partition", "arn:aws-cn:sts::123456789012:assumed-role/app/s", account, "", "",
			`{"type":"AssumedRole","arn":"arn:aws-cn:sts::123456789012:assumed-role/app/s","accountId":"123456789012",` +
				`"sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws-cn:iam::123456789012:role/app","accountId":"123456789012","userName":"app"}}}`,
		},
		{
			"root", "arn:aws:iam::123456789012:root", account, account, "AKIAEXAMPLE",
			`{"type":"Root","principalId":"123456789012","arn":"arn:aws:iam::123456789012:root","accountId":"123456789012","accessKeyId":"AKIAEXAMPLE"}`,
		},
		{
			"federated user", "arn:aws:sts::123456789012:federated-user/bob", account, "123456789012:bob", "ASIAEXAMPLE",
			`{"type":"FederatedUser","principalId":"123456789012:bob","arn":"arn:aws:sts::123456789012:federated-user/bob","accountId":"123456789012","accessKeyId":"ASIAEXAMPLE"}`,
		},
		{
			"account from the ARN", "arn:aws:iam::123456789012:user/ann", "", "", "",
			`{"type":"IAMUser","arn":"arn:aws:iam::123456789012:user/ann","accountId":"123456789012","userName":"ann"}`,
		},
		{"nobody", "", "", "", "", `{"type":"Unknown"}`},
		{"no ARN", "", account, "AIDAEXAMPLE", "AKIAEXAMPLE", `{"type":"Unknown","principalId":"AIDAEXAMPLE","accountId":"123456789012","accessKeyId":"AKIAEXAMPLE"}`},
		{"not an ARN", "ann", account, "", "", `{"type":"Unknown","arn":"ann","accountId":"123456789012"}`},
		{"no principal", "arn:aws:iam::123456789012:group/g", account, "", "", `{"type":"Unknown","arn":"arn:aws:iam::123456789012:group/g","accountId":"123456789012"}`},
		{"a user without a name", "arn:aws:iam::123456789012:user/", account, "", "", `{"type":"Unknown","arn":"arn:aws:iam::123456789012:user/","accountId":"123456789012"}`},
		{"a user of the wrong service", "arn:aws:sts::123456789012:user/ann", account, "", "", `{"type":"Unknown","arn":"arn:aws:sts::123456789012:user/ann","accountId":"123456789012"}`},
		{"a root of the wrong service", "arn:aws:sts::123456789012:root", account, "", "", `{"type":"Unknown","arn":"arn:aws:sts::123456789012:root","accountId":"123456789012"}`},
		{"a session of the wrong service", "arn:aws:iam::123456789012:assumed-role/app/s", account, "", "", `{"type":"Unknown","arn":"arn:aws:iam::123456789012:assumed-role/app/s","accountId":"123456789012"}`},
		{"a session without a role", "arn:aws:sts::123456789012:assumed-role/", account, "", "", `{"type":"Unknown","arn":"arn:aws:sts::123456789012:assumed-role/","accountId":"123456789012"}`},
		{"a federated user of the wrong service", "arn:aws:iam::123456789012:federated-user/bob", account, "", "", `{"type":"Unknown","arn":"arn:aws:iam::123456789012:federated-user/bob","accountId":"123456789012"}`},
		{"a federated user without a name", "arn:aws:sts::123456789012:federated-user/", account, "", "", `{"type":"Unknown","arn":"arn:aws:sts::123456789012:federated-user/","accountId":"123456789012"}`},
		{"a path without a user", "arn:aws:iam::123456789012:user/team/", account, "", "", `{"type":"Unknown","arn":"arn:aws:iam::123456789012:user/team/","accountId":"123456789012"}`},
		{"a session without a name", "arn:aws:sts::123456789012:assumed-role/app/", account, "", "", `{"type":"Unknown","arn":"arn:aws:sts::123456789012:assumed-role/app/","accountId":"123456789012"}`},
		{"a role without a session", "arn:aws:sts::123456789012:assumed-role/app", account, "", "", `{"type":"Unknown","arn":"arn:aws:sts::123456789012:assumed-role/app","accountId":"123456789012"}`},
		{"a session with a slash", "arn:aws:sts::123456789012:assumed-role/app/s/t", account, "", "", `{"type":"Unknown","arn":"arn:aws:sts::123456789012:assumed-role/app/s/t","accountId":"123456789012"}`},
		{"a session of no role", "arn:aws:sts::123456789012:assumed-role//s", account, "", "", `{"type":"Unknown","arn":"arn:aws:sts::123456789012:assumed-role//s","accountId":"123456789012"}`},
		{"a federated user with no name", "arn:aws:sts::123456789012:federated-user/a/", account, "", "", `{"type":"Unknown","arn":"arn:aws:sts::123456789012:federated-user/a/","accountId":"123456789012"}`},
		{"no partition", "arn::iam::123456789012:user/ann", account, "", "", `{"type":"Unknown","arn":"arn::iam::123456789012:user/ann","accountId":"123456789012"}`},
		{"a Region", "arn:aws:iam:eu-central-1:123456789012:user/ann", account, "", "", `{"type":"Unknown","arn":"arn:aws:iam:eu-central-1:123456789012:user/ann","accountId":"123456789012"}`},
		{"an account that is none", "arn:aws:iam::12345678901x:root", "", "", "", `{"type":"Unknown","arn":"arn:aws:iam::12345678901x:root"}`},
		{"a short account", "arn:aws:iam::1:user/ann", "", "", "", `{"type":"Unknown","arn":"arn:aws:iam::1:user/ann"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := json.Marshal(IdentityOf(c.arn, c.account, c.userID, c.accessKey))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
