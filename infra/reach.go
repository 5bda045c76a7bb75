package main

import (
	"net/netip"
	"regexp"
	"slices"
)

// A reach is who can call the front door from where. Apart from the first, its settings
// are those of a REST API.
type reach struct {
	frontDoor string // what stands before functions/api: rest or url

	throttleRate  int // requests a second, over all callers, that the stage lets through
	throttleBurst int // requests at once before that rate holds

	endpointType   string   // regional, or private, which only VPC endpoints reach
	vpcEndpointIds []string // the VPC endpoints that may reach a private one
	endpointAccess string   // strict, or basic for clients whose TLS server name is another than their host

	callerAccounts      []string // other accounts whose callers are let in, if their own policies allow it too
	callerOrganizations []string // organizations of which that holds for every account
	callerIPRanges      []string // the only addresses that calls may come from; empty for any

	domainName     string // a domain of one's own; empty for none
	certificateArn string // its certificate
	truststoreURI  string // the S3 object with the authorities of clients' certificates; empty for none

	webACL string // none, managed for one of the stack's own, or the ARN of one
}

const (
	endpointRegional = "regional"
	endpointPrivate  = "private"
	accessStrict     = "strict"
	accessBasic      = "basic"
	webACLNone       = "none"
	webACLManaged    = "managed"
)

var (
	vpcEndpoints    = regexp.MustCompile(`^vpce-[0-9a-f]{8,17}$`)
	organizations   = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
	domainNames     = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	certificateARNs = regexp.MustCompile(`^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+$`)
	truststores     = regexp.MustCompile(`^s3://[a-z0-9.-]{3,63}/.+$`)
	webACLARNs      = regexp.MustCompile(`^arn:[a-z-]+:wafv2:[a-z0-9-]+:[0-9]{12}:regional/webacl/[A-Za-z0-9_-]+/[a-f0-9-]+$`)
)

// The policy of an API has room for 8,192 characters.
const (
	mostCallerAccounts = 50
	mostOrganizations  = 20
	mostIPRanges       = 60
	mostVPCEndpoints   = 20
)

func (r *reader) reach() reach {
	return reach{
		frontDoor:           r.text("frontDoor"),
		throttleRate:        r.number("throttleRate", 1, 10_000),
		throttleBurst:       r.number("throttleBurst", 1, 5_000),
		endpointType:        r.text("endpointType"),
		vpcEndpointIds:      r.list("vpcEndpointIds", mostVPCEndpoints),
		endpointAccess:      r.text("endpointAccess"),
		callerAccounts:      r.list("callerAccounts", mostCallerAccounts),
		callerOrganizations: r.list("callerOrganizations", mostOrganizations),
		callerIPRanges:      r.list("callerIpRanges", mostIPRanges),
		domainName:          r.text("domainName"),
		certificateArn:      r.text("certificateArn"),
		truststoreURI:       r.text("truststoreUri"),
		webACL:              r.text("webAcl"),
	}
}

func (r *reader) checkReach(set reach) {
	r.check(set.frontDoor == frontREST || set.frontDoor == frontURL,
		"frontDoor must be %s, for API Gateway, or %s, for a function URL", frontREST, frontURL)
	r.check(set.endpointType == endpointRegional || set.endpointType == endpointPrivate,
		"endpointType must be %s or %s", endpointRegional, endpointPrivate)
	r.check(set.endpointAccess == accessStrict || set.endpointAccess == accessBasic,
		"endpointAccess must be %s or %s", accessStrict, accessBasic)
	r.check((set.endpointType == endpointPrivate) == (len(set.vpcEndpointIds) > 0),
		"vpcEndpointIds must be set for a private endpointType, and for nothing else")
	r.matchAll("vpcEndpointIds", set.vpcEndpointIds, vpcEndpoints, "the ID of a VPC endpoint")
	r.matchAll("callerAccounts", set.callerAccounts, accounts, "the number of an account")
	r.matchAll("callerOrganizations", set.callerOrganizations, organizations, "the ID of an organization")
	for _, one := range set.callerIPRanges {
		prefix, err := netip.ParsePrefix(one)
		r.check(err == nil && prefix == prefix.Masked(), "callerIpRanges: %q is not a range of addresses such as 192.0.2.0/24", one)
	}
	r.checkDomain(set)
	r.check(set.webACL == webACLNone || set.webACL == webACLManaged || webACLARNs.MatchString(set.webACL),
		"webAcl must be %s, %s or the ARN of a regional web ACL", webACLNone, webACLManaged)
	if set.frontDoor == frontURL {
		needed := []bool{
			set.endpointType == endpointPrivate, len(set.callerAccounts) > 0, len(set.callerOrganizations) > 0,
			len(set.callerIPRanges) > 0, set.domainName != "", set.webACL != webACLNone,
		}
		r.check(!slices.Contains(needed, true),
			"frontDoor: a function URL has no private endpointType, callerAccounts, callerOrganizations, callerIpRanges, domainName or webAcl")
	}
}

func (r *reader) checkDomain(set reach) {
	r.check(set.domainName == "" || domainNames.MatchString(set.domainName), "domainName: %q is not the name of a domain", set.domainName)
	r.check(set.domainName == "" || set.endpointType == endpointRegional, "domainName is for a regional endpointType")
	r.check((set.domainName == "") == (set.certificateArn == ""), "certificateArn must be set beside domainName, and for nothing else")
	r.check(set.certificateArn == "" || certificateARNs.MatchString(set.certificateArn),
		"certificateArn: %q is not the ARN of a certificate", set.certificateArn)
	r.check(set.truststoreURI == "" || set.domainName != "", "truststoreUri needs domainName")
	r.check(set.truststoreURI == "" || truststores.MatchString(set.truststoreURI), "truststoreUri: %q is not the URI of an object in S3", set.truststoreURI)
}

func (r *reader) matchAll(name string, all []string, known *regexp.Regexp, what string) {
	for _, one := range all {
		r.check(known.MatchString(one), "%s: %q is not %s", name, one, what)
	}
}
