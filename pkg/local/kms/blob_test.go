package kms

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/uuid"
)

func ringOf(keys ...key) *ring {
	r := newRing("", "")
	r.Keys = keys
	return r
}

func mustSeal(t testing.TB, k key, plaintext string, context map[string]string) []byte {
	t.Helper()
	blob, err := k.seal([]byte(plaintext), context)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// The file and the blobs are from the KMS that spoke HTTP. What was sealed
// once must open for ever.
func TestGolden(t *testing.T) {
	t.Parallel()
	k, id := inFile(t, oldFile(t))
	if got, want := *id, "arn:aws:kms:us-east-1:000000000000:key/00112233-4455-6677-8899-aabbccddeeff"; got != want {
		t.Errorf("default key: got %s, want %s", got, want)
	}
	blob, err := hex.DecodeString("01" + "00112233445566778899aabbccddeeff" + "00000001" +
		"24a68346125c39d8c0aeb17b" + "def137e11c4b440b1f6f12d4e66731050f420d2f5e11")
	if err != nil {
		t.Fatal(err)
	}
	wantDecrypt(t, k, &sdk.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"b": "2", "a": "1"}}, "golden")
	copy(blob[1:], k.current.Load().Keys[1].ID[:])
	copy(blob[17:21], []byte{0, 0, 0, 0})
	_, err = k.Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: blob})
	wantError[*types.DisabledException](t, "a disabled key", err)
}

func TestFlippedBits(t *testing.T) {
	t.Parallel()
	k := newKey("", noon)
	context := map[string]string{"a": "1"}
	blob := mustSeal(t, k, "plain", context)
	shut := func(what string, blob []byte) {
		plaintext, _, err := ringOf(k).open(nil, blob, context)
		wantError[*types.InvalidCiphertextException](t, what, err)
		if plaintext != nil {
			t.Errorf("%s: opens as %q", what, plaintext)
		}
	}
	for i := range 8 * len(blob) {
		flipped := bytes.Clone(blob)
		flipped[i/8] ^= 1 << (i % 8)
		shut(fmt.Sprintf("bit %d flipped", i), flipped)
	}
	for n := range blob {
		shut(fmt.Sprintf("cut off after %d bytes", n), blob[:n])
	}
	shut("one byte more", append(bytes.Clone(blob), 0))
	shut("nothing", nil)
}

// A blob says which key it needs; another key with the same material, or the
// same key with another number, must not open it either.
func TestBlobIsBoundToItsKey(t *testing.T) {
	t.Parallel()
	k := newKey("", noon)
	k.Backing = append(k.Backing, k.Backing[0])
	blob := mustSeal(t, k, "plain", nil)

	twin := k
	twin.ID = uuid.New()
	moved := bytes.Clone(blob)
	copy(moved[1:], twin.ID[:])
	_, _, err := ringOf(k, twin).open(nil, moved, nil)
	wantError[*types.InvalidCiphertextException](t, "another key id", err)

	renumbered := bytes.Clone(blob)
	renumbered[headerSize-1] = 0
	_, _, err = ringOf(k).open(nil, renumbered, nil)
	wantError[*types.InvalidCiphertextException](t, "another backing key", err)

	_, _, err = ringOf(newKey("", noon)).open(nil, blob, nil)
	wantError[*types.InvalidCiphertextException](t, "key unknown", err)
}

func TestFindKey(t *testing.T) {
	t.Parallel()
	const prefix = "arn:aws:kms:eu-west-1:123456789012:"
	k := newKey("", noon)
	id := k.ID.String()
	r := &ring{Region: "eu-west-1", Account: "123456789012", Keys: []key{newKey("", noon), k}, Aliases: []alias{{"alias/x", k.ID, noon}}}
	for _, name := range []string{id, prefix + "key/" + id, "alias/x", prefix + "alias/x"} {
		if got, err := r.find(name); err != nil || got.ID != k.ID {
			t.Errorf("find(%q): got %v, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"":               "Invalid keyId ",
		"x":              "Invalid keyId x",
		"key/" + id:      "Invalid keyId key/" + id,
		"{" + id + "}":   "Invalid keyId {" + id + "}",
		"urn:uuid:" + id: "Invalid keyId urn:uuid:" + id,
		prefix + id:      "Invalid keyId " + prefix + id,
		prefix + "key/":  "Invalid keyId " + prefix + "key/",
		"arn:aws:kms:us-east-1:123456789012:key/" + id: "Invalid keyId arn:aws:kms:us-east-1:123456789012:key/" + id,
		"arn:aws:kms:eu-west-1:000000000000:key/" + id: "Invalid keyId arn:aws:kms:eu-west-1:000000000000:key/" + id,
		"alias/":                               "Alias " + prefix + "alias/ is not found.",
		"alias/alias/x":                        "Alias " + prefix + "alias/alias/x is not found.",
		prefix + "alias/y":                     "Alias " + prefix + "alias/y is not found.",
		"6f2f2b8c-0000-4000-8000-000000000000": "Key '" + prefix + "key/6f2f2b8c-0000-4000-8000-000000000000' does not exist",
	} {
		_, err := r.find(name)
		wantError[*types.NotFoundException](t, name, err)
		wantText(t, name, err, "NotFoundException: "+want)
	}
}

// Whatever is opened was sealed, under that key and in that context.
func FuzzOpenBlob(f *testing.F) {
	k := newKey("", noon)
	blob := mustSeal(f, k, "plain", map[string]string{"a": "bc"})
	f.Add(blob, "a", "bc")
	f.Add(blob, "ab", "c")
	f.Add(blob[:blobOverhead], "a", "bc")
	f.Add([]byte{}, "", "")
	f.Fuzz(func(t *testing.T, b []byte, name, value string) {
		plaintext, _, err := ringOf(k).open(nil, b, map[string]string{name: value})
		if err == nil && (!bytes.Equal(b, blob) || name != "a" || value != "bc") {
			t.Errorf("opens as %q", plaintext)
		}
		if err != nil && checkContext(map[string]string{name: value}) == nil {
			wantError[*types.InvalidCiphertextException](t, "open", err)
		}
	})
}

// No two contexts give the same associated data.
func FuzzBlobContext(f *testing.F) {
	f.Add("a", "bc", "", "", "ab", "c", "", "")
	f.Add("a", "b", "c", "d", "c", "d", "a", "b")
	f.Add("a", "\x00\x00\x00\x01b", "", "", "a", "", "b", "")
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g, h, i string) {
		one, two := map[string]string{a: b, c: d}, map[string]string{e: g, h: i}
		same := bytes.Equal(associated(nil, one), associated(nil, two))
		if same != maps.Equal(one, two) {
			t.Errorf("%q and %q: same associated data is %v", one, two, same)
		}
	})
}
