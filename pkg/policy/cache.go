package policy

import (
	"math"
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A Cache keeps the resource policies used last, parsed, in a bounded number of bytes. It
// is safe for concurrent use.
type Cache struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[cacheKey, *Policy]
	bytes int
	most  int
}

// A cacheKey is a text, by its SHA-256, and the action of which its statements are kept;
// empty for all of them.
type cacheKey struct{ hash, action string }

// NewCache makes a Cache of about that many bytes. A policy takes about six times its
// text, which is at most 20,480 characters, and seventy times one that is written to be
// large.
func NewCache(bytes int) *Cache {
	c := &Cache{most: bytes}
	c.lru, _ = simplelru.NewLRU(math.MaxInt, func(_ cacheKey, p *Policy) { c.bytes -= p.size() }) // it fails only for sizes below 1
	return c
}

// Policy is the policy whose text has this SHA-256, or [Unreadable] if it cannot be
// parsed. text, which must return that text, is called if it is not cached.
//
// Unlike Parse, it accepts unsupported Sids, condition keys and variables: the policy
// may have been stored before these were checked. Statements with such a key or
// variable never allow, and deny if they are a Deny and all else matches.
func (c *Cache) Policy(hash string, text func() (string, error)) (*Policy, error) {
	return c.policy(cacheKey{hash: hash}, text)
}

// About is like Policy, with the statements that are about an action, such as
// secretsmanager:DescribeSecret. It decides that action alike, is never to be asked of
// another one, and is small for most policies: of many secrets all can be kept.
func (c *Cache) About(action, hash string, text func() (string, error)) (*Policy, error) {
	return c.policy(cacheKey{hash, strings.ToLower(action)}, text)
}

// Has says whether About would not call text.
func (c *Cache) Has(action, hash string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Contains(cacheKey{hash, strings.ToLower(action)}) || c.lru.Contains(cacheKey{hash: hash})
}

func (c *Cache) policy(k cacheKey, text func() (string, error)) (*Policy, error) {
	if p, ok := c.get(k); ok {
		return p, nil
	}
	p, ok := c.get(cacheKey{hash: k.hash})
	if !ok {
		t, err := text()
		if err != nil {
			return nil, err
		}
		if p, err = parse(t, parser{stored: true, sid: looseSid}); err != nil {
			p = Unreadable
		}
	}
	if k.action != "" && p != Unreadable {
		p = p.about(k.action)
	}
	c.add(k, p)
	return p, nil
}

func (c *Cache) get(k cacheKey) (*Policy, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(k)
}

// add keeps a policy, unless it alone is too large.
func (c *Cache) add(k cacheKey, p *Policy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(k) // another call was first
	c.lru.Add(k, p)
	for c.bytes += p.size(); c.bytes > c.most; {
		c.lru.RemoveOldest()
	}
}

// about is p without the statements that are not about an action in lower case.
func (p *Policy) about(action string) *Policy {
	some := &Policy{}
	for _, s := range p.statements {
		if s.actions.match(action, nil) != no { // actions have no variables
			some.statements = append(some.statements, s)
		}
	}
	return some
}

// size is about how many bytes a policy takes, with its place in a Cache.
func (p *Policy) size() int {
	const place, perStatement, perPrincipal, perCondition = 400, 400, 120, 200
	size := place + perStatement*cap(p.statements)
	for i := range p.statements {
		s := &p.statements[i]
		size += sizeOf(s.actions.texts) + sizeOf(s.resources.texts) + perPrincipal*len(s.principals.any)
		for j := range s.conditions {
			size += perCondition + sizeOf(s.conditions[j].values)
		}
	}
	return size
}

// sizeOf is about how many bytes patterns take: what they were written as, and an element
// for each wildcard and for the text around it.
func sizeOf(patterns []string) (size int) {
	const perPattern, perElement = 64, 48
	for _, text := range patterns {
		special := strings.Count(text, "*") + strings.Count(text, "?") + strings.Count(text, "$")
		size += perPattern + 2*len(text) + perElement*(1+2*special)
	}
	return size
}
