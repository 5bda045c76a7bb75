package prune_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// hold makes the indexes of a room's table answer from the state of now, until release.
func hold(room *localtest.Room) (release func()) {
	return localtest.Shared().Tables.HoldIndexes(room.Table)
}

func restore(t testing.TB, room *localtest.Room, name string) {
	t.Helper()
	must(room.SDK.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: &name}))(t)
}

// Versions that the index does not show yet stay, and are removed when it does. The
// secret stays due until then.
func TestIndexLacksVersions(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 1, MinAge: time.Hour})
	create(t, room, "s")
	putMany(t, room, c, "s", 3, time.Minute)
	release := hold(room)
	for i := 4; i <= 9; i++ {
		c.add(time.Minute)
		put(t, room, "s", fmt.Sprint("v", i))
	}
	c.add(2 * time.Hour)
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: 4})
	wantVersions(t, room, "s", names(4, 9)...)
	if got, want := dueOf(t, room, "s"), c.Now().Add(time.Hour); !got.Equal(want) {
		t.Errorf("due %v, want %v: when all that was not shown is old enough", got, want)
	}
	release()
	wantSummary(t, run(t, room), prune.Summary{})
	c.add(time.Hour)
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: 3})
	wantVersions(t, room, "s", names(7, 9)...)
	wantWhole(t, room, "s")
	wantSummary(t, run(t, room), prune.Summary{})
}

// Versions that the index still shows are passed over, and are not made up for by
// others that are to stay.
func TestIndexShowsRemovedVersions(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 70, MinAge: time.Hour})
	create(t, room, "s")
	stuff(t, room, "s", 119, time.Second)
	other := another(t, room)
	put(t, other, "s", "v1")
	put(t, other, "s", "v2")
	c.add(2 * time.Hour)
	release := hold(room)
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: 50})
	want := []string{"v0", "v1", "v2"}
	for i := 50; i < 119; i++ {
		want = append(want, fmt.Sprint("w", i))
	}
	wantVersions(t, room, "s", want...)

	// Nothing is due any more, whatever the index shows.
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1})
	wantVersions(t, room, "s", want...)

	// Of 70 without a label 60 more are to go, behind 50 that are gone.
	room.Server.Retention.MaxVersions = 10
	must(room.SDK.TagResource(t.Context(), &secretsmanager.TagResourceInput{ // has it looked at anew
		SecretId: aws.String("s"), Tags: []types.Tag{{Key: aws.String(secret.MaxVersionsTag), Value: aws.String("10")}},
	}))(t)
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: 60})
	want = []string{"v0", "v1", "v2"}
	for i := 110; i < 119; i++ {
		want = append(want, fmt.Sprint("w", i))
	}
	wantVersions(t, room, "s", want...)
	release()
	wantSummary(t, run(t, room), prune.Summary{})
	wantWhole(t, room, "s")
}

// prunedUnseen is a room whose secret s was pruned of v0 and v1, which the index shows
// until it is released.
func prunedUnseen(t *testing.T) (*localtest.Room, *clock, func()) {
	t.Helper()
	room, c := open(t, secret.Retention{MaxVersions: 1, MinAge: time.Hour})
	create(t, room, "s")
	putMany(t, room, c, "s", 4, time.Minute)
	c.add(2 * time.Hour)
	release := hold(room)
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: 2})
	return room, c, release
}

// Where the index shows too few because some are gone, the secret stays due, and the
// others go when the index has caught up.
func TestIndexShowsRemovedAndLacksNew(t *testing.T) {
	t.Parallel()
	room, c, release := prunedUnseen(t)
	put(t, room, "s", "v5")
	put(t, room, "s", "v6")
	noted := dueOf(t, room, "s")
	run(t, room) // it may remove of v2, v3 and v4 what is too many, and no more
	wantWhole(t, room, "s")
	release()
	c.set(noted.Add(2 * time.Hour))
	run(t, room)
	wantVersions(t, room, "s", "v4", "v5", "v6")
	wantSummary(t, run(t, room), prune.Summary{})
}

// What is due is decided by the secret. A row that is gone, or of a secret that is,
// does nothing; one that is not there yet is found later.
func TestDueIndexTrails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, since func(testing.TB, *localtest.Room, *clock)
		held, later   prune.Summary // of a run eight days after the beginning, and one when the index has caught up
		gone          bool          // after both
	}{
		"deleted, and not shown yet": {
			func(testing.TB, *localtest.Room, *clock) {},
			func(t testing.TB, room *localtest.Room, _ *clock) { t.Helper(); remove(t, room, "s", 7) },
			prune.Summary{},
			prune.Summary{Secrets: 1, Purged: 1, Versions: 6},
			true,
		},
		"removed, and not shown yet": {
			func(testing.TB, *localtest.Room, *clock) {},
			func(t testing.TB, room *localtest.Room, _ *clock) { t.Helper(); remove(t, room, "s", 0) },
			prune.Summary{},
			prune.Summary{Secrets: 1, Versions: 6},
			true,
		},
		"restored since": {
			func(t testing.TB, room *localtest.Room, _ *clock) { t.Helper(); remove(t, room, "s", 7) },
			func(t testing.TB, room *localtest.Room, _ *clock) { t.Helper(); restore(t, room, "s") },
			prune.Summary{Secrets: 1},
			prune.Summary{},
			false,
		},
		"restored, and deleted again": {
			func(t testing.TB, room *localtest.Room, _ *clock) { t.Helper(); remove(t, room, "s", 7) },
			func(t testing.TB, room *localtest.Room, c *clock) {
				t.Helper()
				restore(t, room, "s")
				c.set(epoch.Add(5 * day))
				remove(t, room, "s", 7)
			},
			prune.Summary{Secrets: 1},
			prune.Summary{},
			false,
		},
		"purged since": {
			func(t testing.TB, room *localtest.Room, _ *clock) { t.Helper(); remove(t, room, "s", 7) },
			func(t testing.TB, room *localtest.Room, c *clock) {
				t.Helper()
				c.set(epoch.Add(8 * day))
				wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Purged: 1, Versions: 6})
			},
			prune.Summary{Secrets: 1},
			prune.Summary{},
			true,
		},
		"swept since": {
			func(t testing.TB, room *localtest.Room, _ *clock) { t.Helper(); remove(t, room, "s", 0) },
			func(t testing.TB, room *localtest.Room, _ *clock) {
				t.Helper()
				wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: 6})
			},
			prune.Summary{Secrets: 1},
			prune.Summary{},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room, clock := open(t, secret.Retention{MaxVersions: 100})
			create(t, room, "s")
			stuff(t, room, "s", 5, time.Second)
			c.before(t, room, clock)
			release := hold(room)
			c.since(t, room, clock)
			clock.set(epoch.Add(8 * day))
			wantSummary(t, run(t, room), c.held)
			if !c.gone && len(keys(t, room, "SECRET#s VERSION#")) != 6 {
				t.Errorf("items %q, want all versions", keys(t, room, ""))
			}
			release()
			wantSummary(t, run(t, room), c.later)
			if got := keys(t, room, ""); (len(got) == 0) != c.gone {
				t.Errorf("items %q, want none: %t", got, c.gone)
			}
		})
	}
}

