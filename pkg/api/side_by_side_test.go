package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
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
	"github.com/strongroom/strongroom/pkg/store"
)

// BenchmarkSideBySide measures what an operation costs over the DynamoDB call it
// is made of: on one engine, in one process, in turns. PutSecretValue of 1 KB
// stands beside a bare transaction of the same two items, a warm GetSecretValue
// beside a bare consistent read of the head. Every client has a secret of its own.
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

const sideBySideTable = "side-by-side"

type sideBySide struct {
	db     *dynamodb.Client
	server *api.Server
	value  string
}

func newSideBySide(b *testing.B, engines *local.Engines) *sideBySide {
	b.Helper()
	if err := store.CreateTable(b.Context(), engines.DynamoDB(), sideBySideTable); err != nil {
		b.Fatal(err)
	}
	s := &sideBySide{db: engines.DynamoDB(), value: strings.Repeat("x", 1024)}
	s.server = &api.Server{
		Store:  store.New(engines.DynamoDB(), sideBySideTable, localtest.ARNs),
		Sealer: &envelope.Sealer{KMS: engines.KMS(), DefaultKey: engines.KeyID(), Keep: time.Hour},
		ARNs:   localtest.ARNs,
	}
	for client := range 16 {
		s.call(b, "CreateSecret", fmt.Sprintf(`{"Name":"client-%d","ClientRequestToken":%q,"SecretString":%q}`, client, uuid.NewString(), s.value))
		if err := s.barePutRevision(client, 0); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func (s *sideBySide) call(b *testing.B, operation, body string) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
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

// barePut is the same transaction, of items as large, with nothing around it.
func (s *sideBySide) barePut(b *testing.B, client, _ int) {
	if err := s.barePutRevision(client, 1); err != nil {
		b.Error(err)
	}
}

func (s *sideBySide) barePutRevision(client, least int) error {
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	pk := text(fmt.Sprintf("BARE#%d", client))
	condition := "attribute_not_exists(#pk) OR #revision >= :least"
	_, err := s.db.TransactWriteItems(context.Background(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Update: &types.Update{
			TableName:                aws.String(sideBySideTable),
			Key:                      map[string]types.AttributeValue{"pk": pk, "sk": text("HEAD")},
			UpdateExpression:         aws.String("SET #state = :state ADD #revision :one"),
			ConditionExpression:      &condition,
			ExpressionAttributeNames: map[string]string{"#pk": "pk", "#state": "state", "#revision": "revision"},
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":state": text(strings.Repeat("s", 500)),
				":one":   &types.AttributeValueMemberN{Value: "1"},
				":least": &types.AttributeValueMemberN{Value: fmt.Sprint(least)},
			},
		}},
		{Put: &types.Put{
			TableName: aws.String(sideBySideTable),
			Item: map[string]types.AttributeValue{
				"pk": pk, "sk": text("VERSION#" + uuid.NewString()),
				"secret": pk, "created": text(time.Now().UTC().Format(time.RFC3339Nano)),
				"data_key": &types.AttributeValueMemberB{Value: make([]byte, 184)},
				"sealed":   &types.AttributeValueMemberB{Value: make([]byte, 1024+29)},
			},
			ConditionExpression:      aws.String("attribute_not_exists(#pk)"),
			ExpressionAttributeNames: map[string]string{"#pk": "pk"},
		}},
	}})
	return err
}

func (s *sideBySide) bareGet(b *testing.B, client, _ int) {
	_, err := s.db.GetItem(context.Background(), &dynamodb.GetItemInput{
		TableName: aws.String(sideBySideTable),
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
