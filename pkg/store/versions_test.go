package store_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

// putMany gives the secret versions up to n, the size of a sealed value each.
func putMany(t testing.TB, room *localtest.Room, n, size int) secret.Secret {
	t.Helper()
	data := bytes.Repeat([]byte{'x'}, size)
	var sec secret.Secret
	for i := 2; i <= n; i++ {
		sec = update(t, room, func(sec secret.Secret) (secret.Change, error) {
			change, err := putting(fmt.Sprintf("v%d", i))(sec)
			change.Version.Sealed.Data = data
			return change, err
		})
	}
	return sec
}

func TestVersionPages(t *testing.T) {
	t.Parallel()
	const n = 130
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	sec := putMany(t, room, n, 100)
	if sec.Versions != n {
		t.Errorf("versions = %d, want %d", sec.Versions, n)
	}
	all := make([]string, 0, n)
	for i := range n {
		all = append(all, fmt.Sprintf("v%d", i+1))
	}
	slices.Sort(all)
	for limit, want := range map[int]string{
		1:     fmt.Sprint(slices.Repeat([]int{1}, n)),
		7:     fmt.Sprint(append(slices.Repeat([]int{7}, 18), 4)),
		65:    "[65 65]", // the last page is full, and nobody asks for an empty one
		100:   "[100 30]",
		n - 1: "[129 1]",
		n:     "[130]",
		n + 1: "[130]",
	} {
		versions, pages := everyVersion(t, room, sec, limit)
		if got := fmt.Sprint(pages); got != want {
			t.Errorf("limit %d: pages of %s, want %s", limit, got, want)
		}
		if got := idsOf(versions); !slices.Equal(got, all) {
			t.Errorf("limit %d: versions %v", limit, got)
		}
	}

	versions, _ := everyVersion(t, room, sec, 100)
	want := slices.DeleteFunc(slices.Clone(versions), func(v secret.Version) bool { return len(sec.Stages.Of(v.ID)) == 0 })
	labelled, err := room.Store.Labelled(t.Context(), sec)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(labelled, want) || len(labelled) != 2 {
		t.Errorf("labelled = %+v\nwant       %+v", labelled, want)
	}
}

// The list shows what a version is, with the data key but not what is sealed under it.
func TestVersionsWithoutValues(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	sec := create(t, room, "aaaaaa")
	want := []secret.Version{{ID: "v1", Revision: 1, Created: noon, Sealed: secret.Sealed{KeyARN: sealed("v1").KeyARN, DataKey: sealed("v1").DataKey}}}
	if got, _ := everyVersion(t, room, sec, 10); !reflect.DeepEqual(got, want) {
		t.Errorf("versions = %+v\nwant       %+v", got, want)
	}
	if got, err := room.Store.Labelled(t.Context(), sec); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("labelled = %+v, %v\nwant       %+v", got, err, want)
	}
}

// DynamoDB ends an answer at 1 MB of what it read, so one page takes several.
func TestLargeVersions(t *testing.T) {
	t.Parallel()
	const n = 30
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	sec := putMany(t, room, n, secret.MaxValue)
	// One of these limits is where an answer ends by its size, too.
	for limit := 10; limit <= n+1; limit++ {
		var want []int
		for left := n; left > 0; left -= limit {
			want = append(want, min(left, limit))
		}
		took(room)
		versions, pages := everyVersion(t, room, sec, limit)
		if !slices.Equal(pages, want) {
			t.Errorf("limit %d: pages of %v, want %v", limit, pages, want)
		}
		ids := idsOf(versions)
		if len(slices.Compact(slices.Sorted(slices.Values(ids)))) != n || !slices.IsSorted(ids) {
			t.Errorf("limit %d: versions %v", limit, ids)
		}
		if calls := strings.Fields(took(room)); limit >= 29 && len(calls) < 2 {
			t.Errorf("limit %d: calls = %v: the engine answers with more than 1 MB", limit, calls)
		}
	}
	v, found, err := room.Another(t).Store.Version(t.Context(), sec, "v30")
	if err != nil || !found || len(v.Sealed.Data) != secret.MaxValue {
		t.Errorf("version of %d bytes, found %t, %v", len(v.Sealed.Data), found, err)
	}
}

// A label may be on a version that has no value yet, and versions may all have lost theirs.
func TestLabelledWithoutValues(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	sec := update(t, room, func(sec secret.Secret) (secret.Change, error) {
		sec.Stages = sec.Stages.Attach(secret.Pending, "empty")
		return secret.Change{Secret: sec}, nil
	})
	got, err := room.Store.Labelled(t.Context(), sec)
	if err != nil || !slices.Equal(idsOf(got), []string{"v1"}) {
		t.Errorf("labelled = %v, %v, want v1 alone", idsOf(got), err)
	}
	if _, found, err := room.Store.Version(t.Context(), sec, "empty"); found || err != nil {
		t.Errorf("version without a value: found %t, %v", found, err)
	}
	sec.Stages = nil
	took(room)
	if got, err := room.Store.Labelled(t.Context(), sec); len(got) != 0 || err != nil {
		t.Errorf("labelled = %v, %v, want none", got, err)
	}
	wantCalls(t, room, "")
}

// A version under a label is remembered; one without is asked for each time, as it may be gone.
func TestVersionMemory(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	update(t, room, putting("v2"))
	sec := update(t, room, putting("v3"))
	took(room)
	for id, want := range map[string]string{"v3": "", "v2": "", "v1": "GetItem"} {
		if _, found, err := room.Store.Version(t.Context(), sec, id); !found || err != nil {
			t.Errorf("%s: found %t, %v", id, found, err)
		}
		wantCalls(t, room, want)
	}
	takeAway(t, room, "SECRET#s", "VERSION#aaaaaa#v1")
	if _, found, err := room.Store.Version(t.Context(), sec, "v1"); found || err != nil {
		t.Errorf("v1, which is gone: found %t, %v", found, err)
	}
}
