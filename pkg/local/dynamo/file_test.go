package dynamo

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

func openTestFile(t *testing.T) *file {
	t.Helper()
	f, err := openFile(filepath.Join(t.TempDir(), "table.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.close() })
	return f
}

// set makes one entry.
func set(f *file, key, value string) error {
	return f.update(func(reader) ([]write, error) { return []write{{[]byte(key), []byte(value)}}, nil })
}

// got is the value of an entry, "" for none.
func got(f *file, key string) (value string, err error) {
	err = f.view(func(r reader) error {
		value = string(r.get([]byte(key)))
		return nil
	})
	return value, err
}

// An update that panics fails alone, and those that share its commit are done.
func TestPanicFailsOneUpdate(t *testing.T) {
	t.Parallel()
	f := openTestFile(t)
	var updates sync.WaitGroup
	for i := range 200 {
		updates.Go(func() {
			if i%10 == 0 {
				err := f.update(func(reader) ([]write, error) { panic("no such page") })
				if !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), f.db.Path()) || !strings.Contains(err.Error(), "no such page") {
					t.Errorf("got %v", err)
				}
				return
			}
			key := fmt.Sprint("key-", i)
			if err := set(f, key, "v"); err != nil {
				t.Error(err)
			}
			if value, err := got(f, key); err != nil || value != "v" {
				t.Errorf("%s: got %q, %v", key, value, err)
			}
		})
	}
	updates.Wait()
}

// What was decided on writes that were not made in the end is an error, not a refusal.
func TestFailedCommitFailsAll(t *testing.T) {
	t.Parallel()
	f := openTestFile(t)
	refusal := errors.New("it is there already")
	var errs [2]error
	deciding, queued := make(chan struct{}), make(chan struct{})
	var updates sync.WaitGroup
	updates.Go(func() {
		_ = f.update(func(reader) ([]write, error) { // holds the queue until both are in it
			close(deciding)
			<-queued
			return nil, nil
		})
	})
	<-deciding
	updates.Go(func() {
		errs[0] = f.update(func(reader) ([]write, error) {
			return []write{{[]byte("key"), []byte("v")}, {nil, []byte("a key that bbolt refuses")}}, nil
		})
	})
	waitForQueue(t, f, 1)
	updates.Go(func() {
		errs[1] = f.update(func(reader) ([]write, error) { return nil, refusal })
	})
	waitForQueue(t, f, 2)
	close(queued)
	updates.Wait()
	for i, err := range errs {
		if err == nil || errors.Is(err, refusal) {
			t.Errorf("update %d: got %v, want the error of the commit", i, err)
		}
	}
	if value, err := got(f, "key"); err != nil || value != "" {
		t.Errorf("got %q, %v, want nothing", value, err)
	}
	if err := set(f, "key", "v"); err != nil {
		t.Error(err)
	}
}

func waitForQueue(t *testing.T, f *file, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		f.mu.Lock()
		queued := len(f.queue)
		f.mu.Unlock()
		if queued == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %d updates in the queue, want %d", queued, n)
		}
	}
}

// An entry that was changed behind our back is an error, to reads and to updates, and
// the others are as they were.
func TestChecksum(t *testing.T) {
	t.Parallel()
	f := openTestFile(t)
	for _, key := range []string{"a", "b", "c"} {
		if err := set(f, key, "value of "+key); err != nil {
			t.Fatal(err)
		}
	}
	err := f.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		stored := bytes.Clone(b.Get([]byte("b")))
		stored[3] ^= 1
		return b.Put([]byte("b"), stored)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got(f, "b"); !errors.Is(err, errDamaged) {
		t.Errorf("got %v, want that it is damaged", err)
	}
	walk := func(r reader) { r.walk([]byte("a"), false, func(_, _ []byte) bool { return true }) }
	err = f.update(func(r reader) ([]write, error) {
		walk(r)
		return nil, nil
	})
	if !errors.Is(err, errDamaged) {
		t.Errorf("got %v, want that it is damaged", err)
	}
	for _, key := range []string{"a", "c"} {
		if value, err := got(f, key); err != nil || value != "value of "+key {
			t.Errorf("got %q, %v", value, err)
		}
	}
	if err := set(f, "b", "new"); err != nil {
		t.Error(err)
	}
	if value, err := got(f, "b"); err != nil || value != "new" {
		t.Errorf("got %q, %v", value, err)
	}
}

var flips = flag.Int("flips", 200, "how many damaged files TestFlippedBytes reads")

// A file with flipped bytes is refused, or what is read of it is right, or missing, or
// an error. Nothing panics, hangs, or is wrong.
func TestFlippedBytes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "table.db")
	want := fillFile(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for i := range *flips {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i)) // bbolt keeps one open whose opening ended in a panic
		spoiled := bytes.Clone(whole)
		for range 1 + rand.N(4) {
			spoiled[rand.N(len(spoiled))] ^= byte(1 + rand.N(255))
		}
		if rand.N(2) == 0 { // in the head of a page, where it does most
			spoiled[rand.N(len(spoiled)/4096)*4096+rand.N(64)] ^= byte(1 + rand.N(255))
		}
		if err := os.WriteFile(path, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		// One that hangs ends with the time of all tests, and shows where.
		if count[readSpoiled(t, path, want)]++; t.Failed() {
			return
		}
	}
	t.Logf("%d files: %v", *flips, count)
}

func fillFile(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := openFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i := range 300 {
		key := fmt.Sprintf("D key-%03d", i) // as if of tables
		want[key] = strings.Repeat(key, 1+i%40)
		if i%50 == 0 {
			want[key] = strings.Repeat(key, 1000) // of several pages
		}
	}
	err = f.update(func(reader) (writes []write, err error) {
		for key, value := range want {
			writes = append(writes, write{[]byte(key), []byte(value)})
		}
		return writes, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	return want
}

// readSpoiled says what became of a damaged file.
func readSpoiled(t *testing.T, path string, want map[string]string) string {
	f, err := openFile(path)
	if err != nil {
		return "refused"
	}
	outcome := readAll(t, f, want, "whole")
	wrote := 0
	for key := range want {
		if err := set(f, key, want[key]); errors.Is(err, errDamaged) {
			outcome = "damage found"
		}
		if wrote++; wrote == 10 {
			break
		}
	}
	outcome = readAll(t, f, want, outcome)
	_ = f.close()
	return outcome
}

func readAll(t *testing.T, f *file, want map[string]string, outcome string) string {
	for key, value := range want {
		switch found, err := got(f, key); {
		case err != nil:
			outcome = "damage found"
		case found == "" && outcome == "whole":
			outcome = "entries missing"
		case found != "" && found != value:
			t.Errorf("%s: got %.100q, want %.100q", key, found, value)
		}
	}
	return outcome
}

// A file opens again whatever it has been through.
func TestOpensAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "table.db")
	for range 40 {
		f, err := openFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			err := f.update(func(reader) (writes []write, err error) {
				first := map[string]bool{}
				for range rand.N(60) {
					key := fmt.Sprintf("D key-%03d", rand.N(400))
					if first[key] {
						continue
					}
					first[key] = true
					value := []byte(strings.Repeat("v", rand.N(30_000)))
					if rand.N(3) == 0 {
						value = nil // removes it
					}
					writes = append(writes, write{[]byte(key), value})
				}
				return writes, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := f.close(); err != nil {
			t.Fatal(err)
		}
	}
}
