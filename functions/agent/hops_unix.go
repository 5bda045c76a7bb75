//go:build unix

package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// keepHere gives a socket's packets one hop, as AWS's agent does: what a router of
// containers would take further is lost.
func keepHere(network, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		if network == "tcp6" {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 1)
		} else {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, 1)
		}
	})
	if err != nil {
		return err
	}
	return failed
}
