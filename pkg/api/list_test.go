package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// rewrite changes the items of a table behind the store's back: those that change
// says true for.
func rewrite(t testing.TB, room *localtest.Room, change func(pk, sk string, item map[string]dbtypes.AttributeValue) bool) {
	t.Helper()
	for _, item := range must(localtest.Shared().Tables.Items(room.Table))(t) {
		pk, sk := item["pk"].(*dbtypes.AttributeValueMemberS).Value, item["sk"].(*dbtypes.AttributeValueMemberS).Value
		if change(pk, sk, item) {
			must(localtest.Shared().DynamoDB().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &room.Table, Item: item}))(t)
		}
	}
}

// A filter by name finds the same in every order, on pages of every size, whatever the
// prefixes have in common, and also with rows that have no date of creation.
func TestListSecretsByPrefix(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	var all []secret.Secret
	for i, name := range []string{"a", "ab", "ab/1", "ab/2", "abc", "ac", "B", "b", "b/1", "b/10", "b/2", "c", "c/x/y"} {
		sec := secret.New(name, localtest.ARNs.Of(name, suffix(i)), "", epoch.Add(time.Duration(i*5%13/2)*time.Hour)) // two at a time
		sec.Changed = epoch.Add(time.Duration(i*7%13) * time.Minute)
		sec.Accessed = epoch.AddDate(0, 0, i*3%5)
		all = append(all, sec)
	}
	seed(t, room, all...)
	for _, old := range []bool{false, true} {
		if old { // every other row
			rewrite(t, room, func(pk, sk string, item map[string]dbtypes.AttributeValue) bool {
				delete(item, "created")
				item["schema"] = &dbtypes.AttributeValueMemberN{Value: "1"}
				return pk == "DIRECTORY#NAME" && len(sk)%2 == 0
			})
		}
		for _, filters := range [][]types.Filter{
			{filter("name", "a")},
			{filter("name", "ab", "abc", "ab/", "ab")},
			{filter("name", "b/1", "ab", "B", "c")},
			{filter("name", "ab/", "b"), filter("name", "a", "b/1", "c")},
			{filter("name", "a"), filter("name", "!ab")},
			{filter("name", "b", "!ab")},
			{filter("name", "a", "")},
			{filter("name", "a"), filter("name", "b")},
			{filter("name", "d", "bb", "A")},
		} {
			checkOrders(t, room, all, filters)
		}
	}
}

// checkOrders lists with filters in all orders and both directions.
func checkOrders(t *testing.T, room *localtest.Room, all []secret.Secret, filters []types.Filter) {
	t.Helper()
	var rules []secret.Filter
	for _, f := range filters {
		rules = append(rules, secret.Filter{Key: secret.FilterKey(f.Key), Values: f.Values})
	}
	for by, compare := range orders {
		for _, order := range types.SortOrderType("").Values() {
			var want []string
			for _, sec := range slices.SortedFunc(slices.Values(all), compare) {
				if secret.NewMatcher(rules).Takes(sec) {
					want = append(want, sec.Name)
				}
			}
			if order == types.SortOrderTypeDesc {
				slices.Reverse(want)
			}
			for _, size := range []int32{2, 100} {
				got := listAll(t, room, secretsmanager.ListSecretsInput{Filters: filters, SortBy: by, SortOrder: order, MaxResults: &size})
				checkNames(t, fmt.Sprint(rules, " by ", by, " ", order, " by ", size), got, want...)
			}
		}
	}
}

// A list goes on in its place when between two pages the secrets with the prefix have
// become few enough to be sorted, or too many: the order is the same.
func TestListSecretsWhilePrefixGrows(t *testing.T) {
	t.Parallel()
	const few = 2000 // that one call sorts
	room := localtest.New(t)
	fill(t, room, 0, few+1)
	for _, order := range types.SortOrderType("").Values() {
		in := secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("name", "secret-")}, SortOrder: order, MaxResults: aws.Int32(100)}
		var got []string
		for i := 0; ; i++ {
			page := must(room.SDK.ListSecrets(t.Context(), &in))(t)
			got = append(got, namesOf(page.SecretList)...)
			if in.NextToken = page.NextToken; in.NextToken == nil {
				break
			}
			if i%2 == 0 {
				forceDelete(t, room, fillName(few))
			} else {
				fill(t, room, few, few+1)
			}
		}
		want := make([]secret.Secret, few)
		for i := range want {
			want[i] = filled(i)
		}
		slices.SortFunc(want, orders[""])
		if order == types.SortOrderTypeDesc {
			slices.Reverse(want)
		}
		got = slices.DeleteFunc(got, func(name string) bool { return name == fillName(few) })
		checkNames(t, order, got, namesIn(want)...)
		fill(t, room, few, few+1)
	}
}

