package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/strongroom/strongroom/pkg/policy"
)

// proxyEvent is a proxy event with the members of the given JSON object in
// place of its own.
func proxyEvent(t *testing.T, with string) json.RawMessage {
	t.Helper()
	e := map[string]any{}
	for _, s := range []string{
		`{"httpMethod": "POST", "path": "/", "headers": null, "multiValueHeaders": null, "body": null, "isBase64Encoded": false,
		  "requestContext": {"requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef", "stage": "v1", "path": "/v1", "domainName": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com", "identity": {"sourceIp": "192.0.2.10"}}}`,
		with,
	} {
		if err := json.Unmarshal([]byte(s), &e); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRequest(t *testing.T) {
	t.Parallel()
	type got struct {
		Method, Path, RequestURI, Host, RemoteAddr, Body string
		ContentLength                                    int64
		Header                                           http.Header
	}
	want := func(change func(*got)) got {
		g := got{
			Method: "POST", Path: "/v1", RequestURI: "/v1", RemoteAddr: "192.0.2.10:0", Header: http.Header{},
			Host: "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
		}
		change(&g)
		return g
	}
	tests := []struct {
		name, event string
		want        got
	}{
		{"no body", `{}`, want(func(*got) {})},
		{"text", `{"body": "{\"SecretId\": \"ключ\"}"}`, want(func(g *got) { g.Body, g.ContentLength = `{"SecretId": "ключ"}`, 24 })},
		{"base64", `{"body": "AAH/", "isBase64Encoded": true}`, want(func(g *got) { g.Body, g.ContentLength = "\x00\x01\xff", 3 })},
		{"base64 of nothing", `{"body": "", "isBase64Encoded": true}`, want(func(*got) {})},
		{"text that looks like base64", `{"body": "AAH/"}`, want(func(g *got) { g.Body, g.ContentLength = "AAH/", 4 })},
		{"another method", `{"httpMethod": "DELETE"}`, want(func(g *got) { g.Method = "DELETE" })},
		{
			"header names in any case", `{"headers": {"x-amz-target": "a", "X-AMZ-DATE": "b", "Content-Type": "c"}}`,
			want(func(g *got) {
				g.Header = http.Header{"X-Amz-Target": {"a"}, "X-Amz-Date": {"b"}, "Content-Type": {"c"}}
			}),
		},
		{
			"many values", `{"headers": {"accept": "b"}, "multiValueHeaders": {"Accept": ["a", "b"]}}`,
			want(func(g *got) { g.Header = http.Header{"Accept": {"a", "b"}} }),
		},
		{
			"two spellings", `{"multiValueHeaders": {"x-a": ["3"], "X-a": ["2"], "X-A": ["1"]}}`,
			want(func(g *got) { g.Header = http.Header{"X-A": {"1", "2", "3"}} }),
		},
		{
			"a header only among the single ones", `{"headers": {"x-a": "1", "x-b": "1"}, "multiValueHeaders": {"X-B": ["2"], "x-c": ["3"], "x-a": []}}`,
			want(func(g *got) { g.Header = http.Header{"X-A": {"1"}, "X-B": {"2"}, "X-C": {"3"}} }),
		},
		{"host", `{"headers": {"host": "secrets.example.com"}}`, want(func(g *got) { g.Host = "secrets.example.com" })},
		{
			"no path in the context", `{"path": "/secrets", "requestContext": {"requestId": "r", "identity": {"sourceIp": "2001:db8::1"}}}`,
			want(func(g *got) {
				g.Path, g.RequestURI, g.RemoteAddr, g.Host = "/secrets", "/secrets", "[2001:db8::1]:0", ""
			}),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var g got
			handle := Handle(plain(func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				g = got{r.Method, r.URL.Path, r.RequestURI, r.Host, r.RemoteAddr, string(body), r.ContentLength, r.Header}
			}))
			if _, err := handle(t.Context(), proxyEvent(t, test.event)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(g, test.want) {
				t.Errorf("the handler saw\n%+v, want\n%+v", g, test.want)
			}
		})
	}
}

func TestRequestHasTheContextOfTheInvocation(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var err error
	handle := Handle(plain(func(_ http.ResponseWriter, r *http.Request) { err = r.Context().Err() }))
	if _, err := handle(ctx, proxyEvent(t, `{}`)); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the request's context ended with %v, want %v", err, context.Canceled)
	}
}

