package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// at is so many minutes after noon.
func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// noting has the schedules look at the secret that a change leaves.
func noting(d decide) decide {
	return func(sec secret.Secret) (secret.Change, error) {
		change, err := d(sec)
		change.Pruning = secret.Soon
		return change, err
	}
}

// puttingAt decides on a version of that many minutes after noon, called by them.
func puttingAt(minutes int) decide {
	return func(sec secret.Secret) (secret.Change, error) {
		id := fmt.Sprint("v", minutes)
		change, err := sec.Put(id, nil, at(minutes))
		if err == nil {
			change.Version.Sealed = sealed(id)
		}
		return change, err
	}
}

// dated are versions with the dates that overfull gives them.
func dated(ids ...string) []secret.Version {
	var versions []secret.Version
	for _, id := range ids {
		v := secret.Version{ID: id, Created: noon}
		if n, err := strconv.Atoi(id[1:]); err == nil && n > 1 {
			v.Created = at(n)
		}
		versions = append(versions, v)
	}
	return versions
}

// overfull makes secret s with the versions v1 to vn, the first being the oldest,
// which the schedules are to look at.
func overfull(t testing.TB, room *localtest.Room, n int) store.Look {
	t.Helper()
	create(t, room, "aaaaaa")
	for i := 2; i <= n; i++ {
		update(t, room, noting(puttingAt(i)))
	}
	return look(t, room)
}

