// Package envelope seals values under KMS data keys.
//
// Every version has a data key of its own, which KMS makes and wraps under the
// secret's key, bound to the encryption context {SecretARN, SecretVersionId} as
// AWS does. The value is sealed under it with AES-256-GCM; the same context,
// length-prefixed so that no two contexts give the same bytes, is the
// associated data. A sealed value moved to another secret, another version or
// another kind does not open.
package envelope

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/strongroom/strongroom/pkg/secret"
)

// KMS is the part of the KMS client a Sealer needs. Calls may run concurrently.
type KMS interface {
	GenerateDataKey(context.Context, *kms.GenerateDataKeyInput, ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error)
	Decrypt(context.Context, *kms.DecryptInput, ...func(*kms.Options)) (*kms.DecryptOutput, error)
	ReEncrypt(context.Context, *kms.ReEncryptInput, ...func(*kms.Options)) (*kms.ReEncryptOutput, error)
}

// A Sealer seals and opens values. Its fields are set before its first use;
// its methods may be called concurrently.
type Sealer struct {
	KMS KMS
	// DefaultKey is the KMS key for secrets that name none.
	DefaultKey string
	// Keep is how long an opened data key may stay in memory; 0 for not at all.
	Keep time.Duration

	keys dataKeys
	of   *Sealer // whose data keys it uses, nil for its own
}

// A Place is where a sealed value belongs, and the only place it opens.
type Place struct{ ARN, VersionID string }

// format is the first byte of sealed data: AES-256-GCM with a random nonce in
// front of the ciphertext, and associated data as [Place.bind] writes it.
const format = 1

// Seal seals value for its place under a new data key, made with the KMS key of
// that name; an empty name means the default key.
func (s *Sealer) Seal(ctx context.Context, at Place, key string, value secret.Value) (secret.Sealed, error) {
	out, err := s.KMS.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
		KeyId:             aws.String(s.keyOrDefault(key)),
		KeySpec:           types.DataKeySpecAes256,
		EncryptionContext: at.context(),
	})
	if err != nil {
		return secret.Sealed{}, refusal(secret.EncryptionFailure, err)
	}
	defer clear(out.Plaintext)
	aead, err := newAEAD(out.Plaintext)
	if err != nil {
		return secret.Sealed{}, err
	}
	return secret.Sealed{
		Kind:       value.Kind(),
		KeyARN:     aws.ToString(out.KeyId),
		DefaultKey: key == "",
		DataKey:    out.CiphertextBlob,
		Data:       aead.Seal([]byte{format}, nil, value.Reveal(), at.bind(value.Kind())),
	}, nil
}

// Open opens what was sealed for that place. It fails for every other place and
// for data with a single bit changed.
func (s *Sealer) Open(ctx context.Context, at Place, sealed secret.Sealed) (secret.Value, error) {
	if len(sealed.Data) == 0 || sealed.Data[0] != format {
		return secret.Value{}, errors.New("sealed data has an unknown format")
	}
	key, err := s.dataKey(ctx, at, sealed)
	if err != nil {
		return secret.Value{}, err
	}
	defer clear(key)
	aead, err := newAEAD(key)
	if err != nil {
		return secret.Value{}, err
	}
	data, err := aead.Open(nil, nil, sealed.Data[1:], at.bind(sealed.Kind))
	if err != nil {
		return secret.Value{}, fmt.Errorf("open version %s of %s: %w", at.VersionID, at.ARN, err)
	}
	return secret.NewValue(sealed.Kind, data), nil
}

// Rewrap puts the data key under another KMS key; an empty name means the
// default key. The sealed data stays as it is, and the data key is never in
// plain here.
func (s *Sealer) Rewrap(ctx context.Context, at Place, sealed secret.Sealed, key string) (secret.Sealed, error) {
	out, err := s.KMS.ReEncrypt(ctx, &kms.ReEncryptInput{
		CiphertextBlob:               sealed.DataKey,
		SourceKeyId:                  aws.String(sealed.KeyARN),
		SourceEncryptionContext:      at.context(),
		DestinationKeyId:             aws.String(s.keyOrDefault(key)),
		DestinationEncryptionContext: at.context(),
	})
	if err != nil {
		return secret.Sealed{}, refusal(secret.EncryptionFailure, err)
	}
	sealed.KeyARN = aws.ToString(out.KeyId)
	sealed.DefaultKey = key == ""
	sealed.DataKey = out.CiphertextBlob
	return sealed, nil
}

// dataKey returns the data key in plain. The caller clears it.
func (s *Sealer) dataKey(ctx context.Context, at Place, sealed secret.Sealed) ([]byte, error) {
	// All that KMS looks at is part of the name: a remembered key opens nothing
	// that KMS would not have opened.
	name := string(lengthPrefixed(nil, at.ARN, at.VersionID, sealed.KeyARN, string(sealed.DataKey)))
	if key, ok := s.memory().get(name); ok {
		return key, nil
	}
	out, err := s.KMS.Decrypt(ctx, &kms.DecryptInput{
		CiphertextBlob:    sealed.DataKey,
		KeyId:             aws.String(sealed.KeyARN),
		EncryptionContext: at.context(),
	})
	if err != nil {
		return nil, refusal(secret.DecryptionFailure, err)
	}
	s.memory().put(name, out.Plaintext, s.Keep)
	return out.Plaintext, nil
}

func (s *Sealer) keyOrDefault(key string) string {
	if key == "" {
		return s.DefaultKey
	}
	return key
}

// context is the encryption context, as AWS Secrets Manager sets it.
func (p Place) context() map[string]string {
	return map[string]string{"SecretARN": p.ARN, "SecretVersionId": p.VersionID}
}

// bind is the associated data: format, ARN, version ID and kind, each after its
// length in four bytes.
func (p Place) bind(kind secret.Kind) []byte {
	return lengthPrefixed([]byte{format}, p.ARN, p.VersionID, string(kind))
}

// lengthPrefixed appends the parts so that no other parts give the same bytes.
func lengthPrefixed(b []byte, parts ...string) []byte {
	for _, part := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part))) //nolint:gosec // no ARN, ID or data key has 4 GiB
		b = append(b, part...)
	}
	return b
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil || len(key) != 32 { // a shorter one may be AES, but is not the format's AES-256
		return nil, errors.New("KMS gave a data key of the wrong length")
	}
	return cipher.NewGCMWithRandomNonce(block)
}
