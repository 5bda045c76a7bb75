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

// update changes the secret that a request names, as decide says. When that
// leaves it with more versions than it keeps, the prune function is to look at it.
func (s *Server) update(ctx context.Context, secretID string, decide func(secret.Secret) (secret.Change, error)) (secret.Secret, error) {
	id, err := s.ARNs.Parse(secretID)
	if err != nil {
		return secret.Secret{}, err
	}
	return s.Store.Update(ctx, id, func(sec secret.Secret) (secret.Change, error) {
		change, err := decide(sec)
		change.Look = change.Look || change.Secret.Overfull(s.Retention)
		return change, err
	})
}
