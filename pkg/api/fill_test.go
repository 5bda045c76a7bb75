package api_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// suffix is the end of an ARN for a number.
func suffix(i int) string { return fmt.Sprintf("s%05d", i) }

// fillName is the name of a secret that fill makes.
func fillName(i int) string { return fmt.Sprintf("secret-%05d", i) }

// filled is the secret that fill makes of a number. They are not created in the
// order of their names.
func filled(i int) secret.Secret {
	name := fillName(i)
	created := epoch.Add(time.Duration(i^0x155) * time.Second)
	return secret.New(name, localtest.ARNs.Of(name, suffix(i)), "", created)
}

// seed makes secrets as they are given, dates and all, through the store.
func seed(t testing.TB, room *localtest.Room, secrets ...secret.Secret) {
	t.Helper()
	for _, sec := range secrets {
		must(room.Store.Create(t.Context(), secret.Change{Secret: sec}))(t)
	}
}

// fill makes the secrets from one number up to another, by writing to the table
// what the store would: that takes a hundredth of the time.
func fill(t testing.TB, room *localtest.Room, from, to int) {
	t.Helper()
	db := localtest.Shared().DynamoDB()
	calls := make(chan []types.WriteRequest)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for writes := range calls {
				out, err := db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{room.Table: writes}})
				if err != nil || len(out.UnprocessedItems) > 0 {
					t.Errorf("got %+v, %v, want all written", out, err)
				}
			}
		})
	}
	var writes []types.WriteRequest
	for i := from; i < to; i++ {
		for _, it := range fillItems(t, filled(i)) {
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
		}
		if len(writes) >= 24 || i == to-1 { // 25 is all that one call takes
			calls <- writes
			writes = nil
		}
	}
	close(calls)
	wg.Wait()
}

func fillItems(t testing.TB, sec secret.Secret) []map[string]types.AttributeValue {
	t.Helper()
	created := sec.Created.Format("2006-01-02T15:04:05.000Z")
	items := []map[string]any{
		{
			"pk": "SECRET#" + sec.Name, "sk": "HEAD", "schema": 1, "suffix": sec.Suffix(), "revision": 1, "commit": "",
			"token": "", "description": "", "type": "", "kms_key": "", "keyed": 0, "stages": map[string]string{},
			"versions": 0, "prunings": 0, "moves": 0, "policy_hash": "", "tags": nil, "created": created, "changed": created, "deletion": nil, "deleted": nil,
		},
		{"pk": "DIRECTORY#NAME", "sk": sec.Name, "schema": 1, "name": sec.Name, "suffix": sec.Suffix()},
		{"pk": "DIRECTORY#CREATED", "sk": created + "#" + sec.Name, "schema": 1, "name": sec.Name, "suffix": sec.Suffix()},
	}
	var out []map[string]types.AttributeValue
	for _, it := range items {
		out = append(out, must(attributevalue.MarshalMap(it))(t))
	}
	return out
}

// fill writes what the store writes.
func TestFill(t *testing.T) {
	t.Parallel()
	room, other := localtest.New(t), localtest.New(t)
	fill(t, room, 7, 8)
	seed(t, other, filled(7))
	withoutCommit := func(room *localtest.Room) map[string]string {
		items := map[string]string{}
		for _, it := range scan(t, room) {
			delete(it, "commit")
			items[fmt.Sprint(it["pk"], it["sk"])] = fmt.Sprint(it)
		}
		return items
	}
	if got, want := withoutCommit(room), withoutCommit(other); len(want) != 3 || !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func scan(t testing.TB, room *localtest.Room) []map[string]any {
	t.Helper()
	out := must(localtest.Shared().DynamoDB().Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(room.Table)}))(t)
	var items []map[string]any
	if err := attributevalue.UnmarshalListOfMaps(out.Items, &items); err != nil {
		t.Fatal(err)
	}
	return items
}
