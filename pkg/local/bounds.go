package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/strongroom/strongroom/pkg/bounds"
	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	// MaxConnections is how many connections a server keeps.
	MaxConnections = 128

	// freeBody is as much of each body as needs no room of the others: all of most.
	freeBody = 16 << 10
	// maxBodies is how many bytes of longer bodies are held at once.
	maxBodies = 24 << 20
	// maxWork is how many bytes calls may take while they are decided and answered:
	// each callCost and four times its body, for copies of it.
	maxWork  = 32 << 20
	callCost = 128 << 10
	// valueCost is for a value of 65,536 bytes whose answer escapes each of them.
	valueCost = 1 << 20
	// maxLists is how many calls run at once whose answers may have megabytes.
	maxLists = 2

	// sendTime is how long a client may take to send a body, and to take an answer.
	sendTime = 5 * time.Second
)

// Bounds keep the memory of a server within limits, whatever its clients send: so many
// connections, bytes of bodies, and calls at once. A request that finds no room waits
// for it, and is throttled after ten seconds. A client that keeps the others waiting,
// since it does not send its body or take its answer, is cut off after five.
type Bounds struct {
	maxBody             int64
	log                 *slog.Logger
	bodies, work, lists *semaphore.Weighted

	mu    sync.Mutex
	conns map[string]*connection // by remote address
	told  time.Time              // when it was last said that there are too many
}

type connection struct {
	net.Conn
	since time.Time // of its last request, or of its beginning
	busy  bool      // with a request that has arrived
}

// NewBounds makes bounds for requests with bodies of so many bytes.
func NewBounds(maxBody int64, log *slog.Logger) *Bounds {
	return &Bounds{
		maxBody: maxBody, log: log,
		bodies: semaphore.NewWeighted(maxBodies),
		work:   semaphore.NewWeighted(maxWork),
		lists:  semaphore.NewWeighted(maxLists),
		conns:  map[string]*connection{},
	}
}

// ConnState is that of an [http.Server]. A connection too many takes the place of the
// one that has waited longest for a request, so that nobody can occupy all.
func (b *Bounds) ConnState(conn net.Conn, state http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	address := conn.RemoteAddr().String()
	switch state {
	case http.StateNew:
		if len(b.conns) >= MaxConnections && !b.makePlace() {
			_ = conn.Close() // its client sees it
			return
		}
		b.conns[address] = &connection{Conn: conn, since: time.Now()}
	case http.StateIdle:
		if c := b.conns[address]; c != nil {
			c.since, c.busy = time.Now(), false
		}
	case http.StateClosed, http.StateHijacked:
		delete(b.conns, address)
	case http.StateActive: // with the first byte of a request, which proves nothing
	}
}

func (b *Bounds) makePlace() bool {
	if time.Since(b.told) > time.Minute {
		b.told = time.Now()
		b.log.Warn("too many connections; those that have waited longest for a request are closed",
			slog.Int("limit", MaxConnections))
	}
	longest, since := "", time.Now()
	for address, c := range b.conns {
		if !c.busy && c.since.Before(since) {
			longest, since = address, c.since
		}
	}
	if longest == "" {
		return false
	}
	_ = b.conns[longest].Close() // its client sees it
	delete(b.conns, longest)
	return true
}

func (b *Bounds) arrived(r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.conns[r.RemoteAddr]; c != nil {
		c.busy = true
	}
}

// enter reads the body of a request and finds room for the call, until leave.
func (b *Bounds) enter(w http.ResponseWriter, r *http.Request) (body []byte, leave func(), err error) {
	// Where there is no connection, as in tests, there are no deadlines.
	conn := http.NewResponseController(w)
	var room bounds.Room
	body, err = b.read(conn, r, &room)
	if err == nil {
		// A deadline that passes while the call runs would end it.
		_ = conn.SetReadDeadline(time.Time{})
		b.arrived(r)
		pool, n := b.costs(r, len(body))
		err = room.Take(r.Context(), pool, n)
	}
	return body, room.Leave, err
}

func (b *Bounds) read(conn *http.ResponseController, r *http.Request, room *bounds.Room) ([]byte, error) {
	if len(r.Header) > bounds.MaxHeaders {
		return nil, secret.Errorf(headersTooLarge, "The request has more than %d headers.", bounds.MaxHeaders)
	}
	if r.ContentLength > b.maxBody {
		return nil, b.tooLarge()
	}
	var body bytes.Buffer
	for left := sendTime; ; { // without the waiting for room, which is not the client's fault
		began := time.Now()
		_ = conn.SetReadDeadline(began.Add(left))
		n, err := io.CopyN(&body, r.Body, freeBody)
		left -= time.Since(began)
		switch {
		case int64(body.Len()) > b.maxBody:
			return nil, b.tooLarge()
		case errors.Is(err, io.EOF):
			return body.Bytes(), nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, secret.Errorf(requestTimeout, "The request body did not arrive within %s.", sendTime)
		case err != nil:
			return nil, secret.Errorf(secret.Serialization, "The request body could not be read.")
		}
		if err := b.grow(r.Context(), &body, r.ContentLength, n, room); err != nil {
			return nil, err
		}
	}
}

// grow finds room for more of a body, of which a piece was read, before there is memory
// for it. It takes no more than that where the length is known; a buffer that grows with
// the pieces takes twice as much.
func (b *Bounds) grow(ctx context.Context, body *bytes.Buffer, length, piece int64, room *bounds.Room) error {
	switch rest := length - int64(body.Len()); {
	case length < 0:
		return room.Take(ctx, b.bodies, 2*piece)
	case body.Len() > freeBody: // there is room for all
		return nil
	default:
		if err := room.Take(ctx, b.bodies, rest); err != nil {
			return err
		}
		body.Grow(int(rest) + bytes.MinRead)
		return nil
	}
}

func (b *Bounds) tooLarge() error {
	return secret.Errorf(secret.RequestEntityTooLarge, "The request is larger than %d bytes.", b.maxBody)
}

// costs is what room a call needs.
func (b *Bounds) costs(r *http.Request, body int) (*semaphore.Weighted, int64) {
	n := int64(callCost + 4*body)
	switch r.Header.Get("X-Amz-Target") {
	case "secretsmanager.BatchGetSecretValue", "secretsmanager.ListSecrets":
		return b.lists, 1
	case "secretsmanager.GetSecretValue":
		n += valueCost
	}
	return b.work, n
}
