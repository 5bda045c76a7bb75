//go:build reference

package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/local/dynamo"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// TestContract holds the store to its promises on the engine of this project, on
// another implementation of DynamoDB, and on whatever AWS_ENDPOINT_URL_DYNAMODB names:
//
//	AWS_ENDPOINT_URL_DYNAMODB=https://dynamodb.eu-central-1.amazonaws.com AWS_REGION=eu-central-1 \
//	    go test -tags reference ./pkg/store -run Contract
//
// It needs a table of its own there, which it makes and deletes.
func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("in this process", func(t *testing.T) {
		t.Parallel()
		testContract(t, dynamo.Memory())
	})
	t.Run("Dynoxide", func(t *testing.T) {
		t.Parallel()
		testContract(t, localtest.Reference(t, "../.."))
	})
	url := os.Getenv("AWS_ENDPOINT_URL_DYNAMODB")
	if url == "" {
		t.Log("AWS_ENDPOINT_URL_DYNAMODB is not set: nothing else to test on")
		return
	}
	t.Run(url, func(t *testing.T) {
		t.Parallel()
		cfg, err := config.LoadDefaultConfig(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		testContract(t, dynamodb.NewFromConfig(cfg))
	})
}

// An engine is a DynamoDB to test the store on.
type engine interface {
	store.DynamoDB
	store.Tables
}

// promises are what the store does on every engine. Each test has names of its own in
// the one table.
var promises = map[string]func(*contract){
	"create":          (*contract).create,
	"put":             (*contract).put,
	"rivals":          (*contract).rivals,
	"many at once":    (*contract).manyAtOnce,
	"labels":          (*contract).labels,
	"delete":          (*contract).deleteAndRestore,
	"remove":          (*contract).remove,
	"policy":          (*contract).policy,
	"rewrap":          (*contract).rewrap,
	"rotation":        (*contract).rotation,
	"prune":           (*contract).prune,
	"prune at once":   (*contract).pruneAtOnce,
	"touch":           (*contract).touch,
	"directory":       (*contract).directory,
	"versions":        (*contract).versions,
	"large versions":  (*contract).largeVersions,
	"batches":         (*contract).batches,
	"key of tokens":   (*contract).tokenKey,
	"capacity units":  (*contract).units,
	"cancelled calls": (*contract).cancelled,
}

func testContract(t *testing.T, db engine) {
	table := "strongroom-contract-" + uuid.NewString()
	t.Cleanup(func() { deleteTable(t, db, table) })
	for range 2 { // a table that is there is no error
		if err := store.CreateTable(t.Context(), db, table); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("promises", func(t *testing.T) { // ends before the table does
		for name, promise := range promises {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				promise(&contract{t, db, table, strings.ReplaceAll(name, " ", "-")})
			})
		}
	})
}

func deleteTable(t *testing.T, db engine, table string) {
	t.Helper()
	client, ok := db.(*dynamodb.Client)
	if !ok {
		return // in memory
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if _, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table}); err != nil {
		t.Errorf("table %s is left: %v", table, err)
	}
}

// A contract is the test of one promise.
type contract struct {
	*testing.T

	db    engine
	table string
	name  string // of the secret
}

// process is a store that remembers nothing.
func (c *contract) process() *store.Store { return store.New(c.db, c.table, localtest.ARNs) }

func (c *contract) id() secret.ID { return secret.ID{Name: c.name} }

func (c *contract) made(s *store.Store, suffix string) secret.Secret {
	c.Helper()
	sec, err := s.Create(c.Context(), making(c, fresh(c.name, suffix)))
	if err != nil {
		c.Fatal(err)
	}
	return sec
}

func (c *contract) update(s *store.Store, d decide) secret.Secret {
	c.Helper()
	sec, err := s.Update(c.Context(), c.id(), d)
	if err != nil {
		c.Fatal(err)
	}
	return sec
}

func (c *contract) refused(s *store.Store, d decide, check func(error) bool) {
	c.Helper()
	if _, err := s.Update(c.Context(), c.id(), d); !check(err) {
		c.Errorf("error = %v (%T)", err, err)
	}
}

func (c *contract) wantStored(want secret.Secret) {
	c.Helper()
	if got, err := c.process().Get(c.Context(), c.id()); err != nil || !reflect.DeepEqual(got, want) {
		c.Errorf("stored is %+v, %v\nwant %+v", got, err, want)
	}
}

