package policy

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/strongroom/strongroom/pkg/secret"
)

// A principal is the caller, or one that a policy names. A role is only ever
// named: its callers are sessions.
type principal struct {
	kind      principalKind
	partition string // empty for an account named by its number
	account   string
	// name is that of a user with its path, of a role without its path, of a
	// federated user, of a service or of an identity provider.
	name    string
	session string
}

type principalKind uint8

const (
	unidentified principalKind = iota
	everyone
	account // named: all of its principals; as the caller: its root
	user
	role
	session
	federatedUser
	awsService       // never a caller here
	identityProvider // nor are those who sign in with one
)

// principalTypes are the values of aws:PrincipalType.
var principalTypes = map[principalKind]string{unidentified: "Anonymous", account: "Account", user: "User", session: "AssumedRole", federatedUser: "FederatedUser"}

// parseARN parses the ARN of a principal, without the path of a role, since the
// ARN of a session has none to compare it with. Role names are unique within an
// account, whatever their paths (IAM user guide, "IAM and AWS STS quotas").
func parseARN(arn string) principal {
	rest, ok := strings.CutPrefix(arn, "arn:")
	if !ok {
		return principal{}
	}
	partition, rest, _ := strings.Cut(rest, ":")
	service, rest, _ := strings.Cut(rest, ":")
	region, rest, _ := strings.Cut(rest, ":")
	id, resource, _ := strings.Cut(rest, ":")
	if partition == "" || region != "" || !isAccount(id) {
		return principal{}
	}
	p := principal{partition: partition, account: id}
	if service == "iam" && resource == "root" {
		p.kind = account
		return p
	}
	kind, name, _ := strings.Cut(resource, "/")
	p.name = name
	switch {
	case service == "iam" && kind == "user":
		p.kind = user
	case service == "iam" && kind == "role":
		p.kind, p.name = role, lastOf(name)
	case service == "sts" && kind == "federated-user":
		p.kind = federatedUser
	case service == "sts" && kind == "assumed-role":
		p.kind = session
		p.name, p.session, _ = strings.Cut(name, "/")
	}
	if p.kind == unidentified || lastOf(p.name) == "" || p.kind == session && (p.session == "" || strings.Contains(p.session, "/")) {
		return principal{}
	}
	return p
}

