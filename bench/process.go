package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	startLimit = 2 * time.Minute
	stopLimit  = 30 * time.Second
)

// A process is a server that this program started.
type process struct {
	name  string
	url   string
	took  time.Duration // from its start to its address line
	log   string        // file of its standard error
	cmd   *exec.Cmd
	ended chan struct{} // closed after it has ended
}

// answersOn matches the first line of a server.
var answersOn = regexp.MustCompile(`answers on (http://[\d.]+:\d+)`)

// start starts a server and waits for its address line.
func start(ctx context.Context, name, log string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, log: log, cmd: cmd, ended: make(chan struct{})}
	ownGroup(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	logFile, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // in our temporary folder
	if err != nil {
		return nil, err
	}
	defer func() { _ = logFile.Close() }() // the process has its own descriptor
	cmd.Stderr = logFile
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the %s: %w", name, err)
	}
	address := make(chan string, 1)
	go p.follow(out, address)
	select {
	case p.url = <-address:
		p.took = time.Since(began)
		return p, nil
	case <-p.ended:
		return nil, p.explain(fmt.Errorf("the %s ended before it printed its address", name))
	case <-time.After(startLimit):
		err = fmt.Errorf("the %s printed no address within %s", name, startLimit)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, p.stop())
}

// follow reads what the process prints until it ends.
func (p *process) follow(out io.Reader, address chan<- string) {
	defer close(p.ended)
	lines := bufio.NewReader(out)
	line, _ := lines.ReadString('\n') // an empty line has no address either
	if m := answersOn.FindStringSubmatch(line); m != nil {
		address <- m[1]
	}
	_, _ = io.Copy(io.Discard, lines)
	_ = p.cmd.Wait() // explain shows why it ended
}

// stop interrupts the process and waits for its end. A nil process is stopped.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		_ = p.cmd.Process.Kill() // it has ended, or the system has no interrupts
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopLimit):
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	return fmt.Errorf("the %s did not stop within %s and was killed", p.name, stopLimit)
}

// explain adds the last warning or error that the process logged to an error.
func (p *process) explain(err error) error {
	text, readErr := os.ReadFile(p.log)
	if readErr != nil {
		return err
	}
	for _, line := range slices.Backward(strings.Split(strings.TrimSpace(string(text)), "\n")) {
		if line != "" && !strings.Contains(line, `"level":"INFO"`) {
			return fmt.Errorf("%w; the %s logged: %.500s", err, p.name, line)
		}
	}
	return err
}

// resident is the memory of the process in kB, or 0 where there is no /proc.
func (p *process) resident() int {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		return 0
	}
	return residentOf(string(text))
}

var vmRSS = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

func residentOf(status string) int { return numberIn(status, vmRSS) }
