// Package prune does what is due: it removes versions that a secret need not
// keep, and what deleted secrets leave behind.
//
// What is due is found in an index and not by looking at every secret, so the
// cost of a run follows what there is to do. The index trails, so every secret
// is looked at again before anything is removed, and removed under conditions: a
// version that gets a label meanwhile stays, and a secret that is restored
// meanwhile stays whole. A run may be ended at any moment, and two may run at the
// same time: what one leaves the next one finds.
//
// Each version that goes leaves an EndSecretVersionDelete in the audit trail. When a
// record cannot be kept, the run removes no more. A secret's versions are removed first,
// since only then it is known which: a process that is killed right there leaves up to
// fifty of them without a record. Versions of a deleted secret, which nobody can reach,
// are recorded first, and again by the next run if they are still there.
package prune

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A Pruner does what is due. Its fields are set before the first run.
type Pruner struct {
	Store *store.Store
	// Retention is for secrets that have none of their own in their tags.
	Retention secret.Retention
	// Trail keeps a record of each version that goes; nil keeps none.
	Trail audit.Trail
	// Most is about how many versions a run removes, and records, before it leaves the
	// others to the next one; 0 for any number.
	Most int
	// Margin is how long before the context's deadline no more is begun.
	Margin time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	Log *slog.Logger
	// Progress is told how far a run is after every step; nil tells nobody. It is
	// not called concurrently.
	Progress func(Summary)
}

// A Summary is what a run did.
type Summary struct {
	Secrets   int // looked at
	Versions  int // removed
	Purged    int // secrets whose recovery window was over
	Conflicts int // secrets that changed meanwhile, left for the next run
	Failed    int // secrets with an error, left for the next run; and shards
	Left      int // tasks that were due and not done, at least
	// OldestDue is since when the oldest of these is due; zero for none.
	OldestDue time.Time
}

// Run does what is due, shard by shard and some of them at the same time, until
// all is done or the deadline is near. Its error joins those of single secrets,
// which do not keep it from the others.
func (p *Pruner) Run(ctx context.Context) (Summary, error) {
	r := &run{Pruner: p, now: time.Now().UTC()}
	if p.Now != nil {
		r.now = p.Now().UTC()
	}
	work := ctx
	if deadline, ok := ctx.Deadline(); ok {
		r.stop = deadline.Add(-p.Margin)
		// A call that hangs leaves time to say what was done.
		var cancel context.CancelFunc
		work, cancel = context.WithDeadline(ctx, deadline.Add(-p.Margin/2))
		defer cancel()
	}
	var g errgroup.Group
	g.SetLimit(4) // enough to hide the network, and few beside the callers of the API
	for part := range store.Shards {
		g.Go(func() error {
			r.shard(work, part)
			return nil
		})
	}
	_ = g.Wait() // errors are gathered in the run
	return r.sum, errors.Join(append(r.errs, ctx.Err())...)
}

// A run is one pass over what is due at a moment.
type run struct {
	*Pruner
	now  time.Time
	stop time.Time // zero for never

	mu          sync.Mutex
	sum         Summary
	errs        []error
	trailFailed bool // a record was not kept
}

// over says whether no more may be begun.
func (r *run) over(ctx context.Context) bool {
	r.mu.Lock()
	enough := r.trailFailed || r.Most > 0 && r.sum.Versions >= r.Most
	r.mu.Unlock()
	return enough || ctx.Err() != nil || !r.stop.IsZero() && time.Now().After(r.stop)
}

// tell records that versions are removed.
func (r *run) tell(ctx context.Context, arn string, versions []string) error {
	if r.Trail == nil || len(versions) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordPatience)
	defer cancel()
	err := r.Trail.Keep(ctx, audit.VersionEvents(audit.EndSecretVersionDelete, r.now, arn, versions)...)
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trailFailed = true
	return fmt.Errorf("the audit records of versions %s are not kept: %w", strings.Join(versions, ", "), err)
}

func (r *run) note(change func(*Summary)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.sum)
	if r.Progress != nil {
		r.Progress(r.sum)
	}
}

func (r *run) fail(what string, err error) {
	r.note(func(s *Summary) { s.Failed++ })
	r.Log.Error("not pruned", slog.String("secret", what), slog.String("error", err.Error()))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, fmt.Errorf("%s: %w", what, err))
}

// shard does the tasks of a shard.
func (r *run) shard(ctx context.Context, part int) {
	var from store.Cursor
	for {
		tasks, next, err := r.Store.Due(ctx, store.Prunings, part, r.now, from)
		if err != nil {
			if !errors.Is(ctx.Err(), context.Canceled) { // nobody knows what there is
				r.fail(fmt.Sprintf("shard %d", part), err)
			}
			return
		}
		for _, task := range tasks {
			r.task(ctx, task)
		}
		if next == nil || r.over(ctx) {
			return
		}
		from = next
	}
}

// task does one task, or notes that it is left.
func (r *run) task(ctx context.Context, task store.Task) {
	done, err := false, error(nil)
	if !r.over(ctx) {
		r.note(func(s *Summary) { s.Secrets++ })
		done, err = r.do(ctx, task)
	}
	if done && err == nil {
		return
	}
	conflict := errors.Is(err, store.ErrMoved) || errors.Is(err, store.ErrBusy)
	r.note(func(s *Summary) {
		if conflict {
			s.Conflicts++
		}
		s.Left++
		if s.OldestDue.IsZero() || task.Due.Before(s.OldestDue) {
			s.OldestDue = task.Due
		}
	})
	if err != nil && !conflict && ctx.Err() == nil { // or else the time was over
		r.fail(task.ID.Name, err)
	}
}

