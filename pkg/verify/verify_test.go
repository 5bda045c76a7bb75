package verify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
	"github.com/strongroom/strongroom/pkg/verify"
)

type item = map[string]types.AttributeValue

// noon is when everything happens.
var noon = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num(n int) types.AttributeValue { return &types.AttributeValueMemberN{Value: strconv.Itoa(n)} }

func keyOf(it item) string {
	return it["pk"].(*types.AttributeValueMemberS).Value + " " + it["sk"].(*types.AttributeValueMemberS).Value
}

// items are all of the table, by key.
func items(t testing.TB, room *localtest.Room) map[string]item {
	t.Helper()
	all := map[string]item{}
	found, err := localtest.Shared().Tables.Items(room.Table)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range found {
		all[keyOf(it)] = it
	}
	return all
}

func place(t testing.TB, room *localtest.Room, it item) {
	t.Helper()
	if _, err := localtest.Shared().DynamoDB().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &room.Table, Item: it}); err != nil {
		t.Fatal(err)
	}
}

func drop(t testing.TB, room *localtest.Room, key string) {
	t.Helper()
	it := items(t, room)[key]
	if it == nil {
		t.Fatalf("there is no item %s", key)
	}
	in := &dynamodb.DeleteItemInput{TableName: &room.Table, Key: item{"pk": it["pk"], "sk": it["sk"]}}
	if _, err := localtest.Shared().DynamoDB().DeleteItem(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// spoil changes an attribute; nil takes it away.
func spoil(t testing.TB, room *localtest.Room, key, attribute string, av types.AttributeValue) {
	t.Helper()
	it := maps.Clone(items(t, room)[key])
	if it == nil {
		t.Fatalf("there is no item %s", key)
	}
	if it[attribute] = av; av == nil {
		delete(it, attribute)
	}
	place(t, room, it)
}

type decide = func(secret.Secret) (secret.Change, error)

func putting(id string, labels ...string) decide {
	return func(sec secret.Secret) (secret.Change, error) {
		change, err := sec.Put(id, labels, noon)
		if err == nil {
			change.Version.Sealed = secret.Sealed{Kind: secret.String, KeyARN: "k", DataKey: []byte("d"), Data: []byte("EXAMPLE-VALUE")}
		}
		return change, err
	}
}

func update(t testing.TB, room *localtest.Room, name string, d decide) secret.Secret {
	t.Helper()
	sec, err := room.Another(t).Store.Update(t.Context(), secret.ID{Name: name}, d)
	if err != nil {
		t.Fatal(err)
	}
	return sec
}

// make1 makes a secret with version v1.
func make1(t testing.TB, room *localtest.Room, name, suffix string) secret.Secret {
	t.Helper()
	change, err := putting("v1")(secret.New(name, localtest.ARNs.Of(name, suffix), "", noon))
	if err != nil {
		t.Fatal(err)
	}
	sec, err := room.Store.Create(t.Context(), change)
	if err != nil {
		t.Fatal(err)
	}
	return sec
}

func rotating(token string, test bool) decide {
	return func(sec secret.Secret) (secret.Change, error) {
		change, err := sec.Rotate(secret.Rotate{
			Token: token, Lambda: "arn:aws:lambda:us-east-1:000000000000:function:f", Rules: &secret.RotationRules{AutomaticallyAfterDays: 9}, Test: test,
			Next: func(secret.RotationRules, time.Time) (secret.Window, error) {
				return secret.Window{Opens: noon.AddDate(0, 0, 9), Closes: noon.AddDate(0, 0, 10)}, nil
			},
		}, noon)
		if err == nil && change.Version != nil {
			change.Version.Sealed = secret.Sealed{Kind: secret.String, KeyARN: "k", DataKey: []byte("d"), Data: []byte("EXAMPLE-VALUE")}
		}
		return change, err
	}
}

func withPolicy(text string) decide {
	return func(sec secret.Secret) (secret.Change, error) { return sec.PutPolicy(text, noon) }
}

func deleting(sec secret.Secret) (secret.Change, error) { return sec.Delete(7, noon) }

func removing(sec secret.Secret) (secret.Change, error) { return sec.Remove(noon), nil }

// table is one with secrets in all states: s has everything, with v3 current, v2 previous
// and v4 mine; before it there was another of its name.
func table(t testing.TB) *localtest.Room {
	t.Helper()
	room := localtest.New(t)
	make1(t, room, "s", "former")
	update(t, room, "s", removing)
	make1(t, room, "s", "aaaaaa")
	for _, d := range []decide{putting("v2"), putting("v3"), putting("v4", "mine"), withPolicy("one"), withPolicy("two"), rotating("r1", false)} {
		update(t, room, "s", d)
	}
	for _, name := range []string{"cancelled", "deleted", "plain", "tested", "with#hash"} {
		make1(t, room, name, "bbbbbb")
	}
	update(t, room, "tested", rotating("t1", true))
	update(t, room, "cancelled", rotating("r1", false))
	update(t, room, "cancelled", func(sec secret.Secret) (secret.Change, error) { return sec.CancelRotation(noon) })
	update(t, room, "deleted", rotating("r1", false))
	update(t, room, "deleted", deleting)
	if _, err := room.Store.Create(t.Context(), secret.Change{Secret: secret.New("empty", localtest.ARNs.Of("empty", "cccccc"), "", noon)}); err != nil {
		t.Fatal(err)
	}
	return room
}

// verified runs over a table from another process, and returns what is said, in order.
func verified(t testing.TB, room *localtest.Room, repair bool) ([]verify.Finding, verify.Summary) {
	t.Helper()
	var found []verify.Finding
	v := &verify.Verifier{
		Store: room.Another(t).Store, Retention: secret.Retention{MaxVersions: 5}, Repair: repair, Now: func() time.Time { return noon },
		Report: func(f verify.Finding) { found = append(found, f) },
	}
	sum, err := v.Run(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(found, func(a, b verify.Finding) int { return strings.Compare(a.Secret+a.What, b.Secret+b.What) })
	if len(found) != sum.Findings {
		t.Errorf("%d findings are reported, and %d counted", len(found), sum.Findings)
	}
	return found, sum
}

func texts(found []verify.Finding) []string {
	var all []string
	for _, f := range found {
		text := f.Secret + ": " + f.What
		if f.Repairable {
			text += " *"
		}
		all = append(all, text)
	}
	return all
}

func wantWhole(t testing.TB, room *localtest.Room) {
	t.Helper()
	if found, sum := verified(t, room, false); len(found) > 0 || sum.Err() != nil {
		t.Errorf("found %q, %v, want nothing", texts(found), sum.Err())
	}
}

func TestWhole(t *testing.T) {
	t.Parallel()
	room := table(t)
	before := items(t, room)
	_, sum := verified(t, room, true)
	wantWhole(t, room)
	if want := (verify.Summary{Secrets: 7}); sum != want {
		t.Errorf("summary %+v, want %+v", sum, want)
	}
	if got := items(t, room); !reflect.DeepEqual(got, before) {
		t.Error("a whole table was changed")
	}
}

const (
	head    = "SECRET#s HEAD"
	created = "DIRECTORY#CREATED 2026-03-04T12:00:00.000Z#s"
	byName  = "DIRECTORY#NAME s"
	version = "SECRET#s VERSION#aaaaaa#"
	note    = "SECRET#s ROTATION#aaaaaa"
)

// Everything that can be wrong is found and named; a star is for what is repairable. What
// is repaired is as it was, and what is not is found again.
func TestFindings(t *testing.T) {
	t.Parallel()
	const two = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3" // SHA-256
	for _, c := range []struct {
		name string
		do   func(*testing.T, *localtest.Room)
		want []string
		// other says that a repair leaves another table than the one before.
		other bool
	}{
		{"no row by name", func(t *testing.T, r *localtest.Room) { t.Helper(); drop(t, r, byName) }, []string{"s: the directory by name does not list it *"}, false},
		{"no row by creation", func(t *testing.T, r *localtest.Room) { t.Helper(); drop(t, r, created) }, []string{"s: the directory by creation does not list it *"}, false},
		{"no rows, and noted for the schedules", func(t *testing.T, r *localtest.Room) { t.Helper(); drop(t, r, byName); drop(t, r, created) }, []string{"s: the directory by creation does not list it *", "s: the directory by name does not list it *"}, false},
		{"rows of the secret before", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, byName, "suffix", str("former"))
			spoil(t, r, created, "suffix", str("former"))
		}, []string{"s: its row in the directory by creation is wrong *", "s: its row in the directory by name is wrong *"}, false},
		{"a row of another date", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, byName, "created", str("2026-03-04T12:00:00.001Z"))
		}, []string{"s: its row in the directory by name is wrong *"}, false},
		{"rows that cannot be read", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, byName, "created", str("yesterday"))
			spoil(t, r, created, "name", num(1))
			spoil(t, r, created, "created", str("yesterday"))
		}, []string{"s: its row in the directory by creation is wrong *", "s: its row in the directory by name is wrong *"}, false},
		{"a row of a newer version", func(t *testing.T, r *localtest.Room) { t.Helper(); spoil(t, r, byName, "schema", num(99)) }, []string{
			"s: its row in the directory by name cannot be read: an item has format 99, and this version knows formats up to 3: deploy the newer version again",
		}, false},
		{"two rows by creation", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			it := maps.Clone(items(t, r)[created])
			it["sk"] = str("2026-03-03T12:00:00.000Z#s")
			place(t, r, it)
		}, []string{"s: the directory by creation lists it at another place, 2026-03-03T12:00:00.000Z#s *"}, false},
		{"rows without a secret", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			place(t, r, item{"pk": str("DIRECTORY#NAME"), "sk": str("none"), "name": str("none"), "suffix": str("dddddd")})
			place(t, r, item{"pk": str("DIRECTORY#CREATED"), "sk": str("2026-03-03T12:00:00.000Z#none"), "name": str("none"), "suffix": str("dddddd")})
		}, []string{`none: the directory by creation lists it with suffix "dddddd", and it is not there *`, `none: the directory by name lists it with suffix "dddddd", and it is not there *`}, false},
		{"a lost head", func(t *testing.T, r *localtest.Room) { t.Helper(); drop(t, r, head) }, []string{
			"s: its head is lost: the directory lists it, and it has 4 versions with suffix aaaaaa; restore the head from another backup, or create the secret again",
		}, false},
		{"a head that cannot be read", func(t *testing.T, r *localtest.Room) { t.Helper(); spoil(t, r, head, "changed", str("yesterday")) }, []string{
			`s: its head cannot be read: parsing time "yesterday" as "2006-01-02T15:04:05.000Z": cannot parse "yesterday" as "2006"`,
		}, false},
		{"a head of a newer version", func(t *testing.T, r *localtest.Room) { t.Helper(); spoil(t, r, head, "schema", num(99)) }, []string{
			"s: its head cannot be read: an item has format 99, and this version knows formats up to 3: deploy the newer version again",
		}, false},
		{"no policy", func(t *testing.T, r *localtest.Room) { t.Helper(); drop(t, r, "SECRET#s POLICY#aaaaaa#"+two) }, []string{
			"s: the text of its resource policy is lost; put the policy again, or delete it",
		}, false},
		{"another text", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, "SECRET#s POLICY#aaaaaa#"+two, "text", str("three"))
		}, []string{"s: the text of its resource policy is lost; put the policy again, or delete it"}, false},
		{"a policy too many", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			place(t, r, item{"pk": str("SECRET#s"), "sk": str("POLICY#aaaaaa#abc"), "text": str("one")})
			place(t, r, item{"pk": str("SECRET#s"), "sk": str("POLICY#former#abc"), "text": str("one")})
		}, []string{
			"s: the text of a resource policy is left of a removed secret, POLICY#former#abc *",
			"s: the text of a resource policy is left that it does not have, POLICY#aaaaaa#abc *",
		}, false},
		{"a torn policy", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			before := items(t, r)[head]
			update(t, r, "s", withPolicy("three"))
			place(t, r, before)
		}, []string{
			"s: the text of a resource policy is left that it does not have, POLICY#aaaaaa#8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f; it may be the one to put again",
			"s: the text of its resource policy is lost; put the policy again, or delete it",
		}, false},
		{"labels on what is gone", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			drop(t, r, version+"v3")
			drop(t, r, version+"v4")
		}, []string{"s: AWSCURRENT is on version v3, which is not there", "s: it counts 4 versions, and has 2 *", "s: mine is on version v4, which is not there"}, true},
		{"a test without its copy", func(t *testing.T, r *localtest.Room) { t.Helper(); drop(t, r, "SECRET#tested VERSION#bbbbbb#t1") }, []string{
			"tested: AWSPENDING is on version t1, which is not there", "tested: it counts 2 versions, and has 1 *",
		}, true},
		{"AWSPENDING of nobody", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, "SECRET#plain HEAD", "stages", &types.AttributeValueMemberM{Value: item{"AWSCURRENT": str("v1"), "AWSPENDING": str("v2")}})
		}, []string{"plain: AWSPENDING is on version v2, which is not there"}, false},
		{"a torn put", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			before := items(t, r)[head]
			update(t, r, "s", putting("v5"))
			place(t, r, before)
		}, []string{
			"s: the note of its next rotation is wrong *", // the put ended the one that was under way
			"s: version v5 was put by revision 8, and the secret was restored to revision 7; put it again, or move a label to it",
		}, false},
		{"a torn put, and another since", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			before := items(t, r)[head]
			update(t, r, "s", putting("v5"))
			place(t, r, before)
			update(t, r, "s", putting("v6"))
		}, []string{
			"s: it counts 5 versions, and has 6 *",
			"s: versions v5 and v6 were put by the same revision, so one is left of before a restore",
		}, true},
		{"a wrong count", func(t *testing.T, r *localtest.Room) { t.Helper(); spoil(t, r, head, "versions", num(10)) }, []string{
			"s: it counts 10 versions, and has 4 *",
			"s: it has more versions than it keeps, and they are not noted to be pruned *",
		}, true},
		{"versions that cannot be read", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, version+"v1", "created", str("yesterday"))
			spoil(t, r, version+"v2", "secret", str("s#former"))
			spoil(t, r, version+"v3", "schema", num(99))
		}, []string{
			`s: version v1 cannot be read: parsing time "yesterday" as "2006-01-02T15:04:05.000Z": cannot parse "yesterday" as "2006"`,
			"s: version v2 is not what its key says, and is never pruned",
			"s: version v3 cannot be read: an item has format 99, and this version knows formats up to 3: deploy the newer version again",
		}, false},
		{"too many versions, and not noted", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			for i := range 5 {
				update(t, r, "s", putting(fmt.Sprint("w", i)))
			}
		}, []string{"s: it has more versions than it keeps, and they are not noted to be pruned *"}, true},
		{"a deletion without its end", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, "SECRET#deleted HEAD", "due", nil)
			spoil(t, r, "SECRET#deleted HEAD", "shard", nil)
		}, []string{"deleted: the end of its recovery window is not noted *"}, false},
		{"a deletion with another end", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, "SECRET#deleted HEAD", "due", str("2027-03-04T12:00:00.000Z"))
		}, []string{"deleted: the end of its recovery window is not noted *"}, false},
		{"a wrong shard", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, "SECRET#deleted HEAD", "shard", str("DUE#9"))
		}, []string{
			"deleted: it is in the wrong part of the index of what is due *",
		}, false},
		{"a shard and nothing due", func(t *testing.T, r *localtest.Room) { t.Helper(); spoil(t, r, head, "shard", str("DUE#1")) }, []string{
			"s: it is in the wrong part of the index of what is due *",
		}, false},
		{"no note of a rotation", func(t *testing.T, r *localtest.Room) { t.Helper(); drop(t, r, note) }, []string{"s: its next rotation is not noted *"}, false},
		{"a note of another time", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, note, "due", str("2026-03-04T12:00:00.001Z"))
		}, []string{
			"s: the note of its next rotation is wrong *",
		}, false},
		{"a note that cannot be read", func(t *testing.T, r *localtest.Room) { t.Helper(); spoil(t, r, note, "due", str("soon")) }, []string{
			"s: the note of its next rotation is wrong *",
		}, false},
		{"a note of a newer version", func(t *testing.T, r *localtest.Room) { t.Helper(); spoil(t, r, note, "schema", num(99)) }, []string{
			"s: item ROTATION#aaaaaa cannot be read: an item has format 99, and this version knows formats up to 3: deploy the newer version again",
		}, false},
		{"notes of no rotation", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			for _, key := range [][2]string{{"plain", "bbbbbb"}, {"s", "former"}, {"none", "dddddd"}} {
				place(t, r, item{"pk": str("SECRET#" + key[0]), "sk": str("ROTATION#" + key[1]), "shard": str("ROTATE#1"), "due": str("2026-03-04T12:00:00.000Z")})
			}
		}, []string{
			"none: a rotation of a removed secret, dddddd, is noted *",
			"plain: a rotation is noted, and none is due *",
			"s: a rotation of a removed secret, former, is noted *",
		}, false},
		{"leftovers that nothing notes", func(t *testing.T, r *localtest.Room) { t.Helper(); drop(t, r, "SECRET#s LEFTOVER#former") }, []string{
			"s: 1 versions are left of a removed secret, former, and not noted to be removed *",
		}, false},
		{"leftovers that nothing notes, and no secret", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			update(t, r, "s", removing)
			drop(t, r, "SECRET#s LEFTOVER#aaaaaa")
		}, []string{"s: 4 versions are left of a removed secret, aaaaaa, and not noted to be removed *"}, true},
		{"leftovers noted where nobody looks", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, "SECRET#s LEFTOVER#former", "shard", str("DUE#9"))
		}, []string{"s: the note of versions that are left of a removed secret, former, is wrong *"}, false},
		{"a torn removal", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			place(t, r, item{"pk": str("SECRET#plain"), "sk": str("LEFTOVER#bbbbbb"), "shard": str("DUE#1"), "due": str("2026-03-04T12:00:00.000Z")})
		}, []string{"plain: its versions are noted to be removed, as those of a removed secret *"}, false},
		{"what nobody knows", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			place(t, r, item{"pk": str("SECRET#s"), "sk": str("SOMETHING")})
		}, []string{"s: item SOMETHING is of no kind that is known"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			room := table(t)
			before := items(t, room)
			c.do(t, room)
			spoiled := items(t, room)
			found, sum := verified(t, room, false)
			if got := texts(found); !slices.Equal(got, c.want) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if sum.Err() == nil {
				t.Error("no error for a table that is not whole")
			}
			if !reflect.DeepEqual(items(t, room), spoiled) {
				t.Error("a run without repairs changed the table")
			}
			found, sum = verified(t, room, true)
			var left []string
			for i, f := range found {
				if f.Repairable != f.Repaired {
					t.Errorf("%s: repairable %t, repaired %t", f.What, f.Repairable, f.Repaired)
				}
				if !f.Repaired {
					left = append(left, texts(found)[i])
				}
			}
			if sum.Repaired != len(found)-len(left) || (sum.Err() == nil) != (len(left) == 0) {
				t.Errorf("summary %+v, %v, want %d repaired and %d left", sum, sum.Err(), len(found)-len(left), len(left))
			}
			again, _ := verified(t, room, true)
			if got := texts(again); !slices.Equal(got, left) {
				t.Errorf("found after a repair\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(left, "\n"))
			}
			if got := items(t, room); len(left) == 0 && !c.other && !reflect.DeepEqual(got, before) {
				t.Error("it was repaired to another table than the one before")
			}
		})
	}
}

