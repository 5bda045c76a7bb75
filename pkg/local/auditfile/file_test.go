package auditfile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/audit"
)

func open(t *testing.T, path string) *RotatingFile {
	t.Helper()
	f, err := openFiles(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFileIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "audit.jsonl")
	keep(t, open(t, path), aCall())
	if got := strings.Count(read(t, path), "\n"); got != 1 {
		t.Errorf("got %d lines", got)
	}
	if runtime.GOOS == "windows" {
		return // it has no such modes
	}
	for path, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v (%v), want %v", path, info.Mode(), err, want)
		}
	}
}

func TestFileGoesOn(t *testing.T) {
	for name, c := range map[string]struct{ before, want string }{
		"nothing":     {"", ""},
		"a record":    {"{}\n", "{}\n"},
		"half a line": {`{"eventVer`, `{"eventVer` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			if err := os.WriteFile(path, []byte(c.before), 0o644); err != nil {
				t.Fatal(err)
			}
			keep(t, open(t, path), aCall())
			if got, want := read(t, path), c.want+lineOf(t, aCall()); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("got mode %v", info.Mode())
			}
		})
	}
}

func TestFileThatCannotBeWritten(t *testing.T) {
	folder := t.TempDir()
	plain := filepath.Join(folder, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"in what is no folder": filepath.Join(plain, "audit.jsonl"), "a folder": folder} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(path)
			if err == nil || !strings.HasPrefix(err.Error(), "the audit log "+path+" cannot be written: ") {
				t.Errorf("got %v", err)
			}
		})
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink(plain, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link); err == nil || !strings.Contains(err.Error(), link+" is a symbolic link") {
		t.Errorf("a link: got %v", err)
	}
	// Modes do not stop root, as whom tests run in a container; owners do.
	if os.Getuid() == 0 {
		if err := os.Chown(plain, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(plain); err == nil || !strings.Contains(err.Error(), plain+" belongs to another user") {
			t.Errorf("a file given away: got %v", err)
		}
	}
	theirs, as := unprivileged(t)
	sealed := filepath.Join(theirs, "sealed")
	as(func() {
		if err := os.Mkdir(sealed, 0o500); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(filepath.Join(sealed, "audit.jsonl")); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a folder that takes no files: got %v", err)
		}
	})
	left, err := filepath.Glob(filepath.Join(folder, ".audit-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left %v (%v)", left, err)
	}
}

// Every record is in one of the files, whole.
func TestFileIsPutAsideWhenFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, path)
	large := aCall()
	large.RequestParameters["description"] = strings.Repeat("x", 200*1024)
	const records = 12
	for range records {
		keep(t, f, large)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	aside, err := filepath.Glob(filepath.Join(filepath.Dir(path), "audit-*-size*.jsonl.gz"))
	if err != nil || len(aside) != 2 {
		t.Fatalf("put aside %v (%v), want two files", aside, err)
	}
	got := strings.Count(read(t, path), "\n")
	for _, name := range aside {
		if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v (%v)", name, info.Mode(), err)
		}
		text := unzip(t, name)
		if !strings.HasSuffix(text, "\n") {
			t.Errorf("%s ends within a line", name)
		}
		got += strings.Count(text, "\n")
	}
	if got != records {
		t.Errorf("got %d records, want %d", got, records)
	}
}

func unzip(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFileThatIsTakenAway(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // an open file cannot be removed there
	}
	path := filepath.Join(t.TempDir(), "new", "audit.jsonl")
	f := open(t, path)
	for _, remove := range []func() error{
		func() error { return os.Remove(path) }, // before the first record
		func() error { return os.Remove(path) },
		func() error { return os.Rename(path, path+".moved") },
		func() error { return os.RemoveAll(filepath.Dir(path)) },
	} {
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		keep(t, f, aCall())
		if got := strings.Count(read(t, path), "\n"); got != 1 {
			t.Errorf("got %d lines, want 1", got)
		}
	}
	// Where the folder was is something else now.
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Keep(t.Context(), aCall()); err == nil {
		t.Error("nothing can be written, and Keep says nothing")
	}
}

