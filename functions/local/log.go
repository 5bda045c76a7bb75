package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/strongroom/strongroom/pkg/terminal"
)

// newLog writes lines for people on a terminal, and JSON as in the cloud
// everywhere else.
func newLog(out *os.File, getenv func(string) string) *slog.Logger {
	if !isTerminal(out) {
		return slog.New(slog.NewJSONHandler(out, nil))
	}
	columns := func() int {
		width, _, err := term.GetSize(int(out.Fd()))
		if err != nil {
			return 0
		}
		return width
	}
	return slog.New(&lines{out: out, columns: columns, colour: hasColours(getenv)})
}

func isTerminal(out io.Writer) bool {
	f, isFile := out.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
}

// hasColours says whether a terminal shows colours and its user wants them
// (https://no-color.org). That of Windows may need to be told first.
func hasColours(getenv func(string) string) bool {
	return getenv("NO_COLOR") == "" && getenv("TERM") != "dumb" && runtime.GOOS != "windows"
}

// lines is a log handler for a terminal. A record is a line that fits its width, and
// lines for what is long:
//
//	15:04:05  200      2.1 ms  PutSecretValue            MyTestDatabaseSecret
//	15:04:06  400      0.3 ms  GetSecretValue            Unknown  AccessDeniedException
//	          denied: no identity-based policy allows it
type lines struct {
	out     io.Writer  // a record is one Write
	columns func() int // of the terminal now; 0 if unknown
	colour  bool
	attrs   []slog.Attr
}

const (
	// indent is as wide as the time and what is behind it.
	indent = "          "
	// leastColumns is the width of a terminal that can be written for.
	leastColumns = 40

	red, yellow, plain = "\x1b[31m", "\x1b[33m", "\x1b[0m"
)

// Enabled shows what is worth a line to somebody who watches.
func (*lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle writes a record.
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	var order []string
	values := map[string]slog.Value{}
	add := func(a slog.Attr) bool {
		order, values[a.Key] = append(order, a.Key), a.Value
		return true
	}
	for _, a := range l.attrs {
		add(a)
	}
	r.Attrs(add)
	room := 1 << 20
	if columns := l.columns(); columns > 0 {
		room = max(columns, leastColumns) - len(indent)
	}
	var text, colour string
	if _, isRequest := values["operation"]; isRequest && values["status"].Kind() == slog.KindInt64 {
		text, colour = requestText(values, room), colourOf(values["status"].Int64())
	} else {
		text, colour = messageText(r, order, values, room), levelColour(r.Level)
	}
	if l.colour && colour != "" {
		text = colour + text + plain
	}
	_, err := fmt.Fprintln(l.out, r.Time.Format(time.TimeOnly)+"  "+text)
	return err
}

// requestText is a line about a request, and lines about what is wrong with it.
func requestText(values map[string]slog.Value, room int) string {
	text, rest := requestLine(values, room)
	for _, key := range []string{"error", "denied"} {
		if v, ok := values[key]; ok {
			rest = append(rest, terminal.Wrap(key+": "+shown(v), room)...)
		}
	}
	return strings.Join(append([]string{text}, rest...), "\n"+indent)
}

// requestLine makes room for a long name: first it gives up the column of operations,
// then the code goes to a line of its own, and then the name is cut.
func requestLine(values map[string]slog.Value, room int) (line string, rest []string) {
	const leastName = 8
	begin := fmt.Sprintf("%3d %8.1f ms  ", values["status"].Int64(), values["ms"].Float64())
	operation, name, code := shown(values["operation"]), shown(values["secret"]), ""
	if operation == "" {
		operation = "-"
	}
	if v, ok := values[regionAttr]; ok {
		name = shown(v) + "  " + name
	}
	if v, ok := values["code"]; ok {
		code = "  " + shown(v)
	}
	line = fmt.Sprintf("%s%-25s ", begin, operation)
	if terminal.Columns(line+name+code) > room {
		line = begin + operation + "  "
	}
	if code != "" && terminal.Columns(line+code)+min(terminal.Columns(name), leastName) > room {
		rest, code = []string{terminal.Cut(strings.TrimSpace(code), room)}, ""
	}
	line += terminal.Cut(name, max(room-terminal.Columns(line+code), leastName)) + code
	return terminal.Cut(strings.TrimRight(line, " "), room), rest
}

// messageText is what else there is to say.
func messageText(r slog.Record, order []string, values map[string]slog.Value, room int) string {
	text := terminal.Printable(r.Message)
	if r.Level > slog.LevelInfo {
		text = r.Level.String() + " " + text
	}
	for _, key := range order {
		text += fmt.Sprintf(", %s: %s", terminal.Printable(key), shown(values[key]))
	}
	return strings.Join(terminal.Wrap(text, room), "\n"+indent)
}

func shown(v slog.Value) string { return terminal.Printable(v.String()) }

func colourOf(status int64) string {
	switch {
	case status >= 500:
		return red
	case status >= 400:
		return yellow
	}
	return ""
}

func levelColour(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return red
	case level >= slog.LevelWarn:
		return yellow
	}
	return ""
}

// WithAttrs keeps attributes for every record to come.
func (l *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *l
	next.attrs = append(append([]slog.Attr(nil), l.attrs...), attrs...)
	return &next
}

// WithGroup is not used here.
func (l *lines) WithGroup(string) slog.Handler { return l }
