package api_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

// everyChange is a request of each operation that changes something, of a secret s
// whose version v1 is current and v2 pending.
var everyChange = map[string]string{
	"CreateSecret":             `{"Name":"new","SecretString":"x","ClientRequestToken":"` + token("n1") + `"}`,
	"PutSecretValue":           `{"SecretId":"s","SecretString":"x","ClientRequestToken":"` + token("v3") + `"}`,
	"UpdateSecret":             `{"SecretId":"s","SecretString":"x","KmsKeyId":"%[1]s","ClientRequestToken":"` + token("v3") + `"}`,
	"UpdateSecretVersionStage": `{"SecretId":"s","VersionStage":"AWSCURRENT","RemoveFromVersionId":"` + token("v1") + `","MoveToVersionId":"` + token("v2") + `"}`,
	"PutResourcePolicy":        `{"SecretId":"s","ResourcePolicy":"{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"secretsmanager:RotateSecret\",\"Resource\":\"*\"}}"}`,
	"DeleteResourcePolicy":     `{"SecretId":"s"}`,
	"TagResource":              `{"SecretId":"s","Tags":[{"Key":"k","Value":"v"}]}`,
	"UntagResource":            `{"SecretId":"s","TagKeys":["team"]}`,
	"RotateSecret":             `{"SecretId":"s","ClientRequestToken":"` + token("v3") + `","RotateImmediately":false,"RotationLambdaARN":"` + rotationLambda + `"}`,
	"CancelRotateSecret":       `{"SecretId":"s"}`,
	"DeleteSecret":             `{"SecretId":"s"}`,
	"RestoreSecret":            `{"SecretId":"s"}`,
	"DeleteSecret, at once":    `{"SecretId":"s","ForceDeleteWithoutRecovery":true}`,
}

// beforeChange makes the secret s as a change of it needs it.
func beforeChange(t *testing.T, operation string) *localtest.Room {
	t.Helper()
	room := localtest.New(t)
	withRotator(room)
	create(t, room, "s", "v1", "one")
	room.Post(t, "TagResource", `{"SecretId":"s","Tags":[{"Key":"team","Value":"blue"}]}`)
	putPolicy(t, room, "s", document(allowAll))
	switch operation {
	case "RotateSecret":
	case "CancelRotateSecret":
		rotate(t, room, byFunction("s", "v2"))
	default:
		put(t, room, "s", "v2", "two", "AWSPENDING")
	}
	if operation == "RestoreSecret" {
		schedule(t, room, "s")
	}
	return room
}

// wireCalls are the remote calls at which a caller may hang up.
var wireCalls = []string{"GetItem", "TransactWriteItems", "GenerateDataKey", "Decrypt", "ReEncrypt"}

// A change whose caller hangs up, before or after any of its remote calls, is made
// and recorded as made. Only while the secret is read for the first time, nothing is
// decided yet, and the change may be neither.
func TestHangUpDuringChange(t *testing.T) {
	t.Parallel()
	broken := map[string]int{}
	for name, body := range everyChange {
		operation, _, _ := strings.Cut(name, ",")
		for _, at := range wireCalls {
			for _, after := range []bool{false, true} {
				writer := beforeChange(t, operation)
				room, trail, log := recorded(t, writer)
				rotator := withRotator(room)
				body := body
				if strings.Contains(body, "%") {
					body = fmt.Sprintf(body, newKey(t))
				}
				before := dump(t, writer)
				ctx, hangUp := context.WithCancel(t.Context())
				rotator.starting = func(string) {
					if ctx.Err() != nil {
						broken["Start"]++
					}
				}
				room.Wire.Break(at, func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
					broken[at]++
					if !after {
						hangUp()
					}
					defer hangUp()
					return do()
				})
				answer := answerTo(room, newCall(ctx, operation, body), theID, alice)
				record := trail.took()[0]
				changed := !reflect.DeepEqual(before, dump(t, writer))
				if changed != (record.ErrorCode == "") || changed != (answer.Code == http.StatusOK) || !changed && at != "GetItem" {
					t.Errorf("%s, hung up at %s: changed is %v, and the record says %q %v; log %s", name, at, changed, record.ErrorCode, record.AdditionalEventData, log)
				}
				hangUp()
			}
		}
	}
	for _, at := range wireCalls {
		if broken[at] == 0 {
			t.Errorf("no change made a call of %s", at)
		}
	}
}

