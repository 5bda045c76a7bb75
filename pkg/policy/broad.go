package policy

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Broad finds the statements that let in principals whom the policy does not
// name. AWS has an automated reasoner (Zelkova) look for that, whose documented
// rules, those of S3's "meaning of public", are followed here: what allows
// everyone is broad, unless it is limited to known principals or networks.
//
// It is decided by asking for strangers, of whom the policy has never heard:
// does a statement let one in, be the request as he likes it, and does none take
// it back, be the request as he likes it? A Deny takes back what it denies for
// certain: all of the statement's resources, with conditions that a stranger
// meets whatever he does, such as being of no known organization.
//
// Whether the resources are this secret is not weighed, so the error is on the
// safe side. On the other side, networks are measured one by one, as in S3: many
// that are narrow may together be all there are.
func (p *Policy) Broad() []Finding {
	var all []Finding
	strangers := p.strangers()
	for i, s := range p.Statements {
		if s.Effect != Allow || slices.ContainsFunc(s.Conditions, s.narrows) {
			continue
		}
		for _, one := range strangers {
			if p.lets(i, one) {
				all = append(all, Finding{broadAccess, fmt.Sprintf(
					"This resource policy grants broad access to your secret. Statement %d allows %s, without a condition that limits it to known principals or networks.", i+1, s.admits(one))})
				break
			}
		}
	}
	return all
}

// An outsider is a stranger: a caller, or somebody who comes from a provider that
// signs in anybody, without an ARN.
type outsider struct {
	who      who
	provider string
}

// strangers are one of each kind of principal, of an account that the policy does
// not name, somebody of whom nothing is known, and one from each provider it names.
func (p *Policy) strangers() []outsider {
	foreign := who{partition: "aws", account: p.foreignAccount(), name: "stranger"}
	var all []outsider
	for _, kind := range []whoKind{user, session, account, federatedUser, nobody} {
		w := foreign
		switch w.kind = kind; kind {
		case session:
			w.session = "stranger"
		case account:
			w.name = ""
		case nobody:
			w = who{}
		}
		all = append(all, outsider{who: w})
	}
	for _, s := range p.Statements {
		for _, one := range s.Principals.Any {
			// S3 counts a policy for graph.facebook.com as public. A provider
			// with an ARN is one that an account has chosen to trust.
			o := outsider{provider: one.ID}
			if one.Kind == Federated && !strings.HasPrefix(one.ID, "arn:") && !slices.Contains(all, o) {
				all = append(all, o)
			}
		}
	}
	return all
}

// foreignAccount is the number of an account that the policy does not name.
func (p *Policy) foreignAccount() string {
	named := map[string]bool{}
	for _, r := range p.rules {
		for _, one := range r.principals.any {
			named[one.account] = true
		}
	}
	for i := 0; ; i++ {
		if id := fmt.Sprintf("%012d", i); !named[id] {
			return id
		}
	}
}

// isAbout says whether statement i is about a stranger.
func (p *Policy) isAbout(i int, o outsider) bool {
	s := &p.Statements[i]
	if o.provider == "" {
		return p.rules[i].principals.standing(o.who, s.Effect, onSecret) != stranger
	}
	has := slices.Contains(s.Principals.Any, Everyone) || slices.Contains(s.Principals.Any, Principal{Federated, o.provider})
	return has != s.Principals.Except
}

// lets says whether statement i lets a stranger do something that no other
// statement takes back.
func (p *Policy) lets(i int, o outsider) bool {
	if !p.isAbout(i, o) {
		return false
	}
	for _, a := range p.allowedBy(i) {
		if !p.takesBack(i, a, o) {
			return true
		}
	}
	return false
}

// allowedBy are the actions that statement i allows, in lower case; besides those
// there are, the ones it names, in case there will be.
func (p *Policy) allowedBy(i int) []string {
	var all []string
	for _, a := range actions {
		all = append(all, lower("secretsmanager:"+a))
	}
	for _, a := range p.Statements[i].Actions.Any {
		if a == "*" {
			a = "secretsmanager:*"
		}
		all = append(all, strings.ToLower(a))
	}
	return slices.DeleteFunc(all, func(a string) bool { return p.rules[i].actions.match(a, nil) != yes })
}

// takesBack says whether a Deny denies a stranger, for certain, an action on all
// resources on which statement i allows it.
func (p *Policy) takesBack(i int, action string, o outsider) bool {
	for j, d := range p.Statements {
		if d.Effect == Deny && p.isAbout(j, o) && p.rules[j].actions.match(action, nil) == yes &&
			d.Resources.include(p.Statements[i].Resources) && !slices.ContainsFunc(d.Conditions, func(c Condition) bool { return !c.certain() }) {
			return true
		}
	}
	return false
}

// include says whether q names nothing that p does not. That of two patterns one
// includes the other is only seen when they are the same.
func (p Patterns) include(q Patterns) bool {
	if p.Except {
		return false
	}
	if slices.Contains(p.Any, "*") {
		return true
	}
	return !q.Except && !slices.ContainsFunc(q.Any, func(s string) bool { return !slices.Contains(p.Any, s) })
}

