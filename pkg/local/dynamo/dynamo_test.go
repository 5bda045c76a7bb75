package dynamo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

const testTable = "test"

// kinds are a DB in memory and one in a file.
func kinds(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, withTable(t, Memory()))
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		test(t, withTable(t, open(t, filepath.Join(t.TempDir(), "table.db"))))
	})
}

func open(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func withTable(t testing.TB, db *DB) *DB {
	t.Helper()
	text := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
	}
	keys := func(hash, rng string) []types.KeySchemaElement {
		return []types.KeySchemaElement{{AttributeName: &hash, KeyType: types.KeyTypeHash}, {AttributeName: &rng, KeyType: types.KeyTypeRange}}
	}
	_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String(testTable), BillingMode: types.BillingModePayPerRequest, KeySchema: keys("pk", "sk"),
		AttributeDefinitions: []types.AttributeDefinition{text("pk"), text("sk"), text("shard"), text("due")},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String("due"), KeySchema: keys("shard", "due"), Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func s(text string) types.AttributeValue   { return &types.AttributeValueMemberS{Value: text} }
func n(number string) types.AttributeValue { return &types.AttributeValueMemberN{Value: number} }

// keyed is an item with this sort key in the partition "p".
func keyed(sk string, more ...item) item {
	it := item{"pk": s("p"), "sk": s(sk)}
	for _, m := range more {
		for name, av := range m {
			it[name] = av
		}
	}
	return it
}

func put(t *testing.T, db *DB, items ...item) {
	t.Helper()
	for batch := range slices.Chunk(items, maxWrites) {
		var writes []types.WriteRequest
		for _, it := range batch {
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
		}
		_, err := db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{testTable: writes}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func get(t *testing.T, db *DB, sk string) item {
	t.Helper()
	out, err := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(testTable), Key: keyed(sk)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	got := ""
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		got = api.ErrorCode()
	}
	if got != code || (err == nil) != (code == "") {
		t.Errorf("%s: got %v, want code %q", what, err, code)
	}
}

// putting is a transaction's put under a condition.
func putting(it item, condition string) types.TransactWriteItem {
	p := &types.Put{TableName: aws.String(testTable), Item: it, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}
	if condition != "" {
		p.ConditionExpression = &condition
	}
	return types.TransactWriteItem{Put: p}
}

func transaction(token string, actions ...types.TransactWriteItem) *dynamodb.TransactWriteItemsInput {
	in := &dynamodb.TransactWriteItemsInput{TransactItems: actions}
	if token != "" {
		in.ClientRequestToken = &token
	}
	return in
}

func TestTransactionIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, db *DB) {
		put(t, db, keyed("there", item{"a": n("1")}))
		_, err := db.TransactWriteItems(t.Context(), transaction("",
			putting(keyed("new"), "attribute_not_exists(pk)"), putting(keyed("there"), "attribute_not_exists(pk)")))
		cancelled, ok := errors.AsType[*types.TransactionCanceledException](err)
		if !ok {
			t.Fatalf("got %v, want it cancelled", err)
		}
		var codes []string
		for _, r := range cancelled.CancellationReasons {
			codes = append(codes, aws.ToString(r.Code))
		}
		if want := []string{"None", "ConditionalCheckFailed"}; !slices.Equal(codes, want) {
			t.Errorf("got reasons %q, want %q", codes, want)
		}
		if old := cancelled.CancellationReasons[1].Item; !reflect.DeepEqual(old, keyed("there", item{"a": n("1")})) {
			t.Errorf("got old item %v", old)
		}
		if got := get(t, db, "new"); got != nil {
			t.Errorf("a part of it was done: %v", got)
		}
	})
}

// A token is remembered for ten minutes, also over a restart, and then forgotten.
func TestTokens(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "table.db")
	db := withTable(t, open(t, path))
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return at }
	db.Now = now
	try := func(db *DB, token, sk, condition string) error {
		_, err := db.TransactWriteItems(context.Background(), transaction(token, putting(keyed(sk), condition)))
		return err
	}
	const isNew = "attribute_not_exists(pk)"
	wantCode(t, "first", try(db, "t", "a", isNew), "")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.Now = now
	wantCode(t, "again", try(db, "t", "a", isNew), "")
	wantCode(t, "another item", try(db, "t", "b", isNew), "IdempotentParameterMismatchException")
	wantCode(t, "another condition", try(db, "t", "a", ""), "IdempotentParameterMismatchException")
	wantCode(t, "another token", try(db, "u", "a", isNew), "TransactionCanceledException")
	wantCode(t, "that was cancelled, with other parameters", try(db, "u", "b", isNew), "")
	at = at.Add(10 * time.Minute)
	wantCode(t, "after ten minutes", try(db, "t", "a", isNew), "")
	at = at.Add(time.Minute)
	wantCode(t, "after eleven minutes", try(db, "t", "a", isNew), "TransactionCanceledException")
	for i := range 20 {
		at = at.Add(time.Hour)
		wantCode(t, "an hour later", try(db, fmt.Sprint("later", i), fmt.Sprint("later", i), isNew), "")
	}
	kept := 0
	_ = db.kv.view(func(r reader) error {
		r.walk([]byte{spaceToken}, false, func(k, _ []byte) bool { kept++; return true })
		return nil
	})
	if kept != 1 {
		t.Errorf("%d tokens are kept, want the last one", kept)
	}
}

