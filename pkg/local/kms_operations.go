package local

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// operations are the operations of this KMS. Inputs and outputs carry AWS's
// field names, so the JSON needs no tags.
var operations = map[string]func(h *kmsHandler, body []byte) (any, error){
	"CreateAlias":                     serve((*kmsHandler).createAlias),
	"CreateKey":                       serve((*kmsHandler).createKey),
	"Decrypt":                         serve((*kmsHandler).decrypt),
	"DescribeKey":                     serve((*kmsHandler).describeKey),
	"DisableKey":                      serve((*kmsHandler).disableKey),
	"EnableKey":                       serve((*kmsHandler).enableKey),
	"Encrypt":                         serve((*kmsHandler).encrypt),
	"GenerateDataKey":                 serve((*kmsHandler).generateDataKey),
	"GenerateDataKeyWithoutPlaintext": serve((*kmsHandler).generateDataKeyWithoutPlaintext),
	"ListAliases":                     serve((*kmsHandler).listAliases),
	"ReEncrypt":                       serve((*kmsHandler).reEncrypt),
	"RotateKeyOnDemand":               serve((*kmsHandler).rotateKeyOnDemand),
}

func serve[In, Out any](operation func(*kmsHandler, In) (Out, error)) func(*kmsHandler, []byte) (any, error) {
	return func(h *kmsHandler, body []byte) (any, error) {
		var in In
		if err := decode(body, &in); err != nil {
			return nil, err
		}
		return operation(h, in)
	}
}

const (
	symmetric  = "SYMMETRIC_DEFAULT"
	keyUsage   = "ENCRYPT_DECRYPT"
	keyOrigin  = "AWS_KMS"
	maxContext = 8192 // bytes of an encryption context, as with AWS
)

// Grant tokens are for permissions that were granted a moment ago. There are
// no permissions here beside the credential, so they may be there.

type generateDataKeyInput struct {
	KeyId             string
	EncryptionContext map[string]string
	KeySpec           string
	NumberOfBytes     *int
	GrantTokens       []string
}

type generateDataKeyOutput struct {
	CiphertextBlob []byte
	KeyId          string
	Plaintext      []byte `json:",omitempty"`
}

func (h *kmsHandler) generateDataKey(in generateDataKeyInput) (out generateDataKeyOutput, err error) {
	size, err := dataKeySize(in.KeySpec, in.NumberOfBytes)
	if err != nil {
		return out, err
	}
	out.Plaintext = randomBytes(size)
	out.CiphertextBlob, out.KeyId, err = h.seal(in.KeyId, out.Plaintext, in.EncryptionContext)
	return out, err
}

func (h *kmsHandler) generateDataKeyWithoutPlaintext(in generateDataKeyInput) (generateDataKeyOutput, error) {
	out, err := h.generateDataKey(in)
	out.Plaintext = nil
	return out, err
}

func dataKeySize(spec string, bytes *int) (int, error) {
	switch {
	case (spec == "") == (bytes == nil):
		return 0, refuse("ValidationException", "Please specify either number of bytes or key spec.")
	case bytes != nil && (*bytes < 1 || *bytes > 1024):
		return 0, refuse("ValidationException", "NumberOfBytes must be from 1 to 1024.")
	case bytes != nil:
		return *bytes, nil
	case spec == "AES_256":
		return 32, nil
	case spec == "AES_128":
		return 16, nil
	}
	return 0, refuse("ValidationException", "KeySpec must be AES_256 or AES_128.")
}

type encryptInput struct {
	KeyId               string
	Plaintext           []byte
	EncryptionContext   map[string]string
	EncryptionAlgorithm string
	GrantTokens         []string
}

type encryptOutput struct {
	CiphertextBlob      []byte
	KeyId               string
	EncryptionAlgorithm string
}

func (h *kmsHandler) encrypt(in encryptInput) (out encryptOutput, err error) {
	if err := checkAlgorithms(in.EncryptionAlgorithm); err != nil {
		return out, err
	}
	if len(in.Plaintext) == 0 || len(in.Plaintext) > 4096 {
		return out, refuse("ValidationException", "Plaintext must be from 1 to 4096 bytes.")
	}
	out.EncryptionAlgorithm = symmetric
	out.CiphertextBlob, out.KeyId, err = h.seal(in.KeyId, in.Plaintext, in.EncryptionContext)
	return out, err
}

type decryptInput struct {
	KeyId               string
	CiphertextBlob      []byte
	EncryptionContext   map[string]string
	EncryptionAlgorithm string
	GrantTokens         []string
}

type decryptOutput struct {
	KeyId               string
	Plaintext           []byte
	EncryptionAlgorithm string
}

