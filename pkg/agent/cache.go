package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"
)

// A query asks for a value as GetSecretValue does. What is empty is not asked for.
type query struct{ SecretID, VersionID, VersionStage string }

// An answer is GetSecretValue's, and which version it was: text that is zeroed when it
// is no longer used.
type answer struct {
	text      []byte
	versionID string
}

// A fetcher asks the service.
type fetcher interface {
	// fetch gets a value. Its error is for the client.
	fetch(context.Context, query) (answer, error)
	// isCurrent says whether a query would still be answered with this version.
	isCurrent(ctx context.Context, q query, versionID string) (bool, error)
}

// A transient error may be gone when the call is made again: the service cannot be
// reached, is too busy, or is broken.
type transient struct{ error }

func (t transient) Unwrap() error { return t.error }

// A cache keeps answers for a time. When one has ended and the service cannot be asked,
// it is given all the same, as AWS's agent does.
//
// Nothing in it is given out: what get returns is a copy for the caller to zero.
type cache struct {
	from       fetcher
	ttl        time.Duration // 0 keeps nothing
	revalidate bool          // has each answer looked at before it is given again
	timeout    time.Duration // of a fetch, with its retries
	log        *slog.Logger

	flights singleflight.Group
	mu      sync.Mutex
	entries *simplelru.LRU[query, *entry]
	size    int // of all texts, in bytes
}

// maxCached is how many bytes of answers are kept, whatever their number: 32 MiB.
const maxCached = 32 << 20

type entry struct {
	answer
	asked time.Time // when its fetch began
	ends  time.Time
}

func newCache(from fetcher, o GetterOptions) *cache {
	c := &cache{from: from, ttl: o.TTL, revalidate: o.Revalidate, timeout: o.Timeout, log: o.Log}
	entries, err := simplelru.NewLRU(o.CacheSize, func(_ query, e *entry) { c.drop(e) })
	if err != nil { // of a size below one
		panic(err)
	}
	c.entries = entries
	return c
}

// drop zeroes an entry that leaves.
func (c *cache) drop(e *entry) {
	c.size -= len(e.text)
	clear(e.text)
}

// get answers from the cache or, if there is nothing there or fresh is asked for, from
// the service. Several that miss the same at once are one call.
func (c *cache) get(ctx context.Context, q query, fresh bool) ([]byte, error) {
	if fresh {
		f := c.fetch(ctx, q)
		return f.text, f.err
	}
	began := time.Now()
	if text, versionID, ok := c.look(q, time.Now()); ok {
		if c.isStillCurrent(ctx, q, versionID) {
			return text, nil
		}
		clear(text)
	}
	flight := c.flights.DoChan(q.SecretID+"\x00"+q.VersionID+"\x00"+q.VersionStage, func() (any, error) {
		return c.fetch(context.WithoutCancel(ctx), q), nil // others wait when the first has gone
	})
	select {
	case result := <-flight:
		f := result.Val.(fetched)
		if c.revalidate && f.asked.Before(began) { // perhaps it was current then, and is no more
			f = c.fetch(ctx, q)
		} else if result.Shared {
			f.text = bytes.Clone(f.text)
		}
		return c.outcome(q, f)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fetched is how a call ended. Its text is that of who asked, or of nobody if several did.
type fetched struct {
	answer
	asked time.Time
	err   error
}

// fetch asks the service and keeps a copy of its answer.
func (c *cache) fetch(ctx context.Context, q query) fetched {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	asked := time.Now()
	a, err := c.from.fetch(ctx, q)
	if err == nil {
		c.keep(q, &entry{answer: answer{bytes.Clone(a.text), a.versionID}, asked: asked, ends: asked.Add(c.ttl)})
	} else if _, ok := errors.AsType[transient](err); !ok {
		c.remove(q, asked) // denied, or gone
	}
	return fetched{a, asked, err}
}

// outcome is what a client gets of a call: an answer that has ended, if there is one and
// the service could not be asked.
func (c *cache) outcome(q query, f fetched) ([]byte, error) {
	if _, ok := errors.AsType[transient](f.err); ok {
		if text, _, ok := c.look(q, time.Time{}); ok {
			c.log.Warn("Strongroom cannot be asked: an answer that has ended is given again", slog.String("error", cause(f.err)))
			return text, nil
		}
	}
	return f.text, f.err
}

// isStillCurrent asks, where that is wished. A version that was asked for by its ID
// never changes. If the service cannot be asked, the answer counts for as long as it
// would have without.
func (c *cache) isStillCurrent(ctx context.Context, q query, versionID string) bool {
	if !c.revalidate || q.VersionID != "" {
		return true
	}
	current, err := c.from.isCurrent(ctx, q, versionID)
	if _, ok := errors.AsType[transient](err); ok {
		return true
	}
	return err == nil && current
}

// look returns a copy of what has not ended at a time.
func (c *cache) look(q query, at time.Time) (text []byte, versionID string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries.Get(q)
	if !ok || !at.Before(e.ends) {
		return nil, "", false
	}
	return bytes.Clone(e.text), e.versionID, true
}

// keep keeps an entry, unless one is there that was asked for later.
func (c *cache) keep(q query, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, ok := c.entries.Peek(q)
	if c.ttl <= 0 || ok && old.asked.After(e.asked) {
		clear(e.text)
		return
	}
	if ok {
		c.drop(old)
	}
	c.size += len(e.text)
	c.entries.Add(q, e)
	for c.size > maxCached {
		c.entries.RemoveOldest()
	}
}

// remove removes an entry that was asked for before.
func (c *cache) remove(q query, before time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries.Peek(q); ok && e.asked.Before(before) {
		c.entries.Remove(q)
	}
}

// close zeroes everything.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Purge()
}
