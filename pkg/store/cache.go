package store

import (
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/strongroom/strongroom/pkg/secret"
)

// versionBytes and headBytes are how much memory the remembered versions and secrets of a
// process may take. A version has up to 65,536 bytes of value. A secret has a few hundred
// bytes, and one with the longest tags 80,000.
const (
	versionBytes = 16 << 20
	headBytes    = 8 << 20
)

// A cache remembers what was used last, up to a number of bytes. Those of tables beside
// each other share that number, and put their prefix before the names.
type cache[V any] struct {
	*remembered[V]
	prefix string
}

type remembered[V any] struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[string, V]
	cost  func(name string, v V) int // about what it takes to remember it
	bytes int
	most  int
}

func newCache[V any](most int, cost func(name string, v V) int) *cache[V] {
	c := &remembered[V]{cost: cost, most: most}
	forget := func(name string, v V) { c.bytes -= cost(name, v) }
	c.lru, _ = simplelru.NewLRU(math.MaxInt, forget) // fails only for sizes below 1
	return &cache[V]{remembered: c}
}

func (c *cache[V]) beside(table string) *cache[V] { return &cache[V]{c.remembered, table + "\x00"} }

func versionCost(name string, v secret.Version) int {
	return 512 + len(name) + len(v.ID) + len(v.Sealed.KeyARN) + len(v.Sealed.DataKey) + len(v.Sealed.Data)
}

// headCost has its rotation, whose settings are bounded, in what each secret costs.
func headCost(name string, s secret.Secret) int {
	cost := 2048 + 2*len(name) + len(s.ARN) + len(s.Description) + len(s.KMSKey)
	for label, version := range s.Stages {
		cost += 64 + len(label) + len(version)
	}
	for _, t := range s.Tags {
		cost += 32 + len(t.Key) + len(t.Value)
	}
	for _, r := range s.Replicas {
		cost += 64 + len(r.Region) + len(r.KMSKey)
	}
	return cost
}

func (c *cache[V]) get(name string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(c.prefix + name)
}

// peek is get by which nothing stays for longer.
func (c *cache[V]) peek(name string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Peek(c.prefix + name)
}

func (c *cache[V]) add(name string, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name = c.prefix + name
	c.lru.Remove(name)
	c.lru.Add(name, v)
	for c.bytes += c.cost(name, v); c.bytes > c.most; {
		c.lru.RemoveOldest()
	}
}

func (c *cache[V]) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(c.prefix + name)
}
