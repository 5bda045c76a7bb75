package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type untagResourceInput struct {
	SecretId string   `aws:"required,len=1-2048"`
	TagKeys  []string `aws:"required,most=50,each=1-128"`
}

func (c *call) untagResource(ctx context.Context, in untagResourceInput) (out nothing, err error) {
	now := c.now()
	_, err = c.update(ctx, in.SecretId, func(sec secret.Secret) (secret.Change, error) {
		return sec.UntagResource(in.TagKeys, now)
	})
	return out, err
}
