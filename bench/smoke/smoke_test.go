package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/client"
)

// program is the built local server.
var program string

func TestMain(m *testing.M) { os.Exit(withProgram(m)) }

func withProgram(m *testing.M) int {
	dir, err := os.MkdirTemp("", "strongroom-smoke")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "local")
	if out, err := exec.Command("go", "build", "-o", program, "../../functions/local").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	for name, value := range map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIASMOKE00000000001", "AWS_SECRET_ACCESS_KEY": "QXZ/of/the/test/and/nobody/else/00000000",
		"AWS_CONFIG_FILE": filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none"), "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "",
	} {
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// asGateway are the arguments of a server that takes signatures as API Gateway does.
func asGateway(t *testing.T) []string {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "keys.json")
	text := fmt.Sprintf(`[{"user":"smoke","accessKeyId":%q,"secretAccessKey":%q}]`, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"))
	writeFile(t, keys, text, 0o600)
	return []string{"--verify-credentials", keys, "--signing-name", "execute-api"}
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

var answersOn = regexp.MustCompile(`answers on (http://\S+),`)

// start runs the server until the end of the test.
func start(t *testing.T, env []string, args ...string) (url string) {
	t.Helper()
	server := exec.Command(program, append([]string{"--addr", "127.0.0.1:0", "--memory"}, args...)...)
	server.Env = append(os.Environ(), env...)
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	m := answersOn.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("it printed %q", line)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return m[1]
}

// checkLines compares the marks of the lines with those that are expected, of which ok
// goes without saying.
func checkLines(t *testing.T, out string, want map[string]string) {
	t.Helper()
	for _, s := range append(slices.Clone(steps), step{name: "clean up"}) {
		mark := want[s.name]
		if mark == "" {
			mark = "ok"
		}
		if !regexp.MustCompile(`(?m)^` + mark + ` +` + s.name + ` +\d+ ms  \S`).MatchString(out) {
			t.Errorf("there is no line %q for %q", mark, s.name)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func checkNothingLeft(t *testing.T, url string) {
	t.Helper()
	secrets, err := client.New(t.Context(), url, client.SignedFor("execute-api"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := secrets.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)})
	if err != nil || len(out.SecretList) != 0 {
		t.Errorf("got %v, %v, want no secret left", out, err)
	}
}

// A server that takes signatures as API Gateway does passes all steps, and nothing stays
// behind.
func TestSmoke(t *testing.T) {
	t.Parallel()
	f := &function{}
	lambda := httptest.NewServer(f)
	t.Cleanup(lambda.Close)
	records := filepath.Join(t.TempDir(), "audit.jsonl")
	url := start(t, []string{"AWS_ENDPOINT_URL_LAMBDA=" + lambda.URL}, append(asGateway(t), "--audit", records)...)
	f.server.Store(&url)
	var out bytes.Buffer
	err := command(t.Context(), []string{
		"-signing-name", "execute-api", "-audit", records, "-gets", "20",
		"-rotation-function", "arn:aws:lambda:us-east-1:000000000000:function:smoke", url,
	}, &out)
	if err != nil {
		t.Error(err)
	}
	checkLines(t, out.String(), nil)
	checkNothingLeft(t, url)
	for _, value := range []string{firstValue, secondValue} {
		if strings.Contains(out.String(), value) {
			t.Errorf("a value is printed")
		}
	}
}

// What is wrong fails its own step, and not those behind it.
func TestFailures(t *testing.T) {
	t.Parallel()
	policies := filepath.Join(t.TempDir(), "policies.json")
	writeFile(t, policies, `[{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":"secretsmanager:*","Resource":"*"},
		{"Effect":"Deny","Principal":"*","Action":["secretsmanager:ListSecrets","secretsmanager:UpdateSecretVersionStage"],"Resource":"*"}]}]`, 0o600)
	records := filepath.Join(t.TempDir(), "audit.jsonl")
	writeFile(t, records, "", 0o600)
	url := start(t, nil, "--policies", policies) // checks no signatures
	var out bytes.Buffer
	err := command(t.Context(), []string{"-signing-name", "lambda", "-audit", records, "-gets", "1", url}, &out)
	if want := "steps that failed: 5 of 14"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	checkLines(t, out.String(), map[string]string{
		"label move": "FAILED", "get": "FAILED", "wrong signing name": "FAILED", "list": "FAILED", "record": "FAILED", "rotate": "left out",
	})
}

// Without more than a URL, what cannot be known is left out and said.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := command(t.Context(), []string{"-gets", "1", start(t, nil)}, &out); err != nil {
		t.Error(err)
	}
	checkLines(t, out.String(), map[string]string{"wrong signing name": "left out", "record": "left out", "rotate": "left out"})
}

// Nothing is left behind when it is interrupted, at whatever step.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	url := start(t, nil, asGateway(t)...)
	for i, s := range steps {
		tr, err := newTrial(t.Context(), settings{url: url, signingName: "execute-api", gets: 1})
		if err != nil {
			t.Fatal(err)
		}
		ctx, interrupt := context.WithCancel(t.Context())
		cut := slices.Clone(steps[:i+1])
		cut[i].do = func(ctx context.Context, t *trial) (string, error) {
			interrupt()
			return s.do(ctx, t)
		}
		var out bytes.Buffer
		if err := tr.run(ctx, append(cut, steps[i+1:]...), &out); err == nil || err.Error() != "interrupted; not all was tried" {
			t.Errorf("%s: got %v, want that it was interrupted", s.name, err)
		}
		checkNothingLeft(t, url)
	}
}

// A deployment that cannot be reached costs one line, not one for each step.
func TestUnreachable(t *testing.T) {
	nobody := httptest.NewServer(nil)
	nobody.Close()
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	var out bytes.Buffer
	if err := command(t.Context(), []string{nobody.URL}, &out); err == nil {
		t.Error("got success")
	}
	if strings.Count(out.String(), "FAILED") != 2 || !strings.Contains(out.String(), "Remove it by hand: aws secretsmanager delete-secret") {
		t.Errorf("got %s, want that the secret could neither be made nor removed, and how to remove it", &out)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"name one URL": nil, `"nowhere" is not a URL`: {"nowhere"}, "none of execute-api, lambda": {"-signing-name", "s3", "http://h"},
		"-gets must be from 1": {"-gets", "0", "http://h"}, "leave one of them out": {"-audit", "f", "-log-group", "g", "http://h"}, "-h lists the flags": {"-x"},
	} {
		if err := command(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}

// A record that CloudWatch Logs delivers late is found.
func TestRecordInLogGroup(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "aws"), `#!/bin/sh
echo "$@" >> `+dir+`/asked
[ -e `+dir+`/late ] || { touch `+dir+`/late; echo '[]'; exit; }
echo '["START RequestId: r-1", "{\"requestID\":\"r-1\",\"eventName\":\"GetSecretValue\"}"]'
`, 0o700)
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	tr, err := newTrial(t.Context(), settings{url: "http://127.0.0.1:1", signingName: "execute-api", logGroup: "/strongroom/a1/api"})
	if err != nil {
		t.Fatal(err)
	}
	tr.request = "r-1"
	if came, err := record(t.Context(), tr); err != nil || !strings.Contains(came, "request r-1 has its record: GetSecretValue") {
		t.Errorf("got %q, %v", came, err)
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil || strings.Count(string(asked), `logs filter-log-events --region us-east-1 --log-group-name /strongroom/a1/api`) != 2 {
		t.Errorf("got %s, %v, want that it asked twice", asked, err)
	}
	writeFile(t, filepath.Join(dir, "aws"), "#!/bin/sh\necho 'AccessDeniedException: not you' >&2\nexit 254\n", 0o700)
	if _, err := record(t.Context(), tr); err == nil || !strings.Contains(err.Error(), "not you") {
		t.Errorf("got %v, want what the AWS CLI said", err)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		of      []time.Duration
		percent int
		want    time.Duration
	}{{hundred, 50, 50}, {hundred, 99, 99}, {hundred[:1], 50, 1}, {hundred[:1], 99, 1}, {hundred[:2], 50, 1}, {hundred[:2], 99, 2}} {
		if got := percentile(test.of, test.percent); got != test.want {
			t.Errorf("p%d of %d: got %d, want %d", test.percent, len(test.of), got, test.want)
		}
	}
}

// The page says of each step what it confirms.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if row := "| `" + s.name + "` | " + s.confirms + " |"; !strings.Contains(string(page), row) {
			t.Errorf("docs/deploy.md lacks the row\n%s", row)
		}
	}
}

