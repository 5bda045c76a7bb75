package secret

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	function      = "arn:aws:lambda:eu-central-1:123456789012:function:rotate-db"
	rotationToken = "3f1c9a7e5b2d4c6f8a0b1d3e5f7a9c2b4d6e8f0a1c3b5d7f9e1a2c4b6d8f0e2a"
)

var (
	monthly  = RotationRules{AutomaticallyAfterDays: 30}
	nightly  = RotationRules{ScheduleExpression: "cron(0 2 * * ? *)", Duration: "2h"}
	april    = Window{time.Date(2026, time.April, 2, 0, 0, 0, 0, time.UTC), time.Date(2026, time.April, 3, 0, 0, 0, 0, time.UTC)}
	tomorrow = Window{time.Date(2026, time.March, 5, 2, 0, 0, 0, time.UTC), time.Date(2026, time.March, 5, 4, 0, 0, 0, time.UTC)}
)

// scheduled is a secret that is rotated by a schedule, and is not being rotated.
func scheduled(stages Stages) Secret {
	s := having(stages)
	s.Versions = 2
	s.Rotation = Rotation{Enabled: true, Lambda: function, Rules: monthly, Anchor: born, Last: born, Next: april}
	return s
}

// rotating is a secret whose version N is being made, as RotateSecret asked.
func rotating(stages Stages, run Run) Secret {
	s := scheduled(stages)
	run.Token = "N"
	s.Rotation.Run, s.Rotation.Asked = run, "N"
	return s
}

// What becomes of a rotation. The version N has no value yet until it is tested.
func begun() Secret { return rotating(Stages{Current: "v1", Pending: "N"}, Run{Due: now}) }

func leased() Secret {
	return rotating(Stages{Current: "v1", Pending: "N"}, Run{Attempts: 1, Due: now.Add(time.Minute), Runner: "me", Proof: ProofOf(rotationToken)})
}

func waiting() Secret {
	return rotating(Stages{Current: "v1", Pending: "N"}, Run{Attempts: 2, Due: now.Add(time.Minute), Failure: "why"})
}

func givenUp() Secret {
	return rotating(Stages{Current: "v1", Pending: "N"}, Run{Attempts: MaxAttempts, Failure: "why"})
}

// finished is a rotation whose function has done all, and whose runner has not said so.
func finished() Secret {
	s := leased()
	s.Stages = Stages{Current: "N", Previous: "v1", Pending: "N"}
	return s
}

func underTest() Secret {
	s := leased()
	s.Rotation.Run.Test = true
	return s
}

func cancelled() Secret {
	s := scheduled(Stages{Current: "v1", Pending: "N"})
	s.Rotation.Enabled, s.Rotation.Next, s.Rotation.Asked = false, Window{}, "N"
	return s
}

// expired is s when its lease, or its wait, ends.
func expired(s Secret) Secret {
	s.Rotation.Run.Due = now
	return s
}

// A step is what a test does to the copy of a secret to say what it wants.
type step func(*Secret)

// becomes is s after some steps.
func becomes(s Secret, steps ...step) Secret {
	s = clone(s)
	for _, f := range steps {
		f(&s)
	}
	return s
}

func stagesAre(stages Stages) step { return func(s *Secret) { s.Stages = stages } }
func runIs(run Run) step           { return func(s *Secret) { s.Rotation.Run = run } }
func nextIs(w Window) step         { return func(s *Secret) { s.Rotation.Next = w } }
func enabledIs(enabled bool) step  { return func(s *Secret) { s.Rotation.Enabled = enabled } }
func changedNow(s *Secret)         { s.Changed = now }
func noRun(s *Secret)              { s.Rotation.Run = Run{} }
func rotatedNow(s *Secret)         { s.Rotation.Last = now }
func askedIs(token string) step    { return func(s *Secret) { s.Rotation.Asked = token } }
func busyIs(busy Busy) step        { return func(s *Secret) { s.Rotation.Busy = busy } }
func withoutVersion(s *Secret)     { s.Versions--; s.Prunings++ }

// busyMe is the runner of leased, when somebody else ended its rotation.
func busyMe(s *Secret) { s.Rotation.Busy = Busy{"me", now.Add(time.Minute)} }

