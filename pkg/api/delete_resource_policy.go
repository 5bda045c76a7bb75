package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type deleteResourcePolicyInput struct {
	SecretId string `aws:"required,len=1-2048"`
}

type deleteResourcePolicyOutput struct{ ARN, Name string }

func (s *Server) deleteResourcePolicy(ctx context.Context, in deleteResourcePolicyInput) (out deleteResourcePolicyOutput, err error) {
	now := s.now()
	sec, err := s.update(ctx, in.SecretId, func(sec secret.Secret) (secret.Change, error) {
		return sec.DeletePolicy(now)
	})
	if err != nil {
		return out, err
	}
	return deleteResourcePolicyOutput{sec.ARN, sec.Name}, nil
}
