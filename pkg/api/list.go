package api

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A query is a page of a list of secrets.
type query struct {
	filters    []secret.Filter
	matcher    secret.Matcher // of the filters
	prefixes   []string       // of the names that can pass them
	sortBy     string         // as in ListSecrets; empty for created-date
	descending bool
	deleted    bool // also those scheduled for deletion
	// after is where the last page ended: a position in the order, that of a
	// secret that may be gone by now.
	after string
	limit int
}

func (q query) takes(sec secret.Secret) bool {
	return (q.deleted || sec.Deletion.IsZero()) && q.matcher.Takes(sec)
}

// list returns a page and where the next one goes on, empty for nowhere. There is a next
// one exactly when it has a secret that the caller may see: the pages, and the tokens
// between them, are those of a table without all other secrets. They show only when a
// call has no time left to pass over them: it then ends its page where it is.
func (c *call) list(ctx context.Context, q query) (found []secret.Secret, next string, err error) {
	if !c.seesAll() {
		c.paced.Store(true)
	}
	q.matcher, q.prefixes = secret.NewMatcher(q.filters), secret.NamePrefixes(q.filters)
	switch q.sortBy {
	case "last-accessed-date":
		return c.gather(ctx, q, func(d store.Dates) time.Time { return d.Accessed })
	case "last-changed-date":
		return c.gather(ctx, q, func(d store.Dates) time.Time { return d.Changed })
	case "name":
		return c.walk(ctx, q, c.byName(q.prefixes, q.descending))
	}
	rows, err := c.byCreation(ctx, q)
	if err != nil {
		return nil, "", err
	}
	return c.walk(ctx, q, rows)
}

const (
	// maxSort bounds how many rows one call sorts.
	maxSort = 2000
	// lookAhead bounds how many secrets are read at a time: one round of the calls that
	// are made in parallel. rowsAtOnce bounds how many rows are: three rounds.
	lookAhead  = 800
	rowsAtOnce = 2400
)

// A source lists rows of the directory in some order: those after a position, as many
// as asked for if there are as many, and whether there may be more.
type source func(ctx context.Context, after string, limit int) (rows []store.Row, more bool, err error)

// walk lists in the order of a source. It reads as many secrets as there is room for,
// and one more, which says whether there is another page; where some are passed over,
// as many more. Rows that are passed over by their name are not read.
func (c *call) walk(ctx context.Context, q query, list source) (found []secret.Secret, next string, err error) {
	timed, cancel := withTimeToAnswer(ctx)
	defer cancel()
	for after, read, skipped := q.after, 0, 0; ; {
		look := min(q.limit+1-len(found)+read-len(found), lookAhead)
		rows, names, secrets, more, err := c.look(timed, q, list, after, look, min(look+skipped, rowsAtOnce))
		switch {
		case err != nil && after != q.after && errors.Is(timed.Err(), context.DeadlineExceeded):
			return found, after, nil
		case err != nil:
			return nil, "", err
		}
		for _, row := range rows {
			after = row.Position
			// A secret that was deleted and made again since has another row.
			sec, ok := secrets[row.Name]
			switch {
			case !ok || !row.Of(sec):
				continue
			case len(found) == q.limit:
				return found, next, nil
			}
			found, next = append(found, sec), after
		}
		if !more {
			return found, "", nil
		}
		read, skipped = read+len(names), skipped+len(rows)-len(names)
	}
}

// look reads the next rows, and up to a limit of the secrets in them. Where a list of a
// caller who may not see all begins with no secret to read, it reads one that is not
// there: that takes the calls which it takes to find some that they may not see.
func (c *call) look(ctx context.Context, q query, list source, after string, limit, rowLimit int) (rows []store.Row, names []string, secrets map[string]secret.Secret, more bool, err error) {
	rows, more, err = list(ctx, after, rowLimit)
	if err != nil {
		return nil, nil, nil, false, err
	}
	names, n := c.names(ctx, q, rows, limit)
	read := names
	if len(names) == 0 && after == q.after && c.paced.Load() && len(q.prefixes) > 0 {
		read = []string{""}
	}
	secrets, err = c.taken(ctx, read, q.takes)
	return rows[:n], names, secrets, more || n < len(rows), err
}

// names are the secrets in the first n rows that are worth reading: as many as the
// limit says.
func (c *call) names(ctx context.Context, q query, rows []store.Row, limit int) (names []string, n int) {
	for n < len(rows) && len(names) < limit {
		row := rows[n]
		n++
		switch {
		case row.Err != nil:
			c.damaged(ctx)(row.Err)
		case q.matcher.MayTake(row.Name):
			names = append(names, row.Name)
		}
	}
	return names, n
}

