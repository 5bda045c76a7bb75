package local

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A blob, as Encrypt and GenerateDataKey give it out and as it is stored:
//
//	 0  format, 1
//	 1  key id, 16 bytes of its UUID
//	17  number of the backing key, 4 bytes big-endian, from 0
//	21  nonce, 12 bytes
//	33  AES-256-GCM of the plaintext, with its tag of 16 bytes
//
// The associated data is the first 21 bytes and then the encryption context:
// its pairs sorted by key, each key and each value preceded by its length in 4
// bytes. No two contexts give the same bytes, so {a: bc} never opens as {ab: c}.
const (
	blobFormat   = 1
	headerSize   = 1 + 16 + 4
	blobOverhead = headerSize + 12 + 16
	backingSize  = 32
)

// key is a KMS key. What seals are its backing keys: new blobs are sealed
// under the last one, old blobs say which one they need.
type key struct {
	ID          uuid.UUID
	Description string
	Created     time.Time
	Disabled    bool
	Backing     [][]byte
}

func (k key) arn() string { return keyARN + k.ID.String() }

type alias struct {
	Name    string // with its "alias/"
	Key     uuid.UUID
	Created time.Time
}

func (a alias) arn() string { return arnPrefix + a.Name }

const (
	arnPrefix = "arn:aws:kms:" + Region + ":" + Account + ":"
	keyARN    = arnPrefix + "key/"
)

// keys are all keys and aliases at one moment. Values are never changed: a
// change makes a copy, so whoever holds one needs no lock.
type keys struct {
	byID    map[uuid.UUID]key
	aliases map[string]alias
}

func (ks keys) withKey(k key) keys {
	ks.byID = maps.Clone(ks.byID)
	if ks.byID == nil {
		ks.byID = map[uuid.UUID]key{}
	}
	ks.byID[k.ID] = k
	return ks
}

func (ks keys) withAlias(a alias) keys {
	ks.aliases = maps.Clone(ks.aliases)
	if ks.aliases == nil {
		ks.aliases = map[string]alias{}
	}
	ks.aliases[a.Name] = a
	return ks
}

// find is the key that a KeyId means: the id or ARN of a key, or the name or
// ARN of an alias.
func (ks keys) find(keyID string) (key, error) {
	name, isARN := strings.CutPrefix(keyID, arnPrefix)
	if strings.HasPrefix(name, "alias/") {
		if a, ok := ks.aliases[name]; ok {
			return ks.byID[a.Key], nil
		}
		return key{}, refuse("NotFoundException", "Alias %s%s is not found.", arnPrefix, name)
	}
	id := name
	if isARN {
		var isKey bool
		if id, isKey = strings.CutPrefix(name, "key/"); !isKey {
			return key{}, refuse("NotFoundException", "Invalid keyId %s", keyID)
		}
	}
	// The UUID library takes braces and URNs, too; a KeyId is the plain form.
	u, err := uuid.Parse(id)
	if err != nil || u.String() != id {
		return key{}, refuse("NotFoundException", "Invalid keyId %s", keyID)
	}
	k, ok := ks.byID[u]
	if !ok {
		return key{}, refuse("NotFoundException", "Key '%s%s' does not exist", keyARN, id)
	}
	return k, nil
}

// usable is find for a key that is to seal or open something.
func (ks keys) usable(keyID string) (key, error) {
	k, err := ks.find(keyID)
	if err == nil && k.Disabled {
		err = disabled(k)
	}
	return k, err
}

func disabled(k key) error { return refuse("DisabledException", "%s is disabled.", k.arn()) }

