package runtimetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// buildDir holds the bootstrap for as long as the tests run.
var buildDir string

// Main runs a package's tests. It is all that TestMain does.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "strongroom-function")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// bootstrap builds the function whose tests these are, once, as it is packaged for
// Lambda but for this machine.
var bootstrap = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "bootstrap")
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", path, ".") //nolint:gosec // a path of our own
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFIPS140=v1.0.0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the function: %w\n%s", err, out)
	}
	return path, nil
})

// A Process is a running bootstrap.
type Process struct {
	Cmd  *exec.Cmd
	Out  bytes.Buffer  // stdout and stderr; to be read when it is done
	Done chan struct{} // closed at its end
	err  error         // how it ended
}

// Start runs the bootstrap with these variables and no others.
func Start(t *testing.T, api *API, env []string) *Process {
	t.Helper()
	path, err := bootstrap()
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{Cmd: exec.Command(path), Done: make(chan struct{})} //nolint:gosec // what was built
	p.Cmd.Env = append(slices.Clone(env), "AWS_LAMBDA_RUNTIME_API="+api.Listener.Addr().String())
	p.Cmd.Stdout, p.Cmd.Stderr = &p.Out, &p.Out
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.Done)
		p.err = p.Cmd.Wait()
	}()
	t.Cleanup(func() { p.Stop() })
	return p
}

// Stop ends the process, as kill -9 does, and returns all it printed.
func (p *Process) Stop() string {
	_ = p.Cmd.Process.Kill() // fails when it has ended already
	<-p.Done
	return p.Out.String()
}
