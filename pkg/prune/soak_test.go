//go:build soak

package prune_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

var (
	soakFor = flag.Duration("soak", 2*time.Minute, "how long to put")
	writers = flag.Int("writers", 4, "how many put at once")
)

// A soak is one secret that is put as fast as it goes.
type soak struct {
	t      *testing.T
	data   string
	server *api.Server

	mu      sync.Mutex
	took    []time.Duration // of the puts since the last report
	removed int
	worst   time.Duration // of the runs
	refused map[string]int
}

// An interval is what a report says.
type interval struct {
	puts     int
	rate     float64
	versions int
	bytes    int64
	p50, p99 time.Duration
}

// One secret is put as fast as it goes, with a small retention and a run every
// second: it comes to a size and a speed, and stays there.
func TestSoak(t *testing.T) {
	const every = 5 * time.Second
	keep := secret.Retention{MaxVersions: 50, MinAge: 3 * time.Second}
	s := &soak{t: t, data: t.TempDir(), refused: map[string]int{}}
	s.begin(keep)
	ctx, cancel := context.WithTimeout(t.Context(), *soakFor)
	defer cancel()
	var wg sync.WaitGroup
	for range *writers {
		wg.Go(func() {
			for ctx.Err() == nil {
				s.put()
			}
		})
	}
	wg.Go(func() { s.prune(ctx, keep) })
	t.Logf("%d writers for %v; %d versions of a kilobyte stay, and all that are younger than %v; a run every second", *writers, *soakFor, keep.MaxVersions, keep.MinAge)
	t.Logf("%6s %8s %8s %9s %9s %9s %9s", "time", "puts", "puts/s", "versions", "size", "p50", "p99")
	var all []interval
	began, last := time.Now(), time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			in := s.report(time.Since(last))
			last = time.Now()
			all = append(all, in)
			t.Logf("%5.0fs %8d %8.0f %9d %6.1f MB %6.2f ms %6.2f ms", time.Since(began).Seconds(), in.puts, in.rate, in.versions, mega(in.bytes), ms(in.p50), ms(in.p99))
		}
	}
	wg.Wait()
	s.judge(all, keep)
}

func mega(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (s *soak) begin(keep secret.Retention) {
	engines, err := local.Start(s.t.Context(), local.Options{Data: s.data})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = engines.Close() })
	at, err := engines.Open(s.t.Context(), local.Region)
	if err != nil {
		s.t.Fatal(err)
	}
	s.server = &api.Server{
		Store:  store.New(engines.DynamoDB, at.Table, localtest.ARNs),
		Sealer: &envelope.Sealer{KMS: at.KMS, DefaultKey: at.DefaultKey, Keep: time.Minute},
		ARNs:   localtest.ARNs, Retention: keep,
		Policies: policy.AllowAll(), Resources: policy.NewCache(1),
	}
	if code, body := s.call("CreateSecret", map[string]string{"Name": "s"}); code != http.StatusOK {
		s.t.Fatal(body)
	}
}

func (s *soak) call(operation string, in map[string]string) (int, string) {
	body, _ := json.Marshal(in) // strings
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	w := httptest.NewRecorder()
	localtest.Answer(s.server, w, r)
	return w.Code, w.Body.String()
}

var kilobyte = strings.Repeat("x", 1024)

func (s *soak) put() {
	began := time.Now()
	code, body := s.call("PutSecretValue", map[string]string{"SecretId": "s", "ClientRequestToken": uuid.NewString(), "SecretString": kilobyte})
	took := time.Since(began)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, took)
	if code != http.StatusOK {
		s.refused[body]++
	}
}

func (s *soak) prune(ctx context.Context, keep secret.Retention) {
	p := &prune.Pruner{Store: s.server.Store, Retention: keep, Log: slog.New(slog.DiscardHandler)}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		sum, err := p.Run(context.WithoutCancel(ctx))
		if err != nil {
			s.t.Errorf("run: %v", err)
		}
		s.mu.Lock()
		s.removed += sum.Versions
		s.worst = max(s.worst, time.Since(began))
		s.mu.Unlock()
	}
}

func (s *soak) report(over time.Duration) interval {
	sec, err := s.server.Store.Get(s.t.Context(), secret.ID{Name: "s"})
	if err != nil {
		s.t.Error(err)
	}
	table, err := os.Stat(filepath.Join(s.data, "table.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	took := s.took
	s.took = nil
	s.mu.Unlock()
	slices.Sort(took)
	in := interval{puts: len(took), rate: float64(len(took)) / over.Seconds(), versions: sec.Versions, bytes: table.Size()}
	if len(took) > 0 {
		in.p50, in.p99 = took[len(took)/2], took[len(took)*99/100]
	}
	return in
}

// judge says whether size and speed have stayed. The bounds are generous: the
// machine does other things, too.
func (s *soak) judge(all []interval, keep secret.Retention) {
	if len(all) < 6 {
		s.t.Fatalf("%d reports, want six at least: soak for longer", len(all))
	}
	puts, fastest := 0, 0.0
	for _, in := range all {
		puts += in.puts
		fastest = max(fastest, in.rate)
	}
	for body, n := range s.refused {
		s.t.Errorf("%d puts were answered with %s", n, body)
	}
	third := len(all) / 3
	start, end := middle(all[:third]), middle(all[len(all)-third:])
	s.t.Logf("%d puts, %d removed, the longest run took %v", puts, s.removed, s.worst.Round(time.Millisecond))
	s.t.Logf("first third: %s", start)
	s.t.Logf("last third:  %s", end)
	// What is young, what comes while nothing runs and while a run goes on, and as
	// much again.
	bound := keep.MaxVersions + 2*int(fastest*(keep.MinAge+time.Second+s.worst).Seconds())
	for _, in := range all {
		if in.versions > bound {
			s.t.Errorf("%d versions, want %d at most at %.0f puts a second", in.versions, bound, fastest)
		}
	}
	if end.bytes > 2*start.bytes+8<<20 {
		s.t.Errorf("the database grew from %.1f MB to %.1f MB", mega(start.bytes), mega(end.bytes))
	}
	if end.p50 > 2*start.p50 {
		s.t.Errorf("a put took %v, and takes %v", start.p50, end.p50)
	}
}

func (in interval) String() string {
	return fmt.Sprintf("%.0f puts/s, %d versions, %.1f MB, p50 %.2f ms, p99 %.2f ms", in.rate, in.versions, mega(in.bytes), ms(in.p50), ms(in.p99))
}

// middle is the median of each number.
func middle(all []interval) interval {
	return interval{
		rate:     median(all, func(in interval) float64 { return in.rate }),
		versions: median(all, func(in interval) int { return in.versions }),
		bytes:    median(all, func(in interval) int64 { return in.bytes }),
		p50:      median(all, func(in interval) time.Duration { return in.p50 }),
		p99:      median(all, func(in interval) time.Duration { return in.p99 }),
	}
}

func median[N int | int64 | float64 | time.Duration](all []interval, of func(interval) N) N {
	var numbers []N
	for _, in := range all {
		numbers = append(numbers, of(in))
	}
	slices.Sort(numbers)
	return numbers[len(numbers)/2]
}
