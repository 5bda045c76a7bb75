package local

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

const (
	envDynamoDB = "AWS_ENDPOINT_URL_DYNAMODB"
	envKMS      = "AWS_ENDPOINT_URL_KMS"
	envLambda   = "AWS_ENDPOINT_URL_LAMBDA"
)

// endpoint is where a service is and how its clients are configured.
type endpoint struct {
	url    string
	config aws.Config
}

// DynamoDB makes a client. The SDK's retries are on, and should stay on: about
// one in a thousand larger answers fails in its decoder whatever the server
// (aws/aws-sdk-go-v2#2737).
func (e *Engines) DynamoDB(optFns ...func(*dynamodb.Options)) *dynamodb.Client {
	at := func(o *dynamodb.Options) { o.BaseEndpoint = aws.String(e.dynamoDB.url) }
	return dynamodb.NewFromConfig(e.dynamoDB.config, append([]func(*dynamodb.Options){at}, optFns...)...)
}

// KMS makes a client, under the same terms as DynamoDB.
func (e *Engines) KMS(optFns ...func(*kms.Options)) *kms.Client {
	at := func(o *kms.Options) { o.BaseEndpoint = aws.String(e.kms.url) }
	return kms.NewFromConfig(e.kms.config, append([]func(*kms.Options){at}, optFns...)...)
}

// Lambda makes a client of the Lambda that the user has, or nil when there is none.
func (e *Engines) Lambda(optFns ...func(*lambda.Options)) *lambda.Client {
	if e.lambda.url == "" {
		return nil
	}
	at := func(o *lambda.Options) { o.BaseEndpoint = aws.String(e.lambda.url) }
	return lambda.NewFromConfig(e.lambda.config, append([]func(*lambda.Options){at}, optFns...)...)
}

// ours configures clients of an engine that runs here. Nothing is read from
// ~/.aws or the environment: whatever a user has there is meant for AWS.
func ours(url string, credential aws.Credentials) endpoint {
	return endpoint{url, aws.Config{
		Region:      Region,
		Credentials: credentials.NewStaticCredentialsProvider(credential.AccessKeyID, credential.SecretAccessKey, ""),
		HTTPClient:  httpClient(),
	}}
}

// httpClient is one for all clients of an endpoint, so that they share its
// connections: as many as there are requests at once, since each is made anew
// otherwise.
func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 512, 512
	})
}

// brought configures clients of an engine that is the user's, with the user's
// own region and credentials if there are any. Most engines that people run
// themselves take any credential, so there the lack of one is no error.
func brought(ctx context.Context, at string, log *slog.Logger) (endpoint, error) {
	// The last place where the SDK looks for credentials is the metadata
	// service of an EC2 instance, which elsewhere may keep silent for long. It is
	// asked within bounds, and not at all for an engine on this machine.
	var metadata imds.ClientEnableState
	level := slog.LevelWarn
	if u, err := url.Parse(at); err == nil && isLoopback(u.Host) {
		metadata, level = imds.ClientDisabled, slog.LevelDebug // few of these ask for any
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithEC2IMDSClientEnableState(metadata))
	if err != nil {
		return endpoint{}, fmt.Errorf("read the AWS configuration for %s: %w", at, err)
	}
	if cfg.Region == "" {
		cfg.Region = Region
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		log.Log(ctx, level, "no AWS credentials found; going on with made-up ones", "endpoint", at, "error", err)
		cfg.Credentials = credentials.NewStaticCredentialsProvider("local", "local", "")
	}
	return endpoint{at, cfg}, nil
}

// environment is the content of Env.
func environment(dynamoDB, kms string, o Options, credential aws.Credentials) []string {
	env := []string{envDynamoDB + "=" + dynamoDB, envKMS + "=" + kms}
	if o.DynamoDB != "" && o.KMS != "" {
		return env
	}
	return append(env,
		"AWS_REGION="+Region,
		"AWS_ACCESS_KEY_ID="+credential.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY="+credential.SecretAccessKey,
		// A session token of the user does not go with our credential, and
		// their profiles may hold endpoints and retry modes for AWS.
		"AWS_SESSION_TOKEN=",
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
	)
}

func checkURL(setting, value string) error {
	if value == "" {
		return nil
	}
	if u, err := url.Parse(value); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%s is %q, which is not a URL such as http://127.0.0.1:8000", setting, value)
	}
	return nil
}
