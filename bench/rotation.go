package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	functionARN = "arn:aws:lambda:us-east-1:000000000000:function:bench"
	// rotationLimit is longer than the server waits before it looks for due rotations.
	rotationLimit = time.Minute
)

// An event is what Lambda gives a rotation function.
type event struct {
	Step               string
	SecretId           string
	ClientRequestToken string
	RotationToken      string
}

// A function is a rotation function behind Lambda's Invoke. It calls the server as
// the AWS templates do, and has no database to change.
type function struct {
	url    string
	server *target // set before the first invocation

	mu      sync.Mutex
	waiting map[string]chan error // by version
	current map[string]string     // versions that rotations made current, by secret name
}

// serveFunction serves a rotation function until the context ends.
func serveFunction(ctx context.Context) (*function, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &function{
		url:     "http://" + listener.Addr().String(),
		waiting: map[string]chan error{},
		current: map[string]string{},
	}
	server := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }() // rotations fail if it ends early
	return f, nil
}

// ServeHTTP answers POST /2015-03-31/functions/<name>/invocations.
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func (f *function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Amz-Invocation-Type") == "DryRun" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var e event
	err := json.NewDecoder(r.Body).Decode(&e)
	if err == nil {
		err = f.step(r.Context(), e)
	}
	w.Header().Set("Content-Type", "application/json")
	if err == nil {
		_, _ = w.Write([]byte("null")) // the server sees a lost answer
		return
	}
	f.end(e.ClientRequestToken, fmt.Errorf("%s: %w", e.Step, err))
	w.Header().Set("X-Amz-Function-Error", "Unhandled")
	_, _ = w.Write([]byte(`{"errorType":"Error","errorMessage":"the step failed"}`))
}

// step does one step. A step may run twice.
func (f *function) step(ctx context.Context, e event) error {
	switch e.Step {
	case "createSecret":
		return f.createSecret(ctx, e)
	case "setSecret", "testSecret":
		_, err := f.call(ctx, "GetSecretValue", map[string]any{"SecretId": e.SecretId, "VersionId": e.ClientRequestToken, "VersionStage": "AWSPENDING"})
		return err
	case "finishSecret":
		return f.finishSecret(ctx, e)
	}
	return fmt.Errorf("%q is no step of a rotation", e.Step)
}

func (f *function) createSecret(ctx context.Context, e event) error {
	now, err := f.call(ctx, "GetSecretValue", map[string]any{"SecretId": e.SecretId, "VersionStage": "AWSCURRENT"})
	if err != nil {
		return err
	}
	_, err = f.call(ctx, "PutSecretValue", map[string]any{
		"SecretId":           e.SecretId,
		"ClientRequestToken": e.ClientRequestToken,
		"SecretString":       now.SecretString,
		"VersionStages":      []string{"AWSPENDING"},
		"RotationToken":      e.RotationToken,
	})
	return err
}

func (f *function) finishSecret(ctx context.Context, e event) error {
	secret, err := f.call(ctx, "DescribeSecret", map[string]any{"SecretId": e.SecretId})
	if err != nil {
		return err
	}
	if current := secret.current(); current != e.ClientRequestToken {
		_, err = f.call(ctx, "UpdateSecretVersionStage", map[string]any{
			"SecretId":            e.SecretId,
			"VersionStage":        "AWSCURRENT",
			"MoveToVersionId":     e.ClientRequestToken,
			"RemoveFromVersionId": current,
		})
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.current[secret.Name] = e.ClientRequestToken
	f.mu.Unlock()
	f.end(e.ClientRequestToken, nil)
	return nil
}

// An answer has the members that the function needs, of any operation.
type answer struct {
	Name               string
	SecretString       string
	VersionIdsToStages map[string][]string
}

// current is the version that has AWSCURRENT.
func (a answer) current() string {
	for version, labels := range a.VersionIdsToStages {
		if slices.Contains(labels, "AWSCURRENT") {
			return version
		}
	}
	return ""
}

func (f *function) call(ctx context.Context, operation string, in map[string]any) (out answer, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	text, err := f.server.post(ctx, "/", operation, body)
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(text, &out)
}

// expect returns a channel for the end of the rotation that makes a version.
func (f *function) expect(version string) <-chan error {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := make(chan error, 1)
	f.waiting[version] = end
	return end
}

// end tells who waits for a version, once.
func (f *function) end(version string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end, ok := f.waiting[version]; ok {
		delete(f.waiting, version)
		end <- err
	}
}

// rotate rotates a secret and waits until the new version is the current one.
func (b *bench) rotate(ctx context.Context, _, _ int) error {
	name, token := <-b.rested, newToken()
	end := b.function.expect(token)
	in := `{"SecretId":"` + name + `","ClientRequestToken":"` + token + `","RotationLambdaARN":"` + functionARN + `","RotateImmediately":true}`
	if _, err := b.server.post(ctx, "/", "RotateSecret", []byte(in)); err != nil {
		return err
	}
	select {
	case err := <-end:
		b.rested <- name
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rotationLimit):
		return fmt.Errorf("the rotation of %s did not end within %s", name, rotationLimit)
	}
}

// checkRotations checks that what was rotated is current, outside of what is timed.
func (b *bench) checkRotations(ctx context.Context) error {
	b.function.mu.Lock()
	rotated := b.function.current
	b.function.current = map[string]string{}
	b.function.mu.Unlock()
	var wrong []string
	for name, version := range rotated {
		secret, err := b.function.call(ctx, "DescribeSecret", map[string]any{"SecretId": name})
		if err != nil {
			return err
		}
		if secret.current() != version {
			wrong = append(wrong, name)
		}
	}
	if len(wrong) > 0 {
		return errors.New("the version of a rotation that ended is not current: " + strings.Join(wrong, ", "))
	}
	return nil
}
