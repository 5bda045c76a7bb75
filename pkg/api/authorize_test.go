package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
)

// Who calls in these tests: a user and a session of a role of the account that has
// the secrets, and a user of another one.
var (
	alice = policy.Caller{
		ARN: "arn:aws:iam::" + local.Account + ":user/alice", Account: local.Account, UserID: "AIDAALICE", AccessKey: "AKIAALICE",
		OrgID: "o-1234567890", SourceIP: "203.0.113.7", UserAgent: "test/1.0", Secure: true,
	}
	runner   = policy.Caller{ARN: "arn:aws:sts::" + local.Account + ":assumed-role/runner/i-0abc", Account: local.Account, UserID: "AROARUNNER:i-0abc"}
	stranger = policy.Caller{ARN: "arn:aws:iam::123456789012:user/bob", Account: "123456789012", UserID: "AIDABOB"}
)

// A right is an operation that its caller must be allowed: what a request says
// besides the secret, and what is done to the secret before, so that it is answered.
type right struct {
	members string
	before  func(t testing.TB, room *localtest.Room, name string)
	// subject is the member that names the secret, empty for an operation about none.
	subject string
}

const function = "arn:aws:lambda:us-east-1:000000000000:function:rotate"

// forAll is a policy that lets everyone put another one, so that none is locked out by it.
var forAll = document(allow("PutResourcePolicy"))

// rights has every operation.
var rights = map[string]right{
	"BatchGetSecretValue": {`"SecretIdList":["s"]`, nil, ""},
	"CancelRotateSecret": {``, func(t testing.TB, room *localtest.Room, name string) {
		must(room.SDK.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
			SecretId: &name, ClientRequestToken: aws.String(token("r1")), RotationLambdaARN: aws.String(function),
		}))(t)
	}, "SecretId"},
	"CreateSecret":                 {`"SecretString":"one","ClientRequestToken":"` + token("n1") + `"`, nil, "Name"},
	"DeleteResourcePolicy":         {``, nil, "SecretId"},
	"DeleteSecret":                 {``, nil, "SecretId"},
	"DescribeSecret":               {``, nil, "SecretId"},
	"GetRandomPassword":            {``, nil, ""},
	"GetResourcePolicy":            {``, nil, "SecretId"},
	"GetSecretValue":               {``, nil, "SecretId"},
	"ListSecretVersionIds":         {``, nil, "SecretId"},
	"ListSecrets":                  {``, nil, ""},
	"PutResourcePolicy":            {`"ResourcePolicy":` + quoted(forAll), nil, "SecretId"},
	"PutSecretValue":               {`"SecretString":"two","ClientRequestToken":"` + token("p2") + `"`, nil, "SecretId"},
	"RemoveRegionsFromReplication": {`"RemoveReplicaRegions":["eu-west-1"]`, nil, "SecretId"},
	"ReplicateSecretToRegions":     {`"AddReplicaRegions":[{"Region":"eu-west-1"}]`, nil, "SecretId"},
	"RestoreSecret":                {``, func(t testing.TB, room *localtest.Room, name string) { schedule(t, room, name) }, "SecretId"},
	"RotateSecret":                 {`"ClientRequestToken":"` + token("r2") + `","RotationLambdaARN":"` + function + `"`, nil, "SecretId"},
	"StopReplicationToReplica":     {``, makeReplica, "SecretId"},
	"TagResource":                  {`"Tags":[{"Key":"more","Value":"v"}]`, nil, "SecretId"},
	"UntagResource":                {`"TagKeys":["more"]`, nil, "SecretId"},
	"UpdateSecret":                 {`"SecretString":"two","ClientRequestToken":"` + token("u2") + `"`, nil, "SecretId"},
	"UpdateSecretVersionStage":     {`"VersionStage":"mine","MoveToVersionId":"` + token("v1") + `"`, nil, "SecretId"},
	"ValidateResourcePolicy":       {`"ResourcePolicy":` + quoted(oneRole), nil, "SecretId"},
}

