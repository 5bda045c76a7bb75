package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
)

// throttledForever is longer than the client tries.
var throttledForever = slices.Repeat([]mishap{before(throttled)}, 6)

func failureOf(step string) string {
	return "Error when executing lambda " + function + " during " + step + " step"
}

// Whatever fails of a step fails the attempt: no further step is called, what was
// current stays so, and the next attempt goes all the way.
func TestStepFails(t *testing.T) {
	t.Parallel()
	h := open(t)
	type test struct {
		step    string
		ran     bool // though it failed
		mishaps []mishap
	}
	tests := map[string]test{}
	for _, step := range steps {
		for name, c := range map[string]test{
			"error-before":    {step, false, []mishap{before(failedWith("x"))}},
			"error-after":     {step, true, []mishap{after(failedWith("x"))}},
			"emulated-before": {step, false, []mishap{before(emulated)}},
			"emulated-after":  {step, true, []mishap{after(emulated)}},
			"emulated-late":   {step, true, []mishap{after(emulatedTimeout)}},
			"cut-before":      {step, false, []mishap{before(cut)}},
			"cut-after":       {step, true, []mishap{after(cut)}},
			"missing":         {step, false, []mishap{before(missing)}},
			"throttled":       {step, false, throttledForever},
			"server-error":    {step, false, []mishap{before(refused(http.StatusInternalServerError, "ServiceException"))}},
		} {
			tests[name+"-"+step] = c
		}
	}
	h.wantRetried(t, patient, delay, 4, namesOf(tests), func(name string) (string, bool, []mishap) {
		c := tests[name]
		return c.step, c.ran, c.mishaps
	})
}

func namesOf[T any](tests map[string]T) []string {
	var names []string
	for name := range tests {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// A step that does not answer in time has failed, whether it ran or not. It is not
// called again before a function must have ended that runs as long as one may.
func TestStepTimeout(t *testing.T) {
	t.Parallel()
	h := open(t)
	type test struct {
		step   string
		mishap mishap
	}
	tests := map[string]test{}
	for _, step := range steps {
		tests["before-"+step] = test{step, before(never)}
		tests["after-"+step] = test{step, after(never)}
	}
	h.wantRetried(t, 2*time.Second, 15*time.Minute-2*time.Second, len(tests), namesOf(tests), func(name string) (string, bool, []mishap) {
		return tests[name].step, strings.HasPrefix(name, "after-"), []mishap{tests[name].mishap}
	})
	if !strings.Contains(h.logged(), "the function did not answer within 2s") {
		t.Errorf("logged %s, want why the steps failed", h.logged())
	}
}

// wantRetried has a step fail of each of these secrets, with a way to find which, whether it ran, and
// how; and wants them retried after the wait.
func (h *house) wantRetried(t *testing.T, timeout, wait time.Duration, parallel int, names []string, find func(string) (string, bool, []mishap)) {
	t.Helper()
	for _, name := range names {
		step, _, mishaps := find(name)
		h.rotate(t, name)
		h.lambda.breaks(name, step, mishaps...)
	}
	r, _ := h.rotator(t)
	r.StepTimeout, r.Parallel = timeout, parallel
	sum := must(r.Run(t.Context()))(t)
	wantOutcomes(t, sum, outcomes{rotate.Failed: len(names)})
	calls := h.lambda.took()
	for _, name := range names {
		step, ran, mishaps := find(name)
		want := slices.Clone(steps[:slices.Index(steps, step)])
		want = append(want, slices.Repeat([]string{step}, len(mishaps))...)
		if got := stepsOf(calls, name); !slices.Equal(got, want) {
			t.Errorf("%s: steps %q, want %q", name, got, want)
		}
		h.wantState(t, name, waits(1, epoch.Add(time.Minute), failureOf(step)))
		h.wantSound(t, name)
		current := token("v0")
		if ran && step == "finishSecret" {
			current = token("v1")
		}
		if got := h.get(t, name).Stages; got[secret.Current] != current || got[secret.Pending] != token("v1") {
			t.Errorf("%s: stages %v, want %s current and v1 pending", name, got, current)
		}
	}
	h.clock.add(wait - time.Millisecond)
	wantOutcomes(t, h.run(t), outcomes{})
	h.clock.add(time.Millisecond)
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: len(names)})
	calls = h.lambda.took()
	for _, name := range names {
		h.wantRotated(t, name, token("v1"), token("v0"))
		if got := stepsOf(calls, name); !slices.Equal(got, steps) {
			t.Errorf("%s: steps %q in the next attempt, want all", name, got)
		}
		if got := h.recorded(name); !slices.Equal(got, []string{"RotationStarted", "RotationFailed", "RotationStarted", "RotationSucceeded"}) {
			t.Errorf("%s: recorded %q", name, got)
		}
	}
}

