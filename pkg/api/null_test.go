package api_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// A null filter value read as "" would match every secret.
func TestNullInFilterMatchesNothing(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	for _, operation := range []string{"BatchGetSecretValue", "ListSecrets"} {
		for _, test := range []struct {
			filters string
			want    refusal
		}{
			{`[{"Key":"name","Values":[null]}]`, nullAt("filters.1.member.values.1")},
			{`[{"Key":"name","Values":["s",null]}]`, nullAt("filters.1.member.values.2")},
			{`[{"Key":"name","Values":["s"]},{"Key":"all","Values":["s",null,"s"]}]`, nullAt("filters.2.member.values.2")},
			{`[null]`, nullAt("filters.1.member")},
			{`[{"Key":"name","Values":["s"]},null]`, nullAt("filters.2.member")},
			{`[{"Key":"name","Values":[null,null]}]`, refusal{"ValidationException", "2 validation errors detected: " +
				strings.TrimPrefix(nullAt("filters.1.member.values.1").text, "1 validation error detected: ") + "; " +
				strings.TrimPrefix(nullAt("filters.1.member.values.2").text, "1 validation error detected: ")}},
			{`[{"Key":"name","Values":[null,"ä"]}]`, refusal{"ValidationException", "2 validation errors detected: " +
				strings.TrimPrefix(nullAt("filters.1.member.values.1").text, "1 validation error detected: ") +
				`; Value '[ä]' at 'filters.1.member.values' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 512, Member must have length greater than or equal to 0, Member must satisfy regular expression pattern: ^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$]`}},
			// The null is counted among the values.
			{`[{"Key":"name","Values":[` + strings.Repeat(`"s",`, 10) + `null]}]`, refusal{"ValidationException", "2 validation errors detected: " +
				strings.TrimPrefix(nullAt("filters.1.member.values.11").text, "1 validation error detected: ") +
				`; Value '[s, s, s, s, s, s, s, s, s, s]' at 'filters.1.member.values' failed to satisfy constraint: Member must have length less than or equal to 10`}},
		} {
			refusesPost(t, room, operation, `{"Filters":`+test.filters+`}`, test.want)
		}
	}
}

// Null is an element of no list of any operation.
func TestNullInEveryList(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	lists := 0
	for operation, input := range sdkOperations() {
		for _, list := range listsOf(t, input) {
			lists++
			_, text := room.Post(t, operation, list.body)
			var answer struct{ Message string }
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Fatal(err)
			}
			// Members that are required may be missing besides.
			want := strings.TrimPrefix(nullAt(list.path).text, "1 validation error detected: ")
			if !strings.Contains(answer.Message, want) {
				t.Errorf("%s %s: got %s, want %s", operation, list.body, text, want)
			}
		}
	}
	if lists < 12 { // of the API of 2017-10-17, in 2026
		t.Errorf("got %d lists, want 12 or more", lists)
	}
}

// A nullIn is a body with a null in a list, and the path of it.
type nullIn struct{ body, path string }

// listsOf are bodies of an input, with a null in one of its lists each.
func listsOf(t testing.TB, input reflect.Type) []nullIn {
	t.Helper()
	var all []nullIn
	for f := range input.Fields() {
		path := strings.ToLower(f.Name[:1]) + f.Name[1:]
		add := func(value, below string) {
			all = append(all, nullIn{fmt.Sprintf(`{%q:%s}`, f.Name, value), path + below})
		}
		switch kind := f.Type.Kind(); {
		case kind == reflect.Map:
			t.Errorf("%s.%s is a map: test null values in it", input.Name(), f.Name)
		case kind != reflect.Slice || f.Type.Elem().Kind() == reflect.Uint8:
		case f.Type.Elem().Kind() == reflect.Struct:
			add(`[null]`, ".1.member")
			add(`[{},null]`, ".2.member")
			for _, inner := range listsOf(t, f.Type.Elem()) {
				add(`[`+inner.body+`]`, ".1.member."+inner.path)
			}
		default:
			add(`[null]`, ".1")
			add(`["a",null]`, ".2")
		}
	}
	return all
}
