package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type removeRegionsFromReplicationInput struct {
	SecretId             string   `aws:"required,len=1-2048"`
	RemoveReplicaRegions []string `aws:"required,len=1-50,each=1-128,pattern=region"` // as AddReplicaRegions
}

type removeRegionsFromReplicationOutput struct {
	ARN               string
	ReplicationStatus []replicationStatus
}

// removeRegionsFromReplication takes Regions off the list. The replicas there are removed
// after the answer, and are not in the way of a deletion.
func (c *call) removeRegionsFromReplication(ctx context.Context, in removeRegionsFromReplicationInput) (out removeRegionsFromReplicationOutput, err error) {
	id, err := c.server.ARNs.Parse(in.SecretId)
	if err != nil {
		return out, err
	}
	now := c.now()
	sec, err := c.change(ctx, id, func(sec secret.Secret) (secret.Change, error) {
		return sec.RemoveReplicas(in.RemoveReplicaRegions, now)
	})
	if err != nil {
		return out, err
	}
	out.ARN = sec.ARN
	out.ReplicationStatus, err = c.replication(ctx, sec)
	return out, err
}
