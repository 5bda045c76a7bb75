package api

import (
	"context"
	"log/slog"

	"github.com/strongroom/strongroom/pkg/secret"
)

// find reads the secret that a request names, when the caller may make this call
// about it.
func (c *call) find(ctx context.Context, secretID string) (secret.Secret, error) {
	id, err := c.server.ARNs.Parse(secretID)
	if err != nil {
		return secret.Secret{}, err
	}
	return c.findID(ctx, id)
}

func (c *call) findID(ctx context.Context, id secret.ID) (secret.Secret, error) {
	sec, err := c.store.Get(ctx, id)
	if err == nil {
		err = c.onStablePolicy(ctx, &sec, func() error { return c.authorize(ctx, sec) })
	}
	if c.isMissing(err) {
		return sec, c.missingOrDenied(ctx, id, err)
	}
	return sec, err
}

// update changes the secret that a request names, as decide says.
func (c *call) update(ctx context.Context, secretID string, decide decision) (secret.Secret, error) {
	id, err := c.server.ARNs.Parse(secretID)
	if err != nil {
		return secret.Secret{}, err
	}
	return c.change(ctx, id, c.notingPruning(decide))
}

// notingPruning has the prune function look at a secret that a change leaves with more
// versions than it keeps.
func (c *call) notingPruning(decide decision) decision {
	return func(sec secret.Secret) (secret.Change, error) {
		change, err := decide(sec)
		if change.Pruning == secret.AsNoted && change.Secret.Overfull(c.server.Retention) {
			change.Pruning = secret.Soon
		}
		return change, err
	}
}

// damaged returns a function that logs what cannot be read of a secret. It is the
// trouble of that secret alone: lists leave it out.
func (c *call) damaged(ctx context.Context) func(error) {
	return func(err error) {
		if c.server.Log != nil {
			c.server.Log.ErrorContext(ctx, "a secret is left out of a list; verify the table", slog.String("error", err.Error()))
		}
	}
}

// A decision says what becomes of a secret; see [store.Store.Update].
type decision = func(secret.Secret) (secret.Change, error)
