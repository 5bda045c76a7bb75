package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

// A refusal is an error as a caller of the SDK sees it.
type refusal struct{ code, text string }

// Refusals that many operations have in common.
var (
	notFound     = refusal{"ResourceNotFoundException", "Secrets Manager can't find the specified secret."}
	marked       = refusal{"InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	invalidName  = refusal{"ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"}
	noToken      = refusal{"InvalidRequestException", "You must provide a ClientRequestToken value. We recommend a UUID-type value."}
	bothValues   = refusal{"InvalidParameterException", "You can't specify both a binary secret value and a string secret value in the same secret."}
	limit        = refusal{"LimitExceededException", "The request failed because it would exceed one of the Secrets Manager quotas."}
	rateExceeded = refusal{"ThrottlingException", "Rate exceeded"}
	serverFault  = refusal{"InternalServiceError", "An error occurred on the server side."}
)

// violation is the refusal of a request with one member out of its limits.
func violation(text string) refusal {
	return refusal{"ValidationException", "1 validation error detected: " + text}
}

// tokenInUse is the refusal of a token that made a version with other data.
func tokenInUse(token, arn string) refusal {
	return refusal{"ResourceExistsException", "You can't use ClientRequestToken " + token + " because that value is already in use for a version of secret " + arn + "."}
}

// modelled tells the SDK's own types of the errors in the service model; every
// other error has the generic one.
var modelled = map[string]func(error) bool{
	"DecryptionFailure":                is[*types.DecryptionFailure],
	"EncryptionFailure":                is[*types.EncryptionFailure],
	"InternalServiceError":             is[*types.InternalServiceError],
	"InvalidNextTokenException":        is[*types.InvalidNextTokenException],
	"InvalidParameterException":        is[*types.InvalidParameterException],
	"InvalidRequestException":          is[*types.InvalidRequestException],
	"LimitExceededException":           is[*types.LimitExceededException],
	"MalformedPolicyDocumentException": is[*types.MalformedPolicyDocumentException],
	"PublicPolicyException":            is[*types.PublicPolicyException],
	"ResourceExistsException":          is[*types.ResourceExistsException],
	"ResourceNotFoundException":        is[*types.ResourceNotFoundException],
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// checkRefused compares all that an SDK tells of an error: type, code, status,
// text and request ID.
func checkRefused(t testing.TB, err error, want refusal) {
	t.Helper()
	answer, isAnswer := errors.AsType[*awshttp.ResponseError](err)
	refused, isRefused := errors.AsType[smithy.APIError](err)
	if !isAnswer || !isRefused {
		t.Errorf("got error %v, want %v", err, want)
		return
	}
	if got := (refusal{refused.ErrorCode(), refused.ErrorMessage()}); got != want {
		t.Errorf("got refusal %q, want %q", got, want)
	}
	hasType, known := modelled[want.code]
	if !known {
		hasType = is[*smithy.GenericAPIError]
	}
	if !hasType(err) {
		t.Errorf("got error %#v, want the SDK's type of %s", refused, want.code)
	}
	status := http.StatusBadRequest
	if want == serverFault {
		status = http.StatusInternalServerError
	}
	if got := answer.HTTPStatusCode(); got != status {
		t.Errorf("got status %d with %s, want %d", got, want.code, status)
	}
	if answer.ServiceRequestID() == "" {
		t.Errorf("got no request ID with %s", want.code)
	}
}

// refuses makes a call that must be refused, and nothing written.
func refuses[Out any](t testing.TB, room *localtest.Room, want refusal, call func() (Out, error)) {
	t.Helper()
	before := dump(t, room)
	_, err := call()
	checkRefused(t, err, want)
	checkSame(t, before, dump(t, room))
}

// refusesPost posts a body that must be refused, and nothing written.
func refusesPost(t testing.TB, room *localtest.Room, operation, body string, want refusal) {
	t.Helper()
	before := dump(t, room)
	answer, text := room.Post(t, operation, body)
	checkAnswer(t, answer, text, want)
	checkSame(t, before, dump(t, room))
}

// checkAnswer compares all there is to an answer that refuses with status 400.
func checkAnswer(t testing.TB, answer *http.Response, body string, want refusal) {
	t.Helper()
	message := "Message"
	switch want.code {
	case "ValidationException", "SerializationException", "UnknownOperationException", "AccessDeniedException", "ThrottlingException":
		message = "message"
	}
	members := map[string]string{"__type": want.code}
	if want.text != "" {
		members[message] = want.text
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(body), &got); err != nil || !maps.Equal(got, members) {
		t.Errorf("got answer %s, want %v", body, members)
	}
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("got status %d with %s, want 400", answer.StatusCode, want.code)
	}
	checkHeaders(t, answer)
}

func checkHeaders(t testing.TB, answer *http.Response) {
	t.Helper()
	if got := answer.Header.Get("Content-Type"); got != "application/x-amz-json-1.1" {
		t.Errorf("got content type %q, want application/x-amz-json-1.1", got)
	}
	if answer.Header.Get("X-Amzn-Requestid") == "" {
		t.Error("got an answer without x-amzn-RequestId")
	}
}

// dump is everything in the room's table, by key.
func dump(t testing.TB, room *localtest.Room) map[string]string {
	t.Helper()
	items := map[string]string{}
	for _, it := range must(localtest.Shared().Tables.Items(room.Table))(t) {
		var members map[string]any
		if err := attributevalue.UnmarshalMap(it, &members); err != nil {
			t.Fatal(err)
		}
		text := must(json.Marshal(members))(t)
		items[fmt.Sprint(members["pk"], " ", members["sk"])] = string(text)
	}
	return items
}

func checkSame(t testing.TB, before, after map[string]string) {
	t.Helper()
	if maps.Equal(before, after) {
		return
	}
	for key, was := range before {
		if now := after[key]; now != was {
			t.Errorf("%s was written though the call was refused:\ngot  %s\nwant %s", key, now, was)
		}
	}
	for key := range after {
		if _, ok := before[key]; !ok {
			t.Errorf("%s was made though the call was refused", key)
		}
	}
}

// must returns what a call answers, and ends the test when it fails.
func must[Out any](out Out, err error) func(testing.TB) Out {
	return func(t testing.TB) Out {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// once makes an SDK client try once, where a test looks at what one call does.
func once(o *secretsmanager.Options) { o.Retryer = aws.NopRetryer{} }

// token is a client request token, and so the ID of a version, with a short name.
func token(name string) string { return strings.Repeat("0", 32-len(name)) + name }

func short(versionID string) string { return strings.TrimLeft(versionID, "0") }

// create makes a secret; its first version is called by the short name.
func create(t testing.TB, room *localtest.Room, name, version, value string) *secretsmanager.CreateSecretOutput {
	t.Helper()
	return must(room.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String(name), ClientRequestToken: aws.String(token(version)), SecretString: aws.String(value),
	}))(t)
}

// createEmpty makes a secret without a version.
func createEmpty(t testing.TB, room *localtest.Room, name string) *secretsmanager.CreateSecretOutput {
	t.Helper()
	return must(room.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name)}))(t)
}

