package api

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// What is found in an object is what encoding/json finds in it.
func FuzzMembers(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a" : "}" , "b":[{"c":"]\\\""},{}],"a":null}`, "{\"\\u0061\\n\":-1.5e3\t,\"\":{\"x\":[]}}\n", `{"a":true,"a":false}`, `{"\\":"\\"}`, `[]`, `1`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want map[string]json.RawMessage
		if !utf8.ValidString(text) || !strings.HasPrefix(strings.TrimSpace(text), "{") || json.Unmarshal([]byte(text), &want) != nil {
			return
		}
		got := map[string]json.RawMessage{}
		for quoted, value := range members([]byte(text)) {
			var name string
			if err := json.Unmarshal(quoted, &name); err != nil {
				t.Fatalf("%q: the name %q: %v", text, quoted, err)
			}
			if !isNamed(quoted, name) || isNamed(quoted, name+"x") {
				t.Errorf("%q is not recognised as %q", quoted, name)
			}
			got[name] = value
		}
		if !maps.EqualFunc(got, want, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	})
}

// Members that no operation knows cost no memory, however many there are.
// Not parallel: it counts allocations.
func TestUnknownMembersCostNothing(t *testing.T) {
	shape := shapeOf[listSecretsInput]()
	body := func(n int) []byte { return []byte(`{` + strings.Repeat(`"unknown":{"a":[0]},`, n) + `"MaxResults":7}`) }
	few, many := body(1), body(20_000)
	cost := func(body []byte) float64 {
		return testing.AllocsPerRun(5, func() {
			var in listSecretsInput
			if found, err := shape.decode(body, &in); err != nil || len(found) > 0 || *in.MaxResults != 7 {
				t.Errorf("got %+v, %v, %v", in, found, err)
			}
		})
	}
	if few, many := cost(few), cost(many); many > few+5 {
		t.Errorf("%v allocations for many members, and %v for one", many, few)
	}
}

// What is found in a list is what encoding/json finds in it.
func FuzzElements(f *testing.F) {
	for _, text := range []string{`[]`, ` [ ] `, `[1]`, `["a" , {"b":"]"},[[]],null ,-1e3]`, "[\"\\\"\",\ttrue\n]", `{}`, `1`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want []json.RawMessage
		if !utf8.ValidString(text) || !strings.HasPrefix(strings.TrimSpace(text), "[") || json.Unmarshal([]byte(text), &want) != nil {
			return
		}
		got := slices.Collect(elementsOf([]byte(text)))
		if !slices.EqualFunc(got, want, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	})
}
