package envelope

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/secret"
)

// A vector is a value and what it was sealed to, once and for ever.
type vector struct {
	name, arn, version, kind  string
	key, value, bound, sealed []byte
}

func (v vector) place() Place { return Place{v.arn, v.version} }

func (v vector) asSealed() secret.Sealed {
	return secret.Sealed{Kind: secret.Kind(v.kind), KeyARN: defaultARN, DataKey: []byte("data key"), Data: v.sealed}
}

// vectors reads testdata/format1.txt, which says how its lines read.
func vectors(t testing.TB) []vector {
	t.Helper()
	file, err := os.ReadFile("testdata/format1.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []vector
	for block := range strings.SplitSeq(string(file), "\n\n") {
		fields := map[string]string{}
		for line := range strings.Lines(block) {
			if name, rest, ok := strings.Cut(line, " "); ok && name != "#" {
				fields[name] = strings.TrimSpace(rest)
			}
		}
		if len(fields) == 0 {
			continue
		}
		bin := func(name string) []byte {
			b, err := hex.DecodeString(strings.ReplaceAll(fields[name], " ", ""))
			if err != nil || len(b) == 0 {
				t.Fatalf("%s of %q: got %q, %v, want hexadecimal", name, fields["name"], fields[name], err)
			}
			return b
		}
		out = append(out, vector{
			name: fields["name"], arn: fields["arn"], version: fields["version"], kind: fields["kind"],
			key: bin("key"), value: bin("value"), bound: bin("bound"), sealed: bin("sealed"),
		})
	}
	if len(out) != 4 {
		t.Fatalf("got %d vectors, want 4", len(out))
	}
	return out
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if got := v.place().bind(secret.Kind(v.kind)); !bytes.Equal(got, v.bound) {
				t.Errorf("got bound  %x\nwant %x", got, v.bound)
			}
			s := &Sealer{KMS: laxKMS{key: v.key}}
			wantOpens(t, s, v.place(), v.asSealed(), secret.NewValue(secret.Kind(v.kind), v.value))

			// What is sealed today reads the same way, taken apart by hand.
			sealed := mustSeal(t, s, v.place(), "", secret.NewValue(secret.Kind(v.kind), v.value))
			if got, want := sealed.Data[0], v.sealed[0]; got != want {
				t.Fatalf("got format %d, want %d", got, want)
			}
			block, err := aes.NewCipher(v.key)
			if err != nil {
				t.Fatal(err)
			}
			gcm, err := cipher.NewGCM(block)
			if err != nil {
				t.Fatal(err)
			}
			got, err := gcm.Open(nil, sealed.Data[1:13], sealed.Data[13:], v.bound)
			if err != nil || !bytes.Equal(got, v.value) {
				t.Errorf("got %x, %v, want %x", got, err, v.value)
			}
		})
	}
}

// FuzzSealAndOpen seals anything anywhere and opens it again, there only.
func FuzzSealAndOpen(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.value, v.arn, v.version, v.kind == string(secret.Binary))
	}
	f.Add([]byte{}, "", "", false)
	f.Fuzz(func(t *testing.T, data []byte, arn, version string, binary bool) {
		kind, other := secret.String, secret.Binary
		if binary {
			kind, other = other, kind
		}
		s := &Sealer{KMS: laxKMS{key: testKey}}
		at, value := Place{arn, version}, secret.NewValue(kind, data)
		sealed := mustSeal(t, s, at, "", value)
		wantOpens(t, s, at, sealed, value)
		wantShut(t, s, Place{arn + "x", version}, sealed)
		wantShut(t, s, Place{arn, version + "x"}, sealed)
		if arn != version {
			wantShut(t, s, Place{version, arn}, sealed)
		}
		sealed.Kind = other
		wantShut(t, s, at, sealed)
	})
}

// FuzzOpen gives Open anything. It must not panic, and opens nothing but what
// was sealed.
func FuzzOpen(f *testing.F) {
	known := vectors(f)
	for _, v := range known {
		f.Add(v.sealed, v.arn, v.version, v.kind)
		f.Add(v.sealed[:13], v.arn, v.version, v.kind)
		f.Add(v.sealed[:1], v.arn, v.version, v.kind)
	}
	f.Add([]byte{}, "", "", "")
	f.Fuzz(func(t *testing.T, data []byte, arn, version, kind string) {
		for _, v := range known {
			s := &Sealer{KMS: laxKMS{key: v.key}}
			got, err := s.Open(t.Context(), Place{arn, version}, secret.Sealed{Kind: secret.Kind(kind), Data: data})
			itself := bytes.Equal(data, v.sealed) && arn == v.arn && version == v.version && kind == v.kind
			if itself != (err == nil) {
				t.Errorf("%s: got %d bytes, %v", v.name, len(got.Reveal()), err)
			}
		}
	})
}
