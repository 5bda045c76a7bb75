package signature

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What is found in a header, is in it, and is found again in another order. How
// requests are checked, pkg/local tests with those of an SDK.
func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=a/20260304/us-east-1/secretsmanager/aws4_request, SignedHeaders=host;x-amz-date, Signature=0")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=;;, Signature=")
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=authorization;host;x-amz-date;x-amz-target,Signature=x")
	f.Add("AWS4-HMAC-SHA256 ,")
	f.Fuzz(func(t *testing.T, header string) {
		auth, ok := parseAuthorization(header)
		if !ok {
			return
		}
		for _, part := range slices.Concat(auth.headers, []string{auth.credential, auth.signature}) {
			if !strings.Contains(header, part) {
				t.Errorf("%q is not in %q", part, header)
			}
		}
		if !auth.isComplete() {
			return
		}
		canonical := "AWS4-HMAC-SHA256 Signature=" + auth.signature + ",SignedHeaders=" + strings.Join(auth.headers, ";") + ",  Credential=" + auth.credential
		if again, ok := parseAuthorization(canonical); !ok || fmt.Sprint(again) != fmt.Sprint(auth) {
			t.Errorf("%q: got %v, want %v", canonical, again, auth)
		}
	})
}
