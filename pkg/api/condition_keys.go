package api

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/strongroom/strongroom/pkg/policy"
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
		if key := conditionKeys[m.name]; key != "" && v.IsValid() {
			if values := textsOf(v); len(values) > 0 {
				keys[key] = values
			}
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

func textsOf(v reflect.Value) []string {
	switch value := v.Interface().(type) {
	case []string:
		return value
	case string:
		if value == "" {
			return nil
		}
	}
	return []string{fmt.Sprint(v.Interface())}
}

// lower is a tag's key as a part of a condition key, whose case means nothing.
func lower(tagKey string) string { return strings.ToLower(tagKey) }
