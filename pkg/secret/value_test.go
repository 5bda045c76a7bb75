package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const placeholder = "(secret value)"

func TestValueRevealsItself(t *testing.T) {
	t.Parallel()
	v := NewValue(Binary, []byte("hunter2"))
	if got, want := string(v.Reveal()), "hunter2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := v.Kind(), Binary; got != want {
		t.Errorf("got kind %q, want %q", got, want)
	}
	if got := (Value{}).Reveal(); got != nil {
		t.Errorf("got %q in no value, want nothing", got)
	}
}

func TestValueEqual(t *testing.T) {
	t.Parallel()
	v := func(kind Kind, s string) Value { return NewValue(kind, []byte(s)) }
	for _, tt := range []struct {
		name string
		a, b Value
		want bool
	}{
		{"same", v(String, "hunter2"), v(String, "hunter2"), true},
		{"another", v(String, "hunter2"), v(String, "hunter3"), false},
		{"longer", v(String, "hunter2"), v(String, "hunter22"), false},
		{"another kind", v(String, "hunter2"), v(Binary, "hunter2"), false},
		{"binary", v(Binary, "\x00\xff"), v(Binary, "\x00\xff"), true},
		{"none", Value{}, Value{}, true},
		{"none and one", Value{}, v("", "hunter2"), false},
	} {
		if got := tt.a.Equal(tt.b); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if got := tt.b.Equal(tt.a); got != tt.want {
			t.Errorf("%s, the other way: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestValuePrintsAPlaceholder(t *testing.T) {
	t.Parallel()
	v := NewValue(String, []byte("hunter2"))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "% X", "%d", "%b", "%40s", "%z"} {
		if got := fmt.Sprintf(verb, v); got != placeholder {
			t.Errorf("%s: got %s, want %s", verb, got, placeholder)
		}
	}
}

// What is printed must not depend on the value, in whatever encoding: it is
// printed, overwritten where it lies, and printed again.
func TestNothingPrintedDependsOnTheValue(t *testing.T) {
	t.Parallel()
	data := []byte("hunter2")
	v := NewValue(Binary, data)
	type exported struct{ V Value }
	type unexported struct{ v Value }
	holders := map[string]any{
		"value":               v,
		"pointer":             &v,
		"pointer to pointer":  new(&v),
		"slice":               []Value{v},
		"map":                 map[string]Value{"k": v},
		"interface":           []any{v},
		"exported field":      exported{v},
		"unexported field":    unexported{v},
		"pointer to a struct": &unexported{v},
		"struct in a struct":  struct{ u unexported }{unexported{v}},
		"unexported slice":    struct{ vs []Value }{[]Value{v}},
		"unexported map":      struct{ vs map[string]Value }{map[string]Value{"k": v}},
		"unexported any":      struct{ v any }{v},
	}
	printed := func() map[string]string {
		out := map[string]string{}
		for name, holder := range holders {
			for _, flags := range []string{"", "+", "#", " ", "-", "0", "20", ".3", "+#20.3"} {
				for verb := '!'; verb < 0x7f; verb++ {
					if strings.ContainsRune("0123456789.*[+-#%", verb) {
						continue
					}
					format := "%" + flags + string(verb)
					out[name+" "+format] = fmt.Sprintf(format, holder)
				}
			}
			out[name+" error"] = fmt.Errorf("seal: %v", holder).Error()
			out[name+" println"] = fmt.Sprintln(holder)
			out[name+" JSON"] = marshalled(holder)
			out[name+" slog text"] = logged(holder, func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) })
			out[name+" slog JSON"] = logged(holder, func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) })
		}
		return out
	}
	before := printed()
	copy(data, "SWORDFI")
	for name, got := range printed() {
		if got != before[name] {
			t.Errorf("%s depends on the value: got %q and %q", name, before[name], got)
		}
	}
}

func marshalled(v any) string {
	b, err := json.Marshal(v)
	return fmt.Sprintf("%s %v", b, err)
}

// logged is what a handler writes of v, without the time.
func logged(v any, handler func(*bytes.Buffer) slog.Handler) string {
	var b bytes.Buffer
	slog.New(handler(&b)).Info("message", "key", v)
	_, out, _ := strings.Cut(b.String(), "INFO")
	return out
}

func TestValueInJSONAndLogs(t *testing.T) {
	t.Parallel()
	v := NewValue(String, []byte("hunter2"))
	for _, tt := range []struct{ name, got, want string }{
		{"JSON", marshalled(v), `"(secret value)" <nil>`},
		{"JSON in a struct", marshalled(struct{ V Value }{v}), `{"V":"(secret value)"} <nil>`},
		{"slog text", logged(v, func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }), " msg=message key=\"(secret value)\"\n"},
		{"slog JSON", logged(v, func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }), `","msg":"message","key":"(secret value)"}` + "\n"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
		}
	}
}
