package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func untagInput(name string, keys ...string) *secretsmanager.UntagResourceInput {
	if keys == nil {
		keys = []string{}
	}
	return &secretsmanager.UntagResourceInput{SecretId: aws.String(name), TagKeys: keys}
}

func removeTags(t testing.TB, room *localtest.Room, name string, keys ...string) {
	t.Helper()
	must(room.SDK.UntagResource(t.Context(), untagInput(name, keys...)))(t)
}

// Tags is absent from a secret never tagged, and [] after the last was taken off.
func TestUntagResource(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *createEmpty(t, room, "s").ARN
	removeTags(t, room, "s", "none")
	checkShown(t, room, "")
	addTags(t, room, "s", tag("a", "1"), tag("b", "2"), tag("c", "3"), tag("d", "4"))
	for _, test := range []struct {
		name, id string
		keys     []string
		want     string
	}{
		{"no keys", "s", nil, `[{"Key":"a","Value":"1"},{"Key":"b","Value":"2"},{"Key":"c","Value":"3"},{"Key":"d","Value":"4"}]`},
		{"unknown key", "s", []string{"x"}, `[{"Key":"a","Value":"1"},{"Key":"b","Value":"2"},{"Key":"c","Value":"3"},{"Key":"d","Value":"4"}]`},
		{"another case", "s", []string{"A"}, `[{"Key":"a","Value":"1"},{"Key":"b","Value":"2"},{"Key":"c","Value":"3"},{"Key":"d","Value":"4"}]`},
		{"from the middle, by ARN", arn, []string{"b"}, `[{"Key":"a","Value":"1"},{"Key":"c","Value":"3"},{"Key":"d","Value":"4"}]`},
		{"two, one of them unknown", "s", []string{"x", "d"}, `[{"Key":"a","Value":"1"},{"Key":"c","Value":"3"}]`},
		{"one twice", "s", []string{"c", "c"}, `[{"Key":"a","Value":"1"}]`},
		{"reserved, which is unknown", "s", []string{"aws:x"}, `[{"Key":"a","Value":"1"}]`},
		{"the last", "s", []string{"a"}, `[]`},
		{"from none", "s", []string{"a"}, `[]`},
	} {
		for _, room := range []*localtest.Room{room, room.Another(t)} { // again from another process: no error
			removeTags(t, room, test.id, test.keys...)
		}
		if checkShown(t, room, test.want); t.Failed() {
			t.Fatal(test.name)
		}
	}
	addTags(t, room, "s", tag("a", "5"))
	checkShown(t, room, `[{"Key":"a","Value":"5"}]`)
}

func TestUntagResourceRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	addTags(t, room, "s", tag("k", "v"))
	createEmpty(t, room, "deleted")
	addTags(t, room, "deleted", tag("k", "v"))
	schedule(t, room, "deleted")
	long := strings.Repeat("ü", 129)
	bounds := func(keys string) refusal {
		return violation(fmt.Sprintf("Value '[%s]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]", keys))
	}
	for _, test := range []struct {
		name string
		in   *secretsmanager.UntagResourceInput
		want refusal
	}{
		{"empty key", untagInput("s", "k", ""), bounds("k, ")},
		{"key of 129 characters", untagInput("s", long), bounds(long)},
		{"unknown", untagInput("unknown", "k"), notFound},
		{"unknown, no keys", untagInput("unknown"), notFound},
		{"bad name", untagInput("a b", "k"), invalidName},
		{"scheduled for deletion", untagInput("deleted", "k"), marked},
		{"scheduled for deletion, unknown key", untagInput("deleted", "x"), marked},
		{"scheduled for deletion, no keys", untagInput("deleted"), marked},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				refuses(t, room, test.want, func() (*secretsmanager.UntagResourceOutput, error) {
					return room.SDK.UntagResource(t.Context(), test.in)
				})
			}
		})
	}
	refusesPost(t, room, "UntagResource", `{"SecretId":"s"}`, violation("Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"))
	refusesPost(t, room, "UntagResource", `{"TagKeys":["k"]}`, violation("Value null at 'secretId' failed to satisfy constraint: Member must not be null"))
	removeTags(t, room, "s", strings.Repeat("ü", 128))
}
