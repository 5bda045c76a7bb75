package policy

import (
	"strings"
	"testing"
)

// asked is a request with these keys.
func asked(c Caller, keys Keys) Request {
	r := reads(c)
	r.Keys = keys
	return r
}

// meets is the result of a condition, by what an Allow and a Deny with it do.
func meets(t *testing.T, r Request, condition string) tristate {
	t.Helper()
	allow := setOf(t, says("Allow", all, `"Condition": `+condition)).Decide(r, nil)
	deny := setOf(t, says("Allow", all), says("Deny", all, `"Condition": `+condition)).Decide(r, nil)
	switch {
	case allow.Allowed && deny.Explicit:
		return yes
	case !allow.Allowed && deny.Explicit:
		return unknown
	case !allow.Allowed && deny.Allowed:
		return no
	}
	t.Fatalf("%s: allow %+v, deny %+v", condition, allow, deny)
	return no
}

func TestConditions(t *testing.T) {
	t.Parallel()
	keys := Keys{
		"secretsmanager:versionstage":         {"AWSCURRENT"},
		"secretsmanager:recoverywindowindays": {"7"},
		"secretsmanager:description":          {""},
		"secretsmanager:name":                 {"a*b"},
		"secretsmanager:kmskeyid":             {"alias/x"},
		"secretsmanager:rotationlambdaarn":    {"arn:aws:lambda:eu-central-1:123456789012:function:rotate:live"},
		"secretsmanager:blockpublicpolicy":    {"True"},
		"aws:resourcetag/team":                {"blue"},
		"aws:resourcetag/since":               {"2026-03-01"},
		"aws:requesttag/team":                 {"blue", "Blue"},
		"aws:resourcetag/word":                {"näß"},
		"aws:resourcetag/plus":                {"+7"},
	}
	c := userOf(home, "team/alice")
	c.OrgID, c.VPC, c.UserAgent = "o-a1b2c3d4e5", "vpc-1", "aws-cli/2.1"
	for _, tt := range []struct {
		condition string
		want      tristate
	}{
		// strings
		{`{"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}`, yes},
		{`{"StringEquals": {"SECRETSMANAGER:versionstage": ["x", "AWSCURRENT"]}}`, yes},
		{`{"StringEquals": {"secretsmanager:VersionStage": "awscurrent"}}`, no},
		{`{"StringEquals": {"secretsmanager:VersionStage": "AWS*"}}`, no},
		{`{"StringEquals": {"secretsmanager:Name": "a*b"}}`, yes},
		{`{"StringEquals": {"secretsmanager:Description": ""}}`, yes},
		{`{"StringNotEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}`, no},
		{`{"StringNotEquals": {"secretsmanager:VersionStage": ["x", "AWSCURRENT"]}}`, no},
		{`{"StringNotEquals": {"secretsmanager:VersionStage": ["x", "y"]}}`, yes},
		{`{"StringEqualsIgnoreCase": {"secretsmanager:VersionStage": "awsCurrent"}}`, yes},
		{`{"StringEqualsIgnoreCase": {"secretsmanager:VersionStage": "aws*"}}`, no},
		{`{"StringNotEqualsIgnoreCase": {"secretsmanager:VersionStage": "awsCurrent"}}`, no},
		{`{"StringNotEqualsIgnoreCase": {"secretsmanager:VersionStage": "awsPrevious"}}`, yes},
		{`{"StringLike": {"secretsmanager:VersionStage": "AWS*"}}`, yes},
		{`{"StringLike": {"secretsmanager:VersionStage": "?WS*R?NT"}}`, yes},
		{`{"StringLike": {"secretsmanager:VersionStage": "aws*"}}`, no},
		{`{"StringLike": {"secretsmanager:VersionStage": ""}}`, no},
		{`{"StringLike": {"aws:ResourceTag/word": "n??"}}`, yes},
		{`{"StringNotLike": {"secretsmanager:VersionStage": "AWS*"}}`, no},
		{`{"StringNotLike": {"secretsmanager:VersionStage": ["mine*", "ours*"]}}`, yes},

		// numbers
		{`{"NumericEquals": {"secretsmanager:RecoveryWindowInDays": 7}}`, yes},
		{`{"NumericEquals": {"secretsmanager:RecoveryWindowInDays": "7.0"}}`, yes},
		{`{"NumericEquals": {"aws:ResourceTag/plus": 7}}`, yes},
		{`{"NumericEquals": {"secretsmanager:RecoveryWindowInDays": [30, 8]}}`, no},
		{`{"NumericNotEquals": {"secretsmanager:RecoveryWindowInDays": 7}}`, no},
		{`{"NumericNotEquals": {"secretsmanager:RecoveryWindowInDays": [8, 30]}}`, yes},
		{`{"NumericLessThan": {"secretsmanager:RecoveryWindowInDays": 7}}`, no},
		{`{"NumericLessThan": {"secretsmanager:RecoveryWindowInDays": 7.5}}`, yes},
		{`{"NumericLessThanEquals": {"secretsmanager:RecoveryWindowInDays": 7}}`, yes},
		{`{"NumericGreaterThan": {"secretsmanager:RecoveryWindowInDays": 7}}`, no},
		{`{"NumericGreaterThan": {"secretsmanager:RecoveryWindowInDays": "-1e2"}}`, yes},
		{`{"NumericGreaterThanEquals": {"secretsmanager:RecoveryWindowInDays": 7}}`, yes},
		{`{"NumericEquals": {"secretsmanager:VersionStage": 7}}`, no},
		{`{"NumericNotEquals": {"secretsmanager:VersionStage": 7}}`, unknown},
		{`{"NumericLessThan": {"secretsmanager:VersionStage": 7}}`, no},

		// dates
		{`{"DateEquals": {"aws:CurrentTime": "2026-03-04T12:00:00Z"}}`, yes},
		{`{"DateEquals": {"aws:CurrentTime": "2026-03-04T13:00+01:00"}}`, yes},
		{`{"DateNotEquals": {"aws:CurrentTime": "2026-03-04T12:00:00Z"}}`, no},
		{`{"DateLessThan": {"aws:CurrentTime": "2026-03-04T12:00:00Z"}}`, no},
		{`{"DateLessThan": {"aws:CurrentTime": "2026-03-05"}}`, yes},
		{`{"DateLessThanEquals": {"aws:CurrentTime": "2026-03-04T12:00:00Z"}}`, yes},
		{`{"DateGreaterThan": {"aws:CurrentTime": "2026"}}`, yes},
		{`{"DateLessThan": {"aws:CurrentTime": "2027"}}`, yes},
		{`{"DateGreaterThan": {"aws:CurrentTime": "2026-04"}}`, no},
		{`{"DateGreaterThanEquals": {"aws:CurrentTime": "2026-03-04T12:00:00Z"}}`, yes},
		{`{"DateGreaterThan": {"aws:EpochTime": 1772625599}}`, yes},
		{`{"DateGreaterThan": {"aws:EpochTime": 1772625600}}`, no},
		{`{"NumericEquals": {"aws:EpochTime": 1772625600}}`, yes},
		{`{"StringLike": {"aws:CurrentTime": "2026-03-04T12:00:00Z"}}`, yes},
		{`{"DateLessThan": {"aws:ResourceTag/since": "2026-03-02"}}`, yes},
		{`{"DateLessThan": {"aws:ResourceTag/team": "2026-03-02"}}`, no},
		{`{"DateNotEquals": {"aws:ResourceTag/team": "2026-03-02"}}`, unknown},

		// booleans and bytes
		{`{"Bool": {"secretsmanager:BlockPublicPolicy": true}}`, yes},
		{`{"Bool": {"secretsmanager:BlockPublicPolicy": "FALSE"}}`, no},
		{`{"Bool": {"secretsmanager:BlockPublicPolicy": [true, false]}}`, yes},
		{`{"Bool": {"secretsmanager:VersionStage": [true, false]}}`, no},
		{`{"Bool": {"aws:SecureTransport": "true"}}`, yes},
		{`{"Bool": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"}}`, yes},
		{`{"Bool": {"aws:ViaAWSService": "true"}}`, no},
		{`{"BinaryEquals": {"secretsmanager:VersionStage": "QVdTQ1VSUkVOVA=="}}`, yes},
		{`{"BinaryEquals": {"secretsmanager:VersionStage": "QVdT"}}`, no},

		// addresses
		{`{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, yes},
		{`{"IpAddress": {"aws:SourceIp": "203.0.113.7"}}`, yes},
		{`{"IpAddress": {"aws:SourceIp": ["203.0.113.8", "198.51.100.0/24"]}}`, no},
		{`{"IpAddress": {"aws:SourceIp": "::ffff:203.0.113.0/120"}}`, yes},
		{`{"IpAddress": {"aws:SourceIp": "::ffff:0:0/96"}}`, yes},
		{`{"IpAddress": {"aws:SourceIp": "::/0"}}`, no},
		{`{"IpAddress": {"aws:SourceIp": "::ffff:203.0.113.0/90"}}`, no},                         // it is IPv6
		{`{"ArnLike": {"secretsmanager:RotationLambdaARN": "arn:aws:lambda:*:*:f*:live"}}`, yes}, // a star also stands for colons
		{`{"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, no},
		{`{"NotIpAddress": {"aws:SourceIp": ["203.0.113.8", "198.51.100.0/24"]}}`, yes},
		{`{"IpAddress": {"secretsmanager:Name": "0.0.0.0/0"}}`, no},
		{`{"NotIpAddress": {"secretsmanager:Name": "203.0.113.0/24"}}`, unknown},

		// ARNs
		{`{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:user/team/alice"}}`, yes},
		{`{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:user/*"}}`, yes},
		{`{"ArnLike": {"aws:PrincipalArn": "arn:*:iam::*:user/team/?lice"}}`, yes},
		{`{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam:*:*:*:user/team/alice"}}`, no},
		{`{"ArnLike": {"aws:PrincipalArn": "arn:aws:*:*:*:user/team/Alice"}}`, no},
		{`{"ArnLike": {"aws:PrincipalArn": "*"}}`, yes},
		{`{"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:user/*"}}`, no},
		{`{"ArnNotLike": {"aws:PrincipalArn": ["arn:aws:iam::123456789012:role/*", "arn:aws:iam::444455556666:*"]}}`, yes},
		{`{"ArnLike": {"secretsmanager:RotationLambdaARN": "arn:aws:lambda:*:123456789012:function:*"}}`, yes},
		{`{"ArnLike": {"secretsmanager:RotationLambdaARN": "arn:aws:lambda:*:*:rotate:live"}}`, no},
		{`{"ArnLike": {"secretsmanager:KmsKeyId": "arn:*:*:*:*:*"}}`, no},
		{`{"ArnNotLike": {"secretsmanager:KmsKeyId": "arn:*:*:*:*:*"}}`, yes},
		{`{"StringLike": {"secretsmanager:RotationLambdaARN": "arn:*:live"}}`, yes},

		// absent keys
		{`{"StringEquals": {"secretsmanager:VersionId": "x"}}`, no},
		{`{"StringLike": {"secretsmanager:VersionId": "*"}}`, no},
		{`{"StringNotEquals": {"secretsmanager:VersionId": "x"}}`, yes},
		{`{"StringNotLike": {"secretsmanager:VersionId": "*"}}`, yes},
		{`{"NumericNotEquals": {"secretsmanager:VersionId": 1}}`, yes},
		{`{"NumericLessThan": {"secretsmanager:VersionId": 1}}`, no},
		{`{"DateNotEquals": {"secretsmanager:VersionId": "2020"}}`, yes},
		{`{"NotIpAddress": {"secretsmanager:VersionId": "203.0.113.0/24"}}`, yes},
		{`{"ArnNotLike": {"aws:SourceArn": "arn:aws:s3:::*"}}`, yes},
		{`{"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}`, no},
		{`{"Bool": {"secretsmanager:ForceDeleteWithoutRecovery": "false"}}`, no},
		{`{"BoolIfExists": {"secretsmanager:ForceDeleteWithoutRecovery": "false"}}`, yes},
		{`{"StringEqualsIfExists": {"secretsmanager:VersionId": "x"}}`, yes},
		{`{"StringEqualsIfExists": {"secretsmanager:VersionStage": "x"}}`, no},
		{`{"StringNotEqualsIfExists": {"secretsmanager:VersionId": "x"}}`, yes},
		{`{"StringNotEqualsIfExists": {"secretsmanager:VersionStage": "AWSCURRENT"}}`, no},
		{`{"Null": {"secretsmanager:VersionId": true}}`, yes},
		{`{"Null": {"secretsmanager:VersionId": false}}`, no},
		{`{"Null": {"secretsmanager:VersionStage": "true"}}`, no},
		{`{"Null": {"secretsmanager:VersionStage": "false"}}`, yes},
		{`{"Null": {"secretsmanager:VersionStage": ["false", "true"]}}`, yes},
		{`{"Null": {"aws:TagKeys": "true", "aws:SourceAccount": "true", "aws:SourceOwner": "true"}}`, yes},

		// every key and every operator
		{`{"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT", "aws:ResourceTag/team": "blue"}}`, yes},
		{`{"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT", "aws:ResourceTag/team": "red"}}`, no},
		{`{"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}, "Bool": {"aws:SecureTransport": "false"}}`, no},
		{`{}`, yes},

		// tags
		{`{"StringEquals": {"secretsmanager:ResourceTag/Team": "blue"}}`, yes},
		{`{"StringEquals": {"aws:RESOURCETAG/TEAM": "blue"}}`, yes},
		{`{"StringEquals": {"aws:ResourceTag/other": "blue"}}`, no},
		{`{"StringEquals": {"aws:RequestTag/team": "blue"}}`, unknown}, // two tags that differ in case
		{`{"StringNotEquals": {"aws:RequestTag/team": "red"}}`, unknown},
		{`{"ForAnyValue:StringEquals": {"aws:RequestTag/team": "blue"}}`, yes},

		// the caller
		{`{"StringEquals": {"aws:PrincipalAccount": "123456789012", "aws:PrincipalOrgID": "o-a1b2c3d4e5", "aws:PrincipalType": "User"}}`, yes},
		{`{"StringEquals": {"aws:userid": "AIDACKCEVSQ6C2EXAMPLE", "aws:username": "alice", "aws:SourceVpc": "vpc-1"}}`, yes},
		{`{"StringLike": {"aws:UserAgent": "aws-cli/*"}}`, yes},
		{`{"Null": {"aws:SourceVpce": "true", "aws:VpcSourceIp": "true", "aws:SourceIp": "false"}}`, yes},
	} {
		if got := meets(t, asked(c, keys), tt.condition); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.condition, got, tt.want)
		}
	}
}

