package auditfile

import (
	"slices"
	"time"

	"github.com/strongroom/strongroom/pkg/audit"
)

// A Filter selects records. Empty fields select all.
type Filter struct {
	Last   int       // how many of the newest records
	Secret string    // name or ARN of the secret
	Caller string    // as in the output of Show, or the user name, ARN or access key ID
	Day    time.Time // the beginning of a day in UTC
}

// hasConditions says whether f excludes some records.
func (f Filter) hasConditions() bool { return f != Filter{Last: f.Last} }

func (f Filter) wants(r audit.Record) bool {
	return f.isDay(r) && f.isCaller(r) && f.isSecret(r)
}

func (f Filter) isDay(r audit.Record) bool {
	at := time.Time(r.EventTime)
	return f.Day.IsZero() || !at.Before(f.Day) && at.Before(f.Day.AddDate(0, 0, 1))
}

func (f Filter) isCaller(r audit.Record) bool {
	id := r.UserIdentity
	return f.Caller == "" || slices.Contains([]string{who(r), id.UserName, id.ARN, id.AccessKeyID}, f.Caller)
}

func (f Filter) isSecret(r audit.Record) bool {
	return f.Secret == "" || slices.ContainsFunc(secretsOf(r), func(arnOrName string) bool {
		return f.Secret == arnOrName || f.Secret == secretName(arnOrName)
	})
}

// isPast says whether a record, and so all records before it, is older than the day.
// Records are written when their calls end, so they are in order to within a minute.
func (f Filter) isPast(r audit.Record) bool {
	return !f.Day.IsZero() && time.Time(r.EventTime).Before(f.Day.Add(-time.Minute))
}
