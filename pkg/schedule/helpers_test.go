package schedule

import (
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
)

// at reads a time such as 2026-03-04 12:30, and with "" the zero one.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	got, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// every is a rule by an expression.
func every(expression string) secret.RotationRules {
	return secret.RotationRules{ScheduleExpression: expression}
}

// open is a rule by an expression, with a duration.
func open(expression, duration string) secret.RotationRules {
	return secret.RotationRules{ScheduleExpression: expression, Duration: duration}
}

// days is a rule by a number of days.
func days(n int, duration string) secret.RotationRules {
	return secret.RotationRules{AutomaticallyAfterDays: n, Duration: duration}
}

// parse is Parse of rules that must be right, with all that a deployment can allow.
func parse(t testing.TB, rules secret.RotationRules) Schedule {
	t.Helper()
	s, err := Parse(rules, time.Minute)
	if err != nil {
		t.Fatalf("Parse(%+v): %v", rules, err)
	}
	return s
}
