package auditfile

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/terminal"
)

// Show writes the selected records, the oldest first, as one readable line each: when,
// who, what, on which secret, with what result, from where, and why it was denied. It
// also reads the file of refused calls and the older files of a [RotatingFile], from the
// newest record backwards and only as far as needed.
//
//	2026-03-04T12:00:00Z  ann       GetSecretValue  prod/db  ok                     192.0.2.7
//	2026-03-04T12:00:02Z  app/i-0a  PutSecretValue  prod/db  AccessDeniedException  198.51.100.1  denied by …
//	1 line was passed over that is no record
//
// Records of several Regions have theirs after the time.
func Show(w io.Writer, path string, filter Filter) error {
	records, passed, err := find(path, filter)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	several := slices.ContainsFunc(records, func(r audit.Record) bool { return r.AWSRegion != records[0].AWSRegion })
	for _, r := range records {
		cells := row(r)
		if several {
			cells = slices.Insert(cells, 1, cell(r.AWSRegion))
		}
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	switch {
	case len(records) == 0 && passed == 0 && filter.hasConditions():
		_, err = fmt.Fprintln(w, "no record matches")
	case passed == 1:
		_, err = fmt.Fprintln(w, "1 line was passed over that is no record")
	case passed > 1:
		_, err = fmt.Fprintf(w, "%d lines were passed over that are no records\n", passed)
	}
	return err
}

// find returns the selected records of all files in order of time, and how many lines
// were passed over. Within a second, which is as exact as a record says, those of one
// file stay together.
func find(path string, filter Filter) (records []audit.Record, passed int, err error) {
	var missing []error
	for _, path := range Paths(path) {
		found := finding{filter: filter}
		switch err := found.readAll(path); {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, err)
		case err != nil:
			return nil, 0, err
		}
		slices.Reverse(found.records)
		records, passed = append(records, found.records...), passed+found.passed
	}
	if len(missing) == len(Paths(path)) {
		return nil, 0, missing[0]
	}
	slices.SortStableFunc(records, func(a, b audit.Record) int { return time.Time(a.EventTime).Compare(time.Time(b.EventTime)) })
	return records[max(0, len(records)-filter.Last):], passed, nil
}

func row(r audit.Record) []string {
	cells := []string{
		time.Time(r.EventTime).UTC().Format(time.RFC3339),
		cell(who(r)), cell(r.EventName), cell(secretOf(r)), cell(outcome(r)), cell(r.SourceIPAddress),
	}
	if why, ok := r.AdditionalEventData[audit.DenialReason].(string); ok && why != "" {
		cells = append(cells, terminal.Printable(why))
	}
	return cells
}

// A finding is the records found so far, the newest first.
type finding struct {
	filter  Filter
	records []audit.Record
	passed  int // lines that are no records: half a line where a process was killed, or foreign text
	past    bool
}

func (f *finding) done() bool { return f.past || len(f.records) >= f.filter.Last }

// readAll reads a file and then the older ones, from the newest.
func (f *finding) readAll(path string) error {
	aside := setAside(path)
	err := f.readFile(path)
	if errors.Is(err, fs.ErrNotExist) && len(aside) > 0 {
		err = nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no audit log yet: %w", err)
	}
	for _, older := range aside {
		if err != nil || f.done() {
			break
		}
		if err = f.readFile(older); errors.Is(err, fs.ErrNotExist) {
			err = nil // compressed or removed meanwhile
		}
	}
	return err
}

func (f *finding) readFile(path string) error {
	file, err := os.Open(path) //nolint:gosec // the file is the operator's choice
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing was written
	info, err := file.Stat()
	if err != nil {
		return err
	}
	text, size := io.ReaderAt(file), info.Size()
	if strings.HasSuffix(path, ".gz") {
		if text, size, err = unpacked(file); err != nil {
			return fmt.Errorf("read the audit log %s: %w", path, err)
		}
	}
	if err := f.read(text, size); err != nil {
		return fmt.Errorf("read the audit log %s: %w", path, err)
	}
	return nil
}

// read adds the records of a file, from its end.
func (f *finding) read(file io.ReaderAt, size int64) error {
	lines := backwards{f: file, at: size}
	for !f.done() {
		text, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(text)) == 0 && !lines.long {
			continue
		}
		var r audit.Record
		switch {
		case lines.long || json.Unmarshal(text, &r) != nil || r.EventName == "" || time.Time(r.EventTime).IsZero():
			f.passed++
		case f.filter.isPast(r):
			f.past = true
		case f.filter.wants(r):
			f.records = append(f.records, r)
		}
	}
	return nil
}

