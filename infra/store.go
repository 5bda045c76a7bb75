package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsbackup"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
)

// newTable makes the table that store.Schema describes, or takes over one that there is:
// a restored one, or that of an earlier stack. It has no name of its own, so that a stack
// made again does not stumble over the table that stayed.
//
// Unlike the rest it stays also when the first deployment fails: its deletion protection
// would fail the rollback. It is empty then, and costs nothing.
func newTable(stack awscdk.Stack, set settings, key awskms.IKey) awsdynamodb.ITable {
	if set.tableName != "" {
		return awsdynamodb.Table_FromTableName(stack, jsii.String("Table"), &set.tableName)
	}
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
		Stream: streamOf(set),
	})
	addIndex(table, "age", "secret", "created")
	addIndex(table, "due", "shard", "due")
	return table
}

// streamOf has the keys of changed items alone: what starts functions/replicate need not
// know more, and sealed values lie in no stream.
func streamOf(set settings) awsdynamodb.StreamViewType {
	if set.replicates() {
		return awsdynamodb.StreamViewType_KEYS_ONLY
	}
	return ""
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

// newBackup has AWS Backup keep a copy of the table for each day, where that is wanted.
// Point-in-time recovery goes back 35 days and ends with the table; copies do neither.
//
// A copy opens with the table's key alone: it is no protection against the loss of that.
func newBackup(b base) {
	days := b.set.backupRetentionDays
	if days == 0 {
		return
	}
	vault := awsbackup.NewCfnBackupVault(b.stack, jsii.String("BackupVault"), &awsbackup.CfnBackupVaultProps{
		BackupVaultName:   jsii.String("strongroom-" + uniqueID(b.stack)),
		EncryptionKeyArn:  b.key.KeyArn(),
		LockConfiguration: vaultLock(b.set),
	})
	vault.ApplyRemovalPolicy(keep, nil)
	plan := awsbackup.NewCfnBackupPlan(b.stack, jsii.String("BackupPlan"), &awsbackup.CfnBackupPlanProps{
		BackupPlan: &awsbackup.CfnBackupPlan_BackupPlanResourceTypeProperty{
			BackupPlanName: &b.set.stackName,
			BackupPlanRule: []any{&awsbackup.CfnBackupPlan_BackupRuleResourceTypeProperty{
				RuleName:           jsii.String("daily"),
				TargetBackupVault:  vault.Ref(),
				ScheduleExpression: jsii.String("cron(0 3 * * ? *)"),
				Lifecycle:          &awsbackup.CfnBackupPlan_LifecycleResourceTypeProperty{DeleteAfterDays: jsii.Number(days)},
			}},
		},
	})
	awsbackup.NewCfnBackupSelection(b.stack, jsii.String("BackupSelection"), &awsbackup.CfnBackupSelectionProps{
		BackupPlanId: plan.Ref(),
		BackupSelection: &awsbackup.CfnBackupSelection_BackupSelectionResourceTypeProperty{
			SelectionName: jsii.String("table"),
			IamRoleArn:    newBackupRole(b.stack).RoleArn(),
			Resources:     jsii.Strings(*b.table.TableArn()),
		},
	})
}

// vaultLock keeps copies for their time. Under governance IAM may take the lock back;
// under compliance nobody may, AWS included, from the third day on.
func vaultLock(set settings) any {
	lock := &awsbackup.CfnBackupVault_LockConfigurationTypeProperty{MinRetentionDays: jsii.Number(set.backupRetentionDays)}
	switch set.backupVaultLock {
	case lockNone:
		return nil
	case lockCompliance:
		lock.ChangeableForDays = jsii.Number(3) // the fewest
	}
	return lock
}

// newBackupRole is the one role with a managed policy: what AWS Backup calls for a table
// is AWS's to say and changes with it, and a right that is missing is noticed when a
// copy is needed.
func newBackupRole(stack awscdk.Stack) awsiam.Role {
	return awsiam.NewRole(stack, jsii.String("BackupRole"), &awsiam.RoleProps{
		Description: jsii.String("Strongroom: copies of the table"),
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("backup.amazonaws.com"), nil),
		ManagedPolicies: &[]awsiam.IManagedPolicy{
			awsiam.ManagedPolicy_FromAwsManagedPolicyName(jsii.String("service-role/AWSBackupServiceRolePolicyForBackup")),
		},
	})
}