func putInput(name, version, value string, labels ...string) *secretsmanager.PutSecretValueInput {
	return &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(name), ClientRequestToken: aws.String(token(version)), SecretString: aws.String(value), VersionStages: labels,
	}
}

func put(t testing.TB, room *localtest.Room, name, version, value string, labels ...string) *secretsmanager.PutSecretValueOutput {
	t.Helper()
	return must(room.SDK.PutSecretValue(t.Context(), putInput(name, version, value, labels...)))(t)
}

func get(t testing.TB, room *localtest.Room, name string) *secretsmanager.GetSecretValueOutput {
	t.Helper()
	return must(room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)}))(t)
}

func getVersion(t testing.TB, room *localtest.Room, name, version string) *secretsmanager.GetSecretValueOutput {
	t.Helper()
	return must(room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(name), VersionId: aws.String(token(version))}))(t)
}

func describe(t testing.TB, room *localtest.Room, name string) *secretsmanager.DescribeSecretOutput {
	t.Helper()
	return must(room.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(name)}))(t)
}

// list is a secret's versions, deprecated ones too, in one page.
func list(t testing.TB, room *localtest.Room, name string) []types.SecretVersionsListEntry {
	t.Helper()
	return must(room.SDK.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{
		SecretId: aws.String(name), IncludeDeprecated: aws.Bool(true),
	}))(t).Versions
}

