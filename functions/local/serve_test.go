package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/localtest"
)

const (
	annKey, annSecret = "AKIAANN0000000000001", "QXZ/signs+with/this/and/nobody/else/0000"
	bobKey, bobSecret = "AKIABOB0000000000001", "QXZ/signs+with/that/and/nobody/else/0000"
)

func keyFile(t *testing.T, path, user, key, secret string) {
	t.Helper()
	text := `[{"user":"` + user + `","accessKeyId":"` + key + `","secretAccessKey":"` + secret + `"}]`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, url, key, secret string) error {
	t.Helper()
	_, err := secretsmanager.New(secretsmanager.Options{
		Region: "eu-central-1", BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
	}).ListSecrets(t.Context(), nil)
	return err
}

// ask sends a request without credentials.
func ask(t *testing.T, method, url string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	change(r)
	return localtest.Do(t, r)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users.json")
	keyFile(t, users, "ann", annKey, annSecret)
	r := start(t, "--memory", "--verify-credentials", users, "--rate", "0.001")
	plain := func(*http.Request) {}
	for range 5 {
		for _, path := range []string{"/health", "/_localstack/health"} {
			answer, body := ask(t, http.MethodGet, r.url+path, plain)
			if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/json" || body != `{"status":"ready","services":{"secretsmanager":"available"}}`+"\n" {
				t.Errorf("%s: got %d %s", path, answer.StatusCode, body)
			}
			if answer, body := ask(t, http.MethodHead, r.url+path, plain); answer.StatusCode != http.StatusOK || body != "" {
				t.Errorf("HEAD %s: got %d %s", path, answer.StatusCode, body)
			}
		}
	}
	for name, change := range map[string]func(*http.Request){
		"an origin":      func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1") },
		"a foreign host": func(r *http.Request) { r.Host = "strongroom.example" },
	} {
		if answer, _ := ask(t, http.MethodGet, r.url+"/health", change); answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", name, answer.StatusCode)
		}
	}
	for path, method := range map[string]string{"/health": http.MethodPost, "/health/": http.MethodGet, "/healthy": http.MethodGet} {
		if answer, _ := ask(t, method, r.url+path, plain); answer.StatusCode == http.StatusOK {
			t.Errorf("%s %s: got %d", method, path, answer.StatusCode)
		}
	}
	if got := r.errors.String(); strings.Contains(got, "health") || strings.Count(got, "\n") > 3 { // of the refused ones
		t.Errorf("it logged %s", got)
	}
}

// On a network callers need a key, by whatever name they call the server.
func TestOnANetwork(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users.json")
	keyFile(t, users, "ann", annKey, annSecret)
	r := start(t, "--memory", "--addr", "0.0.0.0:0", "--verify-credentials", users)
	url := strings.Replace(r.url, "0.0.0.0", "127.0.0.1", 1)
	if err := list(t, url, annKey, annSecret); err != nil {
		t.Error(err)
	}
	if err := list(t, url, "local", "local"); err == nil {
		t.Error("an unknown key was let in")
	}
	named := func(r *http.Request) { r.Host = "strongroom:4566" }
	if answer, _ := ask(t, http.MethodGet, url+"/health", named); answer.StatusCode != http.StatusOK {
		t.Errorf("by name: got %d, want 200", answer.StatusCode)
	}
	fromPage := func(r *http.Request) { named(r); r.Header.Set("Origin", "http://strongroom:4566") }
	if answer, _ := ask(t, http.MethodGet, url+"/health", fromPage); answer.StatusCode != http.StatusForbidden {
		t.Errorf("from a page: got %d, want 403", answer.StatusCode)
	}
}

