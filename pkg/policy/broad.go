package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/pkg/secret"
)

// Public is the error for a policy with broad access and BlockPublicPolicy. The code
// is that of the service model, the text that of the old user guide
// (manage_secret-policy).
var Public = secret.Errorf(secret.PublicPolicy, "You can't attach a resource-based policy that allows broad access to the secret.")

// Broad finds the statements that allow principals whom the policy does not name.
// AWS uses an automated reasoner (Zelkova). Its documented rules, S3's "meaning of
// public", are followed here: a statement that allows everyone is broad unless it is
// limited to known principals or networks.
//
// The check tries strangers, whom the policy does not name: is there a request that a
// statement allows a stranger and no statement denies? Only a Deny that certainly
// applies counts: to all of the statement's resources, with conditions that all
// strangers meet, such as being of no known organization.
//
// Whether the resources are this secret is not considered, which errs on the safe
// side. Networks are measured one by one, as in S3, which errs on the other: many
// narrow ones may be all there are.
func (p *Policy) Broad() []Finding {
	var all []Finding
	p.broad(func(i int, to string) {
		all = append(all, Finding{broadAccess, fmt.Sprintf(
			"This resource policy grants broad access to your secret. Statement %d allows %s, without a condition that limits it to known principals or networks.", i+1, to)})
	})
	return all
}

// Broad names the statements that allow everybody whom the front door lets in, without a
// condition that limits them to known principals or networks.
func (s *Set) Broad() []string {
	var names []string
	(&Policy{s.statements}).broad(func(i int, _ string) { names = append(names, s.statements[i].name) })
	return names
}

// broad yields the index of each broad statement, and whom it allows.
func (p *Policy) broad(yield func(i int, to string)) {
	strangers := p.strangers()
	for i := range p.statements {
		s := &p.statements[i]
		if s.deny || slices.ContainsFunc(s.conditions, s.limitedBy) {
			continue
		}
		for _, one := range strangers {
			if p.allows(s, one) {
				yield(i, s.principals.describe(one))
				break
			}
		}
	}
}

// strangers are a principal that the policy does not name, which stands for all of
// them, and one of each public identity provider that it names: S3 counts a policy for
// graph.facebook.com as public. A provider with an ARN is one that an account chose to
// trust.
func (p *Policy) strangers() []principal {
	all := []principal{{kind: unidentified}}
	for i := range p.statements {
		for _, one := range p.statements[i].principals.any {
			if one.kind == identityProvider && !strings.HasPrefix(one.name, "arn:") {
				all = append(all, one)
			}
		}
	}
	return all
}

// isAbout says whether s is about a stranger.
func (s *statement) isAbout(stranger principal) bool {
	return s.principals.match(stranger, s.deny, ResourceBased) != notMatched
}

// allows says whether s allows a stranger an action that no Deny denies them.
func (p *Policy) allows(s *statement, stranger principal) bool {
	return s.isAbout(stranger) && slices.ContainsFunc(s.allowedActions(), func(action string) bool {
		return !slices.ContainsFunc(p.statements, func(d statement) bool { return d.denies(stranger, action, s) })
	})
}

// allowedActions are the actions that s allows, in lower case, and those it names
// that do not exist, in case they will.
func (s *statement) allowedActions() []string {
	var all []string
	for _, a := range actionNames {
		all = append(all, lowerActions[a])
	}
	for _, a := range s.actions.texts {
		if a == "*" {
			a = "secretsmanager:*"
		}
		all = append(all, strings.ToLower(a))
	}
	return slices.DeleteFunc(all, func(a string) bool { return s.actions.match(a, nil) != yes })
}

// denies says whether s certainly denies a stranger an action on all resources on
// which another statement allows it.
func (s *statement) denies(stranger principal, action string, allows *statement) bool {
	return s.deny && s.isAbout(stranger) && s.actions.match(action, nil) == yes && s.resources.include(allows.resources) &&
		!slices.ContainsFunc(s.conditions, func(c condition) bool { return !c.metByStrangers() })
}

// include says whether p matches all that q matches. It compares the patterns as
// texts.
func (p patterns) include(q patterns) bool {
	if p.except {
		return false
	}
	if slices.Contains(p.texts, "*") {
		return true
	}
	return !q.except && !slices.ContainsFunc(q.texts, func(s string) bool { return !slices.Contains(p.texts, s) })
}

