package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	rotationLambda = "arn:aws:lambda:us-east-1:000000000000:function:rotate"
	rotationToken  = "5d41402abc4b2a76b9719d911017c592ae5c1f0a7b3e4d2f9c8b6a5d4e3f2a1b"
)

// Refusals of RotateSecret.
var (
	noFunction     = refusal{"InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."}
	notInvokable   = refusal{"AccessDeniedException", "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com."}
	incomplete     = refusal{"InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted."}
	bothRules      = refusal{"InvalidParameterException", "You cannot specify both rotation frequency and schedule expression together."}
	rotateNoToken  = refusal{"InvalidParameterException", "You must provide a ClientRequestToken value. We recommend a UUID-type value."}
	notItsToken    = refusal{"AccessDeniedException", "The rotation token is not valid for this version of the secret."}
	noPendingValue = refusal{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSPENDING"}
)

// A rotator notes what it is asked for, and runs nothing.
type rotator struct {
	mu       sync.Mutex
	refuses  map[string]error // by function
	fails    error            // of Start
	checked  []string
	started  []string
	starting func(arn string)
}

func (r *rotator) Check(_ context.Context, function string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checked = append(r.checked, function)
	return r.refuses[function]
}

func (r *rotator) Start(_ context.Context, arn string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started = append(r.started, arn)
	if r.starting != nil {
		r.starting(arn)
	}
	return r.fails
}

// asked is what the rotator was asked for since last: how often each.
func (r *rotator) asked() (checked, started int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	checked, started = len(r.checked), len(r.started)
	r.checked, r.started = nil, nil
	return checked, started
}

func withRotator(room *localtest.Room) *rotator {
	r := &rotator{}
	room.Server.Rotator = r
	return r
}

// rotateInput asks for a rotation by what is stored.
func rotateInput(name, version string) *secretsmanager.RotateSecretInput {
	return &secretsmanager.RotateSecretInput{SecretId: aws.String(name), ClientRequestToken: aws.String(token(version))}
}

// byFunction asks for a rotation every 30 days.
func byFunction(name, version string) *secretsmanager.RotateSecretInput {
	in := rotateInput(name, version)
	in.RotationLambdaARN = aws.String(rotationLambda)
	in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)}
	return in
}

func byRules(name, version string, rules types.RotationRulesType) *secretsmanager.RotateSecretInput {
	in := byFunction(name, version)
	in.RotationRules = &rules
	return in
}

// onlyTest asks for a test alone.
func onlyTest(in *secretsmanager.RotateSecretInput) *secretsmanager.RotateSecretInput {
	in.RotateImmediately = aws.Bool(false)
	return in
}

func rotate(t testing.TB, room *localtest.Room, in *secretsmanager.RotateSecretInput) *secretsmanager.RotateSecretOutput {
	t.Helper()
	return must(room.SDK.RotateSecret(t.Context(), in, once))(t)
}

func cancel(t testing.TB, room *localtest.Room, name string) *secretsmanager.CancelRotateSecretOutput {
	t.Helper()
	return must(room.SDK.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: aws.String(name)}, once))(t)
}

// runs does what the runner of a rotation does to the secret, at a time.
func runs(t testing.TB, room *localtest.Room, name string, decide func(secret.Secret) (secret.Change, error)) secret.Rotation {
	t.Helper()
	return must(room.Store.Update(t.Context(), secret.ID{Name: name}, decide))(t).Rotation
}

// lease takes the lease of a rotation, under rotationToken.
func lease(t testing.TB, room *localtest.Room, now time.Time, d time.Duration) {
	t.Helper()
	state := runs(t, room, "s", func(sec secret.Secret) (secret.Change, error) {
		return sec.Lease(secret.Lease{Runner: "runner", Proof: secret.ProofOf(rotationToken), Until: now.Add(d), Next: sec.Rotation.Next}, now), nil
	}).State
	if l, _ := state.(secret.Leased); l.Runner != "runner" {
		t.Fatalf("got no lease of %+v at %s", state, now)
	}
}

func rotated(t testing.TB, room *localtest.Room, now time.Time) {
	t.Helper()
	runs(t, room, "s", func(sec secret.Secret) (secret.Change, error) {
		return sec.Rotated("runner", sec.Rotation.Next, now)
	})
}

// giveUp fails each attempt of a rotation.
func giveUp(t testing.TB, room *localtest.Room, now time.Time) {
	t.Helper()
	for range secret.MaxAttempts {
		lease(t, room, now, time.Hour)
		runs(t, room, "s", func(sec secret.Secret) (secret.Change, error) { return sec.Failed("runner", "why", 0, now) })
	}
}

var noonInNovember = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestRotateSecretAnswer(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	r := withRotator(room)
	arn := *create(t, room, "s", "v1", "one").ARN
	out := rotate(t, room, byFunction("s", "N"))
	if *out.ARN != arn || *out.Name != "s" || *out.VersionId != token("N") {
		t.Errorf("got ARN %s, Name %s, VersionId %s", *out.ARN, *out.Name, *out.VersionId)
	}
	if !slices.Equal(r.checked, []string{rotationLambda}) || !slices.Equal(r.started, []string{arn}) {
		t.Errorf("got %q checked and %q started, want each once", r.checked, r.started)
	}
	create(t, room, "t", "v1", "one")
	_, body := room.Post(t, "RotateSecret", `{"SecretId":"t","ClientRequestToken":"`+token("N")+`","RotationLambdaARN":"`+rotationLambda+`"}`)
	checkMembers(t, body, "ARN", "Name", "VersionId")
}

// A rotation as its function sees it: what it finds before its first step, and what
// it does then.
func TestRotateSecretWholeRotation(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	withRotator(room)
	now := withClock(room, noonInNovember)
	create(t, room, "s", "v0", "zero")
	put(t, room, "s", "v1", "one")
	rotate(t, room, byFunction("s", "N"))
	lease(t, room, now.now, time.Minute)
	for _, room := range []*localtest.Room{room, room.Another(t)} {
		got := describe(t, room, "s")
		if got.RotationEnabled == nil || !*got.RotationEnabled || aws.ToString(got.RotationLambdaARN) != rotationLambda {
			t.Errorf("got RotationEnabled %v, RotationLambdaARN %v", got.RotationEnabled, got.RotationLambdaARN)
		}
		checkStages(t, room, "s", map[string]string{"v0": "AWSPREVIOUS", "v1": "AWSCURRENT", "N": "AWSPENDING"})
		for _, placeholder := range []struct {
			in   *secretsmanager.GetSecretValueInput
			want refusal
		}{
			{getInput("s", "N", "AWSPENDING"), noVersion("N")},
			{getInput("s", "N", ""), noVersion("N")},
			{getInput("s", "", "AWSPENDING"), noPendingValue},
		} {
			refuses(t, room, placeholder.want, func() (*secretsmanager.GetSecretValueOutput, error) {
				return room.SDK.GetSecretValue(t.Context(), placeholder.in)
			})
		}
	}
	if n := len(list(t, room, "s")); n != 2 {
		t.Errorf("got %d versions listed, want 2: one without a value is none", n)
	}

	in := putInput("s", "N", "new", "AWSPENDING")
	in.RotationToken = aws.String(rotationToken)
	for range 2 { // createSecret may be called again
		out := must(room.SDK.PutSecretValue(t.Context(), in))(t)
		if *out.VersionId != token("N") || join(out.VersionStages) != "AWSPENDING" {
			t.Errorf("got VersionId %s, VersionStages %q", *out.VersionId, out.VersionStages)
		}
	}
	if got := must(room.SDK.GetSecretValue(t.Context(), getInput("s", "N", "AWSPENDING")))(t); *got.SecretString != "new" {
		t.Errorf("got value %q, want new", *got.SecretString)
	}
	if got := *get(t, room, "s").SecretString; got != "one" {
		t.Errorf("got current value %q, want one still", got)
	}
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSCURRENT", "v1", "N")))(t)
	checkStages(t, room, "s", map[string]string{"v0": "", "v1": "AWSPREVIOUS", "N": "AWSCURRENT AWSPENDING"})

	now.now = now.now.Add(time.Minute)
	rotated(t, room, now.now)
	checkStages(t, room, "s", map[string]string{"v0": "", "v1": "AWSPREVIOUS", "N": "AWSCURRENT"})
	got := describe(t, room.Another(t), "s")
	if got.LastRotatedDate == nil || !got.LastRotatedDate.Equal(now.now) || !got.LastChangedDate.Equal(now.now) {
		t.Errorf("got LastRotatedDate %v and LastChangedDate %v, want %s", got.LastRotatedDate, got.LastChangedDate, now.now)
	}
	// And the next, which needs to be told nothing.
	rotate(t, room, rotateInput("s", "M"))
	checkStages(t, room, "s", map[string]string{"v0": "", "v1": "AWSPREVIOUS", "N": "AWSCURRENT", "M": "AWSPENDING"})
	again := describe(t, room, "s")
	if *again.RotationLambdaARN != rotationLambda || !reflect.DeepEqual(again.RotationRules, got.RotationRules) {
		t.Errorf("got RotationLambdaARN %s, RotationRules %+v", *again.RotationLambdaARN, again.RotationRules)
	}
}

