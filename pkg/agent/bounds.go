package agent

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/strongroom/strongroom/pkg/bounds"
	"github.com/strongroom/strongroom/pkg/refusal"
	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	// maxConnections is how many connections are kept, above the most GET requests at a time.
	maxConnections = 1024

	// maxBody is the largest request that the service takes.
	maxBody = 512 << 10
	// freeBody is as much of a body as needs no room of the others: all of most.
	freeBody = 16 << 10
	// maxBodies is how many bytes of longer bodies are held at once.
	maxBodies = 16 << 20

	// atOnce is how many requests of SDKs are with Strongroom at a time.
	atOnce = 128
	// maxAnswer is above the largest answer that Lambda gives.
	maxAnswer = 6 << 20
	// freeAnswer is as much of an answer as needs no room of the others: all of most.
	freeAnswer = 64 << 10
	// maxAnswers is how many bytes of longer answers are held at once.
	maxAnswers = 4 * maxAnswer
	// fetchesAtOnce is how many requests of the cache are with Strongroom at a time, and
	// maxFetched how long an answer to one may be: a value of 65,536 bytes has six times
	// that when each of its bytes is escaped.
	fetchesAtOnce, maxFetched = 32, 1 << 20

	// sendTime is how long a client may take to send a body, and to take an answer.
	sendTime = 10 * time.Second
)

// A hall is the memory that requests of SDKs share.
type hall struct{ bodies, calls, answers *semaphore.Weighted }

func newHall() hall {
	return hall{semaphore.NewWeighted(maxBodies), semaphore.NewWeighted(atOnce), semaphore.NewWeighted(maxAnswers)}
}

// readBody reads a request. A body that is not announced with its length takes the room
// of the largest.
func (h hall) readBody(w http.ResponseWriter, r *http.Request, room *bounds.Room) ([]byte, error) {
	size := r.ContentLength
	switch {
	case size > maxBody:
		return nil, errTooLarge
	case size < 0:
		size = maxBody
	}
	if size > freeBody {
		if err := room.Take(r.Context(), h.bodies, size); err != nil {
			return nil, err
		}
	}
	// A connection is all that has deadlines. One that passes while the call runs would end it.
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(sendTime))
	var body bytes.Buffer
	body.Grow(int(size) + bytes.MinRead)
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, errTooLarge
		}
		return nil, secret.Errorf(secret.Serialization, "The request body could not be read.")
	}
	_ = conn.SetReadDeadline(time.Time{})
	return body.Bytes(), nil
}

var errTooLarge = secret.Errorf(secret.RequestEntityTooLarge, "The request is larger than %d bytes.", maxBody)

// readAnswer reads the whole of an answer, before a part goes out: SDKs try again after a
// 502, and not all do after half an answer.
func (h hall) readAnswer(res *http.Response, room *bounds.Room) ([]byte, error) {
	var answer bytes.Buffer
	switch n, err := io.CopyN(&answer, res.Body, freeAnswer+1); {
	case errors.Is(err, io.EOF):
		return answer.Bytes(), nil
	case err != nil:
		return answer.Bytes()[:n], err
	}
	size := int64(maxAnswer)
	if res.ContentLength >= 0 {
		size = min(size, res.ContentLength)
	}
	if err := room.Take(res.Request.Context(), h.answers, size); err != nil {
		return nil, err
	}
	answer.Grow(int(size) - answer.Len() + bytes.MinRead)
	if _, err := answer.ReadFrom(io.LimitReader(res.Body, maxAnswer+1-int64(answer.Len()))); err != nil {
		return nil, err
	}
	if answer.Len() > maxAnswer {
		return nil, errAnswerTooLarge
	}
	return answer.Bytes(), nil
}

var errAnswerTooLarge = errors.New("the answer is larger than what a Strongroom gives")

// bounded refuses what has too many headers, and cuts off a client that does not take
// its answer.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header) > bounds.MaxHeaders {
			refusal.Write(w, http.StatusRequestHeaderFieldsTooLarge, string(secret.RequestEntityTooLarge), "The request has too many headers.")
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // of the last answer
		next.ServeHTTP(bounds.Prompt{ResponseWriter: w, Within: sendTime}, r)
	})
}

// abandon ends a request without an answer: one that its handler returned from without a
// word would be answered 200, which a client that only looked gone takes for success.
func abandon() { panic(http.ErrAbortHandler) }

// limited reads no more of each answer than so many bytes.
type limited struct {
	http.RoundTripper
	most int64
}

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = &limitedBody{res.Body, l.most}
	}
	return res, err
}

type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errAnswerTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// Connections bound how many connections a server keeps. One too many takes the place of
// the one that has waited longest for a request. It may be used by several servers.
type Connections struct {
	Log *slog.Logger

	mu    sync.Mutex
	waits map[net.Conn]time.Time // since when, or zero while a request is under way
}

// Note is the ConnState of an [http.Server].
func (c *Connections) Note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(c.waits) >= maxConnections {
			c.makePlace()
		}
		if c.waits == nil {
			c.waits = map[net.Conn]time.Time{}
		}
		c.waits[conn] = time.Now()
		if len(c.waits) > maxConnections {
			delete(c.waits, conn)
			_ = conn.Close() // its client sees it
		}
	case http.StateIdle:
		if _, ok := c.waits[conn]; ok {
			c.waits[conn] = time.Now()
		}
	case http.StateActive:
		if _, ok := c.waits[conn]; ok {
			c.waits[conn] = time.Time{}
		}
	case http.StateClosed, http.StateHijacked:
		delete(c.waits, conn)
	}
}

func (c *Connections) makePlace() {
	var longest net.Conn
	for conn, since := range c.waits {
		if !since.IsZero() && (longest == nil || since.Before(c.waits[longest])) {
			longest = conn
		}
	}
	if longest == nil {
		c.Log.Warn("too many requests at a time; a new connection is closed", slog.Int("limit", maxConnections))
		return
	}
	delete(c.waits, longest)
	_ = longest.Close() // its client sees it
}
