package policy

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestParseSetRefuses(t *testing.T) {
	t.Parallel()
	named := strings.Replace(stmt(`"Sid": "Readers"`, allow), "GetSecretValue\"", "GetSecretValue\", \"Extra\": 1", 1)
	for _, tt := range []struct{ text, want string }{
		{``, "policies.json: it is not JSON: EOF"},
		{`{}`, "policies.json: it is no list of policies"},
		{stmt(allow), "policies.json: it is no list of policies"},
		{`[1]`, "policies.json: document 1: it is no object"},
		{`[` + stmt(allow) + `, {"Statement": []}]`, "policies.json: document 2: the list is empty"},
		{`[` + stmt(allow) + `, {"Statements": []}]`, `policies.json: document 2: unknown element "Statements"; did you mean Statement?`},
		{`[` + stmt(allow) + `, ` + named + `]`, `policies.json: document 2: statement 1: unknown element "Extra"`},
		{`[` + stmt(`"Sid": "Readers"`, strings.Replace(allow, "123456789012", "Bob", 1)) + `]`, `policies.json: document 1: statement 1 ("Readers"): principal "Bob" is none that can be named`},
		{`[` + stmt(`"Sid": "Readers"`, strings.Replace(allow, "secretsmanager:", "kms:", 1)) + `]`, `policies.json: document 1: statement 1 ("Readers"): Action "kms:GetSecretValue" is none of a secret`},
		{`[` + stmt(`"Sid": "Readers", "Effect": "Allow", "Action": "*", "Resource": "*"`) + `]`, `policies.json: document 1: statement 1 ("Readers"): there is neither Principal nor NotPrincipal`},
		{`[` + cond(`{"StringEqual": {"aws:username": "x"}}`) + `]`, `policies.json: document 1: statement 1: unknown condition operator "StringEqual"; did you mean StringEquals?`},
	} {
		s, err := ParseSet("policies.json", []byte(tt.text))
		if s != nil || err == nil || err.Error() != tt.want {
			t.Errorf("ParseSet(%.60s) = %v,\n got %v\nwant %s", tt.text, s, err, tt.want)
		}
	}
}

// All documents count, and the statement that decides says which it is in.
func TestParseSet(t *testing.T) {
	t.Parallel()
	s, err := ParseSet("policies.json", []byte(`[`+stmt(says("Allow", aws(abroad))[1:len(says("Allow", aws(abroad)))-1])+`,
		{"Version": "2012-10-17", "Statement": [`+says("Allow", aws(alice))+`, `+says("Allow", aws(app), `"Sid": "Readers"`)+`]}]`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		caller Caller
		want   string
	}{
		{userOf(home, "team/alice"), "policies.json: document 2, statement 1"},
		{sessionOf(home, "app", "x"), `policies.json: document 2, statement 2 ("Readers")`},
		{userOf(home, "bob"), ""},
	} {
		if d := s.Decide(reads(tt.caller), nil); d.Statement != tt.want || d.Allowed != (tt.want != "") {
			t.Errorf("%s: %+v, want %s", tt.caller.ARN, d, tt.want)
		}
	}
}

// ofText gives the cache a text under its own hash, which here is the text.
func ofText(c *Cache, text string) (*Policy, error) {
	return c.Policy(text, func() (string, error) { return text, nil })
}

func TestCache(t *testing.T) {
	t.Parallel()
	first, err := Parse(stmt(allow))
	if err != nil {
		t.Fatal(err)
	}
	c := NewCache(2*first.size() + 1)
	for range 2 {
		p, err := ofText(c, "{")
		if p != Unreadable || err != nil {
			t.Errorf("Policy of no policy = %v, %v", p, err)
		}
		if d := AllowAll().Decide(reads(userOf(home, "ann")), p); d.Allowed || !d.Explicit || d.Statement != "resource policy, which cannot be read" {
			t.Errorf("a policy that cannot be read: %+v", d)
		}
	}
	if first, err = ofText(c, stmt(allow)); err != nil {
		t.Fatal(err)
	}
	if again, err := c.Policy(stmt(allow), nil); again != first || err != nil {
		t.Errorf("the same text was read twice, or %v", err)
	}
	lost := errors.New("lost")
	if p, err := c.Policy("another", func() (string, error) { return "", lost }); p != nil || !errors.Is(err, lost) {
		t.Errorf("Policy of a text that cannot be read = %v, %v", p, err)
	}
	for _, text := range []string{stmt(allow) + " ", stmt(allow) + "  "} {
		if _, err := ofText(c, text); err != nil {
			t.Fatal(err)
		}
	}
	if again, _ := ofText(c, stmt(allow)); again == first {
		t.Error("the cache keeps more than two")
	}
}

// A Set, a Policy and a Cache may be used by many at once.
func TestDecideTogether(t *testing.T) {
	t.Parallel()
	c := NewCache(1 << 20)
	s := setOf(t, says("Allow", aws(alice), `"Condition": {"StringEquals": {"aws:username": "${aws:username}"}}`))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p, err := ofText(c, fifty())
			if err != nil {
				t.Error(err)
				return
			}
			if d := s.Decide(reads(userOf(home, "team/alice")), p); !d.Allowed {
				t.Errorf("Decide = %+v", d)
			}
			if d := s.Decide(reads(userOf(home, "bob")), p); d.Allowed || d.Explain() == "" {
				t.Errorf("Decide = %+v", d)
			}
		})
	}
	wg.Wait()
}

