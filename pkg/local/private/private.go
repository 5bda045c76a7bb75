// Package private opens files and folders that belong to this user and to nobody
// else: those that hold the keys, the table and the records of a local server.
//
// A file of another user and a symbolic link are refused with a sentence, for root
// as well; so is a folder with something in it that others may look into. On Windows
// the access list of the user's profile decides, and only links are refused.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Open opens a file as [os.OpenFile] does, and makes it with mode 0600. A file that
// has another mode, as one that came back from a backup may have, is given this one.
func Open(path string, flag int) (_ *os.File, err error) {
	if err := Check(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, flag|noFollow, 0o600) //nolint:gosec // the folder is the user's choice
	if err != nil {
		return nil, err
	}
	if err := adopt(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Read opens a file of this user to read it, and leaves its mode to the caller. A file
// that is not there is [fs.ErrNotExist].
func Read(path string) (_ *os.File, err error) {
	if err := Check(path); err != nil { // before opening: opening a pipe waits for a writer
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0) //nolint:gosec // the file is the user's choice
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = check(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// adopt checks what was opened: another file may have come in between.
func adopt(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := check(f.Name(), info); err != nil {
		return err
	}
	if HasModes && info.Mode().Perm() != 0o600 {
		return f.Chmod(0o600)
	}
	return nil
}

// Check refuses what is not a file of this user. A file that is not there is
// [fs.ErrNotExist].
func Check(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return check(path, info)
}

func check(path string, info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, which is not followed here; put the file itself in its place", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case !isOwn(info):
		return fmt.Errorf("%s belongs to another user; start as that user, or change its owner", path)
	}
	return nil
}

// Folder makes a folder for this user alone where there is none, and refuses one
// that is not. Its errors leave it to the caller to name the folder.
func Folder(path string) error {
	made, err := makeFolder(path)
	if err != nil {
		return err
	}
	for _, parent := range made {
		if err := Sync(parent); err != nil {
			return err
		}
	}
	info, err := os.Lstat(filepath.Clean(path))
	switch {
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return errors.New("it is a symbolic link, which is not followed here; name the folder itself")
	case !info.IsDir():
		return errors.New("it is not a folder")
	case !isOwn(info):
		return errors.New("it belongs to another user; use another folder, or start as that user")
	case !HasModes || info.Mode().Perm()&0o077 == 0:
		return nil
	}
	return shut(path, info)
}

// Holds refuses a folder in which others could put another file in the place of one of
// this user: one that belongs to neither this user nor root, and one that others may write
// to, unless each may remove only their own, as in /tmp.
func Holds(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !isOwn(info) && !isRoots(info):
		return fmt.Errorf("the folder %s belongs to another user; use another one", path)
	case HasModes && info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("other users may write to the folder %s (mode %04o); run 'chmod go-w %s', or use another one", path, info.Mode().Perm(), path)
	}
	return nil
}

// makeFolder makes a folder and those above it, and returns those that hold a new one.
func makeFolder(path string) (parents []string, err error) {
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, filepath.Dir(at))
	}
	return parents, os.MkdirAll(path, 0o700)
}

// shut makes an empty folder private. One with things in it may be /tmp or a home,
// and is not to be shut on somebody's behalf.
func shut(path string, info fs.FileInfo) error {
	files, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	if len(files) > 0 {
		return fmt.Errorf("other users may look into it (mode %04o); run 'chmod 700 %s', or use another folder", info.Mode().Perm(), path)
	}
	return os.Chmod(path, 0o700) //nolint:gosec // a folder, for its owner alone
}
