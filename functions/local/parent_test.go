//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A make that is killed leaves no server behind, whose port and folder can be used at
// once. The recipe is that of `make run`.
func TestMakeIsKilled(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not there")
	}
	dir := t.TempDir()
	recipe := fmt.Sprintf("run:\n\t@exec %s --parent $$PPID $(ARGS)\n", program)
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	data, addr := filepath.Join(dir, "data"), "127.0.0.1:0"
	for i := range 2 {
		urlFile := filepath.Join(dir, fmt.Sprint("url-", i))
		said := new(output)
		run := exec.Command("make", "-C", dir, "run", fmt.Sprintf("ARGS=--data %s --addr %s --url-file %s", data, addr, urlFile))
		run.Stderr = said
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		url := waitForFile(t, urlFile)
		addr = strings.TrimPrefix(url, "http://")
		create(t, url, fmt.Sprint("s-", i), "v")
		server := lockHolder(t, data)
		began := time.Now()
		if err := run.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = run.Wait() // also for the end of all that write to its stderr
		for ; syscall.Kill(server, 0) == nil; time.Sleep(10 * time.Millisecond) {
			if time.Since(began) > 10*time.Second {
				_ = syscall.Kill(server, syscall.SIGKILL)
				t.Fatalf("the server is still there; it said %s", said)
			}
		}
		if !strings.Contains(said.String(), "the process that started this one has ended") || !strings.Contains(said.String(), `"msg":"stopped"`) {
			t.Errorf("it said %s", said)
		}
		if _, err := os.Stat(urlFile); err == nil {
			t.Error("the URL file is still there")
		}
	}
	r := start(t, "--data", data)
	for i := range 2 {
		if got := get(t, r.url, fmt.Sprint("s-", i)); got != "v" {
			t.Errorf("got %q, want v", got)
		}
	}
}

// A server whose parent is another one already does not stay.
func TestParentIsGone(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(program, "--memory", "--addr", "127.0.0.1:0", "--parent", "1").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "the process that started this one has ended") {
		t.Errorf("got %v; it said %s", err, out)
	}
}

func waitForFile(t *testing.T, path string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if text, err := os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	t.Fatalf("%s is not there", path)
	return ""
}

func lockHolder(t *testing.T, data string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
