package local

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	smithyauth "github.com/aws/smithy-go/auth"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/strongroom/strongroom/pkg/local/private"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/signature"
)

// As they are on the wire.
const (
	algorithm     = "AWS4-HMAC-SHA256"
	signatureTime = "20060102T150405Z"
	signatureDate = "20060102"
	maxSkew       = 5 * time.Minute

	missingToken        = "MissingAuthenticationTokenException"
	incompleteSignature = "IncompleteSignatureException"
	invalidSignature    = "InvalidSignatureException"
	unrecognizedClient  = "UnrecognizedClientException"
)

const (
	aliceKey, aliceSecret   = "AKIAALICE00000000001", "alice/signs+with/this/and/nobody/else/00"
	secondKey, secondSecret = "AKIAALICE00000000002", "alice/signs+with/this/one/afterwards/000"
	bobKey, bobSecret       = "AKIABOB0000000000001", "bob/signs+with/this/and/nobody/else/0000"
)

func testCredentials(t testing.TB) *Credentials {
	t.Helper()
	return mustRead(t, fmt.Sprintf(`[
		{"user": "alice", "accessKeyId": %q, "secretAccessKey": %q},
		{"secretAccessKey": %q, "accessKeyId": %q, "user": "alice"},
		{"user": "bob.b+1@example.com", "accessKeyId": %q, "secretAccessKey": %q}
	]`, aliceKey, aliceSecret, secondSecret, secondKey, bobKey, bobSecret))
}

func mustRead(t testing.TB, text string) *Credentials {
	t.Helper()
	c, err := ReadCredentials(credentialsFile(t, text, 0o600), Account)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func credentialsFile(t testing.TB, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadCredentialsRefuses(t *testing.T) {
	t.Parallel()
	// None of what follows may be in an error; the letters are in no sentence of ours.
	const mark = "QXZQXZQXZQXZQXZQXZQXZQXZQXZQXZQXZQXZQXZQ"
	entry := func(user, id, key string) string {
		return fmt.Sprintf(`{"user": %q, "accessKeyId": %q, "secretAccessKey": %q}`, user, id, key)
	}
	good := entry("alice", aliceKey, mark)
	for name, test := range map[string]struct{ text, want string }{
		"nothing":              {"", "no JSON list"},
		"cut off":              {"[" + good, "no JSON list"},
		"no list":              {good, "no JSON list"},
		"more than a list":     {"[" + good + "] " + mark, "no JSON list"},
		"two lists":            {"[" + good + "][" + good + "]", "no JSON list"},
		"empty":                {"[]", "there are none"},
		"null":                 {"null", "there are none"},
		"too large":            {"[" + good + strings.Repeat(" ", maxCredentials) + "]", "more than"},
		"no object":            {`["` + mark + `"]`, "entry 1: it is no JSON object"},
		"null among them":      {"[" + good + ",null]", "entry 2: it is no JSON object"},
		"list among them":      {"[" + good + ",[" + good + "]]", "entry 2: it is no JSON object"},
		"another member":       {`[{"user": "alice", "` + mark + `": "x"}]`, "entry 1: it has another member"},
		"member in other case": {`[{"User": "alice"}]`, "entry 1: it has another member"},
		"member twice":         {`[{"user": "alice", "user": "bob"}]`, "entry 1: it has another member"},
		"number":               {`[{"secretAccessKey": 92929292929292929292929292929292}]`, "entry 1: its secretAccessKey is no string"},
		"null for a string":    {`[{"secretAccessKey": null}]`, "entry 1: its secretAccessKey is no string"},
		"object for a string":  {`[{"secretAccessKey": {"x": "` + mark + `"}}]`, "entry 1: its secretAccessKey is no string"},
		"key twice":            {"[" + good + "," + entry("b", bobKey, mark) + "," + entry("bob", aliceKey, mark+"2") + "]", "entry 3: its accessKeyId is that of entry 1"},
		"no user":              {"[" + good + "," + entry("", bobKey, mark) + "]", "entry 2: its user must be"},
		"user with a path":     {"[" + entry("team/alice", aliceKey, mark) + "]", "entry 1: its user must be"},
		"user with a star":     {"[" + entry("*", aliceKey, mark) + "]", "entry 1: its user must be"},
		"user with a line":     {"[" + entry("alice\n", aliceKey, mark) + "]", "entry 1: its user must be"},
		"user in other script": {"[" + entry("älice", aliceKey, mark) + "]", "entry 1: its user must be"},
		"user too long":        {"[" + entry(strings.Repeat("a", 65), aliceKey, mark) + "]", "entry 1: its user must be"},
		"no key":               {`[{"user": "alice", "secretAccessKey": "` + mark + `"}]`, "entry 1: its accessKeyId must be"},
		"key too short":        {"[" + entry("alice", "AKIA", mark) + "]", "entry 1: its accessKeyId must be"},
		"key too long":         {"[" + entry("alice", strings.Repeat("A", 129), mark) + "]", "entry 1: its accessKeyId must be"},
		"key with a slash":     {"[" + entry("alice", mark+"/", mark) + "]", "entry 1: its accessKeyId must be"},
		"no secret":            {`[{"user": "alice", "accessKeyId": "` + aliceKey + `"}]`, "entry 1: its secretAccessKey must be"},
		"secret too short":     {"[" + entry("alice", aliceKey, mark[:31]) + "]", "entry 1: its secretAccessKey must be"},
		"secret too long":      {"[" + entry("alice", aliceKey, strings.Repeat(mark, 4)) + "]", "entry 1: its secretAccessKey must be"},
		"secret with a space":  {"[" + entry("alice", aliceKey, mark+" ") + "]", "entry 1: its secretAccessKey must be"},
		"secret not UTF-8":     {`[{"user": "alice", "accessKeyId": "` + aliceKey + `", "secretAccessKey": "` + mark + "\xff\"}]", "entry 1: its secretAccessKey must be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := credentialsFile(t, test.text, 0o600)
			_, err := ReadCredentials(path, Account)
			if err == nil {
				t.Fatal("taken")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %q, want %q of %s", err, test.want, path)
			}
			said := strings.ReplaceAll(err.Error(), path, "") // a temporary path may hold any digits
			for _, leaked := range []string{"QXZ", "9292"} {
				if strings.Contains(said, leaked) {
					t.Errorf("a value is in the error: %v", err)
				}
			}
		})
	}
	if _, err := ReadCredentials(filepath.Join(t.TempDir(), "none"), Account); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
	if _, err := ReadCredentials(t.TempDir(), Account); err == nil {
		t.Error("a folder: taken")
	}
}

func TestReadCredentialsWantsThemPrivate(t *testing.T) {
	t.Parallel()
	if !private.HasModes {
		return // there is nothing that says who may read a file
	}
	text := fmt.Sprintf(`[{"user": "alice", "accessKeyId": %q, "secretAccessKey": %q}]`, aliceKey, aliceSecret)
	for mode, private := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o620: false, 0o602: false, 0o610: false, 0o601: false, 0o644: false} {
		path := credentialsFile(t, text, mode)
		_, err := ReadCredentials(path, Account)
		if private && err != nil {
			t.Errorf("mode %04o: %v", mode, err)
		}
		if !private && (err == nil || !strings.Contains(err.Error(), "chmod 600 "+path)) {
			t.Errorf("mode %04o: got %v, want to be told to chmod 600", mode, err)
		}
	}
}

