package policy

import "strings"

// Keys are what an operation tells of a request and of the secret it is about:
// the values of condition keys, under their names in lower case, such as
// "secretsmanager:versionstage" or "aws:requesttag/team". A key that is not there
// is absent. The tags of the secret stand under "aws:resourcetag/…". What is known
// of the caller is never taken from here.
//
// Two tags whose keys differ in case alone are one condition key with two values.
type Keys map[string][]string

// A key is a condition key that is known.
type key struct {
	source source
	// name is in lower case, as in Keys.
	name string
	// many is that it may have several values.
	many bool
}

// A source is where the value of a key comes from.
type source uint8

const (
	fromKeys source = iota
	principalARN
	principalAccount
	principalOrgID
	principalType
	userID
	userName
	sourceIP
	vpcSourceIP
	sourceVPC
	sourceVPCE
	secureTransport
	currentTime
	epochTime
	userAgent
	// never is a key that only requests of AWS services have, which cannot be
	// callers here.
	never
	// isFalse is a key that says that a service is the caller.
	isFalse
)

// sources are the condition keys there are, but for tags. Those of the service
// are in the Service Authorization Reference, with their types; strongroom:Rotating
// is our own: the request carries the token of a rotation of the secret.
var sources = map[string]source{
	"aws:currenttime":           currentTime,
	"aws:epochtime":             epochTime,
	"aws:principalaccount":      principalAccount,
	"aws:principalarn":          principalARN,
	"aws:principalisawsservice": isFalse,
	"aws:principalorgid":        principalOrgID,
	"aws:principaltype":         principalType,
	"aws:securetransport":       secureTransport,
	"aws:sourceaccount":         never,
	"aws:sourcearn":             never,
	"aws:sourceip":              sourceIP,
	"aws:sourceowner":           never,
	"aws:sourcevpc":             sourceVPC,
	"aws:sourcevpce":            sourceVPCE,
	"aws:tagkeys":               fromKeys,
	"aws:useragent":             userAgent,
	"aws:userid":                userID,
	"aws:username":              userName,
	"aws:viaawsservice":         isFalse,
	"aws:vpcsourceip":           vpcSourceIP,

	"secretsmanager:addreplicaregions":               fromKeys,
	"secretsmanager:blockpublicpolicy":               fromKeys,
	"secretsmanager:description":                     fromKeys,
	"secretsmanager:externalsecretrotationrolearn":   fromKeys,
	"secretsmanager:forcedeletewithoutrecovery":      fromKeys,
	"secretsmanager:forceoverwritereplicasecret":     fromKeys,
	"secretsmanager:kmskeyarn":                       fromKeys,
	"secretsmanager:kmskeyid":                        fromKeys,
	"secretsmanager:modifyrotationrules":             fromKeys,
	"secretsmanager:name":                            fromKeys,
	"secretsmanager:recoverywindowindays":            fromKeys,
	"secretsmanager:resource/allowrotationlambdaarn": fromKeys,
	"secretsmanager:resource/type":                   fromKeys,
	"secretsmanager:rotateimmediately":               fromKeys,
	"secretsmanager:rotationlambdaarn":               fromKeys,
	"secretsmanager:secretid":                        fromKeys,
	"secretsmanager:secretprimaryregion":             fromKeys,
	"secretsmanager:type":                            fromKeys,
	"secretsmanager:versionid":                       fromKeys,
	"secretsmanager:versionstage":                    fromKeys,

	"strongroom:rotating": fromKeys,
}

// several are the keys that may have more than one value ("ArrayOfString").
var several = map[string]bool{"aws:tagkeys": true, "secretsmanager:addreplicaregions": true}

const (
	resourceTag = "aws:resourcetag/"
	requestTag  = "aws:requesttag/"
	// secretTag is another name of resourceTag.
	secretTag = "secretsmanager:resourcetag/"
)

// unsaid are keys of AWS whose value the gateway does not hand over.
var unsaid = []string{"aws:principaltag/", "aws:principalorgpaths", "aws:multifactorauth", "aws:tokenissuetime", "aws:sourceidentity", "aws:calledvia"}

// findKey finds a key by its name, in whichever case. A key that is not known is
// refused: without it a condition means nothing, and to skip it would let in, or
// keep out, somebody its author did not mean.
func findKey(name string) (key, error) {
	k := key{name: strings.ToLower(name)}
	if source, ok := sources[k.name]; ok {
		k.source, k.many = source, several[k.name]
		return k, nil
	}
	if tag, ok := strings.CutPrefix(k.name, secretTag); ok {
		k.name = resourceTag + tag
	}
	for _, tags := range []string{resourceTag, requestTag} {
		if tag, ok := strings.CutPrefix(k.name, tags); ok && tag != "" {
			return k, nil
		}
	}
	for _, one := range unsaid {
		if strings.HasPrefix(k.name, one) {
			return key{}, malformed("%.80q is not known here: the gateway does not say", name)
		}
	}
	return key{}, malformed("unknown condition key %.80q", name)
}
