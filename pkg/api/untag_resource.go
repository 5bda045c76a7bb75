package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type untagResourceInput struct {
	SecretId string   `aws:"required,len=1-2048"`
	TagKeys  []string `aws:"required,each=1-128"`
}

func (s *Server) untagResource(ctx context.Context, in untagResourceInput) (out nothing, err error) {
	now := s.now()
	_, err = s.update(ctx, in.SecretId, func(sec secret.Secret) (secret.Change, error) {
		return sec.UntagResource(in.TagKeys, now)
	})
	return out, err
}
