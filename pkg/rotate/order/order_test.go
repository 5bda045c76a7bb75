package order

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/remote"
	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	rotator  = "strongroom-rotate"
	rotation = "arn:aws:lambda:us-east-1:000000000000:function:rotation"
	arn      = "arn:aws:secretsmanager:us-east-1:000000000000:secret:s-abcdef"
	// mark is in what the function answers when it fails, and in no error.
	mark = "ANSWER-MARK"
)

// config is that of a Lambda function, with some variables of its own.
func config(t *testing.T, more map[string]string) aws.Config {
	t.Helper()
	env := map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrEXAMPLE", "AWS_SESSION_TOKEN": "token",
	}
	maps.Copy(env, more)
	cfg, err := remote.Config(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// to orders from a Lambda that answers the same to everything, and tells what it was asked.
func to(t *testing.T, function string, answer http.HandlerFunc) (Remote, *[]string) {
	t.Helper()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.EscapedPath()+" "+r.Header.Get("X-Amz-Invocation-Type")+" "+string(body))
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	r, err := New(t.Context(), config(t, map[string]string{"AWS_ENDPOINT_URL_LAMBDA": server.URL + "/"}), function)
	if err != nil {
		t.Fatal(err)
	}
	return r, &asked
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

// failed is how Lambda answers for a function that failed.
func failed(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Amz-Function-Error", "Unhandled")
	_, _ = io.WriteString(w, `{"errorType":"x","errorMessage":"`+mark+`"}`)
}

func refused(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Errortype", code+":http://internal.amazon.com/coral/")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"Type":"User","message":"why not"}`)
	}
}

var errOurs = errors.New("an error of ours")

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"invokable":           {text(`{"Invokable":true}`), nil},
		"not invokable":       {text(`{"Invokable":false}`), secret.NotInvokable},
		"it failed":           {failed, errOurs},
		"it failed, emulated": {text(`{"errorType":"x","errorMessage":"` + mark + `"}`), errOurs},
		"it took too long":    {text("Task timed out after 3.00 seconds " + mark), errOurs},
		"no answer":           {text(""), errOurs},
		"no JSON":             {text("OK" + mark), errOurs},
		"it is missing":       {refused(http.StatusNotFound, "ResourceNotFoundException"), errOurs},
		"a proxy's answer":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, errOurs},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, asked := to(t, rotator, c.answer)
			err := r.Check(t.Context(), rotation)
			got := err
			if err != nil && !errors.Is(err, secret.NotInvokable) {
				got = errOurs
			}
			if !errors.Is(got, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), mark) {
				t.Errorf("the error has the answer in it: %v", err)
			}
			if want := []string{"POST /2015-03-31/functions/strongroom-rotate/invocations RequestResponse " + `{"Check":"` + rotation + `"}`}; !slices.Equal(*asked, want) {
				t.Errorf("asked %q, want %q", *asked, want)
			}
		})
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	r, asked := to(t, rotator, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	if err := r.Start(t.Context(), arn); err != nil {
		t.Error(err)
	}
	if want := []string{"POST /2015-03-31/functions/strongroom-rotate/invocations Event " + `{"SecretId":"` + arn + `"}`}; !slices.Equal(*asked, want) {
		t.Errorf("asked %q, want %q", *asked, want)
	}
	r, _ = to(t, rotator, refused(http.StatusForbidden, "AccessDeniedException"))
	err := r.Start(t.Context(), arn)
	if refusal, ok := errors.AsType[smithy.APIError](err); !ok || refusal.ErrorCode() != "AccessDeniedException" || refusal.ErrorMessage() != "why not" {
		t.Errorf("got %v, want AccessDeniedException", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Start(ctx, arn); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// answers are by the number of the attempt, from 1.
type answers func(attempt int) (status int, code string)

// counted is an HTTP client that needs no network, so that time is virtual.
type counted struct {
	n      atomic.Int32
	answer answers
}

func (c *counted) Do(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	status, code := c.answer(int(c.n.Add(1)))
	refused(status, code)(w, nil)
	return w.Result(), nil
}

// What was throttled is repeated, and nothing else: the function may have run.
func TestRepeats(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer answers
		want   int32
		ok     bool
	}{
		"throttled": {func(int) (int, string) { return http.StatusTooManyRequests, "TooManyRequestsException" }, 6, false},
		"throttled for long": {func(n int) (int, string) {
			return [6]int{429, 429, 429, 429, 429, 202}[n-1], "TooManyRequestsException"
		}, 6, true},
		"broken":    {func(int) (int, string) { return http.StatusInternalServerError, "ServiceException" }, 1, false},
		"not there": {func(int) (int, string) { return http.StatusNotFound, "ResourceNotFoundException" }, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := &counted{answer: c.answer}
				r, err := New(t.Context(), config(t, nil), rotator)
				if err != nil {
					t.Fatal(err)
				}
				r.cfg.HTTPClient = client
				if err := r.Start(t.Context(), arn); (err == nil) != c.ok || client.n.Load() != c.want {
					t.Errorf("got %v after %d attempts, want %d", err, client.n.Load(), c.want)
				}
			})
		})
	}
}

