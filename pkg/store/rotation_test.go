package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

const rotationNote = "SECRET#s ROTATION#aaaaaa"

// month is the next window of a secret that was rotated, or put, on the day of noon.
var month = func() secret.Window {
	opens := time.Date(2026, time.April, 3, 0, 0, 0, 0, time.UTC)
	return secret.Window{Opens: opens, Closes: opens.AddDate(0, 0, 1)}
}()

// start is when the schedule begins in a window, for the secret s with the suffix aaaaaa.
func start(w secret.Window) time.Time {
	rules := secret.RotationRules{AutomaticallyAfterDays: 30}
	return secret.Secret{ARN: localtest.ARNs.Of("s", "aaaaaa"), Rotation: secret.Rotation{Rules: rules, Next: w}}.RotationDue()
}

// asking is a request to rotate every 30 days.
func asking(version string) secret.Rotate {
	return secret.Rotate{
		Token: version, Lambda: everything.Lambda, Rules: &secret.RotationRules{AutomaticallyAfterDays: 30},
		Next: func(secret.RotationRules, time.Time) (secret.Window, error) { return month, nil },
	}
}

// rotating decides on a rotation that makes this version.
func rotating(version string) decide {
	return func(sec secret.Secret) (secret.Change, error) { return sec.Rotate(asking(version), noon) }
}

// testingWith decides on a test with this version as its copy.
func testingWith(version string) decide {
	return func(sec secret.Secret) (secret.Change, error) {
		r := asking(version)
		r.Test = true
		change, err := sec.Rotate(r, noon)
		if err == nil && change.Version != nil {
			change.Version.Sealed = sealed(version)
		}
		return change, err
	}
}

// leasing gives the rotation to a runner, from so many minutes after noon until later ones.
func leasing(runner string, from, until int) decide {
	return func(sec secret.Secret) (secret.Change, error) {
		return sec.Lease(secret.Lease{Runner: runner, Proof: secret.ProofOf(runner), Until: at(until), Token: "scheduled", Next: month}, at(from)), nil
	}
}

func failing(runner string, minutes int) decide {
	return func(sec secret.Secret) (secret.Change, error) {
		return sec.Failed(runner, "why", time.Minute, at(minutes))
	}
}

func ending(runner string) decide {
	return func(sec secret.Secret) (secret.Change, error) { return sec.CallEnded(runner), nil }
}

func rotated(runner string) decide {
	return func(sec secret.Secret) (secret.Change, error) { return sec.Rotated(runner, month, noon) }
}

func cancelling(sec secret.Secret) (secret.Change, error) { return sec.CancelRotation(noon) }

func opening(w secret.Window) decide {
	return func(sec secret.Secret) (secret.Change, error) { return sec.Postpone(w), nil }
}

// counting makes the next commit and says of how many items it was.
func counting(items *int) localtest.Fault {
	return func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		body, err := io.ReadAll(call.Body)
		if err != nil {
			return nil, err
		}
		var in struct{ TransactItems []json.RawMessage }
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		*items = len(in.TransactItems)
		call.Body = io.NopCloser(bytes.NewReader(body))
		return do()
	}
}

