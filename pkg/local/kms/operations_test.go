package kms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/secret"
)

func TestGenerateDataKey(t *testing.T) {
	t.Parallel()
	k, id := inMemory(t)
	for _, tt := range []struct {
		spec  types.DataKeySpec
		bytes *int32
		want  int
	}{
		{types.DataKeySpecAes256, nil, 32},
		{types.DataKeySpecAes128, nil, 16},
		{"", aws.Int32(1), 1},
		{"", aws.Int32(1024), 1024},
	} {
		context := map[string]string{"SecretARN": "arn", "SecretVersionId": "v1"}
		out, err := k.GenerateDataKey(t.Context(), &sdk.GenerateDataKeyInput{
			KeyId: aws.String(DefaultAlias), KeySpec: tt.spec, NumberOfBytes: tt.bytes, EncryptionContext: context,
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Plaintext) != tt.want || *out.KeyId != *id {
			t.Errorf("got %d bytes under %s, want %d under %s", len(out.Plaintext), *out.KeyId, tt.want, *id)
		}
		wantDecrypt(t, k, &sdk.DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: context}, string(out.Plaintext))
	}
	for what, in := range map[string]*sdk.GenerateDataKeyInput{
		"no size":   {KeyId: id},
		"two sizes": {KeyId: id, KeySpec: types.DataKeySpecAes256, NumberOfBytes: aws.Int32(32)},
		"too small": {KeyId: id, NumberOfBytes: aws.Int32(0)},
		"too large": {KeyId: id, NumberOfBytes: aws.Int32(1025)},
		"odd spec":  {KeyId: id, KeySpec: "AES_64"},
		"context":   {KeyId: id, KeySpec: types.DataKeySpecAes256, EncryptionContext: map[string]string{"a": strings.Repeat("x", maxContext)}},
		"not UTF-8": {KeyId: id, KeySpec: types.DataKeySpecAes256, EncryptionContext: map[string]string{"a": "\xff"}},
	} {
		_, err := k.GenerateDataKey(t.Context(), in)
		wantInvalid(t, what, err)
	}
}

// What is not supported is refused and not ignored, and what is missing is
// reported as the SDK's client does.
func TestMembers(t *testing.T) {
	t.Parallel()
	k, id := inMemory(t)
	ctx := t.Context()
	generate := func(in sdk.GenerateDataKeyInput) error {
		in.KeyId, in.KeySpec = id, types.DataKeySpecAes256
		_, err := k.GenerateDataKey(ctx, &in)
		return err
	}
	decrypt := func(in sdk.DecryptInput) error { _, err := k.Decrypt(ctx, &in); return err }
	reEncrypt := func(in sdk.ReEncryptInput) error { _, err := k.ReEncrypt(ctx, &in); return err }
	create := func(in sdk.CreateKeyInput) error { _, err := k.CreateKey(ctx, &in); return err }
	for what, err := range map[string]error{
		"DryRun of GenerateDataKey":         generate(sdk.GenerateDataKeyInput{DryRun: aws.Bool(true)}),
		"Recipient of GenerateDataKey":      generate(sdk.GenerateDataKeyInput{Recipient: &types.RecipientInfo{}}),
		"GrantTokens of GenerateDataKey":    generate(sdk.GenerateDataKeyInput{GrantTokens: []string{"x"}}),
		"DryRun of Decrypt":                 decrypt(sdk.DecryptInput{DryRun: aws.Bool(false)}),
		"DryRunModifiers of Decrypt":        decrypt(sdk.DecryptInput{DryRunModifiers: []types.DryRunModifierType{"x"}}),
		"Recipient of Decrypt":              decrypt(sdk.DecryptInput{Recipient: &types.RecipientInfo{}}),
		"DryRun of ReEncrypt":               reEncrypt(sdk.ReEncryptInput{DestinationKeyId: id, DryRun: aws.Bool(true)}),
		"Policy of CreateKey":               create(sdk.CreateKeyInput{Policy: aws.String("{}")}),
		"MultiRegion of CreateKey":          create(sdk.CreateKeyInput{MultiRegion: aws.Bool(true)}),
		"BypassPolicyLockoutSafetyCheck of": create(sdk.CreateKeyInput{BypassPolicyLockoutSafetyCheck: true}),
	} {
		wantError[*types.UnsupportedOperationException](t, what, err)
		wantText(t, what, err, what)
	}
	for what, in := range map[string]sdk.CreateKeyInput{
		"spec": {KeySpec: types.KeySpecRsa2048}, "usage": {KeyUsage: types.KeyUsageTypeSignVerify}, "origin": {Origin: types.OriginTypeExternal},
	} {
		wantError[*types.UnsupportedOperationException](t, what, create(in))
	}
	wantInvalid(t, "description", create(sdk.CreateKeyInput{Description: aws.String(strings.Repeat("x", 8193))}))
	_, noKey := k.GenerateDataKey(ctx, nil)
	_, noAlias := k.CreateAlias(ctx, &sdk.CreateAliasInput{TargetKeyId: id})
	for what, err := range map[string]error{
		"- missing required field, GenerateDataKeyInput.KeyId.": noKey,
		"- missing required field, CreateAliasInput.AliasName.": noAlias,
		"ReEncryptInput.DestinationKeyId.":                      reEncrypt(sdk.ReEncryptInput{}),
	} {
		wantError[smithy.InvalidParamsError](t, what, err)
		wantText(t, what, err, what)
	}
}

