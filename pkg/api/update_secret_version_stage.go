package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type updateSecretVersionStageInput struct {
	SecretId            string `aws:"required,len=1-2048"`
	VersionStage        string `aws:"required,len=1-256"`
	RemoveFromVersionId string `aws:"len=32-64"`
	MoveToVersionId     string `aws:"len=32-64"`
}

type updateSecretVersionStageOutput struct{ ARN, Name string }

func (c *call) updateSecretVersionStage(ctx context.Context, in updateSecretVersionStageInput) (out updateSecretVersionStageOutput, err error) {
	now := c.now()
	sec, err := c.update(ctx, in.SecretId, func(sec secret.Secret) (secret.Change, error) {
		return sec.MoveStage(in.VersionStage, in.RemoveFromVersionId, in.MoveToVersionId, now)
	})
	if err != nil {
		return out, err
	}
	return updateSecretVersionStageOutput{sec.ARN, sec.Name}, nil
}
