package main

import (
	"io"
	"net/http"
)

// ready is the answer of a server that answers calls: one that is not ready yet
// answers nothing. The services are as LocalStack lists them.
const ready = `{"status":"ready","services":{"secretsmanager":"available"}}` + "\n"

// withHealth answers whether the server is ready, without credentials,
// log or record. The second path is the one that is polled of a LocalStack.
func withHealth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asksHealth := r.URL.Path == "/health" || r.URL.Path == "/_localstack/health"
		if !asksHealth || r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, ready) // the caller may be gone
	})
}
