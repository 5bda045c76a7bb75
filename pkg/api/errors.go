package api

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// errNotJSON is a request that is not of this protocol at all. AWS answers it
// in another: 404 and an XML element (as its sibling services do).
var errNotJSON = errors.New("not a JSON 1.1 request")

// fault is what the caller learns of an error that is ours.
var fault = secret.Errorf(secret.InternalServiceError, "An error occurred on the server side.")

// errHungUp is in the record and the log of a call that its caller ended. Nobody is
// there to read it as an answer.
var errHungUp = secret.Errorf("RequestAborted", "The caller closed the connection before the call was decided. Nothing was changed, and no value was given out.")

// isUncertain says whether a call that failed may have changed something.
func isUncertain(err error) bool {
	return errors.Is(err, store.ErrUncertain) || errors.Is(err, errPanic)
}

// framework lists the errors that come from the framework and not from the
// service: their message has a small m (recorded; the others a capital one).
var framework = []secret.Code{
	secret.Validation, secret.Serialization, secret.UnknownOperation,
	secret.AccessDenied, secret.Throttling, secret.RequestEntityTooLarge,
}

// errorBody is the status and body of an answer that refuses.
func errorBody(err error) (int, []byte) {
	refusal := refusalOf(err)
	body := struct {
		Type    string `json:"__type"`
		Message string `json:"Message,omitempty"`
		Small   string `json:"message,omitempty"`
	}{Type: string(refusal.Code)}
	if slices.Contains(framework, refusal.Code) {
		body.Small = refusal.Message
	} else {
		body.Message = refusal.Message
	}
	text, _ := encode(body) // strings can always be encoded
	return statusOf(refusal.Code), text
}

// statusOf is 400 for everything the caller can mend, also for a secret that is
// not there (recorded).
func statusOf(code secret.Code) int {
	switch code {
	case secret.InternalServiceError:
		return http.StatusInternalServerError
	case secret.RequestEntityTooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// refusalOf is the refusal in err. Too much at once, here or in an engine behind
// us, is said so that SDKs wait and try again; every other error is ours.
func refusalOf(err error) secret.Error {
	if refusal, ok := errors.AsType[secret.Error](err); ok {
		return refusal
	}
	if errors.Is(err, store.ErrBusy) || isThrottle(err) {
		return secret.Errorf(secret.Throttling, "Rate exceeded")
	}
	return fault
}

func isThrottle(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	codes := retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}
	return codes.IsErrorThrottle(err).Bool()
}
