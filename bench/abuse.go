package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// abusers is how many misuse the server at once.
	abusers = 64
	// slowest is longer than the server waits for a body.
	slowest = 8 * time.Second
	// mostOwnMemory is what SECURITY.md promises, in kB.
	mostOwnMemory = 128_000
	// spare is how many goroutines, and how many descriptors, may be more after the
	// abuse than before: the runtime and the database have some that come and go.
	spare = 8
	// settleTime is longer than the server waits for anything a client has begun.
	settleTime = 11 * time.Second
	// tries is how often the good client sends one call: as often as the SDKs do.
	tries = 3
)

// An abuse is a server that many misuse while one uses it well.
type abuse struct {
	*host
	server *target
	slow   time.Duration
	settle time.Duration
	tallies
	good goodClient
}

// measureAbuse misuses a server, and fails when that shows where it must not.
func (h *host) measureAbuse(ctx context.Context, out io.Writer) error {
	return (&abuse{host: h, slow: slowest, settle: settleTime}).run(ctx, out)
}

func (a *abuse) run(ctx context.Context, out io.Writer) error {
	before, err := a.undisturbed(ctx)
	if err != nil {
		return fmt.Errorf("before the abuse: %w", err)
	}
	data := filepath.Join(a.dir, "data")
	p, err := a.startChecking(ctx, data)
	if err != nil {
		return err
	}
	a.server = newTarget("server", p.url)
	w := startWatch(ctx, p, 250*time.Millisecond)
	began := time.Now()
	err = a.all(ctx)
	took := time.Since(began)
	samples := w.end()
	a.server.http.CloseIdleConnections()
	if err != nil {
		return errors.Join(p.explain(err), p.stop())
	}
	select {
	case <-time.After(a.settle):
	case <-ctx.Done():
		return errors.Join(ctx.Err(), p.stop())
	}
	after, err := counted(p)
	if err != nil {
		return err
	}
	found := slices.Concat(a.faults(), a.good.faults(), faultsOf(samples), counts{}.faults(before, after), a.traces())
	found = append(found, a.after(ctx, data)...)
	a.show.clear()
	a.report(out, took, samples, before, after)
	if len(found) > 0 {
		return fmt.Errorf("%d faults (seed %d):\n  %s", len(found), a.seed, strings.Join(found, "\n  "))
	}
	if len(samples) < fewestSamples {
		_, _ = fmt.Fprintf(out, "\nIt was too short to tell whether memory grows.\n")
	}
	_, err = fmt.Fprintf(out, "\nNo fault was found. -seed %d sends the same requests again, but for tokens and times.\n", a.seed)
	return err
}

// startChecking starts a server that checks signatures.
func (a *abuse) startChecking(ctx context.Context, data string) (*process, error) {
	keys := filepath.Join(a.dir, "keys.json")
	text := fmt.Sprintf(`[{"user":"abuser","accessKeyId":%q,"secretAccessKey":%q},{"user":"good","accessKeyId":%[3]q,"secretAccessKey":%[2]q}]`,
		abuserKey, signingSecret, goodKey)
	if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return a.startServer(ctx, data, "", "--verify-credentials", keys)
}

// counts are what a process that nobody uses holds.
type counts struct{ goroutines, files, own int }

// counted ends a process and says what it held.
func counted(p *process) (c counts, err error) {
	s := p.sample()
	c.goroutines, err = p.quit()
	c.files, c.own = s.files, s.own
	return c, err
}

func (counts) faults(before, after counts) (found []string) {
	if after.goroutines > before.goroutines+spare {
		found = append(found, fmt.Sprintf("%d goroutines stayed, where a new server has %d", after.goroutines, before.goroutines))
	}
	if after.files > before.files+spare {
		found = append(found, fmt.Sprintf("%d descriptors stayed open, where a new server has %d", after.files, before.files))
	}
	return found
}

// undisturbed is what a server holds that was used by one good client alone.
func (a *abuse) undisturbed(ctx context.Context) (c counts, err error) {
	data := filepath.Join(a.dir, "undisturbed")
	p, err := a.startChecking(ctx, data)
	if err != nil {
		return c, err
	}
	server := newTarget("server", p.url)
	var alone goodClient
	if err := alone.use(ctx, server, 20); err != nil {
		return c, errors.Join(p.explain(err), p.stop())
	}
	server.http.CloseIdleConnections()
	time.Sleep(200 * time.Millisecond) // for the server to see it
	c, err = counted(p)
	return c, errors.Join(err, os.RemoveAll(data))
}

