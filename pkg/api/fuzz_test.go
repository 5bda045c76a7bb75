package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// fuzzed are the operations that bodies are made up for.
var fuzzed = []string{
	"CancelRotateSecret", "CreateSecret", "DeleteSecret", "DescribeSecret", "GetSecretValue",
	"ListSecretVersionIds", "PutSecretValue", "RestoreSecret", "RotateSecret", "UpdateSecretVersionStage",
}

// FuzzRequests sends any body to any operation: the answer is 200 or a refusal, it
// is JSON, and a refusal wrote nothing.
func FuzzRequests(f *testing.F) {
	v1, v2, v3 := token("v1"), token("v2"), token("v3")
	for i := range fuzzed {
		for _, body := range []string{
			``, `{}`, `null`, `[]`, `{"SecretId":"s"}`, `{"Name":"s"}`, `{"Name":"n"}`, `{"SecretId":null}`,
			`{"SecretId":"` + localtest.ARNs.Of("s", "abcdef") + `"}`,
			`{"SecretId":"` + strings.TrimSuffix(localtest.ARNs.Of("s", ""), "-") + `"}`,
			`{"SecretId":"s","VersionId":"` + v1 + `","VersionStage":"AWSCURRENT"}`,
			`{"SecretId":"s","MaxResults":1,"NextToken":"AAAA","IncludeDeprecated":true}`,
			`{"SecretId":"s","RecoveryWindowInDays":7,"ForceDeleteWithoutRecovery":false}`,
			`{"SecretId":"s","ForceDeleteWithoutRecovery":true}`,
			`{"SecretId":"s","VersionStage":"mine","MoveToVersionId":"` + v2 + `"}`,
			`{"SecretId":"s","VersionStage":"AWSCURRENT","RemoveFromVersionId":"` + v2 + `","MoveToVersionId":"` + v1 + `"}`,
			`{"SecretId":"s","ClientRequestToken":"` + v3 + `","SecretString":"\ud83d\ude00\u0000","VersionStages":["mine","AWSPENDING"]}`,
			`{"SecretId":"s","ClientRequestToken":"` + v2 + `","SecretBinary":"AP8="}`,
			`{"SecretId":"s","ClientRequestToken":"` + v3 + `","RotationLambdaARN":"f","RotationRules":{"ScheduleExpression":"cron(0 8 ? * MON#1 *)","Duration":"4h"}}`,
			`{"SecretId":"s","ClientRequestToken":"` + v3 + `","RotationLambdaARN":"f","RotationRules":{"AutomaticallyAfterDays":30},"RotateImmediately":false}`,
			`{"SecretId":"r","ClientRequestToken":"` + v3 + `"}`, `{"SecretId":"r"}`,
			`{"SecretId":"r","ClientRequestToken":"` + v2 + `","SecretString":"two","VersionStages":["AWSPENDING"],"RotationToken":"` + v1 + v1 + `"}`,
			`{"Name":"n","ClientRequestToken":"` + v1 + `","SecretString":"x","Description":"d","KmsKeyId":"alias/aws/secretsmanager","Tags":[{"Key":"k","Value":"v"}],"Type":"t"}`,
		} {
			f.Add(uint8(i), body)
		}
	}
	room, log := logged(f, localtest.New(f))
	prepare := func() {
		serve(room, "DeleteSecret", `{"SecretId":"s","ForceDeleteWithoutRecovery":true}`)
		serve(room, "CreateSecret", `{"Name":"s","ClientRequestToken":"`+v1+`","SecretString":"one"}`)
		serve(room, "PutSecretValue", `{"SecretId":"s","ClientRequestToken":"`+v2+`","SecretString":"two"}`)
		serve(room, "CreateSecret", `{"Name":"r","ClientRequestToken":"`+v1+`","SecretString":"one"}`)
		serve(room, "RotateSecret", `{"SecretId":"r","ClientRequestToken":"`+v2+`","RotationLambdaARN":"f"}`)
	}
	prepare()
	f.Fuzz(func(t *testing.T, operation uint8, body string) {
		name := fuzzed[int(operation)%len(fuzzed)]
		took(room)
		log.Reset()
		answer := serve(room, name, body)
		cost := took(room)
		var members map[string]any
		if err := json.Unmarshal(answer.Body.Bytes(), &members); err != nil {
			t.Errorf("%s %q: got %s, which is not JSON", name, body, answer.Body)
		}
		switch answer.Code {
		case http.StatusOK:
			if name == "DeleteSecret" {
				prepare() // so that the next calls find something
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			if cost.writes != 0 && members["Message"] != incomplete.text { // which tries the rotation again
				t.Errorf("%s %q: got %s and %v units written, want nothing written", name, body, answer.Body, cost.writes)
			}
			if members["__type"] == nil {
				t.Errorf("%s %q: got %s, want a __type in it", name, body, answer.Body)
			}
		default:
			t.Errorf("%s %q: got status %d and %s, log %s", name, body, answer.Code, answer.Body, log)
		}
	})
}
