package audit

// A Query is one for CloudWatch Logs Insights over a log group of records.
type Query struct{ Name, Text string }

// What the queries have in common. Insights knows a member of a member by its path
// with dots, and an element of a list by its number. A session's name is the
// caller's choice, so calls are counted by the role.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html
const (
	caller = `coalesce(userIdentity.arn, userIdentity.invokedBy, userIdentity.accessKeyId) as caller`
	role   = `coalesce(userIdentity.sessionContext.sessionIssuer.arn, userIdentity.arn, userIdentity.invokedBy, userIdentity.accessKeyId) as caller`
	// The secret's ARN, or what the caller called it where it was not found.
	aSecret = `coalesce(resources.0.ARN, additionalEventData.SecretId, requestParameters.secretId, requestParameters.name) as secret` //nolint:gosec // a query, no credential
	onlyOne = "# For one secret only, put its name between the slashes.\n| filter secret like /./\n"
)

// Queries are those that come with the stack. They depend on the names of a
// record's members, and on BatchGetSecretValue making a record of GetSecretValue
// for each secret.
var Queries = []Query{
	{
		"Who read a secret",
		`fields @timestamp, eventName, sourceIPAddress, ` + caller + `, ` + aSecret + "\n" +
			onlyOne +
			`| filter eventName = "GetSecretValue" and not ispresent(errorCode)
| display @timestamp, caller, secret, sourceIPAddress
| sort @timestamp desc
| limit 1000`,
	},
	{
		"Denied calls by caller",
		`fields ` + role + `, ` + aSecret + `
| filter errorCode = "AccessDeniedException"
| stats count(*) as calls, count_distinct(secret) as secrets, latest(@timestamp) as last by caller, eventName
| sort calls desc
| limit 100`,
	},
	{
		"Changes of a secret",
		`fields @timestamp, eventName, errorCode, errorMessage, sourceIPAddress, ` + caller + `, ` + aSecret + "\n" +
			onlyOne +
			`| filter eventName not like /^(Get|BatchGet|Describe|List|Validate)/
| display @timestamp, eventName, caller, secret, errorCode, errorMessage, sourceIPAddress
| sort @timestamp desc
| limit 1000`,
	},
	{
		"Failed rotations",
		`fields @timestamp, eventName, additionalEventData.SecretId as secret, errorMessage
| filter eventName in ["RotationFailed", "RotationAbandoned", "TestRotationFailed"]
| sort @timestamp desc
| limit 1000`,
	},
	{
		"Callers by number of calls",
		`fields ` + role + `
| filter eventType = "AwsApiCall"
| stats count(*) as calls, count(errorCode) as failed, latest(@timestamp) as last by caller
| sort calls desc
| limit 100`,
	},
	{
		"Values read per hour",
		`filter eventName = "GetSecretValue" and not ispresent(errorCode)
| stats count(*) as reads by bin(1h)`,
	},
}
