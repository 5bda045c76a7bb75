// Package signature reads the AWS Signature Version 4 of a request, and checks it
// against a secret access key.
//
// A signature that passes fits the request and the time, and covers all that decides
// what is done. Errors are for the caller, in AWS's words, and hold nothing of the
// Authorization header: a secret put in the place of its access key would be in them.
package signature

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	// maxSkew is how old a signature may be, or how far ahead, as with AWS. For
	// that long a captured request can be sent again, as with
	// AWS too: SigV4 has nothing that is used only once.
	maxSkew = 5 * time.Minute

	signatureTime = "20060102T150405Z"
	signatureDate = "20060102"
	algorithm     = "AWS4-HMAC-SHA256"
)

// Codes of refusals, as AWS's services have them in common.
const (
	missingToken        secret.Code = "MissingAuthenticationTokenException"
	incompleteSignature secret.Code = "IncompleteSignatureException"
	invalidSignature    secret.Code = "InvalidSignatureException"
	unrecognizedClient  secret.Code = "UnrecognizedClientException"
)

// Refusals of a signature that was read.
var (
	// Unrecognized is for an access key that is not known.
	Unrecognized = secret.Errorf(unrecognizedClient, "The security token included in the request is invalid.")
	// Wrong is for a signature that was not made with the secret of its access key.
	Wrong = secret.Errorf(invalidSignature, "The request signature we calculated does not match the signature you provided. "+
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
)

func refuse(code secret.Code, format string, args ...any) error {
	return secret.Errorf(code, format, args...)
}

// A Signature is what a request says of how it was signed with AWS Signature
// Version 4. It fits the request and the time, and covers what decides what is
// done; whether the secret was used that it should be, IsBy says.
type Signature struct {
	AccessKey string // that the caller claims
	Region    string // that the request is for; any text
	service   string
	at        time.Time
	headers   []string // that are signed: lower case, in order
	payload   string   // hash of the body that was really read
	value     string
}

// Read reads the signature of a request for one of services. The
// region is taken as the caller has it: it is the credential that counts.
//
// Nothing of the Authorization header is in an error: who takes the secret for
// the access key has the secret in it.
func Read(r *http.Request, body []byte, now time.Time, services ...string) (Signature, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return Signature{}, refuse(missingToken, "Missing Authentication Token")
	}
	auth, ok := parseAuthorization(headers[0])
	if !ok || len(headers) > 1 || !auth.isComplete() {
		return Signature{}, refuse(incompleteSignature, "There must be one Authorization header, and in it, after %s, "+
			"a 'Credential' parameter, a 'SignedHeaders' parameter with names in lower case and in order, and a 'Signature' parameter.", algorithm)
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(signatureTime, date)
	if err != nil || at.Format(signatureTime) != date { // Parse takes fractions of a second, too
		return Signature{}, refuse(incompleteSignature, "Authorization header requires existence of a 'X-Amz-Date' header, such as %s.", signatureTime)
	}
	scope := strings.Split(auth.credential, "/")
	if len(scope) != 5 {
		return Signature{}, refuse(incompleteSignature, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	sum := sha256.Sum256(body)
	s := Signature{
		AccessKey: scope[0], Region: scope[2], service: scope[3],
		at: at, headers: auth.headers, payload: hex.EncodeToString(sum[:]), value: auth.signature,
	}
	switch {
	case scope[1] != at.Format(signatureDate):
		return s, refuse(invalidSignature, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
	case !slices.Contains(services, s.service):
		return s, refuse(invalidSignature, "Credential should be scoped to correct service: '%s'.", strings.Join(services, "' or '"))
	case scope[4] != "aws4_request":
		return s, refuse(invalidSignature, "Credential should be scoped with a valid terminator: 'aws4_request'.")
	}
	if err := checkAge(at, now); err != nil {
		return s, err
	}
	return s, s.checkCover(r)
}

func checkAge(at, now time.Time) error {
	now = now.UTC()
	oldest, newest := now.Add(-maxSkew), now.Add(maxSkew)
	switch {
	case at.Before(oldest):
		return refuse(invalidSignature, "Signature expired: %s is now earlier than %s (%s - 5 min.)",
			at.Format(signatureTime), oldest.Format(signatureTime), now.Format(signatureTime))
	case at.After(newest):
		return refuse(invalidSignature, "Signature not yet current: %s is still later than %s (%s + 5 min.)",
			at.Format(signatureTime), newest.Format(signatureTime), now.Format(signatureTime))
	}
	return nil
}

// checkCover checks that there is nothing in a request that matters, and that
// could be other than it was when it was signed.
func (s Signature) checkCover(r *http.Request) error {
	needed := []string{"host", "x-amz-date", "x-amz-target"}
	if r.Header["X-Amz-Security-Token"] != nil {
		needed = append(needed, "x-amz-security-token")
	}
	for _, name := range needed {
		if !slices.Contains(s.headers, name) {
			return refuse(invalidSignature, "'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
		// Two headers are signed as one with a comma between them, but read as
		// two.
		if len(r.Header.Values(name)) != 1 && name != "host" {
			return refuse(invalidSignature, "There must be one header '%s'.", name)
		}
	}
	// Whatever is in here that is no hash of the body: UNSIGNED-PAYLOAD, a stream.
	if sums := r.Header["X-Amz-Content-Sha256"]; sums != nil && !slices.Equal(sums, []string{s.payload}) {
		return refuse(invalidSignature, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	// The signer passes over what it cannot take apart.
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil || r.URL.Opaque != "" {
		return refuse(invalidSignature, "The URL of the request cannot be read.")
	}
	return nil
}

// IsBy says whether the request was signed with this secret, by signing it
// again and comparing. It takes as long for a wrong one as for the right one.
func (s Signature) IsBy(secretAccessKey string, r *http.Request, body []byte) (bool, error) {
	again := &http.Request{
		Method: r.Method,
		URL:    &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}, // the signer writes to it
		Host:   r.Host,
		Header: make(http.Header, len(s.headers)),
	}
	for _, name := range s.headers {
		switch name {
		case "host", "x-amz-date": // the signer's own
		case "content-length":
			again.ContentLength = int64(len(body))
		default:
			// Under a name in lower case the signer signs what it otherwise
			// leaves alone: User-Agent for one, which SDKs of other languages sign.
			again.Header[name] = slices.Clone(r.Header.Values(name))
		}
	}
	credential := aws.Credentials{AccessKeyID: s.AccessKey, SecretAccessKey: secretAccessKey}
	// A signer remembers a key for each region and service: one that stays would
	// grow with every region that a caller can think of.
	err := v4.NewSigner().SignHTTP(r.Context(), credential, again, s.payload, s.service, s.Region, s.at)
	if err != nil {
		return false, err
	}
	want, _ := parseAuthorization(again.Header.Get("Authorization"))
	return subtle.ConstantTimeCompare([]byte(want.signature), []byte(s.value)) == 1, nil
}

// Credential is what an Authorization header says it was signed with, access key first
// and the scope behind slashes. It proves nothing, and is empty for a header that is no
// signature.
func Credential(header string) string {
	auth, _ := parseAuthorization(header)
	return auth.credential
}

type authorization struct {
	credential string
	headers    []string
	signature  string
}

// parseAuthorization takes apart
//
//	AWS4-HMAC-SHA256 Credential=…/20261121/us-east-1/kms/aws4_request, SignedHeaders=host;x-amz-date, Signature=…
//
// in whatever order, with each of the three at most once and nothing else.
func parseAuthorization(header string) (a authorization, ok bool) {
	fields, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return a, false
	}
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch {
		case value == "":
			return a, false
		case name == "Credential" && a.credential == "":
			a.credential = value
		case name == "SignedHeaders" && a.headers == nil:
			a.headers = strings.Split(value, ";")
		case name == "Signature" && a.signature == "":
			a.signature = value
		default:
			return a, false
		}
	}
	return a, true
}

// isComplete says whether everything is there that makes up a signature, with
// the headers as they are signed: each once and in order.
func (a authorization) isComplete() bool {
	for i, name := range a.headers {
		if name == "" || name != strings.ToLower(name) || i > 0 && a.headers[i-1] >= name {
			return false
		}
	}
	return a.credential != "" && a.headers != nil && a.signature != ""
}
