package envelope

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/strongroom/strongroom/pkg/secret"
)

// shows says whether text gives bytes away, in an encoding that printing uses.
func shows(text string, plain []byte) bool {
	list := strings.Trim(fmt.Sprintf("%d", plain), "[]")
	for _, form := range []string{
		string(plain), list, strings.ReplaceAll(list, " ", ", "), hex.EncodeToString(plain),
		base64.RawStdEncoding.EncodeToString(plain), base64.RawURLEncoding.EncodeToString(plain),
		strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", plain), "[]byte{"), "}"),
	} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
			return true
		}
	}
	return false
}

func TestShows(t *testing.T) {
	t.Parallel()
	plain := []byte("hunter2-hunter2!")
	for _, format := range []string{"%s", "%q", "%v", "%d", "%x", "%X", "%#v"} {
		if !shows(fmt.Sprintf("a "+format+" b", plain), plain) {
			t.Errorf("%s is not seen", format)
		}
	}
	if text, _ := json.Marshal(plain); !shows(string(text), plain) {
		t.Error("JSON is not seen")
	}
	if shows("a hunter2 b", plain) {
		t.Error("something else is seen")
	}
}

func TestNothingIsGivenAway(t *testing.T) {
	t.Parallel()
	plain, key := []byte("marked value marked value"), []byte("marked key marked key marked key")
	value := secret.NewValue(secret.String, plain)
	s, k := newSealer()
	k.plain = key
	s.Keep = time.Hour
	sealed := mustSeal(t, s, here, "", value)
	opened, err := s.Open(t.Context(), here, sealed)
	if err != nil {
		t.Fatal(err)
	}
	lax := &Sealer{KMS: laxKMS{key: key}}
	short := &Sealer{KMS: laxKMS{key: key[:24]}}

	// A sealer with the key in its memory, and without a fake that shows it.
	full := &Sealer{Keep: time.Hour}
	full.keys.put("name", key, time.Hour)
	printed := []any{opened, value, sealed, full, &full.keys, full.keys.keys}
	failing := func(name string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
		for ; err != nil; err = errors.Unwrap(err) {
			printed = append(printed, err)
		}
	}
	broken := sealed
	broken.Data = append([]byte{2}, sealed.Data[1:]...)
	_, err = s.Open(t.Context(), here, broken)
	failing("unknown format", err)
	broken.Data = sealed.Data[:20]
	_, err = s.Open(t.Context(), here, broken)
	failing("short", err)
	for _, tt := range elsewhere {
		moved := sealed
		moved.Kind = tt.kind
		_, err = s.Open(t.Context(), tt.at, moved)
		failing(tt.name, err)
		_, err = lax.Open(t.Context(), tt.at, moved)
		failing(tt.name+", whatever KMS says", err)
	}
	_, err = short.Seal(t.Context(), here, "", value)
	failing("seal under a short key", err)
	_, err = short.Open(t.Context(), here, sealed)
	failing("open under a short key", err)
	s.Keep = 0
	s.keys = dataKeys{}
	for _, cause := range []error{&types.DisabledException{}, denied(), apiError("ThrottlingException"), errors.New("connection lost")} {
		k.fail = cause
		_, err = s.Seal(t.Context(), here, "", value)
		failing("seal", err)
		_, err = s.Open(t.Context(), here, sealed)
		failing("open", err)
		_, err = s.Rewrap(t.Context(), here, sealed, otherKey)
		failing("rewrap", err)
	}
	for _, v := range printed {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text := fmt.Sprintf(format, v)
			if shows(text, plain) {
				t.Errorf("%s of %T shows the value: %s", format, v, text)
			}
			if shows(text, key) {
				t.Errorf("%s of %T shows the data key: %s", format, v, text)
			}
		}
	}
}