// A file that another user may replace is not read, by root neither.
func TestReadCredentialsOfAnother(t *testing.T) {
	t.Parallel()
	text := fmt.Sprintf(`[{"user": "alice", "accessKeyId": %q, "secretAccessKey": %q}]`, aliceKey, aliceSecret)
	path := credentialsFile(t, text, 0o600)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCredentials(link, Account); err == nil || !strings.Contains(err.Error(), link+" is a symbolic link") {
		t.Errorf("a link: got %v", err)
	}
	if os.Geteuid() != 0 {
		t.Log("only root can give a file to another user: that was not tested")
		return
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCredentials(path, Account); err == nil || !strings.Contains(err.Error(), path+" belongs to another user") {
		t.Errorf("a file given away: got %v", err)
	}
}

func TestCredentialsArePrintedWithoutSecrets(t *testing.T) {
	t.Parallel()
	c := testCredentials(t)
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "value", c)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("JSON", "value", c)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		_, _ = fmt.Fprintf(&out, verb+"\n", c)
		_, _ = fmt.Fprintf(&out, verb+"\n", struct{ Credentials *Credentials }{c})
	}
	for _, s := range []string{aliceSecret, secondSecret, bobSecret} {
		if strings.Contains(out.String(), s) || strings.Contains(out.String(), hex.EncodeToString([]byte(s))) {
			t.Errorf("a secret is in\n%s", out.String())
		}
	}
}