// A secret may be rotated before it has a value: then the function makes the first,
// which is the current one when finishSecret says so.
func TestRotateSecretFirstValue(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	withRotator(room)
	now := withClock(room, noonInNovember)
	createEmpty(t, room, "s")
	rotate(t, room, byFunction("s", "N"))
	lease(t, room, now.now, time.Minute)
	checkStages(t, room, "s", map[string]string{"N": "AWSPENDING"})
	refuses(t, room, noStage("AWSCURRENT"), func() (*secretsmanager.GetSecretValueOutput, error) {
		return room.SDK.GetSecretValue(t.Context(), getInput("s", "", ""))
	})
	in := putInput("s", "N", "new", "AWSPENDING")
	in.RotationToken = aws.String(rotationToken)
	if out := must(room.SDK.PutSecretValue(t.Context(), in))(t); join(out.VersionStages) != "AWSPENDING" {
		t.Errorf("got VersionStages %q, want AWSPENDING alone", out.VersionStages)
	}
	for _, room := range []*localtest.Room{room, room.Another(t)} {
		checkStages(t, room, "s", map[string]string{"N": "AWSPENDING"})
		refuses(t, room, noStage("AWSCURRENT"), func() (*secretsmanager.GetSecretValueOutput, error) {
			return room.SDK.GetSecretValue(t.Context(), getInput("s", "", ""))
		})
		if got := must(room.SDK.GetSecretValue(t.Context(), getInput("s", "N", "AWSPENDING")))(t); *got.SecretString != "new" {
			t.Errorf("got value %q, want new", *got.SecretString)
		}
	}
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSCURRENT", "", "N")))(t)
	rotated(t, room, now.now)
	checkStages(t, room, "s", map[string]string{"N": "AWSCURRENT"})
}

func TestRotateSecretRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	const gone, broken = "arn:aws:lambda:us-east-1:000000000000:function:gone", "broken"
	r := withRotator(room)
	r.refuses = map[string]error{gone: secret.NotInvokable, broken: errors.New("no answer")}
	create(t, room, "s", "v1", "one")
	createEmpty(t, room, "empty")
	for _, name := range []string{"deleted", "rotating", "full", "stored"} {
		create(t, room, name, "v1", "one")
	}
	schedule(t, room, "deleted")
	rotate(t, room, byFunction("rotating", "N"))
	put(t, room, "full", "v2", "two", labelsUpTo(19)...)
	create(t, room, "nearly", "v1", "one")
	put(t, room, "nearly", "v2", "two", labelsUpTo(18)...)
	runs(t, room, "stored", func(sec secret.Secret) (secret.Change, error) {
		sec.Rotation = secret.Rotation{Enabled: true, Lambda: gone}
		return secret.Change{Secret: sec}, nil
	})
	by := func(in *secretsmanager.RotateSecretInput, function string) *secretsmanager.RotateSecretInput {
		in.RotationLambdaARN = aws.String(function)
		return in
	}
	rules := func(days int64, expression, duration string) *secretsmanager.RotateSecretInput {
		var rules types.RotationRulesType
		if days != 0 {
			rules.AutomaticallyAfterDays = aws.Int64(days)
		}
		if expression != "" {
			rules.ScheduleExpression = aws.String(expression)
		}
		if duration != "" {
			rules.Duration = aws.String(duration)
		}
		return byRules("s", "N", rules)
	}
	external := func(change func(*secretsmanager.RotateSecretInput)) *secretsmanager.RotateSecretInput {
		in := byFunction("s", "N")
		change(in)
		return in
	}
	notAvailable := refusal{"InvalidRequestException", "The rotation of managed external secrets is not available."}
	long := strings.Repeat("x", 2049)
	for _, test := range []struct {
		name string
		in   *secretsmanager.RotateSecretInput
		want refusal
	}{
		{"no function", rotateInput("s", "N"), noFunction},
		{"no function, of a secret without a value", rotateInput("empty", "N"), noFunction},
		{"no function, for a test", onlyTest(rotateInput("s", "N")), noFunction},
		{"no function, before the rules", by(rules(30, "rate(30 days)", ""), ""), noFunction},
		{"function not invokable", by(byFunction("s", "N"), gone), notInvokable},
		{"function not invokable, for a test", onlyTest(by(byFunction("s", "N"), gone)), notInvokable},
		{"function not invokable, of a secret without a value", by(byFunction("empty", "N"), gone), notInvokable},
		{"function not invokable, that is stored", rotateInput("stored", "N"), notInvokable},
		{"function not known to be invokable", by(byFunction("s", "N"), broken), serverFault},
		{"incomplete, before the function", by(byFunction("rotating", "M"), gone), incomplete},
		{"days and expression", rules(30, "rate(30 days)", ""), bothRules},
		{"days and expression, before the function", by(rules(30, "rate(30 days)", ""), gone), bothRules},
		{"days and expression, before what is incomplete", external(func(in *secretsmanager.RotateSecretInput) {
			in.SecretId, in.ClientRequestToken = aws.String("rotating"), aws.String(token("M"))
			in.RotationRules.ScheduleExpression = aws.String("rate(30 days)")
		}), bothRules},
		{"duration alone", rules(0, "", "3h"), refusal{"InvalidParameterException", "You can specify a rotation window duration only with a rotation frequency or a schedule expression."}},
		{"more often than every four hours", rules(0, "rate(3 hours)", ""), refusal{"InvalidParameterException", "The interval between rotations must be at least 4h."}},
		{"minutes", rules(0, "rate(10 minutes)", ""), refusal{"InvalidParameterException", "A rate() expression must be a number and the unit hours or days, such as rate(10 days)."}},
		{"no expression", rules(0, "every day", ""), refusal{"InvalidParameterException", "The schedule expression must be a rate() or a cron() expression."}},
		{"over the end of the day", rules(0, "cron(0 22 * * ? *)", "3h"), refusal{"InvalidParameterException", "The rotation window must not extend into the next UTC day."}},
		{"a 21st label", byFunction("full", "N"), limit},
		{"a 21st label, for a test", onlyTest(byFunction("full", "N")), limit},
		{"a 21st label in the end, AWSPREVIOUS", byFunction("nearly", "N"), limit},
		{"a 21st label in the end, for a test", onlyTest(byFunction("nearly", "N")), limit},
		{"unknown", byFunction("unknown", "N"), notFound},
		{"unknown, before the function", by(byFunction("unknown", "N"), gone), notFound},
		{"scheduled for deletion", byFunction("deleted", "N"), marked},
		{"scheduled for deletion, before the function", rotateInput("deleted", "N"), marked},
		{"scheduled for deletion, before the token", byFunction("deleted", "v1"), marked},
		{"bad name", byFunction("a b", "N"), invalidName},
		{"metadata of an external secret", external(func(in *secretsmanager.RotateSecretInput) {
			in.ExternalSecretRotationMetadata = []types.ExternalSecretRotationMetadataItem{{Key: aws.String("k"), Value: aws.String("v")}}
		}), notAvailable},
		{"role of an external secret", external(func(in *secretsmanager.RotateSecretInput) {
			in.ExternalSecretRotationRoleArn = aws.String("arn:aws:iam::000000000000:role/r")
		}), notAvailable},
		{"function of 2,049 characters", by(byFunction("s", "N"), long), violation("Value '" + long + "' at 'rotationLambdaARN' failed to satisfy constraint: Member must have length less than or equal to 2048")},
	} {
		t.Run(test.name, func(t *testing.T) {
			other := room.Another(t)
			other.Server.Rotator = r
			for _, room := range []*localtest.Room{room, other} {
				refuses(t, room, test.want, func() (*secretsmanager.RotateSecretOutput, error) {
					return room.SDK.RotateSecret(t.Context(), test.in, once)
				})
			}
		})
	}
	for _, started := range r.started {
		if !strings.Contains(started, ":rotating-") {
			t.Errorf("got %s started, want only what is to be reattempted", started)
		}
	}
}

// Without a token nothing else is looked at; the SDK would make one up.
func TestRotateSecretNeedsToken(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	create(t, room, "deleted", "v1", "one")
	schedule(t, room, "deleted")
	for _, members := range []string{
		`"SecretId":"s"`,
		`"SecretId":"s","ClientRequestToken":null`,
		`"SecretId":"s","RotationLambdaARN":"` + rotationLambda + `"`,
		`"SecretId":"s","RotationLambdaARN":"` + rotationLambda + `","RotateImmediately":false`,
		`"SecretId":"unknown"`,
		`"SecretId":"deleted"`,
		`"SecretId":"s","RotationRules":{"AutomaticallyAfterDays":1,"ScheduleExpression":"rate(1 day)"}`,
	} {
		refusesPost(t, room, "RotateSecret", `{`+members+`}`, rotateNoToken)
	}
}

