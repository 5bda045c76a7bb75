package rotate_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
)

// A rotation that RotateSecret asks for.
func TestRotation(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.rotate(t, "s")
	h.wantState(t, "s", waits(0, epoch, ""))
	h.clock.add(3 * time.Second)
	sum := h.run(t)
	wantOutcomes(t, sum, outcomes{rotate.Succeeded: 1})
	h.wantRotated(t, "s", token("v1"), token("v0"))
	calls := h.lambda.took()
	if got := stepsOf(calls, "s"); !slices.Equal(got, steps) {
		t.Errorf("steps %q, want %q", got, steps)
	}
	sec := h.get(t, "s")
	for _, c := range calls {
		if c.SecretID != sec.ARN || c.ClientRequestToken != token("v1") || c.RotationToken != calls[0].RotationToken || len(c.RotationToken) < 36 {
			t.Errorf("payload %+v, want the whole ARN, the version, and one token of 36 characters at least", c)
		}
	}
	if got := h.recorded("s"); !slices.Equal(got, []string{"RotationStarted", "RotationSucceeded"}) {
		t.Errorf("recorded %q", got)
	}
	if want := epoch.Add(3 * time.Second); !sec.Rotation.Last.Equal(want) || !sec.RotationDue().IsZero() {
		t.Errorf("rotated last %v, due %v, want %v and never", sec.Rotation.Last, sec.RotationDue(), want)
	}
	out := must(h.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")}))(t)
	if !aws.ToTime(out.LastRotatedDate).Equal(sec.Rotation.Last) || out.NextRotationDate != nil {
		t.Errorf("described as rotated on %v, next %v, want %v and never", out.LastRotatedDate, out.NextRotationDate, sec.Rotation.Last)
	}
	h.clock.add(1000 * day)
	wantOutcomes(t, h.run(t), outcomes{})
}

// rules are one of each kind, for a secret that is rotated on Wednesday the 4th of
// March 2026 at noon, and when their next windows are.
var rules = map[string]struct {
	rules   types.RotationRulesType
	windows [3]string // opening of the next three
	open    time.Duration
}{
	"days":               {types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(10)}, [3]string{"2026-03-14 00:00", "2026-03-24 00:00", "2026-04-03 00:00"}, day},
	"days, three hours":  {types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(10), Duration: aws.String("3h")}, [3]string{"2026-03-14 00:00", "2026-03-24 00:00", "2026-04-03 00:00"}, 3 * time.Hour},
	"a rate of days":     {types.RotationRulesType{ScheduleExpression: aws.String("rate(10 days)")}, [3]string{"2026-03-14 00:00", "2026-03-24 00:00", "2026-04-03 00:00"}, day},
	"a rate of hours":    {types.RotationRulesType{ScheduleExpression: aws.String("rate(8 hours)")}, [3]string{"2026-03-04 16:00", "2026-03-05 00:00", "2026-03-05 08:00"}, time.Hour},
	"a rate of minutes":  {types.RotationRulesType{ScheduleExpression: aws.String("rate(5 minutes)")}, [3]string{"2026-03-04 12:05", "2026-03-04 12:10", "2026-03-04 12:15"}, 5 * time.Minute},
	"every minute":       {types.RotationRulesType{ScheduleExpression: aws.String("rate(1 minute)")}, [3]string{"2026-03-04 12:01", "2026-03-04 12:02", "2026-03-04 12:03"}, time.Minute},
	"cron":               {types.RotationRulesType{ScheduleExpression: aws.String("cron(0 20 ? * FRI *)")}, [3]string{"2026-03-06 20:00", "2026-03-13 20:00", "2026-03-20 20:00"}, 4 * time.Hour},
	"cron, one hour":     {types.RotationRulesType{ScheduleExpression: aws.String("cron(0 20 ? * FRI *)"), Duration: aws.String("1h")}, [3]string{"2026-03-06 20:00", "2026-03-13 20:00", "2026-03-20 20:00"}, time.Hour},
	"cron of some hours": {types.RotationRulesType{ScheduleExpression: aws.String("cron(0 /6 * * ? *)")}, [3]string{"2026-03-04 18:00", "2026-03-05 00:00", "2026-03-05 06:00"}, time.Hour},
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	got, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (h *house) wantNext(t testing.TB, opens time.Time, open time.Duration) {
	t.Helper()
	sec := h.get(t, "s")
	want := secret.Window{Opens: opens, Closes: opens.Add(open)}
	if at := sec.RotationDue(); sec.Rotation.Next != want || at.Before(opens) || at.After(opens.Add(open/2)) {
		t.Errorf("the next window is %v, due %v, want %v", sec.Rotation.Next, at, want)
	}
}

