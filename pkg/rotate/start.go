package rotate

import (
	"context"
	"log/slog"
	"sync"

	"github.com/strongroom/strongroom/pkg/secret"
)

// Background runs rotations in this process, until its context ends. It is the
// api.Rotator of the local server.
type Background struct {
	*Rotator
	Context context.Context //nolint:containedctx // rotations outlive the requests that ask for them
	ARNs    secret.ARNs

	mu      sync.Mutex
	stopped bool
	active  int      // how many rotations and sweeps were begun and have not ended
	slots   slots    // of the rotations of all of them
	waiting []func() // begin when one of those ends
	running sync.WaitGroup
}

// maxWaiting is how many rotations wait for those that run. What comes on top is left
// to Sweep.
const maxWaiting = 1000

// Start begins a rotation beside the request that asks for it, or as soon as fewer
// run than may.
func (b *Background) Start(_ context.Context, arn string) error {
	id, err := b.ARNs.Parse(arn)
	if err != nil {
		return err
	}
	b.begin(maxWaiting, func() {
		defer b.slots.take(b.Context)()
		if _, err := b.Rotate(b.Context, id); err != nil && b.Context.Err() == nil {
			b.Log.Error("not rotated", slog.String("secret", id.Name), slog.String("error", err.Error()))
		}
	})
	return nil
}

// Sweep begins all that is due, and waits for none of it: a function that hangs does
// not hold up what comes after it. It does nothing while as many run as may.
func (b *Background) Sweep() {
	b.begin(0, func() { _, _ = b.run(b.Context, b.slots) }) // its events are recorded, and its errors logged
}

// begin does something, or has it wait if fewer than so many wait.
func (b *Background) begin(wait int, do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	parallel := max(b.Parallel, 1)
	if b.slots == nil {
		b.slots = make(slots, parallel)
	}
	switch {
	case b.stopped:
	case b.active < parallel:
		b.active++
		b.running.Go(func() { b.work(do) })
	case len(b.waiting) < wait:
		b.waiting = append(b.waiting, do)
	}
}

// work does one thing after the other, until none waits.
func (b *Background) work(do func()) {
	for do != nil {
		do()
		do = b.next()
	}
}

func (b *Background) next() func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped || len(b.waiting) == 0 {
		b.active--
		return nil
	}
	do := b.waiting[0]
	b.waiting = b.waiting[1:]
	return do
}

// Wait begins no more and waits for what runs. What is left is due at the next start.
func (b *Background) Wait() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.running.Wait()
}