func (c *contract) wantNone() {
	c.Helper()
	if got, err := c.process().Get(c.Context(), c.id()); !errors.Is(err, secret.NotFound) {
		c.Errorf("got %+v, %v, want %v", got, err, secret.NotFound)
	}
}

func (c *contract) wantVersions(sec secret.Secret, want ...string) {
	c.Helper()
	var got []string
	page := store.Page{Limit: 7}
	for more := true; more; {
		versions, m, err := c.process().Versions(c.Context(), sec, page)
		if err != nil {
			c.Fatal(err)
		}
		for _, v := range versions {
			got, page.After = append(got, v.ID), v.ID
		}
		more = m
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.Errorf("versions are %q, want %q", got, want)
	}
}

// eventually waits until an index shows something: those of a cloud trail.
func (c *contract) eventually(what string, shows func() bool) {
	c.Helper()
	for until := time.Now().Add(20 * time.Second); !shows(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			c.Fatalf("the index does not show %s", what)
		}
	}
}

// due is what a queue has due of the secret.
func (c *contract) due(queue store.Queue, until time.Time) (found []store.Task) {
	c.Helper()
	for part := range store.Shards {
		var from store.Cursor
		for more := true; more; more = from != nil {
			tasks, next, err := c.process().Due(c.Context(), queue, part, until, from)
			if err != nil {
				c.Fatal(err)
			}
			found = append(found, slices.DeleteFunc(tasks, func(task store.Task) bool { return task.ID.Name != c.name })...)
			from = next
		}
	}
	return found
}

func (c *contract) wantDue(queue store.Queue, until time.Time, want ...store.Task) {
	c.Helper()
	c.eventually(fmt.Sprintf("%+v", want), func() bool { return slices.Equal(c.due(queue, until), want) })
}

func (c *contract) create() {
	s := c.process()
	c.wantNone()
	sec := c.made(s, "aaaaaa")
	c.wantStored(sec)
	for name, s := range map[string]*store.Store{"warm": s, "cold": c.process()} {
		_, err := s.Create(c.Context(), making(c, fresh(c.name, "bbbbbb")))
		exists, ok := errors.AsType[*store.Exists](err)
		if !ok || !reflect.DeepEqual(exists.Secret, sec) {
			c.Errorf("%s: %v, want that %+v exists", name, err, sec)
		}
	}
	c.wantStored(sec)
	c.wantVersions(sec, "v1")
}

func (c *contract) put() {
	s := c.process()
	c.made(s, "aaaaaa")
	sec := c.update(s, putting("v2"))
	wantStages(c, sec, "[AWSCURRENT:v2 AWSPREVIOUS:v1]")
	c.wantStored(sec)
	got, found, err := c.process().Version(c.Context(), sec, "v2")
	if want := (secret.Version{ID: "v2", Revision: 2, Created: noon, Sealed: sealed("v2")}); !found || err != nil || !reflect.DeepEqual(got, want) {
		c.Errorf("version %+v, %t, %v, want %+v", got, found, err, want)
	}
	if _, found, err := s.Version(c.Context(), sec, "v9"); found || err != nil {
		c.Errorf("v9: found %t, %v", found, err)
	}
	for name, s := range map[string]*store.Store{"warm": s, "cold": c.process()} {
		_, err := s.Update(c.Context(), c.id(), putting("v1"))
		exists, ok := errors.AsType[*store.VersionExists](err)
		if !ok || !reflect.DeepEqual(exists.Secret, sec) || !reflect.DeepEqual(exists.Version, secret.Version{ID: "v1", Revision: 1, Created: noon, Sealed: sealed("v1")}) {
			c.Errorf("%s: put again: %v (%+v), want that v1 exists, as it was put", name, err, exists)
		}
	}
	within := func(d decide) decide {
		return func(sec secret.Secret) (secret.Change, error) {
			change, err := d(sec)
			change.Quota = 1
			return change, err
		}
	}
	sec = c.update(s, within(putting("v3"))) // which leaves one without a label
	c.refused(c.process(), within(putting("v4")), is(secret.QuotaExceeded))
	c.wantStored(sec)
}

