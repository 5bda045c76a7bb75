package api

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// find reads the secret that a request names, when the caller may make this call
// about it.
func (c *call) find(ctx context.Context, secretID string) (secret.Secret, error) {
	id, err := c.ARNs.Parse(secretID)
	if err != nil {
		return secret.Secret{}, err
	}
	const tries = 3 // its policy may be changed between two reads
	var sec secret.Secret
	for range tries {
		sec, err = c.Store.Get(ctx, id)
		if isNotFound(err) {
			return sec, c.missing(ctx, id)
		}
		if err != nil {
			return sec, err
		}
		if err = c.may(ctx, sec); !errors.Is(err, store.ErrBusy) {
			break
		}
	}
	return sec, err
}

// update changes the secret that a request names, as decide says.
func (c *call) update(ctx context.Context, secretID string, decide decision) (secret.Secret, error) {
	id, err := c.ARNs.Parse(secretID)
	if err != nil {
		return secret.Secret{}, err
	}
	return c.change(ctx, id, c.watched(decide))
}

// watched has the prune function look at a secret that a change leaves with more
// versions than it keeps.
func (c *call) watched(decide decision) decision {
	return func(sec secret.Secret) (secret.Change, error) {
		change, err := decide(sec)
		change.Look = change.Secret.Overfull(c.Retention)
		return change, err
	}
}

// A decision says what becomes of a secret; see [store.Store.Update].
type decision = func(secret.Secret) (secret.Change, error)
