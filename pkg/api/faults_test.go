package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// An engine that wants fewer calls is passed on, so that the caller waits and
// tries again; every other failure of one is ours.
func TestDynamoDBFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault localtest.Fault
		want  refusal
	}{
		{"throttled", localtest.Refuse(400, "ThrottlingException"), rateExceeded},
		{"throughput exceeded", localtest.Refuse(400, "ProvisionedThroughputExceededException"), rateExceeded},
		{"request limit", localtest.Refuse(400, "RequestLimitExceeded"), rateExceeded},
		{"failed", localtest.Refuse(500, "InternalServerError"), serverFault},
		{"table gone", localtest.Refuse(400, "ResourceNotFoundException"), serverFault},
		{"access denied", localtest.Refuse(400, "AccessDeniedException"), serverFault},
		{"invalid", localtest.Refuse(400, "ValidationException"), serverFault},
		{"unreachable", localtest.Cut, serverFault},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			writer := localtest.New(t)
			create(t, writer, "s", "v1", "one")
			put(t, writer, "s", "v2", "two")
			reader := writer.Another(t)
			writer.Wire.Break("TransactWriteItems", many(test.fault)...)
			for _, operation := range []string{"GetItem", "Query", "BatchGetItem"} {
				reader.Wire.Break(operation, many(test.fault)...)
			}
			for _, room := range []*localtest.Room{writer, reader} {
				refuses(t, room, test.want, func() (*secretsmanager.PutSecretValueOutput, error) {
					return room.SDK.PutSecretValue(t.Context(), putInput("s", "v3", "three"), once)
				})
			}
			refuses(t, writer, test.want, func() (*secretsmanager.CreateSecretOutput, error) {
				return writer.SDK.CreateSecret(t.Context(), createInput("t", "v1", "one"), once)
			})
			refuses(t, reader, test.want, func() (*secretsmanager.UpdateSecretVersionStageOutput, error) {
				return reader.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "mine", "", "v1"), once)
			})
			refuses(t, reader, test.want, func() (*secretsmanager.GetSecretValueOutput, error) {
				return reader.SDK.GetSecretValue(t.Context(), getInput("s", "", ""), once)
			})
			refuses(t, reader, test.want, func() (*secretsmanager.DescribeSecretOutput, error) {
				return reader.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")}, once)
			})
		})
	}
}

// A transaction that was in the way of another one is made again.
func TestTransactionConflict(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	room.Wire.Break("TransactWriteItems", localtest.Cancel("TransactionConflict", "None"), localtest.Cancel("None", "ThrottlingError"), localtest.Cancel("ProvisionedThroughputExceeded", "None"))
	room.Wire.Took()
	must(room.SDK.PutSecretValue(t.Context(), putInput("s", "v2", "two"), once))(t)
	// After each wait the secret is read, since it may have changed meanwhile.
	if calls, _, _ := room.Wire.Took(); calls != "GenerateDataKey TransactWriteItems"+strings.Repeat(" GetItem TransactWriteItems", 3) {
		t.Errorf("got calls %s, want one GenerateDataKey, and a read before each other transaction", calls)
	}
	checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"})
}

// A request whose time is up while others are in the way is told to try again.
func TestConflictUntilDeadline(t *testing.T) {
	t.Parallel()
	writer := localtest.New(t)
	create(t, writer, "s", "v1", "one")
	room, trail, _ := recorded(t, writer)
	room.Wire.Break("TransactWriteItems", slices.Repeat(many(localtest.Cancel("TransactionConflict", "None")), 100)...)
	before := dump(t, writer)
	synctest.Test(t, func(t *testing.T) {
		answer := answerTo(room, newCall(t.Context(), "PutSecretValue", `{"SecretId":"s","SecretString":"two","ClientRequestToken":"`+token("v2")+`"}`), theID, alice)
		checkAnswer(t, answer.Result(), answer.Body.String(), rateExceeded)
	})
	if r := trail.took()[0]; r.ErrorCode != "ThrottlingException" || r.AdditionalEventData[audit.Outcome] != audit.OutcomeUnknown {
		t.Errorf("got %s and %v, want that the outcome is unknown: an attempt may have been late", r.ErrorCode, r.AdditionalEventData)
	}
	checkSame(t, before, dump(t, writer))
}