func look(t testing.TB, room *localtest.Room) store.Look {
	t.Helper()
	l, err := room.Store.Look(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// due is everything that is to be pruned until then.
func due(t testing.TB, room *localtest.Room, until time.Time) []store.Task {
	t.Helper()
	return dueIn(t, room, store.Prunings, until)
}

// dueIn is everything that a queue has due until then, the shards one after the other.
func dueIn(t testing.TB, room *localtest.Room, queue store.Queue, until time.Time) []store.Task {
	t.Helper()
	var all []store.Task
	for part := range store.Shards {
		var from store.Cursor
		for {
			tasks, next, err := room.Store.Due(t.Context(), queue, part, until, from)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, tasks...)
			if next == nil {
				break
			}
			from = next
		}
	}
	return all
}

// wantCount says which versions there are, and that they are counted right.
func wantCount(t testing.TB, room *localtest.Room, want ...string) {
	t.Helper()
	sec := get(t, room)
	versions, _ := everyVersion(t, room, sec, 100)
	slices.Sort(want)
	if got := idsOf(versions); !slices.Equal(got, want) {
		t.Errorf("versions = %v, want %v", got, want)
	}
	if sec.Versions != len(want) {
		t.Errorf("the head counts %d versions, want %d", sec.Versions, len(want))
	}
}

// The index of what is due is written when a secret comes to be due, and not
// again with every put.
func TestDueIsNoted(t *testing.T) {
	t.Parallel()
	const (
		put  = 2 + 2 + 1 // a head, a small version, and its row in the index by age
		head = 2
		row  = 1 // comes or goes in the index of what is due
	)
	tagging := func(d time.Duration) decide {
		return func(sec secret.Secret) (secret.Change, error) {
			return sec.TagResource([]secret.Tag{{Key: secret.MinAgeTag, Value: d.String()}}, noon.Add(d))
		}
	}
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	took(room)
	for _, step := range []struct {
		name   string
		decide decide
		due    time.Time
		units  float64
	}{
		{"a put within the limit", puttingAt(2), time.Time{}, put},
		{"over the limit", noting(puttingAt(3)), at(3), put + row},
		{"still over", noting(puttingAt(4)), at(3), put},
		{"within again", puttingAt(5), at(3), put},
		{"a label moves", moving("mine", "", "v2"), at(3), head + 2},
		{"another retention", tagging(time.Hour), at(60), head + 2*row},
		{"the same again", func(sec secret.Secret) (secret.Change, error) {
			return sec.TagResource([]secret.Tag{{Key: secret.MinAgeTag, Value: "60m"}}, at(61))
		}, at(60), head},
		{"deleted", deleting, noon.AddDate(0, 0, 7), head + 2*row},
		{"restored", restoring, noon, head + 2*row},
	} {
		update(t, room, step.decide)
		calls, _, units := room.Wire.Took()
		if calls != commitCall || units != step.units {
			t.Errorf("%s: calls %q of %v units, want one transaction of %v", step.name, calls, units, step.units)
		}
		if got := look(t, room).Due; !got.Equal(step.due) {
			t.Errorf("%s: due %v, want %v", step.name, got, step.due)
		}
		want := []store.Task{{ID: secret.ID{Name: "s"}, Due: step.due}}
		if step.due.IsZero() {
			want = nil
		}
		if got := due(t, room, noon.AddDate(1, 0, 0)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the index has %v, want %v", step.name, got, want)
		}
		took(room)
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	// More than one page of one shard, and one of each kind in another.
	const n = 230
	for i := range n {
		place(t, room, item{
			"pk": str("SECRET#" + fmt.Sprint("gone", i)), "sk": str("LEFTOVER#suffix"), "shard": str("DUE#3"),
			"due": str(at(n - i).Format("2006-01-02T15:04:05.000Z")),
		})
	}
	name := "a#strange/name"
	sec := fresh(name, "aaaaaa")
	if _, err := room.Store.Create(t.Context(), making(t, sec)); err != nil {
		t.Fatal(err)
	}
	if _, err := room.Store.Update(t.Context(), secret.ID{Name: name}, noting(puttingAt(5))); err != nil {
		t.Fatal(err)
	}
	tasks := due(t, room, at(n))
	heads := slices.DeleteFunc(slices.Clone(tasks), func(task store.Task) bool { return task.Leftover })
	if want := []store.Task{{ID: secret.ID{Name: name}, Due: at(5)}}; !reflect.DeepEqual(heads, want) {
		t.Errorf("heads due = %v, want %v", heads, want)
	}
	tasks = slices.DeleteFunc(tasks, func(task store.Task) bool { return !task.Leftover })
	if len(tasks) != n || !slices.IsSortedFunc(tasks, func(a, b store.Task) int { return a.Due.Compare(b.Due) }) {
		t.Errorf("%d leftovers, want %d, the oldest first", len(tasks), n)
	}
	want := store.Task{ID: secret.ID{Name: fmt.Sprint("gone", n-1), Suffix: "suffix"}, Due: at(1), Leftover: true}
	if tasks[0] != want {
		t.Errorf("the oldest is %v, want %v", tasks[0], want)
	}
	// To the moment.
	if got := due(t, room, at(5)); len(got) != 6 {
		t.Errorf("%d due when they are, want 6", len(got))
	}
	if got := due(t, room, at(5).Add(-time.Millisecond)); len(got) != 4 {
		t.Errorf("%d due a moment before, want 4", len(got))
	}
}

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func TestOldest(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "other0") // whose versions are nobody's
	update(t, room, removing)
	sec := overfull(t, room, 120).Secret
	var got []secret.Version
	var from store.Cursor
	var pages []int
	for {
		versions, next, err := room.Store.Oldest(t.Context(), sec, from)
		if err != nil {
			t.Fatal(err)
		}
		got, pages = append(got, versions...), append(pages, len(versions))
		if next == nil {
			break
		}
		from = next
	}
	want := []secret.Version{{ID: "v1", Created: noon}}
	for i := 2; i <= 120; i++ {
		want = append(want, secret.Version{ID: fmt.Sprint("v", i), Created: at(i)})
	}
	if !reflect.DeepEqual(got, want) || len(pages) != 3 {
		t.Errorf("pages of %d: %v, want three, of v1 to v120 in the order of their age", pages, got)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		remove   []string
		then     store.Then
		due      time.Time
		left     []string
		prunings int64
		units    float64
	}{
		{"some, and no more", []string{"v1", "v2"}, store.Then{}, time.Time{}, []string{"v3", "v4", "v5"}, 1, 2 + 2*3 + 1},
		{"some, and more now", []string{"v1"}, store.Then{Keep: true}, at(2), []string{"v2", "v3", "v4", "v5"}, 1, 2 + 3},
		{"some, and more later", []string{"v1", "v3"}, store.Then{At: at(99)}, at(99), []string{"v2", "v4", "v5"}, 1, 2 + 2*3 + 2},
		{"none, and no more", nil, store.Then{}, time.Time{}, []string{"v1", "v2", "v3", "v4", "v5"}, 0, 2 + 1},
		{"none yet", nil, store.Then{At: at(99)}, at(99), []string{"v1", "v2", "v3", "v4", "v5"}, 0, 2 + 2},
		{"one is gone: others may have to go", []string{"v0", "v1"}, store.Then{}, at(2), []string{"v2", "v3", "v4", "v5"}, 1, 2 + 3},
		{"all are gone", []string{"v0", "x"}, store.Then{At: at(99)}, at(2), []string{"v1", "v2", "v3", "v4", "v5"}, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			l := overfull(t, room, 5)
			took(room)
			given := dated(c.remove...)
			gone, err := room.Store.Prune(t.Context(), l, given, c.then)
			removed := len(gone)
			if want := 5 - len(c.left); err != nil || removed != want {
				t.Errorf("removed %d, %v, want %d", removed, err, want)
			}
			for _, v := range gone {
				if !slices.Contains(c.remove, v.ID) || slices.Contains(c.left, v.ID) {
					t.Errorf("says that %s was removed, want those of %v that are not left: %v", v.ID, c.remove, c.left)
				}
			}
			if !reflect.DeepEqual(given, dated(c.remove...)) {
				t.Errorf("the list given is %v, and was %v", idsOf(given), c.remove)
			}
			calls, _, units := room.Wire.Took()
			if want := 1 + min(1, len(c.remove)-removed); strings.Count(calls, commitCall) != want || units != c.units {
				t.Errorf("calls %q of %v units, want %d transactions of %v", calls, units, want, c.units)
			}
			wantCount(t, room, c.left...)
			after := look(t, room)
			if !after.Due.Equal(c.due) {
				t.Errorf("due %v, want %v", after.Due, c.due)
			}
			// Nothing else of the secret is touched.
			want := l.Secret
			want.Versions, want.Prunings = len(c.left), c.prunings
			if !reflect.DeepEqual(after.Secret, want) {
				t.Errorf("secret = %+v\nwant     %+v", after.Secret, want)
			}
			// The next change is decided on what is there now.
			if sec := update(t, room, puttingAt(6)); sec.Versions != len(c.left)+1 {
				t.Errorf("after a put the count is %d, want %d", sec.Versions, len(c.left)+1)
			}
		})
	}
}

