package secret

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"
)

// A step of a history is four bytes: what is done, and three that say to what.
const stepLen = 4

// maxSteps is where a history has been everywhere a longer one gets to.
const maxSteps = 64

const (
	opPut           = iota // version, first label, how many labels
	opMove                 // label, from, to
	opRotate               // version, 1 for a test, number of rules
	opTag                  // key, value, how many
	opUntag                // key
	opDelete               // days
	opRestore              //
	opRemove               //
	opLease                // runner, minutes
	opRotated              // runner
	opFailed               // runner, minutes until the next attempt
	opReattempt            //
	opCancel               //
	opPostpone             // minutes
	opCallEnded            // runner
	opReturnAttempt        // runner
	opPass                 // minutes
	ops
)

var (
	// More labels than a secret may have.
	historyLabels = func() []string {
		labels := []string{Current, Previous, Pending, "AWSMINE"}
		for i := range MaxLabels {
			labels = append(labels, fmt.Sprintf("mine%d", i))
		}
		return labels
	}()
	// Not given, none, and some; the windows of all open every ten minutes.
	historyRules = []*RotationRules{nil, {}, &monthly, &nightly}

	// The first is for what is not given.
	historyVersions = []string{"", "v1", "v2", "v3", "v4", "v5", "v6"}
)

// stillFull is what "too many labels" below comes to.
func stillFull() Stages {
	stages := Stages{Current: "v3", Previous: "v1"}
	for i := 1; len(stages) < MaxLabels; i++ {
		stages[fmt.Sprintf("mine%d", i)] = "v1"
	}
	return stages
}

// brimful is what "as many labels as there may be" below comes to.
func brimful() Stages {
	stages := Stages{Current: "v1"}
	for i := range MaxLabels - 1 {
		stages[fmt.Sprintf("mine%d", i)] = "v1"
	}
	return stages
}

