package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/functions/internal/runtimetest"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/settings/documented"
	"github.com/strongroom/strongroom/pkg/store"
)

func TestMain(m *testing.M) { runtimetest.Main(m) }

// good is an environment the function starts with.
var good = map[string]string{
	"TABLE_NAME": "strongroom", "AWS_REGION": "us-east-1", "ACCOUNT_ID": "000000000000",
	"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
}

func environ(changes map[string]string) []string {
	env := maps.Clone(good)
	maps.Copy(env, changes)
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}

func TestSettings(t *testing.T) {
	t.Parallel()
	type settings struct {
		step     time.Duration
		parallel int
	}
	for _, test := range []struct {
		name    string
		changes map[string]string
		want    settings
		err     string
	}{
		{"defaults", nil, settings{time.Minute, 20}, ""},
		{"others", map[string]string{"ROTATION_STEP_SECONDS": "200", "ROTATIONS_AT_ONCE": "1"}, settings{200 * time.Second, 1}, ""},
		{"no table", map[string]string{"TABLE_NAME": ""}, settings{}, "TABLE_NAME is not set, and must be the name of a DynamoDB table"},
		{"no time", map[string]string{"ROTATION_STEP_SECONDS": "0"}, settings{}, `ROTATION_STEP_SECONDS is "0", and must be a number of seconds from 1 to 200`},
		{"none at once", map[string]string{"ROTATIONS_AT_ONCE": "0"}, settings{}, `ROTATIONS_AT_ONCE is "0", and must be a number of rotations from 1 to 1000`},
		{"too long for Lambda", map[string]string{"ROTATION_STEP_SECONDS": "201"}, settings{}, `ROTATION_STEP_SECONDS is "201", and must be a number of seconds from 1 to 200`},
		{
			"several",
			map[string]string{"ROTATION_STEP_SECONDS": "1m", "ACCOUNT_ID": "1", "ROTATIONS_AT_ONCE": "-1"},
			settings{},
			`ACCOUNT_ID is "1", and must be the 12 digits of an AWS account` + "\n" +
				`ROTATION_STEP_SECONDS is "1m", and must be a number of seconds from 1 to 200` + "\n" +
				`ROTATIONS_AT_ONCE is "-1", and must be a number of rotations from 1 to 1000`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := maps.Clone(good)
			maps.Copy(env, test.changes)
			f, err := build(func(name string) string { return env[name] }, slog.New(slog.DiscardHandler))
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("got %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := (settings{f.StepTimeout, f.Parallel}); got != test.want || f.RetryDelay != time.Minute {
				t.Errorf("got %+v, retries after %v, want %+v and a minute", got, f.RetryDelay, test.want)
			}
			if lease := f.Lease(); lease >= 15*time.Minute {
				t.Errorf("a rotation may take %v, which is more than a Lambda function may", lease)
			}
		})
	}
}

func TestWrongSettingsStopTheStart(t *testing.T) {
	t.Parallel()
	runtimetest.WantNoStart(t, environ(map[string]string{"ROTATION_STEP_SECONDS": "0"}), "and must be a number of seconds from 1 to 200")
}

const (
	rotation = "arn:aws:lambda:us-east-1:000000000000:function:rotation"
	value    = "EXAMPLE-VALUE"
)

// engines are a DynamoDB with the table, what stands there, and a Lambda.
type engines struct {
	*localtest.Engines
	store  *store.Store
	vars   []string // that say where the engines are
	lambda string   // URL

	mu    sync.Mutex
	calls []string // name and step
	// on is called in the middle of a step, if it is set.
	on     func(name, step string) error
	tokens []string
}

func start(t *testing.T) *engines {
	t.Helper()
	e := engines{Engines: localtest.NewEngines()}
	e.vars = e.Serve(t)
	if err := store.CreateTable(t.Context(), e.Tables, good["TABLE_NAME"]); err != nil {
		t.Fatal(err)
	}
	e.store = store.New(e.Tables, good["TABLE_NAME"], arns)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.invocation(t, w, r) }))
	e.lambda = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return &e
}

