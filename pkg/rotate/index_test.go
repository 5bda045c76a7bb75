package rotate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
)

// hold makes the indexes of a house's table answer from the state of now, until release.
func (h *house) hold() (release func()) { return localtest.Shared().Tables.HoldIndexes(h.Table) }

// wantQuiet says that no function was called and nothing was recorded.
func (h *house) wantQuiet(t testing.TB) {
	t.Helper()
	if got := h.lambda.took(); len(got) > 0 {
		t.Errorf("calls %+v, want none", got)
	}
	if got := h.recorded("s"); len(got) > 0 {
		t.Errorf("recorded %q, want nothing", got)
	}
}

// A rotation that the index does not show yet begins when it does.
func TestIndexLacksRotation(t *testing.T) {
	t.Parallel()
	h := open(t)
	release := h.hold()
	h.rotate(t, "s")
	wantOutcomes(t, h.run(t), outcomes{})
	h.wantQuiet(t)
	release()
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantRotated(t, "s", token("v1"), token("v0"))
}

// What the index still shows of a rotation that is over, under way, cancelled or to be
// tried later begins nothing.
func TestIndexShowsRotation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		since func(*testing.T, *house)
		state secret.State // of the secret, after it was looked at
	}{
		"over": {func(t *testing.T, h *house) {
			t.Helper()
			wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
		}, nil},
		"cancelled": {func(t *testing.T, h *house) {
			t.Helper()
			must(h.SDK.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: aws.String("s")}))(t)
		}, secret.Cancelled{Version: token("v1")}},
		"failed": {func(t *testing.T, h *house) {
			t.Helper()
			h.lambda.breaks("s", "setSecret", before(failedWith("x")))
			wantOutcomes(t, h.run(t), outcomes{rotate.Failed: 1})
		}, waits(1, epoch.Add(delay), failureOf("setSecret"))},
		"deleted": {func(t *testing.T, h *house) {
			t.Helper()
			must(h.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("s")}))(t)
		}, waits(0, epoch, "")},
		"made again": {func(t *testing.T, h *house) {
			t.Helper()
			must(h.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("s"), ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
			h.create(t, "s")
		}, nil},
		"made again, to be rotated": {func(t *testing.T, h *house) {
			t.Helper()
			must(h.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("s"), ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
			h.rotate(t, "s")
		}, waits(0, epoch, "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			h.rotate(t, "s")
			release := h.hold()
			defer release()
			c.since(t, h)
			h.lambda.took()
			h.recorded("s")
			wantOutcomes(t, h.run(t), outcomes{rotate.NotDue: 1})
			h.wantQuiet(t)
			h.wantState(t, "s", c.state)
			if name == "deleted" {
				must(h.SDK.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String("s")}))(t)
			}
			h.wantSound(t, "s")
			// What is due is done when the index has caught up, and once.
			release()
			h.finish(t, "s")
			if _, waiting := c.state.(secret.Waiting); waiting {
				h.wantRotated(t, "s", token("v1"), token("v0"))
			}
		})
	}
}

// A rotation under way is not begun by another runner that the index sends there.
func TestIndexShowsRotationUnderWay(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	release := h.hold()
	defer release()
	other, _ := h.rotator(t)
	h.lambda.breaks("s", "testSecret", meanwhile(func() {
		h.clock.add(time.Minute)
		wantOutcomes(t, must(other.Run(t.Context()))(t), outcomes{rotate.NotDue: 1})
	}))
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	if got := stepsOf(h.lambda.took(), "s"); !slices.Equal(got, steps) {
		t.Errorf("steps %q, want each once", got)
	}
	h.wantRotated(t, "s", token("v1"), token("v0"))
}

// A schedule goes by the secret: windows come when they are due, once each, with an
// index that still shows the first.
func TestScheduleWithTrailingIndex(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.schedule(t, types.RotationRulesType{ScheduleExpression: aws.String("rate(8 hours)")})
	release := h.hold()
	defer release()
	opens := at(t, "2026-03-04 16:00")
	h.clock.set(opens.Add(-time.Millisecond))
	wantOutcomes(t, h.run(t), outcomes{})
	for _, opens := range []time.Time{opens, opens.Add(8 * time.Hour)} {
		h.clock.set(opens.Add(-time.Millisecond))
		if sum := h.run(t); sum.Outcomes[rotate.Succeeded] != 0 {
			t.Errorf("%+v before the window opens", sum)
		}
		h.clock.set(opens)
		wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
		wantOutcomes(t, h.run(t), outcomes{rotate.NotDue: 1})
		h.wantNext(t, opens.Add(8*time.Hour), time.Hour)
	}
	release()
	wantOutcomes(t, h.run(t), outcomes{})
}

// However few rows a page has, all that is due is run.
func TestShortPages(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			h := open(t)
			var names []string
			for i := range 20 { // several in a shard
				names = append(names, fmt.Sprint("s", i))
				h.rotate(t, names[i])
			}
			r, wire := h.rotator(t)
			wire.Behave(localtest.Cloud{ShortPages: n})
			wantOutcomes(t, must(r.Run(t.Context()))(t), outcomes{rotate.Succeeded: len(names)})
			for _, name := range names {
				h.wantRotated(t, name, token("v1"), token("v0"))
			}
		})
	}
}
