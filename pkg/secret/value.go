package secret

import (
	"crypto/subtle"
	"fmt"
)

// Kind says whether a value came as SecretString or as SecretBinary.
type Kind string

// The kinds of a value.
const (
	String Kind = "string"
	Binary Kind = "binary"
)

// MaxValue is the size of the largest value, in bytes (Secrets Manager quotas).
const MaxValue = 65536

// A Value is what a secret is about. However it is printed, it shows nothing.
type Value struct {
	kind Kind
	// A function, because fmt does not call Format for %p, for a misplaced %w, or
	// for a Value in an unexported field: it prints the fields by itself then,
	// follows slices and even pointers, but of a function knows only the address.
	data func() []byte
}

// NewValue is a value of the given kind. It keeps data; the caller must not
// change it.
func NewValue(kind Kind, data []byte) Value {
	return Value{kind, func() []byte { return data }}
}

// Kind is how the value came.
func (v Value) Kind() Kind { return v.kind }

// Reveal returns the bytes in plain. They must not be changed.
func (v Value) Reveal() []byte {
	if v.data == nil {
		return nil
	}
	return v.data()
}

// Equal says whether two values are the same, in a time that does not depend
// on where they differ.
func (v Value) Equal(w Value) bool {
	return v.kind == w.kind && subtle.ConstantTimeCompare(v.Reveal(), w.Reveal()) == 1
}

// Format prints a placeholder under every verb, so that no log line or error
// can show a value by accident.
func (v Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("(secret value)")) }

// MarshalJSON gives the same placeholder: a value is revealed on purpose or not at all.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"(secret value)"`), nil }
