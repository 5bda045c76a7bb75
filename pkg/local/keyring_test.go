package local

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/secret"
)

func ringOf(ks ...key) keys {
	var ring keys
	for _, k := range ks {
		ring = ring.withKey(k)
	}
	return ring
}

func mustSeal(t testing.TB, k key, plaintext string, context map[string]string) []byte {
	t.Helper()
	blob, err := k.seal([]byte(plaintext), context)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	refused, ok := errors.AsType[secret.Error](err)
	if !ok || string(refused.Code) != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

// goldenBlob is "golden", sealed under the second backing key of the test below.
const goldenBlob = "01" + "00112233445566778899aabbccddeeff" + "00000001" +
	"24a68346125c39d8c0aeb17b" + "def137e11c4b440b1f6f12d4e66731050f420d2f5e11"

// The format of stored blobs: what was sealed once must open for ever.
func TestBlobGolden(t *testing.T) {
	t.Parallel()
	k := key{ID: uuid.MustParse("00112233-4455-6677-8899-aabbccddeeff"), Backing: [][]byte{
		bytes.Repeat([]byte{7}, backingSize), bytes.Repeat([]byte{8}, backingSize),
	}}
	blob, err := hex.DecodeString(goldenBlob)
	if err != nil {
		t.Fatal(err)
	}
	_, plaintext, err := ringOf(k).open(blob, map[string]string{"b": "2", "a": "1"})
	if err != nil || string(plaintext) != "golden" {
		t.Errorf("got %q, %v, want golden", plaintext, err)
	}
}

func TestFlippedBits(t *testing.T) {
	t.Parallel()
	k := newKey("", time.Now())
	context := map[string]string{"a": "1"}
	blob := mustSeal(t, k, "plain", context)
	for i := range blob {
		for bit := range 8 {
			flipped := bytes.Clone(blob)
			flipped[i] ^= 1 << bit
			if _, plaintext, err := ringOf(k).open(flipped, context); err == nil {
				t.Errorf("bit %d of byte %d flipped: opens as %q", bit, i, plaintext)
			} else {
				wantCode(t, "flipped bit", err, "InvalidCiphertextException")
			}
		}
	}
	for n := range blob {
		_, _, err := ringOf(k).open(blob[:n], context)
		wantCode(t, "cut off", err, "InvalidCiphertextException")
	}
	_, _, err := ringOf(k).open(append(blob, 0), context)
	wantCode(t, "one byte more", err, "InvalidCiphertextException")
}

// A blob says which key it needs; another key with the same material, or the
// same key with another number, must not open it either.
func TestBlobIsBoundToItsKey(t *testing.T) {
	t.Parallel()
	k := newKey("", time.Now())
	k.Backing = append(k.Backing, k.Backing[0])
	blob := mustSeal(t, k, "plain", nil)

	twin := k
	twin.ID = uuid.New()
	moved := bytes.Clone(blob)
	copy(moved[1:], twin.ID[:])
	_, _, err := ringOf(k, twin).open(moved, nil)
	wantCode(t, "another key id", err, "InvalidCiphertextException")

	renumbered := bytes.Clone(blob)
	renumbered[headerSize-1] = 0
	_, _, err = ringOf(k).open(renumbered, nil)
	wantCode(t, "another backing key", err, "InvalidCiphertextException")

	_, _, err = ringOf(newKey("", time.Now())).open(blob, nil)
	wantCode(t, "key unknown", err, "InvalidCiphertextException")
}

func TestFindKey(t *testing.T) {
	t.Parallel()
	k := newKey("", time.Now())
	ring := ringOf(k).withAlias(alias{Name: "alias/x", Key: k.ID})
	for _, id := range []string{k.ID.String(), k.arn(), "alias/x", arnPrefix + "alias/x"} {
		if got, err := ring.find(id); err != nil || got.ID != k.ID {
			t.Errorf("find(%q): got %v, %v", id, got.ID, err)
		}
	}
	for _, id := range []string{
		"", "x", "alias/", "alias/y", "alias/alias/x", uuid.NewString(), keyARN, keyARN + uuid.NewString(), arnPrefix + k.ID.String(),
		"{" + k.ID.String() + "}", "urn:uuid:" + k.ID.String(), "arn:aws:kms:eu-west-1:" + Account + ":key/" + k.ID.String(),
	} {
		_, err := ring.find(id)
		wantCode(t, id, err, "NotFoundException")
	}
}

// Whatever is opened was sealed, under that key and in that context.
func FuzzOpenBlob(f *testing.F) {
	k := newKey("", time.Now())
	blob := mustSeal(f, k, "plain", map[string]string{"a": "bc"})
	f.Add(blob, "a", "bc")
	f.Add(blob, "ab", "c")
	f.Add(blob[:blobOverhead], "a", "bc")
	f.Add([]byte{}, "", "")
	f.Fuzz(func(t *testing.T, b []byte, name, value string) {
		_, plaintext, err := ringOf(k).open(b, map[string]string{name: value})
		if err == nil {
			if !bytes.Equal(b, blob) || name != "a" || value != "bc" {
				t.Errorf("opens as %q", plaintext)
			}
			return
		}
		wantCode(t, "open", err, "InvalidCiphertextException")
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
