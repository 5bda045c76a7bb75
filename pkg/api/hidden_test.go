package api_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
)

// seesSome lets alice list the secrets in app/ and those with the tag team = db, and none
// with the tag hidden.
var seesSome = []string{
	allow("ListSecrets", "BatchGetSecretValue"),
	strings.Replace(allow("DescribeSecret"), `"Resource":"*"`, `"Resource":"`+localtest.ARNs.Of("app/*", "??????")+`"`, 1),
	where(allow("DescribeSecret"), `{"StringEquals":{"aws:ResourceTag/team":"db"}}`),
	deny(where(allow("DescribeSecret"), `{"Null":{"aws:ResourceTag/hidden":"false"}}`)),
}

// random makes a secret that alice may see, or may not, and the policy on it.
func random(r *rand.Rand, i int) (sec secret.Secret, onSecret string, visible bool) {
	folder := []string{"app/", "ap", "zoo/", "app/x/"}[r.IntN(4)]
	name := fmt.Sprintf("%s%c-%d", folder, 'a'+rune(r.IntN(3)), i)
	sec = secret.New(name, localtest.ARNs.Of(name, suffix(i)), "", epoch.Add(time.Duration(r.IntN(40))*time.Minute))
	sec.Changed, sec.Accessed = epoch.Add(time.Duration(r.IntN(40))*time.Hour), epoch.AddDate(0, 0, r.IntN(9))
	sec.Description = []string{"", "the Database of payments", "key"}[r.IntN(3)]
	if visible = strings.HasPrefix(name, "app/"); r.IntN(3) == 0 {
		sec.Tags, visible = append(sec.Tags, secret.Tag{Key: "team", Value: "db"}), true
	}
	switch r.IntN(8) {
	case 0:
		onSecret, visible = document(deny(to(allow("DescribeSecret"), alice.ARN))), false
	case 1:
		onSecret, visible = document(to(allow("DescribeSecret"), alice.ARN)), true
	case 2:
		onSecret = document(to(allow("GetSecretValue"), alice.ARN))
	}
	if r.IntN(4) == 0 {
		sec.Tags, visible = append(sec.Tags, secret.Tag{Key: "hidden", Value: "yes"}), false
	}
	if r.IntN(6) == 0 {
		sec.Deletion = epoch.AddDate(1, 0, 0)
	}
	return sec, onSecret, visible
}

// What a list answers to a caller is what it would answer without the secrets that they
// may not see: the same pages, with tokens between the same pages, of the same length.
func TestHiddenSecretsDoNotExist(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	for range 2 {
		full, bare := localtest.New(t), localtest.New(t)
		shown, changed := 0, map[string]time.Time{}
		for i := range 20 + r.IntN(120) {
			sec, onSecret, visible := random(r, i)
			rooms := []*localtest.Room{full}
			if visible {
				rooms, shown = append(rooms, bare), shown+1
			}
			for _, room := range rooms {
				seed(t, room, sec)
				if onSecret != "" {
					repolicy(t, room, sec.Name, onSecret)
				}
			}
			changed["SECRET#"+sec.Name] = sec.Changed
		}
		for _, room := range []*localtest.Room{full, bare} {
			rewrite(t, room, func(pk, sk string, item map[string]dbtypes.AttributeValue) bool { // policies changed it
				item["changed"] = text(stamp(changed[pk]))
				return sk == "HEAD"
			})
		}
		full, bare = guarded(t, full, alice, seesSome...), guarded(t, bare, alice, seesSome...)
		if got := len(listAll(t, full, secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)})); got != shown {
			t.Fatalf("got %d secrets, want the %d that may be seen", got, shown)
		}
		for range 30 {
			in := secretsmanager.ListSecretsInput{
				SortBy: types.SortByType("").Values()[r.IntN(4)], SortOrder: types.SortOrderType("").Values()[r.IntN(2)],
				MaxResults: aws.Int32(1 + r.Int32N(12)), IncludePlannedDeletion: aws.Bool(r.IntN(2) == 0), Filters: randomFilters(r),
			}
			if got, want := shape(t, full, in), shape(t, bare, in); got != want {
				t.Fatalf("%v by %s %s: got\n%s\nwant, as without the hidden ones,\n%s", in.Filters, in.SortBy, in.SortOrder, got, want)
			}
			if len(in.Filters) > 0 {
				batch := secretsmanager.BatchGetSecretValueInput{MaxResults: in.MaxResults, Filters: in.Filters}
				if got, want := shapeOfBatch(t, full, batch), shapeOfBatch(t, bare, batch); got != want {
					t.Fatalf("batch of %v: got\n%s\nwant, as without the hidden ones,\n%s", in.Filters, got, want)
				}
			}
		}
	}
}