// A secret made under the name of one that was removed is not taken for it, whatever
// the index shows.
func TestIndexShowsTheSecretBefore(t *testing.T) {
	t.Parallel()
	for name, days := range map[string]int64{"purged": 7, "removed at once": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room, c := open(t, secret.Retention{})
			create(t, room, "s")
			stuff(t, room, "s", 5, time.Second)
			remove(t, room, "s", days)
			release := hold(room)
			c.set(epoch.Add(8 * day))
			run(t, room)
			create(t, room, "s")
			put(t, room, "s", "w1") // an ID that the old one had, too
			for range 2 {
				run(t, room)
				wantVersions(t, room, "s", "v0", "w1")
				wantWhole(t, room, "s")
				release()
			}
			if got := keys(t, room, ""); len(got) != 5 {
				t.Errorf("items = %q, want a head, two versions and two rows", got)
			}
		})
	}
}

// An ID may be used again after its version was removed. The new version is as young
// as it is, also while the index shows the old one.
func TestIndexShowsTheVersionBefore(t *testing.T) {
	t.Parallel()
	room, c, release := prunedUnseen(t)
	wantVersions(t, room, "s", "v2", "v3", "v4")
	for _, v := range []string{"v1", "v5", "v6"} {
		c.add(time.Second)
		put(t, another(t, room), "s", v)
	}
	run(t, room)
	if _, ok := versions(t, room, "s")["v1"]; !ok {
		t.Error("v1 was removed seconds after it was put again, want it to stay for an hour")
	}
	release()
	run(t, room)
	wantVersions(t, room, "s", "v1", "v5", "v6")
	c.add(time.Hour)
	run(t, room)
	wantVersions(t, room, "s", "v1", "v5", "v6")
}

// However few items a page has and a batch takes, a run does the same.
func TestSmallAnswers(t *testing.T) {
	t.Parallel()
	for _, cloud := range []localtest.Cloud{{}, {ShortPages: 1}, {ShortPages: 3}, {Unprocessed: 1}, {Unprocessed: 3}, {ShortPages: 3, Unprocessed: 1}} {
		t.Run(fmt.Sprintf("%+v", cloud), func(t *testing.T) {
			t.Parallel()
			room, c := open(t, secret.Retention{MaxVersions: 3, MinAge: time.Hour})
			for _, name := range []string{"many", "over", "left"} {
				create(t, room, name)
				stuff(t, room, name, 7, time.Second)
			}
			put(t, another(t, room), "many", "v1")
			put(t, another(t, room), "many", "v2")
			remove(t, room, "over", 7)
			remove(t, room, "left", 0)
			for i := range 5 {
				name := fmt.Sprint("s", i)
				create(t, room, name)
				remove(t, room, name, 0)
			}
			c.add(8 * day)
			p, wire := pruner(t, room)
			wire.Behave(cloud)
			sum, err := p.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wantSummary(t, sum, prune.Summary{Secrets: 8, Purged: 1, Versions: 5 + 8 + 8 + 5})
			wantVersions(t, room, "many", "v0", "v1", "v2", "w5", "w6")
			if got := keys(t, room, ""); len(got) != 1+5+2 {
				t.Errorf("items = %q, want the one secret's", got)
			}
			wantSummary(t, run(t, room), prune.Summary{})
		})
	}
}

// What the index still shows as due, and was noted for later since, costs a look and no
// more.
func TestIndexShowsWhatIsNotDue(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 1, MinAge: time.Hour})
	create(t, room, "s")
	putMany(t, room, c, "s", 5, time.Minute)
	defer hold(room)()
	c.add(time.Minute)
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1})
	p, wire := pruner(t, room)
	if sum, err := p.Run(t.Context()); err != nil || sum != (prune.Summary{Secrets: 1}) {
		t.Errorf("got %+v, %v, want a look", sum, err)
	}
	calls, _, _ := wire.Took()
	if strings.Count(calls, "Query") != store.Shards || strings.Count(calls, " ") != store.Shards || !strings.Contains(calls, "GetItem") {
		t.Errorf("calls = %q, want a query for each shard and a look", calls)
	}
}
