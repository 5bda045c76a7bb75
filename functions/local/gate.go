package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/local"
)

// A reloadingGate lets callers through to the server of their Region, each so many times a second. Who they
// are and what they may do can change while it is in use.
type reloadingGate struct {
	local.Gate
	set     settings
	current atomic.Pointer[who]
}

func newReloadingGate(regions *regions, w who, set settings, log *slog.Logger) *reloadingGate {
	g := &reloadingGate{set: set}
	g.current.Store(&w)
	g.Gate = local.Gate{
		Bounds: local.NewBounds(api.MaxBody, log),
		Identify: func(r *http.Request, body []byte) (local.Identity, error) {
			return g.current.Load().identify(r, body)
		},
		Limiter: local.NewLimiter(set.rate, int(2*set.rate)),
		Log:     log,
		Answer: func(rw http.ResponseWriter, r *http.Request, by local.Identity) error {
			d, err := regions.called(r.Context(), by.Region)
			if err != nil {
				return err
			}
			server := *d.server
			server.Policies = g.current.Load().policies
			server.Answer(rw, r, uuid.NewString(), by.Caller)
			return nil
		},
	}
	return g
}

// reloadOnHangup reads the files of access keys and policies again whenever the
// process gets SIGHUP, which Windows does not have. The signal also comes when the
// terminal is closed: then the server stops, and ignores further ones.
func (g *reloadingGate) reloadOnHangup(ctx context.Context, stop func()) {
	if !g.set.reloads() {
		return
	}
	hadTerminal := isTerminal(os.Stderr)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		if hadTerminal && !isTerminal(os.Stderr) {
			stop()
			return
		}
		g.reload()
	}
}

// stopOnHangup stops a process that has nothing to reload when its terminal is closed.
// More than one SIGHUP may come then: the others are ignored.
func stopOnHangup(stop func()) {
	if signal.Ignored(syscall.SIGHUP) {
		return // by nohup, for a process that outlives its terminal
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		<-hangups
		stop()
	}()
}

// reload takes both files or, when one cannot be used, leaves both as they were.
func (g *reloadingGate) reload() {
	w, err := readWho(g.set)
	if err != nil {
		g.Log.Error("access keys and policies stay as they were: " + err.Error())
		return
	}
	g.current.Store(&w)
	g.Log.Info("access keys and policies were read again")
}