// A capture keeps one request, and answers nothing.
type capture struct {
	request *http.Request
	body    []byte
}

func (c *capture) Do(r *http.Request) (*http.Response, error) {
	c.request = r
	if r.Body != nil {
		c.body, _ = io.ReadAll(r.Body)
	}
	return &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// A request is that of the SDK's own client, but for headers of no meaning, whatever the
// function is called. So its signature is right too: the SDK signs both.
func TestIsTheSDKsRequest(t *testing.T) {
	t.Parallel()
	for _, function := range []string{rotator, rotator + ":live", rotation, rotation + ":$LATEST", "a b+c%2F"} {
		cfg := config(t, nil)
		var theirs, ours capture
		cfg.HTTPClient = &theirs
		_, err := lambda.NewFromConfig(cfg).Invoke(t.Context(), &lambda.InvokeInput{
			FunctionName: &function, InvocationType: types.InvocationTypeEvent, Payload: []byte(`{"SecretId":"` + arn + `"}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := New(t.Context(), cfg, function)
		if err != nil {
			t.Fatal(err)
		}
		r.cfg.HTTPClient = &ours
		if err := r.Start(t.Context(), arn); err != nil {
			t.Fatal(err)
		}
		if got, want := line(&ours), line(&theirs); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := signed(t, &ours); got != ours.request.Header.Get("Authorization") {
			t.Errorf("the signature is not that of the request as it was sent: %s", got)
		}
	}
}

// line is what counts of a request.
func line(c *capture) string {
	return strings.Join([]string{
		c.request.Method, c.request.URL.String(), c.request.Header.Get("Content-Type"), c.request.Header.Get("X-Amz-Invocation-Type"),
		c.request.Header.Get("X-Amz-Security-Token"), string(c.body),
	}, " ")
}

// signed is the Authorization header that the request should have as it was sent.
func signed(t *testing.T, c *capture) string {
	t.Helper()
	at, err := time.Parse("20060102T150405Z", c.request.Header.Get("X-Amz-Date"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := http.NewRequestWithContext(t.Context(), c.request.Method, c.request.URL.String(), bytes.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Content-Type", "X-Amz-Invocation-Type"} {
		again.Header.Set(name, c.request.Header.Get(name))
	}
	credentials, err := config(t, nil).Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, again, sumOf(c.body), "lambda", "us-east-1", at); err != nil {
		t.Fatal(err)
	}
	return again.Header.Get("Authorization")
}

// Lambda is found where the SDK finds it, in every partition.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	yes := map[bool]string{true: "true", false: "false"}
	for _, region := range []string{
		"us-east-1", "us-west-2", "eu-central-1", "eu-south-2", "ap-southeast-5", "ca-west-1", "me-central-1", "il-central-1", "af-south-1",
		"us-gov-west-1", "us-gov-east-1", "cn-north-1", "cn-northwest-1",
		"us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "eusc-de-east-1",
	} {
		for _, fips := range []bool{false, true} {
			for _, dual := range []bool{false, true} {
				got, err := endpoint(t.Context(), config(t, map[string]string{
					"AWS_REGION": region, "AWS_USE_FIPS_ENDPOINT": yes[fips], "AWS_USE_DUALSTACK_ENDPOINT": yes[dual],
				}))
				want, theirs := lambda.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), lambda.EndpointParameters{
					Region: &region, UseFIPS: &fips, UseDualStack: &dual,
				})
				if (err == nil) != (theirs == nil) || err == nil && got != want.URI.String() {
					t.Errorf("%s, FIPS %t, dual-stack %t: got %s, %v, want %s, %v", region, fips, dual, got, err, want.URI.String(), theirs)
				}
			}
		}
	}
}

func TestConfiguredEndpoint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"AWS_ENDPOINT_URL_LAMBDA": "http://lambda:1/"}, "http://lambda:1"},
		{map[string]string{"AWS_ENDPOINT_URL_LAMBDA": "http://lambda:1", "AWS_ENDPOINT_URL": "http://all:1"}, "http://lambda:1"},
		{map[string]string{"AWS_ENDPOINT_URL_KMS": "http://kms:1", "AWS_ENDPOINT_URL": "http://all:1/"}, "http://all:1"},
		{map[string]string{"AWS_ENDPOINT_URL_KMS": "http://kms:1"}, "https://lambda.us-east-1.amazonaws.com"},
		{map[string]string{"AWS_ENDPOINT_URL": "http://all:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "https://lambda.us-east-1.amazonaws.com"},
	} {
		if got, err := endpoint(t.Context(), config(t, c.env)); got != c.want || err != nil {
			t.Errorf("%v: got %s, %v, want %s", c.env, got, err, c.want)
		}
	}
}
