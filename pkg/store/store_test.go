package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// noon is when everything happens that no test says otherwise of.
var noon = time.Date(2026, time.March, 4, 12, 0, 0, int(123*time.Millisecond), time.UTC)

// byName is the one secret of most tests.
var byName = secret.ID{Name: "s"}

type (
	item   = map[string]types.AttributeValue
	decide = func(secret.Secret) (secret.Change, error)
)

// fresh is a secret that is not there yet.
func fresh(name, suffix string) secret.Secret {
	return secret.New(name, localtest.ARNs.Of(name, suffix), "token-of-"+suffix, noon)
}

// sealed is what stands for a sealed value.
func sealed(id string) secret.Sealed {
	return secret.Sealed{
		Kind: secret.String, KeyARN: "arn:aws:kms:us-east-1:000000000000:key/k",
		DataKey: []byte("wrapped for " + id), Data: []byte("sealed in " + id),
	}
}

// putting decides on a new version.
func putting(id string, labels ...string) decide {
	return func(sec secret.Secret) (secret.Change, error) {
		change, err := sec.Put(id, labels, noon)
		if err == nil {
			change.Version.Sealed = sealed(id)
		}
		return change, err
	}
}

func moving(label, from, to string) decide {
	return func(sec secret.Secret) (secret.Change, error) { return sec.MoveStage(label, from, to, noon) }
}

func deleting(sec secret.Secret) (secret.Change, error) { return sec.Delete(7, noon) }

func restoring(sec secret.Secret) (secret.Change, error) { return sec.Restore(noon), nil }

func removing(sec secret.Secret) (secret.Change, error) { return sec.Remove(noon), nil }

// making decides on a secret with a first version, v1.
func making(t testing.TB, sec secret.Secret) secret.Change {
	t.Helper()
	change, err := putting("v1")(sec)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

// create makes secret s with its version v1.
func create(t testing.TB, room *localtest.Room, suffix string) secret.Secret {
	t.Helper()
	sec, err := room.Store.Create(t.Context(), making(t, fresh("s", suffix)))
	if err != nil {
		t.Fatal(err)
	}
	return sec
}

func update(t testing.TB, room *localtest.Room, d decide) secret.Secret {
	t.Helper()
	sec, err := room.Store.Update(t.Context(), byName, d)
	if err != nil {
		t.Fatal(err)
	}
	return sec
}

func get(t testing.TB, room *localtest.Room) secret.Secret {
	t.Helper()
	sec, err := room.Store.Get(t.Context(), byName)
	if err != nil {
		t.Fatal(err)
	}
	return sec
}

// warm is another process that has seen the secret.
func warm(t testing.TB, room *localtest.Room) *localtest.Room {
	t.Helper()
	other := room.Another(t)
	get(t, other)
	other.Wire.Took()
	return other
}

// took says what went over the wire since last asked.
func took(room *localtest.Room) string {
	calls, _, _ := room.Wire.Took()
	return calls
}

func wantCalls(t testing.TB, room *localtest.Room, want string) {
	t.Helper()
	if got := took(room); got != want {
		t.Errorf("calls = %q, want %q", got, want)
	}
}

func wantStages(t testing.TB, sec secret.Secret, want string) {
	t.Helper()
	// fmt prints maps in the order of their keys.
	if got := strings.TrimPrefix(fmt.Sprint(sec.Stages), "map"); got != want {
		t.Errorf("stages = %s, want %s", got, want)
	}
}

// place puts an item into the table behind the store's back.
func place(t testing.TB, room *localtest.Room, it item) {
	t.Helper()
	_, err := localtest.Shared().DynamoDB().PutItem(context.WithoutCancel(t.Context()), &dynamodb.PutItemInput{TableName: &room.Table, Item: it})
	if err != nil {
		t.Fatal(err)
	}
}

// takeAway deletes an item behind the store's back.
func takeAway(t testing.TB, room *localtest.Room, pk, sk string) {
	t.Helper()
	_, err := localtest.Shared().DynamoDB().DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &room.Table, Key: keyOf(pk, sk)})
	if err != nil {
		t.Fatal(err)
	}
}

func keyOf(pk, sk string) item {
	return item{"pk": &types.AttributeValueMemberS{Value: pk}, "sk": &types.AttributeValueMemberS{Value: sk}}
}

