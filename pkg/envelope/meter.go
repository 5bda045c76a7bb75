package envelope

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// Metered is s, with the data keys that it remembers, for one who wants to know
// what it costs: note is called for each call to KMS. It may be called concurrently.
func (s *Sealer) Metered(note func()) *Sealer {
	return &Sealer{KMS: meter{s.KMS, note}, DefaultKey: s.DefaultKey, Keep: s.Keep, of: s}
}

// Beside is a sealer of the same process under other keys. Both remember data keys within
// one bound.
func (s *Sealer) Beside(kms KMS, defaultKey string) *Sealer {
	return &Sealer{KMS: kms, DefaultKey: defaultKey, Keep: s.Keep, of: s}
}

// memory is where the data keys are remembered.
func (s *Sealer) memory() *dataKeys {
	if s.of != nil {
		return s.of.memory()
	}
	return &s.keys
}

// A meter notes the calls of a KMS client.
type meter struct {
	kms  KMS
	note func()
}

func (m meter) GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, o ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	m.note()
	return m.kms.GenerateDataKey(ctx, in, o...)
}

func (m meter) Decrypt(ctx context.Context, in *kms.DecryptInput, o ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	m.note()
	return m.kms.Decrypt(ctx, in, o...)
}

func (m meter) ReEncrypt(ctx context.Context, in *kms.ReEncryptInput, o ...func(*kms.Options)) (*kms.ReEncryptOutput, error) {
	m.note()
	return m.kms.ReEncrypt(ctx, in, o...)
}
