package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/secret"
)

// testKMS is a KMS of its own, with a client and the id of its default key.
type testKMS struct {
	*kms.Client
	url        string
	credential aws.Credentials
	keyID      *string
}

func startKMS(t testing.TB, data string) *testKMS {
	t.Helper()
	ring, id := newRing(t, data)
	credential := newCredential()
	server, err := serveKMS(ring, credential, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.close(); err != nil {
			t.Errorf("close KMS: %v", err)
		}
	})
	e := &Engines{kms: ours(server.url, credential)}
	return &testKMS{e.KMS(), server.url, credential, &id}
}

func (k *testKMS) mustEncrypt(t *testing.T, keyID *string, plaintext string, context map[string]string) []byte {
	t.Helper()
	out, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: keyID, Plaintext: []byte(plaintext), EncryptionContext: context})
	if err != nil {
		t.Fatal(err)
	}
	return out.CiphertextBlob
}

func (k *testKMS) wantDecrypt(t *testing.T, in *kms.DecryptInput, want string) {
	t.Helper()
	out, err := k.Decrypt(t.Context(), in)
	if err != nil {
		t.Error(err)
	} else if string(out.Plaintext) != want {
		t.Errorf("Decrypt: got %q, want %q", out.Plaintext, want)
	}
}

func (k *testKMS) mustCreateKey(t *testing.T) *types.KeyMetadata {
	t.Helper()
	out, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{Description: aws.String("another")})
	if err != nil {
		t.Fatal(err)
	}
	return out.KeyMetadata
}

// wantError wants an error of the type E, as the SDK makes it of our answer.
func wantError[E error](t *testing.T, what string, err error) {
	t.Helper()
	if _, ok := errors.AsType[E](err); !ok {
		t.Errorf("%s: got %v, want %T", what, err, *new(E))
	}
}

func wantAPIError(t *testing.T, what string, err error, code string) {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

func TestGenerateDataKey(t *testing.T) {
	t.Parallel()
	k := startKMS(t, "")
	context := map[string]string{"SecretARN": "arn", "SecretVersionId": "v1"}
	out, err := k.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: aws.String(DefaultAlias), KeySpec: types.DataKeySpecAes256, EncryptionContext: context})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Plaintext) != 32 || *out.KeyId != *k.keyID {
		t.Errorf("got %d bytes under %s, want 32 under %s", len(out.Plaintext), *out.KeyId, *k.keyID)
	}
	k.wantDecrypt(t, &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: context}, string(out.Plaintext))

	wrapped, err := k.GenerateDataKeyWithoutPlaintext(t.Context(), &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: k.keyID, NumberOfBytes: aws.Int32(20)})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: wrapped.CiphertextBlob})
	if err != nil || len(opened.Plaintext) != 20 {
		t.Errorf("got %d bytes, %v, want 20", len(opened.Plaintext), err)
	}

	for what, in := range map[string]*kms.GenerateDataKeyInput{
		"no size":   {KeyId: k.keyID},
		"two sizes": {KeyId: k.keyID, KeySpec: types.DataKeySpecAes256, NumberOfBytes: aws.Int32(32)},
		"too small": {KeyId: k.keyID, NumberOfBytes: aws.Int32(0)},
		"too large": {KeyId: k.keyID, NumberOfBytes: aws.Int32(1025)},
		"odd spec":  {KeyId: k.keyID, KeySpec: "AES_64"},
		"context":   {KeyId: k.keyID, KeySpec: types.DataKeySpecAes256, EncryptionContext: map[string]string{"a": strings.Repeat("x", maxContext)}},
	} {
		_, err := k.GenerateDataKey(t.Context(), in)
		wantAPIError(t, what, err, "ValidationException")
	}
	// What this KMS does not do is refused and not passed over.
	_, err = k.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: k.keyID, KeySpec: types.DataKeySpecAes256, DryRun: aws.Bool(true)})
	wantAPIError(t, "DryRun", err, "SerializationException")
	_, err = k.ListKeys(t.Context(), nil)
	wantAPIError(t, "ListKeys", err, "UnknownOperationException")
}

