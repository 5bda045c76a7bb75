package policy

// A naming is how principals are meant to be understood: those of the policy on
// a secret, or those of the principal policies of a deployment.
type naming uint8

const (
	onSecret naming = iota
	ofDeployment
)

// standing is in which way a statement is about a caller.
type standing uint8

const (
	stranger standing = iota
	// delegated is a caller whose account the statement names. A Deny is about
	// him. An Allow on a secret leaves it to the account whom of its
	// principals to let do what, and lets in none of them by itself (IAM user
	// guide, "AWS JSON policy elements: Principal", on accounts).
	delegated
	named
)

// principals is a Principal or NotPrincipal, compiled.
type principals struct {
	except bool
	any    []who
}

func compilePrincipals(p Principals) principals {
	c := principals{except: p.Except, any: make([]who, len(p.Any))}
	for i, one := range p.Any {
		switch {
		case one == Everyone:
			c.any[i] = who{kind: everyone}
		case one.Kind == AWS && isAccount(one.ID):
			c.any[i] = who{kind: account, account: one.ID}
		case one.Kind == AWS:
			c.any[i] = parseARN(one.ID)
		}
	}
	return c
}

// standing says in which way a statement with these principals and this effect is
// about w.
func (p principals) standing(w who, effect Effect, n naming) standing {
	if p.except {
		if effect == Deny && p.spares(w, n) || effect == Allow && p.covers(w) != stranger {
			return stranger
		}
		return named
	}
	s := p.covers(w)
	if s == delegated && n == ofDeployment {
		return named
	}
	return s
}

// covers says in which way w is among them: itself, in its role or by `*`, or in
// its account.
func (p principals) covers(w who) standing {
	best := stranger
	for _, one := range p.any {
		if !one.covers(w) {
			continue
		}
		if one.kind != account {
			return named
		}
		best = delegated
	}
	return best
}

// covers says whether other is whom w names, or one of them.
func (w who) covers(other who) bool {
	switch w.kind {
	case everyone:
		return true
	case nobody:
		return false
	case account:
		return w.account == other.account && (w.partition == "" || w.partition == other.partition)
	case role:
		return other.kind == session && w.name == other.name && w.account == other.account && w.partition == other.partition
	}
	return w == other
}

// spares says whether a Deny with NotPrincipal leaves w alone: when w is named
// itself, or is a session of a role that is.
//
// IAM's guide ("NotPrincipal with Deny") has the account named beside a user, and
// the account and the role beside a session, for every level is looked at for
// itself; in its examples everyone else of that account or role is denied all
// the same. So what stands beside something narrower of the same account, or
// role, spares nobody by itself. What IAM does to a user whose account is not
// named the guide leaves open ("might deny"); here being named is enough.
//
// An account on its own spares its root, as its users are not named; in the
// policies of a deployment, where an account is all its principals, all of them.
func (p principals) spares(w who, n naming) bool {
	for _, one := range p.any {
		switch {
		case !one.covers(w):
		case one.kind == account && w.kind != account && (n == onSecret || p.narrows(one)),
			one.kind == role && p.narrows(one):
		default:
			return true
		}
	}
	return false
}

// narrows says whether something narrower than wide, and within it, is named too.
func (p principals) narrows(wide who) bool {
	for _, one := range p.any {
		switch wide.kind {
		case account:
			if one.kind > account && one.account == wide.account {
				return true
			}
		case role:
			if one.kind == session && wide.covers(one) {
				return true
			}
		}
	}
	return false
}
