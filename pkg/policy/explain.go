package policy

import (
	"fmt"
	"slices"
	"strings"
)

// maxExplained is how many statements of a side an explanation names.
const maxExplained = 3

// Explain says, for the log, why a request was denied: by which statement, or which
// statements would allow it but for a few elements, and which these are. It is empty
// for an allowed request. It contains no values of the request.
func (d Decision) Explain() string {
	c := &requestContext{}
	c.reset(d.request)
	switch {
	case d.Allowed:
		return ""
	case d.Explicit:
		why := "denied by " + d.Statement
		for _, s := range slices.Concat(d.set.all(), d.resource.all()) {
			if s.name == d.Statement && s.matches(c) == unknown {
				why += ", which denies because it is not certain: " + strings.Join(s.mismatches(c, unknown), ", ")
			}
		}
		return why
	case c.principal.kind == unidentified:
		return "it is not known who the caller is"
	}
	why := fmt.Sprintf("no %s policy allows it", d.Side) + explain(d.set.all(), c, IdentityBased)
	if d.resource == nil {
		return why + "; there is no resource policy"
	}
	return why + explain(d.resource.all(), c, ResourceBased)
}

// explain names the Allow statements with the fewest mismatches.
func explain(statements []statement, c *requestContext, side Side) string {
	fewest, closest := 0, []string(nil)
	for i := range statements {
		s := &statements[i]
		if s.deny {
			continue
		}
		var all []string
		switch by := s.principals.match(c.principal, false, side); {
		case by == notMatched:
			all = append(all, "the principal")
		case by == matchedByAccount && c.Caller.Account == c.Owner:
			all = append(all, "it leaves it to the account's identity-based policies")
		}
		all = append(all, s.mismatches(c, no)...)
		if len(all) == 0 {
			return fmt.Sprintf("; %s allows it", s.name)
		}
		if len(closest) == 0 || len(all) < fewest {
			fewest, closest = len(all), nil
		}
		if len(all) == fewest && len(closest) < maxExplained {
			closest = append(closest, s.name+" does not: "+strings.Join(all, ", "))
		}
	}
	if len(closest) == 0 {
		return fmt.Sprintf("; no %s statement allows anything", side)
	}
	return "; " + strings.Join(closest, "; ")
}

// mismatches are the elements of s, apart from the principal, whose result is
// unknown or the given one.
func (s *statement) mismatches(c *requestContext, given tristate) (all []string) {
	add := func(element string, match func() tristate) {
		if result := c.inBoth(match); result == given || result == unknown {
			all = append(all, element)
		}
	}
	add("the action", func() tristate { return s.actions.match(c.action, c) })
	add("the resource", func() tristate { return s.resources.match(c.Resource, c) })
	for i := range s.conditions {
		o := &s.conditions[i]
		add("the condition "+o.operator.String()+" "+o.name, func() tristate { return o.evaluate(c) })
	}
	return all
}
