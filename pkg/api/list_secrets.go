package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type listSecretsInput struct {
	IncludePlannedDeletion bool
	MaxResults             *int     `aws:"range=1-100"`
	NextToken              string   `aws:"len=1-4096"`
	Filters                []filter `aws:"most=10"`
	SortOrder              string   `aws:"enum=asc|desc"`
	SortBy                 string   `aws:"enum=created-date|last-accessed-date|last-changed-date|name"`
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
// what it returns. By the other dates, every page reads all secrets, or all whose
// names a filter allows.
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
var errManyFilters = secret.Errorf(secret.InvalidParameter, "The filter list has too many filters. You can include up to 10 filters.")

// clients have seen.
func filtersOf(in []filter) ([]secret.Filter, error) {
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
