//go:build reference

package dynamo_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// startReference runs Dynoxide until the test ends. Its client never repeats a call,
// since a history would then differ, and adds no tokens of its own.
func startReference(t *testing.T) *dynamodb.Client {
	t.Helper()
	return localtest.Reference(t, "../../..", func(o *dynamodb.Options) {
		o.Retryer = aws.NopRetryer{}
		o.HTTPClient = &http.Client{Transport: wholeBodies{&http.Transport{}}}
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			_, _ = stack.Initialize.Remove("OperationIdempotencyTokenAutoFill") // few operations have it
			return nil
		})
	})
}

// wholeBodies reads a response before the SDK sees it: the SDK's decoder
// sometimes reads from a closed connection (aws/aws-sdk-go-v2#2737).
type wholeBodies struct{ http.RoundTripper }

func (w wholeBodies) RoundTrip(request *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(request.URL.Host, "127.0.0.1:") {
		return nil, fmt.Errorf("%s is not on this machine", request.URL.Host)
	}
	response, err := w.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}