// A version that the index shows with another date was put again since: it is younger.
func TestPruneLeavesOtherDates(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	l := overfull(t, room, 5)
	remove := dated("v1", "v2")
	remove[0].Created = noon.Add(-time.Minute)
	if removed, err := room.Store.Prune(t.Context(), l, remove, store.Then{}); len(removed) != 1 || err != nil {
		t.Errorf("removed %v, %v, want v2 alone", removed, err)
	}
	wantCount(t, room, "v1", "v3", "v4", "v5")
	if after := look(t, room); !after.Due.Equal(at(2)) {
		t.Errorf("due %v, want %v as before", after.Due, at(2))
	}
}

// As many versions as are listed go in one transaction, also of the largest size.
func TestPruneAtOnce(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	putMany(t, room, 60, secret.MaxValue)
	update(t, room, noting(puttingAt(61)))
	l := look(t, room)
	oldest, _, err := room.Store.Oldest(t.Context(), l.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	took(room)
	gone, err := room.Store.Prune(t.Context(), l, oldest, store.Then{})
	removed := len(gone)
	if err != nil || removed != len(oldest) || removed < 40 {
		t.Errorf("removed %d, %v, want %d", removed, err, len(oldest))
	}
	wantCalls(t, room, commitCall)
	// DynamoDB takes no more than 4 MB in a transaction.
	if size := removed * (secret.MaxValue + 1024); size > 4<<20 {
		t.Errorf("a transaction of %d bytes", size)
	}
}

// What happens between a look and the removal, and makes the removal wrong, wins.
func TestPruneAgainstOthers(t *testing.T) {
	t.Parallel()
	for name, rival := range map[string]func(*testing.T, *localtest.Room){
		"a label moved to a version that goes": func(t *testing.T, r *localtest.Room) { t.Helper(); update(t, r, moving("mine", "", "v1")) },
		"a label moved to another":             func(t *testing.T, r *localtest.Room) { t.Helper(); update(t, r, moving("mine", "", "v5")) },
		"a label moved there and back": func(t *testing.T, r *localtest.Room) {
			t.Helper()
			update(t, r, moving("mine", "", "v1"))
			update(t, r, moving("mine", "v1", ""))
		},
		"deleted": func(t *testing.T, r *localtest.Room) { t.Helper(); update(t, r, deleting) },
		"deleted and restored": func(t *testing.T, r *localtest.Room) {
			t.Helper()
			update(t, r, deleting)
			update(t, r, restoring)
		},
		"other versions are to be kept": func(t *testing.T, r *localtest.Room) {
			t.Helper()
			update(t, r, func(sec secret.Secret) (secret.Change, error) {
				return sec.TagResource([]secret.Tag{{Key: secret.MaxVersionsTag, Value: "1000"}}, at(7))
			})
		},
		"another run": func(t *testing.T, r *localtest.Room) {
			t.Helper()
			if _, err := r.Store.Prune(t.Context(), look(t, r), dated("v1", "v3"), store.Then{Keep: true}); err != nil {
				t.Fatal(err)
			}
		},
		"another run that had no more to do": func(t *testing.T, r *localtest.Room) {
			t.Helper()
			if _, err := r.Store.Prune(t.Context(), look(t, r), nil, store.Then{}); err != nil {
				t.Fatal(err)
			}
		},
		"removed":                func(t *testing.T, r *localtest.Room) { t.Helper(); update(t, r, removing) },
		"removed and made again": func(t *testing.T, r *localtest.Room) { t.Helper(); update(t, r, removing); create(t, r, "bbbbbb") },
	} {
		for then, kind := range map[store.Then]string{{}: "no more", {Keep: true}: "more now", {At: at(99)}: "more later"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				room := localtest.New(t)
				l := overfull(t, room, 6)
				rival(t, room.Another(t))
				before := dump(t, room)
				took(room)
				removed, err := room.Store.Prune(t.Context(), l, dated("v1", "v2"), then)
				if len(removed) != 0 || !errors.Is(err, store.ErrMoved) {
					t.Errorf("removed %v, %v, want %v", removed, err, store.ErrMoved)
				}
				wantCalls(t, room, commitCall)
				wantUnchanged(t, room, before)
			})
		}
	}
}

