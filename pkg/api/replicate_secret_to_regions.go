package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type replicateSecretToRegionsInput struct {
	SecretId                    string          `aws:"required,len=1-2048"`
	AddReplicaRegions           []replicaRegion `aws:"required,len=1-50"` // the model has no upper bound; there are fewer Regions
	ForceOverwriteReplicaSecret *bool
}

type replicateSecretToRegionsOutput struct {
	ARN               string
	ReplicationStatus []replicationStatus `json:",omitempty"`
}

func (c *call) replicateSecretToRegions(ctx context.Context, in replicateSecretToRegionsInput) (out replicateSecretToRegionsOutput, err error) {
	id, err := c.server.ARNs.Parse(in.SecretId)
	if err != nil {
		return out, err
	}
	now := c.now()
	sec, err := c.change(ctx, id, func(sec secret.Secret) (secret.Change, error) {
		replicas, err := c.replicasOf(in.AddReplicaRegions, in.ForceOverwriteReplicaSecret)
		if err != nil {
			return secret.Change{}, err
		}
		return sec.Replicate(replicas, now)
	})
	if err != nil {
		return out, err
	}
	out.ARN = sec.ARN
	out.ReplicationStatus, err = c.replication(ctx, sec)
	return out, err
}