// Rotations by schedule begin when they are due, or later while the window is open; and
// after each the next window is known.
func TestSchedules(t *testing.T) {
	t.Parallel()
	for name, c := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			h.schedule(t, c.rules)
			previous := token("v2")
			late := false
			for _, window := range c.windows {
				opens := at(t, window)
				h.wantNext(t, opens, c.open)
				start := h.get(t, "s").RotationDue()
				if !strings.Contains(name, "days") && !start.Equal(opens) {
					t.Errorf("due %v, want %v", start, opens)
				}
				h.clock.set(start.Add(-time.Millisecond))
				wantOutcomes(t, h.run(t), outcomes{})
				h.clock.set(start)
				if late {
					h.clock.set(opens.Add(c.open - time.Millisecond))
				}
				late = true
				wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
				if got := h.lambda.took(); !slices.Equal(stepsOf(got, "s"), steps) {
					t.Fatalf("calls %+v", got)
				}
				sec := h.get(t, "s")
				current := sec.Stages[secret.Current]
				h.wantRotated(t, "s", current, previous)
				if !sec.Rotation.Last.Equal(h.clock.Now()) {
					t.Errorf("rotated last %v, want %v", sec.Rotation.Last, h.clock.Now())
				}
				previous = current
				wantOutcomes(t, h.run(t), outcomes{})
			}
		})
	}
}

// A window that nobody was there for is not made up for at any time, but in the next
// window; at once, when that one is open.
func TestMissedWindow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules   string
		comes   string // the next run
		opens   string // the window that it finds
		outcome rotate.Outcome
	}{
		"days, the day after":              {"days", "2026-03-15 12:00", "2026-03-15 00:00", rotate.Succeeded},
		"days, at midnight":                {"days", "2026-03-15 00:00", "2026-03-15 00:00", rotate.Postponed},
		"days, a week after":               {"days", "2026-03-21 17:30", "2026-03-21 00:00", rotate.Succeeded},
		"three hours, on the day":          {"days, three hours", "2026-03-14 03:00", "2026-03-15 00:00", rotate.Postponed},
		"three hours, a week after":        {"days, three hours", "2026-03-21 02:59", "2026-03-21 00:00", rotate.Succeeded},
		"three hours, and later on":        {"days, three hours", "2026-03-21 17:30", "2026-03-22 00:00", rotate.Postponed},
		"a rate of days, the day after":    {"a rate of days", "2026-03-15 00:00", "2026-03-24 00:00", rotate.Postponed},
		"a rate of days, in the next":      {"a rate of days", "2026-03-24 23:59", "2026-03-24 00:00", rotate.Succeeded},
		"a rate of hours, an hour after":   {"a rate of hours", "2026-03-04 17:00", "2026-03-05 00:00", rotate.Postponed},
		"a rate of hours, in the next":     {"a rate of hours", "2026-03-05 00:59", "2026-03-05 00:00", rotate.Succeeded},
		"a rate of minutes, in the next":   {"a rate of minutes", "2026-03-04 12:10", "2026-03-04 12:10", rotate.Succeeded},
		"a rate of minutes, in a later":    {"a rate of minutes", "2026-03-05 12:32", "2026-03-05 12:30", rotate.Succeeded},
		"cron, on the day":                 {"cron, one hour", "2026-03-06 21:00", "2026-03-13 20:00", rotate.Postponed},
		"cron, at midnight":                {"cron", "2026-03-07 00:00", "2026-03-13 20:00", rotate.Postponed},
		"cron, in the next":                {"cron", "2026-03-13 23:59", "2026-03-13 20:00", rotate.Succeeded},
		"cron of some hours, three later":  {"cron of some hours", "2026-03-04 21:00", "2026-03-05 00:00", rotate.Postponed},
		"cron of some hours, in the third": {"cron of some hours", "2026-03-05 06:00", "2026-03-05 06:00", rotate.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			rule := rules[c.rules]
			h.schedule(t, rule.rules)
			h.clock.set(at(t, c.comes))
			wantOutcomes(t, h.run(t), outcomes{c.outcome: 1})
			if c.outcome == rotate.Postponed {
				h.wantNext(t, at(t, c.opens), rule.open)
				wantOutcomes(t, h.run(t), outcomes{})
				if got := append(h.lambda.took(), call{}); len(got) > 1 || len(h.recorded("s")) > 0 {
					t.Errorf("calls %+v, want none, and nothing recorded", got)
				}
				h.wantRotated(t, "s", token("v2"), token("v1"))
				h.clock.set(h.get(t, "s").RotationDue())
				wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
			}
			h.wantRotated(t, "s", h.get(t, "s").Stages[secret.Current], token("v2"))
		})
	}
}

