package main

import "strings"

// An operation is what a call, or a run, takes of DynamoDB, KMS and CloudWatch Logs.
// TestOperations measures each, with values of 1 KB.
type operation struct {
	name string
	// calls are those to DynamoDB and KMS, by name.
	calls string
	// reads and writes are DynamoDB's capacity units.
	reads, writes float64
	// logged is about how many bytes the service prints: the record and a line of its
	// log, give or take a hundred.
	logged float64
}

// What callers ask for. In a cold process the secret was not seen before, or its data
// key is forgotten; in a warm one the last minute has.
var (
	create   = operation{"CreateSecret", "GenerateDataKey TransactWriteItems", 0, 11, 1600}
	put      = operation{"PutSecretValue, cold", "GenerateDataKey GetItem TransactWriteItems", 1, 7, 1600}
	putWarm  = operation{"PutSecretValue, warm", "GenerateDataKey TransactWriteItems", 0, 7, 1600}
	getFirst = operation{"GetSecretValue, the first of a day or of a version", "Decrypt GetItem GetItem UpdateItem UpdateItem", 2, 3, 1400}
	get      = operation{"GetSecretValue, cold", "Decrypt GetItem GetItem", 2, 0, 1400}
	getWarm  = operation{"GetSecretValue, warm", "GetItem", 1, 0, 1400}
	describe = operation{"DescribeSecret", "GetItem", 1, 0, 1400}
)

// What happens on schedules. A run asks each shard what is due; the figures of one that
// has something to do are with that.
var (
	pruneRun  = operation{"a run of functions/prune, nothing to do", strings.Repeat("Query ", 7) + "Query", 4, 0, 0}
	pruneOne  = operation{"a run of functions/prune, one version to remove", "GetItem " + strings.Repeat("Query ", 9) + "TransactWriteItems", 5.5, 8, 800}
	rotateRun = operation{"a run of functions/rotate, nothing to do", strings.Repeat("Query ", 7) + "Query", 4, 0, 0}
	rotateOne = operation{"a rotation, besides what its function calls", strings.Repeat("GetItem ", 5) + "TransactWriteItems TransactWriteItems", 5, 11, 2200}
)

// What a replica adds, of which a change is brought to one Region. The update of its note
// starts functions/replicate once more.
var (
	putReplicated      = operation{"PutSecretValue, warm, with one replica", "GenerateDataKey TransactWriteItems", 0, 10, 1600}
	describeReplicated = operation{"DescribeSecret, with one replica", "GetItem Query", 2, 0, 1300}
	replicateRun       = operation{"a run of functions/replicate, nothing to do", strings.Repeat("Query ", 7) + "Query", 4, 0, 0}
	replicateHere      = operation{"a change brought to one replica, in its primary's Region", "BatchGetItem BatchGetItem Decrypt UpdateItem", 3, 2, 0}
	replicateThere     = operation{"a change brought to one replica, in the replica's Region", "GenerateDataKey TransactWriteItems", 0, 7, 0}
	replicateAgain     = operation{"a start of functions/replicate, nothing due", "BatchGetItem", 2, 0, 0}
)

// kms is how many of the calls go to KMS.
func (o operation) kms() float64 {
	return float64(strings.Count(o.calls, "GenerateDataKey") + strings.Count(o.calls, "Decrypt"))
}