func TestMembersExist(t *testing.T) {
	t.Parallel()
	all := map[string]any{
		"CreateAlias": sdk.CreateAliasInput{}, "CreateKey": sdk.CreateKeyInput{}, "Decrypt": sdk.DecryptInput{}, "DescribeKey": sdk.DescribeKeyInput{},
		"DisableKey": sdk.DisableKeyInput{}, "EnableKey": sdk.EnableKeyInput{}, "GenerateDataKey": sdk.GenerateDataKeyInput{},
		"ReEncrypt": sdk.ReEncryptInput{}, "RotateKeyOnDemand": sdk.RotateKeyOnDemandInput{},
	}
	for operation, names := range members {
		shown := fmt.Sprintf("%+v", all[operation])
		for _, name := range append(names.required, names.optional...) {
			if !strings.Contains(shown, name+":") {
				t.Errorf("%s has no member %s", operation, name)
			}
		}
	}
}

func TestErrorsAreTheClients(t *testing.T) {
	t.Parallel()
	k, _ := inMemory(t)
	_, err := k.DescribeKey(t.Context(), &sdk.DescribeKeyInput{KeyId: aws.String("alias/none")})
	if got, want := fmt.Sprint(err), "operation error KMS: DescribeKey, NotFoundException: Alias arn:aws:kms:us-east-1:000000000000:alias/none is not found."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, err := k.Decrypt(ctx, nil)
	if !errors.Is(err, context.Canceled) || out != nil {
		t.Errorf("cancelled: got %v, %v, want %v", out, err, context.Canceled)
	}
	wantError[*smithy.OperationError](t, "cancelled", err)
}

func TestEncryptionContext(t *testing.T) {
	t.Parallel()
	k, id := inMemory(t)
	plaintext, blob := mustGenerate(t, k, id, map[string]string{"a": "bc", "d": "e"})
	wantDecrypt(t, k, &sdk.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"d": "e", "a": "bc"}}, plaintext)
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
		_, err := k.Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: blob, EncryptionContext: context})
		wantError[*types.InvalidCiphertextException](t, fmt.Sprint(context), err)
	}
	// No context and an empty one are the same, as with AWS.
	plaintext, blob = mustGenerate(t, k, id, map[string]string{})
	wantDecrypt(t, k, &sdk.DecryptInput{CiphertextBlob: blob}, plaintext)
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	k, id := inMemory(t)
	other := mustCreate(t, k)
	plaintext, blob := mustGenerate(t, k, id, nil)
	wantDecrypt(t, k, &sdk.DecryptInput{CiphertextBlob: blob, KeyId: aws.String(DefaultAlias)}, plaintext)
	decrypt := func(in sdk.DecryptInput) error {
		in.CiphertextBlob = blob
		_, err := k.Decrypt(t.Context(), &in)
		return err
	}
	wantError[*types.IncorrectKeyException](t, "another key", decrypt(sdk.DecryptInput{KeyId: other.Arn}))
	wantError[*types.IncorrectKeyException](t, "another key and context", decrypt(sdk.DecryptInput{KeyId: other.Arn, EncryptionContext: map[string]string{"a": "b"}}))
	wantError[*types.NotFoundException](t, "no such alias", decrypt(sdk.DecryptInput{KeyId: aws.String("alias/none")}))
	wantError[*types.NotFoundException](t, "an empty key id", decrypt(sdk.DecryptInput{KeyId: aws.String("")}))
	wantError[*types.InvalidKeyUsageException](t, "another algorithm", decrypt(sdk.DecryptInput{EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha1}))
	stranger, _ := inMemory(t)
	_, err := stranger.Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: blob})
	wantError[*types.InvalidCiphertextException](t, "another KMS", err)
}

