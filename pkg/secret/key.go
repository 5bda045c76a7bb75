package secret

import (
	"regexp"
	"strings"
)

// DefaultKey is how callers of AWS name the key of the service. Here it is the
// deployment's own.
const DefaultKey = "alias/aws/secretsmanager"

// maxAlias is how long an alias may be. A bound in the pattern would take a good part of
// a function's start to compile.
const maxAlias = len("alias/") + 250

// awsAlias is what the aliases of all keys of AWS services begin with.
const awsAlias = "alias/aws/"

var (
	keyID     = regexp.MustCompile(`^([0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|mrk-[0-9A-Fa-f]{32})$`)
	aliasName = regexp.MustCompile(`^alias/[A-Za-z0-9/_-]+$`)
	keyARN    = regexp.MustCompile(`^arn:([a-z-]+):kms:([a-z0-9-]+):([0-9]{12}):(?:key/([^/:]+)|(alias/[^:]+))$`)
)

// Refusals of a KMS key that no secret can have, as callers of AWS have seen them.
var (
	errKeyID      = Errorf(InvalidParameter, "The operation failed because of an invalid KMS key: Invalid keyId")
	errServiceKey = Errorf(AccessDenied, "Access to KMS is not allowed")
)

// CheckKey refuses a KMS key that no secret here can have: one that is neither ID,
// ARN nor alias, one of another Region, and the key of another service. Whether there
// is such a key is for KMS to say. An empty one is the default key.
func (a ARNs) CheckKey(key string) error {
	if key == "" {
		return nil
	}
	id, alias := key, key
	if strings.HasPrefix(key, "arn:") {
		m := keyARN.FindStringSubmatch(key)
		switch {
		case m == nil:
			return errKeyID
		case m[1] != a.Partition || m[2] != a.Region:
			return Errorf(InvalidParameter, "The operation failed because of an invalid KMS key: Invalid arn %s", m[2])
		case m[5] == DefaultKey && m[3] != a.Account:
			return errServiceKey // no account can share it; the error is a guess
		}
		id, alias = m[4], m[5]
	}
	switch {
	case strings.HasPrefix(alias, awsAlias) && alias != DefaultKey:
		return errServiceKey
	case !keyID.MatchString(id) && (len(alias) > maxAlias || !aliasName.MatchString(alias)):
		return errKeyID
	}
	return nil
}

// KeyARN is the ARN of a KMS key that a caller names by its ID or ARN; false for an alias,
// of which only KMS knows whose it is.
func (a ARNs) KeyARN(key string) (string, bool) {
	if keyID.MatchString(key) {
		key = "arn:" + a.Partition + ":kms:" + a.Region + ":" + a.Account + ":key/" + key
	}
	m := keyARN.FindStringSubmatch(key)
	if m == nil || m[4] == "" {
		return "", false
	}
	return strings.TrimSuffix(key, m[4]) + strings.ToLower(m[4]), true
}

// IsDefaultKey says whether a caller names the deployment's own key, by nothing or as AWS
// names it.
func IsDefaultKey(key string) bool {
	return key == "" || key == DefaultKey || strings.HasPrefix(key, "arn:") && strings.HasSuffix(key, ":"+DefaultKey)
}

// SealingKey is the KMS key for new values; empty for the deployment's own, also where
// the caller named that as AWS does.
func (s Secret) SealingKey() string {
	if IsDefaultKey(s.KMSKey) {
		return ""
	}
	return s.KMSKey
}