// A throttled invocation is repeated by the client, and that is all.
func TestThrottledForAWhile(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	for _, step := range steps {
		h.lambda.breaks("s", step, before(throttled), before(throttled))
	}
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	if got := h.lambda.took(); len(got) != 3*len(steps) {
		t.Errorf("%d invocations, want each step repeated twice", len(got))
	}
	h.wantRotated(t, "s", token("v1"), token("v0"))
}

// Many at the same time wait for each other, and none is left over because the others
// had to wait.
func TestThrottledTogether(t *testing.T) {
	t.Parallel()
	h := open(t)
	const n = 40
	for i := range n {
		h.rotate(t, fmt.Sprint("s", i))
		for _, step := range steps {
			h.lambda.breaks(fmt.Sprint("s", i), step, throttledForever[:5]...)
		}
	}
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: n})
}

// A function that says that it is done, and did not move AWSCURRENT, has failed.
func TestNotFinished(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	h.lambda.breaks("s", "finishSecret", before(succeeded))
	wantOutcomes(t, h.run(t), outcomes{rotate.Failed: 1})
	h.wantState(t, "s", waits(1, epoch.Add(delay), secret.ErrNotCurrent.Message))
	if got := h.get(t, "s").Stages[secret.Current]; got != token("v0") {
		t.Errorf("current is %s, want v0", got)
	}
	h.finish(t, "s")
	h.wantRotated(t, "s", token("v1"), token("v0"))
}

// nth is faults that let n calls pass, and then break some.
func nth(n int, faults ...localtest.Fault) []localtest.Fault {
	pass := func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) { return do() }
	return append(slices.Repeat([]localtest.Fault{pass}, n), faults...)
}

// Each call that a runner makes to the store may be cut, before or after it happened,
// once or for good. The next runner finds what it needs to go on.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	const get, write = "GetItem", "TransactWriteItems"
	good := []string{get, write, get, get, get, get, write}
	bad := []string{get, write, get, get, write} // testSecret fails
	refuse := localtest.Refuse(http.StatusBadRequest, "ThrottlingException")
	h := open(t)
	var names []string
	for kind, calls := range map[string][]string{"good": good, "bad": bad} {
		usual := rotate.Succeeded
		if kind == "bad" {
			usual = rotate.Failed
		}
		for i, operation := range calls {
			for fault, c := range map[string]struct {
				faults []localtest.Fault
				seen   bool // not made up for by the client
				done   bool // the call happened
			}{
				"passing":   {[]localtest.Fault{refuse, localtest.LoseAnswer}, false, true},
				"cut":       {slices.Repeat([]localtest.Fault{localtest.Cut}, 3), true, false},
				"lost":      {slices.Repeat([]localtest.Fault{localtest.LoseAnswer}, 3), true, true},
				"throttled": {slices.Repeat([]localtest.Fault{refuse}, 3), true, false},
			} {
				name := fmt.Sprintf("%s-%d-%s-%s", kind, i, operation, fault)
				names = append(names, name)
				h.rotate(t, name)
				if kind == "bad" {
					h.lambda.breaks(name, "testSecret", before(failedWith("x")))
				}
				before := 0
				for _, earlier := range calls[:i] {
					if earlier == operation {
						before++
					}
				}
				r, wire := h.rotator(t)
				wire.Break(operation, nth(before, c.faults...)...)
				outcome, err := r.Rotate(t.Context(), secret.ID{Name: name})
				switch {
				case !c.seen && (err != nil || outcome != usual):
					t.Errorf("%s: %s, %v, want %s", name, outcome, err, usual)
				case c.seen && (err == nil || outcome != rotate.Unknown):
					t.Errorf("%s: %s, %v, want an error", name, outcome, err)
				}
				state := waits(0, epoch, "")
				began := i > 1 || i == 1 && operation == write && c.done
				ended := !c.seen || i == len(calls)-1 && c.done
				switch {
				case ended && kind == "good":
					state = nil
				case ended:
					state = waits(1, epoch.Add(delay), failureOf("testSecret"))
				case began:
					state = isLeased(1, epoch.Add(r.Lease()))
				}
				h.wantState(t, name, state)
				h.wantSound(t, name)
			}
		}
	}
	h.finish(t, names...)
	for _, name := range names {
		h.wantRotated(t, name, token("v1"), token("v0"))
	}
}

