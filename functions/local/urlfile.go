package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A urlFile tells a script which port was chosen and that the server is ready: while
// it is, the file holds its URL and a line break. Without a path there is none.
type urlFile struct{ path, url string }

// maxURLFile is more than the URL of any server has.
const maxURLFile = 4096

// check refuses a path at which the file cannot be written, or that holds anything
// but the URL of a server.
func (f urlFile) check() error {
	if f.path == "" {
		return nil
	}
	folder := filepath.Dir(f.path)
	if info, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return f.refuse("the folder %s does not exist", folder)
	} else if err == nil && !info.IsDir() {
		return f.refuse("%s is not a folder", folder)
	}
	info, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return f.wrap(err)
	case !info.Mode().IsRegular():
		return f.refuse("it exists and is not a regular file; choose another path")
	case info.Size() == 0:
		return nil
	case info.Size() <= maxURLFile:
		text, err := os.ReadFile(f.path)
		if err != nil {
			return f.wrap(err)
		}
		if isURLLine(text) {
			return nil
		}
	}
	return f.refuse("it exists and holds something else than a URL; remove it or choose another path")
}

func isURLLine(text []byte) bool {
	line := bytes.TrimSuffix(text, []byte("\n"))
	return bytes.HasPrefix(line, []byte("http://")) && !bytes.ContainsAny(line, "\r\n")
}

// claim removes what a killed server left, so that a script does not take it for
// ours, and tries whether the folder can be written to.
func (f urlFile) claim() error {
	if f.path == "" {
		return nil
	}
	if err := f.check(); err != nil {
		return err
	}
	temp, err := f.temp()
	if err != nil {
		return f.wrap(err)
	}
	if err := errors.Join(temp.Close(), os.Remove(temp.Name())); err != nil {
		return f.wrap(err)
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f.wrap(err)
	}
	return nil
}

// write makes the whole file appear at once.
func (f urlFile) write() error {
	if f.path == "" {
		return nil
	}
	if err := f.check(); err != nil { // seeding may have taken long
		return err
	}
	temp, err := f.temp()
	if err != nil {
		return f.wrap(err)
	}
	_, err = fmt.Fprintln(temp, f.url)
	err = errors.Join(err, temp.Chmod(0o644), temp.Close()) // the URL is no secret
	if err == nil {
		err = os.Rename(temp.Name(), f.path)
	}
	if err != nil {
		return f.wrap(errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

func (f urlFile) temp() (*os.File, error) { return os.CreateTemp(filepath.Dir(f.path), ".url-*") }

// remove removes the file unless another server has written its own URL. It must be
// called before the listener closes: after that, the other URL may be the same.
func (f urlFile) remove() error {
	if f.path == "" {
		return nil
	}
	text, err := os.ReadFile(f.path)
	if err == nil && string(text) == f.url+"\n" {
		err = os.Remove(f.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f.wrap(err)
	}
	return nil
}

// wrap names the path that the user gave, not that of a temporary file.
func (f urlFile) wrap(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	} else if at, ok := errors.AsType[*os.LinkError](err); ok {
		err = at.Err
	}
	return fmt.Errorf("--url-file: %s: %w", f.path, err)
}

func (f urlFile) refuse(format string, args ...any) error {
	return f.wrap(fmt.Errorf(format, args...))
}
