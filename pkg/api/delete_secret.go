package api

import (
	"context"
	"errors"
	"time"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

type deleteSecretInput struct {
	SecretId                   string `aws:"required,len=1-2048"`
	RecoveryWindowInDays       *int
	ForceDeleteWithoutRecovery *bool
}

type deleteSecretOutput struct {
	ARN, Name    string
	DeletionDate timestamp
}

func (c *call) deleteSecret(ctx context.Context, in deleteSecretInput) (out deleteSecretOutput, err error) {
	id, err := c.server.ARNs.Parse(in.SecretId)
	if err != nil {
		return out, err
	}
	if days := in.RecoveryWindowInDays; days != nil {
		// It comes before the next check (recorded).
		if err := secret.CheckRecoveryWindow(*days); err != nil {
			return out, err
		}
	}
	force := orDefault(in.ForceDeleteWithoutRecovery, false)
	if force && in.RecoveryWindowInDays != nil {
		return out, secret.Errorf(secret.InvalidParameter, "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	}
	now := c.now()
	if force {
		return c.removeSecret(ctx, id, in.SecretId, now)
	}
	sec, err := c.change(ctx, id, func(sec secret.Secret) (secret.Change, error) {
		if err := sec.Unreplicated(in.SecretId); err != nil {
			return secret.Change{}, err
		}
		return sec.Delete(orDefault(in.RecoveryWindowInDays, secret.DefaultRecoveryDays), now)
	})
	if err != nil {
		return out, err
	}
	if sec.Deletion.IsZero() { // an earlier try did it, and it was restored since
		return deleteSecretOutput{sec.ARN, sec.Name, timestamp(now.AddDate(0, 0, orDefault(in.RecoveryWindowInDays, secret.DefaultRecoveryDays)))}, nil
	}
	c.addVersionEvents(audit.StartSecretVersionDelete, sec)
	return deleteSecretOutput{sec.ARN, sec.Name, timestamp(sec.Deletion)}, nil
}

// addVersionEvents adds a record for each version of a secret that has a label.
func (c *call) addVersionEvents(event string, sec secret.Secret) {
	for _, r := range audit.VersionEvents(event, c.at, sec.ARN, sec.Stages.Versions()) {
		c.addEvent(r)
	}
}

// removeSecret deletes at once. A secret that is not there is deleted as well, under
// an ARN made up for the answer (recorded).
func (c *call) removeSecret(ctx context.Context, id secret.ID, named string, now time.Time) (out deleteSecretOutput, err error) {
	if c.again {
		if removed, found, err := c.removedBefore(ctx, id); err != nil || found {
			return deleteSecretOutput{c.store.ARN(removed), id.Name, timestamp(now)}, err
		}
	}
	sec, err := c.change(ctx, id, func(sec secret.Secret) (secret.Change, error) {
		return sec.Remove(now), sec.Unreplicated(named)
	})
	arn := sec.ARN
	if _, damaged := errors.AsType[*store.Damaged](err); damaged {
		arn, err = c.removeDamaged(ctx, id, now)
	}
	if errors.Is(err, secret.NotFound) {
		suffix := id.Suffix
		if suffix == "" {
			suffix = c.server.newSuffix()
		}
		return deleteSecretOutput{c.server.ARNs.Of(id.Name, suffix), id.Name, timestamp(now)}, nil
	}
	if err == nil && sec.ARN != "" {
		c.addVersionEvents(audit.StartSecretVersionDelete, sec)
	}
	return deleteSecretOutput{arn, id.Name, timestamp(now)}, err
}

// removedBefore is the secret that an earlier try of this call removed. To remove the
// name again could remove a secret that was made since.
func (c *call) removedBefore(ctx context.Context, id secret.ID) (removed secret.ID, found bool, err error) {
	if err := c.missingOrDenied(ctx, id, secret.NotFound); !errors.Is(err, secret.NotFound) {
		return removed, false, nil // policies on a secret may allow what those of the caller do not
	}
	return c.store.RemovedBy(ctx, id.Name, c.commit)
}

// removeDamaged removes a secret that cannot be read. Its caller may when policies
// allow it of any secret of that name: what is on the secret is not known. One that can
// be read by now is [store.ErrBusy]: the call is to be made again.
func (c *call) removeDamaged(ctx context.Context, id secret.ID, now time.Time) (arn string, err error) {
	if err := c.authorize(ctx, c.absent(id)); err != nil {
		return "", err
	}
	arn, err = c.store.RemoveDamaged(ctx, id, now)
	if errors.Is(err, store.ErrMoved) {
		err = store.ErrBusy
	}
	return arn, err
}
