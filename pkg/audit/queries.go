package audit

// In the cloud records stand among other lines of a function's log, told apart by a
// member that no other line has at its top: OnlyRecords keeps them alone in a query of
// CloudWatch Logs Insights, Pattern in a metric filter or a subscription.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
const (
	OnlyRecords = `filter eventCategory = "Management"`
	Pattern     = `{ $.eventCategory = "Management" }`
)

// A Query is one for CloudWatch Logs Insights over the log groups of functions.
type Query struct{ Name, Text string }

// Parts of the queries. Insights names nested members by a path with dots, and list
// elements by their index. Callers choose their session names, so calls are counted by
// role.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html
const (
	caller = `coalesce(userIdentity.arn, userIdentity.invokedBy, userIdentity.accessKeyId) as caller`
	role   = `coalesce(userIdentity.sessionContext.sessionIssuer.arn, userIdentity.arn, userIdentity.invokedBy, userIdentity.accessKeyId) as caller`
	// The secret's ARN, or the name in the request if it was not found.
	aSecret = `coalesce(resources.0.ARN, additionalEventData.SecretId, requestParameters.secretId, requestParameters.name) as secret` //nolint:gosec // a query, no credential
	onlyOne = "# For one secret only, put its name between the slashes.\n| filter secret like /./\n"
)

// Queries are those in the stack. They depend on the member names of a record, and on
// BatchGetSecretValue being recorded as one GetSecretValue per secret.
var Queries = []Query{
	{
		"Who read a secret",
		OnlyRecords + "\n| " + `fields @timestamp, eventName, sourceIPAddress, ` + caller + `, ` + aSecret + "\n" +
			onlyOne +
			`| filter eventName = "GetSecretValue" and not ispresent(errorCode)
| display @timestamp, caller, secret, sourceIPAddress
| sort @timestamp desc
| limit 1000`,
	},
	{
		"Denied calls by caller",
		OnlyRecords + "\n| " + `fields ` + role + `, ` + aSecret + `
| filter errorCode = "AccessDeniedException"
| stats count(*) as calls, count_distinct(secret) as secrets, latest(@timestamp) as last by caller, eventName
| sort calls desc
| limit 100`,
	},
	{
		"Changes of a secret",
		OnlyRecords + "\n| " + `fields @timestamp, eventName, errorCode, errorMessage, additionalEventData.outcome as outcome, sourceIPAddress, ` + caller + `, ` + aSecret + "\n" +
			onlyOne +
			`| filter eventName not like /^(Get|BatchGet|Describe|List|Validate)/
| display @timestamp, eventName, caller, secret, errorCode, outcome, errorMessage, sourceIPAddress
| sort @timestamp desc
| limit 1000`,
	},
	{
		"Failed rotations",
		OnlyRecords + "\n| " + `fields @timestamp, eventName, additionalEventData.SecretId as secret, errorMessage
| filter eventName in ["RotationFailed", "RotationAbandoned", "TestRotationFailed"]
| sort @timestamp desc
| limit 1000`,
	},
	{
		"Callers by number of calls",
		OnlyRecords + "\n| " + `fields ` + role + `
| filter eventType = "AwsApiCall"
| stats count(*) as calls, count(errorCode) as failed, latest(@timestamp) as last by caller
| sort calls desc
| limit 100`,
	},
	{
		// Of the secrets that were called at all in the time that is looked at.
		"Not read in 90 days",
		OnlyRecords + "\n| " + `fields strcontains(eventName, "GetSecretValue") * toMillis(@timestamp) as readat, ` + aSecret + `
| filter ispresent(secret) and not ispresent(errorCode)
| stats max(readat) as lastread, latest(eventName) as called by secret
| filter lastread < (now() - 90 * 86400) * 1000
| sort lastread asc
| limit 1000`,
	},
	{
		"Values read per hour",
		OnlyRecords + "\n| " + `filter eventName = "GetSecretValue" and not ispresent(errorCode)
| stats count(*) as reads by bin(1h)`,
	},
}
