package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/sync/errgroup"

	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
)

// What somebody may do to a secret in the middle of its rotation.

func (h *house) remove(t testing.TB, name string) {
	t.Helper()
	must(h.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
}

// put gives a secret a new current value, v9.
func (h *house) put(t testing.TB, name string) {
	t.Helper()
	const version = "v9"
	out := must(h.SDK.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: &name, ClientRequestToken: aws.String(token(version)), SecretString: aws.String(valueMark + version),
	}))(t)
	h.lambda.setPassword(*out.ARN, valueMark+version)
}

func (h *house) takeOff(t testing.TB, name string) {
	t.Helper()
	must(h.SDK.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &name, VersionStage: aws.String(secret.Pending), RemoveFromVersionId: aws.String(token("v1")),
	}))(t)
}

func (h *house) restore(t testing.TB, name string) {
	t.Helper()
	must(h.SDK.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: &name}))(t)
}

// again rotates a secret once more, to the version v8.
func (h *house) again(t testing.TB, name string) {
	t.Helper()
	in := asked(name)
	in.ClientRequestToken = aws.String(token("v8"))
	before := h.get(t, name).Stages[secret.Current]
	must(h.SDK.RotateSecret(t.Context(), in))(t)
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantRotated(t, name, token("v8"), before)
}

// interventions are what is done in the middle of a step, and what is to be said of it
// afterwards; finished is whether the step has moved AWSCURRENT by then. One that ends a
// rotation whose version is current has it recorded that it succeeded.
var interventions = map[string]struct {
	do    func(*house, testing.TB, string)
	check func(h *house, t testing.TB, name string, finished bool)
	// ends is whether it ends also a rotation that has moved AWSCURRENT.
	ends bool
}{
	"delete": {
		func(h *house, t testing.TB, name string) {
			must(h.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &name}))(t)
		},
		func(h *house, t testing.TB, name string, _ bool) {
			if sec := h.get(t, name); sec.Deletion.IsZero() || !sec.RotationDue().IsZero() || sec.Stages[secret.Pending] != token("v1") {
				t.Errorf("%s: %+v, want it deleted, with nothing due and AWSPENDING where it was", name, sec)
			}
			h.restore(t, name)
			h.finish(t, name) // it is gone on with
			h.wantRotated(t, name, token("v1"), token("v0"))
		},
		true,
	},
	"delete-and-restore": {
		func(h *house, t testing.TB, name string) {
			must(h.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &name}))(t)
			h.restore(t, name)
		},
		func(h *house, t testing.TB, name string, _ bool) {
			h.wantRotated(t, name, token("v1"), token("v0")) // as if nothing had been
		},
		false,
	},
	"remove": {
		(*house).remove,
		func(h *house, t testing.TB, name string, _ bool) {
			if _, err := h.Store.Get(t.Context(), secret.ID{Name: name}); !errors.Is(err, secret.NotFound) {
				t.Errorf("%s: %v, want it gone", name, err)
			}
		},
		true,
	},
	"replace": {
		func(h *house, t testing.TB, name string) {
			h.remove(t, name)
			h.create(t, name)
		},
		func(h *house, t testing.TB, name string, _ bool) {
			sec := h.get(t, name)
			if want := (secret.Stages{secret.Current: token("v0")}); !maps.Equal(sec.Stages, want) || sec.Rotation != (secret.Rotation{}) {
				t.Errorf("%s: %+v, want another secret, that nothing was done to", name, sec)
			}
			h.wantSound(t, name)
			must(h.SDK.RotateSecret(t.Context(), asked(name)))(t)
			wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
			h.wantRotated(t, name, token("v1"), token("v0"))
		},
		true,
	},
	"put": {
		func(h *house, t testing.TB, name string) { h.put(t, name) },
		func(h *house, t testing.TB, name string, finished bool) {
			previous := token("v0")
			if finished {
				previous = token("v1")
			}
			h.wantRotated(t, name, token("v9"), previous)
			h.again(t, name)
		},
		true,
	},
	"take-off": {
		(*house).takeOff,
		func(h *house, t testing.TB, name string, finished bool) {
			if finished {
				h.wantRotated(t, name, token("v1"), token("v0"))
			}
			if sec := h.get(t, name); sec.Stages[secret.Pending] != "" || sec.Rotation.State != nil {
				t.Errorf("%s: stages %v, run %+v, want none under way", name, sec.Stages, sec.Rotation.State)
			}
			h.wantSound(t, name)
			h.again(t, name)
		},
		false,
	},
	"cancel": {
		func(h *house, t testing.TB, name string) {
			must(h.SDK.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &name}))(t)
		},
		func(h *house, t testing.TB, name string, finished bool) {
			sec := h.get(t, name)
			current := token("v0")
			if finished {
				current = token("v1")
			}
			if sec.Rotation.Enabled || underWay(sec) || sec.Stages[secret.Pending] != token("v1") || sec.Stages[secret.Current] != current {
				t.Errorf("%s: stages %v, rotation %+v, want it off and the labels where they were", name, sec.Stages, sec.Rotation)
			}
			h.wantSound(t, name)
			_, made, err := h.Store.Version(t.Context(), sec, token("v1"))
			if err != nil {
				t.Error(err)
			}
			if made && !finished { // it takes a hand to go on (CancelRotateSecret)
				h.wantIncomplete(t, name)
				wantOutcomes(t, h.run(t), outcomes{})
				h.takeOff(t, name)
			}
			h.again(t, name)
		},
		true,
	},
}