// Who lost against another change is given the secret as it stands, and decides anew.
func (c *contract) rivals() {
	one, two := c.process(), c.process()
	c.made(one, "aaaaaa")
	c.update(two, moving("mine", "", "v1"))
	var asked []int64
	sec := c.update(one, func(sec secret.Secret) (secret.Change, error) {
		if asked = append(asked, sec.Revision); len(asked) == 2 {
			c.update(two, putting("v2"))
		}
		return putting("v3")(sec)
	})
	if !slices.Equal(asked, []int64{1, 2, 3}) || sec.Revision != 4 {
		c.Errorf("decided on revisions %v, and made %d, want 1 to 3, and 4", asked, sec.Revision)
	}
	wantStages(c, sec, "[AWSCURRENT:v3 AWSPREVIOUS:v2 mine:v1]")
	c.wantStored(sec)
	c.wantVersions(sec, "v1", "v2", "v3")
	c.update(two, removing)
	c.refused(one, putting("v4"), is(secret.NotFound))
	c.wantNone()
}

func (c *contract) manyAtOnce() {
	const processes, puts = 4, 5
	c.made(c.process(), "aaaaaa")
	var wg sync.WaitGroup
	want := []string{"v1"}
	for p := range processes {
		s := c.process()
		for n := range puts {
			want = append(want, fmt.Sprintf("p%d-%d", p, n))
		}
		wg.Go(func() {
			for n := range puts {
				if _, err := s.Update(c.Context(), c.id(), putting(fmt.Sprintf("p%d-%d", p, n))); err != nil {
					c.Error(err)
				}
			}
		})
	}
	wg.Wait()
	sec, err := c.process().Get(c.Context(), c.id())
	if err != nil || sec.Versions != len(want) || sec.Revision != int64(len(want)) || len(sec.Stages) != 2 {
		c.Errorf("%+v, %v, want %d versions at as many revisions, and two labels", sec, err, len(want))
	}
	c.wantVersions(sec, want...)
}

// A label moves only to a version that is there when it does.
func (c *contract) labels() {
	s := c.process()
	c.made(s, "aaaaaa")
	c.update(s, putting("v2"))
	c.update(s, moving("mine", "", "v1"))
	sec := c.update(s, moving(secret.Current, "v2", "v1"))
	wantStages(c, sec, "[AWSCURRENT:v1 AWSPREVIOUS:v2 mine:v1]")
	c.refused(s, moving("mine", "v1", "v9"), is(secret.NoSuchVersion("v9")))
	c.wantStored(sec)
	sec = c.update(s, moving("mine", "v1", ""))
	c.wantStored(sec)
}

func (c *contract) deleteAndRestore() {
	s := c.process()
	sec := c.made(s, "aaaaaa")
	deleted := c.update(s, deleting)
	c.wantStored(deleted)
	look, err := s.Look(c.Context(), c.name)
	if end := noon.AddDate(0, 0, 7); err != nil || !look.Due.Equal(end) || !deleted.Deletion.Equal(end) {
		c.Errorf("due %v, deleted %v, %v, want %v", look.Due, deleted.Deletion, err, end)
	}
	c.wantDue(store.Prunings, noon.AddDate(0, 0, 7), store.Task{ID: c.id(), Due: noon.AddDate(0, 0, 7)})
	restored := c.update(s, restoring)
	if !restored.Deletion.IsZero() || !reflect.DeepEqual(restored.Stages, sec.Stages) {
		c.Errorf("restored is %+v", restored)
	}
	c.wantStored(restored)
}

// What is removed is gone for everybody, and its versions are swept; a secret that has
// the name since keeps its own.
func (c *contract) remove() {
	s := c.process()
	old := c.made(s, "aaaaaa")
	const n = 30
	for i := 2; i <= n; i++ {
		c.update(s, puttingAt(i))
	}
	c.update(s, puttingPolicy)
	c.update(s, removing)
	c.wantNone()
	c.refused(s, putting("v0"), is(secret.NotFound))
	c.wantDue(store.Prunings, noon, store.Task{ID: secret.ID{Name: c.name, Suffix: "aaaaaa"}, Due: noon, Leftover: true})
	sec := c.made(c.process(), "bbbbbb")
	c.wantVersions(sec, "v1")
	var slicesOf []int
	done, err := s.Sweep(c.Context(), secret.ID{Name: c.name, Suffix: "aaaaaa"}, told, func(removed int) bool { slicesOf = append(slicesOf, removed); return true })
	if !done || err != nil || !slices.Equal(slicesOf, []int{25, 5}) {
		c.Errorf("done %t, %v, in slices of %v, want 25 and 5", done, err, slicesOf)
	}
	c.wantVersions(old)
	c.wantVersions(sec, "v1")
	c.wantStored(sec)
	c.wantDue(store.Prunings, noon)
}

