package store_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// Everybody puts at once; nothing that was acknowledged is lost.
func TestManyPutAtOnce(t *testing.T) {
	t.Parallel()
	const (
		clients = 32
		rounds  = 3
	)
	first := localtest.New(t)
	create(t, first, "aaaaaa")
	rooms := []*localtest.Room{first, first.Another(t), first.Another(t)}
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for r := range rounds {
				id := fmt.Sprintf("c%d-r%d", c, r)
				sec, err := rooms[c%len(rooms)].Store.Update(t.Context(), byName, putting(id))
				if err != nil {
					t.Errorf("put %s: %v", id, err)
					return
				}
				if sec.Stages[secret.Current] != id {
					t.Errorf("put %s returned the stages %v", id, sec.Stages)
				}
			}
		})
	}
	wg.Wait()
	const commits = clients*rounds + 1
	for _, room := range rooms {
		sec := get(t, room)
		if sec.Revision != commits || sec.Versions != commits {
			t.Errorf("revision %d and %d versions, want %d of each", sec.Revision, sec.Versions, commits)
		}
		current, previous := sec.Stages[secret.Current], sec.Stages[secret.Previous]
		if len(sec.Stages) != 2 || current == previous || current == "" || previous == "" {
			t.Errorf("stages = %v, want AWSCURRENT and AWSPREVIOUS on two versions", sec.Stages)
		}
		versions, _ := everyVersion(t, room, sec, 100)
		ids := idsOf(versions)
		if len(ids) != commits {
			t.Errorf("%d versions, want %d", len(ids), commits)
		}
		for c := range clients {
			for r := range rounds {
				if id := fmt.Sprintf("c%d-r%d", c, r); !slices.Contains(ids, id) {
					t.Errorf("version %s was acknowledged and is not there", id)
				}
			}
		}
	}
}

// One who puts without a pause keeps nobody from a turn.
func TestNobodyStarves(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	other := room.Another(t)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if _, err := room.Store.Update(t.Context(), byName, putting(fmt.Sprint("fast", i))); err != nil {
				t.Errorf("put: %v", err)
				return
			}
		}
	})
	for i := range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		_, err := other.Store.Update(ctx, byName, putting(fmt.Sprint("slow", i)))
		cancel()
		if err != nil {
			t.Errorf("put beside one without a pause: %v", err)
		}
	}
	close(done)
	wg.Wait()
}

// One token put by many at once makes one version.
func TestOneTokenAtOnce(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "aaaaaa")
	other := room.Another(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for i := range 8 {
		wg.Go(func() {
			_, err := []*localtest.Room{room, other}[i%2].Store.Update(t.Context(), byName, putting("v2"))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !isType[*store.VersionExists](err) {
				t.Errorf("error = %v, want that the version exists", err)
			}
		})
	}
	wg.Wait()
	if sec := get(t, room); made != 1 || sec.Revision != 2 || sec.Versions != 2 {
		t.Errorf("made %d times; revision %d, %d versions", made, sec.Revision, sec.Versions)
	}
}

// One name taken by many at once is one secret.
func TestOneNameAtOnce(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := []string{}
	for i := range 8 {
		wg.Go(func() {
			suffix := fmt.Sprintf("aaaaa%d", i)
			_, err := room.Store.Create(t.Context(), making(t, fresh("s", suffix)))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made = append(made, suffix)
			} else if !isType[*store.Exists](err) {
				t.Errorf("error = %v, want that the secret exists", err)
			}
		})
	}
	wg.Wait()
	if len(made) != 1 || get(t, room).Suffix() != made[0] {
		t.Fatalf("made %v", made)
	}
	wantKeys(t, room, head, byNameRow, createdAt, "SECRET#s VERSION#"+made[0]+"#v1")
}

// The history of a register: what puts and gets of AWSCURRENT may see.
type (
	call struct {
		put string // the version; empty for a get
	}
	labels struct{ current, previous string }
)

