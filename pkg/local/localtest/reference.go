//go:build reference

package localtest

import (
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
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/strongroom/strongroom/pkg/local"
)

// platforms are Dynoxide's npm packages under @dynoxide.
var platforms = map[string]string{
	"linux/amd64": "linux-x64", "linux/arm64": "linux-arm64", "darwin/amd64": "darwin-x64", "darwin/arm64": "darwin-arm64", "windows/amd64": "win32-x64",
}

// Variables that make a test binary the guard of a program.
const (
	guarded   = "STRONGROOM_GUARDED"
	guardPort = "STRONGROOM_GUARDED_PORT"
)

// A test binary with these variables is no test: it is the process between a test and
// Dynoxide, and ends it when the test's process is gone.
func init() {
	if program := os.Getenv(guarded); program != "" {
		guard(program, os.Getenv(guardPort))
		os.Exit(0)
	}
}

func guard(program, port string) {
	cmd := exec.Command(program, "serve", "--host", "127.0.0.1", "--port", port)
	cmd.Env = []string{}
	if cmd.Start() != nil {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = cmd.Process.Kill() // its tables are in memory
	}()
	_ = cmd.Wait()
}

// Reference runs Dynoxide, another implementation of DynamoDB, with its tables in
// memory until the test ends, and returns an SDK client of it. Root is the way from
// the test's folder to that of the project.
func Reference(t testing.TB, root string, options ...func(*dynamodb.Options)) *dynamodb.Client {
	t.Helper()
	program := referenceProgram(t, root)
	var err error
	for range 3 { // another process may take the port first
		var url string
		if url, err = runReference(t, program); err == nil {
			return dynamodb.New(dynamodb.Options{Region: local.Region, BaseEndpoint: aws.String(url), Credentials: anybody, Retryer: quick()}, options...)
		}
	}
	t.Fatalf("Dynoxide does not start: %v", err)
	return nil
}

func referenceProgram(t testing.TB, root string) string {
	t.Helper()
	name := "dynoxide"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path, err := filepath.Abs(filepath.Join(root, ".local", "reference", "node_modules", "@dynoxide", platforms[runtime.GOOS+"/"+runtime.GOARCH], name))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		t.Fatalf("Dynoxide is not at %s; `make reference` fetches it.", path)
	}
	return path
}

// runReference starts a guard, which runs the program until its standard input
// closes: in the test's cleanup, or when this process dies.
func runReference(t testing.TB, program string) (url string, err error) {
	port, err := freePort(t.Context())
	if err != nil {
		return "", err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{guarded + "=" + program, guardPort + "=" + strconv.Itoa(port)}
	input, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // awaitReference reports an early end
		close(ended)
	}()
	end := sync.OnceFunc(func() {
		_ = input.Close()
		<-ended
	})
	t.Cleanup(end)
	url = "http://127.0.0.1:" + strconv.Itoa(port)
	if err := awaitReference(t.Context(), url, ended); err != nil {
		end()
		return "", err
	}
	return url, nil
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
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultTransport.RoundTrip(request); err == nil {
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
