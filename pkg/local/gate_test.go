package local

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A refused signature is in the log with the access key that it claims and where it
// came from, and with nothing that might be a secret.
func TestRefusedSignatureIsLogged(t *testing.T) {
	t.Parallel()
	const rest = "/20261121/us-east-1/secretsmanager/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=0"
	for credential, key := range map[string]string{
		"AKIAIOSFODNN7EXAMPLE":        "AKIAIOSFODNN7EXAMPLE",
		"AKIAIOSFODNN7EXAMPLE\x1b[2J": "",
		"local":                       "local",
		"":                            "",
		strings.Repeat("A", 31):       strings.Repeat("A", 31),
		strings.Repeat("S", 32):       "", // may be a secret access key
		"wJalrXUtnFEMIK7MDENG/bPxRfiCYEXAMPLEKEYS": "", // as AWS's, with a slash
		aliceSecret: "",
	} {
		var log bytes.Buffer
		gate := &Gate{Bounds: newTestBounds(), Identify: testCredentials(t).Identify, Log: slog.New(slog.NewTextHandler(&log, nil))}
		r := newRequest()
		r.RemoteAddr = "192.0.2.7:1234"
		r.Header.Set("Authorization", algorithm+" Credential="+credential+rest)
		answer := httptest.NewRecorder()
		gate.ServeHTTP(answer, r)
		if answer.Code != http.StatusBadRequest {
			t.Errorf("%q: got status %d", credential, answer.Code)
		}
		want := "from=192.0.2.7\n"
		if key != "" {
			want = "accessKeyId=" + key + " " + want
		}
		if got := log.String(); !strings.Contains(got, "Exception "+want) {
			t.Errorf("%q: logged %q, want %q at its end", credential, got, want)
		}
	}
}

func TestThrottledCallerIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	gate := &Gate{
		Bounds: newTestBounds(), Identify: Unverified("111122223333"), Limiter: NewLimiter(1e-9, 1), Log: slog.New(slog.NewTextHandler(&log, nil)),
		Answer: func(_ http.ResponseWriter, _ *http.Request, caller Identity) error {
			if caller.Account != "111122223333" {
				t.Errorf("got account %s", caller.Account)
			}
			return nil
		},
	}
	for range 2 {
		gate.ServeHTTP(httptest.NewRecorder(), newRequest())
	}
	if got, want := log.String(), "code=ThrottlingException caller=arn:aws:iam::111122223333:user/anonymous from=192.0.2.1\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q at its end", got, want)
	}
}
