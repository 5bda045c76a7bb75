// Package localtest gives a test the whole service over the local engines, and
// lets it count and break the remote calls.
//
// The engines are one DynamoDB and one KMS for a test binary, in memory; every test
// has a table of its own.
package localtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// ARNs are what the secrets of a test are called, where it does not say otherwise.
var ARNs = secret.ARNs{Partition: "aws", Region: local.Region, Account: local.Account}

var tables atomic.Int64

// A Room is the service as one process has it, over a table of the test's own.
type Room struct {
	Table    string
	ARNs     secret.ARNs
	Wire     *Wire
	DynamoDB *dynamodb.Client
	KMS      envelope.KMS
	Store    *store.Store
	Server   *api.Server
	// URL is where the server answers, and SDK a client of it.
	URL string
	SDK *secretsmanager.Client

	identify func(*http.Request) policy.Caller
}

// New makes a table and a service over it.
func New(t testing.TB) *Room { return In(t, local.Region) }

// In makes a table and a service over it in a Region, with a KMS of that Region.
func In(t testing.TB, region string) *Room {
	t.Helper()
	table := fmt.Sprintf("test-%d", tables.Add(1))
	if err := store.CreateTable(t.Context(), shared.Tables, table); err != nil {
		t.Fatal(err)
	}
	return open(t, table, region)
}

// Another is the service as another process has it: over the same table, with
// nothing remembered.
func (r *Room) Another(t testing.TB) *Room {
	t.Helper()
	return open(t, r.Table, r.ARNs.Region)
}

func open(t testing.TB, table, region string) *Room {
	wire, engines, arns := &Wire{}, inRegion(region), ARNs
	arns.Region = region
	client := engines.dynamoDB(wire)
	r := &Room{
		Table: table, ARNs: arns, Wire: wire, DynamoDB: client, KMS: lineOfKMS{wire, engines.Keys, engines.kms(wire)},
		Store: store.New(line{wire, engines.Tables, client}, table, arns),
	}
	r.Server = &api.Server{
		Store:  r.Store,
		Sealer: &envelope.Sealer{KMS: r.KMS, DefaultKey: engines.DefaultKey, Keep: time.Minute},
		ARNs:   arns,

		Replicates:   func(string) bool { return true },
		Retention:    secret.DefaultRetention,
		DatePatience: time.Minute, // tests count on the dates
		AnswerStep:   1,           // and do not wait
		Policies:     policy.AllowAll(),
		Resources:    policy.NewCache(16 << 20),
	}
	r.serve(t, local.Caller)
	return r
}

// As is the same service, in the same process, to which every call is by this caller.
func (r *Room) As(t testing.TB, caller policy.Caller) *Room {
	t.Helper()
	other := *r
	other.serve(t, func(*http.Request) policy.Caller { return caller })
	return &other
}

func (r *Room) serve(t testing.TB, identify func(*http.Request) policy.Caller) {
	r.identify = identify
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.URL = server.URL
	r.SDK = Client(server.URL)
}

// ServeHTTP answers a request.
func (r *Room) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.Server.Answer(w, req, uuid.NewString(), r.identify(req))
}

// Answer answers a request of whom its access key says, as the local server does.
func Answer(s *api.Server, w http.ResponseWriter, req *http.Request) {
	s.Answer(w, req, uuid.NewString(), local.Caller(req))
}

// quick is the SDK's own retryer without its long waits.
func quick() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 10 * time.Millisecond })
}

// Client is an SDK client of a server. It retries as every client does: now and
// then the SDK fails to read a larger answer (aws/aws-sdk-go-v2#2737).
func Client(url string) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region:       local.Region,
		BaseEndpoint: aws.String(url),
		Credentials:  anybody,
		Retryer:      quick(),
	})
}

// Post sends a request that no SDK would, and returns the answer and its body.
func (r *Room) Post(t testing.TB, operation, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	return Do(t, req)
}
