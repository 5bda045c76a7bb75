package simulation

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
)

// A verdict is what becomes of a remote call.
type verdict int

const (
	done    verdict = iota // it happens, and is answered
	short                  // it happens in part: a page of one item, a batch of one
	refused                // it is refused: throttled, or in conflict with another transaction
	cut                    // it never arrives
	lost                   // it happens, and the answer is lost
	late                   // it happens after its caller gave up
)

var verdicts = []string{"done", "short", "refused", "cut", "lost", "late"}

func (v verdict) String() string { return verdicts[v] }

// A turn is a remote call that waits for its verdict.
type turn struct {
	name string
	on   *process
	to   *region // whose table or keys are called; nil for all else
	ch   chan verdict
}

// Turns are the remote calls that wait. Callers park in any order; the driver sees them
// sorted by name.
type turns struct {
	mu     sync.Mutex
	parked map[string]*turn
	counts map[string]int
}

func newTurns() *turns { return &turns{parked: map[string]*turn{}, counts: map[string]int{}} }

// number counts how often a name was used, from 1.
func (t *turns) number(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[name]++
	return t.counts[name]
}

// take waits for the verdict on a call. It returns an error when the caller gives up.
func (t *turns) take(ctx context.Context, on *process, name string) (verdict, error) {
	return t.takeTo(ctx, on, nil, name)
}

// takeTo is take of a call to a Region.
func (t *turns) takeTo(ctx context.Context, on *process, to *region, name string) (verdict, error) {
	if err := ctx.Err(); err != nil {
		return cut, err
	}
	mine := &turn{name: name, on: on, to: to, ch: make(chan verdict, 1)}
	t.mu.Lock()
	if _, taken := t.parked[name]; taken {
		panic("two calls at once are named " + name)
	}
	t.parked[name] = mine
	t.mu.Unlock()
	select {
	case v := <-mine.ch:
		return v, nil
	case <-ctx.Done():
		t.remove(name)
		select {
		case v := <-mine.ch: // the verdict came first
			return v, nil
		default:
			return cut, ctx.Err()
		}
	}
}

func (t *turns) remove(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.parked, name)
}

// waiting are the turns, sorted by name.
func (t *turns) waiting() []*turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*turn, 0, len(t.parked))
	for _, one := range t.parked {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *turn) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return all
}

// give lets one go on.
func (t *turns) give(one *turn, v verdict) {
	t.remove(one.name)
	one.ch <- v
}

type whoKey struct{}

// as marks what is done in ctx as done by who.
func as(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, whoKey{}, who)
}

func who(ctx context.Context) string {
	name, _ := ctx.Value(whoKey{}).(string)
	return name
}

// drawn is a number below n that depends on the seed and on a name alone, for choices
// that are not the driver's.
func drawn(seed uint64, name string, n int) int {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s", seed, name)
	x := h.Sum64() // FNV's low bits hardly change with the last characters
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return int(x % uint64(n))
}
