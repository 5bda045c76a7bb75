package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/sync/semaphore"
)

// service asks a Strongroom, with the SDK's retries.
type service struct {
	client *secretsmanager.Client
	calls  *semaphore.Weighted // how many there may be at once
}

func newService(client *secretsmanager.Client) service {
	return service{client, semaphore.NewWeighted(fetchesAtOnce)}
}

// A value is what AWS's agent answers. The date is a text there, in seconds.
type value struct {
	ARN           *string
	Name          *string
	VersionId     *string
	SecretString  *string  `json:",omitempty"`
	SecretBinary  []byte   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
	CreatedDate   *string
}

func (s service) fetch(ctx context.Context, q query) (answer, error) {
	if err := s.calls.Acquire(ctx, 1); err != nil {
		return answer{}, failureOf(err)
	}
	defer s.calls.Release(1)
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId: &q.SecretID, VersionId: optional(q.VersionID), VersionStage: optional(q.VersionStage),
	})
	if err != nil {
		return answer{}, failureOf(err)
	}
	defer clear(out.SecretBinary)
	v := value{out.ARN, out.Name, out.VersionId, out.SecretString, out.SecretBinary, out.VersionStages, seconds(out.CreatedDate)}
	var text bytes.Buffer
	text.Grow(len(aws.ToString(v.SecretString)) + 2*len(v.SecretBinary) + 1<<10) // seldom moves, and so leaves no copy
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return answer{}, fmt.Errorf("encode the answer: %w", err)
	}
	return answer{bytes.TrimSuffix(text.Bytes(), []byte("\n")), aws.ToString(out.VersionId)}, nil
}

// isCurrent asks DescribeSecret, the least that says where the labels are: it reads one
// item, opens no value and sends none. Who may not call it is answered by GetSecretValue.
func (s service) isCurrent(ctx context.Context, q query, versionID string) (bool, error) {
	if err := s.calls.Acquire(ctx, 1); err != nil {
		return false, failureOf(err)
	}
	defer s.calls.Release(1)
	out, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &q.SecretID})
	if err != nil {
		return false, failureOf(err)
	}
	stage := q.VersionStage
	if stage == "" {
		stage = "AWSCURRENT"
	}
	return out.DeletedDate == nil && slices.Contains(out.VersionIdsToStages[versionID], stage), nil
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func seconds(at *time.Time) *string {
	if at == nil {
		return nil
	}
	return aws.String(strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', -1, 64))
}

// A failure is an error as AWS's agent answers it.
type failure struct {
	status        int
	code, message string
	cause         error
}

func (f failure) Error() string { return f.cause.Error() }
func (f failure) Unwrap() error { return f.cause }

// failureOf is an error of the SDK for a client. What another try may mend is transient.
func failureOf(err error) error {
	f := failure{http.StatusInternalServerError, "InternalFailure", "", err}
	said, isAnswer := errors.AsType[smithy.APIError](err)
	res, hasStatus := errors.AsType[*awshttp.ResponseError](err)
	switch {
	case isAnswer && hasStatus:
		f.status, f.code, f.message = res.HTTPStatusCode(), said.ErrorCode(), said.ErrorMessage()
		// The message may repeat what the client sent, such as a value in a wrong place.
		f.cause = fmt.Errorf("Strongroom answers %d to request %s", f.status, res.ServiceRequestID())
	case errors.Is(err, errNoCredentials):
		f.status, f.code, f.message = http.StatusServiceUnavailable, "InternalServiceError", "The agent has no AWS credentials to sign with. Its log says why."
	case isTimeout(err):
		f.status, f.code, f.message = http.StatusGatewayTimeout, "TimeoutError", "Timeout"
	case isConnection(err):
		f.status, f.code, f.message = http.StatusBadGateway, "ConnectionError", "Read Error"
	}
	if f.status >= http.StatusInternalServerError || isThrottle(err) {
		return transient{f}
	}
	return f
}

func isConnection(err error) bool {
	_, ok := errors.AsType[*smithyhttp.RequestSendError](err)
	return ok
}

func isThrottle(err error) bool {
	return retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}.IsErrorThrottle(err).Bool()
}
