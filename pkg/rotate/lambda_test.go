package rotate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/rotate"
)

// The steps, in the order in which they are called.
var steps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

const (
	function = "arn:aws:lambda:us-east-1:000000000000:function:rotation"
	// What is never to be told: it is in every value, and in every answer of a
	// function.
	valueMark  = "VALUE-MARK-"
	answerMark = "ANSWER-MARK-"
)

// A call is an invocation as the function was given it.
type call struct{ Step, SecretID, ClientRequestToken, RotationToken string }

func (c *call) UnmarshalJSON(text []byte) error {
	var members map[string]string // exactly these, in AWS's spelling
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	*c = call{members["Step"], members["SecretId"], members["ClientRequestToken"], members["RotationToken"]}
	if len(members) != 4 || c.Step == "" || c.SecretID == "" || c.ClientRequestToken == "" || c.RotationToken == "" {
		return fmt.Errorf("payload %s, want four members", text)
	}
	return nil
}

// A mishap is what becomes of an invocation: run runs the function, and what is
// returned says how the invocation is answered.
type mishap func(run func() error) answer

// An answer is written to who invoked.
type answer func(http.ResponseWriter, *http.Request)

// A fakeLambda is Lambda with a rotation function, behind real HTTP. The function keeps
// to the contract of AWS's templates:
// https://github.com/aws-samples/aws-secrets-manager-rotation-lambdas/blob/master/SecretsManagerRotationTemplate/lambda_function.py
type fakeLambda struct {
	url string
	t   testing.TB
	sdk *secretsmanager.Client // the function's
	// run is the function; nil means the template.
	run func(context.Context, call) error

	mu        sync.Mutex
	calls     []call              // since took
	tokens    []string            // RotationTokens of all
	mishaps   map[string][]mishap // by secret's name and step
	passwords map[string]string   // of what the secrets are for, by ARN
	running   int
	most      int // that ran at the same time
}

func newLambda(t testing.TB, sdk *secretsmanager.Client) *fakeLambda {
	t.Helper()
	f := &fakeLambda{t: t, sdk: sdk, mishaps: map[string][]mishap{}, passwords: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", f.invocation)
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("Lambda was asked for %s %s", r.Method, r.URL) })
	server := httptest.NewServer(mux)
	f.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections() // of what hangs still
		server.Close()
	})
	return f
}

func (f *fakeLambda) invocation(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	name, _ := url.PathUnescape(r.PathValue("name"))
	switch how := r.Header.Get("X-Amz-Invocation-Type"); {
	case how == "DryRun":
		f.dryRun(name, body)(w, r)
		return
	case how != "" && how != "RequestResponse":
		f.t.Errorf("invocation type %q", how)
	case name != function:
		f.t.Errorf("function %q was invoked", name)
	}
	var c call
	if err := json.Unmarshal(body, &c); err != nil {
		f.t.Error(err)
	}
	mishap := f.begin(c)
	defer f.end()
	mishap(func() error {
		if f.run != nil {
			return f.run(context.WithoutCancel(r.Context()), c)
		}
		return f.template(context.WithoutCancel(r.Context()), c) // it runs on when nobody waits for it
	})(w, r)
}

// dryRun answers a function's name with what it begins with.
func (f *fakeLambda) dryRun(name string, body []byte) answer {
	if len(body) > 0 {
		f.t.Errorf("a dry run has the payload %s", body)
	}
	switch {
	case strings.HasPrefix(name, "missing"):
		return refused(http.StatusNotFound, "ResourceNotFoundException")
	case strings.HasPrefix(name, "forbidden"):
		return refused(http.StatusForbidden, "AccessDeniedException")
	case strings.HasPrefix(name, "invalid"):
		return refused(http.StatusBadRequest, "InvalidParameterValueException")
	case strings.HasPrefix(name, "throttled"):
		return throttled
	case strings.HasPrefix(name, "broken"):
		return refused(http.StatusInternalServerError, "ServiceException")
	}
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
}

func (f *fakeLambda) begin(c call) mishap {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	f.tokens = append(f.tokens, c.RotationToken)
	f.running++
	f.most = max(f.most, f.running)
	key := nameOf(c.SecretID) + " " + c.Step
	if queue := f.mishaps[key]; len(queue) > 0 {
		f.mishaps[key] = queue[1:]
		return queue[0]
	}
	return fine
}

func (f *fakeLambda) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
}

// together is how many ran at the same time, at most.
func (f *fakeLambda) together() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

// breaks has the next calls of a step fail, for one secret.
func (f *fakeLambda) breaks(name, step string, mishaps ...mishap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mishaps[name+" "+step] = append(f.mishaps[name+" "+step], mishaps...)
}

// took returns the calls since the last took.
func (f *fakeLambda) took() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// stepsOf are the steps of these calls that are for a secret.
func stepsOf(calls []call, name string) []string {
	var found []string
	for _, c := range calls {
		if nameOf(c.SecretID) == name {
			found = append(found, c.Step)
		}
	}
	return found
}

func nameOf(arn string) string {
	name := arn[strings.LastIndex(arn, ":")+1:]
	return name[:len(name)-7]
}

// client is a real client of the fake, as the functions have it, with shorter waits.
func (f *fakeLambda) client() *lambda.Client { return lambdaAt(f.url) }

