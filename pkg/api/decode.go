package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/strongroom/strongroom/pkg/secret"
)

// A shape is a structure of the service model: the members of an input, with
// the limits that stand in their tags:
//
//	required     it must be there
//	len=1-2048   characters of a string, bytes of a blob, members of a list
//	bytes        len counts the bytes of a string
//	most=50      members of a list, beyond which the refusal is the one in tooMany
//	each=1-256   characters of each string in a list
//	range=1-100  a number
//	pattern=name one of patterns, for a string or each string in a list
//	enum=a|b     one of these
//	sensitive    its value is in no error
type shape struct {
	members []member
}

type member struct {
	name  string
	path  string
	index int
	// element is the shape of a structure, or of those in a list; nil for anything else.
	element *shape

	required, sensitive, bytes bool
	len, each, rng             *bounds
	most                       int
	pattern                    *regexp.Regexp
	enum                       []string
}

type bounds struct{ min, max int }

var patterns = map[string]*regexp.Regexp{
	"duration":      regexp.MustCompile(`^[0-9]+h$`),
	"filterValue":   regexp.MustCompile(`^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$`),
	"region":        regexp.MustCompile(`^([a-z]+-)+\d+$`),
	"rotationToken": regexp.MustCompile(`^[a-zA-Z0-9\-]+$`),
	"schedule":      regexp.MustCompile(`^[0-9A-Za-z\(\)#\?\*\-\/, ]+$`),
}

// shapeOf reads the shape off a struct. It panics on a tag it does not know,
// at start.
func shapeOf[T any]() *shape { return newShape(reflect.TypeFor[T]()) }

func newShape(t reflect.Type) *shape {
	s := &shape{}
	for f := range t.Fields() {
		m := newMember(f)
		kind := f.Type.Kind()
		if (kind == reflect.Slice || kind == reflect.Pointer) && f.Type.Elem().Kind() == reflect.Struct {
			m.element = newShape(f.Type.Elem())
		}
		s.members = append(s.members, m)
	}
	return s
}

func newMember(f reflect.StructField) member {
	m := member{name: f.Name, path: strings.ToLower(f.Name[:1]) + f.Name[1:], index: f.Index[0]}
	for _, rule := range strings.FieldsFunc(f.Tag.Get("aws"), func(r rune) bool { return r == ',' }) {
		key, arg, _ := strings.Cut(rule, "=")
		switch key {
		case "required":
			m.required = true
		case "sensitive":
			m.sensitive = true
		case "bytes":
			m.bytes = true
		case "len":
			m.len = newBounds(arg)
		case "most":
			m.most = newBounds("0-" + arg).max
			if tooMany[m.name] == (secret.Error{}) {
				panic("no refusal of too many " + m.name)
			}
		case "each":
			m.each = newBounds(arg)
		case "range":
			m.rng = newBounds(arg)
		case "pattern":
			m.pattern = patterns[arg]
		case "enum":
			m.enum = strings.Split(arg, "|")
		default:
			panic("unknown rule " + rule + " on " + f.Name)
		}
	}
	return m
}

func newBounds(s string) *bounds {
	low, high, _ := strings.Cut(s, "-")
	least, err1 := strconv.Atoi(low)
	most, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil {
		panic("bad bounds " + s)
	}
	return &bounds{least, most}
}

// decode reads body into the struct behind into. A body that is not JSON or has
// a member of the wrong type is an error; members out of their limits are
// violations, all of them. Unknown members are ignored, null ones are absent.
func (s *shape) decode(body []byte, into any) (violations, error) {
	if !utf8.Valid(body) || hasLoneSurrogate(body) {
		// Decoding would put U+FFFD in their place, and a value would not be
		// read back as it was written.
		return nil, secret.Errorf(secret.Serialization, "The request body is not valid Unicode text.")
	}
	if body = bytes.TrimSpace(body); len(body) == 0 {
		body = []byte("{}")
	}
	if !json.Valid(body) {
		return nil, secret.Errorf(secret.Serialization, "The request body is not valid JSON.")
	}
	var found violations
	err := s.structure(body, reflect.ValueOf(into).Elem(), "", &found)
	return found, err
}

func (s *shape) structure(raw json.RawMessage, into reflect.Value, path string, found *violations) error {
	values := make([]json.RawMessage, len(s.members))
	switch {
	case isNull(raw): // an object without members
	case raw[0] != '{':
		return wrongType(strings.TrimSuffix(path, "."), "a structure")
	default:
		for name, value := range members(raw) {
			if i := slices.IndexFunc(s.members, func(m member) bool { return isNamed(name, m.name) }); i >= 0 {
				values[i] = value
			}
		}
	}
	for i, m := range s.members {
		if err := m.value(values[i], into.Field(m.index), path+m.path, found); err != nil {
			return err
		}
	}
	return nil
}

