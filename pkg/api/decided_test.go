package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
)

// A version that is gone between two reads makes the secret be read again, and then
// it is decided again: a value that was put after its caller was denied is not theirs.
func TestValueOfAnotherStateIsDecided(t *testing.T) {
	t.Parallel()
	denies := document(allow("PutResourcePolicy"), to(deny(allow("GetSecretValue")), alice.ARN))
	for operation, body := range map[string]string{"GetSecretValue": `{"SecretId":"s"}`, "BatchGetSecretValue": `{"SecretIdList":["s"]}`} {
		room := localtest.New(t)
		create(t, room, "s", "v1", "before")
		reader := guarded(t, room, alice, allowAll)
		pass := func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) { return do() }
		head := []localtest.Fault{pass}
		if operation == "BatchGetSecretValue" { // which reads the heads otherwise
			head = nil
		}
		reader.Wire.Break("GetItem", append(head, func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			repolicy(t, room, "s", denies)
			put(t, room, "s", "v2", "after")
			removeVersion(t, room, "s", "v1")
			return pass(call, do)
		})...)
		answer, text := reader.Post(t, operation, body)
		if strings.Contains(text, `"after"`) || !strings.Contains(text, "AccessDeniedException") {
			t.Errorf("%s: got %d %s, want AccessDeniedException", operation, answer.StatusCode, text)
		}
	}
}

// removeVersion takes a version away, as pruning does.
func removeVersion(t testing.TB, room *localtest.Room, name, version string) {
	t.Helper()
	sec := must(room.Store.Get(t.Context(), secret.ID{Name: name}))(t)
	must(room.DynamoDB.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &room.Table, Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "SECRET#" + name},
		"sk": &types.AttributeValueMemberS{Value: "VERSION#" + sec.Suffix() + "#" + token(version)},
	}}))(t)
}

// A repeat of CreateSecret compares its value with that of a secret that is there. Whom
// that secret denies it hears neither what the value is nor its ARN.
func TestRepeatOfCreateSecretIsDecided(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "guess")
	repolicy(t, room, "s", document(to(deny(allow("CreateSecret")), alice.ARN)))
	guesser := guarded(t, room, alice, allow("CreateSecret"))
	taken := refusal{"ResourceExistsException", "The operation failed because the secret s already exists."}
	for _, guess := range []string{"guess", "another"} {
		answer, text := guesser.Post(t, "CreateSecret", fmt.Sprintf(`{"Name":"s","ClientRequestToken":%q,"SecretString":%q}`, token("v1"), guess))
		checkAnswer(t, answer, text, taken)
	}
}

// What a request does without saying so, a statement that denies it denies.
func TestDeniedByDefaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ operation, members, condition string }{
		{"UpdateSecret", `"KmsKeyId":""`, `{"Null":{"secretsmanager:KmsKeyId":"false"}}`},
		{"UpdateSecret", `"KmsKeyId":""`, `{"StringEquals":{"secretsmanager:KmsKeyId":"alias/aws/secretsmanager"}}`},
		{"UpdateSecret", `"Description":""`, `{"Null":{"secretsmanager:Description":"false"}}`},
		{"UpdateSecret", `"KmsKeyId":"arn:aws:kms:us-east-1:000000000000:key/k"`, `{"ArnLike":{"secretsmanager:KmsKeyArn":"*"}}`},
		{"PutSecretValue", `"SecretString":"x","ClientRequestToken":"` + token("v2") + `"`, `{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`},
		{"PutSecretValue", `"SecretString":"x","ClientRequestToken":"` + token("v2") + `"`, `{"Bool":{"strongroom:Rotating":"false"}}`},
		{"RotateSecret", `"ClientRequestToken":"` + token("v2") + `","RotationLambdaARN":"` + function + `"`, `{"Bool":{"secretsmanager:RotateImmediately":"true"}}`},
	} {
		room := localtest.New(t)
		create(t, room, "s", "v1", "one")
		caller := guarded(t, room, alice, allowAll, deny(where(allow(test.operation), test.condition)))
		refusesAll(t, caller, test.operation, `{"SecretId":"s",`+test.members+`}`, deniedBy(alice, test.operation, "s", policy.IdentityBased))
	}
}

// A policy that cannot be read denies all but to mend it, keeps nobody from other
// secrets, and tells nobody that there is a secret.
func TestUnreadablePolicy(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	create(t, room, "good", "v1", "one")
	repolicy(t, room, "s", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"AIDAEXAMPLE"},"Action":"*","Resource":"*"}]}`)
	refusesAll(t, guarded(t, room, alice, allow("ListSecrets")), "GetSecretValue", `{"SecretId":"s"}`, denied(alice, "GetSecretValue", "s", policy.IdentityBased))
	admin := guarded(t, room, alice, allowAll)
	refusesAll(t, admin, "DescribeSecret", `{"SecretId":"s"}`, deniedBy(alice, "DescribeSecret", "s", policy.ResourceBased))
	var list struct{ SecretList []struct{ Name string } }
	if _, text := admin.Post(t, "ListSecrets", `{}`); json.Unmarshal([]byte(text), &list) != nil || len(list.SecretList) != 1 || list.SecretList[0].Name != "good" {
		t.Errorf("got %s, want the other secret", text)
	}
	answers(t, admin, "DeleteResourcePolicy", `{"SecretId":"s"}`)
	answers(t, admin, "DescribeSecret", `{"SecretId":"s"}`)
}

// Too many tags are refused before anything is done for the caller, or decided.
func TestManyTagsOfNobody(t *testing.T) {
	t.Parallel()
	tags := make([]map[string]string, 25_000)
	for i := range tags {
		tags[i] = map[string]string{"Key": fmt.Sprint(i)}
	}
	body := func(members map[string]any) string {
		members["Tags"] = tags
		return string(must(json.Marshal(members))(t))
	}
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	nobody := guarded(t, room, alice)
	answer, text := nobody.Post(t, "CreateSecret", body(map[string]any{"Name": "t"}))
	checkAnswer(t, answer, text, manyTags)
	answer, text = room.Post(t, "TagResource", body(map[string]any{"SecretId": "s"}))
	checkAnswer(t, answer, text, manyTags)
}

// From another account no value is put under the default key, nor a secret brought
// back under it.
func TestDefaultKeyFromAnotherAccount(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	repolicy(t, room, "s", document(to(allow("UpdateSecret"), stranger.ARN)))
	other := guarded(t, room, stranger, allowAll)
	arn := aws.ToString(describe(t, room, "s").ARN)
	for _, key := range []string{"", "alias/aws/secretsmanager", "arn:aws:kms:us-east-1:000000000000:alias/aws/secretsmanager"} {
		answer, text := other.Post(t, "UpdateSecret", fmt.Sprintf(`{"SecretId":%q,"KmsKeyId":%q}`, arn, key))
		checkAnswer(t, answer, text, refusal{"InvalidRequestException", "You can't access a secret from a different AWS account if you encrypt the secret with the default KMS service key."})
	}
	answers(t, other, "UpdateSecret", fmt.Sprintf(`{"SecretId":%q,"Description":"theirs"}`, arn))
}
