package main

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/rotate"
)

const (
	// pruneEvery and rotateEvery are how often is looked what is due.
	pruneEvery  = time.Minute
	rotateEvery = 10 * time.Second

	// rotateAtOnce is how many rotations run at the same time.
	rotateAtOnce = 10
	// stepTimeout is the default of the deployed function.
	stepTimeout = time.Minute
)

func newRotator(ctx context.Context, engines *local.Engines, server *api.Server) *rotate.Background {
	var functions rotate.Lambda = nowhere{}
	if engines.Lambda != nil {
		functions = engines.Lambda
	}
	return &rotate.Background{
		Rotator: &rotate.Rotator{
			Store:       server.Store,
			Lambda:      functions,
			StepTimeout: stepTimeout,
			RetryDelay:  time.Minute,
			Parallel:    rotateAtOnce,
			Log:         server.Log,
			OnEvent:     rotate.Recorder(server.Trail, server.Log),
		},
		Context: ctx,
		ARNs:    server.ARNs,
	}
}

// rotateNowAndThen runs what is due, as the schedule does in the cloud, until the
// context ends.
func rotateNowAndThen(ctx context.Context, rotator *rotate.Background) {
	nowAndThen(ctx, rotateEvery, nil, rotator.Sweep)
}

// nowhere is the Lambda of a server that was not told where rotation functions are.
type nowhere struct{}

// Invoke says what to do about it.
func (nowhere) Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	return nil, errors.New("AWS_ENDPOINT_URL_LAMBDA is not set, so nothing is rotated; set it to the URL where rotation functions are invoked, and start again")
}
