package order

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// maxAnswer is more than functions/rotate ever answers.
const maxAnswer = 64 << 10

// invoke is Lambda's operation Invoke. It returns what the function answered, nothing
// for an Event, and repeats what was throttled in the SDK's own loop.
func (r Remote) invoke(ctx context.Context, kind string, o Order) ([]byte, error) {
	payload, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	attempts := retry.NewAttemptMiddleware(r.retryer, func(request any) any { return request })
	out, _, err := attempts.HandleFinalize(ctx, middleware.FinalizeInput{}, middleware.FinalizeHandlerFunc(
		func(ctx context.Context, _ middleware.FinalizeInput) (out middleware.FinalizeOutput, _ middleware.Metadata, err error) {
			out.Result, err = r.attempt(ctx, kind, payload)
			return out, middleware.Metadata{}, err
		}))
	if err != nil {
		return nil, fmt.Errorf("invoke functions/rotate: %w", err)
	}
	answer, _ := out.Result.([]byte)
	return answer, nil
}

// attempt invokes the function once.
//
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func (r Remote) attempt(ctx context.Context, kind string, payload []byte) ([]byte, error) {
	// The SDK escapes all but letters, digits and -_.~ in a path, and so does the signer.
	name := strings.ReplaceAll(url.QueryEscape(r.function), "+", "%20")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.endpoint+"/2015-03-31/functions/"+name+"/invocations", bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("X-Amz-Invocation-Type", kind)
	credentials, err := r.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	if err := v4.NewSigner().SignHTTP(ctx, credentials, request, sumOf(payload), "lambda", r.cfg.Region, time.Now()); err != nil {
		return nil, err
	}
	response, err := r.cfg.HTTPClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // all that counts was read
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode >= http.StatusMultipleChoices:
		return nil, refusal(response, answer)
	case response.Header.Get("X-Amz-Function-Error") != "":
		return nil, errFailed
	}
	return answer, nil
}

func sumOf(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}

var errFailed = errors.New("the function ended with an error; its log says which")

// refusal is the error that Lambda itself answered, with the code by which the SDK
// recognizes what to repeat.
func refusal(response *http.Response, body []byte) error {
	code, _, _ := strings.Cut(response.Header.Get("X-Amzn-Errortype"), ":")
	if code == "" {
		code = response.Status
	}
	var said struct{ Message string }
	_ = json.Unmarshal(body, &said) // a proxy may answer what is no JSON
	return &smithy.GenericAPIError{Code: code, Message: said.Message}
}

// endpoint is where Lambda answers, without a slash at its end. What is configured
// comes first. Elsewhere Lambda's host is called as that of KMS, in every partition, with
// FIPS and with dual-stack; so the endpoints that the program has anyway are enough.
func endpoint(ctx context.Context, cfg aws.Config) (string, error) {
	for _, source := range cfg.ConfigSources {
		if s, ok := source.(interface {
			GetServiceBaseEndpoint(ctx context.Context, sdkID string) (string, bool, error)
		}); ok {
			if at, found, err := s.GetServiceBaseEndpoint(ctx, "Lambda"); found || err != nil {
				return strings.TrimSuffix(at, "/"), err
			}
		}
	}
	if cfg.BaseEndpoint != nil {
		return strings.TrimSuffix(*cfg.BaseEndpoint, "/"), nil
	}
	how := kms.NewFromConfig(cfg).Options().EndpointOptions
	found, err := kms.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, kms.EndpointParameters{
		Region:       &cfg.Region,
		UseFIPS:      aws.Bool(how.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(how.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return "", fmt.Errorf("find the endpoint of Lambda: %w", err)
	}
	return "https://lambda" + strings.TrimPrefix(found.URI.Host, "kms"), nil
}