// gate is a Gate in front of a server that answers every call with {}, and the
// caller and the body that came through last.
type gate struct {
	url    string
	caller policy.Caller
	region string
	body   string
	calls  int
}

func startGate(t *testing.T, identify Identify, limiter *Limiter) *gate {
	t.Helper()
	g := &gate{}
	server := httptest.NewServer(&Gate{Bounds: newTestBounds(), Identify: identify, Limiter: limiter, Log: slog.New(slog.DiscardHandler), Answer: func(w http.ResponseWriter, r *http.Request, by Identity) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		g.caller, g.region, g.body = by.Caller, by.Region, string(body)
		g.calls++
		_, _ = io.WriteString(w, "{}")
		return nil
	}})
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// forExecuteAPI has a client sign for API Gateway, as docs/clients.md says.
type forExecuteAPI struct{}

func (forExecuteAPI) ResolveAuthSchemes(_ context.Context, params *secretsmanager.AuthResolverParameters) ([]*smithyauth.Option, error) {
	option := &smithyauth.Option{SchemeID: smithyauth.SchemeIDSigV4}
	smithyhttp.SetSigV4SigningName(&option.SignerProperties, "execute-api")
	smithyhttp.SetSigV4SigningRegion(&option.SignerProperties, params.Region)
	return []*smithyauth.Option{option}, nil
}

// sender is a transport that spoils what a client has signed.
type sender func(*http.Request)

func (spoil sender) RoundTrip(r *http.Request) (*http.Response, error) {
	if spoil != nil {
		spoil(r)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// client is that of the SDK.
func (g *gate) client(key, secret, token string, spoil sender, optFns ...func(*secretsmanager.Options)) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		BaseEndpoint:     &g.url,
		Region:           "eu-central-1",
		Credentials:      credentials.NewStaticCredentialsProvider(key, secret, token),
		HTTPClient:       &http.Client{Transport: spoil},
		RetryMaxAttempts: 1,
	}, optFns...)
}

func TestSignedByTheSDK(t *testing.T) {
	t.Parallel()
	c := testCredentials(t)
	for name, test := range map[string]struct {
		key, secret, token string
		options            func(*secretsmanager.Options)
		user               string
	}{
		"secretsmanager": {aliceKey, aliceSecret, "", func(*secretsmanager.Options) {}, "alice"},
		"another key":    {secondKey, secondSecret, "", func(*secretsmanager.Options) {}, "alice"},
		"another user":   {bobKey, bobSecret, "", func(*secretsmanager.Options) {}, "bob.b+1@example.com"},
		"another region": {aliceKey, aliceSecret, "", func(o *secretsmanager.Options) { o.Region = "moon-1" }, "alice"},
		"execute-api":    {aliceKey, aliceSecret, "", func(o *secretsmanager.Options) { o.AuthSchemeResolver = forExecuteAPI{} }, "alice"},
		"session token":  {aliceKey, aliceSecret, "token", func(*secretsmanager.Options) {}, "alice"},
		"stage": {aliceKey, aliceSecret, "", func(o *secretsmanager.Options) {
			o.BaseEndpoint = aws.String(*o.BaseEndpoint + "/v1")
		}, "alice"},
		"odd path and query": {aliceKey, aliceSecret, "", func(o *secretsmanager.Options) {
			o.BaseEndpoint = aws.String(*o.BaseEndpoint + "/a%20b/%2F/ä?y=2&x=a+b%2F&x=1")
		}, "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGate(t, c.Identify, nil)
			_, err := g.client(test.key, test.secret, test.token, nil, test.options).
				PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("ä"), SecretString: aws.String(strings.Repeat("ü", 65536))})
			if err != nil {
				t.Fatal(err)
			}
			want := policy.Caller{
				ARN: "arn:aws:iam::000000000000:user/" + test.user, Account: Account, UserID: test.user,
				AccessKey: test.key, SourceIP: "127.0.0.1", UserAgent: g.caller.UserAgent, Secure: true,
			}
			if g.caller != want {
				t.Errorf("got %+v, want %+v", g.caller, want)
			}
			if !strings.HasPrefix(g.caller.UserAgent, "aws-sdk-go-v2/") {
				t.Errorf("user agent: got %q", g.caller.UserAgent)
			}
			if !strings.Contains(g.body, `"SecretId":"ä"`) || !json.Valid([]byte(g.body)) {
				t.Errorf("the body did not come through: %.100q", g.body)
			}
		})
	}
}

