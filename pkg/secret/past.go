package secret

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// A Past has the names of the last commits to a secret, as hashes of eight bytes. A
// call whose first try was committed and its answer lost is recognised by it when it
// comes again, also after up to fifteen changes by others: an SDK comes again within
// seconds.
type Past []byte

const (
	maxPast  = 16
	pastName = 8
)

func shortName(commit string) []byte {
	sum := sha256.Sum256([]byte(commit))
	return sum[:pastName]
}

// And returns p with one more commit, without the oldest if there are too many.
func (p Past) And(commit string) Past {
	first := max(0, len(p)-(maxPast-1)*pastName)
	return slices.Concat(p[first:], shortName(commit))
}

// Committed says whether a commit of that name is among the last ones to the secret.
func (s Secret) Committed(name string) bool {
	if name == "" {
		return false
	}
	wanted := shortName(name)
	for commit := range slices.Chunk(s.Past, pastName) {
		if bytes.Equal(commit, wanted) {
			return true
		}
	}
	return s.Commit == name // of a secret that was written before there was a past
}
