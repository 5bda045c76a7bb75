package store_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

const (
	head      = "SECRET#s HEAD"
	byNameRow = "DIRECTORY#NAME s"
	createdAt = "DIRECTORY#CREATED 2026-03-04T12:00:00.123Z#s"
)

// The rows of the directory are there exactly as long as the secret is, and what
// it leaves behind is noted.
func TestLifeOfASecret(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	wantKeys(t, room)
	create(t, room, "aaaaaa")
	wantKeys(t, room, head, byNameRow, createdAt, "SECRET#s VERSION#aaaaaa#v1")
	update(t, room, putting("v2"))
	update(t, room, deleting)
	update(t, room, restoring)
	all := []string{"SECRET#s VERSION#aaaaaa#v1", "SECRET#s VERSION#aaaaaa#v2"}
	wantKeys(t, room, append(all, head, byNameRow, createdAt)...)

	sec := update(t, room, removing)
	if sec.ARN != localtest.ARNs.Of("s", "aaaaaa") {
		t.Errorf("removed %s", sec.ARN)
	}
	all = append(all, "SECRET#s LEFTOVER#aaaaaa")
	wantKeys(t, room, all...)
	if _, err := room.Store.Get(t.Context(), byName); !errors.Is(err, secret.NotFound) {
		t.Errorf("get of a removed secret: %v, want %v", err, secret.NotFound)
	}
	if _, err := room.Store.Update(t.Context(), byName, putting("v3")); !errors.Is(err, secret.NotFound) {
		t.Errorf("update of a removed secret: %v, want %v", err, secret.NotFound)
	}

	// The name is free at once, and what is made under it has none of the old versions.
	made := create(t, room, "bbbbbb")
	wantKeys(t, room, append(all, head, byNameRow, createdAt, "SECRET#s VERSION#bbbbbb#v1")...)
	if got, _ := everyVersion(t, room, made, 10); !slices.Equal(idsOf(got), []string{"v1"}) {
		t.Errorf("versions = %v, want the new v1 alone", idsOf(got))
	}
	if _, found, err := room.Store.Version(t.Context(), made, "v2"); found || err != nil {
		t.Errorf("version v2 of the new secret: found %t, %v", found, err)
	}
	if _, err := room.Store.Get(t.Context(), secret.ID{Name: "s", Suffix: "aaaaaa"}); !errors.Is(err, secret.NotFound) {
		t.Errorf("get by the old ARN: %v, want %v", err, secret.NotFound)
	}
}

// A secret that never had a version leaves nothing behind.
func TestRemoveEmptySecret(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	if _, err := room.Store.Create(t.Context(), secret.Change{Secret: fresh("s", "aaaaaa")}); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, room, head, byNameRow, createdAt)
	update(t, room, removing)
	wantKeys(t, room)
}

func TestCreateTaken(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	before := dump(t, room)
	for _, r := range []*localtest.Room{room, room.Another(t)} {
		_, err := r.Store.Create(t.Context(), making(t, fresh("s", "bbbbbb")))
		taken, ok := errors.AsType[*store.Exists](err)
		if !ok {
			t.Fatalf("create of a secret that is there: %v", err)
		}
		if want := get(t, room); !reflect.DeepEqual(taken.Secret, want) {
			t.Errorf("taken by %+v\nwant     %+v", taken.Secret, want)
		}
	}
	wantUnchanged(t, room, before)
}

