// Package schedule computes when secrets are rotated.
//
// Rotation rules become a Schedule, a sequence of rotation windows. A rotation may start
// from the opening of a window until before its close. Windows do not overlap and, except
// for rates in minutes, end within their UTC day. All times are UTC, and the current
// time is an argument.
//
// Cron expressions are not evaluated by a library: checking AWS's grammar yields the
// sets of values that are needed, while cronexpr and gronx number weekdays differently,
// do not support L for weekdays, and panic at a descending range or have error texts of
// their own.
package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

// Least is the minimum interval between windows in AWS.
const Least = 4 * time.Hour

// Shortest is the minimum interval that a deployment may allow: rotations that are due
// are started once a minute. Stored rules are parsed with it.
const Shortest = time.Minute

const day = 24 * time.Hour

// A Schedule is the rotation windows of a secret. The zero Schedule has none.
type Schedule struct {
	openings openings
	open     time.Duration // from the opening of a window to its close
}

// Times determine the next window: when the schedule was set, when the secret was last
// rotated, and now.
type Times struct{ Anchor, Last, Now time.Time }

// openings are the times at which windows open.
type openings interface {
	// next is the first of them after a time, for a schedule that was set at
	// anchor and a secret that was last rotated at last.
	next(anchor, last, after time.Time) (time.Time, bool)
	// interval is the time between the first two of them after from.
	interval(from time.Time) time.Duration
	// limits are the durations that windows may have.
	limits() limits
}

// limits are the duration of a window without a Duration, and the maximum ones with
// which no window extends into the next UTC day, or into the next window.
type limits struct{ usual, day, window time.Duration }

const unlimited = 1<<63 - 1

// Parse parses rotation rules. Empty rules have no windows: the secret is not rotated
// automatically. least is the minimum interval between windows: Least, or less if the
// deployment allows it, down to a minute.
//
// AWS's text is known for one error, that for days with an expression
// (terraform-provider-aws 33329). The others are ours.
func Parse(rules secret.RotationRules, least time.Duration) (Schedule, error) {
	if rules == (secret.RotationRules{}) {
		return Schedule{}, nil
	}
	o, err := parseOpenings(rules, max(least, Shortest))
	if err != nil {
		return Schedule{}, err
	}
	open, err := parseDuration(rules.Duration, o.limits())
	if err != nil {
		return Schedule{}, err
	}
	return Schedule{o, open}, nil
}

func parseOpenings(rules secret.RotationRules, least time.Duration) (openings, error) {
	days, text := rules.AutomaticallyAfterDays, rules.ScheduleExpression
	rate, isRate := argument("rate", text)
	cron, isCron := argument("cron", text)
	switch {
	case days != 0 && text != "":
		return nil, refusal("You cannot specify both rotation frequency and schedule expression together.")
	case days < 0 || days > 1000:
		return nil, refusal("AutomaticallyAfterDays must be from 1 to 1000.")
	case days > 0:
		return daily(days), nil
	case text == "":
		return nil, refusal("You can specify a rotation window duration only with a rotation frequency or a schedule expression.")
	case isRate:
		return parseRate(rate, least)
	case isCron:
		return parseCron(cron, least)
	}
	return nil, refusal("The schedule expression must be a rate() or a cron() expression.")
}

// argument is the text between the parentheses of name(...).
func argument(name, text string) (string, bool) {
	text, opened := strings.CutPrefix(text, name+"(")
	text, closed := strings.CutSuffix(text, ")")
	return text, opened && closed
}

// parseDuration parses a Duration such as 3h; an empty one is the usual one.
// RotationRulesType: "The window must not extend into the next rotation window or the
// next UTC day."
func parseDuration(text string, limit limits) (time.Duration, error) {
	if text == "" {
		return limit.usual, nil
	}
	digits, ok := strings.CutSuffix(text, "h")
	n, isNumber := number(digits)
	open := time.Duration(n) * time.Hour
	switch {
	case !ok || !isNumber || n < 1 || len(text) > 3:
		return 0, refusal("The duration of the rotation window must be a number of hours, at least one, such as 3h.")
	case open > limit.window:
		return 0, refusal("The rotation window must not extend into the next rotation window.")
	case open > limit.day:
		return 0, refusal("The rotation window must not extend into the next UTC day.")
	}
	return open, nil
}

// Next is the next window of rules, as from [Schedule.Next]; zero if there is none.
func Next(rules secret.RotationRules, least time.Duration, t Times) (secret.Window, error) {
	s, err := Parse(rules, least)
	if err != nil {
		return secret.Window{}, err
	}
	w, _ := s.Next(t)
	return w, nil
}

// Next is the first window that opens after the last rotation and closes after now;
// false if there is none.
func (s Schedule) Next(t Times) (secret.Window, bool) {
	if s.openings == nil {
		return secret.Window{}, false
	}
	after := t.Now.Add(-s.open)
	if t.Last.After(after) {
		after = t.Last
	}
	opens, ok := s.openings.next(t.Anchor, t.Last, after)
	if !ok {
		return secret.Window{}, false
	}
	return secret.Window{Opens: opens, Closes: opens.Add(s.open)}, true
}

// Days is the interval between the two windows after from in days, rounded up:
// DescribeSecret shows it as AutomaticallyAfterDays with an expression (recorded: 1 for
// rate(10 hours)). It is zero without a schedule.
func (s Schedule) Days(from time.Time) int {
	if s.openings == nil {
		return 0
	}
	return int((s.openings.interval(from) + day - 1) / day)
}

// midnight is the beginning of the UTC day of t.
func midnight(t time.Time) time.Time { return t.UTC().Truncate(day) }

// checkInterval is an error for an interval shorter than least.
func checkInterval(interval, least time.Duration) error {
	if interval >= least {
		return nil
	}
	if least%time.Hour == 0 {
		return refusal(fmt.Sprintf("The interval between rotations must be at least %dh.", least/time.Hour))
	}
	return refusal(fmt.Sprintf("The interval between rotations must be at least %dm.", least/time.Minute))
}

func refusal(text string) error { return secret.Error{Code: secret.InvalidParameter, Message: text} }