// setAside are the older files of a [RotatingFile], the newest first by the time in
// their names.
func setAside(path string) []string {
	ext := filepath.Ext(path)
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	var aside []string
	for _, file := range slices.Backward(files) {
		if !isAside(path, file.Name()) {
			continue
		}
		full := filepath.Join(filepath.Dir(path), file.Name())
		if strings.HasSuffix(full, ext+".gz") && exists(strings.TrimSuffix(full, ".gz")) {
			continue // it is being compressed
		}
		aside = append(aside, full)
	}
	return aside
}

// isAside says whether a name is that of an older file.
func isAside(path, name string) bool {
	ext := filepath.Ext(path)
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(filepath.Base(path), ext)+"-")
	return ok && (strings.HasSuffix(rest, ext) || strings.HasSuffix(rest, ext+".gz"))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// unpacked is the content of a compressed file, which has at most maxFileMB.
func unpacked(file io.Reader) (io.ReaderAt, int64, error) {
	unzip, err := gzip.NewReader(file)
	if err != nil {
		return nil, 0, err
	}
	text, err := io.ReadAll(io.LimitReader(unzip, 2*maxFileMB<<20))
	return bytes.NewReader(text), int64(len(text)), err
}

// backwards gives the lines of a file from the last to the first.
type backwards struct {
	f    io.ReaderAt
	at   int64  // where rest begins in the file
	rest []byte // what was read and not returned yet
	done bool
	long bool // the line was longer than any record, and has not been kept
}

const block = 64 * 1024

func (b *backwards) next() ([]byte, error) {
	b.long = false
	for !b.done {
		if i := bytes.LastIndexByte(b.rest, '\n'); i >= 0 {
			line := b.rest[i+1:]
			b.rest = b.rest[:i]
			return line, nil
		}
		if b.at == 0 {
			b.done = true
			return b.rest, nil
		}
		if len(b.rest) > audit.MaxLine {
			b.rest, b.long = nil, true
		}
		more := make([]byte, min(block, b.at), min(block, b.at)+int64(len(b.rest)))
		if _, err := b.f.ReadAt(more, b.at-int64(len(more))); err != nil {
			return nil, err
		}
		b.at -= int64(len(more))
		b.rest = append(more, b.rest...)
	}
	return nil, io.EOF
}

// who is a short name of the caller, with its account if that is not the secret's.
func who(r audit.Record) string {
	id := r.UserIdentity
	name := id.UserName
	switch {
	case id.Type == audit.Root:
		name = "root"
	case id.Type == "" || id.Type == audit.AWSService:
		name = id.InvokedBy
	case id.Type == audit.AssumedRole || id.Type == audit.FederatedUser:
		_, name, _ = strings.Cut(id.ARN, "/")
	case name == "":
		name = id.PrincipalID
	}
	if name == "" {
		name = "unknown"
	}
	if id.AccountID != "" && r.RecipientAccountID != "" && id.AccountID != r.RecipientAccountID {
		name = id.AccountID + ":" + name
	}
	return name
}

// secretOf is the name of the secret, or the one in the request.
func secretOf(r audit.Record) string {
	secrets := secretsOf(r)
	if len(secrets) == 0 {
		return "-"
	}
	name := secretName(secrets[0])
	if more := len(secrets) - 1; more > 0 {
		name = fmt.Sprintf("%s +%d", name, more)
	}
	return name
}

// secretsOf are the ARNs of the secrets, or the name in the request.
func secretsOf(r audit.Record) []string {
	var secrets []string
	for _, resource := range r.Resources {
		secrets = append(secrets, resource.ARN)
	}
	for _, named := range []any{r.RequestParameters["secretId"], r.RequestParameters["name"], r.AdditionalEventData["SecretId"]} {
		if text, ok := named.(string); ok && text != "" && len(secrets) == 0 {
			secrets = append(secrets, text)
		}
	}
	return secrets
}

// secretName is the name in an ARN, without the hyphen and six characters at its end.
func secretName(text string) string {
	parsed, err := arn.Parse(text)
	name, ok := strings.CutPrefix(parsed.Resource, "secret:")
	if err != nil || !ok {
		return text
	}
	if i := len(name) - len("-a1B2c3"); i > 0 && name[i] == '-' {
		name = name[:i]
	}
	return name
}

func outcome(r audit.Record) string {
	switch {
	case r.ErrorCode != "" && !r.IsRefused():
		return "outcome unknown"
	case r.ErrorCode != "":
		return r.ErrorCode
	case r.ErrorMessage != "":
		return r.ErrorMessage // events have no code
	}
	return "ok"
}

// cell is text from a caller, made printable and clipped to keep the columns aligned.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	return terminal.Cut(terminal.Printable(s), 80)
}
