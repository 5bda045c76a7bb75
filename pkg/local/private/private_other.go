//go:build !unix

package private

import "io/fs"

const (
	// HasModes says whether file modes keep other users out.
	HasModes = false

	noFollow = 0
)

func isOwn(fs.FileInfo) bool { return true }

func isRoots(fs.FileInfo) bool { return false }

// Sync has nothing to do: NTFS keeps a journal of its folders.
func Sync(string) error { return nil }