func randomFilters(r *rand.Rand) (filters []types.Filter) {
	for range r.IntN(3) {
		filters = append(filters, []types.Filter{
			filter("name", "app/"), filter("name", "zoo/", "ap"), filter("name", "zoo/b"), filter("name", "!app/"), filter("name", "nothing"),
			filter("tag-key", "hidden"), filter("tag-key", "!hidden"), filter("tag-value", "db"), filter("description", "data"), filter("all", "zoo"),
		}[r.IntN(10)])
	}
	return filters
}

// shape is what a caller sees of a list: its pages, and where tokens are.
func shape(t testing.TB, room *localtest.Room, in secretsmanager.ListSecretsInput) string {
	t.Helper()
	var pages []string
	for {
		page := must(room.SDK.ListSecrets(t.Context(), &in))(t)
		pages = append(pages, fmt.Sprintf("%v, a token of %d", namesOf(page.SecretList), len(aws.ToString(page.NextToken))))
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return strings.Join(pages, "\n")
		}
	}
}

func shapeOfBatch(t testing.TB, room *localtest.Room, in secretsmanager.BatchGetSecretValueInput) string {
	t.Helper()
	var pages []string
	for {
		page := batch(t, room, &in)
		pages = append(pages, fmt.Sprintf("%v, a token of %d", errorsOf(page), len(aws.ToString(page.NextToken)))) // none has a value
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return strings.Join(pages, "\n")
		}
	}
}

// However many secrets are hidden, their names cannot be read letter by letter.
func TestHiddenNamesByPrefix(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	fill(t, room, 0, 3200)
	seed(t, room, secret.New("app/a", localtest.ARNs.Of("app/a", suffix(9)), "", epoch), secret.New("secret-app", localtest.ARNs.Of("secret-app", suffix(8)), "", epoch))
	guard := guarded(t, room, alice, allow("ListSecrets"), strings.Replace(allow("DescribeSecret"), `"Resource":"*"`, `"Resource":"`+localtest.ARNs.Of("*app*", "??????")+`"`, 1))
	for _, by := range []types.SortByType{types.SortByTypeCreatedDate, types.SortByTypeLastChangedDate, types.SortByTypeName} {
		for prefix, want := range map[string][]int{"s": {1}, "secret-": {1}, "secret-0": {0}, "t": {0}, "!t": {1, 1}} {
			in := secretsmanager.ListSecretsInput{SortBy: by, Filters: []types.Filter{filter("name", prefix)}, MaxResults: aws.Int32(1)}
			checkPages(t, guard, in, want)
		}
	}
}

// All tokens have one length: one may hold the name of a secret that its caller may not see.
func TestNextTokenLength(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for i, n := range []int{1, 20, 200, 512, 2} {
		name := strings.Repeat(string(rune('a'+i)), n)
		seed(t, room, secret.New(name, localtest.ARNs.Of(name, suffix(i)), "", epoch))
	}
	for by := range orders {
		in, lengths := secretsmanager.ListSecretsInput{SortBy: by, MaxResults: aws.Int32(1)}, map[int]int{}
		for range 4 {
			page := must(room.SDK.ListSecrets(t.Context(), &in))(t)
			in.NextToken = page.NextToken
			lengths[len(aws.ToString(in.NextToken))]++
		}
		if len(lengths) != 1 {
			t.Errorf("by %s: got tokens of lengths %v, want one length", by, lengths)
		}
	}
}

// A list that begins with hidden secrets alone takes the calls of one that finds nothing.
func TestHiddenNamesByCalls(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	fill(t, room, 0, 60)
	guard := guarded(t, room, alice, allow("ListSecrets"))
	for by := range orders {
		for _, size := range []int32{1, 100} {
			var calls [2]string
			for i, prefix := range []string{"secret-0001", "nothing"} {
				guard.Wire.Took()
				checkPages(t, guard, secretsmanager.ListSecretsInput{SortBy: by, Filters: []types.Filter{filter("name", prefix)}, MaxResults: &size}, []int{0})
				calls[i], _, _ = guard.Wire.Took()
			}
			if size == 100 && by != types.SortByTypeLastAccessedDate && by != types.SortByTypeLastChangedDate && calls[0] != calls[1] {
				t.Errorf("by %s: got calls %s of hidden secrets and %s of none, want the same", by, calls[0], calls[1])
			}
		}
	}
}

