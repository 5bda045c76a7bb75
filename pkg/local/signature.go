package local

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// maxSkew is how old a signature may be, as with AWS.
const maxSkew = 5 * time.Minute

// verify checks that r was signed with the credential, by signing it again and
// comparing. What is signed covers the headers that the caller named, among
// them those that decide what is done, and the body that was really read.
// The region is taken as the caller has it: it is the credential that counts.
func verify(r *http.Request, body []byte, credential aws.Credentials, now time.Time) error {
	auth, ok := parseAuthorization(r.Header.Get("Authorization"))
	if !ok {
		return refuse("MissingAuthenticationTokenException", "The request is not signed with AWS Signature Version 4.")
	}
	signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return refuse("IncompleteSignatureException", "The request has no valid X-Amz-Date.")
	}
	scope := strings.Split(auth.credential, "/")
	if len(scope) != 5 || scope[1] != signed.Format("20060102") || scope[3] != "kms" || scope[4] != "aws4_request" {
		return refuse("InvalidSignatureException", "The request is not signed for KMS.")
	}
	if now.Sub(signed).Abs() > maxSkew {
		return refuse("InvalidSignatureException", "Signature expired: the request was signed more than %s ago, or in the future.", maxSkew)
	}
	for _, needed := range []string{"host", "x-amz-date", "x-amz-target"} {
		if !slices.Contains(auth.headers, needed) {
			return refuse("InvalidSignatureException", "The signature does not cover the header %s.", needed)
		}
	}

	again := (&http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: http.Header{}}).WithContext(r.Context())
	for _, name := range auth.headers {
		switch name {
		case "host": // of the request itself
		case "content-length":
			again.ContentLength = int64(len(body))
		default:
			name = textproto.CanonicalMIMEHeaderKey(name)
			again.Header[name] = slices.Clone(r.Header[name])
		}
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(r.Context(), credential, again, hex.EncodeToString(sum[:]), "kms", scope[2], signed)
	if err != nil {
		return err
	}
	want, _ := parseAuthorization(again.Header.Get("Authorization"))
	sameKey := subtle.ConstantTimeCompare([]byte(credential.AccessKeyID), []byte(scope[0]))
	sameSignature := subtle.ConstantTimeCompare([]byte(want.signature), []byte(auth.signature))
	if sameKey&sameSignature != 1 {
		return refuse("UnrecognizedClientException", "The request is not signed with the credential of this run of Strongroom.")
	}
	return nil
}

type authorization struct {
	credential string
	headers    []string
	signature  string
}

// parseAuthorization takes apart
//
//	AWS4-HMAC-SHA256 Credential=…/20261121/us-east-1/kms/aws4_request, SignedHeaders=host;x-amz-date, Signature=…
func parseAuthorization(header string) (a authorization, ok bool) {
	fields, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		return a, false
	}
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			a.credential = value
		case "SignedHeaders":
			a.headers = strings.Split(value, ";")
		case "Signature":
			a.signature = value
		}
	}
	return a, a.credential != "" && a.headers != nil && a.signature != ""
}
