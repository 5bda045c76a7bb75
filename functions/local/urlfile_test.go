//go:build unix

package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/local"
)

// A server that does not start leaves the file of the one that runs.
func TestURLFileOfARunningServer(t *testing.T) {
	t.Parallel()
	path, data := filepath.Join(t.TempDir(), "url"), filepath.Join(t.TempDir(), "data")
	r := start(t, "--data", data, "--url-file", path)
	taken := strings.TrimPrefix(r.url, "http://")
	for want, args := range map[string][]string{
		"is using " + data:    {"--addr", "127.0.0.1:0", "--data", data},
		"is taken by another": {"--addr", taken, "--memory"},
	} {
		if got := refused(t, append(args, "--url-file", path)...); !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
		checkFile(t, path, r.url+"\n")
	}
}

// Of two servers with one file, the end of the first leaves the URL of the second.
func TestURLFileOfTwoServers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "url")
	first := start(t, "--memory", "--url-file", path)
	second := start(t, "--memory", "--url-file", path)
	first.interrupt(t)
	checkFile(t, path, second.url+"\n")
	second.interrupt(t)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want no file any more", err)
	}
}

// Whatever else is at the path stays, whether or not the server could start. The
// refusal comes before anything is created.
func TestURLFileIsRefused(t *testing.T) {
	t.Parallel()
	const other = ": it exists and holds something else than a URL; remove it or choose another path\n"
	for name, text := range map[string]string{
		"notes":        "QXZ\n",
		"two lines":    "http://127.0.0.1:1\nQXZ\n",
		"no http":      "https://127.0.0.1:1\n",
		"a line break": "\n",
		"long":         "http://" + strings.Repeat("x", maxURLFile),
	} {
		path := filepath.Join(t.TempDir(), "notes.txt")
		writeFile(t, path, text)
		data := filepath.Join(t.TempDir(), "data")
		got := refused(t, "--addr", "127.0.0.1:0", "--data", data, "--url-file", path)
		if want := "strongroom: --url-file: " + path + other; got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
		refused(t, "--addr", "127.0.0.1:99999", "--memory", "--url-file", path)
		checkFile(t, path, text)
		if _, err := os.Lstat(data); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v, want no data folder", name, err)
		}
	}
	folder, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(folder, "none")
	for path, why := range map[string]string{
		folder:                        "it exists and is not a regular file; choose another path",
		link:                          "it exists and is not a regular file; choose another path",
		filepath.Join(missing, "url"): "the folder " + missing + " does not exist",
		filepath.Join(program, "url"): program + " is not a folder",
	} {
		// The seed is refused when it is put: the file is looked at before.
		got := refused(t, "--addr", "127.0.0.1:0", "--memory", "--seed", seedFile(t, `{"a b":"x"}`), "--url-file", path)
		if want := "strongroom: --url-file: " + path + ": " + why + "\n"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if _, err := os.Stat(link); err != nil {
		t.Error(err)
	}
}

// An empty file is replaced: mktemp makes one.
func TestURLFileIsEmpty(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "url")
	writeFile(t, path, "")
	r := start(t, "--memory", "--url-file", path)
	checkFile(t, path, r.url+"\n")
	r.interrupt(t)
}

// What came to the path while secrets were seeded stays as well.
func TestURLFileIsTakenMeanwhile(t *testing.T) {
	t.Parallel()
	f := urlFile{path: filepath.Join(t.TempDir(), "url"), url: "http://127.0.0.1:1"}
	if err := f.claim(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, f.path, "QXZ\n")
	if err := f.write(); err == nil {
		t.Error("it was replaced")
	}
	if err := f.remove(); err != nil {
		t.Error(err)
	}
	checkFile(t, f.path, "QXZ\n")
}

// The file is removed while the address is still ours: the next server there has the
// same URL.
func TestURLFileIsRemovedBeforeTheListenerCloses(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := urlFile{path: filepath.Join(t.TempDir(), "url"), url: urlOf(listener.Addr())}
	if err := f.write(); err != nil {
		t.Fatal(err)
	}
	watched := &closing{Listener: listener, path: f.path}
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, stop) // it serves then
	log := slog.New(slog.DiscardHandler)
	if err := answer(ctx, stop, watched, http.NotFoundHandler(), local.NewBounds(1, log), f, log); err != nil {
		t.Error(err)
	}
	if !errors.Is(watched.found, fs.ErrNotExist) {
		t.Errorf("got %v when the listener closed, want no file", watched.found)
	}
}

// A closing listener looks for a file when it is closed.
type closing struct {
	net.Listener
	path  string
	found error
}

func (c *closing) Close() error {
	_, c.found = os.Lstat(c.path)
	return c.Listener.Close()
}

func checkFile(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
	}
}
