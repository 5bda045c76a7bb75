package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/policy"
)

// oneRoleFormatted is how AWS gives back a policy (recorded).
const oneRoleFormatted = `{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::123456789012:role/app"
    },
    "Action" : "secretsmanager:GetSecretValue",
    "Resource" : "*"
  } ]
}`

// formatted is a policy as it is given back.
func formatted(t testing.TB, text string) string {
	t.Helper()
	if text == "" {
		return ""
	}
	return must(policy.Format(text))(t)
}

// ResourcePolicy is absent where there is none.
func TestGetResourcePolicyAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := *createEmpty(t, room, "s").ARN
	none := `{"ARN":"` + arn + `","Name":"s"}`
	some := `{"ARN":"` + arn + `","Name":"s","ResourcePolicy":` + quoted(oneRoleFormatted) + `}`
	check := func(want string) {
		t.Helper()
		for _, id := range []string{"s", arn, arn[:len(arn)-7]} {
			if answer, body := room.Post(t, "GetResourcePolicy", `{"SecretId":"`+id+`"}`); answer.StatusCode != http.StatusOK || body != want {
				t.Errorf("%s: got %d %s, want %s", id, answer.StatusCode, body, want)
			}
		}
	}
	check(none)
	putPolicy(t, room, "s", oneRole)
	check(some)
	must(room.SDK.DeleteResourcePolicy(t.Context(), &secretsmanager.DeleteResourcePolicyInput{SecretId: aws.String("s")}))(t)
	check(none)
	putPolicy(t, room, "s", oneRole)
	schedule(t, room, "s")
	must(room.SDK.RestoreSecret(t.Context(), restoreInput("s")))(t)
	check(some)
}

func TestGetResourcePolicyRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "deleted")
	putPolicy(t, room, "deleted", oneRole)
	schedule(t, room, "deleted")
	for id, want := range map[string]refusal{"unknown": notFound, "a b": invalidName, "deleted": marked} {
		refuses(t, room, want, func() (*secretsmanager.GetResourcePolicyOutput, error) {
			return room.SDK.GetResourcePolicy(t.Context(), &secretsmanager.GetResourcePolicyInput{SecretId: aws.String(id)})
		})
	}
	refusesPost(t, room, "GetResourcePolicy", `{}`, violation("Value null at 'secretId' failed to satisfy constraint: Member must not be null"))
}

func TestGetResourcePolicyCalls(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	check := func(want string) {
		t.Helper()
		other := room.Another(t)
		policyOf(t, other)
		if got, _, _ := other.Wire.Took(); got != want {
			t.Errorf("got calls %s, want %s", got, want)
		}
	}
	check("GetItem")
	putPolicy(t, room, "s", oneRole)
	check("GetItem GetItem")
}

// A policy that is changed between the two reads is not taken for the one the
// secret has: both are read again.
func TestGetResourcePolicyWhileItChanges(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	other := room.Another(t)
	createEmpty(t, room, "s")
	for i, change := range []func(){
		func() { putPolicy(t, room, "s", everyone) },
		func() {
			must(room.SDK.DeleteResourcePolicy(t.Context(), &secretsmanager.DeleteResourcePolicyInput{SecretId: aws.String("s")}))(t)
		},
	} {
		putPolicy(t, room, "s", oneRole)
		between := about("POLICY#", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			change()
			return do()
		})
		pass := func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) { return do() }
		other.Wire.Break("GetItem", pass, between)
		out, err := other.SDK.GetResourcePolicy(t.Context(), &secretsmanager.GetResourcePolicyInput{SecretId: aws.String("s")}, once)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := aws.ToString(out.ResourcePolicy), []string{formatted(t, everyone), ""}[i]; got != want {
			t.Errorf("got policy %q, want %q", got, want)
		}
	}
}

// A policy that is remembered is decided by without a read; its text is read all the
// same, and when it is another by then, it is decided again.
func TestGetResourcePolicyWhileItChangesRemembered(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		after   string
		allowed bool
	}{
		{document(to(allowAll, runner.ARN)), true},
		{"", true},
		{document(deny(to(allowAll, alice.ARN))), false},
	} {
		room := localtest.New(t)
		create(t, room, "s", "v1", "one")
		putPolicy(t, room, "s", document(to(allowAll, alice.ARN)))
		guard := guarded(t, room, alice, allowAll)
		answers(t, guard, "DescribeSecret", `{"SecretId":"s"}`)
		guard.Wire.Break("GetItem", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) { return do() },
			func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
				repolicy(t, room, "s", test.after)
				return do()
			})
		answer, text := guard.Post(t, "GetResourcePolicy", `{"SecretId":"s"}`)
		if (answer.StatusCode == http.StatusOK) != test.allowed || strings.Contains(text, "Throttling") || test.after != "" && strings.Contains(text, "Policy\":") && !strings.Contains(text, quoted(formatted(t, test.after))) {
			t.Errorf("to %q: got %d %s, want it allowed: %v", test.after, answer.StatusCode, text, test.allowed)
		}
	}
}