// Limits of the members of nested structures, and values of the wrong type in them.
func TestRotateSecretNestedMembers(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	at := func(value, path, rule string) refusal {
		return violation("Value '" + value + "' at '" + path + "' failed to satisfy constraint: Member must " + rule)
	}
	notOf := func(path, kind string) refusal {
		return refusal{"SerializationException", "The value at '" + path + "' is not " + kind + "."}
	}
	const (
		days, expression, duration = "rotationRules.automaticallyAfterDays", "rotationRules.scheduleExpression", "rotationRules.duration"
		durations                  = "satisfy regular expression pattern: ^[0-9]+h$"
	)
	long := strings.Repeat("x", 257)
	for members, want := range map[string]refusal{
		`"RotationRules":{"AutomaticallyAfterDays":0}`:              at("0", days, "have value greater than or equal to 1"),
		`"RotationRules":{"AutomaticallyAfterDays":-1}`:             at("-1", days, "have value greater than or equal to 1"),
		`"RotationRules":{"AutomaticallyAfterDays":1001}`:           at("1001", days, "have value less than or equal to 1000"),
		`"RotationRules":{"ScheduleExpression":""}`:                 {"ValidationException", "2 validation errors detected: Value '' at '" + expression + "' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at '" + expression + `' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[0-9A-Za-z\(\)#\?\*\-\/, ]+$`},
		`"RotationRules":{"ScheduleExpression":"` + long + `"}`:     at(long, expression, "have length less than or equal to 256"),
		`"RotationRules":{"ScheduleExpression":"rate(1 day);"}`:     at("rate(1 day);", expression, `satisfy regular expression pattern: ^[0-9A-Za-z\(\)#\?\*\-\/, ]+$`),
		`"RotationRules":{"Duration":"3"}`:                          {"ValidationException", "2 validation errors detected: Value '3' at '" + duration + "' failed to satisfy constraint: Member must have length greater than or equal to 2; Value '3' at '" + duration + "' failed to satisfy constraint: Member must " + durations},
		`"RotationRules":{"Duration":"100h"}`:                       at("100h", duration, "have length less than or equal to 3"),
		`"RotationRules":{"Duration":"3m"}`:                         at("3m", duration, durations),
		`"ClientRequestToken":"short"`:                              at("short", "clientRequestToken", "have length greater than or equal to 32"),
		`"ClientRequestToken":"` + long[:65] + `"`:                  at(long[:65], "clientRequestToken", "have length less than or equal to 64"),
		`"ExternalSecretRotationRoleArn":"short"`:                   at("short", "externalSecretRotationRoleArn", "have length greater than or equal to 20"),
		`"ExternalSecretRotationMetadata":[{"Key":"k"}]`:            violation("Value null at 'externalSecretRotationMetadata.1.member.value' failed to satisfy constraint: Member must not be null"),
		`"RotationRules":[]`:                                        notOf("rotationRules", "a structure"),
		`"RotationRules":"rate(1 day)"`:                             notOf("rotationRules", "a structure"),
		`"RotationRules":30`:                                        notOf("rotationRules", "a structure"),
		`"RotationRules":{"AutomaticallyAfterDays":"30"}`:           notOf(days, "a whole number"),
		`"RotationRules":{"AutomaticallyAfterDays":1.5}`:            notOf(days, "a whole number"),
		`"RotationRules":{"AutomaticallyAfterDays":1e30}`:           notOf(days, "a whole number"),
		`"RotationRules":{"AutomaticallyAfterDays":{}}`:             notOf(days, "a whole number"),
		`"RotationRules":{"ScheduleExpression":30}`:                 notOf(expression, "a string"),
		`"RotationRules":{"Duration":["3h"]}`:                       notOf(duration, "a string"),
		`"RotateImmediately":"false"`:                               notOf("rotateImmediately", "a boolean"),
		`"RotateImmediately":0`:                                     notOf("rotateImmediately", "a boolean"),
		`"RotationLambdaARN":{}`:                                    notOf("rotationLambdaARN", "a string"),
		`"ExternalSecretRotationMetadata":{}`:                       notOf("externalSecretRotationMetadata", "a list"),
		`"ExternalSecretRotationMetadata":["k"]`:                    notOf("externalSecretRotationMetadata.1.member", "a structure"),
		`"RotationRules":{"Duration":3,"AutomaticallyAfterDays":0}`: notOf(duration, "a string"),
	} {
		body := `{"SecretId":"s",` + members
		if !strings.Contains(members, "ClientRequestToken") {
			body += `,"ClientRequestToken":"` + token("N") + `"`
		}
		refusesPost(t, room, "RotateSecret", body+`}`, want)
	}
	// What is null is not there.
	for i, members := range []string{
		`"RotationRules":null`,
		`"RotationRules":{"AutomaticallyAfterDays":null,"ScheduleExpression":null,"Duration":null}`,
		`"RotationRules":{}`,
		`"RotationRules":{"Unknown":1}`,
		`"RotateImmediately":null,"ExternalSecretRotationMetadata":null,"ExternalSecretRotationRoleArn":null`,
	} {
		name := fmt.Sprint("n", i)
		create(t, room, name, "v1", "one")
		answer, text := room.Post(t, "RotateSecret", `{"SecretId":"`+name+`","ClientRequestToken":"`+token("N")+`","RotationLambdaARN":"f",`+members+`}`)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", members, answer.StatusCode, text)
		}
		checkStages(t, room, name, map[string]string{"v1": "AWSCURRENT", "N": "AWSPENDING"})
		if got := describe(t, room, name); got.RotationRules != nil || got.NextRotationDate != nil {
			t.Errorf("%s: got RotationRules %+v, NextRotationDate %v, want none", members, got.RotationRules, got.NextRotationDate)
		}
	}
}

// A rotation that has not come to its end refuses the next, and is tried again.
func TestRotateSecretIncomplete(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		before  func(*testing.T, *localtest.Room, time.Time)
		pending string
		tried   bool // again, from the first attempt on
		started int
	}{
		{"begun", func(t *testing.T, room *localtest.Room, _ time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
		}, "N", false, 1}, // should the first start have been lost
		{"a runner has it", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			lease(t, room, now, time.Hour)
		}, "N", false, 0},
		{"its runner died", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			lease(t, room, now, 0)
		}, "N", false, 1},
		{"it waits", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			lease(t, room, now, time.Hour)
			runs(t, room, "s", func(sec secret.Secret) (secret.Change, error) {
				return sec.Failed("runner", "why", time.Hour, now)
			})
		}, "N", true, 1},
		{"given up", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			giveUp(t, room, now)
		}, "N", true, 1},
		{"given up, with a value", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			put(t, room, "s", "N", "new", "AWSPENDING")
			giveUp(t, room, now)
		}, "N", true, 1},
		{"AWSPENDING put by hand", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			put(t, room, "s", "hand", "new", "AWSPENDING")
		}, "hand", true, 1},
		{"a test", func(t *testing.T, room *localtest.Room, _ time.Time) {
			t.Helper()
			rotate(t, room, onlyTest(byFunction("s", "N")))
		}, "N", false, 1},
		{"turned off, with a value", func(t *testing.T, room *localtest.Room, _ time.Time) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			put(t, room, "s", "N", "new", "AWSPENDING")
			cancel(t, room, "s")
		}, "N", false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			r := withRotator(room)
			now := withClock(room, noonInNovember)
			create(t, room, "s", "v1", "one")
			test.before(t, room, now.now)
			before := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
			now.now = now.now.Add(time.Minute)
			other := room.Another(t)
			other.Server.Rotator, other.Server.Now = r, now.Now
			for i, room := range []*localtest.Room{room, other} {
				r.asked()
				in := byRules("s", "M", types.RotationRulesType{ScheduleExpression: aws.String("rate(1 day)")})
				in.RotationLambdaARN = aws.String("another")
				// One that is to wait for its schedule does not have the other one tried again.
				same := dump(t, room)
				patient := byFunction("s", "M")
				patient.RotateImmediately = aws.Bool(false)
				_, err := room.SDK.RotateSecret(t.Context(), patient, once)
				checkRefused(t, err, incomplete)
				checkSame(t, same, dump(t, room))
				if _, started := r.asked(); started != 0 {
					t.Errorf("got %d started by a request for a test, want none", started)
				}
				_, err = room.SDK.RotateSecret(t.Context(), in, once)
				checkRefused(t, err, incomplete)
				if _, started := r.asked(); started != test.started {
					t.Errorf("got %d started, want %d", started, test.started)
				}
				want := before
				if test.tried {
					want.Rotation.State = secret.Waiting{Run: secret.Run{Version: token(test.pending), From: token("v1")}, Due: now.now}
					want.Revision, want.Rotation.Abandoned = before.Revision+1, ""
				}
				got := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
				if want.Commit, want.Past = got.Commit, got.Past; !reflect.DeepEqual(got, want) {
					t.Errorf("call %d: got  %+v\nwant %+v", i+1, got, want)
				}
			}
		})
	}
}

