package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"time"
)

// Refusals of RotateSecret, recorded from AWS.
var (
	errNoFunction = Errorf(InvalidRequest, "No Lambda rotation function ARN is associated with this secret.")
	// NotInvokable is the refusal of a function that is not there or may not be invoked.
	NotInvokable = Errorf(AccessDenied, "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.")
	// ErrIncomplete is the refusal while another rotation is not complete.
	ErrIncomplete = Errorf(InvalidRequest, "A previous rotation isn't complete. That rotation will be reattempted.")
)

// ErrRotationToken is the refusal of a RotationToken that is not that of the lease.
// AWS's code and words are not known.
var ErrRotationToken = Errorf(AccessDenied, "The rotation token is not valid for this version of the secret.")

// Rotate is what RotateSecret asks for.
type Rotate struct {
	// Token is that of the request, and of the version to be made.
	Token string
	// Lambda and Rules are as given, and then stay; empty and nil leave them, and so do
	// rules that say nothing (a guess).
	Lambda string
	Rules  *RotationRules
	// Empty is the version with AWSPENDING, if it is known to have no value. When
	// rotation is turned off, another one begins in its place (recorded, by Terraform's
	// tests): nobody reattempts that one.
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
	if pending := s.Unfinished(); pending != "" && (s.Rotation.Enabled || pending != r.Empty) {
		return Change{}, ErrIncomplete
	}
	s = s.abandon(now).changed(now) // of a test the copy is the current version, and stays
	s.Rotation.Enabled, s.Rotation.Asked = true, r.Token
	if r.Test && s.Stages[Current] == "" {
		return Change{Secret: s}, nil // nothing there to test with
	}
	if err := s.Stages.mayRotate(r.Token); err != nil {
		return Change{}, err
	}
	s.Rotation.State = Waiting{Run{Version: r.Token, From: s.Stages[Current], Test: r.Test}, now}
	s.Stages = s.Stages.Attach(Pending, r.Token)
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

// Reattempt has an unfinished rotation due at once, with as many attempts as the first
// time, unless it is turned off, due already, or leased. RotateSecret asks for it, so
// that holds for an AWSPENDING of any origin.
func (s Secret) Reattempt(now time.Time) Change {
	pending, run := s.Unfinished(), s.Rotation.Run()
	w, waiting := s.Rotation.State.(Waiting)
	_, leased := s.Rotation.State.(Leased)
	switch {
	case pending == "", !s.Rotation.Enabled, !s.Deletion.IsZero(), leased, waiting && !w.Due.After(now):
		return unchanged(s)
	case run.Version != pending:
		run = Run{Version: pending, From: s.Stages[Current]}
	}
	run.Attempts, run.Failure = 0, ""
	s = s.finish(now)
	s.Rotation.State = Waiting{run, now}
	return Change{Secret: s}
}

// CancelRotation turns rotation off. Function and rules stay, and so do the labels
// of a rotation under way (CancelRotateSecret), but for the copy made for a test.
func (s Secret) CancelRotation(now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	if s.Rotation.Lambda == "" {
		return Change{}, errNoFunction // which code and words is a guess
	}
	if !s.Rotation.Enabled {
		return unchanged(s), nil
	}
	run := s.Rotation.Run()
	s = s.abandon(now).changed(now)
	s.Rotation.Enabled, s.Rotation.Next = false, Window{}
	if run.Version != "" {
		s.Rotation.State = Cancelled{run.Version}
	}
	return s.discard(run), nil
}

// IsRotating says whether a request that carries this RotationToken comes from
// the function that makes this version now: only the token of the lease says so.
func (s Secret) IsRotating(token, version string, now time.Time) bool {
	l, held := s.Rotation.lease(now)
	same := subtle.ConstantTimeCompare([]byte(l.Proof), []byte(ProofOf(token))) == 1
	return held && same && token != "" && l.Version == version
}

// ProofOf is what is kept of a RotationToken. The token has 256 random bits, so
// its hash tells nobody what it was.
func ProofOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// restage gives s other labels. A rotation ends when its version has neither
// AWSPENDING nor AWSCURRENT any more: somebody made another version the current
// one (CloudTrail: RotationAbandoned), or took the label off.
func (s Secret) restage(stages Stages, now time.Time) Change {
	s = s.changed(now)
	run := s.Rotation.Run()
	if stages[Pending] == run.Version || stages[Current] == run.Version || run == (Run{}) {
		s.Stages = stages
		return Change{Secret: s}
	}
	s = s.abandon(now)
	s.Stages = stages
	return s.discard(run)
}

// Abandoned says whether a change ended the rotation that was under way before, and its
// version neither was nor is the current one.
func (s Secret) Abandoned(before Secret) bool {
	run := before.Rotation.Run()
	made := before.Stages[Current] == run.Version || s.Stages[Current] == run.Version
	return before.Rotation.underWay() && !run.Test && !made && s.Rotation.Run().Version != run.Version
}
