package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// attempts is how often the SDK makes a call to an engine.
const attempts = 3

func times(n int, fault localtest.Fault) []localtest.Fault {
	var faults []localtest.Fault
	for range n {
		faults = append(faults, fault)
	}
	return faults
}

// forgotten makes a transaction under another token, as it is for an engine that
// no longer remembers the first one.
func forgotten(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
	var body map[string]json.RawMessage
	if err := json.NewDecoder(call.Body).Decode(&body); err != nil {
		return nil, err
	}
	body["ClientRequestToken"] = json.RawMessage(`"` + uuid.NewString() + `"`)
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	call.Body, call.ContentLength = io.NopCloser(strings.NewReader(string(text))), int64(len(text))
	return do()
}

// A put whose answer was lost is made again, by the SDK or by the caller: it is
// answered as the first time, and there is one version.
func TestPutSecretValueLostAnswer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		faults []localtest.Fault
		lost   bool // for the caller, too
	}{
		{"once", times(1, localtest.LoseAnswer), false},
		{"once, and the engine forgot", []localtest.Fault{localtest.LoseAnswer, forgotten}, false},
		{"always", times(attempts, localtest.LoseAnswer), true},
		{"always, the call never arrived", times(attempts, localtest.Cut), true},
		{"arrived at last, and was lost", []localtest.Fault{localtest.Cut, localtest.Cut, localtest.LoseAnswer}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			arn := *create(t, room, "s", "v1", "one").ARN
			room.Wire.Break("TransactWriteItems", test.faults...)
			_, err := room.SDK.PutSecretValue(t.Context(), putInput("s", "T", "x"), once)
			if test.lost {
				checkRefused(t, err, serverFault)
			} else if err != nil {
				t.Errorf("got error %v, want none", err)
			}
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				out := must(room.SDK.PutSecretValue(t.Context(), putInput("s", "T", "x"), once))(t)
				if *out.ARN != arn || *out.VersionId != token("T") || join(out.VersionStages) != "AWSCURRENT" {
					t.Errorf("got ARN %s, VersionId %s, VersionStages %q", *out.ARN, *out.VersionId, out.VersionStages)
				}
			}
			checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "T": "AWSCURRENT"})
			if got := *get(t, room, "s").SecretString; got != "x" {
				t.Errorf("got value %q, want x", got)
			}
			put(t, room, "s", "v2", "two") // and it goes on
		})
	}
}

// Between a put whose answer was lost and the SDK's next try another process
// puts: the labels have moved on, and do not come back.
func TestPutSecretValueLostAnswerAndOvertaken(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	other := room.Another(t)
	create(t, room, "s", "v1", "one")
	overtaken := func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		answer, err := localtest.LoseAnswer(call, do)
		put(t, other, "s", "v2", "two")
		return answer, err
	}
	room.Wire.Break("TransactWriteItems", overtaken, forgotten)
	out := must(room.SDK.PutSecretValue(t.Context(), putInput("s", "T", "x"), once))(t)
	if *out.VersionId != token("T") || join(out.VersionStages) != "AWSPREVIOUS" {
		t.Errorf("got VersionId %s, VersionStages %q; want T, AWSPREVIOUS", *out.VersionId, out.VersionStages)
	}
	checkStages(t, room, "s", map[string]string{"v1": "", "T": "AWSPREVIOUS", "v2": "AWSCURRENT"})
}

func TestCreateSecretLostAnswer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		faults []localtest.Fault
		lost   bool
	}{
		{"once", times(1, localtest.LoseAnswer), false},
		{"once, and the engine forgot", []localtest.Fault{localtest.LoseAnswer, forgotten}, false},
		{"always", times(attempts, localtest.LoseAnswer), true},
		{"always, the call never arrived", times(attempts, localtest.Cut), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			for _, in := range []*secretsmanager.CreateSecretInput{createInput("s", "T", "x"), {Name: aws.String("empty"), ClientRequestToken: aws.String(token("T"))}} {
				room.Wire.Break("TransactWriteItems", test.faults...)
				first, err := room.SDK.CreateSecret(t.Context(), in, once)
				if test.lost {
					checkRefused(t, err, serverFault)
				} else if err != nil {
					t.Errorf("got error %v, want none", err)
				}
				for _, room := range []*localtest.Room{room, room.Another(t)} {
					again := must(room.SDK.CreateSecret(t.Context(), in, once))(t)
					if first == nil {
						first = again
					}
					if *again.ARN != *first.ARN || aws.ToString(again.VersionId) != aws.ToString(first.VersionId) {
						t.Errorf("got ARN %s, VersionId %v; want %s, %v", *again.ARN, again.VersionId, *first.ARN, first.VersionId)
					}
				}
			}
			checkStages(t, room, "s", map[string]string{"T": "AWSCURRENT"})
			checkStages(t, room, "empty", map[string]string{})
			// A head, a version and two rows of the directory; a head and two rows.
			if got := len(dump(t, room)); got != 7 {
				t.Errorf("got %d items, want 7", got)
			}
		})
	}
}

func TestForcedDeletionLostAnswer(t *testing.T) {
	t.Parallel()
	for _, faults := range [][]localtest.Fault{
		times(attempts, localtest.LoseAnswer),
		{localtest.LoseAnswer, forgotten},
	} {
		room := localtest.New(t)
		create(t, room, "s", "v1", "one")
		room.Wire.Break("TransactWriteItems", faults...)
		_, err := room.SDK.DeleteSecret(t.Context(), deleteInput("s", -1, aws.Bool(true)), once)
		if len(faults) == attempts {
			checkRefused(t, err, serverFault)
		} else if err != nil {
			t.Errorf("got error %v, want none", err)
		}
		forceDelete(t, room, "s")
		create(t, room, "s", "v1", "two")
		if got := *get(t, room, "s").SecretString; got != "two" {
			t.Errorf("got value %q, want two", got)
		}
	}
}

// A change without a token is made once, too, when the engine did not remember
// the SDK's second try: the commit finds itself.
func TestChangesLostAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two")
	room.Wire.Break("TransactWriteItems", localtest.LoseAnswer, forgotten)
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSCURRENT", "v2", "v1"), once))(t)
	checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT", "v2": "AWSPREVIOUS"})
	room.Wire.Break("TransactWriteItems", localtest.LoseAnswer, forgotten)
	must(room.SDK.DeleteSecret(t.Context(), deleteInput("s", 7, nil), once))(t)
	room.Wire.Break("TransactWriteItems", localtest.LoseAnswer, forgotten)
	must(room.SDK.RestoreSecret(t.Context(), restoreInput("s"), once))(t)
	put(t, room, "s", "v3", "three")
}
