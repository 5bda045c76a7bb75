package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"github.com/strongroom/strongroom/pkg/audit"
)

// writeAudit is what audit.Logs needs. As with logs, the group is there; and what
// is in it can neither be read nor removed.
func writeAudit(trail awslogs.LogGroup) awsiam.PolicyStatement {
	return allow("WriteAudit", nil, jsii.Strings(*trail.LogGroupArn()), "logs:CreateLogStream", "logs:PutLogEvents")
}

// auditOf tells a function where records go.
func auditOf(b base) map[string]*string {
	return map[string]*string{"AUDIT_LOG_GROUP": b.logs.audit.LogGroupName()}
}

// newQueries saves the queries of the audit trail in CloudWatch Logs Insights, in a
// folder that has the stack's name.
func newQueries(b base) {
	for _, q := range audit.Queries {
		awslogs.NewCfnQueryDefinition(b.stack, jsii.String("Query "+q.Name), &awslogs.CfnQueryDefinitionProps{
			Name:          jsii.String(b.set.stackName + "/" + q.Name),
			QueryString:   jsii.String(q.Text),
			LogGroupNames: &[]any{b.logs.audit.LogGroupName()},
		})
	}
}

// newSubscription sends every record on, where that is wanted. What CloudWatch Logs
// needs for it is a permission on a Lambda function, which is given here and holds
// for this log group alone; for a stream the operator's role, which has to trust
// logs.amazonaws.com; and for a destination of its own nothing, since that has a
// policy that says who may send.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
func newSubscription(b base) {
	arn, role := b.set.auditSubscriptionArn, b.set.auditSubscriptionRoleArn
	if arn == "" {
		return
	}
	props := &awslogs.CfnSubscriptionFilterProps{
		LogGroupName:   b.logs.audit.LogGroupName(),
		FilterPattern:  jsii.String(""), // everything
		DestinationArn: &arn,
	}
	if role != "" {
		props.RoleArn = &role
	}
	filter := awslogs.NewCfnSubscriptionFilter(b.stack, jsii.String("AuditSubscription"), props)
	if lambdaARNs.MatchString(arn) {
		filter.AddResourceDependency(awslambda.NewCfnPermission(b.stack, jsii.String("AuditSubscriber"), &awslambda.CfnPermissionProps{
			FunctionName:  &arn,
			Action:        jsii.String("lambda:InvokeFunction"),
			Principal:     jsii.String("logs.amazonaws.com"),
			SourceAccount: b.stack.Account(),
			SourceArn:     b.logs.audit.LogGroupArn(),
		}), nil)
	}
}
