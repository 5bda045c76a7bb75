package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/client"
	"github.com/strongroom/strongroom/pkg/endpoint"
	"github.com/strongroom/strongroom/pkg/refusal"
	"github.com/strongroom/strongroom/pkg/signature"
)

const (
	ownKey, ownSecret, ownToken = "ASIAOWN0000000000001", "own/EXAMPLE/secret/of/the/agent/00000001", "own-session-token-1"
	newKey, newSecret, newToken = "ASIAOWN0000000000002", "own/EXAMPLE/secret/of/the/agent/00000002", "own-session-token-2"
)

// A source is credentials that a test changes.
type source struct {
	mu          sync.Mutex
	creds       aws.Credentials
	err         error
	asked       int
	invalidated int
}

func (s *source) Retrieve(context.Context) (aws.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.creds, s.err
}

func (s *source) Invalidate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.invalidated++
}

func (s *source) set(creds aws.Credentials, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.creds, s.err = creds, err
}

func own() aws.Credentials {
	return aws.Credentials{AccessKeyID: ownKey, SecretAccessKey: ownSecret, SessionToken: ownToken}
}

func renewed() aws.Credentials {
	return aws.Credentials{AccessKeyID: newKey, SecretAccessKey: newSecret, SessionToken: newToken}
}

// A door checks signatures for execute-api, as API Gateway does, and keeps what came.
type door struct {
	*httptest.Server
	mu       sync.Mutex
	secrets  map[string]string // of access keys that are good; others have ended
	requests []*http.Request
	bodies   []string
	answer   http.HandlerFunc
}

func newDoor(t testing.TB, answer http.HandlerFunc) *door {
	t.Helper()
	d := &door{secrets: map[string]string{ownKey: ownSecret, newKey: newSecret}, answer: answer}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	d.requests, d.bodies = append(d.requests, r), append(d.bodies, string(body))
	d.mu.Unlock()
	sig, err := signature.Read(r, body, time.Now(), "execute-api")
	if err != nil {
		refusal.Write(w, http.StatusBadRequest, "InvalidSignatureException", err.Error())
		return
	}
	secret, ok := d.secrets[sig.AccessKey]
	if !ok {
		refusal.Write(w, http.StatusBadRequest, "ExpiredTokenException", "The security token included in the request is expired")
		return
	}
	if signed, _ := sig.IsBy(secret, r, body); !signed {
		refusal.Write(w, http.StatusBadRequest, "InvalidSignatureException", "not signed with the secret")
		return
	}
	d.answer(w, r)
}

func (d *door) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.requests)
}

// lockedBuffer is a log that several write to.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// A bench is an agent in front of a door.
type bench struct {
	url  string
	sdk  *SDK
	keys *source
	log  *lockedBuffer
}

func startAgent(t testing.TB, url string, timeout time.Duration) *bench {
	t.Helper()
	at, err := endpoint.Parse(url + "/v1")
	if err != nil {
		t.Fatal(err)
	}
	at.Service, at.Region = endpoint.Gateway, "eu-central-1"
	b := &bench{keys: &source{creds: own()}, log: &lockedBuffer{}}
	log := slog.New(slog.NewJSONHandler(b.log, nil))
	upstream := NewUpstream(at, NewKeyring(aws.NewCredentialsCache(b.keys), 0), NewHTTPClient(timeout, nil))
	b.sdk = NewSDK(upstream, false, log)
	secrets, err := client.FromConfig(aws.Config{Region: at.Region, Credentials: upstream.Keys, HTTPClient: FetchClient(upstream.Client)}, at.URL.String(), client.SignedFor(at.Service), func(o *secretsmanager.Options) {
		o.RetryMaxAttempts = 1
	})
	if err != nil {
		t.Fatal(err)
	}
	getter := NewGetter(GetterOptions{Client: secrets, Token: "EXAMPLE-TOKEN", TTL: time.Minute, CacheSize: 10, MaxConnections: 10, Timeout: 10 * time.Second, Log: log})
	server := httptest.NewServer(Handler(b.sdk, getter))
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// client is an SDK's, with the endpoint alone changed.
func (b *bench) client(creds aws.Credentials, attempts int, optFns ...func(*secretsmanager.Options)) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &b.url, Region: "us-east-1", RetryMaxAttempts: attempts,
		Credentials: credentials.StaticCredentialsProvider{Value: creds},
	}, optFns...)
}

// noSecrets checks that nothing in a text is what nobody may read.
func noSecrets(t *testing.T, text string) {
	t.Helper()
	for _, mark := range []string{ownSecret, newSecret, ownToken, newToken, "EXAMPLE-VALUE", "EXAMPLE-TOKEN"} {
		if strings.Contains(text, mark) {
			t.Errorf("%q is in %s", mark, text)
		}
	}
}

func sum(body string) [sha256.Size]byte { return sha256.Sum256([]byte(body)) }