// A rotation that failed before it had a value, and was cancelled, makes room for
// another. Terraform's tests do just this with a secret without a value (recorded).
func TestRotateSecretAfterCancel(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"v1", ""} {
		for _, test := range []bool{false, true} {
			room := localtest.New(t)
			r := withRotator(room)
			now := withClock(room, noonInNovember)
			want := map[string]string{"M": "AWSPENDING"}
			if first == "" {
				createEmpty(t, room, "s")
			} else {
				create(t, room, "s", first, "one")
				want[first] = "AWSCURRENT"
			}
			rotate(t, room, byFunction("s", "N"))
			giveUp(t, room, now.now)
			cancel(t, room, "s")
			other := room.Another(t)
			other.Server.Rotator, other.Server.Now = r, now.Now
			r.asked()
			in := rotateInput("s", "M")
			if test {
				in = onlyTest(in)
				if first == "" { // nothing to test with
					want = map[string]string{"N": "AWSPENDING"}
				}
			}
			rotate(t, other, in)
			checkStages(t, room, "s", want)
			if _, started := r.asked(); started != 1 && want["M"] != "" {
				t.Errorf("first version %q, test %t: got %d started, want 1", first, test, started)
			}
			if got := describe(t, room, "s"); !*got.RotationEnabled || *got.RotationRules.AutomaticallyAfterDays != 30 {
				t.Errorf("first version %q, test %t: got RotationEnabled %t, RotationRules %+v; want true and those stored", first, test, *got.RotationEnabled, got.RotationRules)
			}
		}
	}
}

// A value that is put while it is decided that there is none is not passed over.
func TestRotateSecretAfterCancelBesidePut(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	rotate(t, room, byFunction("s", "N"))
	cancel(t, room, "s")
	other := room.Another(t)
	other.Wire.Break("TransactWriteItems", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		put(t, room, "s", "N", "new", "AWSPENDING")
		return do()
	})
	_, err := other.SDK.RotateSecret(t.Context(), rotateInput("s", "M"), once)
	checkRefused(t, err, incomplete)
	checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT", "N": "AWSPENDING"})
}

// Rules that say nothing leave those that are stored.
func TestRotateSecretKeepsRules(t *testing.T) {
	t.Parallel()
	for _, rules := range []string{`null`, `{}`, `{"AutomaticallyAfterDays":null,"ScheduleExpression":null,"Duration":null}`} {
		room := localtest.New(t)
		room.Server.MinRotationInterval = time.Minute
		now := withClock(room, noonInNovember)
		create(t, room, "s", "v1", "one")
		rotate(t, room, onlyTest(byRules("s", "v1x", types.RotationRulesType{ScheduleExpression: aws.String("rate(10 minutes)")})))
		cancel(t, room, "s")
		before := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t).Rotation
		// What was taken once is not measured by the interval of today.
		room.Server.MinRotationInterval = 0
		now.now = now.now.Add(time.Hour)
		answer, text := room.Post(t, "RotateSecret", `{"SecretId":"s","ClientRequestToken":"`+token("N")+`","RotationRules":`+rules+`}`)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", rules, answer.StatusCode, text)
		}
		got := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t).Rotation
		if got.Rules != before.Rules || !got.Anchor.Equal(before.Anchor) || !got.Enabled {
			t.Errorf("%s: got %+v, want the rules of %+v", rules, got, before)
		}
	}
}

// A rotation left over by a cancellation can be cleaned up by hand, as AWS has it.
func TestRotateSecretAfterCleanUp(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	rotate(t, room, byFunction("s", "N"))
	cancel(t, room, "s")
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSPENDING", "N", "")))(t)
	rotate(t, room, rotateInput("s", "M"))
	checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT", "M": "AWSPENDING"})
	if got := describe(t, room, "s"); !*got.RotationEnabled || *got.RotationLambdaARN != rotationLambda {
		t.Errorf("got RotationEnabled %t, RotationLambdaARN %s", *got.RotationEnabled, *got.RotationLambdaARN)
	}
}

// The same token gives the same answer, whatever else is in the request and whatever
// has become of its version, and nothing is begun twice.
func TestRotateSecretAgain(t *testing.T) {
	t.Parallel()
	finish := func(t *testing.T, room *localtest.Room, now time.Time) {
		t.Helper()
		lease(t, room, now, time.Hour)
		put(t, room, "s", "N", "new", "AWSPENDING")
		must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSCURRENT", "v1", "N")))(t)
		rotated(t, room, now)
	}
	tested := func(t *testing.T, room *localtest.Room, now time.Time) {
		t.Helper()
		lease(t, room, now, time.Hour)
		rotated(t, room, now)
	}
	for _, test := range []struct {
		name    string
		since   func(*testing.T, *localtest.Room, time.Time)
		started int
	}{
		{"at once", func(*testing.T, *localtest.Room, time.Time) {}, 1}, // the first start may have been lost
		{"while a runner has it", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			lease(t, room, now, time.Hour)
		}, 0},
		{"with its value", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			lease(t, room, now, time.Hour)
			put(t, room, "s", "N", "new", "AWSPENDING")
		}, 0},
		{"given up", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			giveUp(t, room, now)
		}, 0},
		{"rotated", finish, 0},
		{"rotated, and its version is AWSPREVIOUS", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			finish(t, room, now)
			put(t, room, "s", "v2", "two")
		}, 0},
		{"rotated, and its version is deprecated", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			finish(t, room, now)
			put(t, room, "s", "v2", "two")
			put(t, room, "s", "v3", "three")
		}, 0},
		{"cancelled", func(t *testing.T, room *localtest.Room, _ time.Time) {
			t.Helper()
			cancel(t, room, "s")
		}, 0},
		{"cancelled, and the label taken off", func(t *testing.T, room *localtest.Room, _ time.Time) {
			t.Helper()
			cancel(t, room, "s")
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSPENDING", "N", "")))(t)
		}, 0},
		{"abandoned before it had a value", func(t *testing.T, room *localtest.Room, _ time.Time) {
			t.Helper()
			put(t, room, "s", "v2", "two")
		}, 0},
		{"abandoned with its value", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			lease(t, room, now, time.Hour)
			put(t, room, "s", "N", "new", "AWSPENDING")
			put(t, room, "s", "v2", "two")
		}, 0},
		{"test: at once", func(*testing.T, *localtest.Room, time.Time) {}, 1},
		{"test: after it went well", tested, 0},
		{"test: cancelled after it went well", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			tested(t, room, now)
			cancel(t, room, "s")
		}, 0},
		{"test: given up", func(t *testing.T, room *localtest.Room, now time.Time) {
			t.Helper()
			giveUp(t, room, now)
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			r := withRotator(room)
			now := withClock(room, noonInNovember)
			create(t, room, "s", "v1", "one")
			asked := byFunction("s", "N")
			if strings.HasPrefix(test.name, "test: ") {
				onlyTest(asked)
			}
			first := rotate(t, room, asked)
			test.since(t, room, now.now)
			now.now = now.now.Add(time.Second)
			before := dump(t, room)
			other := room.Another(t)
			other.Server.Rotator, other.Server.Now = r, now.Now
			for _, room := range []*localtest.Room{room, other} {
				r.asked()
				for _, in := range []*secretsmanager.RotateSecretInput{asked, byRules("s", "N", types.RotationRulesType{ScheduleExpression: aws.String("rate(1 day)")})} {
					again := rotate(t, room, in)
					if *again.ARN != *first.ARN || *again.Name != *first.Name || *again.VersionId != *first.VersionId {
						t.Errorf("got ARN %s, Name %s, VersionId %s", *again.ARN, *again.Name, *again.VersionId)
					}
				}
				if _, started := r.asked(); started != 2*test.started {
					t.Errorf("got %d started, want %d", started, 2*test.started)
				}
			}
			checkSame(t, before, dump(t, room))
		})
	}
}

