package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/secret"
)

type restoreSecretInput struct {
	SecretId string `aws:"required,len=1-2048"`
}

type restoreSecretOutput struct{ ARN, Name string }

func (c *call) restoreSecret(ctx context.Context, in restoreSecretInput) (out restoreSecretOutput, err error) {
	now, restored := c.now(), true
	sec, err := c.update(ctx, in.SecretId, func(sec secret.Secret) (secret.Change, error) {
		change := sec.Restore(now)
		restored = !change.IsUnchanged()
		return change, nil
	})
	if err != nil {
		return out, err
	}
	if restored && sec.Committed(c.commit) { // and not one that was not deleted
		c.addVersionEvents(audit.CancelSecretVersionDelete, sec)
	}
	return restoreSecretOutput{sec.ARN, sec.Name}, nil
}
