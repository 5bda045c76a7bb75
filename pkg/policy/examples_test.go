package policy

import (
	"strings"
	"testing"
)

// The examples of AWS's guides that policies for secrets can follow, in our words:
// what they are meant to do, asked for. An own account is 123456789012.
func TestGuideExamples(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"
	type ask struct {
		caller Caller
		action string
		with   func(*Request)
		want   bool
	}
	keys := func(pairs ...string) func(*Request) {
		return func(r *Request) {
			r.Keys = Keys{}
			for i := 0; i < len(pairs); i += 2 {
				r.Keys[pairs[i]] = append(r.Keys[pairs[i]], pairs[i+1])
			}
		}
	}
	secretNamed := func(name string) func(*Request) {
		return func(r *Request) { r.Resource = arn + name + "-AbCdEf" }
	}
	from := func(address, vpc, vpce string) func(*Request) {
		return func(r *Request) { r.Caller.SourceIP, r.Caller.VPC, r.Caller.VPCE = address, vpc, vpce }
	}
	role := sessionOf(home, "EC2RoleToAccessSecrets", "i-0123456789abcdef0")
	for _, tt := range []struct {
		name       string
		set        *Set
		statements []string // of the policy on the secret
		asks       []ask
	}{
		{
			"Secrets Manager: let one role read one secret", nil,
			[]string{`{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:role/EC2RoleToAccessSecrets"}, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}`},
			[]ask{
				{role, "GetSecretValue", nil, true},
				{role, "PutSecretValue", nil, false},
				{sessionOf(home, "OtherRole", "EC2RoleToAccessSecrets"), "GetSecretValue", nil, false},
				{sessionOf(abroad, "EC2RoleToAccessSecrets", "i-0123456789abcdef0"), "GetSecretValue", nil, false},
				{userOf(home, "EC2RoleToAccessSecrets"), "GetSecretValue", nil, false},
			},
		},
		{
			"Secrets Manager: a group of secrets by a wildcard",
			setOf(t, `{"Effect": "Allow", "Principal": {"AWS": "`+app+`"}, "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"], "Resource": "`+arn+`TestEnv/*"}`),
			nil,
			[]ask{
				{sessionOf(home, "app", "x"), "GetSecretValue", secretNamed("TestEnv/db"), true},
				{sessionOf(home, "app", "x"), "DescribeSecret", secretNamed("TestEnv/a/b"), true},
				{sessionOf(home, "app", "x"), "GetSecretValue", secretNamed("TestEnvironment"), false},
				{sessionOf(home, "app", "x"), "GetSecretValue", secretNamed("x/TestEnv/db"), false},
				{sessionOf(home, "app", "x"), "ListSecrets", func(r *Request) { r.Resource = "*" }, false},
			},
		},
		{
			"Secrets Manager: a name followed by six characters",
			setOf(t, `{"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "secretsmanager:GetSecretValue", "Resource": "`+arn+`another_secret_name-??????"}`),
			nil,
			[]ask{
				{userOf(home, "bob"), "GetSecretValue", secretNamed("another_secret_name"), true},
				{userOf(home, "bob"), "GetSecretValue", secretNamed("another_secret_name-backup"), false},
			},
		},
		{
			"Secrets Manager: create secrets under a name only",
			setOf(t, `{"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "secretsmanager:CreateSecret", "Resource": "*",
				"Condition": {"StringLike": {"secretsmanager:Name": "team/*"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["env", "owner"]}, "Null": {"aws:RequestTag/env": "false"}}}`),
			nil,
			[]ask{
				{userOf(home, "bob"), "CreateSecret", keys("secretsmanager:name", "team/db", "aws:tagkeys", "env", "aws:requesttag/env", "test"), true},
				{userOf(home, "bob"), "CreateSecret", keys("secretsmanager:name", "db", "aws:tagkeys", "env", "aws:requesttag/env", "test"), false},
				{userOf(home, "bob"), "CreateSecret", keys("secretsmanager:name", "team/db", "aws:tagkeys", "env", "aws:tagkeys", "admin", "aws:requesttag/env", "test"), false},
				{userOf(home, "bob"), "CreateSecret", keys("secretsmanager:name", "team/db"), false},
			},
		},
		{
			"Secrets Manager: only through a VPC endpoint", AllowAll(),
			[]string{`{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*", "Condition": {"StringNotEquals": {"aws:sourceVpce": "vpce-1234a5678b9012c"}}}`},
			[]ask{
				{role, "GetSecretValue", from("10.0.0.1", "vpc-1", "vpce-1234a5678b9012c"), true},
				{role, "GetSecretValue", from("10.0.0.1", "vpc-1", "vpce-other"), false},
				{role, "GetSecretValue", from("203.0.113.7", "", ""), false},
				{role, "DescribeSecret", from("203.0.113.7", "", ""), true},
			},
		},
		{
			"Secrets Manager: administration from one VPC, values from another", AllowAll(),
			[]string{
				`{"Effect": "Deny", "Principal": "*", "Action": ["secretsmanager:Put*", "secretsmanager:Delete*", "secretsmanager:TagResource"], "Resource": "*", "Condition": {"StringNotEquals": {"aws:sourceVpc": "vpc-12345678"}}}`,
				`{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*", "Condition": {"StringNotEquals": {"aws:sourceVpc": "vpc-2b2b2b2b"}}}`,
			},
			[]ask{
				{role, "PutSecretValue", from("10.0.0.1", "vpc-12345678", "vpce-1"), true},
				{role, "GetSecretValue", from("10.0.0.1", "vpc-12345678", "vpce-1"), false},
				{role, "PutSecretValue", from("10.0.0.1", "vpc-2b2b2b2b", "vpce-1"), false},
				{role, "GetSecretValue", from("10.0.0.1", "vpc-2b2b2b2b", "vpce-1"), true},
				{role, "DescribeSecret", from("203.0.113.7", "", ""), true},
			},
		},
		{
			"Secrets Manager: values that are not current only for the rotation",
			setOf(t, says("Allow", aws(home)),
				`{"Effect": "Deny", "NotPrincipal": {"AWS": "arn:aws:iam::123456789012:role/rotation"}, "Action": "secretsmanager:GetSecretValue", "Resource": "*", "Condition": {"StringNotEqualsIfExists": {"secretsmanager:VersionStage": "AWSCURRENT"}}}`),
			nil,
			[]ask{
				{role, "GetSecretValue", keys("secretsmanager:versionstage", "AWSCURRENT"), true},
				{role, "GetSecretValue", keys("secretsmanager:versionstage", "AWSPENDING"), false},
				{role, "GetSecretValue", nil, false}, // IfExists, and negated: true of what is absent
				{sessionOf(home, "rotation", "x"), "GetSecretValue", keys("secretsmanager:versionstage", "AWSPENDING"), true},
			},
		},
		{
			"Secrets Manager: access across accounts", setOf(t, says("Allow", aws("arn:aws:iam::444455556666:role/ApplicationRole", app))),
			[]string{`{"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::444455556666:root", "arn:aws:iam::111122223333:root"]}, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}`},
			[]ask{
				{sessionOf(abroad, "ApplicationRole", "x"), "GetSecretValue", nil, true},
				{sessionOf(abroad, "ApplicationRole", "x"), "PutSecretValue", nil, false},
				{sessionOf(abroad, "OtherRole", "x"), "GetSecretValue", nil, false},
				{sessionOf("111122223333", "ApplicationRole", "x"), "GetSecretValue", nil, false},
				{sessionOf(home, "app", "x"), "PutSecretValue", nil, true},
			},
		},
		{
			"Secrets Manager: a service is allowed, and no caller with it", nil,
			[]string{`{"Effect": "Allow", "Principal": {"Service": ["rds.amazonaws.com"]}, "Action": "secretsmanager:GetSecretValue", "Resource": "*",
				"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:rds:us-east-1:123456789012:db:*"}, "StringEquals": {"aws:SourceAccount": "123456789012"}}}`},
			[]ask{{role, "GetSecretValue", nil, false}, {rootOf(home), "GetSecretValue", nil, false}, {Caller{}, "GetSecretValue", nil, false}},
		},
		{
			"IAM: tags must match, also those that are not there",
			setOf(t, says("Allow", aws(home)), says("Deny", all, `"Condition": {"StringNotEquals": {"aws:ResourceTag/owner": "${aws:username}"}}`)),
			nil,
			[]ask{
				{userOf(home, "bob"), "GetSecretValue", keys("aws:resourcetag/owner", "bob"), true},
				{userOf(home, "bob"), "GetSecretValue", keys("aws:resourcetag/owner", "alice"), false},
				{userOf(home, "bob"), "GetSecretValue", nil, false},
				{sessionOf(home, "app", "bob"), "GetSecretValue", keys("aws:resourcetag/owner", "bob"), false},
			},
		},
		{
			"IAM: deny what does not come from the company's network",
			setOf(t, says("Allow", aws(home)), says("Deny", all, `"Condition": {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24", "203.0.113.0/24"]}, "Bool": {"aws:ViaAWSService": "false"}}`)),
			nil,
			[]ask{
				{userOf(home, "bob"), "GetSecretValue", from("203.0.113.7", "", ""), true},
				{userOf(home, "bob"), "GetSecretValue", from("198.51.100.7", "", ""), false},
				{userOf(home, "bob"), "GetSecretValue", from("203.0.113.7", "vpc-1", "vpce-1"), false}, // a private address says nothing
			},
		},
		{
			"IAM: between two dates",
			setOf(t, says("Allow", aws(home), `"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2026-03-01T00:00:00Z"}, "DateLessThan": {"aws:CurrentTime": "2026-03-31T23:59:59Z"}}`)),
			nil,
			[]ask{
				{userOf(home, "bob"), "GetSecretValue", nil, true},
				{userOf(home, "bob"), "GetSecretValue", func(r *Request) { r.Time = noon.AddDate(0, 1, 0) }, false},
				{userOf(home, "bob"), "GetSecretValue", func(r *Request) { r.Time = noon.AddDate(0, -1, 0) }, false},
			},
		},
		{
			"IAM: only over TLS", AllowAll(),
			[]string{says("Deny", all, `"Condition": {"Bool": {"aws:SecureTransport": "false"}}`)},
			[]ask{
				{userOf(home, "bob"), "GetSecretValue", nil, true},
				{userOf(home, "bob"), "GetSecretValue", func(r *Request) { r.Caller.Secure = false }, false},
			},
		},
		{
			"IAM: everyone of the organization", AllowAll(),
			[]string{says("Allow", all, `"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}`)},
			[]ask{
				{userOf(abroad, "bob"), "GetSecretValue", func(r *Request) { r.Caller.OrgID = "o-a1b2c3d4e5" }, true},
				{userOf(abroad, "bob"), "GetSecretValue", func(r *Request) { r.Caller.OrgID = "o-other" }, false},
				{userOf(abroad, "bob"), "GetSecretValue", nil, false},
			},
		},
		{
			"IAM: a wildcard principal narrowed to one role, instead of NotPrincipal", AllowAll(),
			[]string{says("Deny", all, `"Condition": {"ArnNotEquals": {"aws:PrincipalArn": ["`+app+`", "arn:aws:iam::123456789012:root"]}}`)},
			[]ask{
				{sessionOf(home, "app", "x"), "GetSecretValue", nil, true},
				{rootOf(home), "GetSecretValue", nil, true},
				{sessionOf(home, "apps", "x"), "GetSecretValue", nil, false},
				{userOf(home, "app"), "GetSecretValue", nil, false},
			},
		},
		{
			"IAM: no deletion without a long recovery window",
			setOf(t, says("Allow", aws(home)),
				`{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:DeleteSecret", "Resource": "*", "Condition": {"NumericLessThan": {"secretsmanager:RecoveryWindowInDays": 14}}}`,
				`{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:DeleteSecret", "Resource": "*", "Condition": {"Bool": {"secretsmanager:ForceDeleteWithoutRecovery": "true"}}}`),
			nil,
			[]ask{
				{userOf(home, "bob"), "DeleteSecret", keys("secretsmanager:recoverywindowindays", "30"), true},
				{userOf(home, "bob"), "DeleteSecret", keys("secretsmanager:recoverywindowindays", "7"), false},
				{userOf(home, "bob"), "DeleteSecret", keys("secretsmanager:forcedeletewithoutrecovery", "true"), false},
				{userOf(home, "bob"), "DeleteSecret", nil, true},
			},
		},
		{
			"strongroom: the value under rotation, for a rotation that is under way",
			setOf(t, says("Allow", aws(app), `"Condition": {"Bool": {"strongroom:Rotating": "true"}}`)),
			nil,
			[]ask{
				{sessionOf(home, "app", "x"), "PutSecretValue", keys("strongroom:rotating", "true"), true},
				{sessionOf(home, "app", "x"), "PutSecretValue", keys("strongroom:rotating", "false"), false},
				{sessionOf(home, "app", "x"), "PutSecretValue", nil, false},
			},
		},
	} {
		t.Run(strings.ReplaceAll(tt.name, "/", " "), func(t *testing.T) {
			t.Parallel()
			var p *Policy
			if tt.statements != nil {
				p = policyOf(t, tt.statements...)
			}
			for i, ask := range tt.asks {
				r := reads(ask.caller)
				r.Action = "secretsmanager:" + ask.action
				if ask.with != nil {
					ask.with(&r)
				}
				if d := tt.set.Decide(r, p); d.Allowed != ask.want {
					t.Errorf("ask %d, %s by %s: allowed %v, want %v; %s", i+1, ask.action, ask.caller.ARN, d.Allowed, ask.want, d.Explain())
				}
			}
		})
	}
}
