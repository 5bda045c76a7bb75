package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/strongroom/strongroom/pkg/secret"
)

var (
	here = Place{"arn:aws:secretsmanager:eu-central-1:123456789012:secret:db/main-Ab3dE6", "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE"}

	errEncrypt = secret.Error{Code: "EncryptionFailure", Message: "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS key is available, enabled, and not in an invalid state."}
	errDecrypt = secret.Error{Code: "DecryptionFailure", Message: "Secrets Manager can't decrypt the protected secret text using the provided KMS key."}
	errDenied  = secret.Error{Code: "AccessDeniedException", Message: "Access to KMS is not allowed"}
)

// overhead is what sealing adds: format, nonce and tag.
const overhead = 1 + 12 + 16

func newSealer() (*Sealer, *fakeKMS) {
	k := newKMS()
	return &Sealer{KMS: k, DefaultKey: defaultKey}, k
}

func text(s string) secret.Value { return secret.NewValue(secret.String, []byte(s)) }

func mustSeal(t testing.TB, s *Sealer, at Place, key string, value secret.Value) secret.Sealed {
	t.Helper()
	sealed, err := s.Seal(t.Context(), at, key, value)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func wantOpens(t *testing.T, s *Sealer, at Place, sealed secret.Sealed, want secret.Value) {
	t.Helper()
	got, err := s.Open(t.Context(), at, sealed)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(want) {
		t.Errorf("got %d bytes of kind %s, want the %d bytes of kind %s that were sealed", len(got.Reveal()), got.Kind(), len(want.Reveal()), want.Kind())
	}
}

func wantShut(t *testing.T, s *Sealer, at Place, sealed secret.Sealed) {
	t.Helper()
	_ = openFails(t, s, at, sealed)
}

// openFails returns the error of Open, and checks that nothing comes beside it.
func openFails(t *testing.T, s *Sealer, at Place, sealed secret.Sealed) error {
	t.Helper()
	got, err := s.Open(t.Context(), at, sealed)
	if err == nil {
		t.Fatalf("got %d bytes, want an error", len(got.Reveal()))
	}
	if !got.Equal(secret.Value{}) {
		t.Errorf("got %d bytes beside error %v, want none", len(got.Reveal()), err)
	}
	return err
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		kind  secret.Kind
		value []byte
	}{
		{"string", secret.String, []byte(`{"username":"admin","password":"hunter2"}`)},
		{"string beyond ASCII", secret.String, []byte("pässwörd 鍵 🔑")},
		{"binary", secret.Binary, []byte{0xff, 0x00, 0xfe, 0x0a, 0x00}},
		{"one character", secret.String, []byte("x")},
		{"one byte", secret.Binary, []byte{0}},
		{"largest string", secret.String, bytes.Repeat([]byte("s"), secret.MaxValue)},
		{"largest binary", secret.Binary, bytes.Repeat([]byte{0xa5}, secret.MaxValue)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, k := newSealer()
			given := slices.Clone(tt.value)
			value := secret.NewValue(tt.kind, given)
			sealed := mustSeal(t, s, here, "", value)
			k.wantCalls(t, map[string]int{"GenerateDataKey": 1})
			if sealed.Kind != tt.kind || sealed.KeyARN != defaultARN || !sealed.DefaultKey {
				t.Errorf("got %s under %s, default %v; want %s under the default key %s", sealed.Kind, sealed.KeyARN, sealed.DefaultKey, tt.kind, defaultARN)
			}
			if got, want := len(sealed.Data), len(tt.value)+overhead; got != want {
				t.Errorf("got %d sealed bytes, want %d", got, want)
			}
			if len(tt.value) > 4 && bytes.Contains(sealed.Data, tt.value[:4]) {
				t.Error("the sealed bytes show the value")
			}
			wantOpens(t, s, here, sealed, secret.NewValue(tt.kind, tt.value))
			k.wantCalls(t, map[string]int{"Decrypt": 1})
			k.wantCleared(t)
			if !bytes.Equal(given, tt.value) {
				t.Error("the value that was given is another one now")
			}
		})
	}
}

