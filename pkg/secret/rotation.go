package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"time"
)

// A Rotation is how a secret is rotated: by which function and when, and how far a
// rotation under way has come. It is zero for a secret that was never rotated.
type Rotation struct {
	// Enabled says that the schedule, if there is one, holds.
	Enabled bool
	// Lambda is the function that rotates, as RotationLambdaARN has it.
	Lambda string
	Rules  RotationRules
	// Anchor is when the rules were set: schedules at a rate count from that day.
	Anchor time.Time
	// Last is when the last rotation ended well.
	Last time.Time
	// Next is when the schedule rotates next; zero for never.
	Next Window
	// Run is the rotation under way; zero for none.
	Run Run
	// Asked is the token of the last RotateSecret: the same again changes nothing.
	Asked string
	// Busy is who may still be calling the function for a rotation that was ended
	// under his feet; zero for nobody.
	Busy Busy
}

// Busy is a runner whose rotation is no longer his, until he has seen it or his lease
// ends.
type Busy struct {
	Runner string
	Until  time.Time
}

// RotationRules say when a secret is rotated, with AWS's member names: after a
// number of days, or by an expression; and how long its windows are open.
type RotationRules struct {
	AutomaticallyAfterDays int
	ScheduleExpression     string
	Duration               string
}

// A Window is when a rotation may begin: from Opens until before Closes.
type Window struct{ Opens, Closes time.Time }

// A Run is one rotation, through all its attempts, until a version is current or
// somebody ended it.
type Run struct {
	// Token is the ID of the version that it makes.
	Token string
	// Test is set when only the function is tested, on a copy of the current
	// value that is taken away again.
	Test bool
	// Attempts is how many were begun.
	Attempts int
	// Due is when the next attempt may begin; while a runner holds the lease, when
	// that ends. Zero when it was given up.
	Due time.Time
	// Runner is who holds the lease; empty when nobody does.
	Runner string
	// Proof is the SHA-256 of the lease's RotationToken, in hexadecimal.
	Proof string
	// Failure is why the last attempt failed.
	Failure string
}

// MaxAttempts is how often a rotation is tried before it is left for the next
// window of its schedule, or the next RotateSecret.
const MaxAttempts = 5

// RunnerDied is the failure of a rotation whose last runner did not come to say how
// it went.
const RunnerDied = "The rotation was not run to its end."

// ErrNotTheirs is the answer to a runner whose rotation was cancelled, abandoned or
// taken over, or whose secret was deleted.
var ErrNotTheirs = Errorf(InvalidRequest, "The rotation is not under way any more.")

// Refusals of RotateSecret, recorded from AWS.
var (
	errNoFunction = Errorf(InvalidRequest, "No Lambda rotation function ARN is associated with this secret.")
	// NotInvokable is the refusal of a function that is not there or may not be invoked.
	NotInvokable = Errorf(AccessDenied, "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.")
	// ErrIncomplete is the refusal while another rotation has not come to its end.
	ErrIncomplete = Errorf(InvalidRequest, "A previous rotation isn't complete. That rotation will be reattempted.")
)

// errRotationToken: that a wrong one is refused is in AWS's interest; with which
// code and words is not known.
var errRotationToken = Errorf(AccessDenied, "The rotation token is not valid for this version of the secret.")

// RotationDue is when the schedule has to do something for the secret; zero for
// never. Nothing is due while another runner may be calling the function.
func (s Secret) RotationDue() time.Time {
	r := s.Rotation
	due := r.Next.Opens
	if r.Run.underWay() {
		due = r.Run.Due
	}
	switch {
	case !s.Deletion.IsZero() || due.IsZero():
		return time.Time{}
	case due.Before(r.Busy.Until):
		return r.Busy.Until
	}
	return due
}

// Skew is how much the clocks of those who ask for a rotation, and of those who run
// it, may differ.
const Skew = 5 * time.Second

// IsRotationDue says whether a runner may begin. What somebody asked for at once is
// due to a runner whose clock is a little behind; what a lease or a window says is
// taken to the letter.
func (s Secret) IsRotationDue(now time.Time) bool {
	due := s.RotationDue()
	if run := s.Rotation.Run; run.underWay() && run.Runner == "" && due.Equal(run.Due) {
		due = due.Add(-Skew)
	}
	return !s.RotationDue().IsZero() && !due.After(now)
}

// underWay says whether there is a run that was not given up.
func (r Run) underWay() bool { return r.Token != "" && !r.Due.IsZero() }