// all sends every request, or as many as there is time for, while the good client
// works.
func (a *abuse) all(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var beside sync.WaitGroup
	var goodErr error
	beside.Go(func() {
		// A server of its own to call: what the abusers do with theirs must not count.
		goodErr = a.good.use(ctx, newTarget("server", a.server.url), 0)
		if goodErr != nil {
			stop()
		}
	})
	deadline := time.Now().Add(24 * time.Hour)
	if a.length > 0 {
		deadline = time.Now().Add(a.length)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	var next, done atomic.Int64
	for range abusers {
		group.Go(func() error {
			for time.Now().Before(deadline) && groupCtx.Err() == nil {
				i := next.Add(1) - 1
				if i >= int64(a.requests) {
					return nil
				}
				// Each request has numbers of its own: it is the same one from every client.
				g := &generator{rand.New(rand.NewPCG(a.seed, uint64(i))), a.server, strings.TrimPrefix(a.server.url, "http://"), a.slow} //nolint:gosec // repeatable on purpose
				k := g.pick()
				a.count(k, k.send(groupCtx, g))
				a.show.count("misusing the server", int(done.Add(1)), a.requests)
			}
			return nil
		})
	}
	err := group.Wait()
	if ctx.Err() == nil {
		stop()
	}
	beside.Wait()
	return errors.Join(err, goodErr)
}

// tallies count what came of the requests.
type tallies struct {
	mu    sync.Mutex
	kinds map[string]*tally
	notes []string // faults, of each kind the first ones
}

// A tally is what came of the requests of a kind.
type tally struct{ sent, succeeded, refused, failed, cut, faults int }

// unsupported are the answers of net/http to what is not HTTP/1.1 as it knows it.
var unsupported = []int{http.StatusNotImplemented, http.StatusHTTPVersionNotSupported}

func (t *tallies) count(k kind, o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kinds == nil {
		t.kinds = map[string]*tally{}
	}
	n := t.kinds[k.name]
	if n == nil {
		n = &tally{}
		t.kinds[k.name] = n
	}
	n.sent++
	switch {
	case o.status == 0:
		n.cut++
	case o.status < 300:
		n.succeeded++
	case o.status < 500 || slices.Contains(unsupported, o.status):
		n.refused++
	default:
		n.failed++
	}
	if fault := k.fault(o); fault != "" {
		if n.faults++; n.faults <= 3 {
			t.notes = append(t.notes, k.name+": "+fault)
		}
	}
}

// fault says what is wrong with an outcome; it is empty for a good one.
func (k kind) fault(o outcome) string {
	switch {
	case o.status == 0 && k.answered:
		return "no answer"
	case o.status >= 500 && !slices.Contains(unsupported, o.status):
		return fmt.Sprintf("status %d: %.200s", o.status, o.body)
	case o.status >= 300 && holdsMark(o.body):
		return fmt.Sprintf("a refusal with status %d has the value in it", o.status)
	case o.status >= 200 && o.status < 300 && k.refused:
		return fmt.Sprintf("status %d, where a refusal was due: %.200s", o.status, o.body)
	}
	return ""
}

func (t *tallies) faults() []string {
	found := slices.Clone(t.notes)
	for name, n := range t.kinds {
		if n.faults > 3 {
			found = append(found, fmt.Sprintf("%s: %d faults in all", name, n.faults))
		}
	}
	return found
}

// A goodClient puts and gets a value of its own, one call after the other, and tries
// again as the SDKs do.
type goodClient struct {
	latencies []time.Duration // with the tries
	again     int
	last      string // the value acknowledged last
}

const goodSecret = "bench-good"

// use uses a server n times, or until the context ends for 0.
func (c *goodClient) use(ctx context.Context, server *target, n int) error {
	if err := c.call(ctx, server, "CreateSecret", createInput(goodSecret, mark), nil); err != nil {
		return err
	}
	for i := 0; ctx.Err() == nil && (n == 0 || i < n); i++ {
		// A put that has begun is finished: else nobody knows whether it happened.
		lasting := context.WithoutCancel(ctx)
		next := fmt.Sprintf("%s %d %s", mark, i, value[:i%valueSize])
		if err := c.call(lasting, server, "PutSecretValue", putInput(goodSecret, next), nil); err != nil {
			return err
		}
		c.last = next
		var got struct{ SecretString string }
		if err := c.call(lasting, server, "GetSecretValue", getInput(goodSecret), &got); err != nil {
			return err
		}
		if got.SecretString != next {
			return fmt.Errorf("the good client put value %d and then got %.60q", i, got.SecretString)
		}
	}
	return nil
}

// call makes one call. All tries are the same request, so that none is done twice.
func (c *goodClient) call(ctx context.Context, server *target, operation string, body []byte, out any) error {
	began := time.Now()
	var last error
	for range tries {
		r, err := signedRequest(ctx, server.url, goodKey, operation, body)
		if err != nil {
			return err
		}
		status, answer, err := server.answerTo(r)
		switch {
		case err == nil && status == http.StatusOK:
			c.latencies = append(c.latencies, time.Since(began))
			if out != nil {
				return json.Unmarshal(answer, out)
			}
			return nil
		case err != nil:
			last = err
		default:
			last = fmt.Errorf("status %d: %.300s", status, answer)
		}
		c.again++
	}
	return fmt.Errorf("the good client's %s failed %d times: %w", operation, tries, last)
}

func (c *goodClient) faults() []string {
	if len(c.latencies) < 10 {
		return []string{fmt.Sprintf("the good client made only %d calls", len(c.latencies))}
	}
	return nil
}

// faultsOf are those of a process while it was misused.
func faultsOf(samples []sample) (found []string) {
	if growth := grows(samples); growth != "" {
		found = append(found, growth)
	}
	if peak := most(samples, ownMemory); peak > mostOwnMemory {
		found = append(found, fmt.Sprintf("its own memory came to %d MB, and may have %d MB", peak/1000, mostOwnMemory/1000))
	}
	return found
}

// traces are what must not be in any file: panics and errors in the log, and values in
// plain in all that the server wrote.
func (a *abuse) traces() (found []string) {
	log, err := os.ReadFile(filepath.Join(a.dir, "server.log"))
	if err != nil {
		return []string{err.Error()}
	}
	for _, line := range troubles(string(log)) {
		found = append(found, fmt.Sprintf("the log has %.300s", line))
	}
	err = filepath.WalkDir(a.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := readPlain(path)
		if err == nil && holdsMark(text) {
			found = append(found, "a value is in plain in "+filepath.Base(path))
		}
		return err
	})
	if err != nil {
		found = append(found, err.Error())
	}
	return found
}

