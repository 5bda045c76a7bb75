package policy

import (
	"strings"
	"testing"
)

func TestVariables(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"
	c := userOf(home, "team/alice")
	starred := userOf(home, "*")
	starred.ARN = "arn:aws:iam::123456789012:user/*"
	request := func(c Caller, resource string, keys Keys) Request {
		r := asked(c, keys)
		r.Resource = resource
		return r
	}
	keys := Keys{
		"aws:resourcetag/owner": {"alice"}, "aws:resourcetag/none": {""}, "aws:resourcetag/star": {"*"}, "aws:resourcetag/arn": {alice},
		"secretsmanager:name": {"alice/db"}, "aws:resourcetag/two": {"alice", "bob"}, "aws:resourcetag/price": {"$5"}, "aws:resourcetag/mark": {"why?"},
		"aws:resourcetag/code": {"${aws:username}"}, "aws:resourcetag/account": {"123456789012:user"},
	}
	for _, tt := range []struct {
		caller   Caller
		resource string
		elements string
		want     tristate
	}{
		// in resources
		{c, arn + "alice/db-AbCdEf", `"Resource": "` + arn + `${aws:username}/*"`, yes},
		{c, arn + "bob/db-AbCdEf", `"Resource": "` + arn + `${aws:username}/*"`, no},
		{c, arn + "alice-AIDACKCEVSQ6C2EXAMPLE-AbCdEf", `"Resource": "` + arn + `${AWS:UserName}-${ aws:userid }-??????"`, yes},
		{c, arn + "alicex-AbCdEf", `"Resource": "` + arn + `*${aws:username}-*"`, no},
		{c, arn + "xalicealice-AbCdEf", `"Resource": "` + arn + `*${aws:username}-*"`, yes},
		{c, arn + "203.0.113.7-AbCdEf", `"Resource": "` + arn + `${aws:SourceIp}-*"`, yes},
		{c, arn + "2026-03-04T12:00:00Z", `"Resource": "` + arn + `${aws:CurrentTime}"`, yes},
		{c, arn + "alice/db", `"Resource": "` + arn + `${secretsmanager:Name}"`, yes},
		{c, arn + "alice/db", `"Resource": "` + arn + `${secretsmanager:ResourceTag/Owner}/db"`, yes},
		{c, arn + "alice/db", `"NotResource": "` + arn + `${aws:ResourceTag/owner}/*"`, no},
		{c, arn + "bob/db", `"NotResource": "` + arn + `${aws:ResourceTag/owner}/*"`, yes},
		// without a value
		{sessionOf(home, "app", "alice"), arn + "alice/db", `"Resource": "` + arn + `${aws:username}/*"`, no},
		{sessionOf(home, "app", "alice"), arn + "alice/db", `"Resource": ["` + arn + `${aws:username}/*", "*"]`, yes},
		{sessionOf(home, "app", "alice"), arn + "alice/db", `"NotResource": "` + arn + `${aws:username}/*"`, unknown},
		{sessionOf(home, "app", "alice"), arn + "alice/db", `"NotResource": ["` + arn + `${aws:username}/*", "` + arn + `alice/*"]`, no},
		{sessionOf(home, "app", "alice"), arn + "nobody/db", `"Resource": "` + arn + `${aws:username, 'nobody'}/*"`, yes},
		{sessionOf(home, "app", "alice"), arn + "x/db", `"Resource": "` + arn + `${aws:username, '*'}/*"`, no},
		{c, arn + "/db", `"Resource": "` + arn + `${aws:ResourceTag/none}/db"`, no},
		{c, arn + "alice/db", `"Resource": "` + arn + `${aws:ResourceTag/two}/db"`, no},
		{c, arn + "alice/db", `"Resource": "` + arn + `${aws:username, 'nobody'}/*"`, yes},
		// what looks like a wildcard and is none
		{starred, arn + "alice/db", `"Resource": "` + arn + `${aws:username}/db"`, no},
		{starred, arn + "*/db", `"Resource": "` + arn + `${aws:username}/db"`, yes},
		{c, arn + "alice/db", `"Resource": "` + arn + `${*}/db"`, no},
		{c, arn + "*?$/db", `"Resource": "` + arn + `${*}${?}${$}/db"`, yes},
		{c, arn + "a$b$", `"Resource": "` + arn + `a$b$"`, yes},
		{c, arn + "a}b", `"Resource": "` + arn + `${aws:ResourceTag/x, 'a}b'}"`, yes},
		// in conditions
		{c, someARN, `"Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/owner": "${aws:username}"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"StringNotEquals": {"aws:ResourceTag/owner": "${aws:username}"}}`, no},
		{c, someARN, `"Resource": "*", "Condition": {"StringEqualsIgnoreCase": {"aws:ResourceTag/owner": "A${aws:ResourceTag/x, 'LI'}ce"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"StringLike": {"secretsmanager:Name": "${aws:username}/*"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"StringLike": {"secretsmanager:Name": "${aws:ResourceTag/star}"}}`, no},
		{c, someARN, `"Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/star": "${*}"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/star": "*"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"StringLike": {"aws:ResourceTag/mark": "wh?${?}"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/price": "${$}5"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/code": "${$}{aws:username}"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/owner": "${aws:ResourceTag/code}"}}`, no}, // once is enough
		{c, someARN, `"Resource": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": "${aws:ResourceTag/arn}"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::${aws:PrincipalAccount}:user/*/${aws:username}"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::${aws:ResourceTag/account}:team/alice"}}`, no},
		// without a value: nothing is equal to it, and so it is not equal
		{c, someARN, `"Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/owner": "${aws:ResourceTag/x}"}}`, no},
		{c, someARN, `"Resource": "*", "Condition": {"StringNotEquals": {"aws:ResourceTag/owner": "${aws:ResourceTag/x}"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"StringNotLike": {"aws:ResourceTag/owner": "*${aws:ResourceTag/x}*"}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/owner": ["${aws:ResourceTag/x}", "alice"]}}`, yes},
		{c, someARN, `"Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/none": "${aws:ResourceTag/none}"}}`, no},
		{c, someARN, `"Resource": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": "${aws:ResourceTag/x}"}}`, no},
	} {
		r := request(tt.caller, tt.resource, keys)
		statement := func(effect string) string {
			return `{"Effect": "` + effect + `", "Principal": "*", "Action": "*", ` + tt.elements + `}`
		}
		allow := setOf(t, statement("Allow")).Decide(r, nil)
		deny := setOf(t, says("Allow", all), statement("Deny")).Decide(r, nil)
		if allow.Allowed != (tt.want == yes) || deny.Explicit != (tt.want != no) {
			t.Errorf("%s on %s: allows %v, denies %v, want %d", tt.elements, tt.resource, allow.Allowed, deny.Explicit, tt.want)
		}
	}
}

