package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"

	"github.com/strongroom/strongroom/pkg/secret"
)

// A scope is the list that a NextToken goes on with. The token holds where its
// page ended, behind a checksum over that and the scope: one that was cut,
// changed, or made for another list is refused. It is not a proof against
// somebody who makes one on purpose; such a token shows him nothing that the
// list itself would not.
type scope string

const sumLen = 12

func scopeOf(parts ...any) scope { return scope(fmt.Sprintf("%q", parts)) }

// write makes the token of a page that ended with last; none for the last page.
func (s scope) write(last string) string {
	if last == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(s.sum(last), last...))
}

// read is where to go on; empty for no token.
func (s scope) read(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) <= sumLen {
		return "", errNextToken
	}
	last := string(raw[sumLen:])
	if subtle.ConstantTimeCompare(raw[:sumLen], s.sum(last)) != 1 {
		return "", errNextToken
	}
	return last, nil
}

var errNextToken = secret.Errorf(secret.InvalidNextToken, "The NextToken value is invalid.")

func (s scope) sum(last string) []byte {
	sum := sha256.Sum256([]byte(string(s) + "\x00" + last))
	return sum[:sumLen]
}
