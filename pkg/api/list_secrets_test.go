package api_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

func filter(key types.FilterNameStringType, values ...string) types.Filter {
	return types.Filter{Key: key, Values: values}
}

func namesOf(entries []types.SecretListEntry) []string {
	var names []string
	for _, e := range entries {
		names = append(names, *e.Name)
	}
	return names
}

// listAll lists page by page until there is no token, and returns the names.
func listAll(t testing.TB, room *localtest.Room, in secretsmanager.ListSecretsInput) []string {
	t.Helper()
	var names []string
	pages := secretsmanager.NewListSecretsPaginator(room.SDK, &in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, namesOf(page.SecretList)...)
	}
	return names
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

func checkNames(t testing.TB, what any, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%v: got %q, want %q", what, got, want)
	}
}

func TestListSecretsEmpty(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, body := range []string{`{}`, ``, `{"SortBy":"name"}`, `{"SortBy":"last-changed-date","IncludePlannedDeletion":true}`, `{"Filters":[]}`, `{"Filters":null}`} {
		if answer, got := room.Post(t, "ListSecrets", body); answer.StatusCode != http.StatusOK || got != `{"SecretList":[]}` {
			t.Errorf("%s: got %d %s, want an empty list", body, answer.StatusCode, got)
		}
	}
}

// An entry is what DescribeSecret tells, but for the name of the map of labels.
func TestListSecretsEntries(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "empty")
	create(t, room, "read", "v1", "one")
	put(t, room, "read", "v2", "two")
	put(t, room, "read", "v3", "three", "mine")
	get(t, room, "read")
	in := createInput("all", "v1", "one")
	in.Description, in.KmsKeyId, in.Type, in.Tags = aws.String("d"), aws.String(newKey(t)), aws.String("T"), []types.Tag{tag("k", "v")}
	must(room.SDK.CreateSecret(t.Context(), in))(t)
	createEmpty(t, room, "untagged")
	must(room.SDK.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("untagged"), Tags: in.Tags}))(t)
	must(room.SDK.UntagResource(t.Context(), &secretsmanager.UntagResourceInput{SecretId: aws.String("untagged"), TagKeys: []string{"k"}}))(t)
	create(t, room, "deleted", "v1", "one")
	schedule(t, room, "deleted")

	_, body := room.Post(t, "ListSecrets", `{"IncludePlannedDeletion":true}`)
	var listed struct{ SecretList []map[string]any }
	if err := json.Unmarshal([]byte(body), &listed); err != nil {
		t.Fatal(err)
	}
	checkMembers(t, body, "SecretList")
	for _, got := range listed.SecretList {
		_, body := room.Post(t, "DescribeSecret", fmt.Sprintf(`{"SecretId":%q}`, got["Name"]))
		var want map[string]any
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatal(err)
		}
		if stages, ok := want["VersionIdsToStages"]; ok {
			delete(want, "VersionIdsToStages")
			want["SecretVersionsToStages"] = stages
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %v\nwant %v", got["Name"], got, want)
		}
	}
	if len(listed.SecretList) != 5 {
		t.Errorf("got %d secrets, want 5", len(listed.SecretList))
	}
}

// A promise that AWS does not make: who has the answer to CreateSecret finds the
// secret in the list, in whatever process, and after DeleteSecret finds it no more.
func TestListSecretsJustCreated(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	other := room.Another(t)
	byName := func(name string) *secretsmanager.ListSecretsInput {
		return &secretsmanager.ListSecretsInput{SortBy: types.SortByTypeName, Filters: []types.Filter{filter("name", name)}}
	}
	// Of those created in one millisecond the names decide, so not the first alone.
	newest := &secretsmanager.ListSecretsInput{SortOrder: types.SortOrderTypeDesc, MaxResults: aws.Int32(5)}
	for i := range 200 {
		name := fmt.Sprintf("s-%d", i)
		createEmpty(t, room, name)
		in := newest
		if i%2 == 0 {
			in = byName(name)
		}
		if got := namesOf(must(other.SDK.ListSecrets(t.Context(), in))(t).SecretList); !slices.Contains(got, name) {
			t.Fatalf("got %q, want %s in it, created a moment ago", got, name)
		}
	}
	if got := listAll(t, other, secretsmanager.ListSecretsInput{}); len(got) != 200 {
		t.Errorf("got %d secrets, want 200", len(got))
	}
	for i := range 20 {
		name := fmt.Sprintf("s-%d", i)
		forceDelete(t, room, name)
		if got := namesOf(must(other.SDK.ListSecrets(t.Context(), byName(name)))(t).SecretList); slices.Contains(got, name) {
			t.Errorf("got %q, want no %s in it, deleted a moment ago", got, name)
		}
	}
}

