package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

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

func TestDates(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	const n = 105
	names, want := []string{"nobody", "s0"}, map[string]store.Dates{}
	for i := range n {
		sec := fresh(fmt.Sprintf("s%d", i), "aaaaaa")
		sec.Changed = noon.Add(time.Duration(i) * time.Millisecond)
		if i%2 == 0 {
			sec.Accessed = noon.Truncate(24 * time.Hour)
		}
		if _, err := room.Store.Create(t.Context(), secret.Change{Secret: sec}); err != nil {
			t.Fatal(err)
		}
		names, want[sec.Name] = append(names, sec.Name), store.DatesOf(sec)
	}
	spoil(t, room, "SECRET#s7 HEAD", "changed", str("yesterday"))
	spoil(t, room, "SECRET#s8 HEAD", "schema", &types.AttributeValueMemberN{Value: "99"})
	delete(want, "s7")
	delete(want, "s8")
	took(room)
	var told []string
	got, err := room.Store.Dates(t.Context(), names, func(err error) {
		if damaged, ok := errors.AsType[*store.Damaged](err); ok {
			told = append(told, damaged.Name)
		}
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got dates of %d, %v, want %d: %v", len(got), err, len(want), got)
	}
	if slices.Sort(told); !slices.Equal(told, []string{"s7", "s8"}) {
		t.Errorf("told of %q, want of both that cannot be read", told)
	}
	if calls, reads, _ := room.Wire.Took(); calls != "BatchGetItem BatchGetItem" || reads != n+1 {
		t.Errorf("took %s and %v units, want two calls and a unit for each name", calls, reads)
	}
}

// A row that cannot be read has its place, and says why.
func TestDamagedRows(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for i, name := range []string{"a", "b", "c"} {
		sec := fresh(name, "aaaaaa")
		sec.Created = noon.Add(time.Duration(i) * time.Second)
		if _, err := room.Store.Create(t.Context(), secret.Change{Secret: sec}); err != nil {
			t.Fatal(err)
		}
	}
	for order, position := range map[store.Order]string{store.ByName: "b", store.ByCreated: store.Position(noon.Add(time.Second), "b")} {
		spoil(t, room, string(order)+" "+position, "name", &types.AttributeValueMemberL{})
		rows, _, err := room.Store.Directory(t.Context(), store.Walk{Order: order, Limit: 10})
		if err != nil || len(rows) != 3 || rows[0].Err != nil || rows[2].Err != nil {
			t.Fatalf("%s: got %+v, %v", order, rows, err)
		}
		if row := rows[1]; row.Name != "" || row.Position != position || !isType[*store.Damaged](row.Err) {
			t.Errorf("%s: got %+v, want it at %s, and damaged", order, row, position)
		}
	}
}
