package agent

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/strongroom/strongroom/pkg/refusal"
)

const stored = `{"ARN":"arn:aws:secretsmanager:eu-central-1:111122223333:secret:db-AbCdEf","Name":"db","VersionId":"v1","SecretString":"EXAMPLE-VALUE <&>","VersionStages":["AWSCURRENT"],"CreatedDate":1569534789.046}`

func answering(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amzn-Requestid", "request-1")
		w.Header().Set("X-Amz-Apigw-Id", "gateway-1")
		_, _ = io.WriteString(w, text)
	}
}

// An SDK that knows only the endpoint is answered as if it had signed for execute-api.
func TestSDK(t *testing.T) {
	t.Parallel()
	d := newDoor(t, answering(stored))
	a := startAgent(t, d.URL, time.Minute)
	out, err := a.client(own(), 1).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(out.SecretString) != "EXAMPLE-VALUE <&>" || out.CreatedDate.UnixMilli() != 1569534789046 {
		t.Errorf("got %v of %v", out.VersionId, out.CreatedDate)
	}
	r := d.requests[0]
	if r.Method != http.MethodPost || r.URL.Path != "/v1" || d.bodies[0] != `{"SecretId":"db"}` || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" {
		t.Errorf("got %s %s %q", r.Method, r.URL, d.bodies[0])
	}
	if !strings.HasPrefix(r.UserAgent(), "aws-sdk-go-v2/") || r.Header.Get("Amz-Sdk-Invocation-Id") == "" || r.Header.Get("Amz-Sdk-Request") != "attempt=1; max=1" {
		t.Errorf("got the headers %v", r.Header)
	}
	if scope := "Credential=" + ownKey + "/" + time.Now().UTC().Format("20060102") + "/eu-central-1/execute-api/"; !strings.Contains(r.Header.Get("Authorization"), scope) {
		t.Errorf("got %s, want %s", r.Header.Get("Authorization"), scope)
	}
	if a.log.String() != "" {
		t.Errorf("a call that succeeds has a line in the log: %s", a.log)
	}
}

// signed is a request as an SDK signs it, to be spoiled.
func signed(t testing.TB, url, body string, creds aws.Credentials) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, fmt.Sprintf("%x", sum(body)), "secretsmanager", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return r
}

