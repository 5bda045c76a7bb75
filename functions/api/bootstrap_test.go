package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/functions/internal/runtimetest"
	"github.com/strongroom/strongroom/pkg/gateway"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/store"
)

const events = "../../events"

func TestMain(m *testing.M) { runtimetest.Main(m) }

func environ(env map[string]string) []string {
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}

// An answer is what the front door would give to the caller. Dates and the
// suffixes of ARNs are blotted out.
type answer struct {
	Status int
	Body   map[string]any
	// Failure is the error of an invocation without an answer.
	Failure string
}

func answerOf(res runtimetest.Result) (answer, error) {
	if res.Error != nil {
		return answer{Failure: res.Error.ErrorMessage}, nil
	}
	var response gateway.Response
	if err := json.Unmarshal(res.Response, &response); err != nil {
		return answer{}, err
	}
	got := response.MultiValueHeaders["Content-Type"]
	if response.Headers != nil { // for a function URL
		got = []string{response.Headers["Content-Type"]}
	}
	if !slices.Equal(got, []string{"application/x-amz-json-1.1"}) {
		return answer{}, fmt.Errorf("content type %q", got)
	}
	a := answer{Status: response.StatusCode}
	if err := json.Unmarshal([]byte(response.Body), &a.Body); err != nil {
		return answer{}, err
	}
	if arn, ok := a.Body["ARN"].(string); ok {
		a.Body["ARN"] = suffix.ReplaceAllString(arn, "-SUFFIX")
	}
	if _, ok := a.Body["CreatedDate"].(float64); ok {
		a.Body["CreatedDate"] = "DATE"
	}
	return a, nil
}

var suffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// TestEvents feeds every sample event to the function as it is deployed. One
// process answers them all, as a warm one does, so an event it cannot answer
// must leave it fit for the next.
func TestEvents(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:"
	tests := []struct {
		file string
		want answer
	}{
		{"scheduled.json", answer{
			Failure: "this function answers events of an API Gateway REST API, or of a function URL with IAM, and the event it was given is none",
		}},
		{"stream.json", answer{ // for functions/replicate
			Failure: "this function answers events of an API Gateway REST API, or of a function URL with IAM, and the event it was given is none",
		}},
		{"verify.json", answer{ // for functions/prune
			Failure: "this function answers events of an API Gateway REST API, or of a function URL with IAM, and the event it was given is none",
		}},
		{"create.json", answer{Status: 200, Body: map[string]any{
			"ARN":       arn + "example/app/database-SUFFIX",
			"Name":      "example/app/database",
			"VersionId": "5b2f0f3c-6b1e-4a57-9d53-0d6c1c6f1a01",
		}}},
		{"put.json", answer{Status: 200, Body: map[string]any{
			"ARN":           arn + "example/app/database-SUFFIX",
			"Name":          "example/app/database",
			"VersionId":     "5b2f0f3c-6b1e-4a57-9d53-0d6c1c6f1a02",
			"VersionStages": []any{"AWSCURRENT"},
		}}},
		{"wrong-operation.json", answer{Status: 400, Body: map[string]any{
			"__type": "UnknownOperationException",
		}}},
		{"get.json", answer{Status: 200, Body: map[string]any{
			"ARN":           arn + "example/app/database-SUFFIX",
			"Name":          "example/app/database",
			"VersionId":     "5b2f0f3c-6b1e-4a57-9d53-0d6c1c6f1a02",
			"VersionStages": []any{"AWSCURRENT"},
			"SecretString":  `{"username":"app","password":"example-second-pässword"}`,
			"CreatedDate":   "DATE",
		}}},
		{"function-url.json", answer{Status: 200, Body: map[string]any{ // the same, at the other front door
			"ARN":           arn + "example/app/database-SUFFIX",
			"Name":          "example/app/database",
			"VersionId":     "5b2f0f3c-6b1e-4a57-9d53-0d6c1c6f1a02",
			"VersionStages": []any{"AWSCURRENT"},
			"SecretString":  `{"username":"app","password":"example-second-pässword"}`,
			"CreatedDate":   "DATE",
		}}},
		{"base64-body.json", answer{Status: 200, Body: map[string]any{
			"ARN":       arn + "example/app/certificate-SUFFIX",
			"Name":      "example/app/certificate",
			"VersionId": "5b2f0f3c-6b1e-4a57-9d53-0d6c1c6f1a04",
		}}},
	}
	samples := readEvents(t)

	engines := localtest.NewEngines()
	if err := store.CreateTable(t.Context(), engines.Tables, good["TABLE_NAME"]); err != nil {
		t.Fatal(err)
	}
	api := runtimetest.New(t)
	// Of a variable given twice the last counts: the Region is ours.
	p := runtimetest.Start(t, api, append(engines.Serve(t), environ(but(map[string]string{"KMS_KEY_ID": engines.DefaultKey, "LAMBDA_TASK_ROOT": root(t)}))...))

	untried := maps.Clone(samples)
	for _, test := range tests {
		sample, ok := samples[test.file]
		if !ok {
			t.Fatalf("%s is not in %s", test.file, events)
		}
		delete(untried, test.file)
		res, err := api.Invoke(p, sample)
		if err != nil {
			t.Fatalf("%s: %v; it printed\n%s", test.file, err, p.Stop())
		}
		got, err := answerOf(res)
		if err != nil {
			t.Errorf("%s: %v", test.file, err)
		} else if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got\n%+v, want\n%+v", test.file, got, test.want)
		}
	}
	for file := range untried {
		t.Errorf("%s is in %s, and this test does not say what its answer is", file, events)
	}

	printed := p.Stop()
	var asked []string
	for _, test := range tests {
		if operation := operationOf(t, samples[test.file]); operation != "" {
			asked = append(asked, operation)
		}
	}
	wantRecords(t, printed, asked...)

	// What is printed may be quoted JSON in JSON.
	out := strings.ReplaceAll(printed, `\`, "")
	secrets := secretsOf(t, samples)
	if len(secrets) < 4 {
		t.Errorf("only %d secrets in the samples, want at least two strings, a binary and a session token", len(secrets))
	}
	for _, s := range secrets {
		for _, s := range []string{s, base64.StdEncoding.EncodeToString([]byte(s))} {
			if strings.Contains(out, s) {
				t.Errorf("the function printed the secret %q", s)
			}
		}
	}
}

// operationOf is what a sample asks for; empty if it comes from no caller.
func operationOf(t *testing.T, sample []byte) string {
	t.Helper()
	var event struct{ Headers map[string]string }
	if err := json.Unmarshal(sample, &event); err != nil {
		t.Fatal(err)
	}
	for name, value := range event.Headers {
		if strings.EqualFold(name, "X-Amz-Target") {
			_, operation, _ := strings.Cut(value, ".")
			return operation
		}
	}
	return ""
}

// wantRecords wants one audit record for each call, each on a line of its own, and told
// apart from other lines by the member that queries and subscriptions look at.
func wantRecords(t *testing.T, printed string, want ...string) {
	t.Helper()
	var got []string
	for text := range strings.Lines(printed) {
		var line struct{ EventCategory, EventName, Msg string }
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Errorf("%q is no JSON: %v", text, err)
		}
		switch {
		case line.EventCategory == "Management":
			got = append(got, line.EventName)
		case line.Msg == "":
			t.Errorf("%q is neither a record nor a line of the log", text)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got records of %q, want %q", got, want)
	}
}

// A record that cannot be written fails its call: a process that can write nothing
// answers none.
func TestRecordThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Logf("there is no device that is full, so this was not tested here: %v", err)
		return
	}
	defer func() { _ = full.Close() }()
	engines := localtest.NewEngines()
	if err := store.CreateTable(t.Context(), engines.Tables, good["TABLE_NAME"]); err != nil {
		t.Fatal(err)
	}
	samples, api := readEvents(t), runtimetest.New(t)
	for required, want := range map[string]int{"true": http.StatusInternalServerError, "false": http.StatusOK} {
		env := but(map[string]string{"KMS_KEY_ID": engines.DefaultKey, "LAMBDA_TASK_ROOT": root(t), "AUDIT_REQUIRED": required})
		p := runtimetest.Start(t, api, append(engines.Serve(t), environ(env)...), func(cmd *exec.Cmd) { cmd.Stdout = full })
		res, err := api.Invoke(p, samples["create.json"])
		if err != nil {
			t.Fatal(err)
		}
		got, err := answerOf(res)
		if err != nil || got.Status != want {
			t.Errorf("AUDIT_REQUIRED=%s: got %+v, %v, want status %d", required, got, err, want)
		}
		p.Stop()
	}
}

// root is the folder with the policies that are deployed unless others are chosen.
func root(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func readEvents(t *testing.T) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(events)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		if files[entry.Name()], err = os.ReadFile(filepath.Join(events, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// secretsOf is every secret value in the samples, as it is on the wire, and
// every session token.
func secretsOf(t *testing.T, samples map[string][]byte) []string {
	t.Helper()
	var secrets []string
	for file, sample := range samples {
		var event struct {
			Headers         map[string]string
			Body            string
			IsBase64Encoded bool
		}
		if err := json.Unmarshal(sample, &event); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if event.Body == "" {
			continue // not a proxy event
		}
		body := []byte(event.Body)
		if event.IsBase64Encoded {
			var err error
			if body, err = base64.StdEncoding.DecodeString(event.Body); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
		var in struct{ SecretString, SecretBinary string }
		if err := json.Unmarshal(body, &in); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		header := http.Header{}
		for name, value := range event.Headers {
			header.Set(name, value)
		}
		for _, s := range []string{in.SecretString, in.SecretBinary, header.Get("X-Amz-Security-Token")} {
			if s != "" && !slices.Contains(secrets, s) {
				secrets = append(secrets, s)
			}
		}
	}
	return secrets
}

func TestWrongSettingsStopTheStart(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, value, want string }{
		{"TABLE_NAME", "", "TABLE_NAME is not set"},
		{"DATA_KEY_SECONDS", "a minute", "and must be a number of seconds from 0 to 3600"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := runtimetest.Start(t, runtimetest.New(t), environ(but(map[string]string{test.name: test.value})))
			select {
			case <-p.Done:
			case <-time.After(runtimetest.Patience):
				t.Fatalf("the function runs with %s=%q", test.name, test.value)
			}
			if code := p.Cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			if !strings.Contains(p.Out.String(), test.want) {
				t.Errorf("it printed %s, want %s in it", &p.Out, test.want)
			}
		})
	}
}
