package kms

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/local/private"
)

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func mustWrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// oldFile is a copy of a key file from before region and account were stored.
func oldFile(t *testing.T) string {
	t.Helper()
	path := keyPath(t)
	mustWrite(t, path, mustRead(t, "testdata/keys.json"))
	return path
}

func TestKeyFileRoundTrip(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	k, err := Open(Options{Path: path, Region: "eu-west-1", Account: "123456789012"})
	if err != nil {
		t.Fatal(err)
	}
	id := *mustDefault(t, k)
	if !strings.HasPrefix(id, "arn:aws:kms:eu-west-1:123456789012:key/") {
		t.Errorf("default key: got %s", id)
	}
	again, sameID := inFile(t, path) // with the region and the account of the file
	if *sameID != id {
		t.Errorf("default key: got %s, want %s", *sameID, id)
	}
	if !reflect.DeepEqual(again.current.Load(), k.current.Load()) {
		t.Error("the keys read are not the keys written")
	}
	if len(k.current.Load().Keys) != 1 {
		t.Errorf("got %d keys, want one", len(k.current.Load().Keys))
	}
}

// The file format is stored by users: it changes on purpose or not at all.
func TestKeyFileGolden(t *testing.T) {
	t.Parallel()
	path := oldFile(t)
	k, _ := inFile(t, path)
	if k.Region() != DefaultRegion || k.Account() != DefaultAccount {
		t.Errorf("got %s and %s, want the defaults", k.Region(), k.Account())
	}
	if err := k.update(func(*ring) error { return nil }); err != nil {
		t.Fatal(err)
	}
	var was, is keyFile
	if err := errors.Join(json.Unmarshal(mustRead(t, "testdata/keys.json"), &was), json.Unmarshal(mustRead(t, path), &is)); err != nil {
		t.Fatal(err)
	}
	var before, after bytes.Buffer
	if err := errors.Join(json.Compact(&before, was.Keyring), json.Compact(&after, is.Keyring)); err != nil {
		t.Fatal(err)
	}
	want := `{"region":"us-east-1","account":"000000000000",` + before.String()[1:]
	if is.Format != 1 || after.String() != want {
		t.Errorf("got format %d and keyring %s\nwant %s", is.Format, after.String(), want)
	}
}

func TestRegionAndAccountStay(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	k, err := Open(Options{Path: path, Region: "eu-west-1", Account: "123456789012"})
	if err != nil {
		t.Fatal(err)
	}
	mustDefault(t, k)
	for _, o := range []Options{{Region: "us-east-1"}, {Account: "000000000000"}, {Region: "us-east-1", Account: "123456789012"}} {
		o.Path = path
		_, err := Open(o)
		wantText(t, fmt.Sprint(o), err, path, "region eu-west-1 and account 123456789012")
	}
	for _, o := range []Options{{}, {Region: "eu-west-1"}, {Account: "123456789012"}, {Region: "eu-west-1", Account: "123456789012"}} {
		o.Path = path
		if _, err := Open(o); err != nil {
			t.Error(err)
		}
	}
	_, err = Open(Options{Path: oldFile(t), Region: "eu-west-1"})
	wantText(t, "an old file", err, "region us-east-1 and account 000000000000")
}

func TestKeyFileIsPrivate(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	wantMode := func(what string) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); private.HasModes && got != 0o600 {
			t.Errorf("%s: got %04o, want 0600", what, got)
		}
	}
	inFile(t, path)
	wantMode("new")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	inFile(t, path)
	wantMode("from a backup that had forgotten the mode")
}

func TestKeyFileOfAnother(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	inFile(t, path)
	if os.Geteuid() == 0 { // only root can give a file away, and reads others' files
		if err := os.Chown(path, 65534, -1); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Options{Path: path})
		wantText(t, "a file given away", err, path, "belongs to another user")
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	real, link := filepath.Join(folder, "real.json"), filepath.Join(folder, "keys.json")
	inFile(t, real)
	refused := func(what, path string) {
		t.Helper()
		_, err := Open(Options{Path: path})
		wantText(t, what, err, path+" is ")
	}
	for what, target := range map[string]string{"a link": real, "a dangling link": filepath.Join(folder, "none")} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		refused(what, link)
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
	refused("a folder", folder)

	// A link in the place of the temporary file is replaced, too.
	before := mustRead(t, real)
	if err := os.Symlink(real, link+".tmp"); err != nil {
		t.Fatal(err)
	}
	inFile(t, link)
	if !bytes.Equal(mustRead(t, real), before) {
		t.Error("a save wrote through a link")
	}
}

func TestKeyFileDamaged(t *testing.T) {
	t.Parallel()
	k, _ := inMemory(t)
	want := k.current.Load()
	content, err := format(want)
	if err != nil {
		t.Fatal(err)
	}
	for n := range content {
		if _, why := parse(content[:n]); why == "" {
			t.Errorf("cut off after %d bytes: accepted", n)
		}
	}
	for i := range 8 * len(content) {
		flipped := bytes.Clone(content)
		flipped[i/8] ^= 1 << (i % 8)
		// White space and the case of a member's name are no damage.
		if got, why := parse(flipped); why == "" && !reflect.DeepEqual(got, want) {
			t.Errorf("bit %d of byte %d (%q) flipped: accepted with other keys", i%8, i/8, content[i/8])
		}
	}
}