// A call is answered in the Region that it is signed for, and one that is not signed in
// that of --region. All are in the account of the user's choice.
func TestRegionAndAccount(t *testing.T) {
	t.Parallel()
	audit := filepath.Join(t.TempDir(), "audit.jsonl")
	r := start(t, "--memory", "--audit", audit, "--region", "eu-central-1", "--account", "123456789012")
	out, err := localtest.Client(r.url).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("s")})
	if err != nil || !strings.HasPrefix(aws.ToString(out.ARN), "arn:aws:secretsmanager:us-east-1:123456789012:secret:s-") {
		t.Errorf("signed: got %s, %v", aws.ToString(out.ARN), err)
	}
	status, body, err := post(r.url, "CreateSecret", map[string]any{"Name": "s"})
	if err != nil || status != http.StatusOK || !strings.Contains(body, "arn:aws:secretsmanager:eu-central-1:123456789012:secret:s-") {
		t.Errorf("not signed: got %d %s, %v", status, body, err)
	}
	records, err := os.ReadFile(audit)
	if err != nil || !strings.Contains(string(records), `"arn":"arn:aws:iam::123456789012:user/local"`) {
		t.Errorf("got %s, %v", records, err)
	}
	for _, region := range []string{"us-east-1", "eu-central-1"} {
		if !strings.Contains(string(records), `"awsRegion":"`+region+`"`) {
			t.Errorf("no record is of %s: %s", region, records)
		}
	}
}

// After SIGHUP the keys of the file count; a file that cannot be used changes nothing.
func TestHangupReadsKeysAgain(t *testing.T) {
	t.Parallel()
	users, policies := filepath.Join(t.TempDir(), "users.json"), filepath.Join(t.TempDir(), "policies.json")
	keyFile(t, users, "ann", annKey, annSecret)
	allow := func(user string) {
		text := `[{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/` + user + `"},"Action":"*","Resource":"*"}]}]`
		if err := os.WriteFile(policies, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	allow("ann")
	r := start(t, "--memory", "--verify-credentials", users, "--policies", policies)
	hangUp := func(want string) {
		t.Helper()
		before := strings.Count(r.errors.String(), want)
		if err := r.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); strings.Count(r.errors.String(), want) == before; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("it logged %s, want %s", r.errors, want)
			}
		}
	}
	may := func(key, secret string, want bool) {
		t.Helper()
		if err := list(t, r.url, key, secret); (err == nil) != want {
			t.Errorf("%s: got %v, want that it may: %v", key, err, want)
		}
	}
	may(annKey, annSecret, true)
	keyFile(t, users, "bob", bobKey, bobSecret)
	may(bobKey, bobSecret, false)
	hangUp("were read again")
	may(annKey, annSecret, false)
	may(bobKey, bobSecret, false) // for want of a policy
	allow("bob")
	hangUp("were read again")
	may(bobKey, bobSecret, true)
	keyFile(t, users, "ann", annKey, "short")
	hangUp("stay as they were: --verify-credentials: ")
	may(bobKey, bobSecret, true)
	r.interrupt(t)
	if strings.Contains(r.errors.String(), "QXZ") {
		t.Errorf("a secret is in the log: %s", r.errors)
	}
}

// The file says where the server is from when it is ready until it stops.
func TestURLFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(path, []byte("http://127.0.0.1:1\n"), 0o600); err != nil { // of a killed one
		t.Fatal(err)
	}
	r := start(t, "--memory", "--url-file", path)
	if got, err := os.ReadFile(path); err != nil || string(got) != r.url+"\n" {
		t.Errorf("got %q, %v, want %s", got, err, r.url)
	}
	r.interrupt(t)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want no file any more", err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 0 {
		t.Errorf("got %v, %v, want nothing left", files, err)
	}
	if got := refused(t, "--memory", "--addr", "127.0.0.1:0", "--url-file", filepath.Join(path, "none")); !strings.HasPrefix(got, "strongroom: --url-file: ") {
		t.Errorf("got %s", got)
	}
}

// A stop lets requests under way end, and says so.
func TestStopSaysWhat(t *testing.T) {
	t.Parallel()
	r := start(t, "--memory")
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	const body = `{"Name":"s","SecretString":"v"}`
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: secretsmanager.CreateSecret\r\nContent-Length: 31\r\n\r\n{")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if err := r.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	const want = "stopping; requests under way (1) may take 5s; Ctrl-C again ends it at once"
	for deadline := time.Now().Add(4 * time.Second); !strings.Contains(r.errors.String(), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it logged %s, want %s", r.errors, want)
		}
	}
	if _, err := io.WriteString(conn, body[1:]); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) {
		t.Errorf("got %q, %v, want an answer", answer, err)
	}
	if err := r.Wait(); err != nil || !strings.Contains(r.errors.String(), `"msg":"stopped"`) {
		t.Errorf("it ended with %v and said %s", err, r.errors)
	}
}

