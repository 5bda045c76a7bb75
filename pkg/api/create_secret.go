package api

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

type createSecretInput struct {
	Name               string          `aws:"required,len=1-512"`
	ClientRequestToken string          `aws:"len=32-64"`
	Description        string          `aws:"len=0-2048"`
	KmsKeyId           string          `aws:"len=0-2048"`
	SecretBinary       []byte          `aws:"len=1-65536,sensitive"`
	SecretString       string          `aws:"len=1-65536,bytes,sensitive"`
	Tags               []tag           `aws:"most=50"`
	AddReplicaRegions  []replicaRegion `aws:"len=1-50"` // the model has no upper bound; there are fewer Regions
	Type               string          `aws:"len=0-256"`

	ForceOverwriteReplicaSecret *bool
}

type createSecretOutput struct {
	ARN, Name         string
	VersionId         string              `json:",omitempty"`
	ReplicationStatus []replicationStatus `json:",omitempty"`
}

func (c *call) createSecret(ctx context.Context, in createSecretInput) (out createSecretOutput, err error) {
	if err := secret.CheckNewName(in.Name); err != nil {
		return out, err
	}
	value, given, err := valueOf(in.ClientRequestToken, in.SecretString, in.SecretBinary)
	if err != nil {
		return out, err
	}
	arn := c.server.ARNs.Of(in.Name, c.server.newSuffix())
	if err := c.authorizeCreate(ctx, secret.Secret{Name: in.Name, ARN: arn, Tags: tagsOf(in.Tags)}, len(in.AddReplicaRegions) > 0); err != nil {
		return out, err
	}
	change, err := c.newSecret(in, arn, given)
	if err != nil {
		return out, err
	}
	if given {
		c.byToken()
		change.Version.Sealed, err = c.sealOnce(in.ClientRequestToken, value)(ctx, change.Secret)
		if err != nil {
			return out, err
		}
	}
	sec, err := c.store.Create(ctx, change)
	if taken, ok := errors.AsType[*store.Exists](err); ok {
		sec, err = taken.Secret, c.createdBefore(ctx, taken.Secret, in, value, given)
		if isNotFound(err) {
			err = store.ErrBusy // the one that had the name is gone since
		}
	}
	if err != nil {
		return out, err
	}
	c.arn = sec.ARN
	out = createSecretOutput{ARN: sec.ARN, Name: sec.Name}
	if given {
		out.VersionId = in.ClientRequestToken
	}
	out.ReplicationStatus, err = c.replication(ctx, sec)
	return out, err
}

// authorizeCreate refuses a caller who may not make the secret, or may not tag or
// replicate it (CreateSecret: tags need the right to TagResource, and replica Regions
// that to ReplicateSecretToRegions). aws:ResourceTag is asked of the tags
// that it will have, as in AWS: "When a principal creates a resource, they must add" the
// tags that its policy asks for (IAM tutorial: access to resources based on tags).
func (c *call) authorizeCreate(ctx context.Context, ghost secret.Secret, replicated bool) error {
	d, err := c.decideCall(ctx, ghost)
	c.arn = "" // until it is made
	if err == nil && d.Allowed && len(ghost.Tags) > 0 {
		d, err = c.decide(ctx, "TagResource", c.named, ghost)
	}
	if err == nil && d.Allowed && replicated {
		d, err = c.decide(ctx, "ReplicateSecretToRegions", c.named, ghost)
	}
	if err == nil && !d.Allowed {
		c.decision, err = d, d.Denied()
	}
	return err
}

// newSecret decides on the secret, and on its first version if there is a value.
func (c *call) newSecret(in createSecretInput, arn string, given bool) (secret.Change, error) {
	if err := c.server.ARNs.CheckKey(in.KmsKeyId); err != nil {
		return secret.Change{}, err
	}
	now := c.now()
	sec := secret.New(in.Name, arn, in.ClientRequestToken, now)
	sec.Description, sec.Type, sec.KMSKey = in.Description, in.Type, in.KmsKeyId
	sec, err := sec.Tag(tagsOf(in.Tags), now)
	if err != nil {
		return secret.Change{}, err
	}
	replicas, err := c.replicasOf(in.AddReplicaRegions, in.ForceOverwriteReplicaSecret)
	if err != nil {
		return secret.Change{}, err
	}
	if sec, err = sec.AddReplicas(replicas); err != nil {
		return secret.Change{}, err
	}
	if !given {
		return secret.Change{Secret: sec}, nil
	}
	return sec.Put(in.ClientRequestToken, nil, now)
}

// createdBefore refuses a name that is taken, unless it was this same request
// that took it.
func (c *call) createdBefore(ctx context.Context, sec secret.Secret, in createSecretInput, value secret.Value, given bool) error {
	if !sec.Deletion.IsZero() {
		return secret.Errorf(secret.InvalidRequest, "You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	if in.ClientRequestToken == "" || sec.IsReplica() {
		return secret.Exists(sec.Name)
	}
	// What was decided was about a secret that is not there. A caller who may not do this to
	// the one that is hears no more than that the name is taken.
	switch d, err := c.decideCall(ctx, sec); {
	case err != nil:
		return err
	case !d.Allowed:
		return secret.Exists(sec.Name)
	}
	version, found, err := c.store.Version(ctx, sec, in.ClientRequestToken)
	switch {
	case err != nil:
		return err
	case found && given:
		return c.sameValue(ctx, sec, version, value)
	case found:
		return secret.TokenInUse(in.ClientRequestToken, sec.ARN)
	case !given && in.ClientRequestToken == sec.Token:
		return nil
	}
	return secret.Exists(sec.Name)
}
