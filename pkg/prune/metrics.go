package prune

import (
	"log/slog"
	"time"

	"github.com/strongroom/strongroom/pkg/metrics"
)

// OldestDue is the metric that says how far behind a run is: for how many
// seconds the oldest of what it left has been due.
const OldestDue = "OldestDueSeconds"

// Metrics are a summary for a table as the attributes of a log line.
func Metrics(table string, sum Summary, now time.Time) []slog.Attr {
	return metrics.Attrs(
		table, now,
		metrics.Count("SecretsLookedAt", sum.Secrets),
		metrics.Count("VersionsRemoved", sum.Versions),
		metrics.Count("SecretsPurged", sum.Purged),
		metrics.Count("Conflicts", sum.Conflicts),
		metrics.Count("Failed", sum.Failed),
		metrics.Count("LeftOver", sum.Left),
		metrics.Behind(OldestDue, sum.OldestDue, now),
	)
}
