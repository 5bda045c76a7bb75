package secret

import "time"

// The recovery window of a deleted secret, in days.
const (
	MinRecoveryDays     = 7
	MaxRecoveryDays     = 30
	DefaultRecoveryDays = 30
)

// CheckRecoveryWindow refuses a recovery window that no deletion may have.
func CheckRecoveryWindow(days int) error {
	if days < MinRecoveryDays || days > MaxRecoveryDays {
		return Errorf(InvalidParameter, "The RecoveryWindowInDays value must be between %d and %d days (inclusive).", MinRecoveryDays, MaxRecoveryDays)
	}
	return nil
}

// Delete schedules the secret for deletion when a recovery window of that many
// days is over.
func (s Secret) Delete(days int, now time.Time) (Change, error) {
	if err := CheckRecoveryWindow(days); err != nil {
		return Change{}, err
	}
	if !s.Deletion.IsZero() {
		return Change{}, Errorf(InvalidRequest, "You can't perform this operation on the secret because it was already scheduled for deletion.")
	}
	run := s.Rotation.Run()
	if run.Test {
		s = s.abandon(now)
	}
	s = s.changed(now)
	s.Deleted, s.Deletion = now, now.UTC().AddDate(0, 0, days) // no clocks are put forward or back in UTC
	return s.discard(run), nil
}

// DeletedAt is the time of the DeleteSecret call that scheduled the secret for
// deletion; zero unless it is scheduled. Where that time is not stored it is the
// time of the last change: nothing but RestoreSecret changes such a secret.
func (s Secret) DeletedAt() time.Time {
	switch {
	case s.Deletion.IsZero():
		return time.Time{}
	case s.Deleted.IsZero():
		return s.Changed
	}
	return s.Deleted
}

// Remove takes the secret away at once, also one that is scheduled for deletion.
func (s Secret) Remove(now time.Time) Change {
	return Change{Secret: s.changed(now), Outcome: Removed}
}

// Restore takes back a scheduled deletion. A secret that is not scheduled stays
// as it is.
func (s Secret) Restore(now time.Time) Change {
	if s.Deletion.IsZero() {
		return unchanged(s)
	}
	s = s.changed(now)
	s.Deleted, s.Deletion = time.Time{}, time.Time{}
	return Change{Secret: s}
}
