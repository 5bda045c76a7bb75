package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/dynamo"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/store"
	"github.com/strongroom/strongroom/pkg/verify"
)

// A world is one history while it happens.
type world struct {
	seed  uint64
	turns *turns
	log   history

	here     *region
	regions  []*region // with here, which is alone in most histories
	policies *policy.Set
	hasNewer bool // one of the processes is of a newer format
	replicas replicas

	running sync.WaitGroup // all that was begun, beside the driver
	faults  atomic.Bool
	apart   atomic.Bool                   // no call from one Region to another arrives
	births  atomic.Int64                  // of secrets
	busy    atomic.Int64                  // clients in a call
	gate    atomic.Pointer[chan struct{}] // is closed when clients may begin calls
	records sync.Map                      // kept, of calls that succeeded, by request
	gone    sync.Map                      // requests whose callers hung up
	formats sync.Map                      // that heads were written in
	runners runners
	ended   sync.Map // proofs of tokens, of attempts at a rotation that have ended
	makers  sync.Map // calls that made versions, by the keys of these
	seen    sometimes

	// of the driver alone
	rng      *rand.Rand
	restarts int
	trace    []string

	mu     sync.Mutex
	faulty []string // what was found wrong
}

const (
	clients = 4
	calls   = 7
	// skew is how far a process's clock may be off.
	skew = 2 * time.Second
	// patience is how long what is due may take once the faults have stopped, in virtual
	// time: a lease must expire, a function that hung must have ended, and a rotation
	// has five attempts.
	patience = 2 * time.Hour
	// most is how many turns a history may have; a history that has more does not end.
	most = 20_000
)

func (w *world) wrong(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faulty = append(w.faulty, fmt.Sprintf(format, args...))
}

func (w *world) hungUp(name string) bool {
	_, gone := w.gone.Load(name)
	return gone
}

// hosts is the policy of those who may do everything.
const hosts = `[{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + hostARN + `"},"Action":"secretsmanager:*","Resource":"*"}]}]`

func newWorld(seed uint64) *world {
	w := &world{
		seed: seed, turns: newTurns(), rng: rand.New(rand.NewPCG(seed, 1)), runners: runners{last: map[string]*process{}},
	}
	var err error
	if w.policies, err = policy.ParseSet("hosts", []byte(hosts)); err != nil {
		panic(err)
	}
	db := dynamo.Memory()
	w.here = newRegion(db, local.Region)
	w.regions = []*region{w.here}
	isTwo := drawn(seed, "regions", oneOf) == 0
	w.hasNewer = w.rng.IntN(8) == 0 && !isTwo
	for i := range 3 {
		w.here.processes = append(w.here.processes, w.newProcess(w.here, fmt.Sprint(string(rune('a'+i))), w.hasNewer && i == 2))
	}
	if isTwo {
		w.addRegion(db)
	}
	return w
}

// any is one of the processes of a Region, by a name.
func (w *world) any(at *region, name string) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return at.processes[drawn(w.seed, name+" process", len(at.processes))]
}

// run lives one history, from its first call to when nothing is due any more.
func (w *world) run() {
	w.faults.Store(true)
	open := make(chan struct{})
	close(open)
	w.gate.Store(&open)
	var living sync.WaitGroup
	for i := range clients {
		c := &client{world: w, name: fmt.Sprint("client ", i+1)}
		living.Go(func() { c.live(calls) })
	}
	w.during(living.Wait)
	w.settle()
}

// during gives turns until something has ended.
func (w *world) during(something func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		something()
	}()
	w.drive(ended)
}