// What a change returns is what a read finds.
func TestChanges(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	cold := room.Another(t)
	sec := create(t, room, "aaaaaa")
	for i, step := range []struct {
		decide   decide
		stages   string
		versions int
	}{
		{putting("v2"), "[AWSCURRENT:v2 AWSPREVIOUS:v1]", 2},
		{putting("v3", secret.Pending), "[AWSCURRENT:v2 AWSPENDING:v3 AWSPREVIOUS:v1]", 3},
		{moving(secret.Current, "v2", "v3"), "[AWSCURRENT:v3 AWSPENDING:v3 AWSPREVIOUS:v2]", 3},
		{moving(secret.Pending, "v3", ""), "[AWSCURRENT:v3 AWSPREVIOUS:v2]", 3},
		{putting("v4", "mine"), "[AWSCURRENT:v3 AWSPREVIOUS:v2 mine:v4]", 4},
		{deleting, "[AWSCURRENT:v3 AWSPREVIOUS:v2 mine:v4]", 4},
		{restoring, "[AWSCURRENT:v3 AWSPREVIOUS:v2 mine:v4]", 4},
	} {
		sec = update(t, room, step.decide)
		wantStages(t, sec, step.stages)
		if sec.Versions != step.versions || sec.Revision != int64(i+2) {
			t.Errorf("step %d: %d versions and revision %d, want %d and %d", i, sec.Versions, sec.Revision, step.versions, i+2)
		}
		got, err := cold.Store.Get(t.Context(), byName)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, sec) {
			t.Errorf("step %d: a read finds %+v\nreturned was    %+v", i, got, sec)
		}
		versions, _ := everyVersion(t, cold, sec, 100)
		if len(versions) != step.versions {
			t.Errorf("step %d: %d version items, want %d", i, len(versions), step.versions)
		}
	}
	for _, r := range []*localtest.Room{room, cold} {
		got, found, err := r.Store.Version(t.Context(), sec, "v3")
		if err != nil || !found {
			t.Fatalf("version v3: found %t, %v", found, err)
		}
		if want := (secret.Version{ID: "v3", Revision: 3, Created: noon, Sealed: sealed("v3")}); !reflect.DeepEqual(got, want) {
			t.Errorf("version = %+v\nwant      %+v", got, want)
		}
	}
}

// A change that changes nothing writes nothing.
func TestNothing(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	took(room)
	before := dump(t, room)
	if sec := update(t, room, restoring); sec.Revision != 1 {
		t.Errorf("revision = %d, want 1", sec.Revision)
	}
	wantCalls(t, room, "GetItem") // what is remembered proves nothing
	wantUnchanged(t, room, before)
}

// A version that was put is not put again, and what is there comes back.
func TestVersionExists(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	update(t, room, putting("v2"))
	want := get(t, room)
	before := dump(t, room)
	for name, r := range map[string]*localtest.Room{"warm": room, "cold": room.Another(t)} {
		_, err := r.Store.Update(t.Context(), byName, putting("v1"))
		exists, ok := errors.AsType[*store.VersionExists](err)
		if !ok {
			t.Fatalf("%s: second put of v1: %v", name, err)
		}
		if !reflect.DeepEqual(exists.Secret, want) {
			t.Errorf("%s: secret = %+v\nwant     %+v", name, exists.Secret, want)
		}
		if v := (secret.Version{ID: "v1", Revision: 1, Created: noon, Sealed: sealed("v1")}); !reflect.DeepEqual(exists.Version, v) {
			t.Errorf("%s: version = %+v\nwant      %+v", name, exists.Version, v)
		}
	}
	wantUnchanged(t, room, before)
}

// Data keys come to lie under another KMS key together with the head's naming it.
func TestRewrapped(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	sec := update(t, room, rewrapping)
	for name, r := range map[string]*localtest.Room{"warm": room, "cold": room.Another(t)} {
		got, _, err := r.Store.Version(t.Context(), sec, "v1")
		if err != nil {
			t.Fatal(err)
		}
		want := secret.Sealed{Kind: secret.String, KeyARN: "arn:new", DataKey: []byte("wrapped anew"), Data: sealed("v1").Data}
		if !reflect.DeepEqual(got.Sealed, want) {
			t.Errorf("%s: sealed = %+v\nwant     %+v", name, got.Sealed, want)
		}
	}
}

func rewrapping(sec secret.Secret) (secret.Change, error) {
	sec.KMSKey = "alias/new"
	return secret.Change{Secret: sec, Effects: []secret.Effect{
		{Kind: secret.Rewrap, Version: secret.Version{ID: "v1", Sealed: secret.Sealed{KeyARN: "arn:new", DataKey: []byte("wrapped anew")}}},
	}}, nil
}

func puttingPolicy(sec secret.Secret) (secret.Change, error) { return sec.PutPolicy(policyText, noon) }