// makeReplica makes a secret the replica of one in another Region.
func makeReplica(t testing.TB, room *localtest.Room, name string) {
	t.Helper()
	_, err := room.Store.Update(t.Context(), secret.ID{Name: name}, func(sec secret.Secret) (secret.Change, error) {
		sec.Primary = "eu-west-1"
		return secret.Change{Secret: sec}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// onSecrets are the operations about a secret that is there.
func onSecrets() []string {
	var names []string
	for name, r := range rights {
		if r.subject == "SecretId" {
			names = append(names, name)
		}
	}
	return sorted(names)
}

// request is the body of a request about the secret that it names so.
func (r right) request(id string) string {
	var members []string
	if r.subject != "" {
		members = append(members, quoted(r.subject)+":"+quoted(id))
	}
	if r.members != "" {
		members = append(members, r.members)
	}
	return "{" + strings.Join(members, ",") + "}"
}

// make creates a secret and brings it where the operation is answered.
func (r right) make(t testing.TB, room *localtest.Room, name string) {
	t.Helper()
	create(t, room, name, "v1", "one")
	if r.before != nil {
		r.before(t, room, name)
	}
}

func actions(names []string) string {
	var all []string
	for _, name := range names {
		all = append(all, quoted("secretsmanager:"+name))
	}
	return "[" + strings.Join(all, ",") + "]"
}

// allow is a statement that allows everyone these operations.
func allow(operations ...string) string {
	return `{"Effect":"Allow","Principal":"*","Action":` + actions(operations) + `,"Resource":"*"}`
}

// allowBut is a statement that allows everyone everything but an operation.
func allowBut(operation string) string {
	return `{"Effect":"Allow","Principal":"*","NotAction":` + actions([]string{operation}) + `,"Resource":"*"}`
}

// where is a statement under a condition.
func where(statement, condition string) string {
	return strings.TrimSuffix(statement, "}") + `,"Condition":` + condition + `}`
}

// to is a statement about these principals alone.
func to(statement string, arns ...string) string {
	return strings.Replace(statement, `"Principal":"*"`, `"Principal":{"AWS":["`+strings.Join(arns, `","`)+`"]}`, 1)
}

// deny is a statement that denies what another allows.
func deny(statement string) string { return strings.Replace(statement, "Allow", "Deny", 1) }

var allowAll = `{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`

func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// guarded is the service as another process has it, under principal policies or
// none, to which caller comes.
func guarded(t testing.TB, room *localtest.Room, caller policy.Caller, statements ...string) *localtest.Room {
	t.Helper()
	other := room.Another(t)
	other.Server.Policies = nil
	if len(statements) > 0 {
		other.Server.Policies = must(policy.ParseSet("policies.json", []byte(`[`+document(statements...)+`]`)))(t)
	}
	return other.As(t, caller)
}

// denied is the refusal for want of a policy that allows an operation on a secret,
// as it was named.
func denied(caller policy.Caller, operation, id string, side policy.Side) refusal {
	return accessDenied(caller, operation, id, "because no "+string(side)+" policy allows the secretsmanager:"+operation+" action")
}

// deniedBy is the refusal by a statement that denies it.
func deniedBy(caller policy.Caller, operation, id string, side policy.Side) refusal {
	article := "a "
	if side == policy.IdentityBased {
		article = "an "
	}
	return accessDenied(caller, operation, id, "with an explicit deny in "+article+string(side)+" policy")
}

func accessDenied(caller policy.Caller, operation, id, why string) refusal {
	on := ""
	if id != "" {
		on = " on resource: " + id
	}
	return refusal{"AccessDeniedException", "User: " + caller.ARN + " is not authorized to perform: secretsmanager:" + operation + on + " " + why}
}

// refusesAll posts a request that must be refused, again and again: as the process
// does not know the secret, and as it does. Nothing may be written, and KMS not be
// asked.
func refusesAll(t testing.TB, room *localtest.Room, operation, body string, want refusal) {
	t.Helper()
	before := dump(t, room)
	for range 2 {
		room.Wire.Took()
		answer, text := room.Post(t, operation, body)
		checkAnswer(t, answer, text, want)
		calls, _, _ := room.Wire.Took()
		for call := range strings.FieldsSeq(calls) {
			if call != "GetItem" {
				t.Errorf("got calls %s of a refused %s, want nothing but reads of the secret", calls, operation)
				break
			}
		}
	}
	checkSame(t, before, dump(t, room))
}

// answers posts a request that must be answered.
func answers(t testing.TB, room *localtest.Room, operation, body string) {
	t.Helper()
	if answer, text := room.Post(t, operation, body); answer.StatusCode != http.StatusOK {
		t.Errorf("got %d %s of %s %s, want 200", answer.StatusCode, text, operation, body)
	}
}

// The table has every operation of the SDK that is answered.
func TestRightsHaveAllOperations(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	var want []string
	for name := range sdkOperations() {
		if isAnswered(t, room, name) {
			want = append(want, name)
		}
	}
	checkNames(t, "operations", sorted(slices.Collect(maps.Keys(rights))), sorted(want)...)
}

// Every operation is allowed by its own action, and not by all others together. The
// refusal is the same for a secret that is there, is not, or is scheduled for
// deletion, however it is named: nothing is revealed by it.
func TestRights(t *testing.T) {
	t.Parallel()
	for operation, right := range rights {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			right.make(t, room, "s")
			create(t, room, "deleted", "v1", "one")
			schedule(t, room, "deleted")
			var ids []string
			for _, name := range []string{"s", "deleted"} {
				arn := *describe(t, room, name).ARN
				ids = append(ids, name, arn, arn[:len(arn)-7], arn[:len(arn)-6]+"a1b2c3")
			}
			unknown := localtest.ARNs.Of("none", "a1b2c3")
			ids = append(ids, "none", unknown, unknown[:len(unknown)-7])
			switch right.subject {
			case "Name":
				ids = []string{"s", "deleted", "none"}
			case "":
				ids = []string{""}
			}
			others := guarded(t, room, alice, allowBut(operation))
			nobody := guarded(t, room, alice)
			explicitly := guarded(t, room, alice, allowAll, deny(allow(operation)))
			for _, id := range ids {
				refusesAll(t, others, operation, right.request(id), denied(alice, operation, id, policy.IdentityBased))
				refusesAll(t, nobody, operation, right.request(id), denied(alice, operation, id, policy.IdentityBased))
				refusesAll(t, explicitly, operation, right.request(id), deniedBy(alice, operation, id, policy.IdentityBased))
			}
			name := "s"
			if right.subject == "Name" {
				name = "new"
			}
			answers(t, guarded(t, room, alice, allow(operation), deny(allowBut(operation))), operation, right.request(name))
		})
	}
}

// Who may know of a secret that is not there is told so.
func TestRightsOfUnknownSecret(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, operation := range onSecrets() {
		pattern := func(arn string) string {
			return strings.Replace(allow(operation), `"Resource":"*"`, `"Resource":"`+arn+`"`, 1)
		}
		for _, arn := range []string{"*", localtest.ARNs.Of("none", "*"), localtest.ARNs.Of("none", "??????"), localtest.ARNs.Of("n*", "??????")} {
			refusesAll(t, guarded(t, room, alice, pattern(arn)), operation, rights[operation].request("none"), notFound)
		}
		for _, arn := range []string{localtest.ARNs.Of("none", "a1b2c3"), localtest.ARNs.Of("none", "a*"), localtest.ARNs.Of("nono", "*")} {
			refusesAll(t, guarded(t, room, alice, pattern(arn)), operation, rights[operation].request("none"), denied(alice, operation, "none", policy.IdentityBased))
		}
		byARN := localtest.ARNs.Of("none", "a1b2c3")
		refusesAll(t, guarded(t, room, alice, pattern(byARN)), operation, rights[operation].request(byARN), notFound)
	}
	// ValidateResourcePolicy is about a secret when it names one.
	validate := `{"ResourcePolicy":` + quoted(oneRole) + `}`
	answers(t, guarded(t, room, alice, allow("ValidateResourcePolicy")), "ValidateResourcePolicy", validate)
	refusesAll(t, guarded(t, room, alice, allowBut("ValidateResourcePolicy")), "ValidateResourcePolicy", validate, denied(alice, "ValidateResourcePolicy", "", policy.IdentityBased))
	// To delete by force what is not there needs the right, too.
	force := `{"SecretId":"none","ForceDeleteWithoutRecovery":true}`
	answers(t, guarded(t, room, alice, allow("DeleteSecret")), "DeleteSecret", force)
	refusesAll(t, guarded(t, room, alice, allowBut("DeleteSecret")), "DeleteSecret", force, denied(alice, "DeleteSecret", "none", policy.IdentityBased))
}

// What the policy on a secret says, for every operation on one: to callers of the
// account it is enough, callers of another need both sides, and what it denies is
// denied.
func TestResourcePolicies(t *testing.T) {
	t.Parallel()
	for _, operation := range onSecrets() {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			right, key := rights[operation], newKey(t)
			arns := map[string]string{}
			for name, text := range map[string]string{
				"own":     document(to(allow(operation), alice.ARN)),
				"foreign": document(to(allow(operation), stranger.ARN)),
				"account": document(to(allow(operation), stranger.Account)),
				"none":    document(to(allow(operation), runner.ARN)),
				"denies":  document(allowAll, deny(to(allow(operation), alice.ARN, stranger.ARN))),
			} {
				createUnder(t, room, name, key)
				putPolicy(t, room, name, text)
				if right.before != nil {
					right.before(t, room, name)
				}
				arns[name] = *describe(t, room, name).ARN
			}
			nothing := allow("GetRandomPassword") // and nothing else
			for _, test := range []struct {
				name      string
				caller    policy.Caller
				statement string
				want      refusal
			}{
				{"none", alice, nothing, denied(alice, operation, "none", policy.IdentityBased)},
				{"foreign", alice, nothing, denied(alice, operation, "foreign", policy.IdentityBased)},
				{"denies", alice, allow(operation), deniedBy(alice, operation, "denies", policy.ResourceBased)},
				// What a policy on it allows and denies would tell that the secret is there.
				{"denies", alice, nothing, denied(alice, operation, "denies", policy.IdentityBased)},
				{"own", alice, deny(allow(operation)), denied(alice, operation, "own", policy.IdentityBased)},
				{"foreign", stranger, nothing, denied(stranger, operation, arns["foreign"], policy.IdentityBased)},
				{"account", stranger, nothing, denied(stranger, operation, arns["account"], policy.IdentityBased)},
				{"own", stranger, allow(operation), denied(stranger, operation, arns["own"], policy.ResourceBased)},
				{"none", stranger, allow(operation), denied(stranger, operation, arns["none"], policy.ResourceBased)},
				{"denies", stranger, allow(operation), denied(stranger, operation, arns["denies"], policy.ResourceBased)},
			} {
				id := test.name
				if test.caller == stranger {
					id = arns[test.name]
				}
				refusesAll(t, guarded(t, room, test.caller, test.statement), operation, right.request(id), test.want)
			}
			answers(t, guarded(t, room, alice, nothing), operation, right.request("own"))
			answers(t, guarded(t, room, runner, nothing), operation, strings.ReplaceAll(right.request("none"), token("v1"), versionOf(t, room, "none")))
			for _, name := range []string{"foreign", "account"} {
				answers(t, guarded(t, room, stranger, allow(operation)), operation, right.request(arns[name]))
			}
		})
	}
}

// versionOf is the ID of the version that is current.
func versionOf(t testing.TB, room *localtest.Room, name string) string {
	t.Helper()
	return must(room.Store.Get(t.Context(), secret.ID{Name: name}))(t).Stages[secret.Current]
}

