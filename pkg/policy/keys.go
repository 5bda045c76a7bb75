package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/strongroom/strongroom/pkg/spelling"
)

// Keys are the condition keys that an operation provides: their values under
// their names in lower case, such as "secretsmanager:versionstage" or
// "aws:requesttag/team". A missing name is an absent key. The tags of the secret
// are under "aws:resourcetag/…". Keys of the caller are never taken from here.
//
// Two tags whose keys differ in case only are one condition key with two values.
type Keys map[string][]string

// A key is a supported condition key.
type key struct {
	*keyType
	name string // in lower case
}

type keyType struct {
	// value is the key's value in a request, empty if it is absent. A nil value
	// means that Keys has the values.
	value       func(*requestContext) string
	multivalued bool
}

const (
	principalARN = "aws:principalarn"
	currentTime  = "aws:currenttime"
	epochTime    = "aws:epochtime"
	resourceTag  = "aws:resourcetag/"
	requestTag   = "aws:requesttag/"
	// secretTag is another name of resourceTag.
	secretTag = "secretsmanager:resourcetag/"
)

var (
	provided     = &keyType{}
	providedList = &keyType{multivalued: true} // ArrayOfString
	// neverPresent and alwaysFalse are about AWS services, which never call here.
	neverPresent = &keyType{value: func(*requestContext) string { return "" }}
	alwaysFalse  = &keyType{value: func(*requestContext) string { return "false" }}
)

// keyTypes are the condition keys that do not simply come with the request.
var keyTypes = map[string]*keyType{
	currentTime:                 {value: (*requestContext).currentTime},
	epochTime:                   {value: (*requestContext).epochTime},
	"aws:principalaccount":      {value: func(c *requestContext) string { return c.principal.account }},
	principalARN:                {value: (*requestContext).principalARN},
	"aws:principalisawsservice": alwaysFalse,
	"aws:principalorgid":        {value: func(c *requestContext) string { return c.Caller.OrgID }},
	"aws:principaltype":         {value: func(c *requestContext) string { return principalTypes[c.principal.kind] }},
	"aws:securetransport":       {value: func(c *requestContext) string { return strconv.FormatBool(c.Caller.Secure) }},
	"aws:sourceaccount":         neverPresent,
	"aws:sourcearn":             neverPresent,
	"aws:sourceip":              {value: (*requestContext).sourceIP},
	"aws:sourceowner":           neverPresent,
	"aws:sourcevpc":             {value: func(c *requestContext) string { return c.Caller.VPC }},
	"aws:sourcevpce":            {value: func(c *requestContext) string { return c.Caller.VPCE }},
	"aws:tagkeys":               providedList,
	"aws:useragent":             {value: func(c *requestContext) string { return c.Caller.UserAgent }},
	"aws:userid":                {value: func(c *requestContext) string { return c.Caller.UserID }},
	"aws:username":              {value: func(c *requestContext) string { return c.principal.userName() }},
	"aws:viaawsservice":         alwaysFalse,
	"aws:vpcsourceip":           {value: (*requestContext).vpcSourceIP},

	"secretsmanager:addreplicaregions": providedList,
}

// keyNames are the supported condition keys apart from tags, as AWS spells them: those
// of the service are from the Service Authorization Reference. strongroom:Rotating is
// our own: the request has the token of a rotation. What has no type in keyTypes comes
// with the request.
var keyNames = strings.Fields(`
	aws:CurrentTime aws:EpochTime aws:PrincipalAccount aws:PrincipalArn aws:PrincipalIsAWSService aws:PrincipalOrgID
	aws:PrincipalType aws:SecureTransport aws:SourceAccount aws:SourceArn aws:SourceIp aws:SourceOwner aws:SourceVpc
	aws:SourceVpce aws:TagKeys aws:UserAgent aws:userid aws:username aws:ViaAWSService aws:VpcSourceIp
	secretsmanager:AddReplicaRegions secretsmanager:BlockPublicPolicy secretsmanager:Description
	secretsmanager:ExternalSecretRotationRoleArn secretsmanager:ForceDeleteWithoutRecovery
	secretsmanager:ForceOverwriteReplicaSecret secretsmanager:KmsKeyArn secretsmanager:KmsKeyId
	secretsmanager:ModifyRotationRules secretsmanager:Name secretsmanager:RecoveryWindowInDays
	secretsmanager:resource/AllowRotationLambdaArn secretsmanager:resource/Type secretsmanager:RotateImmediately
	secretsmanager:RotationLambdaARN secretsmanager:SecretId secretsmanager:SecretPrimaryRegion secretsmanager:Type
	secretsmanager:VersionId secretsmanager:VersionStage strongroom:Rotating`)

// missingKeys begin the names of AWS keys whose values API Gateway does not pass on.
var missingKeys = []string{"aws:principaltag/", "aws:principalorgpaths", "aws:multifactorauth", "aws:tokenissuetime", "aws:sourceidentity", "aws:calledvia"}

// similarKey suggests a key for a misspelt one; for one with a slash also that of a tag.
func similarKey(name string) string {
	known := keyNames
	if _, tag, ok := strings.Cut(name, "/"); ok {
		known = slices.Concat([]string{"aws:ResourceTag/" + tag, "aws:RequestTag/" + tag, "secretsmanager:ResourceTag/" + tag}, known)
	}
	return spelling.DidYouMean(name, known)
}

// findKey finds a key by its name in any case. Unknown keys are rejected: without
// its condition a statement would allow or deny something its author did not mean.
func findKey(name string) (key, error) {
	lower := strings.ToLower(name)
	if t, ok := keyTypes[lower]; ok {
		return key{t, lower}, nil
	}
	if containsFold(keyNames, lower) {
		return key{provided, lower}, nil
	}
	if tag, ok := strings.CutPrefix(lower, secretTag); ok {
		lower = resourceTag + tag
	}
	for _, tags := range []string{resourceTag, requestTag} {
		if strings.HasPrefix(lower, tags) && lower != tags {
			return key{provided, lower}, nil
		}
	}
	if slices.ContainsFunc(missingKeys, func(begin string) bool { return strings.HasPrefix(lower, begin) }) {
		return key{}, unsupported("%.80q is not known here: the gateway does not say", name)
	}
	return key{}, unsupported("unknown condition key %.80q%s", name, similarKey(name))
}
