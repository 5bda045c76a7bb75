package api

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/pkg/secret"
)

type batchGetSecretValueInput struct {
	SecretIdList []string `aws:"len=1-20,each=1-2048"`
	Filters      []filter
	MaxResults   *int   `aws:"range=1-20"`
	NextToken    string `aws:"len=1-4096"`
}

type batchGetSecretValueOutput struct {
	SecretValues []getSecretValueOutput
	Errors       []batchError
	NextToken    string `json:",omitempty"`
}

// A batchError is the answer that GetSecretValue would have given.
type batchError struct{ SecretId, ErrorCode, Message string }

func (s *Server) batchGetSecretValue(ctx context.Context, in batchGetSecretValueInput) (out batchGetSecretValueOutput, err error) {
	switch {
	case (in.SecretIdList == nil) == (in.Filters == nil):
		return out, secret.Errorf(secret.InvalidParameter, "Either 'SecretIdList' or 'Filters' must be provided, but not both.")
	case in.Filters == nil && in.MaxResults != nil:
		return out, secret.Errorf(secret.InvalidParameter, "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.")
	}
	var asked []batchItem
	if in.Filters == nil {
		asked, err = s.named(ctx, in.SecretIdList)
	} else {
		asked, out.NextToken, err = s.filtered(ctx, in)
	}
	if err != nil {
		return out, err
	}
	values, err := s.revealAll(ctx, asked)
	if err != nil {
		return out, err
	}
	out.SecretValues, out.Errors = []getSecretValueOutput{}, []batchError{}
	for i, item := range asked {
		if item.err == (secret.Error{}) {
			out.SecretValues = append(out.SecretValues, values[i])
		} else {
			out.Errors = append(out.Errors, batchError{item.id, string(item.err.Code), item.err.Message})
		}
	}
	return out, nil
}

// A batchItem is one secret of a batch, or why there is no answer for it.
type batchItem struct {
	id     string // as asked
	secret secret.Secret
	err    secret.Error
}

// named reads the secrets of a list of IDs in one call.
func (s *Server) named(ctx context.Context, ids []string) ([]batchItem, error) {
	items := make([]batchItem, len(ids))
	parsed := make([]secret.ID, len(ids))
	var names []string
	for i, id := range ids {
		items[i].id = id
		var err error
		if parsed[i], err = s.ARNs.Parse(id); err != nil {
			items[i].err, _ = errors.AsType[secret.Error](err) // Parse returns no others
			continue
		}
		names = append(names, parsed[i].Name)
	}
	secrets, err := s.Store.Secrets(ctx, names)
	if err != nil {
		return nil, err
	}
	for i := range items {
		sec, ok := secrets[parsed[i].Name]
		switch {
		case items[i].err != (secret.Error{}):
		case !ok || !sec.Is(parsed[i]):
			items[i].err = secret.NotFound
		default:
			items[i].secret = sec
		}
	}
	return items, nil
}

// filtered reads a page of the secrets that pass the filters.
func (s *Server) filtered(ctx context.Context, in batchGetSecretValueInput) (items []batchItem, next string, err error) {
	filters, err := filtersOf(in.Filters)
	if err != nil {
		return nil, "", err
	}
	scope := scopeOf("BatchGetSecretValue", filters)
	after, err := scope.read(in.NextToken)
	if err != nil {
		return nil, "", err
	}
	found, last, err := s.list(ctx, query{filters: filters, after: after, limit: orDefault(in.MaxResults, 20)})
	for _, sec := range found {
		items = append(items, batchItem{id: sec.ARN, secret: sec})
	}
	return items, scope.write(last), err
}

// revealAll opens the current versions, some at a time. What is refused for one
// is noted with it; any other error ends the whole.
func (s *Server) revealAll(ctx context.Context, items []batchItem) ([]getSecretValueOutput, error) {
	values := make([]getSecretValueOutput, len(items))
	err := parallel(len(items), func(i int) (err error) {
		if items[i].err != (secret.Error{}) {
			return nil
		}
		values[i], err = s.reveal(ctx, items[i].secret, "", "")
		if refusal, ok := errors.AsType[secret.Error](err); ok {
			items[i].err = refusal
			return nil
		}
		return err
	})
	return values, err
}