// What others do while a table is verified is no finding, and no repair gets in their way.
func TestBesideTraffic(t *testing.T) {
	t.Parallel()
	room := table(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	loop := func(do func(r *localtest.Room, i int)) {
		r := room.Another(t)
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				do(r, i)
			}
		})
	}
	loop(func(r *localtest.Room, i int) {
		if _, err := r.Store.Update(t.Context(), secret.ID{Name: "s"}, func(sec secret.Secret) (secret.Change, error) {
			change, err := putting(fmt.Sprint("x", i))(sec)
			change.Pruning = secret.Soon
			return change, err
		}); err != nil {
			t.Error(err)
		}
	})
	loop(func(r *localtest.Room, i int) {
		if _, err := r.Store.Update(t.Context(), secret.ID{Name: "plain"}, withPolicy(fmt.Sprint(i))); err != nil {
			t.Error(err)
		}
	})
	loop(func(r *localtest.Room, i int) {
		change, err := putting("v1")(secret.New("comes", localtest.ARNs.Of("comes", fmt.Sprintf("%06d", i)), "", noon.Add(time.Duration(i)*time.Millisecond)))
		if err == nil {
			_, err = r.Store.Create(t.Context(), change)
		}
		if err == nil {
			_, err = r.Store.Update(t.Context(), secret.ID{Name: "comes"}, rotating("r1", false))
		}
		if err == nil {
			_, err = r.Store.Update(t.Context(), secret.ID{Name: "comes"}, removing)
		}
		if err == nil && i%3 > 0 {
			id := secret.ID{Name: "comes", Suffix: fmt.Sprintf("%06d", i)}
			_, err = r.Store.Sweep(t.Context(), id, func([]string) error { return nil }, func(int) bool { return true })
		}
		if err != nil {
			t.Error(err)
		}
	})
	loop(func(r *localtest.Room, _ int) {
		look, err := r.Store.Look(t.Context(), "s")
		if err != nil {
			t.Error(err)
			return
		}
		oldest, _, err := r.Store.Oldest(t.Context(), look.Secret, nil)
		if err != nil {
			t.Error(err)
		}
		remove, _, _ := look.Secret.Prunable(oldest, secret.Retention{MaxVersions: 3}, noon.Add(time.Hour))
		if _, err := r.Store.Prune(t.Context(), look, remove, store.Then{Keep: true}); err != nil && !errors.Is(err, store.ErrMoved) {
			t.Error(err)
		}
	})
	for range 30 {
		found, _ := verified(t, room, true)
		for _, f := range found {
			if !strings.Contains(f.What, "changed too often") {
				t.Errorf("found %q of a table that is whole", f.Secret+": "+f.What)
			}
		}
	}
	cancel()
	wg.Wait()
	wantWhole(t, room)
}

