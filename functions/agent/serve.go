package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/strongroom/strongroom/pkg/agent"
	"github.com/strongroom/strongroom/pkg/bounds"
)

const (
	// patience is how long requests under way may take when the agent ends: shorter than
	// what Kubernetes and ECS wait before they kill.
	patience = 25 * time.Second
	// idle is how long a connection is kept that nothing comes on.
	idle = 2 * time.Minute
)

// listeners are where the agent answers. Either may be nil.
type listeners struct {
	tcp, socket net.Listener
	path        string      // of the socket
	own         os.FileInfo // of the socket
}

func listen(ctx context.Context, set settings) (listeners, error) {
	var l listeners
	var err error
	if set.addr != "" {
		config := net.ListenConfig{Control: keepHere}
		if l.tcp, err = config.Listen(ctx, "tcp", set.addr); errors.Is(err, syscall.EADDRINUSE) {
			return l, fmt.Errorf("%s is taken by another program; stop it, or choose another address with --addr", set.addr)
		} else if err != nil {
			return l, fmt.Errorf("cannot answer on %s: %w", set.addr, err)
		}
	}
	if set.socket != "" {
		if l.socket, err = listenSocket(ctx, set.socket); err != nil {
			return l, errors.Join(fmt.Errorf("--socket: %w", err), l.close())
		}
		l.path = set.socket
		if l.own, err = os.Lstat(l.path); err != nil {
			return l, errors.Join(fmt.Errorf("--socket: %w", err), l.close())
		}
	}
	return l, nil
}

// listenSocket makes a socket for this user alone. It takes the place of one that a
// killed agent left, and of nothing else.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("%s is there and is no socket; choose another path", path)
		}
		if c, err := (&net.Dialer{}).DialContext(ctx, "unix", path); err == nil {
			return nil, errors.Join(fmt.Errorf("another program answers on %s; stop it, or choose another path", path), c.Close())
		}
	}
	// It is made where nobody else can reach it, and appears when its mode is right.
	folder, err := os.MkdirTemp(filepath.Dir(path), ".agent-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	made := filepath.Join(folder, "s")
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", made)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // by the name that it was made with
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l listeners) close() error {
	var errs []error
	if l.tcp != nil {
		errs = append(errs, l.tcp.Close())
	}
	if l.socket != nil {
		errs = append(errs, l.socket.Close(), l.removeSocket())
	}
	return errors.Join(errs...)
}

// removeSocket removes the socket, unless another agent's has taken its place.
func (l listeners) removeSocket() error {
	if now, err := os.Lstat(l.path); err != nil || !os.SameFile(now, l.own) {
		return nil
	}
	return os.Remove(l.path)
}

// A server is the agent behind its listeners.
type server struct {
	sdk    *agent.SDK
	getter *agent.Getter
	log    *slog.Logger
	url    string // of Strongroom
}

// running is a server that answers.
type running struct {
	servers   []*http.Server
	failed    chan error
	listeners listeners
}

func (s *server) start(l listeners) *running {
	r := &running{failed: make(chan error, 2), listeners: l}
	conns := &agent.Connections{Log: s.log}
	add := func(at net.Listener, h http.Handler) {
		if at == nil {
			return
		}
		one := &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: getFor + time.Minute, IdleTimeout: idle, MaxHeaderBytes: bounds.MaxHeaderBytes,
			ConnState: conns.Note, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		}
		r.servers = append(r.servers, one)
		go func() { r.failed <- one.Serve(at) }()
		s.log.Info("the agent answers", slog.String("at", at.Addr().Network()+" "+nameOf(at, l)), slog.String("endpoint", s.url), slog.Bool("anyCaller", s.sdk.AnyCaller))
	}
	add(l.tcp, agent.Handler(s.sdk, s.getter))
	add(l.socket, agent.SocketHandler(s.sdk, s.getter))
	return r
}

func nameOf(at net.Listener, l listeners) string {
	if at == l.socket {
		return l.path
	}
	return at.Addr().String()
}

// stop lets the requests under way end.
func (r *running) stop(wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	errs := make([]error, len(r.servers), len(r.servers)+1)
	var all sync.WaitGroup
	for i, one := range r.servers { // at once, so that none takes requests while another ends
		all.Go(func() {
			if err := one.Shutdown(ctx); err != nil {
				errs[i] = errors.Join(fmt.Errorf("requests under way took longer than %s and were cut off", wait), one.Close())
			}
		})
	}
	all.Wait()
	if r.listeners.path != "" {
		errs = append(errs, r.listeners.removeSocket())
	}
	return errors.Join(errs...)
}

// serve answers until the context ends.
func (s *server) serve(ctx context.Context, l listeners, wait time.Duration) error {
	r := s.start(l)
	select {
	case err := <-r.failed:
		return errors.Join(err, r.stop(0))
	case <-ctx.Done():
	}
	s.log.Info("the agent stops; requests under way may end", slog.Duration("within", wait))
	return r.stop(wait)
}

// serveExtension answers until Lambda ends the function's environment. It answers before
// it registers, since the function starts after that.
func (s *server) serveExtension(ctx context.Context, l listeners, e agent.Extension) error {
	r := s.start(l)
	deadline, err := e.Run(ctx)
	if err != nil {
		return errors.Join(err, r.stop(0))
	}
	return r.stop(max(time.Until(deadline)-100*time.Millisecond, 0))
}
