package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/policy"
)

type validateResourcePolicyInput struct {
	SecretId       string `aws:"len=1-2048"`
	ResourcePolicy string `aws:"required,len=1-20480"`
}

type validateResourcePolicyOutput struct {
	PolicyValidationPassed bool
	ValidationErrors       []policy.Finding
}

func (c *call) validateResourcePolicy(ctx context.Context, in validateResourcePolicyInput) (out validateResourcePolicyOutput, err error) {
	if in.SecretId == "" {
		err = c.authorizeAny(c.operation)
	} else {
		err = c.checkPolicyTarget(ctx, in.SecretId)
	}
	if err != nil {
		return out, err
	}
	findings, err := policy.Validate(in.ResourcePolicy)
	if err != nil {
		return out, err
	}
	return validateResourcePolicyOutput{len(findings) == 0, findings}, nil
}

// checkPolicyTarget refuses a secret that cannot be given one.
func (c *call) checkPolicyTarget(ctx context.Context, secretID string) error {
	sec, err := c.find(ctx, secretID)
	if err != nil {
		return err
	}
	return sec.Active()
}
