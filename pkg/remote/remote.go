// Package remote configures the clients of AWS services: each attempt has its own
// time limit, well under that of a call, and there are as many connections as there is
// parallel work. A connection that the network forgot costs one attempt, which the
// SDK's retries make good.
package remote

import (
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Attempt is how long one attempt to reach DynamoDB or KMS may take.
const Attempt = 2 * time.Second

// connections is how many are kept: each is made anew otherwise.
const connections = 512

// Client makes the HTTP client of SDK clients; limit is of each attempt, 0 for none.
func Client(limit time.Duration) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTimeout(limit).WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections
	})
}

// RetryThrottled is for invocations of functions: it repeats what was refused for being
// too much at once, and nothing else, since a function may have run.
func RetryThrottled() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 6
		o.RateLimiter = ratelimit.None // or those that are throttled together would use up each other's tries
		o.Retryables = []retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}}
	})
}
