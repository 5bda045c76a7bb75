package main

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"github.com/strongroom/strongroom/pkg/audit"
)

// trail is where audit records are: among the other lines of the functions' logs.
func (l logGroups) trail() []awslogs.LogGroup {
	return []awslogs.LogGroup{l.api, l.prune, l.rotate}
}

// slowest is the one saved query that is not about records.
var slowest = audit.Query{Name: "Slowest calls", Text: onlyRequests + `
| fields @timestamp, operation, secret, ms, status, caller
| sort ms desc
| limit 100`}

// newQueries saves queries of the functions' logs in CloudWatch Logs Insights, in a
// folder that has the stack's name.
func newQueries(b base) {
	var groups []any
	for _, group := range b.logs.trail() {
		groups = append(groups, group.LogGroupName())
	}
	for _, q := range slices.Concat(audit.Queries, []audit.Query{slowest}) {
		awslogs.NewCfnQueryDefinition(b.stack, jsii.String("Query "+q.Name), &awslogs.CfnQueryDefinitionProps{
			Name:          jsii.String(b.set.stackName + "/" + q.Name),
			QueryString:   jsii.String(q.Text),
			LogGroupNames: &groups,
		})
	}
}

// newSubscriptions send every record on, where that is wanted, and no other line. What
// CloudWatch Logs needs for it is a permission on a Lambda function, which is given here
// and holds for these log groups alone; for a stream the operator's role, which has to
// trust logs.amazonaws.com; and for a destination of its own nothing, since that has a
// policy that says who may send.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
func newSubscriptions(b base) {
	if b.set.auditSubscriptionArn == "" {
		return
	}
	for _, group := range b.logs.trail() {
		newSubscription(b, group)
	}
}

func newSubscription(b base, group awslogs.LogGroup) {
	arn, role := b.set.auditSubscriptionArn, b.set.auditSubscriptionRoleArn
	of := *group.Node().Id()
	props := &awslogs.CfnSubscriptionFilterProps{
		LogGroupName:   group.LogGroupName(),
		FilterPattern:  jsii.String(audit.Pattern),
		DestinationArn: &arn,
	}
	if role != "" {
		props.RoleArn = &role
	}
	filter := awslogs.NewCfnSubscriptionFilter(b.stack, jsii.String(of+"Subscription"), props)
	if lambdaARNs.MatchString(arn) {
		filter.AddResourceDependency(awslambda.NewCfnPermission(b.stack, jsii.String(of+"Subscriber"), &awslambda.CfnPermissionProps{
			FunctionName:  &arn,
			Action:        jsii.String("lambda:InvokeFunction"),
			Principal:     jsii.String("logs.amazonaws.com"),
			SourceAccount: b.stack.Account(),
			SourceArn:     group.LogGroupArn(),
		}), nil)
	}
}
