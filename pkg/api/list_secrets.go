package api

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

type listSecretsInput struct {
	IncludePlannedDeletion bool
	MaxResults             *int   `aws:"range=1-100"`
	NextToken              string `aws:"len=1-4096"`
	Filters                []filter
	SortOrder              string `aws:"enum=asc|desc"`
	SortBy                 string `aws:"enum=created-date|last-accessed-date|last-changed-date|name"`
}

type filter struct {
	Key    string   `aws:"enum=all|name|tag-key|description|tag-value|primary-region|owning-service"`
	Values []string `aws:"len=1-10,each=0-512,pattern=filterValue"`
}

type listSecretsOutput struct {
	SecretList []listEntry
	NextToken  string `json:",omitempty"`
}

type listEntry struct {
	secretEntry
	SecretVersionsToStages map[string][]string `json:",omitempty"`
}

// listSecrets lists what is there now, a secret created a moment ago included;
// AWS's list trails by up to five minutes. By name and by creation a page costs
// what it returns. By the other dates, every page reads all secrets.
func (c *call) listSecrets(ctx context.Context, in listSecretsInput) (out listSecretsOutput, err error) {
	filters, err := filtersOf(in.Filters)
	if err != nil {
		return out, err
	}
	scope := scopeOf("ListSecrets", in.IncludePlannedDeletion, filters, in.SortBy, in.SortOrder)
	after, err := c.goOn(ctx, scope, in.NextToken)
	if err != nil {
		return out, err
	}
	found, next, err := c.list(ctx, query{
		filters:    filters,
		sortBy:     in.SortBy,
		descending: in.SortOrder == "desc",
		deleted:    in.IncludePlannedDeletion,
		after:      after,
		limit:      orDefault(in.MaxResults, 100),
	})
	if err != nil {
		return out, err
	}
	out = listSecretsOutput{SecretList: make([]listEntry, 0, len(found))}
	for _, sec := range found {
		out.SecretList = append(out.SecretList, listEntry{entryOf(sec), stagesByVersion(sec.Stages)})
	}
	out.NextToken, err = c.nextToken(ctx, scope, next)
	return out, err
}

// filtersOf checks what the service model cannot say. The texts are those other
// clients have seen.
func filtersOf(in []filter) ([]secret.Filter, error) {
	if len(in) > 10 {
		return nil, secret.Errorf(secret.InvalidParameter, "The filter list has too many filters. You can include up to 10 filters.")
	}
	var filters []secret.Filter
	for _, f := range in {
		if f.Key == "" {
			return nil, secret.Errorf(secret.InvalidParameter, "Invalid filter key")
		}
		if f.Values == nil {
			return nil, secret.Errorf(secret.InvalidParameter, "Invalid filter values for key: %s", f.Key)
		}
		filters = append(filters, secret.Filter{Key: secret.FilterKey(f.Key), Values: f.Values})
	}
	return filters, nil
}

// A query is a page of a list of secrets.
type query struct {
	filters    []secret.Filter
	matcher    secret.Matcher // of the filters
	sortBy     string         // as in ListSecrets; empty for created-date
	descending bool
	deleted    bool // also those scheduled for deletion
	// after is where the last page ended: a place in the order, that of a
	// secret that may be gone by now.
	after string
	limit int
}

func (q query) takes(sec secret.Secret) bool {
	return (q.deleted || sec.Deletion.IsZero()) && q.matcher.Takes(sec)
}

// list returns a page and where the next one goes on, empty for nowhere.
func (c *call) list(ctx context.Context, q query) (found []secret.Secret, next string, err error) {
	q.matcher = secret.NewMatcher(q.filters)
	switch q.sortBy {
	case "last-accessed-date":
		return c.gather(ctx, q, func(sec secret.Secret) time.Time { return sec.Accessed })
	case "last-changed-date":
		return c.gather(ctx, q, func(sec secret.Secret) time.Time { return sec.Changed })
	}
	return c.walk(ctx, q)
}

const (
	// maxLook bounds how many secrets one page looks at. A page that finds
	// little may be short, or empty, and go on with its token.
	maxLook = 2000
	// lookAhead bounds how many of them are read at a time.
	lookAhead = 100
)

