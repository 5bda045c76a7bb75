package settings

import (
	"strings"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{"": time.Hour, "90m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "0d": 0} {
		r := Reader{Get: func(string) string { return value }}
		if got := r.Duration("MIN_AGE", time.Hour); got != want || r.Err() != nil {
			t.Errorf("%q: got %v, %v, want %v", value, got, r.Err(), want)
		}
	}
	for _, value := range []string{"24", "-1s", "a day", "1.5d", "-1d"} {
		r := Reader{Get: func(string) string { return value }}
		r.Duration("MIN_AGE", time.Hour)
		want := `MIN_AGE is "` + value + `", and must be a duration such as 7d, 24h or 90m`
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", value, err, want)
		}
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	type thing struct{ Size int }
	for text, ok := range map[string]bool{
		`{"a":{"Size":1}}`: true, `{}`: false, ``: false, `null`: false, `[]`: false, `{"a":{"Size":1}}{}`: false, `{"a":{"Sizes":1}}`: false, `{"a":{"Size":-1}}`: false,
	} {
		r := Reader{Get: func(string) string { return text }}
		var things map[string]thing
		r.Object("THINGS", &things, func() bool { return len(things) > 0 && things["a"].Size > 0 }, "things")
		if err := r.Err(); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "THINGS is ") {
			t.Errorf("%s: got %v, want it taken: %t", text, err, ok)
		}
	}
}

// A failed start names every wrong setting at once, each with its limits, which are
// themselves allowed.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		number, duration string
		wrong            []string
	}{
		{"", "", nil}, // what is not set is not looked at
		{"1", "1m", nil},
		{"5", "1h", nil},
		{"0", "59s", []string{`N is "0", and must be a number of things from 1 to 5`, `D is "59s", and must be a duration from 1m0s to 1h0m0s`}},
		{"6", "3601s", []string{`N is "6", and must be a number of things from 1 to 5`, `D is "3601s", and must be a duration from 1m0s to 1h0m0s`}},
		{"x", "x", []string{`N is "x", and must be a number of things from 1 to 5`, `D is "x", and must be a duration such as 7d, 24h or 90m`}},
	} {
		r := Reader{Get: func(name string) string { return map[string]string{"N": test.number, "D": test.duration}[name] }}
		r.Number("N", 1, 1, 5, "things")
		r.Between("D", 0, time.Minute, time.Hour)
		got := ""
		if err := r.Err(); err != nil {
			got = err.Error()
		}
		for _, want := range test.wrong {
			if !strings.Contains(got, want) {
				t.Errorf("N=%s D=%s: got %q, want %q in it", test.number, test.duration, got, want)
			}
		}
		if n := strings.Count(got, "must be"); n != len(test.wrong) {
			t.Errorf("N=%s D=%s: got %q, want %d sentences", test.number, test.duration, got, len(test.wrong))
		}
	}
}
