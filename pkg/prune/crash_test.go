package prune_test

import (
	"slices"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/secret"
)

// A run that crashes at any of its calls, before the call or after it, leaves what the
// next one brings to the same end as if nothing had been: with versions to remove, a
// secret to purge, and what is left of one that was deleted at once.
func TestCrashAnywhere(t *testing.T) {
	t.Parallel()
	crashes := 0
	for _, after := range []bool{false, true} {
		for at := int64(1); ; at++ {
			room, c := open(t, secret.Retention{MaxVersions: 1})
			for _, name := range []string{"kept", "many", "doomed", "gone"} {
				create(t, room, name)
			}
			for name, n := range map[string]int{"many": 70, "doomed": 30, "gone": 30} {
				stuff(t, room, name, n, time.Second)
			}
			put(t, another(t, room), "many", "v1")
			remove(t, room, "gone", 0)
			remove(t, room, "doomed", 7)
			c.set(epoch.Add(8 * day))
			p, wire := pruner(t, room)
			crash := &localtest.Crash{At: at, After: after}
			crash.On(wire)
			sum, err := p.Run(t.Context())
			for _, name := range []string{"kept", "many"} {
				wantWhole(t, room, name)
			}
			run(t, room)
			wantVersions(t, room, "many", "v0", "v1", "w69")
			wantVersions(t, room, "kept", "v0")
			if got := secrets(t, room); !slices.Equal(got, []string{"kept", "many"}) {
				t.Errorf("secrets = %q, want kept and many", got)
			}
			if got := keys(t, room, ""); len(got) != 10 {
				t.Errorf("items = %q, want two heads, four versions and four rows", got)
			}
			wantSummary(t, run(t, room), prune.Summary{})
			if t.Failed() {
				t.Fatalf("after a crash at call %d (it was made: %t), %+v, %v", at, after, sum, err)
			}
			if crash.Calls() < at { // there is no such call
				if err != nil {
					t.Error(err)
				}
				break
			}
			crashes++
		}
	}
	if crashes < 2*20 {
		t.Errorf("%d crashes, want twenty calls at least, before and after each", crashes)
	}
	t.Logf("%d crashes", crashes)
}