// The value of a secret under the default key stays in the account (recorded);
// everything else of it may be shared.
func TestCrossAccountDefaultKey(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	refused := refusal{"InvalidRequestException", "You can't access a secret from a different AWS account if you encrypt the secret with the default KMS service key."}
	create(t, room, "s", "v1", "one")
	createUnder(t, room, "shared", newKey(t))
	for _, name := range []string{"s", "shared"} {
		putPolicy(t, room, name, document(to(allowAll, stranger.ARN)))
	}
	arn, shared := *describe(t, room, "s").ARN, *describe(t, room, "shared").ARN
	bob := guarded(t, room, stranger, allowAll)
	for operation, body := range map[string]string{
		"GetSecretValue":         rights["GetSecretValue"].request(arn),
		"GetSecretValue (label)": `{"SecretId":"` + arn + `","VersionStage":"AWSCURRENT"}`,
		"PutSecretValue":         rights["PutSecretValue"].request(arn),
		"PutSecretValue (again)": `{"SecretId":"` + arn + `","SecretString":"one","ClientRequestToken":"` + token("v1") + `"}`,
		"UpdateSecret":           rights["UpdateSecret"].request(arn),
	} {
		operation, _, _ = strings.Cut(operation, " ")
		before := dump(t, room)
		answer, text := bob.Post(t, operation, body)
		checkAnswer(t, answer, text, refused)
		checkSame(t, before, dump(t, room))
	}
	for _, operation := range []string{"DescribeSecret", "GetResourcePolicy", "ListSecretVersionIds", "TagResource", "UntagResource", "UpdateSecretVersionStage", "ValidateResourcePolicy"} {
		answers(t, bob, operation, rights[operation].request(arn))
	}
	answers(t, bob, "UpdateSecret", `{"SecretId":"`+arn+`","Description":"d"}`)
	for _, operation := range []string{"GetSecretValue", "PutSecretValue", "UpdateSecret"} {
		answers(t, bob, operation, rights[operation].request(shared))
	}
	if got := *get(t, room, "shared").SecretString; got != "two" {
		t.Errorf("got value %q, want the one that was put from outside", got)
	}
	// They are not of the account whose secrets are listed, and make none there.
	for _, operation := range []string{"ListSecrets", "BatchGetSecretValue"} {
		refusesAll(t, bob, operation, rights[operation].request(""), denied(stranger, operation, "", policy.ResourceBased))
	}
	refusesAll(t, bob, "CreateSecret", rights["CreateSecret"].request("new"), denied(stranger, "CreateSecret", "new", policy.ResourceBased))
}

// A caller who is not known may do nothing.
func TestNobodyMayDoNothing(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	putPolicy(t, room, "s", document(allowAll))
	for _, caller := range []policy.Caller{{}, {ARN: alice.ARN}, {ARN: alice.ARN, Account: stranger.Account}, {ARN: "arn:aws:iam::000000000000:role/admin", Account: local.Account}} {
		named := caller
		if named.ARN == "" {
			named.ARN = "anonymous"
		}
		guard := guarded(t, room, caller, allowAll)
		for operation, right := range rights {
			id := map[string]string{"": "", "Name": "new", "SecretId": "s"}[right.subject]
			refusesAll(t, guard, operation, right.request(id), denied(named, operation, id, policy.IdentityBased))
		}
	}
}

// ListSecrets shows what DescribeSecret would: in whichever order, on full pages, to
// the last.
func TestListSecretsShowsWhatMayBeSeen(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	var want []string
	for i := range 60 {
		sec := filled(i)
		sec.Accessed, sec.Changed = epoch.Add(time.Duration(i^0x2a)*24*time.Hour), epoch.Add(time.Duration(i^0x15)*time.Hour)
		switch i % 3 {
		case 0:
			sec.Tags = []secret.Tag{{Key: "team", Value: "db"}}
		case 1:
			sec.Tags = []secret.Tag{{Key: "team", Value: "web"}}
		}
		seed(t, room, sec)
	}
	for i := range 60 {
		switch {
		case i%9 == 0: // of the team, and kept from her
			putPolicy(t, room, fillName(i), document(deny(to(allow("DescribeSecret"), alice.ARN))))
		case i%11 == 1: // shown to her
			putPolicy(t, room, fillName(i), document(to(allow("DescribeSecret"), alice.ARN)))
			want = append(want, fillName(i))
		case i%3 == 0:
			want = append(want, fillName(i))
		}
	}
	inTeam := where(allow("DescribeSecret"), `{"StringEquals":{"aws:ResourceTag/team":"db"}}`)
	for _, guard := range []*localtest.Room{
		guarded(t, room, alice, allow("ListSecrets"), inTeam),
		guarded(t, room, alice, allow("ListSecrets", "DescribeSecret"), deny(where(allow("DescribeSecret"), `{"StringNotEquals":{"aws:ResourceTag/team":"db"}}`))),
	} {
		allOfThem := slices.Contains(listAll(t, guard, secretsmanager.ListSecretsInput{}), fillName(1))
		want := slices.Clone(want)
		if !allOfThem { // what is denied is not shown, even if a policy allows it
			want = slices.DeleteFunc(want, func(name string) bool {
				return describe(t, room, name).Tags == nil || *describe(t, room, name).Tags[0].Value != "db"
			})
		}
		var seen []string
		for i := range 60 {
			if _, err := guard.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(fillName(i))}); err == nil {
				seen = append(seen, fillName(i))
			}
		}
		checkNames(t, "described", seen, sorted(want)...)
		for _, by := range types.SortByType("").Values() {
			for _, order := range types.SortOrderType("").Values() {
				in := secretsmanager.ListSecretsInput{SortBy: by, SortOrder: order, MaxResults: aws.Int32(7)}
				all := slices.DeleteFunc(listAll(t, room, in), func(name string) bool { return !slices.Contains(want, name) })
				checkNames(t, "listed by "+string(by), listAll(t, guard, in), all...)
				checkFull(t, guard, in, len(want))
			}
		}
	}
}

// checkFull checks that every page of a list has as many secrets as were asked for,
// but for the last, which has the rest.
func checkFull(t testing.TB, room *localtest.Room, in secretsmanager.ListSecretsInput, total int) {
	t.Helper()
	pages := secretsmanager.NewListSecretsPaginator(room.SDK, &in)
	for pages.HasMorePages() {
		page := must(pages.NextPage(t.Context()))(t)
		if got, want := len(page.SecretList), min(total, int(*in.MaxResults)); got != want {
			t.Errorf("by %s: got a page of %d, want %d", in.SortBy, got, want)
		}
		total -= len(page.SecretList)
	}
}

// Each secret of a batch needs the right to its value; for one that is not there the
// refusal is the same.
func TestBatchGetSecretValueRights(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, name := range []string{"mine", "theirs", "denied"} {
		create(t, room, name, "v1", name)
	}
	putPolicy(t, room, "mine", document(to(allow("GetSecretValue"), alice.ARN)))
	putPolicy(t, room, "denied", document(to(allow("GetSecretValue"), alice.ARN), deny(to(allow("GetSecretValue"), alice.ARN))))
	theirs := *describe(t, room, "theirs").ARN
	ids := []string{"mine", "theirs", "denied", theirs, "none", theirs[:len(theirs)-7], localtest.ARNs.Of("none", "a1b2c3"), "mine", "a b"}
	guard := guarded(t, room, alice, allow("BatchGetSecretValue"))
	line := func(id string, r refusal) string { return id + ": " + r.code + ": " + r.text }
	var want []string
	for _, id := range ids {
		switch id {
		case "mine":
		case "a b":
			want = append(want, line(id, invalidName))
		default:
			want = append(want, line(id, denied(alice, "GetSecretValue", id, policy.IdentityBased)))
		}
	}
	guard.Wire.Took()
	out := batch(t, guard, batchOf(ids...))
	checkNames(t, "values", valuesOf(out), "mine=mine", "mine=mine")
	checkNames(t, "errors", errorsOf(out), want...)
	if calls, _, _ := guard.Wire.Took(); strings.Count(calls, "Decrypt") > 2 {
		t.Errorf("got calls %s, want KMS asked for what may be read alone", calls)
	}
	// They are those of GetSecretValue.
	for i, id := range slices.DeleteFunc(ids, func(id string) bool { return id == "mine" }) {
		_, err := guard.SDK.GetSecretValue(t.Context(), getInput(id, "", ""))
		code, text, _ := strings.Cut(strings.TrimPrefix(want[i], id+": "), ": ")
		checkRefused(t, err, refusal{code, text})
	}
	// The right to values is none to a batch.
	refusesAll(t, guarded(t, room, alice, allow("GetSecretValue")), "BatchGetSecretValue", `{"SecretIdList":["mine"]}`, denied(alice, "BatchGetSecretValue", "", policy.IdentityBased))
	// Who may know is told that a secret is not there.
	out = batch(t, guarded(t, room, alice, allow("BatchGetSecretValue", "GetSecretValue")), batchOf("theirs", "none"))
	checkNames(t, "values", valuesOf(out), "theirs=theirs")
	checkNames(t, "errors", errorsOf(out), line("none", notFound))
}

