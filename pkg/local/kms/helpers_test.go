package kms

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/envelope"
)

var _ envelope.KMS = (*Keys)(nil)

// noon is when the tests' default keys are made.
var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func mustDefault(t testing.TB, k *Keys) *string {
	t.Helper()
	arn, err := k.DefaultKey(noon)
	if err != nil {
		t.Fatal(err)
	}
	return &arn
}

// inMemory returns keys and the ARN of the default one.
func inMemory(t testing.TB) (*Keys, *string) {
	t.Helper()
	k := Memory("", "")
	return k, mustDefault(t, k)
}

// keyPath is the path of a key file that is not there yet.
func keyPath(t testing.TB) string { return filepath.Join(t.TempDir(), "keys.json") }

// inFile returns the keys in a file and the ARN of the default one.
func inFile(t testing.TB, path string) (*Keys, *string) {
	t.Helper()
	k, err := Open(Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return k, mustDefault(t, k)
}

// mustGenerate returns a data key in plaintext and sealed.
func mustGenerate(t testing.TB, k *Keys, keyID *string, context map[string]string) (plaintext string, blob []byte) {
	t.Helper()
	out, err := k.GenerateDataKey(t.Context(), &sdk.GenerateDataKeyInput{KeyId: keyID, KeySpec: types.DataKeySpecAes256, EncryptionContext: context})
	if err != nil {
		t.Fatal(err)
	}
	return string(out.Plaintext), out.CiphertextBlob
}

func mustCreate(t testing.TB, k *Keys) *types.KeyMetadata {
	t.Helper()
	out, err := k.CreateKey(t.Context(), &sdk.CreateKeyInput{Description: aws.String("another")})
	if err != nil {
		t.Fatal(err)
	}
	return out.KeyMetadata
}

func wantDecrypt(t *testing.T, k *Keys, in *sdk.DecryptInput, want string) {
	t.Helper()
	out, err := k.Decrypt(t.Context(), in)
	if err != nil {
		t.Error(err)
	} else if string(out.Plaintext) != want {
		t.Errorf("Decrypt: got %q, want %q", out.Plaintext, want)
	}
}

// wantError wants one of the SDK's own types of error.
func wantError[E error](t *testing.T, what string, err error) {
	t.Helper()
	if _, ok := errors.AsType[E](err); !ok {
		t.Errorf("%s: got %v, want %T", what, err, *new(E))
	}
}

func wantInvalid(t *testing.T, what string, err error) {
	t.Helper()
	api, ok := errors.AsType[*smithy.GenericAPIError](err)
	if !ok || api.ErrorCode() != "ValidationException" {
		t.Errorf("%s: got %v, want ValidationException", what, err)
	}
}

func wantText(t *testing.T, what string, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %v, want %q in it", what, err, part)
		}
	}
}
