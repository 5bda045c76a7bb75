package main

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// keepHere gives a socket's packets one hop, as AWS's agent does.
func keepHere(network, _ string, c syscall.RawConn) error {
	const ipv6UnicastHops = 4 // IPV6_UNICAST_HOPS of ws2ipdef.h
	var failed error
	err := c.Control(func(fd uintptr) {
		if network == "tcp6" {
			failed = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, ipv6UnicastHops, 1)
		} else {
			failed = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, windows.IP_TTL, 1)
		}
	})
	if err != nil {
		return err
	}
	return failed
}
