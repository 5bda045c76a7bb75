package main

import (
	"net"
	"testing"

	"golang.org/x/sys/windows"
)

func hopsOf(t *testing.T, c *net.TCPConn) (hops int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if controlErr := raw.Control(func(fd uintptr) {
		hops, err = windows.GetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, windows.IP_TTL)
	}); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	return hops
}
