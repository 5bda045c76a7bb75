package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func validateInput(name, text string) *secretsmanager.ValidateResourcePolicyInput {
	in := &secretsmanager.ValidateResourcePolicyInput{ResourcePolicy: aws.String(text)}
	if name != "" {
		in.SecretId = aws.String(name)
	}
	return in
}

func TestValidateResourcePolicy(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *createEmpty(t, room, "s").ARN
	before := dump(t, room)
	const grants = "This resource policy grants broad access to your secret. "
	broad := strings.TrimSuffix(strings.SplitN(everyone, "[", 2)[1], "]}")
	narrow := strings.TrimSuffix(strings.SplitN(oneRole, "[", 2)[1], "]}")
	for _, test := range []struct {
		name, text string
		want       int // findings
	}{
		{"narrow", oneRole, 0},
		{"broad", everyone, 1},
		{"broad beside narrow", `{"Statement":[` + narrow + `,` + broad + `]}`, 1},
		{"broad twice", `{"Statement":[` + broad + `,` + broad + `]}`, 2},
		{"as long as it can be", large(20480), 0},
	} {
		for _, id := range []string{"", "s", arn, arn[:len(arn)-7]} {
			got := must(room.SDK.ValidateResourcePolicy(t.Context(), validateInput(id, test.text)))(t)
			if got.PolicyValidationPassed != (test.want == 0) || len(got.ValidationErrors) != test.want {
				t.Errorf("%s, %q: got %t with %d findings, want %d", test.name, id, got.PolicyValidationPassed, len(got.ValidationErrors), test.want)
			}
			for _, e := range got.ValidationErrors {
				if aws.ToString(e.CheckName) == "" || !strings.HasPrefix(aws.ToString(e.ErrorMessage), grants) {
					t.Errorf("%s: got finding %q: %q, want a name, and %q", test.name, aws.ToString(e.CheckName), aws.ToString(e.ErrorMessage), grants)
				}
			}
		}
	}
	checkSame(t, before, dump(t, room))

	text, err := json.Marshal(map[string]string{"ResourcePolicy": oneRole})
	if err != nil {
		t.Fatal(err)
	}
	if _, body := room.Post(t, "ValidateResourcePolicy", string(text)); body != `{"PolicyValidationPassed":true,"ValidationErrors":[]}` {
		t.Errorf("got answer %s, want that it passed, without findings", body)
	}
}

func TestValidateResourcePolicyRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	createEmpty(t, room, "deleted")
	schedule(t, room, "deleted")
	type row struct {
		name string
		in   *secretsmanager.ValidateResourcePolicyInput
		want refusal
	}
	rows := []row{
		{"unknown", validateInput("unknown", oneRole), notFound},
		{"bad name", validateInput("a b", oneRole), invalidName}, // recorded
		{"scheduled for deletion", validateInput("deleted", oneRole), marked},
		{"unknown comes before syntax", validateInput("unknown", "{"), notFound},
		{"empty SecretId", &secretsmanager.ValidateResourcePolicyInput{SecretId: aws.String(""), ResourcePolicy: aws.String(oneRole)}, violation("Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"empty", validateInput("", ""), violation("Value '' at 'resourcePolicy' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"20,481 characters", validateInput("", large(20481)), violation("Value '" + large(20481) + "' at 'resourcePolicy' failed to satisfy constraint: Member must have length less than or equal to 20480")},
	}
	for _, bad := range badPolicies {
		rows = append(rows, row{bad.name, validateInput("", bad.text), bad.want}, row{bad.name + ", for a secret", validateInput("s", bad.text), bad.want})
	}
	for _, test := range rows {
		t.Run(test.name, func(t *testing.T) {
			refuses(t, room, test.want, func() (*secretsmanager.ValidateResourcePolicyOutput, error) {
				return room.SDK.ValidateResourcePolicy(t.Context(), test.in)
			})
		})
	}
	refusesPost(t, room, "ValidateResourcePolicy", `{"SecretId":"s"}`, violation("Value null at 'resourcePolicy' failed to satisfy constraint: Member must not be null"))
}
