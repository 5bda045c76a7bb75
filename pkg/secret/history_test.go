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
	opPut     = iota // version, first label, how many labels
	opMove           // label, from, to
	opRotate         // version
	opTag            // key, value, how many
	opUntag          // key
	opDelete         // days
	opRestore        //
	opRemove         //
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
	{"a rotation abandoned", []byte{
		opPut, 1, 0, 0,
		opRotate, 2, 0, 0,
		opPut, 3, 0, 0,
		opPut, 2, 2, 1,
	}, Stages{Current: "v3", Previous: "v1", Pending: "v2"}},
	{"a rotation before the first value", []byte{
		opRotate, 2, 0, 0,
		opMove, 0, 0, 2,
		opPut, 2, 2, 1,
	}, Stages{Current: "v2", Pending: "v2"}},
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
	put    map[string]bool // the versions that are there
	past   []moment
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
		h.playRotate(cmp.Or(version(a), "v1"))
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
	}
	if !reflect.DeepEqual(before.secret, before.copy) {
		h.t.Fatalf("the step left its secret as %+v, want %+v", before.secret, before.copy)
	}
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
	if got, want := change.Secret.Versions, h.secret.Versions+1; got != want {
		h.t.Fatalf("got a count of %d versions, want %d", got, want)
	}
	_, began := h.secret.Stages[Current]
	if len(labels) == 0 || !began {
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
	if !change.Nothing && to != "" && !slices.Equal(change.Exists, []string{to}) {
		h.t.Fatalf("got %q that must exist, want %q", change.Exists, to)
	}
	if slices.ContainsFunc(change.Exists, func(id string) bool { return !h.put[id] }) {
		return // as the store refuses it
	}
	h.settle(change, nil)
}

// playRotate puts AWSPENDING on a version that has no value yet.
func (h *history) playRotate(version string) {
	h.t.Helper()
	next := h.secret.Stages.Attach(Pending, version)
	if h.put[version] || len(next) > MaxLabels || h.secret.Active() != nil {
		return
	}
	h.checkLabels(next, version, []string{Pending})
	h.settle(Change{Secret: h.secret.restage(next, h.now).Secret}, nil)
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
	if counted < 0 || counted > 1 || counted == 1 && len(change.Exists) == 0 {
		h.t.Fatalf("got %d moves counted, with %q that must exist", counted, change.Exists)
	}
}

// settle checks what holds for every change, and commits it.
func (h *history) settle(change Change, err error) {
	h.t.Helper()
	if h.refused(change, err, false) {
		return
	}
	if change.Remove {
		h.begin()
		return
	}
	next := change.Secret
	if change.Nothing && !reflect.DeepEqual(next, h.secret) {
		h.t.Fatalf("got %+v where nothing was to change, want %+v", next, h.secret)
	}
	if !next.Changed.Equal(h.now) && !reflect.DeepEqual(next, h.secret) {
		h.t.Fatalf("got changed date %v, want %v", next.Changed, h.now)
	}
	// What no step may touch. The revision is counted by the commit.
	same := next
	same.Stages, same.Versions, same.Tags = h.secret.Stages, h.secret.Versions, h.secret.Tags
	same.Changed, same.Deletion = h.secret.Changed, h.secret.Deletion
	same.Moves = h.secret.Moves
	if !reflect.DeepEqual(same, h.secret) {
		h.t.Fatalf("got %+v, want no more to change of %+v", next, h.secret)
	}
	if change.Version == nil && next.Versions != h.secret.Versions {
		h.t.Fatalf("got a count of %d versions without a put, want %d", next.Versions, h.secret.Versions)
	}
	h.checkMoves(change)
	h.secret = next
	h.secret.Revision++
}