func (c *contract) policy() {
	s := c.process()
	c.made(s, "aaaaaa")
	with := c.update(s, puttingPolicy)
	c.wantStored(with)
	check := func(sec secret.Secret, want string, wantErr error) {
		c.Helper()
		if got, err := c.process().Policy(c.Context(), sec); got != want || !errors.Is(err, wantErr) {
			c.Errorf("policy %q, %v, want %q, %v", got, err, want, wantErr)
		}
	}
	check(with, policyText, nil)
	other := c.update(s, func(sec secret.Secret) (secret.Change, error) { return sec.PutPolicy("other", noon) })
	check(other, "other", nil)
	check(with, "", store.ErrBusy)
	without := c.update(s, func(sec secret.Secret) (secret.Change, error) { return sec.DeletePolicy(noon) })
	check(without, "", nil)
	check(other, "", store.ErrBusy)
}

func (c *contract) rewrap() {
	s := c.process()
	c.made(s, "aaaaaa")
	sec := c.update(s, rewrapping)
	c.wantStored(sec)
	got, found, err := c.process().Version(c.Context(), sec, "v1")
	if !found || err != nil || bytes.Equal(got.Sealed.DataKey, sealed("v1").DataKey) || !bytes.Equal(got.Sealed.Data, sealed("v1").Data) {
		c.Errorf("version %+v, %t, %v, want another data key for the same data", got, found, err)
	}
}

// The note of what is due next follows the head.
func (c *contract) rotation() {
	s := c.process()
	c.made(s, "aaaaaa")
	note := func(due time.Time) store.Task {
		return store.Task{ID: secret.ID{Name: c.name, Suffix: "aaaaaa"}, Due: due}
	}
	rested := fresh(c.name, "aaaaaa") // as far as its schedule goes
	rested.Rotation = secret.Rotation{Rules: secret.RotationRules{AutomaticallyAfterDays: 30}, Next: month}
	for _, step := range []struct {
		decide decide
		due    []store.Task
	}{
		{rotating("v2"), []store.Task{note(noon)}},
		{leasing("me", 0, 10), []store.Task{note(at(10))}},
		{putting("v2", secret.Pending), []store.Task{note(at(10))}},
		{failing("me", 5), []store.Task{note(at(6))}},
		{deleting, nil},
		{restoring, []store.Task{note(at(6))}},
		{leasing("you", 6, 20), []store.Task{note(at(20))}},
		{moving(secret.Current, "v1", "v2"), []store.Task{note(at(20))}},
		{rotated("you"), []store.Task{note(rested.RotationDue())}},
		{testingWith("copy"), []store.Task{note(noon)}},
		{cancelling, nil}, // with its copy
		{rotating("v3"), []store.Task{note(noon)}},
		{removing, nil},
	} {
		sec := c.update(s, step.decide)
		if len(step.due) > 0 || sec.RotationDue().IsZero() {
			c.wantDue(store.Rotations, month.Closes, step.due...)
		}
	}
	c.wantNone()
}

