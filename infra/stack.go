package main

import (
	"maps"
	"path/filepath"
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/jsii-runtime-go"
)

// newStack is everything.
//
// What may be chosen is in cdk.json, or given with -c for one run: see
// [settings]. What may be called, and by whom, is in [newRole] and [newKey].
func newStack(app awscdk.App, set settings, from sources) {
	stack := awscdk.NewStack(app, &set.stackName, &awscdk.StackProps{
		Description: jsii.String("Strongroom: AWS Secrets Manager that you own"),
	})
	// The front door comes first because the log groups bear its name, and the log
	// groups' names before the key because its policy names them.
	front := newFront(stack, set)
	names := front.logNames()
	key := newKey(stack, names)
	b := base{
		stack:     stack,
		set:       set,
		from:      from,
		key:       key,
		table:     newTable(stack, key),
		logs:      newLogGroups(stack, key, names, set),
		schedules: awsscheduler.NewCfnScheduleGroup(stack, jsii.String("Schedules"), nil),
	}
	rotator, role := newRotate(b)
	server := newServer(b, rotator)
	at := front.serve(b, server)
	keepOff(b, role, server, newPrune(b), rotator)
	newQueries(b)
	newSubscriptions(b)
	layer := newSigningLayer(b)
	newAgentLayers(b)
	output(stack, "Endpoint", at, "AWS_ENDPOINT_URL_SECRETS_MANAGER for clients; see README on signing")
	output(stack, "Table", b.table.TableName(), "The table, which stays when the stack goes")
	output(stack, "Key", key.KeyArn(), "The key, which stays when the stack goes: nothing stored opens without it")
	output(stack, "SigningLayer", layer.LayerVersionArn(),
		"A layer for rotation functions in Python; they need AWS_DATA_PATH="+signingPath+" and SECRETS_MANAGER_ENDPOINT, which is the Endpoint")
}

// newServer makes functions/api.
func newServer(b base, rotator awslambda.Function) awslambda.Function {
	return newFunction(b, function{
		id:          "Api",
		name:        apiName,
		description: "Strongroom: the AWS Secrets Manager protocol",
		seconds:     29, // what API Gateway waits
		logs:        b.logs.api,
		role: newRole(b, "ApiRole", apiName, b.logs.api,
			keepSecrets(b.table), openTable(b.stack, b.key, b.table), sealValues(b.stack, b.key, b.set.kmsKeyArns),
			startRotations(rotator)),
		environment: joined(retentionOf(b.set), map[string]*string{
			"KMS_KEY_ID":            b.key.KeyArn(),
			"DATA_KEY_SECONDS":      number(b.set.dataKeySeconds),
			"VERSION_QUOTA":         number(b.set.versionQuota),
			"ROTATE_FUNCTION":       rotator.FunctionArn(),
			"MIN_ROTATION_INTERVAL": jsii.String(b.set.minRotationInterval.String()),
			"AUDIT_REQUIRED":        jsii.String(strconv.FormatBool(b.set.auditRequired)),
			"POLICIES":              jsii.String(policies), // beside the binary, where Lambda starts it
		}),
	})
}

