package policy

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// What is kept of a policy for an action decides that action as the whole does.
func TestCacheAbout(t *testing.T) {
	t.Parallel()
	const describe, get = "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"
	for _, test := range []struct {
		action, elements string // of the statement, after Effect and Principal
		kept             bool   // for DescribeSecret
	}{
		{describe, `"Action": "secretsmanager:DescribeSecret"`, true},
		{describe, `"Action": "secretsmanager:describesecret"`, true},
		{describe, `"Action": ["secretsmanager:Get*", "SecretsManager:D?scribe*"]`, true},
		{describe, `"Action": "*"`, true},
		{describe, `"NotAction": "secretsmanager:GetSecretValue"`, true},
		{describe, `"NotAction": "secretsmanager:Desc*"`, false},
		{get, `"Action": ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"]`, false},
	} {
		for _, effect := range []string{"Allow", "Deny"} {
			text := stmt(`"Effect": "` + effect + `", "Principal": {"AWS": "123456789012"}, "Resource": "*", ` + test.elements)
			c := NewCache(1 << 20)
			p, err := c.About(describe, text, func() (string, error) { return text, nil })
			if err != nil || (len(p.statements) == 1) != test.kept {
				t.Errorf("%s: got %d statements, %v; want it kept: %v", test.elements, len(p.statements), err, test.kept)
			}
			whole, err := ofText(c, text)
			if err != nil || len(whole.statements) != 1 {
				t.Errorf("%s: the whole policy has %d statements, %v", test.elements, len(whole.statements), err)
			}
			r := reads(userOf(home, "ann"))
			r.Action = describe
			if got, want := AllowAll().Decide(r, p), AllowAll().Decide(r, whole); got.Allowed != want.Allowed || got.Explicit != want.Explicit {
				t.Errorf("%s: got allowed %v by the part, want %v as by the whole", test.elements, got.Allowed, want.Allowed)
			}
		}
	}
	c := NewCache(1 << 20)
	for range 2 {
		if p, err := c.About(describe, "{", func() (string, error) { return "{", nil }); p != Unreadable || err != nil {
			t.Errorf("About of no policy = %v, %v", p, err)
		}
	}
	if !c.Has(describe, "{") || c.Has(get, "{") || c.Has(describe, "another") {
		t.Error("Has is wrong about what is kept")
	}
	// A whole policy that is kept need not be read for a part of it.
	if _, err := ofText(c, stmt(allow)); err != nil || !c.Has(describe, stmt(allow)) {
		t.Errorf("the whole policy does not do for its parts, or %v", err)
	}
	if p, err := c.About(describe, stmt(allow), nil); err != nil || len(p.statements) != 0 {
		t.Errorf("About = %v, %v", p, err)
	}
}

// The sizes that a Cache counts are about what policies take, however they are written.
func TestCacheSizes(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	for name, text := range map[string]string{
		"as policies are":     fifty(),
		"many actions":        stmt(`"Effect": "Allow", "Principal": "*", "Resource": "*", "Action": [` + strings.Repeat(`"*",`, 4900) + `"*"]`),
		"many wildcards":      stmt(`"Effect": "Allow", "Principal": "*", "Resource": "arn:aws:secretsmanager:*:*:secret:` + strings.Repeat("?*", 9000) + `", "Action": "*"`),
		"many statements":     `{"Statement": [` + strings.Repeat(`{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"},`, 320) + `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}`,
		"many principals":     stmt(`"Effect": "Allow", "Resource": "*", "Action": "*", "Principal": {"AWS": [` + strings.Repeat(`"123456789012",`, 1300) + `"*"]}`),
		"many values":         stmt(`"Effect": "Deny", "Principal": "*", "Resource": "*", "Action": "*", "Condition": {"StringLike": {"aws:username": [` + strings.Repeat(`"*?",`, 3900) + `"a"]}}`),
		"many numbers":        stmt(`"Effect": "Deny", "Principal": "*", "Resource": "*", "Action": "*", "Condition": {"NumericEquals": {"aws:EpochTime": [` + strings.Repeat(`"1",`, 4800) + `"1"]}}`),
		"many addresses":      stmt(`"Effect": "Deny", "Principal": "*", "Resource": "*", "Action": "*", "Condition": {"IpAddress": {"aws:SourceIp": [` + strings.Repeat(`"10.0.0.0/8",`, 1500) + `"10.0.0.0/8"]}}`),
		"nothing of interest": stmt(allow),
	} {
		const n = 40
		var kept [n]*Policy
		before := heap()
		for i := range kept {
			p, err := parse(strings.Clone(text), parser{stored: true, sid: looseSid})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			kept[i] = p
		}
		took, counted := (int(heap())-int(before))/n, kept[0].size()
		if counted < took*2/3 || counted > took*5+2000 {
			t.Errorf("%s: counted %d bytes, took %d", name, counted, took)
		}
		runtime.KeepAlive(&kept)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A Cache keeps no more bytes than it should, and what it used last.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	const most = 200_000
	c := NewCache(most)
	for i := range 300 {
		text := stmt(allow, fmt.Sprintf(`"Sid": "S%d"`, i))
		if _, err := ofText(c, text); err != nil {
			t.Fatal(err)
		}
		if again, err := c.Policy(text, nil); again == nil || err != nil {
			t.Fatalf("the policy used last is gone, or %v", err)
		}
	}
	if c.bytes > most || c.bytes < most/2 {
		t.Errorf("got %d bytes kept, want nearly %d", c.bytes, most)
	}
	if _, err := ofText(NewCache(10), stmt(allow)); err != nil {
		t.Error(err)
	}
}