// ForAllValues and ForAnyValue, against all kinds of requests: without tags, with
// one that is listed, one that is not, and both.
func TestSets(t *testing.T) {
	t.Parallel()
	requests := []Keys{nil, {"aws:tagkeys": {}}, {"aws:tagkeys": {"a"}}, {"aws:tagkeys": {"a", "b"}}, {"aws:tagkeys": {"a", "x"}}, {"aws:tagkeys": {"x"}}, {"aws:tagkeys": {"x", "y"}}}
	for _, tt := range []struct{ operator, want string }{
		{"ForAllValues:StringEquals", "y y y y n n n"},
		{"ForAllValues:StringNotEquals", "y y n n n y y"},
		{"ForAllValues:StringLike", "y y y y n n n"},
		{"ForAllValues:StringNotLike", "y y n n n y y"},
		{"ForAnyValue:StringEquals", "n n y y y n n"},
		{"ForAnyValue:StringNotEquals", "n n n n y y y"},
		{"ForAnyValue:StringLike", "n n y y y n n"},
		{"ForAnyValue:StringNotLike", "n n n n y y y"},
		{"ForAllValues:StringEqualsIfExists", "y y y y n n n"},
		{"ForAllValues:StringNotEqualsIfExists", "y y n n n y y"},
		{"ForAnyValue:StringEqualsIfExists", "? ? y y y n n"},
		{"ForAnyValue:StringNotEqualsIfExists", "? ? n n y y y"},
	} {
		for i, word := range strings.Fields(tt.want) {
			got := meets(t, asked(userOf(home, "bob"), requests[i]), `{"`+tt.operator+`": {"aws:TagKeys": ["a", "b"]}}`)
			if want := map[string]tristate{"y": yes, "n": no, "?": unknown}[word]; got != want {
				t.Errorf("%s of %v: %d, want %d", tt.operator, requests[i], got, want)
			}
		}
	}
}

