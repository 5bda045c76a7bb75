package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/strongroom/strongroom/pkg/secret"
)

// Whatever the text, Parse answers with a policy or with one of three refusals;
// a policy is the same after it was written down and read again.
func FuzzParse(f *testing.F) {
	for _, text := range good {
		f.Add(text)
	}
	f.Add(stmt(rest, `"Principal": {"AWS": ["*"], "Service": "rds.amazonaws.com", "Federated": "accounts.google.com"}`, `"Condition": {
		"ForAllValues:StringLikeIfExists": {"aws:PrincipalOrgID": ["o-a*"]}, "Null": {"aws:PrincipalOrgID": false},
		"NumericEquals": {"aws:EpochTime": 1e3}, "DateLessThan": {"aws:CurrentTime": "2020"}, "BinaryEquals": {"aws:userid": "QQ=="},
		"IpAddress": {"aws:SourceIp": ["::/0", "203.0.113.7"]}, "ArnLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/*"}}`))
	f.Add(`{"Statement": [[]]}`)
	f.Add(strings.Repeat(`[`, 100))
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			refusal, ok := errors.AsType[secret.Error](err)
			if p != nil || !ok || refusal != badSyntax && refusal != badPrincipal && refusal != badService {
				t.Fatalf("Parse = %+v, %v", p, err)
			}
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatal("Parse takes what is not JSON")
		}
		canonical := canonical(p, versionOf(text))
		again, err := Parse(canonical)
		if err != nil {
			t.Fatalf("Parse of what it read: %v\n%s", err, canonical)
		}
		if !reflect.DeepEqual(p, again) {
			t.Fatalf("Parse =\n%+v, again\n%+v", p, again)
		}
		checkFormat(t, "fuzzed", text)
		want := p.Broad()
		for i := range p.statements {
			for range p.statements[i].actions.unknownActions() {
				want = append(want, Finding{CheckName: invalidAction})
			}
		}
		if findings, err := Validate(text); err != nil || len(findings) != len(want) {
			t.Fatalf("Validate = %+v, %v, want %+v", findings, err, want)
		}
		if !reflect.DeepEqual(p.Broad(), again.Broad()) {
			t.Fatalf("Broad = %+v, again %+v", p.Broad(), again.Broad())
		}
		if !strings.Contains(text, "Allow") && !strings.Contains(text, `\u`) && p.Broad() != nil {
			t.Fatalf("without an Allow, Broad = %+v", p.Broad())
		}
	})
}

// canonical writes a policy with everything it may leave out and every list as
// a list. It builds the text itself, to keep the order of kinds and conditions.
func canonical(p *Policy, version string) string {
	var statements []string
	for _, s := range p.statements {
		var kinds, conditions []string
		for _, one := range s.principals.any {
			kind, id := named(one)
			if last := len(kinds) - 1; last >= 0 && strings.HasPrefix(kinds[last], quote(kind)) {
				kinds[last] = strings.TrimSuffix(kinds[last], "]") + ", " + quote(id) + "]"
			} else {
				kinds = append(kinds, quote(kind)+": ["+quote(id)+"]")
			}
		}
		for _, c := range s.conditions {
			op, values := quote(c.operator.String())+": {", quote(c.name)+": "+quote(c.values)+"}"
			if last := len(conditions) - 1; last >= 0 && strings.HasPrefix(conditions[last], op) {
				conditions[last] = strings.TrimSuffix(conditions[last], "}") + ", " + values
			} else {
				conditions = append(conditions, op+values)
			}
		}
		effect := "Allow"
		if s.deny {
			effect = "Deny"
		}
		statements = append(statements, fmt.Sprintf(`{"Sid": %s, "Effect": %s, %s: %s, %s: %s, %s: {%s}, "Condition": {%s}}`, quote(s.sid), quote(effect),
			quote(not(s.actions.except)+"Action"), quote(s.actions.texts), quote(not(s.resources.except)+"Resource"), quote(s.resources.texts),
			quote(not(s.principals.except)+"Principal"), strings.Join(kinds, ", "), strings.Join(conditions, ", ")))
	}
	return fmt.Sprintf(`{"Version": %s, "Id": "", "Statement": [%s]}`, quote(version), strings.Join(statements, ", "))
}

// named is how a policy names a principal.
func named(p principal) (kind, id string) {
	iam, sts := "arn:"+p.partition+":iam::"+p.account+":", "arn:"+p.partition+":sts::"+p.account+":"
	switch p.kind {
	case everyone:
		return "AWS", "*"
	case account:
		if p.partition == "" {
			return "AWS", p.account
		}
		return "AWS", iam + "root"
	case user:
		return "AWS", iam + "user/" + p.name
	case role:
		return "AWS", iam + "role/" + p.name
	case session:
		return "AWS", sts + "assumed-role/" + p.name + "/" + p.session
	case federatedUser:
		return "AWS", sts + "federated-user/" + p.name
	case awsService:
		return "Service", p.name
	}
	return "Federated", p.name
}

// versionOf is the version of a policy, which has no member twice.
func versionOf(text string) string {
	document := struct{ Version string }{Version: version2008}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		panic(err)
	}
	return document.Version
}

func not(except bool) string {
	if except {
		return "Not"
	}
	return ""
}

func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// A policy may be shared: finding its faults changes nothing in it.
func TestPolicyIsShared(t *testing.T) {
	t.Parallel()
	p, err := Parse(fifty())
	if err != nil {
		t.Fatal(err)
	}
	before := canonical(p, version2012)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { p.Broad() })
	}
	wg.Wait()
	if after := canonical(p, version2012); !reflect.DeepEqual(after, before) {
		t.Errorf("Broad made\n%s of\n%s", after, before)
	}
}

// fifty is a policy of fifty statements.
func fifty() string {
	var all []string
	for i := range 50 {
		all = append(all, fmt.Sprintf(`{"Sid": "S%d", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::123456789012:role/team/app-%d", "123456789012"]},
			"Action": ["secretsmanager:GetSecretValue", "secretsmanager:Describe*"], "Resource": "*",
			"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-%08d"}, "IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}`, i, i, i))
	}
	return `{"Version": "2012-10-17", "Statement": [` + strings.Join(all, ", ") + `]}`
}

func BenchmarkParse(b *testing.B) {
	text := fifty()
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBroad(b *testing.B) {
	p, err := Parse(strings.ReplaceAll(fifty(), `"123456789012"`, `"*"`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := p.Broad(); got != nil {
			b.Fatal(got)
		}
	}
}
