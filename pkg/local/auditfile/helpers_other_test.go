//go:build !linux

package auditfile

import (
	"os"
	"runtime"
	"testing"
)

// unprivileged runs a part of a test, in a folder of its own, as a user whom file modes
// stop.
func unprivileged(t *testing.T, part func(folder string)) {
	t.Helper()
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("file modes stop nobody here: run the tests on Linux, or as another user than root")
	}
	folder := t.TempDir()
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) }) //nolint:gosec // a folder of the test
	part(folder)
}