var register = porcupine.Model{
	Init: func() any { return labels{current: "v1"} },
	Step: func(state, input, output any) (bool, any) {
		s, in := state.(labels), input.(call)
		if in.put != "" {
			return true, labels{in.put, s.current}
		}
		return output.(labels) == s, s
	},
	DescribeOperation: func(input, output any) string {
		if in := input.(call); in.put != "" {
			return "put " + in.put
		}
		return fmt.Sprintf("get %v", output)
	},
}

// shaky makes calls fail now and then: before they happen, after, or for a reason
// that passes.
func shaky(rng *rand.Rand) localtest.Fault {
	var mu sync.Mutex
	return func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		mu.Lock()
		n := rng.IntN(12)
		mu.Unlock()
		switch n {
		case 0:
			return localtest.Cut(call, do)
		case 1:
			return localtest.LoseAnswer(call, do)
		case 2:
			return localtest.Cancel("TransactionConflict", "None")(call, do)
		case 3:
			return lose(forget)(call, do)
		}
		return forget(call, do) // no attempt is known by its token
	}
}

// Whatever happens on the wire, puts and gets of several processes are such as
// one after the other would be, each at some moment between its call and its
// return. A put that failed for an unknown reason may happen at any moment after
// its call, or never.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			const (
				processes = 3
				clients   = 2 // of each
				calls     = 15
			)
			first := localtest.New(t)
			create(t, first, "aaaaaa")
			began := time.Now()
			var mu sync.Mutex
			var history []porcupine.Operation
			var wg sync.WaitGroup
			for p := range processes {
				room := first.Another(t)
				room.Wire.Break(commitCall, times(10_000, shaky(rand.New(rand.NewPCG(seed, uint64(p)))))...)
				for c := range clients {
					wg.Go(func() {
						rng := rand.New(rand.NewPCG(seed, uint64(100+p*clients+c)))
						for i := range calls {
							op := porcupine.Operation{ClientId: p*clients + c, Call: int64(time.Since(began))}
							var err error
							if rng.IntN(2) == 0 {
								id := fmt.Sprintf("p%d-c%d-%d", p, c, i)
								op.Input = call{put: id}
								_, err = room.Store.Update(t.Context(), byName, putting(id))
								if isType[*store.VersionExists](err) {
									err = nil // an attempt whose answer was lost
								}
							} else {
								var sec secret.Secret
								sec, err = room.Store.Get(t.Context(), byName)
								op.Input, op.Output = call{}, labels{sec.Stages[secret.Current], sec.Stages[secret.Previous]}
							}
							op.Return = int64(time.Since(began))
							if err != nil {
								op.Return = math.MaxInt64
							}
							if err != nil && op.Input == (call{}) {
								t.Errorf("get: %v", err)
								return
							}
							mu.Lock()
							history = append(history, op)
							mu.Unlock()
						}
					})
				}
			}
			wg.Wait()
			if result := porcupine.CheckOperationsTimeout(register, history, 30*time.Second); result != porcupine.Ok {
				t.Errorf("the history of %d calls is %s", len(history), result)
				for _, op := range history {
					t.Logf("%d: [%d, %d] %s", op.ClientId, op.Call, op.Return, register.DescribeOperation(op.Input, op.Output))
				}
			}
		})
	}
}

