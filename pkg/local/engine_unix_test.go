//go:build !windows

package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

func (e *engine) pid() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.child.Pid
}

// kill kills the engine as hard as can be and waits until there is another.
func (e *engine) kill(t *testing.T) {
	t.Helper()
	pid := e.pid()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the engine is started again", func() bool { return e.pid() != pid })
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// patient is a client that retries for as long as the engine needs to come back.
func patient(e *Engines) *dynamodb.Client {
	return e.DynamoDB(func(o *dynamodb.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 200, 20*time.Millisecond, unlimited{}
		})
	})
}

// unlimited has no budget of retries.
type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestEngineIsStartedAgain(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	e := start(t, Options{Data: filepath.Join(t.TempDir(), "data"), Log: slog.New(slog.NewTextHandler(&log, nil))})
	db := patient(e)
	createTable(t, db)
	for round := range 5 {
		putItem(t, db, fmt.Sprint(round))
		e.engine.kill(t)
		for i := range round + 1 {
			wantItem(t, db, fmt.Sprint(i))
		}
	}
	if got := strings.Count(log.String(), "died and is started again"); got != 5 {
		t.Errorf("got %d warnings, want 5:\n%s", got, log.String())
	}
}

// A program that answers once and after that never starts is given up.
func TestEngineThatDiesAgainAndAgain(t *testing.T) {
	t.Parallel()
	program, err := findEngine("")
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken")
	script := filepath.Join(t.TempDir(), "engine")
	text := fmt.Sprintf("#!/bin/sh\nif [ -e %s ]; then echo out of order >&2; exit 7; fi\nexec %s \"$@\"\n", broken, program)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	e := start(t, Options{Engine: script, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(e.engine.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-e.Failed():
		if !strings.Contains(err.Error(), "out of order") {
			t.Errorf("got %v, want what the engine said last", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the engine is not given up")
	}
	if !strings.Contains(log.String(), "is not started any more") {
		t.Errorf("the log does not say so:\n%s", log.String())
	}
}

func TestEngineThatDoesNotStart(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	e := start(t, Options{Data: data})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{databaseFile, databaseFile + "-wal", databaseFile + "-shm"} {
		if err := os.WriteFile(filepath.Join(data, name), []byte("this is no database"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Start(t.Context(), Options{Data: data})
	if err == nil || !strings.Contains(err.Error(), "does not start: exit status 1: error: ") {
		t.Errorf("got %v, want what the engine said", err)
	}
	// What was half started has been put away.
	l, err := lockFolder(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.release(); err != nil {
		t.Error(err)
	}
}

// Where the system does not kill the engine with us, the engine holds the
// folder: here the locks of this process are let go while it still runs.
func TestOrphanHoldsTheFolder(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	e, err := Start(t.Context(), Options{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	pid := e.engine.pid()
	if err := e.lock.release(); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = lockFolder(ctx, data)
	inUse, ok := errors.AsType[*InUseError](err)
	if !ok || !inUse.Orphan || inUse.PID != pid {
		t.Errorf("got %v, want an engine with pid %d in the way", err, pid)
	}

	e.lock = nil
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := lockFolder(t.Context(), data)
	if err != nil {
		t.Fatalf("after the engine has gone: %v", err)
	}
	if err := l.release(); err != nil {
		t.Error(err)
	}
}

// Ctrl-C in a terminal goes to the process group of the server.
func TestEngineHasItsOwnProcessGroup(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	group, err := syscall.Getpgid(e.engine.pid())
	if err != nil {
		t.Fatal(err)
	}
	if group != e.engine.pid() {
		t.Errorf("process group of the engine: got %d, want its own, %d", group, e.engine.pid())
	}
}
