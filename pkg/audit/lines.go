package audit

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// Lines keeps records as lines of JSON. The records of one Keep are one Write, so
// that lines of other writers to the same place do not come between them.
func Lines(w io.Writer) Trail { return &lines{w: w} }

type lines struct {
	mu   sync.Mutex
	w    io.Writer
	torn bool // the last write may have left a line without its end
}

// Keep writes the records.
func (l *lines) Keep(_ context.Context, records ...Record) error {
	if len(records) == 0 {
		return nil
	}
	text, err := marshal(records)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.torn {
		// What follows half a line would be lost with it.
		text = append([]byte("\n"), text...)
	}
	n, err := l.w.Write(text)
	if err == nil && n < len(text) {
		err = io.ErrShortWrite
	}
	if n > 0 {
		l.torn = n < len(text) && text[n-1] != '\n'
	}
	return err
}

// marshal is the lines of all records. It comes before anything is written, so that
// a record that cannot be kept takes the others with it.
func marshal(records []Record) ([]byte, error) {
	var text bytes.Buffer
	for _, r := range records {
		line, err := r.line()
		if err != nil {
			return nil, err
		}
		text.Write(line)
	}
	return text.Bytes(), nil
}
