package schedule

import (
	"errors"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	both        = "You cannot specify both rotation frequency and schedule expression together."
	badDays     = "AutomaticallyAfterDays must be from 1 to 1000."
	alone       = "You can specify a rotation window duration only with a rotation frequency or a schedule expression."
	neither     = "The schedule expression must be a rate() or a cron() expression."
	badRate     = "A rate() expression must be a number and the unit hours or days, such as rate(10 days)."
	tooLong     = "The interval between rotations must be at most 999 days."
	under4h     = "The interval between rotations must be at least 4h."
	badDuration = "The duration of the rotation window must be a number of hours, at least one, such as 3h."
	intoDay     = "The rotation window must not extend into the next UTC day."
	intoWindow  = "The rotation window must not extend into the next rotation window."
	sixFields   = "A cron() expression must have six fields: minutes, hours, day-of-month, month, day-of-week and year, such as cron(0 8 1 * ? *)."
	badMinutes  = "The minutes field of a cron() expression must be 0."
	badHours    = "The hours field of a cron() expression must be of 0-23, with , - * /."
	badDates    = "The day-of-month field of a cron() expression must be of 1-31, with , - * ? / L."
	badMonths   = "The month field of a cron() expression must be of 1-12 or JAN-DEC, with , - * /."
	badWeekdays = "The day-of-week field of a cron() expression must be of 1-7 or SUN-SAT, with , - * ? / L #."
	badYear     = "The year field of a cron() expression must be *."
	oneQuestion = "Either the day-of-month or the day-of-week field of a cron() expression must be ?, and not both."
	never       = "The days of the cron() expression never come."
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rules secret.RotationRules
		want  string // the refusal, if any
	}{
		{secret.RotationRules{}, ""},
		{secret.RotationRules{AutomaticallyAfterDays: 1, ScheduleExpression: "rate(1 day)"}, both},
		{secret.RotationRules{Duration: "1h"}, alone},

		{days(1, ""), ""},
		{days(1000, ""), ""},
		{days(1001, ""), badDays},
		{days(-1, ""), badDays},
		{days(1, "24h"), ""},
		{days(30, "24h"), ""},
		{days(30, "25h"), intoDay},
		{days(1, "1h"), ""},
		{days(1, "03h"), ""},
		{days(1, "0h"), badDuration},
		{days(1, "00h"), badDuration},
		{days(1, "3"), badDuration},
		{days(1, "h"), badDuration},
		{days(1, "3H"), badDuration},
		{days(1, "+3h"), badDuration},
		{days(1, "-3h"), badDuration},
		{days(1, "3h0m"), badDuration},
		{days(1, "1 h"), badDuration},
		{days(1, "100h"), badDuration},
		{days(1, "003h"), badDuration},
		{days(1, "9999999h"), badDuration},

		{every("rate(1 day)"), ""},
		{every("rate(1 days)"), ""},
		{every("rate(10 days)"), ""},
		{every("rate(10 day)"), ""},
		{every("rate(999 days)"), ""},
		{every("rate(4 hours)"), ""},
		{every("rate(10 hours)"), ""},
		{every("rate(23976 hours)"), ""},
		{every("rate(23977 hours)"), tooLong},
		{every("rate(1000 days)"), tooLong},
		{every("rate(9999999 days)"), tooLong},
		{every("rate(99999999 days)"), badRate},
		{every("rate(9223372036854775808 days)"), badRate},
		{every("rate(3 hours)"), under4h},
		{every("rate(1 hour)"), under4h},
		{every("rate(0 days)"), under4h},
		{every("rate(-1 days)"), badRate},
		{every("rate(+1 days)"), badRate},
		{every("rate(1.5 days)"), badRate},
		{every("rate(240 minutes)"), badRate},
		{every("rate(10days)"), badRate},
		{every("rate(10  days)"), badRate},
		{every("rate( 10 days)"), badRate},
		{every("rate(10 days )"), badRate},
		{every("rate(10 dayss)"), badRate},
		{every("rate(10 Days)"), badRate},
		{every("rate(1 week)"), badRate},
		{every("rate(10)"), badRate},
		{every("rate(days)"), badRate},
		{every("rate( days)"), badRate},
		{every("rate()"), badRate},
		{every("rate(10 s)"), badRate},

		{every("rate(10 days"), neither},
		{every("rate 10 days"), neither},
		{every("Rate(10 days)"), neither},
		{every(" rate(10 days)"), neither},
		{every("at(2026-03-04T00:00:00)"), neither},
		{every("10 days"), neither},
		{every(")"), neither},

		{open("rate(1 day)", "24h"), ""},
		{open("rate(2 days)", "25h"), intoDay},
		{open("rate(4 hours)", "4h"), ""},
		{open("rate(4 hours)", "5h"), intoWindow},
		{open("rate(10 hours)", "2h"), ""},
		{open("rate(10 hours)", "3h"), intoDay}, // the one that opens at 22:00
		{open("rate(5 hours)", "1h"), ""},
		{open("rate(5 hours)", "2h"), intoDay}, // the one that opens at 23:00
		{open("rate(48 hours)", "24h"), ""},
		{open("rate(48 hours)", "25h"), intoDay},

		// those of AWS's page
		{every("cron(0 /8 * * ? *)"), ""},
		{every("cron(0 8/8 * * ? *)"), ""},
		{every("cron(0 2/10 * * ? *)"), ""},
		{every("cron(0 4/12 * * ? *)"), ""},
		{every("cron(0 10 * * ? *)"), ""},
		{every("cron(0 18 ? * SAT *)"), ""},
		{every("cron(0 8 1 * ? *)"), ""},
		{every("cron(0 1 ? 1/3 SUN#1 *)"), ""},
		{every("cron(0 17 L * ? *)"), ""},
		{every("cron(0 8 ? * MON-FRI *)"), ""},
		{every("cron(0 16 1,15 * ? *)"), ""},
		{every("cron(0 0 ? * SUN#1 *)"), ""},
		// one that is on an older page, and not by its own rules
		{every("cron(0 1 * 1/3 SUN *)"), oneQuestion},

		{every("cron(0 0 * * ? *)"), ""},
		{every("cron(0 00 01 01 ? *)"), ""},
		{every("cron(0 0 ? * * *)"), ""},
		{every("cron(0 0 * * * *)"), oneQuestion},
		{every("cron(0 0 ? * ? *)"), oneQuestion},
		{every("cron(0 0 1 * MON *)"), oneQuestion},
		{every("cron(00 0 * * ? *)"), badMinutes},
		{every("cron(1 0 * * ? *)"), badMinutes},
		{every("cron(* 0 * * ? *)"), badMinutes},
		{every("cron(0 0 * * ? 2027)"), badYear},
		{every("cron(0 0 * * ? ?)"), badYear},
		{every("cron(0 0 * * ?)"), sixFields},
		{every("cron(0 0 * * ? * *)"), sixFields},
		{every("cron(0  0 * * ? *)"), sixFields},
		{every("cron( 0 0 * * ? *)"), sixFields},
		{every("cron()"), sixFields},
		{every("cron(0 8 * * ? *"), neither},
		{every("Cron(0 8 * * ? *)"), neither},
		{every("0 8 * * ? *"), neither},

		{every("cron(0 23 * * ? *)"), ""},
		{every("cron(0 24 * * ? *)"), badHours},
		{every("cron(0 ? * * ? *)"), badHours},
		{every("cron(0 L * * ? *)"), badHours},
		{every("cron(0 -1 * * ? *)"), badHours},
		{every("cron(0 +1 * * ? *)"), badHours},
		{every("cron(0 8, * * ? *)"), badHours},
		{every("cron(0 ,8 * * ? *)"), badHours},
		{every("cron(0 20-4 * * ? *)"), badHours},
		{every("cron(0 8- * * ? *)"), badHours},
		{every("cron(0 8/ * * ? *)"), badHours},
		{every("cron(0 / * * ? *)"), badHours},
		{every("cron(0 8/0 * * ? *)"), badHours},
		{every("cron(0 8/4/4 * * ? *)"), badHours},
		{every("cron(0 1-2-3 * * ? *)"), badHours},
		{every("cron(0 *-8 * * ? *)"), badHours},
		{every("cron(0 ** * * ? *)"), badHours},
		{every("cron(0 0x8 * * ? *)"), badHours},
		{every("cron(0 0/24 * * ? *)"), ""},
		{every("cron(0 0-20/4 * * ? *)"), ""},
		{every("cron(0 */4 * * ? *)"), ""},
		{every("cron(0 /4 * * ? *)"), ""},
		{every("cron(0 0,4,12 * * ? *)"), ""},

		{every("cron(0 0 0 * ? *)"), badDates},
		{every("cron(0 0 32 * ? *)"), badDates},
		{every("cron(0 0 W * ? *)"), badDates},
		{every("cron(0 0 15W * ? *)"), badDates},
		{every("cron(0 0 L-3 * ? *)"), badDates},
		{every("cron(0 0 3L * ? *)"), badDates},
		{every("cron(0 0 L/2 * ? *)"), badDates},
		{every("cron(0 0 1,? * ? *)"), badDates},
		{every("cron(0 0 MON * ? *)"), badDates},
		{every("cron(0 0 SUNL * ? *)"), badDates},
		{every("cron(0 0 15,L * ? *)"), ""},
		{every("cron(0 0 l * ? *)"), ""},
		{every("cron(0 0 1-15/2,20 * ? *)"), ""},

		{every("cron(0 0 1 0 ? *)"), badMonths},
		{every("cron(0 0 1 13 ? *)"), badMonths},
		{every("cron(0 0 1 ? ? *)"), badMonths},
		{every("cron(0 0 1 L ? *)"), badMonths},
		{every("cron(0 0 1 JANUARY ? *)"), badMonths},
		{every("cron(0 0 1 NOV-FEB ? *)"), badMonths},
		{every("cron(0 0 1 MON ? *)"), badMonths},
		{every("cron(0 0 1 JAN,apr,Jul,10 ? *)"), ""},
		{every("cron(0 0 1 JAN-12/3 ? *)"), ""},

		{every("cron(0 0 ? * 0 *)"), badWeekdays},
		{every("cron(0 0 ? * 8 *)"), badWeekdays},
		{every("cron(0 0 ? * MONDAY *)"), badWeekdays},
		{every("cron(0 0 ? * SAT-SUN *)"), badWeekdays},
		{every("cron(0 0 ? * MON# *)"), badWeekdays},
		{every("cron(0 0 ? * MON#0 *)"), badWeekdays},
		{every("cron(0 0 ? * MON#6 *)"), badWeekdays},
		{every("cron(0 0 ? * MON#1#2 *)"), badWeekdays},
		{every("cron(0 0 ? * MONL#1 *)"), badWeekdays},
		{every("cron(0 0 ? * L#1 *)"), badWeekdays},
		{every("cron(0 0 ? * #1 *)"), badWeekdays},
		{every("cron(0 0 ? * MON-FRI#1 *)"), badWeekdays},
		{every("cron(0 0 ? * MON-FRIL *)"), badWeekdays},
		{every("cron(0 0 ? * LL *)"), badWeekdays},
		{every("cron(0 0 ? * *L *)"), badWeekdays},
		{every("cron(0 0 ? * 2,? *)"), badWeekdays},
		{every("cron(0 0 ? * L *)"), ""},
		{every("cron(0 0 ? * 6l *)"), ""},
		{every("cron(0 0 ? * mon-Fri,suNL,7#2 *)"), ""},

		{every("cron(0 0 31 2 ? *)"), never},
		{every("cron(0 0 30-31 FEB ? *)"), never},
		{every("cron(0 0 31 2,4,6,9,11 ? *)"), never},
		{every("cron(0 0 29 2 ? *)"), ""},
		{every("cron(0 0 ? 2 MON#5 *)"), ""},

		// the shortest interval, within a day and from one day to the next
		{every("cron(0 * * * ? *)"), under4h},
		{every("cron(0 /3 * * ? *)"), under4h},
		{every("cron(0 0/3 1 1 ? *)"), under4h},
		{every("cron(0 0,22 * * ? *)"), under4h},
		{every("cron(0 1,21 * * ? *)"), ""},
		{every("cron(0 0/7 * * ? *)"), under4h}, // 21 and 0
		{every("cron(0 0,22 1,15 * ? *)"), ""},
		{every("cron(0 0,22 /2 * ? *)"), under4h}, // the 31st and the 1st
		{every("cron(0 0,22 /2 FEB,APR ? *)"), ""},
		{every("cron(0 0,22 1,L * ? *)"), under4h},
		{every("cron(0 0,22 1,L JAN,MAR ? *)"), ""},
		{every("cron(0 0,22 1,29 FEB,MAR ? *)"), under4h}, // in leap years
		{every("cron(0 0,22 1,28 FEB,MAR ? *)"), under4h}, // in the others
		{every("cron(0 0,22 1,31 JAN,DEC ? *)"), under4h}, // over the year's end
		{every("cron(0 0,22 ? * MON,WED *)"), ""},
		{every("cron(0 0,22 ? * SUN,SAT *)"), under4h},
		{every("cron(0 0,22 ? * SATL,SUN#1 *)"), under4h},
		{every("cron(0 0,22 ? JAN,FEB SATL,SUN#1 *)"), under4h}, // when a 1 February is a Sunday
		{every("cron(0 0,22 ? JAN SATL,SUN#1 *)"), ""},

		{open("cron(0 22 * * ? *)", "2h"), ""},
		{open("cron(0 22 * * ? *)", "3h"), intoDay},
		{open("cron(0 0 1 * ? *)", "24h"), ""},
		{open("cron(0 0 1 * ? *)", "25h"), intoDay},
		{open("cron(0 /8 * * ? *)", "8h"), ""},
		{open("cron(0 /8 * * ? *)", "9h"), intoWindow},
		{open("cron(0 2/10 * * ? *)", "2h"), ""},
		{open("cron(0 2/10 * * ? *)", "3h"), intoDay},
		{open("cron(0 8,16 * * ? *)", "8h"), ""},
		{open("cron(0 8,16 * * ? *)", "9h"), intoWindow},
		{open("cron(0 8 * * ? *)", "8"), badDuration},
	} {
		_, err := Parse(tt.rules, Least)
		var want error
		if tt.want != "" {
			want = secret.Errorf(secret.InvalidParameter, "%s", tt.want)
		}
		if !errors.Is(err, want) {
			t.Errorf("Parse(%+v):\n got %v\nwant %v", tt.rules, err, want)
		}
	}
}