// Rotate is what RotateSecret asks for.
type Rotate struct {
	// Token is that of the request, and of the version to be made.
	Token string
	// Lambda and Rules are as given, and then stay; empty and nil leave them, and so do
	// rules that say nothing (a guess).
	Lambda string
	Rules  *RotationRules
	// Empty is the version with AWSPENDING when it is known to have no value; see
	// [Secret.Cancelled].
	Empty string
	// Test says to test the function and leave the rotation to the schedule.
	Test bool
	// Next finds the next window of rules that were set at anchor. It is called
	// with rules that it has taken before, or refuses.
	Next func(rules RotationRules, anchor time.Time) (Window, error)
}

// Rotate decides on RotateSecret: it keeps function and rules, and begins a
// rotation whose version has AWSPENDING and no value yet. For a test the version
// is a copy of the current value, which is the caller's to fill in.
//
// The token of the last request changes nothing; another that is a version already
// is refused.
func (s Secret) Rotate(r Rotate, now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	switch {
	case r.Token == s.Rotation.Asked:
		return unchanged(s), nil
	case len(s.Stages.Of(r.Token)) > 0:
		return Change{}, s.RotatedBefore(r.Token)
	}
	if r.Lambda != "" {
		s.Rotation.Lambda = r.Lambda
	}
	if s.Rotation.Lambda == "" {
		return Change{}, errNoFunction
	}
	if r.Rules != nil && *r.Rules != (RotationRules{}) {
		s.Rotation.Rules, s.Rotation.Anchor = *r.Rules, now
	}
	var err error
	if s.Rotation.Next, err = r.Next(s.Rotation.Rules, s.Rotation.Anchor); err != nil {
		return Change{}, err
	}
	if s.Unfinished() != "" && (r.Empty == "" || r.Empty != s.Cancelled()) {
		return Change{}, ErrIncomplete
	}
	s = s.dropped(now).changed(now)
	s.Rotation.Enabled, s.Rotation.Asked = true, r.Token
	if r.Test && s.Stages[Current] == "" {
		return Change{Secret: s}, nil // nothing there to test with
	}
	if err := s.Stages.mayRotate(r.Token); err != nil {
		return Change{}, err
	}
	s.Stages = s.Stages.Attach(Pending, r.Token)
	s.Rotation.Run = Run{Token: r.Token, Test: r.Test, Due: now}
	if !r.Test {
		return Change{Secret: s}.With(RequireAbsent, r.Token), nil
	}
	s.Versions++
	return Change{Secret: s, Version: &Version{ID: r.Token, Created: now}}, nil
}

// RotatedBefore is the refusal of a token that is a version already, but not of the
// last rotation that was asked for. The words are those of other operations; which
// code AWS has is not known.
func (s Secret) RotatedBefore(token string) Error {
	return Error{InvalidParameter, TokenInUse(token, s.ARN).Message}
}

// mayRotate refuses a rotation that would begin with the last label there is room for,
// and could not end: AWSPREVIOUS may be another one.
func (s Stages) mayRotate(version string) error {
	return s.Attach(Pending, version).Attach(Current, version).limit(s)
}

// Unfinished is the version of a rotation that did not come to its end: it has
// AWSPENDING and is not the current one (recorded). Empty for none.
func (s Secret) Unfinished() string {
	if pending := s.Stages[Pending]; pending != s.Stages[Current] {
		return pending
	}
	return ""
}

// Cancelled is the version that has AWSPENDING from a rotation that was cancelled.
// Nobody reattempts that one: when the version has no value, RotateSecret begins
// another rotation in its place (recorded, by Terraform's tests). Empty for none.
func (s Secret) Cancelled() string {
	if s.Rotation.Enabled {
		return ""
	}
	return s.Unfinished()
}

// Reattempt tries an unfinished rotation again, at once and as often as the first
// time, unless it is turned off or under way.
func (s Secret) Reattempt(now time.Time) Change {
	pending, run := s.Unfinished(), s.Rotation.Run
	if pending == "" || !s.Rotation.Enabled || !s.Deletion.IsZero() || run.held(now) || run.underWay() && !run.Due.After(now) {
		return unchanged(s)
	}
	s = s.over(now)
	s.Rotation.Run = Run{Token: pending, Test: run.Test && run.Token == pending, Due: now}
	return Change{Secret: s}
}

// over is s without a rotation. One whose version is the current one already ended
// well, whatever kept its runner from saying so.
func (s Secret) over(now time.Time) Secret {
	if run := s.Rotation.Run; run.underWay() && !run.Test && run.Token == s.Stages[Current] {
		s.Rotation.Last = now
	}
	s.Rotation.Run = Run{}
	return s
}

