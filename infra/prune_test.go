package main

import "testing"

func TestPruneFunction(t *testing.T) {
	t.Parallel()
	function := stack(t).function(t, pruneName)
	settled := object{
		"Architectures": []string{"arm64"},
		"Runtime":       "provided.al2023",
		"Handler":       "bootstrap",
		"MemorySize":    256,
		"Timeout":       300,
		"Environment": object{"Variables": object{
			"TABLE_NAME":   stack(t).ref(t, "AWS::DynamoDB::Table"),
			"ACCOUNT_ID":   "${AWS::AccountId}",
			"PARTITION":    "${AWS::Partition}",
			"MAX_VERSIONS": "200",
			"MIN_AGE":      "36h0m0s",
		}},
	}
	for name, want := range settled {
		same(t, name, function.Properties[name], want)
	}
}

// TestPruneMay has every right of the function in full, and none to the keys of
// values among them.
func TestPruneMay(t *testing.T) {
	t.Parallel()
	function := stack(t).function(t, pruneName)
	role, table := stack(t).of(t, function.Properties["Role"]), stack(t).arn(t, "AWS::DynamoDB::Table")
	same(t, "who may take the role", role.statements()[0]["Principal"], object{"Service": "lambda.amazonaws.com"})
	same(t, "statements", stack(t).rights(t, role), append([]object{
		{
			"Sid":    "RemoveSecrets",
			"Effect": "Allow",
			"Action": []string{
				"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:ConditionCheckItem",
				"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem",
			},
			"Resource": table,
		},
		{
			"Sid":      "FindDue",
			"Effect":   "Allow",
			"Action":   "dynamodb:Query",
			"Resource": []string{table + "/index/age", table + "/index/due"},
		},
		{
			"Sid":      "OpenTable",
			"Effect":   "Allow",
			"Action":   "kms:Decrypt",
			"Resource": stack(t).arn(t, "AWS::KMS::Key"),
			"Condition": object{"StringEquals": object{
				"kms:ViaService": "dynamodb.${AWS::Region}.${AWS::URLSuffix}",
				"kms:EncryptionContext:aws:dynamodb:tableName":    stack(t).ref(t, "AWS::DynamoDB::Table"),
				"kms:EncryptionContext:aws:dynamodb:subscriberId": "${AWS::AccountId}",
			}},
		},
		{
			"Sid":      "NoteFailure",
			"Effect":   "Allow",
			"Action":   "sqs:SendMessage",
			"Resource": "${" + stack(t).failures(t, pruneName).ID + ".Arn}",
		},
	}, stack(t).writeLogs(t, function)...))
}
