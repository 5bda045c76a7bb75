package policy

import (
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
)

// A Cache keeps the policies on secrets that were asked for last, compiled. It
// may be used by many at once.
type Cache struct{ policies *lru.Cache[string, *Policy] }

// NewCache makes a Cache for so many policies. One takes about six times its
// text, which is at most 20,480 characters, and seventy times one that is written
// to be large.
func NewCache(size int) *Cache {
	c, _ := lru.New[string, *Policy](max(size, 1)) // it fails only for sizes below 1
	return &Cache{c}
}

// Policy is the policy on a secret whose text has this SHA-256; text is asked for it
// when the policy is not remembered, and must give that very text.
//
// What Parse would refuse for a condition key or a variable is taken here: it was
// stored when these were not looked at. A statement with one denies if it is a
// Deny and all else fits, and allows nothing.
func (c *Cache) Policy(hash string, text func() (string, error)) (*Policy, error) {
	if p, ok := c.policies.Get(hash); ok {
		return p, nil
	}
	t, err := text()
	if err != nil {
		return nil, err
	}
	p, err := parse(t, true)
	if err != nil {
		return nil, fmt.Errorf("stored policy: %w", err)
	}
	c.policies.Add(hash, p)
	return p, nil
}
