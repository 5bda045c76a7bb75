package policy

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/strongroom/strongroom/pkg/secret"
)

// Principals is who a statement is about; with Except, as NotPrincipal has it,
// everyone else. There is at least one.
type Principals struct {
	Except bool
	Any    []Principal
}

// A Principal is one that a policy names, by an ID of this kind.
type Principal struct {
	Kind Kind
	ID   string
}

// A Kind is a sort of principal.
type Kind string

// The kinds of principal that a secret's policy may name. S3's CanonicalUser is
// none of them: "most resource-based policies do not support this mapping".
const (
	// AWS is an account (12 digits or its root), a user, a role, a session of
	// a role or of a federated user; or everyone.
	AWS       Kind = "AWS"
	Service   Kind = "Service"
	Federated Kind = "Federated"
)

// Everyone is all principals there are, also those that AWS does not know. It is
// written "*" or {"AWS": "*"}, which mean the same.
var Everyone = Principal{AWS, "*"}

// What AWS says of principals. The words of the second are those of a caller of
// 2025; the old user guide has "an invalid service principal".
var (
	errPrincipal = secret.Errorf(secret.MalformedPolicyDocument, "This resource policy contains an unsupported principal.")
	errService   = secret.Errorf(secret.MalformedPolicyDocument, "This resource policy contains an unsupported service principal.")
)

// AWS looks its principals up and refuses those that it cannot find, the IDs of
// deleted ones too. There is nobody here to ask, so what looks like one is one.
// None has a wildcard in it: "you cannot use a wildcard to match part of a
// principal name or ARN".
var (
	awsPrincipal = regexp.MustCompile(`^(\*|[0-9]{12}` +
		`|arn:aws[a-z-]*:iam::[0-9]{12}:root` +
		`|arn:aws[a-z-]*:iam::[0-9]{12}:(user|role)/([!-)+->@-~]+/)?[\w+=,.@-]{1,64}` +
		`|arn:aws[a-z-]*:sts::[0-9]{12}:assumed-role/[\w+=,.@-]{1,64}/[\w+=,.@-]{2,64}` +
		`|arn:aws[a-z-]*:sts::[0-9]{12}:federated-user/[\w+=,.@-]{2,32})$`)

	// servicePrincipal: which services there are only AWS knows.
	servicePrincipal = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.amazonaws\.com(\.cn)?$`)

	// federatedPrincipal is a provider of an account, or one of those that
	// sign in anybody.
	federatedPrincipal = regexp.MustCompile(`^(arn:aws[a-z-]*:iam::[0-9]{12}:(saml|oidc)-provider/[!-)+->@-~]+` +
		`|cognito-identity\.amazonaws\.com|www\.amazon\.com|graph\.facebook\.com|accounts\.google\.com)$`)
)

func parsePrincipals(el map[string]any) (p Principals, err error) {
	v, except, err := either(el, "Principal")
	if err != nil {
		return p, err
	}
	p.Except = except
	if v == Everyone.ID {
		p.Any = []Principal{Everyone}
		return p, nil
	}
	kinds, ok := v.(object)
	if !ok || len(kinds) == 0 {
		return p, malformed("its principal is neither * nor an object with one")
	}
	for _, k := range kinds {
		if !slices.Contains([]string{"AWS", "Service", "Federated", "CanonicalUser"}, k.name) {
			return p, malformed("unknown kind of principal %.40q", k.name)
		}
		ids, err := words(k.value)
		if err != nil {
			return p, err
		}
		for _, id := range ids {
			one := Principal{Kind(k.name), id}
			if err := one.check(); err != nil {
				return p, fmt.Errorf("principal %.80q is none that can be named: %w", id, err)
			}
			p.Any = append(p.Any, one)
		}
	}
	return p, nil
}

func (p Principal) check() error {
	switch {
	case p.Kind == Service && !servicePrincipal.MatchString(p.ID):
		return errService
	case p.Kind == AWS && awsPrincipal.MatchString(p.ID),
		p.Kind == Federated && federatedPrincipal.MatchString(p.ID),
		p.Kind == Service:
		return nil
	}
	return errPrincipal
}
