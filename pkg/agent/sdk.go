package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/bounds"
	"github.com/strongroom/strongroom/pkg/refusal"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/signature"
)

// SDK is the door for SDKs. A request goes on with what names the operation and the
// client; the answer comes back as it is, request ID and all.
//
// What goes wrong on the way is answered so that SDKs try again: with 502 when the
// service cannot be reached, 503 when there are no credentials, 504 when it is too slow.
type SDK struct {
	Upstream *Upstream
	// AnyCaller lets programs in that have other credentials than the agent, or none.
	AnyCaller bool
	Log       *slog.Logger

	hall hall
}

// NewSDK makes the door of an upstream.
func NewSDK(upstream *Upstream, anyCaller bool, log *slog.Logger) *SDK {
	return &SDK{Upstream: upstream, AnyCaller: anyCaller, Log: log, hall: newHall()}
}

func (s *SDK) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isForwarded(r) {
		s.refuse(w, r, errByProxy)
		return
	}
	var held bounds.Room
	defer held.Leave()
	body, err := s.hall.readBody(w, r, &held)
	if err == nil {
		err = s.admit(r, body)
	}
	if err == nil {
		err = held.Take(r.Context(), s.hall.calls, 1)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	began := time.Now()
	res, err := s.Upstream.send(r.Context(), r.Header, body)
	if err != nil {
		s.fail(w, r, began, err)
		return
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := s.hall.readAnswer(res, &held)
	if err != nil {
		s.fail(w, r, began, err)
		return
	}
	defer clear(answer)
	if res.StatusCode >= http.StatusInternalServerError {
		s.Log.LogAttrs(r.Context(), slog.LevelWarn, "Strongroom answered with an error of its own",
			operation(r), slog.Int("status", res.StatusCode), millis(began), slog.String("requestId", res.Header.Get("X-Amzn-Requestid")))
	}
	passOn(w.Header(), res.Header)
	w.WriteHeader(res.StatusCode)
	_, _ = w.Write(answer) //nolint:gosec // JSON for a program; it fails only when that is gone
}

// services are those that clients sign for: as SDKs come, and as they were told to.
var services = []string{"secretsmanager", "execute-api", "lambda"}

// admit lets in who has the agent's own credentials.
func (s *SDK) admit(r *http.Request, body []byte) error {
	if s.AnyCaller {
		return nil
	}
	sig, err := signature.Read(r, body, time.Now(), services...)
	if err != nil {
		return err
	}
	secretKey, known := s.Upstream.Keys.Secret(r.Context(), sig.AccessKey)
	if !known {
		return secret.Errorf(signature.Unrecognized.Code, "The agent takes requests that are signed with its own credentials, and this one is signed with others. "+
			"Give this program those of the agent, or start the agent with --any-caller.")
	}
	if signed, err := sig.IsBy(secretKey, r, body); err != nil || !signed {
		return signature.Wrong
	}
	return nil
}

var errByProxy = secret.Errorf(secret.AccessDenied, "This request came by a proxy. The agent answers programs on this machine only.")

func (s *SDK) refuse(w http.ResponseWriter, r *http.Request, why error) {
	if r.Context().Err() != nil {
		abandon()
	}
	status := http.StatusBadRequest
	switch {
	case errors.Is(why, errByProxy):
		status = http.StatusForbidden
	case errors.Is(why, errTooLarge):
		status = http.StatusRequestEntityTooLarge
	}
	refused, _ := errors.AsType[secret.Error](why)
	s.Log.LogAttrs(r.Context(), slog.LevelInfo, "refused", operation(r), slog.String("code", string(refused.Code)))
	refusal.Write(w, status, string(refused.Code), refused.Message)
}

// fail answers when there is no answer from the service. Whether a change was made is not
// known then; the client's next try, with the same invocation ID, finds out.
func (s *SDK) fail(w http.ResponseWriter, r *http.Request, began time.Time, err error) {
	if r.Context().Err() != nil {
		abandon() // the client has gone, or so it looks
	}
	if errors.Is(err, bounds.ErrNoRoom) {
		s.refuse(w, r, err)
		return
	}
	status, message := http.StatusBadGateway, "The agent cannot reach Strongroom."
	switch {
	case errors.Is(err, errNoCredentials):
		status, message = http.StatusServiceUnavailable, "The agent has no AWS credentials to sign with."
	case isTimeout(err):
		status, message = http.StatusGatewayTimeout, "Strongroom did not answer the agent in time."
	}
	s.Log.LogAttrs(r.Context(), slog.LevelWarn, strings.TrimSuffix(message, "."), operation(r), slog.Int("status", status), millis(began), slog.String("error", cause(err)))
	refusal.Write(w, status, string(secret.InternalServiceError), message+" Its log says why.")
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// cause is an error in a line of the log.
func cause(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func millis(began time.Time) slog.Attr {
	return slog.Float64("ms", float64(time.Since(began).Microseconds())/1000)
}

// hopByHop are the headers that speak of one connection (RFC 9110, 7.6.1).
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// passOn copies the headers of an answer.
func passOn(to, from http.Header) {
	var named []string // by the connection itself
	for _, value := range from.Values("Connection") {
		for name := range strings.SplitSeq(value, ",") {
			named = append(named, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	for name, values := range from {
		if !slices.Contains(hopByHop, name) && !slices.Contains(named, name) {
			to[name] = values
		}
	}
}
