package api

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// errTooMany is the answer when a list by a date would take longer than a call may. No
// part of it would be right: the last secret that is read may be the first of the list.
var errTooMany = secret.Errorf(secret.InvalidRequest, "There are too many secrets to sort them by this date in the time of one call. Sort them by name or by created-date, or filter them by name.")

// toAnswer is how much of a call's time is left for its answer.
const toAnswer = time.Second

// withTimeToAnswer ends before a call does.
func withTimeToAnswer(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-toAnswer))
	}
	return ctx, func() {}
}

// gather lists in the order of a date that no directory has: it reads all secrets for
// each page, and keeps no more of them than the page.
func (c *call) gather(ctx context.Context, q query, date func(store.Dates) time.Time) (found []secret.Secret, next string, err error) {
	timed, cancel := withTimeToAnswer(ctx)
	defer cancel()
	best := &ranking{order: orderOf(q.descending), after: q.after, limit: q.limit + 1}
	err = c.rank(timed, q, date, best)
	switch {
	case err != nil && errors.Is(timed.Err(), context.DeadlineExceeded):
		return nil, "", errTooMany
	case err != nil:
		return nil, "", err
	}
	for _, r := range best.first[:min(len(best.first), q.limit)] {
		found = append(found, r.Secret)
	}
	if len(best.first) > q.limit {
		next = best.first[q.limit-1].position
	}
	return found, next, nil
}

// rank gives all secrets of a query to a ranking. Once few of them have a place in it,
// it reads their dates first, which takes a fifth of the time, and then these few.
func (c *call) rank(ctx context.Context, q query, date func(store.Dates) time.Time, best *ranking) error {
	list, few := c.byName(q.prefixes, false), false
	for after, more := "", true; more; {
		var rows []store.Row
		var err error
		if rows, more, err = list(ctx, after, rowsAtOnce); err != nil {
			return err
		}
		names, n := c.names(ctx, q, rows, len(rows))
		if n > 0 {
			after = rows[n-1].Position
		}
		placed, err := c.rankSome(ctx, q, date, best, names, few)
		if err != nil {
			return err
		}
		few = 2*placed < len(names)
	}
	return nil
}

// rankSome returns how many of the secrets had a place by their date alone.
func (c *call) rankSome(ctx context.Context, q query, date func(store.Dates) time.Time, best *ranking, names []string, few bool) (placed int, err error) {
	position := func(name string, d store.Dates) string { return store.Position(date(d), name) }
	if few {
		dates, err := inBatches(names, func(names []string) (map[string]store.Dates, error) {
			return c.store.Dates(ctx, names, c.damaged(ctx))
		})
		if err != nil {
			return 0, err
		}
		names = slices.DeleteFunc(names, func(name string) bool {
			d, ok := dates[name]
			return !ok || !best.takes(position(name, d))
		})
	}
	secrets, err := c.taken(ctx, names, func(sec secret.Secret) bool {
		if !best.takes(position(sec.Name, store.DatesOf(sec))) {
			return false
		}
		placed++
		return q.takes(sec)
	})
	for _, sec := range secrets {
		best.add(position(sec.Name, store.DatesOf(sec)), sec)
	}
	return placed, err
}

// A ranking keeps the first secrets of an order behind a position, up to a limit.
type ranking struct {
	order func(a, b string) int
	after string // empty to begin with the first
	limit int
	first []ranked
}

type ranked struct {
	position string
	secret.Secret
}

// takes says whether there is a place for a position.
func (r *ranking) takes(position string) bool {
	n := len(r.first)
	return (r.after == "" || r.order(position, r.after) > 0) && (n < r.limit || r.order(position, r.first[n-1].position) < 0)
}

func (r *ranking) add(position string, sec secret.Secret) {
	if !r.takes(position) {
		return
	}
	i, _ := slices.BinarySearchFunc(r.first, position, func(have ranked, position string) int { return r.order(have.position, position) })
	r.first = slices.Insert(r.first, i, ranked{position, sec})
	r.first = r.first[:min(len(r.first), r.limit)]
}
