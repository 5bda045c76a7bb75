package main

import (
	"maps"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/jsii-runtime-go"
)

// keep is the policy of what outlives the stack. A first deployment that fails takes it
// back all the same: a second one would find it in its way, or leave it lying there.
const keep = awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE

// newStack is everything.
//
// What may be chosen is in cdk.json, or given with -c for one run: see
// [settings]. What may be called, and by whom, is in [permit] and [newKeys].
func newStack(app awscdk.App, set settings, from sources) {
	stack := awscdk.NewStack(app, &set.stackName, stackProps(set))
	// The front door comes first because the log groups bear its name, and the log
	// groups' names before the key because its policy names them.
	front := newFront(stack, set)
	names := front.logNames()
	role, replicateRole := newRole(stack, "ApiRole", apiName), newReplicateRole(stack, set)
	key, logsKey := newKeys(stack, set, names, keyRoles{role, replicateRole})
	b := base{
		stack:     stack,
		set:       set,
		from:      from,
		key:       key,
		logsKey:   logsKey,
		table:     newTable(stack, set, key),
		logs:      newLogGroups(stack, logsKey, names, set),
		alerts:    newAlerts(stack, set),
		schedules: awsscheduler.NewCfnScheduleGroup(stack, jsii.String("Schedules"), nil),
	}
	rotator, rotateRole := newRotate(b)
	server := newServer(b, role, rotator)
	at := front.serve(b, server)
	pruner := newPrune(b)
	all := []deployed{server, pruner, rotator}
	replicator, replicates := newReplicate(b, replicateRole)
	if replicates {
		all = append(all, replicator)
	}
	keepOff(b, rotateRole, all...)
	newQueries(b)
	newSubscriptions(b)
	watchServer(b, front, server)
	watchKey(b)
	newDashboard(b, front, all)
	newBackup(b)
	layer := newSigningLayer(b)
	newAgentLayers(b)
	output(stack, "Endpoint", at, "AWS_ENDPOINT_URL_SECRETS_MANAGER for clients; see README on signing")
	output(stack, "Table", b.table.TableName(), "The table, which stays when the stack goes")
	output(stack, "Key", key.KeyArn(), "The key, which stays when the stack goes: nothing stored opens without it")
	output(stack, "ApiRole", role.RoleArn(), "The role that opens sealed values: the key's policy names it")
	output(stack, "Alarms", b.alerts.arn, "The SNS topic that alarms and what happens to the key are sent to; subscribe to it")
	output(stack, "SigningLayer", layer.LayerVersionArn(),
		"A layer for rotation functions in Python; they need AWS_DATA_PATH="+signingPath+" and SECRETS_MANAGER_ENDPOINT, which is the Endpoint")
}

// stackProps are those of the stack as a whole.
func stackProps(set settings) *awscdk.StackProps {
	props := &awscdk.StackProps{
		Description:           jsii.String("Strongroom: AWS Secrets Manager that you own"),
		TerminationProtection: &set.terminationProtection,
	}
	if set.account != "" || set.region != "" {
		props.Env = &awscdk.Environment{Account: optional(set.account), Region: optional(set.region)}
	}
	if len(set.tags) > 0 {
		tags := map[string]*string{}
		for name, value := range set.tags {
			tags[name] = &value
		}
		props.Tags = &tags
	}
	if set.permissionsBoundaryArn != "" {
		props.PermissionsBoundary = awscdk.PermissionsBoundary_FromArn(&set.permissionsBoundaryArn)
	}
	return props
}

// optional is nil for an empty text.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// uniqueID is a part of the stack's ID, new for every stack. It is for names that a stack
// made again must not find in its way.
func uniqueID(stack awscdk.Stack) string {
	uuid := awscdk.Fn_Select(jsii.Number(2), awscdk.Fn_Split(jsii.String("/"), stack.StackId(), nil))
	return *awscdk.Fn_Select(jsii.Number(4), awscdk.Fn_Split(jsii.String("-"), uuid, nil))
}

