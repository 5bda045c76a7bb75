package schedule

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// A cron is a cron() expression: its hours on its days of its months.
type cron struct {
	hours, months set
	// dates are the days of the month, and lastOne for L; empty for days of the
	// week.
	dates set
	// weeks has for each time.Weekday the weeks of the month, 1 to 5: 2 for the
	// second Tuesday, all five for every Tuesday, and lastOne for TUEL.
	weeks [7]set
}

// A set is a set of numbers from 0 to 63.
type set uint64

func (s set) has(n int) bool { return s>>n&1 == 1 }

// lastOne is the last of a month: its last day in dates, its last Tuesday in the weeks of
// Tuesday.
const lastOne = 63

const everyWeek set = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5

// A field is a field of an expression that may have several values.
type field struct {
	name      string
	low, high int
	names     []string // of the values from low
	wildcards string
	last      set // what L means, if it is allowed
}

var (
	hours    = field{"hours", 0, 23, nil, ", - * /", 0}
	dates    = field{"day-of-month", 1, 31, nil, ", - * ? / L", 1 << lastOne}
	months   = field{"month", 1, 12, strings.Fields("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"), ", - * /", 0}
	weekdays = field{"day-of-week", 1, 7, strings.Fields("SUN MON TUE WED THU FRI SAT"), ", - * ? / L #", 1 << 7}
)

// parseCron parses the argument of cron(). The grammar is that of the user guide
// ("Schedule expressions in Secrets Manager rotation"), where hours have increments only;
// that they may have lists, ranges and * is a guess, and so is that a range must not
// descend.
func parseCron(text string, least time.Duration) (openings, error) {
	f := strings.Split(strings.ToUpper(text), " ")
	switch {
	case len(f) != 6:
		return nil, refusal("A cron() expression must have six fields: minutes, hours, day-of-month, month, day-of-week and year, such as cron(0 8 1 * ? *).")
	case f[0] != "0":
		return nil, refusal("The minutes field of a cron() expression must be 0.")
	case f[5] != "*":
		return nil, refusal("The year field of a cron() expression must be *.")
	case (f[2] == "?") == (f[4] == "?"):
		return nil, refusal("Either the day-of-month or the day-of-week field of a cron() expression must be ?, and not both.")
	}
	c, err := cronOf(f[1], f[2], f[3], f[4])
	if err != nil {
		return nil, err
	}
	if _, ok := c.nextDay(cycle); !ok {
		return nil, refusal("The days of the cron() expression never come.")
	}
	return c, checkInterval(c.shortest(least), least)
}

func cronOf(hour, date, month, weekday string) (c cron, err error) {
	if c.hours, err = hours.values(hour); err != nil {
		return c, err
	}
	if c.months, err = months.values(month); err != nil {
		return c, err
	}
	if weekday == "?" {
		c.dates, err = dates.values(date)
	} else {
		c.weeks, err = parseWeekdays(weekday)
	}
	return c, err
}

// parseWeekdays parses a list of days of the week.
func parseWeekdays(text string) (weeks [7]set, err error) {
	for part := range strings.SplitSeq(text, ",") {
		days, in, err := weekday(part)
		if err != nil {
			return weeks, err
		}
		for i := range weeks {
			if days.has(i + 1) {
				weeks[i] |= in
			}
		}
	}
	return weeks, nil
}

// weekday parses an item of a list of days of the week, and the weeks of the month in
// which they count: TUE#2 is the second Tuesday, TUEL the last, and L the last day of the
// week, Saturday.
func weekday(part string) (days, in set, err error) {
	name, nth, numbered := strings.Cut(part, "#")
	name, isLast := strings.CutSuffix(name, "L")
	if part == "L" || !numbered && !isLast {
		days, err = weekdays.span(part)
		return days, everyWeek, err
	}
	n, ok := number(nth)
	v := weekdays.value(name)
	switch {
	case v < 0 || numbered && (isLast || !ok || n < 1 || n > 5):
		return 0, 0, weekdays.refusal()
	case isLast:
		return 1 << v, 1 << lastOne, nil
	}
	return 1 << v, 1 << n, nil
}

// values parses a list.
func (f field) values(text string) (s set, err error) {
	for part := range strings.SplitSeq(text, ",") {
		more, err := f.span(part)
		if err != nil {
			return 0, err
		}
		s |= more
	}
	return s, nil
}