// A token that is a version already, but not of the last request, is refused: nothing
// is begun, and the caller is not told that its rotation was.
func TestRotateSecretTokenOfVersion(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	r := withRotator(room)
	now := withClock(room, noonInNovember)
	arn := *create(t, room, "s", "v1", "one").ARN
	rotate(t, room, byFunction("s", "N"))
	lease(t, room, now.now, time.Hour)
	put(t, room, "s", "N", "new", "AWSPENDING")
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSCURRENT", "v1", "N")))(t)
	rotated(t, room, now.now)
	put(t, room, "s", "v2", "two", "mine")
	rotate(t, room, onlyTest(rotateInput("s", "M")))
	cancel(t, room, "s")
	put(t, room, "s", "v3", "three")
	before := dump(t, room)
	r.asked()
	for version, state := range map[string]string{"v1": "deprecated", "N": "of the rotation before, previous", "v2": "with a label", "v3": "current"} {
		want := refusal{"InvalidParameterException", "You can't use ClientRequestToken " + token(version) + " because that value is already in use for a version of secret " + arn + "."}
		for _, in := range []*secretsmanager.RotateSecretInput{rotateInput("s", version), byFunction("s", version), onlyTest(rotateInput("s", version))} {
			other := room.Another(t)
			other.Server.Rotator, other.Server.Now = r, now.Now
			for _, room := range []*localtest.Room{room, other} {
				_, err := room.SDK.RotateSecret(t.Context(), in, once)
				if checkRefused(t, err, want); t.Failed() {
					t.Fatalf("%s, %s", version, state)
				}
			}
		}
	}
	if _, started := r.asked(); started != 0 {
		t.Errorf("got %d started, want none", started)
	}
	checkSame(t, before, dump(t, room))
	rotate(t, room, rotateInput("s", "M")) // the last request again, whose copy is gone
	checkSame(t, before, dump(t, room))
}

// With RotateImmediately false there is a copy of the current value under
// AWSPENDING, until the function has tested it.
func TestRotateSecretTest(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for _, test := range []struct {
		name string
		in   *secretsmanager.CreateSecretInput
	}{
		{"string", createInput("s", "v1", "one")},
		{"binary", &secretsmanager.CreateSecretInput{Name: aws.String("s"), ClientRequestToken: aws.String(token("v1")), SecretBinary: []byte{0, 255}}},
		{"another key", &secretsmanager.CreateSecretInput{Name: aws.String("s"), ClientRequestToken: aws.String(token("v1")), SecretString: aws.String("one"), KmsKeyId: aws.String(key)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			r := withRotator(room)
			now := withClock(room, noonInNovember)
			must(room.SDK.CreateSecret(t.Context(), test.in))(t)
			other := room.Another(t)
			other.Server.Rotator, other.Server.Now = r, now.Now
			for i, room := range []*localtest.Room{room, other} {
				version := fmt.Sprint("N", i)
				out := rotate(t, room, onlyTest(byFunction("s", version)))
				if *out.VersionId != token(version) {
					t.Errorf("got VersionId %s, want %s", *out.VersionId, version)
				}
				if _, started := r.asked(); started != 1 {
					t.Errorf("got %d started, want 1", started)
				}
				checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT", version: "AWSPENDING"})
				current := get(t, room, "s")
				for _, reader := range []*localtest.Room{room, room.Another(t)} {
					tested := must(reader.SDK.GetSecretValue(t.Context(), getInput("s", version, "AWSPENDING")))(t)
					if aws.ToString(tested.SecretString) != aws.ToString(current.SecretString) || !slices.Equal(tested.SecretBinary, current.SecretBinary) {
						t.Errorf("got the copy %q %v, want the current value", aws.ToString(tested.SecretString), tested.SecretBinary)
					}
				}
				for _, v := range list(t, room, "s") {
					if keys := list(t, room, "s")[0].KmsKeyIds; !slices.Equal(v.KmsKeyIds, keys) {
						t.Errorf("got version %s under %v, want %v", short(*v.VersionId), v.KmsKeyIds, keys)
					}
				}
				lease(t, room, now.now, time.Hour)
				if i == 0 {
					rotated(t, room, now.now)
				} else {
					cancel(t, room, "s")
				}
				checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT"})
				for _, reader := range []*localtest.Room{room, room.Another(t)} {
					refuses(t, reader, noVersion(version), func() (*secretsmanager.GetSecretValueOutput, error) {
						return reader.SDK.GetSecretValue(t.Context(), getInput("s", version, ""))
					})
				}
				if got := describe(t, room, "s"); *got.RotationEnabled != (i == 0) || got.LastRotatedDate != nil || (got.NextRotationDate != nil) != (i == 0) {
					t.Errorf("got RotationEnabled %t, LastRotatedDate %v, NextRotationDate %v", *got.RotationEnabled, got.LastRotatedDate, got.NextRotationDate)
				}
			}
		})
	}
}

// Without a value there is nothing to test with, and function and rules are kept.
func TestRotateSecretTestWithoutValue(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	r := withRotator(room)
	createEmpty(t, room, "s")
	rotate(t, room, onlyTest(byFunction("s", "N")))
	checkStages(t, room, "s", map[string]string{})
	got := describe(t, room, "s")
	if !*got.RotationEnabled || *got.RotationLambdaARN != rotationLambda || *got.RotationRules.AutomaticallyAfterDays != 30 {
		t.Errorf("got %+v", got)
	}
	if checked, started := r.asked(); checked != 1 || started != 0 {
		t.Errorf("got %d checked and %d started, want the first alone", checked, started)
	}
	// A rotation then is as any other.
	rotate(t, room, rotateInput("s", "M"))
	checkStages(t, room, "s", map[string]string{"M": "AWSPENDING"})
	_, err := room.SDK.RotateSecret(t.Context(), rotateInput("s", "L"), once)
	checkRefused(t, err, incomplete)
}

// A value that becomes current while its copy is made is the one that is copied.
func TestRotateSecretTestOfNewestValue(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	other := room.Another(t)
	create(t, room, "s", "v1", "one")
	overtaken := func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		put(t, other, "s", "v2", "two")
		return do()
	}
	room.Wire.Break("TransactWriteItems", overtaken)
	rotate(t, room, onlyTest(byFunction("s", "N")))
	checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT", "N": "AWSPENDING"})
	if got := *getVersion(t, room, "s", "N").SecretString; got != "two" {
		t.Errorf("got the copy %q, want two", got)
	}
}

// The members that tell of rotation, in DescribeSecret and ListSecrets.
func TestRotationMembers(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	withRotator(room)
	now := withClock(room, noonInNovember)
	create(t, room, "s", "v1", "one")
	always := []string{"ARN", "Name", "CreatedDate", "LastChangedDate"}
	check := func(state string, want ...string) {
		t.Helper()
		_, body := room.Post(t, "DescribeSecret", `{"SecretId":"s"}`)
		checkMembers(t, body, slices.Concat(always, []string{"VersionIdsToStages"}, want)...)
		_, body = room.Post(t, "ListSecrets", `{"IncludePlannedDeletion":true}`)
		body = strings.TrimSuffix(strings.TrimPrefix(body, `{"SecretList":[`), `]}`)
		checkMembers(t, body, slices.Concat(always, []string{"SecretVersionsToStages"}, want)...)
		if t.Failed() {
			t.Fatal(state)
		}
	}
	configured := []string{"RotationEnabled", "RotationLambdaARN", "RotationRules"}
	scheduled := append(configured, "NextRotationDate") //nolint:gocritic // configured has no room
	check("before")
	rotate(t, room, byFunction("s", "N"))
	check("during", scheduled...)
	lease(t, room, now.now, time.Hour)
	put(t, room, "s", "N", "new")
	rotated(t, room, now.now)
	check("after", append(scheduled, "LastRotatedDate")...)
	got := describe(t, room, "s")
	listed := must(room.SDK.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}))(t).SecretList[0]
	if !*listed.RotationEnabled || *listed.RotationLambdaARN != rotationLambda || !reflect.DeepEqual(listed.RotationRules, got.RotationRules) ||
		!listed.LastRotatedDate.Equal(*got.LastRotatedDate) || !listed.NextRotationDate.Equal(*got.NextRotationDate) {
		t.Errorf("got %+v listed, want as described: %+v", listed, got)
	}
	schedule(t, room, "s")
	always = append(always, "DeletedDate")
	list := &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)}
	check("scheduled for deletion", append(configured, "LastRotatedDate")...)
	if got, listed := describe(t, room, "s"), must(room.SDK.ListSecrets(t.Context(), list))(t).SecretList[0]; *got.RotationEnabled || *listed.RotationEnabled {
		t.Errorf("got RotationEnabled %t, listed %t of a secret scheduled for deletion, want false", *got.RotationEnabled, *listed.RotationEnabled)
	}
	must(room.SDK.RestoreSecret(t.Context(), restoreInput("s")))(t)
	always = always[:len(always)-1]
	check("restored", append(scheduled, "LastRotatedDate")...)
	if got := describe(t, room, "s"); !*got.RotationEnabled {
		t.Error("got RotationEnabled false of a restored secret, want true")
	}
	cancel(t, room, "s")
	check("cancelled", append(configured, "LastRotatedDate")...)
	if got := describe(t, room, "s"); *got.RotationEnabled || *got.RotationLambdaARN != rotationLambda || *got.RotationRules.AutomaticallyAfterDays != 30 {
		t.Errorf("got %+v, want function and rules as they were", got)
	}
	create(t, room, "t", "v1", "one")
	rotate(t, room, func() *secretsmanager.RotateSecretInput {
		in := rotateInput("t", "N")
		in.RotationLambdaARN = aws.String("f")
		return in
	}())
	_, body := room.Post(t, "DescribeSecret", `{"SecretId":"t"}`)
	checkMembers(t, body, slices.Concat(always, []string{"VersionIdsToStages", "RotationEnabled", "RotationLambdaARN"})...)
}

