package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/strongroom/strongroom/pkg/prune"
)

// pruneMinutes is how long a run may take, and the least there is between two
// starts: the schedule alone never has two at once.
const pruneMinutes = 5

// pruning gives a start up when the next one comes. Its alarms look further back than
// from one run's begin to the next one's end: see [rotating].
func pruning(set settings) job {
	return job{
		id: "Prune", name: pruneName,
		every: set.pruneEveryMinutes, patience: set.pruneEveryMinutes,
		window: set.pruneEveryMinutes + pruneMinutes, silent: 3,
		behind: prune.OldestDue, late: 2 * set.pruneEveryMinutes,
	}
}

// newPrune makes functions/prune, and what starts it, tries it again and says when
// that was in vain.
func newPrune(b base) deployed {
	j := pruning(b.set)
	failures := newFailures(b, j)
	role := newRole(b.stack, "PruneRole", j.name)
	permit(b, role, b.logs.prune,
		removeSecrets(b.table), findDue(b.table, "age", "due"), openTable(b.stack, b.key, b.table),
		noteFailure(failures))
	pruner := newFunction(b, function{
		id:          j.id,
		name:        j.name,
		description: "Strongroom: removes versions and secrets that need not be kept",
		seconds:     60 * pruneMinutes,
		logs:        b.logs.prune,
		role:        role,
		environment: retentionOf(b.set),
	})
	j.run(b, pruner, failures)
	return pruner
}

// removeSecrets are the table's calls. TransactWriteItems is allowed by the
// actions of what it does; BatchWriteItem by an action of its own. PutItem is for
// the note of what a secret leaves over; BatchGetItem and ConditionCheckItem are for
// what verifies and repairs the table.
func removeSecrets(table awsdynamodb.ITable) awsiam.PolicyStatement {
	return allow("RemoveSecrets", nil, jsii.Strings(*table.TableArn()),
		"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:ConditionCheckItem",
		"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem")
}
