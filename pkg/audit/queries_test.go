package audit

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

var (
	quoted   = regexp.MustCompile(`"[^"]*"|/[^/\n]*/|#[^\n]*|\d+h`)
	word     = regexp.MustCompile(`@?[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*\(?`)
	alias    = regexp.MustCompile(` as ([a-z]+)`)
	language = strings.Fields(`fields filter display stats sort limit by as and not like in asc desc
		coalesce( ispresent( count( count_distinct( latest( bin( max( now( strcontains( toMillis( @timestamp`)
)

// A name in a query is a member of a record, or a name the query gives.
func TestQueriesAskForWhatThereIs(t *testing.T) {
	known := map[string]bool{}
	for _, w := range language {
		known[w] = true
	}
	full := aCall()
	full.ErrorCode, full.ErrorMessage = "x", "x"
	full.AdditionalEventData[Outcome] = OutcomeUnknown
	full.UserIdentity.InvokedBy, full.RequestParameters["name"] = "x", "x"
	for _, r := range []Record{full, anEvent()} {
		line, err := r.line()
		if err != nil {
			t.Fatal(err)
		}
		var members any
		if err := json.Unmarshal(line, &members); err != nil {
			t.Fatal(err)
		}
		flatten(known, "", members)
	}
	names := map[string]bool{}
	for _, q := range Queries {
		if q.Name == "" || names[q.Name] {
			t.Errorf("the name %q is empty or not alone", q.Name)
		}
		names[q.Name] = true
		text := quoted.ReplaceAllString(q.Text, "")
		given := map[string]bool{}
		for _, m := range alias.FindAllStringSubmatch(text, -1) {
			given[m[1]] = true
		}
		for _, w := range word.FindAllString(text, -1) {
			if !known[w] && !given[w] {
				t.Errorf("%s: there is no %s in a record", q.Name, w)
			}
		}
		if _, shown, _ := strings.Cut(text, "display "); strings.Contains(shown, "errorCode") && !strings.Contains(shown, "outcome") {
			t.Errorf("%s: an error is shown without its outcome, which may be unknown", q.Name)
		}
		if strings.Count(text, "(") != strings.Count(text, ")") {
			t.Errorf("%s: brackets do not match", q.Name)
		}
		for i, command := range strings.Split(q.Text, "\n") {
			if i > 0 && !strings.HasPrefix(command, "| ") && !strings.HasPrefix(command, "#") {
				t.Errorf("%s: %q is no command", q.Name, command)
			}
		}
	}
}

// flatten notes the members as Insights names them.
func flatten(known map[string]bool, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			flatten(known, strings.TrimPrefix(path+"."+name, "."), member)
		}
	case []any:
		for i, element := range v {
			flatten(known, fmt.Sprintf("%s.%d", path, i), element)
		}
	default:
		known[path] = true
	}
}
