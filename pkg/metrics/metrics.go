// Package metrics writes what a schedule did as a log line that CloudWatch reads
// metrics from: its embedded metric format. The line is the log and the metrics in
// one, so nothing has to be called to publish them.
//
// A metric costs $0.30 a month for the hours in which it is written. So the only ones
// are those that alarms look at, and they are written when they are not zero.
// Everything else is a plain attribute of the line.
package metrics

import (
	"log/slog"
	"time"
)

// Namespace is where CloudWatch has the metrics, and Dimension what tells those of
// one deployment from those of another: the table.
const (
	Namespace = "Strongroom"
	Dimension = "Table"
)

// A Metric is one figure of a run.
type Metric struct {
	Name  string
	Unit  string // as CloudWatch has them
	Value float64
}

// Count is how many there were of something.
func Count(name string, n int) Metric { return Metric{name, "Count", float64(n)} }

// Behind is for how many seconds something has been due, that was not done yet; a
// zero time is not due.
func Behind(name string, due, now time.Time) Metric {
	if due.IsZero() {
		return Metric{name, "Seconds", 0}
	}
	return Metric{name, "Seconds", now.Sub(due).Seconds()}
}

// Attrs are the attributes of the log line, for the deployment with a table. The line is
// a plain one when all metrics are zero.
func Attrs(table string, now time.Time, all ...Metric) []slog.Attr {
	type definition struct{ Name, Unit string }
	var definitions []definition
	var attrs []slog.Attr
	for _, m := range all {
		attrs = append(attrs, slog.Float64(m.Name, m.Value))
		if m.Value != 0 {
			definitions = append(definitions, definition{m.Name, m.Unit})
		}
	}
	if len(definitions) == 0 {
		return attrs
	}
	return append(attrs, slog.String(Dimension, table), slog.Any("_aws", map[string]any{
		"Timestamp": now.UnixMilli(),
		"CloudWatchMetrics": []map[string]any{{
			"Namespace": Namespace, "Dimensions": [][]string{{Dimension}}, "Metrics": definitions,
		}},
	}))
}
