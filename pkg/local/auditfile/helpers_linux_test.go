package auditfile

import (
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// unprivileged makes a folder, and returns how to do something as its owner, whom file
// modes stop. Tests in a container run as root; then the owner is nobody, as whom this
// thread alone looks at files.
func unprivileged(t *testing.T) (folder string, as func(func())) {
	t.Helper()
	const nobody = 65534
	var err error
	folder, err = os.MkdirTemp("", "auditfile")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700); _ = os.RemoveAll(folder) })
	if os.Getuid() != 0 {
		return folder, func(do func()) { do() }
	}
	if err := os.Chown(folder, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return folder, func(do func()) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }()
		do()
	}
}

// A disk that is full in the middle of a record leaves half a line. The next record,
// once there is space again, is on a line of its own.
func TestFileOnFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, path)
	keep(t, f, aCall())
	line := lineOf(t, aCall())
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	// No file of this process may grow beyond the middle of the second record.
	full := syscall.Rlimit{Cur: uint64(len(line) * 3 / 2), Max: old.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := f.Keep(t.Context(), aCall()); err == nil {
			t.Error("a record is kept on a full disk")
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	keep(t, f, aCall())
	if got, want := read(t, path), line+line[:len(line)*3/2-len(line)]+"\n"+line; strings.ReplaceAll(got, "\n\n", "\n") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
