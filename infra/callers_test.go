package main

import (
	"strings"
	"testing"
)

const (
	certificate = "arn:aws:acm:eu-central-1:111122223333:certificate/1a-2b"
	otherKey    = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd"
)

// TestCallers is a regional API that others than this account may call, through WAF and
// a domain of its own.
func TestCallers(t *testing.T) {
	t.Parallel()
	chosen := synthesizeWith(t, object{
		"callerAccounts": "444455556666", "callerOrganizations": "o-a1b2c3d4e5", "callerIpRanges": "192.0.2.0/24",
		"domainName": "secrets.example.com", "certificateArn": certificate, "webAcl": "managed", "tracing": true,
		"backupRetentionDays": 30, "backupVaultLock": "compliance",
		"account": "111122223333", "region": "eu-central-1", "tags": "team=blue", "breakGlassRoleArn": writer,
		"permissionsBoundaryArn": "arn:aws:iam::111122223333:policy/edge",
	})
	api := chosen.one(t, "AWS::ApiGateway::RestApi")
	same(t, "who may call", api.statements(), []object{
		{
			"Sid": "Accounts", "Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "execute-api:/v1/POST/",
			"Principal": object{"AWS": "arn:${AWS::Partition}:iam::444455556666:root"},
		},
		{
			"Sid": "Organizations", "Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "execute-api:/v1/POST/",
			"Principal": object{"AWS": "*"},
			"Condition": object{
				"StringEquals":    object{"aws:PrincipalOrgID": []string{"o-a1b2c3d4e5"}},
				"StringNotEquals": object{"aws:PrincipalAccount": "111122223333"},
			},
		},
		{
			"Sid": "OtherAddresses", "Effect": "Deny", "Action": "execute-api:Invoke", "Resource": "execute-api:/*",
			"Principal": object{"AWS": "*"},
			"Condition": object{"NotIpAddress": object{"aws:SourceIp": []string{"192.0.2.0/24"}}},
		},
	})
	domain := chosen.one(t, "AWS::ApiGateway::DomainName")
	same(t, "domain", domain.Properties, object{
		"DomainName": "secrets.example.com", "RegionalCertificateArn": certificate,
		"EndpointConfiguration": object{"Types": []string{"REGIONAL"}},
		"SecurityPolicy":        "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09", "EndpointAccessMode": "STRICT",
	})
	same(t, "tags", chosen.manifest["tags"], object{"team": "blue"})
	same(t, "mapping", chosen.one(t, "AWS::ApiGateway::BasePathMapping").Properties, object{
		"DomainName": "${" + domain.ID + "}", "RestApiId": "${" + api.ID + "}", "Stage": chosen.ref(t, "AWS::ApiGateway::Stage"),
	})
	same(t, "endpoint", chosen.Outputs["Endpoint"].Value, "https://secrets.example.com")
	same(t, "target of the domain", chosen.Outputs["DomainTarget"].Value, "${"+domain.ID+".RegionalDomainName}")

	acl := chosen.one(t, "AWS::WAFv2::WebACL")
	same(t, "what WAF guards", chosen.one(t, "AWS::WAFv2::WebACLAssociation").Properties["WebACLArn"], "${"+acl.ID+".Arn}")
	for _, rule := range acl.Properties["Rules"].([]any) {
		if name := rule.(object)["Name"]; name != "Reputation" && name != "Rate" {
			t.Errorf("rule %v may read bodies, which are secrets", name)
		}
	}

	same(t, "what opens values", chosen.one(t, "AWS::KMS::Key").statements()[2], valuesStaySealed(
		[]any{chosen.function(t, apiName).Properties["Role"], writer}))
	for _, role := range chosen.all("AWS::IAM::Role") {
		same(t, role.ID+" boundary", role.Properties["PermissionsBoundary"], "arn:aws:iam::111122223333:policy/edge")
	}
	for name, function := range chosen.functions {
		same(t, name+" tracing", function.Properties["TracingConfig"], object{"Mode": "Active"})
		role := chosen.of(t, function.Properties["Role"])
		if trace := chosen.rights(t, role); trace[len(trace)-1]["Sid"] != "Trace" {
			t.Errorf("%s may send no traces", name)
		}
	}
	same(t, "tracing of the stage", chosen.one(t, "AWS::ApiGateway::Stage").Properties["TracingEnabled"], true)

	vault := chosen.one(t, "AWS::Backup::BackupVault")
	same(t, "lock", vault.Properties["LockConfiguration"], object{"MinRetentionDays": 30, "ChangeableForDays": 3})
	same(t, "key of copies", vault.Properties["EncryptionKeyArn"], chosen.arn(t, "AWS::KMS::Key"))
	same(t, "copies when the stack goes", vault.DeletionPolicy, "RetainExceptOnCreate")
	rule := chosen.one(t, "AWS::Backup::BackupPlan").Properties["BackupPlan"].(object)["BackupPlanRule"].([]any)[0].(object)
	same(t, "how long copies stay", rule["Lifecycle"], object{"DeleteAfterDays": 30})
	same(t, "where copies are", rule["TargetBackupVault"], "${"+vault.ID+"}")
	selection := chosen.one(t, "AWS::Backup::BackupSelection").Properties["BackupSelection"].(object)
	same(t, "what is copied", selection["Resources"], []string{chosen.arn(t, "AWS::DynamoDB::Table")})
}

