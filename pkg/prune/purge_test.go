package prune_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	day      = 24 * time.Hour
	transact = "TransactWriteItems"
	sweeping = "BatchWriteItem"
)

// first does something, once, before a call is made.
func first(do func()) localtest.Fault {
	return func(_ *http.Request, call func() (*http.Response, error)) (*http.Response, error) {
		do()
		return call()
	}
}

// make1 makes a call.
func make1(_ *http.Request, call func() (*http.Response, error)) (*http.Response, error) {
	return call()
}

// secrets are the names that the API lists.
func secrets(t testing.TB, room *localtest.Room) []string {
	t.Helper()
	var found []string
	pages := secretsmanager.NewListSecretsPaginator(room.SDK, &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)})
	for pages.HasMorePages() {
		for _, sec := range must(pages.NextPage(t.Context()))(t).SecretList {
			found = append(found, *sec.Name)
		}
	}
	slices.Sort(found)
	return found
}

// A secret whose recovery window is over goes, with everything that is its own.
func TestPurge(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 3})
	names := []string{"doomed", "doomed/", "doomed2", "empty", "live", "later"}
	for _, name := range names {
		must(room.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name}))(t)
		must(room.SDK.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{
			SecretId: &name, ResourcePolicy: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:CancelRotateSecret","Resource":"*"}]}`),
		}))(t)
		if name != "empty" {
			putMany(t, room, c, name, 5, time.Second)
		}
	}
	stuff(t, room, "doomed", 200, time.Second)
	all := keys(t, room, "")
	c.set(epoch.Add(day))
	remove(t, room, "doomed", 7)
	remove(t, room, "empty", 7)
	remove(t, room, "later", 8)

	// Not a moment before.
	c.set(epoch.Add(8*day - time.Millisecond))
	wantSummary(t, run(t, room), prune.Summary{})
	if got := keys(t, room, ""); !slices.Equal(got, all) {
		t.Errorf("items:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(all, "\n"))
	}
	c.set(epoch.Add(8 * day))
	wantSummary(t, run(t, room), prune.Summary{Secrets: 2, Purged: 2, Versions: 205})
	want := slices.DeleteFunc(slices.Clone(all), func(key string) bool {
		own := strings.TrimSuffix(key, " ") + " "
		for _, name := range []string{"doomed", "empty"} {
			if strings.HasPrefix(own, "SECRET#"+name+" ") || strings.HasSuffix(key, " "+name) || strings.HasSuffix(key, "Z#"+name) {
				return true
			}
		}
		return false
	})
	if got := keys(t, room, ""); !slices.Equal(got, want) {
		t.Errorf("items:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, want := secrets(t, room), []string{"doomed/", "doomed2", "later", "live"}; !slices.Equal(got, want) {
		t.Errorf("secrets = %q, want %q", got, want)
	}
	wantWhole(t, room, "live")
	wantSummary(t, run(t, room), prune.Summary{})
}

// A forced delete is one transaction however many versions there are; the next run
// removes them.
func TestForcedDeleteOfManyVersions(t *testing.T) {
	t.Parallel()
	const n = 10_000 // four pages of their keys
	room, c := open(t, secret.DefaultRetention)
	create(t, room, "s")
	create(t, room, "other")
	stuff(t, room, "s", n, time.Second)
	room.Wire.Took()
	began := time.Now()
	remove(t, room, "s", 0)
	took := time.Since(began)
	if calls, _, _ := room.Wire.Took(); calls != transact {
		t.Errorf("calls = %q, want one transaction", calls)
	}
	if got := secrets(t, room); !slices.Equal(got, []string{"other"}) {
		t.Errorf("secrets = %q, want the other alone", got)
	}
	c.add(time.Minute)
	began = time.Now()
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: n + 1})
	t.Logf("deleted in %v, and %d versions removed in %v", took.Round(time.Millisecond), n+1, time.Since(began).Round(time.Millisecond))
	if got := keys(t, room, "SECRET#s "); len(got) != 0 {
		t.Errorf("%d items are left, such as %s", len(got), got[0])
	}
	wantVersions(t, room, "other", "v0")
}

