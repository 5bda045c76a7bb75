package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

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
	for _, test := range []struct {
		name    string
		changes map[string]string
		want    secret.Retention
		err     string
	}{
		{"defaults", nil, secret.Retention{MaxVersions: 100, MinAge: 24 * time.Hour}, ""},
		{"others", map[string]string{"MAX_VERSIONS": "0", "MIN_AGE": "90m"}, secret.Retention{MaxVersions: 0, MinAge: 90 * time.Minute}, ""},
		{"no table", map[string]string{"TABLE_NAME": ""}, secret.Retention{}, "TABLE_NAME is not set, and must be the name of a DynamoDB table"},
		{"a negative number", map[string]string{"MAX_VERSIONS": "-1"}, secret.Retention{}, `MAX_VERSIONS is "-1", and must be a number of versions from 0 to 1000000`},
		{"no number", map[string]string{"MAX_VERSIONS": "few"}, secret.Retention{}, `MAX_VERSIONS is "few", and must be a number of versions from 0 to 1000000`},
		{"no duration", map[string]string{"MIN_AGE": "24"}, secret.Retention{}, `MIN_AGE is "24", and must be a duration such as 7d, 24h or 90m`},
		{"a negative duration", map[string]string{"MIN_AGE": "-1s"}, secret.Retention{}, `MIN_AGE is "-1s", and must be a duration such as 7d, 24h or 90m`},
		{
			"several",
			map[string]string{"MIN_AGE": "a day", "ACCOUNT_ID": "1"},
			secret.Retention{},
			`ACCOUNT_ID is "1", and must be the 12 digits of an AWS account` + "\n" + `MIN_AGE is "a day", and must be a duration such as 7d, 24h or 90m`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := maps.Clone(good)
			maps.Copy(env, test.changes)
			pruner, err := build(func(name string) string { return env[name] }, slog.New(slog.DiscardHandler))
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("got %v, want %s", err, test.err)
				}
				return
			}
			if err != nil || pruner.Retention != test.want || pruner.Margin != margin || pruner.Trail == nil || pruner.Most != most {
				t.Errorf("got %+v, %v, want %v, a margin, a trail and a limit", pruner, err, test.want)
			}
		})
	}
}

func TestWrongSettingsStopTheStart(t *testing.T) {
	t.Parallel()
	runtimetest.WantNoStart(t, environ(map[string]string{"MIN_AGE": "24"}), "and must be a duration")
}

// engines are a DynamoDB with the table, and what stands there.
type engines struct {
	*localtest.Engines
	store *store.Store
	vars  []string // that say where the engines are
}

func start(t *testing.T) engines {
	t.Helper()
	e := localtest.NewEngines()
	if err := store.CreateTable(t.Context(), e.Tables, good["TABLE_NAME"]); err != nil {
		t.Fatal(err)
	}
	arns := secret.ARNs{Partition: "aws", Region: local.Region, Account: local.Account}
	return engines{e, store.New(e.Tables, good["TABLE_NAME"], arns), e.Serve(t)}
}

// env is that of the function, with changes.
func (e engines) env(changes map[string]string) []string {
	return append(slices.Clone(e.vars), environ(changes)...) // of a variable given twice the last counts
}

const value = "EXAMPLE-VALUE"

// make makes a secret and so many versions of it, a day ago and more, and has the
// schedules look at it.
func (e engines) make(t *testing.T, name string, versions int) {
	t.Helper()
	at := time.Now().UTC().Add(-48 * time.Hour).Truncate(time.Millisecond)
	arn := "arn:aws:secretsmanager:us-east-1:000000000000:secret:" + name + "-abcdef"
	if _, err := e.store.Create(t.Context(), secret.Change{Secret: secret.New(name, arn, "", at)}); err != nil {
		t.Fatal(err)
	}
	for i := range versions {
		e.update(t, name, func(sec secret.Secret) (secret.Change, error) {
			change, err := sec.Put(fmt.Sprint("v", i), nil, at.Add(time.Duration(i)*time.Millisecond))
			if err == nil {
				change.Pruning = secret.Soon
				change.Version.Sealed = secret.Sealed{Kind: secret.String, KeyARN: "arn", DataKey: []byte(value), Data: []byte(value)}
			}
			return change, err
		})
	}
}

