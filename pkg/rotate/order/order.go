// Package order is how functions/api has functions/rotate work: it invokes it, and
// waits for an answer only where it asks for one.
//
// Of Lambda's 90 operations this is the one that functions/api needs. The SDK's client
// would be a tenth of the deployed program and make it start later, since it describes
// every operation when a process starts.
package order

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/strongroom/strongroom/pkg/remote"
	"github.com/strongroom/strongroom/pkg/secret"
)

// An Order is what functions/rotate is asked by functions/api: to run the rotation of
// a secret, or whether a rotation function can be invoked. Of the schedule, which
// asks to run all that is due, it is empty.
type Order struct {
	SecretID string `json:"SecretId,omitempty"` // ARN
	Check    string `json:",omitempty"`         // rotation function
}

// An Answer is what functions/rotate answers a Check.
type Answer struct{ Invokable bool }

// Remote has the rotations run by functions/rotate, so that no other function may
// invoke rotation functions. It is the api.Rotator in the cloud.
type Remote struct {
	function string
	endpoint string
	cfg      aws.Config
	retryer  aws.Retryer
}

// New orders from the function with a name or ARN. Region, credentials and endpoint are
// those of cfg.
func New(ctx context.Context, cfg aws.Config, function string) (Remote, error) {
	cfg.HTTPClient = remote.Client(0) // Check takes as long as functions/rotate takes
	at, err := endpoint(ctx, cfg)
	return Remote{function: function, endpoint: at, cfg: cfg, retryer: remote.RetryThrottled()}, err
}

// Check asks whether a rotation function can be invoked. It returns
// [secret.NotInvokable] if not.
func (r Remote) Check(ctx context.Context, function string) error {
	text, err := r.invoke(ctx, "RequestResponse", Order{Check: function})
	if err != nil {
		return err
	}
	var answer struct{ Invokable *bool }
	if err := json.Unmarshal(text, &answer); err != nil || answer.Invokable == nil {
		return errNoAnswer // what it did answer may be anything, so it is not in the error
	}
	if !*answer.Invokable {
		return secret.NotInvokable
	}
	return nil
}

var errNoAnswer = errors.New("functions/rotate did not say whether the rotation function can be invoked; its log says why")

// Start has a rotation begun, and does not wait for its end.
func (r Remote) Start(ctx context.Context, arn string) error {
	_, err := r.invoke(ctx, "Event", Order{SecretID: arn})
	return err
}
