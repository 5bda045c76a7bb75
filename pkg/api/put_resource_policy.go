package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
)

type putResourcePolicyInput struct {
	SecretId          string `aws:"required,len=1-2048"`
	ResourcePolicy    string `aws:"required,len=1-20480"`
	BlockPublicPolicy *bool
}

type putResourcePolicyOutput struct{ ARN, Name string }

func (c *call) putResourcePolicy(ctx context.Context, in putResourcePolicyInput) (out putResourcePolicyOutput, err error) {
	now := c.now()
	sec, err := c.update(ctx, in.SecretId, func(sec secret.Secret) (secret.Change, error) {
		// The state comes before the text: a policy for a secret that is not
		// there is not looked at.
		change, err := sec.PutPolicy(in.ResourcePolicy, now)
		if err != nil {
			return change, err
		}
		document, err := policy.Parse(in.ResourcePolicy)
		if err != nil {
			return change, err
		}
		if orDefault(in.BlockPublicPolicy, false) && len(document.Broad()) > 0 {
			return change, policy.Public
		}
		if c.server.Policies.LocksOut(c.request(c.operation, c.named, sec.ARN, c.keysWith(sec)), document) {
			return change, policy.LockedOut
		}
		return change, nil
	})
	if err != nil {
		return out, err
	}
	// The next call about the secret need not read what is known here.
	_, _ = c.server.Resources.Policy(sec.PolicyHash, func() (string, error) { return in.ResourcePolicy, nil })
	return putResourcePolicyOutput{sec.ARN, sec.Name}, nil
}
