package remote

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// lambda is what Lambda sets, with changes.
func lambda(changes map[string]string) func(string) string {
	env := map[string]string{
		"AWS_REGION": "us-gov-west-1", "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "very-secret", "AWS_SESSION_TOKEN": "very-token",
	}
	maps.Copy(env, changes)
	return func(name string) string { return env[name] }
}

func TestConfig(t *testing.T) {
	t.Parallel()
	cfg, err := Config(lambda(nil))
	if err != nil {
		t.Fatal(err)
	}
	key, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil || key.AccessKeyID != "ASIAEXAMPLE" || key.SecretAccessKey != "very-secret" || key.SessionToken != "very-token" || key.CanExpire {
		t.Errorf("got credentials of %s that expire: %t, %v", key.AccessKeyID, key.CanExpire, err)
	}
	o := dynamodb.NewFromConfig(cfg).Options()
	if o.Region != "us-gov-west-1" || o.Retryer.MaxAttempts() != 3 || o.BaseEndpoint != nil {
		t.Errorf("got Region %s, %d attempts, endpoint %v, want the SDK's defaults", o.Region, o.Retryer.MaxAttempts(), o.BaseEndpoint)
	}
}

// hosts are where requests to DynamoDB and KMS go.
func hosts(t *testing.T, cfg aws.Config) []string {
	t.Helper()
	var asked []string
	cfg.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Scheme+"://"+r.URL.Host)
		return nil, http.ErrHandlerTimeout
	})
	cfg.RetryMaxAttempts = 1
	_, _ = dynamodb.NewFromConfig(cfg).ListTables(t.Context(), &dynamodb.ListTablesInput{})
	_, _ = kms.NewFromConfig(cfg).ListKeys(t.Context(), &kms.ListKeysInput{})
	return asked
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  map[string]string
		want []string
	}{
		{nil, []string{"https://dynamodb.us-gov-west-1.amazonaws.com", "https://kms.us-gov-west-1.amazonaws.com"}},
		{map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, []string{"https://dynamodb.us-gov-west-1.amazonaws.com", "https://kms-fips.us-gov-west-1.amazonaws.com"}},
		{
			map[string]string{"AWS_REGION": "eu-central-1", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
			[]string{"https://dynamodb.eu-central-1.api.aws", "https://kms.eu-central-1.api.aws"},
		},
		{map[string]string{"AWS_ENDPOINT_URL_KMS": "http://keys:1"}, []string{"https://dynamodb.us-gov-west-1.amazonaws.com", "http://keys:1"}},
		{map[string]string{"AWS_ENDPOINT_URL_KMS": "http://keys:1", "AWS_ENDPOINT_URL": "http://all:1"}, []string{"http://all:1", "http://keys:1"}},
		{
			map[string]string{"AWS_ENDPOINT_URL_KMS": "http://keys:1", "AWS_ENDPOINT_URL": "http://all:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
			[]string{"https://dynamodb.us-gov-west-1.amazonaws.com", "https://kms.us-gov-west-1.amazonaws.com"},
		},
	} {
		cfg, err := Config(lambda(c.env))
		if err != nil {
			t.Fatal(err)
		}
		if got := hosts(t, cfg); !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.env, got, c.want)
		}
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	cfg, err := Config(lambda(map[string]string{"AWS_MAX_ATTEMPTS": "7", "AWS_RETRY_MODE": "adaptive"}))
	if err != nil {
		t.Fatal(err)
	}
	if o := kms.NewFromConfig(cfg).Options(); o.RetryMode != aws.RetryModeAdaptive || o.Retryer.MaxAttempts() != 7 {
		t.Errorf("got %s and %d attempts", o.RetryMode, o.Retryer.MaxAttempts())
	}
}

// What is wrong is said at once, and no credential is in it.
func TestWrongConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, value, want string }{
		{"AWS_REGION", "", "AWS_REGION is not set, and must be a Region such as eu-central-1"},
		{"AWS_RETRY_MODE", "legacy", `AWS_RETRY_MODE is "legacy", and must be standard or adaptive`},
		{"AWS_MAX_ATTEMPTS", "many", `AWS_MAX_ATTEMPTS is "many", and must be a number of attempts from 0 to 100`},
		{"AWS_USE_FIPS_ENDPOINT", "yes", `AWS_USE_FIPS_ENDPOINT is "yes", and must be true or false`},
		{"AWS_SECRET_ACCESS_KEY", "", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and must be: Lambda sets them unless the function uses SnapStart, which is not supported"},
	} {
		_, err := Config(lambda(map[string]string{c.name: c.value}))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s=%s: got %v, want %s", c.name, c.value, err, c.want)
		}
	}
	_, err := Config(lambda(map[string]string{"AWS_REGION": "", "AWS_ACCESS_KEY_ID": ""}))
	if err == nil || strings.Count(err.Error(), "\n") != 1 || strings.Contains(err.Error(), "very-") {
		t.Errorf("got %v, want both errors and no credential", err)
	}
}