// A name may be taken again while the versions of its last secret are removed: the
// two never mix.
func TestCreateAgainDuringPurge(t *testing.T) {
	t.Parallel()
	for name, purge := range map[string]struct {
		days    int64
		call    string // that is made again when the new secret is there
		after   int    // so many calls of that kind
		purged  int
		created time.Time
	}{
		"at once, before the first slice":  {0, sweeping, 0, 0, epoch.Add(time.Minute)},
		"at once, between two slices":      {0, sweeping, 3, 0, epoch.Add(time.Minute)},
		"in time, before the first slice":  {7, sweeping, 0, 1, epoch.Add(7*day + time.Minute)},
		"in time, between two slices":      {7, sweeping, 2, 1, epoch.Add(7*day + time.Minute)},
		"before the query that finds none": {0, sweeping, 4, 0, epoch.Add(time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room, c := open(t, secret.DefaultRetention)
			create(t, room, "s")
			stuff(t, room, "s", 99, time.Second)
			remove(t, room, "s", purge.days)
			c.set(purge.created)
			p, wire := pruner(t, room)
			faults := slices.Repeat([]localtest.Fault{make1}, purge.after)
			wire.Break(purge.call, append(faults, first(func() {
				r := another(t, room)
				create(t, r, "s")
				put(t, r, "s", "w1") // an ID that the old one has, too
				if got := secrets(t, r); !slices.Equal(got, []string{"s"}) {
					t.Errorf("meanwhile the secrets are %q, want s", got)
				}
				wantVersions(t, r, "s", "v0", "w1")
			}))...)
			sum, err := p.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wantSummary(t, sum, prune.Summary{Secrets: 1, Purged: purge.purged, Versions: 100})
			wantVersions(t, room, "s", "v0", "w1")
			wantWhole(t, room, "s")
			if got := secrets(t, room); !slices.Equal(got, []string{"s"}) {
				t.Errorf("secrets = %q, want s", got)
			}
			if got := keys(t, room, ""); len(got) != 5 {
				t.Errorf("items = %q, want a head, two versions and two rows", got)
			}
			c.add(40 * day)
			wantSummary(t, run(t, room), prune.Summary{})
		})
	}
}

// A restore that comes before the purge wins, and one that comes after it finds
// nothing; there is no third.
func TestRestoreAgainstPurge(t *testing.T) {
	t.Parallel()
	restore := func(t testing.TB, room *localtest.Room) error {
		_, err := room.SDK.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String("s")})
		return err
	}
	for name, call := range map[string]string{"before the look": "GetItem", "before the removal": transact, "after the removal": sweeping} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room, c := open(t, secret.DefaultRetention)
			create(t, room, "s")
			stuff(t, room, "s", 60, time.Second)
			remove(t, room, "s", 7)
			c.set(epoch.Add(8 * day))
			p, wire := pruner(t, room)
			var restored error
			wire.Break(call, first(func() { restored = restore(t, another(t, room)) }))
			sum, err := p.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if call == sweeping {
				if restored == nil || !strings.Contains(restored.Error(), "ResourceNotFoundException") {
					t.Errorf("restored after the removal: %v", restored)
				}
				wantSummary(t, sum, prune.Summary{Secrets: 1, Purged: 1, Versions: 61})
				if got := keys(t, room, ""); len(got) != 0 {
					t.Errorf("items = %q, want none", got)
				}
				return
			}
			if restored != nil {
				t.Fatal(restored)
			}
			if sum.Purged != 0 || sum.Versions != 0 || sum.Failed != 0 {
				t.Errorf("summary = %+v, want nothing done", sum)
			}
			wantWhole(t, room, "s")
			if got := len(keys(t, room, "SECRET#s VERSION#")); got != 61 {
				t.Errorf("%d versions, want all 61", got)
			}
			run(t, room) // was noted by the restore
			wantWhole(t, room, "s")
			if got := dueOf(t, room, "s"); !got.IsZero() {
				t.Errorf("due %v, want nothing", got)
			}
		})
	}
	t.Run("whichever comes first", func(t *testing.T) {
		t.Parallel()
		room, c := open(t, secret.DefaultRetention)
		names := map[string]bool{}
		for i := range 20 {
			name := fmt.Sprint("s", i)
			create(t, room, name)
			remove(t, room, name, 7)
			names[name] = true
		}
		c.set(epoch.Add(8 * day))
		var wg sync.WaitGroup
		var mu sync.Mutex
		restored := map[string]bool{}
		for range 2 {
			p, _ := pruner(t, room)
			wg.Go(func() {
				if _, err := p.Run(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		r := another(t, room)
		for name := range names {
			wg.Go(func() {
				_, err := r.SDK.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: &name})
				mu.Lock()
				defer mu.Unlock()
				if restored[name] = err == nil; err != nil && !strings.Contains(err.Error(), "ResourceNotFoundException") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		maps.DeleteFunc(restored, func(_ string, ok bool) bool { return !ok })
		if got, want := secrets(t, room), slices.Sorted(maps.Keys(restored)); !slices.Equal(got, want) {
			t.Errorf("secrets = %q, want those that were restored: %q", got, want)
		}
		t.Logf("%d of %d were restored", len(restored), len(names))
		for name := range restored {
			wantWhole(t, room, name)
		}
		run(t, room)
		if got, want := len(keys(t, room, "")), 4*len(restored); got != want {
			t.Errorf("%d items, want %d", got, want)
		}
	})
}

// A secret that is restored and deleted again between the look and the removal is
// kept until its new window ends.
func TestDeletedAgainDuringPurge(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.DefaultRetention)
	create(t, room, "s")
	remove(t, room, "s", 7)
	c.set(epoch.Add(8 * day))
	p, wire := pruner(t, room)
	wire.Break("GetItem", make1, first(func() {
		r := another(t, room)
		restore(t, r, "s")
		remove(t, r, "s", 7)
	}))
	sum, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantSummary(t, sum, prune.Summary{Secrets: 1})
	c.set(epoch.Add(15*day - time.Millisecond))
	wantSummary(t, run(t, room), prune.Summary{})
	c.set(epoch.Add(15 * day))
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Purged: 1, Versions: 1})
}

// A secret that is removed and made again between two slices is gone through from
// its own beginning.
func TestMadeAgainDuringPruning(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 1})
	create(t, room, "s")
	stuff(t, room, "s", 120, time.Second)
	put(t, another(t, room), "s", "v1")
	c.add(time.Hour)
	p, wire := pruner(t, room)
	wire.Break("GetItem", make1, first(func() {
		r := another(t, room)
		remove(t, r, "s", 0)
		create(t, r, "s")
		stuff(t, r, "s", 5, time.Second)
		put(t, another(t, r), "s", "v1")
		put(t, another(t, r), "s", "v2")
	}))
	sum, err := p.Run(t.Context())
	if err != nil || sum.Failed != 0 {
		t.Errorf("%+v, %v, want no failure", sum, err)
	}
	run(t, room) // sweeps what the first one left
	wantVersions(t, room, "s", "v0", "v1", "v2")
	wantWhole(t, room, "s")
	if got := keys(t, room, ""); len(got) != 6 {
		t.Errorf("items = %q, want a head, three versions and two rows", got)
	}
}