// dropped is s without a rotation that somebody else ends than its runner. The next
// one waits for him: a function may not expect two at the same time.
func (s Secret) dropped(now time.Time) Secret {
	if run := s.Rotation.Run; run.held(now) {
		s = s.StillCalling(run.Runner, run.Due)
	}
	return s.over(now)
}

// StillCalling is s while a call of a runner may go on that nobody waits for any more.
func (s Secret) StillCalling(runner string, until time.Time) Secret {
	s.Rotation.Busy = Busy{runner, until}
	return s
}

// Left says that a runner has seen that his rotation was ended under his feet.
func (s Secret) Left(runner string) Change {
	if s.Rotation.Busy.Runner != runner {
		return unchanged(s)
	}
	s.Rotation.Busy = Busy{}
	return Change{Secret: s}
}

// held says whether a runner has the lease.
func (r Run) held(now time.Time) bool { return r.Runner != "" && r.Due.After(now) }

// CancelRotation turns rotation off. Function and rules stay, and so do the labels
// of a rotation under way (CancelRotateSecret), but for the copy made for a test.
func (s Secret) CancelRotation(now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	if s.Rotation.Lambda == "" {
		return Change{}, errNoFunction // which code and words is a guess
	}
	if !s.Rotation.Enabled && s.Rotation.Run == (Run{}) {
		return unchanged(s), nil
	}
	run := s.Rotation.Run
	s = s.dropped(now).changed(now)
	s.Rotation.Enabled, s.Rotation.Next = false, Window{}
	if run.Test {
		return s.withoutCopy(run.Token), nil
	}
	return Change{Secret: s}, nil
}

// withoutCopy takes away the copy that a test was made on, unless somebody has use
// for it.
func (s Secret) withoutCopy(version string) Change {
	if s.Stages[Pending] == version {
		s.Stages = s.Stages.Detach(Pending)
	}
	if len(s.Stages.Of(version)) > 0 {
		return Change{Secret: s}
	}
	s.Versions--
	s.Prunings++
	return Change{Secret: s}.With(Discard, version)
}

// A Lease is the right of one runner to a rotation, for a time.
type Lease struct {
	Runner string
	Proof  string
	Until  time.Time
	// Token is for the version, where the schedule begins a rotation.
	Token string
	// Next is the window after this one.
	Next Window
}

// Lease gives a runner the rotation that is due: one that was begun, of which the
// runner before may have died, or the schedule's next. When none is due, nothing
// changes. One that a runner died of at the last attempt is given up.
func (s Secret) Lease(l Lease, now time.Time) Change {
	if !s.IsRotationDue(now) {
		return unchanged(s)
	}
	if !s.Rotation.Run.underWay() {
		return s.begin(l)
	}
	if s.Rotation.Run.Attempts >= MaxAttempts {
		return s.giveUp(RunnerDied, now)
	}
	s.Rotation.Run = s.Rotation.Run.attempt(l)
	return Change{Secret: s}
}

// begin begins the schedule's next rotation, or goes on with one that was left
// unfinished. A secret with as many labels as it may have is left until the next
// window.
func (s Secret) begin(l Lease) Change {
	s.Rotation.Next = l.Next
	token := s.Unfinished()
	if token == "" {
		token = l.Token
	}
	if s.Stages.mayRotate(token) != nil {
		return Change{Secret: s}
	}
	s.Stages = s.Stages.Attach(Pending, token)
	s.Rotation.Run = Run{Token: token}.attempt(l)
	return Change{Secret: s}
}

func (r Run) attempt(l Lease) Run {
	r.Attempts++
	r.Runner, r.Proof, r.Due = l.Runner, l.Proof, l.Until
	return r
}

// giveUp leaves a rotation for the next window, with its labels as they are. A test
// it ends.
func (s Secret) giveUp(why string, now time.Time) Change {
	run := s.Rotation.Run
	if run.Test {
		return s.over(now).withoutCopy(run.Token)
	}
	run.Runner, run.Proof, run.Due, run.Failure = "", "", time.Time{}, why
	s.Rotation.Run = run
	return Change{Secret: s}
}

// Stopped gives an attempt back whose runner has to stop. What it called may still be
// running, so the lease stays.
func (s Secret) Stopped(runner string) (Change, error) {
	if _, err := s.RunBy(runner); err != nil {
		return Change{}, err
	}
	s.Rotation.Run.Attempts--
	return Change{Secret: s}, nil
}

