package policy

import "strings"

// A variable is ${aws:username}, or ${aws:username, 'nobody'}: the value that a
// request has for a condition key, or else the default.
type variable struct {
	key        key
	fallback   string
	hasDefault bool
}

// value is what v stands for in a request, if anything. What is empty is nothing
// ("the value is effectively null", IAM user guide, "Variables and tags"), and a
// key with several values, which must not be a variable, has none.
func (v variable) value(c *call) (string, bool) {
	if g := c.values(v.key); g.len() == 1 && g.at(0) != "" {
		return g.at(0), true
	}
	return v.fallback, v.hasDefault
}

// parseVariable reads what follows "${", and returns what follows the brace that
// closes it. It reads ${*}, ${?} and ${$} as well, which are text.
//
// The guide of Secrets Manager itself has spaces inside the braces, which IAM's
// checks call an error.
func parseVariable(s string) (e element, rest string, err error) {
	end := strings.IndexAny(s, ",}")
	if end < 0 {
		return e, "", malformed("a variable is not closed")
	}
	name, rest := strings.Trim(s[:end], " "), s[end:]
	if rest[0] == '}' && (name == "*" || name == "?" || name == "$") {
		return element{kind: literal, text: name}, rest[1:], nil
	}
	v := &variable{}
	if after, ok := strings.CutPrefix(rest, ","); ok {
		after, ok = strings.CutPrefix(strings.TrimLeft(after, " "), "'")
		value, after, closed := strings.Cut(after, "'")
		if !ok || !closed {
			return e, "", malformed("the default of the variable %.40q is not in single quotation marks", name)
		}
		v.fallback, v.hasDefault = value, true
		rest = strings.TrimLeft(after, " ")
	}
	rest, ok := strings.CutPrefix(rest, "}")
	if !ok {
		return e, "", malformed("the variable %.40q is not closed", name)
	}
	v.key, err = findKey(name)
	if err == nil && v.key.many {
		err = malformed("%.40q may have several values, and so is no variable", name)
	}
	return element{kind: variables, variable: v}, rest, err
}
