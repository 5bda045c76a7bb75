package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type stopReplicationToReplicaInput struct {
	SecretId string `aws:"required,len=1-2048"`
}

type stopReplicationToReplicaOutput struct {
	ARN string
}

// stopReplicationToReplica makes a replica a secret of its own. It asks nothing of the
// Region of the primary, which may be gone.
func (c *call) stopReplicationToReplica(ctx context.Context, in stopReplicationToReplicaInput) (out stopReplicationToReplicaOutput, err error) {
	id, err := c.server.ARNs.Parse(in.SecretId)
	if err != nil {
		return out, err
	}
	now := c.now()
	sec, err := c.change(ctx, id, func(sec secret.Secret) (secret.Change, error) { return sec.Promote(now) })
	if err != nil {
		return out, err
	}
	return stopReplicationToReplicaOutput{sec.ARN}, nil
}
