//go:build !linux && !windows

package local

import (
	"os/exec"
	"syscall"
)

// detach puts the engine in a process group of its own, so that Ctrl-C in a
// terminal reaches us alone and the engine is there until the last request is
// done. There is no way here to have it killed when we are: see openGuard.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
