package api

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/strongroom/strongroom/pkg/secret"
)

// violations are the members of a request that are out of their limits, in the
// words of the framework AWS services run on.
type violations []string

// maxViolations is how many an error tells of, so that no answer is many times
// the size of its request: a body can hold some hundred thousand empty tags.
const maxViolations = 100

// maxQuoted is how many bytes of values an error shows, and the size up to which it shows
// a list that is too long. A value beyond it is left out, as a sensitive one is: each is
// copied to the error, the answer, the log and the record.
const maxQuoted = 32 << 10

// of adds a value, as [quoted], that does not satisfy a rule.
func (v *violations) of(value, path, rule string) {
	size := len(value)
	for _, s := range *v {
		size += len(s)
	}
	if size > maxQuoted {
		value = ""
	}
	v.add("Value %sat '%s' failed to satisfy constraint: %s", value, path, rule)
}

func quoted(value string) string { return "'" + value + "' " }

func (v *violations) add(format string, args ...any) {
	if len(*v) < maxViolations {
		*v = append(*v, fmt.Sprintf(format, args...))
	}
}

// null adds a member or an element that must not be null.
func (v *violations) null(path string) {
	v.add("Value null at '%s' failed to satisfy constraint: Member must not be null", path)
}

func (v violations) error() error {
	errors := "1 validation error"
	if len(v) > 1 {
		errors = fmt.Sprintf("%d validation errors", len(v))
	}
	return secret.Errorf(secret.Validation, "%s detected: %s", errors, strings.Join(v, "; "))
}

// check notes the limits that v is out of.
func (m member) check(v reflect.Value, path string, found *violations) {
	fail := func(rule string) {
		found.of(m.quote(v), path, rule)
	}
	if m.len != nil {
		if rule := m.len.length(m.length(v)); rule != "" {
			fail(rule)
		}
	}
	if m.rng != nil {
		if rule := m.rng.value(int(v.Int())); rule != "" {
			fail(rule)
		}
	}
	if m.pattern != nil && !m.pattern.MatchString(v.String()) {
		fail("Member must satisfy regular expression pattern: " + m.pattern.String())
	}
	if m.enum != nil && !slices.Contains(m.enum, v.String()) {
		fail("Member must satisfy enum value set: [" + strings.Join(m.enum, ", ") + "]")
	}
}

// checkStrings notes the limits that a list of so many elements is out of, and
// those of its strings; the other elements are null.
func (m member) checkStrings(list []string, elements int, path string, found *violations) {
	fail := func(rule string) {
		found.of(quoted("["+strings.Join(list, ", ")+"]"), path, rule)
	}
	if m.len != nil {
		if rule := m.len.length(elements); rule != "" {
			fail(rule)
		}
	}
	if slices.ContainsFunc(list, m.badElement) {
		fail("Member must satisfy constraint: [" + strings.Join(m.elementRules(), ", ") + "]")
	}
}

// badElement says whether a string in a list is out of the limits of its elements.
func (m member) badElement(s string) bool {
	return m.each != nil && m.each.length(utf8.RuneCountInString(s)) != "" ||
		m.pattern != nil && !m.pattern.MatchString(s)
}

// elementRules are the limits of the elements of a list. An error names them all.
func (m member) elementRules() []string {
	rules := []string{
		fmt.Sprintf("Member must have length less than or equal to %d", m.each.max),
		fmt.Sprintf("Member must have length greater than or equal to %d", m.each.min),
	}
	if m.pattern != nil {
		rules = append(rules, "Member must satisfy regular expression pattern: "+m.pattern.String())
	}
	return rules
}

// quote is the value as an error shows it, with a space behind; nothing for a sensitive
// one.
func (m member) quote(v reflect.Value) string {
	if m.sensitive || m.element != nil {
		return ""
	}
	return quoted(fmt.Sprint(v.Interface()))
}

func (m member) length(v reflect.Value) int {
	if v.Kind() == reflect.String && !m.bytes {
		return utf8.RuneCountInString(v.String())
	}
	return v.Len()
}

func (b *bounds) length(n int) string {
	switch {
	case n < b.min:
		return fmt.Sprintf("Member must have length greater than or equal to %d", b.min)
	case n > b.max:
		return fmt.Sprintf("Member must have length less than or equal to %d", b.max)
	}
	return ""
}

func (b *bounds) value(n int) string {
	switch {
	case n < b.min:
		return fmt.Sprintf("Member must have value greater than or equal to %d", b.min)
	case n > b.max:
		return fmt.Sprintf("Member must have value less than or equal to %d", b.max)
	}
	return ""
}
