package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/store"
)

// What AWS lets an account have in a second; docs/scale.md names the sources. Those of
// a partition are fixed, the others are defaults, and KMS's that of most Regions.
const (
	partitionReads, partitionWrites = 3_000, 1_000
	tableReads, tableWrites         = 40_000, 40_000 // of the table, and of each index
	kmsCalls                        = 10_000
)

// twentieth makes a simulation short: its second has a twentieth of AWS's.
const twentieth = 20

// A budget is one second of AWS. Calls are counted by partition, table and KMS until one
// of these has more than it may have. Capacity that AWS lends or moves to a busy
// partition is left out.
type budget struct {
	part  float64 // how many of these budgets AWS has in a second
	mu    sync.Mutex
	taken map[string]float64
	first string // what was full first
}

func (b *budget) take(what string, units, quota float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken[what] += units
	if b.first == "" && b.taken[what] > quota/b.part {
		b.first = what
	}
}

func (b *budget) full() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first
}

func (b *budget) read(partition string, units float64) {
	b.take("read units of "+placeName(partition), units, partitionReads)
	b.take("read units of the table", units, tableReads)
}

func (b *budget) write(partition string, units float64) {
	b.take("write units of "+placeName(partition), units, partitionWrites)
	b.take("write units of the table", units, tableWrites)
}

// writeIndex counts a row that comes to an index, which has quotas of its own.
func (b *budget) writeIndex(index, partition string) {
	b.take("write units of `"+partition+"` in the index "+index, 1, partitionWrites)
	b.take("write units of the index "+index, 1, tableWrites)
}

// placeName is a partition as the page calls it.
func placeName(partition string) string { return "the partition `" + partition + "`" }

// A metered DynamoDB counts where its units go. The sum of what it counts for a call is
// what the engine says that the call costs.
type metered struct {
	store.DynamoDB
	*budget
}

func pkOf(key map[string]types.AttributeValue) string {
	return key["pk"].(*types.AttributeValueMemberS).Value
}

func (m metered) GetItem(ctx context.Context, in *dynamodb.GetItemInput, options ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	out, err := m.DynamoDB.GetItem(ctx, in, options...)
	if err == nil {
		m.read(pkOf(in.Key), aws.ToFloat64(out.ConsumedCapacity.CapacityUnits))
	}
	return out, err
}

func (m metered) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, options ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	out, err := m.DynamoDB.BatchGetItem(ctx, in, options...)
	if err != nil {
		return out, err
	}
	for _, c := range out.ConsumedCapacity {
		keys := in.RequestItems[*c.TableName].Keys
		for _, key := range keys {
			m.read(pkOf(key), *c.CapacityUnits/float64(len(keys)))
		}
	}
	return out, nil
}

func (m metered) Query(ctx context.Context, in *dynamodb.QueryInput, options ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	out, err := m.DynamoDB.Query(ctx, in, options...)
	if err == nil {
		m.read(in.ExpressionAttributeValues[":pk"].(*types.AttributeValueMemberS).Value, aws.ToFloat64(out.ConsumedCapacity.CapacityUnits))
	}
	return out, err
}

// TransactWriteItems counts two units for a row of the directory, one for a row of an
// index, and all others for the secret.
func (m metered) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, options ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	out, err := m.DynamoDB.TransactWriteItems(ctx, in, options...)
	if err != nil {
		return out, err
	}
	rest, name := 0.0, ""
	for _, c := range out.ConsumedCapacity {
		rest += *c.CapacityUnits
	}
	for _, it := range in.TransactItems {
		partition := ""
		switch {
		case it.Put != nil:
			partition = pkOf(it.Put.Item)
		case it.Update != nil:
			partition = pkOf(it.Update.Key)
		case it.ConditionCheck != nil:
			partition = pkOf(it.ConditionCheck.Key)
		case it.Delete != nil:
			partition = pkOf(it.Delete.Key)
		}
		if strings.HasPrefix(partition, "DIRECTORY#") {
			m.write(partition, 2)
			rest -= 2
		} else {
			name = partition
		}
		if it.Put != nil && it.Put.Item["secret"] != nil && it.Put.Item["created"] != nil {
			m.writeIndex("`age`", it.Put.Item["secret"].(*types.AttributeValueMemberS).Value)
			rest--
		}
		if it.Put != nil && it.Put.Item["shard"] != nil {
			m.writeIndex("`due`", it.Put.Item["shard"].(*types.AttributeValueMemberS).Value)
			rest--
		}
	}
	m.write(name, rest)
	return out, nil
}

// A meteredKMS counts calls.
type meteredKMS struct {
	envelope.KMS
	*budget
}

const callsOfKMS = "calls of KMS"

func (m meteredKMS) GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, options ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	m.take(callsOfKMS, 1, kmsCalls)
	return m.KMS.GenerateDataKey(ctx, in, options...)
}