// Under the first version, which is that of a policy without one, there are none.
func TestVariablesOf2008(t *testing.T) {
	t.Parallel()
	keys := Keys{"aws:resourcetag/owner": {"alice"}, "aws:resourcetag/code": {"${aws:username}"}, "aws:resourcetag/open": {"${"}}
	for _, tt := range []struct {
		condition string
		want      bool
	}{
		{`{"StringEquals": {"aws:ResourceTag/owner": "${aws:username}"}}`, false},
		{`{"StringEquals": {"aws:ResourceTag/code": "${aws:username}"}}`, true},
		{`{"StringLike": {"aws:ResourceTag/code": "${a*}"}}`, true},
		{`{"StringEquals": {"aws:ResourceTag/open": "${"}}`, true},
	} {
		s, err := ParseSet("p", []byte(`[{"Statement": `+says("Allow", all, `"Condition": `+tt.condition)+`}]`))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Decide(asked(userOf(home, "alice"), keys), nil).Allowed; got != tt.want {
			t.Errorf("%s: %v, want %v", tt.condition, got, tt.want)
		}
	}
}

// What is not known is refused when it is written, with the reason.
func TestUnknownIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, why string }{
		{cond(`{"StringEquals": {"aws:Whatever": "x"}}`), `unknown condition key "aws:Whatever"`},
		{cond(`{"StringEquals": {"secretsmanager:Whatever": "x"}}`), "unknown condition key"},
		{cond(`{"StringEquals": {"kms:ViaService": "x"}}`), "unknown condition key"},
		{cond(`{"StringEquals": {"aws:ResourceTag/": "x"}}`), "unknown condition key"},
		{cond(`{"StringEquals": {"aws:ResourceTag": "x"}}`), "unknown condition key"},
		{cond(`{"Null": {"aws:Whatever": "true"}}`), "unknown condition key"},
		{cond(`{"StringEquals": {"aws:PrincipalTag/team": "x"}}`), "the gateway does not say"},
		{cond(`{"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-a/*"}}`), "the gateway does not say"},
		{cond(`{"Bool": {"aws:MultiFactorAuthPresent": "true"}}`), "the gateway does not say"},
		{cond(`{"NumericLessThan": {"aws:MultiFactorAuthAge": 1}}`), "the gateway does not say"},
		{cond(`{"StringEquals": {"aws:TagKeys": "x"}}`), "needs ForAllValues or ForAnyValue"},
		{cond(`{"StringEquals": {"aws:username": "${aws:PrincipalTag/team}"}}`), "the gateway does not say"},
		{cond(`{"StringEquals": {"aws:username": "${whatever}"}}`), `unknown condition key "whatever"`},
		{cond(`{"StringEquals": {"aws:username": "${}"}}`), "unknown condition key"},
		{cond(`{"StringEquals": {"aws:username": "${aws:TagKeys}"}}`), "may have several values"},
		{cond(`{"StringEquals": {"aws:username": "${aws:username"}}`), "not closed"},
		{cond(`{"StringEquals": {"aws:username": "${aws:username, x}"}}`), "not in single quotation marks"},
		{cond(`{"StringEquals": {"aws:username": "${aws:username, 'x}"}}`), "not in single quotation marks"},
		{cond(`{"StringEquals": {"aws:username": "${aws:username, 'x' y}"}}`), "not closed"},
		{cond(`{"ArnLike": {"aws:PrincipalArn": "${aws:username}:user/x"}}`), "it is no ARN"},
		{cond(`{"ArnLike": {"aws:PrincipalArn": "${aws:username}::::::"}}`), "it is no ARN"},
		{cond(`{"ArnLike": {"aws:PrincipalArn": "arn*:aws:iam::123456789012:user/${aws:username}"}}`), "it is no ARN"},
		{swap("Resource", `"arn:aws:secretsmanager:us-east-1:${aws:PrincipalAccount}:secret:x"`), "before the fifth colon"},
		{swap("Resource", `"arn:aws:secretsmanager:us-east-1:123456789012:secret:${aws:PrincipalTag/team}/*"`), "the gateway does not say"},
		{swap("Resource", `"arn:aws:secretsmanager:us-east-1:123456789012:secret:${aws:username"`), "not closed"},
	} {
		if _, err := Parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("Parse(%s): %v, want to read %q", tt.text, err, tt.why)
		}
		_, err := ParseSet("policies.json", []byte("["+stmt(allow)+", "+tt.text+"]"))
		if err == nil || !strings.HasPrefix(err.Error(), "policies.json: document 2: statement 1: ") || !strings.Contains(err.Error(), tt.why) || strings.Contains(err.Error(), "Exception") {
			t.Errorf("ParseSet(%s): %v, want to read %q", tt.text, err, tt.why)
		}
	}
}