func namesIn(secrets []secret.Secret) (names []string) {
	for _, sec := range secrets {
		names = append(names, sec.Name)
	}
	return names
}

// A filter by name costs what it finds, in every order.
func TestListSecretsPrefixCost(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	must(room.Store.TokenKey(t.Context()))(t) // which a process reads once
	fill(t, room, 0, 5000)
	cost := func(in secretsmanager.ListSecretsInput) string {
		room.Wire.Took()
		names := listAll(t, room, in)
		calls, reads, writes := room.Wire.Took()
		return fmt.Sprintf("%d found: %s, %.0f read units, %.0f write units", len(names), calls, reads, writes)
	}
	for by := range orders {
		for _, order := range types.SortOrderType("").Values() {
			for _, test := range []struct {
				values []string
				want   string
			}{
				// Ten small rows are one unit for each query, and each head is one.
				{[]string{"secret-0012"}, "10 found: Query BatchGetItem, 11 read units, 0 write units"},
				{[]string{"secret-0012", "secret-00120", "secret-041"}, "110 found: Query Query BatchGetItem BatchGetItem"},
				{[]string{"secret-0012", "secret-0498", "secret-00001"}, "21 found: Query Query Query BatchGetItem, 24 read units, 0 write units"},
				{[]string{"none"}, "0 found: Query, 1 read units, 0 write units"},
			} {
				in := secretsmanager.ListSecretsInput{SortBy: by, SortOrder: order, Filters: []types.Filter{filter("name", test.values...)}}
				if got := cost(in); !strings.HasPrefix(got, test.want) {
					t.Errorf("%q by %s %s: got %s, want %s", test.values, by, order, got, test.want)
				}
			}
			in := secretsmanager.ListSecretsInput{SortBy: by, SortOrder: order, Filters: []types.Filter{filter("name", "a"), filter("name", "b")}}
			if got := cost(in); got != "0 found: , 0 read units, 0 write units" {
				t.Errorf("what no name can pass, by %s: got %s, want nothing read", by, got)
			}
		}
	}
	// A page of ten of a hundred sorts the rows and reads ten secrets; one more tells
	// that there is another page.
	in := &secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("name", "secret-001")}, MaxResults: aws.Int32(10)}
	room.Wire.Took()
	must(room.SDK.ListSecrets(t.Context(), in))(t)
	if calls, reads, _ := room.Wire.Took(); calls != "Query BatchGetItem" || reads != 11+3 {
		t.Errorf("a page of ten: got %s, %v read units, want 14", calls, reads)
	}
	// Where too many have the prefix to sort them, others are passed over by their names.
	in = &secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("name", "secret-02", "secret-03", "secret-01")}, MaxResults: aws.Int32(100)}
	room.Wire.Took()
	must(room.SDK.ListSecrets(t.Context(), in))(t)
	if calls, reads, _ := room.Wire.Took(); len(strings.Fields(calls)) > 20 || reads > 400 {
		t.Errorf("a page of a hundred of 3,000: got %s, %v read units", calls, reads)
	}
}

// A page that finds little looks at as many secrets as it takes to fill it.
func TestListSecretsFindingLittle(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	fill(t, room, 0, 5000)
	for _, i := range []int{5, 4999} {
		addTags(t, room, fillName(i), tag("k", "v"))
	}
	in := secretsmanager.ListSecretsInput{SortBy: types.SortByTypeName, Filters: []types.Filter{filter("tag-key", "k")}}
	checkPages(t, room, in, []int{2})
	in.SortBy = types.SortByTypeLastChangedDate
	checkPages(t, room, in, []int{2})
}

