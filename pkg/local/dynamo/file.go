package dynamo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/strongroom/strongroom/pkg/local/private"
)

// A file is a kv in one bbolt file, in one bucket.
//
// What an update returns for is synced to the disk. Updates that arrive while one
// is being synced share the next commit: each is decided on what the ones before
// it wrote.
//
// A commit that fails, on a full disk for one, leaves the file as it was, and the
// next may succeed. One that finds the file damaged is the last.
type file struct {
	db *bbolt.DB

	mu      sync.Mutex
	leading bool      // one of the updates is committing
	queue   []*update // wait for the next commit
	broken  error     // why nothing is written any more
}

// An update waits for its turn to lead a commit, or for its end.
type update struct {
	decide func(reader) ([]write, error)
	err    error
	turn   chan struct{} // receives when it is to lead the next commit
	done   chan struct{} // closed when err says how it ended
}

var bucket = []byte("dynamo 1")

// openFile opens a file, which is made where there is none. Its folder belongs to
// this process alone, see pkg/local.
func openFile(path string) (*file, error) {
	if err := createFile(path); err != nil {
		return nil, explain(path, err)
	}
	db, err := openBolt(path)
	if err != nil {
		return nil, explain(path, err)
	}
	if err := checkFile(db); err != nil {
		return nil, explain(path, errors.Join(err, db.Close()))
	}
	return &file{db: db}, nil
}

// checkFile finds a file that is not all there, or not a table.
func checkFile(db *bbolt.DB) (err error) {
	defer recoverDamage(&err)()
	info, err := os.Stat(db.Path())
	if err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() || tx.Bucket(bucket) == nil {
			return errDamaged
		}
		if err := checkPages(tx); err != nil {
			return err
		}
		return checkEntries(tx.Bucket(bucket), tx.Size())
	})
}

// checkPages looks whether each page of a file that is not large ends within it. bbolt
// frees as many pages as one says that it has, and would take all memory for it.
func checkPages(tx *bbolt.Tx) error {
	if tx.Size() > maxChecked {
		return nil
	}
	pages := int(tx.Size()) / tx.DB().Info().PageSize
	for id := 0; id < pages; id++ {
		page, err := tx.Page(id)
		switch {
		case err != nil:
			return err
		case page.Type == "free": // and what it said before means nothing
		case page.OverflowCount >= pages-id:
			return errDamaged
		default:
			id += page.OverflowCount
		}
	}
	return nil
}

const (
	// maxChecked is how large a file may be for all of it to be read at the start,
	// which takes some 25 ms.
	maxChecked = 16 << 20
	// maxEmpty is larger than a file without an entry.
	maxEmpty = 16 * 16 << 10
)

// checkEntries looks whether all entries are in order, where they are looked for, and
// as they were written. In a large file only the first is read: it defines a table.
func checkEntries(b *bbolt.Bucket, size int64) error {
	var last []byte
	c := b.Cursor()
	for k, v := c.First(); k != nil && (last == nil || size <= maxChecked); k, v = c.Next() {
		if last == nil && k[0] != spaceTable || last != nil && bytes.Compare(last, k) >= 0 || b.Get(k) == nil {
			return errDamaged
		}
		valueOf(k, v)
		last = k
	}
	if last == nil && size > maxEmpty {
		return errDamaged
	}
	return nil
}

// createFile makes an empty table file where there is none: under another name
// first, so that a file cut short is never taken for a new one.
func createFile(path string) error {
	switch info, err := os.Lstat(path); {
	case err == nil && info.Size() == 0:
		return errDamaged // which bbolt would take for a new one
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := openBolt(fresh)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return private.Sync(filepath.Dir(path))
}

func openBolt(path string) (_ *bbolt.DB, err error) {
	defer recoverDamage(&err)()
	return bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      time.Second, // the folder is locked already: an old process that is just ending
		FreelistType: bbolt.FreelistMapType,
		OpenFile:     func(path string, flag int, _ os.FileMode) (*os.File, error) { return private.Open(path, flag) },
	})
}

// explain says what can be done about a file that does not open.
func explain(path string, err error) error {
	for _, damage := range []error{bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, bolterrors.ErrChecksum, errDamaged} {
		if errors.Is(err, damage) {
			return fmt.Errorf("%s is damaged, or not a table of Strongroom (%w); put it back from a backup, or use --data with another folder", path, err)
		}
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("another process has %s open; stop it, or use --data with another folder", path)
	}
	return fmt.Errorf("cannot open the table file %s: %w", path, err)
}

var errDamaged = errors.New("the table file is damaged")

