package rotate

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

// A Summary is what a run did.
type Summary struct {
	Secrets  int // looked at
	Outcomes map[Outcome]int
	Skipped  int // due and not begun for want of time, at least
	// OldestDue is since when the oldest of these is due; zero for none.
	OldestDue time.Time
}

// Run runs every rotation that is due, some at the same time, and begins none that
// the context's deadline would cut off. What it skips, the next run finds. Its error
// joins those of single secrets, which do not keep it from the others.
func (r *Rotator) Run(ctx context.Context) (Summary, error) { return r.run(ctx, nil) }

func (r *Rotator) run(ctx context.Context, slots slots) (Summary, error) {
	p := &pass{Rotator: r, slots: slots, now: r.now(), sum: Summary{Outcomes: map[Outcome]int{}}}
	if deadline, ok := ctx.Deadline(); ok {
		p.stop = deadline.Add(-r.Lease())
	}
	p.group.SetLimit(max(r.Parallel, 1))
	for part := range store.Shards {
		p.shard(ctx, part)
	}
	_ = p.group.Wait() // errors are gathered in the pass
	return p.sum, errors.Join(append(p.errs, ctx.Err())...)
}

// Slots bound how many rotations run at the same time in several passes together;
// nil does not.
type slots chan struct{}

// take waits for a slot until the context ends.
func (s slots) take(ctx context.Context) (free func()) {
	if s == nil {
		return func() {}
	}
	select {
	case s <- struct{}{}:
		return func() { <-s }
	case <-ctx.Done():
		return func() {}
	}
}

// A pass is one run over what is due at a moment.
type pass struct {
	*Rotator
	slots slots
	now   time.Time
	stop  time.Time // zero for never
	group errgroup.Group

	mu   sync.Mutex
	sum  Summary
	errs []error
}

func (p *pass) stopped(ctx context.Context) bool {
	return ctx.Err() != nil || !p.stop.IsZero() && time.Now().After(p.stop)
}

// shard begins what a part of the queue has due, waiting where as many run as may.
func (p *pass) shard(ctx context.Context, part int) {
	var from store.Cursor
	for {
		tasks, next, err := p.Store.Due(ctx, store.Rotations, part, p.now, from)
		if err != nil {
			p.fail(ctx, fmt.Sprintf("shard %d", part), err)
			return
		}
		for _, task := range tasks {
			p.group.Go(func() error {
				p.task(ctx, task)
				return nil
			})
		}
		if next == nil || p.stopped(ctx) {
			return
		}
		from = next
	}
}

func (p *pass) task(ctx context.Context, task store.Task) {
	defer p.slots.take(ctx)()
	if p.stopped(ctx) {
		p.note(func(s *Summary) {
			s.Skipped++
			if s.OldestDue.IsZero() || task.Due.Before(s.OldestDue) {
				s.OldestDue = task.Due
			}
		})
		return
	}
	outcome, err := p.Rotate(ctx, task.ID)
	p.note(func(s *Summary) {
		s.Secrets++
		s.Outcomes[outcome]++
	})
	if err != nil {
		p.fail(ctx, task.ID.Name, err)
	}
}

func (p *pass) note(change func(*Summary)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.sum)
}

func (p *pass) fail(ctx context.Context, what string, err error) {
	if ctx.Err() != nil {
		return // out of time
	}
	p.Log.Error("not rotated", slog.String("secret", what), slog.String("error", err.Error()))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, fmt.Errorf("%s: %w", what, err))
}
