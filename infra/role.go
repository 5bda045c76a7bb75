package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
)

// newRole is the role of a function, which may do nothing yet. The key's policy names
// one, and roles name the key, so what they may do is a policy of its own: see [permit].
func newRole(stack awscdk.Stack, id, function string) awsiam.Role {
	return awsiam.NewRole(stack, &id, &awsiam.RoleProps{
		Description: jsii.String("Strongroom: what functions/" + function + " may do"),
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
	})
}

// permit lets a function make its calls and write its log, and nothing else. CDK's grant
// methods would add Scan, the indexes and half of KMS. Its function waits for the policy,
// since that is part of the role's construct.
func permit(b base, role awsiam.Role, logs awslogs.LogGroup, calls ...awsiam.PolicyStatement) {
	calls = append(append(calls, writeLogs(logs)), encryptLogs(b, *logs.LogGroupName())...)
	if b.set.tracing {
		calls = append(calls, trace())
	}
	awsiam.NewPolicy(role, jsii.String("Calls"), &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{role}, Document: statements(calls...),
	})
}

// trace is what Lambda needs to send when a call came and how long it took. X-Ray has no
// resources that could be named.
func trace() awsiam.PolicyStatement {
	return allow("Trace", nil, jsii.Strings("*"), "xray:PutTraceSegments", "xray:PutTelemetryRecords")
}

// keepSecrets are the table's calls. TransactWriteItems is allowed by the
// actions of what it does: PutItem, UpdateItem, DeleteItem, ConditionCheckItem.
// The indexes are left out: requests read the table itself, strongly consistent.
func keepSecrets(table awsdynamodb.ITable) awsiam.PolicyStatement {
	return allow("KeepSecrets", nil, jsii.Strings(*table.TableArn()),
		"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query",
		"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem")
}

// findDue lets the schedules find what there is to do.
func findDue(table awsdynamodb.ITable, indexes ...string) awsiam.PolicyStatement {
	var arns []string
	for _, index := range indexes {
		arns = append(arns, *table.TableArn()+"/index/"+index)
	}
	return allow("FindDue", nil, jsii.Strings(arns...), "dynamodb:Query")
}

// openTable is what DynamoDB needs of a role that reads or writes a table under a
// customer's key: it decrypts the table's key with the caller's own right, and
// does the rest with grants it got when the table was made.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
func openTable(stack awscdk.Stack, key awskms.IKey, table awsdynamodb.ITable) awsiam.PolicyStatement {
	return allow("OpenTable", conditions{"StringEquals": conditions{
		"kms:ViaService": serviceHost(stack, "dynamodb"),
		"kms:EncryptionContext:aws:dynamodb:tableName":    table.TableName(),
		"kms:EncryptionContext:aws:dynamodb:subscriberId": stack.Account(),
	}}, jsii.Strings(*key.KeyArn()), "kms:Decrypt")
}