// A put meanwhile does not disturb; but then it cannot be said that there is no
// more to do.
func TestPruneBesidePuts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		then store.Then
		due  time.Time
	}{
		{"no more", store.Then{}, at(2)},
		{"more now", store.Then{Keep: true}, at(2)},
		{"more later", store.Then{At: at(99)}, at(99)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			l := overfull(t, room, 5)
			update(t, room.Another(t), noting(puttingAt(6)))
			if removed, err := room.Store.Prune(t.Context(), l, dated("v1", "v2"), c.then); err != nil || len(removed) != 2 {
				t.Errorf("removed %v, %v, want 2", removed, err)
			}
			wantCount(t, room, "v3", "v4", "v5", "v6")
			if after := look(t, room); !after.Due.Equal(c.due) {
				t.Errorf("due %v, want %v", after.Due, c.due)
			}
			wantStages(t, get(t, room), "[AWSCURRENT:v6 AWSPREVIOUS:v5]")
		})
	}
}

// Puts and removals at once, in several processes: every put is acknowledged, and
// the count is that of the versions there are.
func TestPruneAmongManyPuts(t *testing.T) {
	t.Parallel()
	const clients, puts = 4, 60
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	var putters, pruners sync.WaitGroup
	done := make(chan struct{})
	for c := range clients {
		r := room.Another(t)
		putters.Go(func() {
			for i := range puts {
				if _, err := r.Store.Update(t.Context(), byName, noting(puttingAt(2+c*puts+i))); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	removed := make([]int, 2)
	for p := range removed {
		r := room.Another(t)
		pruners.Go(func() {
			for over := false; !over; {
				select {
				case <-done:
					over = true // and once more
				default:
				}
				l := look(t, r)
				oldest, _, err := r.Store.Oldest(t.Context(), l.Secret, nil)
				if err != nil {
					t.Error(err)
				}
				remove, _, _ := l.Secret.Prunable(oldest, secret.Retention{MaxVersions: 10}, at(9999))
				if len(remove) == 0 {
					continue
				}
				n, err := r.Store.Prune(t.Context(), l, remove, store.Then{})
				if err != nil && !errors.Is(err, store.ErrMoved) {
					t.Errorf("prune: %v", err)
				}
				removed[p] += len(n)
			}
		})
	}
	putters.Wait()
	close(done)
	pruners.Wait()
	sec := get(t, room)
	versions, _ := everyVersion(t, room, sec, 100)
	if left := 1 + clients*puts - removed[0] - removed[1]; sec.Versions != left || len(versions) != left {
		t.Errorf("the head counts %d of %d versions, want %d: %d and %d were removed", sec.Versions, len(versions), left, removed[0], removed[1])
	}
	if removed[0]+removed[1] == 0 || sec.Versions < 12 {
		t.Errorf("removed %v of %d versions, and %d are left, want at least the 10 that stay and those with a label", removed, 1+clients*puts, sec.Versions)
	}
	for _, id := range sec.Stages.Versions() {
		if !slices.Contains(idsOf(versions), id) {
			t.Errorf("version %s has a label and is not there", id)
		}
	}
}

// What passes by itself is not seen, and the removal happens once.
func TestPruneFaults(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]localtest.Fault{
		"head in a transaction":    {localtest.Cancel("TransactionConflict", "None", "None")},
		"version in a transaction": {localtest.Cancel("None", "None", "TransactionConflict")},
		"version gone, and one in a transaction": {
			localtest.Cancel("None", "ConditionalCheckFailed", "TransactionConflict"),
		},
		"throttled":         {localtest.Cancel("ThrottlingError", "None", "None"), localtest.Refuse(400, "ThrottlingException")},
		"over the capacity": {localtest.Cancel("None", "ProvisionedThroughputExceeded", "None")},
		"in progress":       {localtest.Refuse(400, "TransactionInProgressException")},
		"engine fails":      {localtest.Refuse(500, "InternalServerError")},
		"cut":               {localtest.Cut},
		"answer lost":       {localtest.LoseAnswer},
		"again and again":   times(8, localtest.Cancel("TransactionConflict", "None", "None")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			l := overfull(t, room, 5)
			room.Wire.Break(commitCall, faults...)
			if removed, err := room.Store.Prune(t.Context(), l, dated("v1", "v2"), store.Then{}); err != nil || len(removed) != 2 {
				t.Errorf("removed %v, %v, want 2", removed, err)
			}
			wantCount(t, room, "v3", "v4", "v5")
			if after := look(t, room); !after.Due.IsZero() || after.Secret.Prunings != 1 {
				t.Errorf("due %v after %d prunings, want nothing after one", after.Due, after.Secret.Prunings)
			}
		})
	}
}

// An answer that never comes leaves open what happened; the count is right either way.
func TestPruneNoAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault localtest.Fault
		left  []string
	}{
		"never arrives":             {localtest.Cut, []string{"v1", "v2", "v3", "v4", "v5"}},
		"happens":                   {localtest.LoseAnswer, []string{"v3", "v4", "v5"}},
		"refused":                   {localtest.Refuse(400, "ThrottlingException"), []string{"v1", "v2", "v3", "v4", "v5"}},
		"happens, and is forgotten": {lose(forget), []string{"v3", "v4", "v5"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			l := overfull(t, room, 5)
			room.Wire.Break(commitCall, times(attempts, c.fault)...)
			if removed, err := room.Store.Prune(t.Context(), l, dated("v1", "v2"), store.Then{Keep: true}); len(removed) != 0 || err == nil || isType[secret.Error](err) {
				t.Errorf("removed %v, %v, want an error that says nothing about the secret", removed, err)
			}
			wantCount(t, room, c.left...)
			// The same look is good for nothing if it happened, and a new one is.
			_, err := room.Store.Prune(t.Context(), l, dated("v1", "v2"), store.Then{Keep: true})
			if happened := len(c.left) == 3; errors.Is(err, store.ErrMoved) != happened {
				t.Errorf("again: %v", err)
			}
			wantCount(t, room, "v3", "v4", "v5")
		})
	}
}

