package api

import (
	"cmp"
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type cancelRotateSecretInput struct {
	SecretId string `aws:"required,len=1-2048"`
}

type cancelRotateSecretOutput struct {
	ARN, Name string
	// VersionId is the version of the rotation that was cancelled, now or before, or
	// one that has AWSPENDING.
	VersionId string `json:",omitempty"`
}

func (c *call) cancelRotateSecret(ctx context.Context, in cancelRotateSecretInput) (out cancelRotateSecretOutput, err error) {
	now := c.now()
	sec, err := c.update(ctx, in.SecretId, func(sec secret.Secret) (secret.Change, error) {
		return sec.CancelRotation(now)
	})
	if err != nil {
		return out, err
	}
	return cancelRotateSecretOutput{sec.ARN, sec.Name, cmp.Or(sec.Rotation.Run().Version, sec.Unfinished())}, nil
}
