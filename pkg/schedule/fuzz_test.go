package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

// FuzzCron makes an expression out of bytes, and compares its windows with those
// of an evaluator that does not know how to be clever: it reads the text anew for
// each hour.
func FuzzCron(f *testing.F) {
	for i := range 40 {
		seed := make([]byte, 24)
		for j := range seed {
			seed[j] = byte(i*37 + j*(i+11))
		}
		f.Add(seed, int64(i)*31_557_600+int64(i)*7177)
	}
	f.Fuzz(func(t *testing.T, seed []byte, from int64) {
		text := (&maker{seed}).expression()
		s, err := Parse(every(text), time.Minute)
		if err != nil && !errors.Is(err, refusal(never)) {
			t.Fatalf("%s: %v", text, err)
		}
		last := time.Unix(mod(from, 4_000_000_000), 0).UTC()
		compare(t, text, s, last)
		gaps(t, text, s)
	})
}

// mod is n as a number from 0 to below m.
func mod(n, m int64) int64 { return ((n % m) + m) % m }

// horizon is how far the slow evaluator looks.
const horizon = 800 * 24

// compare follows the windows for a while. Those that are further away it does
// not look for, but they must be right too.
func compare(t *testing.T, text string, s Schedule, last time.Time) {
	t.Helper()
	hour := last.Truncate(time.Hour)
	for left, found := horizon, 0; left > 0 && found < 12; left-- {
		hour = hour.Add(time.Hour)
		if !slow(text, hour) {
			continue
		}
		w, ok := s.Next(Times{last, last, last})
		if !ok || !w.Opens.Equal(hour) {
			t.Fatalf("%s after %v: got %v, %v, want %v", text, last, w, ok, hour)
		}
		if !w.Closes.After(w.Opens) || w.Closes.After(midnight(hour).AddDate(0, 0, 1)) {
			t.Fatalf("%s: window %v", text, w)
		}
		last, found = hour, found+1
	}
	w, ok := s.Next(Times{last, last, last})
	if ok && (!w.Opens.After(hour) || !slow(text, w.Opens)) {
		t.Fatalf("%s after %v: got %v, want none until %v", text, last, w, hour)
	}
}

// gaps walks 28 years, unless it sees before that Parse is right about what AWS
// takes: no two windows less than four hours apart.
func gaps(t *testing.T, text string, s Schedule) {
	t.Helper()
	_, err := Parse(every(text), Least)
	taken := err == nil
	if err != nil && !errors.Is(err, refusal(under4h)) {
		return
	}
	last, ok := s.Next(Times{cycle, cycle, cycle})
	for n := 0; ok && last.Opens.Before(cycle.AddDate(28, 0, 0)); n++ {
		if taken && n > 2000 {
			return
		}
		w, more := s.Next(Times{cycle, last.Opens, last.Opens})
		if more && w.Opens.Sub(last.Opens) < Least {
			if taken {
				t.Fatalf("%s is taken, with %v and %v", text, last, w)
			}
			return
		}
		if last.Closes.After(w.Opens) {
			t.Fatalf("%s: %v and %v overlap", text, last, w)
		}
		last, ok = w, more
	}
	if !taken {
		t.Fatalf("%s is refused, and has no two windows so close", text)
	}
}

// A maker makes expressions out of bytes.
type maker struct{ seed []byte }

// below takes a byte for a number from 0 to below n.
func (m *maker) below(n int) int {
	if len(m.seed) == 0 {
		return 0
	}
	b := m.seed[0]
	m.seed = m.seed[1:]
	return int(b) % n
}

func (m *maker) expression() string {
	date, weekday := "?", "?"
	hour := m.list(func() string { return m.part(0, 23, nil) })
	month := m.list(func() string { return m.part(1, 12, months.names) })
	if m.below(2) == 0 {
		date = m.list(m.date)
	} else {
		weekday = m.list(m.weekday)
	}
	text := fmt.Sprintf("0 %s %s %s %s *", hour, date, month, weekday)
	if m.below(4) == 0 {
		text = strings.ToLower(text)
	}
	return "cron(" + text + ")"
}

func (m *maker) list(part func() string) string {
	parts := []string{part()}
	for m.below(3) == 0 && len(parts) < 5 {
		parts = append(parts, part())
	}
	return strings.Join(parts, ",")
}

func (m *maker) date() string {
	if m.below(6) == 0 {
		return "L"
	}
	return m.part(1, 31, nil)
}

func (m *maker) weekday() string {
	switch m.below(6) {
	case 0:
		return m.value(1+m.below(7), 1, weekdays.names) + "L"
	case 1:
		return m.value(1+m.below(7), 1, weekdays.names) + "#" + strconv.Itoa(1+m.below(5))
	case 2:
		return "L"
	}
	return m.part(1, 7, weekdays.names)
}

// part is a value, a range or all, with or without an increment.
func (m *maker) part(low, high int, names []string) string {
	from := low + m.below(high-low+1)
	to := from + m.below(high-from+1)
	step := "/" + strconv.Itoa(1+m.below(high+2))
	switch m.below(8) {
	case 0:
		return "*"
	case 1:
		return "*" + step
	case 2:
		return step
	case 3:
		return m.value(from, low, names) + step
	case 4:
		return m.value(from, low, names) + "-" + m.value(to, low, names)
	case 5:
		return m.value(from, low, names) + "-" + m.value(to, low, names) + step
	}
	return m.value(from, low, names)
}

func (m *maker) value(n, low int, names []string) string {
	if names != nil && m.below(2) == 0 {
		return names[n-low]
	}
	return strconv.Itoa(n)
}