// An ID may be used again when its version was removed. What a process remembers
// of the first version is never taken for the second.
func TestPrunedIDAgain(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	overfull(t, room, 5)
	reader, other := room.Another(t), room.Another(t)
	read := func(r *localtest.Room) string {
		t.Helper()
		sec := get(t, r)
		v, found, err := r.Store.Version(t.Context(), sec, "v5")
		if err != nil || !found {
			t.Fatalf("version v5: found %t, %v", found, err)
		}
		// As a read does that is the first of its day.
		if err := r.Store.Touch(t.Context(), sec, v, noon); err != nil {
			t.Fatal(err)
		}
		return string(v.Sealed.Data)
	}
	for _, r := range []*localtest.Room{room, reader, other} {
		if got := read(r); got != "sealed in v5" {
			t.Errorf("read %q, want what was put", got)
		}
	}
	// v5 has no label for a while, and is removed.
	update(t, other, putting("v6"))
	update(t, other, putting("v7"))
	if removed, err := room.Store.Prune(t.Context(), look(t, room), dated("v5"), store.Then{}); err != nil || len(removed) != 1 {
		t.Fatalf("removed %v, %v", removed, err)
	}
	again := func(sec secret.Secret) (secret.Change, error) {
		change, err := puttingAt(5)(sec)
		if err == nil {
			change.Version.Sealed.Data = []byte("another")
		}
		return change, err
	}
	update(t, other, again) // which knows nothing of the removal
	for name, r := range map[string]*localtest.Room{"remover": room, "reader": reader, "writer": other, "cold": room.Another(t)} {
		for range 2 {
			if got := read(r); got != "another" {
				t.Errorf("the %s reads %q, want what was put last", name, got)
			}
		}
	}
}

