package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/store"
)

func tableIn(region, name string) string {
	return "arn:${AWS::Partition}:dynamodb:" + region + ":${AWS::AccountId}:table/" + name
}

func TestReplicateFunction(t *testing.T) {
	t.Parallel()
	told := whole(t).function(t, apiName).Properties["Environment"].(object)["Variables"].(object)
	settled := object{
		"Architectures": []string{"arm64"},
		"Runtime":       "provided.al2023",
		"Handler":       "bootstrap",
		"MemorySize":    256,
		"Timeout":       120,
		"Environment": object{"Variables": object{
			"TABLE_NAME":      whole(t).ref(t, "AWS::DynamoDB::Table"),
			"ACCOUNT_ID":      "${AWS::AccountId}",
			"PARTITION":       "${AWS::Partition}",
			"MAX_VERSIONS":    "200",
			"MIN_AGE":         told["MIN_AGE"],
			"REPLICA_REGIONS": `{"eu-west-1":{"table":"ireland","key":"` + irelandKey + `"},"eu-west-3":{"table":"paris","key":"` + parisKey + `"}}`,
		}},
	}
	function := whole(t).function(t, replicateName)
	for name, want := range settled {
		same(t, name, function.Properties[name], want)
	}
	same(t, "what functions/api is told", told["REPLICA_REGIONS"], "eu-west-1,eu-west-3")
	same(t, "role for the other deployments", whole(t).Outputs["ReplicateRole"].Value, function.Properties["Role"])
}

// sealedIn is what binds keys to versions of secrets of a Region.
func sealedIn(region string) object {
	return object{
		"StringLike":                object{"kms:EncryptionContext:SecretARN": "arn:${AWS::Partition}:secretsmanager:" + region + ":${AWS::AccountId}:secret:*"},
		"Null":                      object{"kms:EncryptionContext:SecretVersionId": "false"},
		"ForAllValues:StringEquals": object{"kms:EncryptionContextKeys": []string{"SecretARN", "SecretVersionId"}},
	}
}

