package rotate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/strongroom/strongroom/pkg/remote"
	"github.com/strongroom/strongroom/pkg/secret"
)

// Lambda is the part of the Lambda client that a Rotator needs. An error of Invoke
// leaves open whether the function ran.
type Lambda interface {
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

// Options are for the client that a [Rotator] is given: it repeats what was refused
// for being too much at once, and nothing else. A step that may have run is left to
// the next attempt, since two at the same time are more than a function may expect.
func Options(o *lambda.Options) { o.Retryer = remote.RetryThrottled() }

// Unhurried has an invocation take as long as its context allows: steps of a rotation
// take longer than calls of other services may.
func Unhurried(o *lambda.Options) { o.HTTPClient = remote.Client(0) }

// payload is what a rotation function is given, with AWS's member names.
type payload struct {
	Step               string
	SecretID           string `json:"SecretId"`
	ClientRequestToken string
	RotationToken      string
}

// invoke calls a function and waits for its answer. What a function answers may
// hold anything, so none of it is in the error: its own log has it.
func invoke(ctx context.Context, client Lambda, function string, p payload) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(function), Payload: text})
	switch {
	case err != nil:
		return fmt.Errorf("invoke the function: %w", err)
	case out.FunctionError != nil:
		return errFunction
	case isError(out.Payload):
		return errFunction
	}
	return nil
}

var errFunction = errors.New("the function ended with an error; its log says which")

// isError says whether an answer is that of a function that failed. The Runtime
// Interface Emulator does not say so in a header, as Lambda does, and of a function
// that took too long it says so in plain text.
func isError(answer []byte) bool {
	if bytes.HasPrefix(answer, []byte("Task timed out after ")) {
		return true
	}
	var failed struct {
		ErrorType    *string `json:"errorType"`
		ErrorMessage *string `json:"errorMessage"`
	}
	return json.Unmarshal(answer, &failed) == nil && failed.ErrorType != nil && failed.ErrorMessage != nil
}

// checkTimeout is how long Check may take: RotateSecret waits for it.
const checkTimeout = 5 * time.Second

// Check returns [secret.NotInvokable] for a function that is not there, or that we
// may not invoke. Lambda is asked, and runs nothing.
func (r *Rotator) Check(ctx context.Context, function string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := r.Lambda.Invoke(ctx, &lambda.InvokeInput{
		FunctionName:   aws.String(function),
		InvocationType: types.InvocationTypeDryRun,
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil || isPassing(err):
		return err
	}
	r.Log.WarnContext(ctx, "rotation function cannot be invoked", "error", err.Error())
	return secret.NotInvokable
}

// isPassing says that an error of Lambda is not about the function: too much was asked
// at once, or it failed itself.
func isPassing(err error) bool {
	throttles := retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}
	answer, answered := errors.AsType[*awshttp.ResponseError](err)
	return throttles.IsErrorThrottle(err).Bool() || answered && answer.HTTPStatusCode() >= http.StatusInternalServerError
}
