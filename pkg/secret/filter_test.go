package secret

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestWordsOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"   ", nil},
		{"secret", []string{"secret"}},
		{"a  secret ", []string{"a", "secret"}},
		{"a\tsecret\nof", []string{"a", "secret", "of"}},
		{"Mytest", []string{"mytest"}},
		{"MyTest", []string{"my", "test"}},
		{"MyTestPhrase", []string{"my", "test", "phrase"}},
		{"myTest", []string{"my", "test"}},
		{"my/test", []string{"my", "test"}},
		{"COMPANYthings", []string{"compan", "ythings"}},
		{"COMPANY", []string{"company"}},
		{"SecretFTag", []string{"secretf", "tag"}},
		{"prod/AppBeta/a1", []string{"prod", "app", "beta", "a1"}},
		{"prod_AppBeta_x", []string{"prod", "app", "beta", "x"}},
		{"prod+x", []string{"prod", "x"}},
		{"prod=x", []string{"prod", "x"}},
		{"prod.x", []string{"prod", "x"}},
		{"prod@x", []string{"prod", "x"}},
		{"prod-x", []string{"prod", "x"}},
		{"/prod//x/", []string{"prod", "x"}},
		{"prod-AppBeta/x", []string{"prod-appbeta/x"}}, // two kinds of separators
		{"a-b c/d", []string{"a", "b", "c", "d"}},      // one kind in each
		{"a-b/c d", []string{"a-b/c", "d"}},
		{"/", nil},
		{"+", nil},
		{"--", nil},
		{"-/", []string{"-/"}},
		{"a:b!c", []string{"a:b!c"}},
		{"secret1name2Last", []string{"secret1name2", "last"}},
		{"testing1", []string{"testing1"}},
		{"ÄrgerÜber", []string{"ärger", "über"}},
		{"A", []string{"a"}},
		{"aB", []string{"ab"}},
		{"aBc", []string{"a", "bc"}},
		{"ABc", []string{"a", "bc"}},
		{"Bc", []string{"bc"}},
		{"aBcDe", []string{"a", "bc", "de"}},
	} {
		if got := wordsOf(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestFilterMatches(t *testing.T) {
	t.Parallel()
	s := Secret{
		Name:        "Prod/AppBeta/db",
		Description: "an old Secret, for the dataBase",
		Tags:        []Tag{{"Team", "blue-green"}, {"stage", "prod"}, {"empty", ""}},
	}
	for _, tt := range []struct {
		key FilterKey
		yes []string
		not []string
	}{
		{
			key: ByName,
			yes: []string{"", "P", "Prod", "Prod/", "Prod/AppBeta/db", "!prod", "!x", "!!"},
			not: []string{"prod", "AppBeta", "Prod/AppBeta/db2", "Prod App", "!", "!Prod", "!Prod/AppBeta/db", " Prod"},
		},
		{
			key: ByTagKey,
			yes: []string{"", "T", "Team", "sta", "!team", "!Teams"},
			not: []string{"team", "eam", "Teams", "blue", "!", "!T", "!stage"},
		},
		{
			key: ByTagValue,
			yes: []string{"", "b", "blue-green", "prod", "!Blue", "!green"},
			not: []string{"Blue", "green", "Team", "!blue", "!"},
		},
		{
			key: ByDescription,
			yes: []string{"a", "an", "AN OLD", "old an", "secret", "secret,", "data base", "da b", "!x", "!", "!lt", "a a an", "!an x"},
			not: []string{"", "/", "ecret", "an x", "Prod", "blue", "!an", "!secret old"},
		},
		{
			key: ByAll,
			yes: []string{"prod", "app", "Beta", "PROD APP", "secret", "team", "green", "an blue stage db", "!x"},
			not: []string{"", "/", "-", "rod", "eta", "x", "prod x", "!prod"},
		},
		{key: ByPrimaryRegion, yes: []string{"!eu", "!", "!us-east-1"}, not: []string{"", "us-east-1"}},
		{key: ByOwningService, yes: []string{"!rds", "!"}, not: []string{"", "rds", "n/a"}},
	} {
		for _, value := range tt.yes {
			if !NewMatcher([]Filter{{tt.key, []string{value}}}).Takes(s) {
				t.Errorf("%s %q: got no match, want one", tt.key, value)
			}
		}
		for _, value := range tt.not {
			if NewMatcher([]Filter{{tt.key, []string{value}}}).Takes(s) {
				t.Errorf("%s %q: got a match, want none", tt.key, value)
			}
		}
		// A secret with nothing to look at is found by what it has not.
		none := Secret{Name: "x"}
		if tt.key != ByName && tt.key != ByAll && (NewMatcher([]Filter{{tt.key, []string{"y"}}}).Takes(none) || !NewMatcher([]Filter{{tt.key, []string{"!y"}}}).Takes(none)) {
			t.Errorf("%s: a secret without is found by y, or not by !y", tt.key)
		}
	}
}

// Values are one or the other, filters are one and the other.
func TestFiltersTogether(t *testing.T) {
	t.Parallel()
	s := Secret{Name: "foo", Description: "one two", Tags: []Tag{{"right", "right"}}}
	for _, tt := range []struct {
		name    string
		filters []Filter
		want    bool
	}{
		{"none", nil, true},
		{"one of two values", []Filter{{ByName, []string{"bar", "foo"}}}, true},
		{"none of two values", []Filter{{ByName, []string{"bar", "baz"}}}, false},
		{"one value or not another", []Filter{{ByDescription, []string{"one", "!two"}}}, true},
		{"no value or not another that is not", []Filter{{ByDescription, []string{"three", "!four"}}}, true},
		{"no value or not another that is", []Filter{{ByDescription, []string{"three", "!two"}}}, false},
		{"the same key twice", []Filter{{ByDescription, []string{"one"}}, {ByDescription, []string{"two"}}}, true},
		{"the same key twice, one fails", []Filter{{ByDescription, []string{"one"}}, {ByDescription, []string{"three"}}}, false},
		{"two keys", []Filter{{ByTagKey, []string{"right"}}, {ByTagValue, []string{"right"}}}, true},
		{"two keys, one fails", []Filter{{ByTagKey, []string{"right"}}, {ByTagValue, []string{"wrong"}}}, false},
		{"no values", []Filter{{ByName, nil}}, false},
		{"an unknown key", []Filter{{"other", []string{"foo"}}}, false},
	} {
		if got := NewMatcher(tt.filters).Takes(s); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

// What is ruled out by the name alone is ruled out, and what matches begins with
// one of the prefixes.
func TestFiltersByName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		filters  []Filter
		prefixes []string
		may      []string
		mayNot   []string
	}{
		{nil, []string{""}, []string{"a", "b"}, nil},
		{[]Filter{{ByName, []string{"ab"}}}, []string{"ab"}, []string{"ab", "abc"}, []string{"a", "b", "Ab"}},
		{[]Filter{{ByName, []string{"a"}}, {ByName, []string{"ab"}}}, []string{"ab"}, []string{"ab"}, []string{"a", "ac"}},
		{[]Filter{{ByName, []string{"ab"}}, {ByName, []string{"x"}}}, nil, nil, []string{"ab", "x"}},
		{[]Filter{{ByName, []string{"b", "a"}}}, []string{"a", "b"}, []string{"a1", "b1"}, []string{"c"}},
		{[]Filter{{ByName, []string{"ab", "a", "ac", "a"}}}, []string{"a"}, []string{"a", "ab", "ad"}, []string{"b"}},
		{[]Filter{{ByName, []string{"ab", "a/b", "a/", "B"}}}, []string{"B", "a/", "ab"}, []string{"a/b", "ab", "B"}, []string{"a", "aa"}},
		{[]Filter{{ByName, []string{"a", "bc"}}, {ByName, []string{"ab", "b", "ac", "x"}}}, []string{"ab", "ac", "bc"}, []string{"ab", "ac1", "bc"}, []string{"a", "ad", "b", "x"}},
		{[]Filter{{ByName, []string{"!a"}}}, []string{""}, []string{"b"}, []string{"a"}},
		{[]Filter{{ByName, []string{"b", "!a"}}}, []string{""}, []string{"b", "c"}, []string{"a"}},
		{[]Filter{{ByName, []string{"a"}}, {ByName, []string{"!ab"}}}, []string{"a"}, []string{"a", "ac"}, []string{"ab", "b"}},
		{[]Filter{{ByName, []string{"a", ""}}}, []string{""}, []string{"b"}, nil},
		{[]Filter{{ByName, nil}}, nil, nil, []string{"a"}},
		{[]Filter{{ByDescription, []string{"a"}}}, []string{""}, []string{"b"}, nil},
		{[]Filter{{ByAll, []string{"a"}}, {ByName, []string{"a"}}}, []string{"a"}, []string{"a"}, []string{"b"}},
	} {
		prefixes := NamePrefixes(tt.filters)
		if !slices.Equal(prefixes, tt.prefixes) {
			t.Errorf("%v: got prefixes %q, want %q", tt.filters, prefixes, tt.prefixes)
		}
		for _, name := range tt.may {
			if !NewMatcher(tt.filters).MayTake(name) {
				t.Errorf("%v: %q is ruled out, want not", tt.filters, name)
			}
			if n := beginnings(name, prefixes); n != 1 {
				t.Errorf("%v: %q may match and begins with %d of the prefixes %q, want 1", tt.filters, name, n, prefixes)
			}
		}
		for _, name := range tt.mayNot {
			if NewMatcher(tt.filters).MayTake(name) {
				t.Errorf("%v: %q may match, want not", tt.filters, name)
			}
		}
	}
}

func beginnings(name string, prefixes []string) (n int) {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			n++
		}
	}
	return n
}

