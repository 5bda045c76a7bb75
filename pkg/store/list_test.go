package store_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// walk goes through the directory to its end.
func walk(t testing.TB, room *localtest.Room, w store.Walk) []string {
	t.Helper()
	names := []string{}
	for {
		rows, more, err := room.Store.Directory(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) > w.Limit {
			t.Errorf("a page of %d rows, want no more than %d", len(rows), w.Limit)
		}
		for _, r := range rows {
			names, w.After = append(names, r.Name), r.Position
		}
		if !more {
			return names
		}
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	// Made in this order, two of them in one moment.
	names := []string{"b", "app/2", "app/10", "a", "app", "B"}
	for i, name := range names {
		sec := fresh(name, "aaaaaa")
		sec.Created = noon.Add(time.Duration(min(i, 4)) * time.Millisecond)
		if _, err := room.Store.Create(t.Context(), secret.Change{Secret: sec}); err != nil {
			t.Fatal(err)
		}
	}
	byCreation := []string{"b", "app/2", "app/10", "a", "B", "app"}
	reversed := slices.Clone(byCreation)
	slices.Reverse(reversed)
	check := func(w store.Walk, want ...string) {
		t.Helper()
		for _, w.Limit = range []int{1, 2, 3, 6, 100} {
			if got := walk(t, room, w); !slices.Equal(got, want) {
				t.Errorf("%+v: %v, want %v", w, got, want)
			}
		}
	}
	check(store.Walk{Order: store.ByName}, "B", "a", "app", "app/10", "app/2", "b")
	check(store.Walk{Order: store.ByName, Descending: true}, "b", "app/2", "app/10", "app", "a", "B")
	check(store.Walk{Order: store.ByName, Prefix: "app"}, "app", "app/10", "app/2")
	check(store.Walk{Order: store.ByName, Prefix: "app/", Descending: true}, "app/2", "app/10")
	check(store.Walk{Order: store.ByName, Prefix: "c"})
	check(store.Walk{Order: store.ByCreated}, byCreation...)
	check(store.Walk{Order: store.ByCreated, Descending: true}, reversed...)

	// The row that a page ended with may be gone when the next is asked for.
	rows, _, err := room.Store.Directory(t.Context(), store.Walk{Order: store.ByName, Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := room.Store.Update(t.Context(), secret.ID{Name: rows[1].Name}, removing); err != nil {
		t.Fatal(err)
	}
	check(store.Walk{Order: store.ByName, After: rows[1].Position}, "app", "app/10", "app/2", "b")
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	const n = 105 // more than one batch
	names := []string{"nobody", "s0"}
	want := map[string]secret.Secret{}
	for i := range n {
		sec := fresh(fmt.Sprintf("s%d", i), "aaaaaa")
		made, err := room.Store.Create(t.Context(), secret.Change{Secret: sec})
		if err != nil {
			t.Fatal(err)
		}
		made.Stages = secret.Stages{}
		names, want[made.Name] = append(names, made.Name), made
	}
	took(room)
	got, err := room.Store.Secrets(t.Context(), names, nil)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%d secrets, %v, want %d: %v", len(got), err, len(want), got)
	}
	wantCalls(t, room, "BatchGetItem BatchGetItem")
	room.Wire.Behave(localtest.Cloud{Unprocessed: 40})
	got, err = room.Store.Secrets(t.Context(), names, nil)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("with keys left unprocessed: %d secrets, %v, want %d", len(got), err, len(want))
	}
	wantCalls(t, room, "BatchGetItem BatchGetItem BatchGetItem BatchGetItem") // 40, 40, 20 and 6 of 106 keys
	if got, err := room.Store.Secrets(t.Context(), nil, nil); err != nil || len(got) != 0 {
		t.Errorf("no names: %v, %v", got, err)
	}
	wantCalls(t, room, "")
}
