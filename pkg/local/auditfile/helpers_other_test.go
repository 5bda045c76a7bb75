//go:build !linux

package auditfile

import (
	"os"
	"runtime"
	"testing"
)

// unprivileged makes a folder, and returns how to do something as its owner, whom file
// modes stop.
func unprivileged(t *testing.T) (folder string, as func(func())) {
	t.Helper()
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("file modes stop nobody here: run the tests on Linux, or as another user than root")
	}
	folder = t.TempDir()
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) }) //nolint:gosec // a folder of the test
	return folder, func(do func()) { do() }
}
