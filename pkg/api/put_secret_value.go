package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type putSecretValueInput struct {
	SecretId           string   `aws:"required,len=1-2048"`
	ClientRequestToken string   `aws:"len=32-64"`
	SecretBinary       []byte   `aws:"len=1-65536,sensitive"`
	SecretString       string   `aws:"len=1-65536,bytes,sensitive"`
	VersionStages      []string `aws:"len=1-20,each=1-256"`
	// RotationToken is that of the lease, from the rotation function. Any other is
	// refused, but in an exact repeat of a put.
	RotationToken string `aws:"len=36-256,pattern=rotationToken,sensitive"`
}

type putSecretValueOutput struct {
	ARN, Name, VersionId string
	VersionStages        []string `json:",omitempty"`
}

func (c *call) putSecretValue(ctx context.Context, in putSecretValueInput) (out putSecretValueOutput, err error) {
	id, err := c.server.ARNs.Parse(in.SecretId)
	if err != nil {
		return out, err
	}
	if in.ClientRequestToken == "" {
		return out, errNoToken
	}
	value, given, err := valueOf(in.ClientRequestToken, in.SecretString, in.SecretBinary)
	if err != nil {
		return out, err
	}
	if !given {
		return out, secret.Errorf(secret.InvalidRequest, "You must provide either SecretString or SecretBinary.")
	}
	now := c.now()
	c.isRotating = func(sec secret.Secret) bool {
		return sec.IsRotating(in.RotationToken, in.ClientRequestToken, now)
	}
	sec, err := c.put(ctx, id, in.ClientRequestToken, value, func(sec secret.Secret) (secret.Change, error) {
		if err := sec.Active(); err != nil {
			return secret.Change{}, err
		}
		if in.RotationToken != "" && !c.isRotating(sec) {
			return secret.Change{}, secret.ErrRotationToken
		}
		return sec.Put(in.ClientRequestToken, in.VersionStages, now)
	})
	if err != nil {
		return out, err
	}
	return putSecretValueOutput{sec.ARN, sec.Name, in.ClientRequestToken, sec.Stages.Of(in.ClientRequestToken)}, nil
}
