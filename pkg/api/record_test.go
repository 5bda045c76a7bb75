package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
)

// A memory keeps records in memory. What is done before they are kept, or instead,
// is keep's to say.
type memory struct {
	keep func(ctx context.Context, records []audit.Record) error

	mu      sync.Mutex
	records []audit.Record
}

func (m *memory) Keep(ctx context.Context, records ...audit.Record) error {
	if m.keep != nil {
		if err := m.keep(ctx, records); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = append(m.records, records...)
	return nil
}

// took returns the records since the last took.
func (m *memory) took() []audit.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	records := m.records
	m.records = nil
	return records
}

// recorded is the service as another process has it, which keeps records, and
// everything of whose log is kept.
func recorded(t testing.TB, room *localtest.Room) (*localtest.Room, *memory, *bytes.Buffer) {
	t.Helper()
	other, log := logged(t, room)
	trail := &memory{}
	other.Server.Trail, other.Server.AuditRequired = trail, true
	return other, trail, log
}

// newCall is a request that is answered by a server without a connection between.
func newCall(ctx context.Context, operation, body string) *http.Request {
	call := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body))
	call.Header.Set("Content-Type", "application/x-amz-json-1.1")
	call.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	return call
}

// answerTo answers a call of somebody.
func answerTo(room *localtest.Room, call *http.Request, id string, caller policy.Caller) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	room.Server.Answer(answer, call, id, caller)
	return answer
}

