package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/schedule"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/spelling"
)

// settings are what an operator may choose, in the context of cdk.json or for
// one run with -c name=value. There are no defaults here, so that cdk.json
// shows all that is in force. Lists are separated by commas with -c.
type settings struct {
	stackName              string            // name of the stack
	account, region        string            // the only ones it may be deployed to; empty for those of the credentials
	tags                   map[string]string // of everything in the stack; with -c as name=value
	permissionsBoundaryArn string            // the policy that no role of the stack goes beyond; empty for none
	terminationProtection  bool              // whether the stack can be deleted only after this is switched off

	policies      string // the file of principal policies that is deployed
	allowEveryone bool   // whether those may allow every caller whom the front door lets in
	breakGlassArn string // the role that may open sealed values beside the API; empty for none

	logRetentionDays int      // how long log groups keep their events: a number CloudWatch Logs knows
	dataKeySeconds   int      // how long the function may remember a plain data key; 0 for not at all
	kmsKeyArns       []string // further KMS keys that secrets may name
	tracing          bool     // whether X-Ray records when calls came and how long they took

	reach

	maxVersions  int           // how many versions without a label a secret keeps, at least
	minAge       time.Duration // how long it keeps each of them, at least
	versionQuota int           // with how many of them it refuses a put; 0 for never

	pruneEveryMinutes int    // how often the others are removed
	alarmTopicArn     string // the SNS topic that alarms are sent to; empty for one of the stack's own
	slowMilliseconds  int    // the 99th percentile of calls above which there is an alarm
	concurrencyAlarm  int    // how many calls at once raise an alarm
	dashboard         bool   // whether there is a dashboard
	schedules         bool   // whether prune and rotate are started: not while a restored table is verified

	tableName           string // a table to take over; empty for a new one
	keyArn              string // the key of its values, to take over; empty for a new one
	backupRetentionDays int    // how long AWS Backup keeps a copy of each day; 0 for no copies
	backupVaultLock     string // who may remove copies earlier: none, governance or compliance

	replicaRegions map[string]peer // the deployments of other Regions that secrets may be replicated to

	minRotationInterval  time.Duration // the shortest interval between rotations that a secret may ask for
	rotationStepSeconds  int           // how long one call of a rotation function may take
	rotationsAtOnce      int           // how many rotations one run has under way
	rotationFunctionArns []string      // functions that may be called without the tag

	auditRetentionDays       int    // how long the audit trail keeps its records: a number as above
	auditRequired            bool   // whether a call fails when there can be no record of it
	auditSubscriptionArn     string // where records are sent on to; empty for nowhere
	auditSubscriptionRoleArn string // the role that CloudWatch Logs writes to a stream with

	// apiGatewayLogsRole is whether the stack sets the role API Gateway logs
	// with: see [newAccount].
	apiGatewayLogsRole bool
}

// retentions are the only numbers of days CloudWatch Logs takes.
var retentions = []int{
	1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731,
	1096, 1827, 2192, 2557, 2922, 3288, 3653,
}

