package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// InUseError says that a data folder is in use: by another process of ours,
// or by an engine that one left behind.
type InUseError struct {
	Data   string
	PID    int // 0 when it is not known
	Orphan bool
}

func (e *InUseError) Error() string {
	pid := ""
	if e.PID != 0 {
		pid = fmt.Sprintf(" (pid %d)", e.PID)
	}
	if e.Orphan {
		return fmt.Sprintf("a DynamoDB engine%s that a killed strongroom left behind is using %s; end it first", pid, e.Data)
	}
	return fmt.Sprintf("another strongroom%s is using %s; stop it, or use --data with another folder", pid, e.Data)
}

// folderLock is a data folder held by this process. The engine would open a
// database that is open already without complaint, and two of them would not
// see each other's writes.
type folderLock struct {
	flock *flock.Flock
	guard *os.File // see openGuard; nil where it is not needed
}

func lockFolder(ctx context.Context, data string) (*folderLock, error) {
	path := filepath.Join(data, lockFile)
	l := &folderLock{flock: flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))}
	held, err := l.flock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("cannot lock the data folder %s: %w", data, err)
	}
	if !held {
		return nil, &InUseError{Data: data, PID: readPID(path)}
	}
	// The pid is there for the sentence above alone; the lock holds without
	// it. Windows lets nobody write to a locked file, not even us.
	_ = os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)

	path = filepath.Join(data, guardFile)
	if l.guard, err = openGuard(ctx, path); err != nil {
		if errors.Is(err, errGuarded) {
			err = &InUseError{Data: data, PID: readPID(path), Orphan: true}
		} else {
			err = fmt.Errorf("cannot lock the data folder %s: %w", data, err)
		}
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

// release gives the folder free. The files stay: removing a lock file while
// another process waits to lock it would let two have it.
func (l *folderLock) release() error {
	var err error
	if l.guard != nil {
		err = l.guard.Close()
	}
	return errors.Join(err, l.flock.Unlock())
}

// errGuarded says that another process has the guard.
var errGuarded = errors.New("guarded")

func readPID(path string) int {
	text, err := os.ReadFile(path) //nolint:gosec // the folder is the user's choice
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}
