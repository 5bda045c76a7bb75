package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/strongroom/strongroom/pkg/local/private"
	"github.com/strongroom/strongroom/pkg/signature"
)

// Credentials are access keys, each with the secret that its user signs with.
//
// Their file:
//
//	[
//	  {"user": "alice", "accessKeyId": "AKIAALICE00000000001", "secretAccessKey": "…"},
//	  {"user": "alice", "accessKeyId": "AKIAALICE00000000002", "secretAccessKey": "…"}
//	]
//
// A user may have several, so that one can take the place of another.
type Credentials struct {
	// Services are those that requests may be signed for: as SDKs sign by themselves, and
	// as API Gateway wants it, unless there are others.
	Services []string

	keys    map[string]accessKey
	account string // of the users
	now     func() time.Time
}

type accessKey struct{ user, secret string }

// nobody signs with a secret that takes as long to check as any other.
var nobody = accessKey{anonymous, "0000000000000000000000000000000000000000"}

// maxCredentials is the size of a file of thousands.
const maxCredentials = 1 << 20

var (
	// accessKeyID is as AWS has it; among others it has none of the characters
	// that separate things in the Authorization header.
	accessKeyID = regexp.MustCompile(`^\w{16,128}$`)
	// secretAccessKey cannot be found by trying all, from a request that was
	// overheard; AWS's have 40 characters.
	secretAccessKey = regexp.MustCompile(`^[!-~]{32,128}$`)
)

// Format keeps the secrets out of whatever is printed.
func (c *Credentials) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%d access keys", len(c.keys))
}

// Caller is who signed r, which came with this body, for one of the services, with a
// signature of now. Its error is a [secret.Error] in AWS's words when it is for the
// caller.
//
// A request that is sent again while its signature is good is taken again, as
// with AWS. A session token says nothing here, but must be signed.
func (c *Credentials) Caller(r *http.Request, body []byte, now time.Time) (Identity, error) {
	s, err := signature.Read(r, body, now, c.Services...)
	if err != nil {
		return Identity{}, err
	}
	// AWS tells who asks whether there is an access key. Nothing more is to be
	// learned from how long the answer takes.
	key, known := c.keys[s.AccessKey]
	if !known {
		key = nobody
	}
	signed, err := s.IsBy(key.secret, r, body)
	switch {
	case err != nil:
		return Identity{}, err
	case !known:
		return Identity{}, signature.Unrecognized
	case !signed:
		return Identity{}, signature.Wrong
	}
	return Identity{newCaller(r, c.account, key.user, s.AccessKey), s.Region}, nil
}

// Identify is Caller for a request that has just come in.
func (c *Credentials) Identify(r *http.Request, body []byte) (Identity, error) {
	return c.Caller(r, body, c.now())
}

// ReadCredentials reads a file of credentials for users of an account. Only its
// owner may have access to the file.
func ReadCredentials(path, account string) (*Credentials, error) {
	f, err := private.Read(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the credentials: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read the credentials: %w", err)
	}
	if mode := info.Mode().Perm(); private.HasModes && mode&0o077 != 0 {
		return nil, fmt.Errorf("other users can get at the credentials in %s (mode %04o); run 'chmod 600 %s', and make new ones if others may have read these",
			path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxCredentials+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the credentials: %w", err)
	}
	keys, err := parseCredentials(text)
	if err != nil {
		return nil, fmt.Errorf("the credentials in %s cannot be used: %w", path, err)
	}
	return &Credentials{Services: []string{"secretsmanager", "execute-api"}, keys: keys, account: account, now: time.Now}, nil
}

// parseCredentials reads the content of a file of credentials. Its errors quote
// nothing of it, and those of the decoder are left out, since they do.
func parseCredentials(text []byte) (map[string]accessKey, error) {
	if len(text) > maxCredentials {
		return nil, fmt.Errorf("there are more than %d bytes", maxCredentials)
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, errors.New("they are no JSON list")
	}
	if len(entries) == 0 {
		return nil, errors.New("there are none, so nobody could call")
	}
	keys, entryOf := map[string]accessKey{}, map[string]int{}
	for i, text := range entries {
		id, key, err := parseCredential(text)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		if first, taken := entryOf[id]; taken {
			return nil, fmt.Errorf("entry %d: its accessKeyId is that of entry %d already", i+1, first)
		}
		keys[id], entryOf[id] = key, i+1
	}
	return keys, nil
}

// parseCredential reads by tokens, since encoding/json takes a member twice and
// in whatever case.
func parseCredential(text []byte) (id string, key accessKey, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, _ := d.Token(); open != json.Delim('{') {
		return "", key, errors.New("it is no JSON object")
	}
	members := map[string]*string{"user": &key.user, "accessKeyId": &id, "secretAccessKey": &key.secret}
	for d.More() {
		token, _ := d.Token() // text is JSON, or it would not be an entry
		name, _ := token.(string)
		into, known := members[name]
		if !known {
			return "", key, errors.New("it has another member than user, accessKeyId and secretAccessKey, each once")
		}
		delete(members, name)
		token, _ = d.Token()
		value, isString := token.(string)
		if !isString {
			return "", key, fmt.Errorf("its %s is no string", name)
		}
		*into = value
	}
	switch {
	case !userName.MatchString(key.user):
		err = errors.New("its user must be 1 to 64 letters, digits and _+=,.@-")
	case !accessKeyID.MatchString(id):
		err = errors.New("its accessKeyId must be 16 to 128 letters, digits and _")
	case !secretAccessKey.MatchString(key.secret):
		err = errors.New("its secretAccessKey must be 32 to 128 letters, digits and signs; 'openssl rand -base64 30' makes one")
	}
	return id, key, err
}