// The next rotation by each kind of rule: the last second of its window.
func TestNextRotationDate(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	withClock(room, noonInNovember) // a Saturday
	at := func(month time.Month, day, hour int) time.Time {
		return time.Date(2026, month, day, hour, 59, 59, 0, time.UTC)
	}
	for i, test := range []struct {
		days                 int64
		expression, duration string
		want                 time.Time
		shown                int64 // days
	}{
		{30, "", "", at(time.December, 21, 23), 30},
		{1, "", "", at(time.November, 22, 23), 1},
		{30, "", "3h", at(time.December, 21, 2), 30},
		{0, "rate(10 days)", "", at(time.December, 1, 23), 10},
		{0, "rate(10 days)", "6h", at(time.December, 1, 5), 10},
		{0, "rate(10 hours)", "", at(time.November, 21, 20), 1},
		{0, "rate(12 hours)", "2h", at(time.November, 22, 1), 1},
		{0, "rate(30 hours)", "", at(time.November, 22, 6), 2},
		{0, "cron(0 16 1,15 * ? *)", "", at(time.December, 1, 23), 14},
		{0, "cron(0 16 1,15 * ? *)", "2h", at(time.December, 1, 17), 14},
		{0, "cron(0 8 ? * MON *)", "4h", at(time.November, 23, 11), 7},
		{0, "cron(0 0 L * ? *)", "", at(time.November, 30, 23), 31},
		{0, "cron(0 1 ? 12 3#2 *)", "1h", at(time.December, 8, 1), 371},
	} {
		name := fmt.Sprint("s", i)
		create(t, room, name, "v1", "one")
		rules := types.RotationRulesType{}
		want := types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(test.shown)}
		if test.days != 0 {
			rules.AutomaticallyAfterDays = aws.Int64(test.days)
		}
		if test.expression != "" {
			rules.ScheduleExpression = aws.String(test.expression)
		}
		if test.duration != "" {
			rules.Duration = aws.String(test.duration)
		}
		want.ScheduleExpression, want.Duration = rules.ScheduleExpression, rules.Duration
		rotate(t, room, byRules(name, "N", rules))
		got := describe(t, room, name)
		if got.NextRotationDate == nil || !got.NextRotationDate.Equal(test.want) {
			t.Errorf("%d days, %s %s: got NextRotationDate %v, want %s", test.days, test.expression, test.duration, got.NextRotationDate, test.want)
		}
		if !reflect.DeepEqual(*got.RotationRules, want) {
			t.Errorf("%d days, %s %s: got RotationRules %s, want %s", test.days, test.expression, test.duration, rulesText(*got.RotationRules), rulesText(want))
		}
	}
}

func rulesText(r types.RotationRulesType) string {
	return fmt.Sprintf("%d days, %s %s", aws.ToInt64(r.AutomaticallyAfterDays), aws.ToString(r.ScheduleExpression), aws.ToString(r.Duration))
}

// A deployment may allow shorter intervals; rules that it took once it does not
// refuse when they are only used.
func TestMinRotationInterval(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, noonInNovember)
	room.Server.MinRotationInterval = time.Minute
	create(t, room, "s", "v1", "one")
	often := types.RotationRulesType{ScheduleExpression: aws.String("rate(10 minutes)")}
	rotate(t, room, byRules("s", "N", often))
	if got, want := describe(t, room, "s").NextRotationDate, noonInNovember.Add(20*time.Minute-time.Second); got == nil || !got.Equal(want) {
		t.Errorf("got NextRotationDate %v, want %s", got, want)
	}
	lease(t, room, now.now, time.Hour)
	put(t, room, "s", "N", "new")
	rotated(t, room, now.now)

	usual := room.Another(t)
	usual.Server.Now = now.Now
	_, err := usual.SDK.RotateSecret(t.Context(), byRules("s", "M", often), once)
	checkRefused(t, err, refusal{"InvalidParameterException", "A rate() expression must be a number and the unit hours or days, such as rate(10 days)."})
	rotate(t, usual, rotateInput("s", "M"))
	checkStages(t, usual, "s", map[string]string{"v1": "AWSPREVIOUS", "N": "AWSCURRENT", "M": "AWSPENDING"})
}

// A rotation that cannot be started is one that the schedule finds, and the caller
// has it.
func TestRotateSecretNotStarted(t *testing.T) {
	t.Parallel()
	room, log := logged(t, localtest.New(t))
	r := withRotator(room)
	r.fails = errors.New("no answer")
	create(t, room, "s", "v1", "one")
	answer := serve(room, "RotateSecret", `{"SecretId":"s","ClientRequestToken":"`+token("N")+`","RotationLambdaARN":"f"}`)
	if answer.Code != http.StatusOK {
		t.Errorf("got %d %s, want 200", answer.Code, answer.Body)
	}
	if !strings.Contains(log.String(), `"level":"WARN","msg":"rotation is left to the schedule","secret":"s","error":"no answer"`) {
		t.Errorf("got no warning in the log: %s", log)
	}
	checkStages(t, room, "s", map[string]string{"v1": "AWSCURRENT", "N": "AWSPENDING"})
	// A server that has nobody to start them leaves all to the schedule.
	room.Server.Rotator = nil
	create(t, room, "t", "v1", "one")
	rotate(t, room, byFunction("t", "N"))
	checkStages(t, room, "t", map[string]string{"v1": "AWSCURRENT", "N": "AWSPENDING"})
}

// What an engine fails at is ours, and nothing is written or started; what may have
// happened is found again.
func TestRotateSecretFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		test     bool
		call     string
		faults   []localtest.Fault
		want     refusal // none where it comes out well
		happened bool
	}{
		{"commit cut", false, "TransactWriteItems", many(localtest.Cut), serverFault, false},
		{"commit throttled", false, "TransactWriteItems", many(localtest.Refuse(400, "ThrottlingException")), rateExceeded, false},
		{"commit cut once", false, "TransactWriteItems", times(1, localtest.Cut), refusal{}, true},
		{"conflict of the note", false, "TransactWriteItems", []localtest.Fault{localtest.Cancel("None", "TransactionConflict", "None")}, refusal{}, true},
		{"conflict of the placeholder", false, "TransactWriteItems", []localtest.Fault{localtest.Cancel("None", "None", "TransactionConflict")}, refusal{}, true},
		{"answer lost once", false, "TransactWriteItems", times(1, localtest.LoseAnswer), refusal{}, true},
		{"answer lost once, and the engine forgot", false, "TransactWriteItems", []localtest.Fault{localtest.LoseAnswer, forgotten}, refusal{}, true},
		{"answer lost", false, "TransactWriteItems", times(attempts, localtest.LoseAnswer), serverFault, true},
		{"head not read", false, "GetItem", many(localtest.Cut), serverFault, false},
		{"test: commit cut", true, "TransactWriteItems", many(localtest.Cut), serverFault, false},
		{"test: answer lost once, and the engine forgot", true, "TransactWriteItems", []localtest.Fault{localtest.LoseAnswer, forgotten}, refusal{}, true},
		{"test: answer lost", true, "TransactWriteItems", times(attempts, localtest.LoseAnswer), serverFault, true},
		{"test: value not read", true, "GetItem", append([]localtest.Fault{passes}, many(localtest.Cut)...), serverFault, false},
		{"test: value not opened", true, "Decrypt", many(localtest.Cut), serverFault, false},
		{"test: copy not sealed", true, "GenerateDataKey", many(localtest.Cut), serverFault, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			first := localtest.New(t)
			create(t, first, "s", "v1", "one")
			room := first.Another(t)
			r := withRotator(room)
			in := byFunction("s", "N")
			if test.test {
				onlyTest(in)
			}
			before := dump(t, room)
			room.Wire.Break(test.call, test.faults...)
			_, err := room.SDK.RotateSecret(t.Context(), in, once)
			_, started := r.asked()
			if test.want == (refusal{}) {
				if err != nil || started != 1 {
					t.Errorf("got error %v and %d started, want none and 1", err, started)
				}
			} else if checkRefused(t, err, test.want); started != 0 {
				t.Errorf("got %d started, want none", started)
			}
			if !test.happened {
				checkSame(t, before, dump(t, room))
			}
			again := room.Another(t)
			again.Server.Rotator = r
			if out := rotate(t, again, in); *out.VersionId != token("N") {
				t.Errorf("got VersionId %s, want N", *out.VersionId)
			}
			if _, started := r.asked(); started != 1 {
				t.Errorf("got %d started the second time, want 1: the first was not run yet", started)
			}
			checkStages(t, again, "s", map[string]string{"v1": "AWSCURRENT", "N": "AWSPENDING"})
		})
	}
}

