package main

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

func credentialsOf(t *testing.T, region string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
}

// sent keeps the request that a client sends, and loses it.
type sent struct{ *http.Request }

func (s *sent) Do(r *http.Request) (*http.Response, error) {
	s.Request = r
	return nil, errors.New("lost")
}

// API Gateway wants requests signed for execute-api, and all else what SDKs sign for.
func TestSigning(t *testing.T) {
	credentialsOf(t, "eu-central-1")
	for endpoint, service := range map[string]string{
		"http://127.0.0.1:4566":                                              "secretsmanager",
		"https://strongroom.example/":                                        "secretsmanager",
		"https://secretsmanager.eu-central-1.amazonaws.com":                  "secretsmanager",
		"https://a1b2c3.execute-api.eu-central-1.amazonaws.com/prod":         "execute-api",
		"https://a1b2c3-vpce-1.execute-api.eu-central-1.amazonaws.com/prod/": "execute-api",
		"https://a1b2c3.execute-api.cn-north-1.amazonaws.com.cn/prod/":       "execute-api",
	} {
		client, err := newClient(t.Context(), endpoint)
		if err != nil {
			t.Fatal(err)
		}
		var got sent
		_, err = client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")}, func(o *secretsmanager.Options) {
			o.HTTPClient, o.Retryer = &got, aws.NopRetryer{}
		})
		if got.Request == nil {
			t.Fatalf("%s: nothing was sent: %v", endpoint, err)
		}
		if scope := "/eu-central-1/" + service + "/aws4_request"; !strings.Contains(got.Header.Get("Authorization"), scope) {
			t.Errorf("%s: got %s, want it signed for %s", endpoint, got.Header.Get("Authorization"), scope)
		}
		if url := got.URL.String(); strings.TrimSuffix(url, "/") != strings.TrimSuffix(endpoint, "/") {
			t.Errorf("got a request to %s, want %s", url, endpoint)
		}
	}
}

func TestClientIsRefused(t *testing.T) {
	credentialsOf(t, "")
	for endpoint, want := range map[string]string{
		"":                      "SECRETS_MANAGER_ENDPOINT is not set",
		"127.0.0.1:4566":        `SECRETS_MANAGER_ENDPOINT is "127.0.0.1:4566", which is not a URL`,
		"ftp://127.0.0.1":       "which is not a URL",
		"http://127.0.0.1:4566": "AWS_REGION is not set",
	} {
		if _, err := newClient(t.Context(), endpoint); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", endpoint, err, want)
		}
	}
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if _, err := newClient(t.Context(), "http://127.0.0.1:4566"); err == nil || !strings.Contains(err.Error(), "there are no AWS credentials") {
		t.Errorf("got %v, want that there are no credentials", err)
	}
}
