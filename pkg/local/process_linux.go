package local

import (
	"os/exec"
	"syscall"
)

// detach puts the engine in a process group of its own, so that Ctrl-C in a
// terminal reaches us alone and the engine is there until the last request is
// done; and has it killed when we die, however we die.
//
// The death signal is sent when the thread that started the engine ends, not
// the process (golang/go#27505): the caller must be locked to its thread for as
// long as the engine lives. It is SIGKILL, which the database is made for.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