// A commit whose answer is lost, and after which the secret was changed otherwise, is
// found to have happened.
func TestLostAndChanged(t *testing.T) {
	t.Parallel()
	h := open(t)
	for n, name := range []string{"lease", "end"} {
		h.rotate(t, name)
		r, wire := h.rotator(t)
		wire.Break("TransactWriteItems", nth(n, func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			out, err := localtest.LoseAnswer(call, do)
			in := &secretsmanager.TagResourceInput{SecretId: &name, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}
			must(h.SDK.TagResource(t.Context(), in))(t)
			return out, err
		})...)
		if outcome, err := r.Rotate(t.Context(), secret.ID{Name: name}); outcome != rotate.Succeeded || err != nil {
			t.Errorf("%s: %s, %v, want it rotated", name, outcome, err)
		}
		h.wantRotated(t, name, token("v1"), token("v0"))
		if got := h.recorded(name); !slices.Equal(got, []string{"RotationStarted", "RotationSucceeded"}) {
			t.Errorf("%s: recorded %q", name, got)
		}
		if got := h.get(t, name).Tags; len(got) != 1 {
			t.Errorf("%s: tags %v, want the one that came in between", name, got)
		}
	}
}

// What a rotation costs: the lease, a look before each step but the first, and the end.
func TestCost(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	r, wire := h.rotator(t)
	if outcome, err := r.Rotate(t.Context(), secret.ID{Name: "s"}); err != nil || outcome != rotate.Succeeded {
		t.Fatal(outcome, err)
	}
	const want = "GetItem TransactWriteItems GetItem GetItem GetItem GetItem TransactWriteItems"
	calls, reads, writes := wire.Took()
	if calls != want || reads != 5 {
		t.Errorf("calls = %s, %v read units\nwant    %s, 5", calls, reads, want)
	}
	// Twice the head, and the note of when it is due, which goes in the end; each costs
	// double in a transaction. The note is in an index besides.
	if writes != 11 {
		t.Errorf("%v write units, want 11", writes)
	}
	// One that is not due costs a read.
	if outcome, err := r.Rotate(t.Context(), secret.ID{Name: "s"}); err != nil || outcome != rotate.NotDue {
		t.Fatal(outcome, err)
	}
	if calls, _, _ := wire.Took(); calls != "GetItem" {
		t.Errorf("calls = %s when nothing is due, want GetItem", calls)
	}
	// A run with nothing to do is a query for each shard.
	if sum := must(r.Run(t.Context()))(t); sum.Secrets != 0 {
		t.Errorf("%+v", sum)
	}
	if calls, _, _ := wire.Took(); calls != strings.TrimSpace(strings.Repeat("Query ", 8)) {
		t.Errorf("calls = %s in a run with nothing to do", calls)
	}
}

func (h *house) wantIncomplete(t testing.TB, name string) {
	t.Helper()
	in := asked(name)
	in.ClientRequestToken = aws.String(token("v9"))
	_, err := h.SDK.RotateSecret(t.Context(), in)
	wantCode(t, err, "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted.")
}

func wantCode(t testing.TB, err error, code, text string) {
	t.Helper()
	refusal, ok := errors.AsType[smithy.APIError](err)
	if !ok || refusal.ErrorCode() != code || text != "" && refusal.ErrorMessage() != text {
		t.Errorf("got %v, want %s %s", err, code, text)
	}
}

