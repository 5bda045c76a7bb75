package secret

import "time"

// MaxAttempts is how often a rotation is tried before it is given up.
const MaxAttempts = 5

// RunnerDied is the failure of a rotation whose last lease expired.
const RunnerDied = "The rotation was not run to its end."

// ErrLeaseLost is the answer to a runner whose rotation was cancelled, abandoned or
// leased to another, or whose secret was deleted.
var ErrLeaseLost = Errorf(InvalidRequest, "The rotation is not under way any more.")

// ErrNotCurrent says that finishSecret returned without error and did not move AWSCURRENT.
var ErrNotCurrent = Errorf(InvalidRequest, "The rotation function did not move AWSCURRENT to the new version.")

// A Lease is what a runner asks for: the right to one attempt, for a time.
type Lease struct {
	Runner string
	Proof  string
	Until  time.Time
	// Token is for the version, where the schedule begins a rotation.
	Token string
	// Next is the window after this one.
	Next Window
}

// Lease gives a runner the rotation that is due: one that was begun, also if its last
// lease expired, or the schedule's next. When none is due, nothing changes. One whose
// last attempt expired is given up, unless its version is current: it succeeded.
func (s Secret) Lease(l Lease, now time.Time) Change {
	if !s.IsRotationDue(now) {
		return unchanged(s)
	}
	switch r := s.Rotation.State.(type) {
	case Waiting:
		return s.attempt(r.Run, l)
	case Leased:
		if r.Attempts < MaxAttempts {
			return s.attempt(r.Run, l)
		}
		if change, err := s.Rotated(r.Runner, l.Next, now); err == nil && !r.Test {
			return change
		}
		return s.giveUp(r.Run, RunnerDied, now)
	}
	return s.begin(l)
}

func (s Secret) attempt(run Run, l Lease) Change {
	run.Attempts++
	s.Rotation.State = Leased{run, l.Runner, l.Proof, l.Until}
	return Change{Secret: s}
}

// LeaseOf returns the lease of a runner, or ErrLeaseLost. One that has expired is the
// runner's until another takes it.
func (s Secret) LeaseOf(runner string) (Leased, error) {
	if l, ok := s.Rotation.State.(Leased); ok && s.Deletion.IsZero() && l.Runner == runner {
		return l, nil
	}
	return Leased{}, ErrLeaseLost
}

// Rotated ends a rotation that succeeded. AWSPENDING comes off, from the current
// version (recorded) or from the copy that was tested. It refuses when the function
// has not made its version the current one.
func (s Secret) Rotated(runner string, next Window, now time.Time) (Change, error) {
	l, err := s.LeaseOf(runner)
	if err != nil {
		return Change{}, err
	}
	if !l.Test && s.Stages[Current] != l.Version {
		return Change{}, ErrNotCurrent
	}
	if !l.Test {
		s.Rotation.Next = next
	}
	if s.Stages[Pending] == l.Version {
		s.Stages = s.Stages.Detach(Pending)
	}
	return s.finish(now).changed(now).discard(l.Run), nil
}

// Failed ends an attempt. The rotation is tried again after retry, or given up when
// it was the last attempt; its labels stay as they are.
func (s Secret) Failed(runner, why string, retry time.Duration, now time.Time) (Change, error) {
	l, err := s.LeaseOf(runner)
	if err != nil {
		return Change{}, err
	}
	if l.Attempts >= MaxAttempts {
		return s.giveUp(l.Run, why, now), nil
	}
	l.Failure = why
	s.Rotation.State = Waiting{l.Run, now.Add(retry)}
	return Change{Secret: s}, nil
}

// giveUp leaves a rotation to the next window, or to the next RotateSecret. A test
// it ends.
func (s Secret) giveUp(run Run, why string, now time.Time) Change {
	if run.Test {
		return s.finish(now).discard(run)
	}
	s.Rotation.State = GivenUp{run.Version, run.From, why}
	return Change{Secret: s}
}

// ReturnAttempt does not count the attempt of a runner that is shut down. What it
// called may still be running, so the lease stays.
func (s Secret) ReturnAttempt(runner string) (Change, error) {
	l, err := s.LeaseOf(runner)
	if err != nil {
		return Change{}, err
	}
	l.Attempts--
	s.Rotation.State = l
	return Change{Secret: s}, nil
}

// CallEnded says that a runner has no call in flight any more.
func (s Secret) CallEnded(runner string) Change {
	if s.Rotation.InFlight.Runner != runner {
		return unchanged(s)
	}
	s.Rotation.InFlight = Call{}
	return Change{Secret: s}
}
