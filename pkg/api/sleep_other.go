//go:build !linux

package api

import "time"

// sleep waits for a short time, as precisely as the runtime does.
func sleep(d time.Duration) { time.Sleep(d) }
