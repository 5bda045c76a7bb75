package secret

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour
	// maxDays fit into a time.Duration, with room for the part under a day.
	maxDays = 100_000
)

// ParseDuration reads a length of time that a setting or a tag holds: as
// [time.ParseDuration] does, with whole days before the rest: 7d, 1d12h, 90m. It
// says nothing of what it was given; that is for the caller, who knows its name.
func ParseDuration(text string) (time.Duration, error) {
	days, rest, hasDays := strings.Cut(text, "d")
	if !hasDays {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n > maxDays {
		return 0, errNoDuration
	}
	if rest == "" {
		return time.Duration(n) * day, nil
	}
	part, err := time.ParseDuration(rest)
	if err != nil || part < 0 || part >= day {
		return 0, errNoDuration
	}
	return time.Duration(n)*day + part, nil
}

var errNoDuration = errors.New("not a duration")
