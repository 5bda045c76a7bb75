package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/schedule"
)

const (
	rotated   = "MyTestDatabaseSecret"
	rotator   = "arn:aws:lambda:us-east-1:000000000000:function:rotation-example"
	firstUser = `{"app":"EXAMPLE-1"}`
	firstPair = `{"username":"app","password":"EXAMPLE-1"}`
)

// example builds the rotation function, once, beside the command.
var example = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(program), "rotation-example")
	out, err := exec.Command("go", "build", "-o", path, "../rotation-example").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return path, err
})

// A gate is the Lambda of a test: the server is told its address before the rotation
// function, which is told the server's, runs. It passes invocations on, and shows them
// to watch first.
type gate struct {
	url   string
	watch func(step string) // may block, and must be set before the first invocation

	mu       sync.Mutex
	function *httputil.ReverseProxy
	steps    []string
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{watch: func(string) {}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

func (g *gate) env() []string { return []string{"AWS_ENDPOINT_URL_LAMBDA=" + g.url} }

// ServeHTTP passes an invocation on.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var order struct{ Step string }
	body, err := io.ReadAll(r.Body)
	if err == nil && len(body) > 0 {
		err = json.Unmarshal(body, &order)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	g.mu.Lock()
	g.steps = append(g.steps, order.Step)
	function := g.function
	g.mu.Unlock()
	g.watch(order.Step)
	function.ServeHTTP(w, r)
}

// took returns the steps since the last took; the empty one asks whether the function
// is there.
func (g *gate) took() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	steps := g.steps
	g.steps = nil
	return steps
}

var functionAnswersOn = regexp.MustCompile(`answers on (http://\S+),`)

// A function is the rotation function at work.
type function struct {
	*exec.Cmd
	log      bytes.Buffer // to be read when it has ended
	database string       // file
}

// run runs the rotation function of a server, over a database of its own.
func (g *gate) run(t *testing.T, server string) *function {
	t.Helper()
	path, err := example()
	if err != nil {
		t.Fatal(err)
	}
	f := &function{Cmd: exec.Command(path, "--addr", "127.0.0.1:0"), database: filepath.Join(t.TempDir(), "database.json")}
	if err := os.WriteFile(f.database, []byte(firstUser), 0o600); err != nil {
		t.Fatal(err)
	}
	f.Env = append(os.Environ(), "SECRETS_MANAGER_ENDPOINT="+server, "DATABASE_FILE="+f.database,
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local")
	f.Stderr = &f.log
	out, err := f.StdoutPipe()
	if err == nil {
		err = f.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.Process.Kill()
		_ = f.Wait()
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	m := functionAnswersOn.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("it printed %q", line)
	}
	at, err := url.Parse(m[1])
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.function = &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(at) },
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the process that asked may be gone
	}
	return f
}

// end stops the function as Ctrl-C does, and returns what it logged.
func (f *function) end(t *testing.T) string {
	t.Helper()
	err := f.Process.Signal(os.Interrupt)
	if err == nil {
		err = f.Wait()
	}
	if err != nil {
		t.Errorf("the function ended with %v and said %s", err, &f.log)
	}
	return f.log.String()
}

// users is what stands in the database.
func (f *function) users(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(f.database)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// rotateSecret asks for a rotation.
func rotateSecret(t *testing.T, url string, change func(*secretsmanager.RotateSecretInput)) (version string, err error) {
	t.Helper()
	in := &secretsmanager.RotateSecretInput{SecretId: aws.String(rotated)}
	if change != nil {
		change(in)
	}
	out, err := localtest.Client(url).RotateSecret(t.Context(), in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.VersionId), nil
}

func withFunction(in *secretsmanager.RotateSecretInput) {
	in.RotationLambdaARN = aws.String(rotator)
}

func mustRotate(t *testing.T, url string, change func(*secretsmanager.RotateSecretInput)) string {
	t.Helper()
	version, err := rotateSecret(t, url, change)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func describe(t *testing.T, url string) *secretsmanager.DescribeSecretOutput {
	t.Helper()
	out, err := localtest.Client(url).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(rotated)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// until waits for what describe shows.
func until(t *testing.T, url, what string, shows func(*secretsmanager.DescribeSecretOutput) bool) *secretsmanager.DescribeSecretOutput {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		out := describe(t, url)
		if shows(out) {
			return out
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a while it is not %s: %v", what, out.VersionIdsToStages)
		}
	}
}

// untilRotated waits until a version is current and no rotation is under way.
func untilRotated(t *testing.T, url, version string) *secretsmanager.DescribeSecretOutput {
	t.Helper()
	return until(t, url, "rotated", func(out *secretsmanager.DescribeSecretOutput) bool {
		return slices.Equal(out.VersionIdsToStages[version], []string{"AWSCURRENT"})
	})
}

// login is the value with a label.
func login(t *testing.T, url, label string) (version, username, password string) {
	t.Helper()
	out, err := localtest.Client(url).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(rotated), VersionStage: aws.String(label)})
	if err != nil {
		t.Fatal(err)
	}
	var l struct{ Username, Password string }
	if err := json.Unmarshal([]byte(*out.SecretString), &l); err != nil {
		t.Fatal(err)
	}
	return *out.VersionId, l.Username, l.Password
}