// checkChange compares a change with what is wanted, or its refusal, and the secret
// it was decided on with what it was.
func checkChange(t *testing.T, s, before Secret, got Change, err error, want Change, refusal error) {
	t.Helper()
	if !reflect.DeepEqual(s, before) {
		t.Errorf("the secret was changed: got %+v, want %+v", s, before)
	}
	if wantRefusal(t, got, err, refusal) {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

var (
	noFunction = Error{"InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."}
	incomplete = Error{"InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted."}
	markedText = Error{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	limitText  = Error{"LimitExceededException", "The request failed because it would exceed one of the Secrets Manager quotas."}
	notTheirs  = Error{"InvalidRequestException", "The rotation is not under way any more."}
	badToken   = Error{"AccessDeniedException", "The rotation token is not valid for this version of the secret."}
	badRules   = Error{"InvalidParameterException", "bad rules"}
)

func inUse(token string) Error {
	return Error{"InvalidParameterException", "You can't use ClientRequestToken " + token + " because that value is already in use for a version of secret " + testARN + "."}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	placeholder := func(s Secret, steps ...step) Change {
		steps = append([]step{changedNow, askedIs("T"), runIs(Run{Token: "T", Due: now}), nextIs(tomorrow)}, steps...)
		return Change{Secret: becomes(s, steps...)}.With(RequireAbsent, "T")
	}
	copied := func(s Secret, steps ...step) Change {
		change := placeholder(s, append([]step{runIs(Run{Token: "T", Test: true, Due: now}), func(s *Secret) { s.Versions++ }}, steps...)...)
		change.Effects, change.Version = nil, &Version{ID: "T", Created: now}
		return change
	}
	configured := func(s *Secret) {
		s.Rotation.Enabled, s.Rotation.Lambda = true, function
		s.Rotation.Rules, s.Rotation.Anchor = nightly, now
	}
	nothing := func(s Secret) Change { return Change{Secret: s, Outcome: Unchanged} }
	plain := having(Stages{Current: "v1"})
	all := Rotate{Lambda: function, Rules: &nightly}
	bad := Rotate{Lambda: function, Rules: &RotationRules{Duration: "bad"}}
	noLambda := plain
	noLambda.Rotation.Rules = monthly // which nobody can have set without a function
	withFunction := func(stages Stages) Secret {
		s := having(stages)
		s.Rotation.Lambda = function
		return s
	}
	lastOf := withFunction(full(MaxLabels))
	unprevious := without(full(MaxLabels), Previous)
	pendingCurrent := Stages{Current: "v1", Pending: "v1"}
	over := becomes(scheduled(Stages{Current: "N", Previous: "v1"}), askedIs("N"))
	moved := becomes(over, stagesAre(Stages{Current: "v2", Previous: "v1"}))
	bySchedule := becomes(givenUp(), askedIs("v1"))
	for _, tt := range []struct {
		name   string
		before Secret
		rotate Rotate
		want   Change
		err    error
	}{
		{"for the first time", plain, all, placeholder(plain, configured, stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
		{"without rules", plain, Rotate{Lambda: function}, placeholder(plain, enabledIs(true), func(s *Secret) { s.Rotation.Lambda = function }, stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
		{"with rules that say nothing", scheduled(Stages{Current: "v1"}), Rotate{Rules: &RotationRules{}}, placeholder(scheduled(nil), stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
		{"as is stored", scheduled(Stages{Current: "v1"}), Rotate{}, placeholder(scheduled(nil), stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
		{"before the first value", having(nil), all, placeholder(having(nil), configured, stagesAre(Stages{Pending: "T"})), nil},
		{"AWSPENDING is on the current version", scheduled(pendingCurrent), Rotate{}, placeholder(scheduled(pendingCurrent), stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
		{"turned off, and nothing left over", becomes(cancelled(), stagesAre(Stages{Current: "v1"})), Rotate{}, placeholder(cancelled(), enabledIs(true), stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
		{"turned off, and its version has no value", cancelled(), Rotate{Empty: "N"}, placeholder(cancelled(), enabledIs(true), stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
		{"turned off, and its version has no value, for a test", cancelled(), Rotate{Empty: "N", Test: true}, copied(cancelled(), enabledIs(true), stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
		{"turned off before the first value", becomes(cancelled(), stagesAre(Stages{Pending: "N"})), Rotate{Empty: "N"}, placeholder(cancelled(), enabledIs(true), stagesAre(Stages{Pending: "T"})), nil},
		{"the one before is finished, and its runner has not said so", finished(), Rotate{}, placeholder(finished(), rotatedNow, busyMe, stagesAre(Stages{Current: "N", Previous: "v1", Pending: "T"})), nil},
		{"the one before is finished, and its runner's lease has ended", expired(finished()), Rotate{}, placeholder(finished(), rotatedNow, stagesAre(Stages{Current: "N", Previous: "v1", Pending: "T"})), nil},
		{"a runner may be busy still", becomes(scheduled(Stages{Current: "v1"}), busyMe), Rotate{}, placeholder(scheduled(nil), busyMe, stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
		{"the 20th label", scheduled(full(MaxLabels - 1)), Rotate{}, placeholder(scheduled(full(MaxLabels-1)), stagesAre(and(full(MaxLabels-1), Pending, "T"))), nil},
		{"the 20th label is AWSPREVIOUS", scheduled(without(full(MaxLabels-1), Previous)), Rotate{}, placeholder(scheduled(nil), stagesAre(and(without(full(MaxLabels-1), Previous), Pending, "T"))), nil},
		{"the 20th label is AWSPENDING, before the first value", scheduled(without(full(MaxLabels), Current)), Rotate{}, Change{}, limitText},
		{"one of 20 labels moves", scheduled(and(full(MaxLabels-1), Pending, "v1")), Rotate{}, placeholder(scheduled(full(MaxLabels-1)), stagesAre(and(full(MaxLabels-1), Pending, "T"))), nil},

		{"a test", scheduled(Stages{Current: "v1"}), Rotate{Test: true}, copied(scheduled(Stages{Current: "v1"}), stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
		{"a test for the first time", plain, Rotate{Lambda: function, Rules: &nightly, Test: true}, copied(plain, configured, stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
		{"a test before the first value", having(nil), Rotate{Lambda: function, Rules: &nightly, Test: true}, Change{Secret: becomes(having(nil), configured, changedNow, askedIs("T"), nextIs(tomorrow))}, nil},

		{"the token of the rotation under way", begun(), Rotate{Token: "N", Lambda: "another", Rules: &nightly}, nothing(begun()), nil},
		{"the token of one that was given up", givenUp(), Rotate{Token: "N"}, nothing(givenUp()), nil},
		{"the token of a test under way", underTest(), Rotate{Token: "N"}, nothing(underTest()), nil},
		{"the token of one that was cancelled", cancelled(), Rotate{Token: "N"}, nothing(cancelled()), nil},
		{"the token of one that went well", over, Rotate{Token: "N"}, nothing(over), nil},
		{"the token of one whose version is gone", moved, Rotate{Token: "N"}, nothing(moved), nil},
		{"the token of the last comes before function and rules", becomes(plain, askedIs("N")), Rotate{Token: "N", Rules: bad.Rules}, nothing(becomes(plain, askedIs("N"))), nil},
		{"the token of the current version", scheduled(Stages{Current: "v1"}), Rotate{Token: "v1"}, Change{}, inUse("v1")},
		{"the token of an older version", scheduled(Stages{Current: "v2", "mine": "v1"}), Rotate{Token: "v1"}, Change{}, inUse("v1")},
		{"the token of a rotation by schedule", bySchedule, Rotate{Token: "N"}, Change{}, inUse("N")},
		{"the token of another version while one is under way", leased(), Rotate{Token: "v1"}, Change{}, inUse("v1")},
		{"the token of a version, before function and rules", plain, Rotate{Token: "v1", Rules: bad.Rules}, Change{}, inUse("v1")},

		{"deleted", deleted(scheduled(Stages{Current: "v1"})), Rotate{}, Change{}, markedText},
		{"deleted, before the token", deleted(begun()), Rotate{Token: "N"}, Change{}, markedText},
		{"deleted, before the function", deleted(plain), Rotate{}, Change{}, markedText},
		{"no function", plain, Rotate{}, Change{}, noFunction},
		{"no function, before the rules", plain, Rotate{Rules: bad.Rules}, Change{}, noFunction},
		{"no function, before what is incomplete", having(Stages{Current: "v1", Pending: "v2"}), Rotate{}, Change{}, noFunction},
		{"no function, though there are rules", noLambda, Rotate{}, Change{}, noFunction},
		{"bad rules", plain, bad, Change{}, badRules},
		{"bad rules, before what is incomplete", begun(), bad, Change{}, badRules},
		{"bad rules that are stored", becomes(scheduled(Stages{Current: "v1"}), func(s *Secret) { s.Rotation.Rules = *bad.Rules }), Rotate{}, Change{}, badRules},
		{"begun", begun(), Rotate{}, Change{}, incomplete},
		{"under way", leased(), all, Change{}, incomplete},
		{"waiting", waiting(), Rotate{}, Change{}, incomplete},
		{"given up", givenUp(), Rotate{}, Change{}, incomplete},
		{"a test is under way", underTest(), Rotate{}, Change{}, incomplete},
		{"a test while another is under way", leased(), Rotate{Test: true}, Change{}, incomplete},
		{"turned off, and AWSPENDING left over", cancelled(), Rotate{}, Change{}, incomplete},
		{"turned off, and another version has no value", cancelled(), Rotate{Empty: "M"}, Change{}, incomplete},
		{"given up without a value", givenUp(), Rotate{Empty: "N"}, Change{}, incomplete},
		{"waiting without a value", waiting(), Rotate{Empty: "N"}, Change{}, incomplete},
		{"AWSPENDING put by hand", scheduled(Stages{Current: "v1", Pending: "v0"}), Rotate{}, Change{}, incomplete},
		{"AWSPENDING before the first value", scheduled(Stages{Pending: "v0"}), Rotate{}, Change{}, incomplete},
		{"incomplete, before the limit", scheduled(and(full(MaxLabels+1), Pending, "v0")), Rotate{}, Change{}, incomplete},
		{"the 21st label", lastOf, Rotate{}, Change{}, limitText},
		{"the 21st label, for a test", lastOf, Rotate{Test: true}, Change{}, limitText},
		{"the 21st label would be AWSPREVIOUS", withFunction(unprevious), Rotate{}, Change{}, limitText},
		{"the 20th label will be AWSPREVIOUS", withFunction(and(without(unprevious, "mine0"), Pending, "v1")), Rotate{}, placeholder(withFunction(unprevious), enabledIs(true), stagesAre(and(without(unprevious, "mine0"), Pending, "T"))), nil},
		{"the 21st label would be AWSPREVIOUS, beside AWSPENDING", withFunction(and(unprevious, Pending, "v1")), Rotate{}, Change{}, limitText},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before, rules := clone(tt.before), tt.rotate.Rules
			if tt.rotate.Token == "" {
				tt.rotate.Token = "T"
			}
			tt.rotate.Next = func(rules RotationRules, anchor time.Time) (Window, error) {
				wantRules, wantAnchor := tt.before.Rotation.Rules, tt.before.Rotation.Anchor
				if tt.rotate.Rules != nil && *tt.rotate.Rules != (RotationRules{}) {
					wantRules, wantAnchor = *tt.rotate.Rules, now
				}
				if rules != wantRules || !anchor.Equal(wantAnchor) {
					t.Errorf("asked for the window of %+v from %s on, want %+v from %s on", rules, anchor, wantRules, wantAnchor)
				}
				if rules.Duration == "bad" {
					return Window{}, badRules
				}
				return tomorrow, nil
			}
			got, err := tt.before.Rotate(tt.rotate, now)
			checkChange(t, tt.before, before, got, err, tt.want, tt.err)
			if rules != nil && *tt.rotate.Rules != *rules {
				t.Errorf("the rules were changed to %+v", tt.rotate.Rules)
			}
		})
	}
}

func TestReattempt(t *testing.T) {
	t.Parallel()
	again := Run{Token: "N", Due: now}
	nothing := func(s Secret) Change { return Change{Secret: s, Outcome: Unchanged} }
	byHand := scheduled(Stages{Current: "v1", Pending: "N"})
	testCopy := expired(underTest())
	testCopy.Rotation.Run.Runner, testCopy.Rotation.Run.Due = "", now.Add(time.Minute)
	moved := becomes(testCopy, stagesAre(Stages{Current: "N", Previous: "v1", Pending: "v9"}))
	other := becomes(finished(), stagesAre(Stages{Current: "N", Pending: "v9"}), func(s *Secret) { s.Rotation.Run.Runner = "" })
	for _, tt := range []struct {
		name   string
		before Secret
		want   Change
	}{
		{"given up", givenUp(), Change{Secret: becomes(givenUp(), runIs(again))}},
		{"waiting", waiting(), Change{Secret: becomes(waiting(), runIs(again))}},
		{"AWSPENDING put by hand", byHand, Change{Secret: becomes(byHand, runIs(again))}},
		{"a test that waits", testCopy, Change{Secret: becomes(testCopy, runIs(Run{Token: "N", Test: true, Due: now}))}},
		{"of another version than the one that was made", other, Change{Secret: becomes(other, rotatedNow, runIs(Run{Token: "v9", Due: now}))}},
		{"of another version than the copy of a test", moved, Change{Secret: becomes(moved, runIs(Run{Token: "v9", Due: now}))}},
		{"begun", begun(), nothing(begun())},
		{"due again", expired(waiting()), nothing(expired(waiting()))},
		{"a runner has it", leased(), nothing(leased())},
		{"its runner has died", expired(leased()), nothing(expired(leased()))},
		{"a runner tests", underTest(), nothing(underTest())},
		{"finished", finished(), nothing(finished())},
		{"none", scheduled(Stages{Current: "v1"}), nothing(scheduled(Stages{Current: "v1"}))},
		{"AWSPENDING is on the current version", scheduled(Stages{Current: "v1", Pending: "v1"}), nothing(scheduled(Stages{Current: "v1", Pending: "v1"}))},
		{"turned off", cancelled(), nothing(cancelled())},
		{"never configured", having(Stages{Current: "v1", Pending: "N"}), nothing(having(Stages{Current: "v1", Pending: "N"}))},
		{"deleted", deleted(givenUp()), nothing(deleted(givenUp()))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			checkChange(t, tt.before, before, tt.before.Reattempt(now), nil, tt.want, nil)
		})
	}
}

func TestCancelRotation(t *testing.T) {
	t.Parallel()
	off := func(s Secret, steps ...step) Change {
		return Change{Secret: becomes(s, append([]step{changedNow, enabledIs(false), nextIs(Window{}), noRun}, steps...)...)}
	}
	discarding := func(change Change) Change {
		return change.With(Discard, "N")
	}
	labelled := underTest()
	labelled.Stages = and(labelled.Stages, "mine", "N")
	current := becomes(underTest(), stagesAre(Stages{Current: "N", Previous: "v1", Pending: "N"}))
	unlabelled := becomes(underTest(), stagesAre(Stages{Current: "N", Previous: "v1", Pending: "v2"}))
	for _, tt := range []struct {
		name   string
		before Secret
		want   Change
		err    error
	}{
		{"none under way", scheduled(Stages{Current: "v1"}), off(scheduled(Stages{Current: "v1"})), nil},
		{"under way: its labels stay", leased(), off(leased(), busyMe), nil},
		{"its runner died", expired(leased()), off(leased()), nil},
		{"begun", begun(), off(begun()), nil},
		{"waiting", waiting(), off(waiting()), nil},
		{"given up", givenUp(), off(givenUp()), nil},
		{"finished: it was rotated", finished(), off(finished(), rotatedNow, busyMe), nil},
		{"a test: its copy goes", underTest(), discarding(off(underTest(), busyMe, stagesAre(Stages{Current: "v1"}), withoutVersion)), nil},
		{"a test whose copy somebody has a label on", labelled, off(labelled, busyMe, stagesAre(Stages{Current: "v1", "mine": "N"})), nil},
		{"a test whose copy became current", current, off(current, busyMe, stagesAre(Stages{Current: "N", Previous: "v1"})), nil},
		{"a test whose copy became current, and AWSPENDING went on", unlabelled, off(unlabelled, busyMe), nil},
		{"turned off already", cancelled(), Change{Secret: cancelled(), Outcome: Unchanged}, nil},
		{"never configured", having(Stages{Current: "v1"}), Change{}, noFunction},
		{"deleted", deleted(leased()), Change{}, markedText},
		{"deleted, before the function", deleted(having(Stages{Current: "v1"})), Change{}, markedText},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			got, err := tt.before.CancelRotation(now)
			checkChange(t, tt.before, before, got, err, tt.want, tt.err)
		})
	}
}

func TestLease(t *testing.T) {
	t.Parallel()
	lease := Lease{Runner: "you", Proof: "proof", Until: now.Add(time.Hour), Token: "T", Next: tomorrow}
	nothing := func(s Secret) Change { return Change{Secret: s, Outcome: Unchanged} }
	taken := func(s Secret, attempts int, failure string) Change {
		return Change{Secret: becomes(s, runIs(Run{Token: "N", Attempts: attempts, Due: lease.Until, Runner: "you", Proof: "proof", Failure: failure}))}
	}
	begins := func(s Secret, token string, steps ...step) Change {
		run := Run{Token: token, Attempts: 1, Due: lease.Until, Runner: "you", Proof: "proof"}
		return Change{Secret: becomes(s, append([]step{nextIs(tomorrow), runIs(run)}, steps...)...)}
	}
	open := func(s Secret) Secret { return becomes(s, nextIs(Window{now, now.Add(time.Hour)})) }
	died := func(s Secret) Secret {
		return becomes(expired(s), func(s *Secret) { s.Rotation.Run.Attempts = MaxAttempts })
	}
	ofTest := func(s Secret) Secret { return becomes(s, func(s *Secret) { s.Rotation.Run.Test = true }) }
	idle := open(scheduled(Stages{Current: "v1"}))
	ahead := func(s Secret, d time.Duration) Secret {
		return becomes(s, func(s *Secret) { s.Rotation.Run.Due = now.Add(d) })
	}
	becomesBusy := func(change Change) Change {
		change.Secret.Rotation.Busy = Busy{"me", now}
		return change
	}
	brimful := open(scheduled(full(MaxLabels)))
	unprevious := open(scheduled(without(full(MaxLabels), Previous)))
	overfull := open(scheduled(and(full(MaxLabels+1), Pending, "v1")))
	for _, tt := range []struct {
		name   string
		before Secret
		want   Change
	}{
		{"one that was begun", begun(), taken(begun(), 1, "")},
		{"one that failed", expired(waiting()), taken(waiting(), 3, "why")},
		{"one whose runner died", expired(leased()), taken(leased(), 2, "")},
		{"a test", ofTest(begun()), Change{Secret: ofTest(taken(begun(), 1, "").Secret)}},
		{"one whose version is current", expired(finished()), taken(finished(), 2, "")},
		{"one that a runner has", leased(), nothing(leased())},
		{"one that waits", waiting(), nothing(waiting())},
		{"one that waits, and the window is open", open(waiting()), nothing(open(waiting()))},
		{"runner died at the last attempt", died(leased()), Change{Secret: becomes(leased(), runIs(Run{Token: "N", Attempts: MaxAttempts, Failure: RunnerDied}))}},
		{"runner died at the last attempt of a test", died(underTest()), Change{Secret: becomes(underTest(), stagesAre(Stages{Current: "v1"}), noRun, withoutVersion)}.With(Discard, "N")},
		{"runner died at the last attempt, and the version is current", died(finished()), Change{Secret: becomes(finished(), runIs(Run{Token: "N", Attempts: MaxAttempts, Failure: RunnerDied}))}},
		{"one that was begun a moment ahead", ahead(begun(), Skew), taken(begun(), 1, "")},
		{"one that was begun too far ahead", ahead(begun(), Skew+1), nothing(ahead(begun(), Skew+1))},
		{"a runner may be busy still", becomes(begun(), busyMe), nothing(becomes(begun(), busyMe))},
		{"a runner may have been busy until now", becomes(begun(), busyIs(Busy{"me", now})), becomesBusy(taken(begun(), 1, ""))},

		{"the window opens", idle, begins(idle, "T", stagesAre(Stages{Current: "v1", Pending: "T"}))},
		{"the window is not open yet", scheduled(Stages{Current: "v1"}), nothing(scheduled(Stages{Current: "v1"}))},
		{"no windows", becomes(idle, nextIs(Window{})), nothing(becomes(idle, nextIs(Window{})))},
		{"the window opens on one that was given up", open(givenUp()), begins(givenUp(), "N")},
		{"given up, and the window is not open yet", givenUp(), nothing(givenUp())},
		{"the window opens on AWSPENDING put by hand", open(scheduled(Stages{Current: "v1", Pending: "v2"})), begins(idle, "v2", stagesAre(Stages{Current: "v1", Pending: "v2"}))},
		{"the window opens on AWSPENDING of the current version", open(scheduled(Stages{Current: "v1", Pending: "v1"})), begins(idle, "T", stagesAre(Stages{Current: "v1", Pending: "T"}))},
		{"the window opens before the first value", open(scheduled(nil)), begins(idle, "T", stagesAre(Stages{Pending: "T"}))},
		{"the window opens, and there is no room for a label", brimful, Change{Secret: becomes(brimful, nextIs(tomorrow))}},
		{"the window opens, and there will be no room for AWSPREVIOUS", unprevious, Change{Secret: becomes(unprevious, nextIs(tomorrow))}},
		{"the window opens, and a runner may be busy still", becomes(idle, busyMe), nothing(becomes(idle, busyMe))},
		{"the window opens in a moment", becomes(idle, nextIs(Window{now.Add(1), now.Add(time.Hour)})), nothing(becomes(idle, nextIs(Window{now.Add(1), now.Add(time.Hour)})))},
		{"the window opens, with more labels than may be, and none is added", overfull, begins(overfull, "T", stagesAre(and(full(MaxLabels+1), Pending, "T")))},
		{"turned off", cancelled(), nothing(cancelled())},
		{"never configured", having(Stages{Current: "v1"}), nothing(having(Stages{Current: "v1"}))},
		{"deleted", deleted(idle), nothing(deleted(idle))},
		{"deleted while it was begun", deleted(begun()), nothing(deleted(begun()))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			checkChange(t, tt.before, before, tt.before.Lease(lease, now), nil, tt.want, nil)
		})
	}
}

func TestOverslept(t *testing.T) {
	t.Parallel()
	windowed := func(s Secret, opens, closes time.Duration) Secret {
		return becomes(s, nextIs(Window{now.Add(opens), now.Add(closes)}))
	}
	idle := scheduled(Stages{Current: "v1"})
	for _, tt := range []struct {
		name   string
		before Secret
		want   bool
	}{
		{"the window closed", windowed(idle, -2, -1), true},
		{"the window closes", windowed(idle, -1, 0), true},
		{"the window is open", windowed(idle, -1, 1), false},
		{"the window opens", windowed(idle, 0, 1), false},
		{"the window is to come", windowed(idle, 1, 2), false},
		{"no window", becomes(idle, nextIs(Window{})), false},
		{"one is under way", windowed(expired(leased()), -2, -1), false},
		{"one was given up", windowed(givenUp(), -2, -1), true},
	} {
		if got := tt.before.Overslept(now); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestPostpone(t *testing.T) {
	t.Parallel()
	s := givenUp()
	before := clone(s)
	checkChange(t, s, before, s.Postpone(tomorrow), nil, Change{Secret: becomes(givenUp(), nextIs(tomorrow))}, nil)
}

func TestRunBy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		before Secret
		runner string
		err    error
	}{
		{"theirs", leased(), "me", nil},
		{"theirs, though the time is over", expired(leased()), "me", nil},
		{"a test", underTest(), "me", nil},
		{"another runner's", leased(), "you", notTheirs},
		{"nobody's", waiting(), "me", notTheirs},
		{"nobody's, and nobody asks", waiting(), "", notTheirs},
		{"given up, and nobody asks", givenUp(), "", notTheirs},
		{"cancelled", cancelled(), "me", notTheirs},
		{"never configured, and nobody asks", having(nil), "", notTheirs},
		{"deleted", deleted(leased()), "me", notTheirs},
	} {
		run, err := tt.before.RunBy(tt.runner)
		want := tt.before.Rotation.Run
		if tt.err != nil {
			want = Run{}
		}
		if !errors.Is(err, tt.err) || run != want {
			t.Errorf("%s: got %+v, %v, want %+v, %v", tt.name, run, err, want, tt.err)
		}
	}
}

func TestRotated(t *testing.T) {
	t.Parallel()
	notCurrent := Error{"InvalidRequestException", "The rotation function did not move AWSCURRENT to the new version."}
	ended := []step{changedNow, noRun}
	well := func(s Secret, stages Stages) Change {
		return Change{Secret: becomes(s, append(ended, rotatedNow, nextIs(tomorrow), stagesAre(stages))...)}
	}
	tested := func(s Secret, stages Stages) Change {
		return Change{Secret: becomes(s, append(ended, stagesAre(stages))...)}
	}
	with := func(s Secret, stages Stages) Secret { return becomes(s, stagesAre(stages)) }
	gone := tested(underTest(), Stages{Current: "v1"})
	withoutVersion(&gone.Secret)
	gone = gone.With(Discard, "N")
	for _, tt := range []struct {
		name   string
		before Secret
		runner string
		want   Change
		err    error
	}{
		{"AWSPENDING comes off", finished(), "me", well(finished(), Stages{Current: "N", Previous: "v1"}), nil},
		{"AWSPENDING is off", with(finished(), Stages{Current: "N", Previous: "v1"}), "me", well(finished(), Stages{Current: "N", Previous: "v1"}), nil},
		{"AWSPENDING is another's by now", with(finished(), Stages{Current: "N", Pending: "v2"}), "me", well(finished(), Stages{Current: "N", Pending: "v2"}), nil},
		{"after its time", expired(finished()), "me", well(expired(finished()), Stages{Current: "N", Previous: "v1"}), nil},
		{"the first version", with(finished(), Stages{Current: "N", Pending: "N"}), "me", well(finished(), Stages{Current: "N"}), nil},
		{"AWSCURRENT did not move", leased(), "me", Change{}, notCurrent},
		{"AWSCURRENT moved back", with(leased(), Stages{Current: "v1", Previous: "N", Pending: "N"}), "me", Change{}, notCurrent},
		{"the copy goes", underTest(), "me", gone, nil},
		{"the copy has another label", with(underTest(), Stages{Current: "v1", Pending: "N", "mine": "N"}), "me", tested(underTest(), Stages{Current: "v1", "mine": "N"}), nil},
		{"the copy became current", with(underTest(), Stages{Current: "N", Previous: "v1", Pending: "N"}), "me", tested(underTest(), Stages{Current: "N", Previous: "v1"}), nil},
		{"another runner's", finished(), "you", Change{}, notTheirs},
		{"another runner's test", underTest(), "you", Change{}, notTheirs},
		{"nobody's", becomes(waiting(), stagesAre(Stages{Current: "N"})), "", Change{}, notTheirs},
		{"cancelled", cancelled(), "me", Change{}, notTheirs},
		{"deleted", deleted(finished()), "me", Change{}, notTheirs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			got, err := tt.before.Rotated(tt.runner, tomorrow, now)
			checkChange(t, tt.before, before, got, err, tt.want, tt.err)
		})
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	const retry = 4 * time.Minute
	last := func(s Secret) Secret {
		return becomes(s, func(s *Secret) { s.Rotation.Run.Attempts = MaxAttempts })
	}
	lastButOne := becomes(leased(), func(s *Secret) { s.Rotation.Run.Attempts = MaxAttempts - 1 })
	again := func(s Secret, attempts int) Change {
		return Change{Secret: becomes(s, runIs(Run{Token: "N", Attempts: attempts, Due: now.Add(retry), Failure: "broken"}))}
	}
	testAgain := again(underTest(), 1)
	testAgain.Secret.Rotation.Run.Test = true
	for _, tt := range []struct {
		name   string
		before Secret
		runner string
		want   Change
		err    error
	}{
		{"first attempt", leased(), "me", again(leased(), 1), nil},
		{"last attempt but one", lastButOne, "me", again(lastButOne, MaxAttempts-1), nil},
		{"after its time", expired(leased()), "me", again(leased(), 1), nil},
		{"last attempt", last(leased()), "me", Change{Secret: becomes(leased(), runIs(Run{Token: "N", Attempts: MaxAttempts, Failure: "broken"}))}, nil},
		{"last attempt, and the version is current", last(finished()), "me", Change{Secret: becomes(finished(), runIs(Run{Token: "N", Attempts: MaxAttempts, Failure: "broken"}))}, nil},
		{"first attempt, and the version is current", finished(), "me", again(finished(), 1), nil},
		{"a test", underTest(), "me", testAgain, nil},
		{"a test, last attempt", last(underTest()), "me", Change{Secret: becomes(underTest(), stagesAre(Stages{Current: "v1"}), noRun, withoutVersion)}.With(Discard, "N"), nil},
		{"another runner's", leased(), "you", Change{}, notTheirs},
		{"nobody's", waiting(), "", Change{}, notTheirs},
		{"cancelled", cancelled(), "me", Change{}, notTheirs},
		{"deleted", deleted(leased()), "me", Change{}, notTheirs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			got, err := tt.before.Failed(tt.runner, "broken", retry, now)
			checkChange(t, tt.before, before, got, err, tt.want, tt.err)
		})
	}
}

// A rotation is tried as often as it may be, whoever fails at it and however.
func TestAttempts(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		s, at, begun := begun(), now, 0
		for {
			change := s.Lease(Lease{Runner: "me", Proof: "proof", Until: at.Add(time.Minute)}, at)
			if change.IsUnchanged() {
				break
			}
			if s = change.Secret; s.Rotation.Run.Runner == "me" {
				begun++
			}
			if at = at.Add(time.Minute); dies {
				continue
			}
			var err error
			if change, err = s.Failed("me", "why", time.Hour, at); err != nil {
				t.Fatal(err)
			}
			s, at = change.Secret, at.Add(time.Hour)
		}
		if begun != MaxAttempts || s.Rotation.Run.underWay() || s.Stages[Pending] != "N" {
			t.Errorf("dies %t: got %d attempts and %+v with %v, want %d and a rotation that was given up", dies, begun, s.Rotation.Run, s.Stages, MaxAttempts)
		}
	}
}

func TestRotationTokens(t *testing.T) {
	t.Parallel()
	foreign := strings.Repeat("a", len(rotationToken))
	stale := becomes(leased(), func(s *Secret) { s.Rotation.Run.Proof = ProofOf(foreign) }) // another runner took over
	unproved := becomes(leased(), func(s *Secret) { s.Rotation.Run.Proof = "" })
	provedByNone := becomes(leased(), func(s *Secret) { s.Rotation.Run.Proof = ProofOf("") })
	released := becomes(leased(), func(s *Secret) { s.Rotation.Run.Runner = "" })
	for _, tt := range []struct {
		name           string
		secret         Secret
		token, version string
		rotating       bool
		err            error
	}{
		{"right", leased(), rotationToken, "N", true, nil},
		{"right, after finishSecret", finished(), rotationToken, "N", true, nil},
		{"right, of a test", underTest(), rotationToken, "N", true, nil},
		{"wrong", leased(), foreign, "N", false, badToken},
		{"too long", leased(), rotationToken + "a", "N", false, badToken},
		{"none", leased(), "", "N", false, badToken},
		{"the proof itself", leased(), ProofOf(rotationToken), "N", false, badToken},
		{"none where there is no proof", unproved, "", "N", false, badToken},
		{"none where that is the proof", provedByNone, "", "N", false, badToken},
		{"wrong where there is no proof", unproved, foreign, "N", false, badToken},
		{"for another version", leased(), rotationToken, "v1", false, badToken},
		{"for no version", leased(), rotationToken, "", false, badToken},
		{"of the runner before", stale, rotationToken, "N", false, badToken},
		{"in the last moment", becomes(leased(), func(s *Secret) { s.Rotation.Run.Due = now.Add(1) }), rotationToken, "N", true, nil},
		{"when the lease ends", expired(leased()), rotationToken, "N", false, badToken},
		{"when the lease has ended", becomes(leased(), func(s *Secret) { s.Rotation.Run.Due = now.Add(-1) }), rotationToken, "N", false, badToken},
		{"with nobody's lease", released, rotationToken, "N", false, badToken},
		{"begun", begun(), rotationToken, "N", false, badToken},
		{"waiting", waiting(), rotationToken, "N", false, badToken},
		{"given up", givenUp(), rotationToken, "N", false, badToken},
		{"cancelled", cancelled(), rotationToken, "N", false, nil},
		{"scheduled", scheduled(Stages{Current: "v1"}), rotationToken, "T", false, nil},
		{"never configured", having(Stages{Current: "v1"}), foreign, "T", false, nil},
		{"never configured, and none", having(nil), "", "", false, nil},
	} {
		if got := tt.secret.IsRotating(tt.token, tt.version, now); got != tt.rotating {
			t.Errorf("%s: got rotating %t, want %t", tt.name, got, tt.rotating)
		}
		if err := tt.secret.CheckRotationToken(tt.token, tt.version, now); !errors.Is(err, tt.err) {
			t.Errorf("%s: got error %v, want %v", tt.name, err, tt.err)
		}
	}
}

func TestProofOf(t *testing.T) {
	t.Parallel()
	// SHA-256 of "abc" (FIPS 180-2, appendix B.1).
	if got, want := ProofOf("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What puts and moves of labels do to a rotation.
func TestRestaged(t *testing.T) {
	t.Parallel()
	put := func(version string, labels ...string) func(Secret) (Change, error) {
		return func(s Secret) (Change, error) { return s.Put(version, labels, now) }
	}
	update := func(version string) func(Secret) (Change, error) {
		return func(s Secret) (Change, error) { return s.Update(Update{}, version, now) }
	}
	move := func(label, from, to string) func(Secret) (Change, error) {
		return func(s Secret) (Change, error) { return s.MoveStage(label, from, to, now) }
	}
	const kept, over, rotated = "kept", "over", "over, and rotated"
	afterwards := becomes(finished(), stagesAre(Stages{Current: "N", Previous: "v1"}))
	byHand := becomes(givenUp(), stagesAre(Stages{Current: "N", Previous: "v1"}))
	testCurrent := becomes(underTest(), stagesAre(Stages{Current: "N", Previous: "v1"}))
	for _, tt := range []struct {
		name   string
		before Secret
		do     func(Secret) (Change, error)
		want   string
		ended  bool
	}{
		{"its version gets a value", leased(), put("N", Pending), kept, false},
		{"its version becomes current", leased(), put("N"), kept, false},
		{"its version gets its value before all others", becomes(leased(), stagesAre(Stages{Pending: "N"})), put("N", Pending), kept, false},
		{"AWSCURRENT moves to its version", leased(), move(Current, "v1", "N"), kept, false},
		{"AWSCURRENT moves back, AWSPENDING stays", finished(), move(Current, "N", "v1"), kept, false},
		{"AWSPENDING comes off the version that is current", finished(), move(Pending, "N", ""), kept, false},
		{"AWSPENDING goes from the version that is current to another", finished(), move(Pending, "N", "v1"), kept, false},
		{"another version with a label of its own", leased(), put("v2", "mine"), kept, false},
		{"AWSPREVIOUS by name", leased(), put("v2", Previous), kept, false},
		{"a label of its own moves", becomes(leased(), stagesAre(Stages{Current: "v1", Pending: "N", "mine": "v1"})), move("mine", "v1", "N"), kept, false},

		{"another version becomes current", leased(), put("v2"), over, true},
		{"another version becomes current by name", leased(), put("v2", Current, "mine"), over, true},
		{"another version becomes current by update", leased(), update("v2"), over, true},
		{"another version becomes current with AWSPENDING", leased(), put("v2", Current, Pending), over, true},
		{"another version becomes current when its runner died", expired(leased()), put("v2"), over, true},
		{"another version becomes current, before it is run", begun(), put("v2"), over, true},
		{"another version becomes current while it waits", waiting(), put("v2"), over, true},
		{"another version gets AWSPENDING", leased(), put("v2", Pending), over, true},
		{"AWSPENDING is taken off", leased(), move(Pending, "N", ""), over, true},
		{"AWSPENDING is taken off a version with a label of its own", becomes(leased(), stagesAre(Stages{Current: "v1", Pending: "N", "mine": "N"})), move(Pending, "N", ""), over, true},
		{"AWSPENDING moves to another", leased(), move(Pending, "N", "v1"), over, true},
		{"given up, and another version becomes current", givenUp(), put("v2"), over, false},
		{"given up, and AWSPENDING is taken off", givenUp(), move(Pending, "N", ""), over, false},
		{"given up, made current by hand, and another becomes current", byHand, put("v2"), over, false},
		{"a test, and another version becomes current", underTest(), put("v2"), over, false},
		{"a test, and AWSPENDING is taken off", underTest(), move(Pending, "N", ""), over, false},
		{"a test whose copy was current, and another becomes it", testCurrent, put("v2"), over, false},

		{"another version becomes current after finishSecret", finished(), put("v2"), rotated, false},
		{"another version becomes current after finishSecret took AWSPENDING off", afterwards, put("v2"), rotated, false},
		{"AWSCURRENT moves back after finishSecret took AWSPENDING off", afterwards, move(Current, "N", "v1"), rotated, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			change, err := tt.do(tt.before)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(tt.before, before) {
				t.Errorf("the secret was changed: got %+v, want %+v", tt.before, before)
			}
			got, want := change.Secret.Rotation, before.Rotation
			if tt.want != kept {
				want.Run = Run{}
			}
			if tt.want == rotated {
				want.Last = now
			}
			if tt.want != kept && before.Rotation.Run.held(now) {
				want.Busy = Busy{"me", now.Add(time.Minute)}
			}
			want.Next = got.Next // a put counts as a rotation
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if ended := change.Secret.Ended(before); ended != tt.ended {
				t.Errorf("got ended %t, want %t", ended, tt.ended)
			}
		})
	}
}

// Who ends a rotation, apart from puts and moves of labels.
func TestEnded(t *testing.T) {
	t.Parallel()
	done := func(change Change, err error) Secret {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return change.Secret
	}
	rotate := Rotate{Token: "T", Next: func(RotationRules, time.Time) (Window, error) { return april, nil }}
	lastAttempt := becomes(leased(), func(s *Secret) { s.Rotation.Run.Attempts = MaxAttempts })
	lease := Lease{Runner: "you", Until: now.Add(time.Hour), Token: "T"}
	open := becomes(givenUp(), nextIs(Window{now, now.Add(time.Hour)}))
	for _, tt := range []struct {
		name          string
		before, after Secret
		want          bool
	}{
		{"cancelled", leased(), done(leased().CancelRotation(now)), true},
		{"cancelled before it was run", begun(), done(begun().CancelRotation(now)), true},
		{"cancelled when it was finished", finished(), done(finished().CancelRotation(now)), false},
		{"cancelled when it was given up", givenUp(), done(givenUp().CancelRotation(now)), false},
		{"a test cancelled", underTest(), done(underTest().CancelRotation(now)), false},
		{"turned off", scheduled(nil), done(scheduled(nil).CancelRotation(now)), false},
		{"went well", finished(), done(finished().Rotated("me", april, now)), false},
		{"a test went well", underTest(), done(underTest().Rotated("me", april, now)), false},
		{"failed", leased(), done(leased().Failed("me", "why", time.Minute, now)), false},
		{"failed for the last time", lastAttempt, done(lastAttempt.Failed("me", "why", time.Minute, now)), false},
		{"the next begins after it was finished", finished(), done(finished().Rotate(rotate, now)), false},
		{"tried again", waiting(), waiting().Reattempt(now).Secret, false},
		{"leased", begun(), begun().Lease(lease, now).Secret, false},
		{"begun anew after it was given up", open, open.Lease(lease, now).Secret, false},
		{"begun", scheduled(Stages{Current: "v1"}), begun(), false},
	} {
		if got := tt.after.Ended(tt.before); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestCounted(t *testing.T) {
	t.Parallel()
	onDay := func(s Secret, days int, open time.Duration) Secret {
		s.Rotation.Rules = RotationRules{AutomaticallyAfterDays: days}
		opens := time.Date(2026, time.March, 4+days, 0, 0, 0, 0, time.UTC)
		s.Rotation.Next = Window{opens, opens.Add(open)}
		return s
	}
	monthly := scheduled(Stages{Current: "v1"})
	weekly := becomes(monthly, func(s *Secret) {
		s.Rotation.Rules = RotationRules{AutomaticallyAfterDays: 7, Duration: "3h"}
		s.Rotation.Next = Window{april.Opens, april.Opens.Add(3 * time.Hour)}
	})
	byExpression := becomes(monthly, func(s *Secret) { s.Rotation.Rules = nightly })
	nobodys := becomes(monthly, nextIs(Window{}))
	off := becomes(cancelled(), stagesAre(Stages{Current: "v1"}))
	for _, tt := range []struct {
		name   string
		before Secret
		labels []string
		want   Window
	}{
		{"30 days", monthly, nil, onDay(monthly, 30, 24*time.Hour).Rotation.Next},
		{"7 days, for three hours", weekly, nil, onDay(weekly, 7, 3*time.Hour).Rotation.Next},
		{"by name", monthly, []string{Current, "mine"}, onDay(monthly, 30, 24*time.Hour).Rotation.Next},
		{"the first value", becomes(monthly, stagesAre(nil)), []string{"mine"}, onDay(monthly, 30, 24*time.Hour).Rotation.Next},
		{"another label", monthly, []string{"mine"}, april},
		{"AWSPENDING", monthly, []string{Pending}, april},
		{"an expression", byExpression, nil, april},
		{"no window", nobodys, nil, Window{}},
		{"turned off", off, nil, Window{}},
		{"never configured", having(Stages{Current: "v1"}), nil, Window{}},
	} {
		change, err := tt.before.Put("v2", tt.labels, now)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := change.Secret.Rotation.Next; got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
	// The day is that of UTC, wherever the clock is.
	late := time.Date(2026, time.March, 4, 23, 30, 0, 0, time.FixedZone("west", -3600)) // the 5th in UTC
	change, err := monthly.Put("v2", nil, late)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := change.Secret.Rotation.Next.Opens, time.Date(2026, time.April, 4, 0, 0, 0, 0, time.UTC); got != want {
		t.Errorf("got the window of %s, want %s", got, want)
	}
}

func TestRotationDue(t *testing.T) {
	t.Parallel()
	later := now.Add(time.Minute)
	for _, tt := range []struct {
		name   string
		secret Secret
		want   time.Time
	}{
		{"never configured", having(Stages{Current: "v1"}), time.Time{}},
		{"turned off", cancelled(), time.Time{}},
		{"scheduled", scheduled(nil), april.Opens},
		{"no schedule", becomes(scheduled(nil), nextIs(Window{})), time.Time{}},
		{"begun", begun(), now},
		{"a runner has it: when the lease ends", leased(), later},
		{"a runner tests", underTest(), later},
		{"waiting", waiting(), later},
		{"under way, and without a schedule", becomes(leased(), nextIs(Window{})), later},
		{"under way, and a window is open", becomes(leased(), nextIs(Window{now, later})), later},
		{"finished", finished(), later},
		{"given up", givenUp(), april.Opens},
		{"given up, and without a schedule", becomes(givenUp(), nextIs(Window{})), time.Time{}},
		{"begun, and a runner may be busy still", becomes(begun(), busyMe), later},
		{"begun, and a runner may have been busy until then", becomes(begun(), busyIs(Busy{"me", now})), now},
		{"begun, and a runner was busy before", becomes(begun(), busyIs(Busy{"me", now.Add(-1)})), now},
		{"a window opens while a runner may be busy", becomes(scheduled(nil), busyMe, nextIs(Window{now, later})), later},
		{"a window opens when nobody is busy any more", becomes(scheduled(nil), busyMe), april.Opens},
		{"no schedule, and a runner may be busy still", becomes(scheduled(nil), busyMe, nextIs(Window{})), time.Time{}},
		{"turned off, and a runner may be busy still", becomes(cancelled(), busyMe), time.Time{}},
		{"deleted", deleted(scheduled(nil)), time.Time{}},
		{"deleted, and a runner may be busy still", deleted(becomes(begun(), busyMe)), time.Time{}},
		{"deleted while under way", deleted(leased()), time.Time{}},
	} {
		if got := tt.secret.RotationDue(); !got.Equal(tt.want) {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// What was asked for is due to a clock that is behind; a lease, a window and who may be
// busy are taken to the letter.
func TestIsRotationDue(t *testing.T) {
	t.Parallel()
	due := now
	idle := becomes(scheduled(nil), nextIs(Window{due, due.Add(time.Hour)}))
	for _, tt := range []struct {
		name   string
		secret Secret
		from   time.Duration // how much before it is due it is due already
	}{
		{"begun", begun(), Skew},
		{"waiting", expired(waiting()), Skew},
		{"a runner has it", expired(leased()), 0},
		{"a runner tests", expired(underTest()), 0},
		{"a window opens", idle, 0},
		{"given up, and a window opens", becomes(givenUp(), nextIs(idle.Rotation.Next)), 0},
		{"begun, and a runner may be busy still", becomes(begun(), func(s *Secret) { s.Rotation.Run.Due = due.Add(-time.Minute) }, busyIs(Busy{"me", due})), 0},
		{"a window opens while a runner may be busy", becomes(idle, func(s *Secret) { s.Rotation.Next.Opens = due.Add(-time.Minute) }, busyIs(Busy{"me", due})), 0},
		{"begun, and a runner was busy once", becomes(begun(), busyIs(Busy{"me", due.Add(-time.Hour)})), Skew},
	} {
		for _, at := range []time.Duration{-time.Hour, -Skew - 1, -Skew, -1, 0, 1, time.Hour} {
			if got, want := tt.secret.IsRotationDue(due.Add(at)), at >= -tt.from; got != want {
				t.Errorf("%s: got %t %s after it is due, want %t", tt.name, got, at, want)
			}
		}
	}
	for name, s := range map[string]Secret{
		"never configured": having(Stages{Current: "v1"}), "turned off": cancelled(), "deleted": deleted(begun()),
		"no schedule": becomes(scheduled(nil), nextIs(Window{})), "given up, and no schedule": becomes(givenUp(), nextIs(Window{})),
	} {
		if s.IsRotationDue(now.AddDate(100, 0, 0)) || s.IsRotationDue(time.Time{}) {
			t.Errorf("%s: it is due, want never", name)
		}
	}
}

// A runner says that it has seen the end of its rotation; for another, nothing changes.
func TestLeft(t *testing.T) {
	t.Parallel()
	busy := becomes(begun(), busyMe)
	nothing := func(s Secret) Change { return Change{Secret: s, Outcome: Unchanged} }
	for _, tt := range []struct {
		name   string
		before Secret
		runner string
		want   Change
	}{
		{"it was busy", busy, "me", Change{Secret: begun()}},
		{"it was, and the secret is deleted", deleted(busy), "me", Change{Secret: deleted(begun())}},
		{"another is", busy, "you", nothing(busy)},
		{"nobody is", begun(), "me", nothing(begun())},
		{"it has the lease", leased(), "me", nothing(leased())},
	} {
		before := clone(tt.before)
		checkChange(t, tt.before, before, tt.before.Left(tt.runner), nil, tt.want, nil)
	}
}

// A runner that has to stop gives its attempt back, and the lease stays until it ends.
func TestStopped(t *testing.T) {
	t.Parallel()
	stopped := func(s Secret) Change {
		return Change{Secret: becomes(s, func(s *Secret) { s.Rotation.Run.Attempts-- })}
	}
	last := becomes(leased(), func(s *Secret) { s.Rotation.Run.Attempts = MaxAttempts })
	for _, tt := range []struct {
		name   string
		before Secret
		runner string
		want   Change
		err    error
	}{
		{"the first attempt", leased(), "me", stopped(leased()), nil},
		{"the last attempt", last, "me", stopped(last), nil},
		{"after its time", expired(leased()), "me", stopped(expired(leased())), nil},
		{"a test", underTest(), "me", stopped(underTest()), nil},
		{"finished", finished(), "me", stopped(finished()), nil},
		{"another runner's", leased(), "you", Change{}, notTheirs},
		{"nobody's", waiting(), "", Change{}, notTheirs},
		{"ended by somebody else", becomes(begun(), busyMe), "me", Change{}, notTheirs},
		{"cancelled", cancelled(), "me", Change{}, notTheirs},
		{"deleted", deleted(leased()), "me", Change{}, notTheirs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			got, err := tt.before.Stopped(tt.runner)
			checkChange(t, tt.before, before, got, err, tt.want, tt.err)
		})
	}
}

// The next rotation waits for the runner of one that was ended under its feet, and no
// longer than that: until it has seen it, or its lease has ended.
func TestOneRunnerAtATime(t *testing.T) {
	t.Parallel()
	next := func(RotationRules, time.Time) (Window, error) { return april, nil }
	lease := Lease{Runner: "you", Proof: "proof", Until: now.Add(time.Hour), Token: "T"}
	ends := map[string]func(Secret) (Change, error){
		"put":      func(s Secret) (Change, error) { return s.Put("v2", nil, now) },
		"take off": func(s Secret) (Change, error) { return s.MoveStage(Pending, "N", "", now) },
		"cancel": func(s Secret) (Change, error) {
			change, err := s.CancelRotation(now)
			change.Secret.Stages = change.Secret.Stages.Detach(Pending) // by hand
			return change, err
		},
	}
	for name, end := range ends {
		change, err := end(leased())
		if err != nil {
			t.Fatal(err)
		}
		if change, err = change.Secret.Rotate(Rotate{Token: "M", Next: next}, now); err != nil {
			t.Fatalf("%s: %v, want the next to be begun", name, err)
		}
		s := change.Secret
		until := leased().Rotation.Run.Due
		if got := s.Lease(lease, until.Add(-1)); !got.IsUnchanged() {
			t.Errorf("%s: got %+v while the runner may be busy", name, got.Secret.Rotation.Run)
		}
		if got := s.Lease(lease, until); got.Secret.Rotation.Run.Runner != "you" {
			t.Errorf("%s: got %+v when the lease has ended, want it leased", name, got.Secret.Rotation.Run)
		}
		if got := s.Left("me").Secret.Lease(lease, now); got.Secret.Rotation.Run.Runner != "you" {
			t.Errorf("%s: got %+v when the runner has seen it, want it leased", name, got.Secret.Rotation.Run)
		}
	}
}

// A rotation makes the first value of a secret: it is the current one when its function
// says so.
func TestFirstValueByRotation(t *testing.T) {
	t.Parallel()
	s := becomes(leased(), stagesAre(Stages{Pending: "N"}))
	for _, tt := range []struct {
		version string
		labels  []string
		want    Stages
	}{
		{"N", []string{Pending}, Stages{Pending: "N"}},
		{"N", []string{Pending, "mine"}, Stages{Pending: "N", "mine": "N"}},
		{"N", []string{Current}, Stages{Current: "N"}},
		{"N", nil, Stages{Current: "N"}},
		{"v2", []string{Pending}, Stages{Current: "v2", Pending: "v2"}}, // somebody else's
		{"v2", nil, Stages{Current: "v2"}},
	} {
		change, err := s.Put(tt.version, tt.labels, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := change.Secret.Stages; !maps.Equal(got, tt.want) {
			t.Errorf("%s with %q: got %v, want %v", tt.version, tt.labels, got, tt.want)
		}
	}
	change, err := s.Put("N", []string{Pending}, now)
	if err != nil {
		t.Fatal(err)
	}
	if change, err = change.Secret.MoveStage(Current, "", "N", now); err != nil {
		t.Fatal(err)
	}
	if change, err = change.Secret.Rotated("me", tomorrow, now); err != nil {
		t.Fatal(err)
	}
	if got, want := change.Secret.Stages, (Stages{Current: "N"}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A deletion that is taken back leaves the rotation as it was.
func TestRotationOutlivesDeletion(t *testing.T) {
	t.Parallel()
	for _, s := range []Secret{scheduled(nil), leased(), waiting(), givenUp(), underTest(), cancelled()} {
		change, err := s.Delete(7, now)
		if err != nil {
			t.Fatal(err)
		}
		back := change.Secret.Restore(now).Secret
		if back.Rotation != s.Rotation || !maps.Equal(back.Stages, s.Stages) {
			t.Errorf("got %+v with %v, want %+v with %v", back.Rotation, back.Stages, s.Rotation, s.Stages)
		}
	}
}

// A whole rotation, as its function and its runner see to it.
func TestWholeRotation(t *testing.T) {
	t.Parallel()
	s, at := scheduled(Stages{Current: "v1", Previous: "v0"}), now
	done := func(change Change, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		s, at = change.Secret, at.Add(time.Second)
	}
	check := func(want Stages, under bool) {
		t.Helper()
		if !maps.Equal(s.Stages, want) || s.Rotation.Run.underWay() != under {
			t.Errorf("got %v, under way %t; want %v, %t", s.Stages, s.Rotation.Run.underWay(), want, under)
		}
	}
	done(s.Rotate(Rotate{Token: "N", Next: func(RotationRules, time.Time) (Window, error) { return april, nil }}, at))
	check(Stages{Current: "v1", Previous: "v0", Pending: "N"}, true)
	done(s.Lease(Lease{Runner: "me", Proof: ProofOf(rotationToken), Until: at.Add(time.Hour)}, at), nil)
	if err := s.CheckRotationToken(rotationToken, "N", at); err != nil {
		t.Error(err)
	}
	done(s.Put("N", []string{Pending}, at)) // createSecret
	check(Stages{Current: "v1", Previous: "v0", Pending: "N"}, true)
	done(s.MoveStage(Current, "v1", "N", at)) // finishSecret
	check(Stages{Current: "N", Previous: "v1", Pending: "N"}, true)
	ended := at
	done(s.Rotated("me", tomorrow, at))
	check(Stages{Current: "N", Previous: "v1"}, false)
	if r := s.Rotation; !r.Last.Equal(ended) || r.Next != tomorrow || !r.Enabled {
		t.Errorf("got %+v, want it rotated at %s and again in %+v", r, ended, tomorrow)
	}
	if got := s.Stages.Versions(); !slices.Equal(got, []string{"N", "v1"}) {
		t.Errorf("got labels on %v", got)
	}
}
