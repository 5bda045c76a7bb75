package main

import (
	"encoding/json"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
)

const stageName = "v1"

// What may stand before functions/api.
const (
	frontREST = "rest" // an API Gateway REST API
	frontURL  = "url"  // a Lambda function URL
)

// A front is what callers reach. Either checks who they are with IAM.
//
// A function URL has no fee and no throttle of its own, is always public, and has neither
// WAF nor a policy of an API: SECURITY.md says what is lost with that.
type front struct {
	stack awscdk.Stack
	set   settings
	api   awsapigateway.RestApi // nil for a function URL
}

func newFront(stack awscdk.Stack, set settings) front {
	f := front{stack: stack, set: set}
	if set.frontDoor == frontREST {
		f.api = newAPI(stack, set)
	}
	return f
}

// serve has the front door call the function, and returns where it is.
func (f front) serve(b base, server deployed) *string {
	if f.api == nil {
		return f.serveURL(server)
	}
	serve(f.api, server)
	logCalls(f.api, b.logs)
	if f.set.apiGatewayLogsRole {
		f.api.DeploymentStage().Node().AddDependency(newAccount(b))
	}
	newWebACL(f)
	if f.set.domainName != "" {
		return newDomain(f)
	}
	return endpoint(f.stack, f.api, f.set)
}

// serveURL lets no principal in: in this account the policies of callers do. They need
// two rights on the function, and the second only by way of the URL: who may invoke the
// function itself can write the event, and in it who calls.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
func (f front) serveURL(server deployed) *string {
	url := awslambda.NewFunctionUrl(f.stack, jsii.String("Url"), &awslambda.FunctionUrlProps{
		Function:   server.live,
		AuthType:   awslambda.FunctionUrlAuthType_AWS_IAM,
		InvokeMode: awslambda.InvokeMode_BUFFERED,
	})
	output(f.stack, "Function", server.live.FunctionArn(),
		"Callers need lambda:InvokeFunctionUrl on it, and lambda:InvokeFunction only with the condition Bool lambda:InvokedViaFunctionUrl true")
	return url.Url()
}

// newAPI is a REST API and not an HTTP API: only REST APIs have gateway responses,
// resource policies and private endpoints, and can stand behind WAF.
func newAPI(stack awscdk.Stack, set settings) awsapigateway.RestApi {
	api := awsapigateway.NewRestApi(stack, jsii.String("Gateway"), &awsapigateway.RestApiProps{
		RestApiName:    &set.stackName,
		Description:    jsii.String("Strongroom: the AWS Secrets Manager protocol, signed for execute-api"),
		EndpointTypes:  &[]awsapigateway.EndpointType{endpointTypeOf(set)},
		Policy:         callerPolicy(stack, set),
		CloudWatchRole: jsii.Bool(false), // newAccount's, without a managed policy
		DeployOptions: &awsapigateway.StageOptions{
			StageName:            jsii.String(stageName),
			ThrottlingRateLimit:  jsii.Number(set.throttleRate),
			ThrottlingBurstLimit: jsii.Number(set.throttleBurst),
			LoggingLevel:         awsapigateway.MethodLoggingLevel_ERROR,
			DataTraceEnabled:     jsii.Bool(false), // never: bodies are secrets
			TracingEnabled:       &set.tracing,
		},
	})
	api.Node().TryRemoveChild(jsii.String("Endpoint")) // the stack has its own output
	reachable(api, set)
	for _, refusal := range refusals {
		refusal.addTo(api)
	}
	return api
}

// serve makes the one method there is: POST / as a Lambda proxy, for callers
// who signed. The console's test call gets no permission to invoke the
// function: it would come without a caller.
func serve(api awsapigateway.RestApi, function deployed) {
	integration := awsapigateway.NewLambdaIntegration(function.live, &awsapigateway.LambdaIntegrationOptions{
		Proxy:           jsii.Bool(true),
		AllowTestInvoke: jsii.Bool(false),
	})
	api.Root().AddMethod(jsii.String("POST"), integration, &awsapigateway.MethodOptions{
		AuthorizationType: awsapigateway.AuthorizationType_IAM,
	})
}

// A refusal is an answer that API Gateway gives in the function's place. SDKs
// tell and retry it properly only when it looks like Secrets Manager's own: an
// error of the JSON 1.1 protocol, with Secrets Manager's status codes.
//
// The header x-amzn-ErrorType stays API Gateway's: one set here would not
// replace it but stand beside it, and clients read the pair in different ways.
type refusal struct {
	kind    string // as API Gateway calls it
	status  string // empty for the status the refusal has by itself
	code    string
	message string // empty for API Gateway's own
}

const serverFault = "An error occurred on the server side."

var refusals = []refusal{
	{"THROTTLED", "400", "ThrottlingException", "Rate exceeded"},
	{"ACCESS_DENIED", "400", "AccessDeniedException", ""},
	{"WAF_FILTERED", "400", "AccessDeniedException", ""},
	{"INVALID_SIGNATURE", "400", "InvalidSignatureException", "The signature is not accepted. Sign for execute-api, not secretsmanager: see README."},
	{"EXPIRED_TOKEN", "400", "ExpiredTokenException", "The security token included in the request is expired"},
	// Also what API Gateway says to a wrong path or method.
	{"MISSING_AUTHENTICATION_TOKEN", "400", "MissingAuthenticationTokenException", "Missing Authentication Token. Sign for execute-api, and POST to the path /" + stageName + "."},
	{"REQUEST_TOO_LARGE", "400", "ValidationException", "The request is too large."},
	{"INTEGRATION_FAILURE", "500", "InternalServiceError", serverFault},
	{"INTEGRATION_TIMEOUT", "500", "InternalServiceError", serverFault},
	// The rest. Not ResourceNotFoundException, which would say that there is no
	// such secret, nor a status, which every refusal above would take over.
	{"DEFAULT_4XX", "", "ValidationException", ""},
	{"DEFAULT_5XX", "", "InternalServiceError", serverFault},
}

