package local

import (
	"bufio"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// However we die, the engine dies with us, and the next start finds the folder free.
func TestKilledParentLeavesNoEngine(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	parent := helper(t, data)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "http://")
	if err != nil || !ok {
		t.Fatalf("the helper says %q (%v), want a URL", line, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed, which is an error

	begun := time.Now()
	start(t, Options{Data: data})
	t.Logf("started again %s after the kill", time.Since(begun))
	// The folder was free, so the engine had gone, and with it its port.
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp4", url)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect to the engine that should have gone: got %v, want refused", err)
	}
}
