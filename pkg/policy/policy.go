// Package policy reads IAM policies and decides requests by them.
//
// Parse reads the resource policy of a secret, ParseSet the identity-based
// policies of a deployment. Both check everything, down to the type of every
// value in a condition, and reject what they do not know: a statement that is
// half understood would allow or deny something its author did not mean.
// Set.Decide then authorizes a Request, and Policy.Broad finds the statements
// that allow principals the policy does not name.
//
// A request may have no certain answer: the path of a session's role is not
// known, for example, nor the ARN of a KMS key that is named by an alias. A statement
// then denies if it is a Deny, and never allows; see tristate. The same holds where a
// statement matches what a request says and not what it means, or the other way round:
// a default that the caller did not send may deny, and never allows.
//
// An error for a rejected policy wraps a secret.Error with AWS's code and text,
// which say little. The text around it, for the log, names the statement and the
// reason.
//
// The language is that of the IAM user guide ("Grammar of the IAM JSON policy
// language", "Policy evaluation logic"). Where the guide leaves a choice to the
// service and Secrets Manager's is not documented, the comment says that ours is
// a guess.
//
// A Policy and a Set never change and are safe for concurrent use.
package policy

import "strings"

// A Policy is the resource policy of a secret. Parse or a Cache makes it.
type Policy struct{ statements []statement }

// A Set is the identity-based policies of a deployment. The nil Set allows
// nothing.
//
// Its statements name their principals, as those of a resource policy do, since
// there are no users or roles here to attach a policy to. An account stands for
// all of its principals. Principals of other accounts also need a resource policy.
type Set struct{ statements []statement }

func (p *Policy) all() []statement {
	if p == nil {
		return nil
	}
	return p.statements
}

func (s *Set) all() []statement {
	if s == nil {
		return nil
	}
	return s.statements
}

// AllowAll is the Set that allows everything to every identified caller. Callers
// of another account still need a resource policy.
func AllowAll() *Set { return &Set{everything("no policies: everyone may do everything", false)} }

// Unreadable stands for a stored policy that cannot be parsed. It may deny
// anyone, so it denies everything to everyone.
var Unreadable = &Policy{everything("resource policy, which cannot be read", true)}

func everything(name string, deny bool) []statement {
	star, _ := parsePattern("*", true, false)
	return []statement{{
		name:       name,
		deny:       deny,
		principals: principals{any: []principal{{kind: everyone}}},
		actions:    patterns{texts: []string{"*"}, any: []pattern{star}},
		resources:  patterns{texts: []string{"*"}, any: []pattern{star}},
	}}
}

// A statement allows or denies actions on resources to principals when all of
// its conditions are met.
type statement struct {
	// name is where it stands: `resource policy, statement 3 ("Readers")`.
	name       string
	sid        string
	deny       bool
	principals principals
	actions    patterns
	resources  patterns
	conditions []condition
	variables  bool // there are some in resources or conditions
}

// matches says whether s is about a request, apart from its principals, as the request
// is read in both ways.
func (s *statement) matches(c *requestContext) tristate {
	action := s.actions.match(c.action, c)
	if action == no {
		return no
	}
	if !s.asksImplied(c) {
		return min(action, s.matchesReading(c))
	}
	return min(action, c.inBoth(func() tristate { return s.matchesReading(c) }))
}

// asksImplied says whether the two readings of a request may differ for s.
func (s *statement) asksImplied(c *requestContext) bool {
	if len(c.Implied) == 0 || s.variables {
		return len(c.Implied) > 0
	}
	for i := range s.conditions {
		if _, ok := c.Implied[s.conditions[i].key.name]; ok {
			return true
		}
	}
	return false
}

// matchesReading is the same of the resource and the conditions, in one reading.
func (s *statement) matchesReading(c *requestContext) tristate {
	result := s.resources.match(c.Resource, c)
	for i := 0; i < len(s.conditions) && result != no; i++ {
		result = min(result, s.conditions[i].evaluate(c))
	}
	return result
}

// patterns is Action or Resource or, with except, NotAction or NotResource.
type patterns struct {
	except bool
	texts  []string // as written
	any    []pattern
	// unsupported means that one has an unsupported variable; it is not in any.
	unsupported bool
}

// match says whether s is among the patterns, or not among them with except. "The
// resource that includes a policy variable with no value will not match any
// resource" (IAM user guide, "Variables and tags"). Whether NotResource then
// matches is not documented.
func (p *patterns) match(s string, c *requestContext) tristate {
	result := no
	if p.unsupported {
		result = unknown
	}
	for _, one := range p.any {
		if one.match(s, c) {
			result = yes
			break
		}
		if one.lacks(c) || p.except && !one.resolves(c) {
			result = unknown
		}
	}
	if p.except {
		return result.not()
	}
	return result
}

// A tristate is a boolean that may be unknown. A Deny applies unless it is no, an
// Allow only if it is yes.
type tristate uint8

const (
	no tristate = iota
	unknown
	yes
)

func tristateOf(b bool) tristate {
	if b {
		return yes
	}
	return no
}

func (t tristate) not() tristate { return yes - t }

// actions are the actions of the service.
var actions = strings.Fields(`
	BatchGetSecretValue CancelRotateSecret CreateSecret DeleteResourcePolicy DeleteSecret DescribeSecret GetRandomPassword
	GetResourcePolicy GetSecretValue ListSecretVersionIds ListSecrets PutResourcePolicy PutSecretValue
	RemoveRegionsFromReplication ReplicateSecretToRegions RestoreSecret RotateSecret StopReplicationToReplica TagResource
	UntagResource UpdateSecret UpdateSecretVersionStage ValidateResourcePolicy`)

// actionNames are the same as policies name them.
var actionNames = func() (all []string) {
	for _, a := range actions {
		all = append(all, "secretsmanager:"+a)
	}
	return all
}()

// lowerActions avoids strings.ToLower for the known actions.
var lowerActions = func() map[string]string {
	m := map[string]string{}
	for _, a := range actionNames {
		m[a] = strings.ToLower(a)
	}
	return m
}()
