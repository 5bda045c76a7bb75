package replicate

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// reason is a sentence for those who may describe the secret: why its replica in a Region is
// not in sync, and what to do. It holds nothing of what the error says about the
// deployments; that is in the log.
func reason(region string, err error) string {
	refusal, refused := errors.AsType[secret.Error](err)
	code := ""
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	_, damaged := errors.AsType[*store.Damaged](err)
	switch {
	case errors.Is(err, ErrUnknownRegion):
		return secret.UnknownRegion(region)
	case refused && errors.Is(err, errOpen):
		return "A value cannot be opened with its KMS key: " + refusal.Message
	case refused && (refusal.Code == secret.EncryptionFailure || refusal.Code == secret.AccessDenied || refusal.Code == secret.ResourceNotFound):
		return fmt.Sprintf("A value cannot be sealed with the KMS key in %s: %s", region, refusal.Message)
	case refused:
		return refusal.Message
	case damaged:
		return "What is stored of the secret cannot be read. Verify the tables of both regions."
	case errors.Is(err, errHere):
		return "The table of the primary could not be read. It is tried again."
	case code == "ResourceNotFoundException":
		return fmt.Sprintf("The table of the deployment in %s is not there.", region)
	case code == "AccessDeniedException":
		return fmt.Sprintf("The table of the deployment in %s may not be written from here. Deploy both regions with the names of each other.", region)
	case errors.Is(err, store.ErrBusy), errors.Is(err, context.DeadlineExceeded), code == "ThrottlingException", code == "ProvisionedThroughputExceededException":
		return fmt.Sprintf("The deployment in %s did not take the change in time. It is tried again.", region)
	}
	return fmt.Sprintf("The deployment in %s could not be reached, or failed. It is tried again.", region)
}