// newKey makes the one key of the stack: for the table, for the values sealed
// in it and for the logs.
//
// One key and not three, because the holder of the values' key holds all there
// is to protect: to disable it closes everything at once, and there is one
// policy and one trail to read. The uses are kept apart all the same, by
// encryption context: a caller let in for one cannot open what another sealed.
func newKey(stack awscdk.Stack, logs logNameSet) awskms.Key {
	return awskms.NewKey(stack, jsii.String("Key"), &awskms.KeyProps{
		Description:       jsii.String("Strongroom: the table, the values in it and the logs"),
		EnableKeyRotation: jsii.Bool(true),
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN,
		Policy:            statements(rootOwnsKey(), logsUseKey(stack, logs)),
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
			awsiam.NewServicePrincipal(jsii.String("logs."+*stack.Region()+".amazonaws.com"), nil),
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

// newTable makes the table that store.Schema describes. It has no name of its
// own, so that a stack made again does not stumble over the table that stayed.
func newTable(stack awscdk.Stack, key awskms.Key) awsdynamodb.Table {
	table := awsdynamodb.NewTable(stack, jsii.String("Table"), &awsdynamodb.TableProps{
		PartitionKey:       text("pk"),
		SortKey:            text("sk"),
		BillingMode:        awsdynamodb.BillingMode_PAY_PER_REQUEST,
		Encryption:         awsdynamodb.TableEncryption_CUSTOMER_MANAGED,
		EncryptionKey:      key,
		DeletionProtection: jsii.Bool(true),
		RemovalPolicy:      awscdk.RemovalPolicy_RETAIN,
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
		},
	})
	addIndex(table, "age", "secret", "created")
	addIndex(table, "due", "shard", "due")
	return table
}

func addIndex(table awsdynamodb.Table, name, hash, rng string) {
	table.AddGlobalSecondaryIndex(&awsdynamodb.GlobalSecondaryIndexProps{
		IndexName:      &name,
		PartitionKey:   text(hash),
		SortKey:        text(rng),
		ProjectionType: awsdynamodb.ProjectionType_KEYS_ONLY,
	})
}

func text(attribute string) *awsdynamodb.Attribute {
	return &awsdynamodb.Attribute{Name: &attribute, Type: awsdynamodb.AttributeType_STRING}
}

// A base is what the functions stand on.
type base struct {
	stack     awscdk.Stack
	set       settings
	from      sources
	key       awskms.Key
	table     awsdynamodb.Table
	logs      logGroups
	schedules awsscheduler.CfnScheduleGroup
}

// The functions, as their folders are called.
const (
	apiName    = "api"
	pruneName  = "prune"
	rotateName = "rotate"
)

// A function is what one function has that others have not.
type function struct {
	id, name, description string
	seconds               int // how long it may run
	role                  awsiam.Role
	logs                  awslogs.LogGroup
	environment           map[string]*string
}

// newFunction makes a function. It is given a role, so that CDK adds no managed
// policy, and a log group, so that Lambda makes none that is neither encrypted
// nor ever emptied.
//
// Lambda's log format is Text: each line is kept as the function wrote it. The format
// JSON would add members to audit records, and leave them out above the level INFO.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
func newFunction(b base, f function) awslambda.Function {
	environment := joined(f.environment, map[string]*string{
		"TABLE_NAME": b.table.TableName(),
		"ACCOUNT_ID": b.stack.Account(),
		"PARTITION":  b.stack.Partition(),
	})
	return awslambda.NewFunction(b.stack, &f.id, &awslambda.FunctionProps{
		Description:   &f.description,
		Runtime:       awslambda.Runtime_PROVIDED_AL2023(),
		Architecture:  awslambda.Architecture_ARM_64(),
		Handler:       jsii.String(binary),
		Code:          awslambda.Code_FromAsset(jsii.String(filepath.Join(b.from.bin, f.name)), nil),
		MemorySize:    jsii.Number(256),
		Timeout:       awscdk.Duration_Seconds(jsii.Number(f.seconds)),
		Role:          f.role,
		LogGroup:      f.logs,
		LoggingFormat: awslambda.LoggingFormat_TEXT,
		Environment:   &environment,
	})
}

// retentionOf tells a function which versions to keep.
func retentionOf(set settings) map[string]*string {
	return map[string]*string{
		"MAX_VERSIONS": number(set.maxVersions),
		"MIN_AGE":      jsii.String(set.minAge.String()),
	}
}

func joined(all ...map[string]*string) map[string]*string {
	environment := map[string]*string{}
	for _, one := range all {
		maps.Copy(environment, one)
	}
	return environment
}

func number(n int) *string { return jsii.String(strconv.Itoa(n)) }

func output(stack awscdk.Stack, name string, value *string, description string) {
	awscdk.NewCfnOutput(stack, jsii.String(name+"Output"), &awscdk.CfnOutputProps{
		Value:       value,
		Description: &description,
	}).OverrideLogicalId(&name)
}
