package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/store"
)

// TestInventory holds the list of everything the stack makes. A construct that
// brings a function, a role or a policy of its own shows up here.
func TestInventory(t *testing.T) {
	t.Parallel()
	got := map[string]int{}
	for _, r := range stack(t).Resources {
		got[r.Type]++
	}
	same(t, "resources", got, map[string]int{
		"AWS::ApiGateway::Account":         1,
		"AWS::CloudWatch::Dashboard":       1,
		"AWS::Events::Rule":                1,
		"AWS::Lambda::Alias":               3,
		"AWS::Lambda::Version":             3,
		"AWS::Logs::MetricFilter":          3,
		"AWS::SNS::Topic":                  1,
		"AWS::SNS::TopicPolicy":            1,
		"AWS::ApiGateway::Deployment":      1,
		"AWS::ApiGateway::GatewayResponse": 11,
		"AWS::ApiGateway::Method":          1,
		"AWS::ApiGateway::RestApi":         1,
		"AWS::ApiGateway::Stage":           1,
		"AWS::CloudWatch::Alarm":           20,
		"AWS::DynamoDB::Table":             1,
		"AWS::IAM::Policy":                 4,
		"AWS::IAM::Role":                   6,
		"AWS::KMS::Key":                    1,
		"AWS::Lambda::EventInvokeConfig":   2,
		"AWS::Lambda::Function":            3,
		"AWS::Lambda::LayerVersion":        3,
		"AWS::Lambda::Permission":          1,
		"AWS::Logs::LogGroup":              5,
		"AWS::Logs::QueryDefinition":       8,
		"AWS::SQS::Queue":                  2,
		"AWS::SQS::QueuePolicy":            2,
		"AWS::Scheduler::Schedule":         2,
		"AWS::Scheduler::ScheduleGroup":    1,
	})
}