func (h *kmsHandler) decrypt(in decryptInput) (out decryptOutput, err error) {
	if err := checkAlgorithms(in.EncryptionAlgorithm); err != nil {
		return out, err
	}
	out.EncryptionAlgorithm = symmetric
	out.Plaintext, out.KeyId, err = h.open(in.KeyId, in.CiphertextBlob, in.EncryptionContext)
	return out, err
}

type reEncryptInput struct {
	CiphertextBlob                 []byte
	SourceKeyId                    string
	SourceEncryptionContext        map[string]string
	SourceEncryptionAlgorithm      string
	DestinationKeyId               string
	DestinationEncryptionContext   map[string]string
	DestinationEncryptionAlgorithm string
	GrantTokens                    []string
}

type reEncryptOutput struct {
	CiphertextBlob                 []byte
	SourceKeyId                    string
	KeyId                          string
	SourceEncryptionAlgorithm      string
	DestinationEncryptionAlgorithm string
}

func (h *kmsHandler) reEncrypt(in reEncryptInput) (out reEncryptOutput, err error) {
	if err := checkAlgorithms(in.SourceEncryptionAlgorithm, in.DestinationEncryptionAlgorithm); err != nil {
		return out, err
	}
	plaintext, source, err := h.open(in.SourceKeyId, in.CiphertextBlob, in.SourceEncryptionContext)
	if err != nil {
		return out, err
	}
	defer clear(plaintext)
	out.SourceKeyId, out.SourceEncryptionAlgorithm, out.DestinationEncryptionAlgorithm = source, symmetric, symmetric
	out.CiphertextBlob, out.KeyId, err = h.seal(in.DestinationKeyId, plaintext, in.DestinationEncryptionContext)
	return out, err
}

type keyInput struct {
	KeyId       string
	GrantTokens []string
}

type keyOutput struct{ KeyMetadata keyMetadata }

type keyMetadata struct {
	AWSAccountId          string
	KeyId                 string
	Arn                   string
	CreationDate          float64
	Enabled               bool
	Description           string
	KeyUsage              string
	KeyState              string
	Origin                string
	KeyManager            string
	CustomerMasterKeySpec string
	KeySpec               string
	EncryptionAlgorithms  []string
	MultiRegion           bool
}

func (h *kmsHandler) describeKey(in keyInput) (out keyOutput, err error) {
	k, err := h.ring.keys().find(in.KeyId)
	if err != nil {
		return out, err
	}
	return keyOutput{describe(k)}, nil
}

func describe(k key) keyMetadata {
	state := "Enabled"
	if k.Disabled {
		state = "Disabled"
	}
	return keyMetadata{
		AWSAccountId:          Account,
		KeyId:                 k.ID.String(),
		Arn:                   k.arn(),
		CreationDate:          seconds(k.Created),
		Enabled:               !k.Disabled,
		Description:           k.Description,
		KeyUsage:              keyUsage,
		KeyState:              state,
		Origin:                keyOrigin,
		KeyManager:            "CUSTOMER",
		CustomerMasterKeySpec: symmetric,
		KeySpec:               symmetric,
		EncryptionAlgorithms:  []string{symmetric},
	}
}

type createKeyInput struct {
	Description string
	KeyUsage    string
	KeySpec     string
	Origin      string
}

func (h *kmsHandler) createKey(in createKeyInput) (out keyOutput, err error) {
	if cmp.Or(in.KeySpec, symmetric) != symmetric || cmp.Or(in.KeyUsage, keyUsage) != keyUsage || cmp.Or(in.Origin, keyOrigin) != keyOrigin {
		return out, refuse("UnsupportedOperationException", "The local KMS has symmetric encryption keys of its own making only.")
	}
	if len(in.Description) > 8192 {
		return out, refuse("ValidationException", "Description must not be longer than 8192.")
	}
	k := newKey(in.Description, h.now())
	err = h.ring.update(func(ks keys) (keys, error) { return ks.withKey(k), nil })
	return keyOutput{describe(k)}, err
}

type createAliasInput struct{ AliasName, TargetKeyId string }

type noOutput struct{}