// newServer makes functions/api.
func newServer(b base, role awsiam.Role, rotator deployed) deployed {
	permit(b, role, b.logs.api,
		keepSecrets(b.table), openTable(b.stack, b.key, b.table), sealValues(b.stack, b.key, b.set.kmsKeyArns),
		startRotations(rotator))
	return newFunction(b, function{
		id:          "Api",
		name:        apiName,
		description: "Strongroom: the AWS Secrets Manager protocol",
		seconds:     29, // what API Gateway waits
		logs:        b.logs.api,
		role:        role,
		environment: joined(retentionOf(b.set), replicasOf(b.set), map[string]*string{
			"KMS_KEY_ID":            b.key.KeyArn(),
			"DATA_KEY_SECONDS":      number(b.set.dataKeySeconds),
			"VERSION_QUOTA":         number(b.set.versionQuota),
			"ROTATE_FUNCTION":       rotator.live.FunctionArn(),
			"MIN_ROTATION_INTERVAL": jsii.String(b.set.minRotationInterval.String()),
			"AUDIT_REQUIRED":        jsii.String(strconv.FormatBool(b.set.auditRequired)),
			"POLICIES":              jsii.String(policies), // beside the binary, where Lambda starts it
		}),
	})
}

// A base is what the functions stand on.
type base struct {
	stack     awscdk.Stack
	set       settings
	from      sources
	key       awskms.IKey // of the table and the values in it
	logsKey   awskms.IKey
	table     awsdynamodb.ITable
	logs      logGroups
	alerts    alerts
	schedules awsscheduler.CfnScheduleGroup
}

// The functions, as their folders are called.
const (
	apiName       = "api"
	pruneName     = "prune"
	rotateName    = "rotate"
	replicateName = "replicate" // only with replicaRegions
)

// A function is what one function has that others have not.
type function struct {
	id, name, description string
	seconds               int // how long it may run
	role                  awsiam.Role
	logs                  awslogs.LogGroup
	environment           map[string]*string
}

// A deployed function has an alias that all callers use. An alias put back on the version
// before takes back what an upgrade brought, at once and without a deployment.
type deployed struct {
	function awslambda.Function
	live     awslambda.Alias
}

// aliasName is that of the version in use.
const aliasName = "live"

// newFunction makes a function. It is given a role, so that CDK adds no managed
// policy, and a log group, so that Lambda makes none that is neither encrypted
// nor ever emptied.
//
// Lambda's log format is Text: each line is kept as the function wrote it. The format
// JSON would add members to audit records, and leave them out above the level INFO.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
func newFunction(b base, f function) deployed {
	environment := joined(f.environment, map[string]*string{
		"TABLE_NAME": b.table.TableName(),
		"ACCOUNT_ID": b.stack.Account(),
		"PARTITION":  b.stack.Partition(),
	})
	made := awslambda.NewFunction(b.stack, &f.id, &awslambda.FunctionProps{
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

		CurrentVersionOptions: &awslambda.VersionOptions{RemovalPolicy: keep}, // the way back
	})
	if b.set.tracing {
		// Not as a property of the construct, which would give rights to the role.
		made.Node().DefaultChild().(awslambda.CfnFunction).SetTracingConfig(
			&awslambda.CfnFunction_TracingConfigProperty{Mode: jsii.String("Active")})
	}
	live := awslambda.NewAlias(b.stack, jsii.String(f.id+"Live"), &awslambda.AliasProps{
		AliasName:   jsii.String(aliasName),
		Description: jsii.String("The version in use"),
		Version:     made.CurrentVersion(),
	})
	return deployed{made, live}
}

// retentionOf tells a function which versions to keep.
func retentionOf(set settings) map[string]*string {
	return map[string]*string{
		"MAX_VERSIONS": number(set.maxVersions),
		"MIN_AGE":      jsii.String(set.minAge.String()),
	}
}

// replicasOf tells functions/api which Regions secrets may be replicated to.
func replicasOf(set settings) map[string]*string {
	if !set.replicates() {
		return nil
	}
	return map[string]*string{"REPLICA_REGIONS": jsii.String(strings.Join(set.peerRegions(), ","))}
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
