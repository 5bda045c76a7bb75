package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/terminal"
)

func TestLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(&lines{out: &out, columns: func() int { return 0 }})
	at := time.Date(2026, 11, 21, 15, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		record slog.Record
		want   string
	}{
		{
			record(at, slog.LevelInfo, "request", "operation", "PutSecretValue", "secret", "db", "status", 200, "ms", 2.14, "request", "id"),
			"15:04:05  200      2.1 ms  PutSecretValue            db\n",
		},
		{
			record(at, slog.LevelInfo, "request", "operation", "GetSecretValue", "secret", "a\x1b[2Jb\n", "status", 400, "ms", 0.3, "code", "ValidationException"),
			"15:04:05  400      0.3 ms  GetSecretValue            a?[2Jb?  ValidationException\n",
		},
		{
			record(at, slog.LevelError, "request", "operation", "", "secret", "", "status", 500, "ms", 1.0, "error", "read: refused"),
			"15:04:05  500      1.0 ms  -\n          error: read: refused\n",
		},
		{
			record(at, slog.LevelWarn, "the engine died", "error", "killed"),
			"15:04:05  WARN the engine died, error: killed\n",
		},
	} {
		out.Reset()
		if err := log.Handler().Handle(t.Context(), test.record); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}

func record(at time.Time, level slog.Level, message string, attrs ...any) slog.Record {
	r := slog.NewRecord(at, level, message, 0)
	r.Add(attrs...)
	return r
}

// A record fits the terminal, whatever callers send, and shows what matters of it.
func TestLinesFit(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 15, 4, 5, 0, time.UTC)
	long := strings.Repeat("long/name/", 30)
	request := func(operation, secret string, more ...any) slog.Record {
		return record(at, slog.LevelInfo, "request", append([]any{"operation", operation, "secret", secret, "status", 400, "ms", 0.3}, more...)...)
	}
	for _, test := range []struct {
		columns int
		record  slog.Record
		want    string // empty for whatever fits
	}{
		{80, request("PutSecretValue", "db"), "15:04:05  400      0.3 ms  PutSecretValue            db\n"},
		{80, request("PutSecretValue", "db", "awsRegion", "eu-west-1"), "15:04:05  400      0.3 ms  PutSecretValue            eu-west-1  db\n"},
		{80, request("PutSecretValue", long), "15:04:05  400      0.3 ms  PutSecretValue  long/name/long/name/long/name/long/n…\n"},
		{80, request("GetSecretValue", long, "code", "ResourceNotFoundException"), "15:04:05  400      0.3 ms  GetSecretValue  long/name…  ResourceNotFoundException\n"},
		{80, request("UpdateSecretVersionStage", long, "code", "ResourceNotFoundException"), "15:04:05  400      0.3 ms  UpdateSecretVersionStage  long/name/long/name/long/n…\n          ResourceNotFoundException\n"},
		{120, request("GetSecretValue", "db", "code", "AccessDeniedException", "denied", "no policy allows it"), "15:04:05  400      0.3 ms  GetSecretValue            db  AccessDeniedException\n          denied: no policy allows it\n"},
		{50, request("GetSecretValue", "db", "denied", "no identity-based policy allows it; there is no resource policy"), "15:04:05  400      0.3 ms  GetSecretValue  db\n          denied: no identity-based policy allows\n          it; there is no resource policy\n"},
		{80, request(long, long, "code", long, "error", long), ""},
		{1, request("GetSecretValue", "日本語"+long), ""},
		{40, record(at, slog.LevelWarn, "a\u202e message", "with\u2028", "b\x1b[2Jb", "and", long), ""},
	} {
		var out bytes.Buffer
		log := slog.New(&lines{out: &out, columns: func() int { return test.columns }})
		if err := log.Handler().Handle(t.Context(), test.record); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); test.want != "" && got != test.want {
			t.Errorf("%d columns: got\n%s\nwant\n%s", test.columns, got, test.want)
		}
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if terminal.Columns(line) > max(test.columns, leastColumns) || line != terminal.Printable(line) {
				t.Errorf("%d columns: got %q in %d", test.columns, line, terminal.Columns(line))
			}
		}
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 15, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		record slog.Record
		colour string
	}{
		{record(at, slog.LevelInfo, "request", "operation", "GetSecretValue", "secret", "db", "status", 200, "ms", 0.3), ""},
		{record(at, slog.LevelInfo, "request", "operation", "GetSecretValue", "secret", "db", "status", 404, "ms", 0.3), yellow},
		{record(at, slog.LevelError, "request", "operation", "GetSecretValue", "secret", "db", "status", 500, "ms", 0.3), red},
		{record(at, slog.LevelInfo, "seeded"), ""},
		{record(at, slog.LevelWarn, "the engine died"), yellow},
		{record(at, slog.LevelError, "the engine died"), red},
	} {
		for _, wanted := range []bool{true, false} {
			var out bytes.Buffer
			log := slog.New(&lines{out: &out, columns: func() int { return 80 }, colour: wanted})
			if err := log.Handler().Handle(t.Context(), test.record); err != nil {
				t.Fatal(err)
			}
			got := out.String()
			if coloured := wanted && test.colour != ""; coloured != strings.Contains(got, "\x1b") || coloured && (!strings.HasPrefix(got, "15:04:05  "+test.colour) || !strings.HasSuffix(got, plain+"\n")) {
				t.Errorf("colours %v: got %q, want colour %q", wanted, got, test.colour)
			}
		}
	}
	for env, want := range map[string]bool{"": true, "TERM=dumb": false, "TERM=xterm": true, "NO_COLOR=1": false, "NO_COLOR=": true} {
		name, value, _ := strings.Cut(env, "=")
		got := hasColours(func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		})
		if got != want {
			t.Errorf("%s: got colours %v, want %v", env, got, want)
		}
	}
}
