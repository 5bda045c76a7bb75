package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// daily is AutomaticallyAfterDays: that many days after the day of the last rotation or,
// if that day has passed, tomorrow.
type daily int

func (d daily) next(anchor, last, after time.Time) (time.Time, bool) {
	if last.IsZero() {
		last = anchor // never rotated
	}
	due := midnight(last).AddDate(0, 0, int(d))
	if tomorrow := midnight(after).AddDate(0, 0, 1); tomorrow.After(due) {
		return tomorrow, true
	}
	return due, true
}

func (d daily) interval(time.Time) time.Duration { return time.Duration(d) * day }

func (d daily) limits() limits { return limits{usual: day, day: day, window: unlimited} }

// A rate is a rate() expression: every n units from midnight of the day on which it was
// set.
type rate struct {
	n    int
	unit time.Duration
}

// longest is "the maximum rotation period" (user guide, Schedule expressions).
const longest = 999 * day

// parseRate parses the argument of rate(). AWS has hours and days; a deployment that may
// rotate more often has minutes too. That singular and plural are equivalent is a guess.
func parseRate(text string, least time.Duration) (openings, error) {
	digits, name, _ := strings.Cut(text, " ")
	n, ok := number(digits)
	unit := units[strings.TrimSuffix(name, "s")]
	switch {
	case !ok || unit == 0 || unit == time.Minute && least >= Least:
		return nil, refusal("A rate() expression must be a number and the unit hours or days, such as rate(10 days).")
	case n > int(longest/unit):
		return nil, refusal(fmt.Sprintf("The interval between rotations must be at most %d days.", longest/day))
	}
	r := rate{n, unit}
	return r, checkInterval(r.every(), least)
}

var units = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": day}

func (r rate) every() time.Duration { return time.Duration(r.n) * r.unit }

func (r rate) next(anchor, _, after time.Time) (time.Time, bool) {
	first := midnight(anchor)
	if after.Before(first) {
		return first, true
	}
	every := int64(r.every() / time.Second)
	k := (after.Unix()-first.Unix())/every + 1
	return time.Unix(first.Unix()+k*every, 0).UTC(), true
}

func (r rate) interval(time.Time) time.Duration { return r.every() }

func (r rate) limits() limits {
	switch r.unit {
	case time.Minute: // consecutive windows, also over midnight
		return limits{usual: r.every(), day: unlimited, window: r.every()}
	case time.Hour:
		return limits{usual: time.Hour, day: r.lastOfDay(), window: r.every()}
	}
	return limits{usual: day, day: day, window: unlimited}
}

// lastOfDay is the shortest time from the last opening of a day to midnight. A rate of
// ten hours opens at 0, 10 and 20, at 6 and 16, at 2, 12 and 22, ...: in the end at each
// multiple of the greatest common divisor of ten hours and a day.
func (r rate) lastOfDay() time.Duration {
	a, b := r.every(), day
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// number parses one to seven digits.
func number(s string) (int, bool) {
	if len(s) > 7 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
