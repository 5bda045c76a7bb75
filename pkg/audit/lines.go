package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"
	"sync"
	"unicode/utf8"
)

// Lines writes records as lines of JSON. One Keep is one Write, so that lines of other
// writers do not come between its records.
func Lines(w io.Writer) Trail { return &lines{w: w} }

type lines struct {
	mu   sync.Mutex
	w    io.Writer
	torn bool // the last write may have left a line without its newline
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
		// A record on the same line as half of another would be lost too.
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

// marshal returns the lines of all records. It runs before anything is written, so that
// either all records are written or none.
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

// MaxLine is the maximum size of a record with its newline, for every trail. It is the
// maximum of an event in CloudWatch Logs, 256 KB (1 MB since 2025), less the 26 bytes
// that it adds for each.
const MaxLine = 256*1024 - 26

// The maximum size of a string outside RequestParameters and ResponseElements, as in
// CloudTrail, and of the RequestParameters of a refused call, in bytes.
const (
	maxString            = 1024
	maxRefusedParameters = 1024
)

// line is the record as one line of JSON, with its newline. JSON strings contain no
// line breaks, so a caller cannot forge a second line.
//
// A record that is longer than MaxLine loses members in this order until it is not. As
// in CloudTrail, a member that was left out contains "omitted".
func (r Record) line() ([]byte, error) {
	r.clip()
	if r.IsRefused() {
		r.RequestParameters = shortened(r.RequestParameters)
	}
	text, err := encode(r)
	for _, cut := range []func(*Record){
		func(r *Record) { r.RequestParameters = omitted(r.RequestParameters) },
		func(r *Record) { r.ResponseElements = omitted(r.ResponseElements) },
		func(r *Record) { r.AdditionalEventData = omitted(r.AdditionalEventData) },
		func(r *Record) { r.Resources = nil },
	} {
		if err != nil || len(text) <= MaxLine {
			break
		}
		cut(&r)
		text, err = encode(r)
	}
	return text, err
}

func encode(v any) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // people read this, not browsers
	if err := enc.Encode(v); err != nil {
		// The error of the encoder may quote what it could not write.
		return nil, errors.New("an audit record holds what cannot be written as JSON")
	}
	return text.Bytes(), nil
}

// omitted replaces members that were left out.
func omitted(members map[string]any) map[string]any {
	if members == nil {
		return nil
	}
	text, _ := encode(members)
	return map[string]any{"omitted": true, "originalSize": len(bytes.TrimSpace(text))}
}

// shortened are the parameters of a refused call. Many callers may make one, so it is
// worth no more space than it takes to say which secret it was about.
func shortened(parameters map[string]any) map[string]any {
	text, err := encode(parameters)
	if err != nil || len(text) <= maxRefusedParameters {
		return parameters
	}
	short := omitted(parameters)
	for _, name := range []string{"secretId", "name"} {
		if named, ok := parameters[name].(string); ok {
			short[name] = clipped(named, maxString)
		}
	}
	return short
}

// clip shortens the strings that a caller may have chosen. Those in the parameters and
// the answer of a call are bounded by the API.
func (r *Record) clip() {
	id := &r.UserIdentity
	all := []*string{
		&r.EventSource, &r.EventName, &r.AWSRegion, &r.SourceIPAddress, &r.UserAgent, &r.ErrorCode, &r.ErrorMessage,
		&r.RequestID, &r.EventID, &r.RecipientAccountID,
		&id.PrincipalID, &id.ARN, &id.AccountID, &id.AccessKeyID, &id.UserName, &id.InvokedBy,
	}
	if id.SessionContext != nil {
		context := *id.SessionContext
		issuer := &context.SessionIssuer
		all = append(all, &issuer.PrincipalID, &issuer.ARN, &issuer.AccountID, &issuer.UserName)
		id.SessionContext = &context
	}
	for _, s := range all {
		*s = clipped(*s, maxString)
	}
	r.AdditionalEventData = maps.Clone(r.AdditionalEventData)
	for name, value := range r.AdditionalEventData {
		if s, ok := value.(string); ok {
			r.AdditionalEventData[name] = clipped(s, maxString)
		}
	}
}

// clipped is s, or its first n bytes and an ellipsis, cut between runes.
func clipped(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.ToValidUTF8(s[:n], "?") + "…"
}
