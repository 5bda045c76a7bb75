// Command prune removes, on a schedule, what need not be kept any more.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/strongroom/strongroom/functions/internal/entry"
	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/remote"
	"github.com/strongroom/strongroom/pkg/settings"
	"github.com/strongroom/strongroom/pkg/store"
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

func build(ctx context.Context, getenv func(string) string, log *slog.Logger) (*prune.Pruner, error) {
	r := settings.Reader{Get: getenv}
	table, arns, retention, group := r.Table(), r.ARNs(), r.Retention(), r.AuditLogGroup()
	if err := r.Err(); err != nil {
		return nil, err
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(remote.Client(remote.Attempt)))
	if err != nil {
		return nil, err
	}
	return &prune.Pruner{
		Store:     store.New(dynamodb.NewFromConfig(cfg), table, arns),
		Retention: retention,
		Trail:     audit.To(cfg, group),
		Most:      most,
		Margin:    margin,
		Log:       log,
	}, nil
}

// handle runs the pruner whatever the event: a schedule has nothing to say. A
// failed invocation is counted by Lambda, and tried again.
func handle(p *prune.Pruner) func(context.Context, json.RawMessage) error {
	return func(ctx context.Context, _ json.RawMessage) error {
		began := time.Now()
		sum, err := p.Run(ctx)
		p.Log.LogAttrs(ctx, slog.LevelInfo, "pruned", append(prune.Metrics(p.Store.Table(), sum, began), slog.Float64("ms", float64(time.Since(began).Microseconds())/1000))...)
		if err != nil {
			return errors.New("not all was pruned that is due; the log says what failed")
		}
		return nil
	}
}
