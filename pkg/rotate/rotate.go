// Package rotate runs the rotations that are due.
//
// A rotation is four calls of the secret's rotation function: createSecret,
// setSecret, testSecret, finishSecret. The function makes the new version and moves
// the labels, through the API like everybody else; what is kept here is who runs
// the rotation, how often it was tried, and what became of it.
//
// A runner holds a lease on the secret's head, with an end: two of them never run
// the same rotation, and one that dies leaves it to the next. A rotation is tried
// again with growing delays, always from createSecret and with the same version,
// since rotation functions do nothing twice (the contract of AWS's templates). The
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

// The steps of a rotation, as its function is told them.
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
	Log *slog.Logger
	// Tell is told what becomes of rotations; nil tells nobody.
	Tell func(context.Context, Event)
}

// An Event is something that became of a rotation.
type Event struct {
	// Name is AWS's, as CloudTrail has it: RotationStarted.
	Name string
	ARN  string
	// Version is the ID of the version that the rotation makes.
	Version string
	// Failure says why, for a failed one.
	Failure string
}

// An Outcome is how an attempt ended.
type Outcome string

// The outcomes.
const (
	NotDue    Outcome = "not due"    // or somebody else is at it
	Succeeded Outcome = "succeeded"  // the new version is the current one, or the test went well
	Failed    Outcome = "failed"     // and will be tried again
	GivenUp   Outcome = "given up"   // failed for the last time
	Abandoned Outcome = "abandoned"  // cancelled, deleted, or another version became current
	Postponed Outcome = "postponed"  // its window had closed before it began, and the next is not open yet
	Unknown   Outcome = "left alone" // an error of ours; the lease ends by itself
)

// margin is what a lease is longer than all steps together: time to write down how
// they went.
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
	a.tell(ctx, "Started", "")
	failure, err := a.run(ctx)
	outcome = Succeeded
	if err == nil && failure != "" {
		outcome, err = a.fail(ctx, failure)
	}
	switch {
	case err == nil:
		return outcome, nil
	case errors.Is(err, secret.ErrNotTheirs), errors.Is(err, secret.NotFound):
		return a.left(ctx), nil
	case outer.Err() != nil:
		a.stopped(outer)
	}
	return Unknown, err
}

// left says that a rotation was seen to be ended, so that the next one need not wait
// for the lease to end. Without that it does. Whoever ended it has told of it, unless
// its version was current by then: it went well, and that is told here.
func (a *attempt) left(ctx context.Context) Outcome {
	outcome := Abandoned
	id := secret.ID{Name: a.secret.Name, Suffix: a.secret.Suffix()}
	_, _ = a.Store.Update(ctx, id, func(sec secret.Secret) (secret.Change, error) {
		if r := sec.Rotation; r.Busy.Runner == a.runner && !r.Last.Equal(a.secret.Rotation.Last) {
			outcome = Succeeded
		}
		return sec.Left(a.runner), nil
	})
	if outcome == Succeeded {
		a.tell(ctx, "Succeeded", "")
	}
	return outcome
}

// stopped gives the attempt of a process back that has to end.
func (a *attempt) stopped(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	_, _ = a.Store.Update(ctx, a.id, func(sec secret.Secret) (secret.Change, error) { return sec.Stopped(a.runner) })
}

// An attempt is one run through the steps, under a lease.
type attempt struct {
	*Rotator
	id      secret.ID
	secret  secret.Secret // as it was leased
	runner  string
	token   string // RotationToken, in no log and no error
	version string
	test    bool
	slow    bool // a step did not answer in time, and may still be running
}

// begin takes the lease of what is due. Without an outcome, the attempt is to be made.
func (r *Rotator) begin(ctx context.Context, id secret.ID) (*attempt, Outcome, error) {
	now := r.now()
	a := &attempt{Rotator: r, id: id, runner: uuid.NewString(), token: newToken()}
	lease := secret.Lease{Runner: a.runner, Proof: secret.ProofOf(a.token), Until: now.Add(r.Lease()), Token: uuid.NewString()}
	var outcome Outcome
	var why string
	var before secret.Run
	sec, err := r.Store.Update(ctx, id, func(sec secret.Secret) (change secret.Change, err error) {
		before = sec.Rotation.Run
		change, outcome, why, err = take(sec, lease, now)
		return change, err
	})
	if errors.Is(err, secret.NotFound) {
		return nil, NotDue, nil // removed, and the index does not know yet
	}
	if err != nil {
		return nil, Unknown, err
	}
	run := sec.Rotation.Run
	if run.Token == "" {
		run = before
	}
	a.secret, a.version, a.test = sec, run.Token, run.Test
	switch outcome {
	case GivenUp:
		a.tell(ctx, "Failed", why)
		a.leave(ctx)
	case Succeeded:
		a.tell(ctx, "Succeeded", "")
	}
	return a, outcome, nil
}

// tooManyLabels is why the schedule does not rotate a secret.
const tooManyLabels = "The secret has as many staging labels as it may have."

