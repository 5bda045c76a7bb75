package main

import (
	"encoding/json"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"github.com/strongroom/strongroom/pkg/metrics"
	"github.com/strongroom/strongroom/pkg/replicate"
)

// replicateMinutes is how long a run may take. It begins nothing in the last of them, when
// the schedule has started the next run already.
const replicateMinutes = 2

// replicating is started by the table's stream, and by a schedule for what is tried again.
//
// Its alarms look further back than the longest wait between two attempts, which is 15
// minutes: between attempts there are no metrics.
var replicating = job{
	id: "Replicate", name: replicateName,
	every: 1, patience: 5,
	window: 15 + replicateMinutes + 3, silent: 1,
	behind: replicate.OldestDue, late: 10,
}

// newReplicateRole makes the role of functions/replicate, where there are replicas, and nil
// elsewhere. The key's policy names it.
func newReplicateRole(stack awscdk.Stack, set settings) awsiam.Role {
	if !set.replicates() {
		return nil
	}
	role := newRole(stack, "ReplicateRole", replicateName)
	output(stack, "ReplicateRole", role.RoleArn(),
		"The role that makes replicas elsewhere: roleArn of this Region in the replicaRegions of each other deployment")
	return role
}

// newReplicate makes functions/replicate with its triggers, retries and alarms. Without other
// Regions there is none.
func newReplicate(b base, role awsiam.Role) (deployed, bool) {
	if role == nil {
		return deployed{}, false
	}
	j := replicating
	failures := newFailures(b, j)
	calls := append([]awsiam.PolicyStatement{
		readSecrets(b.table), findDue(b.table, "due"), openTable(b.stack, b.key, b.table), openValues(b), noteFailure(failures),
	}, writeReplicas(b)...)
	streamed := b.table.TableStreamArn() != nil
	if streamed {
		calls = append(calls, readStream(b.table))
	}
	permit(b, role, b.logs.replicate, calls...)
	replicator := newFunction(b, function{
		id:          j.id,
		name:        j.name,
		description: "Strongroom: replicates secrets to other Regions",
		seconds:     60 * replicateMinutes,
		logs:        b.logs.replicate,
		role:        role,
		environment: joined(retentionOf(b.set), map[string]*string{
			"REPLICA_REGIONS": jsii.String(deployments(b.set)),
		}),
	})
	j.run(b, replicator, failures)
	if streamed {
		follow(b, replicator, failures)
	}
	for _, a := range replicationAlarms(b, j) {
		a.addTo(b)
	}
	return replicator, true
}

// deployments are the other Regions as functions/replicate reads them.
func deployments(set settings) string {
	type deployment struct {
		Table string `json:"table"`
		Key   string `json:"key"`
	}
	all := map[string]deployment{}
	for region, p := range set.replicaRegions {
		all[region] = deployment{p.Table, p.KeyArn}
	}
	text, _ := json.Marshal(all) // texts always can
	return string(text)
}

// follow starts the function with the notes of replicas that changed, as soon as they do.
// A note that the function cannot take is tried twice more and then given up: the schedule
// finds what is due all the same.
func follow(b base, f deployed, failures awssqs.Queue) {
	awslambda.NewCfnEventSourceMapping(b.stack, jsii.String("ReplicateStream"), &awslambda.CfnEventSourceMappingProps{
		FunctionName:     f.live.FunctionArn(),
		EventSourceArn:   b.table.TableStreamArn(),
		Enabled:          &b.set.schedules,
		StartingPosition: jsii.String("LATEST"),
		FilterCriteria: &awslambda.CfnEventSourceMapping_FilterCriteriaProperty{
			Filters: []any{&awslambda.CfnEventSourceMapping_FilterProperty{Pattern: jsii.String(noteFilter)}},
		},
		BatchSize:                      jsii.Number(100),
		MaximumBatchingWindowInSeconds: jsii.Number(0), // a change is replicated at once
		ParallelizationFactor:          jsii.Number(2), // the account's concurrency is for callers
		MaximumRetryAttempts:           jsii.Number(2),
		MaximumRecordAgeInSeconds:      jsii.Number(60 * replicating.patience),
		BisectBatchOnFunctionError:     jsii.Bool(true),
		DestinationConfig: &awslambda.CfnEventSourceMapping_DestinationConfigProperty{
			OnFailure: &awslambda.CfnEventSourceMapping_OnFailureProperty{Destination: failures.QueueArn()},
		},
	})
}

