package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/functions/internal/runtimetest"
)

// A program is measured from its start until it asks for its first event.
type program struct {
	path   string
	times  []time.Duration
	memory []int // resident then, in kB; 0 where the system does not say
}

// BenchmarkCold starts functions/api and the floor in turns. Both are packaged as for
// Lambda, but for this machine.
func BenchmarkCold(b *testing.B) {
	api, floor := &program{path: filepath.Join(b.TempDir(), "api")}, &program{path: filepath.Join(b.TempDir(), "floor")}
	for path, function := range map[string]string{api.path: ".", floor.path: "./testdata/floor"} {
		if err := runtimetest.Build(path, function, runtime.GOOS, runtime.GOARCH); err != nil {
			b.Fatal(err)
		}
	}
	root, err := filepath.Abs("../..") // of the policies
	if err != nil {
		b.Fatal(err)
	}
	env := environ(but(map[string]string{
		"LAMBDA_TASK_ROOT": root, "ROTATE_FUNCTION": "rotate",
		"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local",
	}))
	all := []*program{api, floor}
	for b.Loop() {
		for _, p := range all {
			p.start(b, env)
		}
		slices.Reverse(all)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(median(api.times)), "api-ms")
	b.ReportMetric(milliseconds(median(floor.times)), "floor-ms")
	b.ReportMetric(milliseconds(median(api.times))/milliseconds(median(floor.times)), "ratio")
	b.ReportMetric(megabytes(median(api.memory)), "api-MB")
	b.ReportMetric(megabytes(median(floor.memory)), "floor-MB")
}

// start runs the program until it is ready.
func (p *program) start(b *testing.B, env []string) {
	b.Helper()
	ready := make(chan time.Time, 1)
	runtimeAPI := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case ready <- time.Now():
		default:
		}
		<-r.Context().Done()
	}))
	defer runtimeAPI.Close()
	defer runtimeAPI.CloseClientConnections()
	cmd := exec.Command(p.path)
	cmd.Env = append(slices.Clone(env), "AWS_LAMBDA_RUNTIME_API="+runtimeAPI.Listener.Addr().String())
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	select {
	case at := <-ready:
		p.times = append(p.times, at.Sub(began))
	case <-time.After(runtimetest.Patience):
		b.Fatalf("%s is not ready", p.path)
	}
	p.memory = append(p.memory, resident(cmd.Process.Pid))
}

// resident is the memory of a process in units of 1,024 bytes, on Linux.
func resident(pid int) (kB int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if n, err := fmt.Sscanf(line, "VmRSS: %d kB", &kB); n == 1 && err == nil {
			return kB
		}
	}
	return 0
}

func megabytes(kB int) float64 { return float64(kB) * 1024 / 1e6 }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median[T int | time.Duration](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}