// lastOf is what follows the path in a name.
func lastOf(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

func isAccount(s string) bool { return len(s) == 12 && strings.Trim(s, "0123456789") == "" }

// userName is the name of a user without the path. That of a session is not one:
// the caller that assumes a role chooses it.
func (p principal) userName() string {
	if p.kind != user {
		return ""
	}
	return lastOf(p.name)
}

// includes says whether other is what p names, or one of them.
func (p principal) includes(other principal) bool {
	switch p.kind {
	case everyone:
		return true
	case unidentified:
		return false
	case account:
		return p.account == other.account && (p.partition == "" || p.partition == other.partition)
	case role:
		return other.kind == session && p.name == other.name && p.account == other.account && p.partition == other.partition
	}
	return p == other
}

// principals is Principal or, with except, NotPrincipal.
type principals struct {
	except bool
	any    []principal
}

type principalMatch uint8

const (
	notMatched principalMatch = iota
	// matchedByAccount: the statement names the account of the caller. A Deny
	// then applies. An Allow of a resource policy leaves it to the account to
	// allow its principals (IAM user guide, "AWS JSON policy elements:
	// Principal", on accounts).
	matchedByAccount
	matched
)

// match says whether a statement with these principals is about p.
func (ps principals) match(p principal, deny bool, side Side) principalMatch {
	found := ps.find(p)
	switch {
	case ps.except && (deny && ps.excepts(p, side) || !deny && found != notMatched):
		return notMatched
	case ps.except, found == matchedByAccount && side == IdentityBased:
		return matched
	}
	return found
}

// find says whether p is among them: itself, by its role, by `*`, or by its account.
func (ps principals) find(p principal) principalMatch {
	best := notMatched
	for i := range ps.any {
		one := &ps.any[i]
		if !one.includes(p) {
			continue
		}
		if one.kind != account {
			return matched
		}
		best = matchedByAccount
	}
	return best
}

// excepts says whether a Deny with NotPrincipal does not apply to p: p is named
// itself, or is a session of a named role.
//
// IAM's guide ("NotPrincipal with Deny") names the account beside a user, and the
// account and the role beside a session, since each level is evaluated by itself;
// in its examples all others of that account or role are denied nonetheless. So an
// account or role excepts nobody by itself if something narrower within it is named
// too. What IAM does to a user whose account is not named the guide leaves open
// ("might deny"); here being named is enough.
//
// An account on its own excepts its root only, as its users are not named; in an
// identity-based policy, where it stands for all of its principals, all of them.
func (ps principals) excepts(p principal, side Side) bool {
	for _, one := range ps.any {
		switch {
		case !one.includes(p):
		case one.kind == account && p.kind != account && (side == ResourceBased || ps.hasNarrower(one)),
			one.kind == role && ps.hasNarrower(one):
		default:
			return true
		}
	}
	return false
}

// hasNarrower says whether a principal within an account or role is named too.
func (ps principals) hasNarrower(wide principal) bool {
	for _, one := range ps.any {
		if wide.kind == account && one.kind > account && one.account == wide.account || wide.kind == role && wide.includes(one) {
			return true
		}
	}
	return false
}

// AWS's errors about principals. The text of the second is that seen by a caller in
// 2025; the old user guide has "an invalid service principal".
var (
	errPrincipal = secret.Errorf(secret.MalformedPolicyDocument, "This resource policy contains an unsupported principal.")
	errService   = secret.Errorf(secret.MalformedPolicyDocument, "This resource policy contains an unsupported service principal.")
)

// AWS looks principals up and rejects unknown ones, the IDs of deleted ones too.
// Here the form decides. None has a wildcard: "you cannot use a wildcard to match
// part of a principal name or ARN".
var (
	// Compiled when a policy is parsed that needs it: the counts in it make that slow, and
	// a function starts without one.
	awsPrincipal = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(\*|[0-9]{12}` +
			`|arn:aws[a-z-]*:iam::[0-9]{12}:root` +
			`|arn:aws[a-z-]*:iam::[0-9]{12}:(user|role)/([!-)+->@-~]+/)?[\w+=,.@-]{1,64}` +
			`|arn:aws[a-z-]*:sts::[0-9]{12}:assumed-role/[\w+=,.@-]{1,64}/[\w+=,.@-]{2,64}` +
			`|arn:aws[a-z-]*:sts::[0-9]{12}:federated-user/[\w+=,.@-]{2,32})$`)
	})

	// servicePrincipal: only AWS knows which services there are.
	servicePrincipal = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.amazonaws\.com(\.cn)?$`)

	// federatedPrincipal is an identity provider of an account, or a public one.
	federatedPrincipal = regexp.MustCompile(`^(arn:aws[a-z-]*:iam::[0-9]{12}:(saml|oidc)-provider/[!-)+->@-~]+` +
		`|cognito-identity\.amazonaws\.com|www\.amazon\.com|graph\.facebook\.com|accounts\.google\.com)$`)
)

func parsePrincipals(el map[string]any) (ps principals, err error) {
	v, except, err := either(el, "Principal")
	if err != nil {
		return ps, err
	}
	ps.except = except
	if v == "*" { // the same as {"AWS": "*"}
		ps.any = []principal{{kind: everyone}}
		return ps, nil
	}
	kinds, ok := v.(object)
	if !ok || len(kinds) == 0 {
		return ps, malformed("its principal is neither * nor an object with one")
	}
	for _, k := range kinds {
		switch k.name {
		case "AWS", "Service", "Federated", "CanonicalUser":
		default:
			return ps, malformed("unknown kind of principal %.40q", k.name)
		}
		ids, err := words(k.value)
		if err != nil {
			return ps, err
		}
		for _, id := range ids {
			p, err := parsePrincipal(k.name, id)
			if err != nil {
				return ps, fmt.Errorf("principal %.80q is none that can be named: %w", id, err)
			}
			ps.any = append(ps.any, p)
		}
	}
	return ps, nil
}

// parsePrincipal rejects every CanonicalUser, which is S3's: "most resource-based
// policies do not support this mapping".
func parsePrincipal(kind, id string) (principal, error) {
	switch {
	case kind == "AWS" && id == "*":
		return principal{kind: everyone}, nil
	case kind == "AWS" && isAccount(id):
		return principal{kind: account, account: id}, nil
	case kind == "AWS" && awsPrincipal().MatchString(id):
		return parseARN(id), nil
	case kind == "Federated" && federatedPrincipal.MatchString(id):
		return principal{kind: identityProvider, name: id}, nil
	case kind == "Service" && servicePrincipal.MatchString(id):
		return principal{kind: awsService, name: id}, nil
	case kind == "Service":
		return principal{}, errService
	}
	return principal{}, errPrincipal
}
