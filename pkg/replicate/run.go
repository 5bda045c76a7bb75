package replicate

import (
	"context"
	"sync"
	"time"

	"github.com/strongroom/strongroom/pkg/due"
	"github.com/strongroom/strongroom/pkg/store"
)

// A Summary is what a run did.
type Summary struct {
	Notes    int // looked at
	Outcomes map[Outcome]int
	Left     int // due and not looked at for want of time, at least
	// Oldest is since when the oldest change that the run met could not be delivered; zero
	// where no attempt failed.
	Oldest time.Time
}

// Run does all that is due, some at the same time, until the context's deadline is near.
// What it leaves, the next run finds. Its error joins those of single notes, which do not
// keep it from the others.
func (r *Replicator) Run(ctx context.Context) (Summary, error) {
	return r.run(ctx, (*due.Run).All)
}

// Tasks does what these notes ask for; see Run.
func (r *Replicator) Tasks(ctx context.Context, tasks []store.Task) (Summary, error) {
	return r.run(ctx, func(run *due.Run, ctx context.Context) error { return run.These(ctx, tasks) })
}

func (r *Replicator) run(ctx context.Context, through func(*due.Run, context.Context) error) (Summary, error) {
	sum := Summary{Outcomes: map[Outcome]int{}}
	var mu sync.Mutex
	run := &due.Run{
		Store: r.Store, Queue: store.Replications, Parallel: r.Parallel, Now: r.now(), Longest: attempt,
		Log: r.Log, Message: "not replicated",
	}
	run.Do = func(ctx context.Context, task store.Task) error {
		if run.Over(ctx) {
			mu.Lock()
			defer mu.Unlock()
			sum.Left++
			sum.met(task.Due)
			return nil
		}
		outcome, since, err := r.replicate(ctx, task)
		mu.Lock()
		defer mu.Unlock()
		sum.Notes++
		sum.Outcomes[outcome]++
		sum.met(since)
		return err
	}
	err := through(run, ctx)
	return sum, err
}

// met notes since when a change has not been delivered; zero for one that was.
func (s *Summary) met(since time.Time) {
	if !since.IsZero() && (s.Oldest.IsZero() || since.Before(s.Oldest)) {
		s.Oldest = since
	}
}
