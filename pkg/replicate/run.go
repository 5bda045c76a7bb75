package replicate

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
	Notes    int // looked at
	Outcomes map[Outcome]int
	Left     int // due and not looked at for want of time, at least
	// Oldest is since when the oldest change that a run met has not been delivered; zero
	// where all were.
	Oldest time.Time
}

// Run does all that is due, some at the same time, until the context's deadline is near.
// What it leaves, the next run finds. Its error joins those of single notes, which do not
// keep it from the others.
func (r *Replicator) Run(ctx context.Context) (Summary, error) {
	p := r.pass(ctx)
	for part := range store.Shards {
		p.shard(ctx, part)
	}
	return p.end(ctx)
}

// Tasks does what these notes ask for; see Run.
func (r *Replicator) Tasks(ctx context.Context, tasks []store.Task) (Summary, error) {
	p := r.pass(ctx)
	for _, task := range tasks {
		p.begin(ctx, task)
	}
	return p.end(ctx)
}

// A pass is one run over what is due at a moment.
type pass struct {
	*Replicator
	from  time.Time
	stop  time.Time // zero for never
	group errgroup.Group

	mu   sync.Mutex
	sum  Summary
	errs []error
}

func (r *Replicator) pass(ctx context.Context) *pass {
	p := &pass{Replicator: r, from: r.now(), sum: Summary{Outcomes: map[Outcome]int{}}}
	if deadline, ok := ctx.Deadline(); ok {
		p.stop = deadline.Add(-attempt)
	}
	p.group.SetLimit(max(r.Parallel, 1))
	return p
}

func (p *pass) end(ctx context.Context) (Summary, error) {
	_ = p.group.Wait() // errors are gathered in the pass
	return p.sum, errors.Join(append(p.errs, ctx.Err())...)
}

func (p *pass) over(ctx context.Context) bool {
	return ctx.Err() != nil || !p.stop.IsZero() && time.Now().After(p.stop)
}

// shard begins what a part of the queue has due, waiting where as many run as may.
func (p *pass) shard(ctx context.Context, part int) {
	var from store.Cursor
	for {
		tasks, next, err := p.Store.Due(ctx, store.Replications, part, p.from, from)
		if err != nil {
			p.fail(ctx, fmt.Sprintf("shard %d", part), err)
			return
		}
		for _, task := range tasks {
			p.begin(ctx, task)
		}
		if next == nil || p.over(ctx) {
			return
		}
		from = next
	}
}

func (p *pass) begin(ctx context.Context, task store.Task) {
	p.group.Go(func() error {
		p.task(ctx, task)
		return nil
	})
}

func (p *pass) task(ctx context.Context, task store.Task) {
	if p.over(ctx) {
		p.note(func(s *Summary) {
			s.Left++
			s.met(task.Due)
		})
		return
	}
	outcome, since, err := p.replicate(ctx, task)
	p.note(func(s *Summary) {
		s.Notes++
		s.Outcomes[outcome]++
		s.met(since)
	})
	if err != nil {
		p.fail(ctx, task.ID.Name, err)
	}
}

// met notes since when a change has not been delivered; zero for one that was.
func (s *Summary) met(since time.Time) {
	if !since.IsZero() && (s.Oldest.IsZero() || since.Before(s.Oldest)) {
		s.Oldest = since
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
	p.Log.Error("not replicated", slog.String("secret", what), slog.String("error", err.Error()))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, fmt.Errorf("%s: %w", what, err))
}