// walk lists in an order of the directory. It looks at as many secrets as there
// is room for; where some of them are not for this list, at twice as many each
// time.
func (c *call) walk(ctx context.Context, q query) (found []secret.Secret, next string, err error) {
	walk := store.Walk{Order: store.ByCreated, Descending: q.descending, After: q.after}
	if q.sortBy == "name" {
		walk.Order, walk.Prefix = store.ByName, secret.NamePrefix(q.filters)
	}
	for looked := 0; looked < maxLook; {
		look := min(max(q.limit-len(found), looked), lookAhead)
		walk.Limit = look + 1 // one more says whether there are more
		rows, more, err := c.Store.Directory(ctx, walk)
		if err != nil {
			return nil, "", err
		}
		if len(rows) > look {
			rows, more = rows[:look], true
		}
		secrets, err := c.taken(ctx, q, rows)
		if err != nil {
			return nil, "", err
		}
		for _, row := range rows {
			if len(found) == q.limit {
				return found, walk.After, nil
			}
			walk.After = row.Position
			// A secret that was deleted and made again since has another row.
			if sec, ok := secrets[row.Name]; ok && row.Of(sec) {
				found = append(found, sec)
			}
		}
		switch {
		case !more:
			return found, "", nil
		case len(found) == q.limit:
			return found, walk.After, nil
		}
		looked += len(rows)
	}
	return found, walk.After, nil
}

// taken reads the secrets in the rows that the query takes, and that its caller may
// see.
func (c *call) taken(ctx context.Context, q query, rows []store.Row) (map[string]secret.Secret, error) {
	secrets, err := c.Store.Secrets(ctx, q.names(rows), c.damaged(ctx))
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(secrets, func(_ string, sec secret.Secret) bool { return !q.takes(sec) })
	return secrets, c.visible(ctx, secrets)
}

// names are the secrets in the rows that are worth reading.
func (q query) names(rows []store.Row) []string {
	var names []string
	for _, row := range rows {
		if q.matcher.MayTake(row.Name) {
			names = append(names, row.Name)
		}
	}
	return names
}

// A place is where a secret is in the order of a date.
type place struct {
	date time.Time
	name string
}

func (p place) compare(o place) int {
	return cmp.Or(p.date.Compare(o.date), strings.Compare(p.name, o.name))
}

func (p place) String() string { return p.date.Format(time.RFC3339Nano) + "#" + p.name }

func parsePlace(s string) place {
	date, name, _ := strings.Cut(s, "#")
	at, _ := time.Parse(time.RFC3339Nano, date) // written by String
	return place{at, name}
}

// gather lists in the order of a date that no index has: it reads every secret
// for each page.
func (c *call) gather(ctx context.Context, q query, date func(secret.Secret) time.Time) (found []secret.Secret, next string, err error) {
	all, err := c.all(ctx, q)
	if err != nil {
		return nil, "", err
	}
	at := func(sec secret.Secret) place { return place{date(sec), sec.Name} }
	sign := 1
	if q.descending {
		sign = -1
	}
	if q.after != "" {
		after := parsePlace(q.after)
		all = slices.DeleteFunc(all, func(sec secret.Secret) bool { return sign*at(sec).compare(after) <= 0 })
	}
	slices.SortFunc(all, func(a, b secret.Secret) int { return sign * at(a).compare(at(b)) })
	if len(all) <= q.limit {
		return all, "", nil
	}
	return all[:q.limit], at(all[q.limit-1]).String(), nil
}

// all reads every secret that the query takes, a thousand rows at a time.
func (c *call) all(ctx context.Context, q query) ([]secret.Secret, error) {
	const rowsAtOnce = 1000
	walk := store.Walk{Order: store.ByName, Prefix: secret.NamePrefix(q.filters), Limit: rowsAtOnce}
	var all []secret.Secret
	for {
		rows, more, err := c.Store.Directory(ctx, walk)
		if err != nil {
			return nil, err
		}
		secrets, err := c.taken(ctx, q, rows)
		if err != nil {
			return nil, err
		}
		for _, sec := range secrets {
			all = append(all, sec)
		}
		if !more {
			return all, nil
		}
		walk.After = rows[len(rows)-1].Position
	}
}
