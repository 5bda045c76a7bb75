package policy

import "time"

// A Request is what is to be decided: may this caller do this?
type Request struct {
	Caller Caller
	// Action is as policies have it: secretsmanager:GetSecretValue.
	Action string
	// Resource is the full ARN of the secret, or * for an operation that is
	// about none.
	Resource string
	// Named is the secret as the caller named it, for the words of a refusal.
	Named string
	// Owner is the account that the secret is in.
	Owner string
	Time  time.Time
	Keys  Keys
}

// A Side is one of the two kinds of policy that decide.
type Side string

// The two sides, in AWS's words.
const (
	IdentityBased Side = "identity-based"
	ResourceBased Side = "resource-based"
)

// A Decision is whether a request may be made.
type Decision struct {
	Allowed bool
	// Explicit is that a statement denies it. Otherwise none allows it.
	Explicit bool
	// Side is that of the statement that decided, or the side on which none
	// allows it.
	Side Side
	// Statement is the one that decided, if one did:
	// `policies.json: document 2, statement 1 ("Readers")`, or
	// `resource policy, statement 3`. When both sides had to allow it, both.
	Statement string

	// lacks is the side on which no statement allows it, empty when what is
	// needed is allowed.
	lacks    Side
	set      *Set
	resource *Policy
	request  Request
}

// Decide says whether a request may be made, where resource is the policy on the
// secret, or nil.
//
// What a statement denies, on either side, is denied. Otherwise one must allow
// it: on either side for a caller of the account that owns the secret, on both
// for one of another account (IAM user guide, "Policy evaluation logic"). A caller
// of whom it is not known who he is is denied, whatever any statement says.
func (s *Set) Decide(r Request, resource *Policy) Decision {
	c := newCall(&r)
	identity, onSecret := s.hears(&c), resource.hears(&c)
	d := Decision{set: s, resource: resource, request: r}
	own := r.Caller.Account == r.Owner
	if !own && onSecret.allows == nil {
		onSecret.allows = onSecret.delegates
	}
	switch {
	case c.who.kind == nobody:
		d.lacks = IdentityBased
	case own && (identity.allows != nil || onSecret.allows != nil):
	case identity.allows == nil:
		d.lacks = IdentityBased
	case onSecret.allows == nil:
		d.lacks = ResourceBased
	}
	switch {
	case identity.denies != nil:
		d.Explicit, d.Side, d.Statement = true, IdentityBased, identity.denies.name
	case onSecret.denies != nil:
		d.Explicit, d.Side, d.Statement = true, ResourceBased, onSecret.denies.name
	case d.lacks != "":
		d.Side = d.lacks
	case !own:
		d.Allowed, d.Side, d.Statement = true, ResourceBased, identity.allows.name+"; "+onSecret.allows.name
	case identity.allows != nil:
		d.Allowed, d.Side, d.Statement = true, IdentityBased, identity.allows.name
	default:
		d.Allowed, d.Side, d.Statement = true, ResourceBased, onSecret.allows.name
	}
	return d
}

// LocksOut says whether somebody who is about to put p on a secret, with request
// r, could not put another one on it afterwards.
func (s *Set) LocksOut(r Request, p *Policy) bool {
	r.Action = "secretsmanager:PutResourcePolicy"
	return !s.Decide(r, p).Allowed
}

// A hearing is what the statements of one side say: the first that denies, the
// first that allows, and the first that would if the caller's account did.
type hearing struct{ denies, allows, delegates *rule }

func (s *Set) hears(c *call) hearing {
	if s == nil {
		return hearing{}
	}
	return hear(s.rules, c, ofDeployment)
}

func (p *Policy) hears(c *call) hearing {
	if p == nil {
		return hearing{}
	}
	return hear(p.rules, c, onSecret)
}

func hear(rules []rule, c *call, n naming) (h hearing) {
	for i := range rules {
		r := &rules[i]
		if r.effect == Allow && h.allows != nil {
			continue
		}
		standing := r.principals.standing(c.who, r.effect, n)
		if standing == stranger || !r.takes(r.applies(c)) {
			continue
		}
		switch {
		case r.effect == Deny:
			if h.denies == nil {
				h.denies = r
			}
		case standing == named:
			h.allows = r
		case h.delegates == nil:
			h.delegates = r
		}
	}
	return h
}
