package api

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/strongroom/strongroom/pkg/secret"
)

// FuzzDecode reads any bytes as the input of an operation: they are refused as
// no input, or found out of limits, or taken, and then are what the bytes say.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		``, ` `, `{`, `{}`, `null`, `[]`, `[{}]`, `"x"`, `{"SecretId":1}`, `{"SecretId":"s"}`, `{"secretid":"s"}`, `{"SecretId":"s","SecretId":"t"}`,
		`{"SecretId":"s","SecretString":"x","VersionStages":["a",null],"RotationToken":"r","ClientRequestToken":"t"}`,
		`{"SecretId":"s","SecretBinary":"AP8=","VersionStages":[]}`, `{"SecretBinary":[1,2]}`, `{"SecretBinary":"A"}`,
		`{"SecretId":"\ud83d\ude00\ud800"}`, `{"SecretId":"\\ud800\\"}`, `{"SecretId":"\u00`, "{\"SecretId\":\"\xff\"}",
		`{"Name":"n","Tags":[{"Key":"k","Value":"v"},null,{}],"AddReplicaRegions":[{"Region":"r"}]}`, `{"Name":"n","Tags":[[]]}`,
		`{"SecretId":"s","MaxResults":0,"NextToken":"","IncludeDeprecated":true}`, `{"MaxResults":1e2}`, `{"MaxResults":99999999999999999999}`,
		`{"SecretId":"s","RotationRules":{"AutomaticallyAfterDays":0,"Duration":"h"},"RotateImmediately":null}`, `{"SecretId":"s","RotationRules":[{}]}`,
		`{"SecretId":"s","RotationRules":{"AutomaticallyAfterDays":{}}}`, `{"ExternalSecretRotationMetadata":[{"Key":"k"},null,{}]}`,
		`{"SecretId":"s","RecoveryWindowInDays":-7,"ForceDeleteWithoutRecovery":null}`, strings.Repeat(`[`, 20_000), strings.Repeat(`{"a":`, 5_000),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		decodeAny[createSecretInput](t, body)
		decodeAny[deleteSecretInput](t, body)
		decodeAny[listSecretVersionIDsInput](t, body)
		decodeAny[putSecretValueInput](t, body)
		decodeAny[rotateSecretInput](t, body)
	})
}

func decodeAny[In any](t *testing.T, body []byte) {
	t.Helper()
	var in In
	violations, err := shapeOf[In]().decode(body, &in)
	if err != nil {
		refusal, ok := errors.AsType[secret.Error](err)
		if isLong := slices.Contains(slices.Collect(maps.Values(tooMany)), refusal); !ok || refusal.Code != secret.Serialization && !isLong {
			t.Errorf("got error %v to %q, want a SerializationException, or that a list is too long", err, body)
		}
		return
	}
	var members map[string]any
	if text := strings.TrimSpace(string(body)); text != "" {
		if err := json.Unmarshal(body, &members); err != nil {
			t.Fatalf("%q was taken, and is not a JSON object: %v", body, err)
		}
	}
	if len(violations) > 0 {
		if text := violations.error().Error(); !utf8.ValidString(text) {
			t.Errorf("got violations %q, want them in UTF-8", text)
		}
		return
	}
	got := reflect.ValueOf(in)
	for i := range got.NumField() {
		name, field := got.Type().Field(i).Name, got.Field(i)
		if field.Kind() != reflect.String {
			continue
		}
		want, _ := members[name].(string)
		if field.String() != want {
			t.Errorf("got %s %q of %q, want %q", name, field.String(), body, want)
		}
	}
}

// A body may be cut anywhere, also with nothing in memory behind it.
func TestLoneSurrogates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		``: false, `"a"`: false, `"\\`: false, `"\"`: false, `"\u0041"`: false, `"\u00zz"`: false,
		`"\ud83d\ude00"`: false, `"\uD83D\uDE00"`: false, `"\\ud83d"`: false,
		`"\ud83d`: true, `"\ud83d\`: true, `"\ud83d\u`: true, `"\ud83d\ude0`: true, `"\ud83d\ude00`: false,
		`"\ud83d"`: true, `"\ude00"`: true, `"\ude00\ud83d"`: true, `"\ud83dxude00"`: true, `"\ud83d\ud83d\ude00"`: true, `"\ud83d\u0041"`: true,
		`"\\\ud83d"`: true, `"\ud83d\ude00\ud83d"`: true, `"\ud8`: false, `"\u`: false,
	} {
		if got := hasLoneSurrogate([]byte(text)[:len(text):len(text)]); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
	const whole = `"\ud83d\ude00\ud83d`
	for cut := range len(whole) {
		hasLoneSurrogate([]byte(whole)[:cut:cut]) // does not panic
	}
}

// A struct whose tags say what no shape knows stops the program at its start.
func TestShapeOfBadTags(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]func(){
		"unknown rule": func() {
			shapeOf[struct {
				A string `aws:"size=1-2"`
			}]()
		},
		"no upper bound": func() {
			shapeOf[struct {
				A string `aws:"len=1"`
			}]()
		},
		"bounds that are no numbers": func() {
			shapeOf[struct {
				A string `aws:"len=a-b"`
			}]()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("got no panic, want one")
				}
			}()
			shape()
		})
	}
}

func BenchmarkDecodePut(b *testing.B) {
	shape := shapeOf[putSecretValueInput]()
	body := []byte(`{"SecretId":"name","ClientRequestToken":"7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11","SecretString":"` + strings.Repeat("x", 1024) + `"}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var in putSecretValueInput
		if violations, err := shape.decode(body, &in); err != nil || len(violations) > 0 {
			b.Fatal(violations, err)
		}
	}
}

func BenchmarkDecodeGet(b *testing.B) {
	shape := shapeOf[getSecretValueInput]()
	body := []byte(`{"SecretId":"arn:aws:secretsmanager:us-east-1:000000000000:secret:name-abcdef"}`)
	b.ReportAllocs()
	for b.Loop() {
		var in getSecretValueInput
		if violations, err := shape.decode(body, &in); err != nil || len(violations) > 0 {
			b.Fatal(violations, err)
		}
	}
}

func BenchmarkEncodePut(b *testing.B) {
	out := putSecretValueOutput{"arn:aws:secretsmanager:us-east-1:000000000000:secret:name-abcdef", "name", "7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11", []string{secret.Current}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode(out); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeGet(b *testing.B) {
	out := getSecretValueOutput{
		ARN: "arn:aws:secretsmanager:us-east-1:000000000000:secret:name-abcdef", Name: "name", VersionId: "7b9d1f0e-2c58-4b9e-8f2f-0d3f3b6c9a11",
		SecretString: strings.Repeat("x", 1024), VersionStages: []string{secret.Current},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode(out); err != nil {
			b.Fatal(err)
		}
	}
}