var (
	stackNames = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)
	// A policy that names an alias gives no right to the key behind it.
	keyARNs   = regexp.MustCompile(`^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
	topicARNs = regexp.MustCompile(`^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$`)
	// Of a version or an alias the role has no use: it may call all of a function.
	functionARNs = regexp.MustCompile(`^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+$`)
	accounts     = regexp.MustCompile(`^[0-9]{12}$`)
	regions      = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	policyARNs   = regexp.MustCompile(`^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+$`)
	tableNames   = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)
	roleARNs     = regexp.MustCompile(`^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$`)
)

// What CloudWatch Logs sends a log group's events to: by itself, or with a role.
var (
	lambdaARNs      = regexp.MustCompile(`^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_-]+)?$`)
	destinationARNs = regexp.MustCompile(`^arn:[a-z-]+:logs:[a-z0-9-]+:[0-9]{12}:destination:[^:*]+$`)
	streamARNs      = regexp.MustCompile(`^arn:[a-z-]+:(kinesis:[a-z0-9-]+:[0-9]{12}:stream|firehose:[a-z0-9-]+:[0-9]{12}:deliverystream)/[A-Za-z0-9_.-]+$`)
)

const (
	// mostVersions is what the functions take as a number of versions.
	mostVersions = 1_000_000
	// mostPruneEveryMinutes is six hours: Lambda lets a start wait no longer, and
	// the alarm for missing runs looks back four times as long, which is a day.
	mostPruneEveryMinutes = 6 * 60
	// mostStepSeconds and mostRotationsAtOnce are what functions/rotate takes: the
	// four steps of a rotation have to fit into a run.
	mostStepSeconds     = 200
	mostRotationsAtOnce = 1000
	// A role has room for 10,240 characters of policies, a stack for 50 tags. Each
	// rotation function is named there twice.
	mostKeys              = 60
	mostRotationFunctions = 25
	mostTags              = 50
)

// What may keep copies in the backup vault from being removed before their time: nothing,
// IAM, or AWS itself, from when the lock can no longer be taken back.
const (
	lockNone       = "none"
	lockGovernance = "governance"
	lockCompliance = "compliance"
)

// readSettings reads the settings with lookup, which answers nil for a name
// that is not set, and says everything that is wrong with them at once. Names are all
// that are set, and current is where the credentials are of, as far as that is known.
func readSettings(lookup func(name string) any, names []string, current place) (settings, error) {
	r := reader{lookup: lookup}
	set := settings{
		stackName:              r.text("stackName"),
		account:                r.text("account"),
		region:                 r.text("region"),
		tags:                   r.pairs("tags", mostTags),
		permissionsBoundaryArn: r.text("permissionsBoundaryArn"),
		terminationProtection:  r.yes("terminationProtection"),

		policies:      r.text("policies"),
		allowEveryone: r.yes("allowEveryone"),
		breakGlassArn: r.text("breakGlassRoleArn"),

		logRetentionDays:   r.number("logRetentionDays", 1, 3653),
		dataKeySeconds:     r.number("dataKeySeconds", 0, 3_600),
		kmsKeyArns:         r.list("kmsKeyArns", mostKeys),
		tracing:            r.yes("tracing"),
		reach:              r.reach(),
		maxVersions:        r.number("maxVersions", 0, mostVersions),
		minAge:             r.duration("minAge"),
		versionQuota:       r.number("versionQuota", 0, mostVersions),
		pruneEveryMinutes:  r.number("pruneEveryMinutes", pruneMinutes, mostPruneEveryMinutes),
		alarmTopicArn:      r.text("alarmTopicArn"),
		slowMilliseconds:   r.number("slowMilliseconds", 1, 29_000),
		concurrencyAlarm:   r.number("concurrencyAlarm", 1, 100_000),
		schedules:          r.yes("schedules"),
		dashboard:          r.yes("dashboard"),
		apiGatewayLogsRole: r.yes("apiGatewayLogsRole"),

		tableName:           r.text("tableName"),
		keyArn:              r.text("keyArn"),
		backupRetentionDays: r.number("backupRetentionDays", 0, 36_500),
		backupVaultLock:     r.text("backupVaultLock"),

		replicaRegions: r.peers("replicaRegions"),

		minRotationInterval:  r.duration("minRotationInterval"),
		rotationStepSeconds:  r.number("rotationStepSeconds", 1, mostStepSeconds),
		rotationsAtOnce:      r.number("rotationsAtOnce", 1, mostRotationsAtOnce),
		rotationFunctionArns: r.list("rotationFunctionArns", mostRotationFunctions),

		auditRetentionDays:       r.number("auditRetentionDays", 1, 3653),
		auditRequired:            r.yes("auditRequired"),
		auditSubscriptionArn:     r.text("auditSubscriptionArn"),
		auditSubscriptionRoleArn: r.text("auditSubscriptionRoleArn"),
	}
	r.checkNames(names)
	r.check(stackNames.MatchString(set.stackName),
		"stackName must be letters, digits and hyphens, and begin with a letter")
	r.check(set.account == "" || accounts.MatchString(set.account), "account must be the 12 digits of an account, or empty")
	r.check(set.region == "" || regions.MatchString(set.region), "region must be a Region such as eu-central-1, or empty")
	for name := range set.tags {
		r.check(name != "" && !strings.HasPrefix(strings.ToLower(name), "aws:"), "tags: %q cannot be the name of a tag", name)
	}
	r.check(set.permissionsBoundaryArn == "" || policyARNs.MatchString(set.permissionsBoundaryArn),
		"permissionsBoundaryArn: %q is not the ARN of a managed policy", set.permissionsBoundaryArn)
	r.check(set.policies != "", "policies must name a file")
	r.check(set.breakGlassArn == "" || roleARNs.MatchString(set.breakGlassArn), "breakGlassRoleArn: %q is not the ARN of a role", set.breakGlassArn)
	r.check(set.keyArn == "" || set.breakGlassArn == "", "breakGlassRoleArn has no effect beside keyArn, whose policy is not the stack's: write the role into it")
	r.check(slices.Contains(retentions, set.logRetentionDays),
		"logRetentionDays must be one of %v", retentions)
	r.check(slices.Contains(retentions, set.auditRetentionDays),
		"auditRetentionDays must be one of %v", retentions)
	for _, arn := range set.kmsKeyArns {
		r.check(keyARNs.MatchString(arn), "kmsKeyArns: %q is not the ARN of a key", arn)
	}
	r.check(set.versionQuota == 0 || set.versionQuota > set.maxVersions,
		"versionQuota must be 0 or more than maxVersions: what is kept would be refused")
	r.check(set.alarmTopicArn == "" || topicARNs.MatchString(set.alarmTopicArn),
		"alarmTopicArn: %q is not the ARN of an SNS topic", set.alarmTopicArn)
	r.check(schedule.Shortest <= set.minRotationInterval && set.minRotationInterval <= schedule.Least,
		"minRotationInterval must be from %s to %s", schedule.Shortest, schedule.Least)
	for _, arn := range set.rotationFunctionArns {
		r.check(functionARNs.MatchString(arn), "rotationFunctionArns: %q is not the ARN of a function, without version or alias", arn)
	}
	r.checkSubscription(set.auditSubscriptionArn, set.auditSubscriptionRoleArn)
	r.checkStorage(set)
	r.checkReach(set.reach)
	r.checkPlaces(set, current)
	return set, errors.Join(r.wrong...)
}

// checkNames refuses a setting that there is none of: it would have no effect. Names
// with a colon or a slash are those of the CDK.
func (r *reader) checkNames(names []string) {
	for _, name := range names {
		r.check(slices.Contains(r.read, name) || name == "cli-telemetry" || strings.ContainsAny(name, ":/"),
			"%s: there is none of this name%s", name, spelling.DidYouMean(name, r.read))
	}
}

// checkStorage wants a table that is taken over together with its key: nothing in it
// opens with another.
func (r *reader) checkStorage(set settings) {
	r.check(set.tableName == "" || tableNames.MatchString(set.tableName), "tableName: %q is not the name of a table", set.tableName)
	r.check(set.keyArn == "" || keyARNs.MatchString(set.keyArn), "keyArn: %q is not the ARN of a key", set.keyArn)
	r.check(set.tableName == "" || set.keyArn != "", "keyArn must be set beside tableName: it is the key that the values in the table are sealed under")
	r.check(slices.Contains([]string{lockNone, lockGovernance, lockCompliance}, set.backupVaultLock),
		"backupVaultLock must be %s, %s or %s", lockNone, lockGovernance, lockCompliance)
	r.check(set.backupVaultLock == lockNone || set.backupRetentionDays > 0, "backupVaultLock needs backupRetentionDays")
}

// checkSubscription wants a role for what CloudWatch Logs cannot write to without,
// and none elsewhere, where nobody would take it.
func (r *reader) checkSubscription(arn, role string) {
	stream := streamARNs.MatchString(arn)
	r.check(arn == "" || stream || lambdaARNs.MatchString(arn) || destinationARNs.MatchString(arn),
		"auditSubscriptionArn: %q is not the ARN of a Lambda function, a Kinesis or Firehose stream or a destination of CloudWatch Logs", arn)
	r.check(role == "" || roleARNs.MatchString(role), "auditSubscriptionRoleArn: %q is not the ARN of a role", role)
	r.check(stream == (role != ""),
		"auditSubscriptionRoleArn must be set for a Kinesis or Firehose stream in auditSubscriptionArn, and for nothing else")
}

// A reader reads values as cdk.json has them, or as the strings that -c gives.
type reader struct {
	lookup func(name string) any
	read   []string // the names that were looked up
	wrong  []error
}

func (r *reader) value(name string) any {
	r.read = append(r.read, name)
	return r.lookup(name)
}

func (r *reader) check(ok bool, format string, args ...any) {
	if !ok {
		r.wrong = append(r.wrong, fmt.Errorf("setting "+format, args...))
	}
}

func (r *reader) text(name string) string {
	s, ok := r.value(name).(string)
	r.check(ok, "%s must be a string", name)
	return s
}

func (r *reader) number(name string, low, high int) int {
	v := r.value(name)
	if f, ok := v.(float64); ok { // as JSON has it, and fmt writes large ones with an exponent
		v = strconv.FormatFloat(f, 'f', -1, 64)
	}
	n, err := strconv.Atoi(fmt.Sprint(v))
	r.check(err == nil && low <= n && n <= high, "%s must be a whole number from %d to %d", name, low, high)
	return n
}

func (r *reader) duration(name string) time.Duration {
	d, err := secret.ParseDuration(fmt.Sprint(r.value(name)))
	r.check(err == nil && d >= 0, "%s must be a duration such as 7d, 24h or 90m", name)
	return d
}

func (r *reader) yes(name string) bool {
	s := fmt.Sprint(r.value(name))
	r.check(s == "true" || s == "false", "%s must be true or false", name)
	return s == "true"
}

// list is a list of at most so many texts.
func (r *reader) list(name string, most int) []string { return r.listOf(name, r.value(name), most) }

func (r *reader) listOf(name string, v any, most int) []string {
	var all []string
	switch v := v.(type) {
	case string:
		all = strings.FieldsFunc(v, func(c rune) bool { return c == ',' })
	case []any:
		for _, one := range v {
			all = append(all, fmt.Sprint(one))
		}
	default:
		r.check(false, "%s must be a list", name)
	}
	r.check(len(all) <= most, "%s has %d entries, and at most %d fit", name, len(all), most)
	return all
}

// pairs are at most so many names with values.
func (r *reader) pairs(name string, most int) map[string]string {
	v := r.value(name)
	all := map[string]string{}
	if object, ok := v.(map[string]any); ok {
		for key, value := range object {
			all[key] = fmt.Sprint(value)
		}
		r.check(len(all) <= most, "%s has %d entries, and at most %d fit", name, len(all), most)
		return all
	}
	for _, one := range r.listOf(name, v, most) {
		key, value, ok := strings.Cut(one, "=")
		r.check(ok, "%s must be an object, or text such as team=blue,stage=live", name)
		all[key] = value
	}
	return all
}
