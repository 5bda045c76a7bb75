package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/strongroom/strongroom/pkg/bounds"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/loopback"
)

const (
	// patience is how long requests under way may take when the server stops, and settle
	// how long a new connection may take to send one.
	patience = 5 * time.Second
	settle   = 500 * time.Millisecond

	// headerTime is how long a client may take to send the head of a request, idleTime
	// how long a connection stays without one, and callTime is longer than any call
	// takes. [local.Bounds] has the time limits of bodies and answers.
	headerTime = 5 * time.Second
	idleTime   = 2 * time.Minute
	callTime   = time.Minute
)

// serve answers until it is interrupted. It reads files and listens before it starts
// anything, so that a mistake costs nothing, and answers when everything is ready.
func serve(ctx context.Context, stop func(), set settings, out io.Writer, log *slog.Logger) error {
	who, err := readWho(set)
	if err != nil {
		return err
	}
	secrets, err := readSeed(set.seed)
	if err != nil {
		return err
	}
	if err := (urlFile{path: set.urlFile}).check(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", set.addr)
	if err != nil {
		return cannotListen(set.addr, err)
	}
	defer func() { _ = listener.Close() }() // closed by the server before
	s, err := startService(ctx, set, log)
	if err != nil {
		return err
	}
	gate := newReloadingGate(s.regions, who, set, log)
	go gate.reloadOnHangup(ctx, stop)
	go stopWithParent(ctx, stop, set.parent, log)
	// Only now is it certain that no other server has the address or the data, and
	// so the URL that may be in the file.
	file := urlFile{path: set.urlFile, url: urlOf(listener.Addr())}
	if err := file.claim(); err != nil {
		return errors.Join(err, s.close())
	}
	home, err := s.home(ctx)
	if err == nil {
		err = seed(ctx, home.server, set.seed, secrets, out)
	}
	if err != nil {
		return errors.Join(err, s.close())
	}
	wait := s.background(ctx)
	err = file.write()
	if err == nil {
		greet(out, listener.Addr(), file.url, set)
		err = answer(ctx, stop, listener, front(gate, set), gate.Bounds, file, log)
	}
	stop()
	wait()
	return errors.Join(err, s.close())
}

// A service is what answers and works behind the listener.
type service struct {
	*regions
	trail   trail
	running sync.WaitGroup
}

// startService opens the Region of --region and all others that have data.
func startService(ctx context.Context, set settings, log *slog.Logger) (_ *service, err error) {
	regions, err := startRegions(ctx, set, log)
	if err != nil {
		return nil, err
	}
	trail, err := openTrail(set.audit)
	if err != nil {
		return nil, errors.Join(err, regions.close())
	}
	s := &service{regions: regions, trail: trail}
	regions.trail = trail
	regions.equip = func(d *deployment) {
		d.rotator = newRotator(ctx, regions.engines, d.server)
		d.server.Rotator = d.rotator
	}
	if _, err = s.home(ctx); err == nil {
		_, err = s.found(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// background prunes, rotates and replicates in each Region until the context ends, and returns how to
// wait for the end of all.
func (s *service) background(ctx context.Context) (wait func()) {
	s.opening.Lock()
	defer s.opening.Unlock()
	s.begin = func(d *deployment) {
		s.running.Go(func() { pruneNowAndThen(ctx, d.server) })
		s.running.Go(func() { rotateNowAndThen(ctx, d.rotator) })
		s.running.Go(func() { s.replicateNowAndThen(ctx, d) })
	}
	for _, d := range s.all() {
		s.begin(d)
	}
	return func() {
		s.opening.Lock()
		s.begin = nil
		s.opening.Unlock()
		s.running.Wait()
		for _, d := range s.all() {
			d.rotator.Wait()
		}
	}
}

func (s *service) close() error { return errors.Join(s.regions.close(), s.trail.Close()) }

// front is what a request meets first.
func front(gate http.Handler, set settings) http.Handler {
	if set.isLoopback() {
		return loopback.Only(withHealth(gate))
	}
	return loopback.NoBrowsers(withHealth(gate))
}

// answer answers until the first interrupt, and then removes the URL file and lets the
// requests under way end. A second interrupt ends the process.
func answer(ctx context.Context, stop func(), listener net.Listener, handler http.Handler, conns *local.Bounds, file urlFile, log *slog.Logger) error {
	requests := &counter{next: handler}
	server := &http.Server{
		Handler: requests, ConnState: conns.ConnState, MaxHeaderBytes: bounds.MaxHeaderBytes,
		ReadHeaderTimeout: headerTime, ReadTimeout: 2 * headerTime, WriteTimeout: callTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return errors.Join(err, file.remove())
	case <-ctx.Done():
	}
	removed := file.remove()
	stop()
	log.Info(fmt.Sprintf("stopping; requests under way (%d) may take %s; Ctrl-C again ends it at once", requests.underWay.Load(), patience))
	return errors.Join(removed, shutdown(server, requests))
}

// shutdown lets the requests under way end. A connection on which no request has come
// for a moment is closed: a client may hold some ready.
func shutdown(server *http.Server, requests *counter) error {
	for _, wait := range []time.Duration{settle, patience - settle} {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		err := server.Shutdown(ctx)
		cancel()
		if err == nil {
			return nil
		}
		if requests.underWay.Load() == 0 {
			return server.Close()
		}
	}
	return errors.Join(fmt.Errorf("requests under way (%d) took longer than %s and were cut off", requests.underWay.Load(), patience), server.Close())
}

// A counter knows how many requests are under way.
type counter struct {
	next     http.Handler
	underWay atomic.Int64
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.underWay.Add(1)
	defer c.underWay.Add(-1)
	c.next.ServeHTTP(w, r)
}

func cannotListen(addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken by another program; stop it, or choose another address with --addr", addr)
	}
	return fmt.Errorf("cannot answer on %s: %w", addr, err)
}
