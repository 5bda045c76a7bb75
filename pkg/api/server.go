// Package api speaks the protocol of AWS Secrets Manager: JSON 1.1 over POST,
// the operation in the header X-Amz-Target.
//
// Each operation is a file that reads from top to bottom: what comes in, what
// goes out, and the method between them. What comes in is checked against the
// limits of the service model before an operation sees it; the rules of state
// are in package secret.
//
// Whether the caller may make a call is decided before they learn whether the secret
// exists, and anew for every state of it that a change is decided on. Each call
// leaves a record before it is answered. A caller who hangs up ends a read, and a
// change that is not decided yet; any other change runs to its end, so that its record
// says what came of it.
//
// A request never ends in a panic, and no log line, no record and no error holds a
// value.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/policy"
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
	// DatePatience is how long a read waits for its date of access to be noted, when
	// the read itself was shorter; zero means 20 ms.
	DatePatience time.Duration
	// AnswerStep is what the time of an answer is a multiple of where it could tell a
	// caller of secrets that they may not see: a denial, and a list of those who may not
	// see all secrets. It should be longer than two reads take; zero means 50 ms.
	AnswerStep time.Duration
	// Rotator runs rotations; without one, all are left to the schedule.
	Rotator Rotator
	// Replicates says whether secrets may be replicated to a Region; nil for to none.
	Replicates func(region string) bool
	// Policies say who may do what, besides the policies on the secrets; nil allows
	// nobody anything.
	Policies *policy.Set
	// Resources remembers the policies on secrets.
	Resources *policy.Cache
	// Trail keeps the record of each call; nil keeps none. AuditRequired fails a call
	// whose record cannot be kept.
	Trail         audit.Trail
	AuditRequired bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// NewSuffix makes the six characters at the end of a new secret's ARN; nil
	// means at random.
	NewSuffix func() string
}

// operations are what the service can do, and what the right to each is about.
var operations = map[string]operation{
	"BatchGetSecretValue":          handle(onAny, (*call).batchGetSecretValue),
	"CancelRotateSecret":           handle(onSecret, (*call).cancelRotateSecret),
	"CreateSecret":                 handle(onNew, (*call).createSecret),
	"DeleteResourcePolicy":         handle(onSecret, (*call).deleteResourcePolicy),
	"DeleteSecret":                 handle(onSecret, (*call).deleteSecret),
	"DescribeSecret":               handle(onSecret, (*call).describeSecret),
	"GetRandomPassword":            handle(onAny, (*call).getRandomPassword),
	"GetResourcePolicy":            handle(onSecret, (*call).getResourcePolicy),
	"GetSecretValue":               handle(onSecret, (*call).getSecretValue),
	"ListSecretVersionIds":         handle(onSecret, (*call).listSecretVersionIDs),
	"ListSecrets":                  handle(onAny, (*call).listSecrets),
	"PutResourcePolicy":            handle(onSecret, (*call).putResourcePolicy),
	"PutSecretValue":               handle(onSecret, (*call).putSecretValue),
	"RemoveRegionsFromReplication": handle(onSecret, (*call).removeRegionsFromReplication),
	"ReplicateSecretToRegions":     handle(onSecret, (*call).replicateSecretToRegions),
	"RestoreSecret":                handle(onSecret, (*call).restoreSecret),
	"RotateSecret":                 handle(onSecret, (*call).rotateSecret),
	stopReplication:                handle(onSecret, (*call).stopReplicationToReplica),
	"TagResource":                  handle(onSecret, (*call).tagResource),
	"UntagResource":                handle(onSecret, (*call).untagResource),
	"UpdateSecret":                 handle(onSecret, (*call).updateSecret),
	"UpdateSecretVersionStage":     handle(onSecret, (*call).updateSecretVersionStage),
	"ValidateResourcePolicy":       handle(onSecret, (*call).validateResourcePolicy),
}

// stopReplication is the one operation that changes a replica.
const stopReplication = "StopReplicationToReplica"

// MaxBody is how many bytes the body of a request may have: a value of 65,536 bytes
// takes 393,216 with every character escaped. API Gateway refuses at 10 MB.
const MaxBody = 512 << 10

const (
	// timeout ends a request before API Gateway, which waits 29 seconds, does.
	timeout = 24 * time.Second

	jsonType = "application/x-amz-json-1.1"
)

// Answer answers one call. The caller is as the authentication in front has found;
// id is the name of the request, theirs if they have one.
func (s *Server) Answer(w http.ResponseWriter, r *http.Request, id string, caller policy.Caller) {
	began := time.Now()
	c := s.newCall(id, caller)
	out, err := c.answer(r)
	if lost := c.keepRecord(r.Context(), out, err); lost != nil {
		out, err = nil, lost
	}
	status, contentType, body := encoded(out, err)
	c.log(r.Context(), status, time.Since(began), err)
	c.pace(r.Context())
	w.Header().Set("X-Amzn-RequestId", id)
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // it fails only when the caller is gone
}