// checkRefusal compares code and text of a refusal.
func checkRefusal(t *testing.T, err error, code, text string) {
	t.Helper()
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok || refused.ErrorCode() != code || refused.ErrorMessage() != text {
		t.Errorf("got %v, want %s: %s", err, code, text)
	}
}

// From RotateSecret to the new password in the database: processes, HTTP and
// invocations are real.
func TestRotation(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	r := startWith(t, g.env(), "--data", filepath.Join(t.TempDir(), "data"))
	f := g.run(t, r.url)
	create(t, r.url, rotated, firstPair)
	old, _, oldPassword := login(t, r.url, "AWSCURRENT")
	passwords := []string{oldPassword}
	for i, change := range []func(*secretsmanager.RotateSecretInput){
		func(in *secretsmanager.RotateSecretInput) {
			withFunction(in)
			in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)}
		},
		nil, // the function and the rules stay
	} {
		began := time.Now().Truncate(time.Second)
		version := mustRotate(t, r.url, change)
		secret := untilRotated(t, r.url, version)
		checkRotated(t, secret, began, old)
		now, username, password := login(t, r.url, "AWSCURRENT")
		if now != version || username != "app" || slices.Contains(passwords, password) {
			t.Errorf("rotation %d: got version %s of %s, want %s with another password", i, now, username, version)
		}
		before, _, was := login(t, r.url, "AWSPREVIOUS")
		if before != old || was != oldPassword {
			t.Errorf("rotation %d: got %s as previous version, want %s", i, before, old)
		}
		if got, want := f.users(t), `{"app":"`+password+`"}`; got != want {
			t.Errorf("rotation %d: got %s in the database, want %s", i, got, want)
		}
		if got, want := g.took(), []string{"", "createSecret", "setSecret", "testSecret", "finishSecret"}; !slices.Equal(got, want) {
			t.Errorf("rotation %d: got the invocations %q, want %q", i, got, want)
		}
		old, oldPassword, passwords = version, password, append(passwords, password)
	}
	r.interrupt(t)
	log := f.end(t)
	for _, password := range passwords {
		if strings.Contains(r.errors.String()+log, password) {
			t.Errorf("a password is in the log: %s%s", r.errors, log)
		}
	}
	if strings.Count(log, "step done") != 8 {
		t.Errorf("the function logged %s, want a line for each step", log)
	}
	for _, want := range []string{"RotationStarted", "RotationSucceeded"} {
		if strings.Count(r.errors.String(), want) != 2 {
			t.Errorf("it logged %s, want %s twice", r.errors, want)
		}
	}
}

// checkRotated looks at what is told of a secret after a rotation.
func checkRotated(t *testing.T, secret *secretsmanager.DescribeSecretOutput, began time.Time, previous string) {
	t.Helper()
	if !aws.ToBool(secret.RotationEnabled) || aws.ToString(secret.RotationLambdaARN) != rotator {
		t.Errorf("got rotation enabled %v by %s, want true by %s", aws.ToBool(secret.RotationEnabled), aws.ToString(secret.RotationLambdaARN), rotator)
	}
	if secret.RotationRules == nil || aws.ToInt64(secret.RotationRules.AutomaticallyAfterDays) != 30 || secret.RotationRules.ScheduleExpression != nil {
		t.Errorf("got the rules %+v, want 30 days", secret.RotationRules)
	}
	if last := aws.ToTime(secret.LastRotatedDate); last.Before(began) || last.After(time.Now()) {
		t.Errorf("got the last rotation at %v, want now", last)
	}
	if next := aws.ToTime(secret.NextRotationDate).Sub(began); next < 29*24*time.Hour || next > 31*24*time.Hour {
		t.Errorf("got the next rotation in %v, want in 30 days", next)
	}
	if got := secret.VersionIdsToStages[previous]; !slices.Equal(got, []string{"AWSPREVIOUS"}) || len(secret.VersionIdsToStages) != 2 {
		t.Errorf("got %v, want the version before as the previous one, and no other", secret.VersionIdsToStages)
	}
}

