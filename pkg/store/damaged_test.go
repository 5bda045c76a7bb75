package store_test

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// spoil changes an attribute of an item behind the store's back.
func spoil(t testing.TB, room *localtest.Room, item, attribute string, av types.AttributeValue) {
	t.Helper()
	it := maps.Clone(items(t, room)[item])
	if it == nil {
		t.Fatalf("there is no item %s", item)
	}
	it[attribute] = av
	place(t, room, it)
}

// An item that a newer version wrote is refused, and never written back.
func TestNewerItemsAreRefused(t *testing.T) {
	t.Parallel()
	for _, item := range []string{"SECRET#s HEAD", "SECRET#s VERSION#aaaaaa#v1"} {
		room := localtest.New(t)
		sec := create(t, room, "aaaaaa")
		spoil(t, room, item, "schema", &types.AttributeValueMemberN{Value: "99"})
		before := dump(t, room)
		other := room.Another(t)
		newer := func(what string, err error) {
			t.Helper()
			if e, ok := errors.AsType[*store.Newer](err); !ok || e.Schema != 99 {
				t.Errorf("%s, %s: got %v, want that it is newer", item, what, err)
			}
		}
		if item == "SECRET#s HEAD" {
			_, err := other.Store.Get(t.Context(), byName)
			newer("get", err)
			_, err = other.Store.Update(t.Context(), byName, putting("v2"))
			newer("update", err)
			_, err = other.Store.Create(t.Context(), making(t, fresh("s", "bbbbbb")))
			newer("create", err)
			_, err = other.Store.Look(t.Context(), "s")
			newer("look", err)
		} else {
			_, _, err := other.Store.Version(t.Context(), sec, "v1")
			newer("version", err)
			_, _, err = other.Store.Versions(t.Context(), sec, store.Page{Limit: 10})
			newer("versions", err)
			_, err = other.Store.Labelled(t.Context(), sec)
			newer("labelled", err)
		}
		wantUnchanged(t, room, before)
	}
}

// A process that remembers the head of before does not write over a newer one.
func TestNewerHeadOverRemembered(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	other := warm(t, room)
	update(t, room, putting("v2"))
	spoil(t, room, "SECRET#s HEAD", "schema", &types.AttributeValueMemberN{Value: "99"})
	before := dump(t, room)
	if _, err := other.Store.Update(t.Context(), byName, putting("v3")); !isType[*store.Newer](err) {
		t.Errorf("got %v, want that it is newer", err)
	}
	wantUnchanged(t, room, before)
}

// What cannot be read is the trouble of one secret: others are read with it in a list.
func TestOneDamagedHead(t *testing.T) {
	t.Parallel()
	for what, av := range map[string]types.AttributeValue{
		"a date that is none": &types.AttributeValueMemberS{Value: "yesterday"}, "a date that is a list": &types.AttributeValueMemberL{},
	} {
		room := localtest.New(t)
		create(t, room, "aaaaaa")
		if _, err := room.Store.Create(t.Context(), making(t, fresh("other", "bbbbbb"))); err != nil {
			t.Fatal(err)
		}
		attribute := "changed"
		if what == "a date that is a list" {
			attribute, av = "stages", &types.AttributeValueMemberS{Value: "v1"}
		}
		spoil(t, room, "SECRET#s HEAD", attribute, av)
		other := room.Another(t)
		var told []error
		found, err := other.Store.Secrets(t.Context(), []string{"s", "other"}, func(err error) { told = append(told, err) })
		if err != nil || !slices.Equal(sortedKeys(found), []string{"other"}) {
			t.Errorf("%s: found %v, %v, want the other one", what, sortedKeys(found), err)
		}
		if len(told) != 1 || !isType[*store.Damaged](told[0]) {
			t.Errorf("%s: told %v, want of the damaged one", what, told)
		}
		if _, err := other.Store.Get(t.Context(), byName); !isType[*store.Damaged](err) {
			t.Errorf("%s: got %v, want that it is damaged", what, err)
		}
		arn, err := other.Store.RemoveDamaged(t.Context(), byName, noon)
		if err != nil || arn != localtest.ARNs.Of("s", "aaaaaa") {
			t.Errorf("%s: removed %s, %v", what, arn, err)
		}
		wantKeys(t, room, "SECRET#other HEAD", "SECRET#other VERSION#bbbbbb#v1", "DIRECTORY#NAME other", "DIRECTORY#CREATED 2026-03-04T12:00:00.123Z#other",
			"SECRET#s LEFTOVER#aaaaaa", "SECRET#s VERSION#aaaaaa#v1")
		if _, err := other.Store.Create(t.Context(), making(t, fresh("s", "cccccc"))); err != nil {
			t.Errorf("%s: made again: %v", what, err)
		}
	}
}