// seal makes a blob. Random nonces are safe for 2^32 blobs of one backing key.
func (k key) seal(plaintext []byte, context map[string]string) ([]byte, error) {
	number := len(k.Backing) - 1
	aead, err := newAEAD(k.Backing[number])
	if err != nil {
		return nil, err
	}
	header := make([]byte, 0, blobOverhead+len(plaintext))
	header = append(header, blobFormat)
	header = append(header, k.ID[:]...)
	header = binary.BigEndian.AppendUint32(header, uint32(number)) //nolint:gosec // a count of rotations
	return aead.Seal(header, nil, plaintext, associated(header, context)), nil
}

// open finds the key of a blob and opens it. The key is given back with the
// error, too, once the blob has named one that exists.
func (ks keys) open(blob []byte, context map[string]string) (key, []byte, error) {
	if len(blob) < blobOverhead || blob[0] != blobFormat {
		return key{}, nil, refuse("InvalidCiphertextException", "This is not a ciphertext of this KMS.")
	}
	header, sealed := blob[:headerSize], blob[headerSize:]
	k, ok := ks.byID[uuid.UUID(header[1:17])]
	number := binary.BigEndian.Uint32(header[17:])
	if !ok || uint64(number) >= uint64(len(k.Backing)) {
		return key{}, nil, refuse("InvalidCiphertextException", "The ciphertext refers to a key that this KMS does not have.")
	}
	if k.Disabled {
		return k, nil, disabled(k)
	}
	aead, err := newAEAD(k.Backing[number])
	if err != nil {
		return k, nil, err
	}
	plaintext, err := aead.Open(nil, nil, sealed, associated(header, context))
	if err != nil {
		return k, nil, refuse("InvalidCiphertextException", "The ciphertext or the encryption context is not the one that was sealed.")
	}
	return k, plaintext, nil
}

func newAEAD(backing []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(backing)
	if err != nil {
		return nil, errors.New("a backing key has a wrong size")
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func associated(header []byte, context map[string]string) []byte {
	b := slices.Clone(header)
	for _, name := range slices.Sorted(maps.Keys(context)) {
		for _, s := range [2]string{name, context[name]} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(s))) //nolint:gosec // bounded by the body of a request
			b = append(b, s...)
		}
	}
	return b
}

func newKey(description string, now time.Time) key {
	return key{ID: uuid.New(), Description: description, Created: now.UTC().Truncate(time.Millisecond), Backing: [][]byte{randomBytes(backingSize)}}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand never returns an error
	return b
}

// keyring holds the keys of this process, and keeps them on disk.
type keyring struct {
	save func(keys) error // returns when the keys are durable

	mu      sync.RWMutex
	current keys
}

// openKeyring opens the keys of a data folder, or makes an empty keyring in
// memory if there is no folder.
func openKeyring(data string) (*keyring, error) {
	if data == "" {
		return &keyring{save: func(keys) error { return nil }}, nil
	}
	ks, err := loadKeys(data)
	if err != nil {
		return nil, err
	}
	return &keyring{current: ks, save: func(ks keys) error { return saveKeys(data, ks) }}, nil
}

func (r *keyring) keys() keys {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.current
}

// update changes the keys. What it returns is on disk: nobody uses a key
// before that, so nothing is ever sealed under a key that a crash loses.
func (r *keyring) update(change func(keys) (keys, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := change(r.current)
	if err != nil {
		return err
	}
	if err := r.save(next); err != nil {
		return fmt.Errorf("keep the keys: %w", err)
	}
	r.current = next
	return nil
}

// defaultKey is the ARN of the default key, which is made if there is no key at all.
func (r *keyring) defaultKey(now time.Time) (string, error) {
	if len(r.keys().byID) == 0 {
		err := r.update(func(ks keys) (keys, error) {
			k := newKey("Strongroom's default key", now)
			return ks.withKey(k).withAlias(alias{Name: DefaultAlias, Key: k.ID, Created: k.Created}), nil
		})
		if err != nil {
			return "", err
		}
	}
	k, err := r.keys().find(DefaultAlias)
	if err != nil {
		return "", fmt.Errorf("the default key: %w", err)
	}
	return k.arn(), nil
}