func (w *world) drive(ended <-chan struct{}) {
	for range most {
		synctest.Wait()
		select {
		case <-ended:
			return
		default:
		}
		w.happen()
		time.Sleep(time.Duration(1 + w.rng.IntN(300_000))) // no two turns are at one moment
		synctest.Wait()
		waiting := w.turns.waiting()
		if len(waiting) == 0 || w.rng.IntN(12) == 0 {
			time.Sleep(time.Duration(w.rng.IntN(60_000)) * time.Microsecond)
			continue
		}
		one := waiting[w.rng.IntN(len(waiting))]
		v := w.verdict(one)
		w.note("%s: %s", one.name, v)
		w.turns.give(one, v)
	}
	w.wrong("it does not end")
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, time.Now().Format("15:04:05.000000000 ")+fmt.Sprintf(format, args...))
}

// verdict draws what becomes of a call.
func (w *world) verdict(one *turn) verdict {
	if one.on != nil && one.on.dead.Load() || w.isOutOfReach(one) {
		return cut
	}
	if !w.faults.Load() {
		return done
	}
	switch n := w.rng.IntN(100); {
	case n < 82 && w.isTwo() && strings.HasPrefix(one.name, "replicate") && strings.Contains(one.name, " TransactWriteItems ") && w.rng.IntN(8) == 0:
		return late
	case n < 82:
		return done
	case n < 86:
		return short
	case n < 89:
		return refused
	case n < 92:
		return cut
	case n < 96:
		return lost
	default:
		return late
	}
}

// happen is what happens beside the calls, now and then.
func (w *world) happen() {
	switch n := w.rng.IntN(400); {
	case !w.faults.Load():
	case n == 0:
		w.kill(w.here, w.rng.IntN(len(w.here.processes)))
	case n < 3:
		w.hold(w.here)
	case n < 6:
		w.begin(w.here, "prune")
	case n < 8:
		w.begin(w.here, "rotate")
	case n < 10:
		p := w.here.processes[w.rng.IntN(len(w.here.processes))]
		p.ahead.Store(int64(time.Duration(w.rng.Int64N(int64(2*skew))) - skew))
		w.note("the clock of %s is off by %s", p.name, time.Duration(p.ahead.Load()))
	case n < 11: // what is on its way ends as if the network were gone
		w.pass([]time.Duration{time.Second, 25 * time.Second}[w.rng.IntN(2)])
	case n < 15: // no client tries again after hours
		gate := make(chan struct{})
		w.gate.Store(&gate)
		for w.answerAll(); w.busy.Load() > 0; w.answerAll() {
			time.Sleep(time.Millisecond)
		}
		w.pass([]time.Duration{2 * time.Hour, 2 * time.Hour, 8 * 24 * time.Hour}[w.rng.IntN(3)])
		close(gate)
		w.begin(w.here, "prune")
		w.begin(w.here, "prune")
		w.running.Go(w.move)
	}
	if w.isTwo() && w.faults.Load() {
		w.happenBetween()
	}
}

func (w *world) pass(d time.Duration) {
	w.note("%s pass", d)
	time.Sleep(d)
}

// kill ends a process and starts another in its place.
func (w *world) kill(at *region, i int) {
	old := at.processes[i]
	for _, one := range w.turns.waiting() {
		if one.on == old && w.rng.IntN(2) == 0 {
			w.turns.give(one, late) // it is on its way
		}
	}
	old.crash()
	w.restarts++
	fresh := w.newProcess(at, fmt.Sprintf("%s%d", old.name[:1], w.restarts), old.newer)
	w.mu.Lock()
	at.processes[i] = fresh
	w.mu.Unlock()
	w.note("%s dies, %s starts", old.name, fresh.name)
}

// hold has the indexes trail from now on, or has them catch up.
func (w *world) hold(at *region) {
	if at.release != nil {
		at.release()
		at.release = nil
	} else {
		at.release = at.db.HoldIndexes(at.table)
	}
	at.trailing.Store(at.release != nil)
	w.note("the indexes trail%s: %t", at.mark, at.trailing.Load())
}

// begin runs a schedule beside all else.
func (w *world) begin(at *region, schedule string) {
	name := fmt.Sprintf("%s %d", schedule, w.turns.number(schedule))
	p := at.processes[w.rng.IntN(len(at.processes))]
	w.note("%s begins in %s", name, p.name)
	w.running.Go(func() { p.schedule(as(p.ctx, name), schedule) })
}

