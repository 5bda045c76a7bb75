package prune_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/secret"
)

// putMany puts versions v1 to vn to a secret, each some time after the one before,
// with no connection between.
func putMany(t *testing.T, room *localtest.Room, c *clock, name string, n int, apart time.Duration) {
	t.Helper()
	for i := 1; i <= n; i++ {
		c.add(apart)
		in := must(json.Marshal(map[string]string{"SecretId": name, "ClientRequestToken": token(fmt.Sprint("v", i)), "SecretString": fmt.Sprint("value of v", i)}))(t)
		call := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(in)))
		call.Header.Set("Content-Type", "application/x-amz-json-1.1")
		call.Header.Set("X-Amz-Target", "secretsmanager.PutSecretValue")
		answer := httptest.NewRecorder()
		if room.ServeHTTP(answer, call); answer.Code != http.StatusOK {
			t.Fatalf("put %d: %d %s", i, answer.Code, answer.Body)
		}
	}
}

// names are v1 and so on, from one number to another.
func names(from, to int) []string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprint("v", i))
	}
	return all
}

// A secret is put 10,000 times in a bit more than a day, and exactly those versions
// are left that are to be.
func TestTenThousandVersions(t *testing.T) {
	t.Parallel()
	const n, throughAPI, apart = 10_000, 500, 10 * time.Second
	room, c := open(t, secret.DefaultRetention)
	create(t, room, "other")
	create(t, room, "s")
	born := map[string]time.Time{"v0": epoch}
	stuff(t, room, "s", n-throughAPI, apart)
	room.Server.Store = room.Another(t).Store // that knows of them
	for i := range n - throughAPI {
		born[fmt.Sprint("w", i)] = epoch.Add(time.Duration(i-(n-throughAPI)) * apart)
	}
	began := time.Now()
	putMany(t, room, c, "s", throughAPI, apart)
	t.Logf("%d puts in %v", throughAPI, time.Since(began).Round(time.Millisecond))
	for i := 1; i <= throughAPI; i++ {
		born[fmt.Sprint("v", i)] = epoch.Add(time.Duration(i) * apart)
	}
	oldest := slices.SortedFunc(maps.Keys(born), func(a, b string) int { return born[a].Compare(born[b]) })
	labels := map[string]string{secret.Current: oldest[n], secret.Previous: oldest[n-1], "mine": oldest[7], "yours": oldest[n-3], "old": "v0"}
	for label, to := range labels {
		if label != secret.Current && label != secret.Previous {
			must(room.SDK.UpdateSecretVersionStage(t.Context(), moveInput("s", label, "", to)))(t)
		}
	}
	// Of those below from only the ones with a label stay.
	left := func(from int) []string {
		stay := slices.Clone(oldest[from:])
		for _, at := range []int{7, 9500} {
			if at < from {
				stay = append(stay, oldest[at])
			}
		}
		return stay
	}

	last := born[oldest[n]]
	for _, step := range []struct {
		age     time.Duration // of the last put
		removed int
		from    int           // the oldest without a label that is left
		next    time.Duration // until the next may go; 0 for none
	}{
		{0, 1360, 1361, apart}, // put a day ago or earlier, but for the one that is mine
		{time.Hour, 360, 1721, apart},
		{24*time.Hour - 1000*apart, 7280, 9001, apart},
		{24 * time.Hour, 896, 9898, 0}, // all but a hundred and five
	} {
		c.set(last.Add(step.age))
		began = time.Now()
		wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: step.removed})
		t.Logf("%d removed in %v", step.removed, time.Since(began).Round(time.Millisecond))
		wantVersions(t, room, "s", left(step.from)...)
		next := time.Time{}
		if step.next > 0 {
			next = c.Now().Add(step.next)
		}
		if got := dueOf(t, room, "s"); !got.Equal(next) {
			t.Errorf("due %v, want %v", got, next)
		}
		// What may go later is not looked at until then.
		wantSummary(t, run(t, room), prune.Summary{})
	}
	wantVersions(t, room, "other", "v0")

	// The next put is one too many.
	put(t, room, "s", "next")
	c.add(24 * time.Hour)
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: 1})
}

func dueOf(t testing.TB, room *localtest.Room, name string) time.Time {
	t.Helper()
	return must(room.Store.Look(t.Context(), name))(t).Due
}

