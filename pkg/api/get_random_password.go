package api

import (
	"context"
	"crypto/rand"
	"math/big"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/pkg/secret"
)

type getRandomPasswordInput struct {
	PasswordLength          *int   `aws:"range=1-4096"`
	ExcludeCharacters       string `aws:"len=0-4096"`
	ExcludeNumbers          bool
	ExcludePunctuation      bool
	ExcludeUppercase        bool
	ExcludeLowercase        bool
	IncludeSpace            bool
	RequireEachIncludedType *bool
}

type getRandomPasswordOutput struct{ RandomPassword string }

// The texts are those that callers of AWS have seen. Which of them comes first where
// several apply is a guess.
var (
	errNoneOfType = secret.Errorf(secret.InvalidParameter, "All characters of the desired type have been excluded")
	errNone       = secret.Errorf(secret.InvalidParameter, "All characters have been excluded from selection")
	errTooShort   = secret.Errorf(secret.InvalidParameter, "Password length is too short based on the required types.")
)

func (c *call) getRandomPassword(_ context.Context, in getRandomPasswordInput) (out getRandomPasswordOutput, err error) {
	types := includedTypes(in)
	all := strings.Join(types, "")
	if in.IncludeSpace { // it may be in the password, and never must
		all += without(" ", in.ExcludeCharacters)
	}
	length := orDefault(in.PasswordLength, 32)
	var required []string
	if orDefault(in.RequireEachIncludedType, true) {
		required = types
	}
	switch {
	case slices.Contains(required, ""):
		return out, errNoneOfType
	case all == "":
		return out, errNone
	case length < len(required):
		return out, errTooShort
	}
	return getRandomPasswordOutput{randomPassword(length, all, required)}, nil
}

// includedTypes are the types of characters that are not switched off, each without
// the characters that are excluded by name.
func includedTypes(in getRandomPasswordInput) []string {
	var included []string
	for _, t := range []struct {
		characters string
		excluded   bool
	}{
		{"abcdefghijklmnopqrstuvwxyz", in.ExcludeLowercase},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZ", in.ExcludeUppercase},
		{"0123456789", in.ExcludeNumbers},
		{"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", in.ExcludePunctuation},
	} {
		if !t.excluded {
			included = append(included, without(t.characters, in.ExcludeCharacters))
		}
	}
	return included
}

// without is a text without the characters that are excluded.
func without(text, excluded string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(excluded, r) {
			return -1
		}
		return r
	}, text)
}

// randomPassword draws evenly from all, and again until each required set is
// met: every password that meets them is as likely as any other. At worst that
// takes 2,200 tries on average, a few milliseconds: for four characters of four
// types and the space, where all types but punctuation have one character left.
func randomPassword(length int, all string, required []string) string {
	for {
		if password := draw(length, all); hasEach(password, required) {
			return string(password)
		}
	}
}

func hasEach(password []byte, sets []string) bool {
	for _, set := range sets {
		if !strings.ContainsAny(string(password), set) {
			return false
		}
	}
	return true
}

// draw is n characters, each drawn evenly from a text of single bytes.
func draw(n int, from string) []byte {
	drawn, size := make([]byte, n), big.NewInt(int64(len(from)))
	for i := range drawn {
		at, _ := rand.Int(rand.Reader, size) // never fails, as crypto/rand says
		drawn[i] = from[at.Int64()]
	}
	return drawn
}
