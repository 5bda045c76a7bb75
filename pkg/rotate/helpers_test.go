package rotate_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
)

// epoch is when everything begins.
var epoch = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)

const (
	day     = 24 * time.Hour
	delay   = time.Minute      // after the first failed attempt
	patient = 20 * time.Second // for a step, where none is to take too long
)

// A clock is the time of all processes of a test, moved by hand.
type clock struct{ ms atomic.Int64 }

func (c *clock) set(t time.Time)     { c.ms.Store(t.UnixMilli()) }
func (c *clock) add(d time.Duration) { c.ms.Add(d.Milliseconds()) }
func (c *clock) Now() time.Time      { return time.UnixMilli(c.ms.Load()).UTC() }

// A house is the service, with a clock, and a Lambda that rotates.
type house struct {
	*localtest.Room
	lambda *fakeLambda
	clock  *clock
	usual  *rotate.Rotator // of run

	mu     sync.Mutex
	log    bytes.Buffer
	events []rotate.Event
}

func open(t testing.TB) *house {
	t.Helper()
	h := &house{Room: localtest.New(t), clock: &clock{}}
	h.clock.set(epoch)
	h.Server.Now, h.Server.MinRotationInterval = h.clock.Now, time.Minute
	h.Server.Log = slog.New(slog.NewJSONHandler(h, nil))
	h.lambda = newLambda(t, h.SDK)
	t.Cleanup(func() { h.wantNoLeak(t) })
	return h
}

// Write is the log of everybody in the house.
func (h *house) Write(line []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(line)
}

// logged is what everybody logged up to now. A server logs a call when it is answered.
func (h *house) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

func (h *house) record(_ context.Context, e rotate.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// recorded are the events since the last time that are for a secret.
func (h *house) recorded(name string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	h.events = slices.DeleteFunc(h.events, func(e rotate.Event) bool {
		mine := nameOf(e.ARN) == name
		if mine {
			names = append(names, e.Name)
		}
		return mine
	})
	return names
}

// wantNoLeak looks for values, tokens and what functions answer in all that was logged
// and recorded.
func (h *house) wantNoLeak(t testing.TB) {
	t.Helper()
	said := h.logged()
	h.mu.Lock()
	said += fmt.Sprintf("%+v", h.events)
	h.mu.Unlock()
	h.lambda.mu.Lock()
	marks := append([]string{valueMark, answerMark}, h.lambda.tokens...)
	h.lambda.mu.Unlock()
	for _, mark := range marks {
		if at := strings.Index(said, mark); at >= 0 {
			t.Errorf("it is said: %s", said[max(0, at-200):at+len(mark)])
		}
	}
}

// rotator is one of another process than the room's. Its transactions must have no
// condition check, which the role of functions/rotate does not allow: see infra.
func (h *house) rotator(t testing.TB) (*rotate.Rotator, *localtest.Wire) {
	t.Helper()
	other := h.Another(t)
	t.Cleanup(func() {
		if n := other.Wire.Checks(); n > 0 {
			t.Errorf("a rotator sent %d condition checks: the role of functions/rotate lacks dynamodb:ConditionCheckItem", n)
		}
	})
	return &rotate.Rotator{
		Store: other.Store, Lambda: h.lambda.client(), StepTimeout: patient, RetryDelay: delay, Parallel: 20,
		Now: h.clock.Now, Log: slog.New(slog.NewJSONHandler(h, nil)), OnEvent: h.record,
	}, other.Wire
}

// run runs what is due, which must not fail, in a process that goes on from test to
// test and remembers what it saw.
func (h *house) run(t testing.TB) rotate.Summary {
	t.Helper()
	if h.usual == nil {
		h.usual, _ = h.rotator(t)
	}
	sum, err := h.usual.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func wantOutcomes(t testing.TB, sum rotate.Summary, want map[rotate.Outcome]int) {
	t.Helper()
	if !maps.Equal(sum.Outcomes, want) || sum.Skipped != 0 {
		t.Errorf("outcomes = %v, and %d skipped, want %v", sum.Outcomes, sum.Skipped, want)
	}
}

type outcomes = map[rotate.Outcome]int

// must returns what a call answers, and ends the test when it fails.
func must[Out any](out Out, err error) func(testing.TB) Out {
	return func(t testing.TB) Out {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// token is a version's ID with a short name.
func token(name string) string { return strings.Repeat("0", 32-len(name)) + name }

// create makes a secret with the version v0, and what it is the password of.
func (h *house) create(t testing.TB, name string) {
	t.Helper()
	out := must(h.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: &name, ClientRequestToken: aws.String(token("v0")), SecretString: aws.String(valueMark + "v0"),
	}))(t)
	h.lambda.setPassword(*out.ARN, valueMark+"v0")
}

// asked is a RotateSecret that makes the version v1.
func asked(name string) *secretsmanager.RotateSecretInput {
	return &secretsmanager.RotateSecretInput{SecretId: &name, ClientRequestToken: aws.String(token("v1")), RotationLambdaARN: aws.String(function)}
}

// rotate makes a secret and asks for its rotation.
func (h *house) rotate(t testing.TB, name string) {
	t.Helper()
	h.create(t, name)
	must(h.SDK.RotateSecret(t.Context(), asked(name)))(t)
}

// schedule makes the secret s, rotates it to v2, and has it rotated by these rules from
// then on.
func (h *house) schedule(t testing.TB, rules types.RotationRulesType) {
	t.Helper()
	const name = "s"
	h.rotate(t, name)
	in := asked(name)
	in.ClientRequestToken, in.RotationRules = aws.String(token("v2")), &rules
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	must(h.SDK.RotateSecret(t.Context(), in))(t)
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.lambda.took()
	h.recorded(name)
}

func (h *house) get(t testing.TB, name string) secret.Secret {
	t.Helper()
	return must(h.Store.Get(t.Context(), secret.ID{Name: name}))(t)
}

// wantState says how far the rotation of a secret has come, but for the runner.
func (h *house) wantState(t testing.TB, name string, want secret.State) {
	t.Helper()
	got := h.get(t, name).Rotation.State
	if l, ok := got.(secret.Leased); ok {
		l.Runner, l.Proof = "", ""
		got = l
	}
	if got != want {
		t.Errorf("%s: state = %+v\nwant %+v", name, got, want)
	}
}

// run is the rotation from v0 to v1 after some attempts.
func run(attempts int, failure string) secret.Run {
	return secret.Run{Version: token("v1"), From: token("v0"), Attempts: attempts, Failure: failure}
}

func waits(attempts int, due time.Time, failure string) secret.State {
	return secret.Waiting{Run: run(attempts, failure), Due: due}
}

func isLeased(attempts int, until time.Time) secret.State {
	return secret.Leased{Run: run(attempts, ""), Until: until}
}

func isGivenUp(failure string) secret.State {
	return secret.GivenUp{Version: token("v1"), From: token("v0"), Failure: failure}
}

// value is the value under a label.
func (h *house) value(t testing.TB, name, label string) string {
	t.Helper()
	out, err := h.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: &label})
	if err != nil {
		t.Errorf("%s has no %s: %v", name, label, err)
		return ""
	}
	return *out.SecretString
}