func TestSpoiled(t *testing.T) {
	t.Parallel()
	c := testCredentials(t)
	const incomplete, invalid, unrecognized = incompleteSignature, invalidSignature, unrecognizedClient
	set := func(name, value string) sender { return func(r *http.Request) { r.Header.Set(name, value) } }
	authorization := func(old, replacement string) sender {
		return func(r *http.Request) {
			before := r.Header.Get("Authorization")
			after := strings.Replace(before, old, replacement, 1)
			if after == before {
				t.Errorf("%q is not in %q", old, before)
			}
			r.Header.Set("Authorization", after)
		}
	}
	body := func(text string) sender {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		}
	}
	now := time.Now().UTC()
	for name, test := range map[string]struct {
		spoil sender
		code  string // empty: it is no matter
		say   string // in the message
	}{
		"user agent":           {set("User-Agent", "x"), "", ""},
		"header of a proxy":    {set("X-Forwarded-For", "192.0.2.1"), "", ""},
		"right hash of body":   {hashOfBody, "", ""},
		"Authorization spaces": {authorization(", ", " ,  "), "", ""},

		"body of same length": {body(`{"SecretId":"other"}`), invalid, signature.Wrong.Message},
		"body longer":         {body(`{"SecretId":"mine","x":1}`), invalid, signature.Wrong.Message},
		"no body":             {body(""), invalid, signature.Wrong.Message},
		"body chunked": {func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("{}")), -1
		}, invalid, signature.Wrong.Message},

		"method":          {func(r *http.Request) { r.Method = http.MethodPut }, invalid, signature.Wrong.Message},
		"path":            {func(r *http.Request) { r.URL.Path = "/x" }, invalid, signature.Wrong.Message},
		"path doubled":    {func(r *http.Request) { r.URL.Path = "//" }, invalid, signature.Wrong.Message},
		"path with dots":  {func(r *http.Request) { r.URL.Path = "/x/.." }, invalid, signature.Wrong.Message},
		"URL of no path":  {func(r *http.Request) { r.URL.Opaque = "x:y" }, invalid, "URL"},
		"query":           {func(r *http.Request) { r.URL.RawQuery = "x=1" }, invalid, signature.Wrong.Message},
		"query of a name": {func(r *http.Request) { r.URL.RawQuery = "x" }, invalid, signature.Wrong.Message},
		"query unread":    {func(r *http.Request) { r.URL.RawQuery = "x=1;y=2" }, invalid, "URL"},
		"query escape":    {func(r *http.Request) { r.URL.RawQuery = "%zz" }, invalid, "URL"},
		"host":            {func(r *http.Request) { r.Host = "localhost" }, invalid, signature.Wrong.Message},

		"content type":      {set("Content-Type", "application/json"), invalid, signature.Wrong.Message},
		"target":            {set("X-Amz-Target", "secretsmanager.DeleteSecret"), invalid, signature.Wrong.Message},
		"no target":         {func(r *http.Request) { r.Header.Del("X-Amz-Target") }, invalid, "'x-amz-target'"},
		"two targets":       {func(r *http.Request) { r.Header.Add("X-Amz-Target", "secretsmanager.DeleteSecret") }, invalid, "'x-amz-target'"},
		"target not signed": {authorization(";x-amz-target", ""), invalid, "'x-amz-target' must be"},
		"host not signed":   {authorization("host;", ""), invalid, "'host' must be"},
		"date not signed":   {authorization(";x-amz-date", ""), invalid, "'x-amz-date' must be"},
		"token not signed":  {set("X-Amz-Security-Token", "t"), invalid, "'x-amz-security-token' must be"},
		"empty token":       {set("X-Amz-Security-Token", ""), invalid, "'x-amz-security-token' must be"},
		"a header more":     {authorization("host;", "host;x-a;"), invalid, signature.Wrong.Message},
		"invocation id":     {set("Amz-Sdk-Invocation-Id", "x"), invalid, signature.Wrong.Message},

		"unsigned payload": {set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), invalid, "x-amz-content-sha256"},
		"streamed payload": {set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), invalid, "x-amz-content-sha256"},
		"other payload":    {set("X-Amz-Content-Sha256", hex.EncodeToString(make([]byte, 32))), invalid, "x-amz-content-sha256"},
		"no payload":       {set("X-Amz-Content-Sha256", ""), invalid, "x-amz-content-sha256"},
		"two payloads": {func(r *http.Request) {
			hashOfBody(r)
			r.Header.Add("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		}, invalid, "x-amz-content-sha256"},

		"date moved":      {func(r *http.Request) { moveDate(r, time.Second) }, invalid, signature.Wrong.Message},
		"date long ago":   {func(r *http.Request) { moveDate(r, -24*time.Hour) }, invalid, "Date in Credential scope"},
		"date fraction":   {func(r *http.Request) { r.Header.Set("X-Amz-Date", now.Format("20060102T150405.5Z")) }, incomplete, "X-Amz-Date"},
		"date of a clock": {func(r *http.Request) { r.Header.Set("X-Amz-Date", now.Format(time.RFC1123)) }, incomplete, "X-Amz-Date"},
		"no date":         {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, incomplete, "X-Amz-Date"},
		"two dates":       {func(r *http.Request) { r.Header.Add("X-Amz-Date", now.Format(signatureTime)) }, invalid, "'x-amz-date'"},

		"not signed":         {func(r *http.Request) { r.Header.Del("Authorization") }, missingToken, "Missing Authentication Token"},
		"signed in the URL":  {presigned, missingToken, "Missing Authentication Token"},
		"empty":              {set("Authorization", ""), incomplete, ""},
		"basic":              {set("Authorization", "Basic YTpi"), incomplete, ""},
		"algorithm alone":    {set("Authorization", algorithm+" "), incomplete, ""},
		"another algorithm":  {authorization(algorithm, "AWS4-HMAC-SHA1"), incomplete, ""},
		"garbage":            {set("Authorization", "AWS4-HMAC-SHA256 ,=,;=;,\x80"), incomplete, ""},
		"signed twice":       {func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, incomplete, ""},
		"signed and basic":   {func(r *http.Request) { r.Header.Add("Authorization", "Basic YTpi") }, incomplete, ""},
		"no credential":      {authorization("Credential=", "X="), incomplete, ""},
		"no headers":         {authorization("SignedHeaders=", "X="), incomplete, ""},
		"no signature":       {authorization("Signature=", "X="), incomplete, ""},
		"empty signature":    {func(r *http.Request) { cutSignature(r, 0) }, incomplete, ""},
		"two credentials":    {authorization("Credential=", "Credential=x, Credential="), incomplete, ""},
		"two header lists":   {authorization("SignedHeaders=", "SignedHeaders=host, SignedHeaders="), incomplete, ""},
		"two signatures":     {authorization("Signature=", "Signature=x, Signature="), incomplete, ""},
		"a parameter more":   {authorization("Signature=", "x=y, Signature="), incomplete, ""},
		"header twice":       {authorization("host;", "host;host;"), incomplete, ""},
		"header without end": {authorization("host;", "host;;"), incomplete, ""},
		"headers in disorder": {
			authorization("host;x-amz-date;", "x-amz-date;host;"), incomplete,
			"",
		},
		"header in capitals": {authorization("host;", "Host;"), incomplete, ""},

		"no slash":             {authorization("/", "_"), incomplete, "5 slash-delimited"},
		"a slash more":         {authorization("/", "/x/"), incomplete, "5 slash-delimited"},
		"another day":          {authorization("/20", "/19"), invalid, "Date in Credential scope"},
		"another region":       {authorization("eu-central-1", "eu-central-2"), invalid, signature.Wrong.Message},
		"no region":            {authorization("eu-central-1", ""), invalid, signature.Wrong.Message},
		"another service":      {authorization("/secretsmanager/", "/execute-api/"), invalid, signature.Wrong.Message},
		"KMS":                  {authorization("/secretsmanager/", "/kms/"), invalid, "correct service"},
		"another terminator":   {authorization("aws4_request", "aws4"), invalid, "aws4_request"},
		"another known key":    {authorization(aliceKey, bobKey), invalid, signature.Wrong.Message},
		"another unknown key":  {authorization(aliceKey, "AKIANOBODY0000000001"), unrecognized, "The security token included in the request is invalid."},
		"no key":               {authorization(aliceKey, ""), unrecognized, ""},
		"key in small letters": {authorization(aliceKey, strings.ToLower(aliceKey)), unrecognized, ""},
		"signature cut":        {func(r *http.Request) { cutSignature(r, 63) }, invalid, signature.Wrong.Message},
		"signature longer":     {authorization("Signature=", "Signature=0"), invalid, signature.Wrong.Message},
		"signature capitals": {func(r *http.Request) {
			before, after, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", before+"Signature=A"+strings.ToUpper(after)[1:])
		}, invalid, signature.Wrong.Message},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGate(t, c.Identify, nil)
			_, err := g.client(aliceKey, aliceSecret, "", test.spoil).
				GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("mine!")})
			if test.code == "" {
				if err != nil || g.calls != 1 {
					t.Errorf("got %v after %d calls, want none", err, g.calls)
				}
				return
			}
			wantAPIError(t, "GetSecretValue", err, test.code)
			if api, ok := errors.AsType[smithy.APIError](err); ok && !strings.Contains(api.ErrorMessage(), test.say) {
				t.Errorf("got %q, want %q", api.ErrorMessage(), test.say)
			}
			if status, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && status.HTTPStatusCode() != http.StatusBadRequest {
				t.Errorf("status: got %d, want 400", status.HTTPStatusCode())
			}
			if g.calls != 0 {
				t.Error("it was let through")
			}
		})
	}
}

