// Package loopback keeps servers of this machine to programs on it.
package loopback

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/strongroom/strongroom/pkg/refusal"
)

// Only is [NoBrowsers] that also refuses requests to another host than
// loopback.
//
// A page can hide its origin by DNS rebinding: its own host name, which the browser
// takes for the same origin and sends no Origin for, is made to resolve to
// 127.0.0.1. The name is still in the Host header, so only addresses of loopback
// and the name localhost pass.
func Only(next http.Handler) http.Handler {
	return NoBrowsers(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !IsHost(r.Host) {
			refusal.Write(w, http.StatusForbidden, "AccessDeniedException",
				"This request is addressed to a host other than this machine. Use 127.0.0.1 or localhost as the host of the endpoint URL.")
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// NoBrowsers refuses with 403 what a web page sends: any page that is shown on this
// machine can make its browser send requests here. The browser adds an Origin
// header to them, which no AWS client does.
//
// It suffices where signatures are checked, since no page can sign.
func NoBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Values("Origin")) > 0 {
			refusal.Write(w, http.StatusForbidden, "AccessDeniedException",
				"This request has an Origin header, so it comes from a web page. Strongroom on this machine answers AWS clients only.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// IsHost says whether a Host header, with or without a port, is this machine.
func IsHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