// The rotation that a change makes due is begun for a caller who has hung up, too.
func TestHangUpBeforeRotationStarts(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	r := withRotator(room)
	ctx, hangUp := context.WithCancel(t.Context())
	room.Wire.Break("TransactWriteItems", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		defer hangUp()
		return do()
	})
	started := make(chan error, 1)
	room.Server.Rotator = watching{r, started}
	answerTo(room, newCall(ctx, "RotateSecret", `{"SecretId":"s","ClientRequestToken":"`+token("N")+`","RotationLambdaARN":"`+rotationLambda+`"}`), theID, alice)
	select {
	case err := <-started:
		if err != nil {
			t.Errorf("it is begun under a context that has ended: %v", err)
		}
	default:
		t.Error("it is not begun")
	}
}

// watching tells of the context that a rotation is begun under.
type watching struct {
	*rotator
	started chan error
}

func (w watching) Start(ctx context.Context, arn string) error {
	w.started <- ctx.Err()
	return w.rotator.Start(ctx, arn)
}

// A caller who hangs up ends a read, and a change that still waits for others. The
// record and the log say so, and nothing is changed.
func TestHangUpBeforeDecision(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, operation, body, at string }{
		{"read", "GetSecretValue", `{"SecretId":"s"}`, "GetItem"},
		{"list", "ListSecrets", `{}`, "Query"},
		{"batch", "BatchGetSecretValue", `{"SecretIdList":["s"]}`, "BatchGetItem"},
		{"change", "PutSecretValue", everyChange["PutSecretValue"], ""},
		{"deletion", "DeleteSecret", `{"SecretId":"s"}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			writer := beforeChange(t, test.operation)
			room, trail, log := recorded(t, writer)
			before := dump(t, writer)
			ctx, hangUp := context.WithCancel(t.Context())
			if test.at == "" {
				hangUp()
			}
			room.Wire.Break(test.at, func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
				hangUp()
				return nil, ctx.Err()
			})
			answerTo(room, newCall(ctx, test.operation, test.body), theID, alice)
			records := trail.took()
			if len(records) != 1 || records[0].ErrorCode != "RequestAborted" || records[0].AdditionalEventData[audit.Outcome] != nil {
				t.Errorf("got records %+v, want one that says so", records)
			}
			if strings.Contains(log.String(), `"level":"ERROR"`) {
				t.Errorf("it is no error of the service: %s", log)
			}
			checkSame(t, before, dump(t, writer))
			hangUp()
		})
	}
}

// The record of a change says so when it is not known whether it happened, and only
// then.
func TestRecordOfUncertainChange(t *testing.T) {
	t.Parallel()
	const commit = "TransactWriteItems"
	panics := func(*http.Request, func() (*http.Response, error)) (*http.Response, error) { panic("two") }
	for _, test := range []struct {
		name, at string
		faults   []localtest.Fault
		unknown  bool
		changed  bool
	}{
		{"answers lost", commit, many(localtest.LoseAnswer), true, true},
		{"never arrived", commit, many(localtest.Cut), true, false},
		{"a fault of DynamoDB", commit, many(localtest.Refuse(500, "InternalServerError")), true, false},
		{"panic", commit, []localtest.Fault{panics}, true, false},
		{"cancelled for another reason", commit, []localtest.Fault{localtest.Cancel("ValidationError", "None")}, false, false},
		{"refused by KMS", "GenerateDataKey", []localtest.Fault{localtest.Refuse(400, "DisabledException")}, false, false},
		{"not read", "GetItem", many(localtest.Cut), false, false},
		{"conflict, and then not read", commit, []localtest.Fault{localtest.Cancel("TransactionConflict", "None")}, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			writer := localtest.New(t)
			create(t, writer, "s", "v1", "one")
			room, trail, _ := recorded(t, writer)
			room.Wire.Break(test.at, test.faults...)
			if strings.HasPrefix(test.name, "conflict") {
				describe(t, room, "s") // remembered, so the first read comes after the conflict
				trail.took()
				room.Wire.Break("GetItem", many(localtest.Cut)...)
			}
			before := dump(t, writer)
			answerTo(room, newCall(t.Context(), "PutSecretValue", everyChange["PutSecretValue"]), theID, alice)
			record := trail.took()[0]
			if got := record.AdditionalEventData[audit.Outcome] == audit.OutcomeUnknown; got != test.unknown || record.ErrorCode == "" {
				t.Errorf("got %s and %v, want outcome unknown: %v", record.ErrorCode, record.AdditionalEventData, test.unknown)
			}
			if changed := !reflect.DeepEqual(before, dump(t, writer)); changed != test.changed {
				t.Errorf("changed is %v", changed)
			}
		})
	}
}

// The deadline of the server ends a change, too: before its commit nothing has
// happened; during it the outcome is unknown.
func TestDeadlineOfChange(t *testing.T) {
	t.Parallel()
	for at, unknown := range map[string]bool{"GenerateDataKey": false, "TransactWriteItems": true} {
		writer := localtest.New(t)
		create(t, writer, "s", "v1", "one")
		room, trail, _ := recorded(t, writer)
		synctest.Test(t, func(t *testing.T) {
			room.Wire.Break(at, localtest.Late)
			began := time.Now()
			answerTo(room, newCall(t.Context(), "PutSecretValue", everyChange["PutSecretValue"]), theID, alice)
			if took := time.Since(began); took > 24*time.Second {
				t.Errorf("it took %v", took)
			}
		})
		record := trail.took()[0]
		if got := record.AdditionalEventData[audit.Outcome] == audit.OutcomeUnknown; got != unknown || record.ErrorCode != "InternalServiceError" {
			t.Errorf("late at %s: got %s and %v, want outcome unknown: %v", at, record.ErrorCode, record.AdditionalEventData, unknown)
		}
	}
}

// A change whose answer was lost tells of the rotation that it abandoned when it is
// repeated, since the first try may not have.
func TestRepeatTellsOfAbandonedRotation(t *testing.T) {
	t.Parallel()
	for operation, body := range map[string]string{
		"PutSecretValue":           everyChange["PutSecretValue"],
		"UpdateSecretVersionStage": `{"SecretId":"s","VersionStage":"AWSPENDING","RemoveFromVersionId":"` + token("v2") + `"}`,
	} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			writer := localtest.New(t)
			create(t, writer, "s", "v1", "one")
			leaseRotation(t, writer, "s", gone+gone, time.Now().Add(time.Hour))
			room, trail, _ := recorded(t, writer)
			try := func(room *localtest.Room, want ...string) {
				t.Helper()
				call := newCall(t.Context(), operation, body)
				call.Header.Set("Amz-Sdk-Invocation-Id", "the same")
				answerTo(room, call, theID, alice)
				var got []string
				for _, r := range trail.took() {
					got = append(got, r.EventName+r.ErrorCode)
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got records %v, want %v", got, want)
				}
			}
			room.Wire.Break("TransactWriteItems", many(localtest.LoseAnswer)...)
			try(room, operation+"InternalServiceError")
			other := room.Another(t)
			other.Server.Trail = trail
			try(other, operation, "RotationAbandoned")
			if operation != "PutSecretValue" {
				return
			}
			// Its token tells it from other calls, whatever came in between: here a rotation
			// that another change abandoned.
			for _, state := range []secret.State{secret.Waiting{Run: secret.Run{Version: token("v8")}, Due: time.Now()}, nil} {
				must(writer.Store.Update(t.Context(), secret.ID{Name: "s"}, func(sec secret.Secret) (secret.Change, error) {
					sec.Rotation.State = state
					return secret.Change{Secret: sec}, nil
				}))(t)
			}
			try(other, operation)
		})
	}
}