// object is a record, or a part of one, as it is written.
func object(t testing.TB, v any) map[string]any {
	t.Helper()
	text, isText := v.(string)
	if !isText {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

// checkRecord compares all of a record but its ID.
func checkRecord(t testing.TB, got audit.Record, want map[string]any) {
	t.Helper()
	record := object(t, got)
	if id, _ := record["eventID"].(string); uuid.Validate(id) != nil {
		t.Errorf("got eventID %q, want a UUID", id)
	}
	delete(record, "eventID")
	for _, name := range slices.Sorted(maps.Keys(record)) {
		if !reflect.DeepEqual(record[name], want[name]) {
			t.Errorf("%s: got %s %v, want %v", got.EventName, name, record[name], want[name])
		}
	}
	for name := range want {
		if _, ok := record[name]; !ok {
			t.Errorf("%s: got no %s, want %v", got.EventName, name, want[name])
		}
	}
}

// theID is that of the requests in these tests.
const theID = "id-1"

// aliceDid is what all records of Alice's calls have in common.
func aliceDid(operation string) map[string]any {
	return map[string]any{
		"eventVersion": "1.11", "eventTime": "2026-01-01T00:00:00Z", "eventSource": "secretsmanager.amazonaws.com", "eventName": operation,
		"awsRegion": local.Region, "recipientAccountId": local.Account, "eventType": "AwsApiCall", "managementEvent": true, "eventCategory": "Management",
		"userIdentity":    map[string]any{"type": "IAMUser", "principalId": alice.UserID, "arn": alice.ARN, "accountId": alice.Account, "accessKeyId": alice.AccessKey, "userName": "alice"},
		"sourceIPAddress": alice.SourceIP, "userAgent": alice.UserAgent, "requestID": theID,
		"readOnly": false, "requestParameters": nil, "responseElements": nil,
	}
}

func resource(arn string) any {
	return []any{map[string]any{"accountId": local.Account, "type": "AWS::SecretsManager::Secret", "ARN": arn}}
}

// costOf is what a record says that the calls cost which a wire has counted.
func costOf(room *localtest.Room) map[string]any {
	calls, reads, writes := room.Wire.Took()
	data := map[string]any{}
	if reads+writes > 0 {
		data["dynamoDBUnits"] = reads + writes
	}
	inKMS := 0
	for call := range strings.FieldsSeq(calls) {
		if slices.Contains([]string{"GenerateDataKey", "Decrypt", "ReEncrypt"}, call) {
			inKMS++
		}
	}
	if inKMS > 0 {
		data["kmsCalls"] = float64(inKMS)
	}
	return data
}

// onRecord is what the record of each operation has of the request and of the answer;
// $ARN stands for that of the secret. A request has more members than may be recorded.
var onRecord = map[string]struct{ more, parameters, elements string }{
	"BatchGetSecretValue":          {``, `{"secretIdList":["s"]}`, ``},
	"CancelRotateSecret":           {``, `{"secretId":"s"}`, `{"arn":"$ARN","name":"s","versionId":"` + token("r1") + `"}`},
	"CreateSecret":                 {`"Description":"d","KmsKeyId":"alias/aws/secretsmanager","Tags":[{"Key":"k","Value":"v"},{"Key":"l"}]`, `{"name":"s","clientRequestToken":"` + token("n1") + `","description":"d","kmsKeyId":"alias/aws/secretsmanager","tags":[{"key":"k","value":"v"},{"key":"l"}]}`, `{"arn":"$ARN","name":"s","versionId":"` + token("n1") + `"}`},
	"DeleteResourcePolicy":         {``, `{"secretId":"s"}`, `{"arn":"$ARN","name":"s"}`},
	"DeleteSecret":                 {`"RecoveryWindowInDays":7`, `{"secretId":"s","recoveryWindowInDays":7}`, `{"arn":"$ARN","name":"s","deletionDate":1767830400}`},
	"DescribeSecret":               {``, `{"secretId":"s"}`, ``},
	"GetRandomPassword":            {`"PasswordLength":12,"ExcludeCharacters":"abc","IncludeSpace":true,"RequireEachIncludedType":false`, `{"passwordLength":12,"excludeCharacters":"abc","includeSpace":true,"requireEachIncludedType":false}`, ``},
	"GetResourcePolicy":            {``, `{"secretId":"s"}`, ``},
	"GetSecretValue":               {`"VersionStage":"AWSCURRENT"`, `{"secretId":"s","versionStage":"AWSCURRENT"}`, ``},
	"ListSecretVersionIds":         {`"MaxResults":5,"IncludeDeprecated":true`, `{"secretId":"s","maxResults":5,"includeDeprecated":true}`, ``},
	"ListSecrets":                  {`"Filters":[{"Key":"name","Values":["s","t"]}],"SortOrder":"asc"`, `{"filters":[{"key":"name","values":["s","t"]}],"sortOrder":"asc"}`, ``},
	"PutResourcePolicy":            {`"BlockPublicPolicy":false`, `{"secretId":"s","resourcePolicy":` + quoted(forAll) + `,"blockPublicPolicy":false}`, `{"arn":"$ARN","name":"s"}`},
	"PutSecretValue":               {`"VersionStages":["mine"],"RotationToken":"` + gone + gone + `"`, `{"secretId":"s","clientRequestToken":"` + token("p2") + `","versionStages":["mine"]}`, `{"arn":"$ARN","name":"s","versionId":"` + token("p2") + `","versionStages":["AWSPENDING","mine"]}`},
	"RemoveRegionsFromReplication": {``, `{"secretId":"s","removeReplicaRegions":["eu-west-1"]}`, `{"arn":"$ARN","replicationStatus":[]}`},
	"ReplicateSecretToRegions":     {`"ForceOverwriteReplicaSecret":true`, `{"secretId":"s","addReplicaRegions":[{"region":"eu-west-1"}],"forceOverwriteReplicaSecret":true}`, `{"arn":"$ARN","replicationStatus":[{"region":"eu-west-1","status":"InProgress"}]}`},
	"RestoreSecret":                {``, `{"secretId":"s"}`, `{"arn":"$ARN","name":"s"}`},
	"RotateSecret":                 {`"RotationRules":{"AutomaticallyAfterDays":9},"RotateImmediately":true,"SecretString":"ignored"`, `{"secretId":"s","clientRequestToken":"` + token("r2") + `","rotationLambdaARN":"` + function + `","rotationRules":{"automaticallyAfterDays":9},"rotateImmediately":true}`, `{"arn":"$ARN","name":"s","versionId":"` + token("r2") + `"}`},
	"StopReplicationToReplica":     {``, `{"secretId":"s"}`, `{"arn":"$ARN"}`},
	"TagResource":                  {``, `{"secretId":"s","tags":[{"key":"more","value":"v"}]}`, ``},
	"UntagResource":                {``, `{"secretId":"s","tagKeys":["more"]}`, ``},
	"UpdateSecret":                 {`"Description":"","Type":"t"`, `{"secretId":"s","clientRequestToken":"` + token("u2") + `","description":"","type":"t"}`, `{"arn":"$ARN","name":"s","versionId":"` + token("u2") + `"}`},
	"UpdateSecretVersionStage":     {``, `{"secretId":"s","versionStage":"mine","moveToVersionId":"` + token("v1") + `"}`, `{"arn":"$ARN","name":"s"}`},
	"ValidateResourcePolicy":       {``, `{"secretId":"s","resourcePolicy":` + quoted(oneRole) + `}`, ``},
}

// The record of every operation: all of its members.
func TestRecords(t *testing.T) {
	t.Parallel()
	for operation, right := range rights {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			on, ok := onRecord[operation]
			if !ok {
				t.Fatal("there is no record to compare with")
			}
			writer := localtest.New(t)
			withClock(writer, epoch)
			if right.subject != "Name" {
				right.make(t, writer, "s")
			}
			if operation == "PutSecretValue" { // by the function that has the lease
				runs(t, writer, "s", func(sec secret.Secret) (secret.Change, error) {
					sec.Stages = sec.Stages.Attach(secret.Pending, token("p2"))
					sec.Rotation.State = secret.Leased{Run: secret.Run{Version: token("p2")}, Runner: "me", Proof: secret.ProofOf(gone + gone), Until: epoch.Add(time.Hour)}
					return secret.Change{Secret: sec}, nil
				})
			}
			room, trail, _ := recorded(t, writer)
			withClock(room, epoch)
			room.Server.Policies = guarded(t, writer, alice, allowAll).Server.Policies
			body := right.request("s")
			if on.more != "" {
				body = strings.Replace(strings.TrimSuffix(body, "}")+","+on.more+"}", "{,", "{", 1)
			}
			answer := answerTo(room, newCall(t.Context(), operation, body), theID, alice)
			if answer.Code != http.StatusOK {
				t.Fatalf("got %d %s, want 200", answer.Code, answer.Body)
			}
			records := trail.took()
			want, data := aliceDid(operation), costOf(room)
			data["policyStatement"] = "policies.json: document 1, statement 1"
			want["additionalEventData"] = data
			arn := ""
			if right.subject != "" {
				arn = *describe(t, writer, "s").ARN
				want["resources"] = resource(arn)
			}
			want["requestParameters"] = object(t, on.parameters)
			if operation == "GetRandomPassword" || operation == "ListSecrets" {
				delete(data, "kmsCalls")
			}
			switch operation {
			case "BatchGetSecretValue", "DescribeSecret", "GetRandomPassword", "GetResourcePolicy", "GetSecretValue", "ListSecretVersionIds", "ListSecrets", "ValidateResourcePolicy":
				want["readOnly"] = true
			}
			if on.elements != "" {
				want["responseElements"] = object(t, strings.ReplaceAll(on.elements, "$ARN", arn))
				// They are the answer's.
				got := object(t, answer.Body.String())
				for name, value := range object(t, strings.ReplaceAll(on.elements, "$ARN", arn)) {
					answered := func(member string) bool { return strings.EqualFold(fmt.Sprint(value), fmt.Sprint(got[member])) }
					if title := strings.ToUpper(name[:1]) + name[1:]; !answered(title) && !answered(strings.ToUpper(name)) {
						t.Errorf("%s is recorded as %v, and answered %v", name, value, got[title])
					}
				}
			}
			if operation == "GetSecretValue" {
				data["versionId"] = token("v1")
			}
			more := 0
			switch operation {
			case "BatchGetSecretValue", "DeleteSecret", "RestoreSecret":
				more = 1
			}
			if len(records) != 1+more {
				t.Fatalf("got %d records, want %d", len(records), 1+more)
			}
			checkRecord(t, records[0], want)
		})
	}
}

