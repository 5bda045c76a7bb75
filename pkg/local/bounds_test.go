package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/strongroom/strongroom/pkg/bounds"
	"github.com/strongroom/strongroom/pkg/secret"
)

const maxBodyForTests = 256 << 10

func newTestBounds() *Bounds { return NewBounds(maxBodyForTests, slog.New(slog.DiscardHandler)) }

// piped serves a Gate on connections in memory, so that a test may run in virtual time.
type piped struct {
	conns chan net.Conn
	*Bounds
}

func servePiped(t *testing.T, answer http.HandlerFunc) *piped {
	t.Helper()
	p := &piped{make(chan net.Conn), newTestBounds()}
	server := &http.Server{ConnState: p.ConnState, ReadHeaderTimeout: time.Second, ReadTimeout: 2 * time.Second, IdleTimeout: time.Hour, Handler: &Gate{
		Bounds: p.Bounds, Identify: Unverified(Account), Log: slog.New(slog.DiscardHandler),
		Answer: func(w http.ResponseWriter, r *http.Request, _ Identity) error { answer(w, r); return nil },
	}}
	go func() { _ = server.Serve(p) }()
	t.Cleanup(func() { _ = server.Close() })
	return p
}

func (p *piped) Accept() (net.Conn, error) {
	if conn, ok := <-p.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p *piped) Close() error   { close(p.conns); return nil }
func (p *piped) Addr() net.Addr { return &net.TCPAddr{} }

func (p *piped) dial(t *testing.T) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	p.conns <- server
	t.Cleanup(func() { _ = client.Close() })
	return client
}

const piece = "POST / HTTP/1.1\r\nHost: localhost\r\n"

// send writes a request and returns the answer.
func send(t *testing.T, conn net.Conn, text string) (status int, body string) {
	t.Helper()
	go func() { _, _ = io.WriteString(conn, text) }() // the server may have enough of it
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(all))
}

func wantAnswer(t *testing.T, status int, body string, wantStatus int, want string) {
	t.Helper()
	if status != wantStatus || body != want {
		t.Errorf("got %d %.200s\nwant %d %s", status, body, wantStatus, want)
	}
}

// A body that is slow to come is cut off with a sentence, however much of it came.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	for _, sent := range []int{0, 1, freeBody, freeBody + 1, 200_000} {
		synctest.Test(t, func(t *testing.T) {
			p := servePiped(t, func(http.ResponseWriter, *http.Request) { t.Error("it was answered") })
			began := time.Now()
			status, body := send(t, p.dial(t), piece+"Content-Length: 200001\r\n\r\n"+strings.Repeat("x", sent))
			wantAnswer(t, status, body, 408, `{"__type":"RequestTimeoutException","message":"The request body did not arrive within 5s."}`)
			if took := time.Since(began); took != sendTime {
				t.Errorf("it took %s, want %s", took, sendTime)
			}
			wantFree(t, p.Bounds)
		})
	}
}

// wantFree checks that all room is free again, once the request has ended.
func wantFree(t *testing.T, b *Bounds) {
	t.Helper()
	synctest.Wait()
	if !b.bodies.TryAcquire(maxBodies) || !b.work.TryAcquire(maxWork) || !b.lists.TryAcquire(maxLists) {
		t.Error("room is held by nobody")
	}
}

// A call may take longer than its request took to come, and a connection may be used again after it.
func TestLongCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := servePiped(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(24 * time.Second)
			body, err := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusOK)
			_, _ = fmt.Fprint(w, string(body), err, r.ContentLength, r.Context().Err())
		})
		conn := p.dial(t)
		for _, body := range []string{"{}", "", "{}"} { // without a body, the connection is read from already
			status, answer := send(t, conn, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", piece, len(body), body))
			wantAnswer(t, status, answer, 200, fmt.Sprint(body, nil, " ", len(body), " ", nil))
			time.Sleep(time.Minute)
		}
		wantFree(t, p.Bounds)
	})
}

// A client that does not take its answer gives up its room.
func TestAnswerThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		p := servePiped(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			_, err := w.Write(make([]byte, 1<<20))
			ended <- err
		})
		began := time.Now()
		if _, err := io.WriteString(p.dial(t), piece+"Content-Length: 2\r\n\r\n{}"); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil || time.Since(began) != sendTime {
			t.Errorf("got %v after %s, want an error after %s", err, time.Since(began), sendTime)
		}
		wantFree(t, p.Bounds)
	})
}