// timeIsUp has a deadline that is over, and lets the call under way finish.
type timeIsUp struct{ context.Context }

func (timeIsUp) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

// What went wrong behind us is in the log, and not in the answer.
func TestFaultsAreLogged(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	room, log := logged(t, room)
	room.Wire.Break("GetItem", many(localtest.Cut)...)
	answer := serve(room, "DescribeSecret", `{"SecretId":"s"}`)
	if want := `{"__type":"InternalServiceError","Message":"An error occurred on the server side."}`; answer.Code != http.StatusInternalServerError || answer.Body.String() != want {
		t.Errorf("got status %d and %s, want 500 and %s", answer.Code, answer.Body, want)
	}
	var line struct{ Level, Operation, Secret, Request, Error string }
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("log %s: %v", log, err)
	}
	if line.Level != "ERROR" || line.Operation != "DescribeSecret" || line.Secret != "s" || line.Request != answer.Header().Get("X-Amzn-Requestid") || !strings.Contains(line.Error, "connection cut by the test") {
		t.Errorf("got log %s, want the operation, the secret, the request and the cause", log)
	}
}

// A panic is an answer like any other, and its text is nowhere; but an error of
// the runtime says what was wrong.
func TestPanic(t *testing.T) {
	t.Parallel()
	const text = "text of the panic"
	var clocks []time.Time
	for _, test := range []struct {
		now  func() time.Time
		want string // in the log
	}{
		{func() time.Time { panic(text) }, "panic: string at"},
		{func() time.Time { panic(errors.New(text)) }, "panic: *errors.errorString at"},
		{func() time.Time { panic(struct{ Value string }{text}) }, "panic: struct { Value string } at"},
		{func() time.Time { return clocks[7] }, "index out of range [7] with length 0 at"},
	} {
		room := localtest.New(t)
		create(t, room, "s", "v1", "one")
		before := dump(t, room)
		room, log := logged(t, room)
		room.Server.Now = test.now
		answer := serve(room, "PutSecretValue", `{"SecretId":"s","SecretString":"two","ClientRequestToken":"`+token("v2")+`"}`)
		if want := `{"__type":"InternalServiceError","Message":"An error occurred on the server side."}`; answer.Code != http.StatusInternalServerError || answer.Body.String() != want {
			t.Errorf("got status %d and %s, want 500 and %s", answer.Code, answer.Body, want)
		}
		checkHeaders(t, answer.Result())
		if !strings.Contains(log.String(), test.want) || !strings.Contains(log.String(), "(*call).answer") || strings.Contains(log.String(), text) {
			t.Errorf("got log %s, want %q in it and where the panic was, and not its text", log, test.want)
		}
		checkSame(t, before, dump(t, room))
		room.Server.Now = nil
		if answer := serve(room, "DescribeSecret", `{"SecretId":"s"}`); answer.Code != http.StatusOK {
			t.Errorf("got status %d and %s after a panic, want 200", answer.Code, answer.Body)
		}
	}
}

// A value that is not what was sealed is no value.
func TestChangedValue(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	db := localtest.Shared().DynamoDB()
	for _, item := range must(db.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(room.Table)}))(t).Items {
		if sealed, ok := item["sealed"].(*types.AttributeValueMemberB); ok {
			sealed.Value[len(sealed.Value)-1] ^= 1
			must(db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(room.Table), Item: item}))(t)
		}
	}
	cold := room.Another(t)
	refuses(t, cold, serverFault, func() (*secretsmanager.GetSecretValueOutput, error) {
		return cold.SDK.GetSecretValue(t.Context(), getInput("s", "", ""), once)
	})
	room, log := logged(t, room)
	answer := serve(room, "PutSecretValue", `{"SecretId":"s","SecretString":"one","ClientRequestToken":"`+token("v1")+`"}`)
	if answer.Code != http.StatusInternalServerError || !strings.Contains(log.String(), "open version "+token("v1")) {
		t.Errorf("got status %d and log %s, want 500 and what did not open", answer.Code, log)
	}
}
