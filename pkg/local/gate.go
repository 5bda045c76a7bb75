package local

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/strongroom/strongroom/pkg/bounds"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/refusal"
	"github.com/strongroom/strongroom/pkg/secret"
)

// An Identity is who makes a request, and the Region that it is signed for: any text, and
// empty for a request that does not say.
type Identity struct {
	policy.Caller
	Region string
}

// Identify says who makes a request, whose body was read. Its error is a [secret.Error]
// when it is for the caller.
type Identify func(r *http.Request, body []byte) (Identity, error)

// Codes of refusals, those of S3 and of the SDKs' lists of what to try again.
const (
	headersTooLarge = secret.Code("RequestHeaderSectionTooLarge")
	requestTimeout  = secret.Code("RequestTimeoutException")
)

// A Gate lets requests through to Answer with who makes them, unless that is
// not known, it is one too many, or it is out of bounds.
type Gate struct {
	Bounds   *Bounds
	Identify Identify // [Credentials.Identify] or that of [Unverified]
	Limiter  *Limiter // nil for no limit
	// Answer answers, or returns an error instead, which is a [secret.Error] when it is
	// for the caller.
	Answer func(http.ResponseWriter, *http.Request, Identity) error
	Log    *slog.Logger
}

// ServeHTTP counts a call only when it is known who makes it: nobody can use up
// what another may do.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w = bounds.Prompt{ResponseWriter: w, Within: sendTime}
	body, leave, err := g.Bounds.enter(w, r)
	defer leave()
	var caller Identity
	if err == nil {
		caller, err = g.Identify(r, body)
	}
	if err == nil && !g.Limiter.Allow(caller.ARN) {
		err = bounds.ErrNoRoom
	}
	if err == nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		err = g.Answer(w, r, caller)
	}
	if err != nil {
		g.refuse(w, r, caller.Caller, err)
	}
}

func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, caller policy.Caller, err error) {
	refused, ok := errors.AsType[secret.Error](err)
	if ok {
		g.Log.LogAttrs(r.Context(), slog.LevelInfo, "refused", refusedAttrs(r, refused.Code, caller)...)
	}
	status := http.StatusBadRequest // for a wrong signature, too, as the stack's gateway has it
	switch {
	case !ok:
		g.Log.ErrorContext(r.Context(), "a call is not answered", "error", err)
		status, refused = http.StatusInternalServerError, secret.Errorf(secret.InternalServiceError, "An error occurred on the server side.")
	case refused.Code == secret.RequestEntityTooLarge:
		status = http.StatusRequestEntityTooLarge
	case refused.Code == requestTimeout:
		status = http.StatusRequestTimeout
	}
	refusal.Write(w, status, string(refused.Code), refused.Message)
}

// refusedAttrs is what the log says of a refused request: who makes it, or as long as
// that is not proved, the access key that it claims.
func refusedAttrs(r *http.Request, code secret.Code, caller policy.Caller) []slog.Attr {
	attrs := []slog.Attr{slog.String("code", string(code))}
	if caller.ARN != "" {
		attrs = append(attrs, slog.String("caller", caller.ARN))
	} else if key := claimedKey(r); key != "" {
		attrs = append(attrs, slog.String("accessKeyId", key))
	}
	return append(attrs, slog.String("from", sourceIP(r.RemoteAddr)))
}
