package api_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

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
// what the store would, past it and the SDK: that takes a thousandth of the time.
func fill(t testing.TB, room *localtest.Room, from, to int) {
	t.Helper()
	var writes []types.WriteRequest
	for i := from; i < to; i++ {
		for _, it := range fillItems(filled(i)) {
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
		}
	}
	for slice := range slices.Chunk(writes, 25) { // all that one call takes
		must(localtest.Shared().Tables.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{room.Table: slice}}))(t)
	}
}

func fillItems(sec secret.Secret) []map[string]types.AttributeValue {
	return []map[string]types.AttributeValue{
		fillHead(sec), fillRow(sec, "DIRECTORY#NAME", sec.Name), fillRow(sec, "DIRECTORY#CREATED", stamp(sec.Created)+"#"+sec.Name),
	}
}

// stamp is a date as it is stored.
func stamp(date time.Time) string { return date.Format("2006-01-02T15:04:05.000Z") }

func fillRow(sec secret.Secret, order, place string) map[string]types.AttributeValue {
	two := &types.AttributeValueMemberN{Value: "2"}
	return map[string]types.AttributeValue{"pk": text(order), "sk": text(place), "schema": two, "name": text(sec.Name), "suffix": text(sec.Suffix()), "created": text(stamp(sec.Created))}
}

func fillHead(sec secret.Secret) map[string]types.AttributeValue {
	zero, one := &types.AttributeValueMemberN{Value: "0"}, &types.AttributeValueMemberN{Value: "1"}
	two := &types.AttributeValueMemberN{Value: "2"}
	none := &types.AttributeValueMemberNULL{Value: true}
	created := text(stamp(sec.Created))
	return map[string]types.AttributeValue{
		"pk": text("SECRET#" + sec.Name), "sk": text("HEAD"), "schema": two, "suffix": text(sec.Suffix()), "revision": one, "commit": text(""),
		"token": text(""), "description": text(""), "type": text(""), "kms_key": text(""), "keyed": zero,
		"stages": &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{}}, "versions": zero, "prunings": zero, "moves": zero,
		"policy_hash": text(""), "tags": none, "created": created, "changed": created, "deletion": none, "deleted": none,
		"replicas": none, "primary": text(""), "copy": zero,
	}
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
			delete(it, "past")
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
	var items []map[string]any
	if err := attributevalue.UnmarshalListOfMaps(must(localtest.Shared().Tables.Items(room.Table))(t), &items); err != nil {
		t.Fatal(err)
	}
	return items
}
