//go:build unix

package private

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// HasModes says whether file modes keep other users out.
const HasModes = true

const noFollow = syscall.O_NOFOLLOW

func isOwn(info fs.FileInfo) bool { return belongsTo(info, os.Geteuid()) }

func isRoots(info fs.FileInfo) bool { return belongsTo(info, 0) }

func belongsTo(info fs.FileInfo, user int) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == user
}

// Sync makes what was made, renamed or removed in a folder durable.
func Sync(folder string) error {
	f, err := os.Open(folder) //nolint:gosec // the folder is the user's choice
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