func TestResponse(t *testing.T) {
	t.Parallel()
	header := func(h http.Header) map[string][]string { return h }
	tests := []struct {
		name, event string
		handler     func(http.ResponseWriter, *http.Request)
		want        Response
	}{
		{
			"nothing written", `{}`,
			func(http.ResponseWriter, *http.Request) {},
			Response{StatusCode: 200, MultiValueHeaders: header(http.Header{})},
		},
		{
			"text in pieces", `{}`,
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("content-type", "application/x-amz-json-1.1")
				w.WriteHeader(http.StatusBadRequest)
				for _, s := range []string{`{"Message":`, `"ключ"}`} {
					_, _ = io.WriteString(w, s)
				}
			},
			Response{StatusCode: 400, MultiValueHeaders: header(http.Header{"Content-Type": {"application/x-amz-json-1.1"}}), Body: `{"Message":"ключ"}`},
		},
		{
			"bytes that are no text", `{}`,
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0, 1, 0xff}) },
			Response{StatusCode: 200, MultiValueHeaders: header(http.Header{}), Body: "AAH/", IsBase64Encoded: true},
		},
		{
			"many values", `{}`,
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Add("x-a", "1")
				w.Header().Add("X-A", "2")
			},
			Response{StatusCode: 200, MultiValueHeaders: header(http.Header{"X-A": {"1", "2"}})},
		},
		{
			"the first status counts, and the header as it was then", `{}`,
			func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
				w.Header().Set("X-A", "1")
				w.WriteHeader(http.StatusTeapot)
				w.Header().Set("X-A", "2")
				w.WriteHeader(http.StatusOK)
			},
			Response{StatusCode: 418, MultiValueHeaders: header(http.Header{"X-A": {"1"}})},
		},
		{
			"HEAD has no body", `{"httpMethod": "HEAD"}`,
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-A", "1")
				_, _ = io.WriteString(w, "body")
			},
			Response{StatusCode: 200, MultiValueHeaders: header(http.Header{"X-A": {"1"}})},
		},
		{
			"a body that is no base64", `{"isBase64Encoded": true, "body": "{}"}`,
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
			Response{
				StatusCode: 400, MultiValueHeaders: header(http.Header{"Content-Type": {"application/x-amz-json-1.1"}}),
				Body: `{"__type":"SerializationException","message":"The body is not valid base64."}`,
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Handle(plain(test.handler))(t.Context(), proxyEvent(t, test.event))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got\n%+v, want\n%+v", got, test.want)
			}
		})
	}
}

// The names are API Gateway's: with others it answers 502 without a word.
func TestResponseFormat(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(Response{StatusCode: 200, MultiValueHeaders: http.Header{"X-A": {"1", "2"}}, Body: "{}"})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"statusCode":200,"multiValueHeaders":{"X-A":["1","2"]},"body":"{}","isBase64Encoded":false}`
	if string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhatIsNoProxyEvent(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, event string }{
		{"null", `null`},
		{"a list", `[]`},
		{"a string", `"hunter2"`},
		{"an empty object", `{}`},
		{"no JSON", `{"body": hunter2}`},
		{"a schedule", `{"version": "0", "id": "89d1a02d-5ec7-412e-82f5-13505f849b41", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}`},
		{"an HTTP API", `{"version": "2.0", "rawPath": "/", "requestContext": {"requestId": "r", "http": {"method": "POST"}}, "body": "hunter2"}`},
		{"a function URL without IAM", `{"version": "2.0", "rawPath": "/", "requestContext": {"accountId": "anonymous", "requestId": "r", "http": {"method": "POST"}, "authorizer": null}, "body": "hunter2"}`},
		{"an authorizer of another kind", `{"version": "2.0", "requestContext": {"requestId": "r", "http": {"method": "POST"}, "authorizer": {"jwt": {"claims": {"userArn": "hunter2"}}}}}`},
		{"an identity in the form of a proxy event", `{"version": "2.0", "requestContext": {"requestId": "r", "http": {"method": "POST"}, "identity": {"userArn": "hunter2"}}}`},
		{"a load balancer", `{"httpMethod": "POST", "requestContext": {"elb": {"targetGroupArn": "arn"}}, "body": "hunter2"}`},
		{"a body of another type", `{"httpMethod": "POST", "requestContext": {"requestId": "r"}, "body": {"SecretString": "hunter2"}}`},
		{"a member of another type", `{"httpMethod": "POST", "requestContext": {"requestId": "r"}, "headers": {"hunter2": 1}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			called := false
			handle := Handle(plain(func(http.ResponseWriter, *http.Request) { called = true }))
			_, err := handle(t.Context(), json.RawMessage(test.event))
			if err == nil || called {
				t.Fatalf("error %v, handler called: %t; want an error and no call", err, called)
			}
			if !strings.Contains(err.Error(), "API Gateway") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q, want one that says what the function is for, and nothing of the event", err)
			}
		})
	}
}

