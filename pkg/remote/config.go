package remote

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/strongroom/strongroom/pkg/settings"
)

// Config configures the clients of AWS services in a Lambda function. Lambda's own
// variables give the Region and the credentials of the function's role:
//
//	AWS_REGION
//	AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
//
// Of the SDK's other variables these are honoured, and no files:
//
//	AWS_RETRY_MODE                       standard or adaptive
//	AWS_MAX_ATTEMPTS                     1 to 100; 3 unless set
//	AWS_USE_FIPS_ENDPOINT                true or false
//	AWS_USE_DUALSTACK_ENDPOINT           true or false
//	AWS_ENDPOINT_URL                     of all services
//	AWS_ENDPOINT_URL_<SERVICE>           of one, such as DYNAMODB
//	AWS_IGNORE_CONFIGURED_ENDPOINT_URLS  true or false
//
// The SDK's config.LoadDefaultConfig would find the same. It also links the clients of
// SSO, STS and the like, which a function never asks for credentials.
//
// A function with SnapStart is given credentials in another way, and is refused.
func Config(getenv func(string) string) (aws.Config, error) {
	r := settings.Reader{Get: getenv}
	from := environment{
		getenv:          getenv,
		fips:            r.Yes("AWS_USE_FIPS_ENDPOINT", false),
		dualStack:       r.Yes("AWS_USE_DUALSTACK_ENDPOINT", false),
		ignoreEndpoints: r.Yes("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", false),
	}
	cfg := aws.Config{
		Region:           r.Region(),
		HTTPClient:       Client(Attempt),
		RetryMode:        aws.RetryMode(r.Optional("AWS_RETRY_MODE", retryMode, "standard or adaptive")),
		RetryMaxAttempts: r.Number("AWS_MAX_ATTEMPTS", 0, 0, 100, "attempts"),
		ConfigSources:    []any{from},
	}
	if url := getenv("AWS_ENDPOINT_URL"); url != "" && !from.ignoreEndpoints {
		cfg.BaseEndpoint = &url
	}
	key := aws.Credentials{
		AccessKeyID: getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: getenv("AWS_SESSION_TOKEN"),
		Source: "environment",
	}
	cfg.Credentials = credentials.StaticCredentialsProvider{Value: key, Source: []aws.CredentialSource{aws.CredentialSourceEnvVars}}
	err := r.Err()
	if !key.HasKeys() {
		err = errors.Join(err, errNoCredentials)
	}
	return cfg, err
}

var (
	retryMode        = regexp.MustCompile(`^(standard|adaptive)$`)
	errNoCredentials = errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and must be: " +
		"Lambda sets them unless the function uses SnapStart, which is not supported")
)

// environment answers what clients ask of an aws.Config's sources.
type environment struct {
	getenv                           func(string) string
	fips, dualStack, ignoreEndpoints bool
}

func (e environment) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	return aws.FIPSEndpointStateEnabled, e.fips, nil
}

func (e environment) GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error) {
	return aws.DualStackEndpointStateEnabled, e.dualStack, nil
}

func (e environment) GetServiceBaseEndpoint(_ context.Context, sdkID string) (string, bool, error) {
	url := e.getenv("AWS_ENDPOINT_URL_" + strings.ReplaceAll(strings.ToUpper(sdkID), " ", "_"))
	return url, url != "" && !e.ignoreEndpoints, nil
}
