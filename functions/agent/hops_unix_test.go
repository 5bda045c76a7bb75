//go:build unix

package main

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func hopsOf(t *testing.T, c *net.TCPConn) (hops int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if controlErr := raw.Control(func(fd uintptr) { hops, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL) }); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	return hops
}