func TestPolicy(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	sec := create(t, room, "aaaaaa")
	took(room)
	if got, err := room.Store.Policy(t.Context(), sec); got != "" || err != nil {
		t.Errorf("policy = %q, %v, want none", got, err)
	}
	wantCalls(t, room, "")
	with := update(t, room, puttingPolicy)
	if got, err := room.Store.Policy(t.Context(), with); got != policyText || err != nil {
		t.Errorf("policy = %q, %v, want %q", got, err, policyText)
	}
	other := update(t, room, func(sec secret.Secret) (secret.Change, error) { return sec.PutPolicy("other", noon) })
	// A reader of the head before is not given another text for its hash.
	if got, err := room.Store.Policy(t.Context(), with); got != "" || !errors.Is(err, store.ErrBusy) {
		t.Errorf("policy that was replaced = %q, %v, want %v", got, err, store.ErrBusy)
	}
	without := update(t, room, func(sec secret.Secret) (secret.Change, error) { return sec.DeletePolicy(noon) })
	if got, err := room.Store.Policy(t.Context(), other); got != "" || !errors.Is(err, store.ErrBusy) {
		t.Errorf("policy that was taken away = %q, %v, want %v", got, err, store.ErrBusy)
	}
	if got, err := room.Store.Policy(t.Context(), without); got != "" || err != nil {
		t.Errorf("policy = %q, %v, want none", got, err)
	}
	wantKeys(t, room, head, byNameRow, createdAt, "SECRET#s VERSION#aaaaaa#v1")

	update(t, room, puttingPolicy)
	update(t, room, removing)
	wantKeys(t, room, "SECRET#s VERSION#aaaaaa#v1", "SECRET#s LEFTOVER#aaaaaa")
}

var errStop = errors.New("the test goes no further")

// When one part of a change cannot be, nothing of it is written.
func TestWholeOrNothing(t *testing.T) {
	t.Parallel()
	row := func(key ...string) func(*testing.T, *localtest.Room) {
		return func(t *testing.T, room *localtest.Room) { t.Helper(); place(t, room, keyOf(key[0], key[1])) }
	}
	gone := func(key ...string) func(*testing.T, *localtest.Room) {
		return func(t *testing.T, room *localtest.Room) { t.Helper(); takeAway(t, room, key[0], key[1]) }
	}
	rival := func(t *testing.T, room *localtest.Room) { t.Helper(); update(t, room.Another(t), putting("rival")) }
	removed := func(t *testing.T, room *localtest.Room) { t.Helper(); update(t, room.Another(t), removing) }
	replacing := receiving(replica("bbbbbb", 2, 3, secret.Stages{secret.Current: "w1"}), "w1")
	for _, c := range []struct {
		name   string
		decide decide // nil creates
		spoil  func(*testing.T, *localtest.Room)
		check  func(error) bool
	}{
		{"create, head", nil, func(t *testing.T, room *localtest.Room) { t.Helper(); create(t, room.Another(t), "bbbbbb") }, isType[*store.Exists]},
		{"create, version", nil, row("SECRET#s", "VERSION#aaaaaa#v1"), isType[*store.VersionExists]},
		{"put, head", putting("v2"), rival, is(errStop)},
		{"put, head gone", putting("v2"), removed, is(secret.NotFound)},
		{"put, version", putting("v2"), row("SECRET#s", "VERSION#aaaaaa#v2"), isType[*store.VersionExists]},
		{"move, head", moving("mine", "", "v1"), rival, is(errStop)},
		{"move, head gone", moving("mine", "", "v1"), removed, is(secret.NotFound)},
		{"move, version", moving("mine", "", "v9"), func(*testing.T, *localtest.Room) {}, is(secret.NoSuchVersion("v9"))},
		{"move, version gone", moving("mine", "", "v1"), gone("SECRET#s", "VERSION#aaaaaa#v1"), is(secret.NoSuchVersion("v1"))},
		{"move, head and version", moving("mine", "", "v9"), rival, is(errStop)},
		{"rewrap, head", rewrapping, rival, is(errStop)},
		{"rewrap, version", rewrapping, gone("SECRET#s", "VERSION#aaaaaa#v1"), isType[*store.Damaged]},
		{"policy, head", puttingPolicy, rival, is(errStop)},
		{"delete, head", deleting, rival, is(errStop)},
		{"remove, head", removing, rival, is(errStop)},
		{"rotate, head", rotating("v2"), rival, is(errStop)},
		{"rotate, head gone", rotating("v2"), removed, is(secret.NotFound)},
		{"rotate, version", rotating("v2"), row("SECRET#s", "VERSION#aaaaaa#v2"), isType[*store.VersionExists]},
		{"rotate, head and version", rotating("rival"), rival, is(errStop)},
		{"replicate, head", replicating, rival, is(errStop)},
		{"replicate, head gone", replicating, removed, is(secret.NotFound)},
		{"replace, head", replacing, rival, is(errStop)},
		{"replace, head gone", replacing, removed, is(secret.NotFound)},
		{"replace, version", replacing, row("SECRET#s", "VERSION#bbbbbb.2#w1"), isType[*store.VersionExists]},
		{"replace, removed copy", replacing, row("SECRET#s", "LEFTOVER#bbbbbb.2"), is(store.ErrRemovedCopy)},
		{"replace, head and removed copy", replacing, func(t *testing.T, room *localtest.Room) {
			t.Helper()
			rival(t, room)
			place(t, room, keyOf("SECRET#s", "LEFTOVER#bbbbbb.2"))
		}, is(errStop)},
		{"test, version", testingWith("v2"), row("SECRET#s", "VERSION#aaaaaa#v2"), isType[*store.VersionExists]},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			var before string
			spoil := func() {
				c.spoil(t, room)
				before = dump(t, room)
			}
			var err error
			if c.decide == nil {
				spoil()
				_, err = room.Store.Create(t.Context(), making(t, fresh("s", "aaaaaa")))
			} else {
				create(t, room, "aaaaaa")
				_, err = room.Store.Update(t.Context(), byName, func(sec secret.Secret) (secret.Change, error) {
					if before != "" {
						return secret.Change{}, errStop
					}
					change, err := c.decide(sec)
					spoil()
					return change, err
				})
			}
			if !c.check(err) {
				t.Errorf("error = %v (%T)", err, err)
			}
			wantUnchanged(t, room, before)
		})
	}
}

