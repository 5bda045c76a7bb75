package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/endpoint"
)

// programs are the folder of the agent and the local server, as they are built.
var programs string

func TestMain(m *testing.M) { os.Exit(withPrograms(m)) }

func withPrograms(m *testing.M) int {
	dir, err := os.MkdirTemp("", "strongroom-agent")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, folder := range map[string]string{"strongroom-agent": ".", "local": "../local"} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, name), folder)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
	}
	programs = dir
	return m.Run()
}

// The credentials of the agent, and of the clients beside it.
const (
	firstKey, firstSecret   = "AKIAFIRST00000000001", "EXAMPLE/first/secret/access/key/00000001"
	secondKey, secondSecret = "AKIASECOND0000000001", "EXAMPLE/second/secret/access/key/0000001"
	strangeKey              = "AKIASTRANGE000000001"
)

// A process is a program at work, with the lines that it has written.
type process struct {
	*exec.Cmd
	mu    sync.Mutex
	lines []string
	ended chan struct{}
}

// start runs a program with these variables and no others.
func start(t *testing.T, name string, env []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(filepath.Join(programs, name), args...), ended: make(chan struct{})}
	p.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	r, w := io.Pipe()
	p.Stdout, p.Stderr = w, w
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(r); s.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, s.Text())
			p.mu.Unlock()
		}
	}()
	go func() {
		_ = p.Wait()
		_ = w.Close()
		<-read // to the last line
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
		// The access key's secrets may be nowhere, whatever the test was about.
		for _, mark := range []string{firstSecret, secondSecret, "EXAMPLE-VALUE"} {
			if strings.Contains(p.output(), mark) {
				t.Errorf("%q is in %s", mark, p.output())
			}
		}
	})
	return p
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// find waits for a text that stands behind another in what the process writes.
func (p *process) find(t *testing.T, behind string) string {
	t.Helper()
	for range 1000 {
		if _, after, ok := strings.Cut(p.output(), behind); ok {
			return strings.FieldsFunc(after, func(r rune) bool { return strings.ContainsRune(" \n\",", r) })[0]
		}
		select {
		case <-p.ended:
			t.Fatalf("it ended, and said %s", p.output())
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("%q is not in %s", behind, p.output())
	return ""
}

// startLocal runs the local server, which checks signatures as API Gateway does.
func startLocal(t *testing.T) (url string) {
	t.Helper()
	return startLocalFor(t, endpoint.Gateway)
}

func startLocalFor(t *testing.T, service string) (url string) {
	t.Helper()
	users := filepath.Join(t.TempDir(), "users.json")
	text := fmt.Sprintf(`[{"user":"app","accessKeyId":%q,"secretAccessKey":%q},{"user":"app","accessKeyId":%q,"secretAccessKey":%q}]`, firstKey, firstSecret, secondKey, secondSecret)
	if err := os.WriteFile(users, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, "local", nil, "--memory", "--addr", "127.0.0.1:0", "--verify-credentials", users, "--signing-name", service).find(t, "answers on ")
}

// keys are the credentials of the agent, and of most clients, in the environment.
func keys() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + firstKey, "AWS_SECRET_ACCESS_KEY=" + firstSecret, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true"}
}

// startAgent runs the agent before a Strongroom, with credentials from the environment.
func startAgent(t *testing.T, server string, env []string, args ...string) (p *process, url string) {
	t.Helper()
	p = start(t, "strongroom-agent", append([]string{"STRONGROOM_ENDPOINT=" + server, "STRONGROOM_ADDR=127.0.0.1:0", "AWS_TOKEN=EXAMPLE-TOKEN"}, env...), args...)
	return p, "http://" + p.find(t, `"at":"tcp `)
}

func wantExit(t *testing.T, p *process, code int) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("it goes on, and said %s", p.output())
	}
	if got := p.ProcessState.ExitCode(); got != code {
		t.Errorf("got exit status %d, want %d; it said %s", got, code, p.output())
	}
}

// A signal has it end, after the requests under way have ended.
func TestTerminates(t *testing.T) {
	t.Parallel()
	arrived, goOn := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-goOn
		_, _ = io.WriteString(w, `{"RandomPassword":"x"}`)
	}))
	defer slow.Close()
	p, url := startAgent(t, slow.URL, keys(), "--any-caller")
	answered := make(chan error, 1)
	go func() {
		res, err := http.Post(url, "application/x-amz-json-1.1", strings.NewReader("{}"))
		if err == nil {
			var text []byte
			text, err = io.ReadAll(res.Body)
			err = errors.Join(err, res.Body.Close())
			if string(text) != `{"RandomPassword":"x"}` {
				err = fmt.Errorf("got %d %s", res.StatusCode, text)
			}
		}
		answered <- err
	}()
	<-arrived
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.find(t, "the agent stops")
	close(goOn)
	if err := <-answered; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	wantExit(t, p, 0)
}

// A health check ends well when the agent answers, and badly when not.
func TestCheck(t *testing.T) {
	t.Parallel()
	p, url := startAgent(t, "http://127.0.0.1:1", keys())
	addr := strings.TrimPrefix(url, "http://")
	wantExit(t, start(t, "strongroom-agent", nil, "--check", "--addr", addr), 0)
	_ = p.Process.Kill()
	<-p.ended
	wantExit(t, start(t, "strongroom-agent", []string{"STRONGROOM_ADDR=" + addr}, "--check"), 1)
}

