package store_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

// between decides as d does, but lets another process change the secret first
// when it is asked the first time. It notes what it was asked with.
func between(rival func(), d decide, asked *[]secret.Secret) decide {
	return func(sec secret.Secret) (secret.Change, error) {
		if *asked = append(*asked, sec); len(*asked) == 1 {
			rival()
		}
		return d(sec)
	}
}

// Who loses against another is asked again about what won, without a read.
func TestConflictCostsNoRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		room func(testing.TB, *localtest.Room) *localtest.Room
		want string
	}{
		"cold": {func(t testing.TB, r *localtest.Room) *localtest.Room { t.Helper(); return r.Another(t) }, "GetItem TransactWriteItems TransactWriteItems"},
		"warm": {warm, "TransactWriteItems TransactWriteItems"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			winner := localtest.New(t)
			create(t, winner, "aaaaaa")
			loser := c.room(t, winner)
			var asked []secret.Secret
			var won secret.Secret
			sec := update(t, loser, between(func() { won = update(t, winner, putting("v2")) }, putting("v3"), &asked))
			wantCalls(t, loser, c.want)
			if len(asked) != 2 || asked[0].Revision != 1 || !reflect.DeepEqual(asked[1], won) {
				t.Errorf("decided on %+v, want revision 1 and then %+v", asked, won)
			}
			wantStages(t, sec, "[AWSCURRENT:v3 AWSPREVIOUS:v2]")
			if sec.Versions != 3 || sec.Revision != 3 {
				t.Errorf("%d versions, revision %d, want 3 and 3", sec.Versions, sec.Revision)
			}
			// The loser now remembers what it wrote.
			update(t, loser, putting("v4"))
			wantCalls(t, loser, "TransactWriteItems")
		})
	}
}

// What the state forbids is refused only on the state as it is.
func TestStaleMemory(t *testing.T) {
	t.Parallel()
	removeAndMake := func(t testing.TB, r *localtest.Room) { t.Helper(); update(t, r, removing); create(t, r, "bbbbbb") }
	for _, c := range []struct {
		name   string
		before decide // what the process has seen
		rival  func(testing.TB, *localtest.Room)
		id     secret.ID
		decide decide
		err    error
		stages string
		calls  string
	}{
		{
			"refused on what is no more", deleting,
			func(t testing.TB, r *localtest.Room) { t.Helper(); update(t, r, restoring) },
			byName, putting("v2"), nil, "[AWSCURRENT:v2 AWSPREVIOUS:v1]", "GetItem TransactWriteItems",
		},
		{
			"refused on what won", nil,
			func(t testing.TB, r *localtest.Room) { t.Helper(); update(t, r, deleting) },
			byName, putting("v2"), secret.MarkedForDeletion, "", "TransactWriteItems",
		},
		{
			"still refused", deleting, func(testing.TB, *localtest.Room) {},
			byName, putting("v2"), secret.MarkedForDeletion, "", "GetItem",
		},
		{
			"nothing to do no more", nil,
			func(t testing.TB, r *localtest.Room) { t.Helper(); update(t, r, deleting) },
			byName, restoring, nil, "[AWSCURRENT:v1]", "GetItem TransactWriteItems",
		},
		{
			"the label has moved", nil,
			func(t testing.TB, r *localtest.Room) { t.Helper(); update(t, r, putting("v2")) },
			byName, moving(secret.Current, "v2", "v1"), nil, "[AWSCURRENT:v1 AWSPREVIOUS:v2]", "GetItem TransactWriteItems",
		},
		{
			"removed", nil,
			func(t testing.TB, r *localtest.Room) { t.Helper(); update(t, r, removing) },
			byName, putting("v2"), secret.NotFound, "", "TransactWriteItems",
		},
		{
			"removed, and nothing to do", nil,
			func(t testing.TB, r *localtest.Room) { t.Helper(); update(t, r, removing) },
			byName, restoring, secret.NotFound, "", "GetItem",
		},
		{
			"made again, by name", nil, removeAndMake,
			byName, putting("v2"), nil, "[AWSCURRENT:v2 AWSPREVIOUS:v1]", "TransactWriteItems TransactWriteItems",
		},
		{
			"made again, by the old ARN", nil, removeAndMake,
			secret.ID{Name: "s", Suffix: "aaaaaa"},
			putting("v2"), secret.NotFound, "", "TransactWriteItems",
		},
		{
			"made again, by the new ARN", nil, removeAndMake,
			secret.ID{Name: "s", Suffix: "bbbbbb"},
			putting("v2"), nil, "[AWSCURRENT:v2 AWSPREVIOUS:v1]", "GetItem TransactWriteItems",
		},
		{
			"never was, by ARN", nil, func(testing.TB, *localtest.Room) {},
			secret.ID{Name: "s", Suffix: "cccccc"},
			putting("v2"), secret.NotFound, "", "GetItem",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			winner := localtest.New(t)
			create(t, winner, "aaaaaa")
			if c.before != nil {
				update(t, winner, c.before)
			}
			room := warm(t, winner)
			c.rival(t, winner)
			before := dump(t, winner)
			sec, err := room.Store.Update(t.Context(), c.id, func(sec secret.Secret) (secret.Change, error) {
				if !sec.Is(c.id) {
					t.Errorf("decided on %s, which %v is not", sec.ARN, c.id)
				}
				return c.decide(sec)
			})
			wantCalls(t, room, c.calls)
			if !errors.Is(err, c.err) {
				t.Fatalf("error = %v, want %v", err, c.err)
			}
			if err != nil {
				wantUnchanged(t, winner, before)
				return
			}
			wantStages(t, sec, c.stages)
			if got := get(t, winner); !reflect.DeepEqual(got, sec) {
				t.Errorf("stored is %+v\nreturned %+v", got, sec)
			}
		})
	}
}

