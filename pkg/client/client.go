// Package client makes clients of a Strongroom: those of the AWS SDK for Go, with the
// endpoint, the signing name and the retries that it needs.
//
//	secrets, err := client.New(ctx, "https://a1b2c3.execute-api.eu-central-1.amazonaws.com/v1")
package client

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/strongroom/strongroom/pkg/endpoint"
)

// attempts is how often a call is tried in all, unless the configuration says otherwise.
// A throttle of the front door is over all callers, and so may last longer than one of
// AWS's own. Strongroom recognizes the tries of one call: none is done twice.
const attempts = 5

// New makes a client of the Strongroom at a URL, which is that of API Gateway, of a
// function URL, of an agent or of a local server. Credentials and Region are found as for
// every AWS client; the Region in the URL comes first. Its errors say what is wrong with
// the URL or with the configuration of this machine.
func New(ctx context.Context, url string, optFns ...func(*secretsmanager.Options)) (*secretsmanager.Client, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	return FromConfig(cfg, url, optFns...)
}

// FromConfig is [New] with a configuration at hand.
func FromConfig(cfg aws.Config, url string, optFns ...func(*secretsmanager.Options)) (*secretsmanager.Client, error) {
	at, err := endpoint.Parse(url)
	if err != nil {
		return nil, err
	}
	configure := func(o *secretsmanager.Options) {
		o.BaseEndpoint = &url
		if at.Region != "" {
			o.Region = at.Region
		}
		if at.Service != "" {
			SignedFor(at.Service)(o)
		}
		if cfg.RetryMaxAttempts == 0 && cfg.Retryer == nil {
			o.RetryMaxAttempts = attempts
		}
	}
	return secretsmanager.NewFromConfig(cfg, append([]func(*secretsmanager.Options){configure}, optFns...)...), nil
}

// SignedFor is an option for a URL whose host name does not say what stands there, such
// as a domain of your own in front of API Gateway: [endpoint.Gateway].
func SignedFor(service string) func(*secretsmanager.Options) {
	return func(o *secretsmanager.Options) { o.AuthSchemeResolver = signedFor(service) }
}

// signedFor is the name of the service that requests are signed for.
type signedFor string

// ResolveAuthSchemes returns the only way that requests are signed.
func (name signedFor) ResolveAuthSchemes(_ context.Context, p *secretsmanager.AuthResolverParameters) ([]*auth.Option, error) {
	var props smithy.Properties
	smithyhttp.SetSigV4SigningName(&props, string(name))
	smithyhttp.SetSigV4SigningRegion(&props, p.Region)
	return []*auth.Option{{SchemeID: auth.SchemeIDSigV4, SignerProperties: props}}, nil
}
