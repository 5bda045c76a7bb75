package main

import (
	"fmt"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

// A progress is one line on a terminal that says what is running. Elsewhere it says
// nothing.
type progress struct {
	out *os.File // nil for no terminal

	mu    sync.Mutex
	shown time.Time
}

func newProgress(out *os.File) *progress {
	if info, err := out.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &progress{}
	}
	return &progress{out: out}
}

// line replaces the line.
func (p *progress) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.write(text)
}

// count replaces the line some times a second.
func (p *progress) count(what string, done, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.shown) < 200*time.Millisecond && done < of {
		return
	}
	p.shown = time.Now()
	p.write(fmt.Sprintf("%s: %d of %d", what, done, of))
}

// clear takes the line away.
func (p *progress) clear() { p.line("") }

// write needs the lock.
func (p *progress) write(text string) {
	if p.out == nil {
		return
	}
	width := columns(p.out)
	if width == 0 {
		width = 80
	}
	_, _ = fmt.Fprint(p.out, "\r\033[K"+cut(text, width-1)) // nothing depends on it
}

// cut shortens a text to a number of columns, so that it does not wrap.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	if width < 1 {
		return ""
	}
	return string([]rune(text)[:width-1]) + "…"
}