// Whatever is not shown, that it is there does not show: a list that is shown in full
// has no token, in every order and with every filter.
func TestListSecretsTokenTellsNothing(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for i, name := range []string{"app/a", "app/b", "app/hidden-1", "app/hidden-2", "zoo/hidden"} {
		sec := secret.New(name, localtest.ARNs.Of(name, suffix(i)), "", epoch.Add(time.Duration(i)*time.Second))
		sec.Changed, sec.Accessed = sec.Created, epoch.AddDate(0, 0, i)
		if strings.Contains(name, "hidden") {
			sec.Tags = []secret.Tag{{Key: "hidden", Value: "yes"}}
		}
		seed(t, room, sec)
	}
	guard := guarded(t, room, alice, allow("ListSecrets", "BatchGetSecretValue", "GetSecretValue"), where(allow("DescribeSecret"), `{"Null":{"aws:ResourceTag/hidden":"true"}}`))
	for by := range orders {
		for _, order := range types.SortOrderType("").Values() {
			for _, filters := range [][]types.Filter{nil, {filter("name", "app/")}, {filter("name", "a", "zoo/h")}, {filter("name", "!x")}} {
				in := secretsmanager.ListSecretsInput{SortBy: by, SortOrder: order, Filters: filters, MaxResults: aws.Int32(2)}
				checkPages(t, guard, in, []int{2})
				in.MaxResults = aws.Int32(1)
				checkPages(t, guard, in, []int{1, 1})
			}
			for _, hidden := range []string{"app/hidden", "zoo/", "zoo/nothing"} {
				checkPages(t, guard, secretsmanager.ListSecretsInput{SortBy: by, SortOrder: order, Filters: []types.Filter{filter("name", hidden)}, MaxResults: aws.Int32(1)}, []int{0})
			}
		}
	}
	in := secretsmanager.BatchGetSecretValueInput{Filters: []types.Filter{filter("name", "app/")}, MaxResults: aws.Int32(2)}
	if out := batch(t, guard, &in); len(out.Errors) != 2 || out.NextToken != nil { // they have no value
		t.Errorf("got a batch of %d and token %v, want two and none", len(out.Errors), out.NextToken)
	}
}

// A head or a row that cannot be read is left out of every list, and logged.
func TestListsLeaveOutDamaged(t *testing.T) {
	t.Parallel()
	bad := map[string]dbtypes.AttributeValue{
		"a date": &dbtypes.AttributeValueMemberS{Value: "yesterday"}, "a list": &dbtypes.AttributeValueMemberL{}, "a newer format": &dbtypes.AttributeValueMemberN{Value: "99"},
	}
	for _, test := range []struct{ name, attribute, value string }{
		{"head", "changed", "a date"},
		{"head", "stages", "a date"},
		{"head", "schema", "a newer format"},
		{"row", "name", "a list"},
		{"row", "schema", "a newer format"},
		{"row", "created", "a date"},
	} {
		t.Run(test.name+", "+test.attribute, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			names, values := numbered(t, room, 5)
			rewrite(t, room, func(pk, sk string, item map[string]dbtypes.AttributeValue) bool {
				item[test.attribute] = bad[test.value]
				return test.name == "head" && pk == "SECRET#s3" && sk == "HEAD" ||
					test.name == "row" && strings.HasPrefix(pk, "DIRECTORY#") && (sk == "s3" || strings.HasSuffix(sk, "#s3"))
			})
			want := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "s3" })
			var in []secretsmanager.ListSecretsInput
			for by := range orders {
				for _, filters := range [][]types.Filter{nil, {filter("name", "s")}, {filter("name", "s3", "s1", "s2", "s4", "s5", "s0")}} {
					for _, size := range []int32{1, 100} {
						in = append(in, secretsmanager.ListSecretsInput{SortBy: by, Filters: filters, MaxResults: &size})
					}
				}
			}
			for _, in := range in {
				room, log := logged(t, room)
				what := fmt.Sprint(in.SortBy, len(in.Filters), *in.MaxResults)
				checkNames(t, what, sorted(listAll(t, room, in)), want...)
				checkLeftOut(t, what, log.String())
			}
			room, log := logged(t, room)
			out := batch(t, room, &secretsmanager.BatchGetSecretValueInput{Filters: []types.Filter{filter("name", "s")}})
			checkNames(t, "batch", sorted(valuesOf(out)), slices.DeleteFunc(values, func(v string) bool { return v == "s3=s3" })...)
			checkLeftOut(t, "batch", log.String())
		})
	}
}

