package policy

import "github.com/strongroom/strongroom/pkg/secret"

// LockedOut is the refusal of a policy that LocksOut its author. The words are
// those of AWS's console in the old user guide; the code is a guess.
var LockedOut = secret.Errorf(secret.InvalidRequest, "Your requested changes will not allow you to manage this secret in the future.")

// Denied is the refusal of a request that is not allowed, in AWS's words (IAM
// user guide, "Troubleshoot access denied error messages"). The secret is called
// what the caller called it, as AWS was seen to do
// (mongodb/awscdk-resources-mongodbatlas 207), and an operation about no secret
// has none (Kralizek/AWSSecretsManagerConfigurationExtensions 78).
//
// A caller who may not do it anyway hears that, and not that a statement denies it:
// the policy on a secret, or a condition on its tags, would tell him that there is
// such a secret. Here AWS says more.
func (d Decision) Denied() secret.Error {
	r := &d.request
	who := r.Caller.ARN
	if who == "" {
		who = "anonymous"
	}
	on := r.Named
	if on == "" && r.Resource != "*" {
		on = r.Resource
	}
	if on != "" {
		on = " on resource: " + on
	}
	why := "because no " + string(d.lacks) + " policy allows the " + r.Action + " action"
	if d.Explicit && d.lacks == "" {
		article := "a "
		if d.Side == IdentityBased {
			article = "an "
		}
		why = "with an explicit deny in " + article + string(d.Side) + " policy"
	}
	return secret.Errorf(secret.AccessDenied, "User: %s is not authorized to perform: %s%s %s", who, r.Action, on, why)
}
