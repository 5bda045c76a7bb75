package api

import (
	"bytes"
	"encoding/json"
	"iter"
)

// members are the members of a JSON object as they stand in its text, which must be
// valid JSON: names in their quotes, and values. Nothing is copied, so that an object of
// a hundred thousand members that nobody asked for costs no memory.
func members(object []byte) iter.Seq2[[]byte, json.RawMessage] {
	return func(yield func([]byte, json.RawMessage) bool) {
		rest := skipSpace(skipSpace(object)[1:])
		for rest[0] != '}' {
			name := rest[:valueEnd(rest)]
			rest = skipSpace(rest[len(name):])
			rest = skipSpace(rest[1:]) // the colon
			value := rest[:valueEnd(rest)]
			if !yield(name, json.RawMessage(value)) {
				return
			}
			if rest = skipSpace(rest[len(value):]); rest[0] == ',' {
				rest = skipSpace(rest[1:])
			}
		}
	}
}

// elementsOf are the elements of a JSON list as they stand in its text, which must be
// valid JSON. Nothing is copied.
func elementsOf(list []byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		rest := skipSpace(skipSpace(list)[1:])
		for rest[0] != ']' {
			value := rest[:valueEnd(rest)]
			if !yield(json.RawMessage(value)) {
				return
			}
			if rest = skipSpace(rest[len(value):]); rest[0] == ',' {
				rest = skipSpace(rest[1:])
			}
		}
	}
}

// isNamed says whether a name in quotes, as it stands in JSON, is this one.
func isNamed(quoted []byte, name string) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1:len(quoted)-1]) == name
	}
	var decoded string
	return json.Unmarshal(quoted, &decoded) == nil && decoded == name
}

func skipSpace(text []byte) []byte {
	for len(text) > 0 && isSpace(text[0]) {
		text = text[1:]
	}
	return text
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// valueEnd is where the value ends that a valid text begins with.
func valueEnd(text []byte) int {
	switch text[0] {
	case '"':
		return stringEnd(text)
	case '{', '[':
		for i, depth := 0, 0; ; i++ {
			switch text[i] {
			case '"':
				i += stringEnd(text[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	if i := bytes.IndexAny(text, ",]} \t\r\n"); i >= 0 {
		return i
	}
	return len(text)
}

func stringEnd(text []byte) int {
	for i := 1; ; i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}
