package policy

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/secret"
)

// The policies for secrets in the user guide of Secrets Manager, with example
// accounts in them, and forms that tools write. The guide has hyphens in the Sids of
// the policy for a VPC, which have no place in a Sid.
var good = map[string]string{
	"read one secret": `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Principal": {"AWS": "arn:aws:iam::123456789012:role/EC2RoleToAccessSecrets"},
		"Action": "secretsmanager:GetSecretValue", "Resource": "*"}]}`,
	"an ARN as resource": `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Principal": {"AWS": "arn:aws:iam::123456789012:user/admin"}, "Action": "secretsmanager:GetSecretValue",
		"Resource": "arn:aws:secretsmanager:us-east-1:123456789012:secret:consolesecret-m4qxfJ"}]}`,
	"through a VPC endpoint": `{"Id": "example-policy-1", "Version": "2012-10-17", "Statement": [{
		"Sid": "RestrictGetSecretValueoperation", "Effect": "Deny", "Principal": "*",
		"Action": "secretsmanager:GetSecretValue", "Resource": "*",
		"Condition": {"StringNotEquals": {"aws:sourceVpce": "vpce-1234a5678b9012c"}}}]}`,
	"from a VPC": `{"Id": "example-policy-2", "Version": "2012-10-17", "Statement": [
		{"Sid": "AllowAdministrativeActionsfromONLYvpc12345678", "Effect": "Deny", "Principal": "*",
		 "Action": ["secretsmanager:Create*", "secretsmanager:Put*", "secretsmanager:Update*", "secretsmanager:Delete*",
			"secretsmanager:Restore*", "secretsmanager:RotateSecret", "secretsmanager:CancelRotate*",
			"secretsmanager:TagResource", "secretsmanager:UntagResource"],
		 "Resource": "*", "Condition": {"StringNotEquals": {"aws:sourceVpc": "vpc-12345678"}}},
		{"Sid": "AllowSecretValueAccessfromONLYvpc2b2b2b2b", "Effect": "Deny", "Principal": "*",
		 "Action": ["secretsmanager:GetSecretValue"], "Resource": "*",
		 "Condition": {"StringNotEquals": {"aws:sourceVpc": "vpc-2b2b2b2b"}}}]}`,
	"tags that match": `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "123456789012"},
		"Condition": {"StringEquals": {"aws:ResourceTag/AccessProject": "${ aws:username }"}},
		"Action": "secretsmanager:GetSecretValue", "Resource": "*"}}`,
	"another account": `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Principal": {"AWS": "arn:aws:iam::444455556666:role/ApplicationRole"},
		"Action": "secretsmanager:GetSecretValue", "Resource": "*"}]}`,
	"a service": `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Principal": {"Service": ["rds.amazonaws.com"]}, "Action": ["secretsmanager:GetSecretValue"], "Resource": "*",
		"Condition": {"ArnLike": {"aws:sourceArn": "arn:aws:rds:us-east-1:123456789012:db:*"},
			"StringEquals": {"aws:sourceAccount": "123456789012"}}}]}`,
	"everyone": `{"Version": "2012-10-17", "Statement": [{"Sid": "EnableAllPermissions", "Effect": "Allow",
		"Principal": {"AWS": "*"}, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}]}`,
	"a name that is no action": `{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
		"Principal": {"AWS": ["arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:root"]},
		"Action": ["secretsmanager:GetSecret", "secretsmanager:GetSecretValue"], "Resource": "*"}}`,
	"Terraform's empty Sids": `{"Version": "2012-10-17", "Statement": [
		{"Sid": "", "Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "secretsmanager:*", "Resource": "*"},
		{"Sid": "", "Effect": "Deny", "Principal": {"AWS": "123456789012"}, "Action": "secretsmanager:*", "Resource": "*"}]}`,
	"a Sid of letters and digits": stmt(`"Sid": "LetTheAppIn12"`, allow),
	"no version":                  `{"Statement": [{` + allow + `}]}`,
	"2008":                        `{"Version": "2008-10-17", "Statement": [{` + allow + `}]}`,
	"all that a statement may have but": stmt(`"Effect": "Deny"`,
		`"NotPrincipal": {"AWS": ["arn:aws:iam::444455556666:user/Bob", "arn:aws:iam::444455556666:root"]}`,
		`"NotAction": "secretsmanager:Describe*", "NotResource": "arn:aws:secretsmanager:*:*:secret:x-??????"`),
	"no condition": stmt(allow, `"Condition": {}`),
	"white space":  " \r\n\t" + stmt(allow) + "\n",
	"escapes":      strings.Replace(stmt(allow), "Effect", `\u0045ffect`, 1),
}

