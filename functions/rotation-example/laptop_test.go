package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/strongroom/strongroom/functions/internal/runtimetest"
)

// invoker serves a function and makes a client of it, which is Lambda's own.
func invoker(t *testing.T, handle func(context.Context, event) error) (*awslambda.Client, string) {
	t.Helper()
	server := httptest.NewServer(newInvoke(lambda.NewHandler(handle)))
	t.Cleanup(server.Close)
	return awslambda.New(awslambda.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(server.URL),
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
	}), server.URL
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	var got []event
	client, _ := invoker(t, func(ctx context.Context, e event) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("got no deadline, want one as in Lambda")
		}
		got = append(got, e)
		if e.Step == "setSecret" {
			return errors.New("the database is down")
		}
		return nil
	})
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:rotation-example"
	for _, test := range []struct {
		name, payload string
		kind          types.InvocationType
		status        int32
		failure, want string
	}{
		{"rotation-example", `{"Step":"createSecret","SecretId":"s","ClientRequestToken":"v","RotationToken":"t"}`, "", 200, "", "null"},
		{arn, `{"Step":"createSecret","SecretId":"s","ClientRequestToken":"v","RotationToken":"t"}`, types.InvocationTypeRequestResponse, 200, "", "null"},
		{arn, `{"Step":"setSecret"}`, "", 200, "Unhandled", `{"errorMessage":"the database is down","errorType":"errorString"}`},
		{arn, `{"Step":1}`, "", 200, "Unhandled", `{"errorMessage":"json: cannot unmarshal number into Go struct field event.Step of type string","errorType":"UnmarshalTypeError"}`},
		{arn, ``, types.InvocationTypeDryRun, 204, "", ""},
	} {
		out, err := client.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: aws.String(test.name), Payload: []byte(test.payload), InvocationType: test.kind})
		if err != nil {
			t.Errorf("%s: %v", test.payload, err)
			continue
		}
		if out.StatusCode != test.status || aws.ToString(out.FunctionError) != test.failure || string(out.Payload) != test.want {
			t.Errorf("%s: got %d, %q, %s, want %d, %q, %s", test.payload, out.StatusCode, aws.ToString(out.FunctionError), out.Payload, test.status, test.failure, test.want)
		}
	}
	want := event{"createSecret", "s", "v", "t"}
	if len(got) != 3 || got[0] != want || got[1] != want {
		t.Errorf("got the events %+v, want two times %+v, and no other than setSecret", got, want)
	}
	_, err := client.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: aws.String("f"), InvocationType: types.InvocationTypeEvent})
	if _, ok := errors.AsType[*types.InvalidParameterValueException](err); !ok {
		t.Errorf("got %v, want InvalidParameterValueException", err)
	}
}

func TestPagesAreRefused(t *testing.T) {
	t.Parallel()
	_, url := invoker(t, func(context.Context, event) error {
		t.Error("it was invoked")
		return nil
	})
	for name, change := range map[string]func(*http.Request){
		"an origin":            func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1") },
		"a name that rebinds":  func(r *http.Request) { r.Host = "strongroom.example" },
		"another machine's IP": func(r *http.Request) { r.Host = "192.0.2.1:9001" },
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/2015-03-31/functions/f/invocations", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", name, answer.StatusCode)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string // an address, or what is in the refusal
	}{
		{nil, "127.0.0.1:9001"},
		{[]string{"--addr", "localhost:0"}, "localhost:0"},
		{[]string{"--addr", "[::1]:9001"}, "[::1]:9001"},
		{[]string{"--addr", "0.0.0.0:9001"}, "is not on loopback"},
		{[]string{"--addr", ":9001"}, "is not on loopback"},
		{[]string{"--addr", "example.com:80"}, "is not on loopback"},
		{[]string{"--addr", "127.0.0.1"}, "is not an address and a port"},
		{[]string{"--port", "1"}, "flag provided but not defined: -port; -h lists the flags"},
		{[]string{"start"}, `"start" is no flag; -h lists them`},
		{[]string{"-h"}, "help requested"},
	} {
		addr, err := readFlags(test.args, io.Discard)
		if err == nil && addr != test.want || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %q, %v, want %s", test.args, addr, err, test.want)
		}
	}
}

func TestPortIsTaken(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	addr := server.Listener.Addr().String()
	if err := serve(addr, nil, io.Discard); err == nil || !strings.Contains(err.Error(), addr+" is taken by another program") {
		t.Errorf("got %v, want that the port is taken", err)
	}
}

// As it is deployed, the function asks Lambda for its events.
func TestInLambda(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	e := tr.begin(t)
	path := filepath.Join(t.TempDir(), "bootstrap")
	if out, err := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lambda := runtimetest.New(t)
	p := &runtimetest.Process{Cmd: exec.Command(path), Done: make(chan struct{})}
	p.Cmd.Stdout, p.Cmd.Stderr = &p.Out, &p.Out
	p.Cmd.Env = []string{
		"AWS_LAMBDA_RUNTIME_API=" + lambda.Listener.Addr().String(),
		"SECRETS_MANAGER_ENDPOINT=" + tr.room.URL, "DATABASE_FILE=" + tr.database.path,
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"HOME=" + os.DevNull, // no ~/.aws
	}
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.Done)
		_ = p.Cmd.Wait() // it is killed
	}()
	t.Cleanup(func() { p.Stop() })
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret", "unknown"} {
		res, err := lambda.Invoke(p, []byte(`{"Step":"`+step+`","SecretId":"`+e.SecretId+`","ClientRequestToken":"`+e.ClientRequestToken+`","RotationToken":"`+rotationToken+`"}`))
		if err != nil {
			t.Fatalf("%s: %v; it printed\n%s", step, err, p.Stop())
		}
		if failed := res.Error != nil; failed != (step == "unknown") {
			t.Errorf("%s: got %s, %+v", step, res.Response, res.Error)
		}
	}
	out := p.Stop()
	tr.checkLogin(t, e.ClientRequestToken, first)
	if hidden(t, out); strings.Count(out, "step done") != 4 || strings.Count(out, "step failed") != 1 {
		t.Errorf("it printed %s, want a line for each step", out)
	}
}