func TestEncryptionContext(t *testing.T) {
	t.Parallel()
	k := startKMS(t, "")
	blob := k.mustEncrypt(t, k.keyID, "plain", map[string]string{"a": "bc", "d": "e"})
	k.wantDecrypt(t, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"d": "e", "a": "bc"}}, "plain")
	for _, context := range []map[string]string{
		nil,
		{"a": "bc"},
		{"ab": "c", "d": "e"},
		{"a": "bcd", "": "e"},
		{"a": "bcde"},
		{"a": "e", "d": "bc"},
		{"A": "bc", "d": "e"},
		{"a": "bc", "d": "e", "": ""},
		{"a": "bc", "d": "e", "f": ""},
	} {
		_, err := k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context})
		wantError[*types.InvalidCiphertextException](t, strings.Join(slices.Sorted(maps.Keys(context)), ","), err)
	}
	// No context and an empty one are the same, as with AWS.
	blob = k.mustEncrypt(t, k.keyID, "plain", map[string]string{})
	k.wantDecrypt(t, &kms.DecryptInput{CiphertextBlob: blob}, "plain")
}

func TestEncryptSizes(t *testing.T) {
	t.Parallel()
	k := startKMS(t, "")
	k.mustEncrypt(t, k.keyID, strings.Repeat("x", 4096), nil)
	for _, plaintext := range [][]byte{{}, bytes.Repeat([]byte("x"), 4097)} {
		_, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: k.keyID, Plaintext: plaintext})
		wantAPIError(t, "Encrypt", err, "ValidationException")
	}
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	k := startKMS(t, "")
	other := k.mustCreateKey(t)
	blob := k.mustEncrypt(t, k.keyID, "plain", nil)
	k.wantDecrypt(t, &kms.DecryptInput{CiphertextBlob: blob, KeyId: aws.String(DefaultAlias)}, "plain")
	_, err := k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, KeyId: other.Arn})
	wantError[*types.IncorrectKeyException](t, "another key", err)
	_, err = k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, KeyId: aws.String("alias/none")})
	wantError[*types.NotFoundException](t, "no such alias", err)
	_, err = startKMS(t, "").Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})
	wantError[*types.InvalidCiphertextException](t, "another KMS", err)
	_, err = k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha1})
	wantError[*types.InvalidKeyUsageException](t, "another algorithm", err)
}

func TestReEncrypt(t *testing.T) {
	t.Parallel()
	k := startKMS(t, "")
	other := k.mustCreateKey(t)
	from, to := map[string]string{"at": "here"}, map[string]string{"at": "there"}
	blob := k.mustEncrypt(t, k.keyID, "plain", from)
	out, err := k.ReEncrypt(t.Context(), &kms.ReEncryptInput{
		CiphertextBlob: blob, SourceEncryptionContext: from, DestinationKeyId: other.KeyId, DestinationEncryptionContext: to,
	})
	if err != nil {
		t.Fatal(err)
	}
	if *out.SourceKeyId != *k.keyID || *out.KeyId != *other.Arn {
		t.Errorf("got from %s to %s, want from %s to %s", *out.SourceKeyId, *out.KeyId, *k.keyID, *other.Arn)
	}
	k.wantDecrypt(t, &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob, KeyId: other.KeyId, EncryptionContext: to}, "plain")
	_, err = k.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: other.KeyId})
	wantError[*types.InvalidCiphertextException](t, "wrong context", err)
}

func TestRotation(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	k := startKMS(t, data)
	var blobs [][]byte
	for range 4 {
		blobs = append(blobs, k.mustEncrypt(t, k.keyID, "plain", nil))
		if _, err := k.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: k.keyID}); err != nil {
			t.Fatal(err)
		}
	}
	again := startKMS(t, data) // what is in the file is enough
	for number, blob := range blobs {
		if got := int(blob[headerSize-1]); got != number {
			t.Errorf("backing key: got %d, want %d", got, number)
		}
		k.wantDecrypt(t, &kms.DecryptInput{CiphertextBlob: blob}, "plain")
		again.wantDecrypt(t, &kms.DecryptInput{CiphertextBlob: blob}, "plain")
	}
}