// A repair that was decided on a secret that has changed since does nothing.
func TestRepairOfWhatChanged(t *testing.T) {
	t.Parallel()
	for _, key := range []string{byName, note} {
		room := table(t)
		drop(t, room, key)
		other := room.Another(t)
		faults, err := other.Store.Examine(t.Context(), "s", nil, secret.Retention{MaxVersions: 5}, noon)
		if err != nil || len(faults) != 1 {
			t.Fatalf("found %v, %v, want one", faults, err)
		}
		update(t, room, "s", removing)
		before := items(t, room)
		if err := other.Store.Repair(t.Context(), faults[0]); !errors.Is(err, store.ErrMoved) {
			t.Errorf("got %v, want %v", err, store.ErrMoved)
		}
		if !reflect.DeepEqual(items(t, room), before) {
			t.Errorf("%s was repaired for a secret that is removed", key)
		}
	}
}

// A run ends before its deadline, says where, and another goes on from there.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for i := range 450 {
		make1(t, room, fmt.Sprintf("s%03d", i), "aaaaaa")
	}
	drop(t, room, "DIRECTORY#NAME s449")
	other := room.Another(t)
	v := &verify.Verifier{Store: other.Store, Retention: secret.DefaultRetention, Margin: time.Hour}
	var found []verify.Finding
	v.Report = func(f verify.Finding) { found = append(found, f) }
	next, secrets, runs := "", 0, 0
	for ; runs < 20; runs++ {
		other.Wire.Break("Query", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			time.Sleep(20 * time.Millisecond) // longer than the run may take
			return do()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour+20*time.Millisecond)
		sum, err := v.Run(ctx, next)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		secrets += sum.Secrets
		if (sum.Err() == nil) != (sum.Next == "" && sum.Findings == 0) {
			t.Errorf("summary %+v has the error %v", sum, sum.Err())
		}
		if next = sum.Next; next == "" {
			break
		}
	}
	if secrets != 450 || len(found) != 1 {
		t.Errorf("%d secrets were examined in %d runs, with findings %v, want 450 and one", secrets, runs, found)
	}
	if runs < 5 { // one for each page of the two orders, and the last
		t.Errorf("it took %d runs, want more", runs)
	}
	for _, from := range []string{"s001", "DIRECTORY s001", "DUES"} {
		if _, err := v.Run(t.Context(), from); err == nil {
			t.Errorf("%s is taken for where a run ended", from)
		}
	}
}

