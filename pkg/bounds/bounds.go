// Package bounds is what the local server and the agent hold their memory within limits
// with, whatever clients send. How much there is of what, they decide themselves.
package bounds

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	// MaxHeaderBytes has a server take 10,240 bytes of request line and headers, as API
	// Gateway does: net/http adds 4,096.
	MaxHeaderBytes = 10_240 - 4_096
	// MaxHeaders is how many headers there may be. Many small ones take ten times their
	// size, and all are read before they are counted.
	MaxHeaders = 100
	// Wait is how long a request waits for room before it is throttled.
	Wait = 10 * time.Second
)

// ErrNoRoom is the refusal of a request that would take a server past its bounds.
var ErrNoRoom = secret.Errorf(secret.Throttling, "Rate exceeded")

// A Room is what one request holds of what all share. The zero Room holds nothing.
type Room struct{ held []func() }

// Take waits for room until the context ends, and for [Wait] at most; then it returns
// [ErrNoRoom].
func (r *Room) Take(ctx context.Context, of *semaphore.Weighted, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, Wait)
	defer cancel()
	if of.Acquire(ctx, n) != nil {
		return ErrNoRoom
	}
	r.held = append(r.held, func() { of.Release(n) })
	return nil
}

// Leave gives all of it back.
func (r *Room) Leave() {
	for _, release := range r.held {
		release()
	}
}

// A Prompt writer gives its client little time to take the answer. The deadline stays
// with the connection until the next answer, or until WriteTimeout of the server, if it
// has one, sets that of the next request.
type Prompt struct {
	http.ResponseWriter
	Within time.Duration
}

// WriteHeader begins the answer.
func (p Prompt) WriteHeader(status int) {
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(p.Within))
	p.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (p Prompt) Unwrap() http.ResponseWriter { return p.ResponseWriter }
