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
	commit := uuid.NewString()
	err := retry(ctx, func() (err error) {
		made, err = s.commit(ctx, secret.Secret{}, change, commit)
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
// decided again on a fresh read before it is given. When decide returns ErrBusy, what
// it looked for beside the secret was changed since: it is asked again like after a
// conflict.
//
// Besides what decide returns, Update returns [secret.NotFound], *[VersionExists]
// and [ErrBusy]. After any other error the change may have happened or not.
func (s *Store) Update(ctx context.Context, id secret.ID, decide func(secret.Secret) (secret.Change, error)) (secret.Secret, error) {
	leave, err := s.changes.enter(ctx, id.Name)
	if err != nil {
		return secret.Secret{}, err
	}
	defer leave()
	sec, remembered := s.heads.Get(id.Name)
	if !remembered {
		if sec, err = s.Get(ctx, id); err != nil {
			return secret.Secret{}, err
		}
	}
	var done secret.Secret
	commit := uuid.NewString()
	err = retry(ctx, func() error {
		change, err := decideOn(sec, id, decide)
		if remembered && (isRefusal(err) || change.Nothing) {
			remembered = false
			if sec, err = s.Get(ctx, id); err != nil {
				return err
			}
			change, err = decideOn(sec, id, decide)
		}
		if errors.Is(err, ErrBusy) {
			if sec, err = s.Get(ctx, id); err != nil {
				return err
			}
			remembered = false
			return errConflict
		}
		if err != nil {
			return err
		}
		if change.Nothing {
			done = sec
			return nil
		}
		done, err = s.commit(ctx, sec, change, commit)
		if r, ok := errors.AsType[*rival](err); ok {
			if !r.found {
				return secret.NotFound
			}
			sec, remembered = r.secret, false
		}
		if e, ok := errors.AsType[*VersionExists](err); ok {
			e.Secret = sec
		}
		return err
	})
	return done, err
}

func decideOn(sec secret.Secret, id secret.ID, decide func(secret.Secret) (secret.Change, error)) (secret.Change, error) {
	if !sec.Is(id) {
		return secret.Change{}, secret.NotFound
	}
	return decide(sec)
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[secret.Error](err)
	return ok
}

// The waits between tries: at random up to a bound that doubles each time.
const (
	firstWait = 2 * time.Millisecond
	maxWait   = 250 * time.Millisecond
)

// retry tries until it is no longer a conflict that stands in the way, or the
// next try would come after the deadline. It is the only such loop beside the
// SDK's own.
//
// Who lost against a rival knows what stands now, and after a wait no more: so every
// other time it tries again at once. Otherwise one who puts without a pause would
// keep all others from their turn.
func retry(ctx context.Context, try func() error) error {
	bound, waited := firstWait, true
	for {
		err := try()
		_, lost := errors.AsType[*rival](err)
		if !lost && !errors.Is(err, errConflict) {
			return err
		}
		if lost && waited {
			waited = false
			continue
		}
		waited = true
		wait := rand.N(bound) //nolint:gosec // nothing secret about a wait
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return ErrBusy
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		bound = min(2*bound, maxWait)
	}
}
