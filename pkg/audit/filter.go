package audit

import (
	"slices"
	"time"
)

// A Filter says which records are shown. An empty field is no condition.
type Filter struct {
	Last   int       // how many records, of the newest ones
	Secret string    // name or ARN of the secret
	Caller string    // as Show has it, user name, ARN or access key ID of the caller
	Day    time.Time // a day, as its beginning in UTC
}

// hasConditions says whether some records are not wanted.
func (f Filter) hasConditions() bool { return f != Filter{Last: f.Last} }

func (f Filter) wants(r Record) bool {
	return f.isDay(r) && f.isCaller(r) && f.isSecret(r)
}

func (f Filter) isDay(r Record) bool {
	at := time.Time(r.EventTime)
	return f.Day.IsZero() || !at.Before(f.Day) && at.Before(f.Day.AddDate(0, 0, 1))
}

func (f Filter) isCaller(r Record) bool {
	id := r.UserIdentity
	return f.Caller == "" || slices.Contains([]string{who(r), id.UserName, id.ARN, id.AccessKeyID}, f.Caller)
}

func (f Filter) isSecret(r Record) bool {
	return f.Secret == "" || slices.ContainsFunc(secretsOf(r), func(arnOrName string) bool {
		return f.Secret == arnOrName || f.Secret == secretName(arnOrName)
	})
}

// isPast says that a record, and so all before it, is older than the day. Records are
// kept when their calls end, so they are in order but for a minute.
func (f Filter) isPast(r Record) bool {
	return !f.Day.IsZero() && time.Time(r.EventTime).Before(f.Day.Add(-time.Minute))
}
