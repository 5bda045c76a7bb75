package policy

import "strings"

// A rule is a statement, compiled.
type rule struct {
	// name says where the statement is: resource policy, statement 3 ("Readers")
	name       string
	effect     Effect
	principals principals
	actions    patterns
	resources  patterns
	conditions []condition
}

// patterns is a Patterns, compiled.
type patterns struct {
	except bool
	any    []pattern
	// obscure is that one of them is not understood; it is not among any.
	obscure bool
}

// applies says whether the statement is about a call whose caller it is about.
func (r *rule) applies(c *call) answer {
	a := r.actions.match(c.action, c)
	if a == no {
		return no
	}
	if a = min(a, r.resources.match(c.request.Resource, c)); a == no {
		return no
	}
	for i := range r.conditions {
		if a = min(a, r.conditions[i].holds(c)); a == no {
			return no
		}
	}
	return a
}

// takes says whether an answer is enough for the effect of r.
func (r *rule) takes(a answer) bool { return a == yes || a == unsure && r.effect == Deny }

// match says whether s is among what p names, or, when p is what is excepted,
// is not. "The resource that includes a policy variable with no value will not
// match any resource" (IAM user guide, "Variables and tags"); then whether all
// resources are beside the exception is not for us to say.
func (p *patterns) match(s string, c *call) answer {
	a := no
	if p.obscure {
		a = unsure
	}
	for i := range p.any {
		if p.any[i].match(s, c) {
			a = yes
			break
		}
		if p.except && !p.any[i].resolves(c) {
			a = unsure
		}
	}
	if p.except {
		return a.not()
	}
	return a
}

func compileActions(p Patterns) patterns {
	c := patterns{except: p.Except}
	for _, s := range p.Any {
		// It is of letters and wildcards, so that this cannot fail.
		one, _ := compilePattern(strings.ToLower(s), syntax{wildcards: true})
		c.any = append(c.any, one)
	}
	return c
}

// compileResources makes ready what parsePatterns read. A star also runs over
// colons, as it does in IAM when it ends a part of an ARN, and variables stand
// behind the fifth colon ("You can't use a variable to replace parts of the ARN
// before the fifth colon").
func compileResources(p Patterns, version string) (c patterns, err error) {
	c = patterns{except: p.Except, any: make([]pattern, 0, len(p.Any))}
	for _, s := range p.Any {
		one, e := compilePattern(s, syntax{wildcards: true, variables: version == Version2012})
		if e == nil && one.hasVariables && !onlyInName(one) {
			e = malformed("Resource %.40q has a variable before the fifth colon", s)
		}
		if e != nil {
			c.obscure, err = true, e
			continue
		}
		c.any = append(c.any, one)
	}
	return c, err
}

// onlyInName says whether all variables of p stand behind the fifth colon.
func onlyInName(p pattern) bool {
	colons := 0
	for _, e := range p.elements {
		if e.kind == variables && colons < arnParts-1 {
			return false
		}
		if e.kind == literal {
			colons += strings.Count(e.text, ":")
		}
	}
	return true
}
