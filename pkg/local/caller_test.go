package local

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/policy"
)

func TestCallerNamesTheAccessKey(t *testing.T) {
	t.Parallel()
	const rest = "/20261121/us-east-1/secretsmanager/aws4_request, SignedHeaders=host;x-amz-date, Signature=0"
	for header, want := range map[string]string{
		algorithm + " Credential=local" + rest:                      "local",
		algorithm + " Credential=AKIAIOSFODNN7EXAMPLE" + rest:       "AKIAIOSFODNN7EXAMPLE",
		algorithm + " Credential=local/x":                           "local",
		algorithm + " Credential=local":                             "local",
		algorithm + " Credential=a_+=.@-9" + rest:                   "a_+=.@-9",
		algorithm + " SignedHeaders=Host;A, Credential=local/x":     "local",
		algorithm + " Credential=" + strings.Repeat("x", 64) + rest: strings.Repeat("x", 64),
		algorithm + " Credential=" + strings.Repeat("x", 65) + rest: "",
		algorithm + " Credential=" + strings.Repeat("x", 1<<20):     "",
		algorithm + " Credential=*" + rest:                          "",
		algorithm + " Credential=a?" + rest:                         "",
		algorithm + " Credential=${aws:username}" + rest:            "",
		algorithm + " Credential=a:b" + rest:                        "",
		algorithm + " Credential=a b" + rest:                        "",
		algorithm + " Credential=a\nb" + rest:                       "",
		algorithm + " Credential=ä" + rest:                          "",
		algorithm + " Credential=\xff" + rest:                       "",
		algorithm + " Credential=" + rest:                           "",
		algorithm + " Credential=root, Credential=local" + rest:     "root",
		algorithm:        "",
		"Basic Y3JlZDp4": "",
		"":               "",
		"AWS4-ECDSA-P256-SHA256 Credential=local/20261121/secretsmanager/x,": "",
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Authorization", header)
		key := want
		if want == "" {
			want = "anonymous"
		}
		got := Caller(r)
		if got.ARN != "arn:aws:iam::000000000000:user/"+want || got.UserID != want || got.AccessKey != key || got.Account != "000000000000" || got.Secure {
			t.Errorf("%.80q: got %+v, want %s", header, got, want)
		}
	}

	r := httptest.NewRequest(http.MethodPost, "/", nil)
	if got := Caller(r).UserID; got != "anonymous" {
		t.Errorf("no header: got %q", got)
	}
	r.Header["Authorization"] = []string{algorithm + " Credential=a/x", algorithm + " Credential=b/x"}
	if got := Caller(r).UserID; got != "anonymous" {
		t.Errorf("two headers: got %q", got)
	}
}

func TestCallerOfTheSDK(t *testing.T) {
	t.Parallel()
	g := startGate(t, Unverified(Account), nil)
	if _, err := g.client("local", "whatever", "", nil).ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}); err != nil {
		t.Fatal(err)
	}
	want := policy.Caller{
		ARN: "arn:aws:iam::000000000000:user/local", Account: Account, UserID: "local", AccessKey: "local",
		SourceIP: "127.0.0.1", UserAgent: g.caller.UserAgent, Secure: true,
	}
	if g.caller != want {
		t.Errorf("got %+v, want %+v", g.caller, want)
	}
}

func TestSourceIP(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1", "[::1]:80": "::1", "[::ffff:127.0.0.1]:80": "127.0.0.1", "[fe80::1%eth0]:80": "fe80::1",
		"": "", "@": "", "127.0.0.1": "", "pipe": "", "localhost:80": "",
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		r.Header.Set("Forwarded", "for=192.0.2.1")
		if got := Caller(r).SourceIP; got != want {
			t.Errorf("%q: got %q, want %q", remote, got, want)
		}
	}
}

// What does not leave this machine counts as secure; headers are not trusted for it.
func TestSecureOnLoopback(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]bool{
		"127.0.0.1:1": true, "127.1.2.3:1": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true,
		"192.0.2.1:1": false, "172.17.0.1:1": false, "[fe80::1%eth0]:80": false, "0.0.0.0:1": false, "": false, "@": false, "localhost:80": false,
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-Proto", "https")
		if got := Caller(r).Secure; got != want {
			t.Errorf("%q: got %v, want %v", remote, got, want)
		}
	}
}

// A user agent of any length and of any bytes is there for policies and records, which
// hold its beginning.
func TestUserAgentIsKept(t *testing.T) {
	t.Parallel()
	for _, agent := range []string{strings.Repeat("x", 5000), strings.Repeat("\xff", 5000), "a\u202eb"} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("User-Agent", agent)
		if got := Caller(r).UserAgent; got != agent {
			t.Errorf("got %d bytes of %d: %.40q", len(got), len(agent), got)
		}
	}
}
