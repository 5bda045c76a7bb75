package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/spelling"
)

// The versions of the language. Variables came with the second. Under the first,
// which a policy without a Version has, ${aws:username} is text.
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// errSyntax is AWS's error for everything that is wrong, except in principals. The
// text is today's: the user guide has it, and callers of 2022 and 2023 got it
// (terraform-provider-aws 28609, terraform-aws-secrets-manager 2). "This policy
// has invalid syntax." was last seen in March 2020.
var errSyntax = secret.Errorf(secret.MalformedPolicyDocument, "This resource policy contains a syntax error.")

func malformed(reason string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(reason, args...), errSyntax)
}

// An unsupportedError is about a condition key or a variable. Policies that were
// stored before these were checked may have some.
type unsupportedError struct{ error }

func (e unsupportedError) Unwrap() error { return e.error }

func unsupported(reason string, args ...any) error {
	return unsupportedError{malformed(reason, args...)}
}

var (
	// sid is the Sid of a new resource policy (IAM user guide).
	sid = regexp.MustCompile(`^[A-Za-z0-9]*$`)
	// looseSid is what a Sid could be earlier. Stored policies have such Sids, such
	// as one with a hyphen from the user guide of Secrets Manager, and
	// identity-based policies may.
	looseSid = regexp.MustCompile(`^[ -~]*$`)
	// anySid leaves the check to Validate.
	anySid = regexp.MustCompile(``)

	// action is * or an action of this service, in any case. In a resource policy the
	// name need not exist: the user guide itself allows secretsmanager:GetSecret. It is
	// a finding of Validate.
	action = regexp.MustCompile(`^(\*|(?i:secretsmanager):[A-Za-z*?]+)$`)

	// resource is an ARN of this service up to the Region; see isResource.
	resource = regexp.MustCompile(`^arn:(aws[a-z-]*|\*):(secretsmanager|\*):([^\x00-\x1f]+)$`)
)

// A parser turns JSON into statements.
type parser struct {
	origin string // begins the names of the statements
	// stored means that the policy was accepted earlier. A statement with an
	// unsupported key or variable is then kept; it may deny and never allows.
	stored    bool
	sid       *regexp.Regexp // of valid Sids
	variables bool           // the Version has variables
	// known means that actions must exist, or patterns match one that does.
	known bool
}

// Parse reads a resource policy. The caller limits its length.
func Parse(text string) (*Policy, error) { return parse(text, parser{sid: sid}) }

func parse(text string, p parser) (*Policy, error) {
	p.origin = "resource policy"
	v, err := read(text)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	statements, err := p.policy(v)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return &Policy{statements}, nil
}

// ParseSet reads a JSON list of identity-based policies. An error names the file,
// the document and the statement.
func ParseSet(file string, text []byte) (*Set, error) {
	v, err := read(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %s", file, reason(err))
	}
	documents, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: it is no list of policies", file)
	}
	s := &Set{}
	for i, v := range documents {
		origin := fmt.Sprintf("%s: document %d", file, i+1)
		statements, err := (&parser{origin: origin, sid: looseSid, known: true}).policy(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", origin, reason(err))
		}
		s.statements = append(s.statements, statements...)
	}
	return s, nil
}

// reason is an error without the secret.Error it wraps, which is for callers of
// PutResourcePolicy.
func reason(err error) string {
	refusal, ok := errors.AsType[secret.Error](err)
	if !ok {
		return err.Error()
	}
	return strings.TrimSuffix(err.Error(), ": "+refusal.Error())
}

