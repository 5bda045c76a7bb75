package agent

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/bounds"
	"github.com/strongroom/strongroom/pkg/endpoint"
)

// A client that only closed its half of the connection still reads. It is not told 200
// for what is not known to be done.
func TestNoAnswerIsNotSuccess(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"SDK": "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: secretsmanager.PutSecretValue\r\nContent-Length: 2\r\n\r\n{}",
		"GET": "GET /v1/db HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: EXAMPLE-TOKEN\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived, goOn := make(chan struct{}), make(chan struct{})
			d := newDoor(t, func(http.ResponseWriter, *http.Request) {
				close(arrived)
				<-goOn
			})
			defer close(goOn)
			a := startAgent(t, d.URL, time.Minute)
			a.sdk.AnyCaller = true
			conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			<-arrived
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, _ := io.ReadAll(conn); len(got) > 0 { // an error is no answer
				t.Errorf("got %s", got)
			}
		})
	}
}

// A client would follow a redirect with what it has signed.
func TestRedirectsStayHere(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusSwitchingProtocols, http.StatusMovedPermanently, http.StatusTemporaryRedirect} {
		d := newDoor(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://elsewhere.example/")
			w.WriteHeader(status)
		})
		a := startAgent(t, d.URL, time.Minute)
		if got, header, body := do(t, signed(t, a.url, "{}", own())); got != http.StatusBadGateway || header.Get("Location") != "" {
			t.Errorf("%d: SDK got %d %v %s", status, got, header, body)
		}
		if got, body := get(t, a, "/v1/db"); got != http.StatusBadGateway || !strings.Contains(body, "ConnectionError") {
			t.Errorf("%d: GET got %d %s", status, got, body)
		}
		if !strings.Contains(a.log.String(), "its URL may be wrong") {
			t.Errorf("got the log %s", a.log)
		}
	}
}

// No answer is larger than Lambda's, whether its length is announced or not.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	for _, announced := range []bool{true, false} {
		var size int
		d := newDoor(t, func(w http.ResponseWriter, _ *http.Request) {
			if announced {
				w.Header().Set("Content-Length", fmt.Sprint(size))
			}
			_, _ = w.Write(bytes.Repeat([]byte{' '}, size))
		})
		a := startAgent(t, d.URL, time.Minute)
		for _, test := range []struct{ size, status int }{
			{freeAnswer, 200}, {freeAnswer + 1, 200}, {maxAnswer, 200}, {maxAnswer + 1, 502}, {3 * maxAnswer, 502},
		} {
			size = test.size
			if status, _, body := do(t, signed(t, a.url, "{}", own())); status != test.status || status == http.StatusOK && len(body) != size {
				t.Errorf("%d bytes, announced %t: got %d and %d bytes", size, announced, status, len(body))
			}
		}
		size = 2 * maxFetched
		if status, body := get(t, a, "/v1/db"); status != http.StatusBadGateway && status != http.StatusInternalServerError {
			t.Errorf("GET: got %d %s", status, body)
		}
		if !strings.Contains(a.log.String(), errAnswerTooLarge.Error()) {
			t.Errorf("got the log %s", a.log)
		}
	}
}

// until is a reader of nothing, which ends when it is closed.
type until chan struct{}

func (u until) Read([]byte) (int, error) {
	<-u
	return 0, io.EOF
}

// A trip is a stand-in for the network, and says how long an answer is to be and what
// is in it.
type trip func() (size int64, body io.Reader)

func (t trip) RoundTrip(r *http.Request) (*http.Response, error) {
	size, body := t()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: size, Request: r}, nil
}

func newHallSDK(trip http.RoundTripper) *SDK {
	at, _ := endpoint.Parse("https://strongroom.example")
	at.Service, at.Region = endpoint.Gateway, "eu-central-1"
	keys := NewKeyring(aws.NewCredentialsCache(&source{creds: own()}), 0)
	return NewSDK(NewUpstream(at, keys, &http.Client{Transport: trip}), true, slog.New(slog.DiscardHandler))
}

