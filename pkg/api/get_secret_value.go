package api

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/secret"
)

type getSecretValueInput struct {
	SecretId     string `aws:"required,len=1-2048"`
	VersionId    string `aws:"len=32-64"`
	VersionStage string `aws:"len=1-256"`
}

type getSecretValueOutput struct {
	ARN, Name, VersionId string
	SecretBinary         []byte   `json:",omitempty"`
	SecretString         string   `json:",omitempty"`
	VersionStages        []string `json:",omitempty"`
	CreatedDate          timestamp
}

func (c *call) getSecretValue(ctx context.Context, in getSecretValueInput) (out getSecretValueOutput, err error) {
	sec, err := c.find(ctx, in.SecretId)
	if err != nil {
		return out, err
	}
	out, err = c.reveal(ctx, sec, in.VersionId, in.VersionStage, c.authorize)
	c.version = out.VersionId
	return out, err
}

// A revealing is whether the caller may read a secret as it stands.
type revealing = func(context.Context, secret.Secret) error

// reveal opens the version of a secret that is asked for, whose caller may read it.
// Where it turns out that the secret has changed, may is asked again.
func (c *call) reveal(ctx context.Context, sec secret.Secret, versionID, stage string, may revealing) (out getSecretValueOutput, err error) {
	asked, err := sec.Version(versionID, stage)
	if err != nil {
		return out, err
	}
	if err := c.crossAccount(sec); err != nil {
		return out, err
	}
	version, found, err := c.store.Version(ctx, sec, asked.ID)
	if err != nil {
		return out, err
	}
	switch {
	case !found || version.Revision > sec.Revision:
		return c.revealAnew(ctx, sec, versionID, stage, asked.Missing, may)
	case asked.Mismatch != nil:
		return out, asked.Mismatch
	}
	value, err := c.sealer.Open(ctx, envelope.Place{ARN: sec.ARN, VersionID: version.ID}, version.Sealed)
	if err != nil {
		return out, err
	}
	c.touch(ctx, sec, version)
	out = getSecretValueOutput{
		ARN: sec.ARN, Name: sec.Name, VersionId: version.ID,
		VersionStages: sec.Stages.Of(version.ID),
		CreatedDate:   timestamp(version.Created),
	}
	if value.Kind() == secret.Binary {
		out.SecretBinary = value.Reveal()
	} else {
		out.SecretString = string(value.Reveal())
	}
	return out, nil
}

// revealAnew answers for a version that is not there, or was put after the secret was
// read. Where the secret has changed since, its label may have moved on and the version
// been removed between the two reads; then what stands now is asked for.
func (c *call) revealAnew(ctx context.Context, sec secret.Secret, versionID, stage string, missing error, may revealing) (out getSecretValueOutput, err error) {
	now, err := c.store.Get(ctx, secret.ID{Name: sec.Name, Suffix: sec.Suffix()})
	switch {
	case err != nil:
		return out, err
	case now.Revision == sec.Revision:
		return out, missing
	}
	if err := may(ctx, now); err != nil {
		return out, err
	}
	return c.reveal(ctx, now, versionID, stage, may)
}

// touch notes the day of the read. It never fails a read, and no read waits for it
// longer than for itself: at midnight, many may write to one secret.
func (c *call) touch(ctx context.Context, sec secret.Secret, version secret.Version) {
	ctx, cancel := context.WithTimeout(ctx, max(time.Since(c.began), cmp.Or(c.server.DatePatience, 20*time.Millisecond)))
	defer cancel()
	if err := c.store.Touch(ctx, sec, version, c.now()); err != nil && c.server.Log != nil {
		c.server.Log.WarnContext(ctx, "last accessed date not noted", slog.String("secret", sec.Name), slog.String("error", err.Error()))
	}
}