// What was recorded from AWS (LocalStack, test_list_secrets_filtering).
func TestListSecretsFilters(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for i, description := range []string{"a secret", "an secret", "asecret", "thesecret"} {
		in := createInput([]string{"testing1/one", "/testing2/two", "testing3/three", "/testing4/four"}[i], "v1", "one")
		in.Description = aws.String(description)
		must(room.SDK.CreateSecret(t.Context(), in))(t)
	}
	one, two, three, four := "testing1/one", "/testing2/two", "testing3/three", "/testing4/four"
	for _, test := range []struct {
		filters []types.Filter
		want    []string
	}{
		{[]types.Filter{filter("name", "/")}, []string{two, four}},
		{[]types.Filter{filter("name", "!/")}, []string{one, three}},
		{[]types.Filter{filter("name", "testing1 one")}, nil},
		{[]types.Filter{filter("description", "a")}, []string{one, two, three}},
		{[]types.Filter{filter("description", "!a")}, []string{four}},
		{[]types.Filter{filter("description", "a secret")}, []string{one, two}},
		{[]types.Filter{filter("description", "a"), filter("name", "secret")}, nil},
		{[]types.Filter{filter("description", "a"), filter("name", "an")}, nil},
		{[]types.Filter{filter("description", "!c")}, []string{one, two, three, four}},
		// and what follows
		{[]types.Filter{filter("description", "SECRET A")}, []string{one, two}},
		{[]types.Filter{filter("name", "testing1", "/testing4")}, []string{one, four}},
		{[]types.Filter{filter("name", "Testing1")}, nil},
		{[]types.Filter{filter("name", "/testing"), filter("name", "!/testing4")}, []string{two}},
		{[]types.Filter{filter("name", "/"), filter("description", "!a", "an")}, []string{two, four}},
		{[]types.Filter{filter("name", "")}, []string{one, two, three, four}},
		{[]types.Filter{filter("tag-key", "k")}, nil},
		{[]types.Filter{filter("tag-key", "!k")}, []string{one, two, three, four}},
		{[]types.Filter{filter("primary-region", "us-east-1")}, nil},
		{[]types.Filter{filter("primary-region", "!us-east-1")}, []string{one, two, three, four}},
		{[]types.Filter{filter("owning-service", "n/a")}, nil},
	} {
		checkFilter(t, room, test.filters, test.want)
	}
}

// checkFilter lists in three orders, one of which gathers, on one page and on
// pages of two.
func checkFilter(t *testing.T, room *localtest.Room, filters []types.Filter, want []string) {
	t.Helper()
	for _, by := range []types.SortByType{"", types.SortByTypeName, types.SortByTypeLastAccessedDate} {
		in := secretsmanager.ListSecretsInput{Filters: filters, SortBy: by}
		if by != "" {
			in.MaxResults = aws.Int32(2)
		}
		got := listAll(t, room, in)
		checkNames(t, fmt.Sprint(filters[0].Key, filters[0].Values, len(filters), " by ", by), sorted(got), sorted(want)...)
	}
}