// With RotateImmediately=false the function is tested, and nothing stays of it.
func TestRotationIsTested(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	r := startWith(t, g.env(), "--memory")
	f := g.run(t, r.url)
	create(t, r.url, rotated, firstPair)
	mustRotate(t, r.url, func(in *secretsmanager.RotateSecretInput) {
		withFunction(in)
		in.RotateImmediately = aws.Bool(false)
		in.RotationRules = &types.RotationRulesType{ScheduleExpression: aws.String("rate(10 days)")}
	})
	until(t, r.url, "tested", func(out *secretsmanager.DescribeSecretOutput) bool { return len(out.VersionIdsToStages) == 1 })
	if got, want := g.took(), []string{"", "testSecret"}; !slices.Equal(got, want) {
		t.Errorf("got the invocations %q, want %q", got, want)
	}
	if _, _, password := login(t, r.url, "AWSCURRENT"); password != "EXAMPLE-1" || f.users(t) != firstUser {
		t.Errorf("got %s in the database, want nothing changed", f.users(t))
	}
	r.interrupt(t)
}

// AWS takes no interval under four hours, and this server those that it is told to.
func TestLeastInterval(t *testing.T) {
	t.Parallel()
	often := func(in *secretsmanager.RotateSecretInput) {
		withFunction(in)
		in.RotationRules = &types.RotationRulesType{ScheduleExpression: aws.String("rate(1 minute)")}
	}
	for _, test := range []struct {
		args []string
		code string
		text string
	}{
		{nil, "InvalidParameterException", "A rate() expression must be a number and the unit hours or days, such as rate(10 days)."},
		{[]string{"--min-rotation-interval", "2m"}, "InvalidParameterException", "The interval between rotations must be at least 2m."},
		{[]string{"--min-rotation-interval", "1m"}, "", ""},
	} {
		g := newGate(t)
		r := startWith(t, g.env(), append([]string{"--memory"}, test.args...)...)
		g.run(t, r.url)
		create(t, r.url, rotated, firstPair)
		version, err := rotateSecret(t, r.url, often)
		if test.code != "" {
			checkRefusal(t, err, test.code, test.text)
			continue
		}
		if err != nil {
			t.Fatalf("%v: %v", test.args, err)
		}
		// The schedule may have begun another one since.
		secret := until(t, r.url, "rotated", func(out *secretsmanager.DescribeSecretOutput) bool { return out.LastRotatedDate != nil })
		if next := aws.ToTime(secret.NextRotationDate); time.Until(next) > 2*time.Minute || aws.ToString(secret.RotationRules.ScheduleExpression) != "rate(1 minute)" {
			t.Errorf("got %s, the next at %v, want it within minutes of version %s", aws.ToString(secret.RotationRules.ScheduleExpression), next, version)
		}
	}
}

func TestLeastIntervalFlag(t *testing.T) {
	t.Parallel()
	none := func(string) string { return "" }
	log := slog.New(slog.DiscardHandler)
	for _, test := range []struct {
		args []string
		want time.Duration // zero for a refusal
	}{
		{nil, schedule.Least},
		{[]string{"--min-rotation-interval", "1m"}, time.Minute},
		{[]string{"--min-rotation-interval", "4h"}, 4 * time.Hour},
		{[]string{"--min-rotation-interval", "59s"}, 0},
		{[]string{"--min-rotation-interval", "5h"}, 0},
	} {
		set, err := readSettings(test.args, none, nil, log)
		if (err == nil) != (test.want != 0) || err == nil && set.minRotation != test.want {
			t.Errorf("%v: got %v, %v, want %v", test.args, set.minRotation, err, test.want)
		}
		if err != nil && !strings.Contains(err.Error(), "--min-rotation-interval must be from 1m to 4h") {
			t.Errorf("%v: got %v, want what it must be", test.args, err)
		}
	}
}