// A rotation is tried five times, with delays that double, and then given up:
// until RotateSecret, which is refused and has it tried again, with the same version.
func TestRetries(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	h.lambda.breaks("s", "setSecret", slices.Repeat([]mishap{before(failedWith("x"))}, 11)...)
	fail := func(attempts int, wait time.Duration) {
		t.Helper()
		outcome, state := rotate.Failed, waits(attempts, h.clock.Now().Add(wait), failureOf("setSecret"))
		if attempts == secret.MaxAttempts {
			outcome, state = rotate.GivenUp, isGivenUp(failureOf("setSecret"))
		}
		wantOutcomes(t, h.run(t), outcomes{outcome: 1})
		h.wantState(t, "s", state)
		if got := h.recorded("s"); !slices.Equal(got, []string{"RotationStarted", "RotationFailed"}) {
			t.Errorf("recorded %q", got)
		}
		h.wantSound(t, "s")
		h.clock.add(wait - time.Millisecond)
		wantOutcomes(t, h.run(t), outcomes{})
		h.clock.add(time.Millisecond)
	}
	all := func() {
		for i, minutes := range []int{1, 2, 4, 8, 60} {
			fail(i+1, time.Duration(minutes)*time.Minute)
		}
	}
	all()
	// Again, as often as before.
	h.wantIncomplete(t, "s")
	h.wantState(t, "s", waits(0, h.clock.Now(), ""))
	all()
	// Before a retry is due, RotateSecret brings it forward.
	h.wantIncomplete(t, "s")
	fail(1, time.Minute)
	h.clock.add(-time.Second)
	h.wantIncomplete(t, "s")
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantRotated(t, "s", token("v1"), token("v0"))
	in := asked("s")
	in.ClientRequestToken = aws.String(token("v9"))
	must(h.SDK.RotateSecret(t.Context(), in))(t)
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantRotated(t, "s", token("v9"), token("v1"))
}

// A rotation by schedule that was given up is gone on with in the next window.
func TestGivenUpUntilNextWindow(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.schedule(t, types.RotationRulesType{ScheduleExpression: aws.String("rate(10 days)")})
	h.lambda.breaks("s", "testSecret", slices.Repeat([]mishap{before(cut)}, 5)...)
	h.clock.set(at(t, "2026-03-14 12:00"))
	var version string
	for i := range secret.MaxAttempts {
		outcome := rotate.Failed
		if i == secret.MaxAttempts-1 {
			outcome = rotate.GivenUp
		}
		wantOutcomes(t, h.run(t), outcomes{outcome: 1})
		sec := h.get(t, "s")
		if version == "" {
			version = sec.Stages[secret.Pending]
		}
		if sec.Rotation.Run().Version != version || sec.Stages[secret.Pending] != version || sec.Stages[secret.Current] != token("v2") {
			t.Errorf("stages %v, run %+v, want %s pending", sec.Stages, sec.Rotation.State, version)
		}
		h.clock.add(time.Hour)
	}
	h.wantNext(t, at(t, "2026-03-24 00:00"), day)
	wantOutcomes(t, h.run(t), outcomes{})
	h.clock.set(h.get(t, "s").RotationDue())
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantRotated(t, "s", version, token("v2"))
	h.wantNext(t, at(t, "2026-04-03 00:00"), day)
}

// A mortal is the Lambda of a runner that dies when a step has run.
type mortal struct {
	rotate.Lambda
	step string
}

// Invoke invokes, and may not come back.
func (m mortal) Invoke(ctx context.Context, in *lambda.InvokeInput, options ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	out, err := m.Lambda.Invoke(ctx, in, options...)
	if strings.Contains(string(in.Payload), m.step) {
		runtime.Goexit() // the nearest to kill -9 that leaves the others alone
	}
	return out, err
}

// dies runs the rotation of s, whose runner ends in the middle of a step: the function
// has run, and nobody hears of it. It returns the RotationToken that the runner had.
func (h *house) dies(t testing.TB, step string) string {
	t.Helper()
	h.lambda.took()
	r, _ := h.rotator(t)
	r.Lambda = mortal{r.Lambda, step}
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		outcome, err := r.Rotate(t.Context(), secret.ID{Name: "s"})
		t.Errorf("%s, %v, want the runner dead", outcome, err)
	}()
	<-dead
	return h.lambda.took()[0].RotationToken
}