// The note of what is due next is written with the change that says so, and only
// then; the index has it, with the suffix of the secret.
func TestRotationNote(t *testing.T) {
	t.Parallel()
	const head, note, version, check = 1, 1, 1, 1
	none := time.Time{}
	soon := secret.Window{Opens: at(20), Closes: at(30)}
	tenMinutes := secret.Window{Opens: month.Opens, Closes: month.Opens.Add(10 * time.Minute)}
	for _, w := range []secret.Window{month, soon, tenMinutes} {
		if at := start(w); !at.After(w.Opens) || !at.Before(w.Closes) {
			t.Errorf("the start in %+v is %s, want a place within it", w, at)
		}
	}
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	for _, step := range []struct {
		name   string
		decide decide
		items  int
		due    time.Time
	}{
		{"put", putting("v2"), head + version, none},
		{"rotate", rotating("v3"), head + note + check, noon},
		{"lease", leasing("me", 0, 10), head + note, at(10)},
		{"put the value", putting("v3", secret.Pending), head + version, at(10)},
		{"a label of one's own", putting("v3b", "mine"), head + version, at(10)},
		{"move AWSCURRENT", moving(secret.Current, "v2", "v3"), head + check, at(10)},
		{"rotated", rotated("me"), head + note, start(month)},
		{"put on a day that was counted", putting("v4"), head + version, start(month)},
		{"put a label", putting("v5", "mine"), head + version, start(month)},
		{"the window is another", opening(soon), head + note, start(soon)},
		{"put on a day that was not counted", putting("v6"), head + version + note, start(tenMinutes)},
		{"the window is another again", opening(soon), head + note, start(soon)},
		{"by schedule", leasing("me", 25, 40), head + note, at(40)},
		{"fails", failing("me", 30), head + note, at(31)},
		{"delete", deleting, head + note, none},
		{"restore", restoring, head + note, at(31)},
		{"again", leasing("you", 31, 50), head + note, at(50)},
		{"another value", putting("v7"), head + version + note, start(month)},
		{"delete while none is under way", deleting, head + note, none},
		{"restore while none is under way", restoring, head + note, start(month)},
		{"cancel", cancelling, head + note, none},
		{"delete what is turned off", deleting, head, none},
		{"restore what is turned off", restoring, head, none},
		{"test while a call may be in flight", testingWith("v8"), head + version + note, at(50)},
		{"the call has ended", ending("you"), head + note, noon},
		{"lease of a test", leasing("me", 0, 10), head + note, at(10)},
		{"tested", rotated("me"), head + note + version, start(month)},
		{"rotate again", rotating("v9"), head + note + check, noon},
		{"cancel while under way", cancelling, head + note, none},
	} {
		var writes int
		room.Wire.Break(commitCall, counting(&writes))
		sec := update(t, room, step.decide)
		if writes != step.items {
			t.Errorf("%s: a transaction of %d items, want %d", step.name, writes, step.items)
		}
		if got := get(t, room.Another(t)); !reflect.DeepEqual(got, sec) {
			t.Errorf("%s: a read finds %+v\nreturned was %+v", step.name, got, sec)
		}
		if !sec.RotationDue().Equal(step.due) {
			t.Errorf("%s: the rotation is due at %s, want %s", step.name, sec.RotationDue(), step.due)
		}
		wantRotationDue(t, room, step.name, "aaaaaa", step.due)
	}
	if tasks := due(t, room, month.Closes); len(tasks) != 1 || tasks[0].ID.Suffix != "" {
		t.Errorf("to be pruned are %+v, want what was restored, and no rotation", tasks)
	}
}

// wantRotationDue compares the note of secret s, and what the index says of it.
func wantRotationDue(t *testing.T, room *localtest.Room, step, suffix string, want time.Time) {
	t.Helper()
	note := items(t, room)["SECRET#s ROTATION#"+suffix]
	var tasks []store.Task
	if want.IsZero() {
		if note != nil {
			t.Errorf("%s: the note is %v, want none", step, note)
		}
	} else {
		if note == nil || text(note["due"]) != want.Format("2006-01-02T15:04:05.000Z") {
			t.Errorf("%s: the note is %v, want one of %s", step, note, want)
		}
		tasks = []store.Task{{ID: secret.ID{Name: "s", Suffix: suffix}, Due: want}}
		if early := dueIn(t, room, store.Rotations, want.Add(-time.Millisecond)); len(early) > 0 {
			t.Errorf("%s: due before its time is %+v", step, early)
		}
	}
	if got := dueIn(t, room, store.Rotations, month.Closes); !reflect.DeepEqual(got, tasks) {
		t.Errorf("%s: due is %+v, want %+v", step, got, tasks)
	}
}

// A removal takes the note with it, whenever it comes; a secret that is made under
// the name again has a note of its own.
func TestRemoveRotating(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]decide{
		"scheduled": {rotating("v2"), leasing("me", 0, 10), putting("v3"), removing},
		"begun":     {rotating("v2"), removing},
		"leased":    {rotating("v2"), leasing("me", 0, 10), removing},
		"a test":    {testingWith("v2"), removing},
		"cancelled": {rotating("v2"), cancelling, removing},
		"deleted":   {rotating("v2"), deleting, removing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			create(t, room, "aaaaaa")
			for _, d := range steps {
				update(t, room, d)
			}
			if items(t, room)[rotationNote] != nil {
				t.Error("the note is still there")
			}
			create(t, room, "bbbbbb")
			update(t, room, rotating("v2"))
			wantRotationDue(t, room, "made again", "bbbbbb", noon)
			id := secret.ID{Name: "s", Suffix: "aaaaaa"}
			if _, err := room.Store.Update(t.Context(), id, cancelling); !errors.Is(err, secret.NotFound) {
				t.Errorf("a change of the old secret: %v, want %v", err, secret.NotFound)
			}
		})
	}
}

