package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/secret"
)

type replicaRegion struct {
	Region   string `aws:"len=1-128,pattern=region"`
	KmsKeyId string `aws:"len=0-2048"`
}

// replicationStatus is what is told of a replica. When a value of it was read last is
// known in its own Region alone, so there is no LastAccessedDate.
type replicationStatus struct {
	Region        string
	KmsKeyId      string `json:",omitempty"`
	Status        string
	StatusMessage string `json:",omitempty"`
}

// The states of a replica.
const (
	inSync     = "InSync"
	inProgress = "InProgress"
	failed     = "Failed"
)

// replicasOf are the Regions that a request adds, as far as this deployment replicates to
// them and their KMS keys can be.
func (c *call) replicasOf(regions []replicaRegion, overwrite *bool) ([]secret.Replica, error) {
	replicas := make([]secret.Replica, len(regions))
	for i, r := range regions {
		if r.Region == "" {
			return nil, secret.ErrReplicaRegion
		}
		if there := c.server.ARNs; r.Region != there.Region {
			if !c.server.replicates(r.Region) {
				return nil, secret.Errorf(secret.InvalidParameter, "Invalid replica region. This deployment does not replicate to %s.", r.Region)
			}
			there.Region = r.Region
			if err := there.CheckKey(r.KmsKeyId); err != nil {
				return nil, err
			}
		}
		replicas[i] = secret.Replica{Region: r.Region, KMSKey: r.KmsKeyId, Overwrite: orDefault(overwrite, false)}
	}
	return replicas, nil
}

func (s *Server) replicates(region string) bool { return s.Replicates != nil && s.Replicates(region) }

// replication is what is told of the replicas of a secret. What the call itself changed a
// moment ago is noted for all of them, and is not read back.
func (c *call) replication(ctx context.Context, sec secret.Secret) ([]replicationStatus, error) {
	statuses := make([]replicationStatus, len(sec.Replicas))
	for i, r := range sec.Replicas {
		statuses[i] = replicationStatus{Region: r.Region, KmsKeyId: r.KMSKey, Status: inProgress}
	}
	if sec.Commit == c.commit {
		return statuses, nil
	}
	notes, err := c.store.Replicas(ctx, sec)
	if err != nil {
		return nil, err
	}
	for i, n := range notes {
		switch {
		case n.InSync:
			statuses[i].Status = inSync
		case n.Failure != "":
			statuses[i].Status, statuses[i].StatusMessage = failed, n.Failure
		case !c.server.replicates(n.Region): // and nothing may run that would note a failure
			statuses[i].Status, statuses[i].StatusMessage = failed, secret.UnknownRegion(n.Region)
		}
	}
	return statuses, nil
}