// Both kinds answer every query as a plain sort does.
func TestQueriesInOrder(t *testing.T) {
	t.Parallel()
	names := []string{"a", "a\x00", "a\x00b", "aa", "ab", "a\uffff", "b", "b#1", "b#10", "b#2", "é", "\x01", "z"}
	kinds(t, func(t *testing.T, db *DB) {
		for _, name := range names {
			put(t, db, keyed(name), item{"pk": s("p\x00"), "sk": s(name)}, item{"pk": s("o"), "sk": s(name)}, item{"pk": s("q"), "sk": s(name)})
		}
		sorted := slices.Sorted(slices.Values(names))
		bounds := append([]string{"0", "aaa", "b#", "b#1", "zz"}, names...)
		for _, low := range bounds {
			checkQuery(t, db, sorted, "sk = :a", low, "", func(sk string) bool { return sk == low })
			checkQuery(t, db, sorted, "sk < :a", low, "", func(sk string) bool { return sk < low })
			checkQuery(t, db, sorted, "sk <= :a", low, "", func(sk string) bool { return sk <= low })
			checkQuery(t, db, sorted, "sk > :a", low, "", func(sk string) bool { return sk > low })
			checkQuery(t, db, sorted, "sk >= :a", low, "", func(sk string) bool { return sk >= low })
			checkQuery(t, db, sorted, "begins_with(sk, :a)", low, "", func(sk string) bool { return strings.HasPrefix(sk, low) })
			for _, high := range bounds {
				if low <= high {
					checkQuery(t, db, sorted, "sk BETWEEN :a AND :b", low, high, func(sk string) bool { return low <= sk && sk <= high })
				}
			}
		}
	})
}

// checkQuery reads what a condition leaves in pages of each size, both ways.
func checkQuery(t *testing.T, db *DB, sorted []string, condition, a, b string, holds func(string) bool) {
	t.Helper()
	var want []string
	for _, sk := range sorted {
		if holds(sk) {
			want = append(want, sk)
		}
	}
	values := item{":p": s("p"), ":a": s(a)}
	if b != "" {
		values[":b"] = s(b)
	}
	for _, limit := range []int32{1, 2, 100} {
		for _, forward := range []bool{true, false} {
			in := &dynamodb.QueryInput{
				TableName: aws.String(testTable), KeyConditionExpression: aws.String("pk = :p AND " + condition), ExpressionAttributeValues: values,
				Limit: &limit, ScanIndexForward: &forward,
			}
			got := all(t, db, in)
			if !forward {
				slices.Reverse(got)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s with %q and %q, %d at a time, forward %t: got %q, want %q", condition, a, b, limit, forward, got, want)
			}
		}
	}
}

