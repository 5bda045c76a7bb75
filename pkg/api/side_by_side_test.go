package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/store"
)

// BenchmarkSideBySide measures what an operation costs over the DynamoDB call it
// is made of: on one engine, in one process, in turns. PutSecretValue of 1 KB
// stands beside the bare transaction of two items that it sends, a warm
// GetSecretValue beside the bare consistent read of the head. Every client has a secret of its own.
//
// A benchmark's N is the number of calls of each client to each side.
func BenchmarkSideBySide(b *testing.B) {
	for _, engine := range []struct{ name, data string }{{"disk", b.TempDir()}, {"memory", ""}} {
		engines, err := local.Start(b.Context(), local.Options{Data: engine.data})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = engines.Close() }()
		bench := newSideBySide(b, engines)
		for _, clients := range []int{1, 16} {
			name := fmt.Sprintf("engine=%s/clients=%d", engine.name, clients)
			b.Run("PutSecretValue/"+name, func(b *testing.B) { bench.measure(b, clients, bench.barePut, bench.put) })
			b.Run("GetSecretValue/"+name, func(b *testing.B) { bench.measure(b, clients, bench.bareGet, bench.get) })
		}
	}
}

type sideBySide struct {
	db     local.DynamoDB
	server *api.Server
	value  string
	// made are the transactions that put a value, one for each client's bare secret.
	made [16]*dynamodb.TransactWriteItemsInput
}

func newSideBySide(b *testing.B, engines *local.Engines) *sideBySide {
	b.Helper()
	at, err := engines.Open(b.Context(), local.Region)
	if err != nil {
		b.Fatal(err)
	}
	s := &sideBySide{db: engines.DynamoDB, value: strings.Repeat("x", 1024)}
	recorder := &recorder{DynamoDB: s.db}
	s.server = &api.Server{
		Store:  store.New(recorder, at.Table, localtest.ARNs),
		Sealer: &envelope.Sealer{KMS: at.KMS, DefaultKey: at.DefaultKey, Keep: time.Hour},
		ARNs:   localtest.ARNs,

		Policies:  policy.AllowAll(),
		Resources: policy.NewCache(1),
	}
	for client := range s.made {
		for _, name := range []string{"client", "bare"} {
			name = fmt.Sprintf("%s-%d", name, client)
			for _, operation := range []string{"CreateSecret", "PutSecretValue"} {
				s.call(b, operation, fmt.Sprintf(`{"Name":%q,"SecretId":%q,"ClientRequestToken":%q,"SecretString":%q}`, name, name, uuid.NewString(), s.value))
			}
		}
		s.made[client] = recorder.last
	}
	return s
}

// A recorder remembers the last transaction.
type recorder struct {
	local.DynamoDB
	mu   sync.Mutex
	last *dynamodb.TransactWriteItemsInput
}

func (r *recorder) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	r.mu.Lock()
	r.last = in
	r.mu.Unlock()
	return r.DynamoDB.TransactWriteItems(ctx, in, opts...)
}

func (s *sideBySide) call(b *testing.B, operation, body string) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	w := httptest.NewRecorder()
	localtest.Answer(s.server, w, r)
	if w.Code != http.StatusOK {
		b.Errorf("%s: %d %s", operation, w.Code, w.Body)
	}
}

func (s *sideBySide) put(b *testing.B, client, _ int) {
	s.call(b, "PutSecretValue", fmt.Sprintf(`{"SecretId":"client-%d","ClientRequestToken":%q,"SecretString":%q}`, client, uuid.NewString(), s.value))
}

func (s *sideBySide) get(b *testing.B, client, _ int) {
	s.call(b, "GetSecretValue", fmt.Sprintf(`{"SecretId":"client-%d"}`, client))
}

// barePut is the transaction that a put is made of, with nothing around it: the
// one recorded, for the next revision and a version of another ID.
func (s *sideBySide) barePut(b *testing.B, client, _ int) {
	in := s.made[client]
	head, version := in.TransactItems[0].Update.ExpressionAttributeValues, in.TransactItems[1].Put.Item
	revision, err := strconv.Atoi(head[":revision"].(*types.AttributeValueMemberN).Value)
	if err != nil {
		b.Fatal(err)
	}
	head[":seen"] = head[":revision"]
	head[":revision"] = &types.AttributeValueMemberN{Value: strconv.Itoa(revision + 1)}
	id := uuid.NewString()
	version["sk"], version["id"] = &types.AttributeValueMemberS{Value: "VERSION#" + id}, &types.AttributeValueMemberS{Value: id}
	in.ClientRequestToken = aws.String(uuid.NewString())
	if _, err := s.db.TransactWriteItems(context.Background(), in); err != nil {
		b.Error(err)
	}
}

func (s *sideBySide) bareGet(b *testing.B, client, _ int) {
	_, err := s.db.GetItem(context.Background(), &dynamodb.GetItemInput{
		TableName: aws.String("strongroom"),
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: fmt.Sprintf("SECRET#client-%d", client)},
			"sk": &types.AttributeValueMemberS{Value: "HEAD"},
		},
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		b.Error(err)
	}
}

// measure runs both sides in turns of a few calls, so that the machine's moods
// fall on both.
func (s *sideBySide) measure(b *testing.B, clients int, bare, full func(b *testing.B, client, call int)) {
	const turn = 20
	var bareTimes, fullTimes []time.Duration
	for done := 0; done < b.N; done += turn {
		bareTimes = append(bareTimes, together(b, clients, min(turn, b.N-done), bare)...)
		fullTimes = append(fullTimes, together(b, clients, min(turn, b.N-done), full)...)
	}
	b.ReportMetric(0, "ns/op") // means nothing over both sides
	for _, side := range []struct {
		name  string
		times []time.Duration
	}{{"bare", bareTimes}, {"full", fullTimes}} {
		b.ReportMetric(percentile(side.times, 50), side.name+"-p50-ms")
		b.ReportMetric(percentile(side.times, 99), side.name+"-p99-ms")
	}
	b.ReportMetric(percentile(fullTimes, 50)/percentile(bareTimes, 50), "p50-ratio")
	b.ReportMetric(percentile(fullTimes, 99)/percentile(bareTimes, 99), "p99-ratio")
}

func together(b *testing.B, clients, calls int, call func(b *testing.B, client, call int)) []time.Duration {
	times := make([]time.Duration, clients*calls)
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for i := range calls {
				began := time.Now()
				call(b, client, i)
				times[client*calls+i] = time.Since(began)
			}
		})
	}
	wg.Wait()
	return times
}

// percentile is in milliseconds.
func percentile(times []time.Duration, p int) float64 {
	sorted := slices.Sorted(slices.Values(times))
	return float64(sorted[(len(sorted)-1)*p/100].Microseconds()) / 1000
}