func schedule(t testing.TB, room *localtest.Room, name string) {
	t.Helper()
	must(room.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(name)}))(t)
}

func forceDelete(t testing.TB, room *localtest.Room, name string) *secretsmanager.DeleteSecretOutput {
	t.Helper()
	return must(room.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{
		SecretId: aws.String(name), ForceDeleteWithoutRecovery: aws.Bool(true),
	}))(t)
}

// beginRotation puts AWSPENDING of the secret s on a version that has no value
// yet, as a rotation does before it calls its function.
func beginRotation(t testing.TB, room *localtest.Room, version string) {
	t.Helper()
	_, err := room.Store.Update(t.Context(), secret.ID{Name: "s"}, func(sec secret.Secret) (secret.Change, error) {
		sec.Stages = sec.Stages.Attach(secret.Pending, token(version))
		return secret.Change{Secret: sec}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// stages are a secret's versions by short name, each with its labels in order
// and a space between; empty for a deprecated one. DescribeSecret and
// ListSecretVersionIds must agree, but for a version that has no value yet:
// only the first tells of it.
func stages(t testing.TB, room *localtest.Room, name string) map[string]string {
	t.Helper()
	described := map[string]string{}
	for id, labels := range describe(t, room, name).VersionIdsToStages {
		described[short(id)] = join(labels)
	}
	listed := map[string]string{}
	for _, v := range list(t, room, name) {
		id := short(*v.VersionId)
		listed[id] = join(v.VersionStages)
		if listed[id] != described[id] {
			t.Errorf("got labels %q of version %s from ListSecretVersionIds and %q from DescribeSecret, want the same", listed[id], id, described[id])
		}
	}
	maps.Copy(listed, described)
	return listed
}

func join(labels []string) string { return strings.Join(slices.Sorted(slices.Values(labels)), " ") }

func checkStages(t testing.TB, room *localtest.Room, name string, want map[string]string) {
	t.Helper()
	if got := stages(t, room, name); !maps.Equal(got, want) {
		t.Errorf("got versions %v, want %v", got, want)
	}
}

// checkMembers compares the names of the members of a JSON object.
func checkMembers(t testing.TB, body string, want ...string) {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		t.Fatalf("answer %s: %v", body, err)
	}
	if got := slices.Sorted(maps.Keys(members)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("got members %q, want %q", got, want)
	}
}

// serve makes a call without a connection between: when it returns, the call is
// logged, too.
func serve(room *localtest.Room, operation, body string) *httptest.ResponseRecorder {
	call := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	call.Header.Set("Content-Type", "application/x-amz-json-1.1")
	call.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	answer := httptest.NewRecorder()
	room.ServeHTTP(answer, call)
	return answer
}

// logged is the service as another process has it, with a log that keeps
// everything. It is called by serve: over a connection, the answer may come before
// its line in the log.
func logged(t testing.TB, room *localtest.Room) (*localtest.Room, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	other := room.Another(t)
	other.Server.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return other, &log
}

// many is a fault as often as nothing will try again.
func many(fault localtest.Fault) []localtest.Fault {
	return slices.Repeat([]localtest.Fault{fault}, 20)
}

// A clock is the time of a server, moved by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// withClock gives a room's server a clock that stands at a time.
func withClock(room *localtest.Room, now time.Time) *clock {
	c := &clock{now}
	room.Server.Now = c.Now
	return c
}