func TestReEncrypt(t *testing.T) {
	t.Parallel()
	k, id := inMemory(t)
	other := mustCreate(t, k)
	from, to := map[string]string{"at": "here"}, map[string]string{"at": "there"}
	plaintext, blob := mustGenerate(t, k, id, from)
	out, err := k.ReEncrypt(t.Context(), &sdk.ReEncryptInput{
		CiphertextBlob: blob, SourceEncryptionContext: from, DestinationKeyId: other.KeyId, DestinationEncryptionContext: to,
	})
	if err != nil {
		t.Fatal(err)
	}
	if *out.SourceKeyId != *id || *out.KeyId != *other.Arn {
		t.Errorf("got from %s to %s, want from %s to %s", *out.SourceKeyId, *out.KeyId, *id, *other.Arn)
	}
	wantDecrypt(t, k, &sdk.DecryptInput{CiphertextBlob: out.CiphertextBlob, KeyId: other.KeyId, EncryptionContext: to}, plaintext)
	_, err = k.ReEncrypt(t.Context(), &sdk.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: other.KeyId})
	wantError[*types.InvalidCiphertextException](t, "wrong context", err)
	_, err = k.ReEncrypt(t.Context(), &sdk.ReEncryptInput{CiphertextBlob: blob, SourceKeyId: other.KeyId, SourceEncryptionContext: from, DestinationKeyId: id})
	wantError[*types.IncorrectKeyException](t, "wrong source", err)
}

func TestRotation(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	k, id := inFile(t, path)
	var plaintexts []string
	var blobs [][]byte
	for range 4 {
		plaintext, blob := mustGenerate(t, k, id, nil)
		plaintexts, blobs = append(plaintexts, plaintext), append(blobs, blob)
		if _, err := k.RotateKeyOnDemand(t.Context(), &sdk.RotateKeyOnDemandInput{KeyId: id}); err != nil {
			t.Fatal(err)
		}
	}
	again, _ := inFile(t, path) // what is in the file is enough
	for number, blob := range blobs {
		if got := int(blob[headerSize-1]); got != number {
			t.Errorf("backing key: got %d, want %d", got, number)
		}
		wantDecrypt(t, k, &sdk.DecryptInput{CiphertextBlob: blob}, plaintexts[number])
		wantDecrypt(t, again, &sdk.DecryptInput{CiphertextBlob: blob}, plaintexts[number])
	}
}

func TestDisabledKey(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	k, id := inFile(t, path)
	plaintext, blob := mustGenerate(t, k, id, nil)
	if _, err := k.DisableKey(t.Context(), &sdk.DisableKeyInput{KeyId: id}); err != nil {
		t.Fatal(err)
	}
	again, _ := inFile(t, path)
	for _, k := range []*Keys{k, again} {
		_, err := k.Decrypt(t.Context(), &sdk.DecryptInput{CiphertextBlob: blob})
		wantError[*types.DisabledException](t, "Decrypt", err)
		_, err = k.GenerateDataKey(t.Context(), &sdk.GenerateDataKeyInput{KeyId: id, KeySpec: types.DataKeySpecAes256})
		wantError[*types.DisabledException](t, "GenerateDataKey", err)
		_, err = k.RotateKeyOnDemand(t.Context(), &sdk.RotateKeyOnDemandInput{KeyId: id})
		wantError[*types.DisabledException](t, "RotateKeyOnDemand", err)
		out, err := k.DescribeKey(t.Context(), &sdk.DescribeKeyInput{KeyId: id})
		if err != nil || out.KeyMetadata.Enabled || out.KeyMetadata.KeyState != types.KeyStateDisabled {
			t.Errorf("DescribeKey: got %+v, %v, want it disabled", out, err)
		}
	}
	if _, err := k.EnableKey(t.Context(), &sdk.EnableKeyInput{KeyId: id}); err != nil {
		t.Fatal(err)
	}
	wantDecrypt(t, k, &sdk.DecryptInput{CiphertextBlob: blob}, plaintext)
}

func TestAliases(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	k, id := inFile(t, path)
	other := mustCreate(t, k)
	create := func(name string, target *string) error {
		_, err := k.CreateAlias(t.Context(), &sdk.CreateAliasInput{AliasName: &name, TargetKeyId: target})
		return err
	}
	if err := create("alias/my/key", other.KeyId); err != nil {
		t.Fatal(err)
	}
	wantError[*types.AlreadyExistsException](t, "taken", create("alias/my/key", id))
	wantError[*types.NotFoundException](t, "no key", create("alias/x", aws.String("6f2f2b8c-0000-4000-8000-000000000000")))
	wantInvalid(t, "alias of an alias", create("alias/x", aws.String(DefaultAlias)))
	for _, name := range []string{"", "x", "alias/", "alias/a b", "alias/aws/x"} {
		wantError[*types.InvalidAliasNameException](t, name, create(name, other.KeyId))
	}
	k, _ = inFile(t, path)
	out, err := k.DescribeKey(t.Context(), &sdk.DescribeKeyInput{KeyId: aws.String("alias/my/key")})
	if err != nil {
		t.Fatal(err)
	}
	if m := out.KeyMetadata; *m.Arn != *other.Arn || !m.CreationDate.Equal(*other.CreationDate) || *m.Description != "another" || !m.Enabled {
		t.Errorf("DescribeKey: got %+v, want %+v", m, other)
	}
}

