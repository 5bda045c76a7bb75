package main

import (
	"context"
	"log/slog"
	"os"
	"time"
)

// lookForParent is how often it is looked whether the parent is still there.
const lookForParent = 200 * time.Millisecond

// stopWithParent stops the server when the process that started it has ended, however
// it ended: make that was killed takes nothing with it. The system then gives this
// process another parent. Windows does not.
func stopWithParent(ctx context.Context, stop func(), parent int, log *slog.Logger) {
	if parent == 0 {
		return
	}
	tick := time.NewTicker(lookForParent)
	defer tick.Stop()
	for os.Getppid() == parent {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	log.Info("the process that started this one has ended", slog.Int("parent", parent))
	stop()
}