func TestDisabledKey(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	k := startKMS(t, data)
	blob := k.mustEncrypt(t, k.keyID, "plain", nil)
	if _, err := k.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: k.keyID}); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*testKMS{k, startKMS(t, data)} {
		_, err := k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})
		wantError[*types.DisabledException](t, "Decrypt", err)
		_, err = k.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: k.keyID, KeySpec: types.DataKeySpecAes256})
		wantError[*types.DisabledException](t, "GenerateDataKey", err)
		_, err = k.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: k.keyID})
		wantError[*types.DisabledException](t, "RotateKeyOnDemand", err)
		out, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: k.keyID})
		if err != nil || out.KeyMetadata.Enabled || out.KeyMetadata.KeyState != types.KeyStateDisabled {
			t.Errorf("DescribeKey: got %+v, %v, want it disabled", out, err)
		}
	}
	if _, err := k.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: k.keyID}); err != nil {
		t.Fatal(err)
	}
	k.wantDecrypt(t, &kms.DecryptInput{CiphertextBlob: blob}, "plain")
}

func TestAliases(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	k := startKMS(t, data)
	other := k.mustCreateKey(t)
	create := func(name string, target *string) error {
		_, err := k.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: target})
		return err
	}
	if err := create("alias/my/key", other.KeyId); err != nil {
		t.Fatal(err)
	}
	wantError[*types.AlreadyExistsException](t, "taken", create("alias/my/key", k.keyID))
	wantError[*types.NotFoundException](t, "no key", create("alias/x", aws.String("6f2f2b8c-0000-4000-8000-000000000000")))
	wantAPIError(t, "alias of an alias", create("alias/x", aws.String(DefaultAlias)), "ValidationException")
	for _, name := range []string{"x", "alias/", "alias/a b", "alias/aws/x"} {
		wantError[*types.InvalidAliasNameException](t, name, create(name, other.KeyId))
	}

	k = startKMS(t, data)
	out, err := k.ListAliases(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range out.Aliases {
		got = append(got, *a.AliasName+" "+*a.AliasArn+" "+*a.TargetKeyId)
	}
	want := []string{
		"alias/my/key arn:aws:kms:us-east-1:000000000000:alias/my/key " + *other.KeyId,
		"alias/strongroom arn:aws:kms:us-east-1:000000000000:alias/strongroom " + strings.TrimPrefix(*k.keyID, keyARN),
	}
	if !slices.Equal(got, want) {
		t.Errorf("ListAliases:\n got %q\nwant %q", got, want)
	}
	out, err = k.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: other.Arn})
	if err != nil || len(out.Aliases) != 1 {
		t.Errorf("ListAliases of a key: got %v, %v, want one", out, err)
	}
	described, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/my/key")})
	if err != nil {
		t.Fatal(err)
	}
	if m := described.KeyMetadata; *m.Arn != *other.Arn || !m.CreationDate.Equal(*other.CreationDate) || *m.Description != "another" || !m.Enabled {
		t.Errorf("DescribeKey: got %+v, want %+v", m, other)
	}
}

// request is a call as it is on the wire, to be spoiled and sent.
type request struct {
	*http.Request
	body string
}

func (k *testKMS) request(t *testing.T, body string) *request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, k.url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService.ListAliases")
	return &request{r, body}
}

func (r *request) sign(t *testing.T, credential aws.Credentials, service string, at time.Time) {
	t.Helper()
	sum := sha256.Sum256([]byte(r.body))
	if err := v4.NewSigner().SignHTTP(t.Context(), credential, r.Request, hex.EncodeToString(sum[:]), service, Region, at); err != nil {
		t.Fatal(err)
	}
}

