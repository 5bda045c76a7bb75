package policy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// A pattern is text with wildcards and variables, taken apart once so that
// matching need only walk along it. What a variable stands for is text: a star in
// a user's name is a star.
type pattern struct {
	// exactly is the whole of it when there are no elements.
	exactly  string
	elements []element
	// hasVariables is that it does not match a request in which one of them
	// has no value.
	hasVariables bool
}

// An element of a pattern is some text, a wildcard, or a variable.
type element struct {
	kind     elementKind
	text     string
	variable *variable
}

type elementKind uint8

const (
	literal elementKind = iota
	anyOne
	anyRun
	variables
)

// A syntax is what in a pattern is not text.
type syntax struct{ wildcards, variables bool }

// parsePattern takes a pattern apart. No two elements beside one another are text.
func parsePattern(s string, with syntax) ([]element, error) {
	var all []element
	stops := ""
	if with.wildcards {
		stops += "*?"
	}
	if with.variables {
		stops += "$"
	}
	for s != "" {
		i := strings.IndexAny(s, stops)
		if i < 0 {
			i = len(s)
		}
		e, n := element{kind: literal, text: s[:i]}, i
		switch {
		case i > 0:
		case s[0] == '*':
			e, n = element{kind: anyRun}, 1
		case s[0] == '?':
			e, n = element{kind: anyOne}, 1
		case strings.HasPrefix(s, "${"):
			v, rest, err := parseVariable(s[2:])
			if err != nil {
				return nil, err
			}
			e, n = v, len(s)-len(rest)
		default: // a dollar sign
			e.text, n = s[:1], 1
		}
		all, s = join(all, e), s[n:]
	}
	return all, nil
}

// join puts an element behind others.
func join(all []element, e element) []element {
	last := len(all) - 1
	switch {
	case e.kind == literal && e.text == "", e.kind == anyRun && last >= 0 && all[last].kind == anyRun: // two stars are one
	case e.kind == literal && last >= 0 && all[last].kind == literal:
		all[last].text += e.text
	default:
		all = append(all, e)
	}
	return all
}

func patternOf(all []element) pattern {
	if len(all) == 0 {
		return pattern{}
	}
	if len(all) == 1 && all[0].kind == literal {
		return pattern{exactly: all[0].text}
	}
	return pattern{elements: all, hasVariables: slices.ContainsFunc(all, func(e element) bool { return e.kind == variables })}
}

func compilePattern(s string, with syntax) (pattern, error) {
	all, err := parsePattern(s, with)
	return patternOf(all), err
}

// match says whether all of s is as p says. It never looks back further than to
// the last star, so that it takes len(p)·len(s) steps at the most.
func (p *pattern) match(s string, c *call) bool {
	if p.elements == nil {
		return s == p.exactly
	}
	all := p.elements
	i, star, resume := 0, -1, ""
	for {
		if i < len(all) {
			e := &all[i]
			switch e.kind {
			case anyRun:
				if i == len(all)-1 {
					return true
				}
				i++
				star, resume = i, s
				if all[i].kind == literal {
					if resume = from(resume, all[i].text); resume == "" {
						return false
					}
					s = resume
				}
				continue
			case anyOne:
				if s != "" {
					_, n := utf8.DecodeRuneInString(s)
					i, s = i+1, s[n:]
					continue
				}
			default:
				t := e.text
				if e.kind == variables {
					var ok bool
					if t, ok = e.variable.value(c); !ok {
						return false
					}
				}
				if rest, ok := strings.CutPrefix(s, t); ok {
					i, s = i+1, rest
					continue
				}
			}
		} else if s == "" {
			return true
		}
		if star < 0 || resume == "" {
			return false
		}
		_, n := utf8.DecodeRuneInString(resume)
		resume = resume[n:]
		if all[star].kind == literal {
			if resume = from(resume, all[star].text); resume == "" {
				return false
			}
		}
		i, s = star, resume
	}
}

// from is s from where t, which is not empty, first stands in it, or nothing.
func from(s, t string) string {
	i := strings.Index(s, t)
	if i < 0 {
		return ""
	}
	return s[i:]
}

// resolves says whether every variable of p has a value.
func (p *pattern) resolves(c *call) bool {
	if !p.hasVariables {
		return true
	}
	for _, e := range p.elements {
		if e.kind == variables {
			if _, ok := e.variable.value(c); !ok {
				return false
			}
		}
	}
	return true
}

// expand is p as text, for one that has no wildcards.
func (p *pattern) expand(c *call) (string, bool) {
	if p.elements == nil {
		return p.exactly, true
	}
	var b strings.Builder
	for _, e := range p.elements {
		t := e.text
		if e.kind == variables {
			var ok bool
			if t, ok = e.variable.value(c); !ok {
				return "", false
			}
		}
		b.WriteString(t)
	}
	return b.String(), true
}
