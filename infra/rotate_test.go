package main

import (
	"strings"
	"testing"
)

func TestRotateFunction(t *testing.T) {
	t.Parallel()
	function := stack(t).function(t, rotateName)
	settled := object{
		"Architectures": []string{"arm64"},
		"Runtime":       "provided.al2023",
		"Handler":       "bootstrap",
		"MemorySize":    256,
		"Timeout":       900,
		"Environment": object{"Variables": object{
			"TABLE_NAME":            stack(t).ref(t, "AWS::DynamoDB::Table"),
			"ACCOUNT_ID":            "${AWS::AccountId}",
			"PARTITION":             "${AWS::Partition}",
			"ROTATION_STEP_SECONDS": "45",
			"ROTATIONS_AT_ONCE":     "12",
		}},
	}
	for name, want := range settled {
		same(t, name, function.Properties[name], want)
	}
}

// TestRotateMay has every right of the function in full, and none to the keys of
// values among them.
func TestRotateMay(t *testing.T) {
	t.Parallel()
	function := stack(t).function(t, rotateName)
	role, table := stack(t).of(t, function.Properties["Role"]), stack(t).arn(t, "AWS::DynamoDB::Table")
	same(t, "who may take the role", role.statements()[0]["Principal"], object{"Service": "lambda.amazonaws.com"})
	same(t, "statements", stack(t).rights(t, role), append([]object{
		{
			"Sid":       "CallTagged",
			"Effect":    "Allow",
			"Action":    "lambda:InvokeFunction",
			"Resource":  "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*",
			"Condition": object{"StringEquals": object{"aws:ResourceTag/strongroom:rotation": "allowed"}},
		},
		{
			"Sid":      "RotateSecrets",
			"Effect":   "Allow",
			"Action":   []string{"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
			"Resource": table,
		},
		{
			"Sid":      "FindDue",
			"Effect":   "Allow",
			"Action":   "dynamodb:Query",
			"Resource": table + "/index/due",
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
			"Resource": "${" + stack(t).failures(t, rotateName).ID + ".Arn}",
		},
	}, stack(t).writeLogs(t, function)...))
}

// TestRotateKeepsOff has every function of the stack denied to functions/rotate.
func TestRotateKeepsOff(t *testing.T) {
	t.Parallel()
	var own []string
	for _, function := range whole(t).all("AWS::Lambda::Function") {
		own = append(own, "${"+function.ID+".Arn}", "${"+function.ID+".Arn}:*")
	}
	policy, role := whole(t).keepsOff(t), whole(t).of(t, whole(t).function(t, rotateName).Properties["Role"])
	same(t, "roles", policy.Properties["Roles"], []string{"${" + role.ID + "}"})
	denied := policy.statements()
	if len(denied) != 1 {
		t.Fatalf("got %d statements, want 1", len(denied))
	}
	same(t, "effect", denied[0]["Effect"], "Deny")
	same(t, "action", denied[0]["Action"], "lambda:InvokeFunction")
	same(t, "condition", denied[0]["Condition"], nil)
	same(t, "functions", sorted(texts(denied[0]["Resource"])), sorted(own))
}

// keepsOff is the policy that denies functions/rotate what others may invoke.
func (m template) keepsOff(t *testing.T) resource {
	t.Helper()
	for _, policy := range m.all("AWS::IAM::Policy") {
		if strings.HasPrefix(policy.ID, "RotateKeepsOff") {
			return policy
		}
	}
	t.Fatal("nothing is denied to functions/rotate")
	return resource{}
}
