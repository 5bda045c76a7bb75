package policy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// A pattern is text with wildcards and variables. The value of a variable is text:
// a star in a user's name is a star.
type pattern []element

type element struct {
	kind     elementKind
	text     string    // of a literal
	variable *variable // of a reference
}

type elementKind uint8

const (
	literal   elementKind = iota
	anyRune               // ?
	anyText               // *
	reference             // ${aws:username}
)

func parsePattern(s string, wildcards, variables bool) (pattern, error) {
	var p pattern
	special := ""
	if wildcards {
		special += "*?"
	}
	if variables {
		special += "$"
	}
	for s != "" {
		i := strings.IndexAny(s, special)
		switch {
		case i < 0:
			return p.add(element{text: s}), nil
		case i > 0:
			p, s = p.add(element{text: s[:i]}), s[i:]
		case s[0] == '*':
			p, s = p.add(element{kind: anyText}), s[1:]
		case s[0] == '?':
			p, s = p.add(element{kind: anyRune}), s[1:]
		case strings.HasPrefix(s, "${"):
			e, rest, err := parseReference(s[2:])
			if err != nil {
				return nil, err
			}
			p, s = p.add(e), rest
		default:
			p, s = p.add(element{text: "$"}), s[1:]
		}
	}
	return p, nil
}

// add appends an element, so that no two literals follow each other.
func (p pattern) add(e element) pattern {
	last := len(p) - 1
	switch {
	case e.kind == literal && e.text == "":
	case e.kind == literal && last >= 0 && p[last].kind == literal:
		p[last].text += e.text
	default:
		p = append(p, e)
	}
	return p
}

// match says whether all of s matches p. It goes back to the last star only, so
// that it takes len(p)·len(s) steps at most.
func (p pattern) match(s string, c *requestContext) bool {
	if len(p) == 1 && p[0].kind == literal {
		return s == p[0].text
	}
	i, star, retry := 0, -1, "" // retry is where what follows the star matched last
	for {
		if i < len(p) {
			text, ok := p[i].text, true
			switch p[i].kind {
			case anyText:
				if i++; i == len(p) {
					return true
				}
				s = p[i].seek(s)
				star, retry = i, s
				continue
			case anyRune:
				_, n := utf8.DecodeRuneInString(s)
				text, ok = s[:n], n > 0
			case reference:
				text, ok = p[i].variable.value(c)
			}
			if ok && strings.HasPrefix(s, text) {
				i, s = i+1, s[len(text):]
				continue
			}
		} else if s == "" {
			return true
		}
		if retry == "" {
			return false
		}
		_, n := utf8.DecodeRuneInString(retry)
		retry = p[star].seek(retry[n:])
		i, s = star, retry
	}
}

// seek skips what is before the first place in s where e may match.
func (e *element) seek(s string) string {
	if e.kind != literal {
		return s
	}
	i := strings.Index(s, e.text)
	if i < 0 {
		return ""
	}
	return s[i:]
}

// resolves says whether every variable of p has a value.
func (p pattern) resolves(c *requestContext) bool {
	for i := range p {
		if p[i].kind != reference {
			continue
		}
		if _, ok := p[i].variable.value(c); !ok {
			return false
		}
	}
	return true
}

// lacks says whether a variable of p has a value that is not known.
func (p pattern) lacks(c *requestContext) bool {
	if c == nil || len(c.Unknown) == 0 {
		return false
	}
	return slices.ContainsFunc(p, func(e element) bool { return e.kind == reference && c.lacks(e.variable.key) })
}

// expand is p, which has no wildcards, as text; false if a variable has no value.
func (p pattern) expand(c *requestContext) (s string, ok bool) {
	for i := range p {
		text := p[i].text
		if p[i].kind == reference {
			if text, ok = p[i].variable.value(c); !ok {
				return "", false
			}
		}
		s += text
	}
	return s, true
}

// A variable is ${aws:username}, or ${aws:username, 'nobody'}: the value of a
// condition key in the request, or else the default.
type variable struct {
	key        key
	fallback   string
	hasDefault bool
}

// value is the value of v in a request; false if it has none, or one that is not known.
// An empty one is none ("the value is
// effectively null", IAM user guide, "Variables and tags"), and so is that of a
// key with several values.
func (v *variable) value(c *requestContext) (string, bool) {
	if c.lacks(v.key) {
		return "", false
	}
	if values := c.values(v.key); len(values) == 1 && values[0] != "" {
		return values[0], true
	}
	return v.fallback, v.hasDefault
}

// parseReference parses what follows "${", and returns what follows its closing
// brace. It also parses ${*}, ${?} and ${$}, which are text.
//
// The user guide of Secrets Manager has spaces inside the braces, which IAM's
// checks call an error.
func parseReference(s string) (e element, rest string, err error) {
	end := strings.IndexAny(s, ",}")
	if end < 0 {
		return e, "", unsupported("a variable is not closed")
	}
	name, rest := strings.Trim(s[:end], " "), s[end:]
	if rest[0] == '}' && (name == "*" || name == "?" || name == "$") {
		return element{text: name}, rest[1:], nil
	}
	v := &variable{}
	if after, ok := strings.CutPrefix(rest, ","); ok {
		after, ok = strings.CutPrefix(strings.TrimLeft(after, " "), "'")
		value, after, closed := strings.Cut(after, "'")
		if !ok || !closed {
			return e, "", unsupported("the default of the variable %.40q is not in single quotation marks", name)
		}
		v.fallback, v.hasDefault = value, true
		rest = strings.TrimLeft(after, " ")
	}
	rest, ok := strings.CutPrefix(rest, "}")
	if !ok {
		return e, "", unsupported("the variable %.40q is not closed", name)
	}
	if v.key, err = findKey(name); err != nil {
		return e, "", err
	}
	if v.key.multivalued {
		return e, "", unsupported("%.40q may have several values, and so is no variable", name)
	}
	return element{kind: reference, variable: v}, rest, nil
}

func hasVariable(s string) bool { return strings.Contains(s, "${") }
