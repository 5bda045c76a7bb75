package policy

import (
	"slices"
	"strings"
)

// A stringOperand is one value of an operator for strings or ARNs.
type stringOperand struct {
	// parts are one pattern or, of an ARN, six: "each of the six colon-delimited
	// components of the ARN is checked separately and each can include" wildcards
	// (IAM user guide, "Condition operators").
	parts      []pattern
	ignoreCase bool
	// withoutPath is compared with the role of a session, whose path is not
	// known; nil if that makes no difference. If it matches, the whole operand
	// does for certain only if pathFixed.
	withoutPath *stringOperand
	pathFixed   bool
}

func newStringOperand(p pattern, o operator, k key) (s stringOperand, err error) {
	s = stringOperand{parts: []pattern{p}, ignoreCase: o.ignoreCase}
	if o.values == arns {
		if s.parts, err = splitARN(p); err != nil {
			return s, err
		}
	}
	if short, fixed, ok := cutPath(p); ok && k.name == principalARN {
		without, err := newStringOperand(short, o, key{})
		if err != nil {
			return s, err
		}
		s.withoutPath, s.pathFixed = &without, fixed
	}
	return s, nil
}

func (s *stringOperand) match(value string, c *requestContext) tristate {
	if slices.ContainsFunc(s.parts, func(p pattern) bool { return p.lacks(c) }) {
		return unknown
	}
	result := yes
	if s.withoutPath != nil && c.principal.kind == session {
		// A variable in the path must have a value too.
		if slices.ContainsFunc(s.parts, func(p pattern) bool { return !p.resolves(c) }) {
			return no
		}
		if !s.pathFixed {
			result = unknown
		}
		s = s.withoutPath
	}
	if s.ignoreCase {
		if text, ok := s.parts[0].expand(c); !ok || !strings.EqualFold(text, value) {
			return no
		}
		return result
	}
	last := len(s.parts) - 1
	for _, p := range s.parts[:last] {
		part, rest, ok := strings.Cut(value, ":")
		if !ok || !p.match(part, c) {
			return no
		}
		value = rest
	}
	if !s.parts[last].match(value, c) {
		return no
	}
	return result
}

// parseARNPattern checks that s has the six parts of an ARN. A star alone is any ARN,
// and with variables splitARN knows.
func parseARNPattern(s string) (string, bool) {
	return s, s == "*" || hasVariable(s) || strings.HasPrefix(s, "arn:") && strings.Count(s, ":") >= 5
}

// splitARN splits the pattern of an ARN into its six parts. A star alone is any
// ARN, and a variable alone is a whole one.
func splitARN(p pattern) ([]pattern, error) {
	if len(p) == 1 && (p[0].kind == anyText || p[0].kind == reference) {
		return []pattern{p}, nil
	}
	parts := make([]pattern, 1, 6)
	for _, e := range p {
		for e.kind == literal && len(parts) < 6 {
			before, after, ok := strings.Cut(e.text, ":")
			if !ok {
				break
			}
			last := len(parts) - 1
			parts[last] = parts[last].add(element{text: before})
			parts, e.text = append(parts, nil), after
		}
		last := len(parts) - 1
		parts[last] = parts[last].add(e)
	}
	if len(parts) < 6 || len(parts[0]) != 1 || parts[0][0].text != "arn" {
		return nil, unsupported("it is no ARN")
	}
	return parts, nil
}

// cutPath makes of a pattern for aws:PrincipalArn the one that the role of a session
// is compared with, whose path is not known: without what is between the first
// slash and the last, if anything. fixed says whether a match is then certain.
//
//	arn:aws:iam::123456789012:role/team/app    app, certain: role names are unique in an account
//	arn:aws:iam::123456789012:role/app-*       has no path, so that stars stand for names
//	arn:aws:iam::123456789012:role/team/*      any role, which may have that path or not
//	arn:aws:iam::123456789012:role/team-*/app  app, which may have that path or not
//
// A match that is not certain allows nobody, and excepts nobody from a Deny.
func cutPath(p pattern) (short pattern, fixed, ok bool) {
	first, last, slashes := 0, 0, 0
	for i, e := range p {
		if n := strings.Count(e.text, "/"); n > 0 {
			if slashes == 0 {
				first = i
			}
			last, slashes = i, slashes+n
		}
	}
	if slashes < 2 {
		return nil, false, false
	}
	head, _, _ := strings.Cut(p[first].text, "/")
	short = append(short, p[:first]...).add(element{text: head + "/"}).add(element{text: lastOf(p[last].text)})
	for _, e := range p[last+1:] {
		short = short.add(e)
	}
	return short, !slices.ContainsFunc(p[first:], func(e element) bool { return e.kind != literal }), true
}
