// Package schedule says when secrets are rotated.
//
// Rotation rules become a Schedule, a row of windows. A rotation may begin while
// one is open: at any time from its opening until before its close. No two
// overlap, and but for rates in minutes none goes on after its UTC day. All times
// are UTC, and the time is an argument, so a schedule is a value like any other.
//
// Cron expressions are evaluated here and not by a library, because checking
// AWS's grammar already yields the sets of values that a window needs, while
// cronexpr and gronx number the weekdays otherwise, take no L for the last of
// them, and answer a range that runs backwards with a panic or a text of their own.
package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

// Least is the shortest interval between two windows that AWS takes.
const Least = 4 * time.Hour

// Shortest is the shortest that a deployment may allow: how often is looked what is
// due. Rules that were taken once are read with it.
const Shortest = time.Minute

const day = 24 * time.Hour

// A Schedule says when the windows of a secret are. The zero one has none.
type Schedule struct {
	openings openings
	open     time.Duration // from the opening of a window to its close
}

// Times are those that the next window follows from: when the schedule was set, when
// the secret was rotated last, and now.
type Times struct{ Anchor, Last, Now time.Time }

// openings are the times at which windows open.
type openings interface {
	// next is the first of them after a time, for a schedule that was set at
	// anchor and a secret that was rotated last at last.
	next(anchor, last, after time.Time) (time.Time, bool)
	// interval is the time between the first two of them after from.
	interval(from time.Time) time.Duration
	// limits say how long the windows may be open.
	limits() limits
}

// limits are how long a window is open without a Duration, and the longest that
// none of them reaches the next UTC day, or the next window.
type limits struct{ usual, day, window time.Duration }

const unlimited = 1<<63 - 1

// Parse reads rotation rules. Without days and expression they are those of a
// secret that is not rotated by itself, with no windows. least is the shortest
// interval between two windows that is taken: Least, or less where the
// deployment allows it, down to a minute.
//
// AWS's words are known for one refusal, that of days beside an expression
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
	rate, isRate := call("rate", text)
	cron, isCron := call("cron", text)
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

// call is what stands between the parentheses of name(...).
func call(name, text string) (string, bool) {
	text, opened := strings.CutPrefix(text, name+"(")
	text, closed := strings.CutSuffix(text, ")")
	return text, opened && closed
}

// parseDuration is how long windows are open: by a Duration such as 3h, or, where
// it is empty, as is usual. RotationRulesType: "The window must not extend into
// the next rotation window or the next UTC day."
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

// Next is the next window of rules, as [Schedule.Next] has it; zero where there is none.
func Next(rules secret.RotationRules, least time.Duration, t Times) (secret.Window, error) {
	s, err := Parse(rules, least)
	if err != nil {
		return secret.Window{}, err
	}
	w, _ := s.Next(t)
	return w, nil
}

// Next is the first window that opens after the last rotation and closes after now;
// false if there is none any more.
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

// Days is how many days lie between two windows, those that follow from, rounded
// up: what DescribeSecret shows as AutomaticallyAfterDays beside an expression
// (recorded: 1 for rate(10 hours)). It is zero without a schedule.
func (s Schedule) Days(from time.Time) int {
	if s.openings == nil {
		return 0
	}
	return int((s.openings.interval(from) + day - 1) / day)
}

// midnight is when the UTC day of t begins.
func midnight(t time.Time) time.Time { return t.UTC().Truncate(day) }

// tooShort is the refusal of an interval that is shorter than least.
func tooShort(interval, least time.Duration) error {
	if interval >= least {
		return nil
	}
	if least%time.Hour == 0 {
		return refusal(fmt.Sprintf("The interval between rotations must be at least %dh.", least/time.Hour))
	}
	return refusal(fmt.Sprintf("The interval between rotations must be at least %dm.", least/time.Minute))
}

func refusal(text string) error { return secret.Error{Code: secret.InvalidParameter, Message: text} }