// Two processes take turns at random, and what each does is what the rules alone
// say of one secret: nothing that one remembers comes through.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 7))
			first := localtest.New(t)
			rooms := []*localtest.Room{first, first.Another(t)}
			var is secret.Secret // by the rules; revision 0 when there is none
			versions := map[string]bool{}
			var suffixes []string
			for step := range 150 {
				room := rooms[rng.IntN(len(rooms))]
				id := secret.ID{Name: "s"}
				if len(suffixes) > 0 && rng.IntN(3) == 0 {
					id.Suffix = suffixes[max(0, len(suffixes)-1-rng.IntN(3))]
				}
				if rng.IntN(6) == 0 {
					suffix := fmt.Sprintf("a%05d", step)
					_, err := room.Store.Create(t.Context(), making(t, fresh("s", suffix)))
					taken, ok := errors.AsType[*store.Exists](err)
					switch {
					case is.Revision == 0 && err == nil:
						is, versions = making(t, fresh("s", suffix)).Secret, map[string]bool{"v1": true}
						is.Revision = 1
						suffixes = append(suffixes, suffix)
					case is.Revision == 0 || !ok || !reflect.DeepEqual(unnamed(taken.Secret), unnamed(is)):
						t.Fatalf("step %d: create: %v, with %+v there", step, err, is)
					}
					continue
				}
				name, d := randomDecision(rng, step)
				next, want := byTheRules(is, id, d, versions)
				got, err := room.Store.Update(t.Context(), id, d)
				if (want == nil) != (err == nil) || (want != nil && !isType[*store.VersionExists](err) && !errors.Is(err, want)) {
					t.Fatalf("step %d: %s of %v: %v, want %v", step, name, id, err, want)
				}
				if err != nil {
					continue
				}
				if got.Revision != next.Revision && next.Revision != 0 {
					t.Fatalf("step %d: %s: revision %d, want %d", step, name, got.Revision, next.Revision)
				}
				is = next
				for _, r := range rooms {
					now, err := r.Store.Get(t.Context(), byName)
					if is.Revision == 0 {
						if !errors.Is(err, secret.NotFound) {
							t.Fatalf("step %d: %s: %v, want %v", step, name, err, secret.NotFound)
						}
						continue
					}
					if err != nil || !reflect.DeepEqual(unnamed(now), unnamed(is)) {
						t.Fatalf("step %d: %s: stored is %+v, %v\nwant %+v", step, name, now, err, is)
					}
					if rng.IntN(2) == 0 { // the other may stay behind
						break
					}
				}
			}
		})
	}
}

func randomDecision(rng *rand.Rand, step int) (string, decide) {
	version := func() string { return fmt.Sprintf("v%d", rng.IntN(max(step, 2))) }
	label := []string{secret.Current, secret.Previous, secret.Pending, "mine"}[rng.IntN(4)]
	switch rng.IntN(8) {
	case 0:
		return "delete", deleting
	case 1, 2:
		return "restore", restoring
	case 3:
		if rng.IntN(3) == 0 {
			return "remove", removing
		}
		return "restore", restoring
	case 4:
		from, to := version(), version()
		return "move", moving(label, from, to)
	case 5:
		to := version()
		return "move to", moving(label, "", to)
	default:
		return "put", putting(fmt.Sprintf("v%d", step-rng.IntN(2)), label)
	}
}

// unnamed is a secret without the name of its commit, which is made up.
func unnamed(sec secret.Secret) secret.Secret {
	sec.Commit, sec.Past = "", nil
	return sec
}

var errExists = errors.New("version exists")

// byTheRules is what an update must come to.
func byTheRules(sec secret.Secret, id secret.ID, d decide, versions map[string]bool) (secret.Secret, error) {
	if sec.Revision == 0 || !sec.Is(id) {
		return sec, secret.NotFound
	}
	change, err := d(sec)
	switch {
	case err != nil:
		return sec, err
	case change.IsUnchanged():
		return sec, nil
	case change.Outcome == secret.Removed:
		return secret.Secret{}, nil
	case change.Version != nil && versions[change.Version.ID]:
		return sec, errExists
	}
	for _, v := range change.IDs(secret.Require) {
		if !versions[v] {
			return sec, secret.NoSuchVersion(v)
		}
	}
	if change.Version != nil {
		versions[change.Version.ID] = true
	}
	change.Secret.Revision = sec.Revision + 1
	return change.Secret, nil
}
