package policy

import (
	"reflect"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"a policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::123456789012:root","444455556666"]},"Action":"secretsmanager:*","Resource":"*"},{"Effect":"Deny"}]}`, `{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : [ "arn:aws:iam::123456789012:root", "444455556666" ]
    },
    "Action" : "secretsmanager:*",
    "Resource" : "*"
  }, {
    "Effect" : "Deny"
  } ]
}`},
		{"a statement alone", `{"Statement":{"Condition":{"Bool":{"aws:SecureTransport":false}}}}`, `{
  "Statement" : {
    "Condition" : {
      "Bool" : {
        "aws:SecureTransport" : false
      }
    }
  }
}`},
		{"empty", `{"a":{},"b":[],"c":[{}],"d":[[]]}`, "{\n  \"a\" : { },\n  \"b\" : [ ],\n  \"c\" : [ { } ],\n  \"d\" : [ [ ] ]\n}"},
		{"nothing in it", `{}`, `{ }`},
		{"the order stays", `{"b":1,"a":2}`, "{\n  \"b\" : 1,\n  \"a\" : 2\n}"},
		{"numbers as they were written", `[1.50,1e3,-0,12345678901234567890]`, `[ 1.50, 1e3, -0, 12345678901234567890 ]`},
		{"constants", `[true,false,null]`, `[ true, false, null ]`},
		{"white space", " {\t\"a\"\r\n:\n[ 1 , 2 ] } \n", "{\n  \"a\" : [ 1, 2 ]\n}"},
		{"escapes that must be", `["\"\\\b\f\n\r\t\u0001\u001f"]`, `[ "\"\\\b\f\n\r\t\u0001\u001F" ]`},
		{"escapes that need not be", `["\/\u0041\u00e4\ud83d\ude00<>&\u2028"]`, "[ \"/Aä😀<>&\u2028\" ]"},
		{"a name", `{"\"a\"":1}`, "{\n  \"\\\"a\\\"\" : 1\n}"},
		{"formatted", "{\n  \"a\" : [ {\n    \"b\" : { }\n  } ]\n}", "{\n  \"a\" : [ {\n    \"b\" : { }\n  } ]\n}"},
	} {
		if got, err := Format(tt.text); err != nil || got != tt.want {
			t.Errorf("%s: got %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	for _, text := range []string{"", "{", `{"a":1}}`, `{"a":1,"a":2}`, "\xff", strings.Repeat("[", 100)} {
		if got, err := Format(text); err == nil || got != "" {
			t.Errorf("%.20q: got %q, %v, want an error", text, got, err)
		}
	}
}

// A formatted policy says what the policy says, and is formatted already.
func TestFormatSaysTheSame(t *testing.T) {
	t.Parallel()
	for name, text := range good {
		checkFormat(t, name, text)
	}
}

func checkFormat(t *testing.T, name, text string) {
	t.Helper()
	want, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	formatted, err := Format(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got, err := Parse(formatted)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, %v from %s, want %+v", name, got, err, formatted, want)
	}
	if again, err := Format(formatted); err != nil || again != formatted {
		t.Errorf("%s: got %s, %v formatted again, want %s", name, again, err, formatted)
	}
}
