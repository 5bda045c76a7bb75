package api

import (
	"context"

	"github.com/strongroom/strongroom/pkg/policy"
)

type getResourcePolicyInput struct {
	SecretId string `aws:"required,len=1-2048"`
}

type getResourcePolicyOutput struct {
	ARN, Name      string
	ResourcePolicy string `json:",omitempty"`
}

func (c *call) getResourcePolicy(ctx context.Context, in getResourcePolicyInput) (out getResourcePolicyOutput, err error) {
	sec, err := c.find(ctx, in.SecretId)
	if err != nil {
		return out, err
	}
	if err := sec.Active(); err != nil {
		return out, err
	}
	var text string
	err = c.onStablePolicy(ctx, &sec, func() (err error) { // who decided may have remembered the policy
		if err = c.authorize(ctx, sec); err == nil {
			text, err = c.policyText(ctx, sec)
		}
		return err
	})
	if err != nil {
		return out, err
	}
	// It is stored, and hashed, as it was given.
	if formatted, err := policy.Format(text); err == nil {
		text = formatted
	}
	return getResourcePolicyOutput{sec.ARN, sec.Name, text}, nil
}
