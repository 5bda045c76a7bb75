package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awswafv2"
	"github.com/aws/jsii-runtime-go"
)

// tls asks for TLS 1.2 at least, with forward secrecy: a regional API takes TLS 1.0
// unless told otherwise. With mutual TLS a domain cannot have it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies.html
const (
	tls       = "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
	mutualTLS = "TLS_1_2"
)

// accessModes are API Gateway's names. STRICT checks that the TLS server name is the host
// that is asked for. Going back to BASIC takes the API away for 15 minutes.
var accessModes = map[string]string{accessStrict: "STRICT", accessBasic: "BASIC"}

func endpointTypeOf(set settings) awsapigateway.EndpointType {
	if set.endpointType == endpointPrivate {
		return awsapigateway.EndpointType_PRIVATE
	}
	return awsapigateway.EndpointType_REGIONAL
}

// reachable says from where and how the API is called.
func reachable(api awsapigateway.RestApi, set settings) {
	cfn := api.Node().DefaultChild().(awsapigateway.CfnRestApi)
	cfn.SetSecurityPolicy(jsii.String(tls))
	cfn.SetEndpointAccessMode(jsii.String(accessModes[set.endpointAccess]))
	if set.endpointType == endpointPrivate {
		cfn.SetEndpointConfiguration(&awsapigateway.CfnRestApi_EndpointConfigurationProperty{
			Types: jsii.Strings("PRIVATE"), VpcEndpointIds: jsii.Strings(set.vpcEndpointIds...),
		})
	}
	if set.truststoreURI != "" { // without a client's certificate there is no other way in
		cfn.SetDisableExecuteApiEndpoint(jsii.Bool(true))
	}
}

// endpoint is the address without a slash at its end, as clients were tried. A private
// API has a name for each VPC endpoint, which works also without private DNS.
func endpoint(stack awscdk.Stack, api awsapigateway.RestApi, set settings) *string {
	id := *api.RestApiId()
	if set.endpointType == endpointPrivate {
		id += "-" + set.vpcEndpointIds[0]
	}
	return jsii.String("https://" + id + "." + serviceHost(stack, "execute-api") + "/" + stageName)
}

// callerPolicy is the API's policy, or nil where IAM alone decides: that is so for callers
// of this account, and not for any others that are let in.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html
func callerPolicy(stack awscdk.Stack, set settings) awsiam.PolicyDocument {
	var all []awsiam.PolicyStatement
	if set.endpointType == endpointPrivate {
		all = append(all,
			letIn("ThisAccount", awsiam.NewAccountRootPrincipal(), nil),
			keepOut("OtherNetworks", conditions{"StringNotEquals": conditions{"aws:SourceVpce": jsii.Strings(set.vpcEndpointIds...)}}))
	}
	if len(set.callerAccounts) > 0 {
		var others []awsiam.IPrincipal
		for _, account := range set.callerAccounts {
			others = append(others, awsiam.NewAccountPrincipal(&account))
		}
		all = append(all, letIn("Accounts", awsiam.NewCompositePrincipal(others...), nil))
	}
	if len(set.callerOrganizations) > 0 {
		// Not for this account, whose callers would need no policy of their own then.
		all = append(all, letIn("Organizations", awsiam.NewAnyPrincipal(), conditions{
			"StringEquals":    conditions{"aws:PrincipalOrgID": jsii.Strings(set.callerOrganizations...)},
			"StringNotEquals": conditions{"aws:PrincipalAccount": stack.Account()},
		}))
	}
	if len(set.callerIPRanges) > 0 {
		key := "aws:SourceIp"
		if set.endpointType == endpointPrivate {
			key = "aws:VpcSourceIp"
		}
		all = append(all, keepOut("OtherAddresses", conditions{"NotIpAddress": conditions{key: jsii.Strings(set.callerIPRanges...)}}))
	}
	if all == nil {
		return nil
	}
	return statements(all...)
}

func letIn(sid string, who awsiam.IPrincipal, when conditions) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        &sid,
		Principals: &[]awsiam.IPrincipal{who},
		Actions:    jsii.Strings("execute-api:Invoke"),
		Resources:  jsii.Strings("execute-api:/" + stageName + "/POST/"),
		Conditions: when.all(),
	})
}

func keepOut(sid string, when conditions) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        &sid,
		Effect:     awsiam.Effect_DENY,
		Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()},
		Actions:    jsii.Strings("execute-api:Invoke"),
		Resources:  jsii.Strings("execute-api:/*"),
		Conditions: when.all(),
	})
}