// An intervention is made in a step, before or after the function has run.
type intervention struct {
	what, step string
	after      bool
}

func (i intervention) finished() bool { return i.step == "finishSecret" && i.after }

func (i intervention) succeeds() bool {
	return i.what == "delete-and-restore" || i.finished() && slices.Contains([]string{"take-off", "put", "cancel"}, i.what)
}

// Whatever happens to a secret in the middle of a step, before the function runs or
// after: the rotation goes on where it may, and otherwise leaves things as they
// are found; and nothing keeps the next one from its turn.
func TestMeanwhile(t *testing.T) {
	t.Parallel()
	h := open(t)
	type test = intervention
	tests := map[string]test{}
	want := outcomes{}
	for what, c := range interventions {
		for _, step := range steps {
			for _, after := range []bool{false, true} {
				name := fmt.Sprintf("%s-%s-%t", what, step, after)
				tests[name] = test{what, step, after}
				h.rotate(t, name)
				do := func() { c.do(h, t, name) }
				mishap := meanwhile(do)
				if after {
					mishap = then(do)
				}
				h.lambda.breaks(name, step, mishap)
				if c := (test{what, step, after}); c.succeeds() {
					want[rotate.Succeeded]++
				} else {
					want[rotate.Abandoned]++
				}
			}
		}
	}
	wantOutcomes(t, h.run(t), want)
	calls := h.lambda.took()
	for _, name := range namesOf(tests) {
		c := tests[name]
		called := steps
		if c.what != "delete-and-restore" {
			called = steps[:slices.Index(steps, c.step)+1]
		}
		if got := stepsOf(calls, name); !slices.Equal(got, called) {
			t.Errorf("%s: steps %q, want %q", name, got, called)
		}
		told := h.recorded(name)
		events := []string{"RotationStarted"}
		if c.succeeds() {
			events = append(events, "RotationSucceeded")
		}
		if !slices.Equal(told, events) {
			t.Errorf("%s: recorded %q, want %q", name, told, events)
		}
	}
	wantOutcomes(t, h.run(t), outcomes{})
	for _, name := range namesOf(tests) {
		c := tests[name]
		interventions[c.what].check(h, t, name, c.finished())
	}
}

