package local

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/signature"
)

// allowed is how many of so many calls at once are allowed.
func allowed(l *Limiter, caller string, calls int) int {
	n := 0
	for range calls {
		if l.Allow(caller) {
			n++
		}
	}
	return n
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(2, 5)
		want := func(what, caller string, want int) {
			t.Helper()
			if got := allowed(l, caller, 100); got != want {
				t.Errorf("%s: got %d, want %d", what, got, want)
			}
		}
		want("at once", "alice", 5)
		want("then", "alice", 0)
		want("another", "bob", 5)
		time.Sleep(500 * time.Millisecond)
		want("after half a second", "alice", 1)
		time.Sleep(time.Hour)
		want("after an hour", "alice", 5)
	})
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	for _, l := range []*Limiter{nil, NewLimiter(0, 5), NewLimiter(-1, 5), NewLimiter(math.NaN(), 1), NewLimiter(math.Inf(1), 1)} {
		if got := allowed(l, "alice", 1000); got != 1000 {
			t.Errorf("got %d, want all", got)
		}
	}
	for _, burst := range []int{0, -1} { // with which nobody could ever call
		if got := allowed(NewLimiter(1e-9, burst), "alice", 10); got != 1 {
			t.Errorf("burst %d: got %d, want 1", burst, got)
		}
	}
}

func TestLimiterForgets(t *testing.T) {
	t.Parallel()
	l := NewLimiter(1e-9, 1)
	for i := range 3 * maxCallers {
		if !l.Allow(fmt.Sprint(i)) {
			t.Fatalf("caller %d is refused", i)
		}
		if i%100 == 0 && i > 0 && l.Allow("busy") { // who calls all the time is not forgotten
			if i > 100 {
				t.Fatalf("forgotten after %d others", i)
			}
		}
	}
	if got := l.buckets.Len(); got != maxCallers {
		t.Errorf("got %d callers, want %d", got, maxCallers)
	}
}

// Callers who come for the first time many at once have one limit all the same.
func TestLimiterAtOnce(t *testing.T) {
	t.Parallel()
	l := NewLimiter(1e-9, 1)
	for i := range 5000 {
		var n atomic.Int64
		var group sync.WaitGroup
		start := make(chan struct{})
		for range 8 {
			group.Go(func() {
				<-start
				if l.Allow(strconv.Itoa(i)) {
					n.Add(1)
				}
			})
		}
		close(start)
		group.Wait()
		if got := n.Load(); got != 1 {
			t.Fatalf("round %d: got %d, want 1", i, got)
		}
	}
}

// What is not known to be a caller's is not counted as theirs.
func TestGateCountsWhoIsKnown(t *testing.T) {
	t.Parallel()
	g := startGate(t, testCredentials(t).Identify, NewLimiter(1e-9, 2))
	list := func(key, secret string) error {
		_, err := g.client(key, secret, "", nil).ListSecrets(t.Context(), nil)
		return err
	}
	for range 10 {
		wantAPIError(t, "not alice", list(aliceKey, bobSecret), invalidSignature)
	}
	for _, key := range [][2]string{{aliceKey, aliceSecret}, {secondKey, secondSecret}} {
		if err := list(key[0], key[1]); err != nil {
			t.Error(err)
		}
	}
	for _, key := range [][2]string{{aliceKey, aliceSecret}, {secondKey, secondSecret}} { // one limit for both
		wantAPIError(t, "alice once more", list(key[0], key[1]), "ThrottlingException")
	}
	if err := list(bobKey, bobSecret); err != nil {
		t.Error(err)
	}
}

func TestGateRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		want   string
	}{
		{secret.Errorf(missingToken, "Missing Authentication Token"), 400, `{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}`},
		{fmt.Errorf("around: %w", signature.Wrong), 400, `{"__type":"InvalidSignatureException","message":"` + signature.Wrong.Message + `"}`},
		{secret.Errorf(secret.RequestEntityTooLarge, "Too large."), 413, `{"__type":"RequestEntityTooLargeException","message":"Too large."}`},
		{errors.New("inner workings"), 500, `{"__type":"InternalServiceError","message":"An error occurred on the server side."}`},
	} {
		g := startGate(t, func(*http.Request, []byte) (Identity, error) { return Identity{}, test.err }, nil)
		answer, err := http.Post(g.url, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != test.status || strings.TrimSpace(string(body)) != test.want || g.calls != 0 {
			t.Errorf("got %d %s, want %d %s", answer.StatusCode, body, test.status, test.want)
		}
		if answer.Header.Get("Content-Type") != jsonTypeForTests || answer.Header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("headers: got %v", answer.Header)
		}
	}
}

func BenchmarkLimiter(b *testing.B) {
	l := NewLimiter(1e9, 1<<30)
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Allow(r.RemoteAddr)
		}
	})
}