// A secret's tags may keep more than the settings, and never less.
func TestTagsSayWhatStays(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 2, MinAge: time.Hour})
	tags := map[string][]types.Tag{
		"plain":  nil,
		"more":   {{Key: aws.String("strongroom:max-versions"), Value: aws.String("4")}},
		"fewer":  {{Key: aws.String("strongroom:max-versions"), Value: aws.String("0")}},
		"longer": {{Key: aws.String("strongroom:min-age"), Value: aws.String("48h")}},
		"none": {
			{Key: aws.String("strongroom:max-versions"), Value: aws.String("0")},
			{Key: aws.String("strongroom:min-age"), Value: aws.String("0s")},
		},
	}
	for name, tags := range tags {
		c.set(epoch)
		must(room.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, Tags: tags}))(t)
		putMany(t, room, c, name, 9, time.Minute)
	}
	c.add(2 * time.Hour)
	wantSummary(t, run(t, room), prune.Summary{Secrets: 5, Versions: 5 + 3 + 5 + 5})
	wantVersions(t, room, "plain", names(6, 9)...)
	wantVersions(t, room, "more", names(4, 9)...)
	wantVersions(t, room, "fewer", names(6, 9)...)
	wantVersions(t, room, "none", names(6, 9)...)
	wantVersions(t, room, "longer", names(1, 9)...)
	// It is looked at again within a day, since settings may come to be others.
	if got, want := dueOf(t, room, "longer"), c.Now().Add(24*time.Hour); !got.Equal(want) {
		t.Errorf("due %v, want %v", got, want)
	}
	// A setting that says something else does not wait for what was noted.
	must(room.SDK.UntagResource(t.Context(), &secretsmanager.UntagResourceInput{SecretId: aws.String("longer"), TagKeys: []string{"strongroom:min-age"}}))(t)
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: 5})
	wantVersions(t, room, "longer", names(6, 9)...)
}

// The AWSPENDING of a rotation that has no value yet is no version, and stays.
func TestPlaceholderStays(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{MaxVersions: 1})
	create(t, room, "s")
	putMany(t, room, c, "s", 5, time.Minute)
	id := secret.ID{Name: "s"}
	must(room.Store.Update(t.Context(), id, func(sec secret.Secret) (secret.Change, error) {
		sec.Stages = sec.Stages.Attach(secret.Pending, token("v6"))
		return secret.Change{Secret: sec}, nil
	}))(t)
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: 2})
	wantVersions(t, room, "s", names(2, 5)...)
	put(t, room, "s", "v6", secret.Pending)
	wantSummary(t, run(t, room), prune.Summary{Secrets: 1, Versions: 1})
	wantVersions(t, room, "s", names(3, 6)...)
	wantWhole(t, room, "s")
}

// Labels move, values are put and runs prune, all at once and each in a process of
// its own: no version that has a label goes, and what is left is right at the end.
func TestLabelsMoveMeanwhile(t *testing.T) {
	t.Parallel()
	const keep, patience = 5, time.Minute
	room, c := open(t, secret.Retention{MaxVersions: keep})
	create(t, room, "s")
	putMany(t, room, c, "s", 200, time.Second)
	var mu sync.Mutex
	puts, moved, gone, removed, left := 200, 0, 0, 0, 0
	count := func(n *int, by int) {
		mu.Lock()
		defer mu.Unlock()
		*n += by
	}
	began := time.Now()
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return moved > 100 && removed > 300 || time.Since(began) > patience
	}
	var wg sync.WaitGroup
	loop := func(f func()) {
		wg.Go(func() {
			for !enough() {
				f()
			}
		})
	}
	putter := another(t, room)
	loop(func() {
		mu.Lock()
		puts++
		n := puts
		mu.Unlock()
		c.add(time.Second)
		put(t, putter, "s", fmt.Sprint("v", n))
	})
	for m := range 2 {
		mover := another(t, room)
		rng := rand.New(rand.NewPCG(1, uint64(m)))
		labels := []string{fmt.Sprint("one", m), fmt.Sprint("two", m)} // that nobody else moves
		on := map[string]string{}
		loop(func() {
			// To one of those that are to go next.
			sec := must(mover.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
			oldest, _, err := mover.Store.Oldest(t.Context(), sec, nil)
			if err != nil {
				t.Error(err)
				return
			}
			label, to := labels[rng.IntN(2)], short(oldest[rng.IntN(min(8, len(oldest)))].ID)
			_, err = mover.SDK.UpdateSecretVersionStage(t.Context(), moveInput("s", label, on[label], to))
			switch {
			case err == nil:
				on[label] = to
				count(&moved, 1)
			case strings.Contains(err.Error(), "ResourceNotFoundException"):
				count(&gone, 1) // between the list and the move
			default:
				t.Errorf("move to %s: %v", to, err)
			}
			wantLabelled(t, mover, "s")
		})
	}
	for range 2 {
		p, _ := pruner(t, room)
		loop(func() {
			sum, err := p.Run(t.Context())
			if err != nil {
				t.Error(err)
			}
			count(&removed, sum.Versions)
			count(&left, sum.Left)
		})
	}
	wg.Wait()
	t.Logf("%d puts, %d moves and %d to what was gone, %d removed; left for another run %d times", puts, moved, gone, removed, left)
	wantWhole(t, room, "s")
	removed += run(t, room).Versions
	sec := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
	all := versions(t, room, "s")
	if want := puts + 1 - removed; sec.Versions != want || len(all) != want {
		t.Errorf("the head counts %d of %d versions, want %d", sec.Versions, len(all), want)
	}
	maps.DeleteFunc(all, func(_ string, labels []string) bool { return len(labels) > 0 })
	// Each of the four labels may have come to one that was to stay without.
	if len(all) > keep || len(all) < keep-4 {
		t.Errorf("%d versions without a label are left, want %d", len(all), keep)
	}
	wantWhole(t, room, "s")
}

