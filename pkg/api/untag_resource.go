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
	id, err := s.ARNs.Parse(in.SecretId)
	if err != nil {
		return out, err
	}
	now := s.now()
	_, err = s.Store.Update(ctx, id, func(sec secret.Secret) (secret.Change, error) {
		return sec.UntagResource(in.TagKeys, now)
	})
	return out, err
}
