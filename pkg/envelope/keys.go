package envelope

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxKeys bounds how many data keys are in memory.
const maxKeys = 1024

// dataKeys remembers opened data keys for a bounded time, in a bounded number.
// A key is zeroed when its time is over or a newer one needs its room; what
// leaves this type is a copy. The zero value is ready for use.
type dataKeys struct {
	mu   sync.Mutex
	keys *simplelru.LRU[string, *dataKey]
}

type dataKey struct {
	plain  []byte
	until  time.Time
	expiry *time.Timer
}

func (k *dataKeys) get(name string) ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		return nil, false
	}
	key, ok := k.keys.Get(name)
	if !ok {
		return nil, false
	}
	// A process that was frozen, as Lambda does between two calls, may be here
	// before its timers are.
	if time.Now().After(key.until) {
		k.keys.Remove(name)
		return nil, false
	}
	return append([]byte(nil), key.plain...), true
}

func (k *dataKeys) put(name string, plain []byte, keep time.Duration) {
	if keep <= 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys, _ = simplelru.NewLRU(maxKeys, forget) // fails only for a size below 1
	}
	// Two readers may have asked KMS for the same key: the first one stays, so
	// that its time is not prolonged.
	if k.keys.Contains(name) {
		return
	}
	// By the wall clock: the monotonic one may stand still while the process is
	// frozen.
	until := time.Now().Add(keep).Round(0)
	key := &dataKey{plain: append([]byte(nil), plain...), until: until}
	key.expiry = time.AfterFunc(keep, func() { k.expire(name, key) })
	k.keys.Add(name, key)
}

func (k *dataKeys) expire(name string, key *dataKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now, ok := k.keys.Peek(name); ok && now == key {
		k.keys.Remove(name)
	}
}

// forget runs when a key leaves the memory, under its lock.
func forget(_ string, key *dataKey) {
	key.expiry.Stop()
	clear(key.plain)
}