// What was recorded from AWS (moto, with_all_filter and its special characters,
// with_duplicate_filter_keys, with_value_with_multiple_words, with_filter_with_negation).
func TestListSecretsFilterWords(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	sets := map[string][]string{}
	add := func(set, name, description string, tags ...types.Tag) {
		sets[set] = append(sets[set], name)
		must(room.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name), Description: aws.String(description), Tags: tags}))(t)
	}
	for _, name := range []string{"prod/AppBeta/3fa9c1", "prod_AppBeta_3fa9c1", "prod+AppBeta+3fa9c1", "prod=AppBeta=3fa9c1", "prod.AppBeta.3fa9c1", "prod@AppBeta@3fa9c1", "prod-AppBeta-3fa9c1"} {
		add("special", name, "")
	}
	add("mixed", "prod-AppBeta/3fa9c1", "")
	add("upper", "uat/COMPANY/3fa9c1", "")
	add("partial", "uat/COMPANYthings/3fa9c1", "")
	for _, test := range []struct {
		values []string
		want   []string
	}{
		{[]string{"AppBeta"}, sets["special"]},
		{[]string{"Beta"}, sets["special"]},
		{[]string{"app BETA"}, sets["special"]},
		{[]string{"AppBeta", "nothing"}, sets["special"]},
		{[]string{"+"}, nil},
		{[]string{"/"}, nil},
		{[]string{"3fa9c1"}, slices.Concat(sets["special"], sets["upper"], sets["partial"])},
		{[]string{"company"}, sets["upper"]},
		{[]string{"things"}, nil},
		{[]string{"Ythings"}, sets["partial"]},
		{[]string{"N"}, nil},
		{[]string{"pany"}, nil},
		{[]string{"!uat", "Ythings"}, slices.Concat(sets["special"], sets["mixed"], sets["partial"])},
	} {
		checkFilter(t, room, []types.Filter{filter("all", test.values...)}, test.want)
	}

	room = localtest.New(t)
	add("", "SecretOne3fa9c1", "")
	add("", "SecretTwo3fa9c1", "DescTwo")
	add("", "Thirdsecret3fa9c1", "")
	add("", "SecretFTag3fa9c1", "", tag("1", "foo"))
	add("", "SecretFValue3fa9c1", "", tag("foo", "v"))
	add("", "none3fa9c1", "")
	for _, test := range []struct {
		value string
		want  []string
	}{
		{"SecretOne", []string{"SecretOne3fa9c1"}},
		{"foo", []string{"SecretFTag3fa9c1", "SecretFValue3fa9c1"}},
		{"Secret", []string{"SecretOne3fa9c1", "SecretTwo3fa9c1", "SecretFTag3fa9c1", "SecretFValue3fa9c1"}},
		{"secret", []string{"SecretOne3fa9c1", "SecretTwo3fa9c1", "SecretFTag3fa9c1", "SecretFValue3fa9c1"}},
		{"sec", []string{"SecretOne3fa9c1", "SecretTwo3fa9c1", "SecretFTag3fa9c1", "SecretFValue3fa9c1"}},
		{"ret", nil},
		{"SomeSecret", nil},
		{"d", []string{"SecretTwo3fa9c1"}},
		{"d t", []string{"SecretTwo3fa9c1"}},
		{"t", []string{"SecretTwo3fa9c1", "Thirdsecret3fa9c1", "SecretFTag3fa9c1"}},
	} {
		checkFilter(t, room, []types.Filter{filter("all", test.value)}, test.want)
	}

	room = localtest.New(t)
	for name, description := range map[string]string{"foo": "one two", "bar": "one and two", "baz": "one", "qux": "two", "none": "unrelated"} {
		add("", name, description)
	}
	checkFilter(t, room, []types.Filter{filter("description", "one"), filter("description", "two")}, []string{"foo", "bar"})
	checkFilter(t, room, []types.Filter{filter("description", "one two")}, []string{"foo", "bar"})
	checkFilter(t, room, []types.Filter{filter("description", "o t")}, []string{"foo", "bar"})
	checkFilter(t, room, []types.Filter{filter("description", "t")}, []string{"foo", "bar", "qux"})
	checkFilter(t, room, []types.Filter{filter("description", "one", "!two")}, []string{"foo", "bar", "baz", "none"})
	checkFilter(t, room, []types.Filter{filter("description", "!o")}, []string{"qux", "none"})
}