func lambdaAt(url string) *lambda.Client {
	return lambda.New(lambda.Options{
		Region: local.Region, BaseEndpoint: aws.String(url),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, rotate.Options, func(o *lambda.Options) { o.Retryer = retry.AddWithMaxBackoffDelay(o.Retryer, time.Millisecond) })
}

// Ways to answer.

func succeeded(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "null") }

// failedWith is how Lambda answers for a function that failed.
func failedWith(text string) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		_ = json.NewEncoder(w).Encode(map[string]string{"errorType": "ValueError", "errorMessage": answerMark + text})
	}
}

// emulated is how the Runtime Interface Emulator does.
func emulated(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"errorType": "ValueError", "errorMessage": answerMark, "stackTrace": []string{answerMark}})
}

// emulatedTimeout is how the emulator answers for a function that took too long.
func emulatedTimeout(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "Task timed out after 3.00 seconds")
}

func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// never waits until nobody waits for the answer any more.
func never(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func refused(status int, code string) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"Type":"User","message":"refused by the test"}`)
	}
}

var (
	throttled = refused(http.StatusTooManyRequests, "TooManyRequestsException")
	missing   = refused(http.StatusNotFound, "ResourceNotFoundException")
)

// Mishaps.

// fine is none.
func fine(run func() error) answer {
	if err := run(); err != nil {
		return failedWith(err.Error())
	}
	return succeeded
}

// before answers without the function having run.
func before(a answer) mishap { return func(func() error) answer { return a } }

// after answers when the function has run, and well.
func after(a answer) mishap {
	return func(run func() error) answer {
		if err := run(); err != nil {
			return failedWith(err.Error())
		}
		return a
	}
}

// meanwhile does something before the function runs.
func meanwhile(do func()) mishap {
	return func(run func() error) answer {
		do()
		return fine(run)
	}
}

// then does something after the function has run, and before its answer.
func then(do func()) mishap {
	return func(run func() error) answer {
		a := fine(run)
		do()
		return a
	}
}

// The rotation function.

// template is the function as AWS's template has it.
func (f *fakeLambda) template(ctx context.Context, c call) error {
	out, err := f.sdk.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &c.SecretID})
	if err != nil {
		return err
	}
	labels, ok := out.VersionIdsToStages[c.ClientRequestToken]
	switch {
	case !aws.ToBool(out.RotationEnabled):
		return errors.New("the secret is not enabled for rotation")
	case !ok:
		return errors.New("the version has no label")
	case slices.Contains(labels, "AWSCURRENT"):
		return nil
	case !slices.Contains(labels, "AWSPENDING"):
		return errors.New("the version is not set as AWSPENDING")
	}
	switch c.Step {
	case "createSecret":
		return f.createSecret(ctx, c)
	case "setSecret":
		return f.setSecret(ctx, c)
	case "testSecret":
		return f.testSecret(ctx, c)
	case "finishSecret":
		return f.finishSecret(ctx, c, out.VersionIdsToStages)
	}
	return fmt.Errorf("step %q", c.Step)
}

func (f *fakeLambda) get(ctx context.Context, c call, version, label string) (string, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: &c.SecretID, VersionStage: &label}
	if version != "" {
		in.VersionId = &version
	}
	out, err := f.sdk.GetSecretValue(ctx, in)
	if err != nil {
		return "", err
	}
	return *out.SecretString, nil
}

func (f *fakeLambda) createSecret(ctx context.Context, c call) error {
	if _, err := f.get(ctx, c, "", "AWSCURRENT"); err != nil {
		return err
	}
	_, err := f.get(ctx, c, c.ClientRequestToken, "AWSPENDING")
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		return err
	}
	password, err := f.sdk.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{ExcludeCharacters: aws.String(`/@"'\`)})
	if err != nil {
		return err
	}
	_, err = f.sdk.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &c.SecretID, ClientRequestToken: &c.ClientRequestToken, RotationToken: &c.RotationToken,
		SecretString: aws.String(valueMark + *password.RandomPassword), VersionStages: []string{"AWSPENDING"},
	})
	return err
}

func (f *fakeLambda) setSecret(ctx context.Context, c call) error {
	value, err := f.get(ctx, c, c.ClientRequestToken, "AWSPENDING")
	if err != nil {
		return err
	}
	f.setPassword(c.SecretID, value)
	return nil
}

func (f *fakeLambda) setPassword(arn, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passwords[arn] = value
}

func (f *fakeLambda) password(arn string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passwords[arn]
}

func (f *fakeLambda) testSecret(ctx context.Context, c call) error {
	value, err := f.get(ctx, c, c.ClientRequestToken, "AWSPENDING")
	if err != nil {
		return err
	}
	if f.password(c.SecretID) != value {
		return errors.New("the password is wrong")
	}
	return nil
}

func (f *fakeLambda) finishSecret(ctx context.Context, c call, versions map[string][]string) error {
	for version, labels := range versions {
		if slices.Contains(labels, "AWSCURRENT") {
			_, err := f.sdk.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &c.SecretID, VersionStage: aws.String("AWSCURRENT"),
				MoveToVersionId: &c.ClientRequestToken, RemoveFromVersionId: &version,
			})
			return err
		}
	}
	return errors.New("there is no current version")
}