const allow = `"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "secretsmanager:GetSecretValue", "Resource": "*"`

// stmt is a policy of one statement with these elements.
func stmt(elements ...string) string {
	return `{"Version": "2012-10-17", "Statement": [{` + strings.Join(elements, ", ") + `}]}`
}

// swap is a statement with one of its elements in place of the one in allow.
func swap(name, value string) string {
	m := map[string]string{
		"Effect":    `"Allow"`,
		"Principal": `{"AWS": "123456789012"}`,
		"Action":    `"secretsmanager:GetSecretValue"`,
		"Resource":  `"*"`,
	}
	m[name] = value
	var all []string
	for name, value := range m {
		all = append(all, `"`+name+`": `+value)
	}
	return stmt(all...)
}

// cond is a policy with a condition.
func cond(condition string) string { return stmt(allow, `"Condition": `+condition) }

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	for name, text := range good {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse(text); err != nil {
				t.Errorf("Parse: %v", err)
			}
		})
	}
}

func TestParseUnderstands(t *testing.T) {
	t.Parallel()
	got, err := Parse(`{"Id": "p", "Version": "2012-10-17", "Statement": [
		{"Sid": "one", "Effect": "Allow", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": ["*"], "Condition": {
			"ForAnyValue:StringLikeIfExists": {"aws:PrincipalOrgID": ["o-a1b2c3d4e5", "o-b*"]},
			"Bool": {"aws:SecureTransport": true, "aws:ViaAWSService": "False"},
			"NumericLessThan": {"secretsmanager:RecoveryWindowInDays": [7, "30"]}}},
		{"Effect": "Deny", "NotPrincipal": {"Service": "rds.amazonaws.com", "AWS": ["123456789012", "*"]},
		 "NotAction": ["*"], "NotResource": "arn:aws:secretsmanager:*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	of := func(s string) pattern {
		p, err := parsePattern(s, true, true)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	want := []statement{
		{
			name: `resource policy, statement 1 ("one")`, sid: "one",
			principals: principals{any: []principal{{kind: everyone}}},
			actions:    patterns{texts: []string{"secretsmanager:GetSecretValue"}, any: []pattern{of("secretsmanager:getsecretvalue")}},
			resources:  patterns{texts: []string{"*"}, any: []pattern{of("*")}},
			conditions: []condition{
				{
					operator: operator{operatorTypes["StringLike"], forAnyValue, "StringLike", true},
					key:      key{keyTypes["aws:principalorgid"], "aws:principalorgid"}, name: "aws:PrincipalOrgID",
					values:   []string{"o-a1b2c3d4e5", "o-b*"},
					operands: stringOperands{{parts: []pattern{of("o-a1b2c3d4e5")}}, {parts: []pattern{of("o-b*")}}},
				},
				{
					operator: operator{operatorTypes["Bool"], "", "Bool", false},
					key:      key{keyTypes["aws:securetransport"], "aws:securetransport"}, name: "aws:SecureTransport",
					values: []string{"true"}, operands: boolOperands{"true"},
				},
				{
					operator: operator{operatorTypes["Bool"], "", "Bool", false},
					key:      key{keyTypes["aws:viaawsservice"], "aws:viaawsservice"}, name: "aws:ViaAWSService",
					values: []string{"False"}, operands: boolOperands{"False"},
				},
				{
					operator: operator{operatorTypes["NumericLessThan"], "", "NumericLessThan", false},
					key:      key{provided, "secretsmanager:recoverywindowindays"}, name: "secretsmanager:RecoveryWindowInDays",
					values: []string{"7", "30"}, operands: numberOperands{less, []float64{7, 30}},
				},
			},
		},
		{
			name: "resource policy, statement 2",
			deny: true,
			principals: principals{true, []principal{
				{kind: awsService, name: "rds.amazonaws.com"}, {kind: account, account: "123456789012"}, {kind: everyone},
			}},
			actions:   patterns{except: true, texts: []string{"*"}, any: []pattern{of("*")}},
			resources: patterns{except: true, texts: []string{"arn:aws:secretsmanager:*"}, any: []pattern{of("arn:aws:secretsmanager:*")}},
		},
	}
	if !reflect.DeepEqual(got.statements, want) {
		t.Errorf("Parse =\n%+v, want\n%+v", got.statements, want)
	}
}

var (
	badSyntax    = secret.Error{Code: "MalformedPolicyDocumentException", Message: "This resource policy contains a syntax error."}
	badPrincipal = secret.Error{Code: "MalformedPolicyDocumentException", Message: "This resource policy contains an unsupported principal."}
	badService   = secret.Error{Code: "MalformedPolicyDocumentException", Message: "This resource policy contains an unsupported service principal."}
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       secret.Error
		why        string
	}{
		// JSON
		{"empty", ``, badSyntax, "it is not JSON"},
		{"white space", ` `, badSyntax, "it is not JSON"},
		{"text", `hello`, badSyntax, "it is not JSON"},
		{"null", `null`, badSyntax, "it is no object"},
		{"a number", `1`, badSyntax, "it is no object"},
		{"a string", `"{}"`, badSyntax, "it is no object"},
		{"a list", `[` + stmt(allow) + `]`, badSyntax, "it is no object"},
		{"cut off", stmt(allow)[:40], badSyntax, "it is not JSON"},
		{"one bracket short", strings.TrimSuffix(stmt(allow), "}"), badSyntax, "it is not JSON"},
		{"wrong bracket", `{"Statement": [{}}]`, badSyntax, "it is not JSON"},
		{"comma at the end", stmt(allow + `,`), badSyntax, "it is not JSON"},
		{"comma in a list", swap("Action", `["secretsmanager:*",]`), badSyntax, "it is not JSON"},
		{"no comma", swap("Action", `["secretsmanager:*" "secretsmanager:*"]`), badSyntax, "it is not JSON"},
		{"single quotes", `{'Statement': []}`, badSyntax, "it is not JSON"},
		{"a comment", `{/* */ "Statement": []}`, badSyntax, "it is not JSON"},
		{"a name that is no string", `{1: 2}`, badSyntax, "it is not JSON"},
		{"text after it", stmt(allow) + `x`, badSyntax, "there is text after it"},
		{"another after it", stmt(allow) + stmt(allow), badSyntax, "there is text after it"},
		{"bracket after it", stmt(allow) + `}`, badSyntax, "there is text after it"},
		{"byte order mark", "\ufeff" + stmt(allow), badSyntax, "it is not JSON"},
		{"no UTF-8", stmt(`"Sid": "`+"\xff"+`"`, allow), badSyntax, "it is not UTF-8"},
		{"a control character", stmt("\"Sid\": \"a\x00\"", allow), badSyntax, "it is not JSON"},
		{"deep lists", strings.Repeat(`[`, 10_000), badSyntax, "nested too deep"},
		{"deep objects", strings.Repeat(`{"Statement":`, 1500), badSyntax, "nested too deep"},
		{"nested list of statements", `{"Statement": [[{` + allow + `}]]}`, badSyntax, "it is no object"},
		{"nested list of actions", swap("Action", `[["secretsmanager:*"]]`), badSyntax, "it is no string"},

		// elements there twice
		{"Version twice", `{"Version": "2012-10-17", "Version": "2012-10-17", "Statement": [{` + allow + `}]}`, badSyntax, `"Version" is there twice`},
		{"Statement twice", `{"Statement": [{` + allow + `}], "Statement": [{` + allow + `}]}`, badSyntax, `"Statement" is there twice`},
		{"Effect twice", stmt(allow, `"Effect": "Deny"`), badSyntax, `"Effect" is there twice`},
		{"Effect twice, once escaped", stmt(allow, `"\u0045ffect": "Deny"`), badSyntax, `"Effect" is there twice`},
		{"AWS twice", swap("Principal", `{"AWS": "123456789012", "AWS": "*"}`), badSyntax, `"AWS" is there twice`},
		{"operator twice", cond(`{"StringEquals": {"aws:userid": "1"}, "StringEquals": {"aws:username": "1"}}`), badSyntax, `"StringEquals" is there twice`},
		{"key twice", cond(`{"StringEquals": {"aws:userid": "1", "aws:userid": "2"}}`), badSyntax, `"aws:userid" is there twice`},
		{"key in two cases", cond(`{"StringEquals": {"aws:SourceVpc": "1", "aws:sourcevpc": "2"}}`), badSyntax, "there twice"},
		{"Sid twice", `{"Statement": [{"Sid": "a", ` + allow + `}, {"Sid": "b", ` + allow + `}, {"Sid": "a", ` + allow + `}]}`, badSyntax, `policy: statement 3 ("a"): its Sid is there twice`},

		// the policy
		{"no statement", `{"Version": "2012-10-17"}`, badSyntax, "it is no object"},
		{"no statements", `{"Version": "2012-10-17", "Statement": []}`, badSyntax, "the list is empty"},
		{"Statement null", `{"Statement": null}`, badSyntax, "it is no object"},
		{"Statement a string", `{"Statement": "Allow"}`, badSyntax, "it is no object"},
		{"an unknown element", `{"Statements": [{` + allow + `}]}`, badSyntax, `unknown element "Statements"`},
		{"an element in another case", `{"statement": [{` + allow + `}]}`, badSyntax, `unknown element "statement"`},
		{"a version to come", `{"Version": "2019-10-19", "Statement": [{` + allow + `}]}`, badSyntax, "unknown Version"},
		{"Version null", `{"Version": null, "Statement": [{` + allow + `}]}`, badSyntax, "unknown Version"},
		{"Version a number", `{"Version": 2012, "Statement": [{` + allow + `}]}`, badSyntax, "unknown Version"},
		{"Version a list", `{"Version": ["2012-10-17"], "Statement": [{` + allow + `}]}`, badSyntax, "unknown Version"},
		{"Version an object", `{"Version": {}, "Statement": [{` + allow + `}]}`, badSyntax, "unknown Version"},
		{"Id a number", `{"Id": 1, "Statement": [{` + allow + `}]}`, badSyntax, "Id is no string"},

		// a statement
		{"an empty statement", `{"Statement": [{}]}`, badSyntax, "Effect is neither"},
		{"an unknown element of it", stmt(allow, `"Conditions": {}`), badSyntax, `unknown element "Conditions"`},
		{"the second one", `{"Statement": [{` + allow + `}, {"Effect": "Allow"}]}`, badSyntax, "statement 2: "},
		{"Sid a number", stmt(`"Sid": 1`, allow), badSyntax, "Sid is not"},
		{"Sid with a blank", stmt(`"Sid": "Let the app in"`, allow), badSyntax, "Sid is not"},
		{"Sid with a hyphen", stmt(`"Sid": "vpc-12345678"`, allow), badSyntax, "Sid is not"},
		{"Sid with an underscore", stmt(`"Sid": "a_b"`, allow), badSyntax, "Sid is not"},
		{"Sid with a full stop, in the second statement", `{"Statement": [{` + allow + `}, {"Sid": "v1.2", ` + allow + `}]}`, badSyntax, "statement 2: Sid is not"},
		{"Sid null", stmt(`"Sid": null`, allow), badSyntax, "Sid is not"},
		{"Sid with a line end", stmt(`"Sid": "a\n"`, allow), badSyntax, "Sid is not"},
		{"Sid in Greek", stmt(`"Sid": "α"`, allow), badSyntax, "Sid is not"},
		{"another effect", swap("Effect", `"AllowSomething"`), badSyntax, "Effect is neither"},
		{"effect in another case", swap("Effect", `"allow"`), badSyntax, "Effect is neither"},
		{"effect a list", swap("Effect", `["Allow"]`), badSyntax, "Effect is neither"},
		{"effect an object", swap("Effect", `{"Allow": true}`), badSyntax, "Effect is neither"},
		{"effect a boolean", swap("Effect", `true`), badSyntax, "Effect is neither"},
		{"Action and NotAction", stmt(allow, `"NotAction": "*"`), badSyntax, "there is Action and NotAction"},
		{"Resource and NotResource", stmt(allow, `"NotResource": "*"`), badSyntax, "there is Resource and NotResource"},
		{"Principal and NotPrincipal", stmt(allow, `"NotPrincipal": "*"`), badSyntax, "there is Principal and NotPrincipal"},
		{"no Action", stmt(`"Effect": "Allow", "Principal": "*", "Resource": "*"`), badSyntax, "neither Action nor"},
		{"no Resource", stmt(`"Effect": "Allow", "Principal": "*", "Action": "*"`), badSyntax, "neither Resource nor"},
		{"no Principal", stmt(`"Effect": "Allow", "Action": "*", "Resource": "*"`), badSyntax, "neither Principal nor"},

		// actions
		{"no actions", swap("Action", `[]`), badSyntax, "the list is empty"},
		{"action null", swap("Action", `null`), badSyntax, "it is no string"},
		{"action a number", swap("Action", `7`), badSyntax, "it is no string"},
		{"an empty action", swap("Action", `""`), badSyntax, "none of a secret"},
		{"action without a service", swap("Action", `"GetSecretValue"`), badSyntax, "none of a secret"},
		{"action of another service", swap("Action", `["secretsmanager:GetSecretValue", "kms:Decrypt"]`), badSyntax, `Action "kms:Decrypt" is none of a secret`},
		{"service without an action", swap("Action", `"secretsmanager:"`), badSyntax, "none of a secret"},
		{"a wildcard for a service", swap("Action", `"secrets*:Get*"`), badSyntax, "none of a secret"},
		{"action with a space", swap("Action", `"secretsmanager: GetSecretValue"`), badSyntax, "none of a secret"},
		{"action with a variable", swap("Action", `"secretsmanager:${aws:username}"`), badSyntax, "none of a secret"},

		// resources
		{"no resources", swap("Resource", `[]`), badSyntax, "the list is empty"},
		{"an empty resource", swap("Resource", `""`), badSyntax, "none of a secret"},
		{"a name", swap("Resource", `"prod/db"`), badSyntax, "none of a secret"},
		{"a wildcard in a name", swap("Resource", `"prod*"`), badSyntax, "none of a secret"},
		{"ARN of another service", swap("Resource", `"arn:aws:s3:::bucket"`), badSyntax, "none of a secret"},
		{"ARN of another kind", swap("Resource", `"urn:aws:secretsmanager:us-east-1:123456789012:secret:a"`), badSyntax, "none of a secret"},
		{"half an ARN", swap("Resource", `"arn:aws:secretsmanager:us-east-1"`), badSyntax, "none of a secret"},
		{"ARN without a resource", swap("Resource", `"arn:aws:secretsmanager:us-east-1:123456789012:"`), badSyntax, "none of a secret"},

		// principals
		{"a name for a principal", swap("Principal", `"arn:aws:iam::123456789012:root"`), badSyntax, "neither * nor"},
		{"a list of stars", swap("Principal", `["*"]`), badSyntax, "neither * nor"},
		{"principal null", swap("Principal", `null`), badSyntax, "neither * nor"},
		{"no principals", swap("Principal", `{}`), badSyntax, "neither * nor"},
		{"no principals of a kind", swap("Principal", `{"AWS": []}`), badSyntax, "the list is empty"},
		{"an unknown kind", swap("Principal", `{"Aws": "123456789012"}`), badSyntax, `unknown kind of principal "Aws"`},
		{"an account that is a number", swap("Principal", `{"AWS": 123456789012}`), badSyntax, "it is no string"},
		{"principal and syntax", stmt(`"Principal": {"AWS": "x"}`, `"Effect": "Allow"`, `"Action": "x"`, `"Resource": "*"`), badSyntax, "Action"},
		{"canonical user", swap("Principal", `{"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}`), badPrincipal, "79a59"},
		{"an unknown service", swap("Principal", `{"Service": "invalidservice"}`), badService, "invalidservice"},
		{"one bad among good", swap("Principal", `{"AWS": "123456789012", "Service": ["rds.amazonaws.com", "*"]}`), badService, `"*"`},
		{"who but a bad one", stmt(`"Effect": "Deny", "NotPrincipal": {"AWS": "Bob"}, "Action": "*", "Resource": "*"`), badPrincipal, `"Bob"`},

		// conditions
		{"condition null", cond(`null`), badSyntax, "Condition is no object"},
		{"condition a list", cond(`[]`), badSyntax, "Condition is no object"},
		{"unknown operator", cond(`{"StringMatches": {"aws:userid": "1"}}`), badSyntax, `unknown condition operator "StringMatches"`},
		{"operator in another case", cond(`{"stringEquals": {"aws:userid": "1"}}`), badSyntax, "unknown condition operator"},
		{"unknown set operator", cond(`{"ForSomeValues:StringEquals": {"aws:userid": "1"}}`), badSyntax, "unknown condition operator"},
		{"set operator alone", cond(`{"ForAllValues:": {"aws:userid": "1"}}`), badSyntax, "unknown condition operator"},
		{"two set operators", cond(`{"ForAllValues:ForAnyValue:StringEquals": {"aws:userid": "1"}}`), badSyntax, "unknown condition operator"},
		{"Null if it exists", cond(`{"NullIfExists": {"aws:userid": "true"}}`), badSyntax, "unknown condition operator"},
		{"Null of a set", cond(`{"ForAnyValue:Null": {"aws:userid": "true"}}`), badSyntax, "unknown condition operator"},
		{"IfExists twice", cond(`{"BoolIfExistsIfExists": {"aws:userid": "true"}}`), badSyntax, "unknown condition operator"},
		{"no keys", cond(`{"StringEquals": {}}`), badSyntax, "has no keys"},
		{"keys a string", cond(`{"StringEquals": "aws:userid"}`), badSyntax, "has no keys"},
		{"key without a prefix", cond(`{"StringEquals": {"SourceVpc": "1"}}`), badSyntax, "has no prefix"},
		{"key of a prefix only", cond(`{"StringEquals": {"aws:": "1"}}`), badSyntax, "has no prefix"},
		{"key with an empty prefix", cond(`{"StringEquals": {":a": "1"}}`), badSyntax, "has no prefix"},
		{"value null", cond(`{"StringEquals": {"aws:userid": null}}`), badSyntax, "no string, number or boolean"},
		{"value an object", cond(`{"StringEquals": {"aws:userid": {}}}`), badSyntax, "no string, number or boolean"},
		{"no values", cond(`{"StringEquals": {"aws:userid": []}}`), badSyntax, "the list is empty"},
		{"values in lists", cond(`{"StringEquals": {"aws:userid": [["1"]]}}`), badSyntax, "no string, number or boolean"},
		{"one bad value among good", cond(`{"Bool": {"aws:userid": ["true", "maybe"]}}`), badSyntax, `Bool can't compare with "maybe"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := Parse(tt.text)
			if p != nil || !errors.Is(err, tt.want) {
				t.Fatalf("Parse = %+v, %v, want %v", p, err, tt.want)
			}
			if got, _ := errors.AsType[secret.Error](err); got != tt.want {
				t.Errorf("the refusal is %v, want %v", got, tt.want)
			}
			if !strings.Contains(err.Error(), tt.why) {
				t.Errorf("Parse: %v, want to read %q", err, tt.why)
			}
		})
	}
}

// A name of the caller's choice does not fill the log.
func TestParseRefusesBriefly(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 20_000)
	for _, text := range []string{
		`{"` + long + `": 1}`, `{"` + long + `": 1, "` + long + `": 1}`, stmt(allow, `"`+long+`": 1`), swap("Principal", `{"`+long+`": "*"}`),
		swap("Principal", `{"AWS": "`+long+`"}`), swap("Action", `"`+long+`"`), cond(`{"` + long + `": {}}`),
		cond(`{"Bool": {"` + long + `": "true"}}`), cond(`{"Bool": {"aws:userid": "` + long + `"}}`),
	} {
		if _, err := Parse(text); err == nil || len(err.Error()) > 300 {
			t.Errorf("Parse(%.20q…) = %.400v, want a short refusal", text, err)
		}
	}
}

func TestPrincipals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind, id string
		want     error
	}{
		{"AWS", "*", nil},
		{"AWS", "123456789012", nil},
		{"AWS", "arn:aws:iam::123456789012:root", nil},
		{"AWS", "arn:aws-cn:iam::123456789012:root", nil},
		{"AWS", "arn:aws-us-gov:iam::123456789012:role/app", nil},
		{"AWS", "arn:aws:iam::123456789012:user/Bob", nil},
		{"AWS", "arn:aws:iam::123456789012:user/a/b:c/Bob+a=b,c.d@e-f_g", nil},
		{"AWS", "arn:aws:iam::123456789012:role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS", nil},
		{"AWS", "arn:aws:sts::123456789012:assumed-role/app/session-1", nil},
		{"AWS", "arn:aws:sts::123456789012:federated-user/Bob", nil},
		{"Service", "rds.amazonaws.com", nil},
		{"Service", "logs.eu-central-1.amazonaws.com", nil},
		{"Service", "bedrock-agentcore.amazonaws.com", nil},
		{"Service", "states.cn-north-1.amazonaws.com.cn", nil},
		{"Federated", "cognito-identity.amazonaws.com", nil},
		{"Federated", "accounts.google.com", nil},
		{"Federated", "arn:aws:iam::123456789012:saml-provider/corp", nil},
		{"Federated", "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com", nil},

		{"AWS", "", badPrincipal},
		{"AWS", "12345678901", badPrincipal},
		{"AWS", "1234567890123", badPrincipal},
		{"AWS", "１２３４５６７８９０１２", badPrincipal},
		{"AWS", " 123456789012", badPrincipal},
		{"AWS", "123456789012\n", badPrincipal},
		{"AWS", "**", badPrincipal},
		{"AWS", "?", badPrincipal},
		{"AWS", "AIDACKCEVSQ6C2EXAMPLE", badPrincipal},
		{"AWS", "arn:aws:iam::*:root", badPrincipal},
		{"AWS", "arn:aws:iam::123456789012:*", badPrincipal},
		{"AWS", "arn:aws:iam::123456789012:user/*", badPrincipal},
		{"AWS", "arn:aws:iam::123456789012:role/a*/app", badPrincipal},
		{"AWS", "arn:aws:iam::123456789012:role/app?", badPrincipal},
		{"AWS", "arn:aws:iam::123456789012:role/", badPrincipal},
		{"AWS", "arn:aws:iam::123456789012:role/a/", badPrincipal},
		{"AWS", "arn:aws:iam::123456789012:role/" + strings.Repeat("a", 65), badPrincipal},
		{"AWS", "arn:aws:iam::123456789012:group/admins", badPrincipal},
		{"AWS", "arn:aws:iam::123456789012:role/${aws:username}", badPrincipal},
		{"AWS", "arn:aws:iam:us-east-1:123456789012:root", badPrincipal},
		{"AWS", "arn:aws:iam::123456789012:ROOT", badPrincipal},
		{"AWS", "arn:azure:iam::123456789012:root", badPrincipal},
		{"AWS", "arn:aws:sts::123456789012:assumed-role/app", badPrincipal},
		{"AWS", "arn:aws:sts::123456789012:assumed-role/app/*", badPrincipal},
		{"AWS", "arn:aws:sts::123456789012:assumed-role/app/a/b", badPrincipal},
		{"AWS", "rds.amazonaws.com", badPrincipal},
		{"Federated", "*", badPrincipal},
		{"Federated", "example.com", badPrincipal},
		{"Federated", "arn:aws:iam::123456789012:saml-provider/*", badPrincipal},
		{"CanonicalUser", "*", badPrincipal},
		{"Service", "*", badService},
		{"Service", "*.amazonaws.com", badService},
		{"Service", "amazonaws.com", badService},
		{"Service", ".amazonaws.com", badService},
		{"Service", "a..amazonaws.com", badService},
		{"Service", "RDS.amazonaws.com", badService},
		{"Service", "rds.amazonaws.com.evil.example", badService},
		{"Service", "rds.amazonaws.co", badService},
		{"Service", "123456789012", badService},
	} {
		text := strings.ReplaceAll(swap("Principal", `{"`+tt.kind+`": ["`+tt.id+`"]}`), "\n", `\n`)
		if _, err := Parse(text); !errors.Is(err, tt.want) {
			t.Errorf("Parse with principal %s %q: %v, want %v", tt.kind, tt.id, err, tt.want)
		}
	}
}

func TestActionsAndResources(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"*", "secretsmanager:*", "secretsmanager:GetSecretValue", "SecretsManager:getsecretvalue", "secretsmanager:Get*Val?e"} {
		if _, err := Parse(swap("Action", `"`+s+`"`)); err != nil {
			t.Errorf("Parse with the action %q: %v", s, err)
		}
	}
	for _, s := range []string{
		"*", "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf", "arn:aws:secretsmanager:*:123456789012:secret:prod/*",
		"arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a-??????", "arn:aws:secretsmanager:*", "arn:*:secretsmanager:*:*:*",
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:${aws:username}/*", "arn:aws:secretsmanager:us-east-1:123456789012:${aws:username}", "arn:aws:*:*:*:secret:x",
	} {
		if _, err := Parse(swap("Resource", `"`+s+`"`)); err != nil {
			t.Errorf("Parse with the resource %q: %v", s, err)
		}
	}
}

func TestOperators(t *testing.T) {
	t.Parallel()
	for name, operatorType := range operatorTypes {
		for _, each := range []string{"", "ForAllValues:", "ForAnyValue:"} {
			for _, ifExists := range []string{"", "IfExists"} {
				want := name != "Null" || each == "" && ifExists == ""
				op, ok := parseOperator(each + name + ifExists)
				if ok != want || ok && op != (operator{operatorType, strings.TrimSuffix(each, ":"), name, ifExists != ""}) {
					t.Errorf("parseOperator(%q) = %+v, %v, want %v", each+name+ifExists, op, ok, want)
				}
			}
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		operators string
		good, bad []string // as JSON
	}{
		{
			"StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase StringLike StringNotLike",
			[]string{`"a"`, `""`, `"*"`, `"${aws:username}"`, `1`, `true`, `["a", "b"]`},
			[]string{`null`, `{}`, `[]`},
		},
		{
			"NumericEquals NumericNotEquals NumericLessThan NumericLessThanEquals NumericGreaterThan NumericGreaterThanEquals",
			[]string{`1`, `"1"`, `-1.5`, `"+1"`, `1e3`, `["7", 30]`},
			[]string{`""`, `"a"`, `"1 "`, `true`, `"NaN"`, `"Inf"`, `"0x1p-2"`, `"1_0"`, `".5"`, `"7."`, `"7.e1"`, `1e400`, `"${aws:userid}"`},
		},
		{
			"DateEquals DateNotEquals DateLessThan DateLessThanEquals DateGreaterThan DateGreaterThanEquals",
			[]string{`"2020-01-01T00:00:01Z"`, `"2020-01-01T00:00:01.5+01:00"`, `"2020-01-01T00:00Z"`, `"2020-01-01"`, `"2020-01"`, `"2020"`, `1577836801`, `"1577836801"`, `-100`, `"+100"`},
			[]string{`""`, `"today"`, `"2020-13-01"`, `"2020-02-30"`, `"2020-01-01T00:00:01"`, `"2020-01-01 00:00:01Z"`, `1.5`, `true`, `"2020-*"`, `"${aws:CurrentTime}"`},
		},
		{"Bool", []string{`true`, `"true"`, `"False"`, `[true, "false"]`}, []string{`""`, `"yes"`, `1`, `"*"`, `"${aws:userid}"`}},
		{"Null", []string{`true`, `"true"`, `"FALSE"`}, []string{`""`, `"null"`, `0`, `"${aws:userid}"`}},
		{"BinaryEquals", []string{`"QmluYXJ5VmFsdWVJbkJhc2U2NA=="`, `""`}, []string{`"*"`, `"QQ"`, `12345`, `"${aws:userid}"`}},
		{
			"IpAddress NotIpAddress",
			[]string{`"203.0.113.0/24"`, `"203.0.113.7"`, `"203.0.113.7/24"`, `"2001:DB8:1234:5678::/64"`, `"2001:db8::1"`, `["203.0.113.0/24", "::1"]`},
			[]string{`""`, `"*"`, `"203.0.113.*"`, `"203.0.113"`, `"203.0.113.0/33"`, `"203.0.113.0/-1"`, `"203.0.113.0/"`, `"300.0.0.1"`, `"203.0.113.007"`, `"fe80::1%eth0"`, `"fe80::%eth0/64"`, `"localhost"`, `3405803776`, `"${aws:SourceIp}"`},
		},
		{
			"ArnEquals ArnNotEquals ArnLike ArnNotLike",
			[]string{`"arn:aws:iam::123456789012:role/app"`, `"arn:aws:iam::*:role/app"`, `"*"`, `"arn:aws:s3:::bucket"`, `"${aws:PrincipalArn}"`},
			[]string{`""`, `"**"`, `"123456789012"`, `"arn:aws:iam"`, `"urn:aws:iam::123456789012:role/app"`, `"role/app"`, `true`},
		},
	} {
		for op := range strings.FieldsSeq(tt.operators) {
			for _, v := range tt.good {
				if _, err := Parse(cond(`{"` + op + `": {"aws:userid": ` + v + `}}`)); err != nil {
					t.Errorf("%s takes %s: %v", op, v, err)
				}
			}
			for _, v := range tt.bad {
				if _, err := Parse(cond(`{"` + op + `": {"aws:userid": ` + v + `}}`)); !errors.Is(err, badSyntax) {
					t.Errorf("%s with %s: %v, want %v", op, v, err, badSyntax)
				}
			}
		}
	}
}