func TestListSecretsFilterTags(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for name, tags := range map[string][]types.Tag{
		"foo": {tag("right", "right")},
		"bar": {tag("right", "wrong")},
		"baz": {tag("wrong", "right")},
		"qux": {tag("wrong", "wrong"), tag("Team", "")},
	} {
		must(room.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name), Tags: tags}))(t)
	}
	checkFilter(t, room, []types.Filter{filter("tag-key", "right"), filter("tag-value", "right")}, []string{"foo"})
	checkFilter(t, room, []types.Filter{filter("tag-key", "ri")}, []string{"foo", "bar"})
	checkFilter(t, room, []types.Filter{filter("tag-key", "RI")}, nil)
	checkFilter(t, room, []types.Filter{filter("tag-key", "team")}, nil)
	checkFilter(t, room, []types.Filter{filter("tag-value", "w")}, []string{"bar", "qux"})
	checkFilter(t, room, []types.Filter{filter("tag-value", "!w")}, []string{"foo", "baz"})
	checkFilter(t, room, []types.Filter{filter("tag-key", "!right", "right")}, []string{"foo", "bar", "baz", "qux"})
}

// dated makes secrets of which each order has another order.
func dated(t testing.TB, room *localtest.Room) []secret.Secret {
	t.Helper()
	var all []secret.Secret
	for i, name := range []string{"delta", "alpha", "echo", "bravo", "charlie", "Zulu", "foxtrot"} {
		sec := secret.New(name, localtest.ARNs.Of(name, suffix(i)), "", epoch.Add(time.Duration(i/2)*time.Hour)) // two at a time
		sec.Changed = epoch.Add(time.Duration(i*5%7) * time.Minute)
		if i%3 > 0 { // some were never read
			sec.Accessed = epoch.AddDate(0, 0, i*3%7)
		}
		all = append(all, sec)
	}
	seed(t, room, all...)
	return all
}

// byDate compares by a date, and by name where it is the same.
func byDate(date func(secret.Secret) time.Time) func(a, b secret.Secret) int {
	return func(a, b secret.Secret) int {
		return cmp.Or(date(a).Compare(date(b)), strings.Compare(a.Name, b.Name))
	}
}

var orders = map[types.SortByType]func(a, b secret.Secret) int{
	"":                               byDate(func(s secret.Secret) time.Time { return s.Created }),
	types.SortByTypeCreatedDate:      byDate(func(s secret.Secret) time.Time { return s.Created }),
	types.SortByTypeLastChangedDate:  byDate(func(s secret.Secret) time.Time { return s.Changed }),
	types.SortByTypeLastAccessedDate: byDate(func(s secret.Secret) time.Time { return s.Accessed }),
	types.SortByTypeName:             func(a, b secret.Secret) int { return strings.Compare(a.Name, b.Name) },
}

func TestListSecretsOrders(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	all := dated(t, room)
	for by, compare := range orders {
		for _, order := range append(types.SortOrderType("").Values(), "") {
			var want []string
			for _, sec := range slices.SortedFunc(slices.Values(all), compare) {
				want = append(want, sec.Name)
			}
			if order == types.SortOrderTypeDesc {
				slices.Reverse(want)
			}
			for _, size := range []int32{1, 2, 6, 7, 8} {
				got := listAll(t, room, secretsmanager.ListSecretsInput{SortBy: by, SortOrder: order, MaxResults: &size})
				checkNames(t, fmt.Sprint(by, " ", order, " by ", size), got, want...)
			}
		}
	}
}

// Secrets scheduled for deletion are listed for those who ask, wherever they are.
func TestListSecretsPlannedDeletion(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	all := dated(t, room)
	var live, every []string
	for i, sec := range all {
		every = append(every, sec.Name)
		if i%2 == 0 {
			schedule(t, room, sec.Name)
		} else {
			live = append(live, sec.Name)
		}
	}
	for by := range orders {
		for _, size := range []int32{1, 3, 7} {
			in := secretsmanager.ListSecretsInput{SortBy: by, MaxResults: &size}
			checkNames(t, by, sorted(listAll(t, room, in)), sorted(live)...)
			in.IncludePlannedDeletion = aws.Bool(false)
			checkNames(t, by, sorted(listAll(t, room, in)), sorted(live)...)
			in.IncludePlannedDeletion = aws.Bool(true)
			checkNames(t, by, sorted(listAll(t, room, in)), sorted(every)...)
		}
	}
	in := &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true), Filters: []types.Filter{filter("name", "delta")}}
	if got := must(room.SDK.ListSecrets(t.Context(), in))(t).SecretList; len(got) != 1 || got[0].DeletedDate == nil {
		t.Errorf("got %+v, want delta with its DeletedDate", got)
	}
	must(room.SDK.RestoreSecret(t.Context(), restoreInput("delta")))(t)
	if got := listAll(t, room, secretsmanager.ListSecretsInput{}); !slices.Contains(got, "delta") {
		t.Errorf("got %q, want delta restored", got)
	}
}

