package envelope

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/secret"
)

func apiError(code string) error {
	return &smithy.GenericAPIError{Code: code, Message: "words of KMS"}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	// What a caller is told when it is sealed, opened, wrapped again; nil when
	// the error is none of the caller's business.
	type told struct{ seal, open, rewrap error }
	var (
		unusable = told{errEncrypt, errDecrypt, errEncrypt}
		wrong    = told{errDecrypt, errDecrypt, errDecrypt}
		access   = told{errDenied, errDenied, errDenied}
		ours     = told{}
	)
	lost := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for _, tt := range []struct {
		name string
		err  error
		want told
	}{
		{"no such key", &types.NotFoundException{}, unusable},
		{"disabled", &types.DisabledException{}, unusable},
		{"pending deletion", &types.KMSInvalidStateException{}, unusable},
		{"not available", &types.KeyUnavailableException{}, unusable},
		{"a key for something else", &types.InvalidKeyUsageException{}, unusable},
		{"a bad ARN", &types.InvalidArnException{}, unusable},
		{"a bad key id", apiError("ValidationException"), unusable},
		{"with KMS's words", &types.DisabledException{Message: aws.String("key is disabled")}, unusable},
		{"under an older name of the error", &types.DisabledException{ErrorCodeOverride: aws.String("DisabledException")}, unusable},
		{"wrapped under another key", &types.IncorrectKeyException{}, wrong},
		{"wrapped for another context", &types.InvalidCiphertextException{}, wrong},
		{"access denied", denied(), access},

		{"throttled", apiError("ThrottlingException"), ours},
		{"throttled by the account's limit", apiError("RequestLimitExceeded"), ours},
		{"a limit", &types.LimitExceededException{}, ours},
		{"KMS failed", &types.KMSInternalException{}, ours},
		{"KMS timed out", &types.DependencyTimeoutException{}, ours},
		{"KMS is unavailable", apiError("ServiceUnavailable"), ours},
		{"our credentials expired", apiError("ExpiredTokenException"), ours},
		{"our credentials are unknown", apiError("UnrecognizedClientException"), ours},
		{"tried in vain", &retry.MaxAttemptsError{Attempt: 3, Err: apiError("ThrottlingException")}, ours},
		{"connection lost", lost, ours},
		{"answer cut off", io.ErrUnexpectedEOF, ours},
		{"deadline over", context.DeadlineExceeded, ours},
		{"caller gone", context.Canceled, ours},
		{"a request the client does not send", smithy.InvalidParamsError{}, ours},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, k := newSealer()
			sealed := mustSeal(t, s, here, "", text("hunter2"))
			k.fail = tt.err
			_, err := s.Seal(t.Context(), here, "", text("hunter2"))
			wantTold(t, "seal", err, tt.want.seal, tt.err)
			_, err = s.Open(t.Context(), here, sealed)
			wantTold(t, "open", err, tt.want.open, tt.err)
			_, err = s.Rewrap(t.Context(), here, sealed, otherKey)
			wantTold(t, "rewrap", err, tt.want.rewrap, tt.err)
		})
	}
}

// wantTold compares an error with a refusal or, when none is wanted, with the
// cause that must still be found in it.
func wantTold(t *testing.T, name string, got, want, cause error) {
	t.Helper()
	if want != nil {
		// The refusal itself, so that no words of KMS come with it.
		if fmt.Sprint(got) != want.Error() || !errors.Is(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		return
	}
	if refusal, ok := errors.AsType[secret.Error](got); ok {
		t.Errorf("%s: got refusal %v, want the error as it is", name, refusal)
	}
	if _, ok := errors.AsType[*smithy.OperationError](got); !ok {
		t.Errorf("%s: got %v, want the error as it is, %v", name, got, cause)
	}
}
