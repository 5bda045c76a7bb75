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
		found.add("Value %sat '%s' failed to satisfy constraint: %s", m.quote(v), path, rule)
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
		found.add("Value '[%s]' at '%s' failed to satisfy constraint: %s", strings.Join(list, ", "), path, rule)
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

// quote is the value as an error shows it, with a space behind; nothing for a
// sensitive one.
func (m member) quote(v reflect.Value) string {
	if m.sensitive {
		return ""
	}
	if m.element != nil {
		return ""
	}
	return fmt.Sprintf("'%v' ", v.Interface())
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
