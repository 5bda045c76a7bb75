package api_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

func cancelInput(name string) *secretsmanager.CancelRotateSecretInput {
	return &secretsmanager.CancelRotateSecretInput{SecretId: aws.String(name)}
}

// Rotation is off, function and rules stay, and so do the labels.
func TestCancelRotateSecret(t *testing.T) {
	t.Parallel()
	pending := map[string]string{"v1": "AWSCURRENT", "N": "AWSPENDING"}
	for _, test := range []struct {
		name    string
		before  func(*testing.T, *localtest.Room, time.Time)
		version string
		stages  map[string]string
	}{
		{"begun", func(t *testing.T, room *localtest.Room, _ time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
		}, "N", pending},
		{"under way", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			lease(t, room, now, time.Hour)
			put(t, room, "s", "N", "new", "AWSPENDING")
		}, "N", pending},
		{"given up", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			giveUp(t, room, now)
		}, "N", pending},
		{"finished, and its runner has not said so", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			lease(t, room, now, time.Hour)
			put(t, room, "s", "N", "new", "AWSPENDING")
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSCURRENT", "v1", "N")))(t)
		}, "N", map[string]string{"v1": "AWSPREVIOUS", "N": "AWSCURRENT AWSPENDING"}},
		{"none under way", func(t *testing.T, room *localtest.Room, _ time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSPENDING", "N", "")))(t)
		}, "", map[string]string{"v1": "AWSCURRENT"}},
		{"a test", func(t *testing.T, room *localtest.Room, _ time.Time) {
			t.Helper()
			rotate(t, room, onlyTest(byFunction("s", "N")))
		}, "N", map[string]string{"v1": "AWSCURRENT"}},
		{"off already", func(t *testing.T, room *localtest.Room, _ time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			cancel(t, room, "s")
		}, "N", pending},
		{"off already, with AWSPENDING put by hand", func(t *testing.T, room *localtest.Room, _ time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			cancel(t, room, "s")
			put(t, room, "s", "hand", "new", "AWSPENDING")
		}, "hand", map[string]string{"v1": "AWSCURRENT", "hand": "AWSPENDING"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, warm := range []bool{true, false} {
				room := localtest.New(t)
				now := withClock(room, noonInNovember)
				arn := *create(t, room, "s", "v1", "one").ARN
				test.before(t, room, now.now)
				now.now = now.now.Add(time.Minute)
				if !warm {
					room = room.Another(t)
					room.Server.Now = now.Now
				}
				before := describe(t, room, "s")
				out := cancel(t, room, "s")
				version := ""
				if test.version != "" {
					version = token(test.version)
				}
				if *out.ARN != arn || *out.Name != "s" || aws.ToString(out.VersionId) != version {
					t.Errorf("got ARN %s, Name %s, VersionId %s; want %s, s, %s", *out.ARN, *out.Name, aws.ToString(out.VersionId), arn, version)
				}
				checkStages(t, room, "s", test.stages)
				got := describe(t, room.Another(t), "s")
				if *got.RotationEnabled || *got.RotationLambdaARN != rotationLambda || !reflect.DeepEqual(got.RotationRules, before.RotationRules) || got.NextRotationDate != nil {
					t.Errorf("got RotationEnabled %t, RotationLambdaARN %s, RotationRules %+v, NextRotationDate %v", *got.RotationEnabled, *got.RotationLambdaARN, got.RotationRules, got.NextRotationDate)
				}
				if finished := test.stages["N"] == "AWSCURRENT AWSPENDING"; (got.LastRotatedDate != nil) != finished {
					t.Errorf("got LastRotatedDate %v, want one: %t", got.LastRotatedDate, finished)
				}
				if changed := !strings.HasPrefix(test.name, "off already"); got.LastChangedDate.Equal(now.now) != changed {
					t.Errorf("got LastChangedDate %s, want it moved: %t", got.LastChangedDate, changed)
				}
				same := dump(t, room)
				if out := cancel(t, room, "s"); *out.ARN != arn || aws.ToString(out.VersionId) != version {
					t.Errorf("the second time: got ARN %s, VersionId %s, want %s, %s", *out.ARN, aws.ToString(out.VersionId), arn, version)
				}
				checkSame(t, same, dump(t, room))
			}
		})
	}
}

func TestCancelRotateSecretAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	rotate(t, room, byFunction("s", "N"))
	_, body := room.Post(t, "CancelRotateSecret", `{"SecretId":"s"}`)
	checkMembers(t, body, "ARN", "Name", "VersionId")
	_, body = room.Post(t, "CancelRotateSecret", `{"SecretId":"s"}`)
	checkMembers(t, body, "ARN", "Name", "VersionId")
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSPENDING", "N", "")))(t)
	_, body = room.Post(t, "CancelRotateSecret", `{"SecretId":"s"}`)
	checkMembers(t, body, "ARN", "Name")
}

func TestCancelRotateSecretRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	for _, name := range []string{"deleted", "rotating"} {
		create(t, room, name, "v1", "one")
	}
	rotate(t, room, byFunction("rotating", "N"))
	schedule(t, room, "deleted")
	schedule(t, room, "rotating")
	for id, want := range map[string]refusal{
		"s":        noFunction,
		"deleted":  marked,
		"rotating": marked,
		"unknown":  notFound,
		"a b":      invalidName,
		"":         violation("Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1"),
	} {
		for _, room := range []*localtest.Room{room, room.Another(t)} {
			refuses(t, room, want, func() (*secretsmanager.CancelRotateSecretOutput, error) {
				return room.SDK.CancelRotateSecret(t.Context(), cancelInput(id), once)
			})
		}
	}
	refusesPost(t, room, "CancelRotateSecret", `{}`, violation("Value null at 'secretId' failed to satisfy constraint: Member must not be null"))
	refusesPost(t, room, "CancelRotateSecret", `{"SecretId":["s"]}`, refusal{"SerializationException", "The value at 'secretId' is not a string."})
	// Taken back, the rotation is as it was.
	must(room.SDK.RestoreSecret(t.Context(), restoreInput("rotating")))(t)
	if out := cancel(t, room, "rotating"); aws.ToString(out.VersionId) != token("N") {
		t.Errorf("got VersionId %v, want N", out.VersionId)
	}
}

// A cancellation that the client's SDK repeats, as its answer was lost, answers with the
// version all the same: of each state that a rotation may be in.
func TestCancelRotateSecretRepeated(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*testing.T, *localtest.Room, time.Time){
		"begun": func(*testing.T, *localtest.Room, time.Time) {},
		"finished": func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			lease(t, room, now, time.Hour)
			put(t, room, "s", "N", "new", "AWSPENDING")
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSCURRENT", "v1", "N")))(t)
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSPENDING", "N", "")))(t)
		},
		"given up": func(t *testing.T, room *localtest.Room, now time.Time) { t.Helper(); giveUp(t, room, now) },
		"a test":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			now := withClock(room, noonInNovember)
			create(t, room, "s", "v1", "one")
			if before == nil {
				rotate(t, room, onlyTest(byFunction("s", "N")))
			} else {
				rotate(t, room, byFunction("s", "N"))
				before(t, room, now.now)
			}
			room.Wire.Break("TransactWriteItems", times(attempts, localtest.LoseAnswer)...)
			out := must(room.SDK.CancelRotateSecret(t.Context(), cancelInput("s")))(t)
			if aws.ToString(out.VersionId) != token("N") {
				t.Errorf("got VersionId %q, want N", aws.ToString(out.VersionId))
			}
		})
	}
}

// A cancellation whose answer was lost is made again, and answers with the version again.
func TestCancelRotateSecretFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		faults   []localtest.Fault
		want     refusal
		happened bool
	}{
		{"answer lost once", times(1, localtest.LoseAnswer), refusal{}, true},
		{"answer lost once, and the engine forgot", []localtest.Fault{localtest.LoseAnswer, forgotten}, refusal{}, true},
		{"answer lost", times(attempts, localtest.LoseAnswer), serverFault, true},
		{"cut", times(attempts, localtest.Cut), serverFault, false},
		{"throttled", times(attempts, localtest.Refuse(400, "ThrottlingException")), rateExceeded, false},
		{"conflict", []localtest.Fault{localtest.Cancel("TransactionConflict", "None")}, refusal{}, true},
	} {
		for _, asked := range []*secretsmanager.RotateSecretInput{byFunction("s", "N"), onlyTest(byFunction("s", "N"))} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				room := localtest.New(t)
				create(t, room, "s", "v1", "one")
				rotate(t, room, asked)
				before := dump(t, room)
				room.Wire.Break("TransactWriteItems", test.faults...)
				out, err := room.SDK.CancelRotateSecret(t.Context(), cancelInput("s"), once)
				switch {
				case test.want != (refusal{}):
					checkRefused(t, err, test.want)
				case err != nil || aws.ToString(out.VersionId) != token("N"):
					t.Errorf("got %+v, %v, want version N", out, err)
				}
				if !test.happened {
					checkSame(t, before, dump(t, room))
				}
				if again := cancel(t, room, "s"); aws.ToString(again.VersionId) != token("N") {
					t.Errorf("the second time: got VersionId %s, want %s", aws.ToString(again.VersionId), token("N"))
				}
				sec := must(room.Another(t).Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
				want := map[string]string{"v1": "AWSCURRENT", "N": "AWSPENDING"}
				if asked.RotateImmediately != nil {
					delete(want, "N")
				}
				checkStages(t, room, "s", want)
				if sec.Rotation.Enabled || sec.Versions != 1 {
					t.Errorf("got %+v and %d versions, want it off and one", sec.Rotation, sec.Versions)
				}
			})
		}
	}
}