func TestEverySealIsNew(t *testing.T) {
	t.Parallel()
	s, k := newSealer()
	k.plain = bytes.Repeat([]byte{7}, 32)
	a, b := mustSeal(t, s, here, "", text("hunter2")), mustSeal(t, s, here, "", text("hunter2"))
	if bytes.Equal(a.Data[1:13], b.Data[1:13]) {
		t.Error("got one nonce twice under one data key")
	}
	k.wantCalls(t, map[string]int{"GenerateDataKey": 2})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key, want string
		isDefault bool
	}{
		{"", defaultARN, true},
		{defaultKey, defaultARN, false}, // asked for, even if it is the same one
		{otherKey, otherARN, false},
		{otherARN, otherARN, false},
	} {
		s, _ := newSealer()
		sealed := mustSeal(t, s, here, tt.key, text("hunter2"))
		if sealed.KeyARN != tt.want || sealed.DefaultKey != tt.isDefault {
			t.Errorf("seal under %q: got %s, default %v, want %s, %v", tt.key, sealed.KeyARN, sealed.DefaultKey, tt.want, tt.isDefault)
		}
		wantOpens(t, s, here, sealed, text("hunter2"))

		again, err := s.Rewrap(t.Context(), here, mustSeal(t, s, here, otherKey, text("hunter2")), tt.key)
		if err != nil {
			t.Fatal(err)
		}
		if again.KeyARN != tt.want || again.DefaultKey != tt.isDefault {
			t.Errorf("rewrap under %q: got %s, default %v, want %s, %v", tt.key, again.KeyARN, again.DefaultKey, tt.want, tt.isDefault)
		}
	}
}

// elsewhere are all places and kinds but one's own.
var elsewhere = []struct {
	name string
	at   Place
	kind secret.Kind
}{
	{"another secret", Place{strings.Replace(here.ARN, "db/main", "db/test", 1), here.VersionID}, secret.String},
	{"another secret of that name", Place{strings.Replace(here.ARN, "Ab3dE6", "Zz9yX8", 1), here.VersionID}, secret.String},
	{"no secret", Place{"", here.VersionID}, secret.String},
	{"another version", Place{here.ARN, strings.Replace(here.VersionID, "1", "2", 1)}, secret.String},
	{"no version", Place{here.ARN, ""}, secret.String},
	{"ARN and version swapped", Place{here.VersionID, here.ARN}, secret.String},
	{"a character of the version moved to the ARN", Place{here.ARN + here.VersionID[:1], here.VersionID[1:]}, secret.String},
	{"a character of the ARN moved to the version", Place{here.ARN[:len(here.ARN)-1], here.ARN[len(here.ARN)-1:] + here.VersionID}, secret.String},
	{"another kind", here, secret.Binary},
	{"no kind", here, ""},
}

