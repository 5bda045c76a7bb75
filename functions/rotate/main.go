// Command rotate runs rotations: all that are due on a schedule, and single ones as
// functions/api asks for them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/strongroom/strongroom/functions/internal/entry"
	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/remote"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/rotate/order"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/settings"
	"github.com/strongroom/strongroom/pkg/store"
)

// maxStep is the longest that a step may take: all four, and a margin, have to fit
// into the 15 minutes of a Lambda function.
const maxStep = 200

func main() {
	entry.Start(build, func(f *function) any { return f.handle })
}

type function struct {
	*rotate.Rotator
	arns secret.ARNs
}

func build(getenv func(string) string, log *slog.Logger) (*function, error) {
	r := settings.Reader{Get: getenv}
	table, arns := r.Table(), r.ARNs()
	step := r.Number("ROTATION_STEP_SECONDS", 60, 1, maxStep, "seconds")
	parallel := r.Number("ROTATIONS_AT_ONCE", 20, 1, 1000, "rotations")
	if err := r.Err(); err != nil {
		return nil, err
	}
	cfg, err := remote.Config(getenv)
	if err != nil {
		return nil, err
	}
	return &function{&rotate.Rotator{
		Store:       store.New(dynamodb.NewFromConfig(cfg), table, arns),
		Lambda:      awslambda.NewFromConfig(cfg, rotate.Options, rotate.Unhurried),
		StepTimeout: time.Duration(step) * time.Second,
		RetryDelay:  time.Minute,
		Parallel:    parallel,
		Log:         log,
		OnEvent:     rotate.Recorder(audit.Lines(os.Stdout), log),
	}, arns}, nil
}

// handle does what an order says; the event of the schedule, which is none, means
// all that is due.
func (f *function) handle(ctx context.Context, event json.RawMessage) (any, error) {
	var asked order.Order
	if err := json.Unmarshal(event, &asked); err != nil {
		return nil, errors.New("the event is no order to rotate")
	}
	switch {
	case asked.Check != "":
		return f.check(ctx, asked.Check)
	case asked.SecretID != "":
		return nil, f.rotate(ctx, asked.SecretID)
	}
	return nil, f.run(ctx)
}

func (f *function) check(ctx context.Context, name string) (order.Answer, error) {
	err := f.Check(ctx, name)
	if errors.Is(err, secret.NotInvokable) {
		return order.Answer{}, nil
	}
	return order.Answer{Invokable: err == nil}, err
}

func (f *function) rotate(ctx context.Context, arn string) error {
	id, err := f.arns.Parse(arn)
	if err != nil {
		return err
	}
	began := time.Now()
	outcome, err := f.Rotate(ctx, id)
	f.log(ctx, rotate.Summary{Secrets: 1, Outcomes: map[rotate.Outcome]int{outcome: 1}}, began)
	return err
}

func (f *function) run(ctx context.Context) error {
	began := time.Now()
	sum, err := f.Run(ctx)
	f.log(ctx, sum, began)
	if err != nil {
		return errors.New("not all was rotated that is due; the log says what failed")
	}
	return nil
}

func (f *function) log(ctx context.Context, sum rotate.Summary, began time.Time) {
	attrs := append(rotate.Metrics(f.Store.Table(), sum, began), slog.Float64("ms", float64(time.Since(began).Microseconds())/1000))
	f.Log.LogAttrs(ctx, slog.LevelInfo, "rotated", attrs...)
}