func TestFlaws(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(*ring){
		"a backing key is missing":           func(r *ring) { r.Keys[0].Backing = nil },
		"or has a wrong size":                func(r *ring) { r.Keys[0].Backing = []material{make(material, 16)} },
		"an alias is of a key that is not":   func(r *ring) { r.Aliases[0].Key = uuid.New() },
		"the key alias/strongroom is not":    func(r *ring) { r.Aliases = nil },
		"the key alias/strongroom is not th": func(r *ring) { r.Keys, r.Aliases = nil, nil },
	} {
		k, _ := inMemory(t)
		r := k.current.Load()
		spoil(r)
		content, err := format(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, why := parse(content); !strings.Contains(why, what) {
			t.Errorf("got %q, want %q in it", why, what)
		}
	}
	if _, why := parse([]byte(`{"format":2}`)); why != "its format is 2 and not 1" {
		t.Errorf("another format: got %q", why)
	}
}

func TestDamagedKeyFileIsRefused(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	inFile(t, path)
	content := mustRead(t, path)
	content[bytes.Index(content, []byte(`"backing"`))+30] ^= 1 // within a key
	mustWrite(t, path, content)
	_, err := Open(Options{Path: path})
	wantText(t, "damaged", err, path+" is damaged: its checksum does not match", "backup")
}

func TestKeyFileMissing(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	_, err := Open(Options{Path: path, Sealed: "the secrets in data.db", GiveUp: "remove data.db"})
	wantText(t, "missing", err, "the key file "+path+" is missing", "the secrets in data.db are sealed under its keys", "backup", "remove data.db")
	if _, err := os.Stat(path); err == nil {
		t.Error("a fresh key file was made")
	}
	if _, err := Open(Options{Path: path}); err != nil {
		t.Errorf("with nothing sealed: %v", err)
	}
	inFile(t, path)
	if _, err := Open(Options{Path: path, Sealed: "the secrets in data.db", GiveUp: "remove data.db"}); err != nil {
		t.Errorf("with a key file: %v", err)
	}
}

// A key that could not be saved is not there.
func TestKeyIsNotUsedBeforeItIsSaved(t *testing.T) {
	t.Parallel()
	k, id := inMemory(t)
	before := k.current.Load()
	k.save = func(*ring) error { return errors.New("no space left") }
	_, err := k.CreateKey(t.Context(), nil)
	wantText(t, "CreateKey", err, "operation error KMS: CreateKey, save the keys: no space left")
	_, err = k.RotateKeyOnDemand(t.Context(), &sdk.RotateKeyOnDemandInput{KeyId: id})
	wantText(t, "RotateKeyOnDemand", err, "no space left")
	_, err = k.DisableKey(t.Context(), &sdk.DisableKeyInput{KeyId: id})
	wantText(t, "DisableKey", err, "no space left")
	if k.current.Load() != before || len(before.Keys) != 1 || len(before.Keys[0].Backing) != 1 || before.Keys[0].Disabled {
		t.Error("the keys have changed")
	}

	empty := Memory("", "")
	empty.save = k.save
	_, err = empty.DefaultKey(noon)
	wantText(t, "DefaultKey", err, "no space left")
}

// A folder that cannot be written to keeps the old file and the old keys.
func TestFailedSave(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	k, _ := inFile(t, path)
	before := mustRead(t, path)
	if err := os.MkdirAll(filepath.Join(path+".tmp", "x"), 0o700); err != nil { // in the way of the temporary file
		t.Fatal(err)
	}
	if _, err := k.CreateKey(t.Context(), nil); err == nil {
		t.Error("got no error")
	}
	if !bytes.Equal(mustRead(t, path), before) || len(k.current.Load().Keys) != 1 {
		t.Error("the keys have changed")
	}
}

// A crash before the rename leaves a temporary file, whole or not. Its keys
// were never used, and the next save replaces it.
func TestCrashBeforeRename(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "half", string(mustRead(t, "testdata/keys.json"))} {
		path := keyPath(t)
		k, id := inFile(t, path)
		mustWrite(t, path+".tmp", []byte(content))
		again, sameID := inFile(t, path)
		if *sameID != *id || !reflect.DeepEqual(again.current.Load(), k.current.Load()) {
			t.Error("got other keys than those of the key file")
		}
		mustCreate(t, again)
		if _, err := os.Stat(path + ".tmp"); err == nil {
			t.Error("the temporary file is still there")
		}
		inFile(t, path)
	}
}

// The first key of any kind comes with the default key, so that every key
// file has one.
func TestCreateKeyFirst(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	k, err := Open(Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	created := mustCreate(t, k)
	again, id := inFile(t, path)
	if n := len(again.current.Load().Keys); n != 2 || *id == *created.Arn {
		t.Errorf("got %d keys with default key %s, want another beside %s", n, *id, *created.Arn)
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	k, _ := inMemory(t)
	r := k.current.Load()
	secret := r.Keys[0].Backing[0]
	forms := []string{fmt.Sprintf("%d", []byte(secret)), fmt.Sprintf("%x", []byte(secret)), fmt.Sprintf("%X", []byte(secret)), string(secret), base64.StdEncoding.EncodeToString(secret)}
	forms[0] = strings.Trim(forms[0], "[]")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for what, v := range map[string]any{"Keys": k, "a struct": struct{ KMS *Keys }{k}, "ring": r, "rings": []ring{*r}, "key": r.Keys[0], "material": secret} {
			for _, form := range forms {
				if got := fmt.Sprintf(verb, v); strings.Contains(got, form) {
					t.Errorf("%s of %s shows a key: %s", verb, what, got)
				}
			}
		}
	}
	if got, want := fmt.Sprintf("%+v, %v", k, (*Keys)(nil)), "kms.Keys(us-east-1 000000000000), <nil>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
