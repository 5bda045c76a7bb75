package api_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func restoreInput(name string) *secretsmanager.RestoreSecretInput {
	return &secretsmanager.RestoreSecretInput{SecretId: aws.String(name)}
}

// After a restore everything is as it was.
func TestRestoreSecret(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	in := createInput("s", "v1", "one")
	in.Description = aws.String("d")
	in.Tags = []types.Tag{tag("k", "v")}
	arn := *must(room.SDK.CreateSecret(t.Context(), in))(t).ARN
	put(t, room, "s", "v2", "two")
	put(t, room, "s", "v3", "three", "mine")
	before := stages(t, room, "s")
	schedule(t, room, "s")
	out := must(room.SDK.RestoreSecret(t.Context(), restoreInput("s")))(t)
	if *out.ARN != arn || *out.Name != "s" {
		t.Errorf("got ARN %s, Name %s; want %s, s", *out.ARN, *out.Name, arn)
	}
	got := describe(t, room, "s")
	if got.DeletedDate != nil || *got.Description != "d" || *got.ARN != arn {
		t.Errorf("got DeletedDate %v, Description %s, ARN %s; want none, d, %s", got.DeletedDate, *got.Description, *got.ARN, arn)
	}
	checkTags(t, got.Tags, in.Tags)
	checkStages(t, room, "s", before)
	if got := *get(t, room, "s").SecretString; got != "two" {
		t.Errorf("got value %q, want two", got)
	}
	put(t, room, "s", "v4", "four")
	schedule(t, room, "s") // and once more
	_, body := room.Post(t, "RestoreSecret", `{"SecretId":"s"}`)
	checkMembers(t, body, "ARN", "Name")
}

func TestRestoreSecretNotDeleted(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *create(t, room, "s", "v1", "one").ARN
	for _, room := range []*localtest.Room{room, room.Another(t)} {
		before := dump(t, room)
		out := must(room.SDK.RestoreSecret(t.Context(), restoreInput("s")))(t)
		if *out.ARN != arn || *out.Name != "s" {
			t.Errorf("got ARN %s, Name %s; want %s, s", *out.ARN, *out.Name, arn)
		}
		checkSame(t, before, dump(t, room))
	}
}

// A process that remembers the secret before its deletion restores it all the same.
func TestRestoreSecretRemembered(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	other := room.Another(t)
	create(t, room, "s", "v1", "one")
	get(t, other, "s")
	schedule(t, room, "s")
	must(other.SDK.RestoreSecret(t.Context(), restoreInput("s")))(t)
	if got := describe(t, room, "s").DeletedDate; got != nil {
		t.Errorf("got DeletedDate %s, want none", got)
	}
}

func TestRestoreSecretRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "gone", "v1", "one")
	forceDelete(t, room, "gone")
	for id, want := range map[string]refusal{"unknown": notFound, "gone": notFound, "a b": invalidName} {
		refuses(t, room, want, func() (*secretsmanager.RestoreSecretOutput, error) {
			return room.SDK.RestoreSecret(t.Context(), restoreInput(id))
		})
	}
}