// wantLabelled says that every version with a label is there. One that is not must
// have lost its label since the head was read.
func wantLabelled(t testing.TB, room *localtest.Room, name string) {
	t.Helper()
	id := secret.ID{Name: name}
	sec := must(room.Store.Get(t.Context(), id))(t)
	found := must(room.Store.Labelled(t.Context(), sec))(t)
	if len(found) == len(sec.Stages.Versions()) {
		return
	}
	now := must(room.Store.Get(t.Context(), id))(t)
	for label, version := range sec.Stages {
		there := slices.ContainsFunc(found, func(v secret.Version) bool { return v.ID == version })
		if !there && now.Stages[label] == version && now.Moves == sec.Moves {
			t.Errorf("%s is on %s, which is not there", label, short(version))
		}
	}
}

// Two runs at once remove no more than one would.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	const keep, secrets, n = 30, 4, 400
	room, c := open(t, secret.Retention{MaxVersions: keep})
	for i := range secrets {
		name := fmt.Sprint("s", i)
		create(t, room, name)
		stuff(t, room, name, n, time.Second)
		other := another(t, room) // that knows of them
		put(t, other, name, "v1")
		put(t, other, name, "v2")
	}
	c.add(time.Hour)
	var wg sync.WaitGroup
	sums := make([]prune.Summary, 3)
	for i := range sums {
		p, _ := pruner(t, room)
		wg.Go(func() {
			var err error
			if sums[i], err = p.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	rest := run(t, room)
	removed := rest.Versions
	for _, sum := range sums {
		removed += sum.Versions
		t.Logf("%+v", sum)
	}
	if want := secrets * (n + 1 - keep); removed != want {
		t.Errorf("%d were removed, want %d", removed, want)
	}
	want := []string{"v0", "v1", "v2"}
	for i := n - keep + 1; i < n; i++ {
		want = append(want, fmt.Sprint("w", i))
	}
	for i := range secrets {
		name := fmt.Sprint("s", i)
		wantVersions(t, room, name, want...)
		if got := dueOf(t, room, name); !got.IsZero() {
			t.Errorf("%s is due %v, want nothing", name, got)
		}
	}
}

// A put that began before the run may be committed between its look at the head and
// its look at the index, where it is older than others: it stays.
func TestPutBetweenTheLooks(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{})
	slow := another(t, room)
	create(t, room, "s")
	began := c.Now().Add(500 * time.Millisecond)
	slow.Server.Now = func() time.Time { return began }
	for _, v := range []string{"v1", "v2", "v3"} {
		c.add(time.Second)
		put(t, room, "s", v)
	}
	c.add(time.Second)
	p, wire := pruner(t, room)
	wire.Break("GetItem", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		answer, err := do()
		put(t, slow, "s", "late")
		return answer, err
	})
	if _, err := p.Run(t.Context()); err != nil {
		t.Error(err)
	}
	wantWhole(t, room, "s")
}

// A reader whose version is removed between its two reads, since the label moved on,
// gets the version the label is on now.
func TestGetBetweenHeadAndVersion(t *testing.T) {
	t.Parallel()
	room, c := open(t, secret.Retention{})
	create(t, room, "s")
	c.add(time.Second)
	reader := another(t, room)
	reader.Wire.Break("GetItem", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		answer, err := do()
		put(t, room, "s", "v1")
		put(t, room, "s", "v2")
		c.add(time.Second)
		run(t, room)
		return answer, err
	})
	out, err := reader.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")})
	if err != nil || !slices.Contains(out.VersionStages, secret.Current) {
		t.Errorf("got %v, %v, want the current version, which was there all the time", out, err)
	}
}
