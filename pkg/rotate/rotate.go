// Package rotate runs the rotations that are due.
//
// A rotation is four calls of the secret's rotation function: createSecret,
// setSecret, testSecret, finishSecret. The function makes the new version and moves
// the labels, through the API like everybody else; what is kept here is the
// lease, the attempts and the outcome.
//
// A runner holds a lease on the secret's head, which expires: two of them never run
// the same rotation, and if one dies, the next takes over. A failed rotation is
// retried with growing delays, always from createSecret and with the same version,
// since rotation functions are idempotent (the contract of AWS's templates). The
// current version changes when finishSecret changes it, and in no other way.
package rotate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/schedule"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// The steps of a rotation, as its function is given them.
const (
	createSecret = "createSecret"
	setSecret    = "setSecret"
	testSecret   = "testSecret"
	finishSecret = "finishSecret"
)

// A Rotator runs rotations. Its fields are set before the first one.
type Rotator struct {
	Store  *store.Store
	Lambda Lambda
	// StepTimeout is how long one step may take.
	StepTimeout time.Duration
	// RetryDelay is the wait after the first failed attempt; each further one is
	// twice as long.
	RetryDelay time.Duration
	// Parallel is how many rotations run at the same time.
	Parallel int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// NewID makes the IDs of leases, and of versions that the schedule has made; nil
	// means UUIDs.
	NewID func() string
	Log   *slog.Logger
	// OnEvent records events; nil records none.
	OnEvent func(context.Context, Event)
}

// An Event is what happened to a rotation.
type Event struct {
	// Name is AWS's, as CloudTrail has it: RotationStarted.
	Name string
	ARN  string
	// Version is the ID of the version that the rotation makes.
	Version string
	// Failure is why a failed one failed.
	Failure string
}

// An Outcome is how an attempt ended.
type Outcome string

// The outcomes.
const (
	NotDue    Outcome = "not due"    // or leased to another runner
	Succeeded Outcome = "succeeded"  // the new version is the current one, or the test succeeded
	Failed    Outcome = "failed"     // and will be retried
	GivenUp   Outcome = "given up"   // the last attempt failed
	Abandoned Outcome = "abandoned"  // cancelled, deleted, or another version became current
	Postponed Outcome = "postponed"  // the window was missed, and the next start is later
	Unknown   Outcome = "left alone" // an error of ours; the lease expires
)

// margin is what a lease is longer than all steps together: time to commit the outcome.
const margin = 30 * time.Second

// Lease is how long a runner has for one attempt.
func (r *Rotator) Lease() time.Duration { return 4*r.StepTimeout + margin }

// Rotate runs one attempt of the rotation of a secret, if one is due.
func (r *Rotator) Rotate(outer context.Context, id secret.ID) (Outcome, error) {
	ctx, cancel := context.WithTimeout(outer, r.Lease()) // whatever hangs, nothing is done after it
	defer cancel()
	a, outcome, err := r.begin(ctx, id)
	if err != nil || outcome != "" {
		return outcome, err
	}
	a.record(ctx, "Started", "")
	failure, err := a.steps(ctx)
	if err == nil && failure == "" {
		failure, err = a.succeed(ctx)
	}
	outcome = Succeeded
	if err == nil && failure != "" {
		outcome, err = a.fail(ctx, failure)
	}
	switch {
	case err == nil:
		return outcome, nil
	case errors.Is(err, secret.ErrLeaseLost), errors.Is(err, secret.NotFound):
		return a.release(ctx), nil
	case outer.Err() != nil:
		a.returnAttempt(outer)
	}
	return Unknown, err
}

// release says that the call for a rotation that was abandoned has ended, so that the
// next one need not wait for the lease to expire. Who abandoned it has recorded that,
// unless its version was current by then: it succeeded, and that is recorded here.
func (a *attempt) release(ctx context.Context) Outcome {
	outcome := Abandoned
	id := secret.ID{Name: a.secret.Name, Suffix: a.secret.Suffix()}
	_, _ = a.Store.Update(ctx, id, func(sec secret.Secret) (secret.Change, error) {
		if r := sec.Rotation; r.InFlight.Runner == a.lease.Runner && !r.Last.Equal(a.secret.Rotation.Last) {
			outcome = Succeeded
		}
		return sec.CallEnded(a.lease.Runner), nil
	})
	if outcome == Succeeded {
		a.record(ctx, "Succeeded", "")
	}
	return outcome
}

