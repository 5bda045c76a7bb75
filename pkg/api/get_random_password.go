package api

import (
	"context"
	"crypto/rand"
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

func (c *call) getRandomPassword(_ context.Context, in getRandomPasswordInput) (out getRandomPasswordOutput, err error) {
	sets := characterSets(in)
	length := orDefault(in.PasswordLength, 32)
	var required []string
	if orDefault(in.RequireEachIncludedType, true) {
		required = sets
	}
	all := strings.Join(sets, "")
	switch {
	case all == "":
		return out, secret.Errorf(secret.InvalidParameter, "The password can't be generated because every character is excluded.")
	case length < len(required):
		return out, secret.Errorf(secret.InvalidParameter, "Password length is too short based on the required types.")
	}
	return getRandomPasswordOutput{randomPassword(length, all, required)}, nil
}

// characterSets are the types of characters asked for, each less what is
// excluded by name. A type of which nothing is left is not one that must be there.
func characterSets(in getRandomPasswordInput) []string {
	types := []struct {
		characters string
		out        bool
	}{
		{"abcdefghijklmnopqrstuvwxyz", in.ExcludeLowercase},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZ", in.ExcludeUppercase},
		{"0123456789", in.ExcludeNumbers},
		{"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", in.ExcludePunctuation},
		{" ", !in.IncludeSpace},
	}
	var sets []string
	for _, t := range types {
		left := strings.Map(func(r rune) rune {
			if t.out || strings.ContainsRune(in.ExcludeCharacters, r) {
				return -1
			}
			return r
		}, t.characters)
		if left != "" {
			sets = append(sets, left)
		}
	}
	return sets
}

// randomPassword draws evenly from all, and again until each required set is
// met: every password that meets them is as likely as any other. At worst that
// takes 16,000 tries on average, a few milliseconds: for five characters of five
// types, of which all but punctuation have a single character left.
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

func draw(n int, from string) []byte {
	drawn := make([]byte, n)
	for i := range drawn {
		drawn[i] = from[below(len(from))]
	}
	return drawn
}

// below is a random number from 0 to n-1, each as likely. n is at most 65536.
func below(n int) int {
	limit := 1 << 16 / n * n // above it, the remainder would favour small numbers
	for {
		var b [2]byte
		_, _ = rand.Read(b[:]) // never fails
		if r := int(b[0])<<8 | int(b[1]); r < limit {
			return r % n
		}
	}
}