// A page that ends with the last secret has no token; one that ends before it has.
func TestListSecretsPageBoundaries(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	fill(t, room, 0, 101)
	for by := range orders {
		for _, test := range []struct {
			size *int32
			want []int
		}{
			{nil, []int{100, 1}},
			{aws.Int32(100), []int{100, 1}},
			{aws.Int32(51), []int{51, 50}},
			{aws.Int32(50), []int{50, 50, 1}},
		} {
			checkPages(t, room, secretsmanager.ListSecretsInput{SortBy: by, MaxResults: test.size}, test.want)
		}
	}
	forceDelete(t, room, fillName(50))
	for by := range orders {
		checkPages(t, room, secretsmanager.ListSecretsInput{SortBy: by}, []int{100})
		checkPages(t, room, secretsmanager.ListSecretsInput{SortBy: by, MaxResults: aws.Int32(50)}, []int{50, 50})
	}
}

func checkPages(t *testing.T, room *localtest.Room, in secretsmanager.ListSecretsInput, want []int) {
	t.Helper()
	var got []int
	for {
		page := must(room.SDK.ListSecrets(t.Context(), &in))(t)
		got = append(got, len(page.SecretList))
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("by %s, %d at a time: got pages of %v, want %v", in.SortBy, aws.ToInt32(in.MaxResults), got, want)
	}
}

// Names of all allowed characters are in the order of their bytes, and go into
// tokens and back.
func TestListSecretsNames(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	var want []string
	for _, c := range "ABCXYZabcxyz0189/_+=.@-" {
		want = append(want, string(c), string(c)+"-", "x"+string(c)+"y")
	}
	want = append(want, strings.Repeat("n", 512), "a/b_c+d=e.f@g-h")
	for i, name := range want {
		seed(t, room, secret.New(name, localtest.ARNs.Of(name, suffix(i)), "", epoch))
	}
	want = sorted(want)
	for _, size := range []int32{7, 100} {
		for _, by := range []types.SortByType{"", types.SortByTypeName, types.SortByTypeLastChangedDate} {
			got := listAll(t, room, secretsmanager.ListSecretsInput{SortBy: by, MaxResults: &size})
			checkNames(t, fmt.Sprint(by, size), got, want...) // all are of one date
		}
	}
	for _, prefix := range []string{"/", "x", "a/b_c+d=e.f@g-h", "@", "-"} {
		var of []string
		for _, name := range want {
			if strings.HasPrefix(name, prefix) {
				of = append(of, name)
			}
		}
		got := listAll(t, room, secretsmanager.ListSecretsInput{SortBy: types.SortByTypeName, MaxResults: aws.Int32(2), Filters: []types.Filter{filter("name", prefix)}})
		checkNames(t, prefix, got, of...)
	}
}