func TestOpenElsewhere(t *testing.T) {
	t.Parallel()
	for _, tt := range elsewhere {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, k := newSealer()
			sealed := mustSeal(t, s, here, "", text("hunter2"))
			sealed.Kind = tt.kind
			err := openFails(t, s, tt.at, sealed)
			// KMS knows the place, but not the kind.
			if tt.at != here && !errors.Is(err, errDecrypt) {
				t.Errorf("got %v, want %v", err, errDecrypt)
			}
			k.wantCleared(t)
		})
		t.Run(tt.name+", whatever KMS says", func(t *testing.T) {
			t.Parallel()
			s := &Sealer{KMS: laxKMS{key: make([]byte, 32)}}
			sealed := mustSeal(t, s, here, "", text("hunter2"))
			sealed.Kind = tt.kind
			err := openFails(t, s, tt.at, sealed)
			if refusal, ok := errors.AsType[secret.Error](err); ok {
				t.Errorf("got refusal %v, want an error of ours", refusal)
			}
			if got, want := err.Error(), fmt.Sprintf("open version %s of %s: cipher: message authentication failed", tt.at.VersionID, tt.at.ARN); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// Contexts that would be one without their lengths.
func TestBindIsUnambiguous(t *testing.T) {
	t.Parallel()
	type bound struct {
		at   Place
		kind secret.Kind
	}
	seen := map[string]bound{}
	for _, b := range []bound{
		{Place{"ab", "c"}, ""},
		{Place{"a", "bc"}, ""},
		{Place{"abc", ""}, ""},
		{Place{"", "abc"}, ""},
		{Place{"", ""}, "abc"},
		{Place{"a", "b"}, "c"},
		{Place{"ab", ""}, "c"},
		{Place{"", "ab"}, "c"},
		{Place{"a", ""}, "bc"},
		{Place{"a\x00\x00\x00\x01b", "c"}, ""},
		{Place{"a\x00\x00\x00\x01b\x00\x00\x00\x01c", ""}, ""},
		{Place{"a", "b\x00\x00\x00\x01c"}, ""},
	} {
		bytes := string(b.at.bind(b.kind))
		if twin, ok := seen[bytes]; ok {
			t.Errorf("got the same bytes for %q and %q", twin, b)
		}
		seen[bytes] = b
	}

	s := &Sealer{KMS: laxKMS{key: make([]byte, 32)}}
	sealed := mustSeal(t, s, Place{"ab", "c"}, "", text("hunter2"))
	wantShut(t, s, Place{"a", "bc"}, sealed)
	wantOpens(t, s, Place{"ab", "c"}, sealed, text("hunter2"))
}

func TestFlippedBits(t *testing.T) {
	t.Parallel()
	s, k := newSealer()
	sealed := mustSeal(t, s, here, "", text("pw"))
	for i := range 8 * len(sealed.Data) {
		flipped := sealed
		flipped.Data = slices.Clone(sealed.Data)
		flipped.Data[i/8] ^= 1 << (i % 8)
		wantShut(t, s, here, flipped)
	}
	for i := range 8 * len(sealed.DataKey) {
		flipped := sealed
		flipped.DataKey = slices.Clone(sealed.DataKey)
		flipped.DataKey[i/8] ^= 1 << (i % 8)
		if err := openFails(t, s, here, flipped); !errors.Is(err, errDecrypt) {
			t.Errorf("got %v, want %v", err, errDecrypt)
		}
	}
	k.wantCleared(t)
	wantOpens(t, s, here, sealed, text("pw"))
}

func TestShortAndLongInput(t *testing.T) {
	t.Parallel()
	s, k := newSealer()
	sealed := mustSeal(t, s, here, "", text("pw"))
	for n := range len(sealed.Data) {
		short := sealed
		short.Data = sealed.Data[:n]
		wantShut(t, s, here, short)
	}
	long := sealed
	long.Data = append(slices.Clone(sealed.Data), 0)
	wantShut(t, s, here, long)
	for n := range len(sealed.DataKey) {
		short := sealed
		short.DataKey = sealed.DataKey[:n]
		wantShut(t, s, here, short)
	}
	k.wantCleared(t)
}

func TestUnknownFormat(t *testing.T) {
	t.Parallel()
	s, k := newSealer()
	sealed := mustSeal(t, s, here, "", text("pw"))
	k.wantCalls(t, map[string]int{"GenerateDataKey": 1})
	for b := range 256 {
		if b == format {
			continue
		}
		other := sealed
		other.Data = slices.Clone(sealed.Data)
		other.Data[0] = byte(b)
		err := openFails(t, s, here, other)
		if got, want := err.Error(), "sealed data has an unknown format"; got != want {
			t.Errorf("format %d: got %s, want %s", b, got, want)
		}
	}
	k.wantCalls(t, nil) // not worth a call
}

func TestDataKeyOfTheWrongLength(t *testing.T) {
	t.Parallel()
	const want = "KMS gave a data key of the wrong length"
	good := &Sealer{KMS: laxKMS{key: make([]byte, 32)}}
	sealed := mustSeal(t, good, here, "", text("hunter2"))
	for _, n := range []int{0, 16, 24, 31, 33} {
		s := &Sealer{KMS: laxKMS{key: make([]byte, n)}}
		if got, err := s.Seal(t.Context(), here, "", text("hunter2")); err == nil || err.Error() != want {
			t.Errorf("seal with %d bytes: got %+v, %v, want %s", n, got, err, want)
		}
		if err := openFails(t, s, here, sealed); err.Error() != want {
			t.Errorf("open with %d bytes: got %v, want %s", n, err, want)
		}
	}
}

func TestRewrap(t *testing.T) {
	t.Parallel()
	s, k := newSealer()
	old := mustSeal(t, s, here, "", text("hunter2"))
	before := old
	before.Data, before.DataKey = slices.Clone(old.Data), slices.Clone(old.DataKey)
	handed := len(k.handed)

	again, err := s.Rewrap(t.Context(), here, old, otherKey)
	if err != nil {
		t.Fatal(err)
	}
	k.wantCalls(t, map[string]int{"GenerateDataKey": 1, "ReEncrypt": 1, "ReEncrypt to": 1})
	if len(k.handed) != handed {
		t.Error("the data key came in plain, want it to stay with KMS")
	}
	if again.Kind != old.Kind || !bytes.Equal(again.Data, before.Data) {
		t.Error("the sealed bytes are others now")
	}
	if again.KeyARN != otherARN || again.DefaultKey || bytes.Equal(again.DataKey, before.DataKey) {
		t.Errorf("got a data key under %s, default %v, want another one under %s", again.KeyARN, again.DefaultKey, otherARN)
	}
	if old.KeyARN != before.KeyARN || !old.DefaultKey || !bytes.Equal(old.DataKey, before.DataKey) || !bytes.Equal(old.Data, before.Data) {
		t.Errorf("the input was changed: got %+v, want %+v", old, before)
	}
	wantOpens(t, s, here, again, text("hunter2"))
	wantOpens(t, s, here, old, text("hunter2"))

	mixed := again
	mixed.DataKey = old.DataKey
	if err := openFails(t, s, here, mixed); !errors.Is(err, errDecrypt) {
		t.Errorf("old data key as one of the new key: got %v, want %v", err, errDecrypt)
	}
	mixed = old
	mixed.DataKey = again.DataKey
	if err := openFails(t, s, here, mixed); !errors.Is(err, errDecrypt) {
		t.Errorf("new data key as one of the old key: got %v, want %v", err, errDecrypt)
	}
	for _, tt := range elsewhere {
		moved := again
		moved.Kind = tt.kind
		wantShut(t, s, tt.at, moved)
	}
	k.wantCleared(t)
}

func TestRewrapIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		at       Place
		unusable map[string]error
		key      string
		want     error
	}{
		{"another place", elsewhere[0].at, nil, otherKey, errDecrypt},
		{"new key unknown", here, nil, "alias/none", errEncrypt},
		{"new key disabled", here, map[string]error{otherARN: &types.DisabledException{}}, otherKey, errEncrypt},
		{"new key denied", here, map[string]error{otherARN: denied()}, otherKey, errDenied},
		{"old key disabled", here, map[string]error{defaultARN: &types.DisabledException{}}, otherKey, errEncrypt},
		{"old key denied", here, map[string]error{defaultARN: denied()}, otherKey, errDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, k := newSealer()
			sealed := mustSeal(t, s, here, "", text("hunter2"))
			k.unusable = tt.unusable
			got, err := s.Rewrap(t.Context(), tt.at, sealed, tt.key)
			if !errors.Is(err, tt.want) || got.DataKey != nil || got.Data != nil {
				t.Errorf("got %+v, %v, want %v", got, err, tt.want)
			}
		})
	}
}
