package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"

	"github.com/strongroom/strongroom/pkg/local/private"
)

// InUseError says that another process uses a data folder.
type InUseError struct {
	Data string
	PID  int // 0 when it is not known
}

func (e *InUseError) Error() string {
	pid := ""
	if e.PID != 0 {
		pid = fmt.Sprintf(" (pid %d)", e.PID)
	}
	return fmt.Sprintf("another strongroom%s is using %s; stop it, or use --data with another folder", pid, e.Data)
}

// lockFolder takes a data folder for this process. The system gives it free when the
// process ends, however it ends. The lock file stays: removing it while another
// process waits to lock it would let two have it.
func lockFolder(data string) (*flock.Flock, error) {
	path := filepath.Join(data, lockFile)
	file, err := private.Open(path, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the data folder %s: %w", data, err)
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDWR), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("cannot lock the data folder %s: %w", data, err)
	}
	if !held {
		return nil, &InUseError{Data: data, PID: readPID(path)}
	}
	// The pid is there for the sentence above alone. Windows lets nobody write to a
	// locked file, not even us.
	_ = os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	return lock, nil
}

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
