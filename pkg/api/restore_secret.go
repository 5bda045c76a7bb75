package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type restoreSecretInput struct {
	SecretId string `aws:"required,len=1-2048"`
}

type restoreSecretOutput struct{ ARN, Name string }

func (s *Server) restoreSecret(ctx context.Context, in restoreSecretInput) (out restoreSecretOutput, err error) {
	id, err := s.ARNs.Parse(in.SecretId)
	if err != nil {
		return out, err
	}
	now := s.now()
	sec, err := s.Store.Update(ctx, id, func(sec secret.Secret) (secret.Change, error) {
		return sec.Restore(now), nil
	})
	if err != nil {
		return out, err
	}
	return restoreSecretOutput{sec.ARN, sec.Name}, nil
}