func (e engines) update(t *testing.T, name string, decide func(secret.Secret) (secret.Change, error)) {
	t.Helper()
	if _, err := e.store.Update(t.Context(), secret.ID{Name: name}, decide); err != nil {
		t.Fatal(err)
	}
}

// keys are the sort keys of what is stored of a secret.
func (e engines) keys(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	pages := dynamodb.NewQueryPaginator(e.DynamoDB(), &dynamodb.QueryInput{
		TableName: aws.String(good["TABLE_NAME"]), ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("pk = :pk"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: "SECRET#" + name}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			found = append(found, it["sk"].(*types.AttributeValueMemberS).Value)
		}
	}
	slices.Sort(found)
	return found
}

func event(t *testing.T) []byte {
	t.Helper()
	return sample(t, "scheduled")
}

func sample(t *testing.T, name string) []byte {
	t.Helper()
	sample, err := os.ReadFile("../../events/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return sample
}

// invoke gives a process the scheduled event, which must be answered.
func invoke(t *testing.T, api *runtimetest.API, p *runtimetest.Process) runtimetest.Result {
	t.Helper()
	res, err := api.Invoke(p, event(t))
	if err != nil {
		t.Fatalf("%v; it printed\n%s", err, p.Stop())
	}
	return res
}

// The scheduled event has the function as it is deployed do what is due, and say so
// in one line.
func TestScheduledEvent(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.make(t, "s", 9)
	e.make(t, "young", 9)
	e.update(t, "young", func(sec secret.Secret) (secret.Change, error) {
		return sec.TagResource([]secret.Tag{{Key: secret.MinAgeTag, Value: "72h"}}, time.Now())
	})
	e.make(t, "gone", 3)
	e.update(t, "gone", func(sec secret.Secret) (secret.Change, error) { return sec.Remove(time.Now().UTC()), nil })
	e.make(t, "over", 3)
	e.update(t, "over", func(sec secret.Secret) (secret.Change, error) {
		return sec.Delete(secret.MinRecoveryDays, time.Now().AddDate(0, 0, -8))
	})
	api := runtimetest.New(t)
	p := runtimetest.Start(t, api, e.env(map[string]string{"MAX_VERSIONS": "2", "MIN_AGE": "1h"}))
	for range 2 {
		if res := invoke(t, api, p); res.Error != nil || string(res.Response) != "null" {
			t.Errorf("got %s, %+v, want null", res.Response, res.Error)
		}
	}
	for name, want := range map[string][]string{
		"s":     {"HEAD", "VERSION#abcdef#v5", "VERSION#abcdef#v6", "VERSION#abcdef#v7", "VERSION#abcdef#v8"},
		"gone":  nil,
		"over":  nil,
		"young": append([]string{"HEAD"}, versionKeys(9)...),
	} {
		if got := e.keys(t, name); !slices.Equal(got, want) {
			t.Errorf("%s: items %q, want %q", name, got, want)
		}
	}

	out := p.Stop()
	var lines, events []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, `"eventName":"EndSecretVersionDelete"`) {
			events = append(events, line)
		} else {
			lines = append(lines, line)
		}
	}
	if len(events) != 11 {
		t.Errorf("it recorded %d versions, want the 11 that were removed:\n%s", len(events), out)
	}
	if len(lines) != 2 {
		t.Fatalf("it printed %d lines, want one for each run:\n%s", len(lines), out)
	}
	for i, want := range []map[string]float64{
		{"SecretsLookedAt": 4, "VersionsRemoved": 11, "SecretsPurged": 1},
		{},
	} {
		var line map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
		for _, name := range []string{"SecretsLookedAt", "VersionsRemoved", "SecretsPurged", "Conflicts", "Failed", "LeftOver", "OldestDueSeconds"} {
			if line[name] != want[name] {
				t.Errorf("run %d: %s is %v, want %v", i, name, line[name], want[name])
			}
		}
		if line["msg"] != "pruned" || line["_aws"] != nil {
			t.Errorf("run %d: got %s, want no metric of CloudWatch's in it: nothing is behind", i, lines[i])
		}
	}
	if strings.Contains(out, value) {
		t.Errorf("it printed a value:\n%s", out)
	}
}

