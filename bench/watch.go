package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A sample is what a process holds at one time. All is 0 where there is no /proc.
type sample struct {
	at       time.Duration // since the watch began
	resident int           // memory in kB, with the pages of files that are mapped
	own      int           // memory in kB without them
	threads  int
	files    int // open descriptors, connections among them
}

// A watch samples a process until it is stopped.
type watch struct {
	stop    context.CancelFunc
	ended   chan struct{}
	samples []sample // of the goroutine that samples, until it has ended
}

func startWatch(ctx context.Context, p *process, every time.Duration) *watch {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{stop: stop, ended: make(chan struct{})}
	began := time.Now()
	go func() {
		defer close(w.ended)
		for ctx.Err() == nil {
			s := p.sample()
			s.at = time.Since(began)
			w.samples = append(w.samples, s)
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
		}
	}()
	return w
}

// end stops the watch and returns its samples. It may be called again.
func (w *watch) end() []sample {
	w.stop()
	<-w.ended
	return w.samples
}

func (p *process) sample() sample {
	dir := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
	status, err := os.ReadFile(filepath.Join(dir, "status")) //nolint:gosec // of a process that was started here
	if err != nil {
		return sample{}
	}
	files, _ := os.ReadDir(filepath.Join(dir, "fd")) // none of a process that has just ended
	s := sampleOf(string(status))
	s.files = len(files)
	return s
}

func sampleOf(status string) sample {
	return sample{
		resident: residentOf(status),
		own:      numberIn(status, rssAnon),
		threads:  numberIn(status, threads),
	}
}

var (
	rssAnon = regexp.MustCompile(`(?m)^RssAnon:\s+(\d+) kB$`)
	threads = regexp.MustCompile(`(?m)^Threads:\s+(\d+)$`)
)

// most is the largest of a figure, and middle its median.
func most(samples []sample, figure func(sample) int) int {
	largest := 0
	for _, s := range samples {
		largest = max(largest, figure(s))
	}
	return largest
}

func middle(samples []sample, figure func(sample) int) int {
	var values []float64
	for _, s := range samples {
		values = append(values, float64(figure(s)))
	}
	return int(median(values))
}

// quarter is the nth quarter of the samples, from 0 to 3.
func quarter(samples []sample, n int) []sample {
	return samples[len(samples)*n/4 : len(samples)*(n+1)/4]
}

// slack is the own memory that may come beside a quarter of what there is before it is
// said to grow: the garbage collector has its own rhythm.
const slack = 8 << 10

// fewestSamples are what growth can be told from: in less time, caches still fill.
const fewestSamples = 40

// grows says that a process holds more and more, from the second to the last quarter
// of its samples; it is empty for one that does not. In the first quarter, caches fill.
func grows(samples []sample) string {
	if len(samples) < fewestSamples {
		return ""
	}
	before, after := quarter(samples, 1), quarter(samples, 3)
	was, is := middle(before, ownMemory), middle(after, ownMemory)
	if is > was+was/4+slack {
		return fmt.Sprintf("its own memory grew from %d MB to %d MB", was/1000, is/1000)
	}
	return ""
}

func ownMemory(s sample) int      { return s.own }
func residentMemory(s sample) int { return s.resident }
func openFiles(s sample) int      { return s.files }
func threadsOf(s sample) int      { return s.threads }

// goroutineLine begins the stack of a goroutine.
var goroutineLine = regexp.MustCompile(`(?m)^goroutine \d+ `)

// quit ends the process with SIGQUIT, upon which Go prints all stacks, and returns how
// many goroutines there were. What the process kept is as after a crash.
func (p *process) quit() (goroutines int, err error) {
	before, err := os.ReadFile(p.log)
	if err != nil {
		return 0, err
	}
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return 0, errors.Join(fmt.Errorf("the goroutines of the %s cannot be counted on this system: %w", p.name, err), p.stop())
	}
	select {
	case <-p.ended:
	case <-time.After(stopLimit):
		return 0, errors.Join(fmt.Errorf("the %s did not end upon SIGQUIT", p.name), p.stop())
	}
	after, err := os.ReadFile(p.log)
	if err != nil {
		return 0, err
	}
	goroutines = len(goroutineLine.FindAllIndex(after[len(before):], -1))
	if goroutines == 0 {
		return 0, fmt.Errorf("the %s printed no stacks upon SIGQUIT", p.name)
	}
	// The stacks are not part of what the server logged.
	return goroutines, os.WriteFile(p.log, before, 0o600) //nolint:gosec // in our temporary folder
}

// numberIn is the first group of an expression as a number, or 0.
func numberIn(text string, expression *regexp.Regexp) int {
	m := expression.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits, by the expression
	return n
}

// troubles are the lines of a log that no request may cause: errors and panics.
func troubles(log string) []string {
	var lines []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "panic") || strings.HasPrefix(line, "fatal error:") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return slices.Compact(lines)
}
