package policy

import "github.com/strongroom/strongroom/pkg/secret"

// A Side is one of the two kinds of policy that decide.
type Side string

// The two sides, as AWS names them.
const (
	IdentityBased Side = "identity-based"
	ResourceBased Side = "resource-based"
)

// A Decision is whether a request is allowed.
type Decision struct {
	Allowed bool
	// Explicit means that a statement denies it. Otherwise none allows it.
	Explicit bool
	// Side is that of the statement that decided, or the one on which no
	// statement allows it.
	Side Side
	// Statement is the one that decided, if any:
	// `policies.json: document 2, statement 1 ("Readers")` or
	// `resource policy, statement 3`; both if both sides had to allow it.
	Statement string

	// missing is the side that had to allow it and does not, if any.
	missing  Side
	set      *Set
	resource *Policy
	request  Request
}

// Decide authorizes a request. resource is the policy on the secret, or nil.
//
// A request that a statement denies is denied. Otherwise a statement must allow it:
// on either side for a caller of the account that owns the secret, on both for a
// caller of another (IAM user guide, "Policy evaluation logic"). Unidentified callers
// are denied whatever the statements are.
func (s *Set) Decide(r Request, resource *Policy) Decision {
	c := contexts.Get().(*requestContext)
	defer contexts.Put(c)
	c.reset(r)
	identity, onSecret := evaluate(s.all(), c, IdentityBased), evaluate(resource.all(), c, ResourceBased)
	d := Decision{set: s, resource: resource, request: r}
	own := r.Caller.Account == r.Owner
	if !own && onSecret.allows == nil {
		onSecret.allows = onSecret.delegates
	}
	switch {
	case c.principal.kind == unidentified:
		d.missing = IdentityBased
	case own && (identity.allows != nil || onSecret.allows != nil):
	case identity.allows == nil:
		d.missing = IdentityBased
	case onSecret.allows == nil:
		d.missing = ResourceBased
	}
	switch {
	case identity.denies != nil:
		d.Explicit, d.Side, d.Statement = true, IdentityBased, identity.denies.name
	case onSecret.denies != nil:
		d.Explicit, d.Side, d.Statement = true, ResourceBased, onSecret.denies.name
	case d.missing != "":
		d.Side = d.missing
	case !own:
		d.Allowed, d.Side, d.Statement = true, ResourceBased, identity.allows.name+"; "+onSecret.allows.name
	case identity.allows != nil:
		d.Allowed, d.Side, d.Statement = true, IdentityBased, identity.allows.name
	default:
		d.Allowed, d.Side, d.Statement = true, ResourceBased, onSecret.allows.name
	}
	return d
}

// A result is the first statement of a side that denies a request, the first that
// allows it, and the first that leaves it to the caller's account.
type result struct{ denies, allows, delegates *statement }

func evaluate(statements []statement, c *requestContext, side Side) (first result) {
	for i := range statements {
		s := &statements[i]
		if !s.deny && first.allows != nil || s.deny && first.denies != nil {
			continue
		}
		by := s.principals.match(c.principal, s.deny, side)
		if by == notMatched {
			continue
		}
		switch matches := s.matches(c); {
		case matches == no || matches == unknown && !s.deny:
		case s.deny:
			first.denies = s
		case by == matched:
			first.allows = s
		case first.delegates == nil:
			first.delegates = s
		}
	}
	return first
}

// LocksOut says whether the caller of r, who is about to put p on a secret, could
// not put another policy on it afterwards.
func (s *Set) LocksOut(r Request, p *Policy) bool {
	r.Action = "secretsmanager:PutResourcePolicy"
	return !s.Decide(r, p).Allowed
}

// LockedOut is the error for a policy that LocksOut its author. The text is that of
// AWS's console in the old user guide; the code is a guess.
var LockedOut = secret.Errorf(secret.InvalidRequest, "Your requested changes will not allow you to manage this secret in the future.")

// Denied is the error for a denied request, with AWS's text (IAM user guide,
// "Troubleshoot access denied error messages"). It names the secret as the caller
// did, as AWS was seen to do (mongodb/awscdk-resources-mongodbatlas 207), and none
// for an operation about none (Kralizek/AWSSecretsManagerConfigurationExtensions 78).
//
// If nothing allows the request either, the error says that and not that a statement
// denies it: a policy on the secret or a condition on its tags would reveal that the
// secret exists. AWS says more here.
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
	why := "because no " + string(d.missing) + " policy allows the " + r.Action + " action"
	if d.Explicit && d.missing == "" {
		article := "a "
		if d.Side == IdentityBased {
			article = "an "
		}
		why = "with an explicit deny in " + article + string(d.Side) + " policy"
	}
	return secret.Errorf(secret.AccessDenied, "User: %s is not authorized to perform: %s%s %s", who, r.Action, on, why)
}
