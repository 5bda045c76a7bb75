package agent

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A stand-in for the service: one secret, whose current version a test changes.
type standIn struct {
	mu       sync.Mutex
	version  string
	err      error // of both calls
	after    time.Duration
	fetches  atomic.Int64
	checks   atomic.Int64
	describe error // of isCurrent alone
}

func (s *standIn) set(version string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version, s.err = version, err
}

func (s *standIn) now() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version, s.err
}

func (s *standIn) fetch(ctx context.Context, q query) (answer, error) {
	s.fetches.Add(1)
	version, err := s.now() // as it is when the call begins
	select {
	case <-time.After(s.after):
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	if err != nil {
		return answer{}, err
	}
	if q.VersionID != "" {
		version = q.VersionID
	}
	return answer{[]byte(q.SecretID + " " + version), version}, nil
}

func (s *standIn) isCurrent(_ context.Context, _ query, versionID string) (bool, error) {
	s.checks.Add(1)
	version, err := s.now()
	return version == versionID, errors.Join(err, s.describe)
}

func testCache(from fetcher, change ...func(*GetterOptions)) *cache {
	o := GetterOptions{CacheSize: 2, TTL: time.Minute, Timeout: 10 * time.Second, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&o)
	}
	return newCache(from, o)
}

func wantText(t *testing.T, c *cache, q query, fresh bool, want string) {
	t.Helper()
	text, err := c.get(t.Context(), q, fresh)
	if err != nil || string(text) != want {
		t.Errorf("got %q, %v, want %q", text, err, want)
	}
	clear(text) // as the handler does: it must not be that in the cache
}

var db = query{SecretID: "db"}

func TestCacheKeepsForATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &standIn{version: "v1"}
		c := testCache(s)
		wantText(t, c, db, false, "db v1")
		s.set("v2", nil)
		time.Sleep(time.Minute - time.Nanosecond)
		wantText(t, c, db, false, "db v1")
		time.Sleep(time.Nanosecond)
		wantText(t, c, db, false, "db v2")
		if s.fetches.Load() != 2 || s.checks.Load() != 0 {
			t.Errorf("got %d calls and %d checks, want 2 and none", s.fetches.Load(), s.checks.Load())
		}
	})
}

func TestCacheRefreshes(t *testing.T) {
	t.Parallel()
	s := &standIn{version: "v1"}
	c := testCache(s)
	wantText(t, c, db, false, "db v1")
	s.set("v2", nil)
	wantText(t, c, db, true, "db v2")
	wantText(t, c, db, false, "db v2") // it has taken the place
}

func TestCacheKeepsNothing(t *testing.T) {
	t.Parallel()
	s := &standIn{version: "v1"}
	c := testCache(s, func(o *GetterOptions) { o.TTL = 0 })
	for range 3 {
		wantText(t, c, db, false, "db v1")
	}
	if s.fetches.Load() != 3 || c.entries.Len() != 0 {
		t.Errorf("got %d calls and %d kept", s.fetches.Load(), c.entries.Len())
	}
}

func TestCacheRevalidates(t *testing.T) {
	t.Parallel()
	s := &standIn{version: "v1"}
	c := testCache(s, func(o *GetterOptions) { o.Revalidate = true })
	wantText(t, c, db, false, "db v1")
	wantText(t, c, db, false, "db v1")
	if s.fetches.Load() != 1 || s.checks.Load() != 1 {
		t.Errorf("current: got %d calls and %d checks, want one of each", s.fetches.Load(), s.checks.Load())
	}
	s.set("v2", nil)
	wantText(t, c, db, false, "db v2")
	if s.fetches.Load() != 2 {
		t.Errorf("no more current: got %d calls, want 2", s.fetches.Load())
	}
	// A version never changes: it is not looked at again.
	byID := query{SecretID: "db", VersionID: "v1"}
	wantText(t, c, byID, false, "db v1")
	checks := s.checks.Load()
	wantText(t, c, byID, false, "db v1")
	if s.checks.Load() != checks {
		t.Error("a version asked for by its ID was looked at")
	}
	// Who may not look is answered by the service.
	s.describe = errors.New("denied")
	wantText(t, c, db, false, "db v2")
	if s.fetches.Load() != 4 {
		t.Errorf("denied: got %d calls, want 4", s.fetches.Load())
	}
	s.describe = transient{errors.New("down")}
	wantText(t, c, db, false, "db v2")
	if s.fetches.Load() != 4 {
		t.Errorf("down: got %d calls, want still 4", s.fetches.Load())
	}
}

