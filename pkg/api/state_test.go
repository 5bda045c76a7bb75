package api_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// A call is an operation on a secret: what the request says besides SecretId, and
// the refusals of it when the secret is scheduled for deletion, when the version
// that it names is gone (or it names none), and when there is no such secret. An
// empty one stands for an answer.
type call struct {
	members                string
	deleted, gone, unknown refusal
}

// onReplica is the refusal of every change of a replica.
var onReplica = refusal{"InvalidParameterException", "Operation not permitted on a replica secret. Call must be made in primary secret's region."}

// onReplicas are the operations on one secret that a replica answers, too.
var onReplicas = []string{"DescribeSecret", "GetResourcePolicy", "GetSecretValue", "ListSecretVersionIds", "StopReplicationToReplica", "ValidateResourcePolicy"}

var gone = strings.Repeat("f", 32)

// onOneSecret are all operations on one secret, some in more than one way.
var onOneSecret = map[string]call{
	"CancelRotateSecret":           {``, marked, noFunction, notFound},
	"DeleteResourcePolicy":         {``, marked, refusal{}, notFound},
	"DeleteSecret":                 {``, refusal{"InvalidRequestException", "You can't perform this operation on the secret because it was already scheduled for deletion."}, refusal{}, notFound},
	"DeleteSecret (forced)":        {`"ForceDeleteWithoutRecovery":true`, refusal{}, refusal{}, refusal{}},
	"DescribeSecret":               {``, refusal{}, refusal{}, notFound},
	"GetResourcePolicy":            {``, marked, refusal{}, notFound},
	"GetSecretValue":               {``, marked, refusal{}, notFound},
	"GetSecretValue (ID)":          {`"VersionId":"` + gone + `"`, marked, refusal{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: " + gone}, notFound},
	"GetSecretValue (label)":       {`"VersionStage":"mine"`, marked, noStage("mine"), notFound},
	"GetSecretValue (both)":        {`"VersionStage":"AWSCURRENT","VersionId":"` + gone + `"`, marked, refusal{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: " + gone}, notFound},
	"ListSecretVersionIds":         {``, refusal{}, refusal{}, notFound},
	"PutResourcePolicy":            {`"ResourcePolicy":` + quoted(oneRole), marked, refusal{}, notFound},
	"PutSecretValue":               {`"SecretString":"two","ClientRequestToken":"` + gone + `"`, marked, refusal{}, notFound},
	"RemoveRegionsFromReplication": {`"RemoveReplicaRegions":["eu-west-1"]`, marked, refusal{}, notFound},
	"ReplicateSecretToRegions":     {`"AddReplicaRegions":[{"Region":"eu-west-1"}]`, marked, refusal{}, notFound},
	"RestoreSecret":                {``, refusal{}, refusal{}, notFound},
	"RotateSecret":                 {`"RotationLambdaARN":"f","ClientRequestToken":"` + gone + `"`, marked, refusal{}, notFound},
	"RotateSecret (test)":          {`"RotationLambdaARN":"f","RotateImmediately":false,"ClientRequestToken":"` + gone + `"`, marked, refusal{}, notFound},
	"RotateSecret (stored)":        {`"ClientRequestToken":"` + gone + `"`, marked, noFunction, notFound},
	"StopReplicationToReplica":     {``, noReplica, noReplica, notFound},
	"TagResource":                  {`"Tags":[{"Key":"k","Value":"v"}]`, marked, refusal{}, notFound},
	"UntagResource":                {`"TagKeys":["k"]`, marked, refusal{}, notFound},
	"UpdateSecret":                 {`"Description":"d"`, marked, refusal{}, notFound},
	"UpdateSecret (nothing)":       {``, marked, refusal{}, notFound},
	"UpdateSecret (value)":         {`"SecretString":"two","ClientRequestToken":"` + gone + `"`, marked, refusal{}, notFound},
	"UpdateSecretVersionStage": {
		`"VersionStage":"mine","MoveToVersionId":"` + gone + `"`, marked,
		refusal{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: " + gone},
		notFound,
	},
	"UpdateSecretVersionStage (off)": {
		`"VersionStage":"mine","RemoveFromVersionId":"` + gone + `"`, marked,
		refusal{"InvalidParameterException", "When you move staging label mine, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label mine."},
		notFound,
	},
	"ValidateResourcePolicy": {`"ResourcePolicy":` + quoted(oneRole), marked, refusal{}, notFound},
}

// noReplica is the refusal to promote what is not a replica.
var noReplica = refusal{"InvalidRequestException", "You can't stop replication of a secret that is not a replica."}

// A replica is read as any other secret, and refuses every change but its promotion, also
// those that would change nothing. It is no secret of its own to CreateSecret.
func TestReplicaRefusesChanges(t *testing.T) {
	t.Parallel()
	for name, call := range onOneSecret {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			operation, _, _ := strings.Cut(name, " ")
			room := localtest.New(t)
			create(t, room, "s", "v1", "one")
			makeReplica(t, room, "s")
			body := `{"SecretId":"s"` + strings.TrimSuffix(","+call.members, ",") + `}`
			if slices.Contains(onReplicas, operation) {
				if answer, text := room.Post(t, operation, body); call.gone == (refusal{}) && answer.StatusCode != http.StatusOK {
					t.Errorf("got %d %s, want 200", answer.StatusCode, text)
				}
				return
			}
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				refusesPost(t, room, operation, body, onReplica)
			}
		})
	}
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	makeReplica(t, room, "s")
	again := `{"Name":"s","SecretString":"one","ClientRequestToken":"` + token("v1") + `"}`
	refusesPost(t, room, "CreateSecret", again, refusal{"ResourceExistsException", "The operation failed because the secret s already exists."})
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Every operation on a secret that is unknown, badly named or scheduled for
// deletion, and on a version that is not there.
func TestStates(t *testing.T) {
	t.Parallel()
	for name, call := range onOneSecret {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			operation, _, _ := strings.Cut(name, " ")
			writer := localtest.New(t)
			arn := *create(t, writer, "live", "v1", "one").ARN
			create(t, writer, "deleted", "v1", "one")
			schedule(t, writer, "deleted")
			for _, test := range []struct {
				state, id string
				want      refusal
			}{
				{"unknown", "none", call.unknown},
				{"unknown, by ARN", localtest.ARNs.Of("none", "a1b2c3"), call.unknown},
				{"another suffix", arn[:len(arn)-6] + "a1b2c3", call.unknown},
				{"badly named", "a b", invalidName},
				{"not named", "", violation("Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1")},
				{"version gone", "live", call.gone},
				{"scheduled for deletion", "deleted", call.deleted},
			} {
				body := `{"SecretId":` + quoted(test.id) + strings.TrimSuffix(","+call.members, ",") + `}`
				if test.want == (refusal{}) {
					if answer, text := writer.Post(t, operation, body); answer.StatusCode != http.StatusOK {
						t.Errorf("%s: got %d %s, want 200", test.state, answer.StatusCode, text)
					}
					continue
				}
				// Once as the process knows the secret, once as it does not.
				for _, room := range []*localtest.Room{writer, writer.Another(t)} {
					if refusesPost(t, room, operation, body, test.want); t.Failed() {
						t.Fatalf("%s: %s", test.state, body)
					}
				}
			}
		})
	}
}

// The table has every operation of the SDK that takes a SecretId and is answered.
func TestStatesHaveAllOperations(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	var want []string
	for name, input := range sdkOperations() {
		if _, ok := input.FieldByName("SecretId"); ok && isAnswered(t, room, name) {
			want = append(want, name)
		}
	}
	var got []string
	for name := range maps.Keys(onOneSecret) {
		operation, _, _ := strings.Cut(name, " ")
		got = append(got, operation)
	}
	checkNames(t, "operations with a SecretId", slices.Compact(sorted(got)), sorted(want)...)
}

// sdkOperations are the operations of the SDK's client, with their inputs.
func sdkOperations() map[string]reflect.Type {
	operations := map[string]reflect.Type{}
	for method := range reflect.TypeFor[*secretsmanager.Client]().Methods() {
		m := method.Type
		// func(client, context, *XInput, ...options) (*XOutput, error)
		if m.IsVariadic() && m.NumIn() == 4 && m.NumOut() == 2 && m.In(1) == reflect.TypeFor[context.Context]() {
			operations[method.Name] = m.In(2).Elem()
		}
	}
	return operations
}

// isAnswered says whether the server knows an operation.
func isAnswered(t testing.TB, room *localtest.Room, operation string) bool {
	t.Helper()
	_, body := room.Post(t, operation, `[]`) // which none of them takes
	switch body {
	case `{"__type":"UnknownOperationException"}`:
		return false
	case `{"__type":"SerializationException","message":"The request body is not a JSON object."}`:
		return true
	}
	t.Fatalf("%s: got %s, want it unknown, or the body refused", operation, body)
	return false
}
