package policy

import (
	"reflect"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/secret"
)

const rest = `"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"`

func TestBroadPrincipals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, principal string
		broad           string
	}{
		{"everyone", `"Principal": "*"`, "every principal,"},
		{"everyone of AWS", `"Principal": {"AWS": "*"}`, "every principal,"},
		{"everyone in a list", `"Principal": {"AWS": ["*"]}`, "every principal,"},
		{"everyone among others", `"Principal": {"Service": "rds.amazonaws.com", "AWS": ["123456789012", "*"]}`, "every principal,"},
		{"everyone but", `"NotPrincipal": {"AWS": "123456789012"}`, "every principal but those it names,"},
		{"everyone but everyone", `"NotPrincipal": "*"`, ""},
		{"a public provider", `"Principal": {"Federated": "graph.facebook.com"}`, "everyone who signs in with graph.facebook.com,"},
		{"everyone and a public provider", `"Principal": {"AWS": "*", "Federated": "graph.facebook.com"}`, "every principal,"},
		{"everyone but, and a public provider", `"NotPrincipal": {"Federated": "graph.facebook.com"}`, "every principal but those it names,"},
		{"a public provider of AWS", `"Principal": {"AWS": "123456789012", "Federated": ["cognito-identity.amazonaws.com"]}`, "everyone who signs in with cognito-identity.amazonaws.com,"},
		{"a provider of an account", `"Principal": {"Federated": "arn:aws:iam::123456789012:saml-provider/corp"}`, ""},
		{"an account", `"Principal": {"AWS": "123456789012"}`, ""},
		{"another account", `"Principal": {"AWS": ["arn:aws:iam::444455556666:root", "arn:aws:iam::111122223333:role/a"]}`, ""},
		{"a session", `"Principal": {"AWS": "arn:aws:sts::123456789012:assumed-role/app/session"}`, ""},
		{"a service", `"Principal": {"Service": "rds.amazonaws.com"}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := broad(t, stmt(rest, tt.principal))
			if (tt.broad != "") != (len(got) == 1) || len(got) == 1 && !strings.Contains(got[0].ErrorMessage, "allows "+tt.broad) {
				t.Errorf("Broad = %+v, want %q", got, tt.broad)
			}
			if got := broad(t, strings.Replace(stmt(rest, tt.principal), "Allow", "Deny", 1)); got != nil {
				t.Errorf("Broad of a Deny = %+v", got)
			}
		})
	}
}

// What a condition makes of a statement that allows everyone.
func TestBroadConditions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		condition string
		broad     bool
	}{
		{`{}`, true},

		// each key
		{`{"StringEquals": {"aws:PrincipalAccount": "123456789012"}}`, false},
		{`{"StringEquals": {"aws:PrincipalAccount": ["123456789012", "444455556666"]}}`, false},
		{`{"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}`, false},
		{`{"StringEquals": {"aws:SourceVpc": "vpc-91237329"}}`, false},
		{`{"StringEquals": {"aws:sourceVpce": "vpce-1234a5678b9012c"}}`, false},
		{`{"StringEquals": {"AWS:SOURCEACCOUNT": "123456789012"}}`, false},
		{`{"StringEquals": {"aws:SourceOwner": "123456789012"}}`, false},
		{`{"StringEquals": {"aws:userid": "AIDACKCEVSQ6C2EXAMPLE"}}`, false},
		{`{"StringLike": {"aws:userId": ["AROADBQP57FF2AEXAMPLE:*", "123456789012"]}}`, false},
		{`{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, false},
		{`{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/app"}}`, false},
		{`{"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::bucket"}}`, false},

		// each operator
		{`{"StringEqualsIgnoreCase": {"aws:SourceVpc": "VPC-91237329"}}`, false},
		{`{"StringLike": {"aws:SourceVpc": "vpc-91237329"}}`, false},
		{`{"ForAnyValue:StringEquals": {"aws:SourceVpc": "vpc-91237329"}}`, false},
		{`{"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/app"}}`, false},
		{`{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/app"}}`, false},

		// negations, and operators that do not fit the key
		{`{"StringNotEquals": {"aws:PrincipalAccount": "123456789012"}}`, true},
		{`{"StringNotEqualsIgnoreCase": {"aws:PrincipalAccount": "123456789012"}}`, true},
		{`{"StringNotLike": {"aws:SourceVpc": "vpc-91237329"}}`, true},
		{`{"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/app"}}`, true},
		{`{"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/app"}}`, true},
		{`{"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, true},
		{`{"NumericGreaterThan": {"aws:PrincipalAccount": 1}}`, true},
		{`{"Null": {"aws:PrincipalOrgID": "false"}}`, true},
		{`{"StringLike": {"aws:SourceIp": "*"}}`, true},
		{`{"ArnEquals": {"aws:PrincipalAccount": "arn:aws:iam::123456789012:root"}}`, true},

		// true of a request without the key
		{`{"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}`, true},
		{`{"IpAddressIfExists": {"aws:SourceIp": "203.0.113.0/24"}}`, true},
		{`{"ForAllValues:StringLike": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}`, true},
		{`{"ForAllValues:StringEquals": {"aws:SourceVpc": "vpc-91237329"}}`, true},
		{`{"ForAnyValue:StringLikeIfExists": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}`, true},
		// … but not when the key is asked for
		{`{"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}, "Null": {"aws:principalorgid": false}}`, false},
		{`{"ForAllValues:StringLike": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}, "Null": {"aws:PrincipalOrgID": "False"}}`, false},
		{`{"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}, "Null": {"aws:PrincipalOrgID": "True"}}`, true},
		{`{"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}, "Null": {"aws:PrincipalOrgID": ["false", "true"]}}`, true},
		{`{"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}, "Null": {"aws:SourceVpc": "false"}}`, true},

		// wildcards and variables
		{`{"StringLike": {"aws:SourceVpc": "vpc-*"}}`, true},
		{`{"StringLike": {"aws:SourceVpc": "*"}}`, true},
		{`{"StringLike": {"aws:SourceVpc": "vpc-9123732?"}}`, true},
		{`{"StringEquals": {"aws:SourceVpc": "*"}}`, true},
		{`{"StringEquals": {"aws:SourceVpc": ""}}`, true},
		{`{"StringLike": {"aws:PrincipalAccount": "????????????"}}`, true},
		{`{"StringLike": {"aws:PrincipalOrgID": "o-*"}}`, true},
		{`{"StringEquals": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}}`, true},
		{`{"StringEquals": {"aws:PrincipalAccount": ["123456789012", "${aws:PrincipalAccount}"]}}`, true},
		{`{"StringLike": {"aws:PrincipalAccount": ["123456789012", "*"]}}`, true},
		{`{"ForAnyValue:StringLike": {"aws:PrincipalOrgID": "o-a1b2c3d4e5*"}}`, true},
		{`{"StringLike": {"aws:userid": "*:session"}}`, true},
		{`{"StringLike": {"aws:userid": "AROA*"}}`, true},
		{`{"StringLike": {"aws:userid": "AROA:*"}}`, true},
		{`{"StringLike": {"aws:userid": "AROA*:*"}}`, true},

		// ARNs
		{`{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/*"}}`, false},
		{`{"ArnEquals": {"aws:PrincipalArn": "arn:*:*:*:123456789012:*"}}`, false},
		{`{"StringLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:*"}}`, false},
		{`{"StringLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:user/${aws:username}"}}`, false},
		{`{"ArnLike": {"aws:SourceArn": "arn:aws:lambda:*:123456789012:function:*"}}`, false},
		{`{"ArnLike": {"aws:PrincipalArn": "*"}}`, true},
		{`{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/app"}}`, true},
		{`{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::12345678901?:role/app"}}`, true},
		{`{"ArnLike": {"aws:PrincipalArn": ["arn:aws:iam::123456789012:role/app", "arn:aws:iam::*:role/app"]}}`, true},
		{`{"StringLike": {"aws:PrincipalArn": "arn:aws:*::123456789012:*"}}`, true}, // arn:aws:iam::999999999999:role/::123456789012:/app
		{`{"StringLike": {"aws:PrincipalArn": "*:123456789012:*"}}`, true},
		{`{"ArnLike": {"aws:PrincipalArn": "arn:${aws:userid}:iam::123456789012:role/*"}}`, true},
		{`{"ArnLike": {"aws:PrincipalArn": "arn:${aws:userid}:iam:123456789012:*:role/app"}}`, true}, // the account is the star
		{`{"ArnLike": {"aws:SourceArn": "arn:aws:s3:::bucket*"}}`, true},

		// networks
		{`{"IpAddress": {"aws:SourceIp": "203.0.113.7"}}`, false},
		{`{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}`, false},
		{`{"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}`, false},
		{`{"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:DB8:1234:5678::/64"]}}`, false},
		{`{"IpAddress": {"aws:SourceIp": "::ffff:203.0.113.0/120"}}`, false},
		{`{"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}`, true},
		{`{"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}`, true},
		{`{"IpAddress": {"aws:SourceIp": "203.0.113.0/7"}}`, true},
		{`{"IpAddress": {"aws:SourceIp": "::/0"}}`, true},
		{`{"IpAddress": {"aws:SourceIp": "2000::/3"}}`, true},
		{`{"IpAddress": {"aws:SourceIp": "2001:db8::/31"}}`, true},
		{`{"IpAddress": {"aws:SourceIp": "::ffff:0:0/96"}}`, true},
		{`{"IpAddress": {"aws:SourceIp": "::/64"}}`, true},
		{`{"IpAddress": {"aws:SourceIp": "::ffff:0.0.0.0/103"}}`, true},
		{`{"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "0.0.0.0/0"]}}`, true},
		{`{"IpAddress": {"aws:VpcSourceIp": "10.0.0.0/24"}}`, true},

		// what anybody can have
		{`{"StringEquals": {"aws:RequestTag/team": "blue"}}`, true},
		{`{"StringEquals": {"aws:username": "Bob"}}`, true},
		{`{"StringEquals": {"aws:PrincipalType": "AssumedRole"}}`, true},
		{`{"StringEquals": {"aws:UserAgent": "ours"}}`, true},
		{`{"StringEquals": {"aws:ResourceTag/open": "yes"}}`, true},
		{`{"Bool": {"aws:SecureTransport": "true"}}`, true},
		{`{"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}`, true},
		{`{"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}`, true},

		// one that narrows among others that do not
		{`{"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"aws:RequestTag/team": "blue", "aws:PrincipalOrgID": "o-a1b2c3d4e5"}}`, false},
		{`{"StringLike": {"aws:SourceVpc": "vpc-*"}, "IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, false},
	} {
		t.Run(tt.condition, func(t *testing.T) {
			t.Parallel()
			for _, who := range []string{`"Principal": "*"`, `"NotPrincipal": {"AWS": "123456789012"}`} {
				if got := broad(t, stmt(rest, who, `"Condition": `+tt.condition)); (len(got) == 1) != tt.broad {
					t.Errorf("Broad of %s = %+v, want broad: %v", who, got, tt.broad)
				}
			}
			if got := broad(t, cond(tt.condition)); got != nil {
				t.Errorf("Broad of one account = %+v", got)
			}
		})
	}
}

func TestBroadSaysWhich(t *testing.T) {
	t.Parallel()
	got := broad(t, `{"Statement": [
		{`+rest+`, "Principal": {"AWS": "123456789012"}},
		{`+rest+`, "Principal": "*"},
		{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:PutSecretValue", "Resource": "*"},
		{`+rest+`, "NotPrincipal": {"AWS": "123456789012"}}]}`)
	want := []Finding{
		{"BROAD_ACCESS", "This resource policy grants broad access to your secret. Statement 2 allows every principal, without a condition that limits it to known principals or networks."},
		{"BROAD_ACCESS", "This resource policy grants broad access to your secret. Statement 4 allows every principal but those it names, without a condition that limits it to known principals or networks."},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Broad = %+v, want %+v", got, want)
	}
	if want := (secret.Error{Code: "PublicPolicyException", Message: "You can't attach a resource-based policy that allows broad access to the secret."}); Public != want {
		t.Errorf("Public = %v, want %v", Public, want)
	}
}

// What a Deny takes back from everyone whom the policy does not name.
func TestBroadTakenBack(t *testing.T) {
	t.Parallel()
	const (
		all  = `"Action": "*", "Resource": "*"`
		mine = `"NotPrincipal": {"AWS": "arn:aws:iam::123456789012:root"}`
	)
	for _, tt := range []struct {
		name, allow, deny string
		broad             bool
	}{
		{"everything", `"Principal": "*", ` + rest, `"Principal": "*", ` + all, false},
		{"from everyone but an account", `"Principal": "*", ` + rest, mine + `, ` + all, false},
		{"from everyone but everyone", `"Principal": "*", ` + rest, `"NotPrincipal": "*", ` + all, true},
		{"from an account", `"Principal": "*", ` + rest, `"Principal": {"AWS": "123456789012"}, ` + all, true},
		{"what it allows", `"Principal": "*", ` + rest, mine + `, "Action": "secretsmanager:GetSecret*", "Resource": "*"`, false},
		{"by NotAction", `"Principal": "*", ` + rest, mine + `, "NotAction": "secretsmanager:Put*", "Resource": "*"`, false},
		{"another action", `"Principal": "*", ` + rest, mine + `, "Action": "secretsmanager:PutSecretValue", "Resource": "*"`, true},
		{"some of what it allows", `"Principal": "*", "Effect": "Allow", "Action": "*", "Resource": "*"`, mine + `, "Action": "secretsmanager:GetSecretValue", "Resource": "*"`, true},
		{"all of what it allows", `"Principal": "*", "Effect": "Allow", "Action": "*", "Resource": "*"`, mine + `, "Action": "secretsmanager:*", "Resource": "*"`, false},
		{"one resource of all", `"Principal": "*", ` + rest, mine + `, "Action": "*", "Resource": "arn:aws:secretsmanager:*:*:secret:a-AbCdEf"`, true},
		{
			"the same resource", `"Principal": "*", "Effect": "Allow", "Action": "*", "Resource": "arn:aws:secretsmanager:*:*:secret:a-AbCdEf"`,
			mine + `, "Action": "*", "Resource": "arn:aws:secretsmanager:*:*:secret:a-AbCdEf"`, false,
		},
		{"all resources", `"Principal": "*", "Effect": "Allow", "Action": "*", "Resource": "arn:aws:secretsmanager:*:*:secret:a-AbCdEf"`, mine + `, ` + all, false},
		{"all but a resource that it allows", `"Principal": "*", "Effect": "Allow", "Action": "*", "Resource": "arn:aws:secretsmanager:*:*:secret:a-AbCdEf"`, mine + `, "Action": "*", "NotResource": "arn:aws:secretsmanager:*:*:secret:a-AbCdEf"`, true},
		{"the resource that alone it does not allow", `"Principal": "*", "Effect": "Allow", "Action": "*", "NotResource": "arn:aws:secretsmanager:*:*:secret:a-AbCdEf"`, mine + `, "Action": "*", "Resource": "arn:aws:secretsmanager:*:*:secret:a-AbCdEf"`, true},
		{"from nobody, as text", `"Principal": "*", ` + rest, `"Principal": "*", ` + all + `, "Condition": {"StringNotEquals": {"aws:ViaAWSService": "false"}}`, true},
		{"but a resource", `"Principal": "*", ` + rest, mine + `, "Action": "*", "NotResource": "arn:aws:secretsmanager:*:*:secret:a-AbCdEf"`, true},
		{"from all but an organization", `"Principal": "*", ` + rest, `"Principal": "*", ` + all + `, "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}`, false},
		{"from all but an account", `"Principal": "*", ` + rest, `"Principal": "*", ` + all + `, "Condition": {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/*"}}`, false},
		{"from all but a network", `"Principal": "*", ` + rest, `"Principal": "*", ` + all + `, "Condition": {"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}, "Bool": {"aws:ViaAWSService": "false"}}`, false},
		{"from all but the internet", `"Principal": "*", ` + rest, `"Principal": "*", ` + all + `, "Condition": {"NotIpAddress": {"aws:SourceIp": "0.0.0.0/0"}}`, true},
		{"from all but services", `"Principal": "*", ` + rest, `"Principal": "*", ` + all + `, "Condition": {"Null": {"aws:ViaAWSService": "false"}}`, false},
		{"when it is not there", `"Principal": "*", ` + rest, `"Principal": "*", ` + all + `, "Condition": {"ForAnyValue:StringNotEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}`, true},
		{"when it is not secure", `"Principal": "*", ` + rest, `"Principal": "*", ` + all + `, "Condition": {"Bool": {"aws:SecureTransport": "false"}}`, true},
		{"from all but an account, when it is not secure", `"Principal": "*", ` + rest, mine + `, ` + all + `, "Condition": {"Bool": {"aws:SecureTransport": "false"}}`, true},
		{"from a provider", `"Principal": {"Federated": "accounts.google.com"}, ` + rest, `"Principal": {"Federated": "accounts.google.com"}, ` + all, false},
		{"from another provider", `"Principal": {"Federated": "accounts.google.com"}, ` + rest, `"Principal": {"Federated": "graph.facebook.com"}, ` + all, true},
		{"from all but a provider", `"Principal": {"Federated": "accounts.google.com"}, ` + rest, `"NotPrincipal": {"Federated": "accounts.google.com"}, ` + all, true},
		{"from all but an account and a provider", `"Principal": "*", ` + rest, `"NotPrincipal": {"AWS": "123456789012", "Federated": "accounts.google.com"}, ` + all, true},
		{"some of what NotAction allows", `"Principal": "*", "Effect": "Allow", "NotAction": "secretsmanager:Put*", "Resource": "*"`, `"Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"`, true},
		{"all that NotAction allows", `"Principal": "*", "Effect": "Allow", "NotAction": "secretsmanager:Put*", "Resource": "*"`, mine + `, "NotAction": "secretsmanager:Put*", "Resource": "*"`, false},
		{"from those it does not let in", `"NotPrincipal": {"AWS": "123456789012"}, ` + rest, mine + `, ` + all, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := `{"Version": "2012-10-17", "Statement": [{` + tt.allow + `}, {"Effect": "Deny", ` + tt.deny + `}]}`
			if got := broad(t, text); (len(got) == 1) != tt.broad {
				t.Errorf("Broad = %+v, want broad: %v", got, tt.broad)
			}
		})
	}
}

func broad(t *testing.T, text string) []Finding {
	t.Helper()
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p.Broad()
}

// TestBroadSet finds what a deployment should not have without being told to.
func TestBroadSet(t *testing.T) {
	t.Parallel()
	for statement, want := range map[string][]string{
		`"Principal": "*"`:                     {`policies.json: document 1, statement 1`},
		`"Principal": {"AWS": "123456789012"}`: nil,
		`"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}`: nil,
	} {
		set, err := ParseSet("policies.json", []byte("["+stmt(rest, statement)+"]"))
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Broad(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", statement, got, want)
		}
	}
}
