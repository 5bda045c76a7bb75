package secret

import (
	"slices"
	"strings"
	"time"
)

// MaxTags is how many tags a secret may have (Secrets Manager quotas).
const MaxTags = 50

// ErrManyTags is the refusal of more tags, or keys of tags, than a secret may have.
var ErrManyTags = Errorf(InvalidParameter, "A secret can have no more than %d tags.", MaxTags)

// Tag returns s with these tags; one whose key it has already gets the new
// value. It refuses two of one key, keys that AWS keeps for itself, and more
// tags than there may be. The codes of these refusals are not recorded.
func (s Secret) Tag(tags []Tag, now time.Time) (Secret, error) {
	if len(tags) == 0 {
		return s, nil
	}
	if len(tags) > MaxTags { // before they are compared
		return s, ErrManyTags
	}
	next := slices.Clone(s.Tags)
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case seen[t.Key]:
			return s, Errorf(InvalidParameter, "Tag keys must be unique: %s is given more than once.", t.Key)
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return s, Errorf(InvalidParameter, "Tag keys that begin with aws: are reserved for AWS.")
		}
		if _, err := (Retention{}).by(t); err != nil {
			return s, err
		}
		seen[t.Key] = true
		if i := slices.IndexFunc(next, func(u Tag) bool { return u.Key == t.Key }); i >= 0 {
			next[i] = t
		} else {
			next = append(next, t)
		}
	}
	if len(next) > MaxTags {
		return s, ErrManyTags
	}
	s = s.changed(now)
	s.Tags = next
	return s, nil
}

// TagResource decides on more tags.
func (s Secret) TagResource(tags []Tag, now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	next, err := s.Tag(tags, now)
	if err != nil {
		return Change{}, err
	}
	if len(tags) == 0 {
		return unchanged(s), nil
	}
	return next.retagged(s), nil
}

// UntagResource decides on fewer tags. Keys that are on no tag are no error.
func (s Secret) UntagResource(keys []string, now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	left := slices.DeleteFunc(slices.Clone(s.Tags), func(t Tag) bool { return slices.Contains(keys, t.Key) })
	if len(left) == len(s.Tags) {
		return unchanged(s), nil
	}
	next := s.changed(now)
	next.Tags = left
	return next.retagged(s), nil
}

// retagged is the change of tags from before. Where they say anew which versions to
// keep, a removal under way must not go by the old ones.
func (s Secret) retagged(before Secret) Change {
	if s.keepsAs(before) {
		return Change{Secret: s}
	}
	s.Moves++
	return Change{Secret: s, Pruning: Anew}
}