// A request that takes longer than the stop is cut off, and a second interrupt does not
// wait for it.
func TestStopDoesNotWaitForever(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan struct{})
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		answer, err := http.Get("http://" + listener.Addr().String())
		if err == nil {
			_ = answer.Body.Close()
		}
	}()
	go func() {
		<-arrived
		stop()
	}()
	log := slog.New(slog.DiscardHandler)
	began := time.Now()
	err = answer(ctx, stop, listener, handler, local.NewBounds(1, log), urlFile{}, log)
	if err == nil || !strings.Contains(err.Error(), "requests under way (1) took longer than 5s and were cut off") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > patience+3*time.Second {
		t.Errorf("it took %s", took)
	}
}

// What is printed fits 80 columns, names no file that is not there, and shows a key
// only where any will do.
func TestGreet(t *testing.T) {
	t.Parallel()
	addr := &net.TCPAddr{IP: net.IPv4zero, Port: 65535}
	for name, args := range map[string][]string{
		"plain":   {"--region", "ap-southeast-2"},
		"memory":  {"--memory"},
		"checked": {"--verify-credentials", "users.json", "--addr", "0.0.0.0:65535"},
	} {
		set, err := read(args...)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		greet(&out, addr, urlOf(addr), set)
		for line := range strings.Lines(out.String()) {
			if len(line) > 81 {
				t.Errorf("%s: %q has %d columns", name, line, len(line))
			}
		}
		first, _, _ := strings.Cut(out.String(), "\n")
		if !strings.Contains(first, "answers on http://0.0.0.0:65535,") || !strings.Contains(out.String(), "AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:65535\n") {
			t.Errorf("%s: got %s", name, &out)
		}
		if strings.Contains(out.String(), "file://") || strings.Contains(out.String(), "=local") != (name != "checked") || strings.Contains(out.String(), "users.json") != (name == "checked") {
			t.Errorf("%s: got %s", name, &out)
		}
	}
}

// The printed lines work as they are.
func TestGreetingWorks(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler()) // any address that is taken
	defer server.Close()
	set, err := read("--memory")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	greet(&out, server.Listener.Addr(), server.URL, set)
	_, commands, _ := strings.Cut(out.String(), "In another terminal:\n")
	shell := exec.Command("sh", "-eu", "-c", "aws() { printf '%s\\n' \"$AWS_ENDPOINT_URL_SECRETS_MANAGER $AWS_ACCESS_KEY_ID $*\"; }\n"+commands)
	text, err := shell.CombinedOutput()
	want := server.URL + " local secretsmanager create-secret --secret-string EXAMPLE-1 --name example-"
	if err != nil || !strings.HasPrefix(string(text), want) || !strings.HasSuffix(string(text), server.URL+" local secretsmanager list-secrets\n") {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for want, info := range map[string]debug.BuildInfo{
		"strongroom v1.2.3 built with go1.26.8":             {GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.3"}},
		"strongroom of unknown version built with go1.26.8": {GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"}},
		"strongroom of commit abc built with go1.26.8":      {GoVersion: "go1.26.8", Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}}},
	} {
		if got := describeBuild(&info); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	out, err := exec.Command(program, "--version").Output()
	if err != nil || !strings.HasPrefix(string(out), "strongroom ") || strings.Count(string(out), "\n") != 1 {
		t.Errorf("got %q, %v", out, err)
	}
}

// A connection that a client holds ready, and on which no request comes, does not hold
// up the end and is no error.
func TestStopBesideIdleConnection(t *testing.T) {
	t.Parallel()
	r := start(t, "--memory")
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	create(t, r.url, "s", "v") // the server has accepted both by now
	began := time.Now()
	r.interrupt(t)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}
