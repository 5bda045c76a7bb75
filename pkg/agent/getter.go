package agent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Getter is the door for GET requests, as AWS's Secrets Manager Agent and its Parameters
// and Secrets Lambda extension answer them:
//
//	GET /secretsmanager/get?secretId=…&versionId=…&versionStage=…&refreshNow=true
//	GET /v1/<secretId>?versionId=…&versionStage=…&refreshNow=true
//	GET /ping
//
// All but the last need the token, in X-Aws-Parameters-Secrets-Token or X-Vault-Token: a
// program that can be made to fetch a URL of somebody else's choice cannot be made to
// send a header. Status codes and texts are those of AWS's agent.
type Getter struct {
	token [sha256.Size]byte // what it must hash to, compared in constant time
	open  bool              // whether there is a token
	most  int64             // requests at a time
	busy  atomic.Int64
	cache *cache
	log   *slog.Logger
}

// GetterOptions are the settings of a Getter.
type GetterOptions struct {
	Client         *secretsmanager.Client // of the service
	Token          string                 // without one every request but /ping is refused
	TTL            time.Duration          // how long an answer is kept; 0 for none
	CacheSize      int                    // how many answers are kept, at least 1
	Revalidate     bool                   // whether DescribeSecret is asked before an answer is given again
	MaxConnections int                    // how many requests are answered at a time
	Timeout        time.Duration          // of a request to the service, with its retries
	Log            *slog.Logger
}

// NewGetter makes a Getter. It is to be closed.
func NewGetter(o GetterOptions) *Getter {
	return newGetter(o, newService(o.Client))
}

func newGetter(o GetterOptions, from fetcher) *Getter {
	return &Getter{
		token: sha256.Sum256([]byte(o.Token)), open: o.Token != "", most: int64(o.MaxConnections), log: o.Log,
		cache: newCache(from, o),
	}
}

// Close zeroes what is in the cache.
func (g *Getter) Close() { g.cache.close() }

// spare is how many requests to /ping are answered beside the most of others.
const spare = 2

func (g *Getter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	busy := g.busy.Add(1)
	defer g.busy.Add(-1)
	ping := r.URL.Path == "/ping"
	most := g.most
	if ping {
		most += spare
	}
	switch {
	case busy > most:
		g.refuse(w, r, http.StatusTooManyRequests, "Connection limit exceeded")
	case !ping && isForwarded(r):
		g.refuse(w, r, http.StatusBadRequest, "Forwarded")
	case !ping && !g.hasToken(r):
		g.refuse(w, r, http.StatusForbidden, "Bad Token")
	case r.Method != http.MethodGet:
		g.refuse(w, r, http.StatusMethodNotAllowed, "Not allowed")
	case ping:
		writeText(w, http.StatusOK, "healthy")
	case r.URL.Path == "/secretsmanager/get":
		g.get(w, r, "")
	case strings.HasPrefix(r.URL.Path, pathPrefix):
		id := strings.TrimPrefix(r.URL.Path, pathPrefix)
		if id == "" {
			g.refuse(w, r, http.StatusBadRequest, "missing secret ID")
			return
		}
		g.get(w, r, id)
	default:
		g.refuse(w, r, http.StatusNotFound, "Not found")
	}
}

// pathPrefix stands before the name of a secret in a path.
const pathPrefix = "/v1/"

// hasToken says whether one of the two headers has the token.
func (g *Getter) hasToken(r *http.Request) bool {
	for _, name := range []string{"X-Aws-Parameters-Secrets-Token", "X-Vault-Token"} {
		sum := sha256.Sum256([]byte(r.Header.Get(name)))
		if subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1 {
			return g.open
		}
	}
	return false
}

// get answers for the secret in the path or, without one, in the query.
func (g *Getter) get(w http.ResponseWriter, r *http.Request, id string) {
	q, fresh, wrong := readQuery(r.URL.RawQuery, id)
	if wrong != "" {
		g.refuse(w, r, http.StatusBadRequest, wrong)
		return
	}
	began := time.Now()
	text, err := g.cache.get(r.Context(), q, fresh)
	if err != nil {
		g.fail(w, r, began, err)
		return
	}
	defer clear(text)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(text) //nolint:gosec // JSON for a program; it fails only when that is gone
}

// readQuery reads the parameters, of which the last of a name counts. What is wrong is
// in the words of AWS's agent.
func readQuery(raw, id string) (q query, fresh bool, wrong string) {
	q.SecretID = id
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, text, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		text, err2 := url.QueryUnescape(text)
		if errors.Join(err, err2) != nil {
			return q, false, "invalid URL"
		}
		switch {
		case name == "secretId" && id == "":
			q.SecretID = text
		case name == "versionId":
			q.VersionID = text
		case name == "versionStage":
			q.VersionStage = text
		case name == "refreshNow":
			switch strings.ToLower(text) {
			case "true", "1":
				fresh = true
			case "false", "0":
				fresh = false
			default:
				return q, false, "invalid refreshNow value"
			}
		default:
			return q, false, "unknown parameter: " + name
		}
	}
	if q.SecretID == "" {
		return q, false, "missing parameter secretId"
	}
	return q, fresh, ""
}

// fail answers with an error in GetSecretValue's form.
func (g *Getter) fail(w http.ResponseWriter, r *http.Request, began time.Time, err error) {
	if r.Context().Err() != nil {
		abandon() // the client has gone, or so it looks
	}
	f, ok := errors.AsType[failure](err)
	if !ok {
		f = failure{status: http.StatusInternalServerError, code: "InternalFailure", cause: err}
		if errors.Is(err, context.DeadlineExceeded) {
			f.status, f.code, f.message = http.StatusGatewayTimeout, "TimeoutError", "Timeout"
		}
	}
	level := slog.LevelInfo
	if f.status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	g.log.LogAttrs(r.Context(), level, "no value", slog.Int("status", f.status), slog.String("code", f.code), millis(began), slog.String("error", cause(err)))
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(f.status)
	_ = json.NewEncoder(w).Encode(struct { // the client has gone, if this fails
		Type    string `json:"__type"`
		Message string `json:"message,omitempty"`
	}{f.code, f.message})
}

func (g *Getter) refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	// What is wrong with a query may be a value that was pasted into it.
	said, _, _ := strings.Cut(why, ":")
	g.log.LogAttrs(r.Context(), slog.LevelInfo, "refused", slog.Int("status", status), slog.String("why", said))
	writeText(w, status, why)
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) //nolint:gosec // plain text for a program; it fails only when that is gone
}
