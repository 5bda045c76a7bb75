package secret

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

var fuzzARNs = ARNs{Partition: "aws", Region: "eu-central-1", Account: "123456789012"}

// Whatever a caller names: it is refused as AWS does, or it is one secret, and the ARN and
// the name of that are read as the same again.
func FuzzSecretID(f *testing.F) {
	for _, id := range []string{
		"db/main", "db/main-Ab3dE6", "db!main", "", "-", "-abcdef", "a-b-Ab3dE6-Ab3dE6", "ü", "a\n", strings.Repeat("x", 513),
		"arn:aws:secretsmanager:eu-central-1:123456789012:secret:db/main-Ab3dE6",
		"arn:aws:secretsmanager:eu-central-1:123456789012:secret:db/main",
		"arn:aws:secretsmanager:eu-central-1:123456789012:secret:",
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:db/main-Ab3dE6",
		"arn:aws:ssm:eu-central-1:123456789012:secret:db/main-Ab3dE6",
	} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := fuzzARNs.Parse(text)
		switch {
		case err != nil:
			if id != (ID{}) || !errors.Is(err, NotFound) && !errors.Is(err, InvalidName) {
				t.Errorf("got %+v, %v, want no ID and one of two refusals", id, err)
			}
		case strings.HasPrefix(text, fuzzARNs.prefix()):
			if arn := fuzzARNs.Of(id.Name, id.Suffix); arn != text && strings.TrimSuffix(arn, "-") != text {
				t.Errorf("got %+v, which is %s, want %s", id, arn, text)
			}
		case id != (ID{Name: text}):
			t.Errorf("got %+v, want the name %q", id, text)
		}
		if CheckNewName(text) != nil || len(text) > MaxName {
			return
		}
		if err != nil || id.Name != text && !strings.HasPrefix(text, "arn:") {
			t.Errorf("the new name %q: got %+v, %v", text, id, err)
		}
		full := ID{Name: text, Suffix: "Ab3dE6"}
		if got, err := fuzzARNs.Parse(fuzzARNs.Of(text, full.Suffix)); got != full || err != nil {
			t.Errorf("got %+v, %v, want %+v", got, err, full)
		}
	})
}

// The ARNs that keys and functions are known by name the same again.
func FuzzKeysAndFunctions(f *testing.F) {
	for _, text := range []string{
		"", "alias/aws/secretsmanager", "alias/mine", "1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-1234abcd12ab34cd56ef1234567890ab",
		"arn:aws:kms:eu-central-1:123456789012:key/1234ABCD-12ab-34cd-56ef-1234567890ab", "arn:aws:kms:us-east-1:123456789012:alias/aws/secretsmanager",
		"rotate", "rotate:$LATEST", "123456789012:function:rotate:live", "arn:aws:lambda:eu-central-1:123456789012:function:rotate:7",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if arn, ok := fuzzARNs.KeyARN(text); ok {
			if again, ok := fuzzARNs.KeyARN(arn); !ok || again != arn {
				t.Errorf("key %q is %q, and that is %q", text, arn, again)
			}
		}
		err := fuzzARNs.CheckKey(text)
		if _, isRefusal := errors.AsType[Error](err); err != nil && !isRefusal {
			t.Errorf("key %q: got %v, want a refusal", text, err)
		}
		if unqualified, qualified, ok := fuzzARNs.FunctionARN(text); ok {
			u, q, ok := fuzzARNs.FunctionARN(qualified)
			if !ok || u != unqualified || q != qualified || !strings.HasPrefix(qualified, unqualified) {
				t.Errorf("function %q is %q and %q, and that is %q and %q", text, unqualified, qualified, u, q)
			}
		}
	})
}

// A filter takes what the words of AWS's documentation say, read as plainly as it goes,
// and the ways to find names without looking at each miss none.
func FuzzFilters(f *testing.F) {
	f.Add("name", "prod/", "!x", "prod/app", "My App", "env", "Production")
	f.Add("all", "app prod", "", "prod/AppBeta", "", "team", "a-b_c")
	f.Add("tag-value", "!", "P", "n", "", "k", "Prod")
	f.Add("description", "!my", "zz", "n", "COMPANYthings my", "k", "v")
	f.Fuzz(func(t *testing.T, key, value, other, name, description, tagKey, tagValue string) {
		sec := Secret{Name: name, Description: description, Tags: []Tag{{Key: tagKey, Value: tagValue}}}
		filters := []Filter{{Key: FilterKey(key), Values: []string{value, other}}, {Key: ByName, Values: []string{other, value}}}
		m := NewMatcher(filters)
		want := naiveTakes(filters, sec)
		if got := m.Takes(sec); got != want {
			t.Errorf("%q of %+v: got %t, want %t", filters, sec, got, want)
		}
		begins := slices.ContainsFunc(NamePrefixes(filters), func(p string) bool { return strings.HasPrefix(name, p) })
		if want && (!m.MayTake(name) || !begins) {
			t.Errorf("%q take %+v, and its name is not looked at", filters, sec)
		}
	})
}

func naiveTakes(filters []Filter, sec Secret) bool {
	for _, f := range filters {
		any := false
		for _, value := range f.Values {
			value, negated := strings.CutPrefix(value, "!")
			any = any || naiveMatches(f.Key, value, sec) != negated
		}
		if !any {
			return false
		}
	}
	return true
}

func naiveMatches(key FilterKey, value string, sec Secret) bool {
	switch key {
	case ByName:
		return strings.HasPrefix(sec.Name, value)
	case ByTagKey:
		return strings.HasPrefix(sec.Tags[0].Key, value)
	case ByTagValue:
		return strings.HasPrefix(sec.Tags[0].Value, value)
	case ByDescription:
		return naiveWords(value, sec.Description)
	case ByAll:
		return naiveWords(value, sec.Name, sec.Description, sec.Tags[0].Key, sec.Tags[0].Value)
	}
	return false
}

func naiveWords(asked string, texts ...string) bool {
	found := false
	for _, a := range wordsOf(asked) {
		found = false
		for _, text := range texts {
			for _, w := range wordsOf(text) {
				found = found || strings.HasPrefix(w, a)
			}
		}
		if !found {
			return false
		}
	}
	return found
}

// A duration that is taken is what its parts add up to, and never below zero where it
// has days.
func FuzzDuration(f *testing.F) {
	for _, text := range []string{"7d", "1d12h", "90m", "0d", "1d24h", "-1d", "1d-1h", "100001d", "+1d", "1dd", "d", "1.5d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseDuration(text)
		if err != nil {
			return
		}
		days, rest, has := strings.Cut(text, "d")
		if !has {
			return // as time.ParseDuration does
		}
		hours, err := time.ParseDuration(days + "h")
		if err != nil {
			t.Fatalf("%q is taken: %v", text, err)
		}
		want := 24 * hours
		if rest != "" {
			part, err := time.ParseDuration(rest)
			if err != nil {
				t.Fatalf("%q is taken: %v", text, err)
			}
			want += part
		}
		if got != want || got < 0 {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	})
}