// Cut off anywhere, a purge leaves nothing that can be seen, and the next run
// finishes it.
func TestPurgeCutOffAnywhere(t *testing.T) {
	t.Parallel()
	// The calls of a purge of 60 versions, each with what comes before it.
	steps := []struct {
		call  string
		after int
	}{
		{"Query", 0},                                // what is due
		{"GetItem", 0},                              // the look
		{"GetItem", 1},                              // the update's read
		{transact, 0},                               // the removal
		{sweeping, 0}, {sweeping, 1}, {sweeping, 2}, // the slices
		{sweeping, 3}, // the note
	}
	for _, step := range steps {
		for how, fault := range map[string]localtest.Fault{"before": localtest.Cut, "after": localtest.LoseAnswer} {
			t.Run(fmt.Sprintf("%s %s %d", how, step.call, step.after), func(t *testing.T) {
				t.Parallel()
				room, c := open(t, secret.DefaultRetention)
				create(t, room, "s")
				create(t, room, "other")
				stuff(t, room, "s", 60, time.Second)
				remove(t, room, "s", 7)
				before := len(keys(t, room, ""))
				c.set(epoch.Add(8 * day))
				p, wire := pruner(t, room)
				faults := slices.Repeat([]localtest.Fault{make1}, step.after)
				wire.Break(step.call, append(faults, slices.Repeat([]localtest.Fault{fault}, 100)...)...)
				sum, err := p.Run(t.Context())
				if err == nil || sum.Failed == 0 {
					t.Errorf("summary = %+v, %v, want a failure", sum, err)
				}
				// All of it is there, or nothing that can be seen.
				listed := secrets(t, room)
				if slices.Contains(listed, "s") {
					if got := len(keys(t, room, "")); got != before {
						t.Errorf("%d items, want all %d of a secret that is still listed", got, before)
					}
				} else {
					_, err := room.Store.Get(t.Context(), secret.ID{Name: "s"})
					if !errors.Is(err, secret.NotFound) {
						t.Errorf("read: %v, want %v", err, secret.NotFound)
					}
					create(t, another(t, room), "s")
					wantVersions(t, another(t, room), "s", "v0")
				}
				run(t, room)
				want := 4
				if !slices.Contains(listed, "s") {
					want = 8
				}
				if got := keys(t, room, ""); len(got) != want {
					t.Errorf("items = %q, want %d", got, want)
				}
				wantWhole(t, room, "other")
			})
		}
	}
}