// Versions go by age, under the condition that no label moved and no other run was first.
func (c *contract) prune() {
	s := c.process()
	c.made(s, "aaaaaa")
	for i := 2; i <= 6; i++ {
		c.update(s, noting(puttingAt(i)))
	}
	look := func() store.Look {
		c.Helper()
		look, err := c.process().Look(c.Context(), c.name)
		if err != nil {
			c.Fatal(err)
		}
		return look
	}
	first := look()
	want := dated("v1", "v2", "v3", "v4", "v5", "v6")
	c.eventually("six versions by age", func() bool {
		oldest, next, err := s.Oldest(c.Context(), first.Secret, nil)
		if err != nil || next != nil {
			c.Fatal(next, err)
		}
		return reflect.DeepEqual(oldest, want)
	})
	prune := func(l store.Look, remove []secret.Version, then store.Then, want int, wantErr error) {
		c.Helper()
		if n, err := s.Prune(c.Context(), l, remove, then); len(n) != want || !errors.Is(err, wantErr) {
			c.Errorf("removed %v, %v, want %d, %v", n, err, want, wantErr)
		}
	}
	c.update(c.process(), moving("mine", "", "v1"))
	prune(first, want[:1], store.Then{Keep: true}, 0, store.ErrMoved) // a label came in between
	c.update(c.process(), moving("mine", "v1", ""))
	second := look()
	other := slices.Clone(want[:3])
	other[2].Created = noon
	prune(second, other, store.Then{At: at(99)}, 2, nil) // v3 is not of that date
	if l := look(); !l.Due.Equal(second.Due) || l.Secret.Versions != 4 || l.Secret.Prunings != 1 {
		c.Errorf("%+v, want four versions, due as before", l)
	}
	prune(second, want[3:4], store.Then{}, 0, store.ErrMoved) // another run was first
	prune(look(), want[1:3], store.Then{At: at(99)}, 1, nil)  // v2 is gone already
	prune(look(), nil, store.Then{At: at(99)}, 0, nil)
	if l := look(); !l.Due.Equal(at(99)) {
		c.Errorf("due %v, want %v", l.Due, at(99))
	}
	last := look()
	c.update(c.process(), puttingAt(7))
	prune(last, want[3:4], store.Then{}, 1, nil)
	if l := look(); !l.Due.Equal(at(99)) {
		c.Errorf("due %v, want %v: it was changed since the look", l.Due, at(99))
	}
	prune(look(), nil, store.Then{}, 0, nil)
	l := look()
	if !l.Due.IsZero() {
		c.Errorf("due %v, want nothing", l.Due)
	}
	c.wantVersions(l.Secret, "v5", "v6", "v7")
	c.wantDue(store.Prunings, at(999))
}

// As many versions as are listed go in one transaction.
func (c *contract) pruneAtOnce() {
	s := c.process()
	c.made(s, "aaaaaa")
	const n = 60
	for i := 2; i <= n; i++ {
		c.update(s, noting(puttingAt(i)))
	}
	look, err := s.Look(c.Context(), c.name)
	if err != nil {
		c.Fatal(err)
	}
	var oldest []secret.Version
	c.eventually("all versions", func() bool {
		page, next, err := s.Oldest(c.Context(), look.Secret, nil)
		if err != nil || next == nil {
			return false
		}
		rest, _, err := s.Oldest(c.Context(), look.Secret, next)
		oldest = page
		return err == nil && len(page)+len(rest) == n
	})
	if removed, err := s.Prune(c.Context(), look, oldest, store.Then{}); len(removed) != 50 || err != nil {
		c.Errorf("removed %d, %v, want 50", len(removed), err)
	}
	sec, err := c.process().Get(c.Context(), c.id())
	if err != nil || sec.Versions != n-50 {
		c.Errorf("%d versions, %v, want %d", sec.Versions, err, n-50)
	}
	var left []string
	for i := 51; i <= n; i++ {
		left = append(left, fmt.Sprint("v", i))
	}
	c.wantVersions(sec, left...)
}

// A read is noted once a day, and brings nothing back.
func (c *contract) touch() {
	s := c.process()
	sec := c.made(s, "aaaaaa")
	v, _, err := s.Version(c.Context(), sec, "v1")
	if err != nil {
		c.Fatal(err)
	}
	for _, now := range []time.Time{noon, noon.Add(time.Hour), noon.AddDate(0, 0, -1)} {
		if err := c.process().Touch(c.Context(), sec, v, now); err != nil {
			c.Error(err)
		}
	}
	today := noon.Truncate(24 * time.Hour)
	sec.Accessed, sec.AccessedVersion = today, "v1"
	c.wantStored(sec)
	if got, _, err := c.process().Version(c.Context(), sec, "v1"); err != nil || !got.Accessed.Equal(today) {
		c.Errorf("version accessed %v, %v, want %v", got.Accessed, err, today)
	}
	sec.Accessed = time.Time{}
	c.update(s, removing)
	if _, err := s.Sweep(c.Context(), secret.ID{Name: c.name, Suffix: "aaaaaa"}, told, func(int) bool { return true }); err != nil {
		c.Error(err)
	}
	if err := c.process().Touch(c.Context(), sec, v, noon); err != nil {
		c.Error(err)
	}
	c.wantNone()
	c.wantVersions(sec)
}