var arns = secret.ARNs{Partition: "aws", Region: local.Region, Account: local.Account}

// invocation is Lambda with a rotation function that does everything in its last step.
func (e *engines) invocation(t *testing.T, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/2015-03-31/functions/"), "/invocations")
	switch dry := r.Header.Get("X-Amz-Invocation-Type") == "DryRun"; {
	case name == "throttled":
		w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case name != rotation:
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
		return
	case dry:
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var p struct{ Step, SecretId, ClientRequestToken, RotationToken string }
	if err := json.Unmarshal(body, &p); err != nil {
		t.Errorf("payload %s: %v", body, err)
	}
	id, err := arns.Parse(p.SecretId)
	if err != nil {
		t.Error(err)
	}
	e.mu.Lock()
	e.calls, e.tokens = append(e.calls, id.Name+" "+p.Step), append(e.tokens, p.RotationToken)
	e.mu.Unlock()
	if e.on != nil {
		err = e.on(id.Name, p.Step)
	}
	if err == nil && p.Step == "finishSecret" {
		_, err = e.store.Update(t.Context(), id, func(sec secret.Secret) (secret.Change, error) {
			return put(sec, p.ClientRequestToken, time.Now())
		})
	}
	if err != nil {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		_ = json.NewEncoder(w).Encode(map[string]string{"errorType": "Error", "errorMessage": value})
		return
	}
	_, _ = io.WriteString(w, "null")
}

func (e *engines) took() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := e.calls
	e.calls = nil
	return calls
}

// env is that of the function.
func (e *engines) env() []string {
	return append(slices.Clone(e.vars), environ(map[string]string{"AWS_ENDPOINT_URL_LAMBDA": e.lambda, "ROTATION_STEP_SECONDS": "20"})...)
}

func put(sec secret.Secret, version string, at time.Time) (secret.Change, error) {
	change, err := sec.Put(version, []string{secret.Current}, at.UTC().Truncate(time.Millisecond))
	if err == nil {
		change.Version.Sealed = secret.Sealed{Kind: secret.String, KeyARN: "arn", DataKey: []byte(value), Data: []byte(value)}
	}
	return change, err
}

