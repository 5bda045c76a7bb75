package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/secret"
)

// Create makes a secret that is not there yet, with its first version if the
// change has one: one transaction, and no read before. It returns *[Exists] when
// the name is taken.
func (s *Store) Create(ctx context.Context, change secret.Change) (secret.Secret, error) {
	var made secret.Secret
	name, again := s.commitName(), false
	err := s.retry(ctx, func() (err error) {
		made, err = s.commit(ctx, secret.Secret{}, change, name, again)
		// What was in the way may have been an earlier attempt at the same transaction, and
		// the secret was removed since. To create it again, under the suffix that it had,
		// would join it with what is left of it.
		if again && change.Secret.Copy == 0 && errors.Is(err, ErrRemovedCopy) {
			made = change.Secret
			return nil
		}
		again = true
		if r, ok := errors.AsType[*rival](err); ok && r.found {
			return &Exists{r.secret}
		}
		return err
	})
	return made, err
}

// Update changes a secret: decide is given the secret as it stands and says what
// becomes of it, and is asked again whenever another change came first. What it
// returns last is committed, or its refusal is returned. It must have no effects
// of its own that may not happen twice.
//
// The first decision may be made on a remembered secret: an acceptance is safe,
// since the commit proves that nothing has changed. A refusal is not, so it is
// decided again on a fresh read before it is given. When decide returns [ErrBusy], what
// it looked for beside the secret was changed since: it is asked again like after a
// conflict.
//
// Besides what decide returns, Update returns [secret.NotFound], *[VersionExists]
// and [ErrBusy]. After an error that is [ErrUncertain] the change may have happened or
// not.
func (s *Store) Update(ctx context.Context, id secret.ID, decide func(secret.Secret) (secret.Change, error)) (secret.Secret, error) {
	leave, err := s.changes.enter(ctx, id.Name)
	if err != nil {
		return secret.Secret{}, err
	}
	defer leave()
	wait := s.backoff()
	var r result
	sec, known := s.heads.get(id.Name)
	name, remembered, rivals := s.commitName(), known, 0
	for {
		if !known {
			sec, err = s.Get(ctx, id)
			switch {
			case r.removing && (errors.Is(err, secret.NotFound) || err == nil && sec.ARN != r.secret.ARN):
				return r.secret, nil // and another secret that has the name by now stays
			case r.committing() && (errors.Is(err, secret.NotFound) || err == nil && sec.ARN != r.secret.ARN && sec.ARN != r.replaced):
				// What was in the way may have been an earlier attempt of the client at the
				// same transaction. Then it happened, and the secret was removed since; it is
				// not for this change to change another one that has the name by now.
				return secret.Secret{}, uncertain(ErrBusy)
			case err != nil:
				return secret.Secret{}, r.undecided(err)
			case r.outcome == conflict && sec.Committed(name):
				return sec, nil // an earlier try happened after all
			}
			known, remembered = true, false
		}
		r = s.try(ctx, sec, id, decide, name)
		switch {
		case r.outcome == done || r.outcome == unproven && !remembered:
			return r.secret, r.err
		case r.outcome == unproven:
			known = false
			continue
		case r.outcome == overtaken:
			// Every other time it tries again at once: one who puts without a pause
			// would otherwise keep all others from their turn.
			sec, remembered = r.secret, false
			if rivals++; rivals%2 == 1 {
				continue
			}
		}
		if err := wait.next(ctx); err != nil {
			return secret.Secret{}, r.undecided(err)
		}
		known = false // what was known before a wait is stale after it
	}
}

// An outcome is what came of one try to change a secret.
type outcome int

const (
	// done: it was committed, or it fails for good.
	done outcome = iota
	// unproven: it was refused, or there is nothing to change, and no commit has
	// proved that the secret still is as it was known.
	unproven
	// overtaken: another change came first, whose state is known.
	overtaken
	// conflict: nothing was written, and the same may be tried again.
	conflict
)

type result struct {
	outcome  outcome
	secret   secret.Secret
	err      error
	removing bool // what was tried removes the secret
	// replaced is the ARN of the secret whose place another takes in what was tried; it has
	// the name until then.
	replaced string
}

// committing says that the commit of a try met a conflict.
func (r result) committing() bool { return r.outcome == conflict && r.err == nil }

// undecided is the error that ended a change after a try. After the conflict of a
// commit only the head says whether an earlier attempt at it has happened.
func (r result) undecided(err error) error {
	if r.committing() {
		return uncertain(err)
	}
	return err
}

// try decides on a secret as it is known, and commits.
func (s *Store) try(ctx context.Context, sec secret.Secret, id secret.ID, decide func(secret.Secret) (secret.Change, error), name string) result {
	if !sec.Is(id) {
		return result{outcome: unproven, err: secret.NotFound}
	}
	change, err := decide(sec)
	switch {
	case errors.Is(err, ErrBusy):
		return result{outcome: conflict, err: err}
	case isRefusal(err) || err == nil && change.IsUnchanged():
		return result{outcome: unproven, secret: sec, err: err}
	case err != nil:
		return result{outcome: done, err: err}
	}
	next, err := s.commit(ctx, sec, change, name, false)
	r, isRival := errors.AsType[*rival](err)
	switch {
	case isRival && r.found:
		return result{outcome: overtaken, secret: r.secret}
	case isRival:
		return result{outcome: done, err: secret.NotFound}
	case errors.Is(err, errConflict):
		gone := change.Secret
		gone.Revision++
		met := result{outcome: conflict, secret: gone, removing: change.Outcome == secret.Removed}
		if change.Outcome == secret.Replaced {
			met.replaced = sec.ARN
		}
		return met
	}
	return result{outcome: done, secret: next, err: err}
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[secret.Error](err)
	return ok
}

// Named is s with a name for its next commit: all tries of one request have the same.
// A commit that finds its own name on the head has happened before.
func (s *Store) Named(commit string) *Store {
	named := *s
	named.name = commit
	return &named
}

func (s *Store) commitName() string {
	if s.name != "" {
		return s.name
	}
	return uuid.NewString()
}

// The waits between tries: at random up to a bound that doubles each time.
const (
	firstWait = 2 * time.Millisecond
	maxWait   = 250 * time.Millisecond
)

// A backoff is how long the next wait is.
type backoff struct {
	bound time.Duration
	draw  func(ctx context.Context, bound time.Duration) time.Duration
}

func (s *Store) backoff() backoff {
	if s.Jitter != nil {
		return backoff{draw: s.Jitter}
	}
	return backoff{draw: func(_ context.Context, bound time.Duration) time.Duration {
		return rand.N(bound) //nolint:gosec // nothing secret about a wait
	}}
}

// next waits, and returns [ErrBusy] when the wait would end after the deadline.
func (b *backoff) next(ctx context.Context) error {
	b.bound = min(max(2*b.bound, firstWait), maxWait)
	wait := b.draw(ctx, b.bound)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return ErrBusy
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

// retry tries until it is no longer a conflict that stands in the way.
func (s *Store) retry(ctx context.Context, try func() error) error {
	wait := s.backoff()
	for {
		if err := try(); !errors.Is(err, errConflict) {
			return err
		}
		if err := wait.next(ctx); err != nil {
			return uncertain(err) // only the next try would say whether an attempt at this one has happened
		}
	}
}
