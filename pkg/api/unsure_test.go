package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

const otherFunction = "arn:aws:lambda:us-east-1:000000000000:function:other"

// What a condition makes of a value that can be named in several ways, is not known, or is
// a default that the caller did not send: whether an Allow with it allows, and a Deny denies.
func TestUnsureConditions(t *testing.T) {
	t.Parallel()
	const (
		id       = "1234abcd-12ab-34cd-56ef-1234567890ab"
		keyARN   = "arn:aws:kms:us-east-1:000000000000:key/" + id
		kms      = "secretsmanager:KmsKeyArn"
		rotation = "secretsmanager:RotationLambdaARN"
		stage    = "secretsmanager:VersionStage"
	)
	deployments := localtest.Shared().DefaultKey
	is := func(key, value string) string { return fmt.Sprintf(`{"StringEquals":{%q:%q}}`, key, value) }
	isNot := func(key, value string) string { return fmt.Sprintf(`{"StringNotEquals":{%q:%q}}`, key, value) }
	isAbsent := func(key, value string) string { return fmt.Sprintf(`{"Null":{%q:%q}}`, key, value) }
	named := func(key string) string { return fmt.Sprintf(`"KmsKeyId":%q`, key) }
	by := func(function string) string {
		return fmt.Sprintf(`"ClientRequestToken":%q,"RotationLambdaARN":%q`, token("r2"), function)
	}
	putting := rights["PutSecretValue"].members
	for _, test := range []struct {
		operation, members, condition string
		allows, denies                bool
	}{
		// A key of KMS, by ID and by ARN.
		{"CreateSecret", named(id), is(kms, keyARN), true, true},
		{"CreateSecret", named(strings.ToUpper(id)), is(kms, keyARN), true, true},
		{"CreateSecret", named(keyARN), is(kms, keyARN), true, true},
		{"UpdateSecret", named(id), is(kms, keyARN), true, true},
		{"CreateSecret", named(id), isNot(kms, keyARN), false, false},
		{"CreateSecret", named(id), is(kms, deployments), false, false},
		// By alias: whose it is only KMS knows.
		{"CreateSecret", named("alias/app"), is(kms, keyARN), false, true},
		{"CreateSecret", named("alias/app"), isNot(kms, keyARN), false, true},
		{"CreateSecret", named("arn:aws:kms:us-east-1:000000000000:alias/app"), isNot(kms, keyARN), false, true},
		{"CreateSecret", named("alias/app"), `{"ArnLike":{"secretsmanager:KmsKeyArn":"*"}}`, false, true},
		{"CreateSecret", named("alias/app"), `{"StringNotEqualsIfExists":{"secretsmanager:KmsKeyArn":"x"}}`, false, true},
		{"CreateSecret", named("alias/app"), `{"ForAllValues:StringEquals":{"secretsmanager:KmsKeyArn":"x"}}`, false, true},
		{"CreateSecret", named("alias/app"), isAbsent(kms, "false"), true, true},
		{"CreateSecret", named("alias/app"), isAbsent(kms, "true"), false, false},
		{"CreateSecret", named("alias/app"), `{"StringEquals":{"secretsmanager:KmsKeyArn":"x","secretsmanager:Name":"another"}}`, false, false},
		{"UpdateSecret", named("alias/app"), is(kms, keyARN), false, true},
		// The default key is the deployment's own, and none is named.
		{"CreateSecret", named("alias/aws/secretsmanager"), is(kms, deployments), true, true},
		{"UpdateSecret", named(""), is(kms, deployments), true, true},
		{"CreateSecret", ``, isNot(kms, keyARN), true, true},
		{"CreateSecret", ``, isAbsent("secretsmanager:KmsKeyId", "true"), true, true},
		// The key as it was named stays what it is.
		{"UpdateSecret", named(""), is("secretsmanager:KmsKeyId", "alias/aws/secretsmanager"), false, true},

		// A function, by name and by ARN.
		{"RotateSecret", by("rotate"), is(rotation, function), true, true},
		{"RotateSecret", by("rotate:$LATEST"), is(rotation, function), true, true},
		{"RotateSecret", by("000000000000:function:rotate"), is(rotation, function), true, true},
		{"RotateSecret", by(function + ":$LATEST"), is(rotation, function), true, true},
		{"RotateSecret", by(function + ":$LATEST"), isNot(rotation, function), false, false},
		{"RotateSecret", by("other"), is(rotation, function), false, false},
		// A version or an alias of it, which may be other code, is the function as well.
		{"RotateSecret", by(function + ":7"), is(rotation, function), false, true},
		{"RotateSecret", by(function + ":prod"), isNot(rotation, function), false, true},
		{"RotateSecret", by("000000000000:function:rotate:prod"), is(rotation, function+":prod"), false, true},
		{"RotateSecret", by(function + ":prod"), `{"ArnEquals":{"secretsmanager:RotationLambdaARN":["` + function + `","` + function + `:prod"]}}`, true, true},
		{"RotateSecret", by(function + ":prod"), is(rotation, otherFunction), false, false},
		// A name that could be two functions.
		{"RotateSecret", by("us-east-1:rotate"), is(rotation, function), false, true},
		{"RotateSecret", by("us-east-1:rotate"), isNot(rotation, function), false, true},

		// Defaults.
		{"GetSecretValue", ``, is(stage, "AWSCURRENT"), false, true},
		{"GetSecretValue", ``, is(stage, "AWSPREVIOUS"), false, false},
		{"GetSecretValue", ``, isNot(stage, "AWSCURRENT"), false, true},
		{"GetSecretValue", ``, isNot(stage, "AWSPREVIOUS"), true, true},
		{"GetSecretValue", ``, `{"StringEqualsIfExists":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, true, true},
		{"GetSecretValue", ``, `{"StringEqualsIfExists":{"secretsmanager:VersionStage":"AWSPREVIOUS"}}`, false, true},
		{"GetSecretValue", ``, `{"ForAnyValue:StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, false, true},
		{"GetSecretValue", ``, `{"ForAllValues:StringEquals":{"secretsmanager:VersionStage":"mine"}}`, false, true},
		{"GetSecretValue", ``, isAbsent(stage, "true"), false, true},
		{"GetSecretValue", ``, isAbsent(stage, "false"), false, true},
		{"PutSecretValue", putting, is(stage, "AWSCURRENT"), false, true},
		{"PutSecretValue", putting + `,"VersionStages":["AWSCURRENT"]`, is(stage, "AWSCURRENT"), true, true},
		{"DeleteSecret", ``, `{"Bool":{"secretsmanager:ForceDeleteWithoutRecovery":"false"}}`, false, true},
		{"DeleteSecret", ``, `{"Bool":{"secretsmanager:ForceDeleteWithoutRecovery":"true"}}`, false, false},
		{"PutResourcePolicy", rights["PutResourcePolicy"].members, `{"Bool":{"secretsmanager:BlockPublicPolicy":"false"}}`, false, true},
		{"RotateSecret", by(function), `{"Bool":{"secretsmanager:RotateImmediately":"true"}}`, false, true},
		{"RotateSecret", by(function), `{"Bool":{"secretsmanager:ModifyRotationRules":"false"}}`, true, true}, // what it says
	} {
		t.Run(test.operation+" "+test.members+" "+test.condition, func(t *testing.T) {
			t.Parallel()
			checkConditions(t, test.operation, test.members, test.allows, !test.denies, test.condition)
		})
	}
}

// A RotateSecret without a function invokes the one that is stored. Statements about the
// function apply to that one too, whichever way it was named.
func TestRotateStoredFunction(t *testing.T) {
	t.Parallel()
	const (
		unlessRotate = `{"ArnNotEquals":{"secretsmanager:RotationLambdaARN":"` + function + `"},"Null":{"secretsmanager:RotationLambdaARN":"false"}}`
		isOther      = `{"ArnEquals":{"secretsmanager:RotationLambdaARN":"` + otherFunction + `"}}`
		isRotate     = `{"ArnEquals":{"secretsmanager:RotationLambdaARN":"` + function + `"}}`
		hasRotate    = `{"ArnEquals":{"secretsmanager:resource/AllowRotationLambdaArn":"` + function + `"}}`
	)
	rotate := allow("RotateSecret")
	for _, test := range []struct {
		stored     string
		statements []string
		want       bool
	}{
		{function, []string{allowAll, deny(where(rotate, unlessRotate))}, true},
		{"rotate", []string{allowAll, deny(where(rotate, unlessRotate))}, true},
		{otherFunction, []string{allowAll, deny(where(rotate, unlessRotate))}, false},
		{"other:$LATEST", []string{allowAll, deny(where(rotate, unlessRotate))}, false},
		{otherFunction, []string{allowAll, deny(where(rotate, isOther))}, false},
		{otherFunction + ":7", []string{allowAll, deny(where(rotate, isOther))}, false},
		{"us-east-1:other", []string{allowAll, deny(where(rotate, isOther))}, false},
		{function, []string{allowAll, deny(where(rotate, isOther))}, true},
		{function, []string{where(rotate, isRotate)}, false}, // the caller did not name it
		{function, []string{where(rotate, hasRotate)}, true},
		{"rotate", []string{where(rotate, hasRotate)}, true},
		{function + ":7", []string{where(rotate, hasRotate)}, false},
		{otherFunction, []string{where(rotate, hasRotate)}, false},
	} {
		room := localtest.New(t)
		create(t, room, "s", "v1", "one")
		// Rotating is over when the copy is discarded, so that the next call begins anew.
		must(room.SDK.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
			SecretId: aws.String("s"), ClientRequestToken: aws.String(token("r1")), RotationLambdaARN: aws.String(test.stored), RotateImmediately: aws.Bool(false),
		}))(t)
		answer, text := guarded(t, room, alice, test.statements...).Post(t, "RotateSecret", `{"SecretId":"s","ClientRequestToken":"`+token("r2")+`"}`)
		if denied := strings.Contains(text, "is not authorized to perform"); denied == test.want {
			t.Errorf("%s under %s: got %d %s, want it allowed: %v", test.stored, test.statements, answer.StatusCode, text, test.want)
		}
	}
}
