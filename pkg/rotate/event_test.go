package rotate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
)

// A rotation that ends when the next runner looks at it, since its last runner died, is
// told of as what it was: its version, and whether it was a test.
func TestEventsOfRunsThatEndAtTheirBeginning(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin   func(*house, *testing.T)
		diesAt  string
		outcome rotate.Outcome
		want    rotate.Event
	}{
		"given up":       {func(h *house, t *testing.T) { h.rotate(t, "s") }, "setSecret", rotate.GivenUp, rotate.Event{Name: "RotationFailed", Failure: secret.RunnerDied}},
		"succeeded":      {func(h *house, t *testing.T) { h.rotate(t, "s") }, "finishSecret", rotate.Succeeded, rotate.Event{Name: "RotationSucceeded"}},
		"test, given up": {func(h *house, t *testing.T) { h.try(t, "s") }, "testSecret", rotate.GivenUp, rotate.Event{Name: "TestRotationFailed", Failure: secret.RunnerDied}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			c.begin(h, t)
			c.want.Version, c.want.ARN = h.get(t, "s").Rotation.Run().Version, h.get(t, "s").ARN
			first := "createSecret"
			if c.diesAt == "testSecret" {
				first = c.diesAt
			}
			h.lambda.breaks("s", first, slices.Repeat([]mishap{before(missing)}, secret.MaxAttempts-1)...)
			for range secret.MaxAttempts - 1 {
				wantOutcomes(t, h.run(t), outcomes{rotate.Failed: 1})
				h.clock.set(h.get(t, "s").RotationDue())
			}
			h.dies(t, c.diesAt)
			h.clock.add(time.Hour)
			h.mu.Lock()
			h.events = nil
			h.mu.Unlock()
			wantOutcomes(t, h.run(t), outcomes{c.outcome: 1})
			h.mu.Lock()
			defer h.mu.Unlock()
			if c.want.Version == "" || len(h.events) != 1 || h.events[0] != c.want {
				t.Errorf("got %+v, want %+v", h.events, c.want)
			}
		})
	}
}