// What of a caller can be asked for, by kind.
func TestCallerKeys(t *testing.T) {
	t.Parallel()
	through := userOf(home, "bob")
	through.VPC, through.VPCE, through.SourceIP, through.Secure = "vpc-1", "vpce-1", "10.0.0.7", false
	for _, tt := range []struct {
		caller    Caller
		condition string
		want      tristate
	}{
		{sessionOf(home, "app", "alice"), `{"StringEquals": {"aws:PrincipalType": "AssumedRole", "aws:userid": "AROADBQP57FF2AEXAMPLE:alice", "aws:PrincipalArn": "arn:aws:iam::123456789012:role/app"}}`, yes},
		{sessionOf(home, "app", "alice"), `{"StringEquals": {"aws:username": "alice"}}`, no},
		{sessionOf(home, "app", "alice"), `{"Null": {"aws:username": "true", "aws:PrincipalOrgID": "true"}}`, yes},
		{sessionOf(home, "app", "alice"), `{"StringLike": {"aws:PrincipalArn": "arn:aws:sts::*"}}`, no},
		{rootOf(home), `{"StringEquals": {"aws:PrincipalType": "Account", "aws:PrincipalArn": "arn:aws:iam::123456789012:root"}, "Null": {"aws:username": "true"}}`, yes},
		{federatedOf(home, "alice"), `{"StringEquals": {"aws:PrincipalType": "FederatedUser", "aws:PrincipalArn": "arn:aws:sts::123456789012:federated-user/alice"}, "Null": {"aws:username": "true", "aws:SourceIp": "true"}}`, yes},
		{through, `{"IpAddress": {"aws:VpcSourceIp": "10.0.0.0/8"}, "Null": {"aws:SourceIp": "true"}, "StringEquals": {"aws:SourceVpc": "vpc-1", "aws:SourceVpce": "vpce-1"}, "Bool": {"aws:SecureTransport": "false"}}`, yes},
		{through, `{"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}`, yes},
		{Caller{ARN: alice, Account: home, SourceIP: "somewhere"}, `{"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}`, unknown},
		{Caller{ARN: alice, Account: home, SourceIP: "::ffff:10.0.0.1"}, `{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}`, yes},
		{Caller{ARN: alice, Account: home, SourceIP: "2001:db8::1"}, `{"IpAddress": {"aws:SourceIp": ["2001:DB8::/32", "0.0.0.0/0"]}}`, yes},
		{Caller{ARN: alice, Account: home, SourceIP: "2001:db8::1"}, `{"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}`, no},
		{Caller{ARN: alice, Account: home, SourceIP: "fe80::1%eth0"}, `{"IpAddress": {"aws:SourceIp": "fe80::/10"}}`, yes},
	} {
		if got := meets(t, asked(tt.caller, nil), tt.condition); got != tt.want {
			t.Errorf("%s, %s: %d, want %d", tt.caller.ARN, tt.condition, got, tt.want)
		}
	}
}

