package prune_test

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/secret"
)

// epoch is when everything begins.
var epoch = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)

// A clock is the time of all processes of a test, moved by hand.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.set(epoch)
	return c
}

func (c *clock) set(t time.Time)     { c.ms.Store(t.UnixMilli()) }
func (c *clock) add(d time.Duration) { c.ms.Add(d.Milliseconds()) }
func (c *clock) Now() time.Time      { return time.UnixMilli(c.ms.Load()).UTC() }

// open makes a room that goes by a clock, and where secrets keep so many versions.
func open(t testing.TB, keep secret.Retention) (*localtest.Room, *clock) {
	t.Helper()
	room, c := localtest.New(t), newClock()
	room.Server.Now, room.Server.Retention = c.Now, keep
	return room, c
}

// another is the service as another process has it.
func another(t testing.TB, room *localtest.Room) *localtest.Room {
	t.Helper()
	other := room.Another(t)
	other.Server.Now, other.Server.Retention = room.Server.Now, room.Server.Retention
	return other
}

// pruner is one of another process than the room's.
func pruner(t testing.TB, room *localtest.Room) (*prune.Pruner, *localtest.Wire) {
	t.Helper()
	other := room.Another(t)
	return &prune.Pruner{
		Store: other.Store, Retention: room.Server.Retention, Now: room.Server.Now, Log: slog.New(slog.DiscardHandler),
	}, other.Wire
}

// run runs until nothing fails.
func run(t testing.TB, room *localtest.Room) prune.Summary {
	t.Helper()
	p, _ := pruner(t, room)
	sum, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func wantSummary(t testing.TB, got, want prune.Summary) {
	t.Helper()
	if got != want {
		t.Errorf("summary = %+v\nwant      %+v", got, want)
	}
}

// must returns what a call answers, and ends the test when it fails.
func must[Out any](out Out, err error) func(testing.TB) Out {
	return func(t testing.TB) Out {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// token is a version's ID with a short name.
func token(name string) string { return strings.Repeat("0", 32-len(name)) + name }

func short(id string) string { return strings.TrimLeft(id, "0") }

// create makes a secret with the version v0.
func create(t testing.TB, room *localtest.Room, name string) {
	t.Helper()
	must(room.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: &name, ClientRequestToken: aws.String(token("v0")), SecretString: aws.String("value of v0"),
	}))(t)
}

func put(t testing.TB, room *localtest.Room, name, version string, labels ...string) {
	t.Helper()
	must(room.SDK.PutSecretValue(t.Context(), putInput(name, version, labels...)))(t)
}

func putInput(name, version string, labels ...string) *secretsmanager.PutSecretValueInput {
	return &secretsmanager.PutSecretValueInput{
		SecretId: &name, ClientRequestToken: aws.String(token(version)), SecretString: aws.String("value of " + version), VersionStages: labels,
	}
}

func moveInput(name, label, from, to string) *secretsmanager.UpdateSecretVersionStageInput {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &name, VersionStage: &label}
	if from != "" {
		in.RemoveFromVersionId = aws.String(token(from))
	}
	if to != "" {
		in.MoveToVersionId = aws.String(token(to))
	}
	return in
}

// remove deletes a secret: without a recovery window it was deleted ten minutes ago, so
// that its versions are due to be removed.
func remove(t testing.TB, room *localtest.Room, name string, days int64) {
	t.Helper()
	in := &secretsmanager.DeleteSecretInput{SecretId: &name}
	if days > 0 {
		in.RecoveryWindowInDays = &days
	} else {
		in.ForceDeleteWithoutRecovery = aws.Bool(true)
		now := room.Server.Now
		room.Server.Now = func() time.Time { return now().Add(-10 * time.Minute) }
		defer func() { room.Server.Now = now }()
	}
	must(room.SDK.DeleteSecret(t.Context(), in))(t)
}