// With filters it is a list, too: what may not be seen is not there, and what may be
// seen and not be read is an error.
func TestBatchGetSecretValueRightsWithFilters(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	names, _ := numbered(t, room, 30)
	for i, name := range names {
		addTags(t, room, name, tagged("see", fmt.Sprint(i%2))...)
		addTags(t, room, name, tagged("read", fmt.Sprint(i%3))...)
	}
	see := where(allow("DescribeSecret"), `{"StringEquals":{"aws:ResourceTag/see":"1"}}`)
	read := where(allow("GetSecretValue"), `{"StringEquals":{"aws:ResourceTag/read":"1"}}`)
	byName := `{"Filters":[{"Key":"name","Values":["s"]}]}`
	refusesAll(t, guarded(t, room, alice, allow("BatchGetSecretValue"), see, read), "BatchGetSecretValue", byName, denied(alice, "ListSecrets", "", policy.IdentityBased))
	refusesAll(t, guarded(t, room, alice, allow("ListSecrets"), see, read), "BatchGetSecretValue", byName, denied(alice, "BatchGetSecretValue", "", policy.IdentityBased))
	guard := guarded(t, room, alice, allow("BatchGetSecretValue", "ListSecrets"), see, read)
	var values, errors, wantValues, wantErrors []string
	pages := secretsmanager.NewBatchGetSecretValuePaginator(guard.SDK, &secretsmanager.BatchGetSecretValueInput{
		Filters: []types.Filter{filter("name", "s")}, MaxResults: aws.Int32(4),
	})
	for left := 15; pages.HasMorePages(); left -= 4 {
		page := must(pages.NextPage(t.Context()))(t)
		if got := len(page.SecretValues) + len(page.Errors); got != min(left, 4) {
			t.Errorf("got a page of %d, want %d", got, min(left, 4))
		}
		values, errors = append(values, valuesOf(page)...), append(errors, errorsOf(page)...)
	}
	for i, name := range names {
		switch {
		case i%2 != 1:
		case i%3 == 1:
			wantValues = append(wantValues, name+"="+name)
		default:
			arn := *describe(t, room, name).ARN
			r := denied(alice, "GetSecretValue", arn, policy.IdentityBased)
			wantErrors = append(wantErrors, arn+": "+r.code+": "+r.text)
		}
	}
	checkNames(t, "values", sorted(values), sorted(wantValues)...)
	checkNames(t, "errors", sorted(errors), sorted(wantErrors)...)
}

// A secret that is made with tags needs the right to tag it.
func TestCreateSecretTagsNeedRight(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "taken", "v1", "one")
	tags := strings.TrimSuffix(rights["CreateSecret"].request("new"), "}") + `,"Tags":[{"Key":"team","Value":"db"}]}`
	taken := strings.Replace(tags, `"new"`, `"taken"`, 1)
	only := guarded(t, room, alice, allow("CreateSecret"))
	refusesAll(t, only, "CreateSecret", tags, denied(alice, "TagResource", "new", policy.IdentityBased))
	refusesAll(t, only, "CreateSecret", taken, denied(alice, "TagResource", "taken", policy.IdentityBased))
	explicitly := guarded(t, room, alice, allowAll, deny(where(allow("TagResource"), `{"StringEquals":{"aws:RequestTag/team":"db"}}`)))
	refusesAll(t, explicitly, "CreateSecret", tags, deniedBy(alice, "TagResource", "new", policy.IdentityBased))
	refusesAll(t, guarded(t, room, alice, allow("TagResource")), "CreateSecret", tags, denied(alice, "CreateSecret", "new", policy.IdentityBased))
	answers(t, only, "CreateSecret", rights["CreateSecret"].request("without"))
	answers(t, guarded(t, room, alice, allow("CreateSecret", "TagResource")), "CreateSecret", tags)
}