// A page ends before its time when the call has none left, and goes on with a token.
func TestListSecretsUntilTimeIsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &manyTable{n: 50_000, at: 400 * time.Millisecond}
		began := time.Now()
		answer, names := m.list(t, time.Minute, `{"SortBy":"name","Filters":[{"Key":"tag-key","Values":["nobody"]}]}`)
		if took := time.Since(began); took > 23*time.Second+time.Second/2 || answer.Code != http.StatusOK || len(names) > 0 || !strings.Contains(answer.Body.String(), `"NextToken":"`) {
			t.Errorf("got %d %s after %v, want an empty page with a token after 23 s", answer.Code, answer.Body, took)
		}
	})
}

// forbidden makes secrets that alice may not touch, in all states in which one can be, and
// returns IDs of them.
func forbidden(t testing.TB, room *localtest.Room) []string {
	t.Helper()
	var tags []types.Tag
	for i := range 50 {
		tags = append(tags, tagged(fmt.Sprintf("key-%d", i), strings.Repeat("v", 200))...)
	}
	for _, name := range []string{"plain", "deleted", "tagged", "policed", "denied", "broken", "damaged", "large"} {
		create(t, room, name, "v1", "one")
	}
	addTags(t, room, "tagged", tags...)
	schedule(t, room, "deleted")
	putPolicy(t, room, "policed", document(to(allowAll, runner.ARN)))
	putPolicy(t, room, "large", largeOf(runner.ARN, "*", 0))
	repolicy(t, room, "denied", document(allowAll, deny(to(allowAll, alice.ARN))))
	repolicy(t, room, "broken", `{"Version":"2012-10-17"}`)
	arn := *describe(t, room, "plain").ARN
	rewriteHead(t, room, "damaged", func(item map[string]dbtypes.AttributeValue) { item["changed"] = text("yesterday") })
	return []string{"plain", "deleted", "tagged", "policed", "large", "denied", "broken", "damaged", arn, arn[:len(arn)-7], arn[:len(arn)-6] + "a1b2c3"}
}

// largeOf is a policy of nearly 20,480 characters that allows a principal an action, and
// another one for every number.
func largeOf(arn, action string, number int) string {
	allowed := strings.Replace(to(allowAll, arn), `"Action":"*"`, `"Action":`+quoted(action), 1)
	var statements []string
	for i := range 65 {
		statements = append(statements, where(allowed, fmt.Sprintf(`{"StringEquals":{"aws:ResourceTag/a-tag-with-a-name-of-some-length-%d":["one value","value %d","and one more of these"]}}`, i, number)))
	}
	return document(statements...)
}

func rewriteHead(t testing.TB, room *localtest.Room, name string, change func(map[string]dbtypes.AttributeValue)) {
	t.Helper()
	rewrite(t, room, func(pk, sk string, item map[string]dbtypes.AttributeValue) bool {
		if pk != "SECRET#"+name || sk != "HEAD" {
			return false
		}
		change(item)
		return true
	})
}

// A secret that a caller may not touch and one that is not there get the same answer, but
// for the name, and take the same calls to the database: cold, and warm.
func TestMissingOrDenied(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	ids := forbidden(t, room)
	for policies, statements := range map[string][]string{
		"none":       nil,
		"another":    {allow("GetRandomPassword")},
		"by tag":     {where(allowAll, `{"StringEquals":{"aws:ResourceTag/team":"db"}}`)},
		"explicitly": {allowAll, deny(allowAll)},
	} {
		for _, operation := range onSecrets() {
			guard := guarded(t, room, alice, statements...)
			const missing = "none"
			want, wantCalls := ask(guard, operation, missing)
			for _, id := range ids {
				for _, state := range []string{"cold", "warm"} {
					got, calls := ask(guard, operation, id)
					if got := strings.ReplaceAll(got, id, missing); got != want || calls != wantCalls {
						t.Errorf("%s of %s, policies %s, %s: got %s after %s, want as of one that is not there %s after %s", operation, id, policies, state, got, calls, want, wantCalls)
					}
				}
			}
		}
	}
}

