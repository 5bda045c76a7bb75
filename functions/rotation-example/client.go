package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// newClient makes a client of the service at an endpoint. A client without one would
// talk to AWS, where the secret is not.
func newClient(ctx context.Context, endpoint string) (*secretsmanager.Client, error) {
	at, err := url.Parse(endpoint)
	switch {
	case endpoint == "":
		return nil, errors.New("SECRETS_MANAGER_ENDPOINT is not set; it is the URL of Strongroom, such as http://127.0.0.1:4566")
	case err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https":
		return nil, fmt.Errorf("SECRETS_MANAGER_ENDPOINT is %q, which is not a URL such as http://127.0.0.1:4566", endpoint)
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkCredentials(ctx, cfg); err != nil {
		return nil, err
	}
	return secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
		o.BaseEndpoint = aws.String(endpoint)
		if isGateway(at.Hostname()) {
			o.AuthSchemeResolver = signedFor("execute-api")
		}
	}), nil
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

// isGateway says whether a host is API Gateway's, which checks signatures for its own
// service, execute-api. A domain name of your own in front of it is one more.
func isGateway(host string) bool { return strings.Contains(host, ".execute-api.") }

// signedFor is the name of the service that requests are signed for. By itself the SDK
// signs for secretsmanager.
type signedFor string

// ResolveAuthSchemes returns the only way that requests are signed.
func (name signedFor) ResolveAuthSchemes(_ context.Context, p *secretsmanager.AuthResolverParameters) ([]*auth.Option, error) {
	var props smithy.Properties
	smithyhttp.SetSigV4SigningName(&props, string(name))
	smithyhttp.SetSigV4SigningRegion(&props, p.Region)
	return []*auth.Option{{SchemeID: auth.SchemeIDSigV4, SignerProperties: props}}, nil
}