func hashOfBody(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256(body)
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
}

func moveDate(r *http.Request, by time.Duration) {
	at, _ := time.Parse(signatureTime, r.Header.Get("X-Amz-Date"))
	if day := at.Add(by).Format(signatureDate); by > -time.Hour {
		// At midnight the day in the scope moves along.
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), at.Format(signatureDate), day, 1))
	}
	r.Header.Set("X-Amz-Date", at.Add(by).Format(signatureTime))
}

func cutSignature(r *http.Request, length int) {
	before, after, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	r.Header.Set("Authorization", before+"Signature="+after[:length])
}

func presigned(r *http.Request) {
	query := r.URL.Query()
	query.Set("X-Amz-Algorithm", algorithm)
	query.Set("X-Amz-Date", r.Header.Get("X-Amz-Date"))
	for field := range strings.SplitSeq(strings.TrimPrefix(r.Header.Get("Authorization"), algorithm+" "), ", ") {
		name, value, _ := strings.Cut(field, "=")
		query.Set("X-Amz-"+name, value)
	}
	r.URL.RawQuery = query.Encode()
	r.Header.Del("Authorization")
}

func TestWrongSecret(t *testing.T) {
	t.Parallel()
	g := startGate(t, testCredentials(t).Identify, nil)
	for _, test := range []struct{ key, secret, code string }{
		{aliceKey, bobSecret, invalidSignature},
		{aliceKey, secondSecret, invalidSignature},
		{aliceKey, aliceSecret[:39], invalidSignature},
		{"AKIANOBODY0000000001", aliceSecret, unrecognizedClient},
		// What takes the place of the secret of an unknown key is a secret of nobody.
		{"AKIANOBODY0000000001", nobody.secret, unrecognizedClient},
		{anonymous, nobody.secret, unrecognizedClient},
	} {
		_, err := g.client(test.key, test.secret, "", nil).ListSecrets(t.Context(), nil)
		wantAPIError(t, test.key+" with "+test.secret, err, test.code)
	}
	if g.calls != 0 {
		t.Errorf("%d calls came through", g.calls)
	}
}