// What is refused is recorded, too: why, and what was asked for as far as it is
// known. What is told of the inside is in the log alone.
func TestRecordsOfRefusals(t *testing.T) {
	t.Parallel()
	writer := localtest.New(t)
	arn := *create(t, writer, "s", "v1", "one").ARN
	create(t, writer, "deleted", "v1", "one")
	deletedARN := *describe(t, writer, "deleted").ARN
	schedule(t, writer, "deleted")
	createEmpty(t, writer, "kept")
	keptARN := *describe(t, writer, "kept").ARN
	putPolicy(t, writer, "kept", document(`{"Sid":"Keep","Effect":"Deny","Principal":{"AWS":"`+alice.ARN+`"},"Action":"*","Resource":"*"}`))
	put := func(members string) string { return `{"SecretId":"s",` + members + `}` }
	given := `"ClientRequestToken":"` + token("v2") + `","SecretString":"two"`
	allowed := "policies.json: document 1, statement 1"
	for _, test := range []struct {
		name, operation, body string
		want                  refusal
		parameters            string
		resource, statement   string
		prepare               func(*localtest.Room)
	}{
		{"denied", "TagResource", `{"SecretId":"s","Tags":[]}`, denied(alice, "TagResource", "s", policy.IdentityBased), `{"secretId":"s","tags":[]}`, arn, "", nil},
		{"denied by a statement", "DescribeSecret", `{"SecretId":"kept"}`, deniedBy(alice, "DescribeSecret", "kept", policy.ResourceBased), `{"secretId":"kept"}`, keptARN, `resource policy, statement 1 ("Keep")`, nil},
		{"denied, and not there", "TagResource", `{"SecretId":"none","Tags":[]}`, denied(alice, "TagResource", "none", policy.IdentityBased), `{"secretId":"none","tags":[]}`, "", "", nil},
		{"denied, about none", "GetRandomPassword", `{"PasswordLength":5}`, denied(alice, "GetRandomPassword", "", policy.IdentityBased), `{"passwordLength":5}`, "", "", nil},
		{"denied to create", "CreateSecret", `{"Name":"new","Tags":[{"Key":"k","Value":"v"}]}`, denied(alice, "TagResource", "new", policy.IdentityBased), `{"name":"new","tags":[{"key":"k","value":"v"}]}`, "", "", nil},
		{"not there", "DescribeSecret", `{"SecretId":"none"}`, notFound, `{"secretId":"none"}`, "", allowed, nil},
		{"taken", "CreateSecret", `{"Name":"s"}`, refusal{"ResourceExistsException", "The operation failed because the secret s already exists."}, `{"name":"s"}`, "", allowed, nil},
		{"state", "GetSecretValue", `{"SecretId":"deleted"}`, marked, `{"secretId":"deleted"}`, deletedARN, allowed, nil},
		{"no such version", "GetSecretValue", put(`"VersionStage":"none"`), noStage("none"), `{"secretId":"s","versionStage":"none"}`, arn, allowed, nil},
		{"token in use", "PutSecretValue", put(`"ClientRequestToken":"` + token("v1") + `","SecretString":"two"`), tokenInUse(token("v1"), arn), `{"secretId":"s","clientRequestToken":"` + token("v1") + `"}`, arn, allowed, nil},
		{"bad name", "DescribeSecret", `{"SecretId":"a b"}`, invalidName, `{"secretId":"a b"}`, "", "", nil},
		{"another account's", "DescribeSecret", `{"SecretId":"arn:aws:secretsmanager:us-east-1:123456789012:secret:s-a1b2c3"}`, notFound, `{"secretId":"arn:aws:secretsmanager:us-east-1:123456789012:secret:s-a1b2c3"}`, "", "", nil},
		{"no token", "PutSecretValue", put(`"SecretString":"two"`), noToken, `{"secretId":"s"}`, "", "", nil},
		{"violation", "PutSecretValue", put(`"ClientRequestToken":"short","SecretString":"two"`), violation("Value 'short' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32"), `{"secretId":"s","clientRequestToken":"short"}`, "", "", nil},
		{
			"sensitive violation", "PutSecretValue", put(`"ClientRequestToken":"` + token("v2") + `","SecretString":"","RotationToken":"*"`),
			refusal{"ValidationException", "3 validation errors detected: Value at 'secretString' failed to satisfy constraint: Member must have length greater than or equal to 1; Value at 'rotationToken' failed to satisfy constraint: Member must have length greater than or equal to 36; Value at 'rotationToken' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9\\-]+$"},
			`{"secretId":"s","clientRequestToken":"` + token("v2") + `"}`, "", "", nil,
		},
		{"wrong type", "PutSecretValue", `{"SecretId":"s","SecretString":["two"]}`, serialization("The value at 'secretString' is not a string."), `{"secretId":"s"}`, "", "", nil},
		{"no JSON", "PutSecretValue", `{"SecretId":"s","SecretString":"two`, notJSON, ``, "", "", nil},
		{"no body", "DescribeSecret", ``, nullAt("secretId"), ``, "", "", nil},
		{"too large", "PutSecretValue", put(`"SecretString":"` + strings.Repeat("x", 1<<20) + `"`), refusal{"RequestEntityTooLargeException", "The request is larger than 524288 bytes."}, ``, "", "", nil},
		{"unknown operation", "ExportSecrets", `{"SecretId":"s"}`, refusal{"UnknownOperationException", ""}, ``, "", "", nil},
		{"operation that cannot be", `<script>"`, `{}`, refusal{"UnknownOperationException", ""}, ``, "", "", nil},
		{"no operation", ``, `{}`, refusal{"UnknownOperationException", ""}, ``, "", "", nil},
		{"throttled", "DescribeSecret", `{"SecretId":"s"}`, rateExceeded, `{"secretId":"s"}`, "", "", func(room *localtest.Room) {
			room.Wire.Break("GetItem", many(localtest.Refuse(400, "ThrottlingException"))...)
		}},
		{"internal error", "PutSecretValue", put(given), serverFault, `{"secretId":"s","clientRequestToken":"` + token("v2") + `"}`, arn, allowed, func(room *localtest.Room) {
			room.Wire.Break("TransactWriteItems", many(localtest.Cut)...)
		}},
		{"KMS refuses", "PutSecretValue", put(given), noAccessToKMS, `{"secretId":"s","clientRequestToken":"` + token("v2") + `"}`, arn, allowed, func(room *localtest.Room) {
			room.Wire.Break("GenerateDataKey", localtest.Refuse(400, "AccessDeniedException"))
		}},
		{"panic", "PutSecretValue", put(given), serverFault, `{"secretId":"s","clientRequestToken":"` + token("v2") + `"}`, arn, allowed, func(room *localtest.Room) {
			room.Wire.Break("GenerateDataKey", func(*http.Request, func() (*http.Response, error)) (*http.Response, error) { panic("two") })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			room, trail, _ := recorded(t, writer)
			withClock(room, epoch)
			room.Server.Policies = guarded(t, writer, alice, allow("CreateSecret", "DescribeSecret", "GetSecretValue", "PutSecretValue")).Server.Policies
			if test.prepare != nil {
				test.prepare(room)
			}
			answer := answerTo(room, newCall(t.Context(), test.operation, test.body), theID, alice)
			operation := test.operation
			if operation == `<script>"` || operation == `` {
				operation = "UnknownOperation"
			}
			want := aliceDid(operation)
			want["errorCode"] = test.want.code
			if test.want.text != "" {
				want["errorMessage"] = test.want.text
			}
			if test.parameters != "" {
				want["requestParameters"] = object(t, test.parameters)
			}
			if test.resource != "" {
				want["resources"] = resource(test.resource)
			}
			switch operation {
			case "DescribeSecret", "GetSecretValue", "GetRandomPassword":
				want["readOnly"] = true
			}
			records := trail.took()
			if len(records) != 1 {
				t.Fatalf("got %d records, want 1", len(records))
			}
			// What tries cost that failed, only the SDK knows.
			data := costOf(room)
			if _, ok := data["kmsCalls"]; ok && test.prepare != nil {
				data["kmsCalls"] = 1.0
			}
			if test.statement != "" {
				data["policyStatement"] = test.statement
			}
			if test.name == "internal error" || test.name == "panic" {
				data["outcome"] = "unknown" // whether the value was put
			}
			if test.want.code == "AccessDeniedException" && test.name != "KMS refuses" {
				data["denialReason"] = denialReason(test.statement, "policies.json: document 1, statement 1 does not: the action")
			}
			if len(data) > 0 {
				want["additionalEventData"] = data
			}
			checkRecord(t, records[0], want)
			if !strings.Contains(answer.Body.String(), `"__type":"`+test.want.code+`"`) {
				t.Errorf("got answer %s, want %s", answer.Body, test.want.code)
			}
		})
	}
	// What is none of the protocol's is none of its calls.
	room, trail, _ := recorded(t, writer)
	call := newCall(t.Context(), "DescribeSecret", `{}`)
	call.Header.Set("Content-Type", "text/plain")
	if answer := answerTo(room, call, theID, alice); answer.Code != http.StatusNotFound || len(trail.took()) > 0 {
		t.Errorf("got status %d and a record, want 404 and none", answer.Code)
	}
}

