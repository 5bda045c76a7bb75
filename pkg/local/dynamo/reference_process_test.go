//go:build reference

package dynamo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"
)

// referencePlatforms are Dynoxide's npm packages under @dynoxide.
var referencePlatforms = map[string]string{
	"linux/amd64":   "linux-x64",
	"linux/arm64":   "linux-arm64",
	"darwin/amd64":  "darwin-x64",
	"darwin/arm64":  "darwin-arm64",
	"windows/amd64": "win32-x64",
}

// guarded names the variable that makes [TestGuard] the reference's guard.
const guarded = "STRONGROOM_REFERENCE"

// startReference runs Dynoxide with its tables in memory until the test ends.
func startReference(t *testing.T) *dynamodb.Client {
	t.Helper()
	program := referenceProgram(t)
	var err error
	for range 3 { // another process may take the port first
		var url string
		if url, err = runReference(t, program); err == nil {
			return referenceClient(url)
		}
	}
	t.Fatalf("Dynoxide does not start: %v", err)
	return nil
}

func referenceProgram(t *testing.T) string {
	t.Helper()
	name := "dynoxide"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	platform := referencePlatforms[runtime.GOOS+"/"+runtime.GOARCH]
	path, err := filepath.Abs(filepath.Join("..", "..", "..", ".local", "reference", "node_modules", "@dynoxide", platform, name))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		t.Fatalf("Dynoxide is not at %s; `make reference` fetches it.", path)
	}
	return path
}

// runReference starts a guard that runs the program. The guard ends the program
// when its standard input closes: in the test's cleanup, or when this process dies.
func runReference(t *testing.T, program string) (url string, err error) {
	t.Helper()
	port, err := freePort(t.Context())
	if err != nil {
		return "", err
	}
	guard := exec.Command(os.Args[0], "-test.run=^TestGuard$")
	guard.Env = []string{guarded + "=" + program, "PORT=" + strconv.Itoa(port), "TMPDIR=" + os.TempDir()}
	var output bytes.Buffer
	guard.Stdout, guard.Stderr = &output, &output
	input, err := guard.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := guard.Start(); err != nil {
		return "", err
	}
	ended := make(chan struct{})
	go func() {
		_ = guard.Wait() // awaitReference reports an early end
		close(ended)
	}()
	t.Cleanup(func() {
		_ = input.Close()
		<-ended
	})
	url = "http://127.0.0.1:" + strconv.Itoa(port)
	if err := awaitReference(t.Context(), url, ended); err != nil {
		return "", err
	}
	return url, nil
}

// TestGuard is not a test: it is the process between a test and Dynoxide.
func TestGuard(t *testing.T) {
	program := os.Getenv(guarded)
	if program == "" {
		t.Skip("not a test: startReference runs it as the guard of its process")
	}
	cmd := exec.Command(program, "serve", "--host", "127.0.0.1", "--port", os.Getenv("PORT"))
	cmd.Env = []string{}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = cmd.Process.Kill() // its tables are in memory
	}()
	_ = cmd.Wait()
}

func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func awaitReference(ctx context.Context, url string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if response, err := transport.RoundTrip(request); err == nil {
			return response.Body.Close()
		}
		select {
		case <-ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("no answer at %s: %w", url, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// referenceClient never repeats a call, since a history would then differ, and
// adds no tokens of its own.
func referenceClient(url string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: aws.String(url),
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("reference", "reference", ""),
		Retryer:      aws.NopRetryer{},
		HTTPClient:   &http.Client{Transport: wholeBodies{&http.Transport{}}},
		APIOptions: []func(*middleware.Stack) error{func(stack *middleware.Stack) error {
			_, _ = stack.Initialize.Remove("OperationIdempotencyTokenAutoFill") // few operations have it
			return nil
		}},
	})
}

// wholeBodies reads a response before the SDK sees it: the SDK's decoder
// sometimes reads from a closed connection (aws/aws-sdk-go-v2#2737).
type wholeBodies struct{ http.RoundTripper }

func (w wholeBodies) RoundTrip(request *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(request.URL.Host, "127.0.0.1:") {
		return nil, fmt.Errorf("%s is not on this machine", request.URL.Host)
	}
	response, err := w.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}