// TestPrivate is an API that VPC endpoints alone reach.
func TestPrivate(t *testing.T) {
	t.Parallel()
	chosen := synthesizeWith(t, object{
		"endpointType": "private", "vpcEndpointIds": "vpce-01234567,vpce-89abcdef", "callerIpRanges": "10.0.0.0/8", "endpointAccess": "basic",
	})
	api := chosen.one(t, "AWS::ApiGateway::RestApi")
	same(t, "endpoint type", api.Properties["EndpointConfiguration"], object{"Types": []string{"PRIVATE"}, "VpcEndpointIds": []string{"vpce-01234567", "vpce-89abcdef"}})
	same(t, "access", api.Properties["EndpointAccessMode"], "BASIC")
	same(t, "who may call", api.statements(), []object{
		{
			"Sid": "ThisAccount", "Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "execute-api:/v1/POST/",
			"Principal": object{"AWS": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"},
		},
		{
			"Sid": "OtherNetworks", "Effect": "Deny", "Action": "execute-api:Invoke", "Resource": "execute-api:/*",
			"Principal": object{"AWS": "*"},
			"Condition": object{"StringNotEquals": object{"aws:SourceVpce": []string{"vpce-01234567", "vpce-89abcdef"}}},
		},
		{
			"Sid": "OtherAddresses", "Effect": "Deny", "Action": "execute-api:Invoke", "Resource": "execute-api:/*",
			"Principal": object{"AWS": "*"},
			"Condition": object{"NotIpAddress": object{"aws:VpcSourceIp": []string{"10.0.0.0/8"}}},
		},
	})
	same(t, "endpoint", chosen.Outputs["Endpoint"].Value,
		"https://${"+api.ID+"}-vpce-01234567.execute-api.${AWS::Region}.${AWS::URLSuffix}/v1")
}

// TestTakenOver is a stack over the table and the key of another.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	chosen := synthesizeWith(t, object{
		"tableName": "Restored", "keyArn": otherKey, "dashboard": false, "schedules": false,
		"domainName": "secrets.example.com", "certificateArn": certificate, "truststoreUri": "s3://authorities/all.pem",
	})
	same(t, "tables", chosen.all("AWS::DynamoDB::Table"), nil)
	same(t, "dashboards", chosen.all("AWS::CloudWatch::Dashboard"), nil)
	for _, schedule := range chosen.all("AWS::Scheduler::Schedule") {
		same(t, schedule.ID+", while the table is verified", schedule.Properties["State"], "DISABLED")
	}
	logsKey := chosen.one(t, "AWS::KMS::Key")
	same(t, "statements of the logs' key", len(logsKey.statements()), 2)
	for _, group := range chosen.all("AWS::Logs::LogGroup") {
		same(t, group.ID+" key", group.Properties["KmsKeyId"], "${"+logsKey.ID+".Arn}")
	}
	environment := chosen.function(t, apiName).Properties["Environment"].(object)["Variables"].(object)
	same(t, "TABLE_NAME", environment["TABLE_NAME"], "Restored")
	same(t, "KMS_KEY_ID", environment["KMS_KEY_ID"], otherKey)
	for _, s := range chosen.rights(t, chosen.of(t, chosen.function(t, apiName).Properties["Role"])) {
		switch s["Sid"] {
		case "KeepSecrets":
			same(t, "table", s["Resource"], "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/Restored")
		case "OpenTable", "SealValues":
			same(t, "key", s["Resource"], otherKey)
		case "EncryptLogs":
			same(t, "key of logs", s["Resource"], "${"+logsKey.ID+".Arn}")
		}
	}
	same(t, "the rule's key", chosen.one(t, "AWS::Events::Rule").Properties["EventPattern"].(object)["detail"].(object)["resources"],
		object{"ARN": []string{otherKey}})

	domain := chosen.one(t, "AWS::ApiGateway::DomainName").Properties
	same(t, "mutual TLS", domain["MutualTlsAuthentication"], object{"TruststoreUri": "s3://authorities/all.pem"})
	same(t, "security policy, of which mutual TLS takes none of the newer ones", domain["SecurityPolicy"], "TLS_1_2")
	same(t, "the way past mutual TLS is closed", chosen.one(t, "AWS::ApiGateway::RestApi").Properties["DisableExecuteApiEndpoint"], true)
}

