package api

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
)

// conditionKeys are the members of requests that policies can ask for, and the
// condition keys that have them (Service Authorization Reference, AWS Secrets
// Manager).
var conditionKeys = map[string]string{
	"BlockPublicPolicy":          "secretsmanager:blockpublicpolicy",
	"Description":                "secretsmanager:description",
	"ForceDeleteWithoutRecovery": "secretsmanager:forcedeletewithoutrecovery",
	"KmsKeyId":                   "secretsmanager:kmskeyid",
	"Name":                       "secretsmanager:name",
	"RecoveryWindowInDays":       "secretsmanager:recoverywindowindays",
	"RotateImmediately":          "secretsmanager:rotateimmediately",
	"RotationLambdaARN":          "secretsmanager:rotationlambdaarn",
	"TagKeys":                    "aws:tagkeys",
	"Type":                       "secretsmanager:type",
	"VersionId":                  "secretsmanager:versionid",
	"VersionStage":               "secretsmanager:versionstage",
	"VersionStages":              "secretsmanager:versionstage",

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

// withDefaults adds what a request asks for that does not say so: a statement that
// denies it has to apply.
func withDefaults(keys policy.Keys, operation string) {
	add := func(key, value string) {
		if keys[key] == nil {
			keys[key] = []string{value}
		}
	}
	switch operation {
	case "GetSecretValue", "BatchGetSecretValue", "PutSecretValue":
		if keys["secretsmanager:versionid"] == nil {
			add("secretsmanager:versionstage", secret.Current)
		}
	case "RotateSecret":
		add("secretsmanager:rotateimmediately", "true")
		add("secretsmanager:modifyrotationrules", "false")
	}
	if key := keys["secretsmanager:kmskeyid"]; key != nil {
		if key[0] == "" {
			key[0] = secret.DefaultKey
		}
		add("secretsmanager:kmskeyarn", key[0])
	}
}

// lower is a tag's key as a part of a condition key, whose case means nothing.
func lower(tagKey string) string { return strings.ToLower(tagKey) }
