package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for name, test := range map[string]struct {
		values  []time.Duration
		percent int
		want    time.Duration
	}{
		"none":        {nil, 50, 0},
		"one":         {[]time.Duration{7}, 99, 7},
		"two":         {[]time.Duration{9, 7}, 50, 7},
		"half":        {hundred, 50, 50},
		"all but one": {hundred, 99, 99},
	} {
		if got := percentile(test.values, test.percent); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 2, 3}, 2.5},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("%v: got %v, want %v", test.values, got, test.want)
		}
	}
}

// A slow round of both sides changes no ratio.
func TestResults(t *testing.T) {
	t.Parallel()
	at := func(server, floor float64) pair {
		return pair{round{server, []time.Duration{time.Millisecond}}, round{floor, []time.Duration{time.Millisecond}}}
	}
	pairs := map[int][]pair{1: {at(50, 100), at(5, 10), at(40, 80)}, 16: {at(100, 400), at(10, 40), at(80, 320)}}
	got := resultsOf(workload{name: "w", aims: map[int]float64{1: 0.45}, oneSecret: true}, pairs)
	if len(got) != 2 || got[0].ratio != 0.5 || got[0].aim != 0.45 || got[0].toOne != 0 || got[0].server.rate != 40 {
		t.Errorf("one client: got %+v", got)
	}
	if got[1].ratio != 0.25 || got[1].toOne != 2 {
		t.Errorf("many clients: got %+v", got[1])
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	rows := table{{"name", "n"}, {"puts", "1,000"}, {"≥", "7"}}
	if got, want := rows.text(), "name      n\nputs  1,000\n≥         7\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got, want := rows.markdown(), "| name | n |\n|---|---:|\n| puts | 1,000 |\n| ≥ | 7 |\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ got, want string }{
		{thousands(7), "7"},
		{thousands(1000), "1,000"},
		{thousands(1234567), "1,234,567"},
		{perSecond(99.94), "99.9"},
		{perSecond(4321.6), "4,322"},
		{milliseconds(1234 * time.Microsecond), "1.23 ms"},
		{cut("gets: round 1", 20), "gets: round 1"},
		{cut("gets: round 1", 5), "gets…"},
		{cut("gets", 0), ""},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
	if got := residentOf("Name:\tlocal\nVmRSS:\t   1234 kB\nVmData:\t 9 kB\n"); got != 1234 {
		t.Errorf("got %d kB, want 1234", got)
	}
}

func TestServerEnvironment(t *testing.T) {
	t.Parallel()
	got := serverEnvironment([]string{"HOME=/h", "AWS_PROFILE=mine", "AWS_ENDPOINT_URL_DYNAMODB=http://mine"}, "http://l")
	want := []string{"HOME=/h", "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_ENDPOINT_URL_LAMBDA=http://l"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	step := func(int) {}
	done, err := fill(t.Context(), 100, time.Minute, step, func(context.Context, int) error { return nil })
	if done != 100 || err != nil {
		t.Errorf("got %d, %v, want 100", done, err)
	}
	done, err = fill(t.Context(), 100, 0, step, func(context.Context, int) error { return nil })
	if done != 0 || err != nil {
		t.Errorf("without time: got %d, %v, want none", done, err)
	}
	broken := errors.New("broken")
	if _, err := fill(t.Context(), 100, time.Minute, step, func(context.Context, int) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
