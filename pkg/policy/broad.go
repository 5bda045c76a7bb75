package policy

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// A Finding is what ValidateResourcePolicy reports of a policy that does not
// pass, with AWS's member names.
type Finding struct {
	CheckName    string
	ErrorMessage string
}

// broadAccess is a guess: AWS documents that the check has a name, and not which.
const broadAccess = "BROAD_ACCESS"

// Broad finds the statements that let in principals whom the policy does not
// name. AWS has an automated reasoner (Zelkova) look for that, whose documented
// rules, those of S3's "meaning of public", are followed here: what allows
// everyone is broad, unless it is limited to known principals or networks.
//
// Each statement is looked at for itself. A Deny beside it may take away again
// what it gives, and its resources may not be this secret: neither is weighed, so
// the error is on the safe side. On the other side, networks are measured one by
// one, as in S3: many that are narrow may together be all there are.
func (p *Policy) Broad() []Finding {
	var all []Finding
	for i, s := range p.Statements {
		if who := s.lets(); who != "" {
			all = append(all, Finding{broadAccess, fmt.Sprintf(
				"This resource policy grants broad access to your secret. Statement %d allows %s, without a condition that limits it to known principals or networks.", i+1, who)})
		}
	}
	return all
}

// lets says whom a statement lets in without naming them, or nothing.
func (s Statement) lets() string {
	if s.Effect != Allow || slices.ContainsFunc(s.Conditions, s.narrows) {
		return ""
	}
	everyone := slices.Contains(s.Principals.Any, Everyone)
	switch {
	case s.Principals.Except && everyone:
		return ""
	case s.Principals.Except:
		return "every principal but those it names"
	case everyone:
		return "every principal"
	}
	for _, p := range s.Principals.Any {
		// S3 counts a policy for graph.facebook.com as public. A provider
		// with an ARN is one that an account has chosen to trust.
		if p.Kind == Federated && !strings.HasPrefix(p.ID, "arn:") {
			return "everyone who signs in with " + p.ID
		}
	}
	return ""
}

// known maps the condition keys that can limit a statement to what is known, in
// lower case, to whether this value does so under this operator. They are S3's,
// of which the user guide of Secrets Manager names four (SourceArn, SourceVpc,
// SourceVpce, SourceAccount). What anybody can give himself is not among them:
// a tag, a user's name, a user agent.
var known = map[string]func(op, value string) bool{
	"aws:principalarn":      oneAccount,
	"aws:principalaccount":  oneText,
	"aws:principalorgid":    oneText,
	"aws:principalorgpaths": oneOrganization,
	"aws:sourcearn":         oneAccount,
	"aws:sourceaccount":     oneText,
	"aws:sourceowner":       oneText,
	"aws:sourcevpc":         oneText,
	"aws:sourcevpce":        oneText,
	"aws:sourceip":          oneNetwork,
	"aws:userid":            oneUser,
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

var inOrganization = regexp.MustCompile(`^o-[a-z0-9]+/`)

// oneOrganization takes a path through an organization, which starts at its ID
// and mostly ends in a star.
func oneOrganization(op, v string) bool {
	return slices.Contains(textual, op) && inOrganization.MatchString(v)
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
