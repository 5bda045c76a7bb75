package secret

import (
	"errors"
	"fmt"
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
	s.Rotation = Rotation{Enabled: true, Lambda: function, Rules: nightly, Anchor: born, Last: born, Next: april}
	return s
}

// rotating is a secret whose version N is being made, as RotateSecret asked.
func rotating(state State) Secret {
	s := scheduled(Stages{Current: "v1", Pending: "N"})
	s.Rotation.State, s.Rotation.Asked = state, "N"
	return s
}

// made is the rotation from v1 to N, after some attempts.
func made(attempts int, failure string) Run {
	return Run{Version: "N", From: "v1", Attempts: attempts, Failure: failure}
}

// What becomes of a rotation. The version N has no value yet until it is tested.
func begun() Secret { return rotating(Waiting{made(0, ""), now}) }

func leased() Secret {
	return rotating(Leased{made(1, ""), "me", ProofOf(rotationToken), now.Add(time.Minute)})
}

func waiting() Secret { return rotating(Waiting{made(2, "why"), now.Add(time.Minute)}) }

func givenUp() Secret { return rotating(GivenUp{"N", "v1", "why"}) }

// finished is a rotation whose function has done all, and whose runner has not said so.
func finished() Secret {
	s := leased()
	s.Stages = Stages{Current: "N", Previous: "v1", Pending: "N"}
	return s
}

func underTest() Secret {
	return becomes(leased(), leaseIs(func(l *Leased) { l.Test = true }))
}

func cancelled() Secret {
	s := scheduled(Stages{Current: "v1", Pending: "N"})
	s.Rotation.Enabled, s.Rotation.Next, s.Rotation.Asked = false, Window{}, "N"
	s.Rotation.State = Cancelled{"N"}
	return s
}

// expired is s when its lease, or its wait, ends.
func expired(s Secret) Secret {
	switch r := s.Rotation.State.(type) {
	case Waiting:
		s.Rotation.State = Waiting{r.Run, now}
	case Leased:
		s.Rotation.State = Leased{r.Run, r.Runner, r.Proof, now}
	}
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
func stateIs(state State) step     { return func(s *Secret) { s.Rotation.State = state } }
func nextIs(w Window) step         { return func(s *Secret) { s.Rotation.Next = w } }
func enabledIs(enabled bool) step  { return func(s *Secret) { s.Rotation.Enabled = enabled } }
func changedNow(s *Secret)         { s.Changed = now }
func idle(s *Secret)               { s.Rotation.State = nil }
func rotatedNow(s *Secret)         { s.Rotation.Last = now }
func askedIs(token string) step    { return func(s *Secret) { s.Rotation.Asked = token } }
func callIs(call Call) step        { return func(s *Secret) { s.Rotation.InFlight = call } }
func withoutVersion(s *Secret)     { s.Versions--; s.Prunings++ }

// callOfMe is that of the runner of leased, when somebody else ended its rotation.
func callOfMe(s *Secret) { s.Rotation.InFlight = Call{"me", now.Add(time.Minute)} }

// leaseIs changes the lease of a secret that is leased.
func leaseIs(change func(*Leased)) step {
	return func(s *Secret) {
		l := s.Rotation.State.(Leased)
		change(&l)
		s.Rotation.State = l
	}
}

// fromCurrent says that the rotation began from the version that is current.
func fromCurrent(s *Secret) {
	switch r := s.Rotation.State.(type) {
	case Waiting:
		r.From = s.Stages[Current]
		s.Rotation.State = r
	case Leased:
		r.From = s.Stages[Current]
		s.Rotation.State = r
	}
}

func lastAttempt(l *Leased) { l.Attempts = MaxAttempts }

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
	leaseLost  = Error{"InvalidRequestException", "The rotation is not under way any more."}
	badRules   = Error{"InvalidParameterException", "bad rules"}
)

