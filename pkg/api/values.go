package api

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// valueOf is the value in a request, and whether there is one. A value needs a
// client request token; AWS says so before it looks whether the secret exists
// (recorded).
func valueOf(token, text string, blob []byte) (secret.Value, bool, error) {
	given := text != "" || blob != nil
	switch {
	case given && token == "":
		return secret.Value{}, false, errNoToken
	case text != "" && blob != nil:
		return secret.Value{}, false, secret.Errorf(secret.InvalidParameter, "You can't specify both a binary secret value and a string secret value in the same secret.")
	case blob != nil:
		return secret.NewValue(secret.Binary, blob), true, nil
	}
	return secret.NewValue(secret.String, []byte(text)), given, nil
}

var errNoToken = secret.Errorf(secret.InvalidRequest, "You must provide a ClientRequestToken value. We recommend a UUID-type value.")

// put gives a secret a version with this value, as decide says. The token is the
// version's ID: when there is one already with the same value, the request was
// made before, and the secret is returned as it stands; with another value it is
// refused.
func (c *call) put(ctx context.Context, id secret.ID, token string, value secret.Value, decide decision) (secret.Secret, error) {
	c.byToken()
	seal := c.sealOnce(token, value)
	var seen secret.Secret
	decide = c.notingPruning(decide)
	sec, err := c.change(ctx, id, func(sec secret.Secret) (change secret.Change, err error) {
		seen = sec
		if change, err = decide(sec); err != nil {
			return change, err
		}
		if err := c.crossAccount(sec); err != nil {
			return change, err
		}
		change.Quota = sec.Quota(c.server.VersionQuota, c.server.Retention)
		change.Version.Sealed, err = seal(ctx, change.Secret)
		return change, err
	})
	if exists, ok := errors.AsType[*store.VersionExists](err); ok {
		if err = c.sameValue(ctx, exists.Secret, exists.Version, value); err == nil && exists.Last {
			c.addAbandoned(exists.Secret)
		}
		return exists.Secret, err
	}
	refusal, ok := errors.AsType[secret.Error](err)
	if ok && (refusal.Code == secret.LimitExceeded || refusal == secret.ErrRotationToken) {
		return seen, c.putBefore(ctx, seen, token, value, refusal)
	}
	return sec, err
}

// putBefore takes back a refusal for a limit, or for a RotationToken that has expired,
// when the version was put by an earlier try: a repeat answers as the first, whatever
// has come since. Another value is refused as before.
func (c *call) putBefore(ctx context.Context, sec secret.Secret, token string, value secret.Value, refusal secret.Error) error {
	if err := c.crossAccount(sec); err != nil {
		return err
	}
	version, found, err := c.store.Version(ctx, sec, token)
	if err != nil {
		return err
	}
	if !found {
		return refusal
	}
	err = c.sameValue(ctx, sec, version, value)
	if refusal == secret.ErrRotationToken && errors.Is(err, secret.TokenInUse(token, sec.ARN)) {
		return refusal
	}
	return err
}

// sameValue refuses a token whose version has another value.
func (c *call) sameValue(ctx context.Context, sec secret.Secret, version secret.Version, value secret.Value) error {
	had, err := c.sealer.Open(ctx, envelope.Place{ARN: sec.ARN, VersionID: version.ID}, version.Sealed)
	if err != nil {
		return err
	}
	if !had.Equal(value) {
		return secret.TokenInUse(version.ID, sec.ARN)
	}
	return nil
}

// sealOnce returns a function that seals the value the first time, and again only
// when the secret turns out to have another ARN or KMS key than it had then.
func (c *call) sealOnce(token string, value secret.Value) func(context.Context, secret.Secret) (secret.Sealed, error) {
	var sealed secret.Sealed
	var arn, key string
	return func(ctx context.Context, sec secret.Secret) (_ secret.Sealed, err error) {
		if arn == sec.ARN && key == sec.SealingKey() {
			return sealed, nil
		}
		sealed, err = c.sealer.Seal(ctx, envelope.Place{ARN: sec.ARN, VersionID: token}, sec.SealingKey(), value)
		if err == nil {
			arn, key = sec.ARN, sec.SealingKey()
		}
		return sealed, err
	}
}

// newSuffix makes the end of a new ARN: six letters and digits.
func (s *Server) newSuffix() string {
	if s.NewSuffix != nil {
		return s.NewSuffix()
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return string(draw(6, alphabet))
}

// A timestamp is a time on the wire: seconds since 1970, with milliseconds.
type timestamp time.Time

// IsZero leaves out a time that never was, under omitzero.
func (t timestamp) IsZero() bool { return time.Time(t).IsZero() }

// MarshalJSON writes a number.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Time(t).UnixMilli())/1000, 'f', -1, 64), nil
}
