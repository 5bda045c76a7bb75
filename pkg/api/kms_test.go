package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

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
	for _, key := range []string{"alias/none", "7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11", "arn:aws:kms:us-east-1:000000000000:key/7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11"} {
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

// A key that no secret can have is refused with its own error, also where there is
// nothing to seal, and KMS is not asked.
func TestKeyThatCannotBe(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "empty")
	create(t, room, "s", "v1", "one")
	room.Wire.Took()
	invalid := func(why string) refusal {
		return refusal{"InvalidParameterException", "The operation failed because of an invalid KMS key: " + why}
	}
	for key, want := range map[string]refusal{
		"ä":    invalid("Invalid keyId"),
		"none": invalid("Invalid keyId"),
		"arn:aws:kms:us-east-1:000000000000:key/none":                                 invalid("Invalid keyId"),
		"arn:aws:kms:us-west-2:000000000000:key/7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11": invalid("Invalid arn us-west-2"),
		"arn:aws:kms:us-west-2:000000000000:alias/aws/secretsmanager":                 invalid("Invalid arn us-west-2"),
		"alias/aws/ebs": noAccessToKMS,
		"arn:aws:kms:us-east-1:000000000000:alias/aws/ebs":            noAccessToKMS,
		"arn:aws:kms:us-east-1:111111111111:alias/aws/secretsmanager": noAccessToKMS,
	} {
		for _, value := range []*string{nil, aws.String("two")} {
			refuses(t, room, want, func() (*secretsmanager.CreateSecretOutput, error) {
				return room.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("new"), KmsKeyId: aws.String(key), SecretString: value})
			})
			for _, name := range []string{"empty", "s"} {
				refuses(t, room, want, func() (*secretsmanager.UpdateSecretOutput, error) {
					return room.SDK.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: aws.String(name), KmsKeyId: aws.String(key), SecretString: value})
				})
			}
		}
		refuses(t, room, notFound, func() (*secretsmanager.UpdateSecretOutput, error) {
			return room.SDK.UpdateSecret(t.Context(), keyInput("unknown", key))
		})
	}
	if calls, _, _ := room.Wire.Took(); strings.Contains(calls, "ReEncrypt") || strings.Contains(calls, "GenerateDataKey") {
		t.Errorf("got calls %s, want none of KMS", calls)
	}
}

// The default key is shown as it was said, and is the default key by any name.
func TestDefaultKeyByName(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	const byARN = "arn:aws:kms:us-east-1:000000000000:alias/aws/secretsmanager"
	for name, key := range map[string]string{"said-by-name": "alias/aws/secretsmanager", "said-by-arn": byARN} {
		createUnder(t, room, name, key)
		put(t, room, name, "v2", "two")
		check := func(want *string) {
			t.Helper()
			listed := must(room.SDK.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("name", name)}}))(t).SecretList[0]
			for _, got := range []*string{describe(t, room, name).KmsKeyId, listed.KmsKeyId} {
				if aws.ToString(got) != aws.ToString(want) || (got == nil) != (want == nil) {
					t.Errorf("%s: got KmsKeyId %v, want %v", name, aws.ToString(got), aws.ToString(want))
				}
			}
			for _, v := range list(t, room, name) {
				if !slices.Equal(v.KmsKeyIds, []string{"DefaultEncryptionKey"}) {
					t.Errorf("%s: got KmsKeyIds %q of %s, want DefaultEncryptionKey", name, v.KmsKeyIds, *v.VersionId)
				}
			}
		}
		check(aws.String(key))
		// To another name of the same key nothing is wrapped again.
		room.Wire.Took()
		for _, other := range []string{byARN, "alias/aws/secretsmanager", ""} {
			must(room.SDK.UpdateSecret(t.Context(), keyInput(name, other)))(t)
		}
		if calls, _, _ := room.Wire.Took(); strings.Contains(calls, "ReEncrypt") {
			t.Errorf("%s: got calls %s, want no ReEncrypt", name, calls)
		}
		check(nil) // only an empty one makes it disappear
		must(room.SDK.UpdateSecret(t.Context(), keyInput(name, key)))(t)
		check(aws.String(key))
		if got := *get(t, room.Another(t), name).SecretString; got != "two" {
			t.Errorf("%s: got value %q, want two", name, got)
		}
	}
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
