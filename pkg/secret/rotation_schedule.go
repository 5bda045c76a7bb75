package secret

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"
)

// RotationRules say when a secret is rotated, with AWS's member names: after a
// number of days, or by an expression; and how long its windows are open.
type RotationRules struct {
	AutomaticallyAfterDays int
	ScheduleExpression     string
	Duration               string
}

// inDays says whether windows are given by days alone: nobody chose the hour.
func (r RotationRules) inDays() bool {
	return r.AutomaticallyAfterDays > 0 || strings.HasPrefix(r.ScheduleExpression, "rate(") && strings.Contains(r.ScheduleExpression, " day")
}

// A Window is when a rotation may begin: from Opens until before Closes.
type Window struct{ Opens, Closes time.Time }

// start is when the schedule begins the next rotation; zero for never. Windows in
// days all open at midnight, so each secret starts at its own place in them, always
// the same: in the first half, so that a late runner finds the window open.
func (s Secret) start() time.Time {
	w := s.Rotation.Next
	half := w.Closes.Sub(w.Opens).Milliseconds() / 2
	if !s.Rotation.Rules.inDays() || half <= 0 {
		return w.Opens
	}
	sum := sha256.Sum256([]byte(s.ARN))
	place := binary.BigEndian.Uint64(sum[:]) % uint64(half)
	return w.Opens.Add(time.Duration(place) * time.Millisecond) //nolint:gosec // less than a day
}

// RotationDue is when the schedule has to do something for the secret; zero for
// never. Nothing is due while another runner's call may be in flight.
func (s Secret) RotationDue() time.Time {
	if !s.Deletion.IsZero() || s.IsReplica() {
		return time.Time{}
	}
	var due time.Time
	switch r := s.Rotation.State.(type) {
	case Waiting:
		due = r.Due
	case Leased:
		due = r.Until
	default:
		due = s.start()
	}
	if until := s.Rotation.InFlight.Until; !due.IsZero() && due.Before(until) {
		return until
	}
	return due
}

// Skew is how much the clocks of those who ask for a rotation, and of those who run
// it, may differ.
const Skew = 5 * time.Second

// IsRotationDue says whether a runner may begin. A rotation that waits is due to a
// runner whose clock is a little behind; the end of a lease or of a call, and the
// start in a window, are exact.
func (s Secret) IsRotationDue(now time.Time) bool {
	due := s.RotationDue()
	if w, ok := s.Rotation.State.(Waiting); ok && due.Equal(w.Due) {
		due = due.Add(-Skew)
	}
	return !due.IsZero() && !due.After(now)
}

// begin begins the schedule's next rotation. A version that was left unfinished is
// taken up again only if it is that of a rotation that was given up, and AWSCURRENT
// is where it was when that began. Any other, such as a late put of an abandoned
// rotation, may derive from an older value: it loses AWSPENDING to a new version (how
// AWS decides is not known). A secret with as many labels as it may have is left
// until the next window.
func (s Secret) begin(l Lease) Change {
	s.Rotation.Next = l.Next
	run := Run{Version: l.Token, From: s.Stages[Current]}
	if g, ok := s.Rotation.State.(GivenUp); ok && g.Version == s.Unfinished() && g.From == run.From {
		run.Version = g.Version
	}
	if s.Stages.mayRotate(run.Version) != nil {
		return Change{Secret: s}
	}
	s.Stages = s.Stages.Attach(Pending, run.Version)
	return s.attempt(run, l)
}

// mayRotate refuses a rotation that would begin with the last label there is room for,
// and could not end: AWSPREVIOUS may be another one.
func (s Stages) mayRotate(version string) error {
	return s.Attach(Pending, version).Attach(Current, version).limit(s)
}

// MissedWindow says whether the next window has closed before the rotation began.
func (s Secret) MissedWindow(now time.Time) bool {
	next := s.Rotation.Next
	return !s.Rotation.underWay() && !next.Opens.IsZero() && !next.Closes.After(now)
}

// Postpone leaves the schedule's next rotation to a later window.
func (s Secret) Postpone(next Window) Change {
	s.Rotation.Next = next
	return Change{Secret: s}
}

// counted is s after a new current value at now: rules in days count from the last
// one (RotateSecret), however it came.
func (s Secret) counted(now time.Time) Secret {
	days, w := s.Rotation.Rules.AutomaticallyAfterDays, s.Rotation.Next
	if days > 0 && !w.Opens.IsZero() {
		opens := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, days)
		s.Rotation.Next = Window{opens, opens.Add(w.Closes.Sub(w.Opens))}
	}
	return s
}
