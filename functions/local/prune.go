package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/prune"
)

// pruneNowAndThen does what is due, as the schedule does in the cloud, until the
// context ends.
func pruneNowAndThen(ctx context.Context, server *api.Server) {
	pruner := newPruner(server)
	nowAndThen(ctx, pruneEvery, nil, func() {
		sum, _ := pruner.Run(ctx) // its errors are in the log
		if sum.Versions > 0 || sum.Purged > 0 {
			server.Log.Info("pruned", slog.Int("versions", sum.Versions), slog.Int("secrets", sum.Purged))
		}
	})
}

// nowAndThen does something at once and then again and again, and whenever it is woken,
// until the context ends.
func nowAndThen(ctx context.Context, every time.Duration, wake <-chan struct{}, do func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-wake:
		}
	}
}

func newPruner(server *api.Server) *prune.Pruner {
	return &prune.Pruner{Store: server.Store, Retention: server.Retention, Trail: server.Trail, Log: server.Log}
}

// pruneOnce does what is due, says how far it is on a terminal, and ends.
func pruneOnce(ctx context.Context, set settings, out io.Writer, log *slog.Logger) error {
	if err := checkDataFolder("--prune", set.engines); err != nil {
		return err
	}
	regions, err := startRegions(ctx, set, log)
	if err != nil {
		return err
	}
	trail, err := openTrail(set.audit)
	if err != nil {
		return errors.Join(err, regions.close())
	}
	regions.trail = trail
	err = regions.each(ctx, func(d *deployment, prefix string) error {
		return show(ctx, newPruner(d.server), out, prefix, isTerminal(out))
	})
	return errors.Join(err, regions.close(), trail.Close())
}

// checkDataFolder refuses a folder that does not exist or has no table, which local.Start
// would create.
func checkDataFolder(flag string, engines local.Options) error {
	if engines.DynamoDB != "" && engines.KMS != "" {
		return nil // the folder is not used
	}
	if _, err := os.Stat(engines.Data); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: the data folder %s does not exist; name the server's with --data", flag, engines.Data)
	}
	if engines.DynamoDB == "" && !local.HasTable(engines.Data) {
		return fmt.Errorf("%s: the data folder %s has no table, so there is nothing to do; name the server's with --data", flag, engines.Data)
	}
	return nil
}

// show runs the pruner and writes a line that says what was done, behind a prefix; on a
// terminal it also says so meanwhile.
func show(ctx context.Context, pruner *prune.Pruner, out io.Writer, prefix string, terminal bool) error {
	if terminal {
		prefix = "\r" + prefix // the line only grows, so each covers the one before
		pruner.Progress = func(sum prune.Summary) { _, _ = fmt.Fprint(out, prefix+progress(sum)) }
	}
	sum, err := pruner.Run(ctx)
	_, _ = fmt.Fprintln(out, prefix+progress(sum))
	if ctx.Err() != nil {
		return errors.New("interrupted; what is left is done by the next run")
	}
	return err
}

func progress(sum prune.Summary) string {
	return fmt.Sprintf("secrets looked at: %d, purged: %d; versions removed: %d", sum.Secrets, sum.Purged, sum.Versions)
}