// returnAttempt returns the attempt of a process that is shut down.
func (a *attempt) returnAttempt(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	_, _ = a.Store.Update(ctx, a.id, func(sec secret.Secret) (secret.Change, error) { return sec.ReturnAttempt(a.lease.Runner) })
}

// An attempt is one run through the steps, under a lease.
type attempt struct {
	*Rotator
	id     secret.ID
	secret secret.Secret // as it was leased
	run    secret.Run
	lease  secret.Lease
	token  string // RotationToken, in no log and no error
	slow   bool   // a step timed out, and may still be running
}

// begin takes the lease of what is due. Without an outcome, the attempt is to be made.
func (r *Rotator) begin(ctx context.Context, id secret.ID) (a *attempt, outcome Outcome, err error) {
	now, token := r.now(), newToken()
	lease := secret.Lease{Runner: r.newID(), Proof: secret.ProofOf(token), Until: now.Add(r.Lease()), Token: r.newID()}
	a = &attempt{Rotator: r, id: id, lease: lease, token: token}
	var before secret.Rotation
	a.secret, err = r.Store.Update(ctx, id, func(sec secret.Secret) (change secret.Change, err error) {
		before = sec.Rotation
		change, outcome, err = take(sec, lease, now)
		return change, err
	})
	switch {
	case errors.Is(err, secret.NotFound):
		return nil, NotDue, nil // removed, and the index does not know yet
	case err != nil:
		return nil, Unknown, err
	}
	if a.run = a.secret.Rotation.Run(); a.secret.Rotation.State == nil {
		a.run = before.Run()
	}
	switch _, expired := before.State.(secret.Leased); outcome {
	case GivenUp:
		why := tooManyLabels
		if expired {
			why = secret.RunnerDied
		}
		a.record(ctx, "Failed", why)
		a.logGivenUp(ctx)
	case Succeeded:
		a.record(ctx, "Succeeded", "")
	}
	return a, outcome, nil
}

// tooManyLabels is why the schedule does not rotate a secret.
const tooManyLabels = "The secret has as many staging labels as it may have."

// take decides on a lease; without an outcome, it is taken.
func take(sec secret.Secret, lease secret.Lease, now time.Time) (change secret.Change, _ Outcome, err error) {
	if !sec.IsRotationDue(now) {
		return secret.Change{Secret: sec, Outcome: secret.Unchanged}, NotDue, nil
	}
	if sec.MissedWindow(now) {
		next, err := later(sec.Rotation, now)
		change := sec.Postpone(next)
		if sec = change.Secret; err != nil || !sec.IsRotationDue(now) {
			return change, Postponed, err
		}
	}
	if lease.Next, err = next(sec.Rotation, now); err != nil {
		return secret.Change{}, Unknown, err
	}
	change = sec.Lease(lease, now)
	if _, err := change.Secret.LeaseOf(lease.Runner); err == nil {
		return change, "", nil
	}
	if !change.Secret.Rotation.Last.Equal(sec.Rotation.Last) {
		return change, Succeeded, nil
	}
	return change, GivenUp, nil
}

// next is the window that comes after one in which a rotation begins, or ends.
func next(r secret.Rotation, now time.Time) (secret.Window, error) {
	if !r.Enabled {
		return secret.Window{}, nil
	}
	return schedule.Next(r.Rules, schedule.Shortest, schedule.Times{Anchor: r.Anchor, Last: now, Now: now})
}

// later is the first window after one that was missed.
func later(r secret.Rotation, now time.Time) (secret.Window, error) {
	missed := r.Next.Opens.AddDate(0, 0, -r.Rules.AutomaticallyAfterDays) // rules in days count from the last rotation
	return schedule.Next(r.Rules, schedule.Shortest, schedule.Times{Anchor: r.Anchor, Last: missed, Now: now})
}