// Many secrets are due, in all parts of the queue; each is listed once.
func TestManyRotationsDue(t *testing.T) {
	t.Parallel()
	const n = 8 * store.Shards
	room := localtest.New(t)
	var want []string
	for i := range n {
		name := fmt.Sprintf("s%03d", i)
		id := secret.ID{Name: name, Suffix: "aaaaaa"}
		if _, err := room.Store.Create(t.Context(), secret.Change{Secret: fresh(name, "aaaaaa")}); err != nil {
			t.Fatal(err)
		}
		if _, err := room.Store.Update(t.Context(), id, rotating("v1")); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	var got []string
	for _, task := range dueIn(t, room, store.Rotations, noon) {
		got = append(got, task.ID.Name)
		if task.ID.Suffix != "aaaaaa" || task.Leftover || !task.Due.Equal(noon) {
			t.Errorf("task = %+v", task)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("due are %d secrets, want %d: %v", len(got), n, got)
	}
}

// A version that must not be there is, and nothing is written.
func TestAbsent(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	update(t, room, putting("v2"))
	update(t, room, putting("v3")) // v1 has no label any more
	want := get(t, room)
	before := dump(t, room)
	for name, r := range map[string]*localtest.Room{"warm": room, "cold": room.Another(t)} {
		for _, d := range []decide{rotating("v1"), testingWith("v1")} {
			_, err := r.Store.Update(t.Context(), byName, d)
			exists, ok := errors.AsType[*store.VersionExists](err)
			if !ok {
				t.Fatalf("%s: rotation with the token of a version: %v", name, err)
			}
			if exists.Version.ID != "v1" || !reflect.DeepEqual(exists.Secret, want) {
				t.Errorf("%s: exists = %+v of %+v\nwant v1 of %+v", name, exists.Version, exists.Secret, want)
			}
		}
	}
	wantUnchanged(t, room, before)
	// Beside what must be there, each is known by its place.
	both := func(exists, absent string) decide {
		return func(sec secret.Secret) (secret.Change, error) {
			sec.Description = "changed"
			return secret.Change{Secret: sec}.With(secret.Require, "v1").With(secret.Require, exists).With(secret.RequireAbsent, absent), nil
		}
	}
	for _, c := range []struct {
		exists, absent string
		check          func(error) bool
	}{
		{"v9", "v8", is(secret.NoSuchVersion("v9"))},
		{"v2", "v3", isType[*store.VersionExists]},
		{"v9", "v3", isType[*store.VersionExists]},
	} {
		if _, err := room.Store.Update(t.Context(), byName, both(c.exists, c.absent)); !c.check(err) {
			t.Errorf("with %s there and %s not: %v", c.exists, c.absent, err)
		}
	}
	wantUnchanged(t, room, before)
	update(t, room, both("v2", "v8"))
}

// The copy that a test was made on goes: its item, its place in the count, and what
// is remembered of it anywhere.
func TestDiscard(t *testing.T) {
	t.Parallel()
	for name, end := range map[string][]decide{
		"tested":    {leasing("me", 0, 10), rotated("me")},
		"cancelled": {cancelling},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			create(t, room, "aaaaaa")
			sec := update(t, room, testingWith("copy"))
			wantCount(t, room, "v1", "copy")
			other := warm(t, room)
			for _, r := range []*localtest.Room{room, other} {
				if v, found, err := r.Store.Version(t.Context(), sec, "copy"); !found || err != nil || !reflect.DeepEqual(v.Sealed, sealed("copy")) {
					t.Fatalf("the copy: %+v, found %t, %v", v, found, err)
				}
			}
			for _, d := range end {
				sec = update(t, room, d)
			}
			wantCount(t, room, "v1")
			wantStages(t, sec, "[AWSCURRENT:v1]")
			if got := get(t, other); sec.Versions != 1 || sec.Prunings != 1 || !reflect.DeepEqual(got, sec) {
				t.Errorf("returned is %+v\na read finds %+v", sec, got)
			}
			// The ID may be used again, with another value.
			sec = update(t, room, func(sec secret.Secret) (secret.Change, error) {
				change, err := sec.Put("copy", nil, noon)
				change.Version.Sealed = sealed("anew")
				return change, err
			})
			for _, r := range []*localtest.Room{room, other, room.Another(t)} {
				v, found, err := r.Store.Version(t.Context(), get(t, r), "copy")
				if !found || err != nil || !reflect.DeepEqual(v.Sealed, sealed("anew")) {
					t.Errorf("put again: %+v, found %t, %v", v, found, err)
				}
			}
			if sec.Versions != 2 || sec.Prunings != 1 {
				t.Errorf("%d versions and %d prunings, want 2 and 1", sec.Versions, sec.Prunings)
			}
			wantCount(t, room, "v1", "copy")
		})
	}
}