func (p *process) schedule(ctx context.Context, schedule string) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	switch schedule {
	case "prune":
		_, _ = p.prune.Run(ctx)
	case "rotate":
		_, _ = p.rotate.Run(ctx)
	case "replicate":
		_, _ = p.replicate.Run(ctx)
	}
}

// settle stops the faults, and gives the schedules their time.
func (w *world) settle() {
	w.note("the faults stop")
	w.faults.Store(false)
	w.reconnect()
	for _, at := range w.regions {
		if at.trailing.Load() {
			w.hold(at)
		}
		for i, p := range at.processes {
			p.ahead.Store(0)
			if w.hasNewer && !p.newer { // the newer version is deployed everywhere
				p.newer = true
				w.kill(at, i)
			}
		}
	}
	until := time.Now().Add(patience)
	for w.answerAll(); w.isUnsettled() && time.Now().Before(until); w.answerAll() {
		time.Sleep(w.step())
		w.begin(w.here, "prune")
		w.begin(w.here, "rotate")
		w.beginBetween()
	}
	if left := w.due(); left > 0 {
		w.wrong("%d tasks are due still, %s after the faults stopped", left, patience)
	}
	for _, what := range w.diverged() {
		w.wrong("%s, %s after the faults stopped", what, patience)
	}
	w.during(w.running.Wait) // leases and calls under way have an end
	w.writeAll()
	w.outrunIndexes()
	w.readAll()
	for _, at := range w.regions {
		w.verify(at)
		for _, p := range at.processes {
			p.end()
		}
	}
}

func (w *world) isUnsettled() bool { return w.due() > 0 || len(w.diverged()) > 0 }

// answerAll answers all calls until none is left.
func (w *world) answerAll() {
	for range most {
		synctest.Wait()
		waiting := w.turns.waiting()
		if len(waiting) == 0 {
			return
		}
		one := waiting[w.rng.IntN(len(waiting))]
		time.Sleep(time.Duration(1 + w.rng.IntN(300_000)))
		synctest.Wait()
		v := w.verdict(one)
		w.note("%s: %s", one.name, v)
		w.turns.give(one, v)
	}
	w.wrong("the calls do not end")
}

// direct is the store of a Region without the wire.
func (w *world) direct(at *region) *store.Store {
	return store.New(wire{w, at, at.processes[0], true}, at.table, at.arns)
}

// due counts the tasks that are due.
func (w *world) due() int {
	n := 0
	for _, at := range w.regions {
		table := w.direct(at)
		for _, queue := range []store.Queue{store.Prunings, store.Rotations} {
			for part := range store.Shards {
				tasks, _, err := table.Due(context.Background(), queue, part, time.Now(), nil)
				if err != nil {
					w.wrong("list what is due: %v", err)
				}
				n += len(tasks)
			}
		}
	}
	return n
}

// writeAll writes each secret, as several clients at once in several processes. None may
// be kept from it by what went wrong before.
func (w *world) writeAll() {
	var writing sync.WaitGroup
	for i := range clients {
		c := &client{world: w, name: fmt.Sprint("writer ", i+1)}
		writing.Go(func() {
			for _, secret := range w.secrets() {
				time.Sleep(time.Duration(1+drawn(w.seed, c.name+secret, 2_000)) * time.Microsecond)
				if e := c.do(request{event: event{Op: opTag, Secret: secret, Label: "key0", Value: c.name}}); e.Unknown {
					w.wrong("%s cannot write %s, with no faults any more: %s", c.name, secret, e.Code)
				}
			}
		})
	}
	w.during(writing.Wait)
}

