package local

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/refusal"
	"github.com/strongroom/strongroom/pkg/secret"
)

// Identify says who makes a request. Its error is a [secret.Error] when it is for
// the caller. It may read the body, and then puts another into its place.
type Identify func(*http.Request) (policy.Caller, error)

// A Gate lets requests through to Answer with who makes them, unless that is
// not known or it is one too many.
type Gate struct {
	Identify Identify // [Credentials.Identify] or that of [Unverified]
	Limiter  *Limiter // nil for no limit
	Answer   func(http.ResponseWriter, *http.Request, policy.Caller)
	Log      *slog.Logger
}

// ServeHTTP counts a call only when it is known who makes it: nobody can use up
// what another may do.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, err := g.Identify(r)
	if err == nil && !g.Limiter.Allow(caller.ARN) {
		err = secret.Errorf(secret.Throttling, "Rate exceeded")
	}
	if err == nil {
		g.Answer(w, r, caller)
		return
	}
	refused, ok := errors.AsType[secret.Error](err)
	if ok {
		g.Log.LogAttrs(r.Context(), slog.LevelInfo, "refused", refusedAttrs(r, refused.Code, caller)...)
	}
	status := http.StatusBadRequest // for a wrong signature, too, as the stack's gateway has it
	switch {
	case !ok:
		g.Log.ErrorContext(r.Context(), "cannot tell who calls", "error", err)
		status, refused = http.StatusInternalServerError, secret.Errorf(secret.InternalServiceError, "An error occurred on the server side.")
	case refused.Code == secret.RequestEntityTooLarge:
		status = http.StatusRequestEntityTooLarge
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
