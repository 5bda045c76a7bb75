// Package auditfile keeps audit records in files on a laptop, and shows them. It is not
// part of the deployed functions, which write their records to their output.
package auditfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/DeRuina/timberjack"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/local/private"
)

// The maximum size of a file, and how many older ones are kept beside it, compressed:
// audit-2026-03-04T12-00-00.000-size.jsonl.gz.
const (
	maxFileMB    = 50
	maxFiles     = 10
	maxOfRefused = 2
)

// A RotatingFile keeps records as lines of JSON in files that only their owner can read.
// Refused calls, which any caller can make in any number, have a file of their own: they
// drive out each other and no record of a change or of a value that was read. A full file
// is renamed and compressed, and a removed one created again. Only one process may open
// the files at a time.
type RotatingFile struct{ others, refused rotating }

// Paths are the files that Open opens: the path itself, and that of refused calls beside
// it, audit.refused.jsonl for audit.jsonl.
func Paths(path string) []string {
	ext := filepath.Ext(path)
	return []string{path, strings.TrimSuffix(path, ext) + ".refused" + cmp.Or(ext, ".jsonl")}
}

// Open opens the files. It creates them and their folder if needed.
func Open(path string) (*RotatingFile, error) { return openFiles(path, maxFileMB) }

func openFiles(path string, maxMB int) (*RotatingFile, error) {
	paths := Paths(path)
	for _, path := range paths {
		if err := prepare(path); err != nil {
			return nil, fmt.Errorf("the audit log %s cannot be written: %w", path, err)
		}
	}
	return &RotatingFile{newRotating(paths[0], maxMB, maxFiles), newRotating(paths[1], maxMB, maxOfRefused)}, nil
}

// Keep writes the records: those of refused calls last, and only when the others are
// written.
func (f *RotatingFile) Keep(ctx context.Context, records ...audit.Record) error {
	var others, refused []audit.Record
	for _, r := range records {
		if r.IsRefused() {
			refused = append(refused, r)
		} else {
			others = append(others, r)
		}
	}
	if err := f.others.Keep(ctx, others...); err != nil {
		return err
	}
	return f.refused.Keep(ctx, refused...)
}

// Close closes the files after pending records are written and older files compressed.
// Keep then returns an error.
func (f *RotatingFile) Close() error { return errors.Join(f.others.close(), f.refused.close()) }

// A rotating is one file with the older ones beside it.
type rotating struct {
	audit.Trail
	file *watched
}

func newRotating(path string, maxMB, older int) rotating {
	w := &watched{path: path, log: &timberjack.Logger{
		Filename: path, FileMode: 0o600, MaxSize: maxMB, MaxBackups: older, Compression: "gzip",
	}}
	return rotating{Trail: audit.Lines(w), file: w}
}

func (r rotating) close() error {
	r.file.mu.Lock()
	defer r.file.mu.Unlock()
	r.file.closed = true
	return r.file.log.Close()
}

// prepare finds errors at the start rather than at the first call. It checks that the
// file is writable and its folder too, for the next file, and makes it readable to the
// owner only. A line that was half written, since a process was killed, is ended.
func prepare(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	probe, err := os.CreateTemp(folder, ".audit-*")
	if err != nil {
		return err
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return err
	}
	f, err := private.Open(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	return errors.Join(endLine(f), f.Close())
}

// endLine ends the last line of a file.
func endLine(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.WriteAt([]byte("\n"), info.Size())
	return err
}

// watched works around timberjack, which continues to write to a removed file and opens
// a closed one again.
type watched struct {
	path string
	log  *timberjack.Logger

	mu     sync.Mutex
	closed bool
}

func (w *watched) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, fs.ErrClosed
	}
	_, err := os.Stat(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = w.log.RotateWithReason("removed")
	}
	if err != nil {
		return 0, err
	}
	return w.log.Write(text)
}
