package secret

import "time"

// The recovery window of a deleted secret, in days.
const (
	MinRecoveryDays     = 7
	MaxRecoveryDays     = 30
	DefaultRecoveryDays = 30
)

// Delete schedules the secret for deletion when a recovery window of that many
// days is over.
func (s Secret) Delete(days int, now time.Time) (Change, error) {
	if days < MinRecoveryDays || days > MaxRecoveryDays {
		return Change{}, Errorf(InvalidParameter, "The RecoveryWindowInDays value must be between %d and %d days (inclusive).", MinRecoveryDays, MaxRecoveryDays)
	}
	if !s.Deletion.IsZero() {
		return Change{}, Errorf(InvalidRequest, "You can't perform this operation on the secret because it was already scheduled for deletion.")
	}
	s = s.changed(now)
	s.Deletion = now.UTC().AddDate(0, 0, days) // no clocks are put forward or back in UTC
	return Change{Secret: s}, nil
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
	s.Deletion = time.Time{}
	return Change{Secret: s}
}