// noteFilter lets through changes of notes of replicas, and not their removal. Lambda drops
// all others before it would start, and bill, the function.
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html
const noteFilter = `{"eventName":["INSERT","MODIFY"],"dynamodb":{"Keys":{"sk":{"S":[{"prefix":"REPLICA#"}]}}}}`

// readStream is what Lambda asks of the role for the event source mapping.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/iam-policy-example-lamda-process-dynamodb-streams.html
func readStream(table awsdynamodb.ITable) awsiam.PolicyStatement {
	return allow("ReadStream", nil, jsii.Strings(*table.TableStreamArn()),
		"dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream", "dynamodb:ListStreams")
}

// readSecrets are the calls on the table of this Region: secrets are read, and the note of a
// replica is updated, or removed with the replica. IAM cannot tell a note from other items of
// a secret.
func readSecrets(table awsdynamodb.ITable) awsiam.PolicyStatement {
	return allow("ReadSecrets", nil, jsii.Strings(*table.TableArn()),
		"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")
}

// openValues opens what is sealed for a version of a secret of this Region, and seals
// nothing.
func openValues(b base) awsiam.PolicyStatement {
	return allow("OpenValues", sealedFor(b.stack, *b.stack.Region()),
		jsii.Strings(append([]string{*b.key.KeyArn()}, b.set.kmsKeyArns...)...), "kms:Decrypt")
}

// writeReplicas are the calls in the other Regions: items of their tables, and data keys
// for secrets of the table's Region. Values are not opened there. TransactWriteItems is
// allowed by the actions of what it does.
func writeReplicas(b base) []awsiam.PolicyStatement {
	var tables, names, hosts, keys []string
	var all []awsiam.PolicyStatement
	for _, region := range b.set.peerRegions() {
		p := b.set.replicaRegions[region]
		tables = append(tables, *b.stack.FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("dynamodb"), Region: &region, Resource: jsii.String("table"), ResourceName: &p.Table,
		}))
		names, hosts, keys = append(names, p.Table), append(hosts, serviceHostIn(b.stack, region, "dynamodb")), append(keys, p.KeyArn)
		all = append(all, allow("SealIn"+compact(region), sealedFor(b.stack, region),
			jsii.Strings(append([]string{p.KeyArn}, p.KmsKeyArns...)...), "kms:GenerateDataKey"))
	}
	return append([]awsiam.PolicyStatement{
		allow("WriteReplicas", nil, jsii.Strings(tables...), "dynamodb:GetItem",
			"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"),
		allow("OpenReplicaTables", conditions{"StringEquals": conditions{
			"kms:ViaService": jsii.Strings(hosts...),
			"kms:EncryptionContext:aws:dynamodb:tableName":    jsii.Strings(names...),
			"kms:EncryptionContext:aws:dynamodb:subscriberId": b.stack.Account(),
		}}, jsii.Strings(keys...), "kms:Decrypt"),
	}, all...)
}

// replicationAlarms are about replicas that could not be written by a run that itself succeeded.
func replicationAlarms(b base, j job) []alarm {
	return []alarm{{
		"ReplicationsFailed", "A secret could not be replicated: DescribeSecret has the reason, and so has the log of functions/replicate.",
		metrics.Namespace, replicate.FailedMetric, deployment(b), "Sum", above, 0, j.window, 1, "notBreaching",
	}}
}
