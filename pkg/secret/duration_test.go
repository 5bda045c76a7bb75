package secret

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	const none = -1
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90m": 90 * time.Minute, "36h": 36 * time.Hour, "1.5h": 90 * time.Minute,
		"0d": 0, "1d": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "2d30m": 48*time.Hour + 30*time.Minute,
		"100000d": 100_000 * 24 * time.Hour,

		"": none, "7": none, "d": none, "1.5d": none, "-1d": none, "+1d": none, " 1d": none, "1d ": none, "1 d": none,
		"1D": none, "1d24h": none, "1d-1h": none, "1d1d": none, "12h1d": none, "1d5": none, "1w": none, "day": none,
		"100001d": none, "99999999999999999999d": none,
	} {
		got, err := ParseDuration(text)
		if want == none {
			if err == nil {
				t.Errorf("%q: got %v, want an error", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
}