var (
	monthNumbers   = strings.NewReplacer("JAN", "1", "FEB", "2", "MAR", "3", "APR", "4", "MAY", "5", "JUN", "6", "JUL", "7", "AUG", "8", "SEP", "9", "OCT", "10", "NOV", "11", "DEC", "12")
	weekdayNumbers = strings.NewReplacer("SUN", "1", "MON", "2", "TUE", "3", "WED", "4", "THU", "5", "FRI", "6", "SAT", "7")
)

// slow says whether a window opens at an hour, by an expression that Parse takes.
func slow(text string, t time.Time) bool {
	f := strings.Fields(strings.ToUpper(strings.TrimSuffix(strings.TrimPrefix(text, "cron("), ")")))
	if !slowList(f[1], func(part string) bool { return slowPart(part, t.Hour(), 23) }) {
		return false
	}
	if !slowList(monthNumbers.Replace(f[3]), func(part string) bool { return slowPart(part, int(t.Month()), 12) }) {
		return false
	}
	if f[4] == "?" {
		return slowList(f[2], func(part string) bool {
			if part == "L" {
				return t.AddDate(0, 0, 1).Day() == 1
			}
			return slowPart(part, t.Day(), 31)
		})
	}
	weekday := int(t.Weekday()) + 1
	return slowList(weekdayNumbers.Replace(f[4]), func(part string) bool {
		if part == "L" {
			return weekday == 7
		}
		if day, ok := strings.CutSuffix(part, "L"); ok {
			return slowPart(day, weekday, 7) && t.AddDate(0, 0, 7).Month() != t.Month()
		}
		if day, nth, ok := strings.Cut(part, "#"); ok {
			n := 0
			for d := t; d.Month() == t.Month(); d = d.AddDate(0, 0, -7) {
				n++
			}
			return slowPart(day, weekday, 7) && strings.TrimLeft(nth, "0") == strconv.Itoa(n)
		}
		return slowPart(part, weekday, 7)
	})
}

func slowList(text string, matches func(part string) bool) bool {
	for _, part := range strings.Split(text, ",") {
		if matches(part) {
			return true
		}
	}
	return false
}

// slowPart counts up in steps from where a part begins: hours from 0, and what
// else there is from 1.
func slowPart(part string, n, high int) bool {
	text, increment, stepped := strings.Cut(part, "/")
	low, step := 0, 1
	if high != 23 {
		low = 1
	}
	if stepped {
		step, _ = strconv.Atoi(increment)
	}
	if text != "*" && text != "" {
		from, to, ranged := strings.Cut(text, "-")
		low, _ = strconv.Atoi(from)
		if ranged {
			high, _ = strconv.Atoi(to)
		} else if !stepped {
			high = low
		}
	}
	for v := low; v <= high; v += step {
		if v == n {
			return true
		}
	}
	return false
}

// FuzzParse reads anything as rules. What it takes has windows in order, which
// close in time.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "rate(4 hours)", "rate(10 days)", "rate(45 minutes)", "rate(99999999999999999999 days)", "cron()", "cron(0 0 31 2 ? *)",
		"cron(0 /8 * * ? *)", "cron(0 1 ? 1/3 SUN#1 *)", "cron(0 17 L * ? *)", "cron(0 8 ? * MON-FRI,6L *)", "cron(0 16 1,15 JAN-dec/2 ? *)",
	} {
		f.Add(0, text, "", int64(1_772_627_400), int64(0))
		f.Add(0, text, "3h", int64(1_772_627_400), int64(3600))
		f.Add(30, text, "24h", int64(-1), int64(86400))
	}
	f.Fuzz(func(t *testing.T, days int, text, duration string, from, since int64) {
		rules := secret.RotationRules{AutomaticallyAfterDays: days, ScheduleExpression: text, Duration: duration}
		s, err := Parse(rules, time.Minute)
		if err != nil {
			if e, ok := errors.AsType[secret.Error](err); !ok || e.Code != secret.InvalidParameter || e.Message == "" || s != (Schedule{}) {
				t.Fatalf("Parse(%+v): %v, %#v", rules, s, err)
			}
			return
		}
		anchor := time.Unix(mod(from, 4_000_000_000), 0)
		last := anchor.Add(time.Duration(mod(since, 400_000_000)) * time.Second)
		follow(t, rules, s, anchor, last)
		if strings.HasPrefix(text, "cron(") {
			compare(t, text, s, last.UTC())
		}
	})
}

// follow checks what is true of each row of windows.
func follow(t *testing.T, rules secret.RotationRules, s Schedule, anchor, last time.Time) {
	t.Helper()
	if rules == (secret.RotationRules{}) {
		return
	}
	if n := s.Days(last); n < 1 || n > 41*366 {
		t.Fatalf("%+v: %d days", rules, n)
	}
	minutes := strings.Contains(rules.ScheduleExpression, "minute")
	var before secret.Window
	for range 20 {
		now := before.Closes // when the last one was missed
		w, ok := s.Next(Times{anchor, last, now})
		if !ok || !w.Opens.After(last) || !w.Closes.After(now) || !w.Opens.Before(w.Closes) || w.Opens.Before(before.Closes) {
			t.Fatalf("%+v: got %v, %v, after %v, last %v", rules, w, ok, before, last)
		}
		if !minutes && w.Closes.After(midnight(w.Opens).AddDate(0, 0, 1)) {
			t.Fatalf("%+v: %v reaches the next day", rules, w)
		}
		if again, _ := s.Next(Times{anchor, last, w.Closes.Add(-1)}); again != w {
			t.Fatalf("%+v: got %v as it closes, want %v", rules, again, w)
		}
		before = w
	}
}