// A version that is discarded as another is put leaves the count as it is.
func TestDiscardAndPut(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	update(t, room, putting("v2"))
	update(t, room, putting("v3"))
	sec := update(t, room, func(sec secret.Secret) (secret.Change, error) {
		change, err := putting("v4")(sec)
		change.Secret.Versions--
		change.Secret.Prunings++
		change = change.With(secret.Discard, "v1")
		return change, err
	})
	wantCount(t, room, "v2", "v3", "v4")
	if got := get(t, room.Another(t)); !reflect.DeepEqual(got, sec) {
		t.Errorf("returned is %+v\na read finds %+v", sec, got)
	}
}

// Pruning that was decided before a version was discarded does not happen: its ID
// may be another version's by now.
func TestDiscardAndPrune(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	overfull(t, room, 3)
	update(t, room, testingWith("copy"))
	l := look(t, room)
	update(t, room, cancelling)
	before := dump(t, room)
	if n, err := room.Store.Prune(t.Context(), l, dated("v1"), store.Then{}); len(n) != 0 || !errors.Is(err, store.ErrMoved) {
		t.Errorf("pruned %v, %v, want %v", n, err, store.ErrMoved)
	}
	wantUnchanged(t, room, before)
}

// Two runners at once: one has the lease.
func TestTwoRunners(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	update(t, room, rotating("v2"))
	first, second := warm(t, room), warm(t, room)
	if run := leaseIn(update(t, first, leasing("first", 0, 10))); run.Runner != "first" || run.Attempts != 1 {
		t.Errorf("run = %+v, want the first's", run)
	}
	if run := leaseIn(update(t, second, leasing("second", 0, 10))); run.Runner != "first" || run.Attempts != 1 {
		t.Errorf("run = %+v, want the first's still", run)
	}
	if run := leaseIn(update(t, second, leasing("second", 10, 20))); run.Runner != "second" || run.Attempts != 2 {
		t.Errorf("run = %+v, want the second's when the first is over", run)
	}
	for name, d := range map[string]decide{"rotated": rotated("first"), "failed": failing("first", 11)} {
		if _, err := first.Store.Update(t.Context(), byName, d); !errors.Is(err, secret.ErrLeaseLost) {
			t.Errorf("%s says the first: %v, want %v", name, err, secret.ErrLeaseLost)
		}
	}
}

// What a rotation costs, each step in a process that has seen the secret. A note is
// 2 units in a transaction, 1 more in the index where it comes or goes, and 2 where
// it moves there; the check that a version is not there yet is 2.
func TestRotationCosts(t *testing.T) {
	t.Parallel()
	const (
		head, check  = 2, 2
		version, age = 2, 1
		note         = 2
		row, moves   = 1, 2
	)
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	took(room)
	for _, step := range []struct {
		name   string
		decide decide
		writes float64
	}{
		{"rotate", rotating("v2"), head + check + note + row},
		{"lease", leasing("me", 0, 10), head + note + moves},
		{"fail", failing("me", 5), head + note + moves},
		{"lease again", leasing("me", 6, 10), head + note + moves},
		{"put", putting("v2", secret.Pending), head + version + age},
		{"finish", moving(secret.Current, "v1", "v2"), head + check},
		{"rotated", rotated("me"), head + note + moves},
		{"put on a day that was counted", putting("v3"), head + version + age},
		{"test", testingWith("v4"), head + version + age + note + moves},
		{"lease of a test", leasing("me", 0, 10), head + note + moves},
		{"tested", rotated("me"), head + version + age + note + moves},
		{"delete", deleting, head + row + note + row},
		{"restore", restoring, head + moves + note + row},
		{"cancel", cancelling, head + note + row},
	} {
		update(t, room, step.decide)
		calls, reads, writes := room.Wire.Took()
		if calls != commitCall || reads != 0 || writes != step.writes {
			t.Errorf("%s: %s, %v and %v units; want one commit of %v", step.name, strings.TrimSpace(calls), reads, writes, step.writes)
		}
	}
}

func leaseIn(sec secret.Secret) secret.Leased {
	l, _ := sec.Rotation.State.(secret.Leased)
	return l
}