// Each kind of caller is recorded as who they are.
func TestRecordsOfCallers(t *testing.T) {
	t.Parallel()
	room, trail, _ := recorded(t, localtest.New(t))
	for _, test := range []struct {
		caller policy.Caller
		want   string
	}{
		{stranger, `{"type":"IAMUser","principalId":"AIDABOB","arn":"` + stranger.ARN + `","accountId":"123456789012","userName":"bob"}`},
		{runner, `{"type":"AssumedRole","principalId":"AROARUNNER:i-0abc","arn":"` + runner.ARN + `","accountId":"` + local.Account + `","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROARUNNER","arn":"arn:aws:iam::` + local.Account + `:role/runner","accountId":"` + local.Account + `","userName":"runner"}}}`},
		{policy.Caller{}, `{"type":"Unknown"}`},
	} {
		answerTo(room, newCall(t.Context(), "DescribeSecret", `{"SecretId":"s"}`), theID, test.caller)
		records := trail.took()
		if len(records) != 1 {
			t.Fatalf("got %d records, want 1", len(records))
		}
		if got, want := object(t, records[0].UserIdentity), object(t, test.want); !reflect.DeepEqual(got, want) {
			t.Errorf("got identity %v, want %v", got, want)
		}
	}
}

// A batch leaves a record of its own, and one as of GetSecretValue for each secret.
func TestRecordsOfBatch(t *testing.T) {
	t.Parallel()
	writer := localtest.New(t)
	clock := withClock(writer, epoch)
	arns := map[string]string{}
	for _, name := range []string{"mine", "theirs", "kept"} {
		create(t, writer, name, "v1", name)
		clock.now = clock.now.Add(time.Second) // the filter lists them in this order
		arns[name] = *describe(t, writer, name).ARN
	}
	put(t, writer, "mine", "v2", "two")
	createEmpty(t, writer, "empty")
	arns["empty"] = *describe(t, writer, "empty").ARN
	for _, name := range []string{"mine", "empty"} {
		putPolicy(t, writer, name, document(to(allow("GetSecretValue"), alice.ARN)))
	}
	putPolicy(t, writer, "kept", document(deny(to(allow("GetSecretValue"), alice.ARN))))
	room, trail, _ := recorded(t, writer)
	withClock(room, epoch)
	room.Server.Policies = guarded(t, writer, alice, allow("BatchGetSecretValue", "ListSecrets"),
		strings.Replace(allow("GetSecretValue"), `"Resource":"*"`, `"Resource":"`+localtest.ARNs.Of("kept", "*")+`"`, 1), allow("DescribeSecret")).Server.Policies
	type read struct {
		id, arn, version, statement string
		refused                     refusal
	}
	granted := "resource policy, statement 1"
	byID := []read{
		{"mine", arns["mine"], token("v2"), granted, refusal{}},
		{arns["theirs"], arns["theirs"], "", "", denied(alice, "GetSecretValue", arns["theirs"], policy.IdentityBased)},
		{"kept", arns["kept"], "", granted, deniedBy(alice, "GetSecretValue", "kept", policy.ResourceBased)},
		{"empty", arns["empty"], "", granted, noStage("AWSCURRENT")},
		{"none", "", "", "", denied(alice, "GetSecretValue", "none", policy.IdentityBased)},
		{"a b", "", "", "", invalidName},
		{"mine", arns["mine"], token("v2"), granted, refusal{}},
	}
	var ids []string
	for _, r := range byID {
		ids = append(ids, quoted(r.id))
	}
	byFilter := []read{
		{arns["mine"], arns["mine"], token("v2"), granted, refusal{}},
		{arns["theirs"], arns["theirs"], "", "", denied(alice, "GetSecretValue", arns["theirs"], policy.IdentityBased)},
		{arns["kept"], arns["kept"], "", granted, deniedBy(alice, "GetSecretValue", arns["kept"], policy.ResourceBased)},
		{arns["empty"], arns["empty"], "", granted, noStage("AWSCURRENT")},
	}
	for _, test := range []struct {
		body, parameters string
		want             []read
	}{
		{`{"SecretIdList":[` + strings.Join(ids, ",") + `]}`, `{"secretIdList":[` + strings.Join(ids, ",") + `]}`, byID},
		{`{"Filters":[{"Key":"name","Values":["m","t","k","e"]}]}`, `{"filters":[{"key":"name","values":["m","t","k","e"]}]}`, byFilter},
	} {
		room.Wire.Took()
		answer := answerTo(room, newCall(t.Context(), "BatchGetSecretValue", test.body), theID, alice)
		if answer.Code != http.StatusOK {
			t.Fatalf("got %d %s, want 200", answer.Code, answer.Body)
		}
		records := trail.took()
		if len(records) != 1+len(test.want) {
			t.Fatalf("got %d records, want %d", len(records), 1+len(test.want))
		}
		whole := aliceDid("BatchGetSecretValue")
		whole["readOnly"], whole["requestParameters"] = true, object(t, test.parameters)
		data := costOf(room)
		data["policyStatement"] = "policies.json: document 1, statement 1"
		whole["additionalEventData"] = data
		checkRecord(t, records[0], whole)
		for i, r := range test.want {
			want := aliceDid("GetSecretValue")
			want["readOnly"], want["requestParameters"] = true, map[string]any{"secretId": r.id}
			if r.arn != "" {
				want["resources"] = resource(r.arn)
			}
			if r.refused != (refusal{}) {
				want["errorCode"], want["errorMessage"] = r.refused.code, r.refused.text
			}
			data := map[string]any{}
			if r.version != "" {
				data["versionId"] = r.version
			}
			if r.statement != "" {
				data["policyStatement"] = r.statement
			}
			if r.refused.code == "AccessDeniedException" {
				data["denialReason"] = denialReason(r.statement, "policies.json: document 1, statement 1 does not: the action; "+
					"policies.json: document 1, statement 2 does not: the resource; policies.json: document 1, statement 3 does not: the action")
			}
			if len(data) > 0 {
				want["additionalEventData"] = data
			}
			checkRecord(t, records[1+i], want)
		}
	}
}

