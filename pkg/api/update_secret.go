package api

import (
	"cmp"
	"context"
	"errors"
	"maps"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/secret"
)

type updateSecretInput struct {
	SecretId           string  `aws:"required,len=1-2048"`
	ClientRequestToken string  `aws:"len=32-64"`
	Description        *string `aws:"len=0-2048"`
	KmsKeyId           *string `aws:"len=0-2048"`
	SecretBinary       []byte  `aws:"len=1-65536,sensitive"`
	SecretString       string  `aws:"len=1-65536,bytes,sensitive"`
	Type               *string `aws:"len=0-256"`
}

type updateSecretOutput struct {
	ARN, Name string
	VersionId string `json:",omitempty"`
}

func (c *call) updateSecret(ctx context.Context, in updateSecretInput) (out updateSecretOutput, err error) {
	id, err := c.server.ARNs.Parse(in.SecretId)
	if err != nil {
		return out, err
	}
	value, given, err := valueOf(in.ClientRequestToken, in.SecretString, in.SecretBinary)
	if err != nil {
		return out, err
	}
	version := ""
	if given {
		version = in.ClientRequestToken
	}
	update := secret.Update{Description: in.Description, Type: in.Type, KMSKey: in.KmsKeyId}
	now, rewrap := c.now(), c.rewrapOnce()
	decide := func(sec secret.Secret) (change secret.Change, err error) {
		if change, err = sec.Update(update, version, now); err != nil {
			return change, err
		}
		if in.KmsKeyId != nil {
			err = cmp.Or(c.server.ARNs.CheckKey(*in.KmsKeyId), c.crossAccount(change.Secret))
		}
		if err != nil || change.Secret.SealingKey() == sec.SealingKey() {
			return change, err
		}
		return rewrap(ctx, sec, change)
	}
	var sec secret.Secret
	if given {
		sec, err = c.put(ctx, id, version, value, decide)
	} else {
		sec, err = c.change(ctx, id, decide)
	}
	if err != nil {
		return out, err
	}
	return updateSecretOutput{sec.ARN, sec.Name, version}, nil
}

// rewrapOnce returns a function that adds to a change that the data keys of the
// versions that have a label after it, all but the one it makes, lie under the
// secret's new KMS key. One data key of one secret is rewrapped once, however often
// it is decided. A version whose old key cannot be used keeps it.
func (c *call) rewrapOnce() func(context.Context, secret.Secret, secret.Change) (secret.Change, error) {
	type task struct{ arn, id, dataKey, to string }
	done := map[task]secret.Sealed{}
	return func(ctx context.Context, sec secret.Secret, change secret.Change) (secret.Change, error) {
		versions, err := c.store.Labelled(ctx, withoutMade(change))
		if err != nil {
			return change, err
		}
		sealed := make([]secret.Sealed, len(versions))
		err = parallel(len(versions), func(i int) (err error) {
			v, ok := versions[i], false
			if sealed[i], ok = done[task{sec.ARN, v.ID, string(v.Sealed.DataKey), change.Secret.SealingKey()}]; !ok {
				sealed[i], err = c.rewrap(ctx, envelope.Place{ARN: sec.ARN, VersionID: v.ID}, v.Sealed, change.Secret.SealingKey())
			}
			return err
		})
		if err != nil {
			return change, err
		}
		for i, v := range versions {
			done[task{sec.ARN, v.ID, string(v.Sealed.DataKey), change.Secret.SealingKey()}] = sealed[i]
			if sealed[i].KeyARN != v.Sealed.KeyARN {
				v.Sealed = sealed[i]
				change.Effects = append(change.Effects, secret.Effect{Kind: secret.Rewrap, Version: v})
			}
		}
		return change, nil
	}
}

// withoutMade is the secret after a change, without the labels of the version it makes.
func withoutMade(change secret.Change) secret.Secret {
	sec := change.Secret
	if v := change.Version; v != nil {
		sec.Stages = maps.Clone(sec.Stages)
		maps.DeleteFunc(sec.Stages, func(_, id string) bool { return id == v.ID })
	}
	return sec
}

// rewrap puts a data key under another KMS key, or leaves it where its own key cannot
// be used any more: a secret can always be moved to a key that works.
func (c *call) rewrap(ctx context.Context, place envelope.Place, sealed secret.Sealed, key string) (secret.Sealed, error) {
	next, err := c.sealer.Rewrap(ctx, place, sealed, key)
	refused, ok := errors.AsType[secret.Error](err)
	if !ok || refused.Code != secret.EncryptionFailure {
		return next, err
	}
	// KMS does not say which of the two keys it refuses.
	if _, err := c.sealer.Seal(ctx, place, key, secret.NewValue(secret.String, nil)); err != nil {
		return next, err
	}
	return sealed, nil
}