// versions are the short names of a secret's versions, in order, as the API lists
// them, each with its labels.
func versions(t testing.TB, room *localtest.Room, name string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	pages := secretsmanager.NewListSecretVersionIdsPaginator(room.SDK, &secretsmanager.ListSecretVersionIdsInput{SecretId: &name, IncludeDeprecated: aws.Bool(true)})
	for pages.HasMorePages() {
		for _, v := range must(pages.NextPage(t.Context()))(t).Versions {
			found[short(*v.VersionId)] = v.VersionStages
		}
	}
	return found
}

func wantVersions(t testing.TB, room *localtest.Room, name string, want ...string) {
	t.Helper()
	slices.Sort(want)
	got := slices.Sorted(maps.Keys(versions(t, room, name)))
	if !slices.Equal(got, want) {
		t.Errorf("%s has %d versions %q, want %d %q", name, len(got), got, len(want), want)
	}
	sec := must(room.Store.Get(t.Context(), secret.ID{Name: name}))(t)
	if sec.Versions != len(want) {
		t.Errorf("the head of %s counts %d versions, want %d", name, sec.Versions, len(want))
	}
}

// wantWhole says that every label of a secret is on a version that can be read.
func wantWhole(t testing.TB, room *localtest.Room, name string) {
	t.Helper()
	out := must(room.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name}))(t)
	if len(out.VersionIdsToStages) == 0 {
		t.Errorf("%s has no version with a label", name)
	}
	for id, labels := range out.VersionIdsToStages {
		for _, label := range labels {
			got, err := room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: &label})
			if err != nil {
				t.Errorf("%s of %s is on %s: %v", label, name, short(id), err)
			} else if want := "value of " + short(id); *got.SecretString != want {
				t.Errorf("%s of %s is %q, want %q", label, name, *got.SecretString, want)
			}
		}
	}
}

// keys are the keys of all items of the table that begin with a prefix, in order.
func keys(t testing.TB, room *localtest.Room, prefix string) []string {
	t.Helper()
	var found []string
	for _, it := range must(localtest.Shared().Tables.Items(room.Table))(t) {
		if key := text(it["pk"]) + " " + text(it["sk"]); strings.HasPrefix(key, prefix) {
			found = append(found, key)
		}
	}
	slices.Sort(found)
	return found
}

func text(av types.AttributeValue) string { return av.(*types.AttributeValueMemberS).Value }

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// stuff gives a secret that has one version as many more, w0 and so on, some time
// apart and before it: small copies that nothing was sealed for, written past the
// API and the SDK, which takes a thousandth of the time.
func stuff(t testing.TB, room *localtest.Room, name string, n int, apart time.Duration) {
	t.Helper()
	sec := must(room.Store.Get(t.Context(), secret.ID{Name: name}))(t)
	prefix := "VERSION#" + sec.Suffix() + "#"
	found := get(t, room, "SECRET#"+name, prefix+sec.Stages[secret.Current])
	found["sealed"] = &types.AttributeValueMemberB{Value: []byte{0}}
	var copies []map[string]types.AttributeValue
	for i := range n {
		it := maps.Clone(found)
		id := token(fmt.Sprint("w", i))
		it["id"], it["sk"] = str(id), str(prefix+id)
		it["created"] = str(sec.Created.Add(time.Duration(i-n) * apart).Format("2006-01-02T15:04:05.000Z"))
		copies = append(copies, it)
	}
	write(t, room, copies)
	must(localtest.Shared().Tables.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &room.Table, Key: map[string]types.AttributeValue{"pk": str("SECRET#" + name), "sk": str("HEAD")},
		UpdateExpression:          aws.String("ADD versions :n"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: fmt.Sprint(n)}},
	}))(t)
}

// write puts items into the table.
func write(t testing.TB, room *localtest.Room, items []map[string]types.AttributeValue) {
	t.Helper()
	for slice := range slices.Chunk(items, 25) {
		var writes []types.WriteRequest
		for _, it := range slice {
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
		}
		must(localtest.Shared().Tables.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{room.Table: writes}}))(t)
	}
}

// get reads an item of the table.
func get(t testing.TB, room *localtest.Room, pk, sk string) map[string]types.AttributeValue {
	t.Helper()
	return must(localtest.Shared().Tables.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &room.Table, Key: map[string]types.AttributeValue{"pk": str(pk), "sk": str(sk)},
	}))(t).Item
}
