package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// maxLine is the size of the longest record with its end, in every medium: what
// CloudWatch Logs takes as one event, 256 KB (1 MB since 2025), less the 26 bytes
// that it counts for each.
const maxLine = 256*1024 - 26

// line is the record as one line of JSON, with its end. A string in JSON has no
// line breaks, so nothing that a caller sends can make two lines of it.
//
// A record that would be longer than maxLine, since the record of a refused call
// has what the caller sent, is cut: the first of these that are enough. As in
// CloudTrail, a member that was left out has "omitted" in it.
func (r Record) line() ([]byte, error) {
	text, err := encode(r)
	for _, cut := range []func(*Record){
		func(r *Record) { r.RequestParameters = omitted(r.RequestParameters) },
		func(r *Record) { r.ResponseElements = omitted(r.ResponseElements) },
		func(r *Record) { r.AdditionalEventData = omitted(r.AdditionalEventData) },
		clip,
	} {
		if err != nil || len(text) <= maxLine {
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

// omitted stands for members that were left out.
func omitted(members map[string]any) map[string]any {
	if members == nil {
		return nil
	}
	text, _ := encode(members)
	return map[string]any{"omitted": true, "originalSize": len(bytes.TrimSpace(text))}
}

// clip shortens everything else that may come from a caller, and says so.
func clip(r *Record) {
	const longest = 512 // six times that when escaped, and some twenty strings
	cut := false
	short := func(s *string) {
		if len(*s) > longest {
			*s, cut = clipped(*s, longest), true
		}
	}
	id := &r.UserIdentity
	for _, s := range []*string{
		&r.EventSource, &r.EventName, &r.AWSRegion, &r.SourceIPAddress, &r.UserAgent, &r.ErrorCode, &r.ErrorMessage,
		&r.RequestID, &r.EventID, &r.RecipientAccountID,
		&id.PrincipalID, &id.ARN, &id.AccountID, &id.AccessKeyID, &id.UserName, &id.InvokedBy,
	} {
		short(s)
	}
	if id.SessionContext != nil {
		context := *id.SessionContext
		issuer := &context.SessionIssuer
		for _, s := range []*string{&issuer.PrincipalID, &issuer.ARN, &issuer.AccountID, &issuer.UserName} {
			short(s)
		}
		id.SessionContext = &context
	}
	if text, _ := encode(r.Resources); len(text) > maxLine/2 {
		r.Resources, cut = nil, true
	}
	if cut && r.AdditionalEventData == nil {
		r.AdditionalEventData = map[string]any{"omitted": true}
	}
}

// clipped is s, cut to n bytes and a mark, between runes.
func clipped(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.ToValidUTF8(s[:n], "?") + "…"
}
