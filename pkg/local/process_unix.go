//go:build !windows

package local

import (
	"errors"
	"os"
	"syscall"
)

// hasModes says whether file modes keep other users out.
const hasModes = true

// adopt has nothing to do after the start: see detach.
func adopt(*os.Process) error { return nil }

func terminate(p *os.Process) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// syncFolder makes what was created, renamed or removed in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // the folder is the user's choice
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