func TestGuards(t *testing.T) {
	t.Parallel()
	k := startKMS(t, "")
	now := time.Now()
	sign := func(t *testing.T, r *request) { r.sign(t, k.credential, "kms", now) }
	for name, test := range map[string]struct {
		body   string
		spoil  func(*testing.T, *request)
		status int
		code   string
	}{
		"as it should be": {"{}", sign, 200, ""},
		"another name for this machine": {"{}", func(t *testing.T, r *request) {
			r.Host = "localhost:1"
			sign(t, r)
		}, 200, ""},
		"unsigned": {"{}", func(*testing.T, *request) {}, 400, "MissingAuthenticationTokenException"},
		"another credential": {"{}", func(t *testing.T, r *request) {
			r.sign(t, newCredential(), "kms", now)
		}, 400, "UnrecognizedClientException"},
		"another secret": {"{}", func(t *testing.T, r *request) {
			c := k.credential
			c.SecretAccessKey = "guess"
			r.sign(t, c, "kms", now)
		}, 400, "UnrecognizedClientException"},
		"another key id": {"{}", func(t *testing.T, r *request) {
			c := k.credential
			c.AccessKeyID = "LOCALGUESS"
			r.sign(t, c, "kms", now)
		}, 400, "UnrecognizedClientException"},
		"another service": {"{}", func(t *testing.T, r *request) {
			r.sign(t, k.credential, "dynamodb", now)
		}, 400, "InvalidSignatureException"},
		"signed long ago": {"{}", func(t *testing.T, r *request) {
			r.sign(t, k.credential, "kms", now.Add(-maxSkew-time.Minute))
		}, 400, "InvalidSignatureException"},
		"another body": {"{}", func(t *testing.T, r *request) {
			sign(t, r)
			r.Body = io.NopCloser(strings.NewReader("[]"))
		}, 400, "UnrecognizedClientException"},
		"another operation": {"{}", func(t *testing.T, r *request) {
			sign(t, r)
			r.Header.Set("X-Amz-Target", "TrentService.CreateKey")
		}, 400, "UnrecognizedClientException"},
		"operation not signed": {"{}", func(t *testing.T, r *request) {
			r.Header.Del("X-Amz-Target")
			sign(t, r)
			r.Header.Set("X-Amz-Target", "TrentService.CreateKey")
		}, 400, "InvalidSignatureException"},
		"signature of nothing": {"{}", func(_ *testing.T, r *request) {
			r.Header.Set("X-Amz-Date", now.UTC().Format("20060102T150405Z"))
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c")
		}, 400, "IncompleteSignatureException"},
		"from a web page": {"{}", func(t *testing.T, r *request) {
			r.Header.Set("Origin", "http://127.0.0.1:3000")
			sign(t, r)
		}, 403, "AccessDeniedException"},
		"from a page without origin": {"{}", func(t *testing.T, r *request) {
			r.Header.Set("Origin", "")
			sign(t, r)
		}, 403, "AccessDeniedException"},
		"preflight": {"", func(_ *testing.T, r *request) {
			r.Method = http.MethodOptions
			r.Header.Set("Origin", "https://example.com")
			r.Header.Set("Access-Control-Request-Method", "POST")
		}, 403, "AccessDeniedException"},
		"DNS rebinding": {"{}", func(t *testing.T, r *request) {
			r.Host = "evil.example.com"
			sign(t, r)
		}, 403, "AccessDeniedException"},
		"oversized": {`"` + strings.Repeat("x", maxBody) + `"`, sign, 413, "RequestEntityTooLargeException"},
		"not POST": {"", func(t *testing.T, r *request) {
			r.Method = http.MethodGet
			sign(t, r)
		}, 404, "UnknownOperationException"},
		"another path": {"{}", func(t *testing.T, r *request) {
			r.URL.Path = "/x"
			sign(t, r)
		}, 404, "UnknownOperationException"},
		"another service's operation": {"{}", func(t *testing.T, r *request) {
			r.Header.Set("X-Amz-Target", "secretsmanager.ListSecrets")
			sign(t, r)
		}, 400, "UnknownOperationException"},
		"not JSON":        {"{", sign, 400, "SerializationException"},
		"more than JSON":  {"{}{}", sign, 400, "SerializationException"},
		"not UTF-8":       {"{\"KeyId\":\"\xff\"}", sign, 400, "SerializationException"},
		"unknown member":  {`{"Limit":1}`, sign, 400, "SerializationException"},
		"no such key":     {`{"KeyId":"x"}`, sign, 400, "NotFoundException"},
		"empty body":      {"", sign, 400, "SerializationException"},
		"a null of JSON":  {"null", sign, 200, ""},
		"longest allowed": {"{}" + strings.Repeat(" ", maxBody-2), sign, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := k.request(t, test.body)
			test.spoil(t, r)
			answer, err := http.DefaultTransport.RoundTrip(r.Request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			var body struct {
				Type    string `json:"__type"`
				Message string `json:"message"`
			}
			if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != test.status || body.Type != test.code {
				t.Errorf("got %d %s (%s), want %d %s", answer.StatusCode, body.Type, body.Message, test.status, test.code)
			}
			if test.code != "" && body.Message == "" {
				t.Error("no message")
			}
			if got, want := answer.Header.Get("Content-Type"), "application/x-amz-json-1.1"; got != want {
				t.Errorf("content type: got %q, want %q", got, want)
			}
			for name := range answer.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("the answer has the CORS header %s", name)
				}
			}
		})
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:4566": true, "127.1.2.3:1": true, "localhost": true, "LocalHost:80": true, "[::1]": true, "[::1]:80": true, "::1": true,
		"[::ffff:127.0.0.1]:80": true,
		"":                      false, ":80": false, "example.com": false, "localhost.example.com": false, "127.0.0.1.example.com:80": false, "10.0.0.1": false,
		"0.0.0.0": false, "[::]:80": false, "127.1": false, "2130706433": false, "localhost:80:80": false, "127.0.0.1@example.com": false, "[localhost": true,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("isLoopback(%q): got %v, want %v", host, got, want)
		}
	}
}