// denialReason is what the record of a denied call says: the statement that denies it,
// or those that come nearest to allowing it.
func denialReason(statement, nearest string) string {
	if statement != "" {
		return "denied by " + statement
	}
	return "no identity-based policy allows it; " + nearest + "; there is no resource policy"
}

// A caller who makes another version the current one while a rotation is under way ends
// it, which is an event of its own; the function that rotates does not.
func TestRecordsOfAbandonedRotation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, operation, body string
		abandoned             bool
	}{
		{"put", "PutSecretValue", `{"SecretId":"s","SecretString":"x","ClientRequestToken":"` + token("v3") + `"}`, true},
		{"update", "UpdateSecret", `{"SecretId":"s","SecretString":"x","ClientRequestToken":"` + token("v3") + `"}`, true},
		{"label taken off", "UpdateSecretVersionStage", `{"SecretId":"s","VersionStage":"AWSPENDING","RemoveFromVersionId":"` + token("v2") + `"}`, true},
		{"put of the rotation", "PutSecretValue", `{"SecretId":"s","SecretString":"x","ClientRequestToken":"` + token("v2") + `","VersionStages":["AWSPENDING"],"RotationToken":"` + gone + gone + `"}`, false},
		{"put under another label", "PutSecretValue", `{"SecretId":"s","SecretString":"x","ClientRequestToken":"` + token("v3") + `","VersionStages":["mine"]}`, false},
		{"tags", "TagResource", `{"SecretId":"s","Tags":[{"Key":"k","Value":"v"}]}`, false},
		{"cancelled", "CancelRotateSecret", `{"SecretId":"s"}`, false},
		{"refused", "PutSecretValue", `{"SecretId":"s","SecretString":"x","ClientRequestToken":"` + token("v1") + `"}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			writer := localtest.New(t)
			arn := *create(t, writer, "s", "v1", "one").ARN
			leaseRotation(t, writer, "s", gone+gone, time.Now().Add(time.Hour))
			room, trail, _ := recorded(t, writer)
			at := time.Now().UTC().Truncate(time.Second)
			withClock(room, at)
			answer := answerTo(room, newCall(t.Context(), test.operation, test.body), theID, alice)
			records := trail.took()
			if len(records) == 0 || records[0].EventName != test.operation {
				t.Fatalf("got %d %s and records %v, want one of the call first", answer.Code, answer.Body, records)
			}
			if (len(records) == 2) != test.abandoned {
				t.Fatalf("got %d records after %d %s, want an event: %v", len(records), answer.Code, answer.Body, test.abandoned)
			}
			if !test.abandoned {
				return
			}
			checkRecord(t, records[1], map[string]any{
				"eventVersion": "1.11", "eventTime": at.Format(time.RFC3339), "eventSource": "secretsmanager.amazonaws.com", "eventName": "RotationAbandoned",
				"awsRegion": local.Region, "recipientAccountId": local.Account, "eventType": "AwsServiceEvent", "managementEvent": true, "eventCategory": "Management",
				"userIdentity":    map[string]any{"accountId": local.Account, "invokedBy": "secretsmanager.amazonaws.com"},
				"sourceIPAddress": "secretsmanager.amazonaws.com", "userAgent": "secretsmanager.amazonaws.com",
				"readOnly": false, "requestParameters": nil, "responseElements": nil, "additionalEventData": map[string]any{"SecretId": arn},
			})
		})
	}
}

// A deletion begins for each version with a label when the secret is deleted, and is taken
// back when it is restored.
func TestRecordsOfDeletion(t *testing.T) {
	t.Parallel()
	writer := localtest.New(t)
	arn := *create(t, writer, "s", "v1", "one").ARN
	for _, v := range []string{"v2", "v3"} {
		put(t, writer, "s", v, v)
	}
	put(t, writer, "s", "v4", "four", "mine")
	room, trail, _ := recorded(t, writer)
	labelled := []string{token("v2"), token("v3"), token("v4")}
	for _, test := range []struct {
		name, operation, body string
		event                 string
		versions              []string
	}{
		{"restored, and not deleted", "RestoreSecret", `{"SecretId":"s"}`, "", nil},
		{"deleted", "DeleteSecret", `{"SecretId":"s"}`, "StartSecretVersionDelete", labelled},
		{"deleted again", "DeleteSecret", `{"SecretId":"s"}`, "", nil},
		{"restored", "RestoreSecret", `{"SecretId":"s"}`, "CancelSecretVersionDelete", labelled},
		{"restored again", "RestoreSecret", `{"SecretId":"s"}`, "", nil},
		{"deleted at once", "DeleteSecret", `{"SecretId":"s","ForceDeleteWithoutRecovery":true}`, "StartSecretVersionDelete", labelled},
		{"not there", "DeleteSecret", `{"SecretId":"s","ForceDeleteWithoutRecovery":true}`, "", nil},
	} {
		answerTo(room, newCall(t.Context(), test.operation, test.body), theID, alice)
		records := trail.took()
		if len(records) == 0 || records[0].EventName != test.operation {
			t.Fatalf("%s: got records %v, want one of the call first", test.name, records)
		}
		var versions []string
		for _, r := range records[1:] {
			if r.EventName != test.event || r.EventType != "AwsServiceEvent" || r.AdditionalEventData["SecretId"] != arn {
				t.Errorf("%s: got %+v, want %s of %s", test.name, r, test.event, arn)
			}
			versions = append(versions, r.AdditionalEventData["SecretVersionId"].(string))
		}
		if !slices.Equal(versions, test.versions) {
			t.Errorf("%s: got %s of %v, want %v", test.name, test.event, versions, test.versions)
		}
	}
}

// The function that rotates makes its version current and does not abandon anything.
func TestRecordsOfFinishedRotation(t *testing.T) {
	t.Parallel()
	writer := localtest.New(t)
	create(t, writer, "s", "v1", "one")
	leaseRotation(t, writer, "s", gone+gone, time.Now().Add(time.Hour))
	room, trail, _ := recorded(t, writer)
	for _, call := range []struct{ operation, body string }{
		{"PutSecretValue", `{"SecretId":"s","SecretString":"x","ClientRequestToken":"` + token("v2") + `","VersionStages":["AWSPENDING"],"RotationToken":"` + gone + gone + `"}`},
		{"UpdateSecretVersionStage", `{"SecretId":"s","VersionStage":"AWSCURRENT","RemoveFromVersionId":"` + token("v1") + `","MoveToVersionId":"` + token("v2") + `"}`},
	} {
		if answer := answerTo(room, newCall(t.Context(), call.operation, call.body), theID, runner); answer.Code != http.StatusOK {
			t.Fatalf("got %d %s, want 200", answer.Code, answer.Body)
		}
		if records := trail.took(); len(records) != 1 {
			t.Errorf("%s: got %d records, want one", call.operation, len(records))
		}
	}
}

// The record is kept before the call is answered: while the trail waits, so does the
// caller.
func TestRecordComesBeforeAnswer(t *testing.T) {
	t.Parallel()
	writer := localtest.New(t)
	create(t, writer, "s", "v1", "one")
	room, trail, _ := recorded(t, writer)
	for operation, body := range map[string]string{
		"PutSecretValue": `{"SecretId":"s","SecretString":"two","ClientRequestToken":"` + token("v2") + `"}`,
		"GetSecretValue": `{"SecretId":"s"}`,
		"TagResource":    `{"SecretId":"none","Tags":[]}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			asked, kept := make(chan []audit.Record), make(chan struct{})
			trail.keep = func(_ context.Context, records []audit.Record) error {
				asked <- records
				<-kept
				return nil
			}
			written := httptest.NewRecorder()
			done := make(chan struct{})
			go func() {
				defer close(done)
				room.Server.Answer(written, newCall(t.Context(), operation, body), theID, alice)
			}()
			if records := <-asked; len(records) != 1 || records[0].EventName != operation {
				t.Errorf("got records %v, want one of %s", records, operation)
			}
			synctest.Wait() // until all that can be done is done
			if written.Body.Len() > 0 || len(written.Header()) > 0 {
				t.Errorf("%s: got an answer before the record was kept", operation)
			}
			close(kept)
			<-done
			if written.Body.Len() == 0 || len(trail.took()) != 1 {
				t.Errorf("%s: got answer %s, want one, and a record", operation, written.Body)
			}
		})
	}
}

