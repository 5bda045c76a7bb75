package secret

import "fmt"

// A Code is the name of an error of AWS Secrets Manager, as it stands on the wire.
type Code string

// The errors of the service model and, from [Validation] on, those of the
// framework it runs on.
const (
	DecryptionFailure       Code = "DecryptionFailure"
	EncryptionFailure       Code = "EncryptionFailure"
	InternalServiceError    Code = "InternalServiceError"
	InvalidNextToken        Code = "InvalidNextTokenException"
	InvalidParameter        Code = "InvalidParameterException"
	InvalidRequest          Code = "InvalidRequestException"
	LimitExceeded           Code = "LimitExceededException"
	MalformedPolicyDocument Code = "MalformedPolicyDocumentException"
	PreconditionNotMet      Code = "PreconditionNotMetException"
	PublicPolicy            Code = "PublicPolicyException"
	ResourceExists          Code = "ResourceExistsException"
	ResourceNotFound        Code = "ResourceNotFoundException"
	Validation              Code = "ValidationException"
	Serialization           Code = "SerializationException"
	UnknownOperation        Code = "UnknownOperationException"
	AccessDenied            Code = "AccessDeniedException"
	Throttling              Code = "ThrottlingException"
	RequestEntityTooLarge   Code = "RequestEntityTooLargeException"
)

// An Error is a refusal that the caller may see: AWS's own code and words. It
// never holds a value. Errors of any other type are ours and stay inside.
type Error struct {
	Code    Code
	Message string
}

func (e Error) Error() string { return string(e.Code) + ": " + e.Message }

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) Error {
	return Error{code, fmt.Sprintf(format, args...)}
}

// Refusals that are said in more than one place.
var (
	NotFound          = Errorf(ResourceNotFound, "Secrets Manager can't find the specified secret.")
	QuotaExceeded     = Errorf(LimitExceeded, "The request failed because it would exceed one of the Secrets Manager quotas.")
	MarkedForDeletion = Errorf(InvalidRequest, "You can't perform this operation on the secret because it was marked for deletion.")
	// InvalidName is recorded from AWS for a name or SecretId with other characters.
	InvalidName = Errorf(Validation, "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
)

// NoSuchVersion is the refusal for a version that a secret does not have.
func NoSuchVersion(id string) Error {
	return Errorf(ResourceNotFound, "Secrets Manager can't find the specified secret value for VersionId: %s", id)
}

// NoSuchStage is the refusal for a staging label that is on no version with a value.
func NoSuchStage(label string) Error {
	return Errorf(ResourceNotFound, "Secrets Manager can't find the specified secret value for staging label: %s", label)
}

// TokenInUse is the refusal for a client request token that already made a
// version of the secret with this ARN, with other data.
func TokenInUse(token, arn string) Error {
	return Errorf(ResourceExists, "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, arn)
}

// Exists is the refusal to create a secret under a name that is taken.
func Exists(name string) Error {
	return Errorf(ResourceExists, "The operation failed because the secret %s already exists.", name)
}
