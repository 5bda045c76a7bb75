//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A closed terminal sends SIGHUP, often more than once. With nothing to reload it
// stops the server as SIGTERM does.
func TestHangupStops(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "url")
	r := start(t, "--memory", "--url-file", path)
	for range 3 {
		if err := r.Process.Signal(syscall.SIGHUP); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
	}
	if err := r.Wait(); err != nil || !strings.Contains(r.errors.String(), `"msg":"stopped"`) {
		t.Errorf("it ended with %v and said %s", err, r.errors)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want no URL file any more", err)
	}
}

// A server started under nohup outlives its terminal.
func TestHangupUnderNohup(t *testing.T) {
	t.Parallel()
	r := startCommand(t, exec.Command("nohup", program, "--memory", "--addr", "127.0.0.1:0"))
	if err := r.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	create(t, r.url, "s", "v")
	r.interrupt(t)
}
