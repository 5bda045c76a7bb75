package policy

import (
	"strings"
	"testing"
)

const kmsKeyARN = "secretsmanager:KmsKeyArn"

// A request whose key has a value that is not known: what a statement with it allows and
// denies.
func TestUnknownValue(t *testing.T) {
	t.Parallel()
	r := reads(userOf(home, "bob"))
	r.Unknown = []string{strings.ToLower(kmsKeyARN)}
	r.Resource = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x/db-AbCdEf"
	const anyone = `"Effect": "EFFECT", "Principal": "*", "Action": "*", `
	condition := func(text string) string { return anyone + `"Resource": "*", "Condition": ` + text }
	const arn = "arn:aws:secretsmanager:*:*:secret:"
	for _, tt := range []struct {
		elements       string
		allows, denies bool
	}{
		{condition(`{"StringEquals": {"secretsmanager:KmsKeyArn": "x"}}`), false, true},
		{condition(`{"StringNotEquals": {"secretsmanager:KmsKeyArn": "x"}}`), false, true},
		{condition(`{"ArnLike": {"secretsmanager:kmskeyarn": "*"}}`), false, true},
		{condition(`{"StringEqualsIfExists": {"secretsmanager:KmsKeyArn": "x"}}`), false, true},
		{condition(`{"ForAllValues:StringLike": {"secretsmanager:KmsKeyArn": "*"}}`), false, true},
		{condition(`{"ForAnyValue:StringLikeIfExists": {"secretsmanager:KmsKeyArn": "*"}}`), false, true},
		{condition(`{"Null": {"secretsmanager:KmsKeyArn": "false"}}`), true, true},
		{condition(`{"Null": {"secretsmanager:KmsKeyArn": "true"}}`), false, false},
		{condition(`{"StringEquals": {"secretsmanager:KmsKeyArn": "x"}, "ArnEquals": {"aws:PrincipalArn": "` + alice + `"}}`), false, false},
		{condition(`{"StringLike": {"aws:userid": "${secretsmanager:KmsKeyArn}"}}`), false, true},
		{condition(`{"StringLike": {"aws:userid": ["${secretsmanager:KmsKeyArn}", "AIDA*"]}}`), true, true},
		{condition(`{"StringNotLike": {"aws:userid": ["${secretsmanager:KmsKeyArn}", "AIDA*"]}}`), false, false},
		{condition(`{"ArnNotLike": {"aws:PrincipalArn": "${secretsmanager:KmsKeyArn}"}}`), false, true},
		{anyone + `"Resource": "` + arn + `${secretsmanager:KmsKeyArn}/*"`, false, true},
		{anyone + `"Resource": "` + arn + `${secretsmanager:KmsKeyArn, 'x'}/*"`, false, true}, // it has a value
		{anyone + `"NotResource": "` + arn + `${secretsmanager:KmsKeyArn, 'x'}/*"`, false, true},
		{anyone + `"Resource": ["` + arn + `${secretsmanager:KmsKeyArn}/*", "` + arn + `x/*"]`, true, true},
		{anyone + `"NotResource": ["` + arn + `${secretsmanager:KmsKeyArn}/*", "` + arn + `x/*"]`, false, false},
	} {
		decide := func(effect string) Decision {
			return AllowAll().Decide(r, policyOf(t, "{"+strings.Replace(tt.elements, "EFFECT", effect, 1)+"}"))
		}
		allows := (*Set)(nil).Decide(r, policyOf(t, "{"+strings.Replace(tt.elements, "EFFECT", "Allow", 1)+"}")).Allowed
		if denies := decide("Deny").Explicit; allows != tt.allows || denies != tt.denies {
			t.Errorf("%s: allows %v, denies %v; want %v, %v", tt.elements, allows, denies, tt.allows, tt.denies)
		}
	}
}

// The two readings of a request are those of each statement, and none is a mix of them.
func TestReadings(t *testing.T) {
	t.Parallel()
	const stage = `secretsmanager:VersionStage`
	r := reads(userOf(home, "bob"))
	r.Implied = Keys{strings.ToLower(stage): {"AWSCURRENT"}}
	is := func(effect, value string) string {
		return says(effect, all, `"Condition": {"StringEquals": {"`+stage+`": "`+value+`"}}`)
	}
	absent := func(effect, value string) string {
		return says(effect, all, `"Condition": {"Null": {"`+stage+`": "`+value+`"}}`)
	}
	for _, tt := range []struct {
		name       string
		statements []string
		want       bool
	}{
		{"by the default", []string{is("Allow", "AWSCURRENT")}, false},
		{"by its absence", []string{absent("Allow", "true")}, false},
		{"by one in each reading", []string{is("Allow", "AWSCURRENT"), absent("Allow", "true")}, false},
		{"by another", []string{is("Allow", "AWSCURRENT"), says("Allow", all)}, true},
		{"denied by the default", []string{says("Allow", all), is("Deny", "AWSCURRENT")}, false},
		{"denied by its absence", []string{says("Allow", all), absent("Deny", "true")}, false},
		{"denied by its absence, after a statement about it", []string{is("Deny", "x"), says("Allow", all), absent("Deny", "true")}, false},
		{"denied another", []string{says("Allow", all), is("Deny", "AWSPREVIOUS")}, true},
		{"denied in a variable of a resource", []string{says("Allow", all), `{"Effect": "Deny", "Principal": "*", "Action": "*", "NotResource": "arn:aws:secretsmanager:*:*:secret:prod/db${` + stage + `, '-AbCdEf'}"}`}, false},
		{"denied in the variable of a value", []string{says("Allow", all), says("Deny", all, `"Condition": {"StringNotEquals": {"aws:userid": "${`+stage+`, 'AIDACKCEVSQ6C2EXAMPLE'}"}}`)}, false},
		{"allowed in the variable of a value", []string{says("Allow", all, `"Condition": {"StringEquals": {"aws:userid": "${`+stage+`, 'AIDACKCEVSQ6C2EXAMPLE'}"}}`)}, false},
		{
			"never absent and another value", // neither reading is denied
			[]string{says("Allow", all), says("Deny", all, `"Condition": {"Null": {"`+stage+`": "false"}, "StringNotEquals": {"`+stage+`": "AWSCURRENT"}}`)}, true,
		},
	} {
		d := (*Set)(nil).Decide(r, policyOf(t, tt.statements...))
		if d.Allowed != tt.want {
			t.Errorf("%s: %+v, want allowed: %v", tt.name, d, tt.want)
		}
	}
}

// The log says which condition is not certain.
func TestExplainUnsure(t *testing.T) {
	t.Parallel()
	r := reads(userOf(home, "bob"))
	r.Implied = Keys{"secretsmanager:versionstage": {"AWSCURRENT"}}
	stage := `"Condition": {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}`
	const condition = "the condition StringEquals secretsmanager:VersionStage"
	if got := AllowAll().Decide(r, policyOf(t, says("Deny", all, stage))).Explain(); !strings.HasSuffix(got, "which denies because it is not certain: "+condition) {
		t.Errorf("denied: %s", got)
	}
	if got := setOf(t, says("Allow", all, stage)).Decide(r, nil).Explain(); !strings.Contains(got, "statement 1 does not: "+condition) {
		t.Errorf("not allowed: %s", got)
	}
}
