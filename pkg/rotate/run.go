package rotate

import (
	"context"
	"sync"
	"time"

	"github.com/strongroom/strongroom/pkg/due"
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
	sum := Summary{Outcomes: map[Outcome]int{}}
	var mu sync.Mutex
	note := func(change func()) {
		mu.Lock()
		defer mu.Unlock()
		change()
	}
	run := &due.Run{
		Store: r.Store, Queue: store.Rotations, Parallel: r.Parallel, Now: r.now(), Longest: r.Lease(),
		Log: r.Log, Message: "not rotated",
	}
	run.Do = func(ctx context.Context, task store.Task) error {
		defer slots.take(ctx)()
		if run.Over(ctx) {
			note(func() { sum.skip(task) })
			return nil
		}
		outcome, err := r.Rotate(ctx, task.ID)
		note(func() {
			sum.Secrets++
			sum.Outcomes[outcome]++
		})
		return err
	}
	err := run.All(ctx)
	return sum, err
}

func (s *Summary) skip(task store.Task) {
	s.Skipped++
	if s.OldestDue.IsZero() || task.Due.Before(s.OldestDue) {
		s.OldestDue = task.Due
	}
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