func do(t testing.TB, r *http.Request) (status int, header http.Header, body string) {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

// Of a request only that goes on which is known to be harmless; of an answer all but
// what speaks of the connection.
func TestHeaders(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Requestid", "request-1")
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException:http://internal.amazon.com/")
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"ResourceNotFoundException","Message":"x"}`)
	})
	a := startAgent(t, d.URL, time.Minute)
	r := signed(t, a.url, "{}", own())
	for name, value := range map[string]string{
		"Amz-Sdk-Invocation-Id": "invocation-1", "Amz-Sdk-Request": "attempt=2; max=3", "X-Amz-User-Agent": "aws-sdk-js/3", "X-Amzn-Trace-Id": "Root=1",
		"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "SDK of another language",
		"Cookie": "c=1", "X-Api-Key": "k", "Proxy-Authorization": "Basic x", "Keep-Alive": "1", "Te": "trailers", "X-Unknown": "1", "X-Amz-Content-Sha256": fmt.Sprintf("%x", sum("{}")),
	} {
		r.Header.Set(name, value)
	}
	status, header, body := do(t, r)
	if status != http.StatusBadRequest || body != `{"__type":"ResourceNotFoundException","Message":"x"}` {
		t.Errorf("got %d %s", status, body)
	}
	if header.Get("X-Amzn-Requestid") != "request-1" || !strings.HasPrefix(header.Get("X-Amzn-Errortype"), "ResourceNotFoundException") || header.Get("X-Hop") != "" || header.Get("Proxy-Authenticate") != "" {
		t.Errorf("got the headers %v", header)
	}
	got := d.requests[0].Header
	for name, want := range map[string]string{
		"Amz-Sdk-Invocation-Id": "invocation-1", "Amz-Sdk-Request": "attempt=2; max=3", "X-Amz-User-Agent": "aws-sdk-js/3", "X-Amzn-Trace-Id": "Root=1",
		"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "SDK of another language", "X-Amz-Security-Token": ownToken,
		"Cookie": "", "X-Api-Key": "", "Proxy-Authorization": "", "Keep-Alive": "", "Te": "", "X-Unknown": "", "X-Amz-Content-Sha256": "",
	} {
		if got.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.Get(name), want)
		}
	}
}

// An encoding that the client did not ask for is not asked for, and not undone.
func TestEncoding(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "as it is")
	})
	a := startAgent(t, d.URL, time.Minute)
	r := signed(t, a.url, "{}", own())
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	res, err := plain.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if text, err := io.ReadAll(res.Body); err != nil || string(text) != "as it is" || res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("got %q, %v, %v", text, err, res.Header)
	}
	if got := d.requests[0].Header.Values("Accept-Encoding"); got != nil {
		t.Errorf("asked for %v", got)
	}
}

// Nothing that a client signed with goes on, whatever it was.
func TestClientCredentialsStay(t *testing.T) {
	t.Parallel()
	d := newDoor(t, answering("{}"))
	a := startAgent(t, d.URL, time.Minute)
	a.sdk.AnyCaller = true
	own := own()
	own.SessionToken = ""
	a.keys.set(own, nil)
	r := signed(t, a.url, "{}", aws.Credentials{AccessKeyID: "ASIAFOREIGN000000001", SecretAccessKey: "foreign", SessionToken: "foreign-token"})
	date := "20200101T000000Z"
	r.Header.Set("X-Amz-Date", date)
	if status, _, body := do(t, r); status != http.StatusOK {
		t.Fatalf("got %d %s", status, body)
	}
	for name, values := range d.requests[0].Header {
		if text := strings.Join(values, " "); strings.Contains(text, "FOREIGN") || strings.Contains(text, "foreign") || strings.Contains(text, date) {
			t.Errorf("%s: %s went on", name, text)
		}
	}
}

// Who may use the agent.
func TestCallers(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	stranger := aws.Credentials{AccessKeyID: "ASIAFOREIGN000000001", SecretAccessKey: ownSecret}
	liar := aws.Credentials{AccessKeyID: ownKey, SecretAccessKey: newSecret, SessionToken: ownToken}
	for name, test := range map[string]struct {
		creds     aws.Credentials
		spoil     func(*http.Request)
		any       bool
		status    int
		code      string
		wantCalls int
	}{
		"own":               {own(), nil, false, 200, "", 1},
		"unsigned":          {own(), func(r *http.Request) { r.Header.Del("Authorization") }, false, 400, "MissingAuthenticationTokenException", 0},
		"another key":       {stranger, nil, false, 400, "UnrecognizedClientException", 0},
		"another secret":    {liar, nil, false, 400, "InvalidSignatureException", 0},
		"another body":      {own(), func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("[]")) }, false, 400, "InvalidSignatureException", 0},
		"another operation": {own(), set("X-Amz-Target", "secretsmanager.DeleteSecret"), false, 400, "InvalidSignatureException", 0},
		"any: another key":  {stranger, nil, true, 200, "", 1},
		"any: unsigned":     {own(), func(r *http.Request) { r.Header.Del("Authorization") }, true, 200, "", 1},
		"any: a page":       {own(), set("Origin", "null"), true, 403, "AccessDeniedException", 0},
		"any: forwarded":    {own(), set("X-Forwarded-For", "192.0.2.1"), true, 403, "AccessDeniedException", 0},
		"any: by a proxy":   {own(), set("Forwarded", "for=192.0.2.1"), true, 403, "AccessDeniedException", 0},
		"any: another host": {own(), func(r *http.Request) { r.Host = "rebound.example" }, true, 403, "AccessDeniedException", 0},
		"localhost":         {own(), func(r *http.Request) { r.Host = "localhost" }, true, 200, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t, answering("{}"))
			a := startAgent(t, d.URL, time.Minute)
			a.sdk.AnyCaller = test.any
			r := signed(t, a.url, "{}", test.creds)
			if test.spoil != nil {
				test.spoil(r)
			}
			status, _, body := do(t, r)
			if status != test.status || test.code != "" && !strings.Contains(body, `"__type":"`+test.code+`"`) || d.count() != test.wantCalls {
				t.Errorf("got %d %s and %d calls, want %d %s and %d", status, body, d.count(), test.status, test.code, test.wantCalls)
			}
			noSecrets(t, a.log.String())
		})
	}
}

// On a Unix socket a URL may name any host; pages and proxies are refused there too.
func TestSocket(t *testing.T) {
	t.Parallel()
	d := newDoor(t, answering("{}"))
	a := startAgent(t, d.URL, time.Minute)
	h := SocketHandler(a.sdk, newGetter(GetterOptions{CacheSize: 1, MaxConnections: 1, Log: a.sdk.Log}, nil))
	for name, test := range map[string]struct {
		spoil  func(*http.Request)
		status int
	}{
		"own":     {func(*http.Request) {}, 200},
		"a page":  {func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		"a proxy": {func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") }, 403},
	} {
		r := signed(t, "http://strongroom.example", "{}", own())
		test.spoil(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s: got %d %s, want %d", name, w.Code, w.Body, test.status)
		}
	}
}

func TestBodyIsBounded(t *testing.T) {
	t.Parallel()
	d := newDoor(t, answering("{}"))
	a := startAgent(t, d.URL, time.Minute)
	if status, _, body := do(t, signed(t, a.url, strings.Repeat(" ", maxBody), own())); status != http.StatusOK || len(d.bodies[0]) != maxBody {
		t.Errorf("the largest: got %d %s", status, body)
	}
	status, _, body := do(t, signed(t, a.url, strings.Repeat(" ", maxBody+1), own()))
	if status != http.StatusRequestEntityTooLarge || !strings.Contains(body, "RequestEntityTooLargeException") || d.count() != 1 {
		t.Errorf("one more: got %d %s and %d calls", status, body, d.count())
	}
}

// What goes wrong behind the agent, as an SDK of one attempt and one of three sees it.
// The agent itself tries once.
func TestFailures(t *testing.T) {
	t.Parallel()
	unreachable, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + unreachable.Addr().String()
	_ = unreachable.Close()
	refusing := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { refusal.Write(w, status, code, "EXAMPLE") }
	}
	broken := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"ARN":"EXAMPLE-VALUE`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	slow := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, test := range map[string]struct {
		url     string // of nobody, or that of:
		door    http.HandlerFunc
		keys    error
		status  int
		code    string
		retried bool
		log     string
	}{
		"down":           {nobody, nil, nil, 502, "InternalServiceError", true, "cannot reach Strongroom"},
		"closed":         {"", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, 502, "InternalServiceError", true, "cannot reach Strongroom"},
		"slow":           {"", slow, nil, 504, "InternalServiceError", true, "did not answer the agent in time"},
		"broken off":     {"", broken, nil, 502, "InternalServiceError", true, "unexpected EOF"},
		"fault":          {"", refusing(500, "InternalServiceError"), nil, 500, "InternalServiceError", true, `"status":500`},
		"gateway":        {"", refusing(504, "InternalServiceError"), nil, 504, "InternalServiceError", true, `"status":504`},
		"throttled":      {"", refusing(400, "ThrottlingException"), nil, 400, "ThrottlingException", true, ""},
		"not found":      {"", refusing(400, "ResourceNotFoundException"), nil, 400, "ResourceNotFoundException", false, ""},
		"no credentials": {"", answering("{}"), errors.New("metadata service is gone"), 503, "InternalServiceError", true, "metadata service is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t, test.door)
			url := d.URL
			if test.url != "" {
				url = test.url
			}
			a := startAgent(t, url, 300*time.Millisecond)
			a.sdk.AnyCaller = true // what would be refused for want of credentials is another case
			a.keys.set(own(), test.keys)
			input := &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")}
			_, err := a.client(own(), 1).GetSecretValue(t.Context(), input)
			if status, code := told(err); status != test.status || code != test.code {
				t.Errorf("got %d %q (%v), want %d %q", status, code, err, test.status, test.code)
			}
			if test.url == "" && test.keys == nil && d.count() != 1 {
				t.Errorf("the agent tried %d times", d.count())
			}
			var attempts int
			_, _ = a.client(own(), 3).GetSecretValue(t.Context(), input, func(o *secretsmanager.Options) {
				o.HTTPClient = counting{&attempts}
				o.Retryer = quick{o.Retryer}
			})
			if want := map[bool]int{true: 3, false: 1}[test.retried]; attempts != want {
				t.Errorf("the SDK tried %d times, want %d", attempts, want)
			}
			if !strings.Contains(a.log.String(), test.log) || test.log != "" && !strings.Contains(a.log.String(), `"operation":"GetSecretValue"`) {
				t.Errorf("got the log %s, want %q in it", a.log, test.log)
			}
			noSecrets(t, a.log.String())
		})
	}
}