// Secrets are listed by name and by creation, in either direction and pages of any size.
func (c *contract) directory() {
	s := c.process()
	names := []string{"b", "app/2", "app/10", "a", "app", "B"} // made in this order, the last two in one moment
	for i, name := range names {
		sec := fresh(c.name+"/"+name, "aaaaaa")
		sec.Created = noon.Add(time.Duration(min(i, 4)) * time.Millisecond)
		if _, err := s.Create(c.Context(), secret.Change{Secret: sec}); err != nil {
			c.Fatal(err)
		}
	}
	check := func(w store.Walk, want ...string) {
		c.Helper()
		for _, descending := range []bool{false, true} {
			for _, limit := range []int{1, 2, 3, 100} {
				w.Descending, w.Limit, w.After = descending, limit, ""
				if got := c.walk(s, w); !slices.Equal(got, want) {
					c.Errorf("%+v: %q, want %q", w, got, want)
				}
			}
			slices.Reverse(want)
		}
	}
	check(store.Walk{Order: store.ByName, Prefix: c.name + "/"}, "B", "a", "app", "app/10", "app/2", "b")
	check(store.Walk{Order: store.ByName, Prefix: c.name + "/app"}, "app", "app/10", "app/2")
	check(store.Walk{Order: store.ByName}, "B", "a", "app", "app/10", "app/2", "b")
	check(store.Walk{Order: store.ByCreated}, "b", "app/2", "app/10", "a", "B", "app")
	if _, err := s.Update(c.Context(), secret.ID{Name: c.name + "/app"}, removing); err != nil {
		c.Fatal(err)
	}
	check(store.Walk{Order: store.ByName, Prefix: c.name + "/a"}, "a", "app/10", "app/2")
}

// walk goes through the directory, and returns what is of this test.
func (c *contract) walk(s *store.Store, w store.Walk) (names []string) {
	c.Helper()
	for {
		rows, more, err := s.Directory(c.Context(), w)
		if err != nil {
			c.Fatal(err)
		}
		if len(rows) > w.Limit {
			c.Errorf("a page of %d, want %d at most", len(rows), w.Limit)
		}
		for _, row := range rows {
			w.After = row.Position
			if name, ok := strings.CutPrefix(row.Name, c.name+"/"); ok {
				names = append(names, name)
			}
		}
		if !more {
			return names
		}
	}
}

// Versions are listed by ID, in pages of any size, and without what was sealed.
func (c *contract) versions() {
	s := c.process()
	c.made(s, "aaaaaa")
	var sec secret.Secret
	want := []string{"v1"}
	for _, n := range rand.Perm(11) {
		id := fmt.Sprintf("v%02d", n)
		sec, want = c.update(s, putting(id)), append(want, id)
	}
	slices.Sort(want)
	for _, limit := range []int{1, 3, 4, 12, 100} {
		var got []string
		page := store.Page{Limit: limit}
		for more := true; more; {
			versions, m, err := s.Versions(c.Context(), sec, page)
			if err != nil || m && len(versions) != limit {
				c.Fatalf("a page of %d of %d, %v", len(versions), limit, err)
			}
			for _, v := range versions {
				got, page.After = append(got, v.ID), v.ID
				if len(v.Sealed.Data) > 0 || !v.Created.Equal(noon) {
					c.Errorf("version %+v, want one without what was sealed", v)
				}
			}
			more = m
		}
		if !slices.Equal(got, want) {
			c.Errorf("by %d: %q, want %q", limit, got, want)
		}
	}
}

