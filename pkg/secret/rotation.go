package secret

import "time"

// A Rotation is how a secret is rotated: by which function and when, and how far the
// rotation under way has come. It is zero for a secret that was never rotated.
type Rotation struct {
	// Enabled says that the schedule, if there is one, holds.
	Enabled bool
	// Lambda is the function that rotates, as RotationLambdaARN has it.
	Lambda string
	Rules  RotationRules
	// Anchor is when the rules were set: schedules at a rate count from that day.
	Anchor time.Time
	// Last is when a rotation succeeded last.
	Last time.Time
	// Next is when the schedule rotates next; zero for never.
	Next Window
	// State is how far a rotation has come; nil when the secret is idle.
	State State
	// Asked is the token of the last RotateSecret: the same again changes nothing.
	Asked string
	// Abandoned is the version of the rotation that the last change of the secret
	// abandoned; empty for none. A repeat of that change tells of it once more.
	Abandoned string
	// InFlight is the call of a runner whose rotation was abandoned, or of a step that
	// timed out; zero for none.
	InFlight Call
}

// A State is how far a rotation has come: [Waiting], [Leased], [GivenUp] or
// [Cancelled]. Each holds what there is in that state, and nothing else.
type State interface{ run() Run }

// Waiting is a rotation whose next attempt may begin when it is due.
type Waiting struct {
	Run
	Due time.Time
}

// Leased is a rotation that one runner may attempt, for a time.
type Leased struct {
	Run
	Runner string
	// Proof is the SHA-256 of the lease's RotationToken, in hexadecimal.
	Proof string
	Until time.Time
}

// GivenUp is a rotation whose last attempt failed. Its version keeps AWSPENDING.
type GivenUp struct{ Version, From, Failure string }

// Cancelled is a rotation that CancelRotateSecret ended; a repeat of that request
// answers with its version.
type Cancelled struct{ Version string }

// A Run is one rotation, through all its attempts.
type Run struct {
	// Version is the ID of the version that it makes.
	Version string
	// From is the version that was current when it began; empty for none.
	From string
	// Test is set when only the function is tested, on a copy of the current
	// value that is discarded afterwards.
	Test bool
	// Attempts is how many were begun, and Failure why the last of them failed.
	Attempts int
	Failure  string
}

func (w Waiting) run() Run   { return w.Run }
func (l Leased) run() Run    { return l.Run }
func (g GivenUp) run() Run   { return Run{Version: g.Version, From: g.From, Failure: g.Failure} }
func (c Cancelled) run() Run { return Run{Version: c.Version} }

// A Call is a runner's call of the function, and when it has ended at the latest.
type Call struct {
	Runner string
	Until  time.Time
}

// Run is the rotation in whatever state; zero for an idle secret.
func (r Rotation) Run() Run {
	if r.State == nil {
		return Run{}
	}
	return r.State.run()
}

// underWay says whether there is a rotation with attempts to come, or begun.
func (r Rotation) underWay() bool {
	_, waiting := r.State.(Waiting)
	_, leased := r.State.(Leased)
	return waiting || leased
}

// lease is the one that is held now.
func (r Rotation) lease(now time.Time) (l Leased, held bool) {
	l, held = r.State.(Leased)
	return l, held && l.Until.After(now)
}

// Unfinished is the version of a rotation that is not complete: it has AWSPENDING
// and is not the current one (recorded). Empty for none.
func (s Secret) Unfinished() string {
	if pending := s.Stages[Pending]; pending != s.Stages[Current] {
		return pending
	}
	return ""
}

// finish is s without a rotation. One whose version is the current one has
// succeeded, even if its runner could not say so.
func (s Secret) finish(now time.Time) Secret {
	if run := s.Rotation.Run(); s.Rotation.underWay() && !run.Test && run.Version == s.Stages[Current] {
		s.Rotation.Last = now
	}
	s.Rotation.State = nil
	return s
}

// abandon is s without a rotation that its runner did not end. The next one waits
// for the runner's call: a function may not expect two at the same time.
func (s Secret) abandon(now time.Time) Secret {
	if l, held := s.Rotation.lease(now); held {
		s.Rotation.InFlight = Call{l.Runner, l.Until}
	}
	return s.finish(now)
}

// discard removes the copy of a test that has ended, unless it has another label.
func (s Secret) discard(run Run) Change {
	if run.Test && s.Stages[Pending] == run.Version {
		s.Stages = s.Stages.Detach(Pending)
	}
	if !run.Test || len(s.Stages.Of(run.Version)) > 0 {
		return Change{Secret: s}
	}
	s.Versions--
	s.Prunings++
	return Change{Secret: s}.With(Discard, run.Version)
}
