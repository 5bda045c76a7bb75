package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/client"
)

// newClient makes a client of the service at an endpoint. A client without one would
// talk to AWS, where the secret is not.
func newClient(ctx context.Context, endpoint string) (*secretsmanager.Client, error) {
	if endpoint == "" {
		return nil, errors.New("SECRETS_MANAGER_ENDPOINT is not set; it is the URL of Strongroom, such as http://127.0.0.1:4566")
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	secrets, err := client.FromConfig(cfg, endpoint)
	if err != nil {
		return nil, fmt.Errorf("SECRETS_MANAGER_ENDPOINT: %w", err)
	}
	return secrets, checkCredentials(ctx, cfg)
}

// checkCredentials says at the start what every step would fail of.
func checkCredentials(ctx context.Context, cfg aws.Config) error {
	if cfg.Region == "" {
		return errors.New("AWS_REGION is not set; with Strongroom on this machine it is us-east-1")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return fmt.Errorf("there are no AWS credentials; with Strongroom on this machine any do, such as AWS_ACCESS_KEY_ID=local and AWS_SECRET_ACCESS_KEY=local: %w", err)
	}
	return nil
}