// newDomain gives the API a name that outlives it: another stack can take it over.
func newDomain(f front) *string {
	props := &awsapigateway.CfnDomainNameProps{
		DomainName:             &f.set.domainName,
		RegionalCertificateArn: &f.set.certificateArn,
		EndpointConfiguration:  &awsapigateway.CfnDomainName_EndpointConfigurationProperty{Types: jsii.Strings("REGIONAL")},
		SecurityPolicy:         jsii.String(tls),
		EndpointAccessMode:     jsii.String(accessModes[f.set.endpointAccess]),
	}
	if f.set.truststoreURI != "" {
		props.SecurityPolicy, props.EndpointAccessMode = jsii.String(mutualTLS), nil
		props.MutualTlsAuthentication = &awsapigateway.CfnDomainName_MutualTlsAuthenticationProperty{TruststoreUri: &f.set.truststoreURI}
	}
	domain := awsapigateway.NewCfnDomainName(f.stack, jsii.String("Domain"), props)
	awsapigateway.NewCfnBasePathMapping(f.stack, jsii.String("DomainMapping"), &awsapigateway.CfnBasePathMappingProps{
		DomainName: domain.Ref(),
		RestApiId:  f.api.RestApiId(),
		Stage:      f.api.DeploymentStage().StageName(),
	})
	output(f.stack, "DomainTarget", domain.AttrRegionalDomainName(), "What "+f.set.domainName+" must be an alias or CNAME of")
	return jsii.String("https://" + f.set.domainName)
}

// newWebACL puts AWS WAF in front of the API: an operator's own rules, or a baseline that
// looks at addresses alone. Rules that read bodies would find values in them, and take
// them for attacks.
func newWebACL(f front) {
	arn := &f.set.webACL
	switch f.set.webACL {
	case webACLNone:
		return
	case webACLManaged:
		arn = newBaseline(f).AttrArn()
	}
	awswafv2.NewCfnWebACLAssociation(f.stack, jsii.String("WebAclAssociation"), &awswafv2.CfnWebACLAssociationProps{
		ResourceArn: f.api.DeploymentStage().StageArn(),
		WebAclArn:   arn,
	})
}

// callsInFiveMinutes is what one address may send: a fifth of what the stage lets through
// from all.
func callsInFiveMinutes(set settings) int { return max(10, 60*set.throttleRate) }

func newBaseline(f front) awswafv2.CfnWebACL {
	visible := func(name string) *awswafv2.CfnWebACL_VisibilityConfigProperty {
		return &awswafv2.CfnWebACL_VisibilityConfigProperty{
			CloudWatchMetricsEnabled: jsii.Bool(true), MetricName: &name, SampledRequestsEnabled: jsii.Bool(false),
		}
	}
	none := map[string]any{}
	return awswafv2.NewCfnWebACL(f.stack, jsii.String("WebAcl"), &awswafv2.CfnWebACLProps{
		Description:      jsii.String("Strongroom: addresses of ill repute, and too many calls of one"),
		Scope:            jsii.String("REGIONAL"),
		DefaultAction:    &awswafv2.CfnWebACL_DefaultActionProperty{Allow: none},
		VisibilityConfig: visible("Calls"),
		Rules: []any{
			&awswafv2.CfnWebACL_RuleProperty{
				Name: jsii.String("Reputation"), Priority: jsii.Number(0), VisibilityConfig: visible("Reputation"),
				OverrideAction: &awswafv2.CfnWebACL_OverrideActionProperty{None: none},
				Statement: &awswafv2.CfnWebACL_StatementProperty{ManagedRuleGroupStatement: &awswafv2.CfnWebACL_ManagedRuleGroupStatementProperty{
					VendorName: jsii.String("AWS"), Name: jsii.String("AWSManagedRulesAmazonIpReputationList"),
				}},
			},
			&awswafv2.CfnWebACL_RuleProperty{
				Name: jsii.String("Rate"), Priority: jsii.Number(1), VisibilityConfig: visible("Rate"),
				Action: &awswafv2.CfnWebACL_RuleActionProperty{Block: none},
				Statement: &awswafv2.CfnWebACL_StatementProperty{RateBasedStatement: &awswafv2.CfnWebACL_RateBasedStatementProperty{
					Limit: jsii.Number(callsInFiveMinutes(f.set)), AggregateKeyType: jsii.String("IP"),
				}},
			},
		},
	})
}