// plain is a handler that does not ask who calls.
type plain http.HandlerFunc

func (h plain) Answer(w http.ResponseWriter, r *http.Request, _ string, _ policy.Caller) { h(w, r) }

// asking keeps what it is told of a call.
type asking struct {
	id     string
	caller policy.Caller
}

func (a *asking) Answer(_ http.ResponseWriter, _ *http.Request, id string, caller policy.Caller) {
	a.id, a.caller = id, caller
}

// The caller is whom API Gateway names, whatever the headers say.
func TestCaller(t *testing.T) {
	t.Parallel()
	var got asking
	_, err := Handle(&got)(t.Context(), proxyEvent(t, `{
		"headers": {"X-Forwarded-For": "203.0.113.9", "User-Agent": "forged", "Authorization": "AWS4-HMAC-SHA256 Credential=OTHER/x"},
		"requestContext": {"requestId": "r-1", "identity": {
			"userArn": "arn:aws:sts::123456789012:assumed-role/app/i-0abc", "accountId": "123456789012", "caller": "AROAEXAMPLE:i-0abc", "user": "AROAEXAMPLE:i-0abc",
			"accessKey": "ASIAEXAMPLE", "principalOrgId": "o-abc", "sourceIp": "192.0.2.1", "userAgent": "aws-cli/2", "vpcId": "vpc-1", "vpceId": "vpce-1"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := asking{"r-1", policy.Caller{
		ARN: "arn:aws:sts::123456789012:assumed-role/app/i-0abc", Account: "123456789012", UserID: "AROAEXAMPLE:i-0abc", OrgID: "o-abc",
		AccessKey: "ASIAEXAMPLE", SourceIP: "192.0.2.1", UserAgent: "aws-cli/2", VPC: "vpc-1", VPCE: "vpce-1", Secure: true,
	}}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A function URL says the same in another form, and waits for the answer in one.
func TestFunctionURL(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../events/function-url.json")
	if err != nil {
		t.Fatal(err)
	}
	var got asking
	var method, uri, host, target, body string
	h := both{&got, func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		method, uri, host, target, body = r.Method, r.RequestURI, r.Host, r.Header.Get("X-Amz-Target"), string(text)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header()["X-Two"] = []string{"1", "2"}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "{}")
	}}
	res, err := Handle(h)(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	want := asking{"c6af9ac3-7b61-4f0c-9a41-93e8deadbe04", policy.Caller{
		ARN: "arn:aws:sts::111122223333:assumed-role/app/deploy", Account: "111122223333", UserID: "AROAIOSFODNN7EXAMPLE:deploy", OrgID: "o-a1b2c3d4e5",
		AccessKey: "ASIAIOSFODNN7EXAMPLE", SourceIP: "192.0.2.10", UserAgent: "aws-sdk-go-v2/1.47.7", Secure: true,
	}}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if method != "POST" || uri != "/" || host != "abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-central-1.on.aws" || target != "secretsmanager.GetSecretValue" || body != `{"SecretId":"example/app/database"}` {
		t.Errorf("got %s %s of %s, %s, %s", method, uri, host, target, body)
	}
	wantRes := Response{StatusCode: 400, Headers: map[string]string{"Content-Type": "application/x-amz-json-1.1", "X-Two": "1, 2"}, Body: "{}"}
	if !reflect.DeepEqual(res, wantRes) {
		t.Errorf("answered %+v, want %+v", res, wantRes)
	}
}

// both keeps what it is told of a call, and answers.
type both struct {
	*asking
	answer http.HandlerFunc
}

func (b both) Answer(w http.ResponseWriter, r *http.Request, id string, caller policy.Caller) {
	b.asking.Answer(w, r, id, caller)
	b.answer(w, r)
}

// FuzzHandle reads anything as an event, and its body as what the handler
// answers: what comes back must be the bytes that went in.
func FuzzHandle(f *testing.F) {
	samples, err := filepath.Glob("../../events/*.json")
	if err != nil || len(samples) == 0 {
		f.Fatalf("%d sample events, %v", len(samples), err)
	}
	for _, name := range samples {
		sample, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sample)
	}
	f.Add([]byte(`{"httpMethod": "\u0000 /", "path": "%zz", "body": "AAH/", "isBase64Encoded": true, "multiValueHeaders": {"": null, "\n": ["\r"]}, "requestContext": {"requestId": "r", "path": "://"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var body []byte
		var r *http.Request
		handle := Handle(plain(func(w http.ResponseWriter, req *http.Request) {
			var err error
			if body, err = io.ReadAll(req.Body); err != nil {
				t.Error(err)
			}
			r = req
			for name, values := range req.Header {
				w.Header()[name] = values
			}
			if _, err = w.Write(body); err != nil {
				t.Error(err)
			}
		}))
		res, err := handle(t.Context(), raw)
		if r == nil {
			if err == nil && res.StatusCode != http.StatusBadRequest {
				t.Errorf("got %+v without asking the handler", res)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.ContentLength != int64(len(body)) {
			t.Errorf("content length %d of a body of %d bytes", r.ContentLength, len(body))
		}
		answer := []byte(res.Body)
		if res.IsBase64Encoded {
			if answer, err = base64.StdEncoding.DecodeString(res.Body); err != nil {
				t.Fatal(err)
			}
		}
		if r.Method == http.MethodHead {
			body = nil
		}
		if !bytes.Equal(answer, body) || res.IsBase64Encoded == utf8.Valid(body) {
			t.Errorf("answered %q (base64: %t), want %q", answer, res.IsBase64Encoded, body)
		}
		for name, values := range r.Header {
			if res.Headers != nil { // of a function URL
				if res.Headers[name] != strings.Join(values, ", ") || res.MultiValueHeaders != nil {
					t.Errorf("header %q is %q, want %q", name, res.Headers[name], values)
				}
			} else if !slices.Equal(res.MultiValueHeaders[name], values) {
				t.Errorf("header %q is %q, want %q", name, res.MultiValueHeaders[name], values)
			}
		}
	})
}

// Lambda takes 6 MB (6,291,456 bytes) of JSON, and loses what is larger: an answer may
// have 4 kB less, with all that is around its body, which is 52 bytes here.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	refused := Response{
		StatusCode:        400,
		MultiValueHeaders: map[string][]string{"Content-Type": {"application/x-amz-json-1.1"}},
		Body:              `{"__type":"InvalidRequestException","Message":"The answer is larger than 6 MB. Ask for fewer secrets at a time."}`,
	}
	for name, test := range map[string]struct {
		body  string
		large bool
	}{
		"as large as may be":                      {strings.Repeat("a", 6_287_308), false},
		"a byte larger":                           {strings.Repeat("a", 6_287_309), true},
		"far too large":                           {strings.Repeat("a", 20_000_000), true},
		"quoted six times, as large as may be":    {strings.Repeat("\x01", 1_047_892), false},
		"quoted six times, a byte larger":         {strings.Repeat("\x01", 1_047_893), true},
		"bytes that are base64, and large enough": {strings.Repeat("\xff", 4_715_481), false},
		"bytes that are base64, and too large":    {strings.Repeat("\xff", 4_715_482), true},
	} {
		handle := Handle(plain(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, test.body) }))
		got, err := handle(t.Context(), proxyEvent(t, `{}`))
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case test.large != reflect.DeepEqual(got, refused):
			t.Errorf("%s: got %d, %v, %.200s", name, got.StatusCode, got.MultiValueHeaders, got.Body)
		}
		text, err := json.Marshal(got)
		if err != nil || len(text) > 6_291_456 {
			t.Errorf("%s: %d bytes, %v, want no more than 6 MB", name, len(text), err)
		}
	}
}
