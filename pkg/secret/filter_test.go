package secret

import (
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
// the prefix.
func TestFiltersByName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		filters []Filter
		prefix  string
		may     []string
		mayNot  []string
	}{
		{nil, "", []string{"a", "b"}, nil},
		{[]Filter{{ByName, []string{"ab"}}}, "ab", []string{"ab", "abc"}, []string{"a", "b", "Ab"}},
		{[]Filter{{ByName, []string{"a"}}, {ByName, []string{"ab"}}}, "ab", []string{"ab"}, []string{"a", "ac"}},
		{[]Filter{{ByName, []string{"ab"}}, {ByName, []string{"x"}}}, "ab", nil, []string{"ab", "x"}},
		{[]Filter{{ByName, []string{"a", "b"}}}, "", []string{"a1", "b1"}, []string{"c"}},
		{[]Filter{{ByName, []string{"!a"}}}, "", []string{"b"}, []string{"a"}},
		{[]Filter{{ByName, []string{""}}}, "", []string{"b"}, nil},
		{[]Filter{{ByDescription, []string{"a"}}}, "", []string{"b"}, nil},
		{[]Filter{{ByAll, []string{"a"}}, {ByName, []string{"a"}}}, "a", []string{"a"}, []string{"b"}},
	} {
		if got := NamePrefix(tt.filters); got != tt.prefix {
			t.Errorf("%v: got prefix %q, want %q", tt.filters, got, tt.prefix)
		}
		for _, name := range tt.may {
			if !NewMatcher(tt.filters).MayTake(name) {
				t.Errorf("%v: %q is ruled out, want not", tt.filters, name)
			}
			if !strings.HasPrefix(name, NamePrefix(tt.filters)) {
				t.Errorf("%v: %q may match and lies outside of the prefix %q", tt.filters, name, NamePrefix(tt.filters))
			}
		}
		for _, name := range tt.mayNot {
			if NewMatcher(tt.filters).MayTake(name) {
				t.Errorf("%v: %q may match, want not", tt.filters, name)
			}
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
