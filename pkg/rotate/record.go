package rotate

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/audit"
)

// Recorder is an OnEvent that keeps an audit record of each event, in CloudTrail's
// shape, and logs it. A record that cannot be kept is an error in the log, and the
// rotation goes on: half of one would be worse.
func Recorder(trail audit.Trail, log *slog.Logger) func(context.Context, Event) {
	return func(ctx context.Context, e Event) {
		attrs := []slog.Attr{slog.String("secret", e.ARN), slog.String("version", e.Version)}
		if e.Failure != "" {
			attrs = append(attrs, slog.String("failure", e.Failure))
		}
		log.LogAttrs(ctx, slog.LevelInfo, e.Name, attrs...)
		r := audit.Event(e.Name, uuid.NewString(), time.Now(), e.ARN, e.Failure)
		r.RequestID = "Rotation-" + e.ARN + "-" + e.Version
		if err := trail.Keep(ctx, r); err != nil {
			log.ErrorContext(ctx, "the audit record is not kept", slog.String("event", e.Name), slog.String("secret", e.ARN), slog.String("error", err.Error()))
		}
	}
}
