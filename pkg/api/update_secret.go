package api

import (
	"cmp"
	"context"
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
	id, err := c.ARNs.Parse(in.SecretId)
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
			err = cmp.Or(c.ARNs.CheckKey(*in.KmsKeyId), c.crossAccount(change.Secret))
		}
		if err != nil || change.Secret.SealingKey() == sec.SealingKey() {
			return change, err
		}
		change.Rewrapped, err = rewrap(ctx, sec, change)
		return change, err
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

// rewrapOnce returns a function that puts the data keys of the versions that
// have a label after the change, all but the one it makes, under the secret's new
// KMS key. One data key of one secret that it did already it does not do again.
func (c *call) rewrapOnce() func(context.Context, secret.Secret, secret.Change) ([]secret.Version, error) {
	type task struct{ arn, id, dataKey, to string }
	done := map[task]secret.Version{}
	return func(ctx context.Context, sec secret.Secret, change secret.Change) ([]secret.Version, error) {
		staying := sec
		staying.Stages = maps.Clone(change.Secret.Stages)
		if v := change.Version; v != nil {
			maps.DeleteFunc(staying.Stages, func(_, id string) bool { return id == v.ID })
		}
		versions, err := c.Store.Labelled(ctx, staying)
		if err != nil {
			return nil, err
		}
		rewrapped := make([]secret.Version, len(versions))
		err = parallel(len(versions), func(i int) (err error) {
			v := versions[i]
			var ok bool
			if rewrapped[i], ok = done[task{sec.ARN, v.ID, string(v.Sealed.DataKey), change.Secret.SealingKey()}]; ok {
				return nil
			}
			rewrapped[i] = v
			rewrapped[i].Sealed, err = c.Sealer.Rewrap(ctx, envelope.Place{ARN: sec.ARN, VersionID: v.ID}, v.Sealed, change.Secret.SealingKey())
			return err
		})
		if err != nil {
			return nil, err
		}
		for i, v := range versions {
			done[task{sec.ARN, v.ID, string(v.Sealed.DataKey), change.Secret.SealingKey()}] = rewrapped[i]
		}
		return rewrapped, nil
	}
}
