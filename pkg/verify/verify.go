// Package verify finds what is wrong in a table of secrets, and repairs what can be
// repaired without a guess. A table may come to need it by a point-in-time restore, which
// can cut a transaction in two, or by writes that went past the service.
//
// It goes through the directory by name and examines every secret listed there: head,
// rows, policy, versions and notes are compared with each other. Then it goes through the
// directory by creation, and through all that is noted for the schedules, for secrets
// that the directory by name does not list. It reads no value and may run beside live
// traffic: a finding is borne out by a second read of the head, and a repair is a
// transaction that does nothing if the secret has changed since. It costs the reading of
// the whole table, since DynamoDB charges a version in full whatever is fetched of it.
//
// What it cannot find, since the table is never scanned and values are not opened:
//
//   - a secret that no directory lists and that has nothing due, and versions, policies
//     or notes under a name that no directory and no note has;
//   - a put that was cut in two by a restore, once the secret had as many other changes:
//     its version is counted as one of the secret's, unless a later put had the same
//     revision. So verify a restored table before it is used;
//   - a sealed value that cannot be opened, a KMS key that is gone, and an older state
//     that is whole in itself;
//   - rows of an index that disagree with their items: DynamoDB keeps those.
package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A Verifier verifies a table. Its fields are set before the first run.
type Verifier struct {
	Store *store.Store
	// Retention is the deployment's.
	Retention secret.Retention
	// Repair says to repair what is repairable.
	Repair bool
	// Margin is how long before the context's deadline no more is begun.
	Margin time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Report is given each finding once. It is not called concurrently.
	Report func(Finding)
	// Progress is told how far a run is after every secret; nil tells nobody, and saves
	// counting the secrets first. It is not called concurrently, nor beside Report.
	Progress func(Progress)
}

// A Finding is something that is wrong.
type Finding struct {
	Secret     string `json:"secret"` // its name
	What       string `json:"what"`
	Repairable bool   `json:"repairable"`
	Repaired   bool   `json:"repaired"`
}

// A Progress is how far a run is.
type Progress struct{ Secrets, Of, Findings int }

// A Summary is what a run came to.
type Summary struct {
	Secrets  int `json:"secrets"` // examined, some of them twice
	Findings int `json:"findings"`
	Repaired int `json:"repaired"`
	// Next is where to go on with another run; empty when all was verified.
	Next string `json:"next,omitempty"`
}

// Err says that something is wrong still, or may be; nil for a table that is whole.
func (s Summary) Err() error {
	var errs []error
	if wrong := s.Findings - s.Repaired; wrong > 0 {
		errs = append(errs, fmt.Errorf("findings that are not repaired: %d", wrong))
	}
	if s.Next != "" {
		errs = append(errs, fmt.Errorf("not all was verified; go on from %q", s.Next))
	}
	return errors.Join(errs...)
}

const (
	// page is how many rows of the directory are read at a time.
	page = 200
	// parallel is how many secrets are examined at the same time.
	parallel = 8
)

// due is where a run goes on behind the directory.
const due = "DUE"

// Run verifies the table, from its beginning or from where another run ended. Its error
// joins those of secrets that could not be examined; what is wrong is no error.
func (v *Verifier) Run(ctx context.Context, from string) (Summary, error) {
	r := &run{Verifier: v, now: time.Now().UTC(), known: map[Finding]bool{}}
	if v.Now != nil {
		r.now = v.Now().UTC()
	}
	if deadline, ok := ctx.Deadline(); ok {
		r.stop = deadline.Add(-v.Margin)
	}
	phase, after, _ := strings.Cut(from, " ")
	order := store.Order(phase)
	if from == "" {
		order = store.ByName
	} else if order != store.ByName && order != store.ByCreated && phase != due {
		return Summary{}, fmt.Errorf("%q is not where a run ended", from)
	}
	if v.Progress != nil && order == store.ByName {
		if err := r.count(ctx); err != nil {
			return Summary{}, err
		}
	}
	err := r.phases(ctx, order, after)
	return r.sum, errors.Join(append(r.errs, err)...)
}

// A run is one pass over the table.
type run struct {
	*Verifier
	now  time.Time
	stop time.Time // zero for never
	of   int

	mu    sync.Mutex
	sum   Summary
	known map[Finding]bool // that were reported, as they were found
	errs  []error
}

func (r *run) phases(ctx context.Context, order store.Order, after string) error {
	if order == store.ByName {
		if err := r.walk(ctx, store.ByName, after, r.byName); err != nil || r.sum.Next != "" {
			return err
		}
		order, after = store.ByCreated, ""
	}
	if order == store.ByCreated {
		if err := r.walk(ctx, store.ByCreated, after, r.byCreated); err != nil || r.sum.Next != "" {
			return err
		}
	}
	return r.noted(ctx)
}

// over says whether no more may be begun.
func (r *run) over(ctx context.Context) bool {
	return ctx.Err() != nil || !r.stop.IsZero() && time.Now().After(r.stop)
}

