package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

// find reads the secret that a request names.
func (s *Server) find(ctx context.Context, secretID string) (secret.Secret, error) {
	id, err := s.ARNs.Parse(secretID)
	if err != nil {
		return secret.Secret{}, err
	}
	return s.Store.Get(ctx, id)
}

// update changes the secret that a request names, as decide says.
func (s *Server) update(ctx context.Context, secretID string, decide decision) (secret.Secret, error) {
	id, err := s.ARNs.Parse(secretID)
	if err != nil {
		return secret.Secret{}, err
	}
	return s.Store.Update(ctx, id, s.watched(decide))
}

// watched has the prune function look at a secret that a change leaves with more
// versions than it keeps.
func (s *Server) watched(decide decision) decision {
	return func(sec secret.Secret) (secret.Change, error) {
		change, err := decide(sec)
		change.Look = change.Secret.Overfull(s.Retention)
		return change, err
	}
}

// A decision says what becomes of a secret; see [store.Store.Update].
type decision = func(secret.Secret) (secret.Change, error)
