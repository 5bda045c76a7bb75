package api_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// onSecret are the calls on one secret, by its ID alone.
var onSecret = map[string]func(t testing.TB, room *localtest.Room, id string) (arn string, err error){
	"PutSecretValue": func(t testing.TB, room *localtest.Room, id string) (string, error) {
		out, err := room.SDK.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(id), SecretString: aws.String("two")})
		if err != nil {
			return "", err
		}
		return *out.ARN, nil
	},
	"GetSecretValue": func(t testing.TB, room *localtest.Room, id string) (string, error) {
		out, err := room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(id)})
		if err != nil {
			return "", err
		}
		return *out.ARN, nil
	},
	"DescribeSecret": func(t testing.TB, room *localtest.Room, id string) (string, error) {
		out, err := room.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(id)})
		if err != nil {
			return "", err
		}
		return *out.ARN, nil
	},
	"ListSecretVersionIds": func(t testing.TB, room *localtest.Room, id string) (string, error) {
		out, err := room.SDK.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String(id)})
		if err != nil {
			return "", err
		}
		return *out.ARN, nil
	},
	"UpdateSecretVersionStage": func(t testing.TB, room *localtest.Room, id string) (string, error) {
		out, err := room.SDK.UpdateSecretVersionStage(t.Context(), stageInput(id, "mine", "", "v1"))
		if err != nil {
			return "", err
		}
		return *out.ARN, nil
	},
	"DeleteSecret": func(t testing.TB, room *localtest.Room, id string) (string, error) {
		out, err := room.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(id)})
		if err != nil {
			return "", err
		}
		_, err = room.SDK.RestoreSecret(t.Context(), restoreInput(id))
		return *out.ARN, err
	},
	"RestoreSecret": func(t testing.TB, room *localtest.Room, id string) (string, error) {
		out, err := room.SDK.RestoreSecret(t.Context(), restoreInput(id))
		if err != nil {
			return "", err
		}
		return *out.ARN, nil
	},
}

// A secret is named by its name, its ARN, or its ARN without the suffix.
func TestSecretIDsFound(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	const looksFull = "Invalid/_+=.@-Name-a1b2c3" // the name recorded from AWS
	for _, name := range []string{"s", "a/b/c", looksFull, "Name-a1b2", "Name-a1b2c3-"} {
		arn := *create(t, room, name, "v1", "one").ARN
		ids := []string{name, arn, arn[:len(arn)-7]}
		if name == looksFull {
			ids = ids[:2] // see TestSecretIDsNotFound
		}
		for operation, call := range onSecret {
			for _, id := range ids {
				for _, room := range []*localtest.Room{room, room.Another(t)} {
					if got, err := call(t, room, id); got != arn || err != nil {
						t.Errorf("%s of %s: got ARN %s and error %v, want %s", operation, id, got, err, arn)
					}
				}
			}
		}
	}
}

func TestSecretIDsNotFound(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	old := *create(t, room, "again", "v1", "one").ARN
	forceDelete(t, room, "again")
	arn := *create(t, room, "again", "v1", "one").ARN
	suffixed := *create(t, room, "Name-a1b2c3", "v1", "one").ARN
	suffix := arn[len(arn)-7:]
	for _, test := range []struct {
		name, id string
		want     refusal
	}{
		{"ARN of the secret that had the name before", old, notFound},
		{"name and suffix as a name", "again" + suffix, notFound},
		{"partial ARN of a name that ends in a hyphen and six", suffixed[:len(suffixed)-7], notFound},
		{"partial ARN with the hyphen", arn[:len(arn)-6], notFound},
		{"suffix cut", arn[:len(arn)-1], notFound},
		{"suffix longer", arn + "x", notFound},
		{"suffix in another case", arn[:len(arn)-6] + swapCase(suffix[1:]), notFound},
		{"name in another case", "AGAIN", notFound},
		{"another Region", "arn:aws:secretsmanager:eu-west-1:000000000000:secret:again" + suffix, notFound},
		{"another account", "arn:aws:secretsmanager:us-east-1:111111111111:secret:again" + suffix, notFound},
		{"another partition", "arn:aws-cn:secretsmanager:us-east-1:000000000000:secret:again" + suffix, notFound},
		{"ARN without a name", localtest.ARNs.Of("", "")[:len(localtest.ARNs.Of("", ""))-1], notFound},
		{"ARN of another service", "arn:aws:kms:us-east-1:000000000000:key/again", invalidName},
		{"bad characters", "again!?", invalidName},
		{"an exclamation mark is in names of services", "rds!again", notFound},
		{"space", " again", invalidName},
		{"new line", "again\n", invalidName},
		{"key of an item", "again#HEAD", invalidName},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := dump(t, room)
			for operation, call := range onSecret {
				for _, room := range []*localtest.Room{room, room.Another(t)} {
					_, err := call(t, room, test.id)
					if checkRefused(t, err, test.want); t.Failed() {
						t.Fatalf("%s of %s", operation, test.id)
					}
				}
			}
			checkSame(t, before, dump(t, room))
		})
	}
}

func swapCase(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			b[i] = c ^ 0x20
			return string(b)
		}
	}
	return s + "x" // six digits: no letter to swap
}
