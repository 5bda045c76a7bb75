package envelope

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// The keys of a fakeKMS.
const (
	defaultKey = "alias/strongroom"
	defaultARN = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-4111-8111-111111111111"
	otherKey   = "alias/other"
	otherARN   = "arn:aws:kms:eu-central-1:123456789012:key/22222222-2222-4222-8222-222222222222"
)

// A fakeKMS wraps data keys as KMS does: for one key and one context.
type fakeKMS struct {
	mu sync.Mutex
	// fail is what every call comes to, when it is set.
	fail error
	// unusable says why a key cannot be used, by its ARN.
	unusable map[string]error
	// plain is the next data key; a random one when it is nil.
	plain   []byte
	wrapped map[string]wrappedKey
	// handed are the plain data keys that were handed out: not copies.
	handed [][]byte
	calls  map[string]int
}

type wrappedKey struct {
	arn     string
	context map[string]string
	plain   []byte
}

func newKMS() *fakeKMS {
	return &fakeKMS{unusable: map[string]error{}, wrapped: map[string]wrappedKey{}, calls: map[string]int{}}
}

func (k *fakeKMS) GenerateDataKey(_ context.Context, in *kms.GenerateDataKeyInput, _ ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	const operation = "GenerateDataKey"
	arn, err := k.use(operation, aws.ToString(in.KeyId))
	if err != nil {
		return nil, failed(operation, err)
	}
	if in.KeySpec != types.DataKeySpecAes256 {
		return nil, failed(operation, fmt.Errorf("key spec %q is not the one of the format", in.KeySpec))
	}
	plain := slices.Clone(k.plain)
	if plain == nil {
		plain = make([]byte, 32)
		_, _ = rand.Read(plain) // never fails
	}
	blob := k.wrap(arn, in.EncryptionContext, plain)
	return &kms.GenerateDataKeyOutput{KeyId: &arn, CiphertextBlob: blob, Plaintext: k.hand(plain)}, nil
}

func (k *fakeKMS) Decrypt(_ context.Context, in *kms.DecryptInput, _ ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	const operation = "Decrypt"
	key, err := k.unwrap(operation, aws.ToString(in.KeyId), in.CiphertextBlob, in.EncryptionContext)
	if err != nil {
		return nil, failed(operation, err)
	}
	return &kms.DecryptOutput{KeyId: &key.arn, Plaintext: k.hand(key.plain)}, nil
}

func (k *fakeKMS) ReEncrypt(_ context.Context, in *kms.ReEncryptInput, _ ...func(*kms.Options)) (*kms.ReEncryptOutput, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	const operation = "ReEncrypt"
	key, err := k.unwrap(operation, aws.ToString(in.SourceKeyId), in.CiphertextBlob, in.SourceEncryptionContext)
	if err != nil {
		return nil, failed(operation, err)
	}
	arn, err := k.use("ReEncrypt to", aws.ToString(in.DestinationKeyId))
	if err != nil {
		return nil, failed(operation, err)
	}
	blob := k.wrap(arn, in.DestinationEncryptionContext, key.plain)
	return &kms.ReEncryptOutput{KeyId: &arn, SourceKeyId: &key.arn, CiphertextBlob: blob}, nil
}

// use counts a call and finds the key's ARN.
func (k *fakeKMS) use(operation, id string) (string, error) {
	k.calls[operation]++
	if k.fail != nil {
		return "", k.fail
	}
	arn, ok := map[string]string{defaultKey: defaultARN, defaultARN: defaultARN, otherKey: otherARN, otherARN: otherARN}[id]
	if !ok {
		return "", &types.NotFoundException{Message: aws.String("Alias or key is not found: " + id)}
	}
	return arn, k.unusable[arn]
}

func (k *fakeKMS) wrap(arn string, context map[string]string, plain []byte) []byte {
	blob := fmt.Appendf(nil, "data key %d under %s", len(k.wrapped), arn)
	k.wrapped[string(blob)] = wrappedKey{arn, maps.Clone(context), slices.Clone(plain)}
	return blob
}

func (k *fakeKMS) unwrap(operation, id string, blob []byte, context map[string]string) (wrappedKey, error) {
	arn, err := k.use(operation, id)
	if err != nil {
		return wrappedKey{}, err
	}
	key, ok := k.wrapped[string(blob)]
	switch {
	case !ok:
		return wrappedKey{}, &types.InvalidCiphertextException{}
	case key.arn != arn:
		return wrappedKey{}, &types.IncorrectKeyException{Message: aws.String("The key ID in the request does not identify a CMK that can perform this operation.")}
	case !maps.Equal(key.context, context):
		return wrappedKey{}, &types.InvalidCiphertextException{}
	}
	return key, nil
}

func (k *fakeKMS) hand(plain []byte) []byte {
	plain = slices.Clone(plain)
	k.handed = append(k.handed, plain)
	return plain
}

// wantCalls checks how often each operation was asked for since the last time.
func (k *fakeKMS) wantCalls(t *testing.T, want map[string]int) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !maps.Equal(k.calls, want) {
		t.Errorf("got KMS calls %v, want %v", k.calls, want)
	}
	clear(k.calls)
}

// wantCleared checks that no data key handed out is left in plain.
func (k *fakeKMS) wantCleared(t *testing.T) {
	t.Helper()
	for i, plain := range k.handed {
		if !bytes.Equal(plain, make([]byte, len(plain))) {
			t.Errorf("data key %d is still in plain", i)
		}
	}
}

// failed is an error as the client of the SDK returns it.
func failed(operation string, err error) error {
	return &smithy.OperationError{ServiceID: "KMS", OperationName: operation, Err: err}
}

func denied() error {
	return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User is not authorized to perform: kms:Decrypt"}
}

// A laxKMS has one data key and looks at no context, so that what is left to
// refuse is up to the seal.
type laxKMS struct {
	KMS
	key []byte
}

func (k laxKMS) GenerateDataKey(context.Context, *kms.GenerateDataKeyInput, ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	return &kms.GenerateDataKeyOutput{KeyId: aws.String(defaultARN), CiphertextBlob: []byte("data key"), Plaintext: slices.Clone(k.key)}, nil
}

func (k laxKMS) Decrypt(context.Context, *kms.DecryptInput, ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	return &kms.DecryptOutput{KeyId: aws.String(defaultARN), Plaintext: slices.Clone(k.key)}, nil
}