// sealValues are the calls of pkg/envelope, each bound to a version of a secret
// of this region and account: with other context, or more of it, the function
// may not use the key, so it cannot open the table's key or a log.
func sealValues(stack awscdk.Stack, key awskms.IKey, others []string) awsiam.PolicyStatement {
	return allow("SealValues", sealedFor(stack, *stack.Region()), jsii.Strings(append([]string{*key.KeyArn()}, others...)...),
		"kms:GenerateDataKey", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo")
}

// sealedFor binds the use of a key to versions of secrets of a Region and this account.
func sealedFor(stack awscdk.Stack, region string) conditions {
	secrets := stack.FormatArn(&awscdk.ArnComponents{
		Service:      jsii.String("secretsmanager"),
		Region:       &region,
		Resource:     jsii.String("secret"),
		ResourceName: jsii.String("*"),
		ArnFormat:    awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	return conditions{
		"StringLike": conditions{"kms:EncryptionContext:SecretARN": secrets},
		"Null":       conditions{"kms:EncryptionContext:SecretVersionId": "false"},
		// Alone this would let calls without any context through: it asks about
		// each key there is.
		"ForAllValues:StringEquals": conditions{
			"kms:EncryptionContextKeys": jsii.Strings("SecretARN", "SecretVersionId"),
		},
	}
}

// writeLogs is what Lambda needs to keep what a function prints, audit records among
// it. The function itself makes no call, but has the right to: it can add to its own
// group, and neither read nor remove what is there.
//
// There is no CreateLogGroup: the group is there, encrypted, and one that was deleted
// should not come back without that.
func writeLogs(logs awslogs.LogGroup) awsiam.PolicyStatement {
	return allow("WriteLogs", nil, jsii.Strings(*logs.LogGroupArn()), "logs:CreateLogStream", "logs:PutLogEvents")
}

// encryptLogs is what writers of log groups under a customer's key may need besides the
// key's own policy: CloudWatch Logs asks for the writer's right to the key, too. It
// holds for what CloudWatch Logs does for these groups.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
func encryptLogs(b base, groups ...string) []awsiam.PolicyStatement {
	via := conditions{"kms:ViaService": serviceHost(b.stack, "logs")}
	var arns []string
	for _, group := range groups {
		arns = append(arns, logARN(b.stack, group))
	}
	key := jsii.Strings(*b.logsKey.KeyArn())
	return []awsiam.PolicyStatement{
		allow("EncryptLogs", conditions{
			"StringEquals": via,
			"ArnEquals":    conditions{"kms:EncryptionContext:aws:logs:arn": jsii.Strings(arns...)},
		}, key, "kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo",
			"kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"),
		allow("DescribeLogsKey", conditions{"StringEquals": via}, key, "kms:DescribeKey"), // it has no context
	}
}

// serviceHost is the name of a Region's service, which in China ends in amazonaws.com.cn.
func serviceHost(stack awscdk.Stack, service string) string {
	return serviceHostIn(stack, *stack.Region(), service)
}

func serviceHostIn(stack awscdk.Stack, region, service string) string {
	return service + "." + region + "." + *stack.UrlSuffix()
}

// newAccount gives API Gateway a role to write logs with. That is a setting of
// the account in a region, not of an API, and an API with logs cannot be made
// before it. It replaces the role that other APIs of the account may log with, so it
// is left alone unless apiGatewayLogsRole asks for it, as a fresh account needs.
//
// For the same reason role and setting stay when the stack goes, and the role
// is as wide as AWS says API Gateway needs, but for the region and the account:
// every REST API of the account's region writes its logs with it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
func newAccount(b base) awsapigateway.CfnAccount {
	stack := b.stack
	logs := stack.FormatArn(&awscdk.ArnComponents{
		Service:   jsii.String("logs"),
		Resource:  jsii.String("*"),
		ArnFormat: awscdk.ArnFormat_NO_RESOURCE_NAME,
	})
	role := awsiam.NewRole(stack, jsii.String("GatewayLogsRole"), &awsiam.RoleProps{
		Description: jsii.String("API Gateway: logs of every REST API of this account and region"),
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("apigateway.amazonaws.com"), nil),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			"Logs": statements(append(
				encryptLogs(b, *b.logs.access.LogGroupName(), *b.logs.execution.LogGroupName()),
				allow("WriteLogs", nil, jsii.Strings(*logs),
					"logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams",
					"logs:PutLogEvents", "logs:GetLogEvents", "logs:FilterLogEvents"))...),
		},
	})
	role.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN)
	account := awsapigateway.NewCfnAccount(stack, jsii.String("GatewayAccount"), &awsapigateway.CfnAccountProps{
		CloudWatchRoleArn: role.RoleArn(),
	})
	account.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	return account
}

// conditions are IAM conditions: operators, then keys, then values.
type conditions map[string]any

// all is the form the CDK wants.
func (c conditions) all() *map[string]any {
	if c == nil {
		return nil
	}
	all := map[string]any{}
	for name, value := range c {
		if inner, ok := value.(conditions); ok {
			value = *inner.all()
		}
		all[name] = value
	}
	return &all
}

func allow(sid string, when conditions, resources *[]*string, actions ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        &sid,
		Actions:    jsii.Strings(actions...),
		Resources:  resources,
		Conditions: when.all(),
	})
}

func statements(all ...awsiam.PolicyStatement) awsiam.PolicyDocument {
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &all})
}
