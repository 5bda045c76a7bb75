package local

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// hasModes says whether file modes keep other users out.
const hasModes = false

// detach keeps Ctrl-C in a console from the engine, so that it is there until
// the last request is done.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// job is a job object that nobody else has open: when this process ends,
// however it ends, Windows closes the handle and with it ends what is in it.
var job = sync.OnceValues(func() (windows.Handle, error) {
	h, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, err
	}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	_, err = windows.SetInformationJobObject(h, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info))) //nolint:gosec // the call takes a pointer
	return h, err
})

// adopt has the engine ended when we end.
func adopt(p *os.Process) error {
	j, err := job()
	if err != nil {
		return err
	}
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(p.Pid)) //nolint:gosec // a pid fits
	if err != nil {
		return err
	}
	return errors.Join(windows.AssignProcessToJobObject(j, h), windows.CloseHandle(h))
}

// terminate ends the engine: there is no signal to ask it with.
func terminate(p *os.Process) error {
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// syncFolder has nothing to do: NTFS keeps a journal of its folders, and
// cannot sync one.
func syncFolder(string) error { return nil }
