package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Show writes the last n records of a file, the oldest first, each as a line for
// people: when, who, what, on which secret, with what outcome, from where. The file
// is read from its end, and only as far as needed; those put aside are not read.
//
//	2026-03-04T12:00:00Z  ann       GetSecretValue  prod/db  ok                     192.0.2.7
//	2026-03-04T12:00:02Z  app/i-0a  PutSecretValue  prod/db  AccessDeniedException  198.51.100.1
//	1 line was passed over that is no record
func Show(w io.Writer, path string, n int) error {
	f, err := os.Open(path) //nolint:gosec // the file is the operator's choice
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no audit log yet: %w", err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return err
	}
	records, passed, err := last(f, info.Size(), n)
	if err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range records {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", time.Time(r.EventTime).UTC().Format(layout),
			cell(who(r)), cell(r.EventName), cell(secretOf(r)), cell(outcome(r)), cell(r.SourceIPAddress))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	switch {
	case passed == 1:
		_, err = fmt.Fprintln(w, "1 line was passed over that is no record")
	case passed > 1:
		_, err = fmt.Fprintf(w, "%d lines were passed over that are no records\n", passed)
	}
	return err
}

// last is the last n records of a file, the oldest first, and how many lines after
// the first of these are none: half a line where a process was killed, or what else
// somebody wrote there.
func last(f io.ReaderAt, size int64, n int) (records []Record, passed int, err error) {
	lines := backwards{f: f, at: size}
	for len(records) < n {
		text, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		if len(bytes.TrimSpace(text)) == 0 && !lines.long {
			continue
		}
		var r Record
		if lines.long || json.Unmarshal(text, &r) != nil || r.EventName == "" || time.Time(r.EventTime).IsZero() {
			passed++
			continue
		}
		records = append(records, r)
	}
	slices.Reverse(records)
	return records, passed, nil
}

// backwards gives the lines of a file from the last to the first.
type backwards struct {
	f    io.ReaderAt
	at   int64  // where rest begins in the file
	rest []byte // what was read and not given yet
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
		if len(b.rest) > maxLine {
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

// who is the caller in short, with the account where it is not the secret's.
func who(r Record) string {
	id := r.UserIdentity
	name := id.UserName
	switch {
	case id.Type == Root:
		name = "root"
	case id.Type == "" || id.Type == AWSService:
		name = id.InvokedBy
	case id.Type == AssumedRole || id.Type == FederatedUser:
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

// secretOf is the name of the secret, or what the caller called it.
func secretOf(r Record) string {
	if len(r.Resources) > 0 {
		name := secretName(r.Resources[0].ARN)
		if more := len(r.Resources) - 1; more > 0 {
			name = fmt.Sprintf("%s +%d", name, more)
		}
		return name
	}
	for _, named := range []any{r.RequestParameters["secretId"], r.RequestParameters["name"], r.AdditionalEventData["SecretId"]} {
		if text, ok := named.(string); ok && text != "" {
			return secretName(text)
		}
	}
	return "-"
}

// secretName is the name in an ARN, which ends with a hyphen and six characters
// that are not part of it.
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

func outcome(r Record) string {
	switch {
	case r.ErrorCode != "":
		return r.ErrorCode
	case r.ErrorMessage != "":
		return r.ErrorMessage // an event that is no call has no code
	}
	return "ok"
}

// cell is what a caller sent without what could write over the line or turn it
// around, and cut where it would push the rest of the line away.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, clipped(s, 80))
}