// items are all items of the table, by key.
func items(t testing.TB, room *localtest.Room) map[string]item {
	t.Helper()
	all := map[string]item{}
	found, err := localtest.Shared().Tables.Items(room.Table)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range found {
		all[text(it["pk"])+" "+text(it["sk"])] = it
	}
	return all
}

func text(av types.AttributeValue) string { return av.(*types.AttributeValueMemberS).Value }

// dump is everything in the table, in one canonical form.
func dump(t testing.TB, room *localtest.Room) string {
	t.Helper()
	all := items(t, room)
	var b strings.Builder
	for _, k := range sortedKeys(all) {
		b.Write(canonical(t, all[k]))
	}
	return b.String()
}

func wantUnchanged(t testing.TB, room *localtest.Room, before string) {
	t.Helper()
	if after := dump(t, room); after != before {
		t.Errorf("the table is\n%s\nand was\n%s", after, before)
	}
}

// wantKeys says which items there are, one a line.
func wantKeys(t testing.TB, room *localtest.Room, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := sortedKeys(items(t, room)); !slices.Equal(got, want) {
		t.Errorf("items:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// canonical is an item in DynamoDB's own JSON, attributes in order of their names.
func canonical(t testing.TB, it item) []byte {
	t.Helper()
	b, err := json.MarshalIndent(plain(t, &types.AttributeValueMemberM{Value: it})["M"], "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func plain(t testing.TB, av types.AttributeValue) map[string]any {
	t.Helper()
	switch av := av.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": av.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": av.Value}
	case *types.AttributeValueMemberB:
		return map[string]any{"B": av.Value}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": av.Value}
	case *types.AttributeValueMemberNULL:
		return map[string]any{"NULL": av.Value}
	case *types.AttributeValueMemberL:
		list := []any{}
		for _, e := range av.Value {
			list = append(list, plain(t, e))
		}
		return map[string]any{"L": list}
	case *types.AttributeValueMemberM:
		m := map[string]any{}
		for k, e := range av.Value {
			m[k] = plain(t, e)
		}
		return map[string]any{"M": m}
	}
	t.Fatalf("an attribute of type %T", av)
	return nil
}

// stored reads what canonical writes.
func stored(t testing.TB, text []byte) item {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	it := item{}
	for name, field := range fields {
		it[name] = attribute(t, field)
	}
	return it
}

func attribute(t testing.TB, field json.RawMessage) types.AttributeValue {
	t.Helper()
	var av struct {
		S, N *string
		B    []byte
		BOOL *bool
		NULL *bool
		L    []json.RawMessage
		M    json.RawMessage
	}
	if err := json.Unmarshal(field, &av); err != nil {
		t.Fatal(err)
	}
	switch {
	case av.S != nil:
		return &types.AttributeValueMemberS{Value: *av.S}
	case av.N != nil:
		return &types.AttributeValueMemberN{Value: *av.N}
	case av.BOOL != nil:
		return &types.AttributeValueMemberBOOL{Value: *av.BOOL}
	case av.NULL != nil:
		return &types.AttributeValueMemberNULL{Value: *av.NULL}
	case av.B != nil:
		return &types.AttributeValueMemberB{Value: av.B}
	case av.M != nil:
		return &types.AttributeValueMemberM{Value: stored(t, av.M)}
	}
	list := &types.AttributeValueMemberL{Value: []types.AttributeValue{}}
	for _, e := range av.L {
		list.Value = append(list.Value, attribute(t, e))
	}
	return list
}

// everyVersion walks through the pages of a secret's versions.
func everyVersion(t testing.TB, room *localtest.Room, sec secret.Secret, limit int) (versions []secret.Version, pages []int) {
	t.Helper()
	page := store.Page{Limit: limit}
	for more := true; more; {
		got, m, err := room.Store.Versions(t.Context(), sec, page)
		if err != nil {
			t.Fatal(err)
		}
		if m && len(got) != limit {
			t.Fatalf("a page of %d that is not the last has %d versions", limit, len(got))
		}
		versions, pages, more = append(versions, got...), append(pages, len(got)), m
		if more {
			page.After = got[len(got)-1].ID
		}
	}
	return versions, pages
}

func idsOf(versions []secret.Version) []string {
	ids := []string{}
	for _, v := range versions {
		ids = append(ids, v.ID)
	}
	return ids
}
