package api_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// What the caller is told when KMS refuses a key.
var (
	encryptionFailure = refusal{"EncryptionFailure", "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS key is available, enabled, and not in an invalid state."}
	decryptionFailure = refusal{"DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key."}
	noAccessToKMS     = refusal{"AccessDeniedException", "Access to KMS is not allowed"}
)

// newKey makes a KMS key of the test's own and returns its ARN.
func newKey(t testing.TB) string {
	t.Helper()
	out := must(localtest.Shared().KMS().CreateKey(t.Context(), &kms.CreateKeyInput{}))(t)
	return *out.KeyMetadata.Arn
}

// createUnder makes a secret whose values are sealed under a KMS key.
func createUnder(t testing.TB, room *localtest.Room, name, key string) {
	t.Helper()
	in := createInput(name, "v1", "one")
	in.KmsKeyId = aws.String(key)
	must(room.SDK.CreateSecret(t.Context(), in))(t)
}

func TestDisabledKey(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	key := newKey(t)
	createUnder(t, room, "s", key)
	must(localtest.Shared().KMS().DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: aws.String(key)}))(t)
	checkKeyRefused(t, room, key, encryptionFailure, decryptionFailure)

	must(localtest.Shared().KMS().EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: aws.String(key)}))(t)
	put(t, room, "s", "v2", "two")
	if got := *get(t, room.Another(t), "s").SecretString; got != "two" {
		t.Errorf("got value %q, want two", got)
	}
}

// checkKeyRefused makes the calls that need a key that KMS refuses: a put into
// the secret s, a get of it, and a create.
func checkKeyRefused(t *testing.T, room *localtest.Room, key string, sealing, opening refusal) {
	t.Helper()
	refuses(t, room, sealing, func() (*secretsmanager.PutSecretValueOutput, error) {
		return room.SDK.PutSecretValue(t.Context(), putInput("s", "v2", "two"), once)
	})
	refuses(t, room, sealing, func() (*secretsmanager.CreateSecretOutput, error) {
		in := createInput("new", "v1", "one")
		in.KmsKeyId = aws.String(key)
		return room.SDK.CreateSecret(t.Context(), in, once)
	})
	refuses(t, room, opening, func() (*secretsmanager.GetSecretValueOutput, error) {
		return room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")}, once)
	})
}

func TestKMSRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name             string
		fault            localtest.Fault
		sealing, opening refusal
	}{
		{"access denied", localtest.Refuse(400, "AccessDeniedException"), noAccessToKMS, noAccessToKMS},
		{"no such key", localtest.Refuse(400, "NotFoundException"), encryptionFailure, decryptionFailure},
		{"key to be deleted", localtest.Refuse(400, "KMSInvalidStateException"), encryptionFailure, decryptionFailure},
		{"key of another use", localtest.Refuse(400, "InvalidKeyUsageException"), encryptionFailure, decryptionFailure},
		{"key unavailable", localtest.Refuse(500, "KeyUnavailableException"), encryptionFailure, decryptionFailure},
		{"no key ID", localtest.Refuse(400, "ValidationException"), encryptionFailure, decryptionFailure},
		{"throttled", localtest.Refuse(400, "ThrottlingException"), rateExceeded, rateExceeded},
		{"failed", localtest.Refuse(500, "KMSInternalException"), serverFault, serverFault},
		{"unreachable", localtest.Cut, serverFault, serverFault},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			create(t, room, "s", "v1", "one")
			room.Wire.Break("GenerateDataKey", many(test.fault)...)
			room.Wire.Break("Decrypt", many(test.fault)...)
			checkKeyRefused(t, room, "", test.sealing, test.opening)
		})
	}
}

func TestUnknownKey(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, key := range []string{"alias/none", "7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11", "arn:aws:kms:us-east-1:000000000000:key/7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11", "ä"} {
		in := createInput("s", "v1", "one")
		in.KmsKeyId = aws.String(key)
		refuses(t, room, encryptionFailure, func() (*secretsmanager.CreateSecretOutput, error) {
			return room.SDK.CreateSecret(t.Context(), in)
		})
	}
	// Without a value there is nothing to seal, and KMS is not asked.
	in := createInput("empty", "v1", "one")
	in.SecretString, in.KmsKeyId = nil, aws.String("alias/none")
	must(room.SDK.CreateSecret(t.Context(), in))(t)
	refuses(t, room, encryptionFailure, func() (*secretsmanager.PutSecretValueOutput, error) {
		return room.SDK.PutSecretValue(t.Context(), putInput("empty", "v1", "one"))
	})
}

// Whether a request was made before is known only when the version opens.
func TestKMSRefusesToCompare(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "T", "x")
	room.Wire.Break("Decrypt", localtest.Refuse(400, "AccessDeniedException"), localtest.Refuse(400, "DisabledException"))
	refuses(t, room, noAccessToKMS, func() (*secretsmanager.PutSecretValueOutput, error) {
		return room.SDK.PutSecretValue(t.Context(), putInput("s", "T", "x"), once)
	})
	refuses(t, room, decryptionFailure, func() (*secretsmanager.CreateSecretOutput, error) {
		return room.SDK.CreateSecret(t.Context(), createInput("s", "T", "x"), once)
	})
}