// Requests that would take more memory than there is for them wait, and are throttled
// when there is none for ten seconds; then they find room again.
func TestRoom(t *testing.T) {
	t.Parallel()
	type part func(end until) (int64, io.Reader)
	small := func(until) (int64, io.Reader) { return 2, strings.NewReader("{}") }
	// stuck is a body, or an answer, of which no more comes until the end.
	stuck := func(size int64, begin string) part {
		return func(end until) (int64, io.Reader) { return size, io.MultiReader(strings.NewReader(begin), end) }
	}
	beginning := strings.Repeat(" ", freeAnswer+1)
	for name, test := range map[string]struct {
		most         int
		body, answer part
	}{
		"at once":           {atOnce, small, stuck(-1, "")},
		"bodies":            {maxBodies / maxBody, stuck(maxBody, "{"), small},
		"bodies in chunks":  {maxBodies / maxBody, stuck(-1, "{"), small},
		"answers":           {maxAnswers / maxAnswer, small, stuck(maxAnswer, beginning)},
		"answers in chunks": {maxAnswers / maxAnswer, small, stuck(-1, beginning)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				end := make(until)
				sdk := newHallSDK(trip(func() (int64, io.Reader) { return test.answer(end) }))
				ask := func() *httptest.ResponseRecorder {
					size, body := test.body(end)
					r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", body)
					r.ContentLength = size
					w := httptest.NewRecorder()
					sdk.ServeHTTP(w, r)
					return w
				}
				for range test.most {
					go ask()
				}
				synctest.Wait()
				began := time.Now()
				if w := ask(); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "ThrottlingException") || time.Since(began) != bounds.Wait {
					t.Errorf("one more: got %d %s after %s", w.Code, w.Body, time.Since(began))
				}
				close(end)
				synctest.Wait()
				if w := ask(); w.Code != http.StatusOK {
					t.Errorf("when they have ended: got %d %s", w.Code, w.Body)
				}
			})
		})
	}
}

// A recorder of deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.read = append(d.read, at)
	return nil
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.write = append(d.write, at)
	return nil
}

// A client has ten seconds to send its body and ten to take its answer; a call between
// them may take longer.
func TestClientsAreCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(until)
		sdk := newHallSDK(trip(func() (int64, io.Reader) { return -1, end }))
		began := time.Now()
		time.AfterFunc(time.Minute, func() { close(end) })
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/", strings.NewReader("{}"))
		Handler(sdk, newGetter(GetterOptions{CacheSize: 1, Log: sdk.Log}, nil)).ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		if want := fmt.Sprint([]time.Time{began.Add(sendTime), {}}); fmt.Sprint(w.read) != want {
			t.Errorf("to read: got %v, want %s", w.read, want)
		}
		if want := fmt.Sprint([]time.Time{{}, began.Add(time.Minute + sendTime)}); fmt.Sprint(w.write) != want {
			t.Errorf("to write: got %v, want %s", w.write, want)
		}
	})
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	a := startAgent(t, newDoor(t, answering("{}")).URL, time.Minute)
	r := signed(t, a.url, "{}", own())
	for i := range bounds.MaxHeaders {
		r.Header.Set(fmt.Sprint("X-", i), "")
	}
	if status, _, body := do(t, r); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d %s", status, body)
	}
}

type closing struct {
	net.Conn
	closed *int
}

func (c closing) Close() error {
	*c.closed++
	return nil
}

// A connection too many takes the place of the one that waited longest, never of one with
// a request.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := Connections{Log: slog.New(slog.NewTextHandler(&log, nil))}
		closed := make([]int, maxConnections+3)
		at := func(i int, state http.ConnState) {
			c.Note(closing{nil, &closed[i]}, state)
			time.Sleep(time.Second)
		}
		for i := range maxConnections {
			at(i, http.StateNew)
			if i != 5 {
				at(i, http.StateActive)
			}
		}
		at(3, http.StateIdle)
		at(maxConnections, http.StateNew)
		at(maxConnections, http.StateActive)
		at(maxConnections+1, http.StateNew)
		at(maxConnections+1, http.StateActive)
		at(maxConnections+2, http.StateNew)
		for i, got := range closed {
			if want := map[int]int{5: 1, 3: 1, maxConnections + 2: 1}[i]; got != want {
				t.Errorf("connection %d: closed %d times, want %d", i, got, want)
			}
		}
		if !strings.Contains(log.String(), "too many requests") || len(c.waits) != maxConnections {
			t.Errorf("%d are kept; got the log %s", len(c.waits), &log)
		}
		at(7, http.StateClosed)
		at(maxConnections+2, http.StateNew)
		if len(c.waits) != maxConnections || closed[maxConnections+2] != 1 {
			t.Errorf("when one has ended, %d are kept", len(c.waits))
		}
	})
}

// Requests of the cache are few at once; the others wait for them.
func TestFetchesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Int64
		end := make(until)
		c := &http.Client{Transport: trip(func() (int64, io.Reader) {
			now.Add(1)
			return -1, io.MultiReader(end, strings.NewReader(stored))
		})}
		s := newService((&bench{url: "http://strongroom.example"}).client(own(), 1, func(o *secretsmanager.Options) { o.HTTPClient = c }))
		var all sync.WaitGroup
		for range fetchesAtOnce + 8 {
			all.Go(func() {
				if _, err := s.fetch(t.Context(), db); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if got := now.Load(); got != fetchesAtOnce {
			t.Errorf("%d at once, want %d", got, fetchesAtOnce)
		}
		close(end)
		all.Wait()
	})
}