func (r refusal) addTo(api awsapigateway.RestApi) {
	options := awsapigateway.GatewayResponseOptions{
		Type:            awsapigateway.ResponseType_Of(&r.kind),
		ResponseHeaders: &map[string]*string{"Content-Type": jsii.String("'application/x-amz-json-1.1'")},
		Templates:       &map[string]*string{"application/json": jsii.String(r.body())},
	}
	if r.status != "" {
		options.StatusCode = &r.status
	}
	api.AddGatewayResponse(&r.kind, &options)
}

// body keeps API Gateway's own words as detail where others stand in front:
// they say, for one, whether it was the service or the clock that was wrong.
func (r refusal) body() string {
	// Quotes and all: API Gateway puts a JSON string in its place.
	const own = "$context.error.messageString"
	if r.message == "" {
		return `{"__type":` + quote(r.code) + `,"message":` + own + `}`
	}
	return `{"__type":` + quote(r.code) + `,"message":` + quote(r.message) + `,"detail":` + own + `}`
}

func quote(s string) string {
	quoted, _ := json.Marshal(s) // a string always can
	return string(quoted)
}

// A logNameSet names the stack's log groups: those of the functions, with the audit
// trail in them; the API's access log; and the log of what went wrong in the API
// itself, whose name API Gateway gives. A function URL has neither of the last two.
type logNameSet struct{ api, prune, rotate, replicate, access, execution string }

// logNames name the groups after the API or, for a function URL, the end of the stack's
// ID. Both are new for every stack: a stack made again finds none of these in its way.
func (f front) logNames() logNameSet {
	var id string
	if f.api == nil {
		id = uniqueID(f.stack)
	} else {
		id = *f.api.RestApiId()
	}
	names := logNameSet{
		api:    "/strongroom/" + id + "/" + apiName,
		prune:  "/strongroom/" + id + "/" + pruneName,
		rotate: "/strongroom/" + id + "/" + rotateName,
	}
	if f.set.replicates() {
		names.replicate = "/strongroom/" + id + "/" + replicateName
	}
	if f.api != nil {
		names.access = "/strongroom/" + id + "/access"
		names.execution = "API-Gateway-Execution-Logs_" + id + "/" + stageName
	}
	return names
}

// arns are those of the groups that there are.
func (n logNameSet) arns(stack awscdk.Stack) []string {
	var arns []string
	for _, name := range []string{n.api, n.prune, n.rotate, n.replicate, n.access, n.execution} {
		if name != "" {
			arns = append(arns, logARN(stack, name))
		}
	}
	return arns
}

func logARN(stack awscdk.Stack, name string) string {
	return *stack.FormatArn(&awscdk.ArnComponents{
		Service:      jsii.String("logs"),
		Resource:     jsii.String("log-group"),
		ResourceName: &name,
		ArnFormat:    awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
}

type logGroups struct{ api, prune, rotate, replicate, access, execution awslogs.LogGroup }

func newLogGroups(stack awscdk.Stack, key awskms.IKey, names logNameSet, set settings) logGroups {
	group := func(id, name string, days int) awslogs.LogGroup {
		if name == "" {
			return nil
		}
		group := awslogs.NewLogGroup(stack, &id, &awslogs.LogGroupProps{
			LogGroupName:  &name,
			EncryptionKey: key,
			RemovalPolicy: keep, // who read what is asked after the end, too
		})
		group.Node().DefaultChild().(awslogs.CfnLogGroup).SetRetentionInDays(jsii.Number(days))
		return group
	}
	return logGroups{
		api:       group("ApiLogs", names.api, set.auditRetentionDays),
		prune:     group("PruneLogs", names.prune, set.auditRetentionDays),
		rotate:    group("RotateLogs", names.rotate, set.auditRetentionDays),
		replicate: group("ReplicateLogs", names.replicate, set.auditRetentionDays),
		access:    group("AccessLogs", names.access, set.logRetentionDays),
		execution: group("ExecutionLogs", names.execution, set.logRetentionDays),
	}
}

// logCalls sends the stage's logs to the groups. The stage waits for both, or
// API Gateway would make the execution log itself, with neither key nor end.
func logCalls(api awsapigateway.RestApi, logs logGroups) {
	stage := api.DeploymentStage()
	stage.Node().DefaultChild().(awsapigateway.CfnStage).SetAccessLogSetting(&awsapigateway.CfnStage_AccessLogSettingProperty{
		DestinationArn: logs.access.LogGroupArn(),
		Format:         jsii.String(accessLine()),
	})
	stage.Node().AddDependency(logs.access, logs.execution)
}

// accessLine is one JSON object a call. API Gateway escapes nothing in it, so
// it holds no text a caller may choose: no path and no user agent.
func accessLine() string {
	fields := []string{
		"requestId", "extendedRequestId", "requestTimeEpoch", "httpMethod", "status", "protocol", "tlsVersion",
		"identity.sourceIp", "identity.accountId", "identity.userArn", "error.responseType",
		"responseLength", "responseLatency", "integrationLatency", "integrationStatus",
	}
	for i, field := range fields {
		_, name, ok := strings.Cut(field, ".")
		if !ok {
			name = field
		}
		fields[i] = quote(name) + `:"$context.` + field + `"`
	}
	return "{" + strings.Join(fields, ",") + "}"
}
