package dynamo

import (
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"
)

// A kv is an ordered map from keys to values: in memory, or in a file.
type kv interface {
	// view calls do with one state of the map, which no update changes.
	view(do func(reader) error) error
	// update calls decide with the latest state and makes the writes it returns
	// durable, all or none, before it returns. Updates are decided one after the
	// other; several may share one commit. decide must not keep the reader.
	update(decide func(reader) ([]write, error)) error
	close() error
}

// A reader is one state of the map. Its slices are valid until view or update
// returns, and must not be changed.
type reader interface {
	get(key []byte) []byte
	// walk visits the entries from a key on, itself included, until do says false.
	walk(from []byte, backwards bool, do func(key, value []byte) bool)
	// keys visits the keys alone, forwards. Damage to a value does not stop it.
	keys(from []byte, do func(key []byte) bool)
}

// A write sets a key, or removes it when the value is nil.
type write struct{ key, value []byte }

// A memory is a kv that keeps nothing when the process ends. Each update makes a
// new tree, which shares the unchanged nodes with the one before.
type memory struct {
	mu     sync.Mutex // held by the one update
	latest atomic.Pointer[tree]
}

type entry struct {
	key   string
	value []byte
}

type tree struct{ *btree.BTreeG[entry] }

func newMemory() *memory {
	m := &memory{}
	m.latest.Store(&tree{btree.NewBTreeGOptions(func(a, b entry) bool { return a.key < b.key }, btree.Options{NoLocks: true})})
	return m
}

func (m *memory) view(do func(reader) error) error { return do(m.latest.Load()) }

func (m *memory) update(decide func(reader) ([]write, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.latest.Load()
	writes, err := decide(now)
	if err != nil || len(writes) == 0 {
		return err
	}
	next := now.Copy()
	for _, w := range writes {
		if w.value == nil {
			next.Delete(entry{key: string(w.key)})
		} else {
			next.Set(entry{string(w.key), w.value})
		}
	}
	m.latest.Store(&tree{next})
	return nil
}

func (m *memory) close() error { return nil }

func (t *tree) get(key []byte) []byte {
	e, _ := t.Get(entry{key: string(key)})
	return e.value
}

func (t *tree) keys(from []byte, do func(key []byte) bool) {
	t.walk(from, false, func(k, _ []byte) bool { return do(k) })
}

func (t *tree) walk(from []byte, backwards bool, do func(key, value []byte) bool) {
	visit := func(e entry) bool { return do([]byte(e.key), e.value) }
	if backwards {
		t.Descend(entry{key: string(from)}, visit)
	} else {
		t.Ascend(entry{key: string(from)}, visit)
	}
}
