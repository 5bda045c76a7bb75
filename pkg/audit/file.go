package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/DeRuina/timberjack"
)

// The maximum size of a RotatingFile, and how many older files are kept beside it,
// compressed: audit-2026-03-04T12-00-00.000-size.jsonl.gz.
const (
	maxFileMB = 50
	maxFiles  = 10
)

// A RotatingFile keeps records as lines of JSON in a file that only its owner can read.
// A full file is renamed and compressed. Only one process may open it at a time.
type RotatingFile struct {
	lines lines
	file  *watched
}

// File opens the file. It creates the file and its folder if needed.
func File(path string) (*RotatingFile, error) { return openFile(path, maxFileMB) }

func openFile(path string, maxMB int) (*RotatingFile, error) {
	torn, err := prepare(path)
	if err != nil {
		return nil, fmt.Errorf("the audit log %s cannot be written: %w", path, err)
	}
	w := &watched{path: path, log: &timberjack.Logger{
		Filename: path, FileMode: 0o600, MaxSize: maxMB, MaxBackups: maxFiles, Compression: "gzip",
	}}
	return &RotatingFile{lines: lines{w: w, torn: torn}, file: w}, nil
}

// prepare finds errors at the start rather than at the first call. It checks that the
// file is writable and its folder too, for the next file, and makes it readable to the
// owner only. torn means that the file ends within a line, since a process was killed.
func prepare(path string) (torn bool, err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return false, err
	}
	probe, err := os.CreateTemp(folder, ".audit-*")
	if err != nil {
		return false, err
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return false, err
	}
	// Checked before opening: opening a pipe would wait for a reader.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return false, errors.New("it is not a plain file")
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the file is the operator's choice
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := f.Chmod(0o600); err != nil {
			return false, err
		}
	}
	if info.Size() == 0 {
		return false, nil
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return last[0] != '\n', err
}

// Keep writes the records. A file that was removed is created again.
func (f *RotatingFile) Keep(ctx context.Context, records ...Record) error {
	return f.lines.Keep(ctx, records...)
}

// Close closes the file after pending records are written and older files compressed.
// Keep then returns an error.
func (f *RotatingFile) Close() error {
	f.lines.mu.Lock()
	defer f.lines.mu.Unlock()
	f.file.closed = true
	return f.file.log.Close()
}

// watched works around timberjack, which continues to write to a removed file and opens
// a closed one again.
type watched struct {
	path   string
	log    *timberjack.Logger
	closed bool
}

func (w *watched) Write(text []byte) (int, error) {
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
