package main

import (
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/functions/internal/runtimetest"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/settings/documented"
	"github.com/strongroom/strongroom/pkg/store"
)

func TestMain(m *testing.M) { runtimetest.Main(m) }

const (
	elsewhere = "eu-west-1"
	itsTable  = "ireland"
	value     = "EXAMPLE-VALUE"
)

// good is an environment the function starts with.
var good = map[string]string{
	"TABLE_NAME": "strongroom", "AWS_REGION": local.Region, "ACCOUNT_ID": local.Account,
	"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
	"REPLICA_REGIONS": peerText(elsewhere, itsTable, "arn:aws:kms:eu-west-1:000000000000:key/5678efab"),
}

func peerText(region, table, key string) string {
	text, _ := json.Marshal(map[string]peer{region: {Table: table, Key: key}})
	return string(text)
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

func getenv(changes map[string]string) func(string) string {
	env := maps.Clone(good)
	maps.Copy(env, changes)
	return func(name string) string { return env[name] }
}

// TestSettings has each Region with its own table, ARNs and key.
func TestSettings(t *testing.T) {
	t.Parallel()
	f, err := build(getenv(map[string]string{"MAX_VERSIONS": "7"}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if want := (secret.Retention{MaxVersions: 7, MinAge: 24 * time.Hour}); f.Retention != want {
		t.Errorf("it keeps %v, want %v", f.Retention, want)
	}
	there, err := f.Open(t.Context(), elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.ARNs.Of("a", "abcdef"), "arn:aws:secretsmanager:us-east-1:000000000000:secret:a-abcdef"; got != want || f.Store.Table() != "strongroom" {
		t.Errorf("here it is %s in %s, want %s in strongroom", got, f.Store.Table(), want)
	}
	if got, want := there.ARNs.Of("a", "abcdef"), "arn:aws:secretsmanager:eu-west-1:000000000000:secret:a-abcdef"; got != want || there.Store.Table() != itsTable ||
		there.Sealer.DefaultKey != "arn:aws:kms:eu-west-1:000000000000:key/5678efab" {
		t.Errorf("there it is %s in %s under %s, want %s in %s", got, there.Store.Table(), there.Sealer.DefaultKey, want, itsTable)
	}
	if _, err := f.Open(t.Context(), "eu-west-3"); err == nil {
		t.Error("a Region that nobody named was opened")
	}
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	const key = "arn:aws:kms:eu-west-1:000000000000:key/5678efab"
	for _, text := range []string{
		"", "?", "eu-west-1", "{}", peerText(local.Region, itsTable, key), peerText("Ireland", itsTable, key),
		peerText(elsewhere, "a b", key), peerText(elsewhere, itsTable, "alias/there"), `{"eu-west-1":{"table":"ireland","key":"` + key + `","more":1}}`,
	} {
		_, err := build(getenv(map[string]string{"REPLICA_REGIONS": text}), slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "REPLICA_REGIONS is ") || !strings.Contains(err.Error(), "and must be the tables and keys of other Regions") {
			t.Errorf("%s: got %v, want what is wrong", text, err)
		}
	}
}

func TestWrongSettingsStopTheStart(t *testing.T) {
	t.Parallel()
	runtimetest.WantNoStart(t, environ(map[string]string{"REPLICA_REGIONS": "{}"}), "REPLICA_REGIONS is ")
}

func TestVariablesInDocs(t *testing.T) {
	t.Parallel()
	var read []string
	_, _ = build(func(name string) string { read = append(read, name); return good[name] }, slog.New(slog.DiscardHandler))
	documented.Variables(t, "../../docs/settings.md", "## The functions", "replicate", read)
}

// deployments are two Regions on one DynamoDB and one KMS.
type deployments struct {
	*localtest.Engines
	here, there *store.Store
	sealer      *envelope.Sealer
	env         []string
}

var (
	arns      = secret.ARNs{Partition: "aws", Region: local.Region, Account: local.Account}
	arnsThere = secret.ARNs{Partition: "aws", Region: elsewhere, Account: local.Account}
)

func start(t *testing.T) *deployments {
	t.Helper()
	d := &deployments{Engines: localtest.NewEngines()}
	for _, table := range []string{good["TABLE_NAME"], itsTable} {
		if err := store.CreateTable(t.Context(), d.Tables, table); err != nil {
			t.Fatal(err)
		}
	}
	d.here, d.there = store.New(d.Tables, good["TABLE_NAME"], arns), store.New(d.Tables, itsTable, arnsThere)
	d.sealer = &envelope.Sealer{KMS: d.KMS(), DefaultKey: d.DefaultKey}
	d.env = append(d.Serve(t), environ(map[string]string{"REPLICA_REGIONS": peerText(elsewhere, itsTable, d.DefaultKey)})...)
	return d
}

// make makes a secret that is to be replicated.
func (d *deployments) make(t *testing.T, name string) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	sec, err := secret.New(name, arns.Of(name, "abcdef"), "", now).AddReplicas([]secret.Replica{{Region: elsewhere}})
	if err != nil {
		t.Fatal(err)
	}
	change, err := sec.Put("v0", []string{secret.Current}, now)
	if err != nil {
		t.Fatal(err)
	}
	change.Version.Sealed, err = d.sealer.Seal(t.Context(), envelope.Place{ARN: sec.ARN, VersionID: "v0"}, "", secret.NewValue(secret.String, []byte(value)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.here.Create(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

// wantReplica says whether the other Region has a replica, whose value opens there.
func (d *deployments) wantReplica(t *testing.T, name string, want bool) {
	t.Helper()
	sec, err := d.there.Get(t.Context(), secret.ID{Name: name})
	if !want {
		if err == nil {
			t.Errorf("%s is there: %+v", name, sec)
		}
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	version, found, err := d.there.Version(t.Context(), sec, sec.Stages[secret.Current])
	if err != nil || !found {
		t.Fatalf("%s: its current version is there: %t, %v", name, found, err)
	}
	got, err := d.sealer.Open(t.Context(), envelope.Place{ARN: arnsThere.Of(name, "abcdef"), VersionID: "v0"}, version.Sealed)
	if err != nil || string(got.Reveal()) != value {
		t.Errorf("%s: got another value, %v", name, err)
	}
}

func (d *deployments) process(t *testing.T, timeout time.Duration, env ...string) (*runtimetest.API, *runtimetest.Process) {
	t.Helper()
	api := runtimetest.New(t)
	api.Timeout = timeout
	return api, runtimetest.Start(t, api, append(d.env, env...))
}

const lambdaTimeout = 2 * time.Minute

func invoke(t *testing.T, api *runtimetest.API, p *runtimetest.Process, event string) runtimetest.Result {
	t.Helper()
	res, err := api.Invoke(p, []byte(event))
	if err != nil {
		t.Fatalf("%v; it printed\n%s", err, p.Stop())
	}
	return res
}

func wantDone(t *testing.T, res runtimetest.Result) {
	t.Helper()
	if res.Error != nil || string(res.Response) != "null" {
		t.Errorf("got %s, %+v, want null", res.Response, res.Error)
	}
}

// lines are the last lines of invocations of a process that ended.
func lines(t *testing.T, p *runtimetest.Process) []map[string]any {
	t.Helper()
	out := p.Stop()
	if strings.Contains(out, value) {
		t.Errorf("it printed a value:\n%s", out)
	}
	var lines []map[string]any
	for text := range strings.Lines(out) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if line["msg"] == "replicated" {
			lines = append(lines, line)
		}
	}
	return lines
}

func wantLine(t *testing.T, line map[string]any, counted bool, want map[string]float64) {
	t.Helper()
	if (line["_aws"] != nil) != counted {
		t.Errorf("got %v, want CloudWatch's metrics in it: %t", line, counted)
	}
	for _, name := range []string{"ReplicasLookedAt", "ReplicasDelivered", "ReplicasNotDue", "ReplicasLeftOver", "ReplicationsFailed"} {
		if got, ok := line[name].(float64); !ok || got != want[name] {
			t.Errorf("%s is %v, want %v: %v", name, line[name], want[name], line)
		}
	}
}

func sample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../events/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The stream has the secrets replicated whose notes it names, each once; the schedule all
// that are due. Each says in one line what it did.
func TestEvents(t *testing.T) {
	t.Parallel()
	d := start(t)
	api, p := d.process(t, lambdaTimeout)
	d.make(t, "a")
	d.make(t, "b")
	wantDone(t, invoke(t, api, p, sample(t, "stream")))
	d.wantReplica(t, "a", true)
	d.wantReplica(t, "b", false)
	wantDone(t, invoke(t, api, p, sample(t, "stream"))) // delivered twice
	wantDone(t, invoke(t, api, p, sample(t, "scheduled")))
	d.wantReplica(t, "b", true)
	wantDone(t, invoke(t, api, p, "{}"))
	wantDone(t, invoke(t, api, p, `{"Records":[{"dynamodb":{"Keys":{"pk":{"S":"SECRET#a"},"sk":{"S":"HEAD"}}}}]}`))
	got := lines(t, p)
	wants := []map[string]float64{
		{"ReplicasLookedAt": 1, "ReplicasDelivered": 1},
		{"ReplicasLookedAt": 1, "ReplicasNotDue": 1},
		{"ReplicasLookedAt": 1, "ReplicasDelivered": 1},
		{},
		{},
	}
	if len(got) != len(wants) {
		t.Fatalf("%d lines, want %d: %v", len(got), len(wants), got)
	}
	for i, want := range wants {
		wantLine(t, got[i], false, want)
	}
}

// What cannot be delivered is no failure of the function: it is counted, and waits.
func TestFailedReplicas(t *testing.T) {
	t.Parallel()
	d := start(t)
	api, p := d.process(t, lambdaTimeout, "REPLICA_REGIONS="+peerText(elsewhere, "missing", d.DefaultKey))
	d.make(t, "a")
	for range 2 { // the second finds it waiting for its next attempt
		wantDone(t, invoke(t, api, p, sample(t, "stream")))
	}
	got := lines(t, p)
	if len(got) != 2 {
		t.Fatalf("%d lines, want 2", len(got))
	}
	wantLine(t, got[0], true, map[string]float64{"ReplicasLookedAt": 1, "ReplicationsFailed": 1})
	if got[1]["ReplicasNotDue"] != 1.0 || got[1]["ReplicationsFailed"] != 0.0 {
		t.Errorf("got %v, want no attempt", got[1])
	}
}

// What there is no time for stays due, and is seen to be.
func TestNoTime(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.make(t, "a")
	api, p := d.process(t, time.Minute) // in its last minute it begins nothing
	wantDone(t, invoke(t, api, p, sample(t, "stream")))
	d.wantReplica(t, "a", false)
	got := lines(t, p)
	if len(got) != 1 || got[0]["ReplicasLeftOver"] != 1.0 {
		t.Errorf("got %v, want one left over", got)
	}
	api, p = d.process(t, lambdaTimeout)
	wantDone(t, invoke(t, api, p, "{}"))
	d.wantReplica(t, "a", true)
}

// A run that fails is a failed invocation, and so is an event that is none of ours; the
// process is fit for the next.
func TestFailure(t *testing.T) {
	t.Parallel()
	d := start(t)
	api, p := d.process(t, lambdaTimeout, "TABLE_NAME=another")
	for event, want := range map[string]string{
		"{}":                "not all was replicated that is due; the log says what failed",
		sample(t, "stream"): "not all was replicated that is due; the log says what failed",
		`"all"`:             "the event is neither that of a schedule nor of a stream",
	} {
		if res := invoke(t, api, p, event); res.Error == nil || res.Error.ErrorMessage != want {
			t.Errorf("%s: got %s, %+v, want the error %s", event, res.Response, res.Error, want)
		}
	}
	if out := p.Stop(); !strings.Contains(out, "ResourceNotFoundException") {
		t.Errorf("it printed %s, want why", out)
	}
}