// TestReplicateMay has every right of the function in full: it opens values here and none
// elsewhere, and makes values elsewhere and none here.
func TestReplicateMay(t *testing.T) {
	t.Parallel()
	function := whole(t).function(t, replicateName)
	role, table, key := whole(t).of(t, function.Properties["Role"]), whole(t).arn(t, "AWS::DynamoDB::Table"), whole(t).arn(t, "AWS::KMS::Key")
	here := []string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
	there := []string{"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"}
	same(t, "who may take the role", role.statements()[0]["Principal"], object{"Service": "lambda.amazonaws.com"})
	same(t, "statements", whole(t).rights(t, role), append([]object{
		{"Sid": "ReadSecrets", "Effect": "Allow", "Action": here, "Resource": table},
		{"Sid": "FindDue", "Effect": "Allow", "Action": "dynamodb:Query", "Resource": table + "/index/due"},
		{
			"Sid": "OpenTable", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": key,
			"Condition": object{"StringEquals": object{
				"kms:ViaService": "dynamodb.${AWS::Region}.${AWS::URLSuffix}",
				"kms:EncryptionContext:aws:dynamodb:tableName":    whole(t).ref(t, "AWS::DynamoDB::Table"),
				"kms:EncryptionContext:aws:dynamodb:subscriberId": "${AWS::AccountId}",
			}},
		},
		{"Sid": "OpenValues", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": []string{key, ownFurther}, "Condition": sealedIn("${AWS::Region}")},
		{"Sid": "NoteFailure", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "${" + whole(t).failures(t, replicateName).ID + ".Arn}"},
		{"Sid": "WriteReplicas", "Effect": "Allow", "Action": there, "Resource": []string{tableIn("eu-west-1", "ireland"), tableIn("eu-west-3", "paris")}},
		{
			"Sid": "OpenReplicaTables", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": []string{irelandKey, parisKey},
			"Condition": object{"StringEquals": object{
				"kms:ViaService": []string{"dynamodb.eu-west-1.${AWS::URLSuffix}", "dynamodb.eu-west-3.${AWS::URLSuffix}"},
				"kms:EncryptionContext:aws:dynamodb:tableName":    []string{"ireland", "paris"},
				"kms:EncryptionContext:aws:dynamodb:subscriberId": "${AWS::AccountId}",
			}},
		},
		{"Sid": "SealIneuwest1", "Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": []string{irelandKey, irelandMore}, "Condition": sealedIn("eu-west-1")},
		{"Sid": "SealIneuwest3", "Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": parisKey, "Condition": sealedIn("eu-west-3")},
		{
			"Sid": "ReadStream", "Effect": "Allow", "Resource": "${" + whole(t).one(t, "AWS::DynamoDB::Table").ID + ".StreamArn}",
			"Action": []string{"dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream", "dynamodb:ListStreams"},
		},
	}, whole(t).writeLogs(t, function)...))
}

// TestKeyWithReplicas has each replicator use the key for its own half: what replicates
// from here opens values, and what replicates to here makes them.
func TestKeyWithReplicas(t *testing.T) {
	t.Parallel()
	role := func(name string) any { return whole(t).function(t, name).Properties["Role"] }
	deny := func(sid string, users []any, actions ...string) object {
		s := valuesStaySealed(users)
		s["Sid"], s["Action"] = sid, actions
		if len(actions) == 1 {
			s["Action"] = actions[0]
		}
		return s
	}
	statements := whole(t).one(t, "AWS::KMS::Key").statements()
	same(t, "values", statements[2:], []object{
		deny("ValuesStaySealed", []any{role(apiName)},
			"kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo",
			"kms:GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext"),
		deny("OnlyTheseOpenValues", []any{role(apiName), role(replicateName)}, "kms:Decrypt"),
		deny("OnlyTheseMakeValues", []any{role(apiName), irelandRole}, "kms:GenerateDataKey"),
	})
	// Together they deny what they deny without replicas.
	var denied []string
	for _, s := range statements[2:] {
		denied = append(denied, texts(s["Action"])...)
	}
	same(t, "actions", sorted(denied), sorted(valuesStaySealed(nil)["Action"].([]string)))
}

// TestStream has changed notes, and nothing else, start the function at once.
func TestStream(t *testing.T) {
	t.Parallel()
	table := whole(t).one(t, "AWS::DynamoDB::Table")
	same(t, "stream", table.Properties["StreamSpecification"], object{"StreamViewType": "KEYS_ONLY"})
	mapping := whole(t).one(t, "AWS::Lambda::EventSourceMapping").Properties
	var filter struct {
		EventName []string
		DynamoDB  struct {
			Keys map[string]map[string][]struct{ Prefix string }
		}
	}
	criteria := mapping["FilterCriteria"].(object)["Filters"].([]any)
	if err := json.Unmarshal([]byte(criteria[0].(object)["Pattern"].(string)), &filter); err != nil || len(criteria) != 1 {
		t.Fatalf("got the filters %v, %v, want one", criteria, err)
	}
	same(t, "kinds of change", filter.EventName, []string{"INSERT", "MODIFY"})
	same(t, "keys", filter.DynamoDB.Keys, object{"sk": object{"S": []object{{"Prefix": "REPLICA#"}}}})
	if _, is := store.ReplicaTask("SECRET#a", filter.DynamoDB.Keys["sk"]["S"][0].Prefix+"abcdef#eu-west-1"); !is {
		t.Error("what the filter lets through is no note of a replica")
	}
	delete(mapping, "FilterCriteria")
	same(t, "mapping", mapping, object{
		"FunctionName": whole(t).live(t, replicateName), "EventSourceArn": "${" + table.ID + ".StreamArn}", "Enabled": true,
		"StartingPosition": "LATEST", "BatchSize": 100, "MaximumBatchingWindowInSeconds": 0, "ParallelizationFactor": 2,
		"MaximumRetryAttempts": 2, "MaximumRecordAgeInSeconds": 300, "BisectBatchOnFunctionError": true,
		"DestinationConfig": object{"OnFailure": object{"Destination": "${" + whole(t).failures(t, replicateName).ID + ".Arn}"}},
	})
}

// TestWithoutReplicas has nothing of replication where no Region is named.
func TestWithoutReplicas(t *testing.T) {
	t.Parallel()
	same(t, "stream", stack(t).one(t, "AWS::DynamoDB::Table").Properties["StreamSpecification"], nil)
	if _, there := stack(t).functions[replicateName]; there {
		t.Error("functions/replicate is there")
	}
	raw, err := json.Marshal(stack(t).raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"REPLICA", "Replica", "replica", "EventSourceMapping"} {
		if strings.Contains(string(raw), word) {
			t.Errorf("the template has %q in it", word)
		}
	}
}

// TestReplicasOfTakenOverTable has the schedule alone start the function: a restored table
// has no stream.
func TestReplicasOfTakenOverTable(t *testing.T) {
	t.Parallel()
	set := object{"replicaRegions": twoRegions, "tableName": "Restored", "keyArn": ownFurther}
	chosen := synthesizeWith(t, set)
	same(t, "event source mappings", chosen.all("AWS::Lambda::EventSourceMapping"), nil)
	if _, there := chosen.Resources["ReplicateSchedule"]; !there {
		t.Error("nothing starts functions/replicate")
	}
	for _, s := range chosen.rights(t, chosen.of(t, chosen.function(t, replicateName).Properties["Role"])) {
		if s["Sid"] == "ReadStream" {
			t.Error("functions/replicate may read a stream")
		}
	}
}

// TestFullReplicas has the role within what IAM takes, and the key's policy within what KMS
// takes, with as much as the settings allow.
func TestFullReplicas(t *testing.T) {
	t.Parallel()
	for _, keysHere := range []int{0, mostKeysOfReplicas} {
		chosen := synthesizeWith(t, object{
			"region": "us-gov-west-1", "replicaRegions": peersOf(mostPeers, mostKeysOfReplicas-keysHere),
			"kmsKeyArns": many(keysHere, "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-0123456789abcdef0123456789abcd%02d"),
		})
		chosen.rolesFit(t)
		if size := sizeOf(t, chosen.one(t, "AWS::KMS::Key").Properties["KeyPolicy"]); size > 32<<10 {
			t.Errorf("the key's policy has %d characters, and at most 32 KB fit", size)
		}
	}
}

// TestReplicationSummary says what a deployment still needs.
func TestReplicationSummary(t *testing.T) {
	t.Parallel()
	set := settings{replicaRegions: map[string]peer{"eu-west-1": {}, "eu-west-3": {RoleArn: irelandRole}}}
	lines := replicationSummary(set)
	if len(lines) != 1 || !strings.Contains(lines[0], "eu-west-1") {
		t.Errorf("got %q, want the Region without a role", lines)
	}
	set.keyArn, set.tableName = ownFurther, "Restored"
	if lines = replicationSummary(set); len(lines) != 3 || !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "policy of keyArn") }) {
		t.Errorf("got %q, want what the key's policy needs, too", lines)
	}
	same(t, "without replicas", replicationSummary(settings{keyArn: ownFurther}), nil)
}