// make makes a secret whose window has opened, and returns its ARN.
func (e *engines) make(t *testing.T, name string) string {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	sec := secret.New(name, arns.Of(name, "abcdef"), "", now)
	sec.Rotation = secret.Rotation{
		Enabled: true, Lambda: rotation, Rules: secret.RotationRules{ScheduleExpression: "rate(24 hours)"}, Anchor: now.AddDate(0, 0, -2),
		Next: secret.Window{Opens: now.Add(-time.Minute), Closes: now.Add(time.Hour)},
	}
	change, err := put(sec, "v0", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.store.Create(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	return sec.ARN
}

func (e *engines) get(t *testing.T, name string) secret.Secret {
	t.Helper()
	sec, err := e.store.Get(t.Context(), secret.ID{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return sec
}

// wantRotated says whether a secret has a new current version and nothing under way.
func (e *engines) wantRotated(t *testing.T, name string, want bool) {
	t.Helper()
	sec := e.get(t, name)
	if got := sec.Stages[secret.Previous] == "v0" && sec.Rotation.State == nil && !sec.Rotation.Last.IsZero(); got != want {
		t.Errorf("%s: stages %v, rotation %+v, want it rotated: %t", name, sec.Stages, sec.Rotation, want)
	}
}

// process starts the function as it is deployed, with Lambda's longest time.
func (e *engines) process(t *testing.T) (*runtimetest.API, *runtimetest.Process) {
	t.Helper()
	api := runtimetest.New(t)
	api.Timeout = 15 * time.Minute
	return api, runtimetest.Start(t, api, e.env())
}

func invoke(t *testing.T, api *runtimetest.API, p *runtimetest.Process, event string) runtimetest.Result {
	t.Helper()
	res, err := api.Invoke(p, []byte(event))
	if err != nil {
		t.Fatalf("%v; it printed\n%s", err, p.Stop())
	}
	return res
}

func wantAnswer(t *testing.T, res runtimetest.Result, want string) {
	t.Helper()
	if res.Error != nil || string(res.Response) != want {
		t.Errorf("got %s, %+v, want %s", res.Response, res.Error, want)
	}
}

func wantError(t *testing.T, res runtimetest.Result, want string) {
	t.Helper()
	if res.Error == nil || res.Error.ErrorMessage != want {
		t.Errorf("got %s, %+v, want the error %s", res.Response, res.Error, want)
	}
}

func orderOf(arn string) string { return fmt.Sprintf(`{"SecretId":%q}`, arn) }

var all = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

func stepsOf(name string, steps ...string) []string {
	var calls []string
	for _, step := range steps {
		calls = append(calls, name+" "+step)
	}
	return calls
}

// lines are the log lines of a process that ended, without values and tokens.
func (e *engines) lines(t *testing.T, p *runtimetest.Process) []map[string]any {
	t.Helper()
	out := p.Stop()
	for _, mark := range append([]string{value}, e.tokens...) {
		if strings.Contains(out, mark) {
			t.Errorf("it printed %s:\n%s", mark, out)
		}
	}
	var lines []map[string]any
	for text := range strings.Lines(out) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		lines = append(lines, line)
	}
	return lines
}

// wantMetrics looks at the line that ends an invocation.
func wantMetrics(t *testing.T, line map[string]any, want map[string]float64) {
	t.Helper()
	counted := want["RotationsFailed"] > 0 || want["OldestRotationDueSeconds"] > 0
	if line["msg"] != "rotated" || (line["_aws"] != nil) != counted || counted && line["Table"] != good["TABLE_NAME"] {
		t.Errorf("got %v, want CloudWatch's metrics in it: %t", line, counted)
	}
	for _, name := range []string{
		"RotationsLookedAt", "RotationsSucceeded", "RotationsFailed", "RotationsGivenUp", "RotationsAbandoned", "RotationsPostponed",
		"RotationsLeftOver", "OldestRotationDueSeconds",
	} {
		got, ok := line[name].(float64)
		if name == "OldestRotationDueSeconds" && want[name] > 0 && got >= want[name] && got < want[name]+60 {
			continue
		}
		if !ok || got != want[name] {
			t.Errorf("%s is %v, want %v", name, line[name], want[name])
		}
	}
}

// The scheduled event has all rotated that is due; an order one secret, or tells
// whether a function can be invoked. Each says in one line what it did.
func TestEvents(t *testing.T) {
	t.Parallel()
	e := start(t)
	scheduled, err := os.ReadFile("../../events/scheduled.json")
	if err != nil {
		t.Fatal(err)
	}
	api, p := e.process(t)
	e.make(t, "a")
	e.make(t, "b")
	wantAnswer(t, invoke(t, api, p, string(scheduled)), "null")
	e.wantRotated(t, "a", true)
	e.wantRotated(t, "b", true)
	calls := e.took()
	slices.Sort(calls)
	want := append(stepsOf("a", all...), stepsOf("b", all...)...)
	slices.Sort(want)
	if !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
	wantAnswer(t, invoke(t, api, p, "{}"), "null")

	c := e.make(t, "c")
	e.make(t, "d")
	wantAnswer(t, invoke(t, api, p, orderOf(c)), "null")
	e.wantRotated(t, "c", true)
	e.wantRotated(t, "d", false)
	wantAnswer(t, invoke(t, api, p, orderOf(c)), "null") // delivered twice
	if got := e.took(); !slices.Equal(got, stepsOf("c", all...)) {
		t.Errorf("calls %q, want those for c, once", got)
	}

	// What fails of a rotation is tried again, and no failure of the function.
	e.on = func(_, step string) error {
		if step == "setSecret" {
			return errors.New("failed")
		}
		return nil
	}
	wantAnswer(t, invoke(t, api, p, "{}"), "null")
	e.wantRotated(t, "d", false)
	e.on = nil

	// Checks write nothing, unless they fail.
	wantAnswer(t, invoke(t, api, p, fmt.Sprintf(`{"Check":%q}`, rotation)), `{"Invokable":true}`)
	lines := e.lines(t, p)
	var events []string
	for _, line := range lines {
		if name, ok := line["eventName"].(string); ok && line["eventType"] == "AwsServiceEvent" {
			id, _, _ := strings.Cut(line["additionalEventData"].(map[string]any)["SecretId"].(string)[len("arn:aws:secretsmanager:us-east-1:000000000000:secret:"):], "-")
			events = append(events, name+" "+id)
		}
	}
	slices.Sort(events)
	wantEvents := []string{
		"RotationFailed d", "RotationStarted a", "RotationStarted b", "RotationStarted c", "RotationStarted d",
		"RotationSucceeded a", "RotationSucceeded b", "RotationSucceeded c",
	}
	if !slices.Equal(events, wantEvents) {
		t.Errorf("audit records %q, want %q", events, wantEvents)
	}
	lines = slices.DeleteFunc(lines, func(line map[string]any) bool {
		return line["msg"] != "rotated" && line["msg"] != "rotation step failed"
	})
	wants := []map[string]float64{
		{"RotationsLookedAt": 2, "RotationsSucceeded": 2},
		{},
		{"RotationsLookedAt": 1, "RotationsSucceeded": 1},
		{"RotationsLookedAt": 1},
		nil,
		{"RotationsLookedAt": 1, "RotationsFailed": 1},
	}
	if len(lines) != len(wants) {
		t.Fatalf("%d lines, want %d: %v", len(lines), len(wants), lines)
	}
	for i, want := range wants {
		if want != nil {
			wantMetrics(t, lines[i], want)
		}
	}
	if lines[4]["msg"] != "rotation step failed" || lines[4]["secret"] != "d" || lines[4]["step"] != "setSecret" || lines[4]["level"] != "WARN" {
		t.Errorf("got %v, want the step that failed", lines[4])
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	e := start(t)
	api, p := e.process(t)
	wantAnswer(t, invoke(t, api, p, fmt.Sprintf(`{"Check":%q}`, rotation)), `{"Invokable":true}`)
	wantAnswer(t, invoke(t, api, p, `{"Check":"missing"}`), `{"Invokable":false}`)
	if res := invoke(t, api, p, `{"Check":"throttled"}`); res.Error == nil { // nobody knows
		t.Errorf("got %s, want an error", res.Response)
	}
	if got := e.took(); len(got) > 0 {
		t.Errorf("calls %q, want none", got)
	}
	lines := e.lines(t, p)
	if len(lines) != 2 || lines[0]["msg"] != "rotation function cannot be invoked" || lines[1]["level"] != "ERROR" { // by the Lambda library
		t.Errorf("it printed %v, want why the function cannot be invoked, and what failed", lines)
	}
}

// An event that is none of ours is refused, and the process is fit for the next.
func TestWrongEvents(t *testing.T) {
	t.Parallel()
	e := start(t)
	api, p := e.process(t)
	a := e.make(t, "a")
	for _, event := range []string{`"all"`, `[]`, `1`, `{"SecretId":1}`} {
		wantError(t, invoke(t, api, p, event), "the event is no order to rotate")
	}
	wantError(t, invoke(t, api, p, orderOf("arn:aws:secretsmanager:us-east-1:111111111111:secret:a-abcdef")), secret.NotFound.Error())
	wantAnswer(t, invoke(t, api, p, orderOf(arns.Of("a", "fedcba"))), "null") // it was removed, and made anew
	e.wantRotated(t, "a", false)
	wantAnswer(t, invoke(t, api, p, orderOf(a)), "null")
	e.wantRotated(t, "a", true)
}

// A run that fails is a failed invocation, and the process is fit for the next.
func TestFailure(t *testing.T) {
	t.Parallel()
	e := start(t)
	api := runtimetest.New(t)
	api.Timeout = 15 * time.Minute
	p := runtimetest.Start(t, api, append(e.env(), "TABLE_NAME=another"))
	for range 2 {
		wantError(t, invoke(t, api, p, "{}"), "not all was rotated that is due; the log says what failed")
	}
	if res := invoke(t, api, p, orderOf(arns.Of("a", "abcdef"))); res.Error == nil {
		t.Errorf("got %s, want an error", res.Response)
	}
	if out := p.Stop(); !strings.Contains(out, "ResourceNotFoundException") {
		t.Errorf("it printed %s, want what failed", out)
	}
}

// A function that has less time than a rotation may take begins none, and says so
// where an alarm looks.
func TestTooLittleTime(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.make(t, "a")
	api, p := e.process(t)
	api.Timeout = 100 * time.Second // four steps of 20 seconds, and 30 to spare, are more
	wantAnswer(t, invoke(t, api, p, "{}"), "null")
	e.wantRotated(t, "a", false)
	if got := e.took(); len(got) > 0 {
		t.Errorf("calls %q, want none", got)
	}
	lines := e.lines(t, p)
	if len(lines) != 1 {
		t.Fatalf("it printed %v, want one line", lines)
	}
	wantMetrics(t, lines[0], map[string]float64{"RotationsLeftOver": 1, "OldestRotationDueSeconds": 60})
}

// Killed in the middle of a step, the function leaves a rotation that the next one
// brings to its end when the lease is over.
func TestKilled(t *testing.T) {
	t.Parallel()
	e := start(t)
	for _, step := range all {
		name := "s-" + step
		arn := e.make(t, name)
		reached, end := make(chan struct{}), make(chan struct{})
		e.on = func(_, at string) error {
			if at != step {
				return nil
			}
			close(reached)
			<-end
			return errors.New("too late")
		}
		api, p := e.process(t)
		answered := make(chan error, 1)
		go func() {
			_, err := api.Invoke(p, []byte(orderOf(arn)))
			answered <- err
		}()
		<-reached
		p.Stop()
		close(end)
		if err := <-answered; err == nil {
			t.Errorf("%s: it was not killed", step)
		}
		e.took()
		e.on = nil
		before := e.get(t, name)
		if l, _ := before.Rotation.State.(secret.Leased); l.Attempts != 1 || before.Stages[secret.Pending] != l.Version || before.Stages[secret.Current] != "v0" {
			t.Errorf("%s: stages %v, state %+v, want a lease", step, before.Stages, before.Rotation.State)
		}
		api, p = e.process(t)
		wantAnswer(t, invoke(t, api, p, "{}"), "null")
		if got := e.took(); len(got) > 0 {
			t.Errorf("%s: calls %q before the lease is over, want none", step, got)
		}
		if _, err := e.store.Update(t.Context(), secret.ID{Name: name}, func(sec secret.Secret) (secret.Change, error) {
			l, _ := sec.Rotation.State.(secret.Leased)
			l.Until = time.Now().UTC().Truncate(time.Millisecond).Add(-time.Second) // it has expired
			sec.Rotation.State = l
			return secret.Change{Secret: sec}, nil
		}); err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, invoke(t, api, p, "{}"), "null")
		p.Stop()
		e.wantRotated(t, name, true)
		if got := e.took(); !slices.Equal(got, stepsOf(name, all...)) {
			t.Errorf("%s: calls %q, want all steps", step, got)
		}
		if got := e.get(t, name).Stages[secret.Current]; got != before.Rotation.Run().Version {
			t.Errorf("%s: version %s is current, want %s", step, got, before.Rotation.Run().Version)
		}
	}
}

func TestVariablesInDocs(t *testing.T) {
	t.Parallel()
	var read []string
	_, _ = build(func(name string) string { read = append(read, name); return good[name] }, slog.New(slog.DiscardHandler))
	documented.Variables(t, "../../docs/settings.md", "## The functions", "rotate", read)
}
