// Package auditfile keeps audit records in files on a laptop, and shows them. It is not
// part of the deployed functions, which write their records to their output.
package auditfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/DeRuina/timberjack"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/local/private"
)

// The maximum size of a RotatingFile, and how many older files are kept beside it,
// compressed: audit-2026-03-04T12-00-00.000-size.jsonl.gz.
const (
	maxFileMB = 50
	maxFiles  = 10
)

// A RotatingFile keeps records as lines of JSON in a file that only its owner can read.
// A full file is renamed and compressed, and a removed one created again. Only one process may open it at a time.
type RotatingFile struct {
	audit.Trail
	file *watched
}

// Open opens the file. It creates the file and its folder if needed.
func Open(path string) (*RotatingFile, error) { return openFile(path, maxFileMB) }

func openFile(path string, maxMB int) (*RotatingFile, error) {
	if err := prepare(path); err != nil {
		return nil, fmt.Errorf("the audit log %s cannot be written: %w", path, err)
	}
	w := &watched{path: path, log: &timberjack.Logger{
		Filename: path, FileMode: 0o600, MaxSize: maxMB, MaxBackups: maxFiles, Compression: "gzip",
	}}
	return &RotatingFile{Trail: audit.Lines(w), file: w}, nil
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

// Close closes the file after pending records are written and older files compressed.
// Keep then returns an error.
func (f *RotatingFile) Close() error {
	f.file.mu.Lock()
	defer f.file.mu.Unlock()
	f.file.closed = true
	return f.file.log.Close()
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