// answer runs the operation asked for. A panic in it becomes an error.
func (c *call) answer(r *http.Request) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	if r.Method != http.MethodPost || !isJSON(r.Header.Get("Content-Type")) {
		return nil, errNotJSON
	}
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")
	if c.operation = name; !known.MatchString(name) { // a caller may send anything
		c.operation = "UnknownOperation"
	}
	c.at = c.server.clock()
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	c.invocation = r.Header.Get("Amz-Sdk-Invocation-Id")
	c.again = c.invocation != "" && !isFirstTry(r.Header.Get("Amz-Sdk-Request"))
	run, found := operations[name]
	if !ok || !found {
		return nil, secret.Errorf(secret.UnknownOperation, "")
	}
	ctx, cancel := c.deadline(r.Context())
	defer cancel()
	out, err = run(ctx, c, body)
	switch {
	case err == nil && !c.decided:
		return nil, errUndecided
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil && !isUncertain(err):
		return nil, errHungUp
	}
	return out, err
}

// readBody reads a body that is not too large. One that says so itself is not read.
func readBody(r *http.Request) ([]byte, error) {
	var body bytes.Buffer
	if r.ContentLength <= MaxBody {
		body.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead)
		if _, err := body.ReadFrom(io.LimitReader(r.Body, MaxBody+1)); err != nil {
			return nil, secret.Errorf(secret.Serialization, "The request body could not be read.")
		}
	}
	if r.ContentLength > MaxBody || body.Len() > MaxBody {
		return nil, secret.Errorf(secret.RequestEntityTooLarge, "The request is larger than %d bytes.", MaxBody)
	}
	return body.Bytes(), nil
}

// deadline is the context of an operation: it ends when the time of a call or of the
// Lambda invocation does. That of a change does not end with the caller's connection.
func (c *call) deadline(caller context.Context) (context.Context, context.CancelFunc) {
	c.hungUp = caller.Err
	if audit.IsReadOnly(c.operation) {
		return context.WithTimeout(caller, timeout)
	}
	end := time.Now().Add(timeout)
	if invocation, ok := caller.Deadline(); ok && invocation.Before(end) {
		end = invocation
	}
	return context.WithDeadline(context.WithoutCancel(caller), end)
}

// keepRecord keeps the record of a call of the protocol. Its error is that of a call
// that must not be answered without.
func (c *call) keepRecord(ctx context.Context, out any, err error) error {
	if errors.Is(err, errNotJSON) {
		return nil
	}
	lost := c.keep(ctx, out, err)
	if lost == nil {
		return nil
	}
	if c.server.AuditRequired {
		lost = fmt.Errorf("the audit record is not kept: %w", lost)
		if _, isRefusal := errors.AsType[secret.Error](err); isRefusal {
			return lost
		}
		return errors.Join(lost, err)
	}
	if c.server.Log != nil {
		c.server.Log.ErrorContext(ctx, "the audit record is not kept", slog.String("request", c.id), slog.String("error", lost.Error()))
	}
	return nil
}

// isFirstTry reads what SDKs send with each try of a call: attempt=1; max=3.
func isFirstTry(header string) bool {
	attempt, _, _ := strings.Cut(header, ";")
	return attempt == "attempt=1"
}

// An operation decodes a request body, and does what it asks.
type operation func(ctx context.Context, c *call, body []byte) (any, error)

// handle makes an operation of a method, and of what the right to it is about.
func handle[In, Out any](about right, method func(*call, context.Context, In) (Out, error)) operation {
	shape := shapeOf[In]()
	return func(ctx context.Context, c *call, body []byte) (any, error) {
		var in In
		violations, err := shape.decode(body, &in)
		c.asked(shape, &in) // as far as it was read: the record of a refusal names the secret
		if err != nil {
			return nil, err
		}
		c.nameCommit()
		if len(violations) > 0 {
			return nil, violations.error()
		}
		if about == onAny {
			if err := c.authorizeAny(c.operation); err != nil {
				return nil, err
			}
		}
		return method(c, ctx, in)
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

// encoded is the answer as it is sent.
func encoded(out any, err error) (status int, contentType string, body []byte) {
	status = http.StatusOK
	if err == nil {
		body, err = encode(out)
	}
	if errors.Is(err, errNotJSON) {
		return http.StatusNotFound, "text/plain; charset=utf-8", []byte("<UnknownOperationException/>\n")
	}
	if err != nil {
		status, body = errorBody(err)
	}
	return status, jsonType, body
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

// maxLogged is how many bytes the log shows of the name of a secret. No secret has a longer
// one, and a request may.
const maxLogged = 2048

func (c *call) log(ctx context.Context, status int, took time.Duration, err error) {
	if c.server.Log == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", c.operation),
		slog.String("secret", c.named[:min(len(c.named), maxLogged)]),
		slog.Int("status", status),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("caller", c.caller.ARN),
		slog.String("request", c.id),
	}
	level := slog.LevelInfo
	refusal, isRefusal := errors.AsType[secret.Error](err)
	switch {
	case isRefusal:
		attrs = append(attrs, slog.String("code", string(refusal.Code)))
		if refusal.Code == secret.MalformedPolicyDocument { // whose own text says little
			attrs = append(attrs, slog.String("reason", strings.TrimSuffix(err.Error(), ": "+refusal.Error())))
		}
	case err != nil:
		level = slog.LevelWarn // too much at once
		if status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	if denial := c.denial(); denial != "" {
		attrs = append(attrs, slog.String("denied", denial))
	}
	c.server.Log.LogAttrs(ctx, level, "request", attrs...)
}

// clock is the time, to the millisecond that is stored.
func (s *Server) clock() time.Time {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	return now().UTC().Truncate(time.Millisecond)
}