func (m meteredKMS) Decrypt(ctx context.Context, in *kms.DecryptInput, options ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	m.take(callsOfKMS, 1, kmsCalls)
	return m.KMS.Decrypt(ctx, in, options...)
}

// A mix is calls that come in turn.
type mix struct {
	name string
	call func(i int) (operation, body string)
	cold bool // each call is made by a process that has seen nothing
	part int  // 1, or twentieth
	// before prepares more than the secrets that calls are spread over.
	before func(call func(operation, body string))
}

const spreadOver = 150

func spreadName(i int) string { return fmt.Sprintf("spread-%03d", i%spreadOver) }

var mixes = []mix{
	{name: "PutSecretValue of one secret", part: 1, call: func(i int) (string, string) { return putCall(spreadName(0), i) }},
	{name: "PutSecretValue of one secret, 60 KB", part: 1, call: func(i int) (string, string) {
		return "PutSecretValue", fmt.Sprintf(`{"SecretId":"%s","ClientRequestToken":"put-%032d","SecretString":"%s"}`, spreadName(0), i, strings.Repeat(kilobyte, 60))
	}},
	{name: "PutSecretValue, spread", part: twentieth, call: func(i int) (string, string) { return putCall(spreadName(i), i) }},
	{name: "GetSecretValue of one secret", part: 1, call: func(int) (string, string) { return getCall(spreadName(0)) }},
	{name: "GetSecretValue, spread, warm", part: twentieth, call: func(i int) (string, string) { return getCall(spreadName(i)) }},
	{name: "GetSecretValue, spread, cold", cold: true, part: twentieth, call: func(i int) (string, string) { return getCall(spreadName(i)) }},
	{name: "90 % gets, warm, 10 % puts, spread", part: twentieth, call: func(i int) (string, string) {
		if i%10 == 9 {
			return putCall(spreadName(i/10*7), i)
		}
		return getCall(spreadName(i * 3))
	}},
	{name: "CreateSecret", part: 1, call: func(i int) (string, string) { return createCall(fmt.Sprint("new-", i)) }},
	{name: "ListSecrets, pages of 100", part: 1, call: func(int) (string, string) { return "ListSecrets", `{"MaxResults":100}` }},
	{
		name: "RotateSecret, spread", part: twentieth,
		before: func(call func(operation, body string)) {
			for i := range tableWrites / twentieth / 5 {
				call(createCall(fmt.Sprint("rotated-", i)))
			}
		},
		call: func(i int) (string, string) {
			return "RotateSecret", fmt.Sprintf(`{"SecretId":"rotated-%d","ClientRequestToken":"rotate-%032d","RotationLambdaARN":"arn:aws:lambda:us-east-1:000000000000:function:f","RotationRules":{"AutomaticallyAfterDays":30}}`, i, i)
		},
	},
}

func createCall(name string) (operation, body string) {
	return "CreateSecret", fmt.Sprintf(`{"Name":"%s","ClientRequestToken":"%032d","SecretString":"%s"}`, name, 0, kilobyte)
}

func putCall(name string, i int) (operation, body string) {
	return "PutSecretValue", fmt.Sprintf(`{"SecretId":"%s","ClientRequestToken":"put-%032d","SecretString":"%s"}`, name, i, kilobyte)
}

func getCall(name string) (operation, body string) {
	return "GetSecretValue", `{"SecretId":"` + name + `"}`
}

// Which limit of AWS each mix meets first, and at how many calls a second. The page has
// these figures, so that they follow from what the calls cost.
func TestFirstLimits(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mixes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			calls, limit := m.run(t)
			row := fmt.Sprintf("| %s | %s | %s |", m.name, thousands(calls), limit)
			if !strings.Contains(string(page), row+"\n") {
				t.Errorf("docs/scale.md lacks the row\n%s", row)
			}
		})
	}
}

// run makes calls until a limit is reached, and returns how many a second that is.
func (m mix) run(t *testing.T) (calls int, limit string) {
	room := localtest.New(t)
	spent := &budget{part: float64(m.part), taken: map[string]float64{}}
	server := *room.Server
	fresh := func() {
		server.Store = store.New(metered{localtest.Shared().Tables, spent}, room.Table, localtest.ARNs)
		server.Sealer = &envelope.Sealer{KMS: meteredKMS{room.KMS, spent}, DefaultKey: localtest.Shared().DefaultKey, Keep: time.Minute}
	}
	call := func(operation, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
		w := httptest.NewRecorder()
		localtest.Answer(&server, w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %s", operation, w.Body)
		}
	}
	fresh()
	for i := range spreadOver {
		call(createCall(spreadName(i)))
		call(getCall(spreadName(i))) // the first of the day
	}
	if m.before != nil {
		m.before(call)
	}
	spent.taken, spent.first = map[string]float64{}, ""
	for i := 0; spent.full() == ""; i++ {
		if m.cold {
			fresh()
		}
		call(m.call(i))
		calls = i * m.part // that came before this one
	}
	return calls, spent.full()
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