// passes makes the call.
func passes(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) { return do() }

// Of rotations that are asked for at once, one is begun.
func TestRotateSecretAtOnce(t *testing.T) {
	t.Parallel()
	const callers = 12
	for _, test := range []struct {
		name  string
		token func(int) string
		won   int
	}{
		{"with tokens of their own", func(i int) string { return fmt.Sprint("N", i) }, 1},
		{"with one token", func(int) string { return "N" }, callers},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			first := localtest.New(t)
			create(t, first, "s", "v1", "one")
			rooms := []*localtest.Room{first, first.Another(t)}
			var wg sync.WaitGroup
			won := make([]string, callers)
			for i := range callers {
				wg.Go(func() {
					out, err := rooms[i%2].SDK.RotateSecret(t.Context(), byFunction("s", test.token(i)), once)
					if err != nil {
						checkRefused(t, err, incomplete)
						return
					}
					won[i] = *out.VersionId
				})
			}
			wg.Wait()
			winners := slices.DeleteFunc(won, func(id string) bool { return id == "" })
			if len(winners) != test.won || len(slices.Compact(slices.Clone(winners))) != 1 {
				t.Fatalf("got %q begun, want %d answers of one version", winners, test.won)
			}
			checkStages(t, first, "s", map[string]string{"v1": "AWSCURRENT", short(winners[0]): "AWSPENDING"})
			sec := must(first.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
			if run := sec.Rotation.Run(); run.Version != winners[0] || run.Attempts != 0 || sec.Versions != 1 {
				t.Errorf("got %+v and %d versions, want the rotation of %s", run, sec.Versions, winners[0])
			}
		})
	}
}

// Rotations, cancellations and puts of one secret at once: all is answered or
// refused, the current version is the last one put, and what is under way has its label.
func TestRotateSecretAmongPuts(t *testing.T) {
	t.Parallel()
	const rounds = 20
	room := localtest.New(t)
	other := room.Another(t)
	create(t, room, "s", "v1", "one")
	rotate(t, room, byFunction("s", "N"))
	must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSPENDING", "N", "")))(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			put(t, room, "s", fmt.Sprint("p", i), fmt.Sprint("p", i))
		}
	})
	for caller, room := range []*localtest.Room{room, other} {
		wg.Go(func() {
			for i := range rounds {
				in := rotateInput("s", fmt.Sprintf("r%d-%d", caller, i))
				if i%3 == 0 {
					onlyTest(in)
				}
				if _, err := room.SDK.RotateSecret(t.Context(), in, once); err != nil {
					checkRefused(t, err, incomplete)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range rounds {
			if _, err := other.SDK.PutSecretValue(t.Context(), putInput("s", fmt.Sprint("q", i), "q", "AWSPENDING"), once); err != nil {
				t.Errorf("got error %v of a put", err)
			}
		}
	})
	wg.Wait()
	sec := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
	if got, want := sec.Stages[secret.Current], token(fmt.Sprint("p", rounds-1)); got != want {
		t.Errorf("got AWSCURRENT on %s, want %s", got, want)
	}
	if run := sec.Rotation.Run(); run.Version != "" && run.Version != sec.Stages[secret.Pending] {
		t.Errorf("got a rotation of %s with AWSPENDING on %s", run.Version, sec.Stages[secret.Pending])
	}
	listed := 0
	in := &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("s"), IncludeDeprecated: aws.Bool(true)}
	for pages := true; pages; pages = in.NextToken != nil {
		page := must(room.SDK.ListSecretVersionIds(t.Context(), in))(t)
		listed += len(page.Versions)
		in.NextToken = page.NextToken
	}
	if listed != sec.Versions {
		t.Errorf("got %d versions listed and a count of %d", listed, sec.Versions)
	}
}

// A put of another current version ends the rotation, and its date counts for rules
// in days.
func TestRotateSecretAbandoned(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *localtest.Room){
		"a put": func(t *testing.T, room *localtest.Room) { t.Helper(); put(t, room, "s", "v2", "two") },
		"an update": func(t *testing.T, room *localtest.Room) {
			t.Helper()
			must(room.SDK.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{
				SecretId: aws.String("s"), ClientRequestToken: aws.String(token("v2")), SecretString: aws.String("two"),
			}))(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			withRotator(room)
			now := withClock(room, noonInNovember)
			create(t, room, "s", "v1", "one")
			rotate(t, room, byFunction("s", "N"))
			lease(t, room, now.now, 48*time.Hour)
			put(t, room, "s", "N", "new", "AWSPENDING")
			now.now = now.now.AddDate(0, 0, 1)
			end(t, room)
			checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT", "N": ""})
			got := describe(t, room, "s")
			if want := time.Date(2026, 12, 22, 23, 59, 59, 0, time.UTC); !got.NextRotationDate.Equal(want) || got.LastRotatedDate != nil || !*got.RotationEnabled {
				t.Errorf("got NextRotationDate %s, LastRotatedDate %v, RotationEnabled %t; want %s, none, true", got.NextRotationDate, got.LastRotatedDate, *got.RotationEnabled, want)
			}
			_, err := room.Store.Update(t.Context(), secret.ID{Name: "s"}, func(sec secret.Secret) (secret.Change, error) {
				return sec.Rotated("runner", sec.Rotation.Next, now.now)
			})
			if !errors.Is(err, secret.ErrLeaseLost) {
				t.Errorf("got %v, want the runner to learn that its lease is lost", err)
			}
			rotate(t, room, rotateInput("s", "M"))
		})
	}
}

// The rotation token of a function that puts, in all that may be wrong with it.
func TestPutSecretValueRotationToken(t *testing.T) {
	t.Parallel()
	foreign := strings.Repeat("f", len(rotationToken))
	begin := func(t *testing.T, room *localtest.Room, now *clock) {
		t.Helper()
		rotate(t, room, byFunction("s", "N"))
		lease(t, room, now.now, time.Minute)
	}
	for _, test := range []struct {
		name           string
		before         func(*testing.T, *localtest.Room, *clock)
		token, version string
		want           refusal
	}{
		{"right", begin, rotationToken, "N", refusal{}},
		{"none", begin, "", "N", refusal{}},
		{"foreign", begin, foreign, "N", notItsToken},
		{"another version", begin, rotationToken, "M", notItsToken},
		{"foreign, for a version that is there", begin, foreign, "v1", notItsToken},
		{"what is stored of it", begin, secret.ProofOf(rotationToken), "N", notItsToken},
		{"the last moment", func(t *testing.T, room *localtest.Room, now *clock) {
			t.Helper()
			begin(t, room, now)
			now.now = now.now.Add(time.Minute - time.Millisecond)
		}, rotationToken, "N", refusal{}},
		{"expired", func(t *testing.T, room *localtest.Room, now *clock) {
			t.Helper()
			begin(t, room, now)
			now.now = now.now.Add(time.Minute)
		}, rotationToken, "N", notItsToken},
		{"of the attempt before", func(t *testing.T, room *localtest.Room, now *clock) {
			t.Helper()
			begin(t, room, now)
			runs(t, room, "s", func(sec secret.Secret) (secret.Change, error) { return sec.Failed("runner", "why", 0, now.now) })
			runs(t, room, "s", func(sec secret.Secret) (secret.Change, error) {
				return sec.Lease(secret.Lease{Runner: "next", Proof: secret.ProofOf(foreign), Until: now.now.Add(time.Minute)}, now.now), nil
			})
		}, rotationToken, "N", notItsToken},
		{"before it is run", func(t *testing.T, room *localtest.Room, _ *clock) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
		}, rotationToken, "N", notItsToken},
		{"between two attempts", func(t *testing.T, room *localtest.Room, now *clock) {
			t.Helper()
			begin(t, room, now)
			runs(t, room, "s", func(sec secret.Secret) (secret.Change, error) {
				return sec.Failed("runner", "why", time.Minute, now.now)
			})
		}, rotationToken, "N", notItsToken},
		{"given up", func(t *testing.T, room *localtest.Room, now *clock) {
			t.Helper()
			rotate(t, room, byFunction("s", "N"))
			giveUp(t, room, now.now)
		}, rotationToken, "N", notItsToken},
		{"none running: never configured", func(*testing.T, *localtest.Room, *clock) {}, foreign, "N", notItsToken},
		{"none running: cancelled", func(t *testing.T, room *localtest.Room, now *clock) {
			t.Helper()
			begin(t, room, now)
			cancel(t, room, "s")
		}, foreign, "N", notItsToken},
		{"none running: abandoned", func(t *testing.T, room *localtest.Room, now *clock) {
			t.Helper()
			begin(t, room, now)
			put(t, room, "s", "v2", "two")
		}, foreign, "N", notItsToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			now := withClock(room, noonInNovember)
			create(t, room, "s", "v1", "one")
			test.before(t, room, now)
			other := room.Another(t)
			other.Server.Now = now.Now
			in := putInput("s", test.version, "new", "AWSPENDING")
			if test.token != "" {
				in.RotationToken = aws.String(test.token)
			}
			for _, room := range []*localtest.Room{room, other} {
				call := func() (*secretsmanager.PutSecretValueOutput, error) {
					return room.SDK.PutSecretValue(t.Context(), in, once)
				}
				if test.want != (refusal{}) {
					refuses(t, room, test.want, call)
					continue
				}
				must(call())(t)
				if got := *getVersion(t, room, "s", test.version).SecretString; got != "new" {
					t.Errorf("got value %q, want new", got)
				}
			}
		})
	}
}

