package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

const (
	lower       = "abcdefghijklmnopqrstuvwxyz"
	upper       = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits      = "0123456789"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

func password(t testing.TB, room *localtest.Room, in secretsmanager.GetRandomPasswordInput) string {
	t.Helper()
	return *must(room.SDK.GetRandomPassword(t.Context(), &in))(t).RandomPassword
}

func TestGetRandomPasswordAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, body := range []string{``, `{}`, `{"PasswordLength":null,"ExcludeCharacters":""}`} {
		answer, text := room.Post(t, "GetRandomPassword", body)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", body, answer.StatusCode, text)
		}
		checkMembers(t, text, "RandomPassword")
	}
	if calls, _, _ := room.Wire.Took(); calls != "" {
		t.Errorf("got calls %s, want none", calls)
	}
}

// Each option leaves just the characters it should, and, unless told otherwise, at
// least one of each type.
func TestGetRandomPasswordOptions(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	type input = secretsmanager.GetRandomPasswordInput
	length := func(n int64) *int64 { return &n }
	yes, no := aws.Bool(true), aws.Bool(false)
	for _, test := range []struct {
		name string
		in   input
		want int
		sets []string // of each at least one, and nothing else
	}{
		{"nothing said", input{}, 32, []string{lower, upper, digits, punctuation}},
		{"as short as it can be", input{PasswordLength: length(4)}, 4, []string{lower, upper, digits, punctuation}},
		{"with space, as short as it can be", input{PasswordLength: length(4), IncludeSpace: yes}, 4, []string{lower, upper, digits, punctuation}},
		{"as long as it can be", input{PasswordLength: length(4096)}, 4096, []string{lower, upper, digits, punctuation}},
		{"no lowercase", input{ExcludeLowercase: yes}, 32, []string{upper, digits, punctuation}},
		{"no uppercase", input{ExcludeUppercase: yes}, 32, []string{lower, digits, punctuation}},
		{"no numbers", input{ExcludeNumbers: yes}, 32, []string{lower, upper, punctuation}},
		{"no punctuation", input{ExcludePunctuation: yes}, 32, []string{lower, upper, digits}},
		{"a space that is excluded by name, and not required", input{PasswordLength: length(4), IncludeSpace: yes, ExcludeCharacters: aws.String(" ")}, 4, []string{lower, upper, digits, punctuation}},
		{"all switches off", input{ExcludeLowercase: no, ExcludeUppercase: no, ExcludeNumbers: no, ExcludePunctuation: no, IncludeSpace: no, RequireEachIncludedType: yes}, 32, []string{lower, upper, digits, punctuation}},
		{"space alone", input{PasswordLength: length(3), IncludeSpace: yes, ExcludeLowercase: yes, ExcludeUppercase: yes, ExcludeNumbers: yes, ExcludePunctuation: yes}, 3, []string{" "}},
		{"numbers alone", input{PasswordLength: length(1), ExcludeLowercase: yes, ExcludeUppercase: yes, ExcludePunctuation: yes}, 1, []string{digits}},
		{"a type excluded by name, not each required", input{ExcludeCharacters: aws.String(digits), RequireEachIncludedType: no}, 32, nil},
		{"not each type", input{PasswordLength: length(1), RequireEachIncludedType: no}, 1, nil},
		{"what templates exclude", input{ExcludeCharacters: aws.String(`/@"'\`)}, 32, []string{lower, upper, digits, "!#$%&()*+,-.:;<=>?[]^_`{|}~"}},
		{"recorded", input{PasswordLength: length(120), ExcludeCharacters: aws.String("xyzDje@?!.")}, 120, []string{"abcdfghiklmnopqrstuvw", "ABCEFGHIJKLMNOPQRSTUVWXYZ", digits, "\"#$%&'()*+,-/:;<=>[\\]^_`{|}~"}},
		{"a space excluded by name", input{IncludeSpace: yes, ExcludeCharacters: aws.String(" ")}, 32, []string{lower, upper, digits, punctuation}},
		{"a type excluded by name and by its switch", input{ExcludeCharacters: aws.String(digits), ExcludeNumbers: yes}, 32, []string{lower, upper, punctuation}},
		{"all but one of each", input{PasswordLength: length(4), ExcludeCharacters: aws.String(lower[1:] + upper[1:] + digits[1:] + punctuation[1:])}, 4, []string{"a", "A", "0", "!"}},
		{"the rarest", input{PasswordLength: length(4), IncludeSpace: yes, ExcludeCharacters: aws.String(lower[1:] + upper[1:] + digits[1:])}, 4, []string{"a", "A", "0", punctuation}},
		{"excluded twice, and what is none of them", input{ExcludeCharacters: aws.String("aaä☃\n")}, 32, []string{lower[1:], upper, digits, punctuation}},
		{"4,096 characters excluded", input{ExcludeCharacters: aws.String(strings.Repeat("ä", 4096))}, 32, []string{lower, upper, digits, punctuation}},
	} {
		for range 10 {
			got := password(t, room, test.in)
			if len(got) != test.want {
				t.Errorf("%s: got %d characters, want %d", test.name, len(got), test.want)
			}
			if test.sets == nil {
				continue
			}
			if strange := strings.Trim(got, strings.Join(test.sets, "")); strange != "" {
				t.Errorf("%s: got %q, with %q in it", test.name, got, strange)
			}
			for _, set := range test.sets {
				if !strings.ContainsAny(got, set) {
					t.Errorf("%s: got %q, want one of %q in it", test.name, got, set)
				}
			}
		}
	}
}

func TestGetRandomPasswordRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	short := refusal{"InvalidParameterException", "Password length is too short based on the required types."}
	noneOfType := refusal{"InvalidParameterException", "All characters of the desired type have been excluded"}
	none := refusal{"InvalidParameterException", "All characters have been excluded from selection"}
	long := strings.Repeat("x", 4097)
	for _, test := range []struct {
		name, body string
		want       refusal
	}{
		{"3 for 4 types", `{"PasswordLength":3}`, short},
		{"1 for 4 types", `{"PasswordLength":1}`, short},
		{"3 for 4 types and the space", `{"PasswordLength":3,"IncludeSpace":true}`, short},
		{"1 for 2 types", `{"PasswordLength":1,"ExcludePunctuation":true,"ExcludeNumbers":true}`, short},
		{"every type excluded", `{"ExcludeLowercase":true,"ExcludeUppercase":true,"ExcludeNumbers":true,"ExcludePunctuation":true}`, none},
		{"a type excluded by name", `{"ExcludeCharacters":"9876543210"}`, noneOfType},
		{"a type excluded by name, and too short", `{"ExcludeCharacters":"0123456789","PasswordLength":1}`, noneOfType},
		{"the only type excluded by name", `{"ExcludeLowercase":true,"ExcludeUppercase":true,"ExcludePunctuation":true,"ExcludeCharacters":"0123456789"}`, noneOfType},
		{"the only type excluded by name, beside the space", `{"ExcludeLowercase":true,"ExcludeUppercase":true,"ExcludePunctuation":true,"ExcludeCharacters":"0123456789","IncludeSpace":true}`, noneOfType},
		{"every type excluded, none required", `{"ExcludeLowercase":true,"ExcludeUppercase":true,"ExcludeNumbers":true,"ExcludePunctuation":true,"RequireEachIncludedType":false}`, none},
		{"every type excluded, and the space by name", `{"ExcludeLowercase":true,"ExcludeUppercase":true,"ExcludeNumbers":true,"ExcludePunctuation":true,"IncludeSpace":true,"ExcludeCharacters":" "}`, none},
		{"every character excluded, no type required", `{"ExcludeLowercase":true,"ExcludeUppercase":true,"ExcludePunctuation":true,"ExcludeCharacters":"0123456789","RequireEachIncludedType":false}`, none},
		{"length 0", `{"PasswordLength":0}`, violation("Value '0' at 'passwordLength' failed to satisfy constraint: Member must have value greater than or equal to 1")},
		{"length -1", `{"PasswordLength":-1}`, violation("Value '-1' at 'passwordLength' failed to satisfy constraint: Member must have value greater than or equal to 1")},
		{"length 4,097", `{"PasswordLength":4097}`, violation("Value '4097' at 'passwordLength' failed to satisfy constraint: Member must have value less than or equal to 4096")},
		{"length 5,000", `{"PasswordLength":5000}`, violation("Value '5000' at 'passwordLength' failed to satisfy constraint: Member must have value less than or equal to 4096")},
		{"4,097 characters excluded", `{"ExcludeCharacters":"` + long + `"}`, violation("Value '" + long + "' at 'excludeCharacters' failed to satisfy constraint: Member must have length less than or equal to 4096")},
		{"length as text", `{"PasswordLength":"32"}`, refusal{"SerializationException", "The value at 'passwordLength' is not a whole number."}},
		{"length with a fraction", `{"PasswordLength":32.5}`, refusal{"SerializationException", "The value at 'passwordLength' is not a whole number."}},
	} {
		t.Run(test.name, func(t *testing.T) { refusesPost(t, room, "GetRandomPassword", test.body, test.want) })
	}
}

// chiSquare measures how far counts are from being equal.
func chiSquare(counts map[string]int, classes int) float64 {
	total := 0
	for _, n := range counts {
		total += n
	}
	mean := float64(total) / float64(classes)
	sum := float64(classes-len(counts)) * mean // those never seen
	for _, n := range counts {
		sum += (float64(n) - mean) * (float64(n) - mean) / mean
	}
	return sum
}

// Bounds of chi-square over so many classes, that even counts exceed in less than
// one of 10^10 runs.
const (
	bound94 = 212
	bound95 = 214
	bound5  = 55
	bound4  = 50
)

// All characters are as likely.
func TestGetRandomPasswordIsEven(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, test := range []struct {
		space, each bool
		classes     int
		bound       float64
	}{
		{false, false, 94, bound94},
		{true, false, 95, bound95},
		{true, true, 95, bound95}, // 4,096 characters have each type in any case
	} {
		counts := map[string]int{}
		for range 30 {
			for _, c := range password(t, room, secretsmanager.GetRandomPasswordInput{
				PasswordLength: aws.Int64(4096), IncludeSpace: &test.space, RequireEachIncludedType: &test.each,
			}) {
				counts[string(c)]++
			}
		}
		if got := chiSquare(counts, test.classes); got > test.bound {
			t.Errorf("space %t, each type %t: got chi-square %.0f over %d characters, want %.0f at most", test.space, test.each, got, test.classes, test.bound)
		}
	}
}

// A character that must be there is anywhere as likely.
func TestGetRandomPasswordPositionsAreEven(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	length, yes := aws.Int64(4), aws.Bool(true)
	types := map[string]map[string]int{lower: {}, upper: {}, digits: {}, punctuation: {}}
	spaces := map[string]int{}
	for range 500 {
		for i, c := range password(t, room, secretsmanager.GetRandomPasswordInput{PasswordLength: length}) {
			for set, counts := range types {
				if strings.ContainsRune(set, c) {
					counts[fmt.Sprint(i)]++
				}
			}
		}
	}
	// Of many short passwords some hold one space, anywhere, and some none.
	none := 0
	for range 1000 {
		withSpace := password(t, room, secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(5), IncludeSpace: yes})
		if at := strings.IndexByte(withSpace, ' '); at >= 0 {
			spaces[fmt.Sprint(at)]++
		} else {
			none++
		}
	}
	if none == 0 || none == 1000 {
		t.Errorf("got %d passwords of 1,000 without a space, want some with and some without", none)
	}
	for set, counts := range types {
		if got := chiSquare(counts, 4); got > bound4 {
			t.Errorf("got %q at positions %v, chi-square %.0f, want %d at most", set, counts, got, bound4)
		}
	}
	if got := chiSquare(spaces, 5); got > bound5 {
		t.Errorf("got the space at positions %v, chi-square %.0f, want %d at most", spaces, got, bound5)
	}
}
