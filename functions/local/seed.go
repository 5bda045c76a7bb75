package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
)

// readSeed reads a seed file, if there is one.
func readSeed(path string) ([]seedSecret, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // the file is the user's choice
	if err != nil {
		return nil, fmt.Errorf("--seed: %w", err)
	}
	secrets, err := parseSeed(text)
	if err != nil {
		return nil, fmt.Errorf("--seed: %s: %w", path, err)
	}
	return secrets, nil
}

// seed puts secrets in place: those that are missing are created, those with another
// value get a new version, and others stay as they are. It says how many of each, and
// on a terminal also how far it is. The calls are recorded like any others.
//
// When ctx ends, seed completes the secret under way: a call that is cut off would be
// logged and recorded as a failure of the server.
func seed(ctx context.Context, server *api.Server, path string, secrets []seedSecret, out io.Writer) error {
	if path == "" {
		return nil
	}
	if len(secrets) == 0 {
		server.Log.Warn("the seed file holds no secrets", slog.String("file", path))
		return nil
	}
	server.Log.Info("seeding", slog.Int("secrets", len(secrets)))
	tell, end := seedProgress(out, isTerminal(out), len(secrets))
	defer end()
	s := newSeeder(server)
	var count [3]int
	for i, wanted := range secrets {
		if ctx.Err() != nil {
			return fmt.Errorf("--seed: stopped after %d of %d secrets; start again to go on", i, len(secrets))
		}
		did, err := s.put(context.WithoutCancel(ctx), wanted)
		if err != nil {
			return fmt.Errorf("--seed: secret %q: %w", wanted.Name, err)
		}
		count[did]++
		tell(i + 1)
	}
	end()
	server.Log.Info("seeded", slog.Int("created", count[created]), slog.Int("changed", count[changed]), slog.Int("unchanged", count[unchanged]))
	return nil
}

// seedProgress writes a line on a terminal that grows in its place, until its end.
func seedProgress(out io.Writer, terminal bool, of int) (tell func(done int), end func()) {
	if !terminal {
		return func(int) {}, func() {}
	}
	tell = func(done int) { _, _ = fmt.Fprintf(out, "\rsecrets seeded: %d of %d", done, of) }
	return tell, sync.OnceFunc(func() { _, _ = fmt.Fprintln(out) })
}

// What was done to a secret.
const (
	unchanged = iota
	created
	changed
)

// A seeder calls the server in this process.
type seeder struct {
	server api.Server
	caller policy.Caller
}

// newSeeder makes a caller that principal policies do not concern: the operator
// chooses those as well. Only its errors are logged, since there are many calls.
func newSeeder(server *api.Server) *seeder {
	s := &seeder{server: *server, caller: policy.Caller{
		ARN:       "arn:aws:iam::" + server.ARNs.Account + ":user/strongroom-seed",
		Account:   server.ARNs.Account,
		UserID:    "strongroom-seed",
		SourceIP:  "127.0.0.1",
		Secure:    true,
		UserAgent: "strongroom --seed",
	}}
	s.server.Policies = policy.AllowAll()
	s.server.Log = slog.New(errorsOnly{server.Log.Handler()})
	return s
}

func (s *seeder) put(ctx context.Context, wanted seedSecret) (did int, err error) {
	var is struct {
		SecretString *string
		SecretBinary []byte
	}
	err = s.call(ctx, "GetSecretValue", map[string]string{"SecretId": wanted.Name}, &is)
	switch {
	case hasCode(err, secret.ResourceNotFound):
		wanted.ClientRequestToken = uuid.NewString()
		err = s.call(ctx, "CreateSecret", wanted, nil)
		if !hasCode(err, secret.ResourceExists) {
			return created, err
		}
		// It exists without a value.
	case err != nil:
		return 0, err
	case wanted.isValue(is.SecretString, is.SecretBinary):
		return unchanged, nil
	}
	version := map[string]any{"SecretId": wanted.Name, "ClientRequestToken": uuid.NewString()}
	if wanted.SecretString != nil {
		version["SecretString"] = *wanted.SecretString
	} else {
		version["SecretBinary"] = wanted.SecretBinary
	}
	return changed, s.call(ctx, "PutSecretValue", version, nil)
}

func hasCode(err error, code secret.Code) bool {
	refused, ok := errors.AsType[secret.Error](err)
	return ok && refused.Code == code
}

// call makes one call of the protocol. A refusal is a [secret.Error].
func (s *seeder) call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	answer := response{header: http.Header{}}
	s.server.Answer(&answer, r, uuid.NewString(), s.caller)
	if answer.status == http.StatusOK {
		if out == nil {
			return nil
		}
		return json.Unmarshal(answer.body.Bytes(), out)
	}
	var refused struct {
		Type    string `json:"__type"`
		Message string
	}
	if err := json.Unmarshal(answer.body.Bytes(), &refused); err != nil {
		return fmt.Errorf("%s was answered with status %d", operation, answer.status)
	}
	return secret.Error{Code: secret.Code(refused.Type), Message: refused.Message}
}

// A response keeps what the server answers.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *response) Header() http.Header                { return r.header }
func (r *response) WriteHeader(status int)             { r.status = status }
func (r *response) Write(text []byte) (n int, _ error) { return r.body.Write(text) }

// errorsOnly is a log that leaves out what went well and what was refused.
type errorsOnly struct{ slog.Handler }

// Enabled takes errors.
func (errorsOnly) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
