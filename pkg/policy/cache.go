package policy

import (
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
// when the policy is not remembered, and must give that very text. One that cannot
// be read is [Unreadable].
//
// What Parse would refuse for a Sid, a condition key or a variable is taken here: it was
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
	p, err := parseStored(t)
	if err != nil {
		p = Unreadable
	}
	c.policies.Add(hash, p)
	return p, nil
}

// Unreadable stands for a stored policy that cannot be read: nobody knows whom it
// denies, so it denies everybody everything.
var Unreadable = &Policy{rules: []rule{{
	name:       "resource policy, which cannot be read",
	effect:     Deny,
	principals: principals{any: []who{{kind: everyone}}},
	actions:    compileActions(Patterns{Any: []string{"*"}}),
	resources:  compileActions(Patterns{Any: []string{"*"}}),
}}}