// ask makes a call, and returns its answer and the calls that it took, in the order of
// their names.
func ask(room *localtest.Room, operation, id string) (answer, calls string) {
	room.Wire.Took()
	got := serve(room, operation, rights[operation].request(id))
	calls, _, _ = room.Wire.Took()
	all := strings.Fields(calls)
	slices.Sort(all)
	got.Header().Del("X-Amzn-RequestId")
	return fmt.Sprint(got.Code, got.Header(), got.Body), strings.Join(all, " ")
}

// The same in a batch.
func TestMissingOrDeniedInBatch(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, id := range forbidden(t, room) {
		for _, warm := range []bool{false, true} {
			guard := guarded(t, room, alice, allow("BatchGetSecretValue"))
			if warm {
				batch(t, guard, batchOf(id))
			}
			shape := func(room *localtest.Room, id string) string {
				room.Wire.Took()
				out := batch(t, room, batchOf(id))
				calls, _, _ := room.Wire.Took()
				return strings.ReplaceAll(fmt.Sprint(errorsOf(out), calls), id, "X")
			}
			if got, want := shape(guard, id), shape(guard, "none"); got != want {
				t.Errorf("%s, warm %v: got %s, want as of one that is not there %s", id, warm, got, want)
			}
		}
	}
}

// Answers that could tell by their time what was read come at a multiple of a step.
func TestAnswersInSteps(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	for _, test := range []struct {
		operation, body string
		statements      []string
		paced           bool
	}{
		{"GetSecretValue", `{"SecretId":"s"}`, nil, true},
		{"GetSecretValue", `{"SecretId":"none"}`, nil, true},
		{"GetSecretValue", `{"SecretId":"s"}`, []string{allowAll}, false},
		{"GetSecretValue", `{"SecretId":"none"}`, []string{allowAll}, false},
		{"PutSecretValue", rights["PutSecretValue"].request("s"), nil, true},
		{"PutSecretValue", rights["PutSecretValue"].request("none"), nil, true},
		{"BatchGetSecretValue", `{"SecretIdList":["s"]}`, []string{allow("BatchGetSecretValue")}, true},
		{"BatchGetSecretValue", `{"SecretIdList":["none"]}`, []string{allow("BatchGetSecretValue")}, true},
		{"BatchGetSecretValue", `{"SecretIdList":["s"]}`, []string{allowAll}, false},
		{"ListSecrets", `{}`, seesSome, true},
		{"ListSecrets", `{"SortBy":"last-changed-date"}`, seesSome, true},
		{"ListSecrets", `{}`, []string{allowAll}, false},
		{"BatchGetSecretValue", `{"Filters":[{"Key":"name","Values":["a"]}]}`, seesSome, true},
	} {
		guard := guarded(t, room, alice, test.statements...)
		guard.Server.AnswerStep = 30 * time.Millisecond
		began := time.Now()
		answer := serve(guard, test.operation, test.body)
		if took := time.Since(began); test.paced && took < guard.Server.AnswerStep {
			t.Errorf("%s %s: got %s after %v, want it after %v", test.operation, test.body, answer.Body, took, guard.Server.AnswerStep)
		}
		guard.Server.AnswerStep = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if !test.paced { // or else it waits for an hour
			answerTo(guard, newCall(ctx, test.operation, test.body), uuid.NewString(), alice)
			if ctx.Err() != nil {
				t.Errorf("%s %s: it waited", test.operation, test.body)
			}
		}
		cancel()
	}
}

// A caller who may not change a secret does not wait for those who do.
func TestDeniedDoNotQueue(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	server := guarded(t, room, runner, to(allow("PutSecretValue", "DescribeSecret"), runner.ARN))
	describe(t, server, "s") // it is remembered
	stands, goOn := make(chan bool), make(chan bool)
	server.Wire.Break("TransactWriteItems", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		close(stands)
		<-goOn
		return do()
	})
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- serve(server, "PutSecretValue", rights["PutSecretValue"].request("s")) }()
	<-stands
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	arn := *describe(t, server, "s").ARN
	for _, id := range []string{"s", "none", arn[:len(arn)-6] + "a1b2c3"} {
		answer := answerTo(server, newCall(ctx, "PutSecretValue", rights["PutSecretValue"].request(id)), uuid.NewString(), alice)
		checkAnswer(t, answer.Result(), answer.Body.String(), denied(alice, "PutSecretValue", id, policy.IdentityBased))
	}
	close(goOn)
	if answer := <-done; answer.Code != http.StatusOK {
		t.Errorf("got %d %s, want the put to go on", answer.Code, answer.Body)
	}
}

