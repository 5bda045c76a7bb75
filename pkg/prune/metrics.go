package prune

import (
	"log/slog"
	"time"
)

// Namespace is where CloudWatch has the metrics of the schedules, and Dimension
// what tells those of one deployment from those of another: the table.
const (
	Namespace = "Strongroom"
	Dimension = "Table"
)

// OldestDue is the metric that says how far behind a run is: for how many
// seconds the oldest of what it left has been due.
const OldestDue = "OldestDueSeconds"

// Metrics are a summary for a table as the attributes of a log line, in CloudWatch's embedded
// metric format: the line is the log and the metrics in one.
func Metrics(table string, sum Summary, now time.Time) []slog.Attr {
	type metric struct{ Name, Unit string }
	var definitions []metric
	var attrs []slog.Attr
	count := func(name string, n int) {
		definitions = append(definitions, metric{name, "Count"})
		attrs = append(attrs, slog.Int(name, n))
	}
	count("SecretsLookedAt", sum.Secrets)
	count("VersionsRemoved", sum.Versions)
	count("SecretsPurged", sum.Purged)
	count("Conflicts", sum.Conflicts)
	count("Failed", sum.Failed)
	count("LeftOver", sum.Left)
	behind := 0.0
	if !sum.OldestDue.IsZero() {
		behind = now.Sub(sum.OldestDue).Seconds()
	}
	definitions = append(definitions, metric{OldestDue, "Seconds"})
	attrs = append(attrs, slog.Float64(OldestDue, behind))
	return append(attrs, slog.String(Dimension, table), slog.Any("_aws", map[string]any{
		"Timestamp": now.UnixMilli(),
		"CloudWatchMetrics": []map[string]any{{
			"Namespace": Namespace, "Dimensions": [][]string{{Dimension}}, "Metrics": definitions,
		}},
	}))
}
