package secret

import (
	"strconv"
	"time"
)

// A Retention says which versions without a label a secret keeps.
type Retention struct {
	// MaxVersions is how many of them stay, the newest ones.
	MaxVersions int
	// MinAge is how old one must be before it may go, however many there are.
	MinAge time.Duration
}

// DefaultRetention is that of AWS: about a hundred versions, and none goes that
// is younger than a day (Secrets Manager quotas).
var DefaultRetention = Retention{MaxVersions: 100, MinAge: 24 * time.Hour}

// The tags by which a secret keeps more than the deployment does. One that says less
// is taken, and has no effect: the setting may change, and the right to tag a secret
// is not one to remove its versions.
const (
	MaxVersionsTag = "strongroom:max-versions"
	MinAgeTag      = "strongroom:min-age"
)

// The largest values of these tags.
const (
	mostVersions = 1_000_000
	longestAge   = 10 * 365 * 24 * time.Hour
)

// Retention is that of the deployment, or longer where the secret's tags say so.
func (s Secret) Retention(least Retention) Retention {
	keep := least
	for _, t := range s.Tags {
		// A tag that says nothing was refused, or is older than its meaning.
		keep, _ = keep.by(t)
	}
	return Retention{max(keep.MaxVersions, least.MaxVersions), max(keep.MinAge, least.MinAge)}
}

// Quota is how many versions without a label the secret may have before a put, of a
// deployment that sets quota; 0 for any number. It is more than the secret keeps: what
// is never removed would otherwise refuse every put.
func (s Secret) Quota(quota int, least Retention) int {
	if quota == 0 {
		return 0
	}
	return max(quota, s.Retention(least).MaxVersions+1)
}

// by is the retention as a tag says, or the refusal of a tag of ours whose value says
// nothing.
func (r Retention) by(t Tag) (Retention, error) {
	switch t.Key {
	case MaxVersionsTag:
		n, err := strconv.Atoi(t.Value)
		if err != nil || n < 0 || n > mostVersions {
			return r, Errorf(InvalidParameter, "The value of tag %s must be a number of versions from 0 to %d.", t.Key, mostVersions)
		}
		r.MaxVersions = n
	case MinAgeTag:
		age, err := ParseDuration(t.Value)
		if err != nil || age < 0 || age > longestAge {
			return r, Errorf(InvalidParameter, "The value of tag %s must be a duration such as 7d, 36h or 90m, from 0s to %.0fh.", t.Key, longestAge.Hours())
		}
		r.MinAge = age
	}
	return r, nil
}

// keepsAs says whether two secrets have the same retention of their own.
func (s Secret) keepsAs(t Secret) bool {
	none := Retention{-1, -1} // which no tag says
	return s.Retention(none) == t.Retention(none)
}

// Overfull says whether the secret has more versions without a label than it keeps.
func (s Secret) Overfull(least Retention) bool {
	return s.unlabelled() > s.Retention(least).MaxVersions
}

// unlabelled is how many versions have no label. The AWSPENDING of a rotation
// that has no value yet counts as if it had one, so there may be one more.
func (s Secret) unlabelled() int { return s.Versions - len(s.Stages.Versions()) }

// Prunable decides which versions go now, of the oldest ones given in the order
// of their age. Those with a label stay, and so do the newest without one. When
// the next may go comes back too, if one of those given is too young; excess says
// that there are too many even without all that were given.
func (s Secret) Prunable(oldest []Version, least Retention, now time.Time) (remove []Version, next time.Time, excess bool) {
	keep := s.Retention(least)
	tooMany := s.unlabelled() - keep.MaxVersions
	for _, v := range oldest {
		switch {
		case len(remove) >= tooMany:
			return remove, time.Time{}, false
		case len(s.Stages.Of(v.ID)) > 0:
		case v.Created.Add(keep.MinAge).After(now):
			return remove, v.Created.Add(keep.MinAge), false
		default:
			remove = append(remove, v)
		}
	}
	return remove, time.Time{}, len(remove) < tooMany
}