// admits says whom a statement that lets in a stranger lets in.
func (s Statement) admits(o outsider) string {
	switch {
	case o.provider != "" && !slices.Contains(s.Principals.Any, Everyone) && !s.Principals.Except:
		return "everyone who signs in with " + o.provider
	case s.Principals.Except:
		return "every principal but those it names"
	}
	return "every principal"
}

// affirmative are the operators that a known value limits, under their negations.
var affirmative = map[string]string{
	"StringNotEquals": "StringEquals", "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase", "StringNotLike": "StringLike",
	"ArnNotEquals": "ArnEquals", "ArnNotLike": "ArnLike", "NotIpAddress": "IpAddress",
}

// certain says whether every stranger meets a condition, whatever he does: when it
// is not to be a known principal, not to come from a known network, or to be no
// service.
func (c Condition) certain() bool {
	key := strings.ToLower(c.Key)
	switch {
	case sources[key] == isFalse && c.Operator.Name == "Bool":
		return slices.Contains(c.Values, "false")
	case sources[key] == isFalse && c.Operator.Name == "Null":
		return slices.Contains(c.Values, "false")
	}
	one, ok := known[key]
	op, negated := affirmative[c.Operator.Name]
	// ForAnyValue is false of a request without the key.
	return ok && negated && c.Operator.Each != ForAnyValue &&
		!slices.ContainsFunc(c.Values, func(v string) bool { return !one(op, v) })
}

// known maps the condition keys that can limit a statement to what is known, in
// lower case, to whether this value does so under this operator. They are S3's,
// of which the user guide of Secrets Manager names four (SourceArn, SourceVpc,
// SourceVpce, SourceAccount). What anybody can give himself is not among them:
// a tag, a user's name, a user agent.
var known = map[string]func(op, value string) bool{
	"aws:principalarn":     oneAccount,
	"aws:principalaccount": oneText,
	"aws:principalorgid":   oneText,
	"aws:sourcearn":        oneAccount,
	"aws:sourceaccount":    oneText,
	"aws:sourceowner":      oneText,
	"aws:sourcevpc":        oneText,
	"aws:sourcevpce":       oneText,
	"aws:sourceip":         oneNetwork,
	"aws:userid":           oneUser,
}

// narrows says whether a condition of s is met by known principals and from
// known networks only, all of its values being known.
func (s Statement) narrows(c Condition) bool {
	one, ok := known[strings.ToLower(c.Key)]
	if !ok {
		return false
	}
	// Both are true of a request without the key.
	if (c.Operator.IfExists || c.Operator.Each == ForAllValues) && !s.requires(c.Key) {
		return false
	}
	return !slices.ContainsFunc(c.Values, func(v string) bool { return !one(c.Operator.Name, v) })
}

// requires says whether s asks for a key to be there.
func (s Statement) requires(key string) bool {
	return slices.ContainsFunc(s.Conditions, func(c Condition) bool {
		return c.Operator.Name == "Null" && strings.EqualFold(c.Key, key) && !slices.Contains(c.Values, "true")
	})
}

var (
	textual = []string{"StringEquals", "StringEqualsIgnoreCase", "StringLike"}
	ofARNs  = []string{"ArnEquals", "ArnLike"}
)

// fixed says whether s is one value only: S3 counts wildcards and variables as
// public, under whichever operator.
func fixed(s string) bool {
	return s != "" && !strings.ContainsAny(s, "*?") && !hasVariable(s)
}

func oneText(op, v string) bool { return slices.Contains(textual, op) && fixed(v) }

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// oneAccount takes one ARN, or ARNs that are all of one account. This is a
// little more than S3 grants, which takes wildcards behind a fixed account for
// one of its keys, and not for these two (our decision).
//
// ARN operators compare part by part. To a string operator an ARN is text, in
// which a star also runs over colons (and the path of a role may have some), so
// that all in front of the account must be fixed too.
func oneAccount(op, v string) bool {
	isARN := slices.Contains(ofARNs, op)
	if !isARN && !slices.Contains(textual, op) {
		return false
	}
	if fixed(v) {
		return true
	}
	parts := strings.SplitN(v, ":", 6)
	if len(parts) < 6 || !accountID.MatchString(parts[4]) {
		return false
	}
	before := strings.Join(parts[:4], ":")
	return fixed(before) || isARN && !hasVariable(before)
}

var roleSessions = regexp.MustCompile(`^AROA[A-Z0-9]+:\*$`)

// oneUser takes one user ID, or all sessions of one role: the ID of the role
// stands before the colon. (S3 says it takes a fixed value "outside the pattern
// AROLEID:*"; that the pattern is meant as an exception in its favour is a guess.)
func oneUser(op, v string) bool {
	return oneText(op, v) || slices.Contains(textual, op) && roleSessions.MatchString(v)
}

// mapped is all of IPv4 within IPv6.
var mapped = netip.MustParsePrefix("::ffff:0:0/96")

// oneNetwork takes what is no broader than /8, or /32 of IPv6: S3's limits.
func oneNetwork(op, v string) bool {
	if op != "IpAddress" {
		return false
	}
	p, err := parseNetwork(v)
	if err != nil {
		return false
	}
	switch {
	case p.Addr().Is4():
		return p.Bits() >= 8
	case p.Overlaps(mapped):
		return p.Bits() >= mapped.Bits()+8
	}
	return p.Bits() >= 32
}
