package rotate

import (
	"log/slog"
	"time"

	"github.com/strongroom/strongroom/pkg/metrics"
)

// The metrics that alarms look at: attempts that failed, rotations that are not
// retried before their next window, and for how many seconds the oldest of those
// that a run skipped has been due.
const (
	FailedMetric  = "RotationsFailed"
	GivenUpMetric = "RotationsGivenUp"
	OldestDue     = "OldestRotationDueSeconds"
)

// Metrics are a summary for a table as the attributes of a log line.
func Metrics(table string, sum Summary, now time.Time) []slog.Attr {
	return append(
		metrics.Attrs(
			table, now,
			metrics.Count(FailedMetric, sum.Outcomes[Failed]+sum.Outcomes[GivenUp]),
			metrics.Count(GivenUpMetric, sum.Outcomes[GivenUp]),
			metrics.Behind(OldestDue, sum.OldestDue, now),
		),
		slog.Int("RotationsLookedAt", sum.Secrets),
		slog.Int("RotationsSucceeded", sum.Outcomes[Succeeded]),
		slog.Int("RotationsAbandoned", sum.Outcomes[Abandoned]),
		slog.Int("RotationsPostponed", sum.Outcomes[Postponed]),
		slog.Int("RotationsLeftOver", sum.Skipped),
	)
}
