package policy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/strongroom/strongroom/pkg/secret"
)

// errSyntax is what AWS says of everything that is not right, but for principals.
// Of the two texts that are known this is the one of today: the user guide has
// it, and callers of 2022 and 2023 got it (terraform-provider-aws 28609,
// terraform-aws-secrets-manager 2); "This policy has invalid syntax." was last
// seen in March 2020.
var errSyntax = secret.Errorf(secret.MalformedPolicyDocument, "This resource policy contains a syntax error.")

func malformed(reason string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(reason, args...), errSyntax)
}

var (
	// sid is what the Sid of a new policy on a secret may be (IAM user guide).
	sid = regexp.MustCompile(`^[A-Za-z0-9]*$`)
	// looseSid is what it could be once. Policies that are stored have such Sids, among
	// them one of the user guide of Secrets Manager with a hyphen, and principal
	// policies may.
	looseSid = regexp.MustCompile(`^[ -~]*$`)
	// anySid leaves it to the caller to look at Sids.
	anySid = regexp.MustCompile(``)

	// action is everything or an action of this service, in any case. The name
	// need not exist: the user guide itself allows secretsmanager:GetSecret.
	action = regexp.MustCompile(`^(\*|(?i:secretsmanager):[A-Za-z*?]+)$`)

	// resource is an ARN of this service down to the Region; see checkResource.
	resource = regexp.MustCompile(`^arn:(aws[a-z-]*|\*):(secretsmanager|\*):([^\x00-\x1f]+)$`)
)

// A reader turns JSON into a policy.
type reader struct {
	// where is how the rules say where they are from.
	where string
	// stored is that the policy is one that was taken before. Then a condition
	// key or a variable that is not known is left standing; a rule with one
	// denies, and does not allow.
	stored bool
	// sid is what a Sid may be.
	sid     *regexp.Regexp
	version string
}

// Parse reads a resource policy. Its length is not its concern.
func Parse(text string) (*Policy, error) {
	return parse(text, reader{sid: sid})
}

// parseStored reads a resource policy that was taken before.
func parseStored(text string) (*Policy, error) {
	return parse(text, reader{stored: true, sid: looseSid})
}

func parse(text string, r reader) (*Policy, error) {
	r.where = "resource policy"
	v, err := read(text)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	p, err := r.policy(v)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return p, nil
}

func (r *reader) policy(v any) (*Policy, error) {
	el, err := elements(v, "Version", "Id", "Statement")
	if err != nil {
		return nil, err
	}
	p := &Policy{Version: Version2008}
	if v, ok := el["Version"]; ok {
		if v != Version2008 && v != Version2012 {
			return nil, malformed("unknown Version")
		}
		p.Version = v.(string)
	}
	r.version = p.Version
	if v, ok := el["Id"]; ok {
		if p.ID, ok = v.(string); !ok {
			return nil, malformed("Id is no string")
		}
	}
	if p.Statements, p.rules, err = r.statements(el["Statement"]); err != nil {
		return nil, err
	}
	return p, nil
}

func (r *reader) statements(v any) ([]Statement, []rule, error) {
	list, err := listed(v)
	if err != nil {
		return nil, nil, err
	}
	all, rules, seen := make([]Statement, len(list)), make([]rule, len(list)), map[string]bool{}
	for i, v := range list {
		s, rule, err := r.statement(v)
		// An empty Sid is none: Terraform writes one in every statement.
		name := fmt.Sprintf("statement %d", i+1)
		if s.Sid != "" {
			name += fmt.Sprintf(" (%.40q)", s.Sid)
		}
		if err == nil && s.Sid != "" && seen[s.Sid] {
			err = malformed("its Sid is there twice")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		seen[s.Sid] = true
		rule.name = r.where + ", " + name
		all[i], rules[i] = s, rule
	}
	return all, rules, nil
}

func (r *reader) statement(v any) (s Statement, c rule, err error) {
	el, err := elements(v, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
	if err != nil {
		return s, c, err
	}
	if v, ok := el["Sid"]; ok {
		id, ok := v.(string)
		if !ok || !r.sid.MatchString(id) {
			return s, c, malformed("Sid is not a string of the characters it may have")
		}
		s.Sid = id
	}
	switch el["Effect"] {
	case string(Allow):
		s.Effect = Allow
	case string(Deny):
		s.Effect = Deny
	default:
		return s, c, malformed("Effect is neither Allow nor Deny")
	}
	if s.Actions, err = parsePatterns(el, "Action", action.MatchString); err != nil {
		return s, c, err
	}
	if s.Resources, err = parsePatterns(el, "Resource", isResource); err != nil {
		return s, c, err
	}
	if v, ok := el["Condition"]; ok {
		if s.Conditions, err = parseConditions(v); err != nil {
			return s, c, err
		}
	}
	if c, err = r.compile(s); err != nil {
		return s, c, err
	}
	// Last, so that a statement with two faults is refused for its syntax.
	if s.Principals, err = parsePrincipals(el); err != nil {
		return s, c, err
	}
	c.principals = compilePrincipals(s.Principals)
	return s, c, nil
}

// compile makes a rule of a statement, without its principals.
func (r *reader) compile(s Statement) (rule, error) {
	c := rule{effect: s.Effect, actions: compileActions(s.Actions)}
	var err error
	if c.resources, err = compileResources(s.Resources, r.version); err != nil && !r.stored {
		return c, err
	}
	for _, one := range s.Conditions {
		o, err := compileCondition(one, r.version)
		if err != nil && !r.stored {
			return c, err
		}
		o.obscure = err != nil
		c.conditions = append(c.conditions, o)
	}
	return c, nil
}

// either is the element of this name or the one that says everything but. A
// statement has one of them. NotPrincipal with Allow is no error: IAM advises
// against it, and Broad finds it.
func either(el map[string]any, name string) (v any, except bool, err error) {
	these, ok := el[name]
	others, not := el["Not"+name]
	switch {
	case ok && not:
		return nil, false, malformed("there is %s and Not%s", name, name)
	case ok:
		return these, false, nil
	case not:
		return others, true, nil
	}
	return nil, false, malformed("there is neither %s nor Not%s", name, name)
}

func parsePatterns(el map[string]any, name string, good func(string) bool) (p Patterns, err error) {
	v, except, err := either(el, name)
	if err != nil {
		return p, err
	}
	all, err := words(v)
	if err != nil {
		return p, err
	}
	for _, s := range all {
		// Actions and ARNs of other services never fit a secret. IAM's checks
		// call them an error in a resource policy and S3 refuses them; that
		// Secrets Manager does is a guess.
		if !good(s) {
			return p, malformed("%s %.40q is none of a secret", name, s)
		}
	}
	return Patterns{except, all}, nil
}

// isResource says whether s is * or looks like the ARN of a secret, with
// wildcards and variables. A star may stand for all that follows it.
func isResource(s string) bool {
	if s == "*" {
		return true
	}
	m := resource.FindStringSubmatch(s)
	if m == nil {
		return false
	}
	_, rest, ok := strings.Cut(m[3], ":")
	_, name, ok2 := strings.Cut(rest, ":")
	return strings.HasSuffix(s, "*") || ok && ok2 && name != ""
}