// Readers see whole rings while writers change them, and no change is lost.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	k, err := Open(Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	const writers = 8
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			id := mustDefault(t, k)
			plaintext, blob := mustGenerate(t, k, id, nil)
			if _, err := k.RotateKeyOnDemand(t.Context(), &sdk.RotateKeyOnDemandInput{KeyId: id}); err != nil {
				t.Error(err)
			}
			created, err := k.CreateKey(t.Context(), &sdk.CreateKeyInput{Description: aws.String(fmt.Sprint(i))})
			if err != nil {
				t.Error(err)
				return
			}
			mustGenerate(t, k, created.KeyMetadata.Arn, nil)
			wantDecrypt(t, k, &sdk.DecryptInput{CiphertextBlob: blob, KeyId: id}, plaintext)
		})
	}
	all.Wait()
	again, _ := inFile(t, path)
	r := again.current.Load()
	if len(r.Keys) != 1+writers || len(r.Keys[0].Backing) != 1+writers || len(r.Aliases) != 1 {
		t.Errorf("got %d keys, %d backing keys, %d aliases, want %d, %[4]d, 1", len(r.Keys), len(r.Keys[0].Backing), len(r.Aliases), 1+writers)
	}
}

// A reader goes on while a writer waits for the disk.
func TestReadersDoNotWait(t *testing.T) {
	t.Parallel()
	k, id := inMemory(t)
	saving, saved := make(chan struct{}), make(chan struct{})
	k.save = func(*ring) error {
		close(saving)
		<-saved
		return nil
	}
	done := make(chan error)
	go func() {
		_, err := k.RotateKeyOnDemand(t.Context(), &sdk.RotateKeyOnDemandInput{KeyId: id})
		done <- err
	}()
	<-saving
	_, blob := mustGenerate(t, k, id, nil)
	if got := blob[headerSize-1]; got != 0 {
		t.Errorf("sealed under backing key %d, which is not on disk", got)
	}
	close(saved)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, blob := mustGenerate(t, k, id, nil); blob[headerSize-1] != 1 {
		t.Errorf("got backing key %d, want 1", blob[headerSize-1])
	}
}

// What a Sealer makes of the errors here is what callers of the API see.
func TestSealer(t *testing.T) {
	t.Parallel()
	k, id := inMemory(t)
	other := mustCreate(t, k)
	s := &envelope.Sealer{KMS: k, DefaultKey: *id}
	at := envelope.Place{ARN: "arn:aws:secretsmanager:us-east-1:000000000000:secret:s-Ab3dE6", VersionID: "v1"}
	sealed, err := s.Seal(t.Context(), at, "", secret.NewValue(secret.String, []byte("hunter2")))
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := s.Rewrap(t.Context(), at, sealed, *other.Arn)
	if err != nil {
		t.Fatal(err)
	}
	if value, err := s.Open(t.Context(), at, wrapped); err != nil || string(value.Reveal()) != "hunter2" {
		t.Errorf("open: got %v, want what was sealed", err)
	}
	_, err = s.Open(t.Context(), envelope.Place{ARN: at.ARN, VersionID: "v2"}, sealed)
	wantCode(t, "another place", err, secret.DecryptionFailure)
	_, err = s.Seal(t.Context(), at, "alias/none", secret.NewValue(secret.String, []byte("x")))
	wantCode(t, "no such key", err, secret.EncryptionFailure)
	if _, err := k.DisableKey(t.Context(), &sdk.DisableKeyInput{KeyId: id}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Open(t.Context(), at, sealed)
	wantCode(t, "disabled", err, secret.DecryptionFailure)
}

func wantCode(t *testing.T, what string, err error, code secret.Code) {
	t.Helper()
	if refused, ok := errors.AsType[secret.Error](err); !ok || refused.Code != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

func BenchmarkDataKey(b *testing.B) {
	k, id := inMemory(b)
	context := map[string]string{"SecretARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:s-Ab3dE6", "SecretVersionId": "v1"}
	generate := &sdk.GenerateDataKeyInput{KeyId: id, KeySpec: types.DataKeySpecAes256, EncryptionContext: context}
	b.ReportAllocs()
	for b.Loop() {
		out, err := k.GenerateDataKey(b.Context(), generate)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := k.Decrypt(b.Context(), &sdk.DecryptInput{CiphertextBlob: out.CiphertextBlob, KeyId: id, EncryptionContext: context}); err != nil {
			b.Fatal(err)
		}
	}
}