// told is told which versions are to be swept.
func told([]string) error { return nil }

// What is to go is told before it goes, and stays when that fails.
func TestSweepTells(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	overfull(t, room, 3)
	update(t, room, removing)
	before := dump(t, room)
	id := secret.ID{Name: "s", Suffix: "aaaaaa"}
	lost := errors.New("no record")
	done, err := room.Store.Sweep(t.Context(), id, func(versions []string) error {
		if want := []string{"v1", "v2", "v3"}; !slices.Equal(versions, want) {
			t.Errorf("told of %v, want %v", versions, want)
		}
		return lost
	}, func(int) bool { t.Error("some are removed"); return true })
	if done || !errors.Is(err, lost) {
		t.Errorf("done %t, %v, want %v", done, err, lost)
	}
	wantUnchanged(t, room, before)
}

func TestSweep(t *testing.T) {
	t.Parallel()
	const n = 60
	room := localtest.New(t)
	overfull(t, room, n)
	update(t, room, puttingPolicy)
	took(room)
	update(t, room, removing)
	wantCalls(t, room, commitCall)
	create(t, room, "bbbbbb")
	update(t, room, puttingAt(2))
	others := []string{head, byNameRow, createdAt, "SECRET#s VERSION#bbbbbb#v1", "SECRET#s VERSION#bbbbbb#v2"}
	id := secret.ID{Name: "s", Suffix: "aaaaaa"}
	if got, want := due(t, room, noon), []store.Task{{ID: id, Due: noon, Leftover: true}}; !reflect.DeepEqual(got, want) {
		t.Errorf("due = %v, want %v", got, want)
	}
	before := items(t, room)

	// Stopped after a slice, it leaves its note.
	var slicesOf []int
	done, err := room.Store.Sweep(t.Context(), id, told, func(removed int) bool { slicesOf = append(slicesOf, removed); return false })
	if done || err != nil || !slices.Equal(slicesOf, []int{25}) {
		t.Errorf("done %t, %v, slices of %v, want to be stopped after the first 25", done, err, slicesOf)
	}
	if got := len(items(t, room)); got != len(before)-25 || len(due(t, room, noon)) != 1 {
		t.Errorf("%d items, want %d and a note", got, len(before)-25)
	}
	took(room)
	slicesOf = nil
	done, err = room.Store.Sweep(t.Context(), id, told, func(removed int) bool { slicesOf = append(slicesOf, removed); return true })
	if !done || err != nil || !slices.Equal(slicesOf, []int{25, 10}) {
		t.Errorf("done %t, %v, slices of %v, want 25 and 10", done, err, slicesOf)
	}
	wantCalls(t, room, "Query BatchWriteItem BatchWriteItem Query BatchWriteItem")
	wantKeys(t, room, others...)
	for key, it := range items(t, room) {
		if !reflect.DeepEqual(it, before[key]) {
			t.Errorf("%s is %v, and was %v", key, it, before[key])
		}
	}
	if got := due(t, room, noon); len(got) != 0 {
		t.Errorf("due = %v, want nothing", got)
	}
	// Once more does no harm.
	if done, err := room.Store.Sweep(t.Context(), id, told, func(int) bool { return true }); !done || err != nil {
		t.Errorf("again: done %t, %v", done, err)
	}
	wantKeys(t, room, others...)
}

func TestSweepFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cloud  localtest.Cloud
		faults []localtest.Fault
		calls  int
		fails  bool
	}{
		"unprocessed":               {localtest.Cloud{Unprocessed: 2}, nil, 4, false},
		"short pages":               {localtest.Cloud{ShortPages: 2}, nil, 4, false},
		"throttled":                 {localtest.Cloud{}, times(attempts-1, localtest.Refuse(400, "ProvisionedThroughputExceededException")), 4, false},
		"cut and lost":              {localtest.Cloud{}, []localtest.Fault{localtest.Cut, localtest.LoseAnswer}, 4, false},
		"throttled all along":       {localtest.Cloud{}, times(attempts, localtest.Refuse(400, "ThrottlingException")), 3, true},
		"lost all along":            {localtest.Cloud{}, times(attempts, localtest.LoseAnswer), 3, true},
		"unprocessed, and then cut": {localtest.Cloud{Unprocessed: 1}, append([]localtest.Fault{make1}, times(attempts, localtest.Cut)...), 4, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			overfull(t, room, 5)
			update(t, room, removing)
			took(room)
			room.Wire.Behave(c.cloud)
			room.Wire.Break("BatchWriteItem", c.faults...)
			id := secret.ID{Name: "s", Suffix: "aaaaaa"}
			total := 0
			all := func(removed int) bool { total += removed; return true }
			done, err := room.Store.Sweep(t.Context(), id, told, all)
			if done == c.fails || (err != nil) != c.fails || isType[secret.Error](err) {
				t.Errorf("done %t, %v, want failed: %t", done, err, c.fails)
			}
			if got := strings.Count(took(room), "BatchWriteItem"); got != c.calls {
				t.Errorf("%d calls, want %d", got, c.calls)
			}
			if c.fails {
				if got := len(due(t, room, noon)); got != 1 {
					t.Errorf("%d notes, want the one", got)
				}
				room.Wire.Behave(localtest.Cloud{})
				if done, err := room.Store.Sweep(t.Context(), id, told, all); !done || err != nil {
					t.Errorf("again: done %t, %v", done, err)
				}
			} else if total != 5 {
				t.Errorf("%d removed, want 5", total)
			}
			wantKeys(t, room)
		})
	}
}

