package local

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The key file:
//
//	{
//	  "format": 1,
//	  "sha256": "…",
//	  "keyring": {
//	    "keys":    [{"id": "…", "description": "…", "created": "…", "disabled": false, "backing": ["base64"]}],
//	    "aliases": [{"name": "alias/strongroom", "key": "…", "created": "…"}]
//	  }
//	}
//
// sha256 is over the keyring without white space: a flipped bit in a key is
// found when the file is read, not when a secret cannot be opened.
type storedFile struct {
	Format  int             `json:"format"`
	SHA256  string          `json:"sha256"`
	Keyring json.RawMessage `json:"keyring"`
}

type storedKeyring struct {
	Keys    []storedKey   `json:"keys"`
	Aliases []storedAlias `json:"aliases"`
}

type storedKey struct {
	ID          uuid.UUID `json:"id"`
	Description string    `json:"description"`
	Created     time.Time `json:"created"`
	Disabled    bool      `json:"disabled"`
	Backing     [][]byte  `json:"backing"`
}

type storedAlias struct {
	Name    string    `json:"name"`
	Key     uuid.UUID `json:"key"`
	Created time.Time `json:"created"`
}

const keyFileFormat = 1

// loadKeys reads the key file. Without one there are no keys yet, unless there
// is a database: then its keys are lost, and new ones would only hide that.
func loadKeys(data string) (keys, error) {
	path := filepath.Join(data, keyFile)
	text, err := os.ReadFile(path) //nolint:gosec // the folder is the user's choice
	if errors.Is(err, fs.ErrNotExist) {
		database := filepath.Join(data, databaseFile)
		switch _, err := os.Lstat(database); {
		case errors.Is(err, fs.ErrNotExist):
			return keys{}, nil
		case err != nil:
			return keys{}, fmt.Errorf("cannot see whether there is a database: %w", err)
		}
		return keys{}, fmt.Errorf("the key file %s is missing, and the secrets in %s are sealed under its keys: put the key file back from a backup; "+
			"or, to give those secrets up, remove %s, %s-wal and %s-shm", path, database, database, database, database)
	}
	if err != nil {
		return keys{}, fmt.Errorf("cannot read the key file: %w", err)
	}
	ks, why := parseKeys(text)
	if why != "" {
		return keys{}, fmt.Errorf("the key file %s is damaged: %s. Put it back from a backup; the secrets cannot be read without it", path, why)
	}
	if hasModes { // a file that came back from a backup may be readable by all
		if err := os.Chmod(path, 0o600); err != nil {
			return keys{}, fmt.Errorf("cannot make the key file private: %w", err)
		}
	}
	return ks, nil
}

// parseKeys reads the content of a key file; why says what is wrong with it.
// The errors of the decoder are left out, since they may quote what they read.
func parseKeys(text []byte) (_ keys, why string) {
	var file storedFile
	if err := json.Unmarshal(text, &file); err != nil {
		return keys{}, "it is not JSON, or not all of it is there"
	}
	if file.Format != keyFileFormat {
		return keys{}, fmt.Sprintf("its format is %d and not %d", file.Format, keyFileFormat)
	}
	sum, err := sumKeyring(file.Keyring)
	if err != nil || sum != file.SHA256 {
		return keys{}, "its checksum does not match"
	}
	var ring storedKeyring
	if err := json.Unmarshal(file.Keyring, &ring); err != nil {
		return keys{}, "its keyring cannot be read"
	}
	var ks keys
	for _, k := range ring.Keys {
		if len(k.Backing) == 0 || slices.ContainsFunc(k.Backing, func(b []byte) bool { return len(b) != backingSize }) {
			return keys{}, "a backing key is missing or has a wrong size"
		}
		ks = ks.withKey(key(k))
	}
	for _, a := range ring.Aliases {
		if _, ok := ks.byID[a.Key]; !ok {
			return keys{}, "an alias is of a key that is not there"
		}
		ks = ks.withAlias(alias(a))
	}
	if _, ok := ks.aliases[DefaultAlias]; !ok {
		return keys{}, "the key " + DefaultAlias + " is not there"
	}
	return ks, ""
}

func formatKeys(ks keys) ([]byte, error) {
	var ring storedKeyring
	for _, k := range ks.byID {
		ring.Keys = append(ring.Keys, storedKey(k))
	}
	for _, a := range ks.aliases {
		ring.Aliases = append(ring.Aliases, storedAlias(a))
	}
	slices.SortFunc(ring.Keys, func(a, b storedKey) int { return cmp.Or(a.Created.Compare(b.Created), bytes.Compare(a.ID[:], b.ID[:])) })
	slices.SortFunc(ring.Aliases, func(a, b storedAlias) int { return cmp.Compare(a.Name, b.Name) })
	text, err := json.Marshal(ring)
	if err != nil {
		return nil, err
	}
	sum, err := sumKeyring(text)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(storedFile{keyFileFormat, sum, text}, "", "  ")
}

func sumKeyring(text []byte) (string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return "", err
	}
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:]), nil
}

// saveKeys replaces the key file. When it returns without an error the new
// file is there even after a power cut; before that the old one is, whole.
func saveKeys(data string, ks keys) (err error) {
	text, err := formatKeys(ks)
	if err != nil {
		return err
	}
	path := filepath.Join(data, keyFile)
	temp := path + ".tmp" // one name, so that a crash leaves one copy of the keys and not many
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the folder is the user's choice
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncFolder(data)
}
