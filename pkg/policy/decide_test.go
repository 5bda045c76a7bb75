package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	home    = "123456789012"
	abroad  = "444455556666"
	someARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db-AbCdEf"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 500_000_000, time.UTC)

func userOf(account, path string) Caller {
	return Caller{ARN: "arn:aws:iam::" + account + ":user/" + path, Account: account, UserID: "AIDACKCEVSQ6C2EXAMPLE", SourceIP: "203.0.113.7", Secure: true}
}

func sessionOf(account, role, session string) Caller {
	return Caller{ARN: "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + session, Account: account, UserID: "AROADBQP57FF2AEXAMPLE:" + session, SourceIP: "203.0.113.7", Secure: true}
}

func rootOf(account string) Caller {
	return Caller{ARN: "arn:aws:iam::" + account + ":root", Account: account, UserID: account, SourceIP: "203.0.113.7", Secure: true}
}

func federatedOf(account, name string) Caller {
	return Caller{ARN: "arn:aws:sts::" + account + ":federated-user/" + name, Account: account, UserID: account + ":" + name, Secure: true}
}

// reads is a request to read a secret.
func reads(c Caller) Request {
	return Request{Caller: c, Action: "secretsmanager:GetSecretValue", Resource: someARN, Named: "prod/db", Owner: home, Time: noon, Keys: Keys{}}
}

// setOf is the set of documents, and policyOf the policy, of these statements.
func setOf(t testing.TB, statements ...string) *Set {
	t.Helper()
	s, err := ParseSet("policies.json", []byte(`[{"Version": "2012-10-17", "Statement": [`+strings.Join(statements, ", ")+`]}]`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func policyOf(t testing.TB, statements ...string) *Policy {
	t.Helper()
	p, err := Parse(`{"Version": "2012-10-17", "Statement": [` + strings.Join(statements, ", ") + `]}`)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// says is a statement about everything with this effect and these principals.
func says(effect, principals string, more ...string) string {
	return `{"Effect": "` + effect + `", ` + principals + `, "Action": "*", "Resource": "*"` + strings.Join(append([]string{""}, more...), ", ") + `}`
}

func aws(ids ...string) string {
	return `"Principal": {"AWS": ["` + strings.Join(ids, `", "`) + `"]}`
}

func notAWS(ids ...string) string {
	return strings.Replace(aws(ids...), "Principal", "NotPrincipal", 1)
}

const (
	all   = `"Principal": "*"`
	alice = "arn:aws:iam::123456789012:user/team/alice"
	app   = "arn:aws:iam::123456789012:role/service/app"
)

// The principals that a statement names, and which callers they match.
func TestDecidePrincipals(t *testing.T) {
	t.Parallel()
	callers := map[string]Caller{
		"alice":     userOf(home, "team/alice"),
		"bare":      userOf(home, "alice"),
		"bob":       userOf(home, "bob"),
		"app":       sessionOf(home, "app", "i-1"),
		"app alice": sessionOf(home, "app", "alice"),
		"other":     sessionOf(home, "other", "i-1"),
		"root":      rootOf(home),
		"fed":       federatedOf(home, "alice"),
		"abroad":    userOf(abroad, "team/alice"),
		"their app": sessionOf(abroad, "app", "i-1"),
		"nobody":    {SourceIP: "203.0.113.7"},
		"liar":      {ARN: alice, Account: abroad},
		"half":      {ARN: alice},
		"role":      {ARN: app, Account: home},
		"cn":        {ARN: "arn:aws-cn:iam::123456789012:user/team/alice", Account: home},
	}
	for _, tt := range []struct {
		principals string
		deployment string // whom an identity-based policy allows
		secret     string // whom a resource policy allows on its own; those of another account are also allowed by their own side
	}{
		{all, "alice bare bob app other root fed abroad cn app_alice their_app", "alice bare bob app other root fed abroad cn app_alice their_app"},
		{aws("*"), "alice bare bob app other root fed abroad cn app_alice their_app", "alice bare bob app other root fed abroad cn app_alice their_app"},
		{aws(home), "alice bare bob app other root fed cn app_alice", ""},
		{aws("arn:aws:iam::123456789012:root"), "alice bare bob app other root fed app_alice", ""},
		{aws(abroad), "abroad their_app", "abroad their_app"},
		{aws(alice), "alice", "alice"},
		{aws(home, alice), "alice bare bob app other root fed cn app_alice", "alice"},
		{aws("arn:aws:iam::123456789012:user/alice"), "bare", "bare"},
		{aws("arn:aws:iam::123456789012:user/Team/alice"), "", ""},
		{aws(app), "app app_alice", "app app_alice"},
		{aws("arn:aws:iam::123456789012:role/app"), "app app_alice", "app app_alice"},
		{aws("arn:aws:iam::123456789012:role/App"), "", ""},
		{aws("arn:aws-cn:iam::123456789012:role/app"), "", ""},
		{aws("arn:aws:iam::123456789012:role/alice"), "", ""},
		{aws("arn:aws:sts::123456789012:assumed-role/app/alice"), "app_alice", "app_alice"},
		{aws("arn:aws:sts::123456789012:assumed-role/other/alice"), "", ""},
		{aws("arn:aws:sts::123456789012:federated-user/alice"), "fed", "fed"},
		{aws("arn:aws-cn:iam::123456789012:user/team/alice"), "cn", "cn"},
		{`"Principal": {"Service": "rds.amazonaws.com", "Federated": "accounts.google.com"}`, "", ""},

		// With Allow, everyone of a listed account is left out.
		{notAWS(home), "abroad their_app", "abroad their_app"},
		{notAWS(alice), "bare bob app other root fed abroad cn app_alice their_app", "bare bob app other root fed abroad cn app_alice their_app"},
		{notAWS(app, abroad), "alice bare bob other root fed cn", "alice bare bob other root fed cn"},
		{notAWS("*"), "", ""},
		{`"NotPrincipal": {"Service": "rds.amazonaws.com"}`, "alice bare bob app other root fed abroad cn app_alice their_app", "alice bare bob app other root fed abroad cn app_alice their_app"},
	} {
		for name, c := range callers {
			key := strings.ReplaceAll(name, " ", "_")
			foreign := c.Account == abroad
			allowed := func(s *Set, p *Policy) bool { return s.Decide(reads(c), p).Allowed }
			var onSecret *Policy
			if foreign {
				onSecret = policyOf(t, says("Allow", aws(abroad)))
			}
			if got, want := allowed(setOf(t, says("Allow", tt.principals)), onSecret), has(tt.deployment, key); got != want {
				t.Errorf("an identity-based policy for %s allows %s: %v, want %v", tt.principals, name, got, want)
			}
			var set *Set
			if foreign {
				set = AllowAll()
			}
			if got, want := allowed(set, policyOf(t, says("Allow", tt.principals))), has(tt.secret, key); got != want {
				t.Errorf("a resource policy for %s allows %s: %v, want %v", tt.principals, name, got, want)
			}
		}
	}
}

func has(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}

// An ARN of any other form is that of an unidentified caller.
func TestParseARN(t *testing.T) {
	t.Parallel()
	for arn, want := range map[string]principal{
		"arn:aws:iam::123456789012:root":                 {account, "aws", home, "", ""},
		"arn:aws:iam::123456789012:user/ann":             {user, "aws", home, "ann", ""},
		"arn:aws-cn:iam::123456789012:user/team/ann":     {user, "aws-cn", home, "team/ann", ""},
		"arn:aws:iam::123456789012:role/team/app":        {role, "aws", home, "app", ""},
		"arn:aws:sts::123456789012:assumed-role/app/i-1": {session, "aws", home, "app", "i-1"},
		"arn:aws:sts::123456789012:federated-user/ann":   {federatedUser, "aws", home, "ann", ""},
		"":                               {},
		"urn:aws:iam::123456789012:root": {},
		"arn::iam::123456789012:root":    {},
		"arn:aws:iam:eu-central-1:123456789012:root":          {},
		"arn:aws:iam::12345678901:root":                       {},
		"arn:aws:iam::1234567890123:root":                     {},
		"arn:aws:iam::12345678901a:root":                      {},
		"arn:aws:iam:::root":                                  {},
		"arn:aws:iam::123456789012:":                          {},
		"arn:aws:iam::123456789012:root/":                     {},
		"arn:aws:iam::123456789012:group/ann":                 {},
		"arn:aws:sts::123456789012:root":                      {},
		"arn:aws:sts::123456789012:user/ann":                  {},
		"arn:aws:sts::123456789012:role/app":                  {},
		"arn:aws:iam::123456789012:assumed-role/app/i-1":      {},
		"arn:aws:iam::123456789012:federated-user/ann":        {},
		"arn:aws:iam::123456789012:user":                      {},
		"arn:aws:iam::123456789012:user/":                     {},
		"arn:aws:iam::123456789012:user/team/":                {},
		"arn:aws:iam::123456789012:role/":                     {},
		"arn:aws:iam::123456789012:role/team/":                {},
		"arn:aws:sts::123456789012:federated-user/":           {},
		"arn:aws:sts::123456789012:federated-user/a/":         {},
		"arn:aws:sts::123456789012:assumed-role/app":          {},
		"arn:aws:sts::123456789012:assumed-role/app/":         {},
		"arn:aws:sts::123456789012:assumed-role//i-1":         {},
		"arn:aws:sts::123456789012:assumed-role/app/i-1/more": {},
	} {
		if got := parseARN(arn); got != want {
			t.Errorf("parseARN(%q) = %+v, want %+v", arn, got, want)
		}
	}
}

// Whom a Deny with NotPrincipal excepts.
func TestDecideNotPrincipal(t *testing.T) {
	t.Parallel()
	callers := map[string]Caller{
		"alice": userOf(home, "team/alice"), "bob": userOf(home, "bob"), "app": sessionOf(home, "app", "i-1"), "app2": sessionOf(home, "app", "i-2"),
		"other": sessionOf(home, "other", "i-1"), "root": rootOf(home), "abroad": userOf(abroad, "team/alice"),
	}
	const session = "arn:aws:sts::123456789012:assumed-role/app/i-1"
	for _, tt := range []struct {
		principals       string
		secret, deployed string // whom it excepts
	}{
		{notAWS("*"), "alice bob app app2 other root abroad", "alice bob app app2 other root abroad"},
		{notAWS(alice), "alice", "alice"},
		{notAWS(app), "app app2", "app app2"},
		{notAWS(session), "app", "app"},
		{notAWS(app, "arn:aws:sts::123456789012:assumed-role/other/i-1"), "app app2 other", "app app2 other"},
		// The guide's examples also name the account and the role, for IAM.
		{notAWS(alice, "arn:aws:iam::123456789012:root"), "alice root", "alice root"},
		{notAWS(session, app, "arn:aws:iam::123456789012:root"), "app root", "app root"},
		{notAWS(app, home), "app app2 root", "app app2 root"},
		// An account on its own.
		{notAWS(home), "root", "alice bob app app2 other root"},
		{notAWS(home, abroad), "root", "alice bob app app2 other root abroad"},
		{notAWS(home, "arn:aws:iam::444455556666:user/team/alice"), "root abroad", "alice bob app app2 other root abroad"},
		{`"NotPrincipal": {"Service": "rds.amazonaws.com"}`, "", ""},
	} {
		for name, c := range callers {
			allow := policyOf(t, says("Allow", aws("*")), says("Deny", tt.principals))
			if got, want := AllowAll().Decide(reads(c), allow).Allowed, has(tt.secret, name); got != want {
				t.Errorf("a resource policy with %s excepts %s: %v, want %v", tt.principals, name, got, want)
			}
			set := setOf(t, says("Allow", all), says("Deny", tt.principals))
			if got, want := set.Decide(reads(c), policyOf(t, says("Allow", all))).Allowed, has(tt.deployed, name); got != want {
				t.Errorf("an identity-based policy with %s excepts %s: %v, want %v", tt.principals, name, got, want)
			}
		}
	}
}

// The matrix of the two sides, for callers of this account and of another.
func TestDecideSides(t *testing.T) {
	t.Parallel()
	const (
		quiet  = `{"Sid": "Quiet", "Effect": "Allow", "Principal": "*", "Action": "secretsmanager:PutSecretValue", "Resource": "*"}`
		allows = `{"Sid": "Allows", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}`
		leaves = `{"Sid": "Leaves", "Effect": "Allow", "Principal": {"AWS": ["123456789012", "444455556666"]}, "Action": "*", "Resource": "*"}`
		denies = `{"Sid": "Denies", "Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}`
	)
	const (
		idSays  = `policies.json: document 1, statement 1 ("Allows")`
		resSays = `resource policy, statement 1 ("Allows")`
		idLack  = "because no identity-based policy allows the secretsmanager:GetSecretValue action"
		resLack = "because no resource-based policy allows the secretsmanager:GetSecretValue action"
		idDeny  = "with an explicit deny in an identity-based policy"
		resDeny = "with an explicit deny in a resource-based policy"
	)
	for _, tt := range []struct {
		identity, secret []string
		own, foreign     any // the statement that allows, or how it is refused
	}{
		{[]string{quiet}, nil, refused{idLack}, refused{idLack}},
		{[]string{allows}, nil, idSays, refused{resLack}},
		{[]string{quiet}, []string{allows}, resSays, refused{idLack}},
		{[]string{quiet}, []string{quiet}, refused{idLack}, refused{idLack}},
		{[]string{allows}, []string{quiet}, idSays, refused{resLack}},
		{[]string{allows}, []string{allows}, idSays, idSays + "; " + resSays},
		{[]string{quiet}, []string{leaves}, refused{idLack}, refused{idLack}},
		{[]string{allows}, []string{leaves}, idSays, idSays + `; resource policy, statement 1 ("Leaves")`},
		{[]string{allows}, []string{leaves, strings.Replace(leaves, "Leaves", "Again", 1)}, idSays, idSays + `; resource policy, statement 1 ("Leaves")`},
		{[]string{denies}, []string{allows}, refused{idDeny}, refused{idLack}},
		{[]string{denies}, []string{denies}, refused{idLack}, refused{idLack}},
		{[]string{allows, denies}, nil, refused{idDeny}, refused{resLack}},
		{[]string{denies, allows}, []string{allows}, refused{idDeny}, refused{idDeny}},
		{[]string{allows}, []string{denies}, refused{resDeny}, refused{resLack}},
		{[]string{allows}, []string{denies, allows}, refused{resDeny}, refused{resDeny}},
		{[]string{allows}, []string{allows, denies}, refused{resDeny}, refused{resDeny}},
		// The same as for a secret that does not exist.
		{[]string{quiet}, []string{denies}, refused{idLack}, refused{idLack}},
		{[]string{quiet}, []string{allows, denies}, refused{resDeny}, refused{idLack}},
	} {
		for _, c := range []struct {
			caller Caller
			want   any
		}{{userOf(home, "bob"), tt.own}, {userOf(abroad, "bob"), tt.foreign}} {
			set := setOf(t, tt.identity...)
			var onSecret *Policy
			if tt.secret != nil {
				onSecret = policyOf(t, tt.secret...)
			}
			d := set.Decide(reads(c.caller), onSecret)
			name := fmt.Sprintf("%s, %.30q, %.30q", c.caller.ARN, tt.identity, tt.secret)
			refusal, isRefused := c.want.(refused)
			if d.Allowed == isRefused {
				t.Errorf("%s: %+v, want %v", name, d, c.want)
				continue
			}
			if !isRefused {
				if d.Statement != c.want || d.Explicit || d.Explain() != "" {
					t.Errorf("%s: allowed by %s, want %s", name, d.Statement, c.want)
				}
				continue
			}
			want := secret.Error{Code: "AccessDeniedException", Message: "User: " + c.caller.ARN + " is not authorized to perform: secretsmanager:GetSecretValue on resource: prod/db " + refusal.why}
			if got := d.Denied(); got != want {
				t.Errorf("%s:\n got %v\nwant %v", name, got, want)
			}
			if d.Explicit != (d.Statement != "") || d.Explicit && !strings.Contains(d.Statement, "Denies") {
				t.Errorf("%s: denied by %q, explicit %v", name, d.Statement, d.Explicit)
			}
			if d.Explain() == "" {
				t.Errorf("%s: no explanation", name)
			}
		}
	}
}

type refused struct{ why string }

func TestDenied(t *testing.T) {
	t.Parallel()
	r := reads(Caller{})
	for _, tt := range []struct {
		resource, named, want string
	}{
		{someARN, "prod/db", " on resource: prod/db because"},
		{someARN, "", " on resource: " + someARN + " because"},
		{"*", "", "GetSecretValue because"},
		{"*", "new", " on resource: new because"},
	} {
		r.Resource, r.Named = tt.resource, tt.named
		if got := AllowAll().Decide(r, nil).Denied(); got.Code != secret.AccessDenied || !strings.HasPrefix(got.Message, "User: anonymous is not") || !strings.Contains(got.Message, tt.want) {
			t.Errorf("Denied = %v, want to read %q", got, tt.want)
		}
	}
}

// Without statements nothing is allowed; a nil Set and a nil Policy have none.
func TestDecideNothing(t *testing.T) {
	t.Parallel()
	empty, err := ParseSet("policies.json", []byte(`[]`))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Set{nil, {}, empty} {
		if d := s.Decide(reads(userOf(home, "bob")), nil); d.Allowed || d.Explicit || d.Side != IdentityBased {
			t.Errorf("Decide = %+v", d)
		}
	}
	if d := AllowAll().Decide(Request{}, nil); d.Allowed {
		t.Errorf("Decide of nothing = %+v", d)
	}
	// An unknown owner is no caller's account.
	r := reads(userOf(home, "bob"))
	r.Owner = ""
	if d := AllowAll().Decide(r, nil); d.Allowed {
		t.Errorf("Decide without an owner = %+v", d)
	}
}

func TestDecideActionsAndResources(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"
	for _, tt := range []struct {
		elements         string
		action, resource string
		want             bool
	}{
		{`"Action": "*", "Resource": "*"`, "GetSecretValue", someARN, true},
		{`"Action": "secretsmanager:GetSecretValue", "Resource": "*"`, "GetSecretValue", someARN, true},
		{`"Action": "SecretsManager:getsecretvalue", "Resource": "*"`, "GetSecretValue", someARN, true},
		{`"Action": "secretsmanager:Get*", "Resource": "*"`, "GetSecretValue", someARN, true},
		{`"Action": "secretsmanager:*Value", "Resource": "*"`, "GetSecretValue", someARN, true},
		{`"Action": "secretsmanager:?etSecretValu?", "Resource": "*"`, "GetSecretValue", someARN, true},
		{`"Action": "secretsmanager:GetSecretValue?", "Resource": "*"`, "GetSecretValue", someARN, false},
		{`"Action": "secretsmanager:GetSecret", "Resource": "*"`, "GetSecretValue", someARN, false},
		{`"Action": ["secretsmanager:PutSecretValue", "secretsmanager:GetSecretValue"], "Resource": "*"`, "GetSecretValue", someARN, true},
		{`"NotAction": "secretsmanager:Put*", "Resource": "*"`, "GetSecretValue", someARN, true},
		{`"NotAction": ["secretsmanager:Put*", "secretsmanager:get*"], "Resource": "*"`, "GetSecretValue", someARN, false},
		{`"Action": "*", "Resource": "` + someARN + `"`, "GetSecretValue", someARN, true},
		{`"Action": "*", "Resource": "` + arn + `prod/db-??????"`, "GetSecretValue", someARN, true},
		{`"Action": "*", "Resource": "` + arn + `prod/db-?????"`, "GetSecretValue", someARN, false},
		{`"Action": "*", "Resource": "` + arn + `prod/*"`, "GetSecretValue", someARN, true},
		{`"Action": "*", "Resource": "` + arn + `Prod/*"`, "GetSecretValue", someARN, false},
		{`"Action": "*", "Resource": "` + arn + `p*d/*b-*f"`, "GetSecretValue", someARN, true},
		{`"Action": "*", "Resource": "arn:aws:secretsmanager:*:123456789012:secret:*"`, "GetSecretValue", someARN, true},
		{`"Action": "*", "Resource": "arn:aws:secretsmanager:*"`, "GetSecretValue", someARN, true},
		{`"Action": "*", "Resource": "arn:aws:secretsmanager:us-east-1:123456789012:secret:*"`, "GetSecretValue", someARN, false},
		{`"Action": "*", "NotResource": "` + arn + `test/*"`, "GetSecretValue", someARN, true},
		{`"Action": "*", "NotResource": ["` + arn + `test/*", "` + arn + `prod/*"]`, "GetSecretValue", someARN, false},
		// An operation about no secret needs all resources.
		{`"Action": "*", "Resource": "*"`, "ListSecrets", "*", true},
		{`"Action": "*", "Resource": "arn:aws:secretsmanager:*"`, "ListSecrets", "*", false},
		{`"Action": "*", "NotResource": "arn:aws:secretsmanager:*"`, "ListSecrets", "*", true},
	} {
		r := reads(userOf(home, "bob"))
		r.Action, r.Resource = "secretsmanager:"+tt.action, tt.resource
		for _, effect := range []string{"Allow", "Deny"} {
			d := (*Set)(nil).Decide(r, policyOf(t, `{"Effect": "`+effect+`", `+all+`, `+tt.elements+`}`))
			if got := d.Allowed || d.Explicit; got != tt.want || d.Explicit != (got && effect == "Deny") {
				t.Errorf("%s %s, %s on %s: %+v, want %v", effect, tt.elements, tt.action, tt.resource, d, tt.want)
			}
		}
	}
}

func TestLocksOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		caller     Caller
		set        *Set
		statements []string
		want       bool
	}{
		{"a policy for others", userOf(home, "bob"), AllowAll(), []string{says("Allow", aws(app))}, false},
		{"denied to all", userOf(home, "bob"), AllowAll(), []string{says("Deny", all)}, true},
		{"denied to all but the author", userOf(home, "team/alice"), AllowAll(), []string{says("Deny", notAWS(alice))}, false},
		{"denied to all but another", userOf(home, "bob"), AllowAll(), []string{says("Deny", notAWS(alice))}, true},
		{"denied to all but the account", userOf(home, "bob"), AllowAll(), []string{says("Deny", notAWS(home))}, true},
		{"denied another thing", userOf(home, "bob"), AllowAll(), []string{`{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}`}, false},
		{"no longer allowed", userOf(home, "bob"), nil, []string{says("Allow", aws(alice))}, true},
		{"still allowed", userOf(home, "team/alice"), nil, []string{says("Allow", aws(alice))}, false},
		{"from elsewhere", userOf(home, "bob"), AllowAll(), []string{says("Deny", all, `"Condition": {"NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}}`)}, true},
		{"from here", userOf(home, "bob"), AllowAll(), []string{says("Deny", all, `"Condition": {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`)}, false},
	} {
		if got := tt.set.LocksOut(reads(tt.caller), policyOf(t, tt.statements...)); got != tt.want {
			t.Errorf("%s: LocksOut = %v, want %v", tt.name, got, tt.want)
		}
	}
}
