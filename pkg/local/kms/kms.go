// Package kms is the local AWS KMS: symmetric keys in this process and the
// calls that Strongroom makes with them.
//
// The methods of [Keys] have the signatures, errors and messages of the AWS
// SDK's client. There are data keys, decryption, re-encryption, rotation on
// demand, aliases, and keys that can be disabled. There are no grants, key
// policies, tags, deletion, asymmetric keys or imported key material. A member
// of an input that is not supported here is refused, never ignored. The
// SDK's per-call options concern its HTTP client and have no effect.
//
// Invariants: a key is on disk, synced, before anything is sealed under it.
// Keys and their old backing keys are never removed. A key file that is missing
// beside data sealed under its keys is an error, never a reason for new keys.
//
// Nothing here locks the key file: one process at a time may have it open.
package kms

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// DefaultAlias names the key that [Keys.DefaultKey] creates.
const DefaultAlias = "alias/strongroom"

// Region and account where none are given, and of key files that name none.
const (
	DefaultRegion  = "us-east-1"
	DefaultAccount = "000000000000"
)

// Keys are the KMS keys of one region and account. Their methods may be called
// concurrently. Readers never wait for a writer.
type Keys struct {
	save func(*ring) error // returns when the keys are durable

	mu      sync.Mutex // held by writers
	current atomic.Pointer[ring]
}

// A ring is all keys and aliases at one moment, as the key file has them. It
// never changes once it is current: a writer changes a copy.
type ring struct {
	Region  string  `json:"region"`
	Account string  `json:"account"`
	Keys    []key   `json:"keys"`
	Aliases []alias `json:"aliases"`
}

// A key is a KMS key. New blobs are sealed under its last backing key; a blob
// names the one it needs.
type key struct {
	ID          uuid.UUID  `json:"id"`
	Description string     `json:"description"`
	Created     time.Time  `json:"created"`
	Disabled    bool       `json:"disabled"`
	Backing     []material `json:"backing"`
}

type alias struct {
	Name    string    `json:"name"` // with its "alias/"
	Key     uuid.UUID `json:"key"`
	Created time.Time `json:"created"`
}

// material is a backing key. It does not show itself when printed.
type material []byte

// Format prints no key material, whatever the verb.
func (material) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("(secret)")) }

// Format prints the region and the account and no keys, whatever the verb.
func (k *Keys) Format(f fmt.State, _ rune) {
	if k == nil {
		_, _ = f.Write([]byte("<nil>"))
		return
	}
	_, _ = fmt.Fprintf(f, "kms.Keys(%s %s)", k.Region(), k.Account())
}

// Memory returns an empty keyring that is never saved. An empty region or
// account means the default.
func Memory(region, account string) *Keys {
	return newKeys(newRing(region, account), func(*ring) error { return nil })
}

// Open returns the keys of a key file. Without a file the keyring is empty, and
// the first key creates the file.
func Open(o Options) (*Keys, error) {
	r, err := load(o)
	if err != nil {
		return nil, err
	}
	return newKeys(r, func(r *ring) error { return save(o.Path, r) }), nil
}

func newKeys(r *ring, save func(*ring) error) *Keys {
	k := &Keys{save: save}
	k.current.Store(r)
	return k
}

func newRing(region, account string) *ring {
	return &ring{Region: cmp.Or(region, DefaultRegion), Account: cmp.Or(account, DefaultAccount)}
}

// Region is the region in the keys' ARNs.
func (k *Keys) Region() string { return k.current.Load().Region }

// Account is the account in the keys' ARNs.
func (k *Keys) Account() string { return k.current.Load().Account }

// DefaultKey returns the ARN of the default key, and creates that key if there
// is no key at all.
func (k *Keys) DefaultKey(now time.Time) (string, error) {
	if len(k.current.Load().Keys) == 0 {
		if err := k.update(func(r *ring) error { r.addDefault(now); return nil }); err != nil {
			return "", err
		}
	}
	r := k.current.Load()
	found, err := r.find(DefaultAlias)
	if err != nil {
		return "", fmt.Errorf("the default key: %w", err)
	}
	return r.arn(found), nil
}

// addDefault makes sure that a ring with any key has the default key.
func (r *ring) addDefault(now time.Time) {
	if len(r.Keys) > 0 {
		return
	}
	created := newKey("Strongroom's default key", now)
	r.Keys = append(r.Keys, created)
	r.Aliases = append(r.Aliases, alias{DefaultAlias, created.ID, created.Created})
}

func newKey(description string, now time.Time) key {
	return key{ID: uuid.New(), Description: description, Created: stamp(now), Backing: []material{randomBytes(backingSize)}}
}

// stamp is a time as KMS keeps it.
func stamp(now time.Time) time.Time { return now.UTC().Truncate(time.Millisecond) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand never returns an error
	return b
}

// update changes the keys. Readers see the change only when it is durable, so
// nothing is ever sealed under a key that a crash loses.
func (k *Keys) update(change func(*ring) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := *k.current.Load()
	next.Keys, next.Aliases = slices.Clone(next.Keys), slices.Clone(next.Aliases)
	if err := change(&next); err != nil {
		return err
	}
	if err := k.save(&next); err != nil {
		return fmt.Errorf("save the keys: %w", err)
	}
	k.current.Store(&next)
	return nil
}