// span parses a value, a range or *, each with or without an increment. A value with an
// increment begins a range to the end. AWS also has an increment alone: `/8` is the hours
// 0, 8 and 16.
func (f field) span(part string) (s set, err error) {
	if part == "L" && f.last != 0 {
		return f.last, nil
	}
	values, increment, stepped := strings.Cut(part, "/")
	from, to, ranged := strings.Cut(values, "-")
	low, high, step := f.value(from), f.value(to), 1
	switch {
	case values == "*" || values == "" && stepped:
		low, high = f.low, f.high
	case ranged:
	case stepped:
		high = f.high
	default:
		high = low
	}
	if stepped {
		step, _ = number(increment)
	}
	if low < 0 || high < low || step < 1 {
		return 0, f.refusal()
	}
	for v := low; v <= high; v += step {
		s |= 1 << v
	}
	return s, nil
}

// value parses a number or a name; it is negative for an invalid one.
func (f field) value(text string) int {
	if i := slices.Index(f.names, text); i >= 0 {
		return f.low + i
	}
	if n, ok := number(text); ok && f.low <= n && n <= f.high {
		return n
	}
	return -1
}

func (f field) refusal() error {
	values := fmt.Sprintf("%d-%d", f.low, f.high)
	if f.names != nil {
		values += fmt.Sprintf(" or %s-%s", f.names[0], f.names[len(f.names)-1])
	}
	return refusal(fmt.Sprintf("The %s field of a cron() expression must be of %s, with %s.", f.name, values, f.wildcards))
}

func (c cron) next(_, _, after time.Time) (time.Time, bool) {
	t := after.UTC().Truncate(time.Hour).Add(time.Hour)
	if left := c.hours >> t.Hour(); left != 0 && c.on(t) {
		return t.Add(time.Duration(bits.TrailingZeros64(uint64(left))) * time.Hour), true
	}
	d, ok := c.nextDay(midnight(t).AddDate(0, 0, 1))
	return d.Add(time.Duration(c.first()) * time.Hour), ok
}

func (c cron) first() int { return bits.TrailingZeros64(uint64(c.hours)) }
func (c cron) final() int { return bits.Len64(uint64(c.hours)) - 1 }

// nextDay is the first day from d on, if there is one. The rarest, a 29 February that is
// a Monday, comes after 40 years at most.
func (c cron) nextDay(d time.Time) (time.Time, bool) {
	for end := d.AddDate(41, 0, 0); d.Before(end); {
		switch {
		case c.on(d):
			return d, true
		case !c.months.has(int(d.Month())):
			d = d.AddDate(0, 1, 1-d.Day())
		default:
			d = d.AddDate(0, 0, 1)
		}
	}
	return d, false
}

// on says whether d is one of the days.
func (c cron) on(d time.Time) bool {
	year, month, date := d.Date()
	if !c.months.has(int(month)) {
		return false
	}
	length := func() int { return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day() }
	if c.dates != 0 {
		return c.dates.has(date) || c.dates.has(lastOne) && date == length()
	}
	weeks := c.weeks[d.Weekday()]
	return weeks.has((date+6)/7) || weeks.has(lastOne) && date+7 > length()
}

func (c cron) interval(from time.Time) time.Duration {
	a, _ := c.next(from, from, from)
	b, _ := c.next(from, a, a)
	return b.Sub(a)
}

// limits treats one hour a day as a schedule in days, and several as one in hours. AWS
// distinguishes these two, and does not say which expressions are which.
func (c cron) limits() limits {
	left := day - time.Duration(c.final())*time.Hour
	if c.first() == c.final() {
		return limits{usual: left, day: left, window: unlimited}
	}
	return limits{usual: time.Hour, day: left, window: c.withinDay()}
}

// withinDay is the shortest interval between two windows of one day.
func (c cron) withinDay() time.Duration {
	gap, before := 24, -24
	for h := range 24 {
		if c.hours.has(h) {
			gap, before = min(gap, h-before), h
		}
	}
	return time.Duration(gap) * time.Hour
}

// shortest is the shortest interval between two windows, or one of at least enough.
func (c cron) shortest(enough time.Duration) time.Duration {
	within := c.withinDay()
	overnight := day - time.Duration(c.final()-c.first())*time.Hour
	if overnight < min(within, enough) && c.adjacent() {
		return overnight
	}
	return within
}

// cycle is the beginning of 28 years after which the calendar repeats.
var cycle = time.Date(2001, time.January, 1, 0, 0, 0, 0, time.UTC)

// adjacent says whether two consecutive days ever match.
func (c cron) adjacent() bool {
	end := cycle.AddDate(28, 0, 0)
	for d, ok := c.nextDay(cycle); ok && d.Before(end); d, ok = c.nextDay(d.AddDate(0, 0, 1)) {
		if c.on(d.AddDate(0, 0, 1)) {
			return true
		}
	}
	return false
}
