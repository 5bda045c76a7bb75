package secret

import "time"

// An Update is what UpdateSecret may change of a secret besides its value; nil
// leaves it as it is.
type Update struct {
	Description, Type, KMSKey *string
}

// Update decides on what describes a secret and, when there is a version, on a
// new current version.
func (s Secret) Update(u Update, version string, now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	if u == (Update{}) && version == "" {
		return unchanged(s), nil
	}
	s = s.changed(now)
	set(&s.Description, u.Description)
	set(&s.Type, u.Type)
	set(&s.KMSKey, u.KMSKey)
	if version == "" {
		return Change{Secret: s}, nil
	}
	return s.Put(version, nil, now)
}

func set(field, to *string) {
	if to != nil {
		*field = *to
	}
}
