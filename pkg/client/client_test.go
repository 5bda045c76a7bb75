package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/endpoint"
)

// sent keeps the request that a client sends, and loses it.
type sent struct{ *http.Request }

func (s *sent) Do(r *http.Request) (*http.Response, error) {
	s.Request = r
	return nil, errors.New("lost")
}

func testConfig() aws.Config {
	return aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "example", "")}
}

// AWS checks signatures for what stands in front of a deployment; all else takes what
// SDKs sign for.
func TestSigning(t *testing.T) {
	t.Parallel()
	for url, scope := range map[string]string{
		"http://127.0.0.1:4566":                                              "us-east-1/secretsmanager",
		"https://strongroom.example/":                                        "us-east-1/secretsmanager",
		"https://secretsmanager.eu-central-1.amazonaws.com":                  "us-east-1/secretsmanager",
		"https://a1b2c3.execute-api.eu-central-1.amazonaws.com/prod":         "eu-central-1/execute-api",
		"https://a1b2c3-vpce-1.execute-api.eu-central-1.amazonaws.com/prod/": "eu-central-1/execute-api",
		"https://a1b2c3.execute-api.cn-north-1.amazonaws.com.cn/prod/":       "cn-north-1/execute-api",
		"https://a1b2c3.lambda-url.eu-central-1.on.aws/":                     "eu-central-1/lambda",
	} {
		wantSigned(t, url, scope)
	}
	wantSigned(t, "https://strongroom.example/", "us-east-1/execute-api", SignedFor(endpoint.Gateway))
	wantSigned(t, "https://a1b2c3.execute-api.eu-central-1.amazonaws.com/v1", "eu-west-1/execute-api", func(o *secretsmanager.Options) { o.Region = "eu-west-1" })
}

func wantSigned(t *testing.T, url, scope string, optFns ...func(*secretsmanager.Options)) {
	t.Helper()
	c, err := FromConfig(testConfig(), url, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	var got sent
	_, err = c.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")}, func(o *secretsmanager.Options) {
		o.HTTPClient, o.Retryer = &got, aws.NopRetryer{}
	})
	if got.Request == nil {
		t.Fatalf("%s: nothing was sent: %v", url, err)
	}
	if !strings.Contains(got.Header.Get("Authorization"), "/"+scope+"/aws4_request") {
		t.Errorf("%s: got %s, want it signed for %s", url, got.Header.Get("Authorization"), scope)
	}
	if at := got.URL.String(); strings.TrimSuffix(at, "/") != strings.TrimSuffix(url, "/") {
		t.Errorf("got a request to %s, want %s", at, url)
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		configured int
		want       int
	}{"by itself": {0, attempts}, "as configured": {2, 2}} {
		cfg := testConfig()
		cfg.RetryMaxAttempts = test.configured
		c, err := FromConfig(cfg, "http://127.0.0.1:4566")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Options().Retryer.MaxAttempts(); got != test.want {
			t.Errorf("%s: got %d attempts, want %d", name, got, test.want)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(t.Context(), "127.0.0.1:4566"); err == nil || !strings.Contains(err.Error(), "is not a URL") {
		t.Errorf("got %v, want that it is not a URL", err)
	}
}