// A request that finds no room waits for it, and is throttled when there is none.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	request := func(operation, body string) string {
		return fmt.Sprintf("%sX-Amz-Target: secretsmanager.%s\r\nContent-Length: %d\r\n\r\n%s", piece, operation, len(body), body)
	}
	long := strings.Repeat(" ", freeBody+1)
	for name, test := range map[string]struct {
		pool    func(*Bounds) *semaphore.Weighted
		size    int64
		request string
	}{
		"for a body":  {func(b *Bounds) *semaphore.Weighted { return b.bodies }, maxBodies, request("GetSecretValue", long)},
		"for a call":  {func(b *Bounds) *semaphore.Weighted { return b.work }, maxWork, request("GetSecretValue", "{}")},
		"for a list":  {func(b *Bounds) *semaphore.Weighted { return b.lists }, maxLists, request("ListSecrets", "{}")},
		"for a batch": {func(b *Bounds) *semaphore.Weighted { return b.lists }, maxLists, request("BatchGetSecretValue", "{}")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := servePiped(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
				pool := test.pool(p.Bounds)
				if !pool.TryAcquire(test.size) {
					t.Fatalf("there is no room for %d", test.size)
				}
				began := time.Now()
				status, body := send(t, p.dial(t), test.request)
				wantAnswer(t, status, body, 400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`)
				if took := time.Since(began); took != bounds.Wait {
					t.Errorf("it waited %s, want %s", took, bounds.Wait)
				}
				time.AfterFunc(bounds.Wait-time.Second, func() { pool.Release(test.size) })
				status, body = send(t, p.dial(t), test.request)
				wantAnswer(t, status, body, 200, "")
				wantFree(t, p.Bounds)
			})
		})
	}
}

// A body that is too large is refused, before it is read when it says so itself.
func TestLargeBody(t *testing.T) {
	t.Parallel()
	tooLarge := fmt.Sprintf(`{"__type":"RequestEntityTooLargeException","message":"The request is larger than %d bytes."}`, maxBodyForTests)
	for _, test := range []struct {
		size, says int64
		status     int
		want       string
		read       int64
	}{
		{0, 0, 200, "0", 0},
		{maxBodyForTests, maxBodyForTests, 200, fmt.Sprint(maxBodyForTests), maxBodyForTests},
		{maxBodyForTests, -1, 200, fmt.Sprint(maxBodyForTests), maxBodyForTests},
		{maxBodyForTests + 1, maxBodyForTests + 1, 413, tooLarge, 0},
		{maxBodyForTests + 1, -1, 413, tooLarge, maxBodyForTests + 1},
		{1 << 40, -1, 413, tooLarge, maxBodyForTests + freeBody},
	} {
		gate := &Gate{Bounds: newTestBounds(), Identify: Unverified(Account), Log: slog.New(slog.DiscardHandler), Answer: func(w http.ResponseWriter, r *http.Request, _ Identity) error {
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil {
				t.Error(err)
			}
			_, _ = fmt.Fprint(w, n)
			return nil
		}}
		source := &io.LimitedReader{R: spaces{}, N: test.size}
		r := httptest.NewRequest(http.MethodPost, "/", source)
		r.ContentLength = test.says
		answer := httptest.NewRecorder()
		gate.ServeHTTP(answer, r)
		wantAnswer(t, answer.Code, strings.TrimSpace(answer.Body.String()), test.status, test.want)
		if got := test.size - source.N; got > test.read {
			t.Errorf("%d bytes of %d were read, want %d", got, test.size, test.read)
		}
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestBrokenRequests(t *testing.T) {
	t.Parallel()
	_, _, err := newTestBounds().enter(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", brokenBody{}))
	wantRefused(t, "a broken body", err, secret.Serialization, "")
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	for i := range bounds.MaxHeaders {
		r.Header.Set(fmt.Sprint("X-", i), "")
	}
	_, _, err = newTestBounds().enter(httptest.NewRecorder(), r)
	if err != nil {
		t.Error(err)
	}
	r.Header.Set("X-A", "")
	_, _, err = newTestBounds().enter(httptest.NewRecorder(), r)
	wantRefused(t, "headers", err, headersTooLarge, "The request has more than 100 headers.")
}

// A connection too many takes the place of the one that has waited longest for a
// request, and none of one whose request has arrived.
func TestConnectionsTooMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestBounds()
		var conns []*fakeConn
		open := func() *fakeConn {
			c := &fakeConn{port: len(conns)}
			conns = append(conns, c)
			b.ConnState(c, http.StateNew)
			time.Sleep(time.Millisecond)
			return c
		}
		request := func(c *fakeConn) {
			b.ConnState(c, http.StateActive)
			b.arrived(&http.Request{RemoteAddr: c.RemoteAddr().String()})
		}
		for range MaxConnections {
			open()
		}
		request(conns[0])
		b.ConnState(conns[1], http.StateActive) // with a part of a request
		request(conns[2])
		b.ConnState(conns[2], http.StateIdle) // answered, and later than the others began
		if open(); !conns[1].closed {
			t.Error("the connection that waited longest is open")
		}
		if open(); !conns[3].closed {
			t.Error("the next is open")
		}
		for _, i := range []int{0, 2, 4} {
			if conns[i].closed {
				t.Errorf("connection %d is closed", i)
			}
		}
		for _, c := range conns {
			if !c.closed {
				request(c)
			}
		}
		if last := open(); !last.closed {
			t.Error("there are more connections than allowed")
		}
		b.ConnState(conns[0], http.StateClosed)
		if last := open(); last.closed {
			t.Error("a place that was given up is not used")
		}
	})
}

type fakeConn struct {
	net.Conn
	port   int
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: c.port}
}
func (c *fakeConn) Close() error { c.closed = true; return nil }

// A client that hangs up while it waits for room leaves nothing behind.
func TestHangUpWhileWaiting(t *testing.T) {
	t.Parallel()
	b := newTestBounds()
	if err := b.work.Acquire(t.Context(), maxWork); err != nil {
		t.Fatal(err)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, hangUp)
	_, leave, err := b.enter(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(strings.Repeat(" ", 100_000))))
	if err == nil {
		t.Error("there was room")
	}
	leave()
	if !b.bodies.TryAcquire(maxBodies) {
		t.Error("its body is held")
	}
	if _, ok := errors.AsType[secret.Error](err); !ok {
		t.Errorf("got %v, want a refusal", err)
	}
}

// The time for a body is for all of it: one that comes in pieces gets no more.
func TestBodyInPieces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := servePiped(t, func(http.ResponseWriter, *http.Request) { t.Error("it was answered") })
		conn, began, sent := p.dial(t), time.Now(), make(chan struct{})
		go func() {
			defer close(sent)
			_, err := io.WriteString(conn, piece+"Content-Length: 200000\r\n\r\n")
			for ; err == nil; time.Sleep(2 * time.Second) {
				_, err = io.WriteString(conn, strings.Repeat("x", freeBody))
			}
		}()
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); answer.StatusCode != http.StatusRequestTimeout || took != sendTime {
			t.Errorf("got %d after %s, want 408 after %s", answer.StatusCode, took, sendTime)
		}
		_ = conn.Close()
		<-sent
	})
}

// A body takes no more memory than there is room for: that of its length, once more of it
// has come than needs no room, and twice as much as has come where it has none.
func TestRoomOfBodies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ length, sent, held int64 }{
		{200_000, freeBody - 1, 0},
		{200_000, freeBody + 1, 200_000 - freeBody},
		{200_000, 100_000, 200_000 - freeBody},
		{-1, freeBody, 2 * freeBody},
		{-1, 3 * freeBody, 6 * freeBody},
	} {
		b := newTestBounds()
		source, client := io.Pipe()
		r := httptest.NewRequest(http.MethodPost, "/", source)
		r.ContentLength = test.length
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, leave, _ := b.enter(httptest.NewRecorder(), r)
			leave()
		}()
		if _, err := client.Write(make([]byte, test.sent)); err != nil {
			t.Fatal(err)
		}
		_, _ = client.Write(nil) // it waits for the next read
		if !b.bodies.TryAcquire(maxBodies-test.held) || b.bodies.TryAcquire(1) {
			t.Errorf("%d bytes of %d: want %d held", test.sent, test.length, test.held)
		}
		_ = client.CloseWithError(io.ErrUnexpectedEOF)
		<-done
	}
}
