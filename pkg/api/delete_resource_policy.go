package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type deleteResourcePolicyInput struct {
	SecretId string `aws:"required,len=1-2048"`
}

type deleteResourcePolicyOutput struct{ ARN, Name string }

func (c *call) deleteResourcePolicy(ctx context.Context, in deleteResourcePolicyInput) (out deleteResourcePolicyOutput, err error) {
	now := c.now()
	sec, err := c.update(ctx, in.SecretId, func(sec secret.Secret) (secret.Change, error) {
		return sec.DeletePolicy(now)
	})
	if err != nil {
		return out, err
	}
	return deleteResourcePolicyOutput{sec.ARN, sec.Name}, nil
}
