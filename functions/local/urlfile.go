package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// writeURLFile tells a script which port was chosen and that the server is ready: the
// file is there, whole, when both are so.
func writeURLFile(path, url string) error {
	if path == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".url-*")
	if err != nil {
		return fmt.Errorf("--url-file: %w", err)
	}
	_, err = fmt.Fprintln(f, url)
	err = errors.Join(err, f.Chmod(0o644), f.Close()) // the URL is no secret
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("--url-file: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// removeURLFile removes the file at the start, where a killed server left it, and at
// the end.
func removeURLFile(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--url-file: %w", err)
	}
	return nil
}