// A policy that was stored before its keys were checked denies what it may mean to
// deny, and allows nothing.
func TestUnknownAtRunTime(t *testing.T) {
	t.Parallel()
	cache := NewCache(1 << 20)
	bob := reads(userOf(home, "bob"))
	for _, elements := range []string{
		`"Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"}}`,
		`"Resource": "*", "Condition": {"StringNotEquals": {"aws:Whatever": "blue"}}`,
		`"Resource": "*", "Condition": {"StringEqualsIfExists": {"aws:Whatever": "blue"}}`,
		`"Resource": "*", "Condition": {"StringNotEquals": {"aws:username": "${aws:Whatever}"}}`,
		`"Resource": "*", "Condition": {"Null": {"aws:Whatever": "true"}, "StringEquals": {"aws:username": "bob"}}`,
		`"Resource": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:${aws:PrincipalTag/team}/*"`,
		`"NotResource": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:${aws:PrincipalTag/team}/*"`,
	} {
		for effect, set := range map[string]*Set{"Allow": nil, "Deny": AllowAll()} {
			text := stmt(`"Effect": "`+effect+`", "Principal": "*", "Action": "*"`, elements)
			if _, err := Parse(text); err == nil {
				t.Errorf("Parse takes %s", text)
			}
			p, err := ofText(cache, text)
			if err != nil {
				t.Fatal(err)
			}
			d := set.Decide(bob, p)
			if d.Allowed || d.Explicit != (effect == "Deny") {
				t.Errorf("%s %s: %+v", effect, elements, d)
			}
			if why := d.Explain(); effect == "Deny" && !strings.Contains(why, "not certain") {
				t.Errorf("Explain = %q", why)
			}
			// What certainly does not fit does not fit.
			other := bob
			other.Action = "kms:Decrypt"
			p, err = ofText(cache, strings.Replace(text, `"Action": "*"`, `"Action": "secretsmanager:*"`, 1))
			if err != nil {
				t.Fatal(err)
			}
			if d := set.Decide(other, p); d.Explicit {
				t.Errorf("%s %s: %+v", effect, elements, d)
			}
		}
	}
}

