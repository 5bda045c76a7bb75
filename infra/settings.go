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
)

// settings are what an operator may choose, in the context of cdk.json or for
// one run with -c name=value. There are no defaults here, so that cdk.json
// shows all that is in force.
type settings struct {
	stackName        string   // name of the stack
	logRetentionDays int      // how long log groups keep their events: a number CloudWatch Logs knows
	frontDoor        string   // what stands before functions/api: rest or url
	throttleRate     int      // requests a second, over all callers, that the stage lets through
	throttleBurst    int      // requests at once before that rate holds
	dataKeySeconds   int      // how long the function may remember a plain data key; 0 for not at all
	kmsKeyArns       []string // further KMS keys that secrets may name; with -c, separated by commas

	maxVersions  int           // how many versions without a label a secret keeps, at least
	minAge       time.Duration // how long it keeps each of them, at least
	versionQuota int           // with how many of them it refuses a put; 0 for never

	pruneEveryMinutes int    // how often the others are removed
	alarmTopicArn     string // the SNS topic that alarms are sent to; empty for none

	minRotationInterval  time.Duration // the shortest interval between rotations that a secret may ask for
	rotationStepSeconds  int           // how long one call of a rotation function may take
	rotationsAtOnce      int           // how many rotations one run has under way
	rotationFunctionArns []string      // functions that may be called without the tag; with -c, separated by commas

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
)

// readSettings reads the settings with lookup, which answers nil for a name
// that is not set, and says everything that is wrong with them at once.
func readSettings(lookup func(name string) any) (settings, error) {
	r := reader{lookup: lookup}
	set := settings{
		stackName:          r.text("stackName"),
		logRetentionDays:   r.number("logRetentionDays", 1, 3653),
		frontDoor:          r.text("frontDoor"),
		throttleRate:       r.number("throttleRate", 1, 10_000),
		throttleBurst:      r.number("throttleBurst", 1, 5_000),
		dataKeySeconds:     r.number("dataKeySeconds", 0, 3_600),
		kmsKeyArns:         r.list("kmsKeyArns"),
		maxVersions:        r.number("maxVersions", 0, mostVersions),
		minAge:             r.duration("minAge"),
		versionQuota:       r.number("versionQuota", 0, mostVersions),
		pruneEveryMinutes:  r.number("pruneEveryMinutes", pruneMinutes, mostPruneEveryMinutes),
		alarmTopicArn:      r.text("alarmTopicArn"),
		apiGatewayLogsRole: r.yes("apiGatewayLogsRole"),

		minRotationInterval:  r.duration("minRotationInterval"),
		rotationStepSeconds:  r.number("rotationStepSeconds", 1, mostStepSeconds),
		rotationsAtOnce:      r.number("rotationsAtOnce", 1, mostRotationsAtOnce),
		rotationFunctionArns: r.list("rotationFunctionArns"),

		auditRetentionDays:       r.number("auditRetentionDays", 1, 3653),
		auditRequired:            r.yes("auditRequired"),
		auditSubscriptionArn:     r.text("auditSubscriptionArn"),
		auditSubscriptionRoleArn: r.text("auditSubscriptionRoleArn"),
	}
	r.check(stackNames.MatchString(set.stackName),
		"stackName must be letters, digits and hyphens, and begin with a letter")
	r.check(set.frontDoor == frontREST || set.frontDoor == frontURL,
		"frontDoor must be %s, for API Gateway, or %s, for a function URL", frontREST, frontURL)
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
	return set, errors.Join(r.wrong...)
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
	wrong  []error
}

func (r *reader) check(ok bool, format string, args ...any) {
	if !ok {
		r.wrong = append(r.wrong, fmt.Errorf("setting "+format, args...))
	}
}

func (r *reader) text(name string) string {
	s, ok := r.lookup(name).(string)
	r.check(ok, "%s must be a string", name)
	return s
}

func (r *reader) number(name string, low, high int) int {
	v := r.lookup(name)
	if f, ok := v.(float64); ok { // as JSON has it, and fmt writes large ones with an exponent
		v = strconv.FormatFloat(f, 'f', -1, 64)
	}
	n, err := strconv.Atoi(fmt.Sprint(v))
	r.check(err == nil && low <= n && n <= high, "%s must be a whole number from %d to %d", name, low, high)
	return n
}

func (r *reader) duration(name string) time.Duration {
	d, err := secret.ParseDuration(fmt.Sprint(r.lookup(name)))
	r.check(err == nil && d >= 0, "%s must be a duration such as 7d, 24h or 90m", name)
	return d
}

func (r *reader) yes(name string) bool {
	s := fmt.Sprint(r.lookup(name))
	r.check(s == "true" || s == "false", "%s must be true or false", name)
	return s == "true"
}

func (r *reader) list(name string) []string {
	var all []string
	switch v := r.lookup(name).(type) {
	case string:
		all = strings.FieldsFunc(v, func(c rune) bool { return c == ',' })
	case []any:
		for _, one := range v {
			all = append(all, fmt.Sprint(one))
		}
	default:
		r.check(false, "%s must be a list", name)
	}
	return all
}
