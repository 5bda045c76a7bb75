package policy

import "strings"

// A Caller is who makes a request and from where, as whoever authenticated it
// says. The zero Caller is somebody of whom nothing is known.
type Caller struct {
	// ARN is that of a user with its path, of an account's root, of a session
	// of a role (arn:aws:sts::123456789012:assumed-role/Role/session, in which
	// the role has no path), or of a federated user.
	ARN     string
	Account string
	UserID  string // aws:userid
	OrgID   string // aws:PrincipalOrgID; empty when it is not known
	// AccessKey is for the audit record; no policy can ask for it.
	AccessKey string
	SourceIP  string
	VPC, VPCE string // the network and the endpoint it came through, if any
	UserAgent string
	Secure    bool // it came over TLS
}

// who is a principal, as a policy names it or as a caller is it. A role is only
// ever named, and a session is a caller or named.
type who struct {
	kind      whoKind
	partition string // empty in an account that is named by its number
	account   string
	// name is that of a user with its path, of a role without, of a federated
	// user.
	name    string
	session string
}

type whoKind uint8

const (
	// nobody is a caller of whom it is not known who he is, and a principal
	// that no caller here is: a service, or a provider of identities.
	nobody whoKind = iota
	everyone
	account // all principals of it when it is named; its root as a caller
	user
	role
	session
	federatedUser
)

// who is the principal that c is. What c says of itself must fit together: an
// ARN of another form than a gateway gives, or of another account than Account,
// is that of nobody.
func (c Caller) who() who {
	w := parseARN(c.ARN)
	if w.account != c.Account || w.kind == role {
		return who{}
	}
	return w
}

// parseARN reads the ARN of a principal; of the path of a role it keeps nothing.
// The gateway names a session without it, so that there is nothing to compare it
// with. Nothing is lost: no two roles of an account have the same name, whatever
// their paths (IAM user guide, "IAM and AWS STS quotas").
func parseARN(arn string) who {
	rest, ok := strings.CutPrefix(arn, "arn:")
	if !ok {
		return who{}
	}
	partition, rest, _ := strings.Cut(rest, ":")
	service, rest, _ := strings.Cut(rest, ":")
	region, rest, _ := strings.Cut(rest, ":")
	id, resource, _ := strings.Cut(rest, ":")
	if partition == "" || region != "" || !isAccount(id) {
		return who{}
	}
	w := who{partition: partition, account: id}
	kind, name, _ := strings.Cut(resource, "/")
	switch {
	case service == "iam" && resource == "root":
		w.kind = account
	case service == "iam" && kind == "user":
		w.kind, w.name = user, name
	case service == "iam" && kind == "role":
		w.kind, w.name = role, name[strings.LastIndexByte(name, '/')+1:]
	case service == "sts" && kind == "federated-user":
		w.kind, w.name = federatedUser, name
	case service == "sts" && kind == "assumed-role":
		w.kind = session
		w.name, w.session, _ = strings.Cut(name, "/")
		if w.session == "" || strings.Contains(w.session, "/") {
			return who{}
		}
	}
	if w.kind == nobody || w.kind != account && (w.name == "" || strings.HasSuffix(w.name, "/")) {
		return who{}
	}
	return w
}

func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// userName is the name of a user without the path. A session's name is no user's
// name: whoever may assume a role chooses it.
func (w who) userName() string {
	if w.kind != user {
		return ""
	}
	return w.name[strings.LastIndexByte(w.name, '/')+1:]
}

// types are the values of aws:PrincipalType.
var types = map[whoKind]string{nobody: "Anonymous", account: "Account", user: "User", session: "AssumedRole", federatedUser: "FederatedUser"}
