package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
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
	h.wantRetried(t, patient, 4, namesOf(tests), func(name string) (string, bool, []mishap) {
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

// A step that does not answer in time has failed, whether it ran or not.
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
	h.wantRetried(t, 2*time.Second, len(tests), namesOf(tests), func(name string) (string, bool, []mishap) {
		return tests[name].step, strings.HasPrefix(name, "after-"), []mishap{tests[name].mishap}
	})
	if !strings.Contains(h.log.String(), "the function did not answer within 2s") {
		t.Errorf("logged %s, want why the steps failed", &h.log)
	}
}

// wantRetried has a step fail of each of these secrets, with a way to find which, whether it ran, and
// how.
func (h *house) wantRetried(t *testing.T, timeout time.Duration, parallel int, names []string, find func(string) (string, bool, []mishap)) {
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
		h.wantRun(t, name, secret.Run{Token: token("v1"), Attempts: 1, Due: epoch.Add(delay), Failure: failureOf(step)})
		h.wantSound(t, name)
		current := token("v0")
		if ran && step == "finishSecret" {
			current = token("v1")
		}
		if got := h.get(t, name).Stages; got[secret.Current] != current || got[secret.Pending] != token("v1") {
			t.Errorf("%s: stages %v, want %s current and v1 pending", name, got, current)
		}
	}
	h.clock.add(delay - time.Millisecond)
	wantOutcomes(t, h.run(t), outcomes{})
	h.clock.add(time.Millisecond)
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: len(names)})
	calls = h.lambda.took()
	for _, name := range names {
		h.wantRotated(t, name, token("v1"), token("v0"))
		if got := stepsOf(calls, name); !slices.Equal(got, steps) {
			t.Errorf("%s: steps %q in the next attempt, want all", name, got)
		}
		if got := h.told(name); !slices.Equal(got, []string{"RotationStarted", "RotationFailed", "RotationStarted", "RotationSucceeded"}) {
			t.Errorf("%s: told %q", name, got)
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
	h.wantRun(t, "s", secret.Run{Token: token("v1"), Attempts: 1, Due: epoch.Add(delay), Failure: secret.ErrNotCurrent.Message})
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
	good := []string{get, write, get, get, get, get, get, write}
	bad := []string{get, write, get, get, get, write} // testSecret fails
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
				run := secret.Run{Token: token("v1"), Due: epoch}
				began := i > 1 || i == 1 && operation == write && c.done
				ended := !c.seen || i == len(calls)-1 && c.done
				switch {
				case ended && kind == "good":
					run = secret.Run{}
				case ended:
					run = secret.Run{Token: token("v1"), Attempts: 1, Due: epoch.Add(delay), Failure: failureOf("testSecret")}
				case began:
					run = secret.Run{Token: token("v1"), Attempts: 1, Due: epoch.Add(r.Lease())}
				}
				h.wantRun(t, name, run)
				h.wantSound(t, name)
			}
		}
	}
	h.finish(t, names...)
	for _, name := range names {
		h.wantRotated(t, name, token("v1"), token("v0"))
	}
}

// What a rotation costs: the lease, a look before each step, and the end.
func TestCost(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	r, wire := h.rotator(t)
	if outcome, err := r.Rotate(t.Context(), secret.ID{Name: "s"}); err != nil || outcome != rotate.Succeeded {
		t.Fatal(outcome, err)
	}
	const want = "GetItem TransactWriteItems GetItem GetItem GetItem GetItem GetItem TransactWriteItems"
	calls, reads, writes := wire.Took()
	if calls != want || reads != 6 {
		t.Errorf("calls = %s, %v read units\nwant    %s, 6", calls, reads, want)
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
		outcome, due := rotate.Failed, h.clock.Now().Add(wait)
		if attempts == secret.MaxAttempts {
			outcome, due = rotate.GivenUp, time.Time{}
		}
		wantOutcomes(t, h.run(t), outcomes{outcome: 1})
		h.wantRun(t, "s", secret.Run{Token: token("v1"), Attempts: attempts, Due: due, Failure: failureOf("setSecret")})
		if got := h.told("s"); !slices.Equal(got, []string{"RotationStarted", "RotationFailed"}) {
			t.Errorf("told %q", got)
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
	h.wantRun(t, "s", secret.Run{Token: token("v1"), Due: h.clock.Now()})
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
	h.clock.set(at(t, "2026-03-14 07:00"))
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
		if sec.Rotation.Run.Token != version || sec.Stages[secret.Pending] != version || sec.Stages[secret.Current] != token("v2") {
			t.Errorf("stages %v, run %+v, want %s pending", sec.Stages, sec.Rotation.Run, version)
		}
		h.clock.add(time.Hour)
	}
	h.wantNext(t, at(t, "2026-03-24 00:00"), day)
	wantOutcomes(t, h.run(t), outcomes{})
	h.clock.set(at(t, "2026-03-24 00:00"))
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantRotated(t, "s", version, token("v2"))
	h.wantNext(t, at(t, "2026-04-03 00:00"), day)
}

// dies runs the rotation of s, whose runner ends in the middle of a step: the function
// has run, and nobody hears of it. It returns the RotationToken that the runner had.
func (h *house) dies(t testing.TB, step string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h.lambda.breaks("s", step, func(run func() error) answer {
		if err := run(); err != nil {
			t.Error(err)
		}
		cancel()
		return never
	})
	h.lambda.took()
	r, _ := h.rotator(t)
	sum, err := r.Run(ctx)
	if !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() || sum.Outcomes[rotate.Unknown] != 1 {
		t.Errorf("%+v, %v, want one left alone, and %v", sum, err, context.Canceled)
	}
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
			run := secret.Run{Token: token("v1"), Attempts: 1, Due: epoch.Add(lease)}
			h.wantRun(t, "s", run)
			h.wantSound(t, "s")
			h.clock.add(lease - time.Millisecond)
			wantOutcomes(t, h.run(t), outcomes{})
			if outcome, err := r.Rotate(t.Context(), secret.ID{Name: "s"}); outcome != rotate.NotDue || err != nil {
				t.Errorf("%s, %v before the lease ended, want nothing done", outcome, err)
			}
			if i < 3 { // or else it is complete
				h.wantIncomplete(t, "s")
				h.wantRun(t, "s", run)
			}
			h.wantToken(t, old, true)
			h.clock.add(time.Millisecond)
			h.wantToken(t, old, false)
			var proof string
			h.lambda.breaks("s", "createSecret", then(func() {
				proof = h.get(t, "s").Rotation.Run.Proof
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
