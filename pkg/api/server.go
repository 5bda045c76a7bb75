// Package api speaks the protocol of AWS Secrets Manager: JSON 1.1 over POST,
// the operation in the header X-Amz-Target.
//
// Each operation is a file that reads from top to bottom: what comes in, what
// goes out, and the method between them. What comes in is checked against the
// limits of the service model before an operation sees it; the rules of state
// are in package secret.
//
// A request never ends in a panic, and an answer, a log line or an error never
// holds a value.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A Server answers requests. Its fields are set before the first one.
type Server struct {
	Store  *store.Store
	Sealer *envelope.Sealer
	ARNs   secret.ARNs
	Log    *slog.Logger
	// Retention is what the prune function keeps; a put that goes beyond it has
	// that function look at the secret.
	Retention secret.Retention
	// VersionQuota refuses a put to a secret with that many versions without a
	// label, as AWS does at a hundred; 0 for never.
	VersionQuota int
	// MinRotationInterval is the shortest interval between two rotations by
	// schedule; zero means [schedule.Least], as AWS has it.
	MinRotationInterval time.Duration
	// Rotator runs rotations; without one, all are left to the schedule.
	Rotator Rotator
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// NewSuffix makes the six characters at the end of a new secret's ARN; nil
	// means at random.
	NewSuffix func() string
}

// operations are what the service can do.
var operations = map[string]operation{
	"BatchGetSecretValue":      handle((*Server).batchGetSecretValue),
	"CancelRotateSecret":       handle((*Server).cancelRotateSecret),
	"CreateSecret":             handle((*Server).createSecret),
	"DeleteResourcePolicy":     handle((*Server).deleteResourcePolicy),
	"DeleteSecret":             handle((*Server).deleteSecret),
	"DescribeSecret":           handle((*Server).describeSecret),
	"GetRandomPassword":        handle((*Server).getRandomPassword),
	"GetResourcePolicy":        handle((*Server).getResourcePolicy),
	"GetSecretValue":           handle((*Server).getSecretValue),
	"ListSecretVersionIds":     handle((*Server).listSecretVersionIDs),
	"ListSecrets":              handle((*Server).listSecrets),
	"PutResourcePolicy":        handle((*Server).putResourcePolicy),
	"PutSecretValue":           handle((*Server).putSecretValue),
	"RestoreSecret":            handle((*Server).restoreSecret),
	"RotateSecret":             handle((*Server).rotateSecret),
	"TagResource":              handle((*Server).tagResource),
	"UntagResource":            handle((*Server).untagResource),
	"UpdateSecret":             handle((*Server).updateSecret),
	"UpdateSecretVersionStage": handle((*Server).updateSecretVersionStage),
	"ValidateResourcePolicy":   handle((*Server).validateResourcePolicy),
}

const (
	// maxBody is far above the largest request AWS takes: a value of 65,536
	// bytes with every character escaped. API Gateway refuses at 10 MB.
	maxBody = 1 << 20
	// timeout ends a request before API Gateway, which waits 29 seconds, does.
	timeout = 25 * time.Second

	jsonType = "application/x-amz-json-1.1"
)

// A request is what is known of a call while it is answered, and what is logged of it.
type request struct {
	id        string
	operation string
	// secret is the name or ID the caller gave.
	secret string
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	req := request{id: uuid.NewString()}
	out, err := s.answer(r, &req)
	status := write(w, req.id, out, err)
	s.log(r.Context(), req, status, time.Since(began), err)
}

// answer runs the operation asked for. A panic in it becomes an error.
func (s *Server) answer(r *http.Request, req *request) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	if r.Method != http.MethodPost || !isJSON(r.Header.Get("Content-Type")) {
		return nil, errNotJSON
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, secret.Errorf(secret.RequestEntityTooLarge, "The request is larger than %d bytes.", maxBody)
		}
		return nil, secret.Errorf(secret.Serialization, "The request body could not be read.")
	}
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")
	run, known := operations[name]
	req.operation = name
	if !ok || !known {
		return nil, secret.Errorf(secret.UnknownOperation, "")
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	return run(ctx, s, body, req)
}

// An operation decodes a request body, does what it asks, and notes in req which
// secret it is about.
type operation func(ctx context.Context, s *Server, body []byte, req *request) (any, error)

// handle makes an operation of a method.
func handle[In, Out any](method func(*Server, context.Context, In) (Out, error)) operation {
	shape := shapeOf[In]()
	return func(ctx context.Context, s *Server, body []byte, req *request) (any, error) {
		var in In
		violations, err := shape.decode(body, &in)
		if err != nil {
			return nil, err
		}
		req.secret = shape.subject(&in)
		if len(violations) > 0 {
			return nil, violations.error()
		}
		return method(s, ctx, in)
	}
}

// isJSON takes the content type of the protocol and its kin.
func isJSON(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(mediaType)) {
	case jsonType, "application/x-amz-json-1.0", "application/json":
		return true
	}
	return false
}

// write sends the answer and returns its status.
func write(w http.ResponseWriter, id string, out any, err error) int {
	w.Header().Set("X-Amzn-RequestId", id)
	status, body := http.StatusOK, []byte(nil)
	if err == nil {
		body, err = encode(out)
	}
	if errors.Is(err, errNotJSON) {
		http.Error(w, "<UnknownOperationException/>", http.StatusNotFound)
		return http.StatusNotFound
	}
	if err != nil {
		status, body = errorBody(err)
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // JSON, no page; and if the caller has gone there is nobody to tell
	return status
}

// encode writes JSON as it is for a program, not for a page: <, > and & stand for
// themselves. Escaped, they would make an answer six times its request.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (s *Server) log(ctx context.Context, req request, status int, took time.Duration, err error) {
	if s.Log == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", req.operation),
		slog.String("secret", req.secret),
		slog.Int("status", status),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("request", req.id),
	}
	level := slog.LevelInfo
	refusal, isRefusal := errors.AsType[secret.Error](err)
	switch {
	case isRefusal:
		attrs = append(attrs, slog.String("code", string(refusal.Code)))
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.Log.LogAttrs(ctx, level, "request", attrs...)
}

// now is the time of a request, to the millisecond that is stored.
func (s *Server) now() time.Time {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	return now().UTC().Truncate(time.Millisecond)
}
