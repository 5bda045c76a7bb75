package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Request is what Decide authorizes.
type Request struct {
	Caller Caller
	// Action is as policies name it: secretsmanager:GetSecretValue.
	Action string
	// Resource is the full ARN of the secret, or * for an operation about none.
	Resource string
	// Named is the secret as the caller named it, for Denied.
	Named string
	// Owner is the account of the secret.
	Owner string
	Time  time.Time
	Keys  Keys
	// Implied is a second reading of the request, for what it means beyond what it
	// says: it replaces those Keys, such as an absent one by its default. An Allow
	// must apply in both readings, a Deny in one; see statement.matches.
	Implied Keys
	// Unknown are the keys, in lower case, that the request has with a value that is
	// not known, such as the ARN of a KMS key that is named by an alias.
	Unknown []string
}

// A Caller is who sends a request and from where, as established by what
// authenticated it. The zero Caller is unidentified.
type Caller struct {
	// ARN is that of a user with its path, of an account's root, of a role's
	// session (arn:aws:sts::123456789012:assumed-role/Role/session, without the
	// path of the role), or of a federated user.
	ARN     string
	Account string
	UserID  string // aws:userid
	OrgID   string // aws:PrincipalOrgID; empty if unknown
	// AccessKey is for the audit record; policies cannot refer to it.
	AccessKey string
	SourceIP  string
	VPC, VPCE string // the VPC and its endpoint that the request came through
	UserAgent string
	Secure    bool // over TLS
}

// A requestContext is a Request under evaluation and what was derived from it.
type requestContext struct {
	Request
	principal principal
	action    string // in lower case

	// derived when first needed
	arn, now string
	address  netip.Addr

	implied bool // it is read with Implied

	value [1]string // see values
}

// contexts are reused, so that Decide does not allocate.
var contexts = sync.Pool{New: func() any { return new(requestContext) }}

func (c *requestContext) reset(r Request) {
	*c = requestContext{Request: r}
	// A caller whose ARN has an unexpected form, or belongs to another account, is
	// unidentified.
	if p := parseARN(r.Caller.ARN); p.account == r.Caller.Account && p.kind != role {
		c.principal = p
	}
	var ok bool
	if c.action, ok = lowerActions[r.Action]; !ok {
		c.action = strings.ToLower(r.Action)
	}
	c.Time = r.Time.UTC().Truncate(time.Second) // IAM's times are in whole seconds
}

// values are the values of a key in the request. They are valid until the next call.
func (c *requestContext) values(k key) []string {
	if k.value == nil {
		if implied, ok := c.Implied[k.name]; ok && c.implied {
			return implied
		}
		return c.Keys[k.name]
	}
	if c.value[0] = k.value(c); c.value[0] == "" {
		return nil
	}
	return c.value[:]
}

// lacks says whether the value of a key that the request has is not known.
func (c *requestContext) lacks(k key) bool { return slices.Contains(c.Unknown, k.name) }

// inBoth is the result of both readings of the request, or unknown if they differ.
func (c *requestContext) inBoth(read func() tristate) tristate {
	result := read()
	if len(c.Implied) == 0 {
		return result
	}
	c.implied = true
	defer func() { c.implied = false }()
	if read() != result {
		return unknown
	}
	return result
}

// principalARN is the ARN of the caller, or of the role of a session, without the
// role's path, which is not known.
func (c *requestContext) principalARN() string {
	switch p := &c.principal; {
	case p.kind == unidentified:
		return ""
	case p.kind != session:
		return c.Caller.ARN
	case c.arn == "":
		c.arn = "arn:" + p.partition + ":iam::" + p.account + ":role/" + p.name
	}
	return c.arn
}

// sourceIP is empty for a request through a VPC endpoint, and vpcSourceIP for any
// other, as in AWS: a private address says nothing without its network.
func (c *requestContext) sourceIP() string {
	if c.Caller.VPCE != "" {
		return ""
	}
	return c.Caller.SourceIP
}

func (c *requestContext) vpcSourceIP() string {
	if c.Caller.VPCE == "" {
		return ""
	}
	return c.Caller.SourceIP
}

func (c *requestContext) currentTime() string {
	if c.now == "" && !c.Time.IsZero() {
		c.now = c.Time.Format(time.RFC3339)
	}
	return c.now
}

func (c *requestContext) epochTime() string {
	if c.Time.IsZero() {
		return ""
	}
	return strconv.FormatInt(c.Time.Unix(), 10)
}

// parseAddr parses an address, and that of the caller only once. An IPv4-mapped
// IPv6 address is an IPv4 address.
func (c *requestContext) parseAddr(s string) (netip.Addr, bool) {
	if s == c.Caller.SourceIP && c.address.IsValid() {
		return c.address, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, false
	}
	a = a.Unmap().WithZone("")
	if s == c.Caller.SourceIP {
		c.address = a
	}
	return a, true
}