func checkLeftOut(t *testing.T, what, log string) {
	t.Helper()
	if !strings.Contains(log, "a secret is left out of a list") || !strings.Contains(log, "s3 is damaged") {
		t.Errorf("%s: got log %s, want in it that s3 is damaged", what, log)
	}
}

// Of many secrets the dates are read first. The pages are the same, and what cannot be
// read is left out of them, and logged.
func TestListSecretsOfMany(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	const many, bad = 3000, 2900
	fill(t, room, 0, many)
	rewrite(t, room, func(pk, sk string, item map[string]dbtypes.AttributeValue) bool {
		item["changed"] = text("yesterday")
		return pk == "SECRET#"+fillName(bad) && sk == "HEAD"
	})
	var all []secret.Secret
	for i := range many {
		if i != bad {
			all = append(all, filled(i))
		}
	}
	slices.SortFunc(all, orders[""]) // they were changed when they were created
	want := namesIn(all)
	for _, order := range types.SortOrderType("").Values() {
		room, log := logged(t, room)
		in := secretsmanager.ListSecretsInput{SortBy: types.SortByTypeLastChangedDate, SortOrder: order, MaxResults: aws.Int32(70)}
		var got []string
		for range 3 {
			page := must(room.SDK.ListSecrets(t.Context(), &in))(t)
			got, in.NextToken = append(got, namesOf(page.SecretList)...), page.NextToken
		}
		checkNames(t, order, got, want[:len(got)]...)
		if n := strings.Count(log.String(), fillName(bad)+" is damaged"); len(got) != 210 || n != 3 {
			t.Errorf("%s: got %d secrets and %d lines about the damaged one, want 210 and one for each page", order, len(got), n)
		}
		slices.Reverse(want)
	}
}

// A manyTable answers as a table does that fill has filled. It keeps none of its items,
// so that the memory is that of the list.
type manyTable struct {
	store.DynamoDB
	n  int
	at time.Duration // what each call takes

	mu    sync.Mutex
	units float64
	calls int
	peak  uint64 // of the heap in use
}

func (m *manyTable) took(ctx context.Context, units int) (*dbtypes.ConsumedCapacity, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(m.at):
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.units, m.calls, m.peak = m.units+float64(units), m.calls+1, max(m.peak, stats.HeapInuse)
	return &dbtypes.ConsumedCapacity{CapacityUnits: aws.Float64(float64(units))}, nil
}

// Query lists the directory by name.
func (m *manyTable) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	if pk := in.ExpressionAttributeValues[":pk"].(*dbtypes.AttributeValueMemberS).Value; pk != "DIRECTORY#NAME" {
		return nil, errors.New("not by name")
	}
	from := 0
	if in.ExclusiveStartKey != nil {
		from = 1 + numberIn(in.ExclusiveStartKey["sk"])
	}
	to := min(from+int(*in.Limit), m.n)
	consumed, err := m.took(ctx, (to-from)/25)
	out := &dynamodb.QueryOutput{ConsumedCapacity: consumed}
	for i := from; i < to; i++ {
		out.Items = append(out.Items, fillRow(filled(i), "DIRECTORY#NAME", fillName(i)))
	}
	if to < m.n {
		out.LastEvaluatedKey = out.Items[len(out.Items)-1]
	}
	return out, err
}

