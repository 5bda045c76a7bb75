package local

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// LoopbackOnly lets through to next what a program on this machine sends, and
// refuses with 403 what a web page sends.
//
// Any page that a browser on this machine shows can make it send requests to
// 127.0.0.1. The browser then adds an Origin header, which no AWS client does.
// A page can hide behind DNS rebinding, too: its own host name, which the
// browser takes for the same origin and sends no Origin for, is made to
// resolve to 127.0.0.1. The name is then still in the Host header, so only
// addresses of loopback and the name localhost pass.
func LoopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case len(r.Header.Values("Origin")) > 0:
			writeRefusal(w, http.StatusForbidden, "AccessDeniedException",
				"This request has an Origin header, so it comes from a web page. Strongroom on this machine answers AWS clients only.")
		case !isLoopback(r.Host):
			writeRefusal(w, http.StatusForbidden, "AccessDeniedException",
				"This request is addressed to a host other than this machine. Use 127.0.0.1 or localhost as the host of the endpoint URL.")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isLoopback says whether a Host header, with or without a port, is this machine.
func isLoopback(host string) bool {
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
