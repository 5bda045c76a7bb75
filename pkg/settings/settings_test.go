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