func is(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// A read is noted once a day, beside the revisions.
func TestTouch(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	midnight := noon.Truncate(24 * time.Hour)
	read := func(r *localtest.Room, at time.Time, want string) secret.Secret {
		t.Helper()
		sec := get(t, r)
		v, found, err := r.Store.Version(t.Context(), sec, sec.Stages[secret.Current])
		if err != nil || !found {
			t.Fatalf("version: found %t, %v", found, err)
		}
		took(r)
		if err := r.Store.Touch(t.Context(), sec, v, at); err != nil {
			t.Fatal(err)
		}
		wantCalls(t, r, want)
		return get(t, r)
	}
	if sec := get(t, room); !sec.Accessed.IsZero() {
		t.Errorf("accessed = %v before the first read", sec.Accessed)
	}
	sec := read(room, noon, "UpdateItem UpdateItem")
	if !sec.Accessed.Equal(midnight) || sec.Revision != 1 {
		t.Errorf("accessed = %v at revision %d, want %v at 1", sec.Accessed, sec.Revision, midnight)
	}
	read(room, noon.Add(time.Hour), "")
	read(room.Another(t), noon.Add(2*time.Hour), "")
	read(room, noon.Add(-24*time.Hour), "") // another clock
	// A day ends in UTC, wherever the clock is.
	sec = read(room, time.Date(2026, time.March, 4, 20, 0, 0, 0, time.FixedZone("", -6*3600)), "UpdateItem UpdateItem")
	if want := midnight.AddDate(0, 0, 1); !sec.Accessed.Equal(want) {
		t.Errorf("accessed = %v, want %v", sec.Accessed, want)
	}
	// A new version has not been read, the secret has.
	sec = update(t, room, putting("v2"))
	if want := midnight.AddDate(0, 0, 1); !sec.Accessed.Equal(want) || !get(t, room).Accessed.Equal(want) {
		t.Errorf("accessed = %v after a put, want %v", sec.Accessed, want)
	}
	read(room, noon.AddDate(0, 0, 1), "UpdateItem UpdateItem")
	versions, _ := everyVersion(t, room, sec, 10)
	for _, v := range versions {
		if want := midnight.AddDate(0, 0, 1); !v.Accessed.Equal(want) {
			t.Errorf("%s accessed = %v, want %v", v.ID, v.Accessed, want)
		}
	}
}

// Two reads of one moment in two processes note one day, and neither fails.
func TestTouchTwice(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	sec := create(t, room, "aaaaaa")
	v := secret.Version{ID: "v1"}
	for range 2 {
		if err := room.Store.Touch(t.Context(), sec, v, noon); err != nil {
			t.Fatal(err)
		}
	}
	if got := get(t, room); got.Accessed.Day() != 4 || got.Revision != 1 {
		t.Errorf("accessed = %v at revision %d", got.Accessed, got.Revision)
	}
}

// A read that is noted late brings back nothing, and is not noted on another
// secret of the name.
func TestTouchRemoved(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	sec := create(t, room, "aaaaaa")
	update(t, room, removing)
	takeAway(t, room, "SECRET#s", "VERSION#aaaaaa#v1")
	touch := func() {
		t.Helper()
		before := dump(t, room)
		if err := room.Store.Touch(t.Context(), sec, secret.Version{ID: "v1"}, noon); err != nil {
			t.Fatal(err)
		}
		wantUnchanged(t, room, before)
	}
	touch()
	create(t, room, "bbbbbb")
	touch()
}

// A version that was removed after it was read is not brought back, where its secret is
// there still.
func TestTouchPruned(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	sec := create(t, room, "aaaaaa")
	takeAway(t, room, "SECRET#s", "VERSION#aaaaaa#v1")
	if err := room.Store.Touch(t.Context(), sec, secret.Version{ID: "v1"}, noon); err != nil {
		t.Fatal(err)
	}
	if v, found, err := room.Another(t).Store.Version(t.Context(), get(t, room), "v1"); found || err != nil {
		t.Errorf("got %+v, %t, %v, want no version", v, found, err)
	}
}

// A read that could not be noted is noted with the next.
func TestTouchFails(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	sec := create(t, room, "aaaaaa")
	refused := localtest.Refuse(400, "TransactionConflictException")
	room.Wire.Break("UpdateItem", refused)
	v, _, err := room.Store.Version(t.Context(), sec, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := room.Store.Touch(t.Context(), sec, v, noon); err == nil {
		t.Error("no error of a read that could not be noted")
	}
	v, _, err = room.Store.Version(t.Context(), sec, "v1")
	if err != nil {
		t.Fatal(err)
	}
	took(room)
	if err := room.Store.Touch(t.Context(), get(t, room), v, noon); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, room, "GetItem UpdateItem UpdateItem")
}

// A herd of processes that read a large value at midnight writes to it once. Each has
// read the secret before any of them noted it.
func TestTouchHerd(t *testing.T) {
	t.Parallel()
	const processes = 50
	room := localtest.New(t)
	change := making(t, fresh("s", "aaaaaa"))
	change.Version.Sealed.Data = make([]byte, 65_536)
	sec, err := room.Store.Create(t.Context(), change)
	if err != nil {
		t.Fatal(err)
	}
	units := 0.0
	for range processes {
		r := room.Another(t)
		v, _, err := r.Store.Version(t.Context(), sec, "v1")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := r.Store.Touch(t.Context(), sec, v, noon); err != nil {
				t.Fatal(err)
			}
			if v, _, err = r.Store.Version(t.Context(), sec, "v1"); err != nil {
				t.Fatal(err)
			}
		}
		_, _, writes := r.Wire.Took()
		units += writes
	}
	// What a refused write costs is in no answer: a unit of the head, for all but one.
	if units += processes - 1; units > processes+67 {
		t.Errorf("%d processes wrote %g units, want one each and those of the version once", processes, units)
	}
	if got := get(t, room); got.AccessedVersion != "v1" || got.Accessed.IsZero() {
		t.Errorf("accessed = %v, %q", got.Accessed, got.AccessedVersion)
	}
	// One that begins later sees on the head that there is nothing to note.
	late := room.Another(t)
	sec = get(t, late)
	took(late)
	if err := late.Store.Touch(t.Context(), sec, secret.Version{ID: "v1"}, noon); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, late, "")
}
