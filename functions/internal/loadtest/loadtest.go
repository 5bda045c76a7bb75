// Package loadtest is for tests that put a built program under load, on Linux.
package loadtest

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Hold opens so many connections, sends the text on each, and leaves them open.
func Hold(address string, n int, text string) (closeAll func()) {
	var conns []net.Conn
	var sent sync.WaitGroup
	for range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			continue
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(4096)
		conns = append(conns, conn)
		sent.Go(func() {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = io.WriteString(conn, text)
		})
	}
	sent.Wait()
	return func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
}

// PeakMemory is the most resident memory that a process has had, in bytes.
func PeakMemory(t testing.TB, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kilobytes, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatalf("no peak in %s", status)
	return 0
}