// A call whose record cannot be kept fails where records are required: nothing of the
// answer goes out. Elsewhere it is answered. Either way the log says what happened.
func TestRecordCannotBeKept(t *testing.T) {
	t.Parallel()
	const fault = `{"__type":"InternalServiceError","Message":"An error occurred on the server side."}`
	for _, cause := range []struct {
		name string
		keep func() error
		log  string
		// answer is what a caller gets where records are required.
		answer string
		status int
	}{
		{"error", func() error { return errors.New("the disk is full") }, "the disk is full", fault, 500},
		{"deadline", func() error { return context.DeadlineExceeded }, "context deadline exceeded", fault, 500},
		{"throttled", func() error {
			return fmt.Errorf("put records: %w", &smithy.GenericAPIError{Code: "ThrottlingException", Message: "slow down"})
		}, "slow down", `{"__type":"ThrottlingException","message":"Rate exceeded"}`, 400},
		{"panic", func() error { panic("what was kept") }, "panic: string", fault, 500},
	} {
		for _, required := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, required %v", cause.name, required), func(t *testing.T) {
				t.Parallel()
				writer := localtest.New(t)
				create(t, writer, "s", "v1", "one")
				room, trail, log := recorded(t, writer)
				room.Server.AuditRequired = required
				trail.keep = func(context.Context, []audit.Record) error { return cause.keep() }
				for _, test := range []struct{ operation, body, want string }{
					{"GetSecretValue", `{"SecretId":"s"}`, `"SecretString":"one"`},
					{"PutSecretValue", `{"SecretId":"s","SecretString":"two","ClientRequestToken":"` + token("v2") + `"}`, token("v2")},
					{"DescribeSecret", `{"SecretId":"none"}`, "ResourceNotFoundException"},
					{"BatchGetSecretValue", `{"SecretIdList":["s"]}`, `"SecretString":"two"`},
				} {
					log.Reset()
					answer := answerTo(room, newCall(t.Context(), test.operation, test.body), theID, alice)
					if got := answer.Body.String(); required && (got != cause.answer || answer.Code != cause.status) {
						t.Errorf("%s: got %d %s, want %d %s", test.operation, answer.Code, got, cause.status, cause.answer)
					} else if !required && !strings.Contains(got, test.want) {
						t.Errorf("%s: got %d %s, want %s in it", test.operation, answer.Code, got, test.want)
					}
					level := "ERROR"
					if required && cause.status == http.StatusBadRequest {
						level = "WARN"
					}
					for _, want := range []string{cause.log, "the audit record is not kept", `"level":"` + level + `"`, `"request":"` + theID + `"`} {
						if got := log.String(); !strings.Contains(got, want) {
							t.Errorf("%s: got log %s, want %s in it", test.operation, got, want)
						}
					}
					if got := log.String(); strings.Contains(got, "what was kept") {
						t.Errorf("%s: got log %s with the text of the panic", test.operation, got)
					}
				}
			})
		}
	}
}

