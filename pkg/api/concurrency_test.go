package api_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

// Many writers put into one secret at once, in two processes, for a while: every
// put is acknowledged and is there, and the labels are where they can be.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	const writers, puts = 32, 8
	room := localtest.New(t)
	rooms := []*localtest.Room{room, room.Another(t)}
	createEmpty(t, room, "s")
	acknowledged := make([][]string, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range puts {
				id := fmt.Sprintf("w%d-%d", w, n)
				out, err := rooms[w%2].SDK.PutSecretValue(t.Context(), putInput("s", id, id), once)
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				if *out.VersionId != token(id) {
					t.Errorf("got VersionId %s, want %s", *out.VersionId, token(id))
				}
				acknowledged[w] = append(acknowledged[w], id)
			}
		})
	}
	wg.Wait()
	want := slices.Sorted(slices.Values(slices.Concat(acknowledged...)))
	var got, current, previous []string
	in := &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("s"), IncludeDeprecated: aws.Bool(true)}
	for len(got) <= len(want) {
		page := must(room.SDK.ListSecretVersionIds(t.Context(), in))(t)
		for _, v := range page.Versions {
			id := short(*v.VersionId)
			got = append(got, id)
			switch labels := join(v.VersionStages); labels {
			case "AWSCURRENT":
				current = append(current, id)
			case "AWSPREVIOUS":
				previous = append(previous, id)
			case "":
			default:
				t.Errorf("got labels %s on version %s", labels, id)
			}
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %d versions, want the %d that were acknowledged", len(got), len(want))
	}
	if len(current) != 1 || len(previous) != 1 {
		t.Errorf("got AWSCURRENT on %q and AWSPREVIOUS on %q, want each on one version", current, previous)
	}
	sec := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
	if sec.Versions != len(want) || sec.Revision != int64(len(want))+1 {
		t.Errorf("got a count of %d versions at revision %d, want %d and %d", sec.Versions, sec.Revision, len(want), len(want)+1)
	}
	// Every version opens to what was put under its ID.
	for _, id := range append(want[:min(len(want), 20)], current...) {
		if got := *getVersion(t, rooms[1], "s", id).SecretString; got != id {
			t.Errorf("got value %q of version %s, want its ID", got, id)
		}
	}
}