// taken reads the secrets that are asked for and that the caller may see.
func (c *call) taken(ctx context.Context, names []string, asked func(secret.Secret) bool) (map[string]secret.Secret, error) {
	secrets, err := c.secrets(ctx, names)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(secrets, func(_ string, sec secret.Secret) bool { return !asked(sec) })
	return secrets, c.visible(ctx, secrets)
}

// secrets reads secrets by name. What cannot be read is left out and logged.
func (c *call) secrets(ctx context.Context, names []string) (map[string]secret.Secret, error) {
	return inBatches(names, func(names []string) (map[string]secret.Secret, error) {
		return c.store.Secrets(ctx, names, c.damaged(ctx))
	})
}

// inBatches reads something of secrets, as many of them at a time as one call reads, and
// some batches at the same time.
func inBatches[V any](names []string, read func(names []string) (map[string]V, error)) (map[string]V, error) {
	batches := slices.Collect(slices.Chunk(names, store.MaxBatch))
	found := make([]map[string]V, len(batches))
	err := parallel(len(batches), func(i int) (err error) {
		found[i], err = read(batches[i])
		return err
	})
	all := make(map[string]V, len(names))
	for _, some := range found {
		maps.Copy(all, some)
	}
	return all, err
}

// byName lists the names with these prefixes.
func (c *call) byName(prefixes []string, descending bool) source {
	return func(ctx context.Context, after string, limit int) (rows []store.Row, more bool, err error) {
		for _, prefix := range remaining(prefixes, after, descending) {
			walk := store.Walk{Order: store.ByName, Descending: descending, Prefix: prefix}
			if strings.HasPrefix(after, prefix) {
				walk.After = after
			}
			for more = true; more; {
				if len(rows) == limit {
					return rows, true, nil
				}
				walk.Limit = limit - len(rows)
				var found []store.Row
				if found, more, err = c.store.Directory(ctx, walk); err != nil {
					return nil, false, err
				}
				if rows = append(rows, found...); len(found) > 0 {
					walk.After = found[len(found)-1].Position
				}
			}
		}
		return rows, false, nil
	}
}

// remaining are the prefixes, in the order to walk them, of names that come after a name.
// Each name has one of the prefixes at most.
func remaining(prefixes []string, after string, descending bool) []string {
	prefixes = slices.Clone(prefixes)
	if descending {
		slices.Reverse(prefixes)
	}
	return slices.DeleteFunc(prefixes, func(prefix string) bool {
		return after != "" && !strings.HasPrefix(after, prefix) && (prefix < after) != descending
	})
}

// byCreation lists by the date of creation. Names with few prefixes are sorted here
// when one call can look at all of them; otherwise it costs less to pass over the
// others in the directory that is in this order.
func (c *call) byCreation(ctx context.Context, q query) (source, error) {
	all := func(ctx context.Context, after string, limit int) ([]store.Row, bool, error) {
		return c.store.Directory(ctx, store.Walk{Order: store.ByCreated, Descending: q.descending, After: after, Limit: limit})
	}
	if slices.Contains(q.prefixes, "") {
		return all, nil
	}
	rows, more, err := c.byName(q.prefixes, false)(ctx, "", maxSort)
	if more || err != nil {
		return all, err
	}
	rows, err = c.dated(ctx, rows)
	return sorted(rows, q.descending), err
}

// dated are rows by name with their positions by date of creation. Rows that are older
// than this date in them get it from their secrets.
func (c *call) dated(ctx context.Context, rows []store.Row) ([]store.Row, error) {
	var old []string
	for _, row := range rows {
		if row.Err == nil && row.Created.IsZero() {
			old = append(old, row.Name)
		}
	}
	secrets, err := c.secrets(ctx, old)
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		if sec, ok := secrets[row.Name]; ok && row.Of(sec) {
			row.Created = sec.Created
		}
		rows[i].Position = store.Position(row.Created, row.Name)
	}
	return rows, nil
}

// sorted lists rows by their positions.
func sorted(rows []store.Row, descending bool) source {
	order := orderOf(descending)
	slices.SortFunc(rows, func(a, b store.Row) int { return order(a.Position, b.Position) })
	return func(_ context.Context, after string, limit int) ([]store.Row, bool, error) {
		from := 0
		if after != "" {
			from, _ = slices.BinarySearchFunc(rows, after, func(row store.Row, after string) int { return cmp.Or(order(row.Position, after), -1) })
		}
		to := min(from+limit, len(rows))
		return rows[from:to], to < len(rows), nil
	}
}

// orderOf compares positions.
func orderOf(descending bool) func(a, b string) int {
	if descending {
		return func(a, b string) int { return strings.Compare(b, a) }
	}
	return strings.Compare
}
