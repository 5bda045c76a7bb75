package store

import (
	"fmt"
	"testing"

	"github.com/strongroom/strongroom/pkg/secret"
)

func TestCacheIsBoundedByBytes(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	c := newCache(most)
	large := secret.Sealed{Data: make([]byte, 65_536)}
	for i := range 100 {
		name := fmt.Sprint(i)
		c.add(name, secret.Version{ID: name, Sealed: large})
		c.add(name, secret.Version{ID: name, Sealed: large}) // again: it counts once
	}
	if n := c.lru.Len(); n < 10 || n > 16 {
		t.Errorf("%d versions of 64 KiB are remembered in 1 MiB, want 15", n)
	}
	if _, ok := c.get("99"); !ok {
		t.Error("the last one is not remembered")
	}
	if _, ok := c.get("0"); ok {
		t.Error("the first one is still remembered")
	}
	for i := range 10_000 {
		c.add(fmt.Sprint("small", i), secret.Version{})
	}
	if n := c.lru.Len(); n < 1_000 || c.bytes > most {
		t.Errorf("%d small versions are remembered in %d bytes, want as many as fit in %d", n, c.bytes, most)
	}
	for c.lru.Len() > 0 {
		c.lru.RemoveOldest()
	}
	if c.bytes != 0 {
		t.Errorf("an empty cache has %d bytes", c.bytes)
	}
}
