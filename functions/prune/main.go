// Command prune removes, on a schedule, what need not be kept any more; asked to, it
// verifies the table instead.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/strongroom/strongroom/functions/internal/entry"
	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/remote"
	"github.com/strongroom/strongroom/pkg/settings"
	"github.com/strongroom/strongroom/pkg/store"
	"github.com/strongroom/strongroom/pkg/verify"
)

const (
	// margin is what a run leaves of its time for the step under way and the last
	// line.
	margin = 10 * time.Second
	// most is how many versions a run removes: with a record for each, some 70 MB in the
	// audit trail. A secret that is put every second has 86,400 a day.
	most = 100_000
)

func main() {
	entry.Start(build, func(p *prune.Pruner) any { return handle(p) })
}

func build(getenv func(string) string, log *slog.Logger) (*prune.Pruner, error) {
	r := settings.Reader{Get: getenv}
	table, arns, retention := r.Table(), r.ARNs(), r.Retention()
	if err := r.Err(); err != nil {
		return nil, err
	}
	cfg, err := remote.Config(getenv)
	if err != nil {
		return nil, err
	}
	return &prune.Pruner{
		Store:     store.New(dynamodb.NewFromConfig(cfg), table, arns),
		Retention: retention,
		Trail:     audit.Lines(os.Stdout),
		Most:      most,
		Margin:    margin,
		Log:       log,
	}, nil
}

// A request is an event that asks for more than to prune. That of the schedule does not.
type request struct {
	// Verify verifies the table, and repairs what is repairable if Repair says so.
	Verify, Repair bool
	// From is where an earlier run ended.
	From string
}

// handle prunes, whatever the event but a request. A failed invocation is counted by
// Lambda, and tried again.
func handle(p *prune.Pruner) func(context.Context, json.RawMessage) (any, error) {
	return func(ctx context.Context, event json.RawMessage) (any, error) {
		var asked request
		if err := json.Unmarshal(event, &asked); err != nil {
			return nil, errors.New("the event is no request to verify, and none of a schedule")
		}
		switch {
		case asked.Verify:
			return verifyTable(ctx, p, asked)
		case asked.Repair || asked.From != "":
			return nil, errors.New("repair and from need verify")
		}
		return nil, pruneDue(ctx, p)
	}
}

func pruneDue(ctx context.Context, p *prune.Pruner) error {
	began := time.Now()
	sum, err := p.Run(ctx)
	p.Log.LogAttrs(ctx, slog.LevelInfo, "pruned", append(prune.Metrics(p.Store.Table(), sum, began), slog.Float64("ms", float64(time.Since(began).Microseconds())/1000))...)
	if err != nil {
		return errors.New("not all was pruned that is due; the log says what failed")
	}
	return nil
}

// verifyTable logs each finding in a line, and fails when something is wrong still.
func verifyTable(ctx context.Context, p *prune.Pruner, asked request) (any, error) {
	v := &verify.Verifier{
		Store: p.Store, Retention: p.Retention, Repair: asked.Repair, Margin: margin,
		Report: func(f verify.Finding) {
			p.Log.LogAttrs(ctx, slog.LevelWarn, "finding",
				slog.String("secret", f.Secret), slog.String("what", f.What), slog.Bool("repairable", f.Repairable), slog.Bool("repaired", f.Repaired))
		},
	}
	sum, err := v.Run(ctx, asked.From)
	p.Log.LogAttrs(ctx, slog.LevelInfo, "verified", slog.Int("secrets", sum.Secrets), slog.Int("findings", sum.Findings), slog.Int("repaired", sum.Repaired), slog.String("next", sum.Next))
	if err != nil {
		p.Log.LogAttrs(ctx, slog.LevelError, "not all was verified", slog.String("error", err.Error()))
		return nil, errors.New("not all was verified; the log says what failed")
	}
	return sum, sum.Err()
}
