// Package policy is the IAM policy language: it reads it and decides by it who may
// do what.
//
// Parse reads the policy on a secret and ParseSet those of a deployment, or refuse
// them: what is in a Policy or a Set has been checked, down to the type of every
// value of a condition, so that whoever works with one need not ask again. What
// is not known is refused; a statement that is half understood would let in, or
// keep out, somebody its author did not mean. Set.Decide then answers a Request,
// and Policy.Broad says which statements let in principals that nobody named.
//
// What is read is also compiled: a statement becomes a rule, its patterns,
// networks, numbers and dates ready to compare with. Where it is not known whether
// a rule fits (see answer) it may deny and may not allow.
//
// A refusal to write a policy wraps a secret.Error with AWS's code and words,
// which say little; around it, for whoever reads the log, stands which statement
// it is and why.
//
// The language is that of the IAM user guide ("Grammar of the IAM JSON policy
// language", "Policy evaluation logic"). Where the guide leaves a choice to the
// service, and nobody has written down what Secrets Manager does, the comment says
// that it is a guess. It departs from the guide in what a gateway does not tell:
// the path of a session's role (see pathless), and the keys in unsaid.
//
// A Policy or a Set is never changed once it is made and may be shared.
package policy

import "github.com/strongroom/strongroom/pkg/secret"

// The versions of the language. Policy variables came with the second; under the
// first, which a policy without a Version has, ${aws:username} is just text.
const (
	Version2008 = "2008-10-17"
	Version2012 = "2012-10-17"
)

// A Policy is the resource policy of a secret. It is made by Parse, or by a Cache.
type Policy struct {
	Version    string
	ID         string
	Statements []Statement

	rules []rule // the same, compiled
}

// A Statement allows or denies principals some actions on some resources, when
// all of its conditions are met.
type Statement struct {
	Sid        string
	Effect     Effect
	Principals Principals
	Actions    Patterns
	Resources  Patterns
	Conditions []Condition
}

// An Effect is what a statement does.
type Effect string

// The two effects.
const (
	Allow Effect = "Allow"
	Deny  Effect = "Deny"
)

// Patterns is what Action or Resource names, with the wildcards * and ?; with
// Except, as NotAction and NotResource have it, everything that none of them
// matches. There is at least one.
type Patterns struct {
	Except bool
	Any    []string
}

// Public is the refusal of a policy with broad access by a caller who asked for
// that with BlockPublicPolicy. The code is that of the service model, the words
// are those of the old user guide (manage_secret-policy).
var Public = secret.Errorf(secret.PublicPolicy, "You can't attach a resource-based policy that allows broad access to the secret.")