// The path of a session's role is not known.
func TestRolePath(t *testing.T) {
	t.Parallel()
	const iam = "arn:aws:iam::123456789012:"
	for _, tt := range []struct {
		pattern string
		want    tristate // of ArnLike and StringLike
	}{
		{iam + "role/app", yes},
		{iam + "role/service/app", yes},
		{iam + "role/a/b/c/app", yes},
		{iam + "role/other", no},
		{iam + "role/app/other", no},
		{iam + "role/service/apps", no},
		{"arn:aws:iam::444455556666:role/service/app", no},
		{"arn:aws:iam::444455556666:role/team/*", no},
		{iam + "role/*", yes},
		{iam + "role/a*", yes},
		{iam + "role/team*", no},
		{iam + "*", yes},
		{iam + "role/service/*", unknown},
		{iam + "role/service/a*", unknown},
		{iam + "role/service/b*", no},
		{iam + "role/*/app", unknown},
		{iam + "role/serv*/app", unknown},
		{iam + "role/*/other", no},
		{"arn:aws:iam::*:role/aws-reserved/sso.amazonaws.com/*/a?p", unknown},
		{"arn:aws:iam::*:role/service/app", yes},
		{iam + "*/app", yes},
		{iam + "user/app", no},
		{iam + "user/service/app", no},
		{iam + "role/${aws:PrincipalAccount}/app", unknown},
		{iam + "role/${aws:PrincipalAccount}", no},
		{iam + "role/${aws:username}/app", no}, // it has no value
		{iam + "role/${aws:username, 'x'}/app", unknown},
	} {
		for _, c := range []struct {
			operator string
			want     tristate
		}{{"ArnLike", tt.want}, {"ArnNotEquals", tt.want.not()}, {"StringLike", tt.want}, {"StringNotLike", tt.want.not()}} {
			if got := meets(t, asked(sessionOf(home, "app", "i-1"), nil), `{"`+c.operator+`": {"aws:PrincipalArn": "`+tt.pattern+`"}}`); got != c.want {
				t.Errorf("%s %s: %d, want %d", c.operator, tt.pattern, got, c.want)
			}
		}
	}
	for _, op := range []string{"StringEquals", "StringEqualsIgnoreCase", "ArnEquals"} {
		if got := meets(t, asked(sessionOf(home, "app", "i-1"), nil), `{"`+op+`": {"aws:PrincipalArn": "`+app+`"}}`); got != yes {
			t.Errorf("%s: %d, want yes", op, got)
		}
	}
	// Of two values the certain one counts.
	if got := meets(t, asked(sessionOf(home, "app", "i-1"), nil), `{"ArnLike": {"aws:PrincipalArn": ["`+iam+`role/service/*", "`+app+`"]}}`); got != yes {
		t.Errorf("uncertain and certain: %d, want yes", got)
	}
	// A user's path is known.
	for pattern, want := range map[string]tristate{iam + "user/team/*": yes, iam + "user/alice": no, iam + "user/*/alice": yes, iam + "user/other/alice": no} {
		if got := meets(t, asked(userOf(home, "team/alice"), nil), `{"ArnLike": {"aws:PrincipalArn": "`+pattern+`"}}`); got != want {
			t.Errorf("%s: %d, want %d", pattern, got, want)
		}
	}
}