// wantSound says what holds at all times: there is a current version and it has a
// value, and so has the one before, if there is one.
func (h *house) wantSound(t testing.TB, name string) {
	t.Helper()
	sec := h.get(t, name)
	for _, label := range []string{secret.Current, secret.Previous} {
		if _, ok := sec.Stages[label]; !ok && label == secret.Previous {
			continue
		}
		if got := h.value(t, name, label); !strings.HasPrefix(got, valueMark) {
			t.Errorf("%s of %s is %q", label, name, got)
		}
	}
}

// wantRotated says that a secret is at its version, with the one before as the
// previous, nothing under way, and the password set that it holds.
func (h *house) wantRotated(t testing.TB, name, version, previous string) {
	t.Helper()
	h.wantSound(t, name)
	sec := h.get(t, name)
	want := secret.Stages{secret.Current: version, secret.Previous: previous}
	if !maps.Equal(sec.Stages, want) || sec.Rotation.State != nil {
		t.Errorf("%s: stages %v, state %+v, want %v and none", name, sec.Stages, sec.Rotation.State, want)
	}
	if got, password := h.value(t, name, secret.Current), h.lambda.password(sec.ARN); got != password {
		t.Errorf("%s: the current value is %q, and the password %q", name, got, password)
	}
	out := must(h.SDK.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: &name}))(t)
	if len(out.Versions) != 2 {
		t.Errorf("%s has %d versions with a label, want the current and the previous one", name, len(out.Versions))
	}
}

// finish does what is due until nothing is under way, and moves the clock for it.
func (h *house) finish(t testing.TB, names ...string) {
	t.Helper()
	for range 2 * secret.MaxAttempts {
		var due time.Time
		for _, name := range names {
			sec := h.get(t, name)
			if at := sec.RotationDue(); sec.Rotation.State != nil && !at.IsZero() && (due.IsZero() || at.Before(due)) {
				due = at
			}
		}
		if due.IsZero() {
			return
		}
		if due.After(h.clock.Now()) {
			h.clock.set(due)
		}
		h.run(t)
	}
	t.Errorf("the rotations of %q do not come to their end", names)
}
