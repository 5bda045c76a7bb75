package auditfile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/audit"
)

func show(t *testing.T, text string, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Show(&out, path, Filter{Last: n}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestShow(t *testing.T) {
	call, refusal, event := lineOf(t, aCall()), lineOf(t, aRefusal()), lineOf(t, anEvent())
	elsewhere := aCall()
	elsewhere.AWSRegion = "eu-west-1"
	const (
		shownCall    = "2026-03-04T12:00:00Z  app/i-0abc  PutSecretValue  prod/db  ok  192.0.2.7\n"
		shownRefusal = "2026-03-04T12:00:00Z  ann  GetSecretValue  prod/db  AccessDeniedException  198.51.100.1\n"
	)
	for _, c := range []struct {
		name, text string
		n          int
		want       string
	}{
		{"nothing", "", 10, ""},
		{"no records wanted", call, 0, ""},
		{"one", call, 10, shownCall},
		{"the last", call + refusal, 1, shownRefusal},
		{
			"all in columns", refusal + call, 10,
			"2026-03-04T12:00:00Z  ann         GetSecretValue  prod/db  AccessDeniedException  198.51.100.1\n" +
				"2026-03-04T12:00:00Z  app/i-0abc  PutSecretValue  prod/db  ok                     192.0.2.7\n",
		},
		{
			"of several Regions", lineOf(t, elsewhere) + call, 10,
			"2026-03-04T12:00:00Z  eu-west-1     app/i-0abc  PutSecretValue  prod/db  ok  192.0.2.7\n" +
				"2026-03-04T12:00:00Z  eu-central-1  app/i-0abc  PutSecretValue  prod/db  ok  192.0.2.7\n",
		},
		{
			"an event", event, 10,
			"2026-03-04T12:00:00Z  secretsmanager.amazonaws.com  RotationFailed  prod/db  Error when executing lambda arn:aws:lambda:eu-central-1:123456789012:function:r…  secretsmanager.amazonaws.com\n",
		},
		{"torn at the end", call + refusal[:100], 10, shownCall + "1 line was passed over that is no record\n"},
		{"without its end, but whole", strings.TrimSuffix(call, "\n"), 10, shownCall},
		{"torn in the middle", refusal[:50] + "\n" + call, 10, shownCall + "1 line was passed over that is no record\n"},
		{"before those wanted", refusal[:50] + "\n" + call, 1, shownCall},
		{"empty lines", "\n\n" + call + "\n", 10, shownCall},
		{"no records", "hello\n{}\n[1]\nnull\n{\"eventName\":\"x\"}\n" + `{"eventName":"x","eventTime":"y"}` + "\n" + call, 10, shownCall + "6 lines were passed over that are no records\n"},
		{"a very long line", call + strings.Repeat("x", 3*audit.MaxLine) + "\n" + call, 10, shownCall + shownCall + "1 line was passed over that is no record\n"},
		{"a very long line at the start", strings.Repeat("x", 3*audit.MaxLine) + "\n" + call, 10, shownCall + "1 line was passed over that is no record\n"},
		{"nothing but a very long line", strings.Repeat("x", 3*audit.MaxLine), 10, "1 line was passed over that is no record\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := show(t, c.text, c.n); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestShowWithoutFile(t *testing.T) {
	if err := Show(io.Discard, filepath.Join(t.TempDir(), "none"), Filter{Last: 1}); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "there is no audit log yet") {
		t.Errorf("got %v", err)
	}
}

// Control characters do nothing to a terminal, nor does what turns text around.
func TestShowMakesHarmless(t *testing.T) {
	bad := "a\x1b[2Jb\r\n\t\u202ec\u2028\v\f"
	r := aRefusal()
	r.EventName, r.ErrorCode, r.SourceIPAddress = bad, bad, bad
	r.UserIdentity.UserName = bad
	r.RequestParameters["secretId"] = bad
	got := show(t, lineOf(t, r), 1)
	const harmless = "a?[2Jb????c???"
	if want := "2026-03-04T12:00:00Z" + strings.Repeat("  "+harmless, 5) + "\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestShowNames(t *testing.T) {
	user := func(arn, account string) audit.Record {
		r := aRefusal()
		r.UserIdentity = audit.IdentityOf(arn, account, "ID", "")
		return r
	}
	for want, r := range map[string]audit.Record{
		"ann":                          user("arn:aws:iam::123456789012:user/team/ann", ""),
		"app/i-0abc":                   user("arn:aws:sts::123456789012:assumed-role/app/i-0abc", ""),
		"bob":                          user("arn:aws:sts::123456789012:federated-user/bob", ""),
		"root":                         user("arn:aws:iam::123456789012:root", ""),
		"111122223333:ann":             user("arn:aws:iam::111122223333:user/ann", ""),
		"ID":                           user("", ""),
		"unknown":                      {UserIdentity: audit.Identity{Type: audit.Unknown}},
		"events.amazonaws.com":         {UserIdentity: audit.Identity{Type: audit.AWSService, InvokedBy: "events.amazonaws.com"}},
		"secretsmanager.amazonaws.com": anEvent(),
	} {
		if got := who(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	parameter := func(name, value string) audit.Record {
		return audit.Record{RequestParameters: map[string]any{name: value}}
	}
	for want, r := range map[string]audit.Record{
		"prod/db":        anEvent(),
		"prod/db +1":     {Resources: audit.Secrets(secretARN, secretARN)},
		"called-a1B2c3":  parameter("secretId", "called-a1B2c3"),
		"created":        parameter("name", "created"),
		"-":              {},
		"whole":          parameter("secretId", "arn:aws:secretsmanager:eu-central-1:1:secret:whole-a1B2c3"),
		"a-b":            parameter("secretId", "arn:aws:secretsmanager:eu-central-1:1:secret:a-b"),
		"arn:aws:iam::1": parameter("secretId", "arn:aws:iam::1"),
	} {
		if got := secretOf(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A file of many blocks is read from its end, and no further than need be.
func TestShowReadsFromTheEnd(t *testing.T) {
	var text bytes.Buffer
	for i := range 2000 {
		r := aRefusal()
		r.SourceIPAddress = fmt.Sprint(i)
		text.WriteString(lineOf(t, r))
	}
	f := counting{r: bytes.NewReader(text.Bytes())}
	found := finding{filter: Filter{Last: 150}}
	if err := found.read(&f, int64(text.Len())); err != nil || found.passed != 0 || len(found.records) != 150 {
		t.Fatalf("got %d records, %d passed over, %v", len(found.records), found.passed, err)
	}
	for i, r := range found.records {
		if want := fmt.Sprint(1999 - i); r.SourceIPAddress != want {
			t.Fatalf("record %d: got %s, want %s", i, r.SourceIPAddress, want)
		}
	}
	if f.read > text.Len()/4 {
		t.Errorf("read %d of %d bytes", f.read, text.Len())
	}
}

type counting struct {
	r    io.ReaderAt
	read int
}

func (c *counting) ReadAt(p []byte, at int64) (int, error) {
	c.read += len(p)
	return c.r.ReadAt(p, at)
}

// recorded is a record of a day, told apart by its address.
func recorded(t *testing.T, day int, user, secretID, denial, from string) string {
	t.Helper()
	r := audit.Call("GetSecretValue", "21111111-2222-3333-4444-555555555555", time.Date(2026, 3, day, 12, 0, 0, 0, time.UTC))
	r.UserIdentity = audit.IdentityOf("arn:aws:iam::123456789012:user/"+user, "123456789012", "ID", "AKIA"+user)
	r.SourceIPAddress = from
	r.RequestParameters = map[string]any{"secretId": secretID}
	if denial != "" {
		r.ErrorCode, r.AdditionalEventData = "AccessDeniedException", map[string]any{audit.DenialReason: denial}
	}
	return lineOf(t, r)
}

// Records are found by secret, caller and day, in the files that were put aside, too.
func TestShowFinds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	aside := strings.TrimSuffix(path, ".jsonl")
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, err := io.WriteString(zip, recorded(t, 1, "ann", "db", "", "1")+recorded(t, 2, "bob", secretARN, "", "2"))
	if err := errors.Join(err, zip.Close()); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		aside + "-2026-03-02T12-00-00.000-size.jsonl.gz": packed.String(),
		aside + "-2026-03-03T12-00-00.000-size.jsonl":    recorded(t, 3, "ann", "prod/db", "", "3"),
		aside + "-2026-03-03T12-00-00.000-size.jsonl.gz": "not yet whole",
		aside + "-notes.txt":                             "not ours",
		path:                                             recorded(t, 4, "ann", "db", "denied by resource policy, \x1b statement 1", "4") + recorded(t, 5, "bob", "db", "", "5"),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	day := func(n int) time.Time { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		filter Filter
		want   string // addresses
	}{
		{Filter{Last: 9}, "12345"},
		{Filter{Last: 2}, "45"},
		{Filter{Last: 9, Secret: "db"}, "145"},
		{Filter{Last: 2, Secret: "db"}, "45"},
		{Filter{Last: 9, Secret: "prod/db"}, "23"},
		{Filter{Last: 9, Secret: secretARN}, "2"},
		{Filter{Last: 9, Secret: "d"}, ""},
		{Filter{Last: 9, Caller: "ann"}, "134"},
		{Filter{Last: 9, Caller: "AKIAbob"}, "25"},
		{Filter{Last: 9, Caller: "arn:aws:iam::123456789012:user/bob"}, "25"},
		{Filter{Last: 9, Day: day(3)}, "3"},
		{Filter{Last: 9, Day: day(1), Secret: "db"}, "1"},
		{Filter{Last: 9, Day: day(6)}, ""},
		{Filter{Last: 9, Secret: "db", Caller: "bob", Day: day(5)}, "5"},
	} {
		var out bytes.Buffer
		if err := Show(&out, path, c.filter); err != nil {
			t.Fatal(err)
		}
		var got string
		if c.want == "" && out.String() != "no record matches\n" {
			t.Errorf("%+v: got %q, want that there is none", c.filter, &out)
		}
		for line := range strings.Lines(strings.TrimPrefix(out.String(), "no record matches\n")) {
			got += address.FindStringSubmatch(line)[1]
		}
		if got != c.want {
			t.Errorf("%+v: got %q, want %q", c.filter, got, c.want)
		}
		if strings.Contains(c.want, "4") && !strings.Contains(out.String(), "  AccessDeniedException  4  denied by resource policy, ? statement 1\n") {
			t.Errorf("%+v: got %s, want the reason of the denial", c.filter, &out)
		}
	}
}

var address = regexp.MustCompile(`(?:ok|AccessDeniedException) +(\d)`)

// A record is written when its call ends, up to a minute after a later one.
func TestShowDay(t *testing.T) {
	midnight := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	var text strings.Builder
	for i, at := range []time.Duration{-2 * time.Minute, 0, -30 * time.Second, 24*time.Hour - time.Second, 24 * time.Hour} {
		r := aRefusal()
		r.EventTime, r.SourceIPAddress = audit.Time(midnight.Add(at)), fmt.Sprint(i)
		text.WriteString(lineOf(t, r))
	}
	found := finding{filter: Filter{Last: 9, Day: midnight}}
	if err := found.read(strings.NewReader(text.String()), int64(text.Len())); err != nil {
		t.Fatal(err)
	}
	if len(found.records) != 2 || found.records[0].SourceIPAddress != "3" || found.records[1].SourceIPAddress != "1" || !found.past {
		t.Errorf("got %+v", found)
	}
}

// What was put aside is read even when there is nothing new.
func TestShowWithoutCurrentFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(strings.TrimSuffix(path, ".jsonl")+"-2026-03-03T12-00-00.000-size.jsonl", []byte(lineOf(t, aCall())), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Show(&out, path, Filter{Last: 1}); err != nil || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("got %q, %v", &out, err)
	}
}

// A file as it is really put aside is found.
func TestShowReadsWhatIsPutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f, err := openFiles(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := aCall()
	r.RequestParameters["filler"] = strings.Repeat("x", 200<<10)
	for range 12 {
		if err := f.Keep(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if len(setAside(path)) == 0 {
		t.Fatal("nothing was put aside")
	}
	var out bytes.Buffer
	if err := Show(&out, path, Filter{Last: 100, Secret: "prod/db"}); err != nil || strings.Count(out.String(), "\n") != 12 {
		t.Errorf("got %s, %v, want 12 records", &out, err)
	}
}
