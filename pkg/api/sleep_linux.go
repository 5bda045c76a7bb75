package api

import (
	"errors"
	"syscall"
	"time"
)

// sleep waits for a short time, precisely, and takes a thread for it.
func sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	left := syscall.NsecToTimespec(d.Nanoseconds())
	for errors.Is(syscall.Nanosleep(&left, &left), syscall.EINTR) { // by the runtime, for its own ends
	}
}
