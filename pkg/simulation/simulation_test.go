package simulation

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

var (
	firstSeed = flag.Uint64("seed", 1, "the first seed")
	histories = flag.Int("histories", 200, "how many histories, of one seed after the other")
)

// TestHistories lives many histories and checks each.
func TestHistories(t *testing.T) {
	t.Parallel()
	seeds := make(chan uint64)
	var mu sync.Mutex
	met := map[string]int{}
	t.Run("seeds", func(t *testing.T) {
		for worker := range 2 {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for seed := range seeds {
					if t.Failed() {
						continue // the first is enough to look at
					}
					got := check(t, seed)
					mu.Lock()
					for what := range got.met {
						met[what]++
					}
					mu.Unlock()
				}
			})
		}
		go func() {
			defer close(seeds)
			for i := range *histories {
				seeds <- *firstSeed + uint64(i)
				if *histories > 10_000 && (i+1)%1000 == 0 {
					fmt.Fprintf(os.Stderr, "%d of %d histories\n", i+1, *histories)
				}
			}
		}()
	})
	for _, what := range situations {
		if met[what] == 0 && *histories >= 1000 {
			t.Errorf("no history of %d met this: %s", *histories, what)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(met)) {
		t.Logf("%6d histories: %s", met[what], what)
	}
}

// TestSameSeedSameHistory lives some histories twice.
func TestSameSeedSameHistory(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 40; seed++ {
		one, other := live(t, seed), live(t, seed)
		for _, secret := range one.secrets() {
			a, b := one.told(secret), other.told(secret)
			if a != b {
				t.Errorf("seed %d: clients saw\n%s\nand then\n%s", seed, a, b)
			}
		}
		first, second := one.trace, other.trace
		if slices.Equal(first, second) {
			continue
		}
		for i := range min(len(first), len(second)) {
			if first[i] != second[i] {
				t.Fatalf("seed %d: turn %d of %d was %q, and then %q", seed, i, len(first), first[i], second[i])
			}
		}
		t.Fatalf("seed %d: %d turns, and then %d", seed, len(first), len(second))
	}
}

// check lives the history of a seed and compares what was seen with the model.
func check(t *testing.T, seed uint64) lived {
	t.Helper()
	got := live(t, seed)
	again := fmt.Sprintf("go test ./pkg/simulation -run TestHistories -seed %d -histories 1 -v", seed)
	for _, wrong := range got.wrong {
		t.Errorf("seed %d: %s\nagain: %s", seed, wrong, again)
	}
	for _, secret := range got.secrets() {
		if got.log.reborn(secret) {
			got.met["(not compared: a call tried again after its secret was removed)"] = true
			continue
		}
		switch porcupine.CheckOperationsTimeout(modelOf(secret), got.log.of(secret), 10*time.Second) {
		case porcupine.Illegal:
			t.Errorf("seed %d: no order of these calls explains what they answered\n%s\nagain: %s", seed, got.log.told(secret), again)
		case porcupine.Unknown:
			t.Errorf("seed %d: not decided whether there is an order of the calls\n%s\nagain: %s", seed, got.log.told(secret), again)
		}
	}
	if *histories == 1 {
		t.Log("\n" + strings.Join(got.trace, "\n"))
		for _, secret := range got.secrets() {
			t.Log("\n" + got.told(secret))
		}
	}
	return got
}