// Two runners, and the request that starts a rotation besides, run each rotation once.
func TestTwoRunners(t *testing.T) {
	t.Parallel()
	h := open(t)
	const n = 40
	for i := range n {
		h.rotate(t, fmt.Sprint("s", i))
	}
	var mu sync.Mutex
	sum := outcomes{}
	var g errgroup.Group
	for range 3 {
		r, _ := h.rotator(t)
		g.Go(func() error {
			got, err := r.Run(t.Context())
			mu.Lock()
			defer mu.Unlock()
			for outcome, n := range got.Outcomes {
				sum[outcome] += n
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	delete(sum, rotate.NotDue)
	if want := (outcomes{rotate.Succeeded: n}); !maps.Equal(sum, want) {
		t.Errorf("outcomes %v, want %v", sum, want)
	}
	calls := h.lambda.took()
	for i := range n {
		name := fmt.Sprint("s", i)
		if got := stepsOf(calls, name); !slices.Equal(got, steps) {
			t.Errorf("%s: steps %q, want each once", name, got)
		}
		h.wantRotated(t, name, token("v1"), token("v0"))
		if got := h.recorded(name); !slices.Equal(got, []string{"RotationStarted", "RotationSucceeded"}) {
			t.Errorf("%s: recorded %q", name, got)
		}
	}
}

// A runner that stood still, as on a machine that slept, begins no step that might run
// beside the next runner's.
func TestSleeper(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	r, _ := h.rotator(t)
	h.lambda.breaks("s", "setSecret", then(func() { h.clock.add(r.Lease() - patient - secret.Skew + time.Millisecond) }))
	outcome, err := r.Rotate(t.Context(), secret.ID{Name: "s"})
	if outcome != rotate.Unknown || err == nil || !strings.Contains(err.Error(), "the next run goes on") {
		t.Errorf("%s, %v, want it left to the next run", outcome, err)
	}
	if got := stepsOf(h.lambda.took(), "s"); !slices.Equal(got, steps[:2]) {
		t.Errorf("steps %q, want none after the second", got)
	}
	h.finish(t, "s")
	h.wantRotated(t, "s", token("v1"), token("v0"))
	// One who wakes up while the next one is at it finds that it is not theirs.
	h.clock.set(epoch)
	h.rotate(t, "s2")
	h.lambda.breaks("s2", "testSecret", then(func() {
		h.clock.add(r.Lease())
		wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	}))
	if outcome, err := r.Rotate(t.Context(), secret.ID{Name: "s2"}); outcome != rotate.Abandoned || err != nil {
		t.Errorf("%s, %v, want it to be another's", outcome, err)
	}
	h.wantRotated(t, "s2", token("v1"), token("v0"))
	if got := h.get(t, "s2").Rotation.Last; !got.Equal(epoch.Add(r.Lease())) {
		t.Errorf("rotated last %v, want when the other one did it", got)
	}
}

// A runner that dies at the last attempt leaves a rotation that is given up.
func TestRunnerDiesLast(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	h.lambda.breaks("s", "createSecret", slices.Repeat([]mishap{before(missing)}, secret.MaxAttempts-1)...)
	for range secret.MaxAttempts - 1 {
		wantOutcomes(t, h.run(t), outcomes{rotate.Failed: 1})
		h.clock.set(h.get(t, "s").RotationDue())
	}
	h.recorded("s")
	h.dies(t, "setSecret")
	wantOutcomes(t, h.run(t), outcomes{})
	h.clock.set(h.get(t, "s").RotationDue())
	wantOutcomes(t, h.run(t), outcomes{rotate.GivenUp: 1})
	h.wantState(t, "s", isGivenUp(secret.RunnerDied))
	h.wantSound(t, "s")
	if got := h.recorded("s"); !slices.Equal(got, []string{"RotationStarted", "RotationFailed"}) {
		t.Errorf("recorded %q", got)
	}
	if got := h.lambda.took(); len(got) > 0 {
		t.Errorf("calls %+v, want none", got)
	}
	h.wantIncomplete(t, "s")
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantRotated(t, "s", token("v1"), token("v0"))
}

// A runner that dies after the last attempt went well leaves a rotation that went well.
func TestRunnerDiesAtTheEnd(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	h.lambda.breaks("s", "createSecret", slices.Repeat([]mishap{before(missing)}, secret.MaxAttempts-1)...)
	for range secret.MaxAttempts - 1 {
		wantOutcomes(t, h.run(t), outcomes{rotate.Failed: 1})
		h.clock.set(h.get(t, "s").RotationDue())
	}
	h.recorded("s")
	h.dies(t, "finishSecret")
	h.clock.set(h.get(t, "s").RotationDue())
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	if got := h.recorded("s"); !slices.Equal(got, []string{"RotationStarted", "RotationSucceeded"}) {
		t.Errorf("recorded %q", got)
	}
	h.wantRotated(t, "s", token("v1"), token("v0"))
	if got := h.get(t, "s").Rotation.Last; !got.Equal(h.clock.Now()) {
		t.Errorf("rotated last %v, want %v", got, h.clock.Now())
	}
}

// wantAlone says that no two functions ran at the same time.
func (h *house) wantAlone(t testing.TB) {
	t.Helper()
	if most := h.lambda.together(); most > 1 {
		t.Errorf("%d invocations for one secret at the same time, want one after the other", most)
	}
}

// wantNextWaits asks for the rotation to v8 while a function is at work for v1, which
// is ended: another runner finds nothing to do.
func (h *house) wantNextWaits(t testing.TB) {
	t.Helper()
	in := asked("s")
	in.ClientRequestToken = aws.String(token("v8"))
	must(h.SDK.RotateSecret(t.Context(), in))(t)
	other, _ := h.rotator(t)
	wantOutcomes(t, must(other.Run(t.Context()))(t), outcomes{})
	if outcome, err := other.Rotate(t.Context(), secret.ID{Name: "s"}); outcome != rotate.NotDue || err != nil {
		t.Errorf("%s, %v while a function is at work, want nothing done", outcome, err)
	}
}

// Another rotation that is asked for while finishSecret runs, after it moved AWSCURRENT,
// begins when the runner of the first has seen it; and the first went well.
func TestRotateDuringFinish(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	h.lambda.breaks("s", "finishSecret", then(func() { h.wantNextWaits(t) }))
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	if got := h.recorded("s"); !slices.Equal(got, []string{"RotationStarted", "RotationSucceeded"}) {
		t.Errorf("recorded %q", got)
	}
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantAlone(t)
	h.wantRotated(t, "s", token("v8"), token("v1"))
	if got := h.recorded("s"); !slices.Equal(got, []string{"RotationStarted", "RotationSucceeded"}) {
		t.Errorf("recorded %q of the second", got)
	}
}

// A rotation that is ended in the middle of a step, and another asked for: the next one
// sets its password when the step is over, and nothing comes after it.
func TestRotateDuringStep(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	h.lambda.run = func(ctx context.Context, c call) error {
		if c.Step != "setSecret" || c.ClientRequestToken != token("v1") {
			return h.lambda.template(ctx, c)
		}
		value, err := h.lambda.get(ctx, c, c.ClientRequestToken, "AWSPENDING") // the template's checks are over
		if err != nil {
			return err
		}
		h.put(t, "s")
		h.wantNextWaits(t)
		h.lambda.setPassword(c.SecretID, value)
		return nil
	}
	wantOutcomes(t, h.run(t), outcomes{rotate.Abandoned: 1})
	if got := h.get(t, "s").Rotation.InFlight; got != (secret.Call{}) {
		t.Errorf("%+v is in flight, want none", got)
	}
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantAlone(t)
	h.wantRotated(t, "s", token("v8"), token("v9"))
}

// A runner that dies when its rotation was abandoned keeps the next one waiting until its
// lease has ended.
func TestInFlightRunnerDies(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	h.lambda.breaks("s", "setSecret", then(func() {
		h.put(t, "s")
		h.wantNextWaits(t)
	}))
	h.dies(t, "setSecret")
	r, _ := h.rotator(t)
	h.clock.add(r.Lease() - time.Millisecond)
	if outcome, err := r.Rotate(t.Context(), secret.ID{Name: "s"}); outcome != rotate.NotDue || err != nil {
		t.Errorf("%s, %v before the lease ended, want nothing done", outcome, err)
	}
	wantOutcomes(t, h.run(t), outcomes{})
	h.clock.add(time.Millisecond)
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantAlone(t)
	h.wantRotated(t, "s", token("v8"), token("v9"))
}

// Clocks that differ by a few seconds do not have two functions run at the same time: a
// step that begins as late as may be has come to its end when the lease ends for others.
func TestClockAhead(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	r, _ := h.rotator(t)
	ahead, _ := h.rotator(t)
	ahead.Now = func() time.Time { return h.clock.Now().Add(secret.Skew) }
	h.lambda.breaks("s", "createSecret", then(func() { h.clock.add(r.Lease() - patient - secret.Skew) })) // it stood still for a while
	h.lambda.breaks("s", "setSecret", then(func() {
		h.clock.add(patient - time.Millisecond)
		wantOutcomes(t, must(ahead.Run(t.Context()))(t), outcomes{})
		if outcome, err := ahead.Rotate(t.Context(), secret.ID{Name: "s"}); outcome != rotate.NotDue || err != nil {
			t.Errorf("%s, %v while a step runs, want nothing done", outcome, err)
		}
	}))
	if outcome, err := r.Rotate(t.Context(), secret.ID{Name: "s"}); outcome != rotate.Unknown || err == nil {
		t.Errorf("%s, %v, want it left to the next run", outcome, err)
	}
	h.wantAlone(t)
	if got := stepsOf(h.lambda.took(), "s"); !slices.Equal(got, steps[:2]) {
		t.Errorf("steps %q, want none after the second", got)
	}
	h.finish(t, "s")
	h.wantRotated(t, "s", token("v1"), token("v0"))
}
