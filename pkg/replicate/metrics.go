package replicate

import (
	"log/slog"
	"time"

	"github.com/strongroom/strongroom/pkg/metrics"
)

// The metrics that alarms look at: attempts that failed, and for how many seconds the
// oldest change that a run met has not been delivered. Neither counts what was refused.
const (
	FailedMetric = "ReplicationsFailed"
	OldestDue    = "OldestReplicationDueSeconds"
)

// Metrics are a summary for a table as the attributes of a log line.
func Metrics(table string, sum Summary, now time.Time) []slog.Attr {
	return append(
		metrics.Attrs(
			table, now,
			metrics.Count(FailedMetric, sum.Outcomes[Failed]),
			metrics.Behind(OldestDue, sum.Oldest, now),
		),
		slog.Int("ReplicasLookedAt", sum.Notes),
		slog.Int("ReplicasDelivered", sum.Outcomes[Delivered]),
		slog.Int("ReplicasRemoved", sum.Outcomes[Removed]),
		slog.Int("ReplicasRefused", sum.Outcomes[Refused]),
		slog.Int("ReplicasNotDue", sum.Outcomes[NotDue]),
		slog.Int("ReplicasLeftOver", sum.Left),
	)
}