// take decides on a lease; without an outcome, it is taken. Why is said of one that is
// given up.
func take(sec secret.Secret, lease secret.Lease, now time.Time) (change secret.Change, _ Outcome, why string, err error) {
	if !sec.IsRotationDue(now) {
		return secret.Change{Secret: sec, Outcome: secret.Unchanged}, NotDue, "", nil
	}
	if sec.Overslept(now) {
		next, err := later(sec.Rotation, now)
		change := sec.Postpone(next)
		if sec = change.Secret; err != nil || next.Opens.IsZero() || next.Opens.After(now) {
			return change, Postponed, "", err
		}
	}
	if lease.Next, err = next(sec.Rotation, now); err != nil {
		return secret.Change{}, Unknown, "", err
	}
	run := sec.Rotation.Run
	last := run.Attempts >= secret.MaxAttempts && run.Runner != ""
	if last && !run.Test && sec.Stages[secret.Current] == run.Token {
		change, err = sec.Rotated(run.Runner, lease.Next, now) // its runner died before it could say so
		return change, Succeeded, "", err
	}
	change = sec.Lease(lease, now)
	switch {
	case change.Secret.Rotation.Run.Runner == lease.Runner:
		return change, "", "", nil
	case last:
		return change, GivenUp, secret.RunnerDied, nil
	}
	return change, GivenUp, tooManyLabels, nil
}

// next is the window that comes after one in which a rotation begins, or ends.
func next(r secret.Rotation, now time.Time) (secret.Window, error) {
	if !r.Enabled {
		return secret.Window{}, nil
	}
	return schedule.Next(r.Rules, schedule.Shortest, schedule.Times{Anchor: r.Anchor, Last: now, Now: now})
}

// later is the first window after one that nobody was there for.
func later(r secret.Rotation, now time.Time) (secret.Window, error) {
	missed := r.Next.Opens.AddDate(0, 0, -r.Rules.AutomaticallyAfterDays) // rules in days count from the last rotation
	return schedule.Next(r.Rules, schedule.Shortest, schedule.Times{Anchor: r.Anchor, Last: missed, Now: now})
}

// run runs the steps and notes that they went well.
func (a *attempt) run(ctx context.Context) (failure string, err error) {
	if failure, err = a.steps(ctx); err != nil || failure != "" {
		return failure, err
	}
	return a.succeed(ctx)
}

// steps calls the function for each step. It looks before each whether the rotation
// is still to be run. A step that fails is a failure; an error is ours.
func (a *attempt) steps(ctx context.Context) (failure string, err error) {
	steps := []string{createSecret, setSecret, testSecret, finishSecret}
	if a.test {
		steps = []string{testSecret}
	}
	sec := a.secret // as it was leased a moment ago
	for i, step := range steps {
		if i > 0 {
			if sec, err = a.Store.Get(ctx, a.id); err != nil {
				return "", err
			}
		}
		run, err := sec.RunBy(a.runner)
		if err != nil {
			return "", err
		}
		if a.now().Add(a.StepTimeout + secret.Skew).After(run.Due) {
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

// errLate ends the attempt of a process that stood still for a while, as on a machine
// that slept. A step begun now could run beside the next runner's.
var errLate = errors.New("the lease ends before the step would; the next run goes on")

func (a *attempt) call(ctx context.Context, sec secret.Secret, step string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.StepTimeout, fmt.Errorf("the function did not answer within %s", a.StepTimeout))
	defer cancel()
	err := invoke(ctx, a.Lambda, sec.Rotation.Lambda, payload{
		Step: step, SecretID: sec.ARN, ClientRequestToken: a.version, RotationToken: a.token,
	})
	if err != nil && ctx.Err() != nil {
		a.slow = true
		return context.Cause(ctx)
	}
	return err
}

// succeed notes the end of a rotation that went well. It fails when the function
// did not make its version the current one.
func (a *attempt) succeed(ctx context.Context) (failure string, err error) {
	now := a.now()
	_, err = a.Store.Update(ctx, a.id, func(sec secret.Secret) (secret.Change, error) {
		next, err := next(sec.Rotation, now)
		if err != nil {
			return secret.Change{}, err
		}
		return sec.Rotated(a.runner, next, now)
	})
	if errors.Is(err, secret.ErrNotCurrent) {
		return secret.ErrNotCurrent.Message, nil
	}
	if err == nil {
		a.tell(ctx, "Succeeded", "")
	}
	return "", err
}

func (a *attempt) fail(ctx context.Context, why string) (Outcome, error) {
	now := a.now()
	delay := a.RetryDelay << (a.secret.Rotation.Run.Attempts - 1)
	_, err := a.Store.Update(ctx, a.id, func(sec secret.Secret) (secret.Change, error) {
		change, err := sec.Failed(a.runner, why, delay, now)
		if a.slow {
			change.Secret = change.Secret.StillCalling(a.runner, now.Add(longest-a.StepTimeout))
		}
		return change, err
	})
	if err != nil {
		return Unknown, err
	}
	a.tell(ctx, "Failed", why)
	if a.secret.Rotation.Run.Attempts < secret.MaxAttempts {
		return Failed, nil
	}
	a.leave(ctx)
	return GivenUp, nil
}

// longest is how long a function may run (Lambda quotas). One that did not answer in
// time is not called again before it must have ended.
const longest = 15 * time.Minute

// leave says that a rotation failed for the last time.
func (a *attempt) leave(ctx context.Context) {
	a.Log.WarnContext(ctx, "rotation is left to its next window, or to the next RotateSecret", slog.String("secret", a.secret.ARN))
}

// tell tells of a rotation, or of a test, what became of it.
func (a *attempt) tell(ctx context.Context, what, failure string) {
	if a.Tell == nil {
		return
	}
	name := "Rotation" + what
	if a.test {
		name = "TestRotation" + what
	}
	a.Tell(ctx, Event{Name: name, ARN: a.secret.ARN, Version: a.version, Failure: failure})
}

// newToken makes a RotationToken: 256 random bits, in characters that AWS takes.
func newToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return hex.EncodeToString(b[:])
}

// now is to the millisecond that is stored.
func (r *Rotator) now() time.Time {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	return now().UTC().Truncate(time.Millisecond)
}
