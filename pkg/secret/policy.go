package secret

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// PutPolicy decides on the resource policy, whose text was found good.
func (s Secret) PutPolicy(text string, now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	sum := sha256.Sum256([]byte(text))
	s = s.changed(now)
	s.PolicyHash = hex.EncodeToString(sum[:])
	return Change{Secret: s, Policy: text}, nil
}

// DeletePolicy takes the resource policy away. That there is none is no error.
func (s Secret) DeletePolicy(now time.Time) (Change, error) {
	if err := s.Active(); err != nil {
		return Change{}, err
	}
	if s.PolicyHash == "" {
		return unchanged(s), nil
	}
	s = s.changed(now)
	s.PolicyHash = ""
	return Change{Secret: s}, nil
}
