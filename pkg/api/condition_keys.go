package api

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
)

// The condition keys whose values are more than a member of the request.
const (
	keyOfFunction       = "secretsmanager:rotationlambdaarn"
	keyOfStoredFunction = "secretsmanager:resource/allowrotationlambdaarn"
	keyOfKMSKey         = "secretsmanager:kmskeyid"
	keyOfKMSKeyARN      = "secretsmanager:kmskeyarn"
	keyOfStage          = "secretsmanager:versionstage"
)

// A keySet is what policies can ask of a request: the keys of what it says, those of what
// it means without saying so, and those whose values are not known; see [policy.Request].
type keySet struct {
	said, implied policy.Keys
	unknown       []string
}

func (k keySet) clone() keySet {
	return keySet{maps.Clone(k.said), maps.Clone(k.implied), slices.Clone(k.unknown)}
}

// imply notes the default of a key that the caller did not send: a statement that denies it
// applies, and none that allows it.
func (k *keySet) imply(key, value string) {
	if k.implied == nil {
		k.implied = policy.Keys{}
	}
	k.implied[key] = []string{value}
}

// implyDefault is the same unless the caller did send it.
func (k *keySet) implyDefault(key, value string) {
	if k.said[key] == nil {
		k.imply(key, value)
	}
}

// addFunction sets a key to the ARN of a rotation function. A version or an alias is also
// read as the function it belongs to, so that naming it evades no statement.
func (k *keySet) addFunction(key, function string, arns secret.ARNs) {
	unqualified, qualified, ok := arns.FunctionARN(function)
	switch {
	case !ok:
		k.unknown = append(k.unknown, key)
		return
	case qualified != unqualified:
		k.imply(key, unqualified)
	}
	k.said[key] = []string{qualified}
}

// implyStoredFunction has a RotateSecret that names no function mean the one it invokes, which
// is set already.
func (k *keySet) implyStoredFunction() {
	stored := k.implied[keyOfStoredFunction]
	if stored == nil {
		stored = k.said[keyOfStoredFunction]
	}
	switch {
	case k.said[keyOfFunction] != nil || slices.Contains(k.unknown, keyOfFunction):
	case stored == nil:
		k.unknown = append(k.unknown, keyOfFunction)
	default:
		k.imply(keyOfFunction, stored[0])
	}
}

// addKMSKeyARN sets the key for the ARN of the KMS key that a request names.
func (k *keySet) addKMSKeyARN(key, defaultKey string, arns secret.ARNs) {
	if secret.IsDefaultKey(key) {
		key = defaultKey
	}
	arn, ok := arns.KeyARN(key)
	if !ok {
		k.unknown = append(k.unknown, keyOfKMSKeyARN)
		return
	}
	k.said[keyOfKMSKeyARN] = []string{arn}
}

// conditionKeys are the members of requests that policies can ask for, and the
// condition keys that have them (Service Authorization Reference, AWS Secrets
// Manager).
var conditionKeys = map[string]string{
	"BlockPublicPolicy":           "secretsmanager:blockpublicpolicy",
	"Description":                 "secretsmanager:description",
	"ForceOverwriteReplicaSecret": "secretsmanager:forceoverwritereplicasecret",
	"ForceDeleteWithoutRecovery":  "secretsmanager:forcedeletewithoutrecovery",
	"KmsKeyId":                    keyOfKMSKey,
	"Name":                        "secretsmanager:name",
	"RecoveryWindowInDays":        "secretsmanager:recoverywindowindays",
	"RotateImmediately":           "secretsmanager:rotateimmediately",
	"RotationLambdaARN":           keyOfFunction,
	"TagKeys":                     "aws:tagkeys",
	"Type":                        "secretsmanager:type",
	"VersionId":                   "secretsmanager:versionid",
	"VersionStage":                keyOfStage,
	"VersionStages":               keyOfStage,

	"ExternalSecretRotationRoleArn": "secretsmanager:externalsecretrotationrolearn",
}

// keysOf are the condition keys of a request. A member that is not there has none.
func keysOf(s *shape, in reflect.Value) policy.Keys {
	keys := policy.Keys{}
	for _, m := range s.members {
		v := reflect.Indirect(in.Field(m.index))
		// A member that is given empty, to erase something, is there all the same.
		isGiven := v.IsValid() && (in.Field(m.index).Kind() == reflect.Pointer || !isEmpty(v))
		if key := conditionKeys[m.name]; key != "" && isGiven {
			keys[key] = textsOf(v)
		}
		switch list := in.Field(m.index).Interface().(type) {
		case []tag:
			for _, t := range list {
				name := "aws:requesttag/" + lower(t.Key)
				keys[name] = append(keys[name], t.Value)
				keys["aws:tagkeys"] = append(keys["aws:tagkeys"], t.Key)
			}
		case []replicaRegion:
			for _, r := range list {
				keys["secretsmanager:addreplicaregions"] = append(keys["secretsmanager:addreplicaregions"], r.Region)
			}
		case *rotationRules:
			if list != nil {
				keys["secretsmanager:modifyrotationrules"] = []string{"true"}
			}
		}
	}
	return keys
}

// isEmpty says of a text or a list that there is nothing in it.
func isEmpty(v reflect.Value) bool {
	return (v.Kind() == reflect.String || v.Kind() == reflect.Slice) && v.Len() == 0
}

func textsOf(v reflect.Value) []string {
	if list, ok := v.Interface().([]string); ok {
		return list
	}
	return []string{fmt.Sprint(v.Interface())}
}

// keySetOf is what policies can ask of a request for an operation.
func (s *Server) keySetOf(operation string, said policy.Keys) keySet {
	k := keySet{said: said}
	switch operation {
	case "GetSecretValue", "BatchGetSecretValue", "PutSecretValue":
		if said["secretsmanager:versionid"] == nil {
			k.implyDefault(keyOfStage, secret.Current)
		}
	case "CreateSecret", "ReplicateSecretToRegions":
		k.implyDefault("secretsmanager:forceoverwritereplicasecret", "false")
	case "DeleteSecret":
		k.implyDefault("secretsmanager:forcedeletewithoutrecovery", "false")
	case "PutResourcePolicy":
		k.implyDefault("secretsmanager:blockpublicpolicy", "false")
	case "RotateSecret":
		k.implyDefault("secretsmanager:rotateimmediately", "true")
		// It is no default: whether there are rules in the request is what it says.
		if said["secretsmanager:modifyrotationrules"] == nil {
			said["secretsmanager:modifyrotationrules"] = []string{"false"}
		}
	}
	if key := said[keyOfKMSKey]; key != nil {
		k.addKMSKeyARN(key[0], s.Sealer.DefaultKey, s.ARNs)
		if key[0] == "" {
			k.imply(keyOfKMSKey, secret.DefaultKey)
		}
	}
	if function := said[keyOfFunction]; function != nil {
		k.addFunction(keyOfFunction, function[0], s.ARNs)
	}
	return k
}

// lower is a tag's key as a part of a condition key, whose case means nothing.
func lower(tagKey string) string { return strings.ToLower(tagKey) }