// A runner that dies leaves its rotation to the next one, when the lease ends and not
// before. The RotationToken that it gave to its function holds until then.
func TestRunnerDies(t *testing.T) {
	t.Parallel()
	for i, step := range steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			h.rotate(t, "s")
			old := h.dies(t, step)
			r, _ := h.rotator(t)
			lease := 4*patient + 30*time.Second
			if r.Lease() != lease {
				t.Errorf("lease of %v, want %v", r.Lease(), lease)
			}
			state := isLeased(1, epoch.Add(lease))
			h.wantState(t, "s", state)
			h.wantSound(t, "s")
			h.clock.add(lease - time.Millisecond)
			wantOutcomes(t, h.run(t), outcomes{})
			if outcome, err := r.Rotate(t.Context(), secret.ID{Name: "s"}); outcome != rotate.NotDue || err != nil {
				t.Errorf("%s, %v before the lease ended, want nothing done", outcome, err)
			}
			if i < 3 { // or else it is complete
				h.wantIncomplete(t, "s")
				h.wantState(t, "s", state)
			}
			h.wantToken(t, old, true)
			h.clock.add(time.Millisecond)
			h.wantToken(t, old, false)
			var proof string
			h.lambda.breaks("s", "createSecret", then(func() {
				l, _ := h.get(t, "s").Rotation.State.(secret.Leased)
				proof = l.Proof
				h.wantToken(t, old, false)
			}))
			wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
			calls := h.lambda.took()
			if got := stepsOf(calls, "s"); !slices.Equal(got, steps) || calls[0].RotationToken == old || secret.ProofOf(calls[0].RotationToken) != proof {
				t.Errorf("calls %+v, want all steps with another token than %s", calls, old)
			}
			h.wantRotated(t, "s", token("v1"), token("v0"))
		})
	}
}

// wantToken puts v1 with a RotationToken, and another value than it has: what comes of it
// says whether the token is right.
func (h *house) wantToken(t testing.TB, rotationToken string, right bool) {
	t.Helper()
	_, err := h.SDK.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("s"), ClientRequestToken: aws.String(token("v1")), RotationToken: &rotationToken,
		SecretString: aws.String(valueMark + "late"), VersionStages: []string{"AWSPENDING"},
	})
	code := "AccessDeniedException"
	if right {
		code = "ResourceExistsException"
	}
	wantCode(t, err, code, "")
}

// A process that is shut down returns its attempt: however many do, the function has
// not failed. What it called may still be running, so the lease stays until its end.
func TestReturnAttempt(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	for range secret.MaxAttempts + 1 {
		r, _ := h.rotator(t)
		ctx, cancel := context.WithCancel(t.Context())
		h.lambda.breaks("s", "setSecret", meanwhile(cancel))
		if outcome, err := r.Rotate(ctx, secret.ID{Name: "s"}); outcome != rotate.Unknown || !errors.Is(err, context.Canceled) {
			t.Errorf("%s, %v, want it left alone and %v", outcome, err, context.Canceled)
		}
		h.wantState(t, "s", isLeased(0, h.clock.Now().Add(r.Lease())))
		h.clock.add(r.Lease() - time.Millisecond)
		if outcome, err := r.Rotate(t.Context(), secret.ID{Name: "s"}); outcome != rotate.NotDue || err != nil {
			t.Errorf("%s, %v before the lease ended, want nothing done", outcome, err)
		}
		h.clock.add(time.Millisecond)
	}
	if told := h.recorded("s"); slices.Contains(told, "RotationFailed") {
		t.Errorf("recorded %q, want no failure", told)
	}
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantRotated(t, "s", token("v1"), token("v0"))
}

// A rotation that has come to its end in the moment in which the process has to stop
// has come to its end.
func TestReturnAttemptTooLate(t *testing.T) {
	t.Parallel()
	h := open(t)
	for name, want := range map[string]rotate.Outcome{"good": rotate.Succeeded, "bad": rotate.Failed} {
		h.rotate(t, name)
		if want == rotate.Failed {
			h.lambda.breaks(name, "finishSecret", before(missing))
		}
		r, _ := h.rotator(t)
		ctx, cancel := context.WithCancel(t.Context())
		r.OnEvent = func(_ context.Context, e rotate.Event) {
			if e.Name != "RotationStarted" {
				cancel()
			}
		}
		if outcome, err := r.Rotate(ctx, secret.ID{Name: name}); outcome != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", name, outcome, err, want)
		}
	}
	h.finish(t, "good", "bad")
	for _, name := range []string{"good", "bad"} {
		h.wantRotated(t, name, token("v1"), token("v0"))
	}
}