// What went wrong in a call is not lost when its record is.
func TestRecordOfFaultCannotBeKept(t *testing.T) {
	t.Parallel()
	writer := localtest.New(t)
	create(t, writer, "s", "v1", "one")
	room, trail, log := recorded(t, writer)
	trail.keep = func(context.Context, []audit.Record) error { return errors.New("the disk is full") }
	room.Wire.Break("GetItem", many(localtest.Cut)...)
	answer := answerTo(room, newCall(t.Context(), "DescribeSecret", `{"SecretId":"s"}`), theID, alice)
	if answer.Code != http.StatusInternalServerError {
		t.Errorf("got %d %s, want 500", answer.Code, answer.Body)
	}
	for _, want := range []string{"the disk is full", "connection cut by the test"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("got log %s, want %s in it", log, want)
		}
	}
}

// What is answered as too much at once is told of in the log.
func TestThrottlingIsLogged(t *testing.T) {
	t.Parallel()
	room, log := logged(t, localtest.New(t))
	room.Wire.Break("GetItem", many(localtest.Refuse(400, "ProvisionedThroughputExceededException"))...)
	if answer := serve(room, "DescribeSecret", `{"SecretId":"s"}`); answer.Code != http.StatusBadRequest {
		t.Errorf("got %d %s, want 400", answer.Code, answer.Body)
	}
	if !strings.Contains(log.String(), "ProvisionedThroughputExceededException") {
		t.Errorf("got log %s, want the cause in it", log)
	}
}

