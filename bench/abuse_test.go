package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A short abuse of the real server, of which make abuse is a long one.
func TestAbuse(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGQUIT, with which goroutines are counted")
	}
	dir := t.TempDir()
	server := filepath.Join(dir, "local")
	if out, err := exec.Command("go", "build", "-o", server, "../functions/local").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h := &host{settings: settings{server: server, requests: 1000, seed: 1}, dir: dir, show: &progress{}}
	a := &abuse{host: h, slow: 200 * time.Millisecond, settle: time.Second / 2}
	var out bytes.Buffer
	if err := a.run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, k := range kinds {
		if n := a.kinds[k.name]; n == nil || n.sent == 0 {
			t.Errorf("nothing was sent of: %s", k.name)
		}
	}
	if n := a.kinds["valid calls"]; n.succeeded < n.sent/4 {
		t.Errorf("of %d valid calls only %d succeeded", n.sent, n.succeeded)
	}
}

func TestFault(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		kind kind
		got  outcome
		want string
	}{
		{"success", kind{answered: true}, outcome{200, []byte(mark)}, ""},
		{"refusal", kind{refused: true, answered: true}, outcome{400, nil}, ""},
		{"hang-up", kind{}, outcome{}, ""},
		{"cut", kind{answered: true}, outcome{}, "no answer"},
		{"server's fault", kind{}, outcome{500, []byte("x")}, "status 500: x"},
		{"no such encoding", kind{}, outcome{501, nil}, ""},
		{"success where a refusal was due", kind{refused: true}, outcome{200, []byte("x")}, "status 200, where"},
		{"the value in a refusal", kind{}, outcome{400, []byte("a" + mark + "b")}, "has the value in it"},
		{"the value in base64", kind{}, outcome{400, []byte(base64.StdEncoding.EncodeToString([]byte(mark + "more")))}, "has the value in it"},
	} {
		got := test.kind.fault(test.got)
		if test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestGrows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		own  func(i int) int
		want bool
	}{
		{"flat", func(int) int { return 40_000 }, false},
		{"up and down", func(i int) int { return 40_000 + i%2*8_000 }, false},
		{"fills at first", func(i int) int { return min(i*4_000, 40_000) }, false},
		{"grows", func(i int) int { return 40_000 + i*1_500 }, true},
	} {
		var samples []sample
		for i := range 40 {
			samples = append(samples, sample{own: test.own(i)})
		}
		if got := grows(samples); (got != "") != test.want {
			t.Errorf("%s: got %q", test.name, got)
		}
	}
	if got := grows(nil); got != "" {
		t.Errorf("no samples: got %q", got)
	}
	if got := faultsOf([]sample{{own: mostOwnMemory + 1}}); len(got) != 1 {
		t.Errorf("too much memory: got %q", got)
	}
}

func TestCountsOfProcesses(t *testing.T) {
	t.Parallel()
	before := counts{goroutines: 18, files: 13}
	for _, test := range []struct {
		after counts
		want  int
	}{
		{counts{goroutines: 20, files: 15}, 0},
		{counts{goroutines: 18 + spare + 1, files: 13}, 1},
		{counts{goroutines: 100, files: 100}, 2},
	} {
		if got := (counts{}).faults(before, test.after); len(got) != test.want {
			t.Errorf("%+v: got %q", test.after, got)
		}
	}
}

func TestTroubles(t *testing.T) {
	t.Parallel()
	const log = `{"level":"INFO","msg":"request"}
{"level":"WARN","msg":"too many connections"}
{"level":"ERROR","msg":"cannot"}
{"level":"WARN","msg":"http: panic serving 127.0.0.1:1: x"}
fatal error: all goroutines are asleep
`
	if got := troubles(log); len(got) != 3 {
		t.Errorf("got %q, want three lines", got)
	}
}

// A value in plain is found in every file, also in a full one that is packed.
func TestTraces(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.WriteString(w, "x"+mark); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"server.log": "{}\n", "audit.jsonl": mark, "data": "sealed", "audit-1.jsonl.gz": packed.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := (&abuse{host: &host{dir: dir}}).traces()
	if want := "a value is in plain in audit-1.jsonl.gz, a value is in plain in audit.jsonl"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSampleOf(t *testing.T) {
	t.Parallel()
	got := sampleOf("VmRSS:\t 1234 kB\nRssAnon:\t  1000 kB\nThreads:\t11\n")
	if want := (sample{resident: 1234, own: 1000, threads: 11}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The picture is XML, also of a load in which nothing was done.
func TestPicture(t *testing.T) {
	t.Parallel()
	busy := interval{sample{own: 40_000, resident: 600_000}, make([]time.Duration, 900), make([]time.Duration, 100)}
	for _, parts := range [][]interval{{{}}, {busy, busy, {}}} {
		text := picture(parts, time.Second)
		for d := xml.NewDecoder(strings.NewReader(text)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, text)
			}
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("got %s", text)
		}
	}
	for value, want := range map[float64]float64{0: 4, 5: 8, 8.5: 10, 662: 800, 1_507: 2_000, 9_000: 10_000} {
		if got := roundUp(value); got != want {
			t.Errorf("%v: got %v, want %v", value, got, want)
		}
	}
}