// TestParseLeast is of deployments that rotate more often than AWS.
func TestParseLeast(t *testing.T) {
	t.Parallel()
	const under1m, under10m, under1h = "The interval between rotations must be at least 1m.",
		"The interval between rotations must be at least 10m.", "The interval between rotations must be at least 1h."
	for _, tt := range []struct {
		rules secret.RotationRules
		least time.Duration
		want  string
	}{
		{every("rate(1 minute)"), time.Minute, ""},
		{every("rate(1 minutes)"), time.Minute, ""},
		{every("rate(0 minutes)"), time.Minute, under1m},
		{every("rate(0 minutes)"), 0, under1m},
		{every("rate(9 minutes)"), 10 * time.Minute, under10m},
		{every("rate(10 minutes)"), 10 * time.Minute, ""},
		{every("rate(1 minute)"), time.Hour, under1h},
		{every("rate(90 minutes)"), time.Hour, ""},
		{every("rate(1438560 minutes)"), time.Minute, ""},
		{every("rate(1438561 minutes)"), time.Minute, tooLong},
		{every("rate(240 minutes)"), Least, badRate},
		{every("rate(1 hour)"), time.Hour, ""},
		{every("cron(0 * * * ? *)"), time.Hour, ""},
		{every("cron(0 * * * ? *)"), 2 * time.Hour, "The interval between rotations must be at least 2h."},
		{every("cron(*/5 * * * ? *)"), time.Minute, badMinutes},
		{open("rate(30 minutes)", "1h"), time.Minute, intoWindow},
		{open("rate(60 minutes)", "1h"), time.Minute, ""},
		{open("rate(100 minutes)", "1h"), time.Minute, ""},
		{open("rate(1 hour)", "1h"), time.Minute, ""},
		{open("rate(1 hour)", "2h"), time.Minute, intoWindow},
	} {
		_, err := Parse(tt.rules, tt.least)
		var want error
		if tt.want != "" {
			want = secret.Errorf(secret.InvalidParameter, "%s", tt.want)
		}
		if !errors.Is(err, want) {
			t.Errorf("Parse(%+v, %v):\n got %v\nwant %v", tt.rules, tt.least, err, want)
		}
	}
}
