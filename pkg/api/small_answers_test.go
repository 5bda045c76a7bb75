package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// However few items DynamoDB gives in a page, and however few keys of a batch it
// takes, lists and batches answer the same.
func TestSmallAnswers(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	c := withClock(room, began)
	names, values := numbered(t, room, 6)
	batch(t, room, batchOf(names...))
	for _, name := range []string{"s3", "s5", "s1"} { // accessed, and changed, in this order
		c.now = c.now.AddDate(0, 0, 1)
		get(t, room, name)
		put(t, room, name, "v2", "another")
		put(t, room, name, "v3", name)
	}
	for i := range 10 {
		put(t, room, "s2", fmt.Sprint("w", i), "s2")
	}
	schedule(t, room, "s4")
	c.now = began // what is read now was read since
	plain := everyList(t, room)
	if len(plain) != 40 || len(plain["versions by 100, deprecated true"]) < 11*3 {
		t.Fatalf("%d lists, want all", len(plain))
	}
	for _, cloud := range []localtest.Cloud{{ShortPages: 1}, {ShortPages: 3}, {Unprocessed: 1}, {Unprocessed: 3}, {ShortPages: 3, Unprocessed: 1}} {
		t.Run(fmt.Sprintf("%+v", cloud), func(t *testing.T) {
			t.Parallel()
			other := room.Another(t)
			withClock(other, began)
			other.Wire.Behave(cloud)
			got := everyList(t, other)
			for name, want := range plain {
				if got[name] != want {
					t.Errorf("%s: got %s\nwant %s", name, got[name], want)
				}
			}
			checkNames(t, "batch", valuesOf(batch(t, other, batchOf(names[:4]...))), values[:4]...)
		})
	}
}

// everyList are the answers of all sorts of lists, page by page as one text, by what
// was asked.
func everyList(t testing.TB, room *localtest.Room) map[string]string {
	t.Helper()
	lists := map[string]string{}
	for _, by := range types.SortByType("").Values() {
		for _, order := range types.SortOrderType("").Values() {
			for _, deleted := range []bool{false, true} {
				for _, size := range []int32{2, 100} {
					in := secretsmanager.ListSecretsInput{SortBy: by, SortOrder: order, IncludePlannedDeletion: &deleted, MaxResults: &size}
					lists[fmt.Sprint("secrets by ", by, " ", order, ", deleted ", deleted, ", by ", size)] = strings.Join(listAll(t, room, in), " ")
				}
			}
		}
	}
	lists["secrets of a prefix"] = strings.Join(listAll(t, room, secretsmanager.ListSecretsInput{
		SortBy: types.SortByTypeName, Filters: []types.Filter{filter("name", "s", "!s3")}, MaxResults: aws.Int32(2),
	}), " ")
	for _, deprecated := range []bool{false, true} {
		for _, size := range []int32{1, 3, 100} {
			lists[fmt.Sprint("versions by ", size, ", deprecated ", deprecated)] = listVersions(t, room, "s2", size, deprecated)
		}
	}
	values := secretsmanager.NewBatchGetSecretValuePaginator(room.SDK, &secretsmanager.BatchGetSecretValueInput{
		Filters: []types.Filter{filter("name", "s")}, MaxResults: aws.Int32(3),
	})
	for values.HasMorePages() {
		lists["values"] += strings.Join(valuesOf(must(values.NextPage(t.Context()))(t)), " ") + ";"
	}
	return lists
}

// listVersions are the pages of a list of versions, each with its labels.
func listVersions(t testing.TB, room *localtest.Room, name string, size int32, deprecated bool) (text string) {
	t.Helper()
	pages := secretsmanager.NewListSecretVersionIdsPaginator(room.SDK, &secretsmanager.ListSecretVersionIdsInput{
		SecretId: &name, IncludeDeprecated: &deprecated, MaxResults: &size,
	})
	for pages.HasMorePages() {
		for _, v := range must(pages.NextPage(t.Context()))(t).Versions {
			text += short(*v.VersionId) + join(v.VersionStages) + " "
		}
		text += "; "
	}
	return text
}
