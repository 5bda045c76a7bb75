package secret

import (
	"errors"
	"fmt"
	"testing"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	const id = "terraform-20260304120000000000000001"
	for _, tt := range []struct {
		got  error
		want string
	}{
		{NotFound, "ResourceNotFoundException: Secrets Manager can't find the specified secret."},
		{MarkedForDeletion, "InvalidRequestException: You can't perform this operation on the secret because it was marked for deletion."},
		{InvalidName, "ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"},
		{NoSuchVersion(id), "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: " + id},
		{NoSuchStage(Current), "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"},
		{TokenInUse(id, testARN), "ResourceExistsException: You can't use ClientRequestToken " + id + " because that value is already in use for a version of secret " + testARN + "."},
		{Exists("db/main"), "ResourceExistsException: The operation failed because the secret db/main already exists."},
	} {
		if got := tt.got.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// The names are the wire: SDKs know an error by its name.
func TestCodes(t *testing.T) {
	t.Parallel()
	for got, want := range map[Code]string{
		DecryptionFailure:       "DecryptionFailure",
		EncryptionFailure:       "EncryptionFailure",
		InternalServiceError:    "InternalServiceError",
		InvalidNextToken:        "InvalidNextTokenException",
		InvalidParameter:        "InvalidParameterException",
		InvalidRequest:          "InvalidRequestException",
		LimitExceeded:           "LimitExceededException",
		MalformedPolicyDocument: "MalformedPolicyDocumentException",
		PreconditionNotMet:      "PreconditionNotMetException",
		PublicPolicy:            "PublicPolicyException",
		ResourceExists:          "ResourceExistsException",
		ResourceNotFound:        "ResourceNotFoundException",
		Validation:              "ValidationException",
		Serialization:           "SerializationException",
		UnknownOperation:        "UnknownOperationException",
		AccessDenied:            "AccessDeniedException",
		Throttling:              "ThrottlingException",
		RequestEntityTooLarge:   "RequestEntityTooLargeException",
	} {
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRefusalIsFoundInsideAnother(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("update db/main: %w", Exists("db/main"))
	if got, ok := errors.AsType[Error](err); !ok || got.Code != ResourceExists {
		t.Errorf("got %v, %v, want the refusal", got, ok)
	}
	if errors.Is(err, Exists("db/other")) {
		t.Error("got the refusal for another name, want none")
	}
}
