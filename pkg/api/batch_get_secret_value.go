package api

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

type batchGetSecretValueInput struct {
	SecretIdList []string `aws:"len=1-20,each=1-2048"`
	Filters      []filter `aws:"most=10"`
	MaxResults   *int     `aws:"range=1-20"`
	NextToken    string   `aws:"len=1-4096"`
}

type batchGetSecretValueOutput struct {
	SecretValues []getSecretValueOutput
	Errors       []batchError
	NextToken    string `json:",omitempty"`
}

// A batchError is the answer that GetSecretValue would have given.
type batchError struct{ SecretId, ErrorCode, Message string }

func (c *call) batchGetSecretValue(ctx context.Context, in batchGetSecretValueInput) (out batchGetSecretValueOutput, err error) {
	switch {
	case (in.SecretIdList == nil) == (in.Filters == nil):
		return out, secret.Errorf(secret.InvalidParameter, "Either 'SecretIdList' or 'Filters' must be provided, but not both.")
	case in.Filters == nil && in.MaxResults != nil:
		return out, secret.Errorf(secret.InvalidParameter, "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.")
	case in.Filters == nil && in.NextToken != "": // a list of IDs is answered at once, so there is no such token
		return out, errNextToken
	}
	var asked []batchItem
	if in.Filters == nil {
		asked, err = c.byID(ctx, in.SecretIdList)
	} else {
		asked, out.NextToken, err = c.filtered(ctx, in)
	}
	if err != nil {
		return out, err
	}
	values, err := c.revealAll(ctx, asked)
	if err != nil {
		return out, err
	}
	out.SecretValues, out.Errors = []getSecretValueOutput{}, []batchError{}
	for i, item := range asked {
		c.recordRead(item, values[i].VersionId)
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
	id      string // as asked
	secret  secret.Secret
	missing bool
	damaged bool // it is there and cannot be read
	err     secret.Error
	// statement is the one of a policy that allowed or denied it.
	statement string
	denial    string // why it was denied
}

// refuse notes why there is no answer, when that is for the caller to know.
func (b *batchItem) refuse(err error) error {
	if refusal, ok := errors.AsType[secret.Error](err); ok {
		b.err = refusal
		return nil
	}
	if _, damaged := errors.AsType[*store.Damaged](err); damaged {
		b.err = fault // the trouble of this secret alone
		return nil
	}
	return err
}

// byID reads the secrets of a list of IDs in one call.
func (c *call) byID(ctx context.Context, ids []string) ([]batchItem, error) {
	items := make([]batchItem, len(ids))
	parsed := make([]secret.ID, len(ids))
	var names []string
	for i, id := range ids {
		items[i].id = id
		var err error
		if parsed[i], err = c.server.ARNs.Parse(id); err != nil {
			items[i].err, _ = errors.AsType[secret.Error](err) // Parse returns no others
			continue
		}
		names = append(names, parsed[i].Name)
	}
	damaged := map[string]bool{}
	secrets, err := c.store.Secrets(ctx, names, func(err error) { // at most 20, so one call
		c.damaged(ctx)(err)
		if d, ok := errors.AsType[*store.Damaged](err); ok {
			damaged[d.Name] = true
		}
	})
	if err != nil {
		return nil, err
	}
	for i := range items {
		sec, ok := secrets[parsed[i].Name]
		switch {
		case items[i].err != (secret.Error{}):
		case !ok || !sec.Is(parsed[i]):
			items[i].secret, items[i].missing, items[i].damaged = c.absent(parsed[i]), true, damaged[parsed[i].Name]
		default:
			items[i].secret = sec
		}
	}
	return items, nil
}

// filtered reads a page of the secrets that pass the filters.
func (c *call) filtered(ctx context.Context, in batchGetSecretValueInput) (items []batchItem, next string, err error) {
	filters, err := filtersOf(in.Filters)
	if err != nil {
		return nil, "", err
	}
	batch := c.decision
	if err := c.authorizeAny("ListSecrets"); err != nil {
		return nil, "", err
	}
	c.decision = batch
	scope := scopeOf("BatchGetSecretValue", filters)
	after, err := c.goOn(ctx, scope, in.NextToken)
	if err != nil {
		return nil, "", err
	}
	found, last, err := c.list(ctx, query{filters: filters, after: after, limit: orDefault(in.MaxResults, 20)})
	for _, sec := range found {
		items = append(items, batchItem{id: sec.ARN, secret: sec})
	}
	if err == nil {
		next, err = c.nextToken(ctx, scope, last)
	}
	return items, next, err
}

// revealAll opens the current versions, some at a time, of those that the caller may
// read. What is refused for one is noted with it; any other error ends the whole.
func (c *call) revealAll(ctx context.Context, items []batchItem) ([]getSecretValueOutput, error) {
	values := make([]getSecretValueOutput, len(items))
	err := parallel(len(items), func(i int) (err error) {
		item := &items[i]
		if item.err != (secret.Error{}) {
			return nil
		}
		if err := c.authorizeRead(ctx, item); err != nil {
			return item.refuse(err)
		}
		values[i], err = c.reveal(ctx, item.secret, "", "", func(ctx context.Context, sec secret.Secret) error {
			item.secret = sec
			return c.authorizeRead(ctx, item)
		})
		return item.refuse(err)
	})
	return values, err
}

// authorizeRead refuses a secret of a batch as GetSecretValue would.
func (c *call) authorizeRead(ctx context.Context, item *batchItem) error {
	var d policy.Decision
	decide := func() (err error) {
		d, err = c.decide(ctx, "GetSecretValue", item.id, item.secret)
		return err
	}
	err := c.onStablePolicy(ctx, &item.secret, decide)
	if isNotFound(err) { // it was there a moment ago
		item.secret, item.missing = c.absent(secret.ID{Name: item.secret.Name}), true
		err = decide()
	}
	if err != nil {
		return err
	}
	item.statement = d.Statement
	switch {
	case !d.Allowed:
		item.denial = d.Explain()
		c.logDenial(ctx, "GetSecretValue", item.id, d)
		return c.denied(ctx, "GetSecretValue", item.id, item.secret, d)
	case item.damaged:
		return fault
	case item.missing:
		return secret.NotFound
	}
	return nil
}
