package secret

import (
	"slices"
	"strings"
	"sync"
	"unicode"
)

// A Filter is one condition of a list: the secret matches one of the values,
// where a value that begins with an exclamation mark matches the secrets that
// the rest of it does not.
type Filter struct {
	Key    FilterKey
	Values []string
}

// A FilterKey is what a filter looks at.
type FilterKey string

// The keys of filters, in the order of the service model.
const (
	ByDescription   FilterKey = "description"
	ByName          FilterKey = "name"
	ByTagKey        FilterKey = "tag-key"
	ByTagValue      FilterKey = "tag-value"
	ByPrimaryRegion FilterKey = "primary-region"
	ByOwningService FilterKey = "owning-service"
	ByAll           FilterKey = "all"
)

// A Matcher is a list of filters, ready to be held against many secrets: what is
// to be done once for each value is done. It is not changed by use.
type Matcher []matcher

type matcher struct {
	Filter
	words [][]string // of each value
}

// NewMatcher makes a Matcher of filters.
func NewMatcher(filters []Filter) Matcher {
	m := make(Matcher, len(filters))
	for i, f := range filters {
		m[i] = matcher{f, make([][]string, len(f.Values))}
		for j, value := range f.Values {
			m[i].words[j] = sortedWords(strings.TrimPrefix(value, "!"))
		}
	}
	return m
}

// Takes says whether the secret passes all filters.
func (m Matcher) Takes(s Secret) bool {
	t := textsOf(s)
	return !slices.ContainsFunc(m, func(f matcher) bool { return !f.takes(t) })
}

// MayTake says whether a secret of that name can pass all filters, by the filters
// that look at the name alone.
func (m Matcher) MayTake(name string) bool {
	t := texts{Secret: Secret{Name: name}}
	return !slices.ContainsFunc(m, func(f matcher) bool { return f.Key == ByName && !f.takes(t) })
}

// texts is a secret with its words, which are found when they are asked for.
type texts struct {
	Secret
	description, all func() []string
}

func textsOf(s Secret) texts {
	return texts{
		s,
		sync.OnceValue(func() []string { return sortedWords(s.Description) }),
		sync.OnceValue(func() []string {
			all := []string{s.Name, s.Description}
			for _, t := range s.Tags {
				all = append(all, t.Key, t.Value)
			}
			return sortedWords(all...)
		}),
	}
}

// NamePrefixes are what names begin with that can pass the filters: each with exactly
// one of them, in this order. Without any, no name can pass.
func NamePrefixes(filters []Filter) []string {
	prefixes := []string{""}
	for _, f := range filters {
		if f.Key == ByName && !slices.ContainsFunc(f.Values, isNegated) {
			prefixes = common(prefixes, f.Values)
		}
	}
	return prefixes
}

func isNegated(value string) bool { return strings.HasPrefix(value, "!") }

// common are the prefixes of what begins with one of a and with one of b, without
// those that begin with another.
func common(a, b []string) []string {
	var both, shortest []string
	for _, x := range a {
		for _, y := range b {
			switch {
			case strings.HasPrefix(x, y):
				both = append(both, x)
			case strings.HasPrefix(y, x):
				both = append(both, y)
			}
		}
	}
	slices.Sort(both) // a prefix comes before what begins with it
	for _, p := range both {
		if n := len(shortest); n == 0 || !strings.HasPrefix(p, shortest[n-1]) {
			shortest = append(shortest, p)
		}
	}
	return shortest
}

func (f matcher) takes(t texts) bool {
	for i, value := range f.Values {
		not := isNegated(value)
		if f.Key.matches(t, strings.TrimPrefix(value, "!"), f.words[i]) != not {
			return true
		}
	}
	return false
}

// matches compares one value: the beginning of a name, tag or primary Region, case and
// all; its words for the others. No secret here has an owning service.
func (k FilterKey) matches(t texts, value string, words []string) bool {
	begins := func(text string) bool { return strings.HasPrefix(text, value) }
	switch k {
	case ByName:
		return begins(t.Name)
	case ByTagKey:
		return slices.ContainsFunc(t.Tags, func(t Tag) bool { return begins(t.Key) })
	case ByTagValue:
		return slices.ContainsFunc(t.Tags, func(t Tag) bool { return begins(t.Value) })
	case ByPrimaryRegion:
		return t.PrimaryRegion() != "" && begins(t.PrimaryRegion())
	case ByDescription:
		return haveWords(words, t.description())
	case ByAll:
		return haveWords(words, t.all())
	}
	return false
}

// haveWords says whether each word asked for begins one of the sorted words, in
// any order. No words find nothing.
func haveWords(asked, words []string) bool {
	for _, a := range asked {
		if i, _ := slices.BinarySearch(words, a); i == len(words) || !strings.HasPrefix(words[i], a) {
			return false
		}
	}
	return len(asked) > 0
}

// sortedWords are the words of the texts, each once.
func sortedWords(texts ...string) []string {
	var words []string
	for _, text := range texts {
		words = append(words, wordsOf(text)...)
	}
	slices.Sort(words)
	return slices.Compact(words)
}

const separators = "/-_+=.@"

// wordsOf splits a text at spaces, at its separator, and where the case changes,
// and lowers the case. A text with two kinds of separators is split at spaces
// only (recorded).
func wordsOf(text string) []string {
	var words []string
	for part := range strings.FieldsSeq(text) {
		kinds := strings.Map(func(r rune) rune {
			if strings.ContainsRune(separators, r) {
				return r
			}
			return -1
		}, part)
		if kinds != "" && strings.Trim(kinds, kinds[:1]) != "" {
			words = append(words, strings.ToLower(part))
			continue
		}
		for piece := range strings.FieldsFuncSeq(part, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
			words = append(words, splitCase(piece)...)
		}
	}
	return words
}

// splitCase splits where a word begins: before a capital that small letters
// follow. COMPANYthings is COMPAN and Ythings (recorded).
func splitCase(s string) []string {
	runes := []rune(s)
	var words []string
	begin := 0
	for i := 1; i < len(runes)-1; i++ {
		if unicode.IsUpper(runes[i]) && unicode.IsLower(runes[i+1]) {
			words = append(words, strings.ToLower(string(runes[begin:i])))
			begin = i
		}
	}
	return append(words, strings.ToLower(string(runes[begin:])))
}
