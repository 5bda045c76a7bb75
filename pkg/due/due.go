// Package due goes through what the schedules have to do.
//
// A run does some tasks at the same time, and begins none that the deadline of its
// context would cut off. What it leaves stays in the index, and the next run finds it. One
// task that fails does not keep the run from the others.
package due

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/strongroom/strongroom/pkg/store"
)

// A Run goes through a queue, or through some tasks of it. It is used once.
type Run struct {
	Store *store.Store
	Queue store.Queue
	// Parallel is how many tasks are done at the same time.
	Parallel int
	// Now is until when tasks are due.
	Now time.Time
	// Longest is how long one task may take: none is begun later than that before the
	// deadline.
	Longest time.Duration
	// Do does a task. It is called concurrently, also for tasks that come too late: see
	// [Run.Over].
	Do func(context.Context, store.Task) error
	// Log has the errors, each under this message.
	Log     *slog.Logger
	Message string

	group errgroup.Group
	mu    sync.Mutex
	errs  []error
}

// All goes through all that is due. It returns the errors of single tasks, joined.
func (r *Run) All(ctx context.Context) error {
	r.group.SetLimit(max(r.Parallel, 1))
	for part := range store.Shards {
		r.shard(ctx, part)
	}
	return r.wait(ctx)
}

// These does some tasks, whether or not they are due.
func (r *Run) These(ctx context.Context, tasks []store.Task) error {
	r.group.SetLimit(max(r.Parallel, 1))
	r.begin(ctx, tasks)
	return r.wait(ctx)
}

// Over says whether no more may be begun.
func (r *Run) Over(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && time.Now().After(deadline.Add(-r.Longest))
}

// shard begins what a part of the queue has due, waiting where as many run as may.
func (r *Run) shard(ctx context.Context, part int) {
	var from store.Cursor
	for {
		tasks, next, err := r.Store.Due(ctx, r.Queue, part, r.Now, from)
		if err != nil {
			r.fail(ctx, fmt.Sprintf("shard %d", part), err)
			return
		}
		r.begin(ctx, tasks)
		if next == nil || r.Over(ctx) {
			return
		}
		from = next
	}
}

func (r *Run) begin(ctx context.Context, tasks []store.Task) {
	for _, task := range tasks {
		r.group.Go(func() error {
			if err := r.Do(ctx, task); err != nil {
				r.fail(ctx, task.ID.Name, err)
			}
			return nil
		})
	}
}

func (r *Run) wait(ctx context.Context) error {
	_ = r.group.Wait() // errors are gathered in the run
	return errors.Join(append(r.errs, ctx.Err())...)
}

func (r *Run) fail(ctx context.Context, what string, err error) {
	if ctx.Err() != nil {
		return // out of time
	}
	r.Log.Error(r.Message, slog.String("secret", what), slog.String("error", err.Error()))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, fmt.Errorf("%s: %w", what, err))
}