func (m member) value(raw json.RawMessage, into reflect.Value, path string, found *violations) error {
	if isNull(raw) {
		if m.required {
			found.null(path)
		}
		return nil
	}
	switch {
	case m.element != nil && into.Kind() == reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return m.element.structure(raw, into.Elem(), path+".", found)
	case m.element != nil:
		return m.list(raw, path, found, func() error { return m.structures(raw, into, path, found) })
	}
	if list, ok := into.Addr().Interface().(*[]string); ok {
		return m.list(raw, path, found, func() error { return m.strings(raw, list, path, found) })
	}
	// A list of numbers would be taken for a blob.
	isBlob := into.Type() == reflect.TypeFor[[]byte]()
	if err := json.Unmarshal(raw, into.Addr().Interface()); err != nil || isBlob && raw[0] != '"' {
		return wrongType(path, kindOf(into.Type()))
	}
	m.check(reflect.Indirect(into), path, found)
	return nil
}

// tooMany are the refusals of lists that the service model does not bound, or whose
// bound AWS answers in words of its own.
var tooMany = map[string]secret.Error{"Filters": errManyFilters, "Tags": secret.ErrManyTags, "TagKeys": secret.ErrManyTags}

// list reads a list, unless it is too long: then its elements are not worth the memory.
func (m member) list(raw json.RawMessage, path string, found *violations, read func() error) error {
	if raw[0] != '[' {
		return read()
	}
	n := 0
	for range elementsOf(raw) {
		n++
	}
	switch {
	case m.most > 0 && n > m.most:
		return tooMany[m.name]
	case m.len != nil && n > m.len.max && len(raw) > maxQuoted:
		found.add("Value at '%s' failed to satisfy constraint: %s", path, m.len.length(n))
		return nil
	}
	return read()
}

// strings reads a list of strings. A null in it is a violation; read as "", as
// encoding/json does, it would be a filter value that every secret matches.
func (m member) strings(raw json.RawMessage, into *[]string, path string, found *violations) error {
	var elements []*string
	if err := json.Unmarshal(raw, &elements); err != nil {
		return wrongType(path, "a list of strings")
	}
	*into = make([]string, 0, len(elements))
	for i, e := range elements {
		if e == nil {
			found.null(fmt.Sprintf("%s.%d", path, i+1))
			continue
		}
		*into = append(*into, *e)
	}
	m.checkStrings(*into, len(elements), path, found)
	return nil
}

func (m member) structures(raw json.RawMessage, into reflect.Value, path string, found *violations) error {
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return wrongType(path, "a list")
	}
	into.Set(reflect.MakeSlice(into.Type(), len(elements), len(elements)))
	m.check(into, path, found)
	for i, raw := range elements {
		at := fmt.Sprintf("%s.%d.member", path, i+1)
		if isNull(raw) {
			found.null(at)
			continue
		}
		if err := m.element.structure(raw, into.Index(i), at+".", found); err != nil {
			return err
		}
	}
	return nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func wrongType(path, kind string) error {
	if path == "" {
		return secret.Errorf(secret.Serialization, "The request body is not a JSON object.")
	}
	return secret.Errorf(secret.Serialization, "The value at '%s' is not %s.", path, kind)
}

func kindOf(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return kindOf(t.Elem())
	case t == reflect.TypeFor[[]byte]():
		return "a base64 string"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "a boolean"
	}
	return "a whole number"
}

// subject is the secret that a request is about, as the caller named it.
func (s *shape) subject(in reflect.Value) string {
	for _, m := range s.members {
		if m.name == "SecretId" || m.name == "Name" {
			return in.Field(m.index).String()
		}
	}
	return ""
}

// hasLoneSurrogate says whether JSON text has an escape \ud800 to \udfff that is
// not one of a pair, and so stands for no character.
func hasLoneSurrogate(text []byte) bool {
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++ // what is escaped, be it another backslash
		if r := escaped(text[i:]); utf16.IsSurrogate(r) {
			if i+5 >= len(text) || text[i+5] != '\\' || utf16.DecodeRune(r, escaped(text[i+6:])) == utf8.RuneError {
				return true
			}
			i += 6 // past the other half's backslash
		}
	}
	return false
}

// escaped is the code unit that a text beginning with u and four hexadecimal
// digits stands for, and -1 for any other text.
func escaped(text []byte) rune {
	if len(text) < 5 || text[0] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(text[1:5]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