// TestFullLists has roles and the API's policy within what AWS takes, with as much as the
// settings allow and names as long as they may be.
func TestFullLists(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("f", 62)
	chosen := synthesizeWith(t, object{
		"kmsKeyArns":           many(mostKeys, "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-0123456789abcdef0123456789abcd%02d"),
		"rotationFunctionArns": many(mostRotationFunctions, "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:"+long+"%02d"),
		"callerAccounts":       many(mostCallerAccounts, "%012d"),
		"callerOrganizations":  many(mostOrganizations, "o-%032d"),
		"callerIpRanges":       many(mostIPRanges, "2001:db8:1111:2222:3333:4444:5555:%04d/128"),
		"region":               "us-gov-west-1",
	})
	const ofAPI = 8_192
	if got := chosen.manifest["terminationProtection"]; got != true {
		t.Errorf("termination protection is %v", got)
	}
	chosen.rolesFit(t)
	if size := sizeOf(t, chosen.one(t, "AWS::ApiGateway::RestApi").Properties["Policy"]); size > ofAPI {
		t.Errorf("the API's policy has %d characters, and at most %d fit", size, ofAPI)
	}
}

// rolesFit has the policies of each role within what IAM takes.
func (m template) rolesFit(t *testing.T) {
	t.Helper()
	const most = 10_240 - 700 // ARNs are longer than their references
	for _, role := range m.all("AWS::IAM::Role") {
		size := 0
		for _, policy := range m.all("AWS::IAM::Policy") {
			if len(texts(policy.Properties["Roles"])) == 1 && texts(policy.Properties["Roles"])[0] == "${"+role.ID+"}" {
				size += sizeOf(t, policy.Properties["PolicyDocument"])
			}
		}
		if size > most {
			t.Errorf("%s has policies of %d characters, and at most %d fit", role.ID, size, most)
		}
	}
}

// TestAlarmTopic has a policy by which CloudWatch and EventBridge may publish, and no key
// that would keep them from telling of the loss of a key.
func TestAlarmTopic(t *testing.T) {
	t.Parallel()
	topic := stack(t).one(t, "AWS::SNS::Topic")
	same(t, "key", topic.Properties["KmsMasterKeyId"], nil)
	var publishers []any
	for _, s := range stack(t).one(t, "AWS::SNS::TopicPolicy").statements() {
		if s["Effect"] == "Allow" {
			publishers = append(publishers, s["Principal"])
		}
	}
	same(t, "who may publish", publishers, []object{{"Service": "cloudwatch.amazonaws.com"}, {"Service": "events.amazonaws.com"}})
	rule := stack(t).one(t, "AWS::Events::Rule").Properties
	same(t, "target", rule["Targets"], []object{{"Id": "Alarms", "Arn": stack(t).ref(t, "AWS::SNS::Topic")}})
	same(t, "what is told", rule["EventPattern"].(object)["detail"], object{
		"eventSource": []string{"kms.amazonaws.com"},
		"eventName":   []string{"DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy"},
		"resources":   object{"ARN": []string{stack(t).arn(t, "AWS::KMS::Key")}},
	})
}
