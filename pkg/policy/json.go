package policy

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/strongroom/strongroom/pkg/spelling"
)

// maxDepth is more than any policy needs: the value in the list of a condition is
// six levels deep.
const maxDepth = 8

// An object is a JSON object: its members as ordered in the text, no name twice.
// Other values are []any, string, json.Number, bool and nil.
type object []member

type member struct {
	name  string
	value any
}

// read parses text that is one JSON value. A name that is there twice is an error, as
// in IAM's grammar: encoding/json would let the second of two Effects win.
func read(text string) (any, error) {
	if !utf8.ValidString(text) {
		return nil, malformed("it is not UTF-8")
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("there is text after it")
	}
	return v, nil
}

func readValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, notJSON(err)
	}
	open, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth == maxDepth {
		return nil, malformed("it is nested too deep")
	}
	var v any
	if open == '{' {
		v, err = readObject(d, depth+1)
	} else {
		v, err = readList(d, depth+1)
	}
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != nil { // the bracket that closes it
		return nil, notJSON(err)
	}
	return v, nil
}

func readObject(d *json.Decoder, depth int) (object, error) {
	o, seen := object{}, map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, notJSON(err)
		}
		name := t.(string) // the decoder accepts no other names
		if seen[name] {
			return nil, malformed("%.40q is there twice", name)
		}
		seen[name] = true
		v, err := readValue(d, depth)
		if err != nil {
			return nil, err
		}
		o = append(o, member{name, v})
	}
	return o, nil
}

func readList(d *json.Decoder, depth int) ([]any, error) {
	list := []any{}
	for d.More() {
		v, err := readValue(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func notJSON(err error) error { return malformed("it is not JSON: %v", err) }

// elements are the members of an object, which may have these names only. Their
// case matters: "effect" is unknown (a guess).
func elements(v any, known ...string) (map[string]any, error) {
	o, ok := v.(object)
	if !ok {
		return nil, malformed("it is no object")
	}
	m := make(map[string]any, len(o))
	for _, e := range o {
		if !slices.Contains(known, e.name) {
			return nil, malformed("unknown element %.40q%s", e.name, spelling.DidYouMean(e.name, known))
		}
		m[e.name] = e.value
	}
	return m, nil
}

// listed is a value that may be alone or in a list, as a list. The grammar has no
// empty lists.
func listed(v any) ([]any, error) {
	list, ok := v.([]any)
	if !ok {
		return []any{v}, nil
	}
	if len(list) == 0 {
		return nil, malformed("the list is empty")
	}
	return list, nil
}

// words parses a string, or a list of strings.
func words(v any) ([]string, error) {
	return texts(v, "string", func(v any) (string, bool) {
		s, ok := v.(string)
		return s, ok
	})
}

// scalars parses a string, number or boolean, or a list of them, as text: quotation
// marks around numbers and booleans are optional.
func scalars(v any) ([]string, error) {
	return texts(v, "string, number or boolean", func(v any) (string, bool) {
		switch v := v.(type) {
		case string:
			return v, true
		case json.Number:
			return v.String(), true
		case bool:
			return strconv.FormatBool(v), true
		}
		return "", false
	})
}

func texts(v any, want string, text func(any) (string, bool)) ([]string, error) {
	list, err := listed(v)
	if err != nil {
		return nil, err
	}
	all := make([]string, len(list))
	for i, v := range list {
		var ok bool
		if all[i], ok = text(v); !ok {
			return nil, malformed("it is no %s", want)
		}
	}
	return all, nil
}