// close closes the file. A commit that ended in a panic may hold bbolt's lock for
// good: then the end of the process does it.
func (f *file) close() error {
	f.mu.Lock()
	broken := f.broken
	f.mu.Unlock()
	if broken != nil {
		return nil
	}
	return f.db.Close()
}

func (f *file) view(do func(reader) error) (err error) {
	defer f.name(&err)
	defer recoverDamage(&err)()
	return f.db.View(func(tx *bbolt.Tx) error { return do(pages{tx.Bucket(bucket)}) })
}

// name adds the path to an error that says that the file is damaged.
func (f *file) name(err *error) {
	if errors.Is(*err, errDamaged) {
		*err = fmt.Errorf("%s: %w; put it back from a backup", f.db.Path(), *err)
	}
}

func (f *file) update(decide func(reader) ([]write, error)) error {
	u := &update{decide: decide, turn: make(chan struct{}, 1), done: make(chan struct{})}
	f.mu.Lock()
	f.queue = append(f.queue, u)
	if !f.leading {
		f.leading = true
		u.turn <- struct{}{}
	}
	f.mu.Unlock()
	select {
	case <-u.turn:
		f.lead()
	case <-u.done:
	}
	return u.err
}

// lead commits what is in the queue, its own update with it, and hands on to the
// first of those that have come since.
func (f *file) lead() {
	f.mu.Lock()
	batch := f.queue
	f.queue = nil
	err := f.broken
	f.mu.Unlock()

	if err == nil {
		err = f.commit(batch)
	}
	if err != nil {
		// Those that were refused too: they may have been by what is not there now.
		for _, u := range batch {
			u.err = err
		}
	}
	for _, u := range batch {
		close(u.done)
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(err, errDamaged) {
		f.broken = err
	}
	if len(f.queue) > 0 {
		f.queue[0].turn <- struct{}{}
	} else {
		f.leading = false
	}
}

func (f *file) commit(batch []*update) (err error) {
	defer f.name(&err)
	defer recoverDamage(&err)()
	tx, err := f.db.Begin(true)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	b := tx.Bucket(bucket)
	if b == nil {
		return errDamaged
	}
	changed := false
	for _, u := range batch {
		writes := f.decide(u, b)
		changed = changed || len(writes) > 0
		if err := apply(b, writes); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return tx.Commit()
}

// decide decides one update. One that meets a damaged entry fails alone.
func (f *file) decide(u *update, b *bbolt.Bucket) (writes []write) {
	defer f.name(&u.err)
	defer recoverDamage(&u.err)()
	if writes, u.err = u.decide(pages{b}); u.err != nil {
		return nil
	}
	return writes
}

func apply(b *bbolt.Bucket, writes []write) error {
	for _, w := range writes {
		var err error
		if w.value == nil {
			err = b.Delete(w.key)
		} else {
			err = b.Put(w.key, appendSum(w.key, w.value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// recoverDamage turns the panics of bbolt over a damaged page, and the fault of a
// file that was cut short under us, into an error of the call.
func recoverDamage(err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			*err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}
}

// An entry of the file is a value and, behind it, the CRC-32C of its key and the
// value. bbolt has no checksums for what is in its pages.
const sumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sumOf(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

func appendSum(key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(slices.Clip(value), sumOf(key, value))
}

// valueOf is the value of an entry, nil for none. Like bbolt it panics over damage.
func valueOf(key, stored []byte) []byte {
	if stored == nil {
		return nil
	}
	n := len(stored) - sumSize
	if n < 0 || binary.BigEndian.Uint32(stored[n:]) != sumOf(key, stored[:n]) {
		panic(fmt.Sprintf("the checksum of entry %q does not match", key))
	}
	return stored[:n:n]
}

// pages are one state of the file.
type pages struct{ *bbolt.Bucket }

func (p pages) get(key []byte) []byte { return valueOf(key, p.Get(key)) }

func (p pages) keys(from []byte, do func(key []byte) bool) {
	c := p.Cursor()
	for k, _ := c.Seek(from); k != nil && do(k); k, _ = c.Next() {
	}
}

func (p pages) walk(from []byte, backwards bool, do func(key, value []byte) bool) {
	c := p.Cursor()
	visit := func(k, stored []byte) bool { return k != nil && do(k, valueOf(k, stored)) }
	k, v := c.Seek(from)
	if !backwards {
		for ; visit(k, v); k, v = c.Next() {
		}
		return
	}
	if k == nil {
		k, v = c.Last()
	} else if string(k) != string(from) {
		k, v = c.Prev()
	}
	for ; visit(k, v); k, v = c.Prev() {
	}
}