// Overslept says whether the window that was next has closed before the rotation
// began.
func (s Secret) Overslept(now time.Time) bool {
	next := s.Rotation.Next
	return !s.Rotation.Run.underWay() && !next.Opens.IsZero() && !next.Closes.After(now)
}

// Postpone leaves the schedule's next rotation to a later window.
func (s Secret) Postpone(next Window) Change {
	s.Rotation.Next = next
	return Change{Secret: s}
}

// RunBy returns the rotation that a runner has the lease of, or ErrNotTheirs.
func (s Secret) RunBy(runner string) (Run, error) {
	if run := s.Rotation.Run; s.Deletion.IsZero() && runner != "" && run.Runner == runner {
		return run, nil
	}
	return Run{}, ErrNotTheirs
}

// Rotated ends a rotation well. AWSPENDING comes off, from the current version
// (recorded) or from the copy that was tested. It refuses when the function has
// not made its version the current one.
func (s Secret) Rotated(runner string, next Window, now time.Time) (Change, error) {
	run, err := s.RunBy(runner)
	if err != nil {
		return Change{}, err
	}
	if !run.Test && s.Stages[Current] != run.Token {
		return Change{}, ErrNotCurrent
	}
	s = s.over(now).changed(now)
	if run.Test {
		return s.withoutCopy(run.Token), nil
	}
	s.Rotation.Next = next
	if s.Stages[Pending] == run.Token {
		s.Stages = s.Stages.Detach(Pending)
	}
	return Change{Secret: s}, nil
}

// ErrNotCurrent says that finishSecret went well and did not move AWSCURRENT.
var ErrNotCurrent = Errorf(InvalidRequest, "The rotation function did not move AWSCURRENT to the new version.")

// Failed ends an attempt. The rotation is tried again after retry, or given up when
// it was the last attempt; its labels stay as they are.
func (s Secret) Failed(runner, why string, retry time.Duration, now time.Time) (Change, error) {
	run, err := s.RunBy(runner)
	if err != nil {
		return Change{}, err
	}
	if run.Attempts >= MaxAttempts {
		return s.giveUp(why, now), nil
	}
	run.Runner, run.Proof, run.Failure, run.Due = "", "", why, now.Add(retry)
	s.Rotation.Run = run
	return Change{Secret: s}, nil
}

// CheckRotationToken refuses the token of another rotation, or of one whose lease
// has ended, and one for another version. Without a rotation, under way or given up,
// it is not looked at, as an ordinary caller's.
func (s Secret) CheckRotationToken(token, version string, now time.Time) error {
	if run := s.Rotation.Run; run.Token == "" || s.IsRotating(token, version, now) {
		return nil
	}
	return errRotationToken
}

// IsRotating says whether a request that carries this rotation token comes from
// the function that makes this version now.
func (s Secret) IsRotating(token, version string, now time.Time) bool {
	run := s.Rotation.Run
	same := subtle.ConstantTimeCompare([]byte(run.Proof), []byte(ProofOf(token))) == 1
	return same && token != "" && run.held(now) && run.Token == version
}

// ProofOf is what is kept of a rotation token. The token has 256 random bits, so
// its hash tells nobody what it was.
func ProofOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// restaged is s with other labels. A rotation ends when its version has neither
// AWSPENDING nor AWSCURRENT any more: somebody made another version the current
// one (CloudTrail: RotationAbandoned), or took the label off.
func (s Secret) restaged(stages Stages, now time.Time) Secret {
	run := s.Rotation.Run
	if run.Token != "" && stages[Pending] != run.Token && stages[Current] != run.Token {
		s = s.dropped(now)
	}
	s.Stages = stages
	return s
}

// counted is s after a new current value at now: rules in days count from the last
// one (RotateSecret), however it came.
func (s Secret) counted(now time.Time) Secret {
	r := &s.Rotation
	if r.Rules.AutomaticallyAfterDays == 0 || r.Next.Opens.IsZero() {
		return s
	}
	open := r.Next.Closes.Sub(r.Next.Opens)
	opens := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, r.Rules.AutomaticallyAfterDays)
	r.Next = Window{opens, opens.Add(open)}
	return s
}

// Ended says whether a change ended the rotation that was under way before, and its
// version neither was nor is the current one.
func (s Secret) Ended(before Secret) bool {
	run := before.Rotation.Run
	made := before.Stages[Current] == run.Token || s.Stages[Current] == run.Token
	return run.underWay() && !run.Test && !made && s.Rotation.Run.Token != run.Token
}