func told(err error) (status int, code string) {
	if said, ok := errors.AsType[smithy.APIError](err); ok {
		code = said.ErrorCode()
	}
	if res, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && code != "" {
		status = res.HTTPStatusCode()
	}
	return status, code
}

type counting struct{ n *int }

func (c counting) Do(r *http.Request) (*http.Response, error) {
	*c.n++
	return http.DefaultClient.Do(r)
}

type quick struct{ aws.Retryer }

func (quick) RetryDelay(int, error) (time.Duration, error) { return 0, nil }

// An error of the model is one of the SDK's types, as when it comes directly.
func TestModelledError(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(w http.ResponseWriter, _ *http.Request) {
		refusal.Write(w, http.StatusBadRequest, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	})
	_, err := startAgent(t, d.URL, time.Minute).client(own(), 1).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
	if gone, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok || gone.ErrorMessage() != "Secrets Manager can't find the specified secret." {
		t.Errorf("got %v", err)
	}
}

// Credentials that end in the middle are replaced, and the request goes on. If there are
// no others, the client learns it.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	d := newDoor(t, answering(stored))
	a := startAgent(t, d.URL, time.Minute)
	c := a.client(own(), 1)
	get := func() error {
		_, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	delete(d.secrets, ownKey)
	a.keys.set(renewed(), nil) // the source has them, and the agent does not know
	if err := get(); err != nil {
		t.Fatalf("there were others: %v", err)
	}
	if a.keys.asked != 2 || d.count() != 3 {
		t.Errorf("asked for credentials %d times, and sent %d requests, want 2 and 3", a.keys.asked, d.count())
	}
	delete(d.secrets, newKey)
	if _, code := told(get()); code != "ExpiredTokenException" {
		t.Errorf("there were no others: got %q", code)
	}
}

