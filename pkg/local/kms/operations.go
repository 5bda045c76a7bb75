package kms

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// members are the members of each input that are supported.
var members = map[string]struct{ required, optional []string }{
	"CreateAlias":       {[]string{"AliasName", "TargetKeyId"}, nil},
	"CreateKey":         {nil, []string{"Description", "KeySpec", "KeyUsage", "Origin"}},
	"Decrypt":           {nil, []string{"CiphertextBlob", "KeyId", "EncryptionContext", "EncryptionAlgorithm"}},
	"DescribeKey":       {[]string{"KeyId"}, nil},
	"DisableKey":        {[]string{"KeyId"}, nil},
	"EnableKey":         {[]string{"KeyId"}, nil},
	"GenerateDataKey":   {[]string{"KeyId"}, []string{"EncryptionContext", "KeySpec", "NumberOfBytes"}},
	"RotateKeyOnDemand": {[]string{"KeyId"}, nil},
	"ReEncrypt": {[]string{"DestinationKeyId"}, []string{
		"CiphertextBlob", "SourceKeyId", "SourceEncryptionContext", "SourceEncryptionAlgorithm",
		"DestinationEncryptionContext", "DestinationEncryptionAlgorithm",
	}},
}

// call does what all calls share. An error names the operation, as the SDK's
// client reports it.
func call[In, Out any](ctx context.Context, operation string, in *In, answer func(*In) (*Out, error)) (out *Out, err error) {
	defer func() {
		if err != nil {
			out, err = nil, &smithy.OperationError{ServiceID: sdk.ServiceID, OperationName: operation, Err: err}
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, &smithy.CanceledError{Err: err}
	}
	if in == nil {
		in = new(In) // as in the SDK's client
	}
	if err := checkMembers(operation, reflect.ValueOf(in).Elem()); err != nil {
		return nil, err
	}
	return answer(in)
}

// checkMembers looks at all members that the SDK has, so that one it adds
// later is refused, too.
func checkMembers(operation string, in reflect.Value) error {
	missing := smithy.InvalidParamsError{Context: operation + "Input"}
	for i := range in.NumField() {
		name, isSet := in.Type().Field(i).Name, !in.Field(i).IsZero()
		required := slices.Contains(members[operation].required, name)
		if isSet && !required && !slices.Contains(members[operation].optional, name) {
			return &types.UnsupportedOperationException{Message: text("The local KMS does not support the parameter %s of %s.", name, operation)}
		}
		if required && !isSet {
			missing.Add(smithy.NewErrParamRequired(name))
		}
	}
	if missing.Len() > 0 {
		return missing
	}
	return nil
}

func text(format string, args ...any) *string { return aws.String(fmt.Sprintf(format, args...)) }

func invalid(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ValidationException", Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// GenerateDataKey returns a new data key, in plaintext and sealed.
func (k *Keys) GenerateDataKey(ctx context.Context, in *sdk.GenerateDataKeyInput, _ ...func(*sdk.Options)) (*sdk.GenerateDataKeyOutput, error) {
	return call(ctx, "GenerateDataKey", in, func(in *sdk.GenerateDataKeyInput) (*sdk.GenerateDataKeyOutput, error) {
		size, err := dataKeySize(in.KeySpec, in.NumberOfBytes)
		if err != nil {
			return nil, err
		}
		plaintext := randomBytes(size)
		blob, arn, err := k.current.Load().seal(*in.KeyId, plaintext, in.EncryptionContext)
		return &sdk.GenerateDataKeyOutput{CiphertextBlob: blob, KeyId: &arn, Plaintext: plaintext}, err
	})
}

func dataKeySize(spec types.DataKeySpec, bytes *int32) (int, error) {
	switch {
	case (spec == "") == (bytes == nil):
		return 0, invalid("Please specify either number of bytes or key spec.")
	case bytes != nil && (*bytes < 1 || *bytes > 1024):
		return 0, invalid("NumberOfBytes must be from 1 to 1024.")
	case bytes != nil:
		return int(*bytes), nil
	case spec == types.DataKeySpecAes256:
		return 32, nil
	case spec == types.DataKeySpecAes128:
		return 16, nil
	}
	return 0, invalid("KeySpec must be AES_256 or AES_128.")
}

// Decrypt opens a blob.
func (k *Keys) Decrypt(ctx context.Context, in *sdk.DecryptInput, _ ...func(*sdk.Options)) (*sdk.DecryptOutput, error) {
	return call(ctx, "Decrypt", in, func(in *sdk.DecryptInput) (*sdk.DecryptOutput, error) {
		if err := checkAlgorithms(in.EncryptionAlgorithm); err != nil {
			return nil, err
		}
		plaintext, arn, err := k.current.Load().open(in.KeyId, in.CiphertextBlob, in.EncryptionContext)
		return &sdk.DecryptOutput{EncryptionAlgorithm: symmetric, KeyId: &arn, Plaintext: plaintext}, err
	})
}

// ReEncrypt opens a blob and seals its plaintext again.
func (k *Keys) ReEncrypt(ctx context.Context, in *sdk.ReEncryptInput, _ ...func(*sdk.Options)) (*sdk.ReEncryptOutput, error) {
	return call(ctx, "ReEncrypt", in, func(in *sdk.ReEncryptInput) (*sdk.ReEncryptOutput, error) {
		if err := checkAlgorithms(in.SourceEncryptionAlgorithm, in.DestinationEncryptionAlgorithm); err != nil {
			return nil, err
		}
		r := k.current.Load()
		plaintext, source, err := r.open(in.SourceKeyId, in.CiphertextBlob, in.SourceEncryptionContext)
		if err != nil {
			return nil, err
		}
		defer clear(plaintext)
		blob, destination, err := r.seal(*in.DestinationKeyId, plaintext, in.DestinationEncryptionContext)
		return &sdk.ReEncryptOutput{
			CiphertextBlob: blob, KeyId: &destination, SourceKeyId: &source,
			SourceEncryptionAlgorithm: symmetric, DestinationEncryptionAlgorithm: symmetric,
		}, err
	})
}

const symmetric = types.EncryptionAlgorithmSpecSymmetricDefault

func checkAlgorithms(algorithms ...types.EncryptionAlgorithmSpec) error {
	for _, a := range algorithms {
		if cmp.Or(a, symmetric) != symmetric {
			return &types.InvalidKeyUsageException{Message: text("The local KMS has the encryption algorithm %s only.", symmetric)}
		}
	}
	return nil
}

// DescribeKey returns what there is to know of a key but its material.
func (k *Keys) DescribeKey(ctx context.Context, in *sdk.DescribeKeyInput, _ ...func(*sdk.Options)) (*sdk.DescribeKeyOutput, error) {
	return call(ctx, "DescribeKey", in, func(in *sdk.DescribeKeyInput) (*sdk.DescribeKeyOutput, error) {
		r := k.current.Load()
		found, err := r.find(*in.KeyId)
		if err != nil {
			return nil, err
		}
		return &sdk.DescribeKeyOutput{KeyMetadata: r.describe(found)}, nil
	})
}

func (r *ring) describe(k *key) *types.KeyMetadata {
	state := types.KeyStateEnabled
	if k.Disabled {
		state = types.KeyStateDisabled
	}
	return &types.KeyMetadata{
		AWSAccountId:          aws.String(r.Account),
		KeyId:                 aws.String(k.ID.String()),
		Arn:                   aws.String(r.arn(k)),
		CreationDate:          aws.Time(k.Created),
		Enabled:               !k.Disabled,
		Description:           aws.String(k.Description),
		KeyUsage:              types.KeyUsageTypeEncryptDecrypt,
		KeyState:              state,
		Origin:                types.OriginTypeAwsKms,
		KeyManager:            types.KeyManagerTypeCustomer,
		CustomerMasterKeySpec: types.CustomerMasterKeySpecSymmetricDefault,
		KeySpec:               types.KeySpecSymmetricDefault,
		EncryptionAlgorithms:  []types.EncryptionAlgorithmSpec{symmetric},
		MultiRegion:           aws.Bool(false),
	}
}

// CreateKey creates a key. The first key of a keyring is created beside the
// default key.
func (k *Keys) CreateKey(ctx context.Context, in *sdk.CreateKeyInput, _ ...func(*sdk.Options)) (*sdk.CreateKeyOutput, error) {
	return call(ctx, "CreateKey", in, func(in *sdk.CreateKeyInput) (*sdk.CreateKeyOutput, error) {
		if err := checkNewKey(in); err != nil {
			return nil, err
		}
		now := time.Now()
		created := newKey(aws.ToString(in.Description), now)
		err := k.update(func(r *ring) error {
			r.addDefault(now)
			r.Keys = append(r.Keys, created)
			return nil
		})
		return &sdk.CreateKeyOutput{KeyMetadata: k.current.Load().describe(&created)}, err
	})
}

func checkNewKey(in *sdk.CreateKeyInput) error {
	if cmp.Or(in.KeySpec, types.KeySpecSymmetricDefault) != types.KeySpecSymmetricDefault ||
		cmp.Or(in.KeyUsage, types.KeyUsageTypeEncryptDecrypt) != types.KeyUsageTypeEncryptDecrypt ||
		cmp.Or(in.Origin, types.OriginTypeAwsKms) != types.OriginTypeAwsKms {
		return &types.UnsupportedOperationException{Message: text("The local KMS has symmetric encryption keys of its own making only.")}
	}
	if d := aws.ToString(in.Description); len(d) > 8192 || !utf8.ValidString(d) {
		return invalid("Description must be UTF-8 and not longer than 8192.")
	}
	return nil
}

var aliasName = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]{1,250}$`)

// CreateAlias gives a key another name.
func (k *Keys) CreateAlias(ctx context.Context, in *sdk.CreateAliasInput, _ ...func(*sdk.Options)) (*sdk.CreateAliasOutput, error) {
	return call(ctx, "CreateAlias", in, func(in *sdk.CreateAliasInput) (*sdk.CreateAliasOutput, error) {
		if !aliasName.MatchString(*in.AliasName) || strings.HasPrefix(*in.AliasName, "alias/aws/") {
			return nil, &types.InvalidAliasNameException{Message: text("An alias begins with alias/ and goes on with letters, digits, /, _ and -; alias/aws/ is for AWS.")}
		}
		if strings.Contains(*in.TargetKeyId, "alias/") {
			return nil, invalid("Aliases must refer to keys, not to aliases.")
		}
		return &sdk.CreateAliasOutput{}, k.update(func(r *ring) error { return r.addAlias(*in.AliasName, *in.TargetKeyId, time.Now()) })
	})
}

func (r *ring) addAlias(name, keyID string, now time.Time) error {
	target, err := r.find(keyID)
	if err != nil {
		return err
	}
	if r.alias(name) >= 0 {
		return &types.AlreadyExistsException{Message: text("An alias with the name %s%s already exists", r.arnPrefix(), name)}
	}
	r.Aliases = append(r.Aliases, alias{name, target.ID, stamp(now)})
	return nil
}

// EnableKey lets a key seal and open again.
func (k *Keys) EnableKey(ctx context.Context, in *sdk.EnableKeyInput, _ ...func(*sdk.Options)) (*sdk.EnableKeyOutput, error) {
	return call(ctx, "EnableKey", in, func(in *sdk.EnableKeyInput) (*sdk.EnableKeyOutput, error) {
		return &sdk.EnableKeyOutput{}, k.setDisabled(*in.KeyId, false)
	})
}

// DisableKey refuses a key to all who would seal or open with it.
func (k *Keys) DisableKey(ctx context.Context, in *sdk.DisableKeyInput, _ ...func(*sdk.Options)) (*sdk.DisableKeyOutput, error) {
	return call(ctx, "DisableKey", in, func(in *sdk.DisableKeyInput) (*sdk.DisableKeyOutput, error) {
		return &sdk.DisableKeyOutput{}, k.setDisabled(*in.KeyId, true)
	})
}

func (k *Keys) setDisabled(keyID string, disabled bool) error {
	return k.update(func(r *ring) error {
		found, err := r.find(keyID)
		if err != nil {
			return err
		}
		found.Disabled = disabled
		return nil
	})
}

// RotateKeyOnDemand adds a backing key, under which the key seals from then on.
func (k *Keys) RotateKeyOnDemand(ctx context.Context, in *sdk.RotateKeyOnDemandInput, _ ...func(*sdk.Options)) (*sdk.RotateKeyOnDemandOutput, error) {
	return call(ctx, "RotateKeyOnDemand", in, func(in *sdk.RotateKeyOnDemandInput) (*sdk.RotateKeyOnDemandOutput, error) {
		var id string
		err := k.update(func(r *ring) error {
			found, err := r.usable(*in.KeyId)
			if err != nil {
				return err
			}
			found.Backing = append(slices.Clone(found.Backing), randomBytes(backingSize))
			id = found.ID.String()
			return nil
		})
		return &sdk.RotateKeyOnDemandOutput{KeyId: &id}, err
	})
}
