package kms

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/strongroom/strongroom/pkg/local/private"
)

// Options say which keys to open.
type Options struct {
	Path string // the key file

	// Region and Account are part of the keys' ARNs. A key file that has others
	// is refused. Empty means those of the file, or the defaults in a new one.
	Region, Account string

	// Sealed says what was sealed under the keys, such as "the secrets in table.db",
	// or is "" if there is nothing yet. Only then may the file be missing. GiveUp says
	// how to go on without what was sealed, such as "remove table.db".
	Sealed, GiveUp string
}

// The key file:
//
//	{
//	  "format": 1,
//	  "sha256": "…",
//	  "keyring": {
//	    "region": "us-east-1", "account": "000000000000",
//	    "keys":    [{"id": "…", "description": "…", "created": "…", "disabled": false, "backing": ["base64"]}],
//	    "aliases": [{"name": "alias/strongroom", "key": "…", "created": "…"}]
//	  }
//	}
//
// Older files have no region and no account: they mean the defaults. sha256 is
// over the keyring without white space: a flipped bit in a key is found when
// the file is read, not when a secret cannot be opened.
type keyFile struct {
	Format  int             `json:"format"`
	SHA256  string          `json:"sha256"`
	Keyring json.RawMessage `json:"keyring"`
}

const fileFormat = 1

// load reads the key file. Keys that are missing beside what was sealed under
// them are lost, and new ones would only hide that.
func load(o Options) (*ring, error) {
	content, err := readPrivate(o.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.Sealed == "":
		return newRing(o.Region, o.Account), nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the key file %s is missing, and %s are sealed under its keys: "+
			"put the key file back from a backup; or, to give those secrets up, %s", o.Path, o.Sealed, o.GiveUp)
	case err != nil:
		return nil, fmt.Errorf("cannot use the key file: %w", err)
	}
	r, why := parse(content)
	if why != "" {
		return nil, fmt.Errorf("the key file %s is damaged: %s. Put it back from a backup; the secrets cannot be read without it", o.Path, why)
	}
	if o.Region != "" && o.Region != r.Region || o.Account != "" && o.Account != r.Account {
		return nil, fmt.Errorf("the keys in %s are of region %s and account %s, and every secret sealed under them names both: use these, or another folder",
			o.Path, r.Region, r.Account)
	}
	return r, nil
}

// parse reads the content of a key file; why says what is wrong with it. The
// decoder's errors are left out, since they may quote what they read.
func parse(content []byte) (_ *ring, why string) {
	var file keyFile
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, "it is not JSON, or not all of it is there"
	}
	if file.Format != fileFormat {
		return nil, fmt.Sprintf("its format is %d and not %d", file.Format, fileFormat)
	}
	if sum, err := checksum(file.Keyring); err != nil || sum != file.SHA256 {
		return nil, "its checksum does not match"
	}
	r := newRing("", "")
	if err := json.Unmarshal(file.Keyring, r); err != nil {
		return nil, "its keyring cannot be read"
	}
	return r, r.flaw()
}

// flaw says what is wrong with a keyring that was read, or nothing.
func (r *ring) flaw() string {
	for _, k := range r.Keys {
		if len(k.Backing) == 0 || slices.ContainsFunc(k.Backing, func(m material) bool { return len(m) != backingSize }) {
			return "a backing key is missing or has a wrong size"
		}
	}
	if slices.ContainsFunc(r.Aliases, func(a alias) bool { return r.key(a.Key) == nil }) {
		return "an alias is of a key that is not there"
	}
	if r.alias(DefaultAlias) < 0 {
		return "the key " + DefaultAlias + " is not there"
	}
	return ""
}

func format(r *ring) ([]byte, error) {
	keyring, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	sum, err := checksum(keyring)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(keyFile{fileFormat, sum, keyring}, "", "  ")
}

func checksum(keyring []byte) (string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, keyring); err != nil {
		return "", err
	}
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:]), nil
}

func readPrivate(path string) (_ []byte, err error) {
	f, err := private.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(f)
}

// save replaces the key file. When it returns without an error the new file is
// there even after a power cut; before that the old one is, whole.
func save(path string, r *ring) error {
	content, err := format(r)
	if err != nil {
		return err
	}
	temp := path + ".tmp" // one name, so that a crash leaves one copy of the keys and not many
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the folder is the user's choice
	if err != nil {
		return err
	}
	_, err = f.Write(append(content, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return private.Sync(filepath.Dir(path))
}