// What cannot be read now is an error, and the others are verified all the same.
func TestFailure(t *testing.T) {
	t.Parallel()
	room := table(t)
	drop(t, room, note)
	other := room.Another(t)
	other.Wire.Break("GetItem", slices.Repeat([]localtest.Fault{localtest.Refuse(http.StatusBadRequest, "AccessDeniedException")}, 3)...)
	var found []verify.Finding
	v := &verify.Verifier{Store: other.Store, Retention: secret.Retention{MaxVersions: 5}, Report: func(f verify.Finding) { found = append(found, f) }}
	sum, err := v.Run(t.Context(), "")
	if err == nil || strings.Count(err.Error(), "AccessDeniedException") != 3 || sum.Secrets != 7 {
		t.Errorf("got %+v, %v, want three errors among seven", sum, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Run(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// Progress counts up to the number of secrets.
func TestProgress(t *testing.T) {
	t.Parallel()
	room := table(t)
	drop(t, room, note)
	var told []verify.Progress
	v := &verify.Verifier{
		Store: room.Another(t).Store, Retention: secret.Retention{MaxVersions: 5},
		Progress: func(p verify.Progress) { told = append(told, p) },
	}
	if _, err := v.Run(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if len(told) != 7 || told[6] != (verify.Progress{Secrets: 7, Of: 7, Findings: 1}) || told[0].Of != 7 {
		t.Errorf("told %v, want seven steps", told)
	}
}

// What changes while a secret is examined is no finding: it is looked at again.
func TestChangesMeanwhile(t *testing.T) {
	t.Parallel()
	before := func(do func()) localtest.Fault {
		return func(_ *http.Request, call func() (*http.Response, error)) (*http.Response, error) {
			do()
			return call()
		}
	}
	pass := before(func() {})
	for _, c := range []struct {
		name  string
		spoil func(*testing.T, *localtest.Room, *localtest.Wire)
	}{
		{"made and removed between the looks at its head", func(t *testing.T, r *localtest.Room, w *localtest.Wire) {
			t.Helper()
			update(t, r, "plain", removing)
			w.Break("BatchGetItem", before(func() { make1(t, r, "plain", "dddddd") }))
			w.Break("GetItem", pass, before(func() { update(t, r, "plain", removing) }))
		}},
		{"pruned", func(t *testing.T, r *localtest.Room, w *localtest.Wire) {
			t.Helper()
			for _, id := range []string{"v2", "v3"} {
				update(t, r, "plain", func(sec secret.Secret) (secret.Change, error) {
					change, err := putting(id)(sec)
					change.Pruning = secret.Anew
					return change, err
				})
			}
			w.Break("Query", before(func() {
				look, err := r.Store.Look(t.Context(), "plain")
				if err != nil {
					t.Error(err)
				}
				removed, err := r.Store.Prune(t.Context(), look, []secret.Version{{ID: "v1", Created: noon}}, store.Then{Keep: true})
				if err != nil || len(removed) != 1 {
					t.Errorf("pruned %v, %v, want v1", removed, err)
				}
			}))
		}},
		{"put", func(t *testing.T, r *localtest.Room, w *localtest.Wire) {
			t.Helper()
			w.Break("Query", before(func() { update(t, r, "plain", putting("v2")) }))
		}},
		{"given a policy", func(t *testing.T, r *localtest.Room, w *localtest.Wire) {
			t.Helper()
			w.Break("Query", before(func() { update(t, r, "plain", withPolicy("one")) }))
		}},
		{"to be rotated", func(t *testing.T, r *localtest.Room, w *localtest.Wire) {
			t.Helper()
			w.Break("Query", before(func() { update(t, r, "plain", rotating("r1", false)) }))
		}},
		{"replicated", func(t *testing.T, r *localtest.Room, w *localtest.Wire) {
			t.Helper()
			w.Break("Query", before(func() { update(t, r, "plain", replicating) }))
		}},
		{"replicated again", func(t *testing.T, r *localtest.Room, w *localtest.Wire) {
			t.Helper()
			update(t, r, "plain", replicating)
			w.Break("Query", before(func() { update(t, r, "plain", replicating) }))
		}},
		{"replicated no more", func(t *testing.T, r *localtest.Room, w *localtest.Wire) {
			t.Helper()
			update(t, r, "plain", replicating)
			w.Break("Query", before(func() {
				update(t, r, "plain", func(sec secret.Secret) (secret.Change, error) {
					return sec.RemoveReplicas([]string{"eu-west-1"}, noon)
				})
			}))
		}},
		{"removed and made again", func(t *testing.T, r *localtest.Room, w *localtest.Wire) {
			t.Helper()
			w.Break("BatchGetItem", before(func() {
				update(t, r, "plain", removing)
				make1(t, r, "plain", "dddddd")
			}))
		}},
		{"removed", func(t *testing.T, r *localtest.Room, w *localtest.Wire) {
			t.Helper()
			w.Break("BatchGetItem", before(func() { update(t, r, "plain", removing) }))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			room := table(t)
			other := room.Another(t)
			c.spoil(t, room, other.Wire)
			faults, err := other.Store.Examine(t.Context(), "plain", nil, secret.Retention{MaxVersions: 5}, noon)
			if err != nil || len(faults) > 0 {
				t.Errorf("found %v, %v, want nothing", faults, err)
			}
		})
	}
}

// A finding that two walks come to is reported once.
func TestReportedOnce(t *testing.T) {
	t.Parallel()
	room := table(t)
	spoil(t, room, created, "schema", num(99)) // found by name and by creation
	if found, _ := verified(t, room, false); len(found) != 1 {
		t.Errorf("found %q, want one", texts(found))
	}
}

func replicating(sec secret.Secret) (secret.Change, error) {
	return sec.Replicate([]secret.Replica{{Region: "eu-west-1"}}, noon)
}

// A note of a replica that says what is not so, or that no runner would find, is found and
// written anew: a replica would be stale for ever, or stay where it should go.
func TestReplicas(t *testing.T) {
	t.Parallel()
	const (
		note      = "SECRET#plain REPLICA#bbbbbb#eu-west-1"
		wrong     = "plain: the note of its replica in eu-west-1 is missing or wrong *"
		left      = "plain: it is not replicated to eu-west-1 any more, and its replica there is not noted to be removed *"
		plainHead = "SECRET#plain HEAD"
	)
	for _, c := range []struct {
		name string
		do   func(*testing.T, *localtest.Room)
		want []string
	}{
		{"in sync", func(*testing.T, *localtest.Room) {}, nil},
		{"to be delivered", func(t *testing.T, r *localtest.Room) { t.Helper(); update(t, r, "plain", putting("v2")) }, nil},
		{"to be removed", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			update(t, r, "plain", func(sec secret.Secret) (secret.Change, error) { return sec.RemoveReplicas([]string{"eu-west-1"}, noon) })
		}, nil},
		{"no note", func(t *testing.T, r *localtest.Room) { t.Helper(); drop(t, r, note) }, []string{wrong}},
		{"of another copy", func(t *testing.T, r *localtest.Room) { t.Helper(); spoil(t, r, note, "copy", num(1)) }, []string{wrong}},
		{"in no queue", func(t *testing.T, r *localtest.Room) { t.Helper(); spoil(t, r, note, "synced", num(1)) }, []string{wrong}},
		{"in another queue", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			update(t, r, "plain", putting("v2"))
			spoil(t, r, note, "shard", str("REPLICATE#99"))
		}, []string{wrong}},
		{"in a queue without a time", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			update(t, r, "plain", putting("v2"))
			spoil(t, r, note, "due", nil)
		}, []string{wrong}},
		{"of a later state than the secret was restored to", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, note, "revision", num(9))
			spoil(t, r, note, "synced", num(9))
		}, []string{wrong}},
		{"of a Region that is not listed", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			spoil(t, r, plainHead, "replicas", &types.AttributeValueMemberL{})
		}, []string{left}},
		{"of a secret that is gone", func(t *testing.T, r *localtest.Room) {
			t.Helper()
			for _, key := range slices.Collect(maps.Keys(items(t, r))) {
				if strings.HasPrefix(key, "SECRET#plain ") && key != note {
					drop(t, r, key)
				}
			}
		}, []string{
			"plain: it is not replicated to eu-west-1 any more, and its replica there is not noted to be removed *",
			`plain: the directory by creation lists it with suffix "bbbbbb", and it is not there *`,
			`plain: the directory by name lists it with suffix "bbbbbb", and it is not there *`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			room := table(t)
			update(t, room, "plain", replicating)
			task := store.Task{ID: secret.ID{Name: "plain", Suffix: "bbbbbb"}, Region: "eu-west-1"}
			r, err := room.Store.Replication(t.Context(), task)
			if err != nil {
				t.Fatal(err)
			}
			if settled, err := room.Store.Settled(t.Context(), r, r.Secret.Revision); err != nil || !settled {
				t.Fatal(settled, err)
			}
			c.do(t, room)
			if found, _ := verified(t, room, true); !slices.Equal(texts(found), c.want) {
				t.Errorf("found %q, want %q", texts(found), c.want)
			}
			wantWhole(t, room)
			if r, err := room.Store.Replication(t.Context(), task); err != nil || len(c.want) > 0 && !r.IsDue(noon) {
				t.Errorf("got %+v, %v, want it due", r, err)
			}
		})
	}
}
