package kms

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/uuid"
)

// A blob is a CiphertextBlob, and is stored with what it protects:
//
//	 0  format, 1
//	 1  key id, 16 bytes of its UUID
//	17  number of the backing key, 4 bytes big-endian, from 0
//	21  nonce, 12 bytes
//	33  AES-256-GCM of the plaintext, with its tag of 16 bytes
//
// The associated data is the first 21 bytes, then the encryption context: its
// pairs sorted by key, with each key and each value after its length in 4
// bytes. No two contexts give the same bytes: {a: bc} never opens as {ab: c}.
const (
	blobFormat   = 1
	headerSize   = 1 + 16 + 4
	blobOverhead = headerSize + 12 + 16
	backingSize  = 32
	maxContext   = 8192 // bytes of an encryption context, as with AWS
)

func (r *ring) arnPrefix() string { return "arn:aws:kms:" + r.Region + ":" + r.Account + ":" }

func (r *ring) arn(k *key) string { return r.arnPrefix() + "key/" + k.ID.String() }

// find returns the key that a KeyId means: the id or ARN of a key, or the name
// or ARN of an alias. The key is part of r.
func (r *ring) find(keyID string) (*key, error) {
	name, isARN := strings.CutPrefix(keyID, r.arnPrefix())
	if strings.HasPrefix(name, "alias/") {
		if i := r.alias(name); i >= 0 {
			return r.key(r.Aliases[i].Key), nil
		}
		return nil, &types.NotFoundException{Message: text("Alias %s%s is not found.", r.arnPrefix(), name)}
	}
	id, isKey := strings.CutPrefix(name, "key/")
	// The UUID library accepts braces and URNs, too; a KeyId is the plain form.
	u, err := uuid.Parse(id)
	if isARN != isKey || err != nil || u.String() != id {
		return nil, &types.NotFoundException{Message: text("Invalid keyId %s", keyID)}
	}
	if k := r.key(u); k != nil {
		return k, nil
	}
	return nil, &types.NotFoundException{Message: text("Key '%skey/%s' does not exist", r.arnPrefix(), id)}
}

// usable is find for a key that is to seal or open something.
func (r *ring) usable(keyID string) (*key, error) {
	k, err := r.find(keyID)
	if err == nil && k.Disabled {
		return nil, r.disabled(k)
	}
	return k, err
}

func (r *ring) disabled(k *key) error {
	return &types.DisabledException{Message: text("%s is disabled.", r.arn(k))}
}

// key returns the key with that id, or nil.
func (r *ring) key(id uuid.UUID) *key {
	if i := slices.IndexFunc(r.Keys, func(k key) bool { return k.ID == id }); i >= 0 {
		return &r.Keys[i]
	}
	return nil
}

// alias returns the index of the alias with that name, or -1.
func (r *ring) alias(name string) int {
	return slices.IndexFunc(r.Aliases, func(a alias) bool { return a.Name == name })
}

// seal seals under the key that keyID means, and returns the key's ARN.
func (r *ring) seal(keyID string, plaintext []byte, context map[string]string) (blob []byte, arn string, err error) {
	if err := checkContext(context); err != nil {
		return nil, "", err
	}
	k, err := r.usable(keyID)
	if err != nil {
		return nil, "", err
	}
	blob, err = k.seal(plaintext, context)
	return blob, r.arn(k), err
}

// open opens a blob, and returns the ARN of its key. A keyID that is not nil
// must mean that key.
func (r *ring) open(keyID *string, blob []byte, context map[string]string) (plaintext []byte, arn string, err error) {
	if err := checkContext(context); err != nil {
		return nil, "", err
	}
	var asked *key
	if keyID != nil {
		if asked, err = r.usable(*keyID); err != nil {
			return nil, "", err
		}
	}
	k, backing, err := r.sealedUnder(blob)
	if err != nil {
		return nil, "", err
	}
	if asked != nil && asked != k {
		return nil, "", &types.IncorrectKeyException{Message: text("The key ID in the request does not identify a CMK that can perform this operation.")}
	}
	if k.Disabled {
		return nil, "", r.disabled(k)
	}
	plaintext, err = open(backing, blob, context)
	return plaintext, r.arn(k), err
}

// sealedUnder returns the key and the backing key that a blob names.
func (r *ring) sealedUnder(blob []byte) (*key, material, error) {
	if len(blob) < blobOverhead || blob[0] != blobFormat {
		return nil, nil, &types.InvalidCiphertextException{Message: text("This is not a ciphertext of this KMS.")}
	}
	k := r.key(uuid.UUID(blob[1:17]))
	number := binary.BigEndian.Uint32(blob[17:headerSize])
	if k == nil || uint64(number) >= uint64(len(k.Backing)) {
		return nil, nil, &types.InvalidCiphertextException{Message: text("The ciphertext refers to a key that this KMS does not have.")}
	}
	return k, k.Backing[number], nil
}

// seal makes a blob. Random nonces are safe for 2^32 blobs of one backing key.
func (k *key) seal(plaintext []byte, context map[string]string) ([]byte, error) {
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

func open(backing material, blob []byte, context map[string]string) ([]byte, error) {
	aead, err := newAEAD(backing)
	if err != nil {
		return nil, err
	}
	header, sealed := blob[:headerSize], blob[headerSize:]
	plaintext, err := aead.Open(nil, nil, sealed, associated(header, context))
	if err != nil {
		return nil, &types.InvalidCiphertextException{Message: text("The ciphertext or the encryption context is not the one that was sealed.")}
	}
	return plaintext, nil
}

func newAEAD(backing material) (cipher.AEAD, error) {
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
			b = binary.BigEndian.AppendUint32(b, uint32(len(s))) //nolint:gosec // at most maxContext
			b = append(b, s...)
		}
	}
	return b
}

// checkContext refuses what AWS's KMS would not bind a blob to. On the wire
// invalid UTF-8 is replaced, which would make two contexts one.
func checkContext(context map[string]string) error {
	size := 0
	for name, value := range context {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return invalid("The encryption context is not UTF-8.")
		}
		size += len(name) + len(value)
	}
	if size > maxContext {
		return invalid("The encryption context is larger than %d bytes.", maxContext)
	}
	return nil
}