func versionKeys(n int) []string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprint("VERSION#abcdef#v", i))
	}
	return keys
}

// A run that fails is a failed invocation, and the process is fit for the next.
func TestFailure(t *testing.T) {
	t.Parallel()
	e := start(t)
	api := runtimetest.New(t)
	p := runtimetest.Start(t, api, e.env(map[string]string{"TABLE_NAME": "another"}))
	for range 2 {
		res := invoke(t, api, p)
		if res.Error == nil || res.Error.ErrorMessage != "not all was pruned that is due; the log says what failed" {
			t.Errorf("got %s, %+v, want a failure", res.Response, res.Error)
		}
	}
	if out := p.Stop(); !strings.Contains(out, "ResourceNotFoundException") || !strings.Contains(out, `"Failed":8`) {
		t.Errorf("it printed %s, want what failed", out)
	}
}

// between is a DynamoDB endpoint in front of the engine's. It calls do before the
// nth call of an operation, or after it and before its answer.
func (e engines) between(t *testing.T, operation string, n int64, after bool, do func()) string {
	t.Helper()
	engine, err := url.Parse(strings.TrimPrefix(e.vars[0], "AWS_ENDPOINT_URL_DYNAMODB="))
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(engine)
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mine := strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+operation) && calls.Add(1) == n
		if !mine && calls.Load() >= n {
			panic(http.ErrAbortHandler) // it may try again before it is killed
		}
		if mine && !after {
			do()
			panic(http.ErrAbortHandler)
		}
		if mine {
			w = httptest.NewRecorder()
			// The engine answers, and nobody hears it.
			forward.ServeHTTP(w, r)
			do()
			panic(http.ErrAbortHandler)
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Killed in the middle of a purge, the function leaves nothing that can be seen,
// and the next run finds and finishes it.
func TestKilledDuringPurge(t *testing.T) {
	t.Parallel()
	e := start(t)
	const n = 130 // six slices
	e.make(t, "other", 3)
	for _, point := range []struct {
		operation string
		nth       int64
		after     bool
		left      int // items of the secret
	}{
		{"TransactWriteItems", 1, false, n + 1},
		{"TransactWriteItems", 1, true, n + 1}, // a note in place of a head
		{"BatchWriteItem", 1, false, n + 1},
		{"BatchWriteItem", 1, true, n + 1 - 25},
		{"BatchWriteItem", 3, true, n + 1 - 75},
		{"BatchWriteItem", 6, true, 1},
		{"BatchWriteItem", 7, false, 1},
		{"BatchWriteItem", 7, true, 0},
	} {
		name := fmt.Sprintf("%s %d, after %t", point.operation, point.nth, point.after)
		e.make(t, "s", n)
		e.update(t, "s", func(sec secret.Secret) (secret.Change, error) {
			return sec.Delete(secret.MinRecoveryDays, time.Now().AddDate(0, 0, -8))
		})
		var killed atomic.Pointer[runtimetest.Process]
		proxy := e.between(t, point.operation, point.nth, point.after, func() { killed.Load().Stop() })
		api := runtimetest.New(t)
		p := runtimetest.Start(t, api, e.env(map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": proxy}))
		killed.Store(p)
		if res, err := api.Invoke(p, event(t)); err == nil {
			t.Fatalf("%s: it was not killed: %s, %+v", name, res.Response, res.Error)
		}
		left := e.keys(t, "s")
		if len(left) != point.left {
			t.Errorf("%s: %d items are left, want %d", name, len(left), point.left)
		}
		// The secret is there as a whole, or it is gone, and then its name is free.
		_, err := e.store.Get(t.Context(), secret.ID{Name: "s"})
		if whole := slices.Contains(left, "HEAD"); whole != (err == nil) || whole && len(left) != n+1 {
			t.Errorf("%s: it reads %v with %d items", name, err, len(left))
		}
		api = runtimetest.New(t)
		p = runtimetest.Start(t, api, e.env(nil))
		if res := invoke(t, api, p); res.Error != nil {
			t.Errorf("%s: %+v", name, res.Error)
		}
		p.Stop()
		if got := e.keys(t, "s"); len(got) != 0 {
			t.Errorf("%s: %d items are left, such as %s", name, len(got), got[0])
		}
		if got, want := e.keys(t, "other"), append([]string{"HEAD"}, versionKeys(3)...); !slices.Equal(got, want) {
			t.Errorf("%s: items of another are %q, want %q", name, got, want)
		}
	}
	rows, _, err := e.store.Directory(t.Context(), store.Walk{Order: store.ByName, Limit: 10})
	if err != nil || len(rows) != 1 || rows[0].Name != "other" {
		t.Errorf("the directory has %v, %v, want the other alone", rows, err)
	}
}

// The function verifies the table instead when the event says so, logs what is wrong, and
// fails as long as something is.
func TestVerify(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.make(t, "s", 3)
	e.make(t, "gone", 3)
	e.update(t, "gone", func(sec secret.Secret) (secret.Change, error) { return sec.Remove(time.Now().UTC()), nil })
	e.make(t, "torn", 3)
	for _, key := range [][2]string{{"DIRECTORY#NAME", "s"}, {"SECRET#torn", "VERSION#abcdef#v2"}} {
		_, err := e.DynamoDB().DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String(good["TABLE_NAME"]), Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: key[0]}, "sk": &types.AttributeValueMemberS{Value: key[1]},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	api := runtimetest.New(t)
	p := runtimetest.Start(t, api, e.env(map[string]string{"MAX_VERSIONS": "0"}))
	ask := func(event, want string) {
		t.Helper()
		res, err := api.Invoke(p, []byte(event))
		if err != nil {
			t.Fatal(err)
		}
		got := string(res.Response)
		if res.Error != nil {
			got = res.Error.ErrorMessage
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", event, got, want)
		}
	}
	ask(string(sample(t, "verify")), "findings that are not repaired: 3")
	ask(`{"verify":true,"repair":true}`, "findings that are not repaired: 1")
	ask(`{"repair":true}`, "repair and from need verify")
	ask(`{"verify":true,"from":"here"}`, "not all was verified; the log says what failed")
	ask(`{"verify":"yes"}`, "the event is no request to verify, and none of a schedule")
	if got := e.keys(t, "gone"); len(got) != 4 {
		t.Errorf("items %q, want nothing pruned", got)
	}
	e.update(t, "torn", func(sec secret.Secret) (secret.Change, error) { return sec.Remove(time.Now().UTC()), nil })
	ask(`{"verify":true}`, `{"secrets":3,"findings":0,"repaired":0}`)
	out := p.Stop()
	for _, want := range []string{
		`"level":"WARN","msg":"finding","secret":"torn","what":"AWSCURRENT is on version v2, which is not there","repairable":false,"repaired":false`,
		`"secret":"s","what":"the directory by name does not list it","repairable":true,"repaired":false`,
		`"secret":"s","what":"the directory by name does not list it","repairable":true,"repaired":true`,
		`"msg":"verified","secrets":3,"findings":3,"repaired":2`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it printed\n%s\nwant %s", out, want)
		}
	}
	if strings.Contains(out, value) {
		t.Errorf("it printed a value:\n%s", out)
	}
}

func TestVariablesInDocs(t *testing.T) {
	t.Parallel()
	var read []string
	_, _ = build(func(name string) string { read = append(read, name); return good[name] }, slog.New(slog.DiscardHandler))
	documented.Variables(t, "../../docs/settings.md", "## The functions", "prune", read)
}
