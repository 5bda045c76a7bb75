package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func tagInput(name string, tags ...types.Tag) *secretsmanager.TagResourceInput {
	if tags == nil {
		tags = []types.Tag{}
	}
	return &secretsmanager.TagResourceInput{SecretId: aws.String(name), Tags: tags}
}

func addTags(t testing.TB, room *localtest.Room, name string, tags ...types.Tag) {
	t.Helper()
	must(room.SDK.TagResource(t.Context(), tagInput(name, tags...)))(t)
}

// shown is the member Tags as it stands in an answer about the secret s, empty if
// it is not there.
func shown(t testing.TB, room *localtest.Room, operation string) string {
	t.Helper()
	_, body := room.Post(t, operation, `{"SecretId":"s"}`)
	var answer struct {
		Tags       json.RawMessage
		SecretList []struct{ Tags json.RawMessage }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.SecretList) == 1 {
		return string(answer.SecretList[0].Tags)
	}
	return string(answer.Tags)
}

// checkShown compares the tags of the secret s as DescribeSecret and ListSecrets
// show them.
func checkShown(t testing.TB, room *localtest.Room, want string) {
	t.Helper()
	for _, operation := range []string{"DescribeSecret", "ListSecrets"} {
		if got := shown(t, room, operation); got != want {
			t.Errorf("%s: got Tags %s, want %s", operation, got, want)
		}
	}
}

func tagsUpTo(n int) []types.Tag {
	var tags []types.Tag
	for i := range n {
		tags = append(tags, tag(fmt.Sprintf("key-%02d", i+1), "v"))
	}
	return tags
}

var (
	manyTags     = refusal{"InvalidParameterException", "A secret can have no more than 50 tags."}
	reservedTags = refusal{"InvalidParameterException", "Tag keys that begin with aws: are reserved for AWS."}
)

func TestTagResource(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *createEmpty(t, room, "s").ARN
	checkShown(t, room, "")
	for _, test := range []struct {
		name, id string
		tags     []types.Tag
		want     string
	}{
		{"none to a secret never tagged", "s", nil, ``},
		{"the first", "s", []types.Tag{tag("b", "1")}, `[{"Key":"b","Value":"1"}]`},
		{"in the order they came", arn, []types.Tag{tag("c", "2"), tag("a", "3")}, `[{"Key":"b","Value":"1"},{"Key":"c","Value":"2"},{"Key":"a","Value":"3"}]`},
		{"a key is overwritten in its place", arn[:len(arn)-7], []types.Tag{tag("c", "4"), tag("d", "")}, `[{"Key":"b","Value":"1"},{"Key":"c","Value":"4"},{"Key":"a","Value":"3"},{"Key":"d","Value":""}]`},
		{"keys are case-sensitive", "s", []types.Tag{tag("C", "5")}, `[{"Key":"b","Value":"1"},{"Key":"c","Value":"4"},{"Key":"a","Value":"3"},{"Key":"d","Value":""},{"Key":"C","Value":"5"}]`},
		{"none", "s", nil, `[{"Key":"b","Value":"1"},{"Key":"c","Value":"4"},{"Key":"a","Value":"3"},{"Key":"d","Value":""},{"Key":"C","Value":"5"}]`},
		{"no value is an empty one", "s", []types.Tag{{Key: aws.String("b")}}, `[{"Key":"b","Value":""},{"Key":"c","Value":"4"},{"Key":"a","Value":"3"},{"Key":"d","Value":""},{"Key":"C","Value":"5"}]`},
	} {
		addTags(t, room, test.id, test.tags...)
		if checkShown(t, room, test.want); t.Failed() {
			t.Fatal(test.name)
		}
	}
}

func TestTagResourceAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	for operation, body := range map[string]string{
		"TagResource":   `{"SecretId":"s","Tags":[{"Key":"k","Value":"v"}]}`,
		"UntagResource": `{"SecretId":"s","TagKeys":["k"]}`,
	} {
		answer, text := room.Post(t, operation, body)
		if answer.StatusCode != http.StatusOK || text != `{}` {
			t.Errorf("%s: got %d %s, want 200 {}", operation, answer.StatusCode, text)
		}
		checkHeaders(t, answer)
	}
}

// The longest tags there may be, of characters of more than a byte, are all kept.
func TestTagResourceLimits(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	var tags []types.Tag
	for i := range 50 {
		tags = append(tags, tag(fmt.Sprintf("%02d", i)+strings.Repeat("ü", 126), strings.Repeat("☃", 256)))
	}
	addTags(t, room, "s", tags...)
	checkTags(t, describe(t, room.Another(t), "s").Tags, tags)
	tags[7].Value = aws.String("new")
	addTags(t, room, "s", tags[7]) // no 51st
	checkTags(t, describe(t, room, "s").Tags, tags)
	refuses(t, room, manyTags, func() (*secretsmanager.TagResourceOutput, error) {
		return room.SDK.TagResource(t.Context(), tagInput("s", tag("one more", "")))
	})
	createEmpty(t, room, "other")
	addTags(t, room, "other", tag("awsome", "aws:"), tag("AWS", ""))
}

func TestTagResourceRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	addTags(t, room, "s", tag("k", "v"))
	createEmpty(t, room, "deleted")
	schedule(t, room, "deleted")
	long := strings.Repeat("ü", 257)
	for _, test := range []struct {
		name string
		in   *secretsmanager.TagResourceInput
		want refusal
	}{
		{"51 tags", tagInput("s", tagsUpTo(51)...), manyTags},
		{"50 beside the one there is", tagInput("s", tagsUpTo(50)...), manyTags},
		{"reserved", tagInput("s", tag("aws:x", "v")), reservedTags},
		{"reserved, in capitals", tagInput("s", tag("ok", "v"), tag("AWS:x", "v")), reservedTags},
		{"twice", tagInput("s", tag("a", "1"), tag("b", "1"), tag("a", "1")), refusal{"InvalidParameterException", "Tag keys must be unique: a is given more than once."}},
		{"empty key", tagInput("s", tag("", "v")), violation("Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"no key", tagInput("s", tag("ok", "v"), types.Tag{Value: aws.String("v")}), violation("Value null at 'tags.2.member.key' failed to satisfy constraint: Member must not be null")},
		{"key of 129 characters", tagInput("s", tag(long[:258], "v")), violation("Value '" + long[:258] + "' at 'tags.1.member.key' failed to satisfy constraint: Member must have length less than or equal to 128")},
		{"value of 257 characters", tagInput("s", tag("k", long)), violation("Value '" + long + "' at 'tags.1.member.value' failed to satisfy constraint: Member must have length less than or equal to 256")},
		{"unknown", tagInput("unknown", tag("k", "v")), notFound},
		{"unknown, none", tagInput("unknown"), notFound},
		{"unknown comes before reserved", tagInput("unknown", tag("aws:x", "v")), notFound},
		{"bad name", tagInput("a b", tag("k", "v")), invalidName},
		{"scheduled for deletion", tagInput("deleted", tag("k", "v")), marked},
		{"scheduled for deletion, none", tagInput("deleted"), marked},
		{"scheduled for deletion comes before reserved", tagInput("deleted", tag("aws:x", "v")), marked},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				refuses(t, room, test.want, func() (*secretsmanager.TagResourceOutput, error) {
					return room.SDK.TagResource(t.Context(), test.in)
				})
			}
		})
	}
	refusesPost(t, room, "TagResource", `{"SecretId":"s"}`, violation("Value null at 'tags' failed to satisfy constraint: Member must not be null"))
	refusesPost(t, room, "TagResource", `{"Tags":[]}`, violation("Value null at 'secretId' failed to satisfy constraint: Member must not be null"))
	refusesPost(t, room, "TagResource", `{"SecretId":"s","Tags":[null]}`, violation("Value null at 'tags.1.member' failed to satisfy constraint: Member must not be null"))
	refusesPost(t, room, "TagResource", `{"SecretId":"s","Tags":{"k":"v"}}`, refusal{"SerializationException", "The value at 'tags' is not a list."})
}

func TestTagResourceDates(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, epoch)
	createEmpty(t, room, "s")
	changed := func(want time.Time) {
		t.Helper()
		if got := *describe(t, room, "s").LastChangedDate; !got.Equal(want) {
			t.Errorf("got LastChangedDate %s, want %s", got, want)
		}
	}
	now.now = epoch.Add(time.Hour)
	addTags(t, room, "s", tag("k", "v"))
	changed(epoch.Add(time.Hour))
	now.now = epoch.Add(2 * time.Hour)
	addTags(t, room, "s")
	changed(epoch.Add(time.Hour))
	removeTags(t, room, "s", "none")
	changed(epoch.Add(time.Hour))
	removeTags(t, room, "s", "k")
	changed(epoch.Add(2 * time.Hour))
}

// Tags that are put at the same time are all there.
func TestTagResourceInParallel(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	rooms := []*localtest.Room{room, room.Another(t)}
	var wg sync.WaitGroup
	for i, one := range tagsUpTo(12) {
		wg.Go(func() {
			if _, err := rooms[i%2].SDK.TagResource(t.Context(), tagInput("s", one)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := describe(t, room, "s").Tags; len(got) != 12 {
		t.Errorf("got %d tags, want 12", len(got))
	}
}