// A server killed while the function is at work leaves the secret as it was, with the
// rotation to go on with when its lease has ended.
func TestKilledDuringRotation(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	g := newGate(t)
	inSet, goOn := make(chan struct{}), make(chan struct{})
	g.watch = func(step string) {
		if step == "setSecret" {
			close(inSet)
			<-goOn
		}
	}
	r := startWith(t, g.env(), "--data", data)
	g.run(t, r.url)
	create(t, r.url, rotated, firstPair)
	old, _, _ := login(t, r.url, "AWSCURRENT")
	version := mustRotate(t, r.url, withFunction)
	select {
	case <-inSet:
	case <-time.After(30 * time.Second):
		t.Fatal("setSecret was not called")
	}
	if err := r.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.Wait() // it was killed
	g.watch = func(string) {}
	close(goOn)
	g.took()

	r = startWith(t, g.env(), "--data", data)
	g.run(t, r.url)
	if now, _, password := login(t, r.url, "AWSCURRENT"); now != old || password != "EXAMPLE-1" {
		t.Errorf("got version %s, want %s with its value", now, old)
	}
	secret := describe(t, r.url)
	if got := secret.VersionIdsToStages; len(got) != 2 || !slices.Equal(got[old], []string{"AWSCURRENT"}) || !slices.Equal(got[version], []string{"AWSPENDING"}) {
		t.Errorf("got %v, want %s current and %s pending", got, old, version)
	}
	if now, _, _ := login(t, r.url, "AWSPENDING"); now != version {
		t.Errorf("got %s pending, want %s, which createSecret made", now, version)
	}
	_, err := rotateSecret(t, r.url, nil)
	checkRefusal(t, err, "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted.")
	if steps := g.took(); slices.Contains(steps, "createSecret") {
		t.Errorf("got the invocations %q, want none of a rotation that somebody may be at", steps)
	}

	// A new current version ends it. The next one is begun, and waits for the end of the
	// lease: this server cannot know that the one before is gone.
	again, err := localtest.Client(r.url).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(rotated), SecretString: aws.String(firstPair)})
	if err != nil {
		t.Fatal(err)
	}
	if got := describe(t, r.url).VersionIdsToStages; len(got) != 2 || !slices.Equal(got[*again.VersionId], []string{"AWSCURRENT"}) || !slices.Equal(got[old], []string{"AWSPREVIOUS"}) {
		t.Errorf("got %v, want no rotation under way", got)
	}
	next := mustRotate(t, r.url, nil)
	r.interrupt(t) // which waits for what was started
	if steps := g.took(); slices.Contains(steps, "createSecret") {
		t.Errorf("got the invocations %q, want none of a rotation that has to wait", steps)
	}
	r = startWith(t, g.env(), "--data", data)
	if got := describe(t, r.url).VersionIdsToStages; len(got) != 3 || !slices.Equal(got[next], []string{"AWSPENDING"}) || !slices.Equal(got[*again.VersionId], []string{"AWSCURRENT"}) {
		t.Errorf("got %v, want %s pending", got, next)
	}
	r.interrupt(t)
}

// Without a Lambda nothing is rotated, and the terminal says what to set.
func TestNoLambda(t *testing.T) {
	t.Parallel()
	r := startWith(t, []string{"AWS_ENDPOINT_URL_LAMBDA="}, "--memory")
	create(t, r.url, rotated, firstPair)
	_, err := rotateSecret(t, r.url, withFunction)
	checkRefusal(t, err, "AccessDeniedException",
		"Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.")
	if secret := describe(t, r.url); secret.RotationEnabled != nil || len(secret.VersionIdsToStages) != 1 {
		t.Errorf("got rotation enabled %v and %v, want nothing stored", secret.RotationEnabled, secret.VersionIdsToStages)
	}
	r.interrupt(t)
	if got := r.errors.String(); !strings.Contains(got, "AWS_ENDPOINT_URL_LAMBDA is not set") {
		t.Errorf("it logged %s, want that AWS_ENDPOINT_URL_LAMBDA is not set", got)
	}
}