func TestFileThatCannotBePutAside(t *testing.T) {
	folder, as := unprivileged(t)
	path := filepath.Join(folder, "audit.jsonl")
	f := open(t, path)
	keep(t, f, aCall())
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	large := aCall()
	large.RequestParameters["description"] = strings.Repeat("x", 200*1024)
	kept := 0
	var err error
	as(func() {
		for ; kept < 10 && err == nil; kept++ {
			err = f.Keep(t.Context(), large)
		}
	})
	if err == nil || !strings.Contains(err.Error(), "permission denied") || kept != 6 {
		t.Errorf("the %dth is refused with %v: the file grows without end, or records are lost", kept, err)
	}
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	keep(t, f, aCall())
}

// A flood of refused calls drives out refused calls alone, and all that are left are
// shown in order of time.
func TestRefusedCallsHaveTheirOwnSpace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, path)
	at := func(r audit.Record, second int) audit.Record {
		r.EventTime = audit.Time(noon.Add(time.Duration(second) * time.Second))
		return r
	}
	const flood = 5_000
	noise := aRefusal()
	noise.ErrorMessage = strings.Repeat("x", 1000)
	unknown := aRefusal()
	unknown.AdditionalEventData = map[string]any{audit.Outcome: audit.OutcomeUnknown}
	keep(t, f, at(aRefusal(), 0), at(aCall(), 1))
	for i := range flood {
		keep(t, f, at(noise, 2+i))
	}
	keep(t, f, at(unknown, 2+flood), at(aRefusal(), 3+flood))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, path), lineOf(t, at(aCall(), 1))+lineOf(t, at(unknown, 2+flood)); got != want {
		t.Errorf("got %s, want the two that are no refusals", got)
	}
	refused, err := filepath.Glob(filepath.Join(filepath.Dir(path), "audit.refused*"))
	if err != nil || len(refused) != 1+maxOfRefused {
		t.Errorf("got the files %v (%v), want %d older ones", refused, err, maxOfRefused)
	}
	var out bytes.Buffer
	if err := Show(&out, path, Filter{Last: 10_000}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if n := len(lines); n > flood || !slices.IsSorted(lines) || !strings.Contains(lines[0], "PutSecretValue") || !strings.Contains(lines[n-2], "outcome unknown") || !strings.Contains(lines[n-1], "AccessDenied") {
		t.Errorf("got %d lines from %s to %s", n, lines[0], lines[n-1])
	}
	out.Reset()
	if err := Show(&out, path, Filter{Last: 2}); err != nil || out.String() != strings.Join(lines[len(lines)-2:], "\n")+"\n" && strings.Count(out.String(), "\n") != 2 {
		t.Errorf("got %s (%v), want the last two", &out, err)
	}
}

func TestPaths(t *testing.T) {
	for path, want := range map[string]string{"a/audit.jsonl": "a/audit.refused.jsonl", "audit": "audit.refused.jsonl", "a.b/x.log": "a.b/x.refused.log"} {
		got := Paths(path)
		if !slices.Equal(got, []string{path, want}) {
			t.Errorf("got %v, want %s and %s", got, path, want)
		}
		if aside := strings.TrimSuffix(want, filepath.Ext(want)) + "-2026" + filepath.Ext(want); isAside(path, filepath.Base(aside)) {
			t.Errorf("an older file of %s is taken for one of %s", want, path)
		}
	}
}

func TestFileConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, path)
	n, got := keepMany(t, f), 0
	for _, path := range Paths(path) {
		got += strings.Count(read(t, path), "\n")
	}
	if got != n {
		t.Errorf("got %d lines, want %d", got, n)
	}
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, path)
	large := aCall()
	large.RequestParameters["description"] = strings.Repeat("x", 200*1024)
	for range 6 {
		keep(t, f, large)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Keep(t.Context(), aCall()); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Keep after Close: got %v", err)
	}
	// A goroutine that is done may take a moment to be gone.
	for range 100 {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !strings.Contains(string(stacks), "timberjack") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a goroutine of timberjack is left")
}