// The record of a change that was made is kept when its caller has gone meanwhile,
// and the trail has time for it.
func TestRecordOfCallerGone(t *testing.T) {
	t.Parallel()
	writer := localtest.New(t)
	create(t, writer, "s", "v1", "one")
	room, trail, _ := recorded(t, writer)
	ctx, cancel := context.WithCancel(t.Context())
	room.Wire.Break("TransactWriteItems", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		defer cancel()
		return do()
	})
	trail.keep = func(ctx context.Context, _ []audit.Record) error {
		deadline, ok := ctx.Deadline()
		if left := time.Until(deadline); !ok || left <= 0 || left > 10*time.Second {
			t.Errorf("got a deadline in %v, want one soon", left)
		}
		return ctx.Err()
	}
	answerTo(room, newCall(ctx, "PutSecretValue", `{"SecretId":"s","SecretString":"two","ClientRequestToken":"`+token("v2")+`"}`), theID, alice)
	records := trail.took()
	if len(records) != 1 || records[0].ErrorCode != "" || records[0].RequestParameters["clientRequestToken"] != token("v2") {
		t.Errorf("got records %v, want that of the put", records)
	}
	if got := must(writer.Store.Get(t.Context(), secret.ID{Name: "s"}))(t).Stages[secret.Current]; got != token("v2") {
		t.Errorf("got current version %s, want the one that was put", short(got))
	}
}

// A repeat of a request to create is recorded under the ARN that the secret has.
func TestRecordOfCreateAgain(t *testing.T) {
	t.Parallel()
	writer := localtest.New(t)
	arn := *create(t, writer, "s", "v1", "one").ARN
	room, trail, _ := recorded(t, writer)
	answer := answerTo(room, newCall(t.Context(), "CreateSecret", `{"Name":"s","SecretString":"one","ClientRequestToken":"`+token("v1")+`"}`), theID, alice)
	records := trail.took()
	if answer.Code != http.StatusOK || len(records) != 1 || len(records[0].Resources) != 1 || records[0].Resources[0].ARN != arn || records[0].ResponseElements["arn"] != arn {
		t.Errorf("got %d %s and records %+v, want the ARN %s", answer.Code, answer.Body, records, arn)
	}
}

// Records are whole lines of JSON, whatever is in a request.
func TestRecordsAreLines(t *testing.T) {
	t.Parallel()
	writer := localtest.New(t)
	var lines bytes.Buffer
	room := writer.Another(t)
	room.Server.Trail, room.Server.AuditRequired, room.Server.Log = audit.Lines(&lines), true, slog.New(slog.DiscardHandler)
	calls := []struct{ operation, body string }{
		{"DescribeSecret", `{"SecretId":"a\nb\u2028<&>\u0000"}`},
		{"DescribeSecret\n{}", `{}`},
		{"CreateSecret", `{"Name":"` + strings.Repeat("n", 600_000) + `"}`},
		{"TagResource", `{"SecretId":"s","Tags":[` + strings.Repeat(`{"Key":"\n","Value":"\u2028"},`, 30_000) + `{}]}`},
		{"GetRandomPassword", `{"PasswordLength":-1}`},
	}
	for _, c := range calls {
		answerTo(room, newCall(t.Context(), c.operation, c.body), theID, alice)
	}
	got := strings.Split(strings.TrimSuffix(lines.String(), "\n"), "\n")
	if len(got) != len(calls) {
		t.Errorf("got %d lines, want %d", len(got), len(calls))
	}
	for _, line := range got {
		if len(line) > 256*1024 || object(t, line)["requestID"] != theID {
			t.Errorf("got a line of %d bytes: %.200s", len(line), line)
		}
	}
}

// Values that are far too long are in neither the answer nor the log, however many they
// are: each place would hold a copy.
func TestLongValuesAreNotQuoted(t *testing.T) {
	t.Parallel()
	room, _, log := recorded(t, localtest.New(t))
	long := strings.Repeat("x", 4_000)
	values := `{"Key":"name","Values":[` + strings.TrimSuffix(strings.Repeat(`"`+long+`",`, 10), ",") + `]}`
	for operation, body := range map[string]string{
		"CreateSecret": `{"Name":"` + strings.Repeat(long, 100) + `","SecretString":"v"}`,
		"ListSecrets":  `{"Filters":[` + strings.TrimSuffix(strings.Repeat(values+",", 10), ",") + `]}`,
	} {
		log.Reset()
		answer := answerTo(room, newCall(t.Context(), operation, body), theID, alice)
		if answer.Code != http.StatusBadRequest || answer.Body.Len() > 50_000 || !strings.Contains(answer.Body.String(), "Value at '") {
			t.Errorf("%s: got %d with %d bytes: %.200s", operation, answer.Code, answer.Body.Len(), answer.Body)
		}
		if log.Len() > 5_000 {
			t.Errorf("%s: the log has %d bytes: %.200s", operation, log.Len(), log)
		}
	}
}
