package api

import (
	"cmp"
	"context"
	"time"
)

const (
	// defaultAnswerStep is beyond what 99 of 100 pairs of reads take.
	defaultAnswerStep = 50 * time.Millisecond
	// imprecision is more than the runtime's timers are off by. Where its processors are
	// idle they count whole milliseconds from when the last work ended, which tells when
	// that was: the end of a wait is left to the operating system.
	imprecision = 2 * time.Millisecond
)

// pace waits with an answer whose time must not tell what was read for it, until the call
// has taken a multiple of the step. It does not wait for callers who have gone.
func (c *call) pace(ctx context.Context) {
	if !c.paced.Load() {
		return
	}
	step := cmp.Or(c.server.AnswerStep, defaultAnswerStep)
	took := time.Since(c.began)
	end := c.began.Add(took - took%step + step)
	select {
	case <-time.After(time.Until(end) - imprecision):
		sleep(time.Until(end))
	case <-ctx.Done():
	}
}
