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
func (s *Server) update(ctx context.Context, secretID string, decide func(secret.Secret) (secret.Change, error)) (secret.Secret, error) {
	id, err := s.ARNs.Parse(secretID)
	if err != nil {
		return secret.Secret{}, err
	}
	return s.Store.Update(ctx, id, decide)
}