// Whatever is created and deleted between the pages: a secret that was there all
// along is listed once, in its place, and none is listed that never was.
func TestListSecretsWhileSecretsComeAndGo(t *testing.T) {
	t.Parallel()
	for by, compare := range orders {
		for _, order := range types.SortOrderType("").Values() {
			t.Run(fmt.Sprint(by, order), func(t *testing.T) {
				t.Parallel()
				room := localtest.New(t)
				rooms := []*localtest.Room{room, room.Another(t)}
				random := rand.New(rand.NewPCG(22, uint64(len(by)+len(order))))
				live := map[string]secret.Secret{}
				made := 0
				add := func() {
					made++
					name := fmt.Sprintf("%c%d", 'a'+random.IntN(26), made)
					sec := secret.New(name, localtest.ARNs.Of(name, suffix(made)), "", epoch.Add(time.Duration(random.IntN(20))*time.Millisecond))
					sec.Changed = epoch.Add(time.Duration(random.IntN(20)) * time.Millisecond)
					if random.IntN(3) > 0 {
						sec.Accessed = epoch.AddDate(0, 0, random.IntN(5))
					}
					seed(t, room, sec)
					live[name] = sec
				}
				for range 25 {
					add()
				}
				for range 4 {
					was := maps.Clone(live)
					var got []string
					in := secretsmanager.ListSecretsInput{SortBy: by, SortOrder: order}
					for {
						in.MaxResults = aws.Int32(int32(1 + random.IntN(7)))
						page := must(rooms[random.IntN(2)].SDK.ListSecrets(t.Context(), &in))(t)
						got = append(got, namesOf(page.SecretList)...)
						if in.NextToken = page.NextToken; in.NextToken == nil {
							break
						}
						for range random.IntN(3) {
							add()
						}
						for range random.IntN(3) {
							names := slices.Sorted(maps.Keys(live))
							name := names[random.IntN(len(names))]
							if random.IntN(3) == 0 {
								schedule(t, rooms[random.IntN(2)], name)
							} else {
								forceDelete(t, rooms[random.IntN(2)], name)
							}
							delete(live, name)
							delete(was, name)
						}
						for len(live) < 20 {
							add()
						}
					}
					var want []string
					for _, sec := range slices.SortedFunc(maps.Values(was), compare) {
						want = append(want, sec.Name)
					}
					if order == types.SortOrderTypeDesc {
						slices.Reverse(want)
					}
					lasting := slices.DeleteFunc(slices.Clone(got), func(name string) bool { _, ok := was[name]; return !ok })
					checkNames(t, "there all along", lasting, want...)
					if once := slices.Compact(sorted(got)); len(once) != len(got) {
						t.Errorf("got %q, some of them twice", got)
					}
				}
			})
		}
	}
}

// A secret that is deleted and made again while it is listed is not listed in
// the place it had before, where another page would list it in its new one.
func TestListSecretsWhileSecretIsMadeAgain(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	other := room.Another(t)
	for _, name := range []string{"a", "b", "c"} {
		createEmpty(t, room, name)
	}
	again := secret.New("b", localtest.ARNs.Of("b", "again1"), "", time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond))
	room.Wire.Break("BatchGetItem", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		forceDelete(t, other, "b")
		seed(t, other, again)
		return do()
	})
	checkNames(t, "two at a time", listAll(t, room, secretsmanager.ListSecretsInput{MaxResults: aws.Int32(2)}), "a", "c", "b")
}

func TestListSecretsNextToken(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	fill(t, room, 0, 30)
	badToken := refusal{"InvalidNextTokenException", "The NextToken value is invalid."}
	in := secretsmanager.ListSecretsInput{MaxResults: aws.Int32(3), SortBy: types.SortByTypeName, Filters: []types.Filter{filter("name", "secret")}}
	good := *must(room.SDK.ListSecrets(t.Context(), &in))(t).NextToken
	refused := func(name, token string, change func(*secretsmanager.ListSecretsInput)) {
		t.Helper()
		bad := in
		bad.NextToken = &token
		change(&bad)
		_, err := room.SDK.ListSecrets(t.Context(), &bad)
		if checkRefused(t, err, badToken); t.Failed() {
			t.Fatal(name)
		}
	}
	same := func(*secretsmanager.ListSecretsInput) {}
	for i := range len(good) {
		changed := []byte(good)
		if changed[i]++; !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", rune(changed[i])) {
			changed[i] = 'A'
		}
		refused("changed", string(changed), same)
	}
	for name, token := range map[string]string{
		"cut": good[:len(good)-1], "cut in front": good[1:], "longer": good + "A", "padded": good + "=", "twice": good + good,
		"no base64": "!", "short": "AAAA", "a name": fillName(3), "a space": good + " ",
	} {
		refused(name, token, same)
	}
	for name, change := range map[string]func(*secretsmanager.ListSecretsInput){
		"other order":      func(in *secretsmanager.ListSecretsInput) { in.SortOrder = types.SortOrderTypeDesc },
		"other date":       func(in *secretsmanager.ListSecretsInput) { in.SortBy = types.SortByTypeCreatedDate },
		"planned deletion": func(in *secretsmanager.ListSecretsInput) { in.IncludePlannedDeletion = aws.Bool(true) },
		"no filter":        func(in *secretsmanager.ListSecretsInput) { in.Filters = nil },
		"other filter":     func(in *secretsmanager.ListSecretsInput) { in.Filters = []types.Filter{filter("name", "secre")} },
		"other key":        func(in *secretsmanager.ListSecretsInput) { in.Filters = []types.Filter{filter("all", "secret")} },
		"one more value":   func(in *secretsmanager.ListSecretsInput) { in.Filters = []types.Filter{filter("name", "secret", "x")} },
	} {
		refused(name, good, change)
	}
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two")
	versions := must(room.SDK.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("s"), MaxResults: aws.Int32(1)}))(t)
	refused("of another operation", *versions.NextToken, same)
	batch := must(room.SDK.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{MaxResults: aws.Int32(1), Filters: in.Filters}))(t)
	refused("of another operation", *batch.NextToken, same)

	// A good one goes on, also with pages of another size and in another process.
	in.NextToken, in.MaxResults = &good, aws.Int32(2)
	got := must(room.Another(t).SDK.ListSecrets(t.Context(), &in))(t)
	checkNames(t, "good", namesOf(got.SecretList), fillName(3), fillName(4))
}

func TestListSecretsRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	const pattern = `^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$`
	const values = "' at 'filters.1.member.values' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 512, Member must have length greater than or equal to 0, Member must satisfy regular expression pattern: " + pattern + "]"
	long := strings.Repeat("x", 513)
	many := strings.Repeat(`{"Key":"name","Values":["x"]},`, 11)
	for _, test := range []struct {
		name, body string
		want       refusal
	}{
		{"MaxResults 0", `{"MaxResults":0}`, violation("Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1")},
		{"MaxResults 101", `{"MaxResults":101}`, violation("Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100")},
		{"MaxResults -1", `{"MaxResults":-1}`, violation("Value '-1' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1")},
		{"empty NextToken", `{"NextToken":""}`, violation("Value '' at 'nextToken' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"SortOrder", `{"SortOrder":"up"}`, violation("Value 'up' at 'sortOrder' failed to satisfy constraint: Member must satisfy enum value set: [asc, desc]")},
		{"SortBy", `{"SortBy":"size"}`, violation("Value 'size' at 'sortBy' failed to satisfy constraint: Member must satisfy enum value set: [created-date, last-accessed-date, last-changed-date, name]")},
		{"filter key", `{"Filters":[{"Key":"invalid","Values":["foo"]}]}`, violation("Value 'invalid' at 'filters.1.member.key' failed to satisfy constraint: Member must satisfy enum value set: [all, name, tag-key, description, tag-value, primary-region, owning-service]")},
		{"second filter key", `{"Filters":[{"Key":"name","Values":["a"]},{"Key":"Name","Values":["foo"]}]}`, violation("Value 'Name' at 'filters.2.member.key' failed to satisfy constraint: Member must satisfy enum value set: [all, name, tag-key, description, tag-value, primary-region, owning-service]")},
		{"no filter key", `{"Filters":[{"Values":["foo"]}]}`, refusal{"InvalidParameterException", "Invalid filter key"}},
		{"no filter values", `{"Filters":[{"Key":"description"}]}`, refusal{"InvalidParameterException", "Invalid filter values for key: description"}},
		{"empty filter values", `{"Filters":[{"Key":"name","Values":[]}]}`, violation("Value '[]' at 'filters.1.member.values' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"11 filter values", `{"Filters":[{"Key":"name","Values":["a","a","a","a","a","a","a","a","a","a","a"]}]}`, violation("Value '[a, a, a, a, a, a, a, a, a, a, a]' at 'filters.1.member.values' failed to satisfy constraint: Member must have length less than or equal to 10")},
		{"bad character", `{"Filters":[{"Key":"name","Values":["a*"]}]}`, violation("Value '[a*" + "]" + values)},
		{"bad character in the second", `{"Filters":[{"Key":"name","Values":["a","ü"]}]}`, violation("Value '[a, ü]" + values)},
		{"value of 513 characters", `{"Filters":[{"Key":"name","Values":["` + long + `"]}]}`, violation("Value '[" + long + "]" + values)},
		{"11 filters", `{"Filters":[` + strings.TrimSuffix(many, ",") + `]}`, refusal{"InvalidParameterException", "The filter list has too many filters. You can include up to 10 filters."}},
	} {
		t.Run(test.name, func(t *testing.T) { refusesPost(t, room, "ListSecrets", test.body, test.want) })
	}
	for _, body := range []string{
		`{"MaxResults":1}`, `{"MaxResults":100}`,
		`{"Filters":[` + strings.TrimSuffix(strings.Repeat(`{"Key":"name","Values":["x"]},`, 10), ",") + `]}`,
		`{"Filters":[{"Key":"all","Values":["` + long[:512] + `"]}]}`,
		`{"Filters":[{"Key":"all","Values":["!a!Z0 :_@/+=.-","","a","a","a","a","a","a","a","a"]}]}`,
	} {
		if answer, got := room.Post(t, "ListSecrets", body); answer.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d %s, want it taken", body, answer.StatusCode, got)
		}
	}
}

// By name and by creation, a page costs what it returns and not what is stored.
func TestListSecretsCost(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	must(room.Store.TokenKey(t.Context()))(t) // which a process reads once
	cost := func(name string, in secretsmanager.ListSecretsInput) string {
		t.Helper()
		room.Wire.Took()
		if page := must(room.SDK.ListSecrets(t.Context(), &in))(t); len(page.SecretList) != 10 {
			t.Errorf("%s: got a page of %d, want 10", name, len(page.SecretList))
		}
		calls, reads, writes := room.Wire.Took()
		return fmt.Sprintf("%s: %s, %.0f read units, %.0f write units", name, calls, reads, writes)
	}
	stored := 0
	for _, n := range []int{10, 1000, 5000} {
		fill(t, room, stored, n)
		stored = n
		for name, in := range map[string]secretsmanager.ListSecretsInput{
			"by creation":            {},
			"by creation, newest":    {SortOrder: types.SortOrderTypeDesc},
			"by name":                {SortBy: types.SortByTypeName},
			"by name, from the end":  {SortBy: types.SortByTypeName, SortOrder: types.SortOrderTypeDesc},
			"by name, with a prefix": {SortBy: types.SortByTypeName, Filters: []types.Filter{filter("name", "secret-0000")}},
			"also planned deletion":  {IncludePlannedDeletion: aws.Bool(true)},
			"of those never tagged":  {Filters: []types.Filter{filter("tag-key", "!team")}},
		} {
			in.MaxResults = aws.Int32(10)
			// One query of eleven small rows, and as many heads of at most 4 KB each:
			// ten, and one that says that there is another page.
			heads := 11
			if n == 10 || name == "by name, with a prefix" {
				heads = 10
			}
			if got, want := cost(name, in), fmt.Sprintf("%s: Query BatchGetItem, %d read units, 0 write units", name, 1+heads); got != want {
				t.Errorf("of %d secrets: got %s, want %s", n, got, want)
			}
		}
	}
}

// Where secrets are passed over, the calls do not grow with their number.
func TestListSecretsPassingOver(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	fill(t, room, 0, 90)
	for i := 1; i < 89; i++ {
		schedule(t, room, fillName(i))
	}
	in := &secretsmanager.ListSecretsInput{SortBy: types.SortByTypeName, MaxResults: aws.Int32(2)}
	room.Wire.Took()
	checkNames(t, "two at a time", namesOf(must(room.SDK.ListSecrets(t.Context(), in))(t).SecretList), fillName(0), fillName(89))
	calls, _, _ := room.Wire.Took()
	if n := len(strings.Fields(calls)); n > 16 {
		t.Errorf("got %d calls for 90 secrets, want those of eight looks at most: %s", n, calls)
	}
}

// BenchmarkListSecretsByName is a page of ten, of more and more secrets.
func BenchmarkListSecretsByName(b *testing.B) {
	room := localtest.New(b)
	stored := 0
	in := &secretsmanager.ListSecretsInput{SortBy: types.SortByTypeName, MaxResults: aws.Int32(10)}
	for _, n := range []int{10, 1000, 20000} {
		fill(b, room, stored, n)
		stored = n
		b.Run(fmt.Sprintf("stored=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := room.SDK.ListSecrets(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