// A pattern of many stars takes no longer than it must.
func TestManyStars(t *testing.T) {
	t.Parallel()
	p, err := parsePattern(strings.Repeat("a*", 4000)+"b", true, false)
	if err != nil {
		t.Fatal(err)
	}
	if p.match(strings.Repeat("a", 20_000), nil) {
		t.Error("match = true")
	}
}

func benchmarkDecide(b *testing.B, set *Set, p *Policy, r Request, allowed bool) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if set.Decide(r, p).Allowed != allowed {
			b.Fatal("decided otherwise")
		}
	}
}

// Fifty statements with conditions, none or the last of which fits.
func BenchmarkDecide(b *testing.B) {
	p, err := Parse(fifty())
	if err != nil {
		b.Fatal(err)
	}
	worst := make([]string, 0, 50)
	for range 49 {
		worst = append(worst, `{"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::123456789012:role/team/app-49", "arn:aws:iam::444455556666:user/x"]},
			"Action": ["secretsmanager:Describe*", "secretsmanager:GetSecretValue"], "Resource": ["arn:aws:secretsmanager:*:*:secret:test/*", "arn:aws:secretsmanager:*:123456789012:secret:prod/*-??????"],
			"Condition": {"Bool": {"aws:SecureTransport": "true"}, "IpAddress": {"aws:SourceIp": ["198.51.100.0/24", "203.0.113.0/24"]},
				"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/app-*"}, "StringLike": {"aws:ResourceTag/team": ["red*", "blue"]},
				"StringEquals": {"secretsmanager:VersionStage": ["AWSPENDING", "AWSPREVIOUS"]}}}`)
	}
	worst = append(worst, says("Allow", aws("arn:aws:iam::123456789012:role/team/app-49")))
	r := asked(sessionOf(home, "app-49", "i-1"), Keys{"aws:resourcetag/team": {"blue"}, "secretsmanager:versionstage": {"AWSCURRENT"}})
	// A get without VersionStage is read in two ways, as what it says and as what it means.
	implied := r
	implied.Keys = Keys{"aws:resourcetag/team": {"blue"}}
	implied.Implied = Keys{"secretsmanager:versionstage": {"AWSCURRENT"}}
	b.Run("worst with a default", func(b *testing.B) { benchmarkDecide(b, nil, policyOf(b, worst...), implied, true) })
	b.Run("as large as may be", func(b *testing.B) { benchmarkDecide(b, nil, largest(b), implied, true) })
	b.Run("typical", func(b *testing.B) {
		r := r
		r.Caller.VPCE = "vpce-00000049"
		benchmarkDecide(b, nil, p, r, false) // IpAddress: through an endpoint there is no aws:SourceIp
	})
	b.Run("worst", func(b *testing.B) { benchmarkDecide(b, nil, policyOf(b, worst...), r, true) })
	b.Run("worst set", func(b *testing.B) { benchmarkDecide(b, setOf(b, worst...), nil, r, true) })
	b.Run("allow all", func(b *testing.B) { benchmarkDecide(b, AllowAll(), nil, r, true) })
}

// largest is a resource policy of the greatest length there may be: one name after another,
// none of which is the caller's, and at its end a statement that allows everything.
func largest(b *testing.B) *Policy {
	b.Helper()
	const limit = 20_480
	var statements []string
	last := says("Allow", aws("arn:aws:iam::123456789012:role/team/app-49"))
	for size := len(last) + 100; ; {
		s := fmt.Sprintf(`{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:*", "Resource": "*", "Condition": {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*-%d-*"}}}`, len(statements))
		if size += len(s) + 2; size > limit {
			return policyOf(b, append(statements, last)...)
		}
		statements = append(statements, s)
	}
}

func BenchmarkCache(b *testing.B) {
	c := NewCache(1 << 20)
	text := fifty()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ofText(c, text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExplain(b *testing.B) {
	p, err := Parse(fifty())
	if err != nil {
		b.Fatal(err)
	}
	d := AllowAll().Decide(reads(userOf(abroad, "x")), p)
	b.ReportAllocs()
	for b.Loop() {
		_ = d.Explain()
	}
}