var aliasName = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]{1,250}$`)

func (h *kmsHandler) createAlias(in createAliasInput) (out noOutput, err error) {
	if !aliasName.MatchString(in.AliasName) || strings.HasPrefix(in.AliasName, "alias/aws/") {
		return out, refuse("InvalidAliasNameException", "An alias begins with alias/ and goes on with letters, digits, /, _ and -; alias/aws/ is for AWS.")
	}
	if strings.Contains(in.TargetKeyId, "alias/") {
		return out, refuse("ValidationException", "Aliases must refer to keys, not to aliases.")
	}
	return out, h.ring.update(func(ks keys) (keys, error) {
		k, err := ks.find(in.TargetKeyId)
		if err != nil {
			return ks, err
		}
		if a, taken := ks.aliases[in.AliasName]; taken {
			return ks, refuse("AlreadyExistsException", "An alias with the name %s already exists", a.arn())
		}
		return ks.withAlias(alias{Name: in.AliasName, Key: k.ID, Created: h.now().UTC().Truncate(time.Millisecond)}), nil
	})
}

type listAliasesInput struct{ KeyId string }

type listAliasesOutput struct {
	Aliases   []aliasListEntry
	Truncated bool
}

type aliasListEntry struct {
	AliasName       string
	AliasArn        string
	TargetKeyId     string
	CreationDate    float64
	LastUpdatedDate float64
}

func (h *kmsHandler) listAliases(in listAliasesInput) (out listAliasesOutput, err error) {
	ks := h.ring.keys()
	var only key
	if in.KeyId != "" {
		if only, err = ks.find(in.KeyId); err != nil {
			return out, err
		}
	}
	out.Aliases = []aliasListEntry{}
	for _, name := range slices.Sorted(maps.Keys(ks.aliases)) {
		if a := ks.aliases[name]; in.KeyId == "" || a.Key == only.ID {
			out.Aliases = append(out.Aliases, aliasListEntry{a.Name, a.arn(), a.Key.String(), seconds(a.Created), seconds(a.Created)})
		}
	}
	return out, nil
}

func (h *kmsHandler) enableKey(in keyInput) (noOutput, error) {
	_, err := h.change(in.KeyId, func(k key) (key, error) {
		k.Disabled = false
		return k, nil
	})
	return noOutput{}, err
}

func (h *kmsHandler) disableKey(in keyInput) (noOutput, error) {
	_, err := h.change(in.KeyId, func(k key) (key, error) {
		k.Disabled = true
		return k, nil
	})
	return noOutput{}, err
}

type rotateKeyOnDemandOutput struct{ KeyId string }

func (h *kmsHandler) rotateKeyOnDemand(in keyInput) (rotateKeyOnDemandOutput, error) {
	k, err := h.change(in.KeyId, func(k key) (key, error) {
		if k.Disabled {
			return k, disabled(k)
		}
		k.Backing = append(slices.Clone(k.Backing), randomBytes(backingSize))
		return k, nil
	})
	if err != nil {
		return rotateKeyOnDemandOutput{}, err
	}
	return rotateKeyOnDemandOutput{k.ID.String()}, nil
}

// change replaces one key by what f makes of it.
func (h *kmsHandler) change(keyID string, f func(key) (key, error)) (k key, err error) {
	err = h.ring.update(func(ks keys) (keys, error) {
		if k, err = ks.find(keyID); err != nil {
			return ks, err
		}
		if k, err = f(k); err != nil {
			return ks, err
		}
		return ks.withKey(k), nil
	})
	return k, err
}

// seal seals under the key that keyID means, and says which that is.
func (h *kmsHandler) seal(keyID string, plaintext []byte, context map[string]string) (blob []byte, arn string, err error) {
	if err := checkContext(context); err != nil {
		return nil, "", err
	}
	k, err := h.ring.keys().usable(keyID)
	if err != nil {
		return nil, "", err
	}
	blob, err = k.seal(plaintext, context)
	return blob, k.arn(), err
}

// open opens a blob, and says which key it was sealed under. A keyID that is
// given must mean that key.
func (h *kmsHandler) open(keyID string, blob []byte, context map[string]string) (plaintext []byte, arn string, err error) {
	if err := checkContext(context); err != nil {
		return nil, "", err
	}
	ks := h.ring.keys()
	k, plaintext, err := ks.open(blob, context)
	if keyID != "" {
		asked, err := ks.usable(keyID)
		if err != nil {
			return nil, "", err
		}
		if k.Backing != nil && k.ID != asked.ID {
			return nil, "", refuse("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
		}
	}
	return plaintext, k.arn(), err
}

func checkAlgorithms(algorithms ...string) error {
	for _, a := range algorithms {
		if a != "" && a != symmetric {
			return refuse("InvalidKeyUsageException", "The local KMS has the encryption algorithm %s only.", symmetric)
		}
	}
	return nil
}

func checkContext(context map[string]string) error {
	size := 0
	for name, value := range context {
		size += len(name) + len(value)
	}
	if size > maxContext {
		return refuse("ValidationException", "The encryption context is larger than %d bytes.", maxContext)
	}
	return nil
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
