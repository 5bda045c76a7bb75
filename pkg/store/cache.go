package store

import (
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/strongroom/strongroom/pkg/secret"
)

// cacheBytes is how much memory the remembered versions of a process may take. A
// version has up to 65,536 bytes of value and about half a kilobyte beside it.
const cacheBytes = 16 << 20

// A cache remembers the sealed versions used last, up to a number of bytes.
type cache struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[string, secret.Version]
	bytes int
	most  int
}

func newCache(most int) *cache {
	c := &cache{most: most}
	forget := func(name string, v secret.Version) { c.bytes -= cost(name, v) }
	c.lru, _ = simplelru.NewLRU(math.MaxInt, forget) // fails only for sizes below 1
	return c
}

// cost is about what it takes to remember a version.
func cost(name string, v secret.Version) int {
	return 512 + len(name) + len(v.ID) + len(v.Sealed.KeyARN) + len(v.Sealed.DataKey) + len(v.Sealed.Data)
}

func (c *cache) get(name string) (secret.Version, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(name)
}

func (c *cache) add(name string, v secret.Version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(name)
	c.lru.Add(name, v)
	for c.bytes += cost(name, v); c.bytes > c.most; {
		c.lru.RemoveOldest()
	}
}