// A syntax error is none of those: a stored policy with one denies everything.
func TestSyntaxAtRunTime(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{
		`{"NumericEquals": {"aws:Whatever": "x"}}`, `{"ArnLike": {"aws:SourceArn": "urn:aws:iam::123456789012:role/app"}}`, `{"ArnLike": {"aws:SourceArn": "arn:aws:iam"}}`,
	} {
		if p, err := ofText(NewCache(1), cond(condition)); err != nil || p != Unreadable {
			t.Errorf("%s: %+v, %v, want Unreadable", condition, p, err)
		}
	}
}

// Of several resources those that are supported count.
func TestUnknownAmongOthers(t *testing.T) {
	t.Parallel()
	p, err := ofText(NewCache(1), stmt(`"Effect": "Allow", "Principal": "*", "Action": "*"`,
		`"Resource": ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:${aws:PrincipalTag/team}/*", "*"]`))
	if err != nil {
		t.Fatal(err)
	}
	if d := (*Set)(nil).Decide(reads(userOf(home, "bob")), p); !d.Allowed {
		t.Errorf("%+v: %s", d, d.Explain())
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	set := setOf(t,
		`{"Sid": "Far", "Effect": "Allow", "Principal": {"AWS": "444455556666"}, "Action": "secretsmanager:PutSecretValue", "Resource": "*"}`,
		`{"Sid": "Near", "Effect": "Allow", "Principal": "*", "Action": "secretsmanager:Get*", "Resource": "*", "Condition": {"ForAllValues:StringEqualsIfExists": {"aws:ResourceTag/Team": "blue"}}}`,
		`{"Sid": "Not", "Effect": "Deny", "Principal": "*", "Action": "secretsmanager:DeleteSecret", "Resource": "*"}`)
	r := asked(userOf(home, "bob"), Keys{"aws:resourcetag/team": {"MARK"}})
	for _, tt := range []struct {
		name   string
		caller Caller
		action string
		policy *Policy
		want   string
	}{
		{"near", r.Caller, "GetSecretValue", nil, `no identity-based policy allows it; policies.json: document 1, statement 2 ("Near") does not: the condition ForAllValues:StringEqualsIfExists aws:ResourceTag/Team; there is no resource policy`},
		{"explicit", r.Caller, "DeleteSecret", nil, `denied by policies.json: document 1, statement 3 ("Not")`},
		{"nobody", Caller{}, "GetSecretValue", nil, `it is not known who the caller is`},
		{"delegated", r.Caller, "GetSecretValue", policyOf(t, says("Allow", aws(home))), `no identity-based policy allows it; policies.json: document 1, statement 2 ("Near") does not: the condition ForAllValues:StringEqualsIfExists aws:ResourceTag/Team; resource policy, statement 1 does not: it leaves it to the account's identity-based policies`},
		{"other account", userOf(abroad, "bob"), "PutSecretValue", policyOf(t, says("Deny", aws(home))), `no resource-based policy allows it; policies.json: document 1, statement 1 ("Far") allows it; no resource-based statement allows anything`},
	} {
		r := r
		r.Caller, r.Action = tt.caller, "secretsmanager:"+tt.action
		got := set.Decide(r, tt.policy).Explain()
		if got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
		if strings.Contains(got, "MARK") {
			t.Errorf("%s: Explain contains a value", tt.name)
		}
	}
}
