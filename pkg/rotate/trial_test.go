package rotate_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
)

// try makes a secret and asks to test its rotation alone (RotateImmediately is false).
func (h *house) try(t testing.TB, name string) {
	t.Helper()
	h.create(t, name)
	in := asked(name)
	in.RotateImmediately = aws.Bool(false)
	must(h.SDK.RotateSecret(t.Context(), in))(t)
	if got, want := h.get(t, name).Stages, (secret.Stages{secret.Current: token("v0"), secret.Pending: token("v1")}); !maps.Equal(got, want) {
		t.Errorf("%s: stages %v, want %v", name, got, want)
	}
	if got := h.value(t, name, secret.Pending); got != valueMark+"v0" {
		t.Errorf("%s: the copy is %q", name, got)
	}
}

// wantUntouched says that a secret has its first version alone, and nothing under way.
func (h *house) wantUntouched(t testing.TB, name string) {
	t.Helper()
	sec := h.get(t, name)
	if want := (secret.Stages{secret.Current: token("v0")}); !maps.Equal(sec.Stages, want) || underWay(sec) || !sec.Rotation.Last.IsZero() {
		t.Errorf("%s: stages %v, rotation %+v, want %v and none", name, sec.Stages, sec.Rotation, want)
	}
	if got := h.value(t, name, secret.Current); got != valueMark+"v0" {
		t.Errorf("%s: the current value is %q", name, got)
	}
	if got := h.copies(t, name); sec.Versions != 1 || got != 0 {
		t.Errorf("%s: %d versions, and %d copies are there, want the first alone", name, sec.Versions, got)
	}
}

// underWay says whether there is a rotation that is neither given up nor cancelled.
func underWay(sec secret.Secret) bool {
	switch sec.Rotation.State.(type) {
	case secret.Waiting, secret.Leased:
		return true
	}
	return false
}

// copies is how many items there are of the version v1.
func (h *house) copies(t testing.TB, name string) int {
	t.Helper()
	sec := h.get(t, name)
	out := must(localtest.Shared().DynamoDB().GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &h.Table, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "SECRET#" + name},
			"sk": &types.AttributeValueMemberS{Value: "VERSION#" + sec.Suffix() + "#" + token("v1")},
		},
	}))(t)
	return min(len(out.Item), 1)
}

// A rotation that is not to be at once is tested: testSecret alone, on a copy of the
// current value, which is gone afterwards however it ends.
func TestTrial(t *testing.T) {
	t.Parallel()
	failure := slices.Repeat([]mishap{before(failedWith("x"))}, secret.MaxAttempts)
	h := open(t)
	for name, c := range map[string]struct {
		mishaps []mishap
		first   rotate.Outcome
		calls   int
		events  []string
	}{
		"good":             {nil, rotate.Succeeded, 1, []string{"Succeeded"}},
		"fails":            {failure[:1], rotate.Failed, 2, []string{"Failed", "Succeeded"}},
		"cut":              {[]mishap{after(cut), before(cut)}, rotate.Failed, 3, []string{"Failed", "Failed", "Succeeded"}},
		"given-up":         {failure, rotate.Failed, 5, []string{"Failed", "Failed", "Failed", "Failed", "Failed"}},
		"cancelled":        {[]mishap{then(func() { h.cancel(t, "cancelled") })}, rotate.Abandoned, 1, []string{""}},
		"cancelled-before": {[]mishap{meanwhile(func() { h.cancel(t, "cancelled-before") })}, rotate.Abandoned, 1, []string{""}},
	} {
		h.clock.set(epoch)
		h.try(t, name)
		h.lambda.breaks(name, "testSecret", c.mishaps...)
		wantOutcomes(t, h.run(t), outcomes{c.first: 1})
		h.finish(t, name)
		h.wantUntouched(t, name)
		if got := stepsOf(h.lambda.took(), name); !slices.Equal(got, slices.Repeat([]string{"testSecret"}, c.calls)) {
			t.Errorf("%s: steps %q, want testSecret %d times", name, got, c.calls)
		}
		var events []string
		for _, what := range c.events {
			events = append(events, "TestRotationStarted")
			if what != "" {
				events = append(events, "TestRotation"+what)
			}
		}
		if got := h.recorded(name); !slices.Equal(got, events) {
			t.Errorf("%s: recorded %q, want %q", name, got, events)
		}
	}
}

func (h *house) cancel(t testing.TB, name string) {
	t.Helper()
	must(h.SDK.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &name}))(t)
}

// A test whose runners die is given up as well, and its copy is taken away.
func TestTrialDies(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.try(t, "s")
	for range secret.MaxAttempts {
		h.dies(t, "testSecret")
		h.clock.add(time.Hour)
	}
	wantOutcomes(t, h.run(t), outcomes{rotate.GivenUp: 1})
	h.wantUntouched(t, "s")
}

// Whatever ends a test discards its copy at once: a new current value, a move of
// labels, or a deletion, whether the function runs or not.
func TestTrialEnds(t *testing.T) {
	t.Parallel()
	h := open(t)
	for name, end := range map[string]func(string){
		"put":      func(name string) { h.put(t, name) },
		"take-off": func(name string) { h.takeOff(t, name) },
		"delete": func(name string) {
			must(h.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &name}))(t)
		},
	} {
		for _, running := range []bool{true, false} {
			name := fmt.Sprint(name, running)
			h.try(t, name)
			do := func() {
				end(name)
				if got := h.copies(t, name); got != 0 {
					t.Errorf("%s: %d copies are there, want none", name, got)
				}
			}
			if running {
				h.lambda.breaks(name, "testSecret", then(do))
				wantOutcomes(t, h.run(t), outcomes{rotate.Abandoned: 1})
			} else {
				do()
				wantOutcomes(t, h.run(t), outcomes{})
			}
			if sec := h.get(t, name); !sec.Deletion.IsZero() {
				h.restore(t, name)
				h.wantUntouched(t, name)
			}
			wantOutcomes(t, h.run(t), outcomes{})
			h.again(t, name)
		}
	}
}