// In Lambda it answers before it registers, and ends with the function.
func TestLambdaExtension(t *testing.T) {
	t.Parallel()
	var p *process
	started := make(chan struct{})
	shutdown := make(chan struct{})
	var asked []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		switch r.URL.Path {
		case "/2020-01-01/extension/register":
			<-started
			if status, body := get("http://"+p.find(t, `"at":"tcp `)+"/ping", ""); status != http.StatusOK || body != "healthy" {
				t.Errorf("when it registers: got %d %s", status, body)
			}
			if name := r.Header.Get("Lambda-Extension-Name"); name != "strongroom-agent" {
				t.Errorf("it is called %s", name)
			}
			w.Header().Set("Lambda-Extension-Identifier", "id-1")
			_, _ = io.WriteString(w, `{"functionName":"f"}`)
		case "/2020-01-01/extension/event/next":
			<-shutdown
			_ = json.NewEncoder(w).Encode(map[string]any{"eventType": "SHUTDOWN", "deadlineMs": time.Now().Add(2 * time.Second).UnixMilli()})
		default:
			http.NotFound(w, r)
		}
	}))
	defer api.Close()
	// The environment is that of the function too, which has the agent for its endpoint.
	env := append(keys(), "AWS_SESSION_TOKEN=EXAMPLE-SESSION", "AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:1", "STRONGROOM_ENDPOINT="+startLocal(t),
		"AWS_LAMBDA_RUNTIME_API="+api.Listener.Addr().String(), "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT=0")
	p = start(t, "strongroom-agent", env)
	close(started)
	url := "http://" + p.find(t, `"at":"tcp `)
	// A function written for AWS's extension has its session token for a token.
	if status, body := get(url+"/secretsmanager/get?secretId=none", "EXAMPLE-SESSION"); status != http.StatusBadRequest || !strings.Contains(body, "ResourceNotFoundException") {
		t.Errorf("got %d %s", status, body)
	}
	close(shutdown)
	wantExit(t, p, 0)
	if got := strings.Join(asked, ", "); got != "POST /2020-01-01/extension/register, GET /2020-01-01/extension/event/next" {
		t.Errorf("it asked for %s", got)
	}
}

func get(url, token string) (status int, body string) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	r.Header.Set("X-Aws-Parameters-Secrets-Token", token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

// A socket is for its user alone, takes the place of a dead one, and goes with the agent.
func TestSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "agent.sock")
	env := append(keys(), "STRONGROOM_ENDPOINT=http://127.0.0.1:1", "AWS_TOKEN=EXAMPLE-TOKEN")
	first := start(t, "strongroom-agent", env, "--addr", "", "--socket", path)
	first.find(t, `"at":"unix `)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	ping := func() {
		t.Helper()
		res, err := client.Get("http://any.host/ping")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("got %s", res.Status)
		}
		client.CloseIdleConnections()
	}
	ping()
	wantExit(t, start(t, "strongroom-agent", nil, "--check", "--addr", "", "--socket", path), 0)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want it for its user alone", info, err)
	}
	second := start(t, "strongroom-agent", env, "--addr", "", "--socket", path)
	wantExit(t, second, 1)
	if !strings.Contains(second.output(), "another program answers on "+path) {
		t.Errorf("got %s", second.output())
	}
	_ = first.Process.Kill()
	<-first.ended
	third := start(t, "strongroom-agent", env, "--addr", "", "--socket", path)
	third.find(t, `"at":"unix `)
	ping()
	if err := third.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantExit(t, third, 0)
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
	fifth := start(t, "strongroom-agent", env, "--addr", "", "--socket", path)
	fifth.find(t, `"at":"unix `)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	sixth := start(t, "strongroom-agent", env, "--addr", "", "--socket", path)
	sixth.find(t, `"at":"unix `)
	if err := fifth.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantExit(t, fifth, 0)
	ping() // the socket is another's by now
	if err := sixth.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantExit(t, sixth, 0)
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	fourth := start(t, "strongroom-agent", env, "--addr", "", "--socket", path)
	wantExit(t, fourth, 1)
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("a file of somebody's: got %q, %v", text, err)
	}
}

// The address that is taken is named.
func TestAddressIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	p := start(t, "strongroom-agent", append(keys(), "STRONGROOM_ENDPOINT=http://127.0.0.1:1"), "--addr", taken.Addr().String())
	wantExit(t, p, 1)
	if want := "strongroom-agent: " + taken.Addr().String() + " is taken by another program"; !strings.HasPrefix(p.output(), want) {
		t.Errorf("got %s, want %s", p.output(), want)
	}
}

// What other machines send does not come here, and nothing goes there.
func TestOneHop(t *testing.T) {
	t.Parallel()
	l, err := listen(t.Context(), settings{addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.close() }()
	go func() {
		c, err := net.Dial("tcp", l.tcp.Addr().String())
		if err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	c, err := l.tcp.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if got := hopsOf(t, c.(*net.TCPConn)); got != 1 {
		t.Errorf("got %d hops, want 1", got)
	}
}