// BatchGetItem reads heads. They were changed in another order than that of the names.
func (m *manyTable) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	out := &dynamodb.BatchGetItemOutput{Responses: map[string][]map[string]dbtypes.AttributeValue{}}
	for table, want := range in.RequestItems {
		for _, k := range want.Keys {
			item := fillHead(filled(numberIn(k["pk"])))
			changed := epoch.Add(time.Duration(numberIn(k["pk"])*7919%m.n) * time.Second)
			item["changed"], item["accessed"] = text(stamp(changed)), text(stamp(changed))
			for name := range item {
				if want.ProjectionExpression != nil && want.ExpressionAttributeNames["#"+name] == "" {
					delete(item, name)
				}
			}
			out.Responses[table] = append(out.Responses[table], item)
		}
		consumed, err := m.took(ctx, len(want.Keys))
		if err != nil {
			return nil, err
		}
		out.ConsumedCapacity = append(out.ConsumedCapacity, *consumed)
	}
	return out, nil
}

// GetItem reads the key of tokens.
func (m *manyTable) GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return &dynamodb.GetItemOutput{Item: map[string]dbtypes.AttributeValue{"key": &dbtypes.AttributeValueMemberB{Value: make([]byte, 32)}}}, nil
}

// numberIn is the number of a secret that fill made.
func numberIn(av dbtypes.AttributeValue) (n int) {
	_, number, _ := strings.Cut(av.(*dbtypes.AttributeValueMemberS).Value, "secret-")
	n, _ = strconv.Atoi(number)
	return n
}

// list answers ListSecrets within a time.
func (m *manyTable) list(t testing.TB, within time.Duration, body string) (answer *httptest.ResponseRecorder, names []string) {
	t.Helper()
	server := &api.Server{
		Store: store.New(m, "t", localtest.ARNs), Sealer: &envelope.Sealer{}, ARNs: localtest.ARNs, Policies: policy.AllowAll(), Resources: policy.NewCache(1),
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	call := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body))
	call.Header.Set("Content-Type", "application/x-amz-json-1.1")
	call.Header.Set("X-Amz-Target", "secretsmanager.ListSecrets")
	answer = httptest.NewRecorder()
	localtest.Answer(server, answer, call)
	var page struct{ SecretList []struct{ Name string } }
	if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	for _, entry := range page.SecretList {
		names = append(names, entry.Name)
	}
	return answer, names
}

// A list by another date holds no more of the secrets than its page, whether few of
// them have a place on it, or all are read for a filter that finds nothing.
func TestListSecretsMemory(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	const secrets, most = 100_000, 64 << 20
	var newest []string
	for i := range 100 {
		newest = append(newest, fillName((secrets-1-i)*inverse%secrets))
	}
	for body, want := range map[string][]string{
		`{"SortBy":"last-changed-date","SortOrder":"desc"}`:                                 newest,
		`{"SortBy":"last-accessed-date","Filters":[{"Key":"tag-key","Values":["nobody"]}]}`: nil,
	} {
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		m := &manyTable{n: secrets}
		if want == nil {
			m.n = secrets / 3 // these are all read in whole
		}
		began := time.Now()
		answer, names := m.list(t, time.Minute, body)
		took := time.Since(began)
		checkNames(t, body, names, want...)
		peak := m.peak - min(m.peak, before.HeapInuse)
		if answer.Code != http.StatusOK || peak > most {
			t.Errorf("%s: got status %d and %d MB of memory, want %d MB at most", body, answer.Code, peak>>20, most>>20)
		}
		t.Logf("%s: %d MB, %d calls, %.0f units, %v of CPU", body, peak>>20, m.calls, m.units, took)
	}
}

// inverse undoes the order in which manyTable's 100,000 secrets were changed.
const inverse = 17_679

// When the time of a call is too short for a list by another date, the answer says so
// before the time is up.
func TestListSecretsTooMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &manyTable{n: 50_000, at: 400 * time.Millisecond}
		began := time.Now()
		answer, _ := m.list(t, time.Minute, `{"SortBy":"last-accessed-date"}`)
		checkAnswer(t, answer.Result(), answer.Body.String(), refusal{"InvalidRequestException", "There are too many secrets to sort them by this date in the time of one call. Sort them by name or by created-date, or filter them by name."})
		if took := time.Since(began); took != 23*time.Second {
			t.Errorf("took %v, want the answer a second before the 24 are up", took)
		}
	})
}