// A list of versions that are more than DynamoDB answers at once is whole.
func (c *contract) largeVersions() {
	s := c.process()
	c.made(s, "aaaaaa")
	var sec secret.Secret
	want := []string{"v1"}
	for i := range 20 {
		id := fmt.Sprintf("v%02d", i)
		want = append(want, id)
		sec = c.update(s, func(sec secret.Secret) (secret.Change, error) {
			change, err := putting(id)(sec)
			if err == nil {
				change.Version.Sealed.Data = bytes.Repeat([]byte{byte(i)}, secret.MaxValue)
			}
			return change, err
		})
	}
	versions, more, err := s.Versions(c.Context(), sec, store.Page{Limit: 100})
	if slices.Sort(want); err != nil || more || !slices.Equal(idsOf(versions), want) {
		c.Errorf("%q, more %t, %v, want %q", idsOf(versions), more, err, want)
	}
	v, _, err := c.process().Version(c.Context(), sec, "v19")
	if err != nil || !bytes.Equal(v.Sealed.Data, bytes.Repeat([]byte{19}, secret.MaxValue)) {
		c.Errorf("v19 is %d bytes, %v, want what was put", len(v.Sealed.Data), err)
	}
}

// More secrets than DynamoDB reads at once are read, and so are labelled versions.
func (c *contract) batches() {
	s := c.process()
	want := map[string]secret.Secret{}
	names := []string{"nobody"}
	for i := range 105 {
		sec, err := s.Create(c.Context(), secret.Change{Secret: fresh(fmt.Sprint(c.name, "/", i), "aaaaaa")})
		if err != nil {
			c.Fatal(err)
		}
		sec.Stages = secret.Stages{}
		names, want[sec.Name] = append(names, sec.Name, sec.Name), sec
	}
	got, err := c.process().Secrets(c.Context(), names, nil)
	if err != nil || !reflect.DeepEqual(got, want) {
		c.Errorf("%d secrets, %v, want %d", len(got), err, len(want))
	}
	c.made(s, "aaaaaa")
	c.update(s, putting("v2"))
	c.update(s, putting("v3"))
	sec := c.update(s, putting("v4", secret.Pending))
	versions, err := c.process().Labelled(c.Context(), sec)
	if err != nil || !slices.Equal(idsOf(versions), []string{"v2", "v3", "v4"}) || len(versions[0].Sealed.Data) > 0 {
		c.Errorf("labelled are %+v, %v, want v2 to v4", versions, err)
	}
}

// All processes have one key of tokens, also when they ask for it at once.
func (c *contract) tokenKey() {
	var wg sync.WaitGroup
	keys := make([][]byte, 4)
	for i := range keys {
		s := c.process()
		wg.Go(func() {
			for until := time.Now().Add(20 * time.Second); ; {
				var err error
				if keys[i], err = s.TokenKey(c.Context()); err == nil {
					return
				}
				if !errors.Is(err, store.ErrBusy) || time.Now().After(until) {
					c.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if len(k) != 32 || !bytes.Equal(k, keys[0]) {
			c.Errorf("keys %x, want one of 32 bytes", keys)
		}
	}
}

// An operation costs what it does in the tests of costs, where the engine says so.
func (c *contract) units() {
	var mu sync.Mutex
	units, told := 0.0, false
	s := c.process().Metered(func(n float64) {
		mu.Lock()
		defer mu.Unlock()
		units, told = units+n, true
	})
	check := func(what string, want float64) {
		c.Helper()
		if told && units != want {
			c.Errorf("%s cost %v units, want %v", what, units, want)
		}
		units, told = 0, false
	}
	c.made(s, "aaaaaa")
	check("create", 2*4+1)
	sec := c.update(s, putting("v2"))
	check("put", 2*2+1)
	c.update(s, moving("mine", "", "v1"))
	check("move", 2*2)
	if _, err := s.Get(c.Context(), c.id()); err != nil {
		c.Error(err)
	}
	check("get", 1)
	if _, _, err := s.Versions(c.Context(), sec, store.Page{Limit: 10}); err != nil {
		c.Error(err)
	}
	check("list versions", 1)
	if err := s.Touch(c.Context(), sec, secret.Version{ID: "v1"}, noon); err != nil {
		c.Error(err)
	}
	check("touch", 2)
	c.update(s, removing)
	check("remove", 2*4+1)
}

// A call that was cancelled says so, and changes nothing.
func (c *contract) cancelled() {
	s := c.process()
	sec := c.made(s, "aaaaaa")
	ctx, cancel := context.WithCancel(c.Context())
	cancel()
	if _, err := s.Update(ctx, c.id(), putting("v2")); !errors.Is(err, context.Canceled) {
		c.Errorf("error = %v, want %v", err, context.Canceled)
	}
	c.wantStored(sec)
}
