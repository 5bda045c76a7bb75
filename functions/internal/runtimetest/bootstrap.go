package runtimetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
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
	return path, Build(path, ".", runtime.GOOS, runtime.GOARCH)
})

// Build builds a function as the Makefile packages it, for an operating system and an
// architecture.
func Build(path, function, system, architecture string) error {
	command, err := packaging()
	if err != nil {
		return err
	}
	command = strings.Replace(command, "GOOS=linux GOARCH=arm64", "GOOS="+system+" GOARCH="+architecture, 1)
	out, err := exec.Command("sh", "-c", command+` -o "$0" "$1"`, path, function).CombinedOutput() //nolint:gosec // our own Makefile's
	if err != nil {
		return fmt.Errorf("build the function: %w\n%s", err, out)
	}
	return nil
}

var lambda = regexp.MustCompile(`(?m)^LAMBDA := ((?:.*\\\n)*.*)$`)

// packaging is the command of the Makefile, without what to build.
func packaging() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../../Makefile"))
	if err != nil {
		return "", err
	}
	found := lambda.FindSubmatch(text)
	if found == nil {
		return "", errors.New("the Makefile does not say how functions are packaged")
	}
	return strings.ReplaceAll(string(found[1]), "\\\n", " "), nil
}

// A Process is a running bootstrap.
type Process struct {
	Cmd  *exec.Cmd
	Out  bytes.Buffer  // stdout and stderr; to be read when it is done
	Done chan struct{} // closed at its end
	err  error         // how it ended
}

// Start runs the bootstrap with these variables and no others, and otherwise as the
// options have it.
func Start(t *testing.T, api *API, env []string, options ...func(*exec.Cmd)) *Process {
	t.Helper()
	path, err := bootstrap()
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{Cmd: exec.Command(path), Done: make(chan struct{})} //nolint:gosec // what was built
	p.Cmd.Env = append(slices.Clone(env), "AWS_LAMBDA_RUNTIME_API="+api.Listener.Addr().String())
	p.Cmd.Stdout, p.Cmd.Stderr = &p.Out, &p.Out
	for _, option := range options {
		option(p.Cmd)
	}
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