// The front doors say in different ways that credentials have ended.
func TestRefusesCredentials(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status             int
		header, body, want string
	}{
		{400, "", `{"__type":"ExpiredTokenException","message":"x"}`, "yes"},
		{403, "ExpiredTokenException", `{"Message":"x"}`, "yes"}, // a function URL
		{403, "ExpiredTokenException:http://internal.amazon.com/", `{"message":"x"}`, "yes"},
		{403, "UnrecognizedClientException", `{"message":"x"}`, "yes"},
		{403, "AccessDeniedException", `{"Message":"x"}`, "no"},
		{400, "", `{"__type":"ResourceNotFoundException"}`, "no"},
		{500, "ExpiredTokenException", `{}`, "no"},
	} {
		res := &http.Response{StatusCode: test.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(test.body))}
		res.Header.Set("X-Amzn-Errortype", test.header)
		if got := refusesCredentials(res); got != (test.want == "yes") {
			t.Errorf("%+v: got %t", test, got)
		}
		if text, err := io.ReadAll(res.Body); err != nil || string(text) != test.body {
			t.Errorf("%+v: its body reads %s, %v", test, text, err)
		}
	}
}

// A client has new credentials before the agent, and old ones after it.
func TestClientBeforeAndAfter(t *testing.T) {
	t.Parallel()
	d := newDoor(t, answering(stored))
	a := startAgent(t, d.URL, time.Minute)
	before, after := a.client(own(), 1), a.client(renewed(), 1)
	input := &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")}
	if _, err := before.GetSecretValue(t.Context(), input); err != nil {
		t.Fatal(err)
	}
	a.keys.set(renewed(), nil)
	for name, c := range map[string]*secretsmanager.Client{"new": after, "old": before} {
		if _, err := c.GetSecretValue(t.Context(), input); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Beside a call without the agent; the difference is what the agent adds.
func BenchmarkSDK(b *testing.B) {
	d := newDoor(b, answering(stored))
	a := startAgent(b, d.URL, time.Minute)
	for name, url := range map[string]string{"direct": d.URL, "agent": a.url} {
		b.Run(name, func(b *testing.B) {
			service := map[string]string{"direct": "execute-api", "agent": "secretsmanager"}[name]
			d.answer = answering(stored)
			b.ResetTimer()
			for b.Loop() {
				r, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/", strings.NewReader(`{"SecretId":"db"}`))
				r.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
				_ = v4.NewSigner().SignHTTP(b.Context(), own(), r, fmt.Sprintf("%x", sum(`{"SecretId":"db"}`)), service, "us-east-1", time.Now())
				if status, _, body := do(b, r); status != http.StatusOK {
					b.Fatal(status, body)
				}
			}
		})
	}
}