// The old ARN finds nothing also where the new secret is remembered.
func TestOldARN(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	update(t, room, removing)
	create(t, room, "bbbbbb")
	before := dump(t, room)
	_, err := room.Store.Update(t.Context(), secret.ID{Name: "s", Suffix: "aaaaaa"}, func(secret.Secret) (secret.Change, error) {
		t.Error("asked to decide on another secret")
		return secret.Change{}, errStop
	})
	if !errors.Is(err, secret.NotFound) {
		t.Errorf("error = %v, want %v", err, secret.NotFound)
	}
	wantUnchanged(t, room, before)
}

// A name that is free again can be taken where the old secret is remembered.
func TestCreateOverMemory(t *testing.T) {
	t.Parallel()
	winner := localtest.New(t)
	create(t, winner, "aaaaaa")
	update(t, winner, putting("v2")) // the old secret's revisions are higher
	update(t, winner, putting("v3"))
	room := warm(t, winner)
	update(t, winner, removing)
	if sec := create(t, room, "bbbbbb"); sec.Revision != 1 {
		t.Errorf("revision = %d, want 1", sec.Revision)
	}
	wantCalls(t, room, "TransactWriteItems")
	update(t, room, putting("v2"))
	wantCalls(t, room, "TransactWriteItems")
}

// To remove what another has removed is done.
func TestRemoveRemoved(t *testing.T) {
	t.Parallel()
	winner := localtest.New(t)
	create(t, winner, "aaaaaa")
	room := warm(t, winner)
	update(t, winner, removing)
	before := dump(t, winner)
	update(t, room, removing)
	wantUnchanged(t, winner, before)
}

// A refusal, or any error, that decide returns after a conflict is returned as it is.
func TestErrorOfDecide(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	took(room)
	before := dump(t, room)
	_, err := room.Store.Update(t.Context(), byName, func(secret.Secret) (secret.Change, error) { return secret.Change{}, errStop })
	if !errors.Is(err, errStop) {
		t.Errorf("error = %v, want %v", err, errStop)
	}
	wantCalls(t, room, "") // an error of ours is no refusal: no read takes it back
	wantUnchanged(t, room, before)
}