// A call that began before the label moved does not answer a request that came after.
func TestCacheRevalidatesBesideAnOldCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &standIn{version: "v1", after: time.Second}
		c := testCache(s, func(o *GetterOptions) { o.Revalidate = true })
		go func() { _, _ = c.get(t.Context(), db, false) }()
		synctest.Wait()
		time.Sleep(time.Millisecond)
		s.set("v2", nil)
		wantText(t, c, db, false, "db v2")
		wantText(t, c, db, false, "db v2")
	})
}

func TestCacheMissesOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &standIn{version: "v1", after: time.Second}
		c := testCache(s)
		var all sync.WaitGroup
		gone, leave := context.WithCancel(t.Context())
		all.Go(func() { // the first hangs up, and the others are answered
			if _, err := c.get(gone, db, false); !errors.Is(err, context.Canceled) {
				t.Errorf("hung up: got %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			all.Go(func() { wantText(t, c, db, false, "db v1") })
		}
		synctest.Wait()
		leave()
		all.Wait()
		if s.fetches.Load() != 1 {
			t.Errorf("got %d calls, want one", s.fetches.Load())
		}
	})
}

// A slow answer does not take the place of one that was asked for later.
func TestCacheTakesNoLateAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &standIn{version: "v1", after: time.Second}
		c := testCache(s)
		go func() { _, _ = c.get(t.Context(), db, false) }()
		synctest.Wait()
		s.set("v2", nil)
		s.after = 0
		time.Sleep(time.Millisecond)
		wantText(t, c, db, true, "db v2")
		time.Sleep(2 * time.Second)
		wantText(t, c, db, false, "db v2")
	})
}

func TestCacheWhenTheServiceFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &standIn{version: "v1"}
		c := testCache(s)
		wantText(t, c, db, false, "db v1")
		time.Sleep(time.Hour)
		s.set("", transient{errors.New("down")})
		wantText(t, c, db, false, "db v1") // as AWS's agent does
		if _, err := c.get(t.Context(), db, true); err == nil {
			t.Error("asked for fresh, and an answer that has ended was given")
		}
		s.set("", errors.New("denied"))
		if _, err := c.get(t.Context(), db, false); err == nil {
			t.Error("denied, and answered all the same")
		}
		s.set("", transient{errors.New("down")})
		if _, err := c.get(t.Context(), db, false); err == nil {
			t.Error("denied before, and answered from the cache")
		}
	})
}

// What leaves the cache is zeroed: replaced, pushed out, refused, or at the end.
func TestCacheZeroes(t *testing.T) {
	t.Parallel()
	s := &standIn{version: "v1"}
	c := testCache(s)
	textOf := func(q query) []byte {
		t.Helper()
		if _, err := c.get(t.Context(), q, false); err != nil {
			t.Fatal(err)
		}
		e, _ := c.entries.Peek(q)
		return e.text
	}
	wantZero := func(why string, text []byte) {
		t.Helper()
		if strings.Trim(string(text), "\x00") != "" {
			t.Errorf("%s: it still holds %q", why, text)
		}
	}
	replaced := textOf(db)
	wantText(t, c, db, true, "db v1")
	wantZero("replaced", replaced)
	pushedOut := textOf(db)
	textOf(query{SecretID: "second"})
	closed := textOf(query{SecretID: "third"})
	wantZero("pushed out", pushedOut)
	refused := textOf(query{SecretID: "second"})
	s.set("", errors.New("denied"))
	_, _ = c.get(t.Context(), query{SecretID: "second"}, true)
	wantZero("refused", refused)
	c.close()
	wantZero("closed", closed)
}

// large answers with texts of a mebibyte.
type large struct{ standIn }

func (l *large) fetch(context.Context, query) (answer, error) {
	return answer{make([]byte, 1<<20), "v1"}, nil
}

// What is kept is bounded by bytes, whatever the number of answers.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := testCache(&large{}, func(o *GetterOptions) { o.CacheSize = 1000 })
	for i := range 100 {
		for range 2 { // the second takes the place of the first
			if _, err := c.get(t.Context(), query{SecretID: strconv.Itoa(i)}, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := maxCached >> 20; c.entries.Len() != want || c.size != maxCached {
		t.Errorf("got %d entries with %d bytes, want %d with %d", c.entries.Len(), c.size, want, maxCached)
	}
	c.close()
	if c.size != 0 {
		t.Errorf("closed, and %d bytes are left", c.size)
	}
}