func TestWhatIsStoredOutlivesTheStack(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::Logs::LogGroup", "AWS::Lambda::LayerVersion", "AWS::Lambda::Version"} {
		for _, r := range whole(t).all(kind) {
			want := "RetainExceptOnCreate"
			if kind == "AWS::DynamoDB::Table" {
				want = "Retain" // its deletion protection would fail a rollback
			}
			same(t, r.ID+" when the stack goes", r.DeletionPolicy, want)
			same(t, r.ID+" when it is replaced", r.UpdateReplacePolicy, "Retain")
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := stack(t).one(t, "AWS::DynamoDB::Table")
	same(t, "name", table.Properties["TableName"], nil)
	same(t, "deletion protection", table.Properties["DeletionProtectionEnabled"], true)
	same(t, "point in time recovery", table.Properties["PointInTimeRecoverySpecification"],
		object{"PointInTimeRecoveryEnabled": true})
	same(t, "encryption", table.Properties["SSESpecification"], object{
		"SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": stack(t).arn(t, "AWS::KMS::Key"),
	})
}

// TestTableIsTheStores compares the table with the one the store makes for
// itself on a laptop.
func TestTableIsTheStores(t *testing.T) {
	t.Parallel()
	table, want := stack(t).one(t, "AWS::DynamoDB::Table"), store.Schema("any")
	same(t, "billing", table.Properties["BillingMode"], want.BillingMode)
	same(t, "key", table.Properties["KeySchema"], want.KeySchema)
	same(t, "attributes", byName(table.Properties["AttributeDefinitions"]), byName(want.AttributeDefinitions))
	same(t, "local indexes", table.Properties["LocalSecondaryIndexes"], nil)
	var indexes []object
	for _, index := range want.GlobalSecondaryIndexes {
		indexes = append(indexes, object{
			"IndexName":  index.IndexName,
			"KeySchema":  index.KeySchema,
			"Projection": object{"ProjectionType": types.ProjectionTypeKeysOnly},
		})
	}
	same(t, "indexes", table.Properties["GlobalSecondaryIndexes"], indexes)
}

func TestKey(t *testing.T) {
	t.Parallel()
	key := stack(t).one(t, "AWS::KMS::Key")
	same(t, "rotation", key.Properties["EnableKeyRotation"], true)
	var groups []string
	for _, group := range stack(t).all("AWS::Logs::LogGroup") {
		groups = append(groups, "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:"+
			group.Properties["LogGroupName"].(string))
	}
	statements := key.statements()
	if len(statements) != 3 {
		t.Fatalf("the key's policy has %d statements, want the account's, the logs' and the values'", len(statements))
	}
	same(t, "owner", statements[0]["Principal"], object{"AWS": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"})
	same(t, "logs", statements[1]["Principal"], object{"Service": "logs.${AWS::Region}.${AWS::URLSuffix}"})
	named := statements[1]["Condition"].(object)["ArnEquals"].(object)["kms:EncryptionContext:aws:logs:arn"]
	same(t, "log groups that may use the key", sorted(texts(named)), sorted(groups))
	same(t, "values", statements[2], valuesStaySealed([]any{stack(t).function(t, apiName).Properties["Role"]}))
}

// valuesStaySealed is what keeps values from all but these roles.
func valuesStaySealed(openers any) object {
	return object{
		"Sid": "ValuesStaySealed", "Effect": "Deny", "Principal": object{"AWS": "*"}, "Resource": "*",
		"Action": []string{
			"kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey",
			"kms:GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext",
		},
		"Condition": object{
			"Null":         object{"kms:EncryptionContext:SecretARN": "false"},
			"ArnNotEquals": object{"aws:PrincipalArn": openers},
		},
	}
}

func TestAPIFunction(t *testing.T) {
	t.Parallel()
	function := stack(t).function(t, apiName)
	settled := object{
		"Architectures": []string{"arm64"},
		"Runtime":       "provided.al2023",
		"Handler":       "bootstrap",
		"MemorySize":    256,
		"Timeout":       29,
		"Environment": object{"Variables": object{
			"TABLE_NAME":       stack(t).ref(t, "AWS::DynamoDB::Table"),
			"KMS_KEY_ID":       stack(t).arn(t, "AWS::KMS::Key"),
			"DATA_KEY_SECONDS": "5",
			"ACCOUNT_ID":       "${AWS::AccountId}",
			"PARTITION":        "${AWS::Partition}",
			"MAX_VERSIONS":     "200",
			"MIN_AGE":          "36h0m0s",
			"VERSION_QUOTA":    "300",

			"ROTATE_FUNCTION":       stack(t).live(t, rotateName),
			"MIN_ROTATION_INTERVAL": "1h30m0s",
			"POLICIES":              "policies.json",
			"AUDIT_REQUIRED":        "false",
		}},
	}
	for name, want := range settled {
		same(t, name, function.Properties[name], want)
	}
}

// TestAPIMay has every right of the function in full: a call that comes or goes
// has to be written here too.
func TestAPIMay(t *testing.T) {
	t.Parallel()
	function := stack(t).function(t, apiName)
	role := stack(t).of(t, function.Properties["Role"])
	key := stack(t).arn(t, "AWS::KMS::Key")
	want := []object{
		{
			"Sid":    "KeepSecrets",
			"Effect": "Allow",
			"Action": []string{
				"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query",
				"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem",
			},
			"Resource": stack(t).arn(t, "AWS::DynamoDB::Table"),
		},
		{
			"Sid":      "OpenTable",
			"Effect":   "Allow",
			"Action":   "kms:Decrypt",
			"Resource": key,
			"Condition": object{"StringEquals": object{
				"kms:ViaService": "dynamodb.${AWS::Region}.${AWS::URLSuffix}",
				"kms:EncryptionContext:aws:dynamodb:tableName":    stack(t).ref(t, "AWS::DynamoDB::Table"),
				"kms:EncryptionContext:aws:dynamodb:subscriberId": "${AWS::AccountId}",
			}},
		},
		{
			"Sid":      "SealValues",
			"Effect":   "Allow",
			"Action":   []string{"kms:GenerateDataKey", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"},
			"Resource": key,
			"Condition": object{
				"StringLike": object{"kms:EncryptionContext:SecretARN": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:*"},
				"Null":       object{"kms:EncryptionContext:SecretVersionId": "false"},
				"ForAllValues:StringEquals": object{
					"kms:EncryptionContextKeys": []string{"SecretARN", "SecretVersionId"},
				},
			},
		},
		{
			"Sid":      "StartRotations",
			"Effect":   "Allow",
			"Action":   "lambda:InvokeFunction",
			"Resource": stack(t).live(t, rotateName),
		},
	}
	same(t, "who may take the role", role.statements()[0]["Principal"], object{"Service": "lambda.amazonaws.com"})
	same(t, "statements", stack(t).rights(t, role), append(want, stack(t).writeLogs(t, function)...))
}

// TestFunctionsReadTheirSettings starts each function with nonsense for all that
// the stack tells it, and with nothing: one that knew a setting by another name
// would not object to it, or would miss it.
func TestFunctionsReadTheirSettings(t *testing.T) {
	t.Parallel()
	for name, function := range whole(t).functions {
		told := maps.Clone(function.Properties["Environment"].(object)["Variables"].(object))
		nonsense := []string{"AWS_REGION=?"}
		for variable := range told {
			nonsense = append(nonsense, variable+"=?")
		}
		told["AWS_REGION"] = "Lambda's"
		refused, missed := refusedBy(t, name, nonsense), refusedBy(t, name, nil)
		same(t, name+": settings it reads", refused, slices.Sorted(maps.Keys(told)))
		for _, variable := range missed {
			if told[variable] == nil {
				t.Errorf("%s needs %s, which the stack does not tell it", name, variable)
			}
		}
	}
}

// refusedBy are the settings that a function names when it refuses to start.
func refusedBy(t *testing.T, name string, environment []string) []string {
	t.Helper()
	cmd := exec.Command("go", "run", "../functions/"+name)
	cmd.Env = os.Environ()
	for _, variable := range []string{"AWS_REGION", "TABLE_NAME", "ACCOUNT_ID", "KMS_KEY_ID", "ROTATE_FUNCTION"} {
		cmd.Env = append(cmd.Env, variable+"=")
	}
	cmd.Env = append(cmd.Env, environment...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("%s started with %q", name, environment)
	}
	settings := map[string]bool{}
	for _, found := range regexp.MustCompile(`([A-Z_]+) is (not set|\S*\?)`).FindAllSubmatch(out, -1) {
		settings[string(found[1])] = true
	}
	if len(settings) == 0 {
		t.Fatalf("%s named no setting: %s", name, out)
	}
	return slices.Sorted(maps.Keys(settings))
}

// TestPoliciesAreNarrow is about every policy there is, and those still to come.
func TestPoliciesAreNarrow(t *testing.T) {
	t.Parallel()
	for _, r := range whole(t).Resources {
		if r.Type == "AWS::IAM::ManagedPolicy" || r.Properties["ManagedPolicyArns"] != nil {
			t.Errorf("%s has a managed policy", r.ID)
		}
		for _, s := range r.statements() {
			if s["Sid"] == "AccountDecides" && r.Type == "AWS::KMS::Key" {
				continue // AWS demands it: see rootOwnsKey
			}
			if s["Effect"] == "Deny" {
				continue // the wider, the better
			}
			for _, name := range []string{"NotAction", "NotResource", "NotPrincipal"} {
				same(t, r.ID+" "+name, s[name], nil)
			}
			for _, action := range texts(s["Action"]) {
				if strings.Contains(action, "*") || strings.HasSuffix(action, "Scan") {
					t.Errorf("%s allows %s", r.ID, action)
				}
			}
			for _, resource := range texts(s["Resource"]) {
				// In the key's own policy the resource can only be the key.
				if resource == "*" && r.Type != "AWS::KMS::Key" {
					t.Errorf("%s allows %v on everything", r.ID, s["Action"])
				}
			}
		}
	}
}

func TestOnlySignedPosts(t *testing.T) {
	t.Parallel()
	api := stack(t).one(t, "AWS::ApiGateway::RestApi")
	same(t, "endpoint type", api.Properties["EndpointConfiguration"], object{"Types": []string{"REGIONAL"}})
	same(t, "TLS", api.Properties["SecurityPolicy"], "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09")
	// Any media type here would turn bodies into base64.
	same(t, "binary media types", api.Properties["BinaryMediaTypes"], nil)

	method := stack(t).one(t, "AWS::ApiGateway::Method").Properties // the only one
	same(t, "method", method["HttpMethod"], "POST")
	same(t, "authorization", method["AuthorizationType"], "AWS_IAM")
	same(t, "path", method["ResourceId"], "${"+api.ID+".RootResourceId}")
	integration := method["Integration"].(object)
	same(t, "integration", integration["Type"], "AWS_PROXY")
	same(t, "function", integration["Uri"], "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"+
		stack(t).live(t, apiName)+"/invocations")

	permission := stack(t).one(t, "AWS::Lambda::Permission").Properties
	same(t, "who may invoke", permission["Principal"], "apigateway.amazonaws.com")
	same(t, "from where", permission["SourceArn"], "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${"+
		api.ID+"}/"+stack(t).ref(t, "AWS::ApiGateway::Stage")+"/POST/")
}

func TestStage(t *testing.T) {
	t.Parallel()
	stage := stack(t).one(t, "AWS::ApiGateway::Stage")
	same(t, "name", stage.Properties["StageName"], "v1")
	same(t, "method settings", stage.Properties["MethodSettings"], []object{{
		"HttpMethod":           "*",
		"ResourcePath":         "/*",
		"LoggingLevel":         "ERROR",
		"DataTraceEnabled":     false,
		"ThrottlingRateLimit":  7,
		"ThrottlingBurstLimit": 11,
	}})
	needed := append(stack(t).all("AWS::ApiGateway::Account"), stack(t).all("AWS::Logs::LogGroup")...)
	var others []string
	for _, function := range stack(t).functions {
		others = append(others, stack(t).logsOf(t, function).ID)
	}
	for _, r := range slices.DeleteFunc(needed, func(r resource) bool { return slices.Contains(others, r.ID) }) {
		if !slices.Contains(stage.DependsOn, r.ID) {
			t.Errorf("the stage may be made before %s", r.ID)
		}
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	setting := stack(t).one(t, "AWS::ApiGateway::Stage").Properties["AccessLogSetting"].(object)
	group := strings.TrimSuffix(strings.TrimPrefix(setting["DestinationArn"].(string), "${"), ".Arn}")
	same(t, "destination", stack(t).Resources[group].Type, "AWS::Logs::LogGroup")

	var line map[string]string
	if err := json.Unmarshal([]byte(setting["Format"].(string)), &line); err != nil {
		t.Fatalf("the access log is not JSON: %v", err)
	}
	same(t, "request ID, without which API Gateway takes no format", line["requestId"], "$context.requestId")
	same(t, "caller", line["userArn"], "$context.identity.userArn")
	for name, variable := range line {
		if !strings.HasPrefix(variable, "$context.") {
			t.Errorf("%s is %q, which API Gateway does not fill in", name, variable)
		}
		if slices.Contains([]string{"$context.path", "$context.identity.userAgent"}, variable) {
			t.Errorf("%s is %s: a caller could write what it likes into the log", name, variable)
		}
	}
}

func TestLogGroups(t *testing.T) {
	t.Parallel()
	for _, group := range stack(t).all("AWS::Logs::LogGroup") {
		same(t, group.ID+" key", group.Properties["KmsKeyId"], stack(t).arn(t, "AWS::KMS::Key"))
		days := 30
		for _, records := range stack(t).trail(t) {
			if group.ID == records.ID {
				days = 1096
			}
		}
		same(t, group.ID+" retention", group.Properties["RetentionInDays"], days)
	}
	api := stack(t).ref(t, "AWS::ApiGateway::RestApi")
	var names []string
	for _, group := range stack(t).all("AWS::Logs::LogGroup") {
		names = append(names, group.Properties["LogGroupName"].(string))
	}
	same(t, "names", sorted(names), []string{
		"/strongroom/" + api + "/access", "/strongroom/" + api + "/api",
		"/strongroom/" + api + "/prune", "/strongroom/" + api + "/rotate",
		"API-Gateway-Execution-Logs_" + api + "/v1",
	})
	for name, function := range stack(t).functions {
		logs := stack(t).logsOf(t, function)
		same(t, "log group of "+name, logs.Properties["LogGroupName"], "/strongroom/"+api+"/"+name)
		// Other formats change or lose what is printed, audit records among it.
		same(t, "log format of "+name, function.Properties["LoggingConfig"], object{"LogGroup": "${" + logs.ID + "}", "LogFormat": "Text"})
	}
}

// TestRefusals has API Gateway's answers as an SDK has to find them.
func TestRefusals(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"THROTTLED":                    "400 ThrottlingException",
		"ACCESS_DENIED":                "400 AccessDeniedException",
		"WAF_FILTERED":                 "400 AccessDeniedException",
		"INVALID_SIGNATURE":            "400 InvalidSignatureException",
		"EXPIRED_TOKEN":                "400 ExpiredTokenException",
		"MISSING_AUTHENTICATION_TOKEN": "400 MissingAuthenticationTokenException",
		"REQUEST_TOO_LARGE":            "400 ValidationException",
		"INTEGRATION_FAILURE":          "500 InternalServiceError",
		"INTEGRATION_TIMEOUT":          "500 InternalServiceError",
		"DEFAULT_4XX":                  " ValidationException",
		"DEFAULT_5XX":                  " InternalServiceError",
	}
	got := map[string]string{}
	for _, r := range stack(t).all("AWS::ApiGateway::GatewayResponse") {
		kind := r.Properties["ResponseType"].(string)
		body := refusalBody(t, r)
		status, _ := r.Properties["StatusCode"].(string)
		got[kind] = status + " " + body["__type"]
		same(t, kind+" headers", r.Properties["ResponseParameters"], object{
			"gatewayresponse.header.Content-Type": "'application/x-amz-json-1.1'",
		})
		if body["message"] == "" {
			t.Errorf("%s has no message", kind)
		}
		if kind == "INVALID_SIGNATURE" && !strings.Contains(body["message"], "execute-api") {
			t.Errorf("%s does not say what to sign for: %s", kind, body["message"])
		}
	}
	same(t, "refusals", got, want)
}

func refusalBody(t *testing.T, r resource) map[string]string {
	t.Helper()
	templates := r.Properties["ResponseTemplates"].(object)
	same(t, r.ID+" templates", slices.Collect(maps.Keys(templates)), []string{"application/json"})
	filled := strings.ReplaceAll(templates["application/json"].(string), "$context.error.messageString", `"its own words"`)
	var body map[string]string
	if err := json.Unmarshal([]byte(filled), &body); err != nil {
		t.Fatalf("%s is not JSON: %v: %s", r.ID, err, filled)
	}
	return body
}

// TestAccount is about the one setting that is not the stack's alone.
func TestAccount(t *testing.T) {
	t.Parallel()
	account, role := stack(t).one(t, "AWS::ApiGateway::Account"), stack(t).role(t, "apigateway.amazonaws.com")
	same(t, "role", account.Properties["CloudWatchRoleArn"], "${"+role.ID+".Arn}")
	for _, r := range []resource{account, role} {
		same(t, r.ID+" when the stack goes", r.DeletionPolicy, "Retain")
	}
	stage := stack(t).one(t, "AWS::ApiGateway::Stage").DependsOn
	var own []resource
	for _, group := range stack(t).all("AWS::Logs::LogGroup") {
		if slices.Contains(stage, group.ID) {
			own = append(own, group)
		}
	}
	rights := role.statements()[1:]
	same(t, "rights to the key", rights[:2], stack(t).encryptLogs(t, own...))
	same(t, "logs of this account and region", rights[2]["Resource"], "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:*")
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for name, output := range stack(t).Outputs {
		got[name] = output.Value
		if _, isLayer := stack(t).layers[name]; isLayer { // their names are the CDK's, by what is in them
			got[name] = stack(t).of(t, output.Value).Type
		}
	}
	same(t, "outputs", got, map[string]string{
		"Endpoint": "https://" + stack(t).ref(t, "AWS::ApiGateway::RestApi") + ".execute-api.${AWS::Region}.${AWS::URLSuffix}/v1",
		"Table":    stack(t).ref(t, "AWS::DynamoDB::Table"),
		"Key":      stack(t).arn(t, "AWS::KMS::Key"),
		"ApiRole":  stack(t).function(t, apiName).Properties["Role"].(string),
		"Alarms":   stack(t).ref(t, "AWS::SNS::Topic"),

		"SigningLayer": "AWS::Lambda::LayerVersion", "AgentLayer": "AWS::Lambda::LayerVersion", "AgentLayerX86": "AWS::Lambda::LayerVersion",
	})
}

// TestChoices is the stack with the settings that change what is in it.
func TestChoices(t *testing.T) {
	t.Parallel()
	const other = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd"
	chosen := synthesizeWith(t, object{
		"kmsKeyArns": []string{other}, "apiGatewayLogsRole": false, "alarmTopicArn": topic,
		"rotationFunctionArns": []string{mysql, abroad}, "auditRequired": true,
		"auditSubscriptionArn": stream, "auditSubscriptionRoleArn": writer,
	})
	same(t, "account settings without apiGatewayLogsRole", chosen.all("AWS::ApiGateway::Account"), nil)
	for _, role := range chosen.all("AWS::IAM::Role") {
		if reflect.DeepEqual(role.statements()[0]["Principal"], object{"Service": "apigateway.amazonaws.com"}) {
			t.Errorf("without apiGatewayLogsRole there is %s", role.ID)
		}
	}
	for _, alarm := range chosen.all("AWS::CloudWatch::Alarm") {
		same(t, alarm.ID+" is sent to", alarm.Properties["AlarmActions"], []string{topic})
	}
	key := chosen.arn(t, "AWS::KMS::Key")
	for _, s := range chosen.rights(t, chosen.of(t, chosen.function(t, apiName).Properties["Role"])) {
		switch s["Sid"] {
		case "SealValues":
			same(t, "keys to seal under", s["Resource"], []string{key, other})
		case "OpenTable":
			same(t, "keys of the table", s["Resource"], key)
		}
	}
	same(t, "rotation functions without the tag", chosen.rights(t, chosen.of(t, chosen.function(t, rotateName).Properties["Role"]))[1], object{
		"Sid":      "CallListed",
		"Effect":   "Allow",
		"Action":   "lambda:InvokeFunction",
		"Resource": []string{mysql, mysql + ":*", abroad, abroad + ":*"},
	})
	same(t, "AUDIT_REQUIRED", chosen.function(t, apiName).Properties["Environment"].(object)["Variables"].(object)["AUDIT_REQUIRED"], "true")
	same(t, "subscription", chosen.all("AWS::Logs::SubscriptionFilter")[0].Properties, object{
		"LogGroupName":   "${" + chosen.trail(t)[0].ID + "}",
		"FilterPattern":  `{ $.eventCategory = "Management" }`,
		"DestinationArn": stream,
		"RoleArn":        writer,
	})
	chosen.one(t, "AWS::Lambda::Permission") // API Gateway's
}

// TestFunctionURL is the stack with the other front door.
func TestFunctionURL(t *testing.T) {
	t.Parallel()
	chosen := synthesizeWith(t, object{"frontDoor": "url"})
	for _, r := range chosen.Resources {
		if strings.HasPrefix(r.Type, "AWS::ApiGateway::") || r.Type == "AWS::Lambda::Permission" {
			t.Errorf("there is %s, a %s", r.ID, r.Type)
		}
		for _, s := range r.statements() {
			if reflect.DeepEqual(s["Principal"], object{"Service": "apigateway.amazonaws.com"}) {
				t.Errorf("API Gateway may take %s", r.ID)
			}
		}
	}
	url := chosen.one(t, "AWS::Lambda::Url")
	server := chosen.function(t, apiName)
	same(t, "function URL", url.Properties, object{"AuthType": "AWS_IAM", "InvokeMode": "BUFFERED", "TargetFunctionArn": "${" + server.ID + ".Arn}", "Qualifier": "live"})
	same(t, "endpoint", chosen.Outputs["Endpoint"].Value, "${"+url.ID+".FunctionUrl}")
	same(t, "function", chosen.Outputs["Function"].Value, chosen.live(t, apiName))
	if !strings.Contains(chosen.Outputs["Function"].Description, "lambda:InvokedViaFunctionUrl") {
		t.Errorf("got %q, want what callers need", chosen.Outputs["Function"].Description)
	}
	var groups []string
	for _, group := range chosen.all("AWS::Logs::LogGroup") {
		if name := group.Properties["LogGroupName"].(string); !strings.HasPrefix(name, "/strongroom/part 4 of part 2 of ${AWS::StackId} by / by -/") {
			t.Errorf("%s is called %s: another stack could have one of this name", group.ID, name)
		}
		groups = append(groups, group.ID)
		same(t, group.ID+" key", group.Properties["KmsKeyId"], chosen.arn(t, "AWS::KMS::Key"))
	}
	if len(groups) != 3 {
		t.Errorf("got the log groups %v, want those of three functions", groups)
	}
	named := chosen.one(t, "AWS::KMS::Key").statements()[1]["Condition"].(object)["ArnEquals"].(object)["kms:EncryptionContext:aws:logs:arn"]
	if got := len(named.([]any)); got != len(groups) {
		t.Errorf("the key is for %d log groups, want %d", got, len(groups))
	}
}

// TestFunctionsLinkNoCDK keeps the CDK, which is huge, out of what is deployed.
func TestFunctionsLinkNoCDK(t *testing.T) {
	t.Parallel()
	const functions = "github.com/strongroom/strongroom/functions/"
	out, err := exec.Command("go", "list", "-deps", functions+"...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, out)
	}
	linked := strings.Fields(string(out))
	if !slices.ContainsFunc(linked, func(p string) bool { return strings.HasPrefix(p, functions) }) {
		t.Fatalf("no function found under %s", functions)
	}
	for _, p := range linked {
		if strings.Contains(p, "aws-cdk-go") || strings.Contains(p, "jsii-runtime-go") {
			t.Errorf("a function links %s", p)
		}
	}
}

func TestAssetIsWhatIsBuiltAlone(t *testing.T) {
	t.Parallel()
	for name, files := range assets {
		folder := t.TempDir()
		if checkAsset(filepath.Join(folder, "missing"), files) == nil {
			t.Errorf("%s: a folder that is not there was taken", name)
		}
		for _, file := range files {
			if checkAsset(folder, files) == nil {
				t.Errorf("%s: a folder without %s was taken", name, file)
			}
			write(t, filepath.Join(folder, file), "any")
		}
		if err := checkAsset(folder, files); err != nil {
			t.Errorf("%s: a built folder was refused: %v", name, err)
		}
		write(t, filepath.Join(folder, ".env"), "any")
		if checkAsset(folder, files) == nil {
			t.Errorf("%s: a folder that holds more was taken", name)
		}
	}
}

// TestPolicies are checked before they are deployed. The file of this repository is
// right, and allows everything: that has to be asked for.
func TestPolicies(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", policies))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "mine.json")
	from := sources{bin: t.TempDir()}
	everyone := settings{policies: file, allowEveryone: true}
	write(t, file, string(text))
	if err := deployPolicies(everyone, from); err != nil {
		t.Errorf("the repository's policies: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(from.bin, apiName, policies)); err != nil || string(got) != string(text) {
		t.Errorf("got %q, %v beside the function, want the file", got, err)
	}
	refuse := func(set settings, content string, words ...string) {
		write(t, file, content)
		err := deployPolicies(set, from)
		if err == nil {
			t.Errorf("%q was taken", content)
			return
		}
		for _, word := range append(words, file) {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q: %v does not name %s", content, err, word)
			}
		}
	}
	refuse(settings{policies: file}, string(text), "WhoeverMayInvokeTheAPI", "allowEveryone")
	refuse(everyone, "")
	refuse(everyone, "{}", "list")
	refuse(everyone, strings.Replace(string(text), `"Allow"`, `"Perhaps"`, 1), "document 1", "statement", "Effect")
	refuse(everyone, strings.Replace(string(text), `"Action"`, `"Actions"`, 1), "document 1", "statement", "Actions")
	if err := deployPolicies(settings{policies: filepath.Join(from.bin, "none.json")}, from); err == nil || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("got %v for a file that is not there", err)
	}
	write(t, file, strings.Replace(string(text), `"Principal": "*"`, `"Principal": {"AWS": "123456789012"}`, 1))
	if err := deployPolicies(settings{policies: file}, from); err != nil {
		t.Errorf("policies for one account: %v", err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
