package api_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

func TestDescribeSecretMembers(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	members := []string{"ARN", "Name", "CreatedDate", "LastChangedDate"}
	check := func(more ...string) {
		t.Helper()
		_, body := room.Post(t, "DescribeSecret", `{"SecretId":"s"}`)
		members = append(members, more...)
		checkMembers(t, body, members...)
	}
	check()
	put(t, room, "s", "v1", "one")
	check("VersionIdsToStages")
	get(t, room, "s")
	check("LastAccessedDate")
	schedule(t, room, "s")
	check("DeletedDate")

	in := createInput("all", "v1", "one")
	in.Description, in.KmsKeyId, in.Type = aws.String("d"), aws.String(newKey(t)), aws.String("T")
	in.Tags = []types.Tag{tag("k", "v")}
	must(room.SDK.CreateSecret(t.Context(), in))(t)
	_, body := room.Post(t, "DescribeSecret", `{"SecretId":"all"}`)
	checkMembers(t, body, "ARN", "Name", "CreatedDate", "LastChangedDate", "VersionIdsToStages", "Description", "KmsKeyId", "Type", "Tags")
}

func TestDescribeSecretStages(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two")
	put(t, room, "s", "v3", "three")
	beginRotation(t, room, "p")
	got := map[string]string{}
	for id, labels := range describe(t, room, "s").VersionIdsToStages {
		got[short(id)] = join(labels)
	}
	// Not the deprecated v1, but the version that has no value yet.
	if want := map[string]string{"v2": "AWSPREVIOUS", "v3": "AWSCURRENT", "p": "AWSPENDING"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Tags are absent from a secret never tagged, and empty after the last was
// taken off.
func TestDescribeSecretTags(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	_, err := room.Store.Update(t.Context(), secret.ID{Name: "s"}, func(sec secret.Secret) (secret.Change, error) {
		sec.Tags = []secret.Tag{}
		return secret.Change{Secret: sec}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, body := room.Post(t, "DescribeSecret", `{"SecretId":"s"}`)
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &members); err != nil || string(members["Tags"]) != "[]" {
		t.Errorf("got Tags %s in %s, want []", members["Tags"], body)
	}
}

func TestDescribeSecretScheduledForDeletion(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	create(t, room, "s", "v1", "one")
	schedule(t, room, "s")
	got := describe(t, room, "s")
	if want := now.now; got.DeletedDate == nil || !got.DeletedDate.Equal(want) {
		t.Errorf("got DeletedDate %v, want %s", got.DeletedDate, want)
	}
	if len(got.VersionIdsToStages) != 1 {
		t.Errorf("got VersionIdsToStages %v, want one version", got.VersionIdsToStages)
	}
}

func TestDescribeSecretRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for id, want := range map[string]refusal{
		"unknown": notFound,
		"a b":     invalidName,
		"":        violation("Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1"),
	} {
		refuses(t, room, want, func() (*secretsmanager.DescribeSecretOutput, error) {
			return room.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(id)})
		})
	}
}