// histories are such as happen, for plain tests and for the fuzzer to vary.
var histories = []struct {
	name  string
	steps []byte
	want  Stages
}{
	{"three values", []byte{
		opPut, 1, 0, 0,
		opPut, 2, 0, 0,
		opPut, 3, 0, 1,
	}, Stages{Current: "v3", Previous: "v2"}},
	{"a rotation", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 0,
		opPut, 2, 2, 1,
		opMove, 0, 1, 2,
		opMove, 2, 2, 0,
	}, Stages{Current: "v2", Previous: "v1"}},
	{"a rotation that is run", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 2,
		opLease, 1, 10, 0,
		opLease, 2, 10, 0,
		opPut, 2, 2, 1,
		opMove, 0, 1, 2,
		opRotated, 2, 0, 0,
		opRotated, 1, 0, 0,
		opFailed, 1, 0, 0,
	}, Stages{Current: "v2", Previous: "v1"}},
	{"a rotation by schedule", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 1, 2,
		opLease, 1, 10, 0,
		opRotated, 1, 0, 0,
		opPass, 20, 0, 0,
		opPostpone, 5, 0, 0,
		opPass, 5, 0, 0,
		opLease, 3, 10, 0,
	}, Stages{Current: "v1", Pending: "by schedule 8"}},
	{"a rotation that fails until it is given up, and is taken up again", slices.Concat([]byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 3,
	}, slices.Repeat([]byte{
		opLease, 1, 10, 0,
		opFailed, 1, 0, 0,
	}, MaxAttempts), []byte{
		opRotate, 3, 0, 0,
		opReattempt, 0, 0, 0,
		opLease, 1, 1, 0,
		opPass, 9, 0, 0,
		opLease, 2, 10, 0,
		opRotated, 1, 0, 0,
		opRotated, 2, 0, 0,
	}), Stages{Current: "v1", Pending: "v2"}},
	{"runners that die", slices.Concat([]byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 2,
		opPut, 2, 2, 1,
		opMove, 0, 1, 2,
	}, slices.Repeat([]byte{
		opLease, 1, 1, 0,
		opPass, 2, 0, 0,
	}, MaxAttempts+1), []byte{
		opPass, 20, 0, 0,
		opLease, 2, 10, 0,
		opCancel, 0, 0, 0,
	}), Stages{Current: "v2", Previous: "v1", Pending: "by schedule 18"}},
	{"a test", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 1, 0,
		opLease, 1, 10, 0,
		opPut, 2, 2, 1,
		opRotated, 1, 0, 0,
		opRotate, 2, 1, 0,
		opRotate, 3, 1, 0,
		opLease, 2, 10, 0,
		opMove, 4, 0, 3,
		opCancel, 0, 0, 0,
		opRotate, 4, 1, 0,
		opCancel, 0, 0, 0,
	}, Stages{Current: "v1", "mine0": "v3"}},
	{"tests that are ended by a put, by moves, and by a deletion", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 1, 0,
		opLease, 1, 10, 0,
		opPut, 3, 0, 0,
		opRotate, 2, 1, 0,
		opMove, 2, 2, 3,
		opRotate, 4, 1, 0,
		opMove, 2, 4, 0,
		opRotate, 5, 1, 0,
		opDelete, 7, 0, 0,
		opRestore, 0, 0, 0,
		opRotate, 6, 1, 0,
		opMove, 4, 0, 6,
		opPut, 2, 0, 0,
	}, Stages{Current: "v2", Previous: "v3", "mine0": "v6"}},
	{"a late put of an abandoned rotation", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 3,
		opLease, 1, 1, 0,
		opPut, 3, 0, 0,
		opPut, 2, 2, 1,
		opPass, 20, 0, 0,
		opLease, 2, 10, 0,
	}, Stages{Current: "v3", Previous: "v1", Pending: "by schedule 7"}},
	{"the same request again, and that of another version", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 2,
		opRotate, 2, 1, 0,
		opCancel, 0, 0, 0,
		opRotate, 2, 0, 0,
		opMove, 2, 2, 0,
		opRotate, 2, 0, 0,
		opRotate, 1, 0, 0,
		opRotate, 3, 0, 0,
		opPut, 4, 0, 0,
		opPut, 3, 4, 1,
		opRotate, 3, 0, 0,
	}, Stages{Current: "v4", Previous: "v1", "mine0": "v3"}},
	{"a call that is in flight", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 0,
		opLease, 1, 20, 0,
		opPut, 3, 0, 0,
		opRotate, 4, 0, 0,
		opLease, 2, 20, 0,
		opCallEnded, 1, 0, 0,
		opLease, 2, 20, 0,
		opPut, 4, 2, 1,
		opMove, 0, 3, 4,
		opRotate, 5, 0, 0,
		opLease, 1, 20, 0,
		opPass, 20, 0, 0,
		opLease, 1, 20, 0,
		opPut, 5, 2, 1,
		opMove, 0, 4, 5,
		opRotated, 1, 0, 0,
	}, Stages{Current: "v5", Previous: "v4"}},
	{"runners that stop, more often than they may fail", slices.Concat([]byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 0,
		opPut, 2, 2, 1,
	}, slices.Repeat([]byte{
		opLease, 1, 2, 0,
		opReturnAttempt, 1, 0, 0,
		opReturnAttempt, 1, 0, 0,
	}, MaxAttempts+1), []byte{
		opLease, 2, 10, 0,
		opMove, 0, 1, 2,
		opRotated, 2, 0, 0,
	}), Stages{Current: "v2", Previous: "v1"}},
	{"a rotation that is cancelled without a value, and another", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 0,
		opLease, 1, 10, 0,
		opFailed, 1, 0, 0,
		opCancel, 0, 0, 0,
		opRotate, 3, 0, 0,
	}, Stages{Current: "v1", Pending: "v3"}},
	{"a rotation that is cancelled with a value, and another", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 0,
		opPut, 2, 2, 1,
		opCancel, 0, 0, 0,
		opRotate, 3, 0, 0,
	}, Stages{Current: "v1", Pending: "v2"}},
	{"a rotation that is cancelled, and its labels cleaned up", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 2,
		opLease, 1, 10, 0,
		opCancel, 0, 0, 0,
		opRotated, 1, 0, 0,
		opRotate, 3, 0, 0,
		opMove, 2, 2, 0,
		opRotate, 3, 0, 0,
	}, Stages{Current: "v1", Pending: "v3"}},
	{"a rotation with as many labels as there may be", []byte{
		opPut, 1, 4, 19,
		opRotate, 2, 0, 2,
		opMove, 4, 1, 0,
		opRotate, 2, 0, 2,
		opMove, 5, 1, 0,
		opRotate, 2, 0, 2,
		opMove, 2, 2, 0,
		opMove, 5, 0, 1,
		opMove, 4, 0, 1,
		opPass, 20, 0, 0,
		opLease, 1, 10, 0,
	}, brimful()},
	{"a rotation and a deletion taken back", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 2,
		opLease, 1, 10, 0,
		opDelete, 7, 0, 0,
		opLease, 2, 10, 0,
		opRotated, 1, 0, 0,
		opCancel, 0, 0, 0,
		opRestore, 0, 0, 0,
		opPut, 2, 0, 0,
		opRotated, 1, 0, 0,
	}, Stages{Current: "v2", Previous: "v1"}},
	{"a rotation abandoned", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 0,
		opPut, 3, 0, 0,
		opPut, 2, 2, 1,
	}, Stages{Current: "v3", Previous: "v1", Pending: "v2"}},
	{"a rotation before the first value", []byte{
		opRotate, 2, 0, 0,
		opMove, 0, 0, 2,
		opLease, 1, 10, 0,
		opPut, 2, 2, 1,
		opMove, 0, 0, 2,
		opRotated, 1, 0, 0,
	}, Stages{Current: "v2"}},
	{"a failed rotation before the first value", []byte{
		opRotate, 2, 0, 0,
		opPut, 1, 0, 0,
	}, Stages{Current: "v1"}},
	{"there and back", []byte{
		opPut, 1, 0, 0,
		opPut, 2, 0, 0,
		opMove, 0, 2, 1,
		opMove, 0, 1, 2,
		opMove, 0, 2, 2,
	}, Stages{Current: "v2", Previous: "v1"}},
	{"previous by name", []byte{
		opPut, 1, 0, 0,
		opPut, 2, 0, 2,
		opPut, 3, 1, 1,
		opMove, 1, 3, 1,
		opMove, 1, 1, 0,
		opPut, 4, 0, 0,
	}, Stages{Current: "v4", Previous: "v2"}},
	{"custom labels", []byte{
		opPut, 1, 4, 2,
		opPut, 2, 5, 1,
		opMove, 4, 1, 2,
		opMove, 5, 2, 0,
		opMove, 6, 0, 1,
		opMove, 6, 0, 2,
		opMove, 0, 1, 0,
	}, Stages{Current: "v1", "mine0": "v2", "mine2": "v1"}},
	{"too many labels", []byte{
		opPut, 1, 4, 19,
		opPut, 2, 0, 0,
		opMove, 23, 0, 1,
		opMove, 4, 1, 0,
		opPut, 3, 0, 0,
		opPut, 4, 4, 1,
	}, stillFull()},
	{"deleted and back", []byte{
		opPut, 1, 0, 0,
		opRestore, 0, 0, 0,
		opDelete, 6, 0, 0,
		opDelete, 7, 0, 0,
		opDelete, 7, 0, 0,
		opPut, 2, 0, 0,
		opMove, 0, 1, 2,
		opTag, 1, 1, 1,
		opRestore, 0, 0, 0,
		opPut, 2, 0, 0,
	}, Stages{Current: "v2", Previous: "v1"}},
	{"gone and made again", []byte{
		opPut, 1, 0, 0,
		opDelete, 30, 0, 0,
		opRemove, 0, 0, 0,
		opPut, 1, 2, 1,
	}, Stages{Current: "v1", Pending: "v1"}},
	{"tags", []byte{
		opTag, 1, 1, 30,
		opTag, 20, 2, 20,
		opTag, 60, 3, 40,
		opPut, 1, 0, 0,
		opTag, 1, 9, 1,
		opUntag, 2, 0, 0,
		opUntag, 200, 0, 0,
	}, Stages{Current: "v1"}},
}

