package prune

import (
	"log/slog"
	"time"

	"github.com/strongroom/strongroom/pkg/metrics"
)

// OldestDue is the metric that says how far behind a run is: for how many
// seconds the oldest of what it left has been due.
const OldestDue = "OldestDueSeconds"

// Metrics are a summary for a table as the attributes of a log line, with the one
// metric that an alarm looks at.
func Metrics(table string, sum Summary, now time.Time) []slog.Attr {
	return append(
		metrics.Attrs(table, now, metrics.Behind(OldestDue, sum.OldestDue, now)),
		slog.Int("SecretsLookedAt", sum.Secrets),
		slog.Int("VersionsRemoved", sum.Versions),
		slog.Int("SecretsPurged", sum.Purged),
		slog.Int("Conflicts", sum.Conflicts),
		slog.Int("Failed", sum.Failed),
		slog.Int("LeftOver", sum.Left),
	)
}