// sign signs r as the specification of Signature Version 4 has it, and not as
// the SDK of Go does: the headers in the list and no others, in this order.
func sign(r *http.Request, key, secret, service string, at time.Time, headers ...string) {
	const region = "us-east-1"
	date, day := at.UTC().Format("20060102T150405Z"), at.UTC().Format("20060102")
	r.Header.Set("X-Amz-Date", date)
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.Method, strings.ReplaceAll(r.URL.EscapedPath(), "%", "%25"), r.URL.RawQuery)
	for _, name := range headers {
		values := r.Header.Values(name)
		switch name {
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{fmt.Sprint(len(bodyForTests))}
		}
		fmt.Fprintf(&canonical, "%s:%s\n", strings.ToLower(name), strings.Join(values, ","))
	}
	hash := func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
	signed := strings.Join(headers, ";")
	fmt.Fprintf(&canonical, "\n%s\n%s", signed, hash(bodyForTests))
	scope := strings.Join([]string{day, region, service, "aws4_request"}, "/")
	mac := []byte("AWS4" + secret)
	for _, part := range []string{day, region, service, "aws4_request", "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + hash(canonical.String())} {
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(part))
		mac = h.Sum(nil)
	}
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%x", key, scope, signed, mac))
}

func wantRefused(t *testing.T, what string, err error, code secret.Code, say string) {
	t.Helper()
	refused, ok := errors.AsType[secret.Error](err)
	if !ok || refused.Code != code || !strings.Contains(refused.Message, say) {
		t.Errorf("%s: got %v, want %s: %s", what, err, code, say)
	}
}