// walk goes through an order of the directory until the time is over.
func (r *run) walk(ctx context.Context, order store.Order, after string, each func(context.Context, []store.Row) error) error {
	for {
		if r.over(ctx) {
			r.sum.Next = string(order) + " " + after
			return ctx.Err()
		}
		rows, more, err := r.Store.Directory(ctx, store.Walk{Order: order, After: after, Limit: page})
		if err == nil {
			err = each(ctx, rows)
		}
		if err != nil {
			return err
		}
		if !more || len(rows) == 0 {
			return nil
		}
		after = rows[len(rows)-1].Position
	}
}

func (r *run) count(ctx context.Context) error {
	err := r.walk(ctx, store.ByName, "", func(_ context.Context, rows []store.Row) error {
		r.of += len(rows)
		return nil
	})
	r.sum.Next = "" // the run itself finds that the time is over
	return err
}

// byName examines every secret that is listed.
func (r *run) byName(ctx context.Context, rows []store.Row) error {
	places := map[string][]string{}
	for _, row := range rows {
		places[row.Position] = nil
	}
	return r.examine(ctx, places)
}

// byCreated examines the secrets whose rows are not what they have to be, or are alone.
func (r *run) byCreated(ctx context.Context, rows []store.Row) error {
	var names []string
	for _, row := range rows {
		names = append(names, nameAt(row))
	}
	secrets, err := r.Store.Secrets(ctx, names, func(error) {})
	if err != nil {
		return err
	}
	listed, err := r.Store.Listed(ctx, distinct(names))
	if err != nil {
		return err
	}
	places := map[string][]string{}
	for i, row := range rows {
		name := names[i]
		if sec, there := secrets[name]; !there || !listed[name] || !row.IsPlaceOf(sec) {
			places[name] = append(places[name], row.Position)
		}
	}
	return r.examine(ctx, places)
}

// nameAt is the name in a row by creation, which may not be readable: it is behind the
// date in the row's position.
func nameAt(row store.Row) string {
	_, name, _ := strings.Cut(row.Position, "#")
	return name
}

func distinct(names []string) []string {
	seen := map[string]bool{}
	var some []string
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			some = append(some, name)
		}
	}
	return some
}

// never is later than everything that is noted.
var never = time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC)

// noted examines what the schedules have to look at and the directory does not list.
func (r *run) noted(ctx context.Context) error {
	for _, queue := range []store.Queue{store.Prunings, store.Rotations, store.Replications} {
		for part := range store.Shards {
			var from store.Cursor
			for {
				if r.over(ctx) {
					r.sum.Next = due
					return ctx.Err()
				}
				tasks, next, err := r.Store.Due(ctx, queue, part, never, from)
				if err == nil {
					err = r.unlisted(ctx, tasks)
				}
				if err != nil {
					return err
				}
				if from = next; from == nil {
					break
				}
			}
		}
	}
	return nil
}

func (r *run) unlisted(ctx context.Context, tasks []store.Task) error {
	var names []string
	for _, task := range tasks {
		names = append(names, task.ID.Name)
	}
	listed, err := r.Store.Listed(ctx, distinct(names))
	if err != nil {
		return err
	}
	places := map[string][]string{}
	for _, name := range names {
		if !listed[name] {
			places[name] = nil
		}
	}
	return r.examine(ctx, places)
}

// examine examines secrets, some at the same time, by name and with the positions by
// creation that name them.
func (r *run) examine(ctx context.Context, places map[string][]string) error {
	var g errgroup.Group
	g.SetLimit(parallel)
	for name, listed := range places {
		g.Go(func() error {
			faults, err := r.Store.Examine(ctx, name, listed, r.Retention, r.now)
			switch {
			case errors.Is(err, store.ErrBusy):
				faults, err = []store.Fault{{Name: name, What: "it changed too often to be examined; verify again"}}, nil
			case ctx.Err() != nil:
				return ctx.Err()
			}
			for _, fault := range faults {
				err = errors.Join(err, r.finding(ctx, fault))
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if err != nil {
				r.errs = append(r.errs, err)
			}
			r.sum.Secrets++
			if r.Progress != nil {
				r.Progress(Progress{r.sum.Secrets, max(r.of, r.sum.Secrets), r.sum.Findings})
			}
			return nil
		})
	}
	return g.Wait()
}

// finding repairs a fault, if that is asked for, and reports it once.
func (r *run) finding(ctx context.Context, fault store.Fault) error {
	f := Finding{Secret: fault.Name, What: fault.What, Repairable: fault.IsRepairable()}
	r.mu.Lock()
	known := r.known[f]
	r.known[f] = true
	r.mu.Unlock()
	if known {
		return nil
	}
	var err error
	if r.Repair && f.Repairable {
		// What changed meanwhile is left to another run.
		if err = r.Store.Repair(ctx, fault); errors.Is(err, store.ErrMoved) || errors.Is(err, store.ErrBusy) {
			err = nil
		} else {
			f.Repaired = err == nil
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.Findings++
	if f.Repaired {
		r.sum.Repaired++
	}
	if r.Report != nil {
		r.Report(f)
	}
	return err
}