// The quota is exact, also when several put at the same time, whatever they remember.
func TestQuotaAtOnce(t *testing.T) {
	t.Parallel()
	const clients, quota = 16, 20
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	within := func(d decide) decide {
		return func(sec secret.Secret) (secret.Change, error) {
			change, err := d(sec)
			change.Quota = quota
			return change, err
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 1
	for c := range clients {
		r := room.Another(t)
		wg.Go(func() {
			for i := range quota {
				_, err := r.Store.Update(t.Context(), byName, within(putting(fmt.Sprintf("c%d-%d", c, i))))
				switch {
				case err == nil:
					mu.Lock()
					made++
					mu.Unlock()
				case !errors.Is(err, secret.QuotaExceeded):
					t.Errorf("put: %v, want %v", err, secret.QuotaExceeded)
				default:
					return
				}
			}
		})
	}
	wg.Wait()
	// A put needs fewer than the quota without a label; then there are as many,
	// with AWSCURRENT and AWSPREVIOUS beside them.
	sec := get(t, room)
	versions, _ := everyVersion(t, room, sec, 100)
	if want := quota + 2; made != want || sec.Versions != want || len(versions) != want {
		t.Errorf("%d were made, the head counts %d of %d, want %d", made, sec.Versions, len(versions), want)
	}
	before := dump(t, room)
	for name, r := range map[string]*localtest.Room{"warm": room, "cold": room.Another(t)} {
		if _, err := r.Store.Update(t.Context(), byName, within(putting("v9"))); !errors.Is(err, secret.QuotaExceeded) {
			t.Errorf("%s: %v, want %v", name, err, secret.QuotaExceeded)
		}
	}
	wantUnchanged(t, room, before)
	// What is no put has no quota, and a removal makes room for one put.
	versions = slices.DeleteFunc(versions, func(v secret.Version) bool { return len(sec.Stages.Of(v.ID)) > 0 })
	update(t, room, noting(within(moving("mine", "", versions[0].ID))))
	if _, err := room.Store.Prune(t.Context(), look(t, room), versions[1:2], store.Then{}); err != nil {
		t.Fatal(err)
	}
	// The move left one fewer without a label, the removal another.
	cold := room.Another(t)
	for i, want := range []error{nil, nil, secret.QuotaExceeded} {
		if _, err := cold.Store.Update(t.Context(), byName, within(putting(fmt.Sprint("w", i)))); !errors.Is(err, want) {
			t.Errorf("put %d: %v, want %v", i, err, want)
		}
	}
}

// The index may show a version that another run removed, and whose ID was put again
// after the look: that one is current, and stays.
func TestPruneLeavesWhatWasPutSinceTheLook(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "AAAAAA")
	update(t, room, func(sec secret.Secret) (secret.Change, error) {
		change, err := putting("v2")(sec)
		change.Pruning = secret.Soon
		return change, err
	})
	update(t, room, putting("v3"))
	prune := func(look store.Look, want int) {
		t.Helper()
		if n, err := room.Store.Prune(t.Context(), look, dated("v1"), store.Then{Keep: true}); len(n) != want || err != nil {
			t.Errorf("removed %v, %v, want %d", n, err, want)
		}
	}
	look := func() store.Look {
		t.Helper()
		look, err := room.Store.Look(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		return look
	}
	prune(look(), 1)
	second := look()
	update(t, room.Another(t), putting("v1"))
	prune(second, 0)
	sec := get(t, room)
	wantStages(t, sec, "[AWSCURRENT:v1 AWSPREVIOUS:v3]")
	if _, found, err := room.Another(t).Store.Version(t.Context(), sec, "v1"); !found || err != nil {
		t.Errorf("found %t, %v, want the current version", found, err)
	}
}