func newRequest() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(bodyForTests))
	r.Header.Set("Content-Type", jsonTypeForTests)
	r.Header.Set("X-Amz-Target", "secretsmanager.ListSecrets")
	r.Header.Set("User-Agent", "SDK of another language")
	r.Header.Set("X-Amzn-Trace-Id", "Root=1")
	return r
}

const (
	bodyForTests     = "{}"
	jsonTypeForTests = "application/x-amz-json-1.1"
)

// What SDKs sign differs: that of Go never signs User-Agent, those of Java 1 and
// .NET do.
func TestSignedHeaders(t *testing.T) {
	t.Parallel()
	c := testCredentials(t)
	now := time.Date(2026, 3, 4, 23, 59, 59, 0, time.UTC)
	for _, test := range []struct {
		headers, code string
	}{
		{"host;x-amz-date;x-amz-target", ""},
		{"content-type;host;x-amz-date;x-amz-target", ""},
		{"content-length;content-type;host;user-agent;x-amz-date;x-amz-target", ""},
		{"host;user-agent;x-amz-date;x-amz-target;x-amzn-trace-id", ""},
		{"host;x-absent;x-amz-date;x-amz-target", ""},
		{"host;x-amz-date", invalidSignature},
		{"host;x-amz-target", invalidSignature},
		{"x-amz-date;x-amz-target", invalidSignature},
		{"host;host;x-amz-date;x-amz-target", incompleteSignature},
		{"x-amz-target;x-amz-date;host", incompleteSignature},
		{"Host;X-Amz-Date;X-Amz-Target", incompleteSignature},
		{"", incompleteSignature},
	} {
		for _, service := range c.Services {
			r := newRequest()
			sign(r, aliceKey, aliceSecret, service, now, strings.Split(test.headers, ";")...)
			caller, err := c.Caller(r, []byte("{}"), now)
			if test.code != "" {
				wantRefused(t, test.headers, err, secret.Code(test.code), "")
			} else if err != nil || caller.UserID != "alice" {
				t.Errorf("%s: got %v, %v, want alice", test.headers, caller, err)
			}
			if test.code == "" && strings.Contains(test.headers, "user-agent") {
				r.Header.Set("User-Agent", "another")
				_, err := c.Caller(r, []byte("{}"), now)
				wantRefused(t, "another user agent", err, invalidSignature, signature.Wrong.Message)
			}
		}
	}
	for _, service := range []string{"", "kms", "Secretsmanager", "secretsmanager2", "sts"} {
		r := newRequest()
		sign(r, aliceKey, aliceSecret, service, now, "host", "x-amz-date", "x-amz-target")
		_, err := c.Caller(r, []byte("{}"), now)
		wantRefused(t, "service "+service, err, invalidSignature, "'secretsmanager' or 'execute-api'")
	}
}

func TestOneService(t *testing.T) {
	t.Parallel()
	c := testCredentials(t)
	c.Services = []string{"execute-api"}
	now := time.Now()
	for service, code := range map[string]string{"execute-api": "", "secretsmanager": invalidSignature} {
		r := newRequest()
		sign(r, aliceKey, aliceSecret, service, now, "host", "x-amz-date", "x-amz-target")
		if _, err := c.Caller(r, []byte("{}"), now); code != "" {
			wantRefused(t, service, err, secret.Code(code), "correct service: 'execute-api'.")
		} else if err != nil {
			t.Errorf("%s: got %v", service, err)
		}
	}
}

// A path is signed as it is on the wire, escaped once more.
func TestSignedPath(t *testing.T) {
	t.Parallel()
	c := testCredentials(t)
	now := time.Now()
	paths := []string{"/a%2Fb", "/a/b", "/%61%2Fb", "/a%252Fb"}
	for _, signed := range paths {
		for _, sent := range paths {
			r := newRequest()
			r.URL, _ = url.ParseRequestURI(signed)
			sign(r, aliceKey, aliceSecret, "secretsmanager", now, "host", "x-amz-date", "x-amz-target")
			r.URL, _ = url.ParseRequestURI(sent)
			if _, err := c.Caller(r, []byte("{}"), now); (err == nil) != (signed == sent) {
				t.Errorf("signed %s, sent %s: got %v", signed, sent, err)
			}
		}
	}
}

