package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type tagResourceInput struct {
	SecretId string `aws:"required,len=1-2048"`
	Tags     []tag  `aws:"required,most=50"`
}

// nothing is the answer of an operation that the service model gives no output.
type nothing struct{}

func (c *call) tagResource(ctx context.Context, in tagResourceInput) (out nothing, err error) {
	now := c.now()
	_, err = c.update(ctx, in.SecretId, func(sec secret.Secret) (secret.Change, error) {
		return sec.TagResource(tagsOf(in.Tags), now)
	})
	return out, err
}