// describe names those whom a statement that allows a stranger allows.
func (ps principals) describe(stranger principal) string {
	switch {
	case stranger.kind == identityProvider: // others are denied
		return "everyone who signs in with " + stranger.name
	case ps.except:
		return "every principal but those it names"
	}
	return "every principal"
}

// metByStrangers says whether every stranger meets a condition with every request: it
// requires to be no known principal, to come from no known network, or to be no
// service.
func (c condition) metByStrangers() bool {
	if c.key.keyType == alwaysFalse && (c.operator.values == bools || c.operator.values == null) {
		return containsFold(c.values, "false")
	}
	// ForAnyValue is false of a request without the key.
	return c.operator.negated && c.operator.set != forAnyValue && c.limits()
}

// limitedBy says whether c limits s to known principals or networks.
func (s *statement) limitedBy(c condition) bool {
	// Both are true of a request without the key.
	if (c.operator.ifExists || c.operator.set == forAllValues) && !s.requires(c.key) {
		return false
	}
	return !c.operator.negated && c.limits()
}

// requires says whether s requires a key to be present.
func (s *statement) requires(k key) bool {
	return slices.ContainsFunc(s.conditions, func(c condition) bool {
		return c.operator.values == null && c.key == k && !containsFold(c.values, "true")
	})
}

// limits says whether the operands of c are known principals or networks only.
func (c condition) limits() bool {
	known := limitingKeys[c.key.name]
	return known != nil && !slices.ContainsFunc(c.values, func(v string) bool { return !known(c.operator.values, v) })
}

// limitingKeys are the condition keys that can limit a statement to known principals
// or networks, with a check of the value. They are S3's, of which the user guide of
// Secrets Manager names four (SourceArn, SourceVpc, SourceVpce, SourceAccount). What
// callers choose themselves is not among them: a tag, a user's name, a user agent.
var limitingKeys = map[string]func(t valueType, value string) bool{
	principalARN:           isOneAccount,
	"aws:principalaccount": isOneText,
	"aws:principalorgid":   isOneText,
	"aws:sourcearn":        isOneAccount,
	"aws:sourceaccount":    isOneText,
	"aws:sourceowner":      isOneText,
	"aws:sourcevpc":        isOneText,
	"aws:sourcevpce":       isOneText,
	"aws:sourceip":         isNarrowNetwork,
	"aws:userid":           isOneUser,
}

// isFixed says whether s is one value only: S3 counts wildcards and variables as
// public, under whichever operator.
func isFixed(s string) bool {
	return s != "" && !strings.ContainsAny(s, "*?") && !hasVariable(s)
}

func isOneText(t valueType, v string) bool { return t == strs && isFixed(v) }

// isOneAccount accepts one ARN, or ARNs that are all of one account. This is a little
// more than S3 accepts, which has wildcards after a fixed account for one of its keys,
// and not for these two (our decision).
//
// ARN operators compare part by part. To a string operator an ARN is text, in which a
// star also matches colons (and the path of a role may have some), so that everything
// before the account must be fixed too.
func isOneAccount(t valueType, v string) bool {
	if t != arns && t != strs {
		return false
	}
	if isFixed(v) {
		return true
	}
	parts := strings.SplitN(v, ":", 6)
	if len(parts) < 6 || !isAccount(parts[4]) {
		return false
	}
	before := strings.Join(parts[:4], ":")
	return isFixed(before) || t == arns && !hasVariable(before)
}

var roleSessions = regexp.MustCompile(`^AROA[A-Z0-9]+:\*$`)

// isOneUser accepts one user ID, or all sessions of one role: the role's ID is before
// the colon. (S3 accepts a fixed value "outside the pattern AROLEID:*"; that this
// allows the pattern is a guess.)
func isOneUser(t valueType, v string) bool {
	return isOneText(t, v) || t == strs && roleSessions.MatchString(v)
}

// isNarrowNetwork accepts what is not broader than /8, or /32 of IPv6: S3's limits.
func isNarrowNetwork(t valueType, v string) bool {
	p, ok := parseNetwork(v)
	switch {
	case t != addresses || !ok || p.Overlaps(ipv4Mapped):
		return false
	case p.Addr().Is4():
		return p.Bits() >= 8
	}
	return p.Bits() >= 32
}
