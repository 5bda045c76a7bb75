package local

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func newRing(t testing.TB, data string) (*keyring, string) {
	t.Helper()
	ring, err := openKeyring(data)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ring.defaultKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ring, id
}

func TestKeyFileRoundTrip(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	ring, id := newRing(t, data)
	again, sameID := newRing(t, data)
	if sameID != id {
		t.Errorf("default key: got %s, want %s", sameID, id)
	}
	if !reflect.DeepEqual(again.keys(), ring.keys()) {
		t.Error("the keys read are not the keys written")
	}
}

// A backup may have forgotten the mode.
func TestKeyFileIsMadePrivate(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	newRing(t, data)
	path := filepath.Join(data, keyFile)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	newRing(t, data)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); hasModes && got != 0o600 {
		t.Errorf("mode: got %04o, want 0600", got)
	}
}

func TestKeyFileDamaged(t *testing.T) {
	t.Parallel()
	ring, _ := newRing(t, "")
	text, err := formatKeys(ring.keys())
	if err != nil {
		t.Fatal(err)
	}
	for n := range text {
		if _, why := parseKeys(text[:n]); why == "" {
			t.Errorf("cut off after %d bytes: accepted", n)
		}
	}
	for i := range text {
		for bit := range 8 {
			flipped := bytes.Clone(text)
			flipped[i] ^= 1 << bit
			// White space and the case of a member's name are no damage.
			if ks, why := parseKeys(flipped); why == "" && !reflect.DeepEqual(ks, ring.keys()) {
				t.Errorf("bit %d of byte %d (%q) flipped: accepted with other keys", bit, i, text[i])
			}
		}
	}
}

func TestDamagedKeyFileIsRefused(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	newRing(t, data)
	path := filepath.Join(data, keyFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte(`"backing"`)) + 30 // within a key
	text[at] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = openKeyring(data)
	if err == nil || !strings.Contains(err.Error(), path+" is damaged") {
		t.Errorf("got %v, want that %s is damaged", err, path)
	}
}

func TestKeyFileMissing(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, databaseFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Data: data})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(data, keyFile)+" is missing") || !strings.Contains(err.Error(), "backup") {
		t.Errorf("got %v, want what is missing and what to do", err)
	}
	if _, err := os.Stat(filepath.Join(data, keyFile)); err == nil {
		t.Error("a fresh key file was made")
	}
}

// A key that could not be kept is not there.
func TestKeyIsNotUsedBeforeItIsKept(t *testing.T) {
	t.Parallel()
	ring, _ := newRing(t, "")
	before := ring.keys()
	ring.save = func(keys) error { return errors.New("no space left") }
	h := &kmsHandler{ring: ring, now: time.Now}
	if _, err := h.createKey(createKeyInput{}); err == nil {
		t.Error("CreateKey: got no error")
	}
	if _, err := h.rotateKeyOnDemand(keyInput{KeyId: DefaultAlias}); err == nil {
		t.Error("RotateKeyOnDemand: got no error")
	}
	if !reflect.DeepEqual(ring.keys(), before) {
		t.Error("the keys have changed")
	}
}

// A crash in the middle of a save leaves a temporary file, which the next
// save replaces.
func TestLeftOverTemporaryFile(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	temp := filepath.Join(data, keyFile+".tmp")
	if err := os.WriteFile(temp, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	newRing(t, data)
	if _, err := os.Stat(temp); err == nil {
		t.Error("the temporary file is still there")
	}
	newRing(t, data)
}