// tries is how often in a row a secret may change between a look and what follows
// from it, before it is left for the next run.
const tries = 5

// do does what a secret needs, slice by slice, and looks at it anew before each of
// them. It says whether nothing is left.
func (r *run) do(ctx context.Context, task store.Task) (bool, error) {
	if task.Leftover {
		return r.leftover(ctx, task.ID)
	}
	var at place
	for moved := 0; ; {
		look, err := r.Store.Look(ctx, task.ID.Name)
		switch {
		case errors.Is(err, secret.NotFound):
			return true, nil // it was removed, and the index does not know yet
		case err != nil:
			return false, err
		case look.Due.IsZero() || look.Due.After(r.now):
			return true, nil
		case !look.Secret.Deletion.IsZero():
			return r.purge(ctx, look.Secret)
		}
		next, err := r.prune(ctx, look, at)
		switch {
		case errors.Is(err, store.ErrMoved) && moved < tries:
			moved++
			continue
		case err != nil || next.cursor == nil:
			return err == nil, err
		case r.over(ctx):
			return false, nil
		}
		at, moved = next, 0
	}
}

// purge removes a secret whose recovery window is over, and then its versions.
// After the first step nobody can see any of it.
func (r *run) purge(ctx context.Context, sec secret.Secret) (bool, error) {
	id := secret.ID{Name: sec.Name, Suffix: sec.Suffix()}
	removed := false
	_, err := r.Store.Update(ctx, id, func(sec secret.Secret) (secret.Change, error) {
		removed = !sec.Deletion.IsZero() && !sec.Deletion.After(r.now)
		if !removed {
			return secret.Change{Secret: sec, Outcome: secret.Unchanged}, nil
		}
		return sec.Remove(r.now), nil
	})
	switch {
	case errors.Is(err, secret.NotFound):
		return true, nil
	case err != nil || !removed:
		return err == nil, err
	}
	r.note(func(s *Summary) { s.Purged++ })
	if sec.Versions == 0 {
		return true, nil
	}
	return r.sweep(ctx, id)
}

// leftover removes what a removed secret left over. A table that was restored to a
// moment within its removal may have the note and the secret.
func (r *run) leftover(ctx context.Context, id secret.ID) (bool, error) {
	if store.IsFence(id) {
		return true, r.Store.Unfence(ctx, id, r.now)
	}
	look, err := r.Store.Look(ctx, id.Name)
	switch {
	case errors.Is(err, secret.NotFound):
		return r.sweep(ctx, id)
	case err != nil:
		return false, err
	case look.Secret.Family() == id.Suffix:
		return false, errors.New("its versions are noted as those of a removed secret, and it is there; verify the table")
	}
	return r.sweep(ctx, id)
}

// sweep removes what a removed secret left over.
func (r *run) sweep(ctx context.Context, id secret.ID) (bool, error) {
	arn := r.Store.ARN(id)
	return r.Store.Sweep(ctx, id, func(versions []string) error { return r.tell(ctx, arn, versions) }, func(removed int) bool {
		r.note(func(s *Summary) { s.Versions += removed })
		return !r.over(ctx)
	})
}

// A place is how far the versions of a secret were gone through.
type place struct {
	arn    string
	cursor store.Cursor // nil for the beginning, and for the end
}

const (
	// patience is how long one transaction may try to get in between the puts to a
	// secret.
	patience = 5 * time.Second
	// recordPatience is how long it may take to record what is removed, also when the
	// time of a run is over: less than half of the margin that functions/prune leaves.
	recordPatience = 3 * time.Second
	// again is when a secret that has too many versions is looked at again at the
	// latest, since settings may come to be others.
	again = 24 * time.Hour
)

// prune removes versions from a place on, as many as one transaction takes, and
// returns the next place. At the last it notes when to look again.
func (r *run) prune(ctx context.Context, look store.Look, at place) (place, error) {
	if at.arn != look.Secret.ARN {
		at = place{arn: look.Secret.ARN}
	}
	oldest, next, err := r.Store.Oldest(ctx, look.Secret, at.cursor)
	if err != nil {
		return place{}, err
	}
	remove, when, excess := look.Secret.Prunable(oldest, r.Retention, r.now)
	if !excess {
		next = nil
	} else if next == nil { // what the index does not show yet is young
		when = r.now.Add(look.Secret.Retention(r.Retention).MinAge)
	}
	if latest := r.now.Add(again); when.After(latest) {
		when = latest
	}
	hasty, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	removed, err := r.Store.Prune(hasty, look, remove, store.Then{Keep: next != nil, At: when})
	if err != nil {
		return place{}, err
	}
	r.note(func(s *Summary) { s.Versions += len(removed) })
	if err := r.tell(ctx, at.arn, idsOf(removed)); err != nil {
		return place{}, err
	}
	return place{at.arn, next}, nil
}

func idsOf(versions []secret.Version) []string {
	ids := make([]string, len(versions))
	for i, v := range versions {
		ids[i] = v.ID
	}
	return ids
}