// FuzzHistory plays any history and checks after each step what always holds.
func FuzzHistory(f *testing.F) {
	for _, seed := range histories {
		f.Add(seed.steps)
	}
	f.Fuzz(func(t *testing.T, steps []byte) {
		h := newHistory(t)
		for step := range slices.Chunk(steps, stepLen) {
			if len(step) < stepLen || len(h.past) == maxSteps {
				break
			}
			h.play(step[0]%ops, step[1], step[2], step[3])
		}
		for i, past := range h.past {
			if !reflect.DeepEqual(past.secret, past.copy) {
				t.Fatalf("after %d steps, the secret of step %d is %+v, want %+v", len(h.past), i, past.secret, past.copy)
			}
		}
	})
}

// The histories go where they are meant to.
func TestHistories(t *testing.T) {
	t.Parallel()
	for _, tt := range histories {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			for step := range slices.Chunk(tt.steps, stepLen) {
				h.play(step[0], step[1], step[2], step[3])
			}
			if got := h.secret.Stages; !maps.Equal(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}

// A history is a secret and what the store would know of it.
type history struct {
	t      *testing.T
	now    time.Time
	secret Secret
	put    map[string]bool  // the versions that are there
	leases map[string]Lease // by their rotation tokens
	// working are the runners that may be calling the function, with the ends of their
	// leases: those that had a lease and have not been seen to end it.
	working  map[string]time.Time
	returned map[string]bool // attempts that were returned, by proof
	copies   map[string]bool // of tests, until they have another label
	asked    string          // token of the last RotateSecret
	past     []moment
}

// A moment is a secret as a step found it, and a copy that shares nothing.
type moment struct{ secret, copy Secret }

func newHistory(t *testing.T) *history {
	h := &history{t: t, now: born}
	h.begin()
	return h
}

func (h *history) begin() {
	h.secret = New("db/main", testARN, "v1", h.now)
	h.put = map[string]bool{}
	h.leases = map[string]Lease{}
	h.working = map[string]time.Time{}
	h.returned = map[string]bool{}
	h.copies = map[string]bool{}
	h.asked = ""
}

func (h *history) play(op, a, b, c byte) {
	h.t.Helper()
	h.now = h.now.Add(time.Minute)
	before := moment{h.secret, clone(h.secret)}
	h.past = append(h.past, before)
	version := func(n byte) string { return historyVersions[int(n)%len(historyVersions)] }
	switch op {
	case opPut:
		h.playPut(cmp.Or(version(a), "v1"), someLabels(int(b), int(c)))
	case opMove:
		h.playMove(historyLabels[int(a)%len(historyLabels)], version(b), version(c))
	case opRotate:
		h.playRotate(cmp.Or(version(a), "v1"), b%2 == 1, historyRules[int(c)%len(historyRules)])
	case opTag:
		h.playTag(someTags(int(a), int(b), int(c)))
	case opUntag:
		h.playUntag([]string{fmt.Sprint("key", a)})
	case opDelete:
		change, err := h.secret.Delete(int(a), h.now)
		h.settle(change, err)
	case opRestore:
		h.settle(h.secret.Restore(h.now), nil)
	case opRemove:
		h.settle(h.secret.Remove(h.now), nil)
	case opLease:
		h.playLease(runner(a), minutes(b))
	case opRotated:
		h.playRotated(runner(a))
	case opFailed:
		h.playFailed(runner(a), minutes(b))
	case opReattempt:
		h.settleRotation(h.secret.Reattempt(h.now))
	case opCancel:
		h.playCancel()
	case opPostpone:
		h.settleRotation(h.secret.Postpone(h.window(h.secret.Rotation.Rules)))
	case opCallEnded:
		h.playCallEnded(runner(a))
	case opReturnAttempt:
		h.playReturnAttempt(runner(a))
	case opPass:
		h.now = h.now.Add(minutes(a))
	}
	h.checkRun()
	if !reflect.DeepEqual(before.secret, before.copy) {
		h.t.Fatalf("the step left its secret as %+v, want %+v", before.secret, before.copy)
	}
}

// runner is one of three.
func runner(n byte) string { return fmt.Sprint("runner", n%3+1) }

func minutes(n byte) time.Duration { return time.Duration(n) * time.Minute }

// window is the next one of any rules but those that say nothing.
func (h *history) window(rules RotationRules) Window {
	if rules == (RotationRules{}) || !h.secret.Rotation.Enabled && h.secret.Rotation.Lambda != "" {
		return Window{}
	}
	opens := h.now.Truncate(10 * time.Minute).Add(10 * time.Minute)
	return Window{opens, opens.Add(5 * time.Minute)}
}

func someLabels(first, n int) []string {
	var labels []string
	for i := range n % (MaxLabels + 1) {
		labels = append(labels, historyLabels[(first+i)%len(historyLabels)])
	}
	return labels
}

func someTags(first, value, n int) []Tag {
	var tags []Tag
	for i := range n % (MaxTags + 2) {
		tags = append(tags, Tag{fmt.Sprint("key", first+i), fmt.Sprint(value)})
	}
	return tags
}

func (h *history) playPut(version string, labels []string) {
	h.t.Helper()
	asked := slices.Clone(labels)
	change, err := h.secret.Put(version, labels, h.now)
	if !slices.Equal(labels, asked) {
		h.t.Fatalf("the labels became %q, want %q", labels, asked)
	}
	if h.refused(change, err, true) {
		// Together with AWSCURRENT and AWSPREVIOUS, which may come by themselves.
		possible := maps.Clone(h.secret.Stages)
		for _, label := range append(labels, Current, Previous) {
			possible = possible.with(label, version)
		}
		if len(possible) <= MaxLabels && h.secret.Deletion.IsZero() {
			h.t.Fatalf("got refusal %v for %d labels at most", err, len(possible))
		}
		return
	}
	want := &Version{ID: version, Created: h.now}
	if !reflect.DeepEqual(change.Version, want) {
		h.t.Fatalf("got version %+v, want %+v", change.Version, want)
	}
	if got, want := change.Secret.Versions, h.secret.Versions+1-len(change.IDs(Discard)); got != want {
		h.t.Fatalf("got a count of %d versions, want %d", got, want)
	}
	_, began := h.secret.Stages[Current]
	byRotation := version == h.secret.Rotation.Run().Version // which says itself when it is current
	if len(labels) == 0 || !began && !byRotation && !slices.Contains(labels, Current) {
		labels = append(labels, Current)
	}
	h.checkLabels(change.Secret.Stages, version, labels)
	h.checkRotation(change.Secret.Stages, slices.Contains(labels, Current) && !slices.Contains(labels, Pending))
	if h.put[version] {
		return // as the store refuses it
	}
	h.put[version] = true
	h.settle(change, nil)
}

func (h *history) playMove(label, from, to string) {
	h.t.Helper()
	change, err := h.secret.MoveStage(label, from, to, h.now)
	if h.refused(change, err, true) {
		return
	}
	if change.Version != nil {
		h.t.Fatalf("got version %+v of a move, want none", change.Version)
	}
	if holder, held := h.secret.Stages[label]; held && holder != to && from != holder {
		h.t.Fatalf("%s left %s, want it to stay when %q is named", label, holder, from)
	}
	h.checkLabels(change.Secret.Stages, to, []string{label})
	h.checkRotation(change.Secret.Stages, label == Pending && to == "")
	if !change.IsUnchanged() && to != "" && !slices.Equal(change.IDs(Require), []string{to}) {
		h.t.Fatalf("got %q that must exist, want %q", change.IDs(Require), to)
	}
	if slices.ContainsFunc(change.IDs(Require), func(id string) bool { return !h.put[id] }) {
		return // as the store refuses it
	}
	h.settle(change, nil)
}

// playRotate asks for a rotation; the function is always the same.
func (h *history) playRotate(version string, test bool, rules *RotationRules) {
	h.t.Helper()
	pending, current := h.secret.Stages[Pending], h.secret.Stages[Current]
	empty := ""
	if !h.put[pending] {
		empty = pending
	}
	change, err := h.secret.Rotate(Rotate{
		Token: version, Lambda: function, Rules: rules, Test: test, Empty: empty,
		Next: func(rules RotationRules, _ time.Time) (Window, error) {
			if rules == (RotationRules{}) {
				return Window{}, nil
			}
			return Window{h.now.Add(10 * time.Minute), h.now.Add(15 * time.Minute)}, nil
		},
	}, h.now)
	if h.refused(change, err, true) {
		return
	}
	again := version == h.asked
	if again != change.IsUnchanged() {
		h.t.Fatalf("got nothing %t for version %s, asked last for %s", change.IsUnchanged(), version, h.asked)
	}
	if again {
		h.settleRotation(change)
		return
	}
	if labels := h.secret.Stages.Of(version); len(labels) > 0 {
		h.t.Fatalf("got a rotation to a version with the labels %q", labels)
	}
	cancelled := !h.secret.Rotation.Enabled && empty != ""
	if pending != current && pending != "" && !cancelled {
		h.t.Fatalf("got a rotation while %s is unfinished", pending)
	}
	if change.Version != nil && (!test || change.Version.ID != version) {
		h.t.Fatalf("got version %+v of a test %t of %s", change.Version, test, version)
	}
	if h.put[version] {
		if change.Version == nil && !slices.Equal(change.IDs(RequireAbsent), []string{version}) && (!test || current != "") {
			h.t.Fatalf("got %q that must not be there, want %s", change.IDs(RequireAbsent), version)
		}
		if change.Version != nil || len(change.IDs(RequireAbsent)) > 0 {
			return // as the store refuses it
		}
	}
	if change.Version != nil {
		h.put[version], h.copies[version] = true, true
	}
	h.asked = version
	h.checkRoom(change)
	h.settleRotation(change)
}

// checkRoom says whether a rotation that begins may come to its end: with AWSPENDING and
// AWSPREVIOUS it has no label too many.
func (h *history) checkRoom(change Change) {
	h.t.Helper()
	after := change.Secret.Stages
	if change.Secret.Rotation.State == nil {
		return
	}
	for _, label := range []string{Current, Previous} {
		if _, ok := h.secret.Stages[Current]; ok || label == Current {
			after = after.with(label, "any")
		}
	}
	if len(after) > MaxLabels && len(after) > len(h.secret.Stages) {
		h.t.Fatalf("got a rotation that ends with %d labels, want %d at most", len(after), MaxLabels)
	}
}

func (h *history) playLease(runner string, d time.Duration) {
	h.t.Helper()
	token := fmt.Sprint("token", len(h.past))
	lease := Lease{
		Runner: runner, Proof: ProofOf(token), Until: h.now.Add(d), Token: fmt.Sprint("by schedule ", len(h.past)), Next: h.window(h.secret.Rotation.Rules),
	}
	before, due := h.secret.Rotation, h.secret.RotationDue()
	change := h.secret.Lease(lease, h.now)
	if change.IsUnchanged() == h.secret.IsRotationDue(h.now) {
		h.t.Fatalf("got nothing %t of what is due at %s", change.IsUnchanged(), due)
	}
	if early := due.Sub(h.now); !change.IsUnchanged() && early > 0 {
		if _, waiting := before.State.(Waiting); !waiting || early > Skew {
			h.t.Fatalf("got %+v, %s before it was due", change.Secret.Rotation.State, early)
		}
	}
	if l, err := change.Secret.LeaseOf(runner); !change.IsUnchanged() && err == nil {
		for other, until := range h.working {
			if h.now.Before(until) {
				h.t.Fatalf("got a lease for %s while %s may be at work until %s", runner, other, until)
			}
		}
		h.leases[token] = lease
		h.working[runner] = lease.Until
		if l.Proof != lease.Proof || !l.Until.Equal(lease.Until) {
			h.t.Fatalf("got %+v for the lease %+v", l, lease)
		}
		h.checkBegun(l.Run, lease.Token)
		if !before.underWay() {
			h.checkRoom(change)
		}
	}
	h.settleRotation(change)
}

func (h *history) playRotated(runner string) {
	h.t.Helper()
	run, lost := h.secret.LeaseOf(runner)
	change, err := h.secret.Rotated(runner, h.window(h.secret.Rotation.Rules), h.now)
	if lost != nil && err == nil {
		h.t.Fatalf("got no refusal for %s of %+v", runner, h.secret.Rotation.State)
	}
	if h.refusedRunner(change, err) {
		return
	}
	switch {
	case !run.Test && h.secret.Stages[Current] != run.Version:
		h.t.Fatalf("got rotated to %s with %v", run.Version, h.secret.Stages)
	case change.Secret.Stages[Pending] == run.Version:
		h.t.Fatalf("got AWSPENDING left on %s", run.Version)
	case !run.Test && !change.Secret.Rotation.Last.Equal(h.now):
		h.t.Fatalf("got rotated at %s, want %s", change.Secret.Rotation.Last, h.now)
	}
	delete(h.working, runner)
	h.settleRotation(change)
}

func (h *history) playFailed(runner string, retry time.Duration) {
	h.t.Helper()
	_, lost := h.secret.LeaseOf(runner)
	change, err := h.secret.Failed(runner, "why", retry, h.now)
	if lost != nil && err == nil {
		h.t.Fatalf("got no refusal for %s of %+v", runner, h.secret.Rotation.State)
	}
	if h.refusedRunner(change, err) {
		return
	}
	if _, leased := change.Secret.Rotation.State.(Leased); leased {
		h.t.Fatalf("got %+v, want the lease to be returned", change.Secret.Rotation.State)
	}
	if !change.Secret.Rotation.Last.Equal(h.secret.Rotation.Last) {
		h.t.Fatalf("got rotated at %s of a failure", change.Secret.Rotation.Last)
	}
	delete(h.working, runner)
	h.settleRotation(change)
}

// playCallEnded has a runner look for its lease; when that is lost, its call has ended.
func (h *history) playCallEnded(runner string) {
	h.t.Helper()
	if _, err := h.secret.LeaseOf(runner); err == nil {
		return
	}
	change := h.secret.CallEnded(runner)
	want := h.secret
	if want.Rotation.InFlight.Runner == runner {
		want.Rotation.InFlight = Call{}
	}
	if !reflect.DeepEqual(change.Secret, want) || change.IsUnchanged() != (want.Rotation == h.secret.Rotation) {
		h.t.Fatalf("got %+v when the call of %s ended, want %+v", change.Secret.Rotation, runner, want.Rotation)
	}
	if l, _ := h.secret.Rotation.State.(Leased); l.Runner != runner { // or else it is deleted, and restored it goes on
		delete(h.working, runner)
	}
	h.settleRotation(change)
}

// playReturnAttempt shuts down the process of a runner; what it called may go on.
func (h *history) playReturnAttempt(runner string) {
	h.t.Helper()
	l, lost := h.secret.LeaseOf(runner)
	if lost == nil && h.returned[l.Proof] {
		return // once
	}
	change, err := h.secret.ReturnAttempt(runner)
	if lost != nil && err == nil {
		h.t.Fatalf("got no refusal for %s of %+v", runner, h.secret.Rotation.State)
	}
	if h.refusedRunner(change, err) {
		return
	}
	h.returned[l.Proof] = true
	l.Attempts--
	if got := change.Secret.Rotation.State; got != l {
		h.t.Fatalf("got %+v, want the attempt returned and nothing else: %+v", got, l)
	}
	h.settleRotation(change)
}

func (h *history) playCancel() {
	h.t.Helper()
	change, err := h.secret.CancelRotation(h.now)
	if h.refused(change, err, true) {
		return
	}
	if r := change.Secret.Rotation; r.Enabled || r.underWay() || r.Next != (Window{}) {
		h.t.Fatalf("got %+v, want it off", r)
	}
	h.settleRotation(change)
}

// refusedRunner checks the refusal of what a runner says: it learns that the
// rotation is not its own any more, also when the secret is marked for deletion.
func (h *history) refusedRunner(change Change, err error) bool {
	h.t.Helper()
	if err == nil && !h.secret.Deletion.IsZero() {
		h.t.Fatal("got no refusal, want one for a deleted secret")
	}
	if err != nil && !reflect.DeepEqual(change, Change{}) {
		h.t.Fatalf("got change %+v beside refusal %v, want none", change, err)
	}
	return err != nil
}

// settleRotation checks what holds for every change of a rotation, and commits it:
// of the labels it touches AWSPENDING alone.
func (h *history) settleRotation(change Change) {
	h.t.Helper()
	before, after := h.secret.Stages, change.Secret.Stages
	if !maps.Equal(before.Detach(Pending), after.Detach(Pending)) {
		h.t.Fatalf("got labels %v, want them as they were but for AWSPENDING: %v", after, before)
	}
	if len(after) > MaxLabels && len(after) > len(before) {
		h.t.Fatalf("got %d labels, want %d at most", len(after), MaxLabels)
	}
	h.checkDiscard(change)
	if last := change.Secret.Rotation.Last; !last.Equal(h.secret.Rotation.Last) && before[Current] != h.secret.Rotation.Run().Version {
		h.t.Fatalf("got rotated at %s, and %s was not current", last, h.secret.Rotation.Run().Version)
	}
	same := change.Secret
	same.Stages, same.Versions, same.Prunings = h.secret.Stages, h.secret.Versions, h.secret.Prunings
	same.Changed, same.Rotation = h.secret.Changed, h.secret.Rotation
	if !reflect.DeepEqual(same, h.secret) {
		h.t.Fatalf("got %+v, want no more to change of %+v", change.Secret, h.secret)
	}
	if change.IsUnchanged() && !reflect.DeepEqual(change.Secret, h.secret) {
		h.t.Fatalf("got %+v where nothing was to change, want %+v", change.Secret, h.secret)
	}
	h.checkMoves(change)
	h.secret = change.Secret
	h.secret.Revision++
}

// checkDiscard says whether what is discarded is the copy of a test without a label.
func (h *history) checkDiscard(change Change) {
	h.t.Helper()
	ids := change.IDs(Discard)
	if len(ids) > 1 || change.Secret.Prunings != h.secret.Prunings+int64(len(ids)) {
		h.t.Fatalf("got %q discarded, and %d prunings after %d", ids, change.Secret.Prunings, h.secret.Prunings)
	}
	for _, id := range ids {
		if labels := change.Secret.Stages.Of(id); len(labels) > 0 || !h.put[id] || !h.copies[id] {
			h.t.Fatalf("got version %s discarded, there %t, a copy %t, with labels %q", id, h.put[id], h.copies[id], labels)
		}
		delete(h.put, id)
		delete(h.copies, id)
	}
}

// checkBegun says whether a rotation that is leased makes a version of its own, or one that may be taken up
// again: the one under way, or one that was given up with the current version as it was.
func (h *history) checkBegun(run Run, fresh string) {
	h.t.Helper()
	before := h.secret.Rotation
	g, givenUp := before.State.(GivenUp)
	again := givenUp && g.Version == run.Version && g.From == h.secret.Stages[Current]
	if !before.underWay() && !again && (run.Version != fresh || run.From != h.secret.Stages[Current]) {
		h.t.Fatalf("got a rotation of %+v by schedule, after %+v with %v", run, before.State, h.secret.Stages)
	}
}

// checkRun checks what holds for the rotation after every step.
func (h *history) checkRun() {
	h.t.Helper()
	s := h.secret
	r := s.Rotation
	if s.Versions != len(h.put) {
		h.t.Fatalf("got a count of %d versions, want %d", s.Versions, len(h.put))
	}
	run := r.Run()
	_, cancelled := r.State.(Cancelled)
	if r.State != nil && !cancelled && s.Stages[Pending] != run.Version && s.Stages[Current] != run.Version {
		h.t.Fatalf("got a rotation of %s with %v, want its version under AWSPENDING or AWSCURRENT", run.Version, s.Stages)
	}
	if r.Asked != h.asked {
		h.t.Fatalf("got %s asked for, want %s", r.Asked, h.asked)
	}
	l, leased := r.State.(Leased)
	if r.InFlight.Runner == "" && r.InFlight != (Call{}) || leased && r.InFlight.Until.After(h.now) && r.InFlight.Runner == l.Runner {
		h.t.Fatalf("got %+v in flight beside %+v", r.InFlight, r.State)
	}
	if due := s.RotationDue(); !due.IsZero() && due.Before(r.InFlight.Until) {
		h.t.Fatalf("got it due at %s, want nothing done before %+v has ended", due, r.InFlight)
	}
	if r.State != nil && cancelled == r.Enabled || run.Attempts > MaxAttempts || run.Attempts < 0 || run.Test && !h.put[run.Version] {
		h.t.Fatalf("got rotation %+v", r)
	}
	for copied := range h.copies {
		labels := s.Stages.Of(copied)
		if len(labels) == 0 || !run.Test && slices.Equal(labels, []string{Pending}) {
			h.t.Fatalf("got the copy %s of a test left with the labels %q", copied, labels)
		}
		if !slices.Equal(labels, []string{Pending}) {
			delete(h.copies, copied)
		}
	}
	for token, lease := range h.leases {
		valid := leased && l.Proof == lease.Proof && l.Runner == lease.Runner && h.now.Before(lease.Until)
		for _, version := range append(s.Stages.Versions(), "none") {
			want := valid && version == run.Version
			if got := s.IsRotating(token, version, h.now); got != want {
				h.t.Fatalf("got rotating %t by %s for %s, want %t: %+v", got, token, version, want, r.State)
			}
		}
	}
	for _, token := range []string{"", "foreign", l.Proof} {
		if s.IsRotating(token, run.Version, h.now) {
			h.t.Fatalf("got rotating by the token %q: %+v", token, r.State)
		}
	}
}

func (h *history) playTag(tags []Tag) {
	h.t.Helper()
	change, err := h.secret.TagResource(tags, h.now)
	if h.refused(change, err, true) {
		return
	}
	if got := len(change.Secret.Tags); got > MaxTags {
		h.t.Fatalf("got %d tags, want %d at most", got, MaxTags)
	}
	for _, tag := range tags {
		if !slices.Contains(change.Secret.Tags, tag) {
			h.t.Fatalf("got tags %v, want %v among them", change.Secret.Tags, tag)
		}
	}
	h.settle(change, nil)
}

func (h *history) playUntag(keys []string) {
	h.t.Helper()
	change, err := h.secret.UntagResource(keys, h.now)
	if h.refused(change, err, true) {
		return
	}
	for _, tag := range change.Secret.Tags {
		if slices.Contains(keys, tag.Key) || !slices.Contains(h.secret.Tags, tag) {
			h.t.Fatalf("got tag %v, want it off, or as it was", tag)
		}
	}
	h.settle(change, nil)
}

// refused checks a refusal: it is AWS's, and nothing comes with it. A secret
// that is marked for deletion gives no other, if the operation is one for
// active secrets.
func (h *history) refused(change Change, err error, active bool) bool {
	h.t.Helper()
	marked := active && !h.secret.Deletion.IsZero()
	if err == nil {
		if marked {
			h.t.Fatal("got no refusal, want the one for a deleted secret")
		}
		return false
	}
	if _, ok := errors.AsType[Error](err); !ok {
		h.t.Fatalf("got error %v, want a refusal", err)
	}
	if errors.Is(err, MarkedForDeletion) != marked {
		h.t.Fatalf("got refusal %v of a secret with deletion date %v", err, h.secret.Deletion)
	}
	if !reflect.DeepEqual(change, Change{}) {
		h.t.Fatalf("got change %+v beside refusal %v, want none", change, err)
	}
	return true
}

// checkLabels compares the labels with those before: what was asked for was
// done, and nothing else but what follows from it.
func (h *history) checkLabels(after Stages, version string, asked []string) {
	h.t.Helper()
	before := h.secret.Stages
	if len(after) > MaxLabels {
		h.t.Fatalf("got %d labels, want %d at most", len(after), MaxLabels)
	}
	for _, label := range asked {
		if got := after[label]; got != version {
			h.t.Fatalf("%s is on %q, want %q", label, got, version)
		}
	}
	left, had := before[Current]
	if had && after[Current] == "" {
		h.t.Fatal("AWSCURRENT is gone")
	}
	if !slices.Contains(asked, Previous) {
		want := before[Previous]
		if had && left != after[Current] {
			want = left
		}
		if got := after[Previous]; got != want {
			h.t.Fatalf("AWSPREVIOUS is on %q, want %q; before: %v", got, want, before)
		}
	}
	for _, label := range historyLabels {
		bySelf := label == Previous || label == Pending
		if !bySelf && !slices.Contains(asked, label) && after[label] != before[label] {
			h.t.Fatalf("%s is on %q, want %q as nobody asked for it", label, after[label], before[label])
		}
	}
	labels := 0
	for _, id := range after.Versions() {
		if id == "" {
			h.t.Fatalf("a label is on no version: %v", after)
		}
		labels += len(after.Of(id))
	}
	if labels != len(after) {
		h.t.Fatalf("the versions have %d labels, want %d, each on one", labels, len(after))
	}
}

// checkRotation says whether AWSPENDING is where it was, or gone when it is over.
func (h *history) checkRotation(after Stages, over bool) {
	h.t.Helper()
	pending, under := after[Pending]
	switch {
	case over && under:
		h.t.Fatalf("AWSPENDING is on %q, want the rotation to be over", pending)
	case !over && !under && h.secret.Stages[Pending] != "":
		h.t.Fatal("AWSPENDING is gone")
	}
}

// checkMoves says whether a version that has no label can have got one unnoticed:
// pruning takes for granted that it cannot.
func (h *history) checkMoves(change Change) {
	h.t.Helper()
	counted := change.Secret.Moves - h.secret.Moves
	for _, id := range change.Secret.Stages.Versions() {
		if h.put[id] && len(h.secret.Stages.Of(id)) == 0 && counted == 0 && (change.Version == nil || change.Version.ID != id) {
			h.t.Fatalf("version %s got a label, and no move was counted", id)
		}
	}
	if counted < 0 || counted > 1 || counted == 1 && len(change.IDs(Require)) == 0 {
		h.t.Fatalf("got %d moves counted, with %q that must exist", counted, change.IDs(Require))
	}
}

// rotationAfter is the rotation before, where a put or a move of labels left what it
// must: a rotation under way that did not end, and the dates that follow from it.
func (h *history) rotationAfter(change Change) Rotation {
	h.t.Helper()
	before, after := h.secret.Rotation, change.Secret.Rotation
	if maps.Equal(h.secret.Stages, change.Secret.Stages) && change.Version == nil {
		return after
	}
	run := before.Run()
	kept := change.Secret.Stages[Pending] == run.Version || change.Secret.Stages[Current] == run.Version
	kept = kept && (!run.Test || change.Secret.Deletion.IsZero()) // a deletion ends a test
	if before.State != nil && kept != (after.State == before.State) || !kept && after.State != nil {
		h.t.Fatalf("got rotation %+v with %v, before %+v with %v", after.State, change.Secret.Stages, before.State, h.secret.Stages)
	}
	made := before.underWay() && !run.Test && h.secret.Stages[Current] == run.Version
	if !after.Last.Equal(before.Last) && (kept || !made || !after.Last.Equal(h.now)) {
		h.t.Fatalf("got rotated at %s of %+v", after.Last, run)
	}
	if after.Next != before.Next && (change.Version == nil || change.Secret.Stages[Current] != change.Version.ID || before.Next.Opens.IsZero()) {
		h.t.Fatalf("got window %+v, want %+v", after.Next, before.Next)
	}
	call := before.InFlight
	if l, held := before.lease(h.now); !kept && held {
		call = Call{l.Runner, l.Until}
	}
	if after.InFlight != call {
		h.t.Fatalf("got %+v in flight of %+v, want %+v", after.InFlight, before, call)
	}
	after.State, after.Last, after.Next, after.InFlight = before.State, before.Last, before.Next, before.InFlight
	return after
}

// settle checks what holds for every change but those of rotations, and commits it.
func (h *history) settle(change Change, err error) {
	h.t.Helper()
	if h.refused(change, err, false) {
		return
	}
	if change.Outcome == Removed {
		h.begin()
		return
	}
	next := change.Secret
	if change.IsUnchanged() && !reflect.DeepEqual(next, h.secret) {
		h.t.Fatalf("got %+v where nothing was to change, want %+v", next, h.secret)
	}
	if !next.Changed.Equal(h.now) && !reflect.DeepEqual(next, h.secret) {
		h.t.Fatalf("got changed date %v, want %v", next.Changed, h.now)
	}
	// [Secret.DeletedAt] relies on it.
	if !h.secret.Deletion.IsZero() && !next.Deletion.IsZero() && !next.Changed.Equal(h.secret.Changed) {
		h.t.Fatalf("got changed date %v of a secret scheduled for deletion, want %v as before", next.Changed, h.secret.Changed)
	}
	// What no step may touch. The revision is counted by the commit.
	same := next
	same.Stages, same.Versions, same.Tags = h.secret.Stages, h.secret.Versions, h.secret.Tags
	same.Changed, same.Deletion, same.Deleted = h.secret.Changed, h.secret.Deletion, h.secret.Deleted
	same.Moves, same.Prunings = h.secret.Moves, h.secret.Prunings
	same.Rotation = h.rotationAfter(change)
	if !reflect.DeepEqual(same, h.secret) {
		h.t.Fatalf("got %+v, want no more to change of %+v", next, h.secret)
	}
	h.checkMoves(change)
	h.checkDiscard(change)
	h.secret = next
	h.secret.Revision++
}