// Any body is answered or refused; the decoder never lets a wrong one through
// as something else, and no operation panics.
func FuzzKMSRequest(f *testing.F) {
	f.Add("GenerateDataKey", []byte(`{"KeyId":"alias/strongroom","KeySpec":"AES_256","EncryptionContext":{"a":"b"}}`))
	f.Add("Encrypt", []byte(`{"KeyId":"alias/strongroom","Plaintext":"cGxhaW4="}`))
	f.Add("Decrypt", []byte(`{"CiphertextBlob":"AQ=="}`))
	f.Add("ReEncrypt", []byte(`{"CiphertextBlob":"AQ==","DestinationKeyId":"alias/strongroom"}`))
	f.Add("CreateAlias", []byte(`{"AliasName":"alias/x","TargetKeyId":"x"}`))
	f.Add("CreateKey", []byte(`{"Description":"x"}`))
	f.Add("RotateKeyOnDemand", []byte(`{"KeyId":"alias/strongroom"}`))
	f.Add("ListAliases", []byte(`{"KeyId":null}`))
	ring, _ := newRing(f, "")
	first := ring.keys()
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		operation, ok := operations[name]
		if !ok {
			return
		}
		h := &kmsHandler{ring: &keyring{current: first, save: func(keys) error { return nil }}, now: time.Now}
		if _, err := operation(h, body); err != nil {
			if _, ok := errors.AsType[secret.Error](err); !ok {
				t.Errorf("%s: %v is not a refusal", name, err)
			}
		}
	})
}

func BenchmarkGenerateDataKey(b *testing.B) {
	k := startKMS(b, "")
	in := &kms.GenerateDataKeyInput{
		KeyId: k.keyID, KeySpec: types.DataKeySpecAes256,
		EncryptionContext: map[string]string{"SecretARN": "arn", "SecretVersionId": "v1"},
	}
	for b.Loop() {
		if _, err := k.GenerateDataKey(context.Background(), in); err != nil {
			b.Fatal(err)
		}
	}
}
