package envelope

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/secret"
)

// messages are the words of the service model for a key that cannot be used.
var messages = map[secret.Code]string{
	secret.EncryptionFailure: "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS key is available, enabled, and not in an invalid state.",
	secret.DecryptionFailure: "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
}

// refusal turns an answer of KMS about the key into the one the caller gets.
// Any other error, a throttled call or a lost connection, is no refusal and
// comes back as it is.
func refusal(code secret.Code, err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return err
	}
	switch api.ErrorCode() {
	case "AccessDeniedException":
		return secret.Errorf(secret.AccessDenied, "Access to KMS is not allowed")
	case (&types.NotFoundException{}).ErrorCode(),
		(&types.DisabledException{}).ErrorCode(),
		(&types.KMSInvalidStateException{}).ErrorCode(),
		(&types.KeyUnavailableException{}).ErrorCode(),
		(&types.InvalidKeyUsageException{}).ErrorCode(),
		(&types.InvalidArnException{}).ErrorCode(),
		"ValidationException":
		return secret.Errorf(code, "%s", messages[code])
	case (&types.IncorrectKeyException{}).ErrorCode(),
		(&types.InvalidCiphertextException{}).ErrorCode():
		// It is the wrapped key that does not open, also when it was to be put
		// under another one.
		return secret.Errorf(secret.DecryptionFailure, "%s", messages[secret.DecryptionFailure])
	}
	return err
}
