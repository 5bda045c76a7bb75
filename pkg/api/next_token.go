package api

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/pkg/secret"
)

// A scope is the list that a NextToken goes on with. The token holds where its page
// ended, sealed under a key of the deployment and bound to the scope: one that was
// changed, made up, or made for another list is refused. It has to be sealed, since a
// page may end with a secret that its caller must not know of; all tokens have one length.
type scope string

func scopeOf(parts ...any) scope { return scope(fmt.Sprintf("%q", parts)) }

// nextToken makes the token of a page that ended with last; none for the last page.
func (c *call) nextToken(ctx context.Context, s scope, last string) (string, error) {
	if last == "" {
		return "", nil
	}
	aead, err := c.tokens(ctx)
	if err != nil {
		return "", err
	}
	place := make([]byte, max(len(last), maxPlace))
	copy(place, last)
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, place, []byte(s))), nil
}

// goOn is where the list of a token goes on; empty for no token.
func (c *call) goOn(ctx context.Context, s scope, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) <= overhead || strings.ContainsAny(token, "\r\n") { // which the decoder passes over
		return "", errNextToken
	}
	aead, err := c.tokens(ctx)
	if err != nil {
		return "", err
	}
	last, err := aead.Open(nil, nil, raw, []byte(s))
	if err != nil {
		return "", errNextToken
	}
	return strings.TrimRight(string(last), "\x00"), nil
}

// maxPlace is longer than a place is: a date and a name, or the ID of a version. The rest
// is zeros, which neither has.
const maxPlace = 576

// overhead is the nonce and the tag around what is sealed.
const overhead = 12 + 16

var errNextToken = secret.Errorf(secret.InvalidNextToken, "The NextToken value is invalid.")

func (c *call) tokens(ctx context.Context) (cipher.AEAD, error) {
	key, err := c.store.TokenKey(ctx)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