func TestSoundIsNotDamaged(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	before := dump(t, room)
	for name, want := range map[string]error{"s": store.ErrMoved, "none": secret.NotFound} {
		if _, err := room.Store.RemoveDamaged(t.Context(), secret.ID{Name: name}, noon); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	wantUnchanged(t, room, before)
}

// A secret is made over rows of the directory that a restore left without their head.
func TestCreateOverStrayRows(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	takeAway(t, room, "SECRET#s", "HEAD")
	other := room.Another(t)
	sec, err := other.Store.Create(t.Context(), making(t, fresh("s", "bbbbbb")))
	if err != nil {
		t.Fatal(err)
	}
	rows, _, err := other.Store.Directory(t.Context(), store.Walk{Order: store.ByName, Limit: 10})
	if err != nil || len(rows) != 1 || !rows[0].Of(sec) {
		t.Errorf("got rows %+v, %v, want one of the new secret", rows, err)
	}
}

// A policy whose text is lost is told from one that was replaced a moment ago, and can
// be put anew, or taken away.
func TestLostPolicy(t *testing.T) {
	t.Parallel()
	for name, mend := range map[string]decide{
		"put":    puttingPolicy,
		"delete": func(sec secret.Secret) (secret.Change, error) { return sec.DeletePolicy(noon) },
	} {
		room := localtest.New(t)
		create(t, room, "aaaaaa")
		sec := update(t, room, puttingPolicy)
		takeAway(t, room, "SECRET#s", "POLICY#aaaaaa#"+sec.PolicyHash)
		if _, err := room.Another(t).Store.Policy(t.Context(), sec); !isType[*store.Damaged](err) {
			t.Errorf("got %v, want that it is lost", err)
		}
		sec = update(t, room, mend)
		if got, err := room.Another(t).Store.Policy(t.Context(), sec); err != nil || (got == policyText) != (name == "put") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// A damaged secret is removed only as it was read: not one that was mended and put
// meanwhile, nor one that a newer version wrote, nor under the ARN of another.
func TestRemoveDamagedOnly(t *testing.T) {
	t.Parallel()
	damage := func(t *testing.T) (*localtest.Room, item) {
		t.Helper()
		room := localtest.New(t)
		create(t, room, "aaaaaa")
		sound := items(t, room)["SECRET#s HEAD"]
		spoil(t, room, "SECRET#s HEAD", "changed", &types.AttributeValueMemberS{Value: "yesterday"})
		return room, sound
	}
	room, sound := damage(t)
	other := room.Another(t)
	var mended string
	other.Wire.Break(commitCall, after(func() {
		place(t, room, sound)
		update(t, room.Another(t), putting("v2"))
		mended = dump(t, room)
	}, make1))
	if _, err := other.Store.RemoveDamaged(t.Context(), byName, noon); !errors.Is(err, store.ErrMoved) {
		t.Errorf("mended meanwhile: got %v, want %v", err, store.ErrMoved)
	}
	wantUnchanged(t, room, mended)

	room, _ = damage(t)
	before := dump(t, room)
	if _, err := room.Store.RemoveDamaged(t.Context(), secret.ID{Name: "s", Suffix: "zzzzzz"}, noon); !errors.Is(err, secret.NotFound) {
		t.Errorf("under another ARN: got %v, want %v", err, secret.NotFound)
	}
	wantUnchanged(t, room, before)

	spoil(t, room, "SECRET#s HEAD", "schema", &types.AttributeValueMemberN{Value: "99"})
	before = dump(t, room)
	if _, err := room.Store.RemoveDamaged(t.Context(), byName, noon); !isType[*store.Newer](err) {
		t.Errorf("a newer one: got %v, want that it is newer", err)
	}
	wantUnchanged(t, room, before)
}

// One row of the index that cannot be read does not hold up the others of its shard.
func TestDueBesideDamage(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	update(t, room, deleting)
	spoil(t, room, "SECRET#s HEAD", "due", &types.AttributeValueMemberS{Value: "2026-02-30T12:00:00.000Z"})
	found := 0
	for shard := range store.Shards {
		tasks, _, err := room.Store.Due(t.Context(), store.Prunings, shard, noon.AddDate(1, 0, 0), nil)
		if err != nil {
			t.Error(err)
		}
		found += len(tasks)
	}
	if found != 1 {
		t.Errorf("%d tasks, want the one of the damaged secret", found)
	}
}

// A policy that is taken away and put again between two reads is not lost.
func TestPolicyPutAgainMeanwhile(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	sec := update(t, room, puttingPolicy)
	remove := func(sec secret.Secret) (secret.Change, error) { return sec.DeletePolicy(noon) }
	update(t, room, remove)
	other := room.Another(t)
	other.Wire.Break("GetItem", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		answer, err := do()
		update(t, room, puttingPolicy)
		return answer, err
	})
	if _, err := other.Store.Policy(t.Context(), sec); !errors.Is(err, store.ErrBusy) {
		t.Errorf("got %v, want %v", err, store.ErrBusy)
	}
}

// A restore to a moment within a transaction may leave a version whose head is older.
// It is no version of the secret: a put of it again is a put, and no process takes the
// lost value for the new one.
func TestPutOverTornVersion(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	before := items(t, room)["SECRET#s HEAD"]
	update(t, room, putting("v2"))
	place(t, room, before)
	spoil(t, room, "SECRET#s VERSION#aaaaaa#v2", "sealed", &types.AttributeValueMemberB{Value: []byte("lost")})

	reader, other := room.Another(t), room.Another(t)
	old := get(t, reader)
	if v, found, err := reader.Store.Version(t.Context(), old, "v2"); err != nil || !found || string(v.Sealed.Data) != "lost" {
		t.Fatalf("got %v, %t, %v, want the version that is left", v, found, err)
	} else if err := reader.Store.Touch(t.Context(), old, v, noon); err != nil {
		t.Fatal(err)
	}
	sec := update(t, other, putting("v2"))
	wantStages(t, sec, "[AWSCURRENT:v2 AWSPREVIOUS:v1]")
	wantCount(t, room, "v1", "v2")
	for name, r := range map[string]*localtest.Room{"writer": other, "reader": reader} {
		v, found, err := r.Store.Version(t.Context(), get(t, r), "v2")
		if err != nil || !found || string(v.Sealed.Data) != string(sealed("v2").Data) {
			t.Errorf("the %s got %q, %t, %v, want the value that was put", name, v.Sealed.Data, found, err)
		}
	}
	// It is a version now, and the same again is found.
	_, err := room.Another(t).Store.Update(t.Context(), byName, putting("v2"))
	if exists, ok := errors.AsType[*store.VersionExists](err); !ok || exists.Version.ID != "v2" {
		t.Errorf("got %v, want that the version exists", err)
	}
}
