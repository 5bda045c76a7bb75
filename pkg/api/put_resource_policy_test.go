package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

// Policies as the user guide has them.
const (
	everyone = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	oneRole  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/app"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
)

// What is said of policies that are none.
var (
	badSyntax    = refusal{"MalformedPolicyDocumentException", "This resource policy contains a syntax error."}
	badPrincipal = refusal{"MalformedPolicyDocumentException", "This resource policy contains an unsupported principal."}
	badService   = refusal{"MalformedPolicyDocumentException", "This resource policy contains an unsupported service principal."}
)

// badPolicies are refused by all operations that take a policy.
var badPolicies = []struct {
	name, text string
	want       refusal
}{
	{"no JSON", `{"Version"`, badSyntax},
	{"white space alone", ` `, badSyntax},
	{"a string", `"policy"`, badSyntax},
	{"empty object", `{}`, badSyntax},
	{"text after it", everyone + "x", badSyntax},
	{"bad Effect", strings.Replace(everyone, "Allow", "allow", 1), badSyntax},
	{"wrong Version", strings.Replace(everyone, "2012-10-17", "2012-10-18", 1), badSyntax},
	{"no principal", strings.Replace(everyone, `"Principal":"*",`, "", 1), badSyntax},
	{"principal that cannot be", strings.Replace(oneRole, "arn:aws:iam::123456789012:role/app", "nobody", 1), badPrincipal},
	{"service that cannot be", strings.Replace(everyone, `"*"`, `{"Service":"rds.example.com"}`, 1), badService},
	{"service of another kind", strings.Replace(everyone, `"*"`, `{"Service":"*"}`, 1), badService},
}

// large is a policy of so many characters.
func large(size int) string {
	return oneRole[:1] + strings.Repeat(" ", size-len(oneRole)) + oneRole[1:]
}

func policyInput(name, text string) *secretsmanager.PutResourcePolicyInput {
	return &secretsmanager.PutResourcePolicyInput{SecretId: aws.String(name), ResourcePolicy: aws.String(text)}
}

func putPolicy(t testing.TB, room *localtest.Room, name, text string) {
	t.Helper()
	must(room.SDK.PutResourcePolicy(t.Context(), policyInput(name, text)))(t)
}

// policyOf is the policy of the secret s, nil for none.
func policyOf(t testing.TB, room *localtest.Room) *string {
	t.Helper()
	return must(room.SDK.GetResourcePolicy(t.Context(), &secretsmanager.GetResourcePolicyInput{SecretId: aws.String("s")}))(t).ResourcePolicy
}

// A Sid has letters and digits only: PutResourcePolicy refuses another one, and
// ValidateResourcePolicy finds it.
func TestPolicySid(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	for sid, good := range map[string]bool{"": true, "LetTheAppIn1": true, "Let the app in": false, "only-vpc-12345678": false, "a_b": false, "a.b": false, "ä": false, "a ": false} {
		text := strings.Replace(oneRole, `"Effect"`, `"Sid":`+quoted(sid)+`,"Effect"`, 1)
		found := must(room.SDK.ValidateResourcePolicy(t.Context(), validateInput("s", text)))(t)
		if found.PolicyValidationPassed != good || (len(found.ValidationErrors) == 0) != good {
			t.Errorf("Sid %q: got it passed %t with %d findings, want it passed %t", sid, found.PolicyValidationPassed, len(found.ValidationErrors), good)
		}
		if good {
			putPolicy(t, room, "s", text)
			continue
		}
		refuses(t, room, badSyntax, func() (*secretsmanager.PutResourcePolicyOutput, error) {
			return room.SDK.PutResourcePolicy(t.Context(), policyInput("s", text))
		})
	}
}

func TestPutResourcePolicyAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *createEmpty(t, room, "s").ARN
	answer, body := room.Post(t, "PutResourcePolicy", `{"SecretId":"s","ResourcePolicy":"`+strings.ReplaceAll(everyone, `"`, `\"`)+`"}`)
	if want := `{"ARN":"` + arn + `","Name":"s"}`; answer.StatusCode != http.StatusOK || body != want {
		t.Errorf("got %d %s, want %s", answer.StatusCode, body, want)
	}
	checkHeaders(t, answer)
}