func all(t *testing.T, db *DB, in *dynamodb.QueryInput) (found []string) {
	t.Helper()
	for {
		out, err := db.Query(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.Items {
			found = append(found, it["sk"].(*types.AttributeValueMemberS).Value)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return found
		}
	}
}

// An index has an item as long as it has both attributes, and trails when it is held.
func TestIndex(t *testing.T) {
	t.Parallel()
	db := withTable(t, Memory())
	due := func() []string {
		return all(t, db, &dynamodb.QueryInput{
			TableName: aws.String(testTable), IndexName: aws.String("due"), KeyConditionExpression: aws.String("shard = :s AND due <= :d"),
			ExpressionAttributeValues: item{":s": s("1"), ":d": s("5")},
		})
	}
	want := func(what string, want ...string) {
		t.Helper()
		if got := due(); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	put(t, db, keyed("b", item{"shard": s("1"), "due": s("2")}), keyed("a", item{"shard": s("1"), "due": s("3")}),
		keyed("late", item{"shard": s("1"), "due": s("6")}), keyed("none", item{"shard": s("1")}))
	want("put", "b", "a")
	release := db.HoldIndexes(testTable)
	put(t, db, keyed("b"), keyed("c", item{"shard": s("1"), "due": s("1")}))
	want("held", "b", "a")
	release()
	want("released", "c", "a")
}

// What is acknowledged is in the file, also when several share a commit, and each
// was decided on what the others wrote.
func TestConcurrentTransactions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "table.db")
	db := withTable(t, open(t, path))
	const clients, rounds = 8, 25
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range rounds {
				_, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
					TableName: aws.String(testTable), Key: keyed("count"), UpdateExpression: aws.String("ADD total :one"),
					ExpressionAttributeValues: item{":one": n("1")},
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	if got := get(t, again, "count")["total"]; !reflect.DeepEqual(got, n(fmt.Sprint(clients*rounds))) {
		t.Errorf("got %v, want %d", got, clients*rounds)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	db := withTable(t, Memory())
	large := func(size int) item { return item{"data": &types.AttributeValueMemberB{Value: make([]byte, size)}} }
	many := func(n int) (actions []types.TransactWriteItem) {
		for i := range n {
			actions = append(actions, putting(keyed(fmt.Sprint(i)), ""))
		}
		return actions
	}
	for what, test := range map[string]struct {
		in   *dynamodb.TransactWriteItemsInput
		code string
	}{
		"an item of 400 KB":    {transaction("", putting(keyed("a", large(maxItem-len("pk"+"p"+"sk"+"a"+"data"))), "")), ""},
		"a byte more":          {transaction("", putting(keyed("a", large(maxItem-len("pk"+"p"+"sk"+"a"+"data")+1)), "")), "ValidationException"},
		"a hundred actions":    {transaction("", many(100)...), ""},
		"one more":             {transaction("", many(101)...), "ValidationException"},
		"none":                 {transaction(""), "ValidationException"},
		"one item twice":       {transaction("", putting(keyed("a"), ""), putting(keyed("a"), "")), "ValidationException"},
		"an empty sort key":    {transaction("", putting(keyed(""), "")), "ValidationException"},
		"a number as sort key": {transaction("", putting(item{"pk": s("p"), "sk": n("1")}, "")), "TransactionCanceledException"},
		"a set":                {transaction("", putting(keyed("a", item{"x": &types.AttributeValueMemberSS{Value: []string{"x"}}}), "")), "ValidationException"},
	} {
		_, err := db.TransactWriteItems(t.Context(), test.in)
		wantCode(t, what, err, test.code)
	}
	big := make([]types.TransactWriteItem, 11)
	for i := range big {
		big[i] = putting(keyed(fmt.Sprint("big", i), large(390<<10)), "")
	}
	_, err := db.TransactWriteItems(t.Context(), transaction("", big...))
	wantCode(t, "more than 4 MB", err, "ValidationException")
	_, err = db.TransactWriteItems(t.Context(), transaction("", big[:10]...))
	wantCode(t, "less than 4 MB", err, "")
	out, err := db.Query(t.Context(), &dynamodb.QueryInput{
		TableName: aws.String(testTable), KeyConditionExpression: aws.String("pk = :p AND begins_with(sk, :b)"), ExpressionAttributeValues: item{":p": s("p"), ":b": s("big")},
	})
	if err != nil || out.Count != 3 || out.LastEvaluatedKey == nil {
		t.Errorf("a page of items of 390 KB: %d, last %v, %v, want 3 and where to go on", out.Count, out.LastEvaluatedKey, err)
	}
}

// What is not here is refused and never passed over.
func TestUnsupported(t *testing.T) {
	t.Parallel()
	db := withTable(t, Memory())
	_, err := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(testTable), Key: keyed("a"), AttributesToGet: []string{"x"}})
	wantCode(t, "AttributesToGet", err, "ValidationException")
	_, err = db.Query(t.Context(), &dynamodb.QueryInput{
		TableName: aws.String(testTable), KeyConditionExpression: aws.String("pk = :p"), FilterExpression: aws.String("a = :p"), ExpressionAttributeValues: item{":p": s("p")},
	})
	wantCode(t, "FilterExpression", err, "ValidationException")
	_, err = db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String(testTable), Key: keyed("a"), UpdateExpression: aws.String("REMOVE a"), ReturnValues: types.ReturnValueAllNew,
	})
	wantCode(t, "ReturnValues", err, "ValidationException")
	for what, in := range map[string]*dynamodb.CreateTableInput{"without keys": {TableName: aws.String("other")}} {
		_, err := db.CreateTable(t.Context(), in)
		wantCode(t, what, err, "ValidationException")
	}
	_, err = db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("other"), Key: keyed("a")})
	wantCode(t, "a table that is not there", err, "ResourceNotFoundException")
}

// Tables are listed in order, page by page.
func TestListTables(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, db *DB) {
		put(t, db, keyed("a"))
		for _, name := range []string{"test-b", "test-a", "zzz"} {
			_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
				TableName:            &name,
				AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("p"), AttributeType: "S"}, {AttributeName: aws.String("s"), AttributeType: "S"}},
				KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("p"), KeyType: "HASH"}, {AttributeName: aws.String("s"), KeyType: "RANGE"}},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for limit := range int32(5) {
			in := &dynamodb.ListTablesInput{}
			if limit > 0 {
				in.Limit = &limit
			}
			var names []string
			for pages := dynamodb.NewListTablesPaginator(db, in); pages.HasMorePages(); {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, page.TableNames...)
			}
			if want := []string{testTable, "test-a", "test-b", "zzz"}; !slices.Equal(names, want) {
				t.Errorf("limit %d: got %q, want %q", limit, names, want)
			}
		}
		for _, limit := range []int32{0, -1, 101} {
			_, err := db.ListTables(t.Context(), &dynamodb.ListTablesInput{Limit: &limit})
			wantCode(t, "ListTables", err, "ValidationException")
		}
	})
}
