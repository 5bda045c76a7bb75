package store_test

import (
	"bytes"
	"testing"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// What an operation costs in calls and in capacity units, for a value of 1 KB
// in a process that has seen nothing (cold), and in one that has (warm). A put is
// the head (2 units in a transaction), the version (4, being more than 1 KB with
// its data key) and its row in the index by age (1). A change that makes an
// operation dearer is to be made on purpose.
func TestCosts(t *testing.T) {
	t.Parallel()
	kilobyte := func(d decide) decide {
		return func(sec secret.Secret) (secret.Change, error) {
			change, err := d(sec)
			if err == nil && change.Version != nil {
				change.Version.Sealed.Data = bytes.Repeat([]byte{'x'}, 1024)
			}
			return change, err
		}
	}
	updating := func(d decide) func(*testing.T, *localtest.Room) {
		return func(t *testing.T, r *localtest.Room) { t.Helper(); update(t, r, kilobyte(d)) }
	}
	reading := func(f func(*testing.T, *localtest.Room, secret.Secret) error) func(*testing.T, *localtest.Room) {
		return func(t *testing.T, r *localtest.Room) {
			t.Helper()
			if err := f(t, r, get(t, r)); err != nil {
				t.Fatal(err)
			}
		}
	}
	type cost struct {
		calls         string
		reads, writes float64
	}
	for _, c := range []struct {
		name       string
		do         func(*testing.T, *localtest.Room)
		cold, warm cost
	}{
		{
			"put", updating(putting("v9")),
			cost{"GetItem TransactWriteItems", 1, 7},
			cost{"TransactWriteItems", 0, 7},
		},
		{
			"move a label", updating(moving("mine", "", "v1")),
			cost{"GetItem TransactWriteItems", 1, 4},
			cost{"TransactWriteItems", 0, 4},
		},
		{
			"delete", updating(deleting),
			cost{"GetItem TransactWriteItems", 1, 3},
			cost{"TransactWriteItems", 0, 3},
		},
		{
			"remove", updating(removing),
			cost{"GetItem TransactWriteItems", 1, 9},
			cost{"TransactWriteItems", 0, 9},
		},
		{
			"rotate", updating(rotating("v9")), // a check that v9 is not there, and a note with its row in the index
			cost{"GetItem TransactWriteItems", 1, 7},
			cost{"TransactWriteItems", 0, 7},
		},
		{
			"test a rotation function", updating(testingWith("v9")),
			cost{"GetItem TransactWriteItems", 1, 10},
			cost{"TransactWriteItems", 0, 10},
		},
		{"get the head", func(t *testing.T, r *localtest.Room) { t.Helper(); get(t, r) }, cost{"GetItem", 1, 0}, cost{"GetItem", 1, 0}},
		{
			"get a value", reading(func(t *testing.T, r *localtest.Room, sec secret.Secret) error {
				t.Helper()
				_, _, err := r.Store.Version(t.Context(), sec, "v2")
				return err
			}),
			cost{"GetItem GetItem", 2, 0},
			cost{"GetItem", 1, 0},
		},
		{
			"note a read", reading(func(t *testing.T, r *localtest.Room, sec secret.Secret) error {
				t.Helper()
				return r.Store.Touch(t.Context(), sec, secret.Version{ID: "v2"}, noon)
			}),
			cost{"GetItem UpdateItem UpdateItem", 1, 3},
			cost{"GetItem UpdateItem UpdateItem", 1, 3},
		},
		{
			"list versions", reading(func(t *testing.T, r *localtest.Room, sec secret.Secret) error {
				t.Helper()
				_, _, err := r.Store.Versions(t.Context(), sec, store.Page{Limit: 100})
				return err
			}),
			cost{"GetItem Query", 2, 0},
			cost{"GetItem Query", 2, 0},
		},
		{
			"list labelled versions", reading(func(t *testing.T, r *localtest.Room, sec secret.Secret) error {
				t.Helper()
				_, err := r.Store.Labelled(t.Context(), sec)
				return err
			}),
			cost{"GetItem BatchGetItem", 3, 0},
			cost{"GetItem BatchGetItem", 3, 0},
		},
		{
			"create what is there", func(t *testing.T, r *localtest.Room) {
				t.Helper()
				if _, err := r.Store.Create(t.Context(), making(t, fresh("s", "bbbbbb"))); !isType[*store.Exists](err) {
					t.Fatal(err)
				}
			},
			cost{"TransactWriteItems", 0, 0}, // DynamoDB charges the refused, but does not say how much
			cost{"TransactWriteItems", 0, 0},
		},
		{
			"create", func(t *testing.T, r *localtest.Room) {
				t.Helper()
				if _, err := r.Store.Create(t.Context(), making(t, fresh("new", "bbbbbb"))); err != nil {
					t.Fatal(err)
				}
			},
			cost{"TransactWriteItems", 0, 9},
			cost{"TransactWriteItems", 0, 9},
		},
	} {
		for name, want := range map[string]cost{"cold": c.cold, "warm": c.warm} {
			t.Run(c.name+", "+name, func(t *testing.T) {
				t.Parallel()
				room := localtest.New(t)
				create(t, room, "aaaaaa")
				update(t, room, kilobyte(putting("v2")))
				if name == "cold" {
					room = room.Another(t)
				}
				room.Wire.Took()
				c.do(t, room)
				var got cost
				got.calls, got.reads, got.writes = room.Wire.Took()
				if got != want {
					t.Errorf("cost = %+v, want %+v", got, want)
				}
			})
		}
	}
}
