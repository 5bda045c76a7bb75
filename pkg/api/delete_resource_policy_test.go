package api_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func deletePolicyInput(name string) *secretsmanager.DeleteResourcePolicyInput {
	return &secretsmanager.DeleteResourcePolicyInput{SecretId: aws.String(name)}
}

// policyItems are the keys of the policies in the table.
func policyItems(t testing.TB, room *localtest.Room) []string {
	t.Helper()
	var keys []string
	for key := range dump(t, room) {
		if strings.Contains(key, " POLICY#") {
			keys = append(keys, key)
		}
	}
	return keys
}

// Where there is none it answers the same, and writes nothing.
func TestDeleteResourcePolicy(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *create(t, room, "s", "v1", "one").ARN
	want := `{"ARN":"` + arn + `","Name":"s"}`
	check := func(id string) {
		t.Helper()
		for _, room := range []*localtest.Room{room, room.Another(t)} {
			if answer, body := room.Post(t, "DeleteResourcePolicy", `{"SecretId":"`+id+`"}`); answer.StatusCode != http.StatusOK || body != want {
				t.Errorf("%s: got %d %s, want %s", id, answer.StatusCode, body, want)
			}
		}
	}
	before := dump(t, room)
	check("s")
	checkSame(t, before, dump(t, room))
	for _, id := range []string{"s", arn, arn[:len(arn)-7]} {
		putPolicy(t, room, "s", everyone)
		check(id)
		if got := policyOf(t, room); got != nil {
			t.Errorf("got policy %s, want none", *got)
		}
		if got := policyItems(t, room); got != nil {
			t.Errorf("got items %q, want none", got)
		}
	}
}

// With the secret goes its policy; the next secret of that name has none.
func TestDeleteSecretWithPolicy(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, forced := range []func(){
		func() { forceDelete(t, room, "s") },
		func() { schedule(t, room, "s"); forceDelete(t, room, "s") },
		func() { forceDelete(t, room.Another(t), "s") },
	} {
		createEmpty(t, room, "s")
		putPolicy(t, room, "s", everyone)
		if got := policyItems(t, room); len(got) != 1 {
			t.Fatalf("got items %q, want one", got)
		}
		forced()
		got := dump(t, room)
		maps.DeleteFunc(got, func(key, _ string) bool { return strings.Contains(key, "LEFTOVER#") })
		if len(got) != 0 {
			t.Errorf("got %v, want nothing left but notes", got)
		}
		createEmpty(t, room, "s")
		if got := policyOf(t, room); got != nil {
			t.Errorf("got policy %s of the secret made again, want none", *got)
		}
		forceDelete(t, room, "s")
	}
}

func TestDeleteResourcePolicyRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, name := range []string{"deleted", "bare"} {
		createEmpty(t, room, name)
	}
	putPolicy(t, room, "deleted", oneRole)
	schedule(t, room, "deleted")
	schedule(t, room, "bare")
	for id, want := range map[string]refusal{"unknown": notFound, "a b": invalidName, "deleted": marked, "bare": marked} {
		for _, room := range []*localtest.Room{room, room.Another(t)} {
			refuses(t, room, want, func() (*secretsmanager.DeleteResourcePolicyOutput, error) {
				return room.SDK.DeleteResourcePolicy(t.Context(), deletePolicyInput(id))
			})
		}
	}
	refusesPost(t, room, "DeleteResourcePolicy", `{}`, violation("Value null at 'secretId' failed to satisfy constraint: Member must not be null"))
}
