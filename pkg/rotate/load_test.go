package rotate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"golang.org/x/sync/errgroup"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// bulk is a store for many calls, which nothing counts.
func (h *house) bulk() *store.Store {
	return store.New(localtest.Shared().Tables, h.Table, localtest.ARNs)
}

// stuff makes secrets that are due, past the API, and has them rotated by a function
// that makes the new version in its last step, past the API too: what is tried is the
// runner, and it takes seconds.
func (h *house) stuff(t testing.TB, n int, takes time.Duration) {
	t.Helper()
	sealed := secret.Sealed{Kind: secret.String, KeyARN: "arn", DataKey: []byte{0}, Data: []byte(valueMark)}
	var g errgroup.Group
	g.SetLimit(8)
	for i := range n {
		g.Go(func() error {
			name := fmt.Sprintf("s%04d", i)
			sec := secret.New(name, localtest.ARNs.Of(name, "abcdef"), "", epoch)
			sec.Rotation = secret.Rotation{
				Enabled: true, Lambda: function, Rules: secret.RotationRules{ScheduleExpression: "rate(24 hours)"}, Anchor: epoch,
				Next: secret.Window{Opens: epoch, Closes: epoch.Add(time.Hour)},
			}
			change, err := sec.Put(token("v0"), nil, epoch)
			if err != nil {
				return err
			}
			change.Version.Sealed = sealed
			_, err = h.Store.Create(t.Context(), change)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	h.lambda.run = func(ctx context.Context, c call) error {
		time.Sleep(takes)
		if c.Step != "finishSecret" {
			return nil
		}
		_, err := h.Store.Update(ctx, secret.ID{Name: nameOf(c.SecretID)}, func(sec secret.Secret) (secret.Change, error) {
			if sec.Stages[secret.Current] == c.ClientRequestToken {
				return secret.Change{Secret: sec, Outcome: secret.Unchanged}, nil
			}
			change, err := sec.Put(c.ClientRequestToken, []string{secret.Current}, h.clock.Now())
			if err == nil {
				change.Version.Sealed = sealed
			}
			return change, err
		})
		return err
	}
}

// inProcess is Lambda without a connection, for tests in made-up time.
type inProcess struct{ *fakeLambda }

func (f inProcess) Invoke(ctx context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	var c call
	if err := json.Unmarshal(in.Payload, &c); err != nil {
		return nil, err
	}
	f.begin(c)
	defer f.end()
	return &lambda.InvokeOutput{Payload: []byte("null")}, f.run(ctx, c)
}

// wantOnce says that so many secrets were rotated, each once.
func (h *house) wantOnce(t testing.TB, n int) {
	t.Helper()
	count := map[string]int{}
	for _, c := range h.lambda.took() {
		count[nameOf(c.SecretID)+" "+c.Step]++
	}
	for i := range n {
		name := fmt.Sprintf("s%04d", i)
		sec := h.get(t, name)
		if sec.Stages[secret.Previous] != token("v0") || len(sec.Stages) != 2 || sec.Rotation.State != nil || !sec.Rotation.Last.Equal(h.clock.Now()) {
			t.Errorf("%s: stages %v, rotation %+v", name, sec.Stages, sec.Rotation)
		}
		for _, step := range steps {
			if got := count[name+" "+step]; got != 1 {
				t.Errorf("%s: %s was called %d times, want once", name, step, got)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// Secrets that are due in one minute are rotated in one run, as many at a time as may.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const atOnce = 200
	h := open(t)
	h.Store = h.bulk()
	h.stuff(t, atOnce, time.Second)
	h.clock.add(time.Minute)
	r, _ := h.rotator(t)
	r.Store, r.Lambda = h.bulk(), inProcess{h.lambda}
	// Nothing leaves the process in here, so the time is made up.
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		sum := must(r.Run(t.Context()))(t)
		wantOutcomes(t, sum, outcomes{rotate.Succeeded: atOnce})
		if sum.Secrets != atOnce || !sum.OldestDue.IsZero() {
			t.Errorf("%+v, want %d and none left", sum, atOnce)
		}
		// Four steps of a second each, twenty at a time.
		if took, want := time.Since(began), time.Duration(atOnce/r.Parallel)*4*time.Second; took != want {
			t.Errorf("it took %v, want %v", took, want)
		}
	})
	if most := h.lambda.together(); most != r.Parallel {
		t.Errorf("%d ran at the same time, want %d", most, r.Parallel)
	}
	h.wantOnce(t, atOnce)
	wantOutcomes(t, h.run(t), outcomes{})
}

// A run begins nothing that its deadline would cut off. It says what it leaves, and
// the next run finds it.
func TestStopsBeforeDeadline(t *testing.T) {
	t.Parallel()
	h := open(t)
	const n = 60
	h.stuff(t, n, time.Second)
	h.clock.add(time.Minute)
	r, _ := h.rotator(t)
	r.StepTimeout, r.Parallel, r.Lambda = 5*time.Second, 4, inProcess{h.lambda}
	const done = 3 * 4 // begun after 0, 4 and 8 seconds
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), r.Lease()+10*time.Second)
		defer cancel()
		sum, err := r.Run(ctx)
		if err != nil || sum.Outcomes[rotate.Succeeded] != done || sum.Secrets != done || sum.Skipped != n-done || !sum.OldestDue.Equal(epoch) {
			t.Errorf("%+v, %v, want %d done and the others left, due since %v", sum, err, done, epoch)
		}
	})
	synctest.Test(t, func(t *testing.T) { wantOutcomes(t, must(r.Run(t.Context()))(t), outcomes{rotate.Succeeded: n - done}) })
	h.wantOnce(t, n)
}

// A run that begins too late does nothing, and says how much there is.
func TestNoTime(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.stuff(t, 20, 0)
	r, _ := h.rotator(t)
	ctx, cancel := context.WithTimeout(t.Context(), r.Lease()-time.Second)
	defer cancel()
	sum := must(r.Run(ctx))(t)
	if sum.Secrets != 0 || sum.Skipped != 20 || !sum.OldestDue.Equal(epoch) || len(sum.Outcomes) != 0 {
		t.Errorf("%+v, want 20 left", sum)
	}
	if got := h.lambda.took(); len(got) > 0 {
		t.Errorf("calls %+v, want none", got)
	}
}

// Who ends a run by hand gets that as its error. The rotations under way wait for the
// end of their leases, the others for the next run.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	h := open(t)
	const n = 30
	h.stuff(t, n, 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h.lambda.breaks("s0007", "testSecret", meanwhile(cancel))
	r, _ := h.rotator(t)
	r.Parallel = 2
	sum, err := r.Run(ctx)
	if err == nil || err.Error() != context.Canceled.Error() || sum.Outcomes[rotate.Unknown] == 0 || sum.Outcomes[rotate.Failed] != 0 {
		t.Errorf("%+v, %v, want some left alone and %v", sum, err, context.Canceled)
	}
	if got := h.logged(); got != "" {
		t.Errorf("logged %s, want nothing", got)
	}
	h.run(t)
	h.clock.add(r.Lease())
	h.run(t)
	for i := range n {
		sec := h.get(t, fmt.Sprintf("s%04d", i))
		if labels := sec.Stages.Of(sec.Stages[secret.Current]); !slices.Equal(labels, []string{secret.Current}) || sec.Stages[secret.Previous] != token("v0") || sec.Rotation.State != nil {
			t.Errorf("%s: stages %v, run %+v, want it rotated once", sec.Name, sec.Stages, sec.Rotation.State)
		}
	}
}
