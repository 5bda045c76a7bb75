package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/secret"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	broad := strings.Replace(allow, `{"AWS": "123456789012"}`, `"*"`, 1)
	for _, tt := range []struct {
		name, text string
		want       []string // the names of the checks
	}{
		{"passes", stmt(`"Sid": "Readers1"`, allow), nil},
		{"no Sid", stmt(allow), nil},
		{"an empty Sid", stmt(`"Sid": ""`, allow), nil},
		{"a blank", stmt(`"Sid": "Let the app in"`, allow), []string{unsupportedSid}},
		{"a hyphen", stmt(`"Sid": "vpc-12345678"`, allow), []string{unsupportedSid}},
		{"a line end", stmt(`"Sid": "a\n"`, allow), []string{unsupportedSid}},
		{"Greek", stmt(`"Sid": "α"`, allow), []string{unsupportedSid}},
		{"broad", stmt(broad), []string{broadAccess}},
		{"a misspelt action", stmt(strings.Replace(allow, "GetSecretValue", "GetSecretValu", 1)), []string{invalidAction}},
		{"both", `{"Statement": [{"Sid": "a b", ` + broad + `}, {"Sid": "c.d", ` + allow + `}]}`, []string{unsupportedSid, unsupportedSid, broadAccess}},
	} {
		got, err := Validate(tt.text)
		if err != nil || len(got) != len(tt.want) {
			t.Errorf("%s: got %+v, %v, want %q", tt.name, got, err, tt.want)
			continue
		}
		for i, f := range got {
			if f.CheckName != tt.want[i] || f.ErrorMessage == "" {
				t.Errorf("%s: got finding %+v, want %s", tt.name, f, tt.want[i])
			}
		}
		if _, err := Parse(tt.text); (err == nil) == strings.Contains(fmt.Sprint(tt.want), unsupportedSid) {
			t.Errorf("%s: Parse: %v, want it refused for a Sid that Validate finds", tt.name, err)
		}
	}
	for _, text := range []string{"{", stmt(`"Sid": 1`, allow), stmt(`"Sid": "a b", "Effect": "Maybe"`), `{"Statement": [{"Sid": "a b", ` + allow + `}, {"Sid": "a b", ` + allow + `}]}`} {
		if got, err := Validate(text); !errors.Is(err, badSyntax) || got != nil {
			t.Errorf("%s: got %+v, %v, want %v", text, got, err, badSyntax)
		}
	}
}

// Policies that were taken with other Sids than today still hold.
func TestLooseSids(t *testing.T) {
	t.Parallel()
	for _, sid := range []string{"Let the app in: v1.2", "AllowAdministrativeActionsfromONLYvpc-12345678", "a_b"} {
		text := stmt(fmt.Sprintf(`"Sid": %q`, sid), allow)
		if _, err := Parse(text); err == nil {
			t.Errorf("%q: got it taken, want it refused", sid)
		}
		p, err := NewCache(1).Policy("hash", func() (string, error) { return text, nil })
		if err != nil || p == Unreadable || p.statements[0].sid != sid {
			t.Errorf("%q: got %+v, %v of a stored policy, want it read", sid, p, err)
		}
		if _, err := ParseSet("policies.json", []byte("["+text+"]")); err != nil {
			t.Errorf("%q: got %v of a principal policy, want it read", sid, err)
		}
		if formatted, err := Format(text); err != nil || !json.Valid([]byte(formatted)) {
			t.Errorf("%q: got %s, %v, want it formatted", sid, formatted, err)
		}
	}
	_, err := Parse(stmt(`"Sid": "a b"`, allow))
	if refusal, ok := errors.AsType[secret.Error](err); !ok || refusal.Code != secret.MalformedPolicyDocument {
		t.Errorf("got %v, want MalformedPolicyDocumentException", err)
	}
}
