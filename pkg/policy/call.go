package policy

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A call is a request while it is decided, with what of it has been worked out.
type call struct {
	request *Request
	who     who
	action  string // in lower case
	time    time.Time

	// worked out when first asked for
	arn, now, epoch string
	address         netip.Addr
}

func newCall(r *Request) call {
	return call{
		request: r,
		who:     r.Caller.who(),
		action:  lower(r.Action),
		// IAM's times are in whole seconds.
		time: r.Time.UTC().Truncate(time.Second),
	}
}

// given is what a request has for a key: nothing, a value, or several.
type given struct {
	one  string
	has  bool
	many []string
}

func (g given) len() int {
	if g.has {
		return 1
	}
	return len(g.many)
}

func (g given) at(i int) string {
	if g.has {
		return g.one
	}
	return g.many[i]
}

// some is a value unless it is empty: then the request does not have it.
func some(s string) given { return given{one: s, has: s != ""} }

func (c *call) values(k key) given {
	caller := &c.request.Caller
	switch k.source {
	case fromKeys:
		return given{many: c.request.Keys[k.name]}
	case principalARN:
		return some(c.principalARN())
	case principalAccount:
		return some(c.who.account)
	case principalOrgID:
		return some(caller.OrgID)
	case principalType:
		return some(types[c.who.kind])
	case userID:
		return some(caller.UserID)
	case userName:
		return some(c.who.userName())
	// Through an endpoint of a VPC AWS gives the address under another name,
	// since an address of a private network says nothing of which.
	case sourceIP:
		if caller.VPCE == "" {
			return some(caller.SourceIP)
		}
	case vpcSourceIP:
		if caller.VPCE != "" {
			return some(caller.SourceIP)
		}
	case sourceVPC:
		return some(caller.VPC)
	case sourceVPCE:
		return some(caller.VPCE)
	case secureTransport:
		return some(strconv.FormatBool(caller.Secure))
	case currentTime:
		if c.now == "" && !c.request.Time.IsZero() {
			c.now = c.time.Format(time.RFC3339)
		}
		return some(c.now)
	case epochTime:
		if c.epoch == "" && !c.request.Time.IsZero() {
			c.epoch = strconv.FormatInt(c.time.Unix(), 10)
		}
		return some(c.epoch)
	case userAgent:
		return some(caller.UserAgent)
	case isFalse:
		return some("false")
	}
	return given{}
}

// principalARN is the ARN of the caller; of a session that of its role, without
// the path, which is not known.
func (c *call) principalARN() string {
	switch {
	case c.who.kind == nobody:
		return ""
	case c.who.kind != session:
		return c.request.Caller.ARN
	case c.arn == "":
		c.arn = "arn:" + c.who.partition + ":iam::" + c.who.account + ":role/" + c.who.name
	}
	return c.arn
}

// addressOf reads an address of the request; the caller's, which policies ask for
// again and again, once.
func (c *call) addressOf(s string) (netip.Addr, bool) {
	if s == c.request.Caller.SourceIP && c.address.IsValid() {
		return c.address, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, false
	}
	// An IPv4 address in the clothes of an IPv6 one is an IPv4 address.
	a = a.Unmap().WithZone("")
	if s == c.request.Caller.SourceIP {
		c.address = a
	}
	return a, true
}

// actions are those of the service that are about a secret, or may be.
var actions = []string{
	"BatchGetSecretValue", "CancelRotateSecret", "CreateSecret", "DeleteResourcePolicy", "DeleteSecret", "DescribeSecret", "GetRandomPassword",
	"GetResourcePolicy", "GetSecretValue", "ListSecretVersionIds", "ListSecrets", "PutResourcePolicy", "PutSecretValue",
	"RemoveRegionsFromReplication", "ReplicateSecretToRegions", "RestoreSecret", "RotateSecret", "StopReplicationToReplica", "TagResource",
	"UntagResource", "UpdateSecret", "UpdateSecretVersionStage", "ValidateResourcePolicy",
}

// lowered spares making the same few words lower case again and again.
var lowered = func() map[string]string {
	m := map[string]string{}
	for _, a := range actions {
		m["secretsmanager:"+a] = "secretsmanager:" + strings.ToLower(a)
	}
	return m
}()

func lower(action string) string {
	if s, ok := lowered[action]; ok {
		return s
	}
	return strings.ToLower(action)
}