// Whatever the filters: a name that can pass begins with exactly one prefix, and
// without a negation no other name does.
func TestNamePrefixesAtRandom(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	word := func() string {
		b := make([]byte, random.IntN(4))
		for i := range b {
			b[i] = "ab/"[random.IntN(3)]
		}
		return string(b)
	}
	for range 20_000 {
		filters := make([]Filter, random.IntN(4))
		for i := range filters {
			filters[i].Key = ByName
			for range 1 + random.IntN(4) {
				filters[i].Values = append(filters[i].Values, word())
			}
		}
		prefixes, name := NamePrefixes(filters), word()+word()
		want := 0
		if NewMatcher(filters).MayTake(name) {
			want = 1
		}
		if got := beginnings(name, prefixes); got != want || !slices.IsSorted(prefixes) {
			t.Fatalf("%v: %q begins with %d of the prefixes %q, want %d", filters, name, got, prefixes, want)
		}
	}
}

// Whatever the text, its words find it; none of them is empty or in capitals.
func FuzzWords(f *testing.F) {
	for _, text := range []string{"COMPANYthings", "prod-AppBeta/x", "a secret", "/", "ÄrgerÜber 1a", "\xff", "ǅ aͅB"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 512 { // as a filter's value
			return
		}
		words := wordsOf(text)
		for _, w := range words {
			if w == "" || w != strings.ToLower(w) {
				t.Errorf("%q: got word %q", text, w)
			}
		}
		if len(words) > 0 && !haveWords(sortedWords(text), sortedWords(text)) {
			t.Errorf("%q is not found by itself", text)
		}
	})
}
