package policy

import (
	"fmt"
	"strings"
)

// nearest is how many statements of a side an explanation names.
const nearest = 3

// Explain says, for the log, why a request was denied: which statement denies it,
// or which came nearest to allowing it and what of them does not fit. It is worked
// out when it is asked for, and empty when the request was allowed. It says
// nothing of a request but what policies have words for, and no value.
func (d Decision) Explain() string {
	c := newCall(&d.request)
	switch {
	case d.Allowed:
		return ""
	case d.Explicit:
		why := "denied by " + d.Statement
		for _, r := range append(d.set.all(), d.resource.all()...) {
			if r.name == d.Statement && r.applies(&c) == unsure {
				why += ", which denies because it is not certain: " + strings.Join(r.faults(&c, unsure), ", ")
			}
		}
		return why
	case c.who.kind == nobody:
		return "it is not known who the caller is"
	}
	why := fmt.Sprintf("no %s policy allows it", d.Side)
	why += explain(IdentityBased, d.set.all(), &c, ofDeployment)
	if d.resource == nil {
		return why + "; there is no resource policy"
	}
	return why + explain(ResourceBased, d.resource.all(), &c, onSecret)
}

func (s *Set) all() []rule {
	if s == nil {
		return nil
	}
	return s.rules[:len(s.rules):len(s.rules)]
}

func (p *Policy) all() []rule {
	if p == nil {
		return nil
	}
	return p.rules
}

// explain names the statements that allow something and come nearest.
func explain(side Side, rules []rule, c *call, n naming) string {
	fewest, near := 0, []string(nil)
	for i := range rules {
		r := &rules[i]
		if r.effect != Allow {
			continue
		}
		var faults []string
		switch s := r.principals.standing(c.who, Allow, n); {
		case s == stranger:
			faults = append(faults, "the principal")
		case s == delegated && c.request.Caller.Account == c.request.Owner:
			faults = append(faults, "it leaves it to the account's identity-based policies")
		}
		faults = append(faults, r.faults(c, no)...)
		if len(faults) == 0 {
			return fmt.Sprintf("; %s allows it", r.name)
		}
		if len(near) == 0 || len(faults) < fewest {
			fewest, near = len(faults), nil
		}
		if len(faults) == fewest && len(near) < nearest {
			near = append(near, r.name+" does not: "+strings.Join(faults, ", "))
		}
	}
	if len(near) == 0 {
		return fmt.Sprintf("; no %s statement allows anything", side)
	}
	return "; " + strings.Join(near, "; ")
}

// faults are the parts of r, but for the principal, for which the answer is unsure,
// or is which.
func (r *rule) faults(c *call, which answer) (all []string) {
	fault := func(a answer, what string) {
		if a == which || a == unsure {
			all = append(all, what)
		}
	}
	fault(r.actions.match(c.action, c), "the action")
	fault(r.resources.match(c.request.Resource, c), "the resource")
	for i := range r.conditions {
		fault(r.conditions[i].holds(c), "the condition "+r.conditions[i].String())
	}
	return all
}
