package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

func stageInput(name, label, from, to string) *secretsmanager.UpdateSecretVersionStageInput {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: aws.String(name), VersionStage: aws.String(label)}
	if from != "" {
		in.RemoveFromVersionId = aws.String(token(from))
	}
	if to != "" {
		in.MoveToVersionId = aws.String(token(to))
	}
	return in
}

// fourVersions makes a secret with AWSPREVIOUS on v1, AWSCURRENT on v2, mine and
// AWSPENDING on v3, and the deprecated v0.
func fourVersions(t testing.TB, room *localtest.Room, name string) {
	t.Helper()
	create(t, room, name, "v0", "v0")
	put(t, room, name, "v1", "v1")
	put(t, room, name, "v2", "v2")
	put(t, room, name, "v3", "v3", "mine", "AWSPENDING")
}

func TestUpdateSecretVersionStageMoves(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for i, test := range []struct {
		name            string
		label, from, to string
		want            map[string]string
	}{
		{"AWSCURRENT to another version, which keeps AWSPENDING", "AWSCURRENT", "v2", "v3", map[string]string{"v0": "", "v1": "", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT AWSPENDING mine"}},
		{"AWSCURRENT back: the two swap", "AWSCURRENT", "v2", "v1", map[string]string{"v0": "", "v1": "AWSCURRENT", "v2": "AWSPREVIOUS", "v3": "AWSPENDING mine"}},
		{"AWSCURRENT to a deprecated version", "AWSCURRENT", "v2", "v0", map[string]string{"v0": "AWSCURRENT", "v1": "", "v2": "AWSPREVIOUS", "v3": "AWSPENDING mine"}},
		{"AWSCURRENT to where it is", "AWSCURRENT", "v2", "v2", map[string]string{"v0": "", "v1": "AWSPREVIOUS", "v2": "AWSCURRENT", "v3": "AWSPENDING mine"}},
		{"AWSPREVIOUS taken off", "AWSPREVIOUS", "v1", "", map[string]string{"v0": "", "v1": "", "v2": "AWSCURRENT", "v3": "AWSPENDING mine"}},
		{"AWSPENDING taken off", "AWSPENDING", "v3", "", map[string]string{"v0": "", "v1": "AWSPREVIOUS", "v2": "AWSCURRENT", "v3": "mine"}},
		{"custom label that is on no version", "new", "", "v2", map[string]string{"v0": "", "v1": "AWSPREVIOUS", "v2": "AWSCURRENT new", "v3": "AWSPENDING mine"}},
		{"custom label to another version", "mine", "v3", "v2", map[string]string{"v0": "", "v1": "AWSPREVIOUS", "v2": "AWSCURRENT mine", "v3": "AWSPENDING"}},
		{"custom label to where it is", "mine", "", "v3", map[string]string{"v0": "", "v1": "AWSPREVIOUS", "v2": "AWSCURRENT", "v3": "AWSPENDING mine"}},
		{"custom label taken off", "mine", "v3", "", map[string]string{"v0": "", "v1": "AWSPREVIOUS", "v2": "AWSCURRENT", "v3": "AWSPENDING"}},
		{"user label that begins with AWS", "AWSSOMETHING", "", "v0", map[string]string{"v0": "AWSSOMETHING", "v1": "AWSPREVIOUS", "v2": "AWSCURRENT", "v3": "AWSPENDING mine"}},
	} {
		for j, warm := range []bool{true, false} {
			t.Run(fmt.Sprint(test.name, ", warm ", warm), func(t *testing.T) {
				name := fmt.Sprint("s", i, "-", j)
				fourVersions(t, room, name)
				caller := room
				if !warm {
					caller = room.Another(t)
				}
				out := must(caller.SDK.UpdateSecretVersionStage(t.Context(), stageInput(name, test.label, test.from, test.to)))(t)
				if *out.Name != name || *out.ARN != *describe(t, room, name).ARN {
					t.Errorf("got ARN %s, Name %s", *out.ARN, *out.Name)
				}
				checkStages(t, room, name, test.want)
			})
		}
	}
	_, body := room.Post(t, "UpdateSecretVersionStage", `{"SecretId":"s0-0","VersionStage":"x","MoveToVersionId":"`+token("v1")+`"}`)
	checkMembers(t, body, "ARN", "Name")
}

// A secret without AWSCURRENT, as a failed first rotation may leave one: there is
// nobody to take the label from.
func TestUpdateSecretVersionStageFirstCurrent(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	_, err := room.Store.Update(t.Context(), secret.ID{Name: "s"}, func(sec secret.Secret) (secret.Change, error) {
		sec.Stages = sec.Stages.Detach(secret.Current).Attach(secret.Pending, token("p"))
		return secret.Change{Secret: sec}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The version of the rotation has no value.
	refuses(t, room, noVersion("p"), func() (*secretsmanager.UpdateSecretVersionStageOutput, error) {
		return room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSCURRENT", "", "p"))
	})
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSCURRENT", "", "v1")))(t)
	checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT", "p": "AWSPENDING"})
}

func TestUpdateSecretVersionStageRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	fourVersions(t, room, "s")
	createEmpty(t, room, "empty")
	create(t, room, "deleted", "v1", "one")
	schedule(t, room, "deleted")
	cantBeEmpty := func(label, holder string) refusal {
		return refusal{"InvalidParameterException", "The parameter RemoveFromVersionId can't be empty. Staging label " + label + " is currently attached to version " + token(holder) + ", so you must explicitly reference that version in RemoveFromVersionId."}
	}
	mustHold := func(label string) refusal {
		return refusal{"InvalidParameterException", "When you move staging label " + label + ", if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label " + label + "."}
	}
	withIDs := func(from, to string) *secretsmanager.UpdateSecretVersionStageInput {
		return &secretsmanager.UpdateSecretVersionStageInput{SecretId: aws.String("s"), VersionStage: aws.String("x"), RemoveFromVersionId: aws.String(from), MoveToVersionId: aws.String(to)}
	}
	long := strings.Repeat("x", 257)
	for _, test := range []struct {
		name string
		in   *secretsmanager.UpdateSecretVersionStageInput
		want refusal
	}{
		{"AWSCURRENT, no RemoveFrom", stageInput("s", "AWSCURRENT", "", "v1"), cantBeEmpty("AWSCURRENT", "v2")},
		{"AWSCURRENT, no RemoveFrom, version unknown", stageInput("s", "AWSCURRENT", "", "v9"), cantBeEmpty("AWSCURRENT", "v2")},
		{"custom, no RemoveFrom", stageInput("s", "mine", "", "v1"), cantBeEmpty("mine", "v3")},
		{"AWSCURRENT, RemoveFrom has it not", stageInput("s", "AWSCURRENT", "v1", "v3"), mustHold("AWSCURRENT")},
		{"AWSCURRENT, RemoveFrom unknown", stageInput("s", "AWSCURRENT", "v9", "v3"), mustHold("AWSCURRENT")},
		{"custom, RemoveFrom has it not", stageInput("s", "mine", "v2", "v1"), mustHold("mine")},
		{"custom on no version, RemoveFrom", stageInput("s", "new", "v2", ""), mustHold("new")},
		{"AWSCURRENT taken off", stageInput("s", "AWSCURRENT", "v2", ""), refusal{"InvalidParameterException", "You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed."}},
		{"neither", stageInput("s", "mine", "", ""), refusal{"InvalidParameterException", "You must specify either RemoveFromVersionId or MoveToVersionId."}},
		{"version unknown", stageInput("s", "new", "", "v9"), noVersion("v9")},
		{"AWSCURRENT to an unknown version", stageInput("s", "AWSCURRENT", "v2", "v9"), noVersion("v9")},
		{"secret unknown", stageInput("unknown", "new", "", "v1"), notFound},
		{"secret without versions", stageInput("empty", "new", "", "v1"), noVersion("v1")},
		{"scheduled for deletion", stageInput("deleted", "new", "", "v1"), marked},
		{"bad name", stageInput("a b", "new", "", "v1"), invalidName},
		{"label of 257 characters", stageInput("s", long, "", "v1"), violation("Value '" + long + "' at 'versionStage' failed to satisfy constraint: Member must have length less than or equal to 256")},
		{"empty label", stageInput("s", "", "", "v1"), violation("Value '' at 'versionStage' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"version IDs of 31 and 65 characters", withIDs(long[:31], long[:65]), refusal{"ValidationException", "2 validation errors detected: " +
			"Value '" + long[:31] + "' at 'removeFromVersionId' failed to satisfy constraint: Member must have length greater than or equal to 32; " +
			"Value '" + long[:65] + "' at 'moveToVersionId' failed to satisfy constraint: Member must have length less than or equal to 64"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				refuses(t, room, test.want, func() (*secretsmanager.UpdateSecretVersionStageOutput, error) {
					return room.SDK.UpdateSecretVersionStage(t.Context(), test.in)
				})
			}
		})
	}
	refusesPost(t, room, "UpdateSecretVersionStage", `{"SecretId":"s"}`, violation("Value null at 'versionStage' failed to satisfy constraint: Member must not be null"))
}

func TestUpdateSecretVersionStageTwentyLabels(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	labels := labelsUpTo(20)
	put(t, room, "s", "v2", "two", labels[:19]...)
	refuses(t, room, limit, func() (*secretsmanager.UpdateSecretVersionStageOutput, error) {
		return room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", labels[19], "", "v1"), once)
	})
	// AWSPREVIOUS would be the 21st.
	refuses(t, room, limit, func() (*secretsmanager.UpdateSecretVersionStageOutput, error) {
		return room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSCURRENT", "v1", "v2"), once)
	})
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", labels[0], "v2", "v1")))(t)
	checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT " + labels[0], "v2": join(labels[1:19])})
}

func TestUpdateSecretVersionStageDates(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	now := withClock(room, began)
	fourVersions(t, room, "s")
	now.now = began.Add(time.Minute)
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "mine", "", "v3")))(t) // is there already
	if got := *describe(t, room, "s").LastChangedDate; !got.Equal(began) {
		t.Errorf("got LastChangedDate %s after nothing was changed, want %s", got, began)
	}
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "new", "", "v3")))(t)
	if got := *describe(t, room, "s").LastChangedDate; !got.Equal(now.now) {
		t.Errorf("got LastChangedDate %s, want %s", got, now.now)
	}
}
