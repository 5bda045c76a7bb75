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
		again, err := Parse(canonical(p))
		if err != nil {
			t.Fatalf("Parse of what it read: %v\n%s", err, canonical(p))
		}
		if !reflect.DeepEqual(p, again) {
			t.Fatalf("Parse =\n%+v, again\n%+v", p, again)
		}
		checkFormat(t, "fuzzed", text)
		if findings, err := Validate(text); err != nil || len(findings) != len(p.Broad()) {
			t.Fatalf("Validate = %+v, %v, want %+v", findings, err, p.Broad())
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
func canonical(p *Policy) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"Version": %s, "Id": %s, "Statement": [`, quote(p.Version), quote(p.ID))
	for i, s := range p.Statements {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, `{"Sid": %s, "Effect": %s`, quote(s.Sid), quote(s.Effect))
		fmt.Fprintf(&b, `, %s: %s`, quote(not(s.Actions.Except)+"Action"), quote(s.Actions.Any))
		fmt.Fprintf(&b, `, %s: %s`, quote(not(s.Resources.Except)+"Resource"), quote(s.Resources.Any))
		var kinds, conditions []string
		for i := 0; i < len(s.Principals.Any); {
			kind, ids := s.Principals.Any[i].Kind, []string{}
			for ; i < len(s.Principals.Any) && s.Principals.Any[i].Kind == kind; i++ {
				ids = append(ids, s.Principals.Any[i].ID)
			}
			kinds = append(kinds, quote(kind)+": "+quote(ids))
		}
		for i := 0; i < len(s.Conditions); {
			op, keys := s.Conditions[i].Operator, []string{}
			for ; i < len(s.Conditions) && s.Conditions[i].Operator == op; i++ {
				keys = append(keys, quote(s.Conditions[i].Key)+": "+quote(s.Conditions[i].Values))
			}
			name := op.Name
			if op.Each != "" {
				name = op.Each + ":" + name
			}
			if op.IfExists {
				name += "IfExists"
			}
			conditions = append(conditions, quote(name)+": {"+strings.Join(keys, ", ")+"}")
		}
		fmt.Fprintf(&b, `, %s: {%s}, "Condition": {%s}}`, quote(not(s.Principals.Except)+"Principal"), strings.Join(kinds, ", "), strings.Join(conditions, ", "))
	}
	b.WriteString("]}")
	return b.String()
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
	before := canonical(p)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { p.Broad() })
	}
	wg.Wait()
	if after := canonical(p); !reflect.DeepEqual(after, before) {
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
