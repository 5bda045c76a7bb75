package main

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/jsii-runtime-go"
)

// newKeys make the one key of the stack: for the table, for the values sealed
// in it and for the logs.
//
// One key and not three, because the holder of the values' key holds all there
// is to protect: to disable it closes everything at once, and there is one
// policy and one trail to read. The uses are kept apart all the same, by
// encryption context: a caller let in for one cannot open what another sealed.
//
// A key that is taken over has a policy of its own, which does not know the log groups of
// this stack. So there is a second key then, for these alone.
//
// It is a key of one Region: sealed values are bound to the ARN of their secret, with its
// Region in it, so a replica of the key would open none of them elsewhere.
func newKeys(stack awscdk.Stack, set settings, logs logNameSet, roles keyRoles) (values, ofLogs awskms.IKey) {
	if set.keyArn == "" {
		key := newKey(stack, "Key", "Strongroom: the table, the values in it and the logs",
			append([]awsiam.PolicyStatement{rootOwnsKey(), logsUseKey(stack, logs)}, keepSealed(roles, set)...)...)
		return key, key
	}
	return awskms.Key_FromKeyArn(stack, jsii.String("Key"), &set.keyArn),
		newKey(stack, "LogsKey", "Strongroom: the logs", rootOwnsKey(), logsUseKey(stack, logs))
}

func newKey(stack awscdk.Stack, id, description string, policy ...awsiam.PolicyStatement) awskms.Key {
	return awskms.NewKey(stack, &id, &awskms.KeyProps{
		Description:       &description,
		EnableKeyRotation: jsii.Bool(true),
		RemovalPolicy:     keep,
		Policy:            statements(policy...),
	})
}

// rootOwnsKey leaves the rest to the account's IAM policies, as AWS's own
// default does. Without it the role's policy would count for nothing, and a key
// whose policy was got wrong could never be mended.
func rootOwnsKey() awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("AccountDecides"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewAccountRootPrincipal()},
		Actions:    jsii.Strings("kms:*"),
		Resources:  jsii.Strings("*"),
	})
}

// logsUseKey lets CloudWatch Logs encrypt under the key, for these log groups
// and no other. The group's ARN is the encryption context of all it does:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
func logsUseKey(stack awscdk.Stack, logs logNameSet) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid: jsii.String("LogsOfThisStack"),
		Principals: &[]awsiam.IPrincipal{
			awsiam.NewServicePrincipal(jsii.String(serviceHost(stack, "logs")), nil),
		},
		Actions: jsii.Strings("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo",
			"kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"),
		Resources: jsii.Strings("*"), // in a key's policy, this key
		Conditions: conditions{"ArnEquals": conditions{
			"kms:EncryptionContext:aws:logs:arn": jsii.Strings(
				logs.arns(stack)...),
		}}.all(),
	})
}

// keyRoles are the stack's own roles that may use the key for values. There is a
// replicator only where there are replicas.
type keyRoles struct{ api, replicate awsiam.Role }

// keepSealed denies everybody else what is sealed for a secret: administrators whom IAM
// lets use every key of the account, and grants. Who may change the key's policy can take
// this back, of which [watchKey] tells.
//
// What replicates to other Regions opens values here, and makes none; what replicates from
// another Region to here makes values, and opens none. Each has that one action, so it is
// denied in a statement of its own.
func keepSealed(roles keyRoles, set settings) []awsiam.PolicyStatement {
	users := []string{*roles.api.RoleArn()}
	if set.breakGlassArn != "" {
		users = append(users, set.breakGlassArn)
	}
	var openers, makers []string
	if roles.replicate != nil {
		openers = append(openers, *roles.replicate.RoleArn())
	}
	for _, region := range set.peerRegions() {
		if role := set.replicaRegions[region].RoleArn; role != "" {
			makers = append(makers, role)
		}
	}
	const opening, making = "kms:Decrypt", "kms:GenerateDataKey"
	rest := []string{
		"kms:Encrypt", opening, "kms:ReEncryptFrom", "kms:ReEncryptTo",
		making, "kms:GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext",
	}
	var own []awsiam.PolicyStatement
	for _, one := range []struct {
		sid, action string
		more        []string
	}{{"OnlyTheseOpenValues", opening, openers}, {"OnlyTheseMakeValues", making, makers}} {
		if len(one.more) > 0 {
			rest = slices.DeleteFunc(rest, func(action string) bool { return action == one.action })
			own = append(own, denySealed(one.sid, slices.Concat(users, one.more), one.action))
		}
	}
	return append([]awsiam.PolicyStatement{denySealed("ValuesStaySealed", users, rest...)}, own...)
}

// denySealed denies actions on what is sealed for a secret to all but these roles. Their
// ARNs are compared and never looked up, so that a role need not be there yet.
func denySealed(sid string, users []string, actions ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        &sid,
		Effect:     awsiam.Effect_DENY,
		Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()},
		Actions:    jsii.Strings(actions...),
		Resources:  jsii.Strings("*"),
		Conditions: conditions{
			"Null":         conditions{"kms:EncryptionContext:SecretARN": "false"},
			"ArnNotEquals": conditions{"aws:PrincipalArn": jsii.Strings(users...)},
		}.all(),
	})
}
