package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode"
)

// newLog writes lines for people on a terminal, and JSON as in the cloud
// everywhere else.
func newLog(out *os.File) *slog.Logger {
	if isTerminal(out) {
		return slog.New(&lines{out: out})
	}
	return slog.New(slog.NewJSONHandler(out, nil))
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// lines is a log handler that writes a line for each record:
//
//	15:04:05  200     2.1 ms  PutSecretValue            MyTestDatabaseSecret
//	15:04:06  400     0.3 ms  GetSecretValue            Unknown  ResourceNotFoundException
type lines struct {
	out   io.Writer // a line is one Write
	attrs []slog.Attr
}

// Enabled shows what is worth a line to somebody who watches.
func (*lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle writes a record.
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	values := map[string]slog.Value{}
	for _, a := range l.attrs {
		values[a.Key] = a.Value
	}
	r.Attrs(func(a slog.Attr) bool {
		values[a.Key] = a.Value
		return true
	})
	text := message(r, values)
	if operation, ok := values["operation"]; ok {
		text = requestLine(operation.String(), values)
	}
	_, err := fmt.Fprintln(l.out, r.Time.Format(time.TimeOnly)+"  "+text)
	return err
}

func requestLine(operation string, values map[string]slog.Value) string {
	if operation == "" {
		operation = "-"
	}
	line := fmt.Sprintf("%3d %8.1f ms  %-25s %s", values["status"].Int64(), values["ms"].Float64(), printable(operation), printable(values["secret"].String()))
	for _, key := range []string{"code", "error", "denied"} {
		if v, ok := values[key]; ok {
			line += "  " + printable(v.String())
		}
	}
	return strings.TrimRight(line, " ")
}

func message(r slog.Record, values map[string]slog.Value) string {
	line := r.Message
	if r.Level > slog.LevelInfo {
		line = r.Level.String() + "  " + line
	}
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf("  %s: %s", a.Key, printable(values[a.Key].String()))
		return true
	})
	return line
}

// printable shows what a caller sent without control characters, which could
// write over the line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

// WithAttrs keeps attributes for every record to come.
func (l *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *l
	next.attrs = append(append([]slog.Attr(nil), l.attrs...), attrs...)
	return &next
}

// WithGroup is not used here.
func (l *lines) WithGroup(string) slog.Handler { return l }
