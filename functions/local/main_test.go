package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// program is the built command.
var program string

func TestMain(m *testing.M) { os.Exit(withProgram(m)) }

func withProgram(m *testing.M) int {
	dir, err := os.MkdirTemp("", "strongroom-local")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "local")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A running is the command at work.
type running struct {
	*exec.Cmd
	url    string
	errors *output
}

// An output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var answersOn = regexp.MustCompile(`answers on (http://\S+),`)

// start runs the command on a free port and returns when it answers.
func start(t *testing.T, args ...string) running {
	t.Helper()
	return startWith(t, nil, args...)
}

// startWith adds variables to the environment.
func startWith(t *testing.T, env []string, args ...string) running {
	t.Helper()
	return startProgram(t, program, env, args...)
}

// startProgram starts another build of the command.
func startProgram(t *testing.T, program string, env []string, args ...string) running {
	t.Helper()
	r := running{Cmd: exec.Command(program, append([]string{"--addr", "127.0.0.1:0"}, args...)...), errors: new(output)}
	r.Env = append(os.Environ(), env...)
	r.Stderr = r.errors
	out, err := r.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.Process.Kill()
		_ = r.Wait()
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	m := answersOn.FindStringSubmatch(line)
	if m == nil {
		_ = r.Wait()
		t.Fatalf("it printed %q and %s", line, r.errors)
	}
	r.url = m[1]
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return r
}

// refused runs the command, which must not start, and returns what it says.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // should it start
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("%v: got %v, want exit status 1; it said %s", args, err, out)
	}
	if strings.Count(string(out), "\n") != 1 {
		t.Errorf("%v: got %q, want one line", args, out)
	}
	return string(out)
}

func create(t *testing.T, url, name, value string) {
	t.Helper()
	_, err := localtest.Client(url).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, url, name string) string {
	t.Helper()
	out, err := localtest.Client(url).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.SecretString)
}

func TestWhatWasAcknowledgedIsThereAgain(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	for i, end := range []os.Signal{syscall.SIGKILL, os.Interrupt, syscall.SIGTERM, syscall.SIGKILL} {
		r := start(t, "--data", data)
		create(t, r.url, fmt.Sprint("secret-", i), fmt.Sprint("value-", i))
		if err := r.Process.Signal(end); err != nil {
			t.Fatal(err)
		}
		err := r.Wait()
		if end != syscall.SIGKILL && err != nil {
			t.Errorf("%v: got %v, want exit status 0", end, err)
		}
	}
	r := start(t, "--data", data)
	for i := range 4 {
		if got, want := get(t, r.url, fmt.Sprint("secret-", i)), fmt.Sprint("value-", i); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMemoryLeavesNothing(t *testing.T) {
	t.Parallel()
	r := start(t, "--memory")
	create(t, r.url, "s", "v")
	if got := get(t, r.url, "s"); got != "v" {
		t.Errorf("got %q, want v", got)
	}
}

func TestStartIsRefused(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	r := start(t, "--data", data)
	taken := strings.TrimPrefix(r.url, "http://")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"the port is taken", []string{"--addr", taken, "--memory"}, taken + " is taken by another program"},
		{"the folder is in use", []string{"--addr", "127.0.0.1:0", "--data", data}, fmt.Sprintf("another strongroom (pid %d) is using %s", r.Process.Pid, data)},
		{"the folder is a file", []string{"--addr", "127.0.0.1:0", "--data", file}, "cannot use the data folder " + file},
		{"an address for all", []string{"--addr", "0.0.0.0:0"}, "--addr 0.0.0.0:0 is not on loopback"},
		{"an address by name", []string{"--addr", "example.com:80"}, "is not on loopback"},
		{"no port", []string{"--addr", "127.0.0.1"}, "is not an address and a port"},
		{"an unknown flag", []string{"--date", "x"}, "flag provided but not defined: -date; -h lists the flags"},
		{"an argument", []string{"start"}, `"start" is no flag; -h lists them`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := refused(t, test.args...); !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q in it", got, test.want)
			}
		})
	}
}

func TestBrowsersAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t, "--memory")
	for name, change := range map[string]func(*http.Request){
		"an origin":            func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1") },
		"a name that rebinds":  func(r *http.Request) { r.Host = "strongroom.example" },
		"another machine's IP": func(r *http.Request) { r.Host = "192.0.2.1:4566" },
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url, strings.NewReader(`{"Name":"s"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "secretsmanager.CreateSecret")
		change(req)
		if answer, body := localtest.Do(t, req); answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %d %s, want 403", name, answer.StatusCode, body)
		}
	}
}

// Engines that the user brought are used, and none are started.
func TestEnginesOfYourOwn(t *testing.T) {
	t.Parallel()
	engines := localtest.NewEngines()
	data := filepath.Join(t.TempDir(), "data")
	r := startWith(t, engines.Serve(t), "--data", data, "--audit", filepath.Join(t.TempDir(), "audit.jsonl"))
	create(t, r.url, "s", "v")
	if got := get(t, r.url, "s"); got != "v" {
		t.Errorf("got %q, want v", got)
	}
	if _, err := engines.DynamoDB().DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("strongroom")}); err != nil {
		t.Errorf("the table is not in the engine that was brought: %v", err)
	}
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want no data folder", err)
	}
}