// readPlain reads a file, unpacked if it is a full one of records.
func readPlain(path string) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // in our temporary folder
	if err != nil || filepath.Ext(path) != ".gz" {
		return text, err
	}
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return io.ReadAll(r)
}

// after looks at what is left of the data: the server was ended as by a crash.
func (a *abuse) after(ctx context.Context, data string) (found []string) {
	a.show.line("verifying the data")
	verify := a.verifier(ctx, data)
	if text, err := verify.CombinedOutput(); err != nil {
		return []string{fmt.Sprintf("the data is damaged: %v: %.500s", err, text)}
	}
	p, err := a.startChecking(ctx, data)
	if err != nil {
		return []string{err.Error()}
	}
	var got struct{ SecretString string }
	var c goodClient
	err = errors.Join(c.call(ctx, newTarget("server", p.url), "GetSecretValue", getInput(goodSecret), &got), p.stop())
	if err == nil && got.SecretString != a.good.last {
		err = fmt.Errorf("the value acknowledged last is lost: got %.60q, want %.60q", got.SecretString, a.good.last)
	}
	if err != nil {
		found = append(found, err.Error())
	}
	return found
}

func (a *abuse) report(out io.Writer, took time.Duration, samples []sample, before, after counts) {
	rows := table{{"requests", "sent", "succeeded", "refused", "failed", "no answer"}}
	var all tally
	for _, k := range kinds {
		n := a.kinds[k.name]
		if n == nil {
			continue
		}
		rows = append(rows, []string{k.name, thousands(n.sent), thousands(n.succeeded), thousands(n.refused), thousands(n.failed), thousands(n.cut)})
		all = tally{all.sent + n.sent, all.succeeded + n.succeeded, all.refused + n.refused, all.failed + n.failed, all.cut + n.cut, 0}
	}
	rows = append(rows, []string{"all", thousands(all.sent), thousands(all.succeeded), thousands(all.refused), thousands(all.failed), thousands(all.cut)})
	held := table{{"the server holds", "new", "1st quarter", "2nd", "3rd", "4th", "afterwards"}}
	row := func(name string, figure func(sample) int, format func(int) string, new, end string) {
		cells := []string{name, new}
		for n := range 4 {
			cells = append(cells, format(most(quarter(samples, n), figure)))
		}
		held = append(held, append(cells, end))
	}
	row("own memory, most", ownMemory, megabytes, megabytes(before.own), megabytes(after.own))
	row("resident memory, most", residentMemory, megabytes, "", "")
	row("open descriptors, most", openFiles, thousands, thousands(before.files), thousands(after.files))
	row("threads, most", threadsOf, thousands, "", "")
	held = append(held, []string{"goroutines", thousands(before.goroutines), "", "", "", "", thousands(after.goroutines)})
	l := a.good.latencies
	_, _ = fmt.Fprintf(out, "%s\n%s\n%d abusers, %s in all, %s requests a second. The good client beside them: %s calls, p50 %s, p90 %s, p99 %s, longest %s, tried again %d times.\n",
		a.format(rows), a.format(held), abusers, took.Round(time.Second), perSecond(float64(all.sent)/took.Seconds()),
		thousands(len(l)), milliseconds(percentile(l, 50)), milliseconds(percentile(l, 90)), milliseconds(percentile(l, 99)), milliseconds(percentile(l, 100)), a.good.again)
}

func megabytes(kB int) string { return fmt.Sprintf("%d MB", kB/1000) }
