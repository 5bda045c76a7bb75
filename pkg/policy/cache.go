package policy

import (
	lru "github.com/hashicorp/golang-lru/v2"
)

// A Cache keeps the resource policies used last, parsed. It is safe for concurrent
// use.
type Cache struct{ policies *lru.Cache[string, *Policy] }

// NewCache makes a Cache for size policies. A policy takes about six times its
// text, which is at most 20,480 characters, and seventy times one that is written
// to be large.
func NewCache(size int) *Cache {
	c, _ := lru.New[string, *Policy](max(size, 1)) // it fails only for sizes below 1
	return &Cache{c}
}

// Policy is the policy whose text has this SHA-256, or [Unreadable] if it cannot be
// parsed. text, which must return that text, is called if it is not cached.
//
// Unlike Parse, it accepts unsupported Sids, condition keys and variables: the policy
// may have been stored before these were checked. Statements with such a key or
// variable never allow, and deny if they are a Deny and all else matches.
func (c *Cache) Policy(hash string, text func() (string, error)) (*Policy, error) {
	if p, ok := c.policies.Get(hash); ok {
		return p, nil
	}
	t, err := text()
	if err != nil {
		return nil, err
	}
	p, err := parse(t, parser{stored: true, sid: looseSid})
	if err != nil {
		p = Unreadable
	}
	c.policies.Add(hash, p)
	return p, nil
}