// A secret that vanishes, or is made again, while a list looks at it is left out, or is
// the one that it is now. It is no error of the list.
func TestListWhileSecretIsMadeAgain(t *testing.T) {
	t.Parallel()
	toAlice := document(to(allow("DescribeSecret"), alice.ARN))
	for name, test := range map[string]struct {
		again func(t testing.TB, room *localtest.Room)
		shown bool
	}{
		"vanishes": {func(testing.TB, *localtest.Room) {}, false},
		"is as it was": {func(t testing.TB, room *localtest.Room) {
			create(t, room, "s", "v1", "two")
			repolicy(t, room, "s", toAlice)
		}, false}, // its row is another by now
		"is another's": {func(t testing.TB, room *localtest.Room) { create(t, room, "s", "v1", "two") }, false},
	} {
		for _, before := range []string{"Query", "HEAD", "POLICY#"} {
			for by := range orders {
				room := localtest.New(t)
				create(t, room, "other", "v1", "one")
				create(t, room, "s", "v1", "one")
				repolicy(t, room, "s", toAlice)
				repolicy(t, room, "other", document(to(allow("DescribeSecret"), alice.ARN, runner.ARN)))
				guard := guarded(t, room, alice, allow("ListSecrets"))
				changed := false
				change := func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
					if !changed {
						changed = true
						forceDelete(t, room, "s")
						test.again(t, room)
					}
					return do()
				}
				if before == "Query" {
					guard.Wire.Break("Query", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
						answer, err := do() // it is in the directory
						_, _ = change(nil, func() (*http.Response, error) { return nil, nil })
						return answer, err
					})
				} else {
					guard.Wire.Break("BatchGetItem", times(3, about(before, change))...)
				}
				names := listAll(t, guard, secretsmanager.ListSecretsInput{SortBy: by})
				want := []string{"other"}
				if name == "is as it was" && before != "POLICY#" && (by == types.SortByTypeLastAccessedDate || by == types.SortByTypeLastChangedDate) {
					want = []string{"other", "s"} // these read no more of a row than its name
				}
				if checkNames(t, name+" before "+before+" by "+string(by), sorted(names), want...); !changed {
					t.Errorf("%s before %s: nothing was changed", name, before)
				}
			}
		}
	}
}

// Large policies that are not about what lists ask are read once and take little: a list
// of many such secrets does not read them again.
func TestListRemembersPolicies(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	const secrets = 40
	fill(t, room, 0, secrets)
	for i := range secrets {
		repolicy(t, room, fillName(i), largeOf(runner.ARN, "secretsmanager:GetSecretValue", i))
	}
	guard := guarded(t, room, alice, allow("ListSecrets", "DescribeSecret"))
	guard.Server.Resources = policy.NewCache(secrets * 1000)
	for _, want := range []string{"Query BatchGetItem BatchGetItem", "Query BatchGetItem"} {
		guard.Wire.Took()
		if n := len(listAll(t, guard, secretsmanager.ListSecretsInput{})); n != secrets {
			t.Errorf("got %d secrets, want %d", n, secrets)
		}
		if calls, _, _ := guard.Wire.Took(); calls != want {
			t.Errorf("got calls %s, want %s", calls, want)
		}
	}
	// What principal policies deny is denied whatever is on the secret.
	guard = guarded(t, room, alice, allow("ListSecrets", "DescribeSecret"), deny(allow("DescribeSecret")))
	guard.Wire.Took()
	checkNames(t, "denied", listAll(t, guard, secretsmanager.ListSecretsInput{}))
	if calls, _, _ := guard.Wire.Took(); calls != "Query BatchGetItem" {
		t.Errorf("got calls %s, want no policies read", calls)
	}
}

// A long list leaves a process the secrets that it remembers.
func TestListsKeepWhatIsRemembered(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "hot", "v1", "one")
	fill(t, room, 0, 3000)
	process := room.Another(t)
	put(t, process, "hot", "v2", "two")
	listAll(t, process, secretsmanager.ListSecretsInput{SortBy: types.SortByTypeName}) // it comes first
	process.Wire.Took()
	put(t, process, "hot", "v3", "three")
	if calls, _, _ := process.Wire.Took(); strings.Contains(calls, "GetItem") {
		t.Errorf("got calls %s of a put after a long list, want the secret remembered", calls)
	}
}