// outrunIndexes has a secret pruned of which the indexes do not show the last versions,
// and which nobody changes after that. With two Regions that are apart meanwhile, an ID that
// went is used again.
func (w *world) outrunIndexes() {
	c := &client{world: w, name: "the last but one"}
	puts := func() {
		for range 3 {
			c.do(request{event: event{Op: opPut, Secret: "one", Version: fmt.Sprintf("put-at-the-end-%024d", c.calls), Value: "value"}})
		}
	}
	w.during(puts)
	if w.isTwo() {
		w.during(w.running.Wait) // it is delivered
		w.apart.Store(true)
	}
	w.pass(2 * time.Hour)
	w.hold(w.here)
	w.during(puts)
	w.begin(w.here, "prune")
	w.answerAll()
	w.hold(w.here)
	if w.isTwo() {
		w.apart.Store(false)
		w.during(func() {
			c.do(request{event: event{Op: opPut, Secret: "one", Version: fmt.Sprintf("put-at-the-end-%024d", 2), Value: "another value"}})
		})
		w.during(w.running.Wait)
	}
}

// readAll reads what there is at the end, as one more client.
func (w *world) readAll() {
	c := &client{world: w, name: "the last"}
	w.during(func() {
		for _, secret := range w.secrets() {
			for _, e := range []event{{Op: opShow, Secret: secret}, {Op: opGet, Secret: secret, Label: "AWSCURRENT"}} {
				if got := c.do(request{event: e}); got.Unknown {
					w.wrong("%s of %s fails, with no faults any more: %s", e.Op, secret, got.Code)
				}
			}
		}
	})
}

// verify looks for damage in a table.
func (w *world) verify(at *region) {
	v := &verify.Verifier{
		Store: w.direct(at), Retention: retention, Report: func(f verify.Finding) { w.wrong("verify: %s%s: %s", f.Secret, at.mark, f.What) },
	}
	if _, err := v.Run(context.Background(), ""); err != nil {
		w.wrong("verify: %v", err)
	}
}

// Sometimes are the situations that a history met.
type sometimes struct{ met sync.Map }

func (w *world) sometimes(what string) { w.seen.met.Store(what, true) }

// situations are what a run of many histories has to meet, or it tests too little.
var situations = []string{
	"a rival came first",
	"a commit whose answer was lost was recognised",
	"a write arrived after its caller gave up",
	"a rotation was taken over from a process that died",
	"prune met a change",
	"a process died with a commit on its way",
	"a caller hung up before the commit",
	"a schedule read an index that trailed",
	"two formats were written",
	"a version was removed",
	"a secret was purged",
	"a rotation made a version current",
	"a token of an attempt that had ended was refused",

	"two deliveries met",
	"a delivery met a promotion",
	"a delivery that came late was refused",
	"a copy took the place of another",
	"a copy that was removed was kept out",
	"a secret was overwritten by force",
	"a replica failed for good",
	"a version without a label came back to a replica",
}

// lived is what came of one history.
type lived struct {
	wrong []string
	met   map[string]bool
	trace []string
	log   *history
	*world
}

// told is what the clients saw of a secret, without the IDs that KMS draws.
func (l lived) told(secret string) string {
	told := l.log.told(secret)
	for _, at := range l.regions {
		told = strings.ReplaceAll(told, at.otherKey, "(other key)")
	}
	return told
}

// live lives the history of a seed, in a bubble of virtual time.
func live(t *testing.T, seed uint64) lived {
	t.Helper()
	var w *world
	synctest.Test(t, func(*testing.T) {
		w = newWorld(seed)
		w.run()
	})
	met := map[string]bool{}
	for what := range w.seen.met.Range {
		met[what.(string)] = true
	}
	_, older := w.formats.Load(format)
	_, newer := w.formats.Load(newerFormat)
	if older && newer {
		met["two formats were written"] = true
	}
	for _, e := range w.log.events {
		switch {
		case e.Op == opPruned:
			met["a version was removed"] = true
		case e.Op == opPurged:
			met["a secret was purged"] = true
		case e.Op == opMove && e.Secret == rotated && e.Code == "" && strings.HasPrefix(e.Client, "function"):
			met["a rotation made a version current"] = true
		}
	}
	return lived{w.faulty, met, w.trace, &w.log, w}
}