func (p *parser) policy(v any) ([]statement, error) {
	el, err := elements(v, "Version", "Id", "Statement")
	if err != nil {
		return nil, err
	}
	if v, ok := el["Version"]; ok && v != version2008 && v != version2012 {
		return nil, malformed("unknown Version")
	}
	p.variables = el["Version"] == version2012
	if v, ok := el["Id"]; ok {
		if _, ok = v.(string); !ok {
			return nil, malformed("Id is no string")
		}
	}
	list, err := listed(el["Statement"])
	if err != nil {
		return nil, err
	}
	all, seen := make([]statement, len(list)), map[string]bool{}
	for i, v := range list {
		s, err := p.statement(v)
		name := fmt.Sprintf("statement %d", i+1)
		// An empty Sid is none: Terraform writes one in every statement.
		if s.sid != "" {
			name += fmt.Sprintf(" (%.40q)", s.sid)
			if err == nil && seen[s.sid] {
				err = malformed("its Sid is there twice")
			}
			seen[s.sid] = true
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.name = p.origin + ", " + name
		all[i] = s
	}
	return all, nil
}

func (p *parser) statement(v any) (s statement, err error) {
	el, err := elements(v, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
	if err != nil {
		return s, err
	}
	if v, ok := el["Sid"]; ok {
		id, ok := v.(string)
		if !ok || !p.sid.MatchString(id) {
			return s, malformed("Sid is not a string of the characters it may have")
		}
		s.sid = id
	}
	if el["Effect"] != "Allow" && el["Effect"] != "Deny" {
		return s, malformed("Effect is neither Allow nor Deny")
	}
	s.deny = el["Effect"] == "Deny"
	if s.actions, err = p.patterns(el, "Action", action.MatchString, parseAction); err != nil {
		return s, err
	}
	if a := s.actions.unknownActions(); p.known && len(a) > 0 {
		return s, malformed("there is no action %.80q%s", a[0], spelling.DidYouMean(a[0], actionNames))
	}
	if s.resources, err = p.patterns(el, "Resource", isResource, p.resource); err != nil {
		return s, err
	}
	if v, ok := el["Condition"]; ok {
		if s.conditions, err = p.conditions(v); err != nil {
			return s, err
		}
	}
	s.variables = slices.ContainsFunc(s.resources.texts, hasVariable) ||
		slices.ContainsFunc(s.conditions, func(c condition) bool { return slices.ContainsFunc(c.values, hasVariable) })
	// Last, so that a statement with two errors is rejected for its syntax.
	s.principals, err = parsePrincipals(el)
	return s, err
}

// ignores says whether err is no reason to reject a stored policy.
func (p *parser) ignores(err error) bool {
	_, ok := errors.AsType[unsupportedError](err)
	return ok && p.stored
}

// either is the element of this name, or the one that means all others. A
// statement has exactly one of them. NotPrincipal with Allow is valid: IAM advises
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

func (p *parser) patterns(el map[string]any, name string, valid func(string) bool, parse func(string) (pattern, error)) (all patterns, err error) {
	v, except, err := either(el, name)
	if err != nil {
		return all, err
	}
	all.except = except
	if all.texts, err = words(v); err != nil {
		return all, err
	}
	for _, s := range all.texts {
		// Actions and ARNs of other services never match a secret. IAM's checks
		// call them an error in a resource policy and S3 rejects them; that
		// Secrets Manager does is a guess.
		if !valid(s) {
			return all, malformed("%s %.80q is none of a secret%s", name, s, spelling.DidYouMean(s, actionNames))
		}
		one, err := parse(s)
		switch {
		case p.ignores(err):
			all.unsupported = true
		case err != nil:
			return all, err
		default:
			all.any = append(all.any, one)
		}
	}
	return all, nil
}

// unknownActions are those that name no action of the service and, as patterns, match
// none. A Deny of such an action denies nothing, and a NotAction excepts nothing.
func (p *patterns) unknownActions() (all []string) {
	for i, one := range p.any {
		if !slices.ContainsFunc(actionNames, func(name string) bool { return one.match(lowerActions[name], nil) }) {
			all = append(all, p.texts[i])
		}
	}
	return all
}

// parseAction: the case of an action does not matter.
func parseAction(s string) (pattern, error) { return parsePattern(strings.ToLower(s), true, false) }

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

// resource parses the pattern of a resource. A star also matches colons, as it
// does in IAM at the end of an ARN's part. "You can't use a variable to replace
// parts of the ARN before the fifth colon."
func (p *parser) resource(s string) (pattern, error) {
	all, err := parsePattern(s, true, p.variables)
	colons := 0
	for _, e := range all {
		if e.kind == reference && colons < 5 {
			return nil, unsupported("Resource %.40q has a variable before the fifth colon", s)
		}
		colons += strings.Count(e.text, ":")
	}
	return all, err
}