// A function is a rotation function behind Lambda's Invoke, with no database to change.
type function struct{ server atomic.Pointer[string] }

// ServeHTTP does one step.
func (f *function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e struct{ Step, SecretId, ClientRequestToken, RotationToken string }
	if r.Header.Get("X-Amz-Invocation-Type") == "DryRun" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	secrets, err := client.New(r.Context(), *f.server.Load(), client.SignedFor("execute-api"))
	if err == nil {
		err = json.NewDecoder(r.Body).Decode(&e)
	}
	switch {
	case err != nil:
	case e.Step == "createSecret":
		_, err = secrets.PutSecretValue(r.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: &e.SecretId, ClientRequestToken: &e.ClientRequestToken, RotationToken: &e.RotationToken,
			SecretString: aws.String(`{"username":"smoke","password":"rotated"}`), VersionStages: []string{"AWSPENDING"},
		})
	case e.Step == "finishSecret":
		var is *secretsmanager.GetSecretValueOutput
		if is, err = secrets.GetSecretValue(r.Context(), &secretsmanager.GetSecretValueInput{SecretId: &e.SecretId}); err != nil {
			break
		}
		_, err = secrets.UpdateSecretVersionStage(r.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &e.SecretId, VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: &e.ClientRequestToken, RemoveFromVersionId: is.VersionId,
		})
	}
	if err != nil {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	_, _ = io.WriteString(w, "null")
}
