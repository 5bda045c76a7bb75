package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How often the engine may die, and how long the next start waits: the first
// at once, each further one within the window 10 ms longer. An engine that
// cannot start is given up after about three seconds.
const (
	deathLimit  = 20
	deathWindow = 30 * time.Second
	deathDelay  = 10 * time.Millisecond
)

// How long the engine may take to answer first, and to end when asked.
const (
	readyTimeout = 10 * time.Second
	closeTimeout = 4 * time.Second
)

type engineOptions struct {
	program  string
	database string       // "" keeps the data in memory
	guard    *os.File     // inherited by the engine; may be nil
	failed   chan<- error // gets one error when the engine is given up
	log      *slog.Logger
}

// engine is the DynamoDB engine: a child process, started again when it dies.
type engine struct {
	engineOptions
	port int
	url  string

	stop chan struct{} // closed by close
	done chan struct{} // closed when no child is left and none will be started

	mu       sync.Mutex
	child    *os.Process
	stopping bool
	ready    bool  // it has answered; from now on it is started again
	err      error // why it ended before that; set before done is closed
}

// startEngine returns when the engine answers.
func startEngine(ctx context.Context, o engineOptions) (*engine, error) {
	if o.database != "" {
		path, err := filepath.Abs(o.database) // a later start must find it, wherever we are then
		if err != nil {
			return nil, err
		}
		o.database = path
	}
	var err error
	for range 3 { // the port may be taken by another before the engine has it
		var port int
		if port, err = freePort(ctx); err != nil {
			return nil, fmt.Errorf("find a port for the DynamoDB engine: %w", err)
		}
		e := &engine{
			engineOptions: o,
			port:          port,
			url:           "http://127.0.0.1:" + strconv.Itoa(port),
			stop:          make(chan struct{}),
			done:          make(chan struct{}),
		}
		go e.supervise()
		if err = e.awaitReady(ctx); err == nil {
			return e, nil
		}
		err = errors.Join(err, e.close())
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("the DynamoDB engine %s does not start: %w", o.program, err)
}

// awaitReady polls until the engine answers anything, ends, or takes too long.
func (e *engine) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true} // and no proxy
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url, nil)
		if err != nil {
			return err
		}
		if answer, err := transport.RoundTrip(req); err == nil {
			_ = answer.Body.Close()
			return e.setReady()
		}
		select {
		case <-e.done:
			return e.setReady()
		case <-ctx.Done():
			return fmt.Errorf("no answer at %s: %w", e.url, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (e *engine) setReady() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ready = e.err == nil
	return e.err
}

// supervise keeps an engine alive until close. It stays on one thread, since
// the end of that thread is the end of the engine (see detach).
func (e *engine) supervise() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(e.done)
	var deaths []time.Time
	for {
		death := e.live()
		e.mu.Lock()
		stopping, ready := e.stopping, e.ready
		if !ready {
			e.err = death
		}
		e.mu.Unlock()
		if stopping || !ready {
			return
		}

		now := time.Now()
		for len(deaths) > 0 && now.Sub(deaths[0]) > deathWindow {
			deaths = deaths[1:]
		}
		delay := time.Duration(len(deaths)) * deathDelay
		if deaths = append(deaths, now); len(deaths) >= deathLimit {
			e.log.Error("the DynamoDB engine dies again and again and is not started any more: stop Strongroom, and start it when the cause is gone",
				"deaths", deathLimit, "within", deathWindow, "error", death)
			e.failed <- fmt.Errorf("the DynamoDB engine died %d times within %s: %w", deathLimit, deathWindow, death) // has room: once
			return
		}
		if e.database != "" {
			e.log.Warn("the DynamoDB engine died and is started again", "error", death)
		} else {
			e.log.Error("the DynamoDB engine died and is started again; its tables were in memory and are lost", "error", death)
		}
		select {
		case <-e.stop:
			return
		case <-time.After(delay):
		}
	}
}

// live starts the engine and returns when it has ended, with the reason.
func (e *engine) live() error {
	args := []string{"serve", "--host", "127.0.0.1", "--port", strconv.Itoa(e.port)}
	if e.database != "" {
		args = append(args, "--db-path", e.database)
	}
	cmd := exec.Command(e.program, args...) //nolint:gosec,noctx // the program is the user's choice; close ends it
	// Nothing of our environment is for the engine, credentials least of all.
	cmd.Env = []string{}
	var said tail
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	if e.guard != nil {
		cmd.ExtraFiles = []*os.File{e.guard}
	}
	detach(cmd)

	e.mu.Lock()
	if e.stopping {
		e.mu.Unlock()
		return errors.New("stopped")
	}
	err := cmd.Start()
	if err == nil {
		e.child = cmd.Process
	}
	e.mu.Unlock()
	if err != nil {
		return err
	}

	if err := adopt(cmd.Process); err != nil {
		e.log.Warn("the DynamoDB engine may stay behind if this process is killed", "error", err)
	}
	if e.guard != nil { // for the sentence of InUseError; the lock holds without it
		if e.guard.Truncate(0) == nil {
			_, _ = e.guard.WriteAt([]byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0)
		}
	}
	err = cmd.Wait()
	if err == nil {
		err = errors.New("exit status 0")
	}
	if last := said.String(); last != "" {
		err = fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// close ends the engine and returns when it is gone.
func (e *engine) close() error {
	e.mu.Lock()
	if !e.stopping {
		e.stopping = true
		close(e.stop)
	}
	child := e.child
	e.mu.Unlock()
	var err error
	if child != nil {
		err = terminate(child)
	}
	select {
	case <-e.done:
		return err
	case <-time.After(closeTimeout):
	}
	e.log.Warn("the DynamoDB engine does not end when asked and is killed")
	if err := child.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the DynamoDB engine: %w", err)
	}
	<-e.done
	return err
}

// freePort finds a loopback port for the engine, and keeps it from others
// until the engine has it: a connection whose listening side closed first
// leaves the port waiting for a minute, in which the system gives it to nobody
// who asks for any port, but does to a server that asks for this one.
func freePort(ctx context.Context) (port int, err error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	var dialer net.Dialer
	client, err := dialer.DialContext(ctx, "tcp4", l.Addr().String())
	if err != nil {
		return 0, err
	}
	server, err := l.Accept()
	if err != nil {
		return 0, errors.Join(err, client.Close())
	}
	err = server.Close()
	_, _ = io.Copy(io.Discard, client) // until the close has arrived
	return l.Addr().(*net.TCPAddr).Port, errors.Join(err, client.Close())
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

const tailSize = 1024

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if cut := len(t.b) - tailSize; cut > 0 {
		t.b = append(t.b[:0], t.b[cut:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(strings.ToValidUTF8(string(t.b), "?")) }
