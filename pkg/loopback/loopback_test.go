package loopback

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWhoMayCallFromWhere(t *testing.T) {
	t.Parallel()
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	for _, test := range []struct {
		host, origin           string
		onLoopback, onNetworks int // status
	}{
		{"127.0.0.1:4566", "", 200, 200},
		{"localhost", "", 200, 200},
		{"[::1]:4566", "", 200, 200},
		{"strongroom:4566", "", 403, 200},
		{"192.0.2.1", "", 403, 200},
		{"127.0.0.1:4566", "http://127.0.0.1:4566", 403, 403},
		{"strongroom:4566", "null", 403, 403},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Host = test.host
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		onLoopback, networks := httptest.NewRecorder(), httptest.NewRecorder()
		Only(next).ServeHTTP(onLoopback, r)
		NoBrowsers(next).ServeHTTP(networks, r)
		if onLoopback.Code != test.onLoopback || networks.Code != test.onNetworks {
			t.Errorf("host %s, origin %q: got %d and %d, want %d and %d", test.host, test.origin, onLoopback.Code, networks.Code, test.onLoopback, test.onNetworks)
		}
	}
}