// A token that became valid, or ceased to be, since this process looked.
func TestPutSecretValueRotationTokenElsewhere(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, noonInNovember)
	other := room.Another(t)
	other.Server.Now = now.Now
	create(t, room, "s", "v1", "one")
	in := putInput("s", "N", "new", "AWSPENDING")
	in.RotationToken = aws.String(rotationToken)
	rotate(t, room, byFunction("s", "N"))
	describe(t, other, "s")
	lease(t, room, now.now, time.Minute)
	must(other.SDK.PutSecretValue(t.Context(), in, once))(t)
	runs(t, room, "s", func(sec secret.Secret) (secret.Change, error) { return sec.Failed("runner", "why", 0, now.now) })
	must(other.SDK.PutSecretValue(t.Context(), in, once))(t) // an exact repeat
	in.SecretString = aws.String("another")
	_, err := other.SDK.PutSecretValue(t.Context(), in, once)
	checkRefused(t, err, notItsToken)
}

// A put of a rotation that has ended is refused, however it ended: its value may be made
// from an older one. Only an exact repeat of a put that succeeded is answered as then.
func TestPutSecretValueLate(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *localtest.Room, *clock){
		"a put": func(t *testing.T, room *localtest.Room, _ *clock) { t.Helper(); put(t, room, "s", "v2", "two") },
		"taken off": func(t *testing.T, room *localtest.Room, _ *clock) {
			t.Helper()
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSPENDING", "N", "")))(t)
		},
		"cancelled": func(t *testing.T, room *localtest.Room, _ *clock) { t.Helper(); cancel(t, room, "s") },
		"failed": func(t *testing.T, room *localtest.Room, now *clock) {
			t.Helper()
			runs(t, room, "s", func(sec secret.Secret) (secret.Change, error) { return sec.Failed("runner", "why", 0, now.now) })
		},
		"given up": func(t *testing.T, room *localtest.Room, now *clock) {
			t.Helper()
			fail := func(sec secret.Secret) (secret.Change, error) { return sec.Failed("runner", "why", 0, now.now) }
			runs(t, room, "s", fail)
			for range secret.MaxAttempts - 1 {
				lease(t, room, now.now, time.Minute)
				runs(t, room, "s", fail)
			}
		},
		"expired": func(_ *testing.T, _ *localtest.Room, now *clock) { now.now = now.now.Add(time.Hour) },
		"rotated": func(t *testing.T, room *localtest.Room, now *clock) {
			t.Helper()
			put(t, room, "s", "N", "by hand", "AWSPENDING")
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSCURRENT", "v1", "N")))(t)
			rotated(t, room, now.now)
		},
	} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after a lost answer %t", name, lost), func(t *testing.T) {
				t.Parallel()
				room := localtest.New(t)
				now := withClock(room, noonInNovember)
				create(t, room, "s", "v1", "one")
				rotate(t, room, byFunction("s", "N"))
				lease(t, room, now.now, time.Minute)
				in := putInput("s", "N", "made from one", "AWSPENDING")
				in.RotationToken = aws.String(rotationToken)
				if lost && name != "rotated" {
					room.Wire.Break("TransactWriteItems", times(attempts, localtest.LoseAnswer)...)
					_, err := room.SDK.PutSecretValue(t.Context(), in, once)
					checkRefused(t, err, serverFault)
				}
				end(t, room, now)
				before := dump(t, room)
				other := room.Another(t)
				other.Server.Now = now.Now
				for _, room := range []*localtest.Room{room, other} {
					_, err := room.SDK.PutSecretValue(t.Context(), in, once)
					if lost && name != "rotated" {
						if err != nil {
							t.Errorf("got %v of an exact repeat, want none", err)
						}
						again := *in
						again.SecretString = aws.String("another")
						_, err = room.SDK.PutSecretValue(t.Context(), &again, once)
					}
					checkRefused(t, err, notItsToken)
				}
				checkSame(t, before, dump(t, room))
				schedule(t, room, "s")
				_, err := room.SDK.PutSecretValue(t.Context(), in, once)
				checkRefused(t, err, marked)
			})
		}
	}
}

// A late put without a RotationToken is that of any caller; the schedule does not make it
// current over a value that was put since.
func TestRotateSecretScheduledAfterLatePut(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	now := withClock(room, noonInNovember)
	create(t, room, "s", "v1", "one")
	rotate(t, room, byRules("s", "N", types.RotationRulesType{ScheduleExpression: aws.String("cron(0 2 * * ? *)")}))
	lease(t, room, now.now, time.Minute)
	put(t, room, "s", "v2", "two")
	put(t, room, "s", "N", "made from one", "AWSPENDING")
	checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT", "N": "AWSPENDING"})
	now.now = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	runs(t, room, "s", func(sec secret.Secret) (secret.Change, error) {
		return sec.Lease(secret.Lease{Runner: "runner", Until: now.now.Add(time.Minute), Token: token("fresh")}, now.now), nil
	})
	checkStages(t, room, "s", map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT", "N": "", "fresh": "AWSPENDING"})
}

// Whatever ends a test discards its copy in the same change, unless somebody put another
// label on it.
func TestRotateSecretTestEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(*testing.T, *localtest.Room)
		want map[string]string
	}{
		"a put": {
			func(t *testing.T, room *localtest.Room) { t.Helper(); put(t, room, "s", "v2", "two") },
			map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"},
		},
		"a put with AWSPENDING": {
			func(t *testing.T, room *localtest.Room) { t.Helper(); put(t, room, "s", "v2", "two", "AWSPENDING") },
			map[string]string{"v1": "AWSCURRENT", "v2": "AWSPENDING"},
		},
		"an update": {func(t *testing.T, room *localtest.Room) {
			t.Helper()
			must(room.SDK.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{
				SecretId: aws.String("s"), ClientRequestToken: aws.String(token("v2")), SecretString: aws.String("two"),
			}))(t)
		}, map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT"}},
		"a move": {func(t *testing.T, room *localtest.Room) {
			t.Helper()
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSPENDING", "copy", "v1")))(t)
		}, map[string]string{"v1": "AWSCURRENT AWSPENDING"}},
		"a label taken off": {func(t *testing.T, room *localtest.Room) {
			t.Helper()
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "AWSPENDING", "copy", "")))(t)
		}, map[string]string{"v1": "AWSCURRENT"}},
		"a cancellation": {
			func(t *testing.T, room *localtest.Room) { t.Helper(); cancel(t, room, "s") },
			map[string]string{"v1": "AWSCURRENT"},
		},
		"a deletion": {func(t *testing.T, room *localtest.Room) {
			t.Helper()
			schedule(t, room, "s")
			must(room.SDK.RestoreSecret(t.Context(), restoreInput("s")))(t)
		}, map[string]string{"v1": "AWSCURRENT"}},
		"a put, and it has a label": {func(t *testing.T, room *localtest.Room) {
			t.Helper()
			must(room.SDK.UpdateSecretVersionStage(t.Context(), stageInput("s", "mine", "", "copy")))(t)
			put(t, room, "s", "v2", "two")
		}, map[string]string{"v1": "AWSPREVIOUS", "v2": "AWSCURRENT", "copy": "mine"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			create(t, room, "s", "v1", "one")
			rotate(t, room, onlyTest(byFunction("s", "copy")))
			test.end(t, room)
			for _, room := range []*localtest.Room{room, room.Another(t)} {
				checkStages(t, room, "s", test.want) // which has deprecated versions too
				if sec := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t); sec.Versions != len(test.want) {
					t.Errorf("got a count of %d versions, want %d", sec.Versions, len(test.want))
				}
			}
			put(t, room, "s", "v3", "three")
		})
	}
}
