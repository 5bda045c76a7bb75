package local

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	sdkkms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/strongroom/strongroom/pkg/loopback"
	"github.com/strongroom/strongroom/pkg/remote"
	"github.com/strongroom/strongroom/pkg/rotate"
)

const (
	envDynamoDB = "AWS_ENDPOINT_URL_DYNAMODB"
	envKMS      = "AWS_ENDPOINT_URL_KMS"
	envLambda   = "AWS_ENDPOINT_URL_LAMBDA"
)

// dynamoDBAt is a client of the user's own DynamoDB. The SDK's retries are on, and
// should stay on: about one in a thousand larger answers fails in its decoder
// whatever the server (aws/aws-sdk-go-v2#2737).
func dynamoDBAt(ctx context.Context, url string, log *slog.Logger) (*dynamodb.Client, error) {
	cfg, err := configAt(ctx, url, log)
	return dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.BaseEndpoint = &url }), err
}

func kmsAt(ctx context.Context, url string, log *slog.Logger) (*sdkkms.Client, error) {
	cfg, err := configAt(ctx, url, log)
	return sdkkms.NewFromConfig(cfg, func(o *sdkkms.Options) { o.BaseEndpoint = &url }), err
}

func lambdaAt(ctx context.Context, url string, log *slog.Logger) (*lambda.Client, error) {
	cfg, err := configAt(ctx, url, log)
	return lambda.NewFromConfig(cfg, rotate.Options, rotate.Unhurried, func(o *lambda.Options) { o.BaseEndpoint = &url }), err
}

// configAt configures clients of an engine that is the user's, with the user's own
// region and credentials if there are any. Most engines that people run themselves
// take any credential, so there the lack of one is no error.
func configAt(ctx context.Context, at string, log *slog.Logger) (aws.Config, error) {
	// The last place where the SDK looks for credentials is the metadata
	// service of an EC2 instance, which elsewhere may keep silent for long. It is
	// asked within bounds, and not at all for an engine on this machine.
	var metadata imds.ClientEnableState
	level := slog.LevelWarn
	if u, err := url.Parse(at); err == nil && loopback.IsHost(u.Host) {
		metadata, level = imds.ClientDisabled, slog.LevelDebug // few of these ask for any
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithEC2IMDSClientEnableState(metadata), config.WithHTTPClient(remote.Client(remote.Attempt)))
	if err != nil {
		return cfg, fmt.Errorf("read the AWS configuration for %s: %w", at, err)
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
	return cfg, nil
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