// What policies can ask of a request, of the secret and of the caller. Each condition
// is tried with an Allow, and with a Deny beside one that allows everything.
func TestConditions(t *testing.T) {
	t.Parallel()
	const (
		team    = `"Tags":[{"Key":"team","Value":"db"}]`
		twoTags = `"Tags":[{"Key":"team","Value":"db"},{"Key":"Other","Value":"x"}]`
	)
	v1 := `"VersionId":"` + token("v1") + `"`
	for _, test := range []struct {
		operation, members, condition string
		want                          bool
	}{
		// Tags of the secret, which are Team=db and Note=of it.
		{"GetSecretValue", ``, `{"StringEquals":{"aws:ResourceTag/Team":"db"}}`, true},
		{"GetSecretValue", ``, `{"StringEquals":{"AWS:resourceTAG/tEAM":"db"}}`, true},
		{"GetSecretValue", ``, `{"StringEquals":{"secretsmanager:ResourceTag/Team":"db"}}`, true},
		{"GetSecretValue", ``, `{"StringEquals":{"aws:ResourceTag/Team":"DB"}}`, false},
		{"GetSecretValue", ``, `{"StringEquals":{"aws:ResourceTag/Team":"web"}}`, false},
		{"GetSecretValue", ``, `{"StringEquals":{"aws:ResourceTag/Team":"db","aws:ResourceTag/Note":"of it"}}`, true},
		{"GetSecretValue", ``, `{"StringEquals":{"aws:ResourceTag/Team":"db","aws:ResourceTag/Note":"other"}}`, false},
		{"GetSecretValue", ``, `{"StringEquals":{"aws:ResourceTag/none":"db"}}`, false},
		{"GetSecretValue", ``, `{"Null":{"aws:ResourceTag/Team":"true"}}`, false},
		{"GetSecretValue", ``, `{"StringEquals":{"aws:RequestTag/Team":"db"}}`, false},
		{"DeleteSecret", ``, `{"StringEquals":{"aws:ResourceTag/Team":"db"}}`, true},
		{"PutSecretValue", rights["PutSecretValue"].members, `{"StringEquals":{"aws:ResourceTag/Team":"web"}}`, false},
		// Tags in the request.
		{"CreateSecret", team, `{"StringEquals":{"aws:RequestTag/team":"db"}}`, true},
		{"CreateSecret", team, `{"StringEquals":{"aws:RequestTag/Team":"web"}}`, false},
		{"CreateSecret", ``, `{"StringEquals":{"aws:RequestTag/team":"db"}}`, false},
		{"CreateSecret", team, `{"StringEquals":{"aws:ResourceTag/team":"db"}}`, true}, // it counts what will be
		{"CreateSecret", team, `{"StringEquals":{"secretsmanager:ResourceTag/team":"web"}}`, false},
		{"CreateSecret", ``, `{"StringEquals":{"aws:ResourceTag/team":"db"}}`, false},
		{"CreateSecret", `"Tags":[{"Key":"team","Value":"web"}]`, `{"StringEquals":{"aws:ResourceTag/team":"db"}}`, false},
		{"CreateSecret", team, `{"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}`, true},
		{"CreateSecret", twoTags, `{"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}`, false},
		{"CreateSecret", twoTags, `{"ForAnyValue:StringEquals":{"aws:TagKeys":["team"]}}`, true},
		{"CreateSecret", ``, `{"ForAnyValue:StringEquals":{"aws:TagKeys":["team"]}}`, false},
		{"TagResource", team, `{"StringEquals":{"aws:RequestTag/team":["web","db"]}}`, true},
		{"TagResource", team, `{"StringEquals":{"aws:ResourceTag/Team":"db","aws:RequestTag/team":"db"}}`, true},
		{"TagResource", `"Tags":[{"Key":"Team","Value":"web"}]`, `{"StringEquals":{"aws:ResourceTag/Team":"web"}}`, false}, // it counts what is
		{"TagResource", twoTags, `{"ForAllValues:StringEquals":{"aws:TagKeys":["team","Other"]}}`, true},
		{"TagResource", twoTags, `{"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}`, false},
		{"UntagResource", `"TagKeys":["Note"]`, `{"ForAllValues:StringEquals":{"aws:TagKeys":["Note"]}}`, true},
		{"UntagResource", `"TagKeys":["Note","Team"]`, `{"ForAllValues:StringEquals":{"aws:TagKeys":["Note"]}}`, false},
		{"UntagResource", `"TagKeys":["Note","Team"]`, `{"ForAnyValue:StringEquals":{"aws:TagKeys":["Team"]}}`, true},
		// Versions and labels.
		{"GetSecretValue", `"VersionStage":"AWSCURRENT"`, `{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, true},
		{"GetSecretValue", `"VersionStage":"mine"`, `{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, false},
		{"GetSecretValue", `"VersionStage":"mine"`, `{"StringLike":{"secretsmanager:VersionStage":"m*"}}`, true},
		{"GetSecretValue", v1, `{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, false}, // no label is asked for
		{"GetSecretValue", v1 + `,"VersionStage":"AWSCURRENT"`, `{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, true},
		{"GetSecretValue", v1, `{"StringEquals":{"secretsmanager:VersionId":"` + token("v1") + `"}}`, true},
		{"GetSecretValue", v1, `{"Null":{"secretsmanager:VersionId":"true"}}`, false},
		{"GetSecretValue", ``, `{"Null":{"secretsmanager:VersionId":"true"}}`, true},
		{"UpdateSecretVersionStage", rights["UpdateSecretVersionStage"].members, `{"StringEquals":{"secretsmanager:VersionStage":"mine"}}`, true},
		{"UpdateSecretVersionStage", rights["UpdateSecretVersionStage"].members, `{"StringLike":{"secretsmanager:VersionStage":"AWS*"}}`, false},
		{"PutSecretValue", rights["PutSecretValue"].members + `,"VersionStages":["AWSPENDING"]`, `{"StringEquals":{"secretsmanager:VersionStage":"AWSPENDING"}}`, true},
		{"PutSecretValue", rights["PutSecretValue"].members + `,"VersionStages":["AWSPENDING"]`, `{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, false},
		{"PutSecretValue", rights["PutSecretValue"].members, `{"StringEquals":{"secretsmanager:VersionStage":"AWSPENDING"}}`, false},
		{"PutSecretValue", rights["PutSecretValue"].members + `,"VersionStages":["mine","AWSCURRENT"]`, `{"ForAnyValue:StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, true},
		{"PutSecretValue", rights["PutSecretValue"].members + `,"VersionStages":["mine","AWSCURRENT"]`, `{"ForAllValues:StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, false},
		// What else a request says.
		{"DeleteSecret", `"RecoveryWindowInDays":7`, `{"NumericGreaterThanEquals":{"secretsmanager:RecoveryWindowInDays":"10"}}`, false},
		{"DeleteSecret", `"RecoveryWindowInDays":10`, `{"NumericGreaterThanEquals":{"secretsmanager:RecoveryWindowInDays":"10"}}`, true},
		{"DeleteSecret", ``, `{"NumericGreaterThanEquals":{"secretsmanager:RecoveryWindowInDays":"10"}}`, false},
		{"DeleteSecret", ``, `{"Null":{"secretsmanager:RecoveryWindowInDays":"true"}}`, true},
		{"DeleteSecret", `"ForceDeleteWithoutRecovery":false`, `{"Bool":{"secretsmanager:ForceDeleteWithoutRecovery":"false"}}`, true},
		{"DeleteSecret", `"ForceDeleteWithoutRecovery":true`, `{"Bool":{"secretsmanager:ForceDeleteWithoutRecovery":"false"}}`, false},
		{"CreateSecret", `"KmsKeyId":"alias/app"`, `{"StringEquals":{"secretsmanager:KmsKeyId":"alias/app"}}`, true},
		{"CreateSecret", `"KmsKeyId":"alias/other"`, `{"StringEquals":{"secretsmanager:KmsKeyId":"alias/app"}}`, false},
		{"CreateSecret", ``, `{"StringEquals":{"secretsmanager:KmsKeyId":"alias/app"}}`, false},
		{"UpdateSecret", `"KmsKeyId":"alias/app"`, `{"StringNotEquals":{"secretsmanager:KmsKeyId":"alias/app"}}`, false},
		{"CreateSecret", `"Name":"prod/db"`, `{"StringLike":{"secretsmanager:Name":"prod/*"}}`, true},
		{"CreateSecret", ``, `{"StringLike":{"secretsmanager:Name":"prod/*"}}`, false},
		{"CreateSecret", `"Description":"a note"`, `{"StringEquals":{"secretsmanager:Description":"a note"}}`, true},
		{"UpdateSecret", `"Description":"a note"`, `{"StringEquals":{"secretsmanager:Description":"another"}}`, false},
		{"CreateSecret", `"Type":"SalesforceClientSecret"`, `{"StringEquals":{"secretsmanager:Type":"SalesforceClientSecret"}}`, true},
		{"PutResourcePolicy", `"ResourcePolicy":` + quoted(oneRole) + `,"BlockPublicPolicy":true`, `{"Bool":{"secretsmanager:BlockPublicPolicy":"false"}}`, false},
		{"PutResourcePolicy", rights["PutResourcePolicy"].members, `{"Bool":{"secretsmanager:BlockPublicPolicy":"true"}}`, false},
		{"RotateSecret", rights["RotateSecret"].members, `{"StringEquals":{"secretsmanager:RotationLambdaARN":"` + function + `"}}`, true},
		{"RotateSecret", rights["RotateSecret"].members, `{"ArnLike":{"secretsmanager:RotationLambdaARN":"arn:aws:lambda:*:*:function:other"}}`, false},
		{"RotateSecret", rights["RotateSecret"].members, `{"Null":{"secretsmanager:resource/AllowRotationLambdaArn":"true"}}`, true}, // none is stored yet
		{"RotateSecret", rights["RotateSecret"].members + `,"RotateImmediately":false`, `{"Bool":{"secretsmanager:RotateImmediately":"false"}}`, true},
		{"RotateSecret", rights["RotateSecret"].members + `,"RotateImmediately":true`, `{"Bool":{"secretsmanager:RotateImmediately":"false"}}`, false},
		{"RotateSecret", rights["RotateSecret"].members + `,"RotationRules":{"AutomaticallyAfterDays":5}`, `{"Bool":{"secretsmanager:ModifyRotationRules":"true"}}`, true},
		{"RotateSecret", rights["RotateSecret"].members, `{"Bool":{"secretsmanager:ModifyRotationRules":"true"}}`, false},
		// The secret.
		{"GetSecretValue", ``, `{"ArnLike":{"secretsmanager:SecretId":"` + localtest.ARNs.Of("s", "??????") + `"}}`, true},
		{"GetSecretValue", ``, `{"ArnLike":{"secretsmanager:SecretId":"` + localtest.ARNs.Of("t", "??????") + `"}}`, false},
		{"GetSecretValue", ``, `{"StringEquals":{"secretsmanager:SecretPrimaryRegion":"` + local.Region + `"}}`, true},
		{"CancelRotateSecret", ``, `{"StringEquals":{"secretsmanager:resource/AllowRotationLambdaArn":"` + function + `"}}`, true},
		{"CancelRotateSecret", ``, `{"StringEquals":{"secretsmanager:resource/AllowRotationLambdaArn":"another"}}`, false},
		{"PutSecretValue", rights["PutSecretValue"].members, `{"Null":{"strongroom:Rotating":"true"}}`, false},
		// The caller, and the time.
		{"GetSecretValue", ``, `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, true},
		{"GetSecretValue", ``, `{"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}}`, false},
		{"ListSecrets", ``, `{"IpAddress":{"aws:SourceIp":"203.0.113.7"}}`, true},
		{"GetRandomPassword", ``, `{"NotIpAddress":{"aws:SourceIp":"203.0.113.7"}}`, false},
		{"GetSecretValue", ``, `{"Bool":{"aws:SecureTransport":"true"}}`, true},
		{"GetSecretValue", ``, `{"StringLike":{"aws:UserAgent":"test/*"}}`, true},
		{"GetSecretValue", ``, `{"ArnEquals":{"aws:PrincipalArn":"` + alice.ARN + `"}}`, true},
		{"GetSecretValue", ``, `{"ArnEquals":{"aws:PrincipalArn":"` + runner.ARN + `"}}`, false},
		{"GetSecretValue", ``, `{"StringEquals":{"aws:PrincipalAccount":"` + local.Account + `","aws:PrincipalOrgID":"o-1234567890","aws:userid":"AIDAALICE","aws:username":"alice"}}`, true},
		{"GetSecretValue", ``, `{"StringEquals":{"aws:PrincipalOrgID":"o-0000000000"}}`, false},
		{"GetSecretValue", ``, `{"StringEquals":{"aws:SourceVpce":"vpce-1"}}`, false},
		{"GetSecretValue", ``, `{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:01Z"}}`, true},
		{"GetSecretValue", ``, `{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, false},
		{"GetSecretValue", ``, `{"NumericLessThanEquals":{"aws:EpochTime":"1767225600"}}`, true},
		{"GetSecretValue", ``, `{"DateGreaterThan":{"aws:CurrentTime":"2025-12-31T00:00:00Z"},"StringEquals":{"aws:username":"bob"}}`, false},
	} {
		t.Run(test.operation+" "+test.condition, func(t *testing.T) {
			t.Parallel()
			checkConditions(t, test.operation, test.members, test.want, !test.want, test.condition)
		})
	}
}

// checkConditions tries a condition with an Allow, and with a Deny beside one that allows
// everything: whether the call is then allowed.
func checkConditions(t *testing.T, operation, members string, byAllow, besideDeny bool, condition string) {
	t.Helper()
	right := rights[operation]
	body := right.request("s")
	switch {
	case right.subject == "" || strings.Contains(members, `"Name":`):
		body = "{" + members + "}"
	case right.subject == "Name":
		body = `{"Name":"new"` + strings.TrimSuffix(","+members, ",") + "}"
	case members != right.members:
		body = `{"SecretId":"s"` + strings.TrimSuffix(","+members, ",") + "}"
	}
	for effect, want := range map[string]bool{"Allow": byAllow, "Deny": besideDeny} {
		room := localtest.New(t)
		if right.subject == "SecretId" {
			in := createInput("s", "v1", "one")
			in.Tags = append(tagged("Team", "db"), tagged("Note", "of it")...)
			must(room.SDK.CreateSecret(t.Context(), in))(t)
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "mine", "", "v1")))(t)
			if right.before != nil {
				right.before(t, room, "s")
			}
		}
		statement := where(allow(operation), condition)
		if right.subject == "Name" {
			statement = where(allow(operation, "TagResource", "ReplicateSecretToRegions"), condition)
		}
		statements := []string{statement}
		if effect == "Deny" {
			statements = []string{allowAll, deny(statement)}
		}
		guard := guarded(t, room, alice, statements...)
		withClock(guard, epoch)
		answer, text := guard.Post(t, operation, body)
		// A key that is not there can be asked for, and KMS has none.
		allowed := answer.StatusCode == http.StatusOK || strings.Contains(text, "EncryptionFailure")
		isDenied := answer.StatusCode == http.StatusBadRequest && strings.Contains(text, "is not authorized to perform")
		if allowed == isDenied || allowed != want {
			t.Errorf("%s %s: got %d %s of %s; want it allowed: %v", effect, condition, answer.StatusCode, text, body, want)
		}
	}
}

// In a batch it is AWSCURRENT that is read. No caller can say so: a statement that denies it
// applies, and none that allows it only.
func TestBatchGetSecretValueConditions(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	for label, want := range map[string]int{"AWSCURRENT": 0, "AWSPREVIOUS": 1} {
		asked := where(allow("GetSecretValue"), `{"StringEquals":{"secretsmanager:VersionStage":"`+label+`"}}`)
		guard := guarded(t, room, alice, allowAll, deny(asked))
		if out := batch(t, guard, batchOf("s")); len(out.SecretValues) != want || len(out.Errors) != 1-want {
			t.Errorf("Deny of %s: got %q and %q, want %d values", label, valuesOf(out), errorsOf(out), want)
		}
		guard = guarded(t, room, alice, allow("BatchGetSecretValue"), asked)
		if out := batch(t, guard, batchOf("s")); len(out.SecretValues) != 0 {
			t.Errorf("Allow of %s: got %q, want no value", label, valuesOf(out))
		}
	}
}

// leaseRotation has a runner make v2 of the secret, until some time, with a token.
func leaseRotation(t testing.TB, room *localtest.Room, name, rotationToken string, until time.Time) {
	t.Helper()
	must(room.SDK.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &name, ClientRequestToken: aws.String(token("v2")), RotationLambdaARN: aws.String(function),
	}))(t)
	_, err := room.Store.Update(t.Context(), secret.ID{Name: name}, func(sec secret.Secret) (secret.Change, error) {
		return sec.Lease(secret.Lease{Runner: "runner", Proof: secret.ProofOf(rotationToken), Until: until}, time.Now().Add(time.Second)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The token of a rotation says that its function calls, which a policy can ask for:
// as long as it is the one of this secret, this version, and now.
func TestRotatingCondition(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	right := strings.Repeat("r1-", 20)
	wrong := strings.Repeat("x1-", 20)
	for _, name := range []string{"s", "other", "ended"} {
		create(t, room, name, "v1", "one")
	}
	leaseRotation(t, room, "s", right, time.Now().Add(time.Hour))
	leaseRotation(t, room, "ended", right, time.Now().Add(-time.Second))
	guard := guarded(t, room, runner, where(allow("PutSecretValue"), `{"Bool":{"strongroom:Rotating":"true"}}`))
	body := func(name, version, rotationToken string) string {
		b := `{"SecretId":"` + name + `","ClientRequestToken":"` + token(version) + `","SecretString":"two","VersionStages":["AWSPENDING"]`
		if rotationToken != "" {
			b += `,"RotationToken":"` + rotationToken + `"`
		}
		return b + "}"
	}
	for _, test := range []struct{ name, body string }{
		{"s", body("s", "v2", "")},
		{"s", body("s", "v2", wrong)},
		{"s", body("s", "v3", right)},
		{"other", body("other", "v2", right)},
		{"ended", body("ended", "v2", right)},
		{"none", body("none", "v2", right)},
	} {
		refusesAll(t, guard, "PutSecretValue", test.body, denied(runner, "PutSecretValue", test.name, policy.IdentityBased))
	}
	answers(t, guard, "PutSecretValue", body("s", "v2", right))
	// Who may put anyway is still no other rotation's function.
	other := strings.Replace(body("s", "v2", wrong), "two", "three", 1)
	refusesPost(t, guarded(t, room, runner, allowAll), "PutSecretValue", other, refusal{"AccessDeniedException", "The rotation token is not valid for this version of the secret."})
	denies := guarded(t, room, runner, allowAll, deny(where(allow("PutSecretValue"), `{"Bool":{"strongroom:Rotating":"false"}}`)))
	refusesAll(t, denies, "PutSecretValue", body("s", "v2", wrong), deniedBy(runner, "PutSecretValue", "s", policy.IdentityBased))
}

// A checker is a Rotator that counts what it is asked.
type checker struct{ checks, starts atomic.Int64 }

func (c *checker) Check(context.Context, string) error {
	c.checks.Add(1)
	return nil
}

func (c *checker) Start(context.Context, string) error {
	c.starts.Add(1)
	return nil
}

func (c *checker) took() [2]int64 { return [2]int64{c.checks.Load(), c.starts.Load()} }

// Who may not rotate a secret learns nothing of functions, and starts none.
func TestRotateSecretRights(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	for _, test := range []struct {
		statement string
		want      [2]int64
	}{
		{allowBut("RotateSecret"), [2]int64{}},
		{allow("RotateSecret"), [2]int64{1, 1}},
	} {
		guard := guarded(t, room, alice, test.statement)
		var rotator checker
		guard.Server.Rotator = &rotator
		guard.Post(t, "RotateSecret", rights["RotateSecret"].request("s"))
		if got := rotator.took(); got != test.want {
			t.Errorf("%s: got %d checks and starts, want %d", test.statement, got, test.want)
		}
	}
	// That of a rotation that is not complete is not tried again for them, either.
	before := dump(t, room)
	guard := guarded(t, room, alice, allowBut("RotateSecret"))
	var rotator checker
	guard.Server.Rotator = &rotator
	answer, text := guard.Post(t, "RotateSecret", strings.Replace(rights["RotateSecret"].request("s"), token("r2"), token("r3"), 1))
	checkAnswer(t, answer, text, denied(alice, "RotateSecret", "s", policy.IdentityBased))
	checkSame(t, before, dump(t, room))
	if got := rotator.took(); got != [2]int64{} {
		t.Errorf("got %d checks and starts, want none", got)
	}
}

// retag gives a secret other tags, and repolicy another policy or none, whatever its
// state.
func retag(t testing.TB, room *localtest.Room, name string, tags ...secret.Tag) {
	t.Helper()
	_, err := room.Store.Update(t.Context(), secret.ID{Name: name}, func(sec secret.Secret) (secret.Change, error) {
		sec.Tags = tags
		return secret.Change{Secret: sec}, nil
	})
	if err != nil {
		t.Error(err) // maybe on the goroutine of a call
	}
}

func repolicy(t testing.TB, room *localtest.Room, name, text string) {
	t.Helper()
	_, err := room.Store.Update(t.Context(), secret.ID{Name: name}, func(sec secret.Secret) (secret.Change, error) {
		sec.PolicyHash = ""
		if text != "" {
			sum := sha256.Sum256([]byte(text))
			sec.PolicyHash = hex.EncodeToString(sum[:])
		}
		return secret.Change{Secret: sec, Policy: text}, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What another process changed counts, whatever this one remembers: what was allowed
// is refused, and what was refused is allowed.
func TestDecisionsAreRepeated(t *testing.T) {
	t.Parallel()
	db := secret.Tag{Key: "team", Value: "db"}
	for _, operation := range onSecrets() {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			right := rights[operation]
			for _, name := range []string{"tags", "policy"} {
				right.make(t, room, name)
			}
			ifTagged := guarded(t, room, alice, allow("DescribeSecret"), where(allow(operation), `{"StringEquals":{"aws:ResourceTag/team":"db"}}`))
			ifNot := guarded(t, room, alice, allow("DescribeSecret", operation))
			no := document(deny(to(allow(operation), alice.ARN)))
			if operation == "DescribeSecret" {
				ifTagged = guarded(t, room, alice, where(allow(operation), `{"StringEquals":{"aws:ResourceTag/team":"db"}}`))
			}
			// Allowed, as far as they know.
			retag(t, room, "tags", db)
			answers(t, ifTagged, "DescribeSecret", `{"SecretId":"tags"}`)
			answers(t, ifNot, "DescribeSecret", `{"SecretId":"policy"}`)
			retag(t, room, "tags")
			repolicy(t, room, "policy", no)
			refusesPost(t, ifTagged, operation, right.request("tags"), denied(alice, operation, "tags", policy.IdentityBased))
			refusesPost(t, ifNot, operation, right.request("policy"), deniedBy(alice, operation, "policy", policy.ResourceBased))
			// And now refused, as far as they know.
			retag(t, room, "tags", db)
			repolicy(t, room, "policy", "")
			answers(t, ifTagged, operation, right.request("tags"))
			answers(t, ifNot, operation, right.request("policy"))
		})
	}
}

// A policy that is changed between the read of the secret and that of the policy:
// what stands then counts.
func TestPolicyChangesBetweenReads(t *testing.T) {
	t.Parallel()
	for _, operation := range append(onSecrets(), "BatchGetSecretValue", "ListSecrets") {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			right, decides := rights[operation], operation
			switch operation {
			case "BatchGetSecretValue":
				decides = "GetSecretValue"
			case "ListSecrets":
				decides = "DescribeSecret"
			}
			yes := document(to(allow(decides), alice.ARN))
			no := document(deny(to(allow(decides), alice.ARN)))
			for _, test := range []struct {
				before, after string
				allowed       bool
			}{
				{yes, no, false},
				{yes, "", false},
				{no, yes, true},
				{yes, document(to(allow(decides), alice.ARN, runner.ARN)), true},
			} {
				for _, warm := range []bool{false, true} {
					name := fmt.Sprintf("s%d", len(dump(t, room)))
					if right.subject == "" {
						room, name = localtest.New(t), "s"
					}
					right.make(t, room, name)
					repolicy(t, room, name, test.before)
					guard := guarded(t, room, alice, allow("BatchGetSecretValue", "ListSecrets", "GetRandomPassword"))
					if warm { // the secret is remembered, and its policy is not
						must(guard.Server.Store.Get(t.Context(), secret.ID{Name: name}))(t)
					}
					changed := false
					change := about("POLICY#", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
						if !changed {
							changed = true
							repolicy(t, room, name, test.after)
						}
						return do()
					})
					guard.Wire.Break("GetItem", times(4, change)...)
					guard.Wire.Break("BatchGetItem", times(2, change)...)
					answer, text := guard.Post(t, operation, right.request(name))
					allowed := answer.StatusCode == http.StatusOK
					switch operation {
					case "BatchGetSecretValue":
						allowed = strings.Contains(text, `"SecretString":"one"`)
					case "ListSecrets":
						allowed = strings.Contains(text, `"Name":"s"`)
					}
					if !changed || allowed != test.allowed || strings.Contains(text, "Throttling") {
						t.Errorf("from %.60s to %.60s, warm %v: got %d %s, want it allowed: %v", test.before, test.after, warm, answer.StatusCode, text, test.allowed)
					}
				}
			}
		})
	}
}

// A policy that nobody could replace after it, at least not who puts it, is refused.
func TestPutResourcePolicyLocksOut(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	putPolicy(t, room, "s", document(to(allow("PutResourcePolicy"), runner.ARN)))
	lockedOut := refusal{"InvalidRequestException", "Your requested changes will not allow you to manage this secret in the future."}
	own := guarded(t, room, alice, allow("PutResourcePolicy"))
	granted := guarded(t, room, runner, allow("GetSecretValue"))
	body := func(text string, more ...string) string {
		return `{"SecretId":"s","ResourcePolicy":` + quoted(text) + strings.Join(more, "") + `}`
	}
	for _, statement := range []string{
		deny(allow("PutResourcePolicy")),
		deny(allowAll),
		deny(to(allowAll, alice.ARN)),
		deny(to(allowAll, alice.Account)),
		strings.Replace(deny(to(allow("PutResourcePolicy"), runner.ARN)), "Principal", "NotPrincipal", 1),
		deny(allowBut("GetSecretValue")),
		deny(where(allowAll, `{"Bool":{"secretsmanager:BlockPublicPolicy":"false"}}`)),
		deny(where(allowAll, `{"NotIpAddress":{"aws:SourceIp":"198.51.100.0/24"}}`)),
		deny(where(allowAll, `{"StringNotEquals":{"aws:ResourceTag/team":"db"}}`)),
	} {
		refusesPost(t, own, "PutResourcePolicy", body(document(allowAll, statement)), lockedOut)
	}
	// Whom the policy alone let, it must go on to let.
	for _, text := range []string{oneRole, document(allow("GetSecretValue")), document(to(allowAll, alice.ARN)), document(to(allowAll, runner.Account))} {
		refusesPost(t, granted, "PutResourcePolicy", body(text), lockedOut)
	}
	for _, text := range []string{
		oneRole,
		document(deny(to(allowAll, stranger.ARN))),
		document(deny(where(allowAll, `{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`))),
		document(to(allow("PutResourcePolicy"), runner.ARN)),
	} {
		answers(t, own, "PutResourcePolicy", body(text))
	}
	answers(t, own, "PutResourcePolicy", body(document(deny(where(allowAll, `{"Bool":{"secretsmanager:BlockPublicPolicy":"false"}}`))), `,"BlockPublicPolicy":true`))
	answers(t, own, "PutResourcePolicy", body(document(to(allow("PutResourcePolicy"), runner.ARN)), `,"BlockPublicPolicy":true`))
	answers(t, granted, "PutResourcePolicy", body(document(to(allow("PutResourcePolicy"), "arn:aws:iam::"+local.Account+":role/runner"))))
	// Broad is who is let in, and not how it is written.
	public := refusal{"PublicPolicyException", "You can't attach a resource-based policy that allows broad access to the secret."}
	for _, statement := range []string{
		allow("GetSecretValue"),
		strings.Replace(to(allow("GetSecretValue"), runner.ARN), "Principal", "NotPrincipal", 1),
		where(allow("GetSecretValue"), `{"StringLike":{"aws:PrincipalArn":"*"}}`),
		where(allow("GetSecretValue"), `{"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}}`),
	} {
		refusesPost(t, own, "PutResourcePolicy", body(document(statement), `,"BlockPublicPolicy":true`), public)
	}
	for _, statement := range []string{
		to(allow("GetSecretValue"), stranger.Account),
		where(allow("GetSecretValue"), `{"StringEquals":{"aws:PrincipalOrgID":"o-1234567890"}}`),
	} {
		answers(t, own, "PutResourcePolicy", body(document(statement), `,"BlockPublicPolicy":true`))
	}
}

// A decision without a policy on the secret costs no call, and one with costs a read
// of it, once: a policy that is remembered is not read again.
func TestDecisionsCost(t *testing.T) {
	t.Parallel()
	const readPolicy = 1.0
	puts := 0
	for _, test := range []struct {
		name string
		call func(context.Context, *secretsmanager.Client, string) error
	}{
		{"get", func(ctx context.Context, c *secretsmanager.Client, name string) error {
			_, err := c.GetSecretValue(ctx, getInput(name, "", ""), once)
			return err
		}},
		{"put", func(ctx context.Context, c *secretsmanager.Client, name string) error {
			puts++
			_, err := c.PutSecretValue(ctx, putInput(name, fmt.Sprint("p", puts), kilobyte), once)
			return err
		}},
		{"describe", func(ctx context.Context, c *secretsmanager.Client, name string) error {
			_, err := c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name}, once)
			return err
		}},
		{"tag", func(ctx context.Context, c *secretsmanager.Client, name string) error {
			_, err := c.TagResource(ctx, tagInput(name, tagged("k", "v")...), once)
			return err
		}},
	} {
		room := localtest.New(t)
		for _, name := range []string{"s", "policed", "large"} {
			must(room.SDK.CreateSecret(t.Context(), createInput(name, "v0", kilobyte)))(t)
			get(t, room, name) // notes the day
		}
		putPolicy(t, room, "policed", document(to(allow("GetRandomPassword"), runner.ARN)))
		putPolicy(t, room, "large", large(20480))
		// measure is what the call costs a process that does not know the secret, and
		// then one that does.
		measure := func(in *localtest.Room, name string) (cold, warm cost) {
			t.Helper()
			var costs [2]cost
			for i := range costs {
				took(in)
				if err := test.call(t.Context(), in.SDK, name); err != nil {
					t.Error(err)
				}
				costs[i] = took(in)
			}
			return costs[0], costs[1]
		}
		var statements []string
		for i := range 50 {
			statements = append(statements, where(to(allowAll, runner.ARN), fmt.Sprintf(`{"StringEquals":{"aws:ResourceTag/t%d":"v"}}`, i)))
		}
		cold, warm := measure(room.Another(t), "s")
		if c, w := measure(guarded(t, room, alice, append(statements, allowAll)...), "s"); c != cold || w != warm {
			t.Errorf("%s: got %v and %v with policies, want %v and %v as without", test.name, c, w, cold, warm)
		}
		for name, units := range map[string]float64{"policed": readPolicy, "large": 6 * readPolicy} { // 20,480 characters, and some
			guard := guarded(t, room, alice, allowAll)
			c, w := measure(guard, name)
			if want := (cost{"GetItem " + cold.calls, cold.reads + units, cold.writes}); c != want || w != warm {
				t.Errorf("%s of %s: got %v and %v, want %v and %v", test.name, name, c, w, want, warm)
			}
			again := guarded(t, room, alice, allowAll)
			again.Server.Resources = guard.Server.Resources
			if c, w := measure(again, name); c != cold || w != warm {
				t.Errorf("%s of %s, with the policy remembered: got %v and %v, want %v and %v", test.name, name, c, w, cold, warm)
			}
		}
	}
	// Who puts a policy knows it.
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	guard := guarded(t, room, alice, allowAll)
	answers(t, guard, "PutResourcePolicy", rights["PutResourcePolicy"].request("s"))
	took(guard)
	answers(t, guard, "DescribeSecret", `{"SecretId":"s"}`)
	if got, want := took(guard), (cost{"GetItem", readHead, 0}); got != want {
		t.Errorf("got %v after its own put of a policy, want %v", got, want)
	}
}

// What was denied is explained in the log, and nowhere else.
func TestDenialsAreExplained(t *testing.T) {
	t.Parallel()
	writer := localtest.New(t)
	create(t, writer, "s", "v1", "one")
	putPolicy(t, writer, "s", document(`{"Sid":"Keep","Effect":"Deny","Principal":{"AWS":"`+alice.ARN+`"},"Action":"secretsmanager:PutSecretValue","Resource":"*"}`))
	room, log := logged(t, writer)
	room.Server.Policies = must(policy.ParseSet("policies.json", []byte(`[`+document(where(allow("GetSecretValue"), `{"StringEquals":{"aws:ResourceTag/team":"db"}}`), allow("PutSecretValue", "BatchGetSecretValue"))+`]`)))(t)
	room = room.As(t, alice)
	for _, test := range []struct{ operation, body, want string }{
		{"GetSecretValue", `{"SecretId":"s"}`, "the condition StringEquals aws:ResourceTag/team"},
		{"GetSecretValue", `{"SecretId":"none"}`, "the condition StringEquals aws:ResourceTag/team"},
		{"PutSecretValue", rights["PutSecretValue"].request("s"), `denied by resource policy, statement 1 (\"Keep\")`},
		{"ListSecrets", `{}`, "no identity-based policy allows it"},
		{"BatchGetSecretValue", `{"SecretIdList":["s"]}`, "the condition StringEquals aws:ResourceTag/team"},
	} {
		log.Reset()
		answer := serve(room, test.operation, test.body)
		if got := log.String(); !strings.Contains(got, test.want) || !strings.Contains(got, `"denied":"`) {
			t.Errorf("%s: got log %s, want it to say %s", test.operation, got, test.want)
		}
		if body := answer.Body.String(); strings.Contains(body, "StringEquals") || strings.Contains(body, "Keep") || strings.Contains(body, "statement") {
			t.Errorf("%s: got answer %s, which explains it", test.operation, body)
		}
	}
}
