package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func noStage(label string) refusal {
	return refusal{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: " + label}
}

func noVersion(name string) refusal {
	return refusal{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: " + token(name)}
}

var notAssociated = refusal{"InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId."}

func getInput(name, version, label string) *secretsmanager.GetSecretValueInput {
	in := &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)}
	if version != "" {
		in.VersionId = aws.String(token(version))
	}
	if label != "" {
		in.VersionStage = aws.String(label)
	}
	return in
}

func TestGetSecretValueAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 250_000_000, time.UTC))
	arn := *create(t, room, "s", "v1", "one").ARN
	in := putInput("s", "v2", "", "mine")
	in.SecretString, in.SecretBinary = nil, []byte("two")
	must(room.SDK.PutSecretValue(t.Context(), in))(t)
	_, body := room.Post(t, "GetSecretValue", `{"SecretId":"s"}`)
	if want := `{"ARN":"` + arn + `","Name":"s","VersionId":"` + token("v1") + `","SecretString":"one","VersionStages":["AWSCURRENT"],"CreatedDate":1795262400.25}`; body != want {
		t.Errorf("got answer %s, want %s", body, want)
	}
	_, body = room.Post(t, "GetSecretValue", `{"SecretId":"s","VersionStage":"mine"}`)
	if want := `{"ARN":"` + arn + `","Name":"s","VersionId":"` + token("v2") + `","SecretBinary":"dHdv","VersionStages":["mine"],"CreatedDate":1795262400.25}`; body != want {
		t.Errorf("got answer %s, want %s", body, want)
	}
	if got := *get(t, room, "s").CreatedDate; !got.Equal(now.now) {
		t.Errorf("got CreatedDate %s, want %s", got, now.now)
	}
}

func TestGetSecretValueFinds(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "v1")
	put(t, room, "s", "v2", "v2")
	put(t, room, "s", "v3", "v3", "AWSCURRENT", "mine")
	put(t, room, "s", "v4", "v4", "AWSPENDING")
	for _, test := range []struct{ version, label, want, labels string }{
		{"", "", "v3", "AWSCURRENT mine"},
		{"", "AWSCURRENT", "v3", "AWSCURRENT mine"},
		{"", "AWSPREVIOUS", "v2", "AWSPREVIOUS"},
		{"", "AWSPENDING", "v4", "AWSPENDING"},
		{"", "mine", "v3", "AWSCURRENT mine"},
		{"v3", "", "v3", "AWSCURRENT mine"},
		{"v3", "mine", "v3", "AWSCURRENT mine"},
		{"v3", "AWSCURRENT", "v3", "AWSCURRENT mine"},
		{"v4", "AWSPENDING", "v4", "AWSPENDING"},
		{"v1", "", "v1", ""}, // deprecated
	} {
		for _, room := range []*localtest.Room{room, room.Another(t)} {
			got := must(room.SDK.GetSecretValue(t.Context(), getInput("s", test.version, test.label)))(t)
			if short(*got.VersionId) != test.want || *got.SecretString != test.want || join(got.VersionStages) != test.labels {
				t.Errorf("version %q, label %q: got version %s, value %s, labels %q; want %s, %q",
					test.version, test.label, *got.VersionId, *got.SecretString, got.VersionStages, test.want, test.labels)
			}
		}
	}
}

func TestGetSecretValueRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two")
	beginRotation(t, room, "p")
	createEmpty(t, room, "empty")
	create(t, room, "deleted", "v1", "one")
	schedule(t, room, "deleted")
	long := strings.Repeat("x", 2049)
	for _, test := range []struct {
		name string
		in   *secretsmanager.GetSecretValueInput
		want refusal
	}{
		{"no AWSCURRENT", getInput("empty", "", ""), noStage("AWSCURRENT")},
		{"no AWSCURRENT, asked by label", getInput("empty", "", "AWSCURRENT"), noStage("AWSCURRENT")},
		{"label on no version", getInput("s", "", "mine"), noStage("mine")},
		{"labels are case-sensitive", getInput("s", "", "awscurrent"), noStage("awscurrent")},
		{"version unknown", getInput("s", "v3", ""), noVersion("v3")},
		{"version unknown, with a label", getInput("s", "v3", "AWSCURRENT"), noVersion("v3")},
		{"version unknown, with AWSPENDING", getInput("s", "v3", "AWSPENDING"), noVersion("v3")},
		{"version unknown, with a label on no version", getInput("s", "v3", "mine"), noVersion("v3")},
		{"version unknown, with a label, of a secret without versions", getInput("empty", "v3", "AWSCURRENT"), noVersion("v3")},
		{"version of a rotation under way, with another label", getInput("s", "p", "AWSCURRENT"), noVersion("p")},
		{"label on another version", getInput("s", "v1", "AWSCURRENT"), notAssociated},
		{"label on no version, with a version", getInput("s", "v1", "mine"), notAssociated},
		{"version and label of a rotation under way", getInput("s", "p", "AWSPENDING"), noVersion("p")},
		{"version of a rotation under way", getInput("s", "p", ""), noVersion("p")},
		{"label of a rotation under way", getInput("s", "", "AWSPENDING"), noStage("AWSPENDING")},
		{"secret unknown", getInput("unknown", "", ""), notFound},
		{"bad name", getInput("a b", "", ""), invalidName},
		{"scheduled for deletion", getInput("deleted", "", ""), marked},
		{"scheduled for deletion, by version", getInput("deleted", "v1", ""), marked},
		{"scheduled for deletion, version unknown", getInput("deleted", "v3", ""), marked},
		{"version of 31 characters", &secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: aws.String(long[:31])}, violation("Value '" + long[:31] + "' at 'versionId' failed to satisfy constraint: Member must have length greater than or equal to 32")},
		{"version of 65 characters", &secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: aws.String(long[:65])}, violation("Value '" + long[:65] + "' at 'versionId' failed to satisfy constraint: Member must have length less than or equal to 64")},
		{"label of 257 characters", getInput("s", "", long[:257]), violation("Value '" + long[:257] + "' at 'versionStage' failed to satisfy constraint: Member must have length less than or equal to 256")},
		{"empty label", &secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionStage: aws.String("")}, violation("Value '' at 'versionStage' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"SecretId of 2,049 characters", getInput(long, "", ""), violation("Value '" + long + "' at 'secretId' failed to satisfy constraint: Member must have length less than or equal to 2048")},
		{"SecretId of 2,048 characters", getInput(long[:2048], "", ""), notFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				refuses(t, room, test.want, func() (*secretsmanager.GetSecretValueOutput, error) {
					return room.SDK.GetSecretValue(t.Context(), test.in)
				})
			}
		})
	}
}