// A rate of one minute is kept by runs that come every minute, whenever in it they
// come, also after some that did not come.
func TestEveryMinute(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.schedule(t, rules["every minute"].rules)
	for _, after := range []int{1, 2, 5, 6, 7, 20, 21} {
		h.clock.set(epoch.Add(time.Duration(after)*time.Minute + 5*time.Second))
		wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
		h.wantNext(t, epoch.Add(time.Duration(after+1)*time.Minute), time.Minute)
	}
}

// A secret with as many labels as it may have is left until the next window, and it is
// told why.
func TestTooManyLabels(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.schedule(t, rules["days"].rules)
	label := func(n int, in secretsmanager.UpdateSecretVersionStageInput) {
		t.Helper()
		in.SecretId, in.VersionStage = aws.String("s"), aws.String(fmt.Sprint("label", n))
		must(h.SDK.UpdateSecretVersionStage(t.Context(), &in))(t)
	}
	const others = secret.MaxLabels - 2 // beside AWSCURRENT and AWSPREVIOUS
	for n := range others {
		label(n, secretsmanager.UpdateSecretVersionStageInput{MoveToVersionId: aws.String(token("v2"))})
	}
	h.clock.set(at(t, "2026-03-14 12:00"))
	wantOutcomes(t, h.run(t), outcomes{rotate.GivenUp: 1})
	h.wantNext(t, at(t, "2026-03-24 00:00"), day)
	want := rotate.Event{Name: "RotationFailed", ARN: h.get(t, "s").ARN, Failure: "The secret has as many staging labels as it may have."}
	if !slices.Equal(h.events, []rotate.Event{want}) {
		t.Errorf("recorded %+v, want %+v", h.events, want)
	}
	if got := strings.Count(h.logged(), `"level":"WARN","msg":"rotation is left to its next window`); got != 1 {
		t.Errorf("logged %s, want a warning", h.logged())
	}
	if got := h.lambda.took(); len(got) > 0 {
		t.Errorf("calls %+v, want none", got)
	}
	wantOutcomes(t, h.run(t), outcomes{})
	h.clock.set(h.get(t, "s").RotationDue())
	for n := range others {
		label(n, secretsmanager.UpdateSecretVersionStageInput{RemoveFromVersionId: aws.String(token("v2"))})
	}
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	h.wantRotated(t, "s", h.get(t, "s").Stages[secret.Current], token("v2"))
}