// A function that moves AWSCURRENT and fails has failed, also for the last time: the
// secret is not said to be rotated. The next rotation is as any other.
func TestFailsWhenCurrent(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	h.lambda.breaks("s", "finishSecret", slices.Repeat([]mishap{after(failedWith("x"))}, secret.MaxAttempts)...)
	h.finish(t, "s")
	h.wantState(t, "s", isGivenUp(failureOf("finishSecret")))
	sec := h.get(t, "s")
	if sec.Stages[secret.Current] != token("v1") || !sec.Rotation.Last.IsZero() {
		t.Errorf("stages %v, rotated last %v, want v1 current and never", sec.Stages, sec.Rotation.Last)
	}
	if told := h.recorded("s"); !slices.Equal(told, slices.Repeat([]string{"RotationStarted", "RotationFailed"}, secret.MaxAttempts)) {
		t.Errorf("recorded %q, want each failure", told)
	}
	if !strings.Contains(h.logged(), "rotation is left to its next window") {
		t.Errorf("logged %s, want that it is given up", h.logged())
	}
	h.again(t, "s")
	if got := h.get(t, "s").Rotation.Last; !got.Equal(h.clock.Now()) {
		t.Errorf("rotated last %v, want %v", got, h.clock.Now())
	}
}

// The first value of a secret, made by a rotation, is the current one when finishSecret
// says so, and not before: what was not set and tested is not used.
func TestFirstValue(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.lambda.run = h.first
	h.createEmpty(t, "good")
	h.createEmpty(t, "bad")
	h.lambda.breaks("bad", "setSecret", slices.Repeat([]mishap{before(failedWith("the database is down"))}, secret.MaxAttempts)...)
	for _, name := range []string{"good", "bad"} {
		must(h.SDK.RotateSecret(t.Context(), asked(name)))(t)
	}
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1, rotate.Failed: 1})
	calls := h.lambda.took()
	if got := stepsOf(calls, "good"); !slices.Equal(got, steps) {
		t.Errorf("good: steps %q, want all", got)
	}
	if got := stepsOf(calls, "bad"); !slices.Equal(got, steps[:2]) {
		t.Errorf("bad: steps %q, want two", got)
	}
	h.finish(t, "good", "bad")
	sec := h.get(t, "good")
	if want := (secret.Stages{secret.Current: token("v1")}); !maps.Equal(sec.Stages, want) || sec.Rotation.Last.IsZero() {
		t.Errorf("good: stages %v, rotated last %v, want %v", sec.Stages, sec.Rotation.Last, want)
	}
	if got := h.value(t, "good", secret.Current); got != h.lambda.password(sec.ARN) || got == "" {
		t.Errorf("good: the value is %q, and the password %q", got, h.lambda.password(sec.ARN))
	}
	if got, want := h.recorded("bad"), slices.Repeat([]string{"RotationStarted", "RotationFailed"}, secret.MaxAttempts); !slices.Equal(got, want) {
		t.Errorf("bad: recorded %q, want %q", got, want)
	}
	out := must(h.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("bad")}))(t)
	if want := map[string][]string{token("v1"): {"AWSPENDING"}}; !reflect.DeepEqual(out.VersionIdsToStages, want) || out.LastRotatedDate != nil {
		t.Errorf("bad: labels %v, rotated on %v, want %v and never", out.VersionIdsToStages, out.LastRotatedDate, want)
	}
	h.wantIncomplete(t, "bad")
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	if sec := h.get(t, "bad"); sec.Stages[secret.Current] != token("v1") {
		t.Errorf("bad: stages %v, want v1 current in the end", sec.Stages)
	}
}

func (h *house) createEmpty(t testing.TB, name string) {
	t.Helper()
	must(h.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, ClientRequestToken: aws.String(token("c"))}))(t)
}

// first is a function that makes the first value of a secret: the template, where there
// is no current version to look at, or to move AWSCURRENT from.
func (h *house) first(ctx context.Context, c call) error {
	out, err := h.SDK.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &c.SecretID})
	switch {
	case err != nil:
		return err
	case slices.Contains(out.VersionIdsToStages[c.ClientRequestToken], "AWSCURRENT"):
		return nil
	}
	switch c.Step {
	case "createSecret":
		_, err = h.SDK.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &c.SecretID, ClientRequestToken: &c.ClientRequestToken, RotationToken: &c.RotationToken,
			SecretString: aws.String(valueMark + "first"), VersionStages: []string{"AWSPENDING"},
		})
		return err
	case "setSecret":
		return h.lambda.setSecret(ctx, c)
	case "testSecret":
		return h.lambda.testSecret(ctx, c)
	}
	_, err = h.SDK.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &c.SecretID, VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: &c.ClientRequestToken,
	})
	return err
}
