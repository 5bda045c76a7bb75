package secret

import (
	"slices"
	"strings"
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

// Matches says whether the secret passes all filters.
func (s Secret) Matches(filters []Filter) bool {
	for _, f := range filters {
		if !f.matches(s) {
			return false
		}
	}
	return true
}

// MayMatch says whether a secret of that name can pass all filters, by the
// filters that look at the name alone.
func MayMatch(name string, filters []Filter) bool {
	for _, f := range filters {
		if f.Key == ByName && !f.matches(Secret{Name: name}) {
			return false
		}
	}
	return true
}

// NamePrefix is what the names of all secrets begin with that can pass the
// filters.
func NamePrefix(filters []Filter) string {
	longest := ""
	for _, f := range filters {
		if f.Key == ByName && len(f.Values) == 1 && !strings.HasPrefix(f.Values[0], "!") && len(f.Values[0]) > len(longest) {
			longest = f.Values[0]
		}
	}
	return longest
}

func (f Filter) matches(s Secret) bool {
	return slices.ContainsFunc(f.Values, func(value string) bool {
		if not, ok := strings.CutPrefix(value, "!"); ok {
			return !f.Key.matches(s, not)
		}
		return f.Key.matches(s, value)
	})
}

// matches compares one value: the beginning of a name or tag, case and all; words
// for the others. No secret here has a primary Region or an owning service.
func (k FilterKey) matches(s Secret, value string) bool {
	begins := func(text string) bool { return strings.HasPrefix(text, value) }
	switch k {
	case ByName:
		return begins(s.Name)
	case ByTagKey:
		return slices.ContainsFunc(s.Tags, func(t Tag) bool { return begins(t.Key) })
	case ByTagValue:
		return slices.ContainsFunc(s.Tags, func(t Tag) bool { return begins(t.Value) })
	case ByDescription:
		return haveWords(value, s.Description)
	case ByAll:
		texts := []string{s.Name, s.Description}
		for _, t := range s.Tags {
			texts = append(texts, t.Key, t.Value)
		}
		return haveWords(value, texts...)
	}
	return false
}

// haveWords says whether each word of the value begins a word of the texts, in
// any order, whatever the case. A value without words finds nothing.
func haveWords(value string, texts ...string) bool {
	var words []string
	for _, text := range texts {
		words = append(words, wordsOf(text)...)
	}
	asked := wordsOf(value)
	for _, a := range asked {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, a) }) {
			return false
		}
	}
	return len(asked) > 0
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
	for i := 1; i < len(runes); i++ {
		if unicode.IsUpper(runes[i]) && i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
			words = append(words, strings.ToLower(string(runes[begin:i])))
			begin = i
		}
	}
	return append(words, strings.ToLower(string(runes[begin:])))
}
