package schedule

import (
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

func TestNext(t *testing.T) {
	t.Parallel()
	const set = "2026-03-04 12:30" // a Wednesday
	for _, tt := range []struct {
		name          string
		rules         secret.RotationRules
		last, now     string
		opens, closes string
	}{
		{"days, just rotated", days(30, ""), set, set, "2026-04-03 00:00", "2026-04-04 00:00"},
		{"days, never rotated", days(30, ""), "", set, "2026-04-03 00:00", "2026-04-04 00:00"},
		{"days, the day before", days(30, ""), set, "2026-04-02 23:59", "2026-04-03 00:00", "2026-04-04 00:00"},
		{"days, on the day", days(30, ""), set, "2026-04-03 23:59", "2026-04-03 00:00", "2026-04-04 00:00"},
		{"days, missed by a moment", days(30, ""), set, "2026-04-04 00:00", "2026-04-04 00:00", "2026-04-05 00:00"},
		{"days, missed for long", days(30, ""), set, "2026-09-09 09:09", "2026-09-09 00:00", "2026-09-10 00:00"},
		{"days, a rotation by hand", days(30, ""), "2026-03-20 23:00", "2026-03-21 01:00", "2026-04-19 00:00", "2026-04-20 00:00"},
		{"each day, rotated inside the window", days(1, ""), "2026-03-05 00:00", "2026-03-05 00:01", "2026-03-06 00:00", "2026-03-07 00:00"},
		{"days over a leap day", days(1, ""), "2028-02-28 10:00", "2028-02-28 10:00", "2028-02-29 00:00", "2028-03-01 00:00"},
		{"days with a duration", days(7, "3h"), set, set, "2026-03-11 00:00", "2026-03-11 03:00"},
		{"days with a duration, still open", days(7, "3h"), set, "2026-03-11 02:59", "2026-03-11 00:00", "2026-03-11 03:00"},
		{"days with a duration, closed", days(7, "3h"), set, "2026-03-11 03:00", "2026-03-12 00:00", "2026-03-12 03:00"},
		{"a thousand days", days(1000, ""), set, set, "2028-11-28 00:00", "2028-11-29 00:00"},

		{"rate in days, set today", every("rate(10 days)"), "", set, "2026-03-04 00:00", "2026-03-05 00:00"},
		{"rate in days, just rotated", every("rate(10 days)"), set, set, "2026-03-14 00:00", "2026-03-15 00:00"},
		{"rate in days, missed", every("rate(10 days)"), set, "2026-03-15 00:00", "2026-03-24 00:00", "2026-03-25 00:00"},
		{"rate in days, a rotation by hand", every("rate(10 days)"), "2026-03-20 10:00", "2026-03-20 10:00", "2026-03-24 00:00", "2026-03-25 00:00"},
		{"rate in days, rotated as it opened", every("rate(10 days)"), "2026-03-14 00:00", "2026-03-14 00:01", "2026-03-24 00:00", "2026-03-25 00:00"},
		{"rate in days, before it was set", every("rate(10 days)"), "", "2026-01-01 00:00", "2026-03-04 00:00", "2026-03-05 00:00"},
		{"rate in days with a duration", open("rate(10 days)", "3h"), "", set, "2026-03-14 00:00", "2026-03-14 03:00"},
		{"rate in days for years", every("rate(999 days)"), set, "2126-01-01 00:00", "2127-05-17 00:00", "2127-05-18 00:00"},
		{"rate in hours, set now", every("rate(10 hours)"), "", set, "2026-03-04 20:00", "2026-03-04 21:00"},
		{"rate in hours, in its window", every("rate(10 hours)"), "", "2026-03-04 20:59", "2026-03-04 20:00", "2026-03-04 21:00"},
		{"rate in hours, rotated in it", every("rate(10 hours)"), "2026-03-04 20:10", "2026-03-04 20:59", "2026-03-05 06:00", "2026-03-05 07:00"},
		{"rate in hours, missed", every("rate(10 hours)"), set, "2026-03-04 21:00", "2026-03-05 06:00", "2026-03-05 07:00"},
		{"rate in hours with a duration", open("rate(4 hours)", "4h"), "2026-03-04 11:00", set, "2026-03-04 12:00", "2026-03-04 16:00"},
		{"rate in minutes, set now", every("rate(45 minutes)"), "", set, "2026-03-04 12:00", "2026-03-04 12:45"},
		{"rate in minutes, just rotated", every("rate(45 minutes)"), set, set, "2026-03-04 12:45", "2026-03-04 13:30"},
		{"rate in minutes, missed", every("rate(45 minutes)"), set, "2026-03-04 13:30", "2026-03-04 13:30", "2026-03-04 14:15"},
		{"rate in minutes, over midnight", every("rate(50 minutes)"), set, "2026-03-05 00:05", "2026-03-04 23:20", "2026-03-05 00:10"},
		{"each minute", every("rate(1 minute)"), set, set, "2026-03-04 12:31", "2026-03-04 12:32"},

		{"cron, later today", every("cron(0 18 * * ? *)"), set, set, "2026-03-04 18:00", "2026-03-05 00:00"},
		{"cron, open now", every("cron(0 10 * * ? *)"), "", set, "2026-03-04 10:00", "2026-03-05 00:00"},
		{"cron, rotated in its window", every("cron(0 10 * * ? *)"), set, set, "2026-03-05 10:00", "2026-03-06 00:00"},
		{"cron, rotated as it opened", every("cron(0 10 * * ? *)"), "2026-03-04 10:00", set, "2026-03-05 10:00", "2026-03-06 00:00"},
		{"cron with a duration, closed", open("cron(0 10 * * ? *)", "2h"), "", set, "2026-03-05 10:00", "2026-03-05 12:00"},
		{"cron, missed", every("cron(0 8 1 * ? *)"), "2026-01-01 08:00", "2026-02-02 00:00", "2026-03-01 08:00", "2026-03-02 00:00"},
		{"hours by an increment", every("cron(0 /8 * * ? *)"), set, set, "2026-03-04 16:00", "2026-03-04 17:00"},
		{"hours by an increment from 4", every("cron(0 4/12 * * ? *)"), set, "2026-03-04 17:00", "2026-03-05 04:00", "2026-03-05 05:00"},
		{"hours by ten begin again each day", every("cron(0 2/10 * * ? *)"), set, "2026-03-04 23:00", "2026-03-05 02:00", "2026-03-05 03:00"},
		{"hours that are one", every("cron(0 20/8 * * ? *)"), set, set, "2026-03-04 20:00", "2026-03-05 00:00"},
		{"the last hour of a day", every("cron(0 23 * * ? *)"), set, set, "2026-03-04 23:00", "2026-03-05 00:00"},
		{"the last of a month", every("cron(0 17 L * ? *)"), set, set, "2026-03-31 17:00", "2026-04-01 00:00"},
		{"the last of February", every("cron(0 17 L FEB ? *)"), set, set, "2027-02-28 17:00", "2027-03-01 00:00"},
		{"the last of a leap February", every("cron(0 17 l feb ? *)"), "2027-02-28 17:00", "2027-02-28 18:00", "2028-02-29 17:00", "2028-03-01 00:00"},
		{"the 15th and the last", every("cron(0 0 15,L * ? *)"), "2026-04-15 01:00", "2026-04-15 01:00", "2026-04-30 00:00", "2026-05-01 00:00"},
		{"the 31st", every("cron(0 0 31 * ? *)"), "2026-03-31 01:00", "2026-03-31 02:00", "2026-05-31 00:00", "2026-06-01 00:00"},
		{"leap days", every("cron(0 0 29 2 ? *)"), set, set, "2028-02-29 00:00", "2028-03-01 00:00"},
		{"leap days and 2100", every("cron(0 0 29 2 ? *)"), "2096-02-29 00:00", "2096-03-01 00:00", "2104-02-29 00:00", "2104-03-01 00:00"},
		{"each third month", every("cron(0 1 1 1/3 ? *)"), set, set, "2026-04-01 01:00", "2026-04-02 00:00"},
		{"months by name", every("cron(0 1 1 JAN,Sep-nov ? *)"), set, "2026-11-02 00:00", "2027-01-01 01:00", "2027-01-02 00:00"},
		{"days by an increment", every("cron(0 0 1/10 * ? *)"), set, "2026-03-30 00:00", "2026-03-31 00:00", "2026-04-01 00:00"},
		{"Saturdays", every("cron(0 18 ? * SAT *)"), set, set, "2026-03-07 18:00", "2026-03-08 00:00"},
		{"Sundays are 1", every("cron(0 18 ? * 1 *)"), set, set, "2026-03-08 18:00", "2026-03-09 00:00"},
		{"Saturdays are 7", every("cron(0 18 ? * 7 *)"), set, set, "2026-03-07 18:00", "2026-03-08 00:00"},
		{"the last of a week is Saturday", every("cron(0 18 ? * L *)"), set, set, "2026-03-07 18:00", "2026-03-08 00:00"},
		{"working days over a weekend", every("cron(0 8 ? * MON-FRI *)"), "2026-03-06 09:00", "2026-03-06 09:00", "2026-03-09 08:00", "2026-03-10 00:00"},
		{"each second day of a week", every("cron(0 8 ? * 1/2 *)"), set, "2026-03-06 00:00", "2026-03-07 08:00", "2026-03-08 00:00"},
		{"the second Thursday", every("cron(0 0 ? * 5#2 *)"), set, set, "2026-03-12 00:00", "2026-03-13 00:00"},
		{"the first Sunday of each third month", every("cron(0 1 ? 1/3 SUN#1 *)"), set, set, "2026-04-05 01:00", "2026-04-06 00:00"},
		{"a fifth Monday", every("cron(0 0 ? * MON#5 *)"), "2026-03-30 00:00", "2026-03-31 00:00", "2026-06-29 00:00", "2026-06-30 00:00"},
		{"a fifth Monday of February", every("cron(0 0 ? 2 MON#5 *)"), set, set, "2044-02-29 00:00", "2044-03-01 00:00"},
		{"the rarest day", every("cron(0 0 ? 2 MON#5 *)"), "2072-02-29 00:00", "2072-03-01 00:00", "2112-02-29 00:00", "2112-03-01 00:00"},
		{"the last Friday", every("cron(0 0 ? * 6L *)"), set, set, "2026-03-27 00:00", "2026-03-28 00:00"},
		{"the last Tuesday, the 31st", every("cron(0 0 ? * tueL *)"), set, set, "2026-03-31 00:00", "2026-04-01 00:00"},
		{"the first Monday and the last Friday", every("cron(0 0 ? * MON#1,FRIL *)"), set, "2026-03-28 00:00", "2026-04-06 00:00", "2026-04-07 00:00"},
		{"over the year's end", every("cron(0 0 ? * MON *)"), "2026-12-29 00:00", "2026-12-31 00:00", "2027-01-04 00:00", "2027-01-05 00:00"},
	} {
		want := secret.Window{Opens: at(t, tt.opens), Closes: at(t, tt.closes)}
		got, ok := parse(t, tt.rules).Next(Times{at(t, set), at(t, tt.last), at(t, tt.now)})
		if !ok || got != want {
			t.Errorf("%s: got %v, %v, want %v", tt.name, got, ok, want)
		}
	}
}

func TestNextWithoutSchedule(t *testing.T) {
	t.Parallel()
	s, now := parse(t, secret.RotationRules{}), at(t, "2026-03-04 12:30")
	if got, ok := s.Next(Times{now, now, now}); ok || got != (secret.Window{}) {
		t.Errorf("got %v, %v, want none", got, ok)
	}
	if got := s.Days(now); got != 0 {
		t.Errorf("got %d days, want 0", got)
	}
}

// TestNextIsUTC gives the same times in another zone, and odd fractions of them.
func TestNextIsUTC(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", -11*3600)
	set := at(t, "2026-03-04 05:00").In(zone) // the 3rd there
	now := at(t, "2026-03-31 23:59").Add(59*time.Second + 999*time.Millisecond).In(zone)
	for _, tt := range []struct {
		rules secret.RotationRules
		want  string
	}{
		{days(1, ""), "2026-03-31 00:00"},
		{every("rate(1 day)"), "2026-03-31 00:00"},
		{every("rate(2 days)"), "2026-04-01 00:00"},
		{every("rate(1 hour)"), "2026-03-31 23:00"},
		{every("rate(1 minute)"), "2026-03-31 23:59"},
		{every("cron(0 12 L * ? *)"), "2026-03-31 12:00"},
		{every("cron(0 0 1 * ? *)"), "2026-04-01 00:00"},
	} {
		got, _ := parse(t, tt.rules).Next(Times{set, set, now})
		if got.Opens != at(t, tt.want) {
			t.Errorf("%+v: got %v, want %s", tt.rules, got, tt.want)
		}
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rules secret.RotationRules
		from  string
		want  int
	}{
		{days(1, ""), "2026-03-04 12:30", 1},
		{days(1000, "3h"), "2026-03-04 12:30", 1000},
		{every("rate(10 hours)"), "2026-03-04 12:30", 1},
		{every("rate(24 hours)"), "2026-03-04 12:30", 1},
		{every("rate(25 hours)"), "2026-03-04 12:30", 2},
		{every("rate(1 minute)"), "2026-03-04 12:30", 1},
		{every("rate(10 days)"), "2026-03-04 12:30", 10},
		{every("cron(0 /8 * * ? *)"), "2026-03-04 12:30", 1},
		{every("cron(0 8 * * ? *)"), "2026-03-04 12:30", 1},
		{every("cron(0 8 ? * MON *)"), "2026-03-04 12:30", 7},
		{every("cron(0 8 1 * ? *)"), "2026-03-04 12:30", 30},
		{every("cron(0 8 1 * ? *)"), "2026-04-04 12:30", 31},
		{every("cron(0 8 1 1 ? *)"), "2026-03-04 12:30", 366 - 1},
		{every("cron(0 8 29 2 ? *)"), "2026-03-04 12:30", 4*365 + 1},
		{every("cron(0 8 ? * MON-FRI *)"), "2026-03-05 12:30", 3},
		{every("cron(0 0,23 1 * ? *)"), "2026-03-01 00:00", 31}, // from 23:00 to midnight is nearly 31
		{every("cron(0 0 ? 2 MON#5 *)"), "2070-01-01 00:00", 40*365 + 9},
	} {
		if got := parse(t, tt.rules).Days(at(t, tt.from)); got != tt.want {
			t.Errorf("%+v from %s: got %d, want %d", tt.rules, tt.from, got, tt.want)
		}
	}
}