// A label that was moved by one process is seen by the next read in another.
func TestGetSecretValueAfterMove(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	other := room.Another(t)
	create(t, room, "s", "v0", "v0")
	for i := range 5 {
		want := fmt.Sprint("v", i)
		if i > 0 {
			put(t, room, "s", want, want)
		}
		if got := *get(t, other, "s").SecretString; got != want {
			t.Errorf("got value %q, want %q", got, want)
		}
	}
}

// The dates of access are days: they move with the first read of a day, for the
// secret and for the version that is read.
func TestLastAccessedDate(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC))
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two")
	check := func(sec, v1, v2 string) {
		t.Helper()
		text := func(at *time.Time) string {
			if at == nil {
				return ""
			}
			return at.Format("2006-01-02 15:04:05")
		}
		versions := map[string]string{}
		for _, v := range list(t, room, "s") {
			versions[short(*v.VersionId)] = text(v.LastAccessedDate)
		}
		if got := text(describe(t, room, "s").LastAccessedDate); got != sec || versions["v1"] != v1 || versions["v2"] != v2 {
			t.Errorf("at %s: got %q of the secret, %q of v1, %q of v2; want %q, %q, %q", now.now, got, versions["v1"], versions["v2"], sec, v1, v2)
		}
	}
	check("", "", "")
	const first, second, third = "2026-11-21 00:00:00", "2026-11-22 00:00:00", "2026-11-23 00:00:00"
	changed := *describe(t, room, "s").LastChangedDate
	now.now = time.Date(2026, 11, 21, 23, 59, 59, 999_999_999, time.UTC)
	get(t, room, "s")
	check(first, "", first)
	now.now = now.now.Add(time.Nanosecond)
	getVersion(t, room, "s", "v1")
	check(second, second, first)
	get(t, room, "s")
	check(second, second, second)
	put(t, room, "s", "v3", "three") // writes the secret, and not its date of access
	check(second, second, second)
	now.now = now.now.Add(24 * time.Hour)
	get(t, room, "s")
	check(third, second, second)
	now.now = now.now.Add(-24 * time.Hour) // a clock that is behind
	get(t, room, "s")
	getVersion(t, room, "s", "v1")
	check(third, second, second)
	if got := *describe(t, room, "s").LastChangedDate; !got.Equal(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)) || got.Equal(changed) {
		t.Errorf("got LastChangedDate %s, want that of the last put", got)
	}
}

// The date of access is a courtesy: a read does not fail with it.
func TestLastAccessedDateCannotBeWritten(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	room, log := logged(t, room)
	room.Wire.Break("UpdateItem", many(localtest.Cut)...)
	answer := serve(room, "GetSecretValue", `{"SecretId":"s"}`)
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), `"SecretString":"one"`) {
		t.Errorf("got status %d and %s, want the value", answer.Code, answer.Body)
	}
	if !strings.Contains(log.String(), `"level":"WARN"`) || !strings.Contains(log.String(), "connection cut by the test") {
		t.Errorf("got log %s, want a warning with the cause", log)
	}
}

// A read does not wait for its date longer than for itself.
func TestReadDoesNotWaitForItsDate(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	room.Server.DatePatience = 0
	var patience time.Duration
	room.Wire.Break("UpdateItem", func(call *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
		deadline, _ := call.Context().Deadline()
		patience = time.Until(deadline)
		<-call.Context().Done()
		return nil, call.Context().Err()
	})
	must(room.SDK.GetSecretValue(t.Context(), getInput("s", "", "")))(t)
	if patience <= 0 || patience > time.Second {
		t.Errorf("the read waits up to %s for its date", patience)
	}
}

// A version that was put after the secret was read has its labels all the same.
func TestGetByIDWhilePut(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	pass := func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) { return do() }
	reader := room.Another(t)
	reader.Wire.Break("GetItem", pass, func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		put(t, room, "s", "v2", "two")
		return do()
	})
	got := must(reader.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: aws.String(token("v2"))}))(t)
	if len(got.VersionStages) != 1 || got.VersionStages[0] != "AWSCURRENT" {
		t.Errorf("got labels %q, want AWSCURRENT", got.VersionStages)
	}
}