// Rotations in days do not all begin at midnight: each secret has its own time in the
// window, which the index has, and which is the same in the next window.
func TestSpread(t *testing.T) {
	t.Parallel()
	const n = 24
	for name, rules := range map[string]types.RotationRulesType{
		"days":           {AutomaticallyAfterDays: aws.Int64(1)},
		"rate, one hour": {ScheduleExpression: aws.String("rate(1 day)"), Duration: aws.String("1h")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			for i := range n {
				h.create(t, fmt.Sprint("s", i))
				in := asked(fmt.Sprint("s", i))
				in.RotationRules = &rules
				must(h.SDK.RotateSecret(t.Context(), in))(t)
			}
			wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: n}) // at once, as they were asked for
			places := map[string]time.Duration{}
			for _, midnight := range []string{"2026-03-05 00:00", "2026-03-06 00:00"} {
				opens := at(t, midnight)
				due := map[time.Time]int{}
				for i := range n {
					sec := h.get(t, fmt.Sprint("s", i))
					start := sec.RotationDue()
					if place, ok := places[sec.Name]; ok && start.Sub(opens) != place {
						t.Errorf("%s starts %s after midnight, want %s as the day before", sec.Name, start.Sub(opens), place)
					}
					places[sec.Name] = start.Sub(opens)
					due[start]++
				}
				if len(due) < n/2 {
					t.Errorf("%d secrets start at %d times, want them spread", n, len(due))
				}
				for _, start := range slices.SortedFunc(maps.Keys(due), time.Time.Compare) {
					h.clock.set(start.Add(-time.Millisecond))
					wantOutcomes(t, h.run(t), outcomes{}) // nothing to look at in the index
					h.clock.set(start)
					wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: due[start]})
				}
			}
		})
	}
}

// What was made from an older value does not become current in the next window, when
// somebody has put another value since. A late put of the function is refused; one that
// has no RotationToken is taken, and left behind.
func TestLatePut(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.schedule(t, rules["cron"].rules)
	h.clock.set(at(t, "2026-03-06 20:00"))
	late := ""
	h.lambda.run = func(ctx context.Context, c call) error {
		if c.Step != "createSecret" || late != "" {
			return h.lambda.template(ctx, c)
		}
		late = c.ClientRequestToken
		h.put(t, "s") // while the function makes another value out of v2
		in := &secretsmanager.PutSecretValueInput{
			SecretId: &c.SecretID, ClientRequestToken: &late, RotationToken: &c.RotationToken,
			SecretString: aws.String(valueMark + "late"), VersionStages: []string{"AWSPENDING"},
		}
		_, err := h.SDK.PutSecretValue(ctx, in)
		wantCode(t, err, "AccessDeniedException", "")
		in.RotationToken = nil
		_, err = h.SDK.PutSecretValue(ctx, in)
		return err
	}
	wantOutcomes(t, h.run(t), outcomes{rotate.Abandoned: 1})
	if got, want := h.get(t, "s").Stages, (secret.Stages{secret.Current: token("v9"), secret.Previous: token("v2"), secret.Pending: late}); !maps.Equal(got, want) {
		t.Errorf("stages %v, want %v", got, want)
	}
	h.clock.set(at(t, "2026-03-13 20:00"))
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	current := h.get(t, "s").Stages[secret.Current]
	if current == late {
		t.Error("the late version is current")
	}
	h.wantRotated(t, "s", current, token("v9"))
}

// A rotation that was given up is not taken up again when AWSCURRENT moved since.
func TestGivenUpAndMoved(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.schedule(t, rules["cron"].rules)
	h.lambda.breaks("s", "testSecret", slices.Repeat([]mishap{before(cut)}, secret.MaxAttempts)...)
	h.clock.set(at(t, "2026-03-06 20:00"))
	for range secret.MaxAttempts {
		h.run(t)
		h.clock.add(time.Hour)
	}
	sec := h.get(t, "s")
	if g, ok := sec.Rotation.State.(secret.GivenUp); !ok || g.From != token("v2") {
		t.Errorf("state %+v, want it given up", sec.Rotation.State)
	}
	must(h.SDK.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String("s"), VersionStage: aws.String(secret.Current), RemoveFromVersionId: aws.String(token("v2")), MoveToVersionId: aws.String(token("v1")),
	}))(t)
	h.lambda.setPassword(sec.ARN, h.value(t, "s", secret.Current))
	h.clock.set(at(t, "2026-03-13 20:00"))
	wantOutcomes(t, h.run(t), outcomes{rotate.Succeeded: 1})
	current := h.get(t, "s").Stages[secret.Current]
	if current == sec.Stages[secret.Pending] {
		t.Error("the version that was left unfinished is current")
	}
	h.wantRotated(t, "s", current, token("v1"))
}