// steps calls the function for each step, and before each checks that the lease is
// held. A step that fails is a failure; an error is ours.
func (a *attempt) steps(ctx context.Context) (failure string, err error) {
	steps := []string{createSecret, setSecret, testSecret, finishSecret}
	if a.run.Test {
		steps = []string{testSecret}
	}
	sec := a.secret // as it was leased a moment ago
	for i, step := range steps {
		if i > 0 {
			if sec, err = a.Store.Get(ctx, a.id); err != nil {
				return "", err
			}
		}
		lease, err := sec.LeaseOf(a.lease.Runner)
		if err != nil {
			return "", err
		}
		if a.now().Add(a.StepTimeout + secret.Skew).After(lease.Until) {
			return "", errLate
		}
		if err := a.call(ctx, sec, step); err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err() // our own time is over: not the function's fault
			}
			a.Log.WarnContext(ctx, "rotation step failed", slog.String("secret", sec.Name), slog.String("step", step), slog.String("error", err.Error()))
			return fmt.Sprintf("Error when executing lambda %s during %s step", sec.Rotation.Lambda, step), nil
		}
	}
	return "", nil
}

// errLate ends the attempt of a process that was suspended. A step begun now could
// run beside the next runner's.
var errLate = errors.New("the lease ends before the step would; the next run goes on")

func (a *attempt) call(ctx context.Context, sec secret.Secret, step string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.StepTimeout, fmt.Errorf("the function did not answer within %s", a.StepTimeout))
	defer cancel()
	err := invoke(ctx, a.Lambda, sec.Rotation.Lambda, payload{
		Step: step, SecretID: sec.ARN, ClientRequestToken: a.run.Version, RotationToken: a.token,
	})
	if err != nil && ctx.Err() != nil {
		a.slow = true
		return context.Cause(ctx)
	}
	return err
}

// succeed notes that a rotation succeeded. It fails when the function did not make
// its version the current one.
func (a *attempt) succeed(ctx context.Context) (failure string, err error) {
	now := a.now()
	_, err = a.Store.Update(ctx, a.id, func(sec secret.Secret) (secret.Change, error) {
		next, err := next(sec.Rotation, now)
		if err != nil {
			return secret.Change{}, err
		}
		return sec.Rotated(a.lease.Runner, next, now)
	})
	if errors.Is(err, secret.ErrNotCurrent) {
		return secret.ErrNotCurrent.Message, nil
	}
	if err == nil {
		a.record(ctx, "Succeeded", "")
	}
	return "", err
}

func (a *attempt) fail(ctx context.Context, why string) (Outcome, error) {
	now := a.now()
	delay := a.RetryDelay << (a.run.Attempts - 1)
	_, err := a.Store.Update(ctx, a.id, func(sec secret.Secret) (secret.Change, error) {
		change, err := sec.Failed(a.lease.Runner, why, delay, now)
		if a.slow {
			change.Secret.Rotation.InFlight = secret.Call{Runner: a.lease.Runner, Until: now.Add(longest - a.StepTimeout)}
		}
		return change, err
	})
	if err != nil {
		return Unknown, err
	}
	a.record(ctx, "Failed", why)
	if a.run.Attempts < secret.MaxAttempts {
		return Failed, nil
	}
	a.logGivenUp(ctx)
	return GivenUp, nil
}

// longest is how long a function may run (Lambda quotas). One that timed out is not
// called again before it must have ended.
const longest = 15 * time.Minute

// logGivenUp logs that a rotation failed for the last time.
func (a *attempt) logGivenUp(ctx context.Context) {
	a.Log.WarnContext(ctx, "rotation is left to its next window, or to the next RotateSecret", slog.String("secret", a.secret.ARN))
}

// record records an event of a rotation, or of a test.
func (a *attempt) record(ctx context.Context, what, failure string) {
	if a.OnEvent == nil {
		return
	}
	name := "Rotation" + what
	if a.run.Test {
		name = "TestRotation" + what
	}
	a.OnEvent(ctx, Event{Name: name, ARN: a.secret.ARN, Version: a.run.Version, Failure: failure})
}

// newToken makes a RotationToken: 256 random bits, in characters that AWS takes.
func newToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return hex.EncodeToString(b[:])
}

func (r *Rotator) newID() string {
	if r.NewID != nil {
		return r.NewID()
	}
	return uuid.NewString()
}

// now is to the millisecond that is stored.
func (r *Rotator) now() time.Time {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	return now().UTC().Truncate(time.Millisecond)
}