// The text is stored as it was put, to the last space, under its hash, and comes back
// formatted.
func TestPutResourcePolicyText(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *create(t, room, "s", "v1", "one").ARN
	for _, text := range []string{
		everyone,
		oneRole,
		"\n\t" + oneRole + " \r\n",
		strings.ReplaceAll(oneRole, ",", " ,\n  "),
		strings.Replace(oneRole, `"Version"`, `"Id":"für <&> \u00e4 ☃","Version"`, 1),
		strings.Replace(oneRole, `Effect`, `\u0045ffect`, 1),
		large(20480),
		oneRole, // a shorter one after it
		oneRole, // the same again
	} {
		for _, id := range []string{"s", arn, arn[:len(arn)-7]} {
			putPolicy(t, room, id, text)
		}
		for _, room := range []*localtest.Room{room, room.Another(t)} {
			if got := aws.ToString(policyOf(t, room)); got != formatted(t, text) {
				t.Errorf("got policy %q, want %q", got, formatted(t, text))
			}
			sec := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
			sum := sha256.Sum256([]byte(text))
			if got := must(room.Store.Policy(t.Context(), sec))(t); got != text || sec.PolicyHash != hex.EncodeToString(sum[:]) {
				t.Errorf("got policy %q stored under %s, want %q under its hash", got, sec.PolicyHash, text)
			}
		}
	}
	if got := *get(t, room, "s").SecretString; got != "one" {
		t.Errorf("got value %q, want one", got)
	}
}

func TestPutResourcePolicyBlockPublic(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	public := refusal{"PublicPolicyException", "You can't attach a resource-based policy that allows broad access to the secret."}
	block := func(text string, public *bool) *secretsmanager.PutResourcePolicyInput {
		in := policyInput("s", text)
		in.BlockPublicPolicy = public
		return in
	}
	for _, room := range []*localtest.Room{room, room.Another(t)} {
		refuses(t, room, public, func() (*secretsmanager.PutResourcePolicyOutput, error) {
			return room.SDK.PutResourcePolicy(t.Context(), block(everyone, aws.Bool(true)))
		})
		for _, text := range badPolicies {
			refuses(t, room, text.want, func() (*secretsmanager.PutResourcePolicyOutput, error) {
				return room.SDK.PutResourcePolicy(t.Context(), block(text.text, aws.Bool(true)))
			})
		}
	}
	for _, in := range []*secretsmanager.PutResourcePolicyInput{
		block(everyone, nil), block(everyone, aws.Bool(false)), block(oneRole, aws.Bool(true)), block(oneRole, nil),
	} {
		must(room.SDK.PutResourcePolicy(t.Context(), in))(t)
		if got := aws.ToString(policyOf(t, room)); got != formatted(t, *in.ResourcePolicy) {
			t.Errorf("got policy %s, want %s", got, *in.ResourcePolicy)
		}
	}
}

func TestPutResourcePolicyRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	putPolicy(t, room, "s", oneRole)
	createEmpty(t, room, "deleted")
	schedule(t, room, "deleted")
	type row struct {
		name string
		in   *secretsmanager.PutResourcePolicyInput
		want refusal
	}
	rows := []row{
		{"empty", policyInput("s", ""), violation("Value '' at 'resourcePolicy' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"20,481 characters", policyInput("s", large(20481)), violation("Value '" + large(20481) + "' at 'resourcePolicy' failed to satisfy constraint: Member must have length less than or equal to 20480")},
		{"unknown", policyInput("unknown", oneRole), notFound},
		{"unknown comes before syntax", policyInput("unknown", "{"), notFound},
		{"bad name", policyInput("a b", oneRole), invalidName},
		{"scheduled for deletion", policyInput("deleted", oneRole), marked},
		{"scheduled for deletion comes before syntax", policyInput("deleted", "{"), marked},
	}
	for _, bad := range badPolicies {
		rows = append(rows, row{bad.name, policyInput("s", bad.text), bad.want})
	}
	for _, test := range rows {
		t.Run(test.name, func(t *testing.T) {
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				refuses(t, room, test.want, func() (*secretsmanager.PutResourcePolicyOutput, error) {
					return room.SDK.PutResourcePolicy(t.Context(), test.in)
				})
			}
		})
	}
	refusesPost(t, room, "PutResourcePolicy", `{"SecretId":"s"}`, violation("Value null at 'resourcePolicy' failed to satisfy constraint: Member must not be null"))
	refusesPost(t, room, "PutResourcePolicy", `{"ResourcePolicy":"{}"}`, violation("Value null at 'secretId' failed to satisfy constraint: Member must not be null"))
	refusesPost(t, room, "PutResourcePolicy", `{"SecretId":"s","ResourcePolicy":{}}`, refusal{"SerializationException", "The value at 'resourcePolicy' is not a string."})
	if got := aws.ToString(policyOf(t, room)); got != oneRoleFormatted {
		t.Errorf("got policy %s, want the one that was there", got)
	}
}

// The text lies beside the secret: a put and a get of a value cost the same with
// the largest policy.
func TestPutResourcePolicyCost(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, epoch)
	type cost struct {
		calls         string
		reads, writes float64
	}
	create(t, room, "s", "v0", "one")
	get(t, room, "s") // notes the day
	measure := func(version string) (costs [3]cost) {
		now.now = now.now.Add(time.Second)
		took := func() (c cost) {
			c.calls, c.reads, c.writes = room.Wire.Took()
			return c
		}
		took()
		put(t, room, "s", version, "one")
		costs[0] = took()
		describe(t, room, "s")
		costs[1] = took()
		must(room.SDK.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}))(t)
		costs[2] = took()
		return costs
	}
	putPolicy(t, room, "s", oneRole)
	small := measure("v1")
	putPolicy(t, room, "s", large(20480))
	if got := measure("v2"); got != small {
		t.Errorf("got %+v with a policy of 20,480 characters, want %+v as with a small one", got, small)
	}
	if want := (cost{"GenerateDataKey TransactWriteItems", 0, small[0].writes}); small[0] != want {
		t.Errorf("got %+v of a put, want %+v", small[0], want)
	}
	remove := &secretsmanager.DeleteResourcePolicyInput{SecretId: aws.String("s")}
	must(room.SDK.DeleteResourcePolicy(t.Context(), remove))(t)
	if got := measure("v3"); got != small {
		t.Errorf("got %+v without a policy, want %+v as with one", got, small)
	}
}

func TestPutResourcePolicyDates(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, epoch)
	createEmpty(t, room, "s")
	now.now = epoch.Add(time.Hour)
	putPolicy(t, room, "s", oneRole)
	if got := *describe(t, room, "s").LastChangedDate; !got.Equal(now.now) {
		t.Errorf("got LastChangedDate %s, want %s", got, now.now)
	}
}

// AWS's refusal says little. The log says which statement it is about, and why.
func TestRefusedPolicyIsExplained(t *testing.T) {
	t.Parallel()
	room, log := logged(t, localtest.New(t))
	create(t, room, "s", "v1", "one")
	text := document(where(allowAll, `{"StringEquals":{"secretsmanager:KmsKeyArm":"x"}}`))
	_, body := room.Post(t, "PutResourcePolicy", `{"SecretId":"s","ResourcePolicy":`+quoted(text)+`}`)
	if !strings.Contains(body, `"This resource policy contains a syntax error."`) {
		t.Errorf("got answer %s", body)
	}
	if want := `"reason":"policy: statement 1: unknown condition key \"secretsmanager:KmsKeyArm\"; did you mean secretsmanager:KmsKeyArn?"`; !strings.Contains(log.String(), want) {
		t.Errorf("got log %s, want %s", log, want)
	}
}