func inUse(token string) Error {
	return Error{"InvalidParameterException", "You can't use ClientRequestToken " + token + " because that value is already in use for a version of secret " + testARN + "."}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	placeholder := func(s Secret, steps ...step) Change {
		steps = append([]step{changedNow, askedIs("T"), stateIs(Waiting{Run{Version: "T"}, now}), nextIs(tomorrow)}, steps...)
		steps = append(steps, fromCurrent)
		return Change{Secret: becomes(s, steps...)}.With(RequireAbsent, "T")
	}
	copied := func(s Secret, steps ...step) Change {
		change := placeholder(s, append([]step{stateIs(Waiting{Run{Version: "T", Test: true}, now}), func(s *Secret) { s.Versions++ }}, steps...)...)
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
		{"the one before is finished, and its runner has not said so", finished(), Rotate{}, placeholder(finished(), rotatedNow, callOfMe, stagesAre(Stages{Current: "N", Previous: "v1", Pending: "T"})), nil},
		{"the one before is finished, and its runner's lease has ended", expired(finished()), Rotate{}, placeholder(finished(), rotatedNow, stagesAre(Stages{Current: "N", Previous: "v1", Pending: "T"})), nil},
		{"a call may be in flight", becomes(scheduled(Stages{Current: "v1"}), callOfMe), Rotate{}, placeholder(scheduled(nil), callOfMe, stagesAre(Stages{Current: "v1", Pending: "T"})), nil},
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
	again := Waiting{made(0, ""), now}
	nothing := func(s Secret) Change { return Change{Secret: s, Outcome: Unchanged} }
	byHand := scheduled(Stages{Current: "v1", Pending: "N"})
	ofTest := underTest().Rotation.Run()
	testCopy := becomes(underTest(), stateIs(Waiting{ofTest, now.Add(time.Minute)}))
	ofTest.Attempts = 0
	moved := becomes(testCopy, stagesAre(Stages{Current: "N", Previous: "v1", Pending: "v9"}))
	other := becomes(finished(), stagesAre(Stages{Current: "N", Pending: "v9"}), stateIs(Waiting{made(1, ""), now.Add(time.Minute)}))
	for _, tt := range []struct {
		name   string
		before Secret
		want   Change
	}{
		{"given up", givenUp(), Change{Secret: becomes(givenUp(), stateIs(again))}},
		{"waiting", waiting(), Change{Secret: becomes(waiting(), stateIs(again))}},
		{"AWSPENDING put by hand", byHand, Change{Secret: becomes(byHand, stateIs(again))}},
		{"a test that waits", testCopy, Change{Secret: becomes(testCopy, stateIs(Waiting{ofTest, now}))}},
		{"of another version than the one that was made", other, Change{Secret: becomes(other, rotatedNow, stateIs(Waiting{Run{Version: "v9", From: "N"}, now}))}},
		{"of another version than the copy of a test", moved, Change{Secret: becomes(moved, stateIs(Waiting{Run{Version: "v9", From: "N"}, now}))}},
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
	cancelledIs := func(s Secret) step {
		if s.Rotation.State == nil {
			return idle
		}
		return stateIs(Cancelled{"N"})
	}
	off := func(s Secret, steps ...step) Change {
		return Change{Secret: becomes(s, append([]step{changedNow, enabledIs(false), nextIs(Window{}), cancelledIs(s)}, steps...)...)}
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
		{"under way: its labels stay", leased(), off(leased(), callOfMe), nil},
		{"its runner died", expired(leased()), off(leased()), nil},
		{"begun", begun(), off(begun()), nil},
		{"waiting", waiting(), off(waiting()), nil},
		{"given up", givenUp(), off(givenUp()), nil},
		{"finished: it was rotated", finished(), off(finished(), rotatedNow, callOfMe), nil},
		{"a test: its copy goes", underTest(), discarding(off(underTest(), callOfMe, stagesAre(Stages{Current: "v1"}), withoutVersion)), nil},
		{"a test whose copy somebody has a label on", labelled, off(labelled, callOfMe, stagesAre(Stages{Current: "v1", "mine": "N"})), nil},
		{"a test whose copy became current", current, off(current, callOfMe, stagesAre(Stages{Current: "N", Previous: "v1"})), nil},
		{"a test whose copy became current, and AWSPENDING went on", unlabelled, off(unlabelled, callOfMe), nil},
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
		return Change{Secret: becomes(s, stateIs(Leased{made(attempts, failure), "you", "proof", lease.Until}))}
	}
	begins := func(s Secret, token string, steps ...step) Change {
		leased := stateIs(Leased{Run{Version: token, Attempts: 1}, "you", "proof", lease.Until})
		return Change{Secret: becomes(s, append(append([]step{nextIs(tomorrow), leased}, steps...), fromCurrent)...)}
	}
	open := func(s Secret) Secret { return becomes(s, nextIs(Window{now, now.Add(time.Hour)})) }
	died := func(s Secret) Secret { return becomes(expired(s), leaseIs(lastAttempt)) }
	testBegun := rotating(Waiting{Run{Version: "N", From: "v1", Test: true}, now})
	windowed := open(scheduled(Stages{Current: "v1"}))
	rolledBack := becomes(givenUp(), stagesAre(Stages{Current: "v0", Previous: "v1", Pending: "N"}))
	fromUnknown := rotating(GivenUp{"N", "", "why"})
	byHand := becomes(givenUp(), stagesAre(Stages{Current: "N", Previous: "v1", Pending: "N"}))
	ahead := func(s Secret, d time.Duration) Secret {
		return becomes(s, stateIs(Waiting{made(0, ""), now.Add(d)}))
	}
	withCall := func(change Change) Change {
		change.Secret.Rotation.InFlight = Call{"me", now}
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
		{"a test", testBegun, Change{Secret: becomes(taken(begun(), 1, "").Secret, leaseIs(func(l *Leased) { l.Test = true }))}},
		{"one whose version is current", expired(finished()), taken(finished(), 2, "")},
		{"one that a runner has", leased(), nothing(leased())},
		{"one that waits", waiting(), nothing(waiting())},
		{"one that waits, and the window is open", open(waiting()), nothing(open(waiting()))},
		{"runner died at the last attempt", died(leased()), Change{Secret: becomes(leased(), stateIs(GivenUp{"N", "v1", RunnerDied}))}},
		{"runner died at the last attempt of a test", died(underTest()), Change{Secret: becomes(underTest(), stagesAre(Stages{Current: "v1"}), idle, withoutVersion)}.With(Discard, "N")},
		{"runner died at the last attempt, and the version is current", died(finished()), Change{Secret: becomes(finished(), changedNow, idle, rotatedNow, nextIs(tomorrow), stagesAre(Stages{Current: "N", Previous: "v1"}))}},
		{"one that was begun a moment ahead", ahead(begun(), Skew), taken(begun(), 1, "")},
		{"one that was begun too far ahead", ahead(begun(), Skew+1), nothing(ahead(begun(), Skew+1))},
		{"a call may be in flight", becomes(begun(), callOfMe), nothing(becomes(begun(), callOfMe))},
		{"a call may have been in flight until now", becomes(begun(), callIs(Call{"me", now})), withCall(taken(begun(), 1, ""))},

		{"the window opens", windowed, begins(windowed, "T", stagesAre(Stages{Current: "v1", Pending: "T"}))},
		{"the window is not open yet", scheduled(Stages{Current: "v1"}), nothing(scheduled(Stages{Current: "v1"}))},
		{"no windows", becomes(windowed, nextIs(Window{})), nothing(becomes(windowed, nextIs(Window{})))},
		{"the window opens on one that was given up", open(givenUp()), begins(givenUp(), "N")},
		{"given up, and the window is not open yet", givenUp(), nothing(givenUp())},
		{"given up, and AWSCURRENT moved since", open(rolledBack), begins(rolledBack, "T", stagesAre(Stages{Current: "v0", Previous: "v1", Pending: "T"}))},
		{"given up before it was stored what it began from", open(fromUnknown), begins(fromUnknown, "T", stagesAre(Stages{Current: "v1", Pending: "T"}))},
		{"given up, and made current by hand", open(byHand), begins(byHand, "T", stagesAre(Stages{Current: "N", Previous: "v1", Pending: "T"}))},
		{"given up before the first value", open(becomes(rotating(GivenUp{"N", "", "why"}), stagesAre(Stages{Pending: "N"}))), begins(scheduled(nil), "N", stagesAre(Stages{Pending: "N"}), askedIs("N"))},
		{"the window opens on AWSPENDING put by hand", open(scheduled(Stages{Current: "v1", Pending: "v2"})), begins(windowed, "T", stagesAre(Stages{Current: "v1", Pending: "T"}))},
		{"the window opens on AWSPENDING of the current version", open(scheduled(Stages{Current: "v1", Pending: "v1"})), begins(windowed, "T", stagesAre(Stages{Current: "v1", Pending: "T"}))},
		{"the window opens before the first value", open(scheduled(nil)), begins(windowed, "T", stagesAre(Stages{Pending: "T"}))},
		{"the window opens, and there is no room for a label", brimful, Change{Secret: becomes(brimful, nextIs(tomorrow))}},
		{"the window opens, and there will be no room for AWSPREVIOUS", unprevious, Change{Secret: becomes(unprevious, nextIs(tomorrow))}},
		{"the window opens, and a call may be in flight", becomes(windowed, callOfMe), nothing(becomes(windowed, callOfMe))},
		{"the window opens in a moment", becomes(windowed, nextIs(Window{now.Add(1), now.Add(time.Hour)})), nothing(becomes(windowed, nextIs(Window{now.Add(1), now.Add(time.Hour)})))},
		{"the window opens, with more labels than may be, and none is added", overfull, begins(overfull, "T", stagesAre(and(full(MaxLabels+1), Pending, "T")))},
		{"turned off", cancelled(), nothing(cancelled())},
		{"never configured", having(Stages{Current: "v1"}), nothing(having(Stages{Current: "v1"}))},
		{"deleted", deleted(windowed), nothing(deleted(windowed))},
		{"deleted while it was begun", deleted(begun()), nothing(deleted(begun()))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			checkChange(t, tt.before, before, tt.before.Lease(lease, now), nil, tt.want, nil)
		})
	}
}

func TestMissedWindow(t *testing.T) {
	t.Parallel()
	windowed := func(s Secret, opens, closes time.Duration) Secret {
		return becomes(s, nextIs(Window{now.Add(opens), now.Add(closes)}))
	}
	none := scheduled(Stages{Current: "v1"})
	for _, tt := range []struct {
		name   string
		before Secret
		want   bool
	}{
		{"the window closed", windowed(none, -2, -1), true},
		{"the window closes", windowed(none, -1, 0), true},
		{"the window is open", windowed(none, -1, 1), false},
		{"the window opens", windowed(none, 0, 1), false},
		{"the window is to come", windowed(none, 1, 2), false},
		{"no window", becomes(none, nextIs(Window{})), false},
		{"one is under way", windowed(expired(leased()), -2, -1), false},
		{"one was given up", windowed(givenUp(), -2, -1), true},
	} {
		if got := tt.before.MissedWindow(now); got != tt.want {
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

func TestLeaseOf(t *testing.T) {
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
		{"another runner's", leased(), "you", leaseLost},
		{"nobody's", waiting(), "me", leaseLost},
		{"nobody's, and nobody asks", waiting(), "", leaseLost},
		{"given up, and nobody asks", givenUp(), "", leaseLost},
		{"cancelled", cancelled(), "me", leaseLost},
		{"never configured, and nobody asks", having(nil), "", leaseLost},
		{"deleted", deleted(leased()), "me", leaseLost},
	} {
		got, err := tt.before.LeaseOf(tt.runner)
		want, _ := tt.before.Rotation.State.(Leased)
		if tt.err != nil {
			want = Leased{}
		}
		if !errors.Is(err, tt.err) || got != want {
			t.Errorf("%s: got %+v, %v, want %+v, %v", tt.name, got, err, want, tt.err)
		}
	}
}

func TestRotated(t *testing.T) {
	t.Parallel()
	notCurrent := Error{"InvalidRequestException", "The rotation function did not move AWSCURRENT to the new version."}
	ended := []step{changedNow, idle}
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
		{"another runner's", finished(), "you", Change{}, leaseLost},
		{"another runner's test", underTest(), "you", Change{}, leaseLost},
		{"nobody's", becomes(waiting(), stagesAre(Stages{Current: "N"})), "", Change{}, leaseLost},
		{"cancelled", cancelled(), "me", Change{}, leaseLost},
		{"deleted", deleted(finished()), "me", Change{}, leaseLost},
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
	last := func(s Secret) Secret { return becomes(s, leaseIs(lastAttempt)) }
	lastButOne := becomes(leased(), leaseIs(func(l *Leased) { l.Attempts = MaxAttempts - 1 }))
	again := func(s Secret, attempts int) Change {
		run := made(attempts, "broken")
		run.Test = s.Rotation.Run().Test
		return Change{Secret: becomes(s, stateIs(Waiting{run, now.Add(retry)}))}
	}
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
		{"last attempt", last(leased()), "me", Change{Secret: becomes(leased(), stateIs(GivenUp{"N", "v1", "broken"}))}, nil},
		{"last attempt, and the version is current", last(finished()), "me", Change{Secret: becomes(finished(), stateIs(GivenUp{"N", "v1", "broken"}))}, nil},
		{"first attempt, and the version is current", finished(), "me", again(finished(), 1), nil},
		{"a test", underTest(), "me", again(underTest(), 1), nil},
		{"a test, last attempt", last(underTest()), "me", Change{Secret: becomes(underTest(), stagesAre(Stages{Current: "v1"}), idle, withoutVersion)}.With(Discard, "N"), nil},
		{"another runner's", leased(), "you", Change{}, leaseLost},
		{"nobody's", waiting(), "", Change{}, leaseLost},
		{"cancelled", cancelled(), "me", Change{}, leaseLost},
		{"deleted", deleted(leased()), "me", Change{}, leaseLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			got, err := tt.before.Failed(tt.runner, "broken", retry, now)
			checkChange(t, tt.before, before, got, err, tt.want, tt.err)
		})
	}
}

// A rotation is tried as often as it may be, whichever runner fails at it and however.
func TestAttempts(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		s, at, begun := begun(), now, 0
		for {
			change := s.Lease(Lease{Runner: "me", Proof: "proof", Until: at.Add(time.Minute)}, at)
			if change.IsUnchanged() {
				break
			}
			s = change.Secret
			if _, ok := s.Rotation.State.(Leased); ok {
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
		if begun != MaxAttempts || s.Rotation.underWay() || s.Stages[Pending] != "N" {
			t.Errorf("dies %t: got %d attempts and %+v with %v, want %d and a rotation that was given up", dies, begun, s.Rotation.State, s.Stages, MaxAttempts)
		}
	}
}

func TestRotationTokens(t *testing.T) {
	t.Parallel()
	foreign := strings.Repeat("a", len(rotationToken))
	proofIs := func(proof string) Secret { return becomes(leased(), leaseIs(func(l *Leased) { l.Proof = proof })) }
	until := func(d time.Duration) Secret {
		return becomes(leased(), leaseIs(func(l *Leased) { l.Until = now.Add(d) }))
	}
	stale, unproved, provedByNone := proofIs(ProofOf(foreign)), proofIs(""), proofIs(ProofOf(""))
	for _, tt := range []struct {
		name           string
		secret         Secret
		token, version string
		rotating       bool
	}{
		{"right", leased(), rotationToken, "N", true},
		{"right, after finishSecret", finished(), rotationToken, "N", true},
		{"right, of a test", underTest(), rotationToken, "N", true},
		{"wrong", leased(), foreign, "N", false},
		{"too long", leased(), rotationToken + "a", "N", false},
		{"none", leased(), "", "N", false},
		{"the proof itself", leased(), ProofOf(rotationToken), "N", false},
		{"none where there is no proof", unproved, "", "N", false},
		{"none where that is the proof", provedByNone, "", "N", false},
		{"wrong where there is no proof", unproved, foreign, "N", false},
		{"for another version", leased(), rotationToken, "v1", false},
		{"for no version", leased(), rotationToken, "", false},
		{"of the runner before", stale, rotationToken, "N", false},
		{"in the last moment", until(1), rotationToken, "N", true},
		{"when the lease ends", expired(leased()), rotationToken, "N", false},
		{"when the lease has ended", until(-1), rotationToken, "N", false},
		{"begun", begun(), rotationToken, "N", false},
		{"waiting", waiting(), rotationToken, "N", false},
		{"given up", givenUp(), rotationToken, "N", false},
		{"cancelled", cancelled(), rotationToken, "N", false},
		{"scheduled", scheduled(Stages{Current: "v1"}), rotationToken, "T", false},
		{"never configured", having(Stages{Current: "v1"}), foreign, "T", false},
		{"never configured, and none", having(nil), "", "", false},
	} {
		if got := tt.secret.IsRotating(tt.token, tt.version, now); got != tt.rotating {
			t.Errorf("%s: got rotating %t, want %t", tt.name, got, tt.rotating)
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
func TestRestage(t *testing.T) {
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
	labelled := becomes(underTest(), stagesAre(Stages{Current: "v1", Pending: "N", "mine": "N"}))
	testCurrent := becomes(underTest(), stagesAre(Stages{Current: "N", Previous: "v1"}))
	for _, tt := range []struct {
		name   string
		before Secret
		do     func(Secret) (Change, error)
		want   string
		// abandoned rotations have an event of their own; of an abandoned test the copy
		// is discarded.
		abandoned, discards bool
	}{
		{"its version gets a value", leased(), put("N", Pending), kept, false, false},
		{"its version becomes current", leased(), put("N"), kept, false, false},
		{"its version gets its value before all others", becomes(leased(), stagesAre(Stages{Pending: "N"})), put("N", Pending), kept, false, false},
		{"AWSCURRENT moves to its version", leased(), move(Current, "v1", "N"), kept, false, false},
		{"AWSCURRENT moves back, AWSPENDING stays", finished(), move(Current, "N", "v1"), kept, false, false},
		{"AWSPENDING comes off the version that is current", finished(), move(Pending, "N", ""), kept, false, false},
		{"AWSPENDING goes from the version that is current to another", finished(), move(Pending, "N", "v1"), kept, false, false},
		{"another version with a label of its own", leased(), put("v2", "mine"), kept, false, false},
		{"AWSPREVIOUS by name", leased(), put("v2", Previous), kept, false, false},
		{"a label of its own moves", becomes(leased(), stagesAre(Stages{Current: "v1", Pending: "N", "mine": "v1"})), move("mine", "v1", "N"), kept, false, false},

		{"another version becomes current", leased(), put("v2"), over, true, false},
		{"another version becomes current by name", leased(), put("v2", Current, "mine"), over, true, false},
		{"another version becomes current by update", leased(), update("v2"), over, true, false},
		{"another version becomes current with AWSPENDING", leased(), put("v2", Current, Pending), over, true, false},
		{"another version becomes current when its runner died", expired(leased()), put("v2"), over, true, false},
		{"another version becomes current, before it is run", begun(), put("v2"), over, true, false},
		{"another version becomes current while it waits", waiting(), put("v2"), over, true, false},
		{"another version gets AWSPENDING", leased(), put("v2", Pending), over, true, false},
		{"AWSPENDING is taken off", leased(), move(Pending, "N", ""), over, true, false},
		{"AWSPENDING is taken off a version with a label of its own", becomes(leased(), stagesAre(Stages{Current: "v1", Pending: "N", "mine": "N"})), move(Pending, "N", ""), over, true, false},
		{"AWSPENDING moves to another", leased(), move(Pending, "N", "v1"), over, true, false},
		{"given up, and another version becomes current", givenUp(), put("v2"), over, false, false},
		{"given up, and AWSPENDING is taken off", givenUp(), move(Pending, "N", ""), over, false, false},
		{"given up, made current by hand, and another becomes current", byHand, put("v2"), over, false, false},
		{"a test, and another version becomes current", underTest(), put("v2"), over, false, true},
		{"a test, and AWSPENDING is taken off", underTest(), move(Pending, "N", ""), over, false, true},
		{"a test, and AWSPENDING moves to another", underTest(), move(Pending, "N", "v1"), over, false, true},
		{"a test, and another version becomes current by update", underTest(), update("v2"), over, false, true},
		{"a test whose runner died, and another version becomes current", expired(underTest()), put("v2"), over, false, true},
		{"a test whose copy has another label, and another version becomes current", labelled, put("v2"), over, false, false},
		{"a test whose copy gets a label of its own", underTest(), move("mine", "", "N"), kept, false, false},
		{"cancelled, and AWSPENDING is taken off", cancelled(), move(Pending, "N", ""), over, false, false},
		{"cancelled, and a label of its own", cancelled(), put("v2", "mine"), kept, false, false},
		{"a test whose copy was current, and another becomes it", testCurrent, put("v2"), over, false, false},

		{"another version becomes current after finishSecret", finished(), put("v2"), rotated, false, false},
		{"another version becomes current after finishSecret took AWSPENDING off", afterwards, put("v2"), rotated, false, false},
		{"AWSCURRENT moves back after finishSecret took AWSPENDING off", afterwards, move(Current, "N", "v1"), rotated, false, false},
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
				want.State = nil
			}
			if tt.want == rotated {
				want.Last = now
			}
			if _, held := before.Rotation.lease(now); tt.want != kept && held {
				want.InFlight = Call{"me", now.Add(time.Minute)}
			}
			want.Next = got.Next // a put counts as a rotation
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if got := change.Secret.Abandoned(before); got != tt.abandoned {
				t.Errorf("got abandoned %t, want %t", got, tt.abandoned)
			}
			if got := len(change.IDs(Discard)) > 0; got != tt.discards {
				t.Errorf("got a copy discarded %t, want %t", got, tt.discards)
			}
		})
	}
}

// What abandons a rotation, apart from puts and moves of labels.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	done := func(change Change, err error) Secret {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return change.Secret
	}
	rotate := Rotate{Token: "T", Next: func(RotationRules, time.Time) (Window, error) { return april, nil }}
	last := becomes(leased(), leaseIs(lastAttempt))
	lease := Lease{Runner: "you", Until: now.Add(time.Hour), Token: "T"}
	open := becomes(givenUp(), nextIs(Window{now, now.Add(time.Hour)}))
	for _, tt := range []struct {
		name          string
		before, after Secret
		want          bool
	}{
		{"cancelled", leased(), done(leased().CancelRotation(now)), false},
		{"cancelled before it was run", begun(), done(begun().CancelRotation(now)), false},
		{"cancelled when it was finished", finished(), done(finished().CancelRotation(now)), false},
		{"cancelled when it was given up", givenUp(), done(givenUp().CancelRotation(now)), false},
		{"a test cancelled", underTest(), done(underTest().CancelRotation(now)), false},
		{"turned off", scheduled(nil), done(scheduled(nil).CancelRotation(now)), false},
		{"went well", finished(), done(finished().Rotated("me", april, now)), false},
		{"a test went well", underTest(), done(underTest().Rotated("me", april, now)), false},
		{"failed", leased(), done(leased().Failed("me", "why", time.Minute, now)), false},
		{"failed for the last time", last, done(last.Failed("me", "why", time.Minute, now)), false},
		{"the next begins after it was finished", finished(), done(finished().Rotate(rotate, now)), false},
		{"tried again", waiting(), waiting().Reattempt(now).Secret, false},
		{"leased", begun(), begun().Lease(lease, now).Secret, false},
		{"begun anew after it was given up", open, open.Lease(lease, now).Secret, false},
		{"begun", scheduled(Stages{Current: "v1"}), begun(), false},
	} {
		if got := tt.after.Abandoned(tt.before); got != tt.want {
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
	monthly := becomes(scheduled(Stages{Current: "v1"}), func(s *Secret) { s.Rotation.Rules = monthly })
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

// Windows in days are not all begun at midnight: each secret has a place of its own in
// the first half of them. A window whose hour somebody chose is begun when it opens.
func TestStart(t *testing.T) {
	t.Parallel()
	const n, parts = 10_000, 24
	for _, tt := range []struct {
		rules   RotationRules
		open    time.Duration
		spreads bool
	}{
		{monthly, 24 * time.Hour, true},
		{RotationRules{AutomaticallyAfterDays: 1, Duration: "1h"}, time.Hour, true},
		{RotationRules{ScheduleExpression: "rate(1 day)"}, 24 * time.Hour, true},
		{RotationRules{ScheduleExpression: "rate(10 days)", Duration: "3h"}, 3 * time.Hour, true},
		{RotationRules{ScheduleExpression: "rate(12 hours)"}, time.Hour, false},
		{RotationRules{ScheduleExpression: "cron(0 2 * * ? *)"}, 22 * time.Hour, false},
		{RotationRules{ScheduleExpression: "cron(0 2 ? * TUE *)", Duration: "2h"}, 2 * time.Hour, false},
	} {
		window := Window{april.Opens, april.Opens.Add(tt.open)}
		var counts [parts]int
		for i := range n {
			s := becomes(scheduled(nil), nextIs(window), func(s *Secret) {
				s.Rotation.Rules, s.ARN = tt.rules, fmt.Sprintf("arn:aws:secretsmanager:eu-central-1:123456789012:secret:s%d-AbCdEf", i)
			})
			due := s.RotationDue()
			if s.IsRotationDue(due.Add(-time.Millisecond)) || !s.IsRotationDue(due) {
				t.Fatalf("%+v: got it not due at %s exactly", tt.rules, due)
			}
			part := due.Sub(window.Opens) * 2 * parts / tt.open
			if part < 0 || part >= parts || !tt.spreads && !due.Equal(window.Opens) {
				t.Fatalf("%+v: got a start at %s in %+v", tt.rules, due, window)
			}
			if s.Rotation.Next = (Window{window.Opens.AddDate(0, 0, 1), window.Closes.AddDate(0, 0, 1)}); !s.RotationDue().Equal(due.AddDate(0, 0, 1)) {
				t.Fatalf("%+v: got %s and the day after %s, want the same place", tt.rules, due, s.RotationDue())
			}
			counts[part]++
		}
		for part, got := range counts {
			if tt.spreads && (got < n/parts/2 || got > n/parts*2) {
				t.Errorf("%+v: got %d of %d starts in part %d of %d", tt.rules, got, n, part, parts)
			}
		}
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
		{"begun, and a call may be in flight", becomes(begun(), callOfMe), later},
		{"begun, and a call may have been in flight until then", becomes(begun(), callIs(Call{"me", now})), now},
		{"begun, and a call was in flight before", becomes(begun(), callIs(Call{"me", now.Add(-1)})), now},
		{"a window opens while a call may be in flight", becomes(scheduled(nil), callOfMe, nextIs(Window{now, later})), later},
		{"a window opens when no call is in flight any more", becomes(scheduled(nil), callOfMe), april.Opens},
		{"no schedule, and a call may be in flight", becomes(scheduled(nil), callOfMe, nextIs(Window{})), time.Time{}},
		{"turned off, and a call may be in flight", becomes(cancelled(), callOfMe), time.Time{}},
		{"deleted", deleted(scheduled(nil)), time.Time{}},
		{"deleted, and a call may be in flight", deleted(becomes(begun(), callOfMe)), time.Time{}},
		{"deleted while under way", deleted(leased()), time.Time{}},
	} {
		if got := tt.secret.RotationDue(); !got.Equal(tt.want) {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// What was asked for is due to a clock that is behind; the end of a lease or of a call, and
// the start in a window, are exact.
func TestIsRotationDue(t *testing.T) {
	t.Parallel()
	due := now
	opening := becomes(scheduled(nil), nextIs(Window{due, due.Add(time.Hour)}))
	for _, tt := range []struct {
		name   string
		secret Secret
		from   time.Duration // how much before it is due it is due already
	}{
		{"begun", begun(), Skew},
		{"waiting", expired(waiting()), Skew},
		{"a runner has it", expired(leased()), 0},
		{"a runner tests", expired(underTest()), 0},
		{"a window opens", opening, 0},
		{"given up, and a window opens", becomes(givenUp(), nextIs(opening.Rotation.Next)), 0},
		{"begun, and a call may be in flight", becomes(begun(), stateIs(Waiting{made(0, ""), due.Add(-time.Minute)}), callIs(Call{"me", due})), 0},
		{"a window opens while a call may be in flight", becomes(opening, func(s *Secret) { s.Rotation.Next.Opens = due.Add(-time.Minute) }, callIs(Call{"me", due})), 0},
		{"begun, and a call was in flight once", becomes(begun(), callIs(Call{"me", due.Add(-time.Hour)})), Skew},
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

// A runner says that its call has ended; for another, nothing changes.
func TestCallEnded(t *testing.T) {
	t.Parallel()
	calling := becomes(begun(), callOfMe)
	nothing := func(s Secret) Change { return Change{Secret: s, Outcome: Unchanged} }
	for _, tt := range []struct {
		name   string
		before Secret
		runner string
		want   Change
	}{
		{"its call was in flight", calling, "me", Change{Secret: begun()}},
		{"it was, and the secret is deleted", deleted(calling), "me", Change{Secret: deleted(begun())}},
		{"that of another is", calling, "you", nothing(calling)},
		{"nobody is", begun(), "me", nothing(begun())},
		{"it has the lease", leased(), "me", nothing(leased())},
	} {
		before := clone(tt.before)
		checkChange(t, tt.before, before, tt.before.CallEnded(tt.runner), nil, tt.want, nil)
	}
}

// A runner that is shut down returns its attempt, and the lease stays until it expires.
func TestReturnAttempt(t *testing.T) {
	t.Parallel()
	returned := func(s Secret) Change {
		return Change{Secret: becomes(s, leaseIs(func(l *Leased) { l.Attempts-- }))}
	}
	last := becomes(leased(), leaseIs(lastAttempt))
	for _, tt := range []struct {
		name   string
		before Secret
		runner string
		want   Change
		err    error
	}{
		{"the first attempt", leased(), "me", returned(leased()), nil},
		{"the last attempt", last, "me", returned(last), nil},
		{"after its time", expired(leased()), "me", returned(expired(leased())), nil},
		{"a test", underTest(), "me", returned(underTest()), nil},
		{"finished", finished(), "me", returned(finished()), nil},
		{"another runner's", leased(), "you", Change{}, leaseLost},
		{"nobody's", waiting(), "", Change{}, leaseLost},
		{"ended by somebody else", becomes(begun(), callOfMe), "me", Change{}, leaseLost},
		{"cancelled", cancelled(), "me", Change{}, leaseLost},
		{"deleted", deleted(leased()), "me", Change{}, leaseLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := clone(tt.before)
			got, err := tt.before.ReturnAttempt(tt.runner)
			checkChange(t, tt.before, before, got, err, tt.want, tt.err)
		})
	}
}

// The next rotation waits for the call of one that was abandoned, and no
// longer than that: until the runner says that it has ended, or its lease expires.
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
		until := now.Add(time.Minute)
		leasedTo := func(c Change) bool { _, err := c.Secret.LeaseOf("you"); return err == nil }
		if got := s.Lease(lease, until.Add(-1)); !got.IsUnchanged() {
			t.Errorf("%s: got %+v while the call may be in flight", name, got.Secret.Rotation.State)
		}
		if got := s.Lease(lease, until); !leasedTo(got) {
			t.Errorf("%s: got %+v when the lease has ended, want it leased", name, got.Secret.Rotation.State)
		}
		if got := s.CallEnded("me").Secret.Lease(lease, now); !leasedTo(got) {
			t.Errorf("%s: got %+v when the call has ended, want it leased", name, got.Secret.Rotation.State)
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
	for _, s := range []Secret{scheduled(nil), leased(), waiting(), givenUp(), cancelled()} {
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
		if !maps.Equal(s.Stages, want) || s.Rotation.underWay() != under {
			t.Errorf("got %v, under way %t; want %v, %t", s.Stages, s.Rotation.underWay(), want, under)
		}
	}
	done(s.Rotate(Rotate{Token: "N", Next: func(RotationRules, time.Time) (Window, error) { return april, nil }}, at))
	check(Stages{Current: "v1", Previous: "v0", Pending: "N"}, true)
	done(s.Lease(Lease{Runner: "me", Proof: ProofOf(rotationToken), Until: at.Add(time.Hour)}, at), nil)
	if !s.IsRotating(rotationToken, "N", at) {
		t.Error("got not rotating by the token of the lease")
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
