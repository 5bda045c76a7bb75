package main

import (
	"context"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/policy"
)

// A reloadingGate lets callers through to the server, each so many times a second. Who they
// are and what they may do can change while it is in use.
type reloadingGate struct {
	local.Gate
	set     settings
	current atomic.Pointer[admission]
}

// An admission is who calls may come from, and the server under their policies.
type admission struct {
	identify local.Identify
	server   *api.Server
}

func newReloadingGate(server *api.Server, w who, set settings) *reloadingGate {
	g := &reloadingGate{set: set}
	g.current.Store(&admission{w.identify, server})
	g.Gate = local.Gate{
		Bounds: local.NewBounds(api.MaxBody, server.Log),
		Identify: func(r *http.Request, body []byte) (policy.Caller, error) {
			return g.current.Load().identify(r, body)
		},
		Limiter: local.NewLimiter(set.rate, int(2*set.rate)),
		Log:     server.Log,
		Answer: func(rw http.ResponseWriter, r *http.Request, caller policy.Caller) {
			g.current.Load().server.Answer(rw, r, uuid.NewString(), caller)
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
	server := *g.current.Load().server
	server.Policies = w.policies
	g.current.Store(&admission{w.identify, &server})
	g.Log.Info("access keys and policies were read again")
}
