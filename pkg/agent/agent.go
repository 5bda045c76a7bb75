// Package agent stands beside a workload and speaks for it to a Strongroom whose front
// door takes no signatures of SDKs: API Gateway wants requests signed for execute-api, a
// function URL for lambda, and SDKs sign for secretsmanager.
//
// It has two doors. [SDK] takes Secrets Manager's protocol from any SDK, signs each
// request again and passes on the answer as it is. [Getter] answers GET requests as AWS's
// Secrets Manager Agent and Lambda extension do, from a cache.
//
// Invariants: nothing that a client signed with leaves this machine. A request without
// the right to use the agent's credentials is never signed with them. Values and tokens
// are in no log line and no error.
package agent

import (
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"github.com/strongroom/strongroom/pkg/loopback"
)

// Handler is both doors on one address of this machine: POST / is the SDKs', all else
// that of GET requests. Web pages and proxies find neither.
func Handler(sdk *SDK, getter *Getter) http.Handler {
	return bounded(loopback.Only(doors(sdk, getter)))
}

// SocketHandler is both doors on a Unix socket, for which a URL may name any host.
func SocketHandler(sdk *SDK, getter *Getter) http.Handler {
	return bounded(loopback.NoBrowsers(doors(sdk, getter)))
}

func doors(sdk *SDK, getter *Getter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/" {
			sdk.ServeHTTP(w, r)
			return
		}
		getter.ServeHTTP(w, r)
	})
}

// isForwarded says whether a request came by a proxy, and so perhaps from another machine.
func isForwarded(r *http.Request) bool {
	return len(r.Header.Values("X-Forwarded-For")) > 0 || len(r.Header.Values("Forwarded")) > 0
}

var targets = regexp.MustCompile(`^secretsmanager\.[A-Za-z]{1,64}$`)

// operation names a request in the log: only what can be an operation.
func operation(r *http.Request) slog.Attr {
	name := r.Header.Get("X-Amz-Target")
	if !targets.MatchString(name) {
		name = ""
	}
	return slog.String("operation", strings.TrimPrefix(name, "secretsmanager."))
}

// errNoCredentials is a failure to find the agent's own credentials.
var errNoCredentials = errors.New("the agent has no AWS credentials")