func TestAgeOfSignature(t *testing.T) {
	t.Parallel()
	c := testCredentials(t)
	now := time.Date(2026, 3, 5, 0, 2, 0, 0, time.FixedZone("", 3600)).Add(time.Hour)
	r := newRequest()
	for skew, say := range map[time.Duration]string{
		0: "", time.Minute: "", maxSkew: "", -maxSkew: "",
		maxSkew + time.Second:  "Signature expired: 20260304T235659Z is now earlier than 20260304T235700Z (20260305T000200Z - 5 min.)",
		-maxSkew - time.Second: "Signature not yet current: 20260305T000701Z is still later than 20260305T000700Z (20260305T000200Z + 5 min.)",
		maxSkew * 1000:         "Signature expired: ",
		-maxSkew * 1000:        "Signature not yet current: ",
	} {
		sign(r, aliceKey, aliceSecret, "secretsmanager", now.Add(-skew), "host", "x-amz-date", "x-amz-target")
		_, err := c.Caller(r, []byte("{}"), now)
		if say != "" {
			wantRefused(t, skew.String(), err, invalidSignature, say)
		} else if err != nil {
			t.Errorf("%s: %v", skew, err)
		}
	}
	for _, date := range []string{"00010101T000000Z", "99991231T235959Z"} {
		at, _ := time.Parse(signatureTime, date)
		sign(r, aliceKey, aliceSecret, "secretsmanager", at, "host", "x-amz-date", "x-amz-target")
		_, err := c.Caller(r, []byte("{}"), now)
		wantRefused(t, date, err, invalidSignature, "Signature ")
	}
}

func TestCallerLeavesTheRequestAsItWas(t *testing.T) {
	t.Parallel()
	r := newRequest()
	r.URL.RawQuery = "x=a%20b&a=1&a"
	before := r.Clone(t.Context())
	_, err := testCredentials(t).Caller(r, nil, time.Now())
	wantRefused(t, "unsigned", err, missingToken, "")
	r.URL.RawQuery = "a=&a=1&x=a%20b"
	sign(r, aliceKey, aliceSecret, "execute-api", time.Now(), "host", "x-amz-date", "x-amz-target")
	r.URL.RawQuery = before.URL.RawQuery // in canonical order it is what was signed
	signed := r.Clone(t.Context())
	if _, err := testCredentials(t).Caller(r, []byte("{}"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if *r.URL != *before.URL || r.Host != before.Host || fmt.Sprint(r.Header) != fmt.Sprint(signed.Header) {
		t.Errorf("got %v %v, want %v %v", r.URL, r.Header, before.URL, signed.Header)
	}
}

// Whatever stands in the header, nothing panics and nobody gets in.
func FuzzCaller(f *testing.F) {
	c := testCredentials(f)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	r := newRequest()
	sign(r, aliceKey, bobSecret, "secretsmanager", now, "host", "x-amz-date", "x-amz-target")
	f.Add(r.Header.Get("Authorization"), r.Header.Get("X-Amz-Date"), "", "")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=;;, Signature=", "20260304T050607Z", "x=1", "x")
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=authorization;content-length;host;x-amz-date;x-amz-target,Signature=x", "20260304T050607Z", "%", "//")
	f.Add("AWS4-HMAC-SHA256 ,", "", ";", "\x00")
	f.Fuzz(func(t *testing.T, header, date, query, path string) {
		r := newRequest()
		r.Header["Authorization"], r.Header["X-Amz-Date"] = []string{header}, []string{date}
		r.URL.RawQuery, r.URL.Path = query, path
		if caller, err := c.Caller(r, []byte("{}"), now); err == nil {
			t.Errorf("%q: taken as %v", header, caller)
		} else if _, ok := errors.AsType[secret.Error](err); !ok {
			t.Errorf("%q: %v is no refusal", header, err)
		}
		caller := Caller(r)
		if name := strings.TrimPrefix(caller.ARN, "arn:aws:iam::000000000000:user/"); !userName.MatchString(name) || name != caller.UserID {
			t.Errorf("%q: called %q", header, caller.ARN)
		}
	})
}

// An unknown key is to take as long as a wrong secret.
func BenchmarkCredentials(b *testing.B) {
	c := testCredentials(b)
	now := time.Now()
	for name, who := range map[string][2]string{"right": {aliceKey, aliceSecret}, "wrong": {aliceKey, bobSecret}, "unknown": {"AKIANOBODY0000000001", aliceSecret}} {
		b.Run(name, func(b *testing.B) {
			r := newRequest()
			sign(r, who[0], who[1], "secretsmanager", now, "host", "x-amz-date", "x-amz-target")
			for b.Loop() {
				_, err := c.Caller(r, []byte("{}"), now)
				if (err == nil) != (name == "right") {
					b.Fatal(err)
				}
			}
		})
	}
}
