package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/strongroom/strongroom/pkg/endpoint"
)

// An Upstream is the Strongroom behind the agent.
type Upstream struct {
	// Endpoint has the service and the Region to sign for.
	Endpoint endpoint.Endpoint
	Keys     *Keyring
	// Client sends; its Timeout is that of a request. See [NewHTTPClient].
	Client *http.Client

	signer *v4.Signer
}

// NewUpstream makes an Upstream.
func NewUpstream(at endpoint.Endpoint, keys *Keyring, client *http.Client) *Upstream {
	return &Upstream{Endpoint: at, Keys: keys, Client: client, signer: v4.NewSigner()}
}

const (
	// connections is how many are kept open.
	connections = atOnce + fetchesAtOnce
	// connectFor is how long it may take to make one.
	connectFor = 5 * time.Second
)

// NewHTTPClient makes the client that requests are sent with: it holds connections open,
// takes no redirects, and leaves bodies as they are. The certificates that it trusts are
// those of the machine if roots is nil.
func NewHTTPClient(timeout time.Duration, roots *x509.CertPool) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = connections, connections
	transport.DialContext = (&net.Dialer{Timeout: connectFor, KeepAlive: 30 * time.Second}).DialContext
	transport.DisableCompression = true // what the client accepts, it is asked for
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	// With HTTP/2 all requests would share a connection, and all time out when it is dead.
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	return &http.Client{Transport: straight{transport}, Timeout: timeout}
}

// straight takes no redirects. Strongroom gives none, and a client that was passed one
// might follow it with what it has signed.
type straight struct{ http.RoundTripper }

func (s straight) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.RoundTripper.RoundTrip(r)
	if err == nil && (res.StatusCode < 200 || res.StatusCode >= 300 && res.StatusCode < 400) {
		_ = res.Body.Close() // of what nobody waits for
		return nil, fmt.Errorf("the endpoint answers %s, as no Strongroom does; its URL may be wrong", res.Status)
	}
	return res, err
}

// FetchClient is a client that shares its connections with another, and reads no more of
// an answer than one with a value may have.
func FetchClient(c *http.Client) *http.Client {
	return &http.Client{Transport: limited{c.Transport, maxFetched}, Timeout: c.Timeout}
}

// passed are the headers of a client's request that go on. All others stay here, among
// them what it was signed with. By the invocation ID the service recognizes a retry.
var passed = []string{
	"Accept", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Content-Type",
	"User-Agent", "X-Amz-Target", "X-Amz-User-Agent", "X-Amzn-Trace-Id",
}

// send signs a request and sends it. It is not tried again: that is for the client to
// do, which knows how long it wants to wait. Only when the credentials are refused, which
// are ours, and others are to be had, it is sent with those.
func (u *Upstream) send(ctx context.Context, from http.Header, body []byte) (*http.Response, error) {
	creds, err := u.Keys.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	res, err := u.try(ctx, creds, from, body)
	if err != nil || !refusesCredentials(res) {
		return res, err
	}
	renewed, ok := u.Keys.Renew(ctx, creds)
	if !ok {
		return res, nil
	}
	_ = res.Body.Close() // of a refusal that nobody waits for
	return u.try(ctx, renewed, from, body)
}

func (u *Upstream) try(ctx context.Context, creds aws.Credentials, from http.Header, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.Endpoint.URL.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, name := range passed {
		if values := from.Values(name); len(values) > 0 {
			r.Header[name] = slices.Clone(values)
		}
	}
	sum := sha256.Sum256(body)
	if err := u.signer.SignHTTP(ctx, creds, r, hex.EncodeToString(sum[:]), u.Endpoint.Service, u.Endpoint.Region, time.Now()); err != nil {
		return nil, err
	}
	// What a proxy on the way may change is not signed.
	if encodings := from.Values("Accept-Encoding"); len(encodings) > 0 {
		r.Header["Accept-Encoding"] = slices.Clone(encodings)
	}
	return u.Client.Do(r)
}

// maxRefusal is far above the size of a refusal of a front door.
const maxRefusal = 16 << 10

// refusesCredentials says whether an answer says that the credentials have ended. The
// front door gives it, and the service behind it never does: nothing has been done. The
// body is there to be read again.
func refusesCredentials(res *http.Response) bool {
	if res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden {
		return false
	}
	begin, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), failing{err}, res.Body), res.Body}
	var refusal struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal(begin, &refusal) // what is no JSON names no error
	for _, code := range []string{refusal.Type, res.Header.Get("X-Amzn-Errortype")} {
		code, _, _ = strings.Cut(code, ":") // a URI may follow
		switch code {
		case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId":
			return true
		}
	}
	return false
}

// failing reads as nothing, or as the error that another reader had.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}
