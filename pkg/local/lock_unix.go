//go:build !windows

package local

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// openGuard locks a second file, which the engine inherits. A lock of this
// kind belongs to the open file and not to a process: as long as one process
// has it open it stays, so an engine that outlived us keeps the folder locked,
// however we died, and no second engine is started beside it.
//
// On Linux the engine is killed with us, and this bridges the moment until it
// is gone. Elsewhere an engine can stay behind, and the user is told which.
func openGuard(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the folder is the user's choice
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(&os.PathError{Op: "flock", Path: path, Err: err}, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(errGuarded, f.Close())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
