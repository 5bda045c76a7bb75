package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/schedule"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

type rotateSecretInput struct {
	SecretId                       string `aws:"required,len=1-2048"`
	ClientRequestToken             string `aws:"len=32-64"`
	RotationLambdaARN              string `aws:"len=0-2048"`
	RotationRules                  *rotationRules
	RotateImmediately              *bool
	ExternalSecretRotationMetadata []externalRotationItem `aws:"len=0-10"` // the model has no bound
	ExternalSecretRotationRoleArn  string                 `aws:"len=20-2048"`
}

type rotationRules struct {
	AutomaticallyAfterDays *int   `aws:"range=1-1000" json:",omitempty"`
	Duration               string `aws:"len=2-3,pattern=duration" json:",omitempty"`
	ScheduleExpression     string `aws:"len=1-256,pattern=schedule" json:",omitempty"`
}

type externalRotationItem struct {
	Key   string `aws:"required,len=1-256"`
	Value string `aws:"required,len=1-2048"`
}

type rotateSecretOutput struct{ ARN, Name, VersionId string }

// A Rotator runs the rotations that RotateSecret asks for.
type Rotator interface {
	// Check returns [secret.NotInvokable] for a function that cannot be invoked.
	Check(ctx context.Context, function string) error
	// Start begins the rotation of a secret that is due, and does not wait for its
	// end. When it fails, the schedule begins it a little later.
	Start(ctx context.Context, arn string) error
}

func (c *call) rotateSecret(ctx context.Context, in rotateSecretInput) (out rotateSecretOutput, err error) {
	id, err := c.server.ARNs.Parse(in.SecretId)
	if err != nil {
		return out, err
	}
	switch {
	case in.ClientRequestToken == "": // another code than elsewhere (recorded)
		return out, secret.Errorf(secret.InvalidParameter, "%s", errNoToken.Message)
	case in.ExternalSecretRotationRoleArn != "" || in.ExternalSecretRotationMetadata != nil:
		return out, secret.Errorf(secret.InvalidRequest, "The rotation of managed external secrets is not available.")
	}
	c.byToken()
	rotation := c.newRotation(in)
	sec, err := c.change(ctx, id, func(sec secret.Secret) (secret.Change, error) { return rotation.decide(ctx, sec) })
	if exists, ok := errors.AsType[*store.VersionExists](err); ok {
		err = exists.Secret.RotatedBefore(in.ClientRequestToken)
	}
	if err != nil {
		return out, err
	}
	c.startRotation(ctx, sec)
	if sec.Rotation.Asked != in.ClientRequestToken { // another one is reattempted
		return out, secret.ErrIncomplete
	}
	return rotateSecretOutput{sec.ARN, sec.Name, in.ClientRequestToken}, nil
}

// A rotation is what a request asks for. Whether the function can be invoked is asked
// once, and the copy for a test is made once, however often it is decided.
type rotation struct {
	asked     secret.Rotate
	now       time.Time
	invokable func(context.Context, string) error
	copied    func(context.Context, secret.Secret) (secret.Sealed, error)
	empty     func(context.Context, secret.Secret) (string, error)
}

func (c *call) newRotation(in rotateSecretInput) *rotation {
	now := c.now()
	least := schedule.Shortest // rules that are stored were taken once
	rules := in.RotationRules.rules()
	if rules != nil {
		least = cmp.Or(c.server.MinRotationInterval, schedule.Least)
	}
	return &rotation{
		asked: secret.Rotate{
			Token:  in.ClientRequestToken,
			Lambda: in.RotationLambdaARN,
			Rules:  rules,
			Test:   in.RotateImmediately != nil && !*in.RotateImmediately,
			Next: func(rules secret.RotationRules, anchor time.Time) (secret.Window, error) {
				return schedule.Next(rules, least, schedule.Times{Anchor: anchor, Last: now, Now: now})
			},
		},
		now:       now,
		invokable: c.invokable(),
		copied:    c.copyOnce(in.ClientRequestToken),
		empty:     c.emptyVersion,
	}
}

func (r *rotation) decide(ctx context.Context, sec secret.Secret) (secret.Change, error) {
	asked, err := r.asked, error(nil)
	if asked.Empty, err = r.empty(ctx, sec); err != nil {
		return secret.Change{}, err
	}
	change, err := sec.Rotate(asked, r.now)
	// The refusal says that the other one is reattempted. A request that leaves the
	// rotation to its schedule does not ask for that.
	if errors.Is(err, secret.ErrIncomplete) && !r.asked.Test {
		return sec.Reattempt(r.now), nil
	}
	if err != nil || change.IsUnchanged() {
		return change, err
	}
	if err := r.invokable(ctx, change.Secret.Rotation.Lambda); err != nil {
		return change, err
	}
	if change.Version != nil {
		change.Version.Sealed, err = r.copied(ctx, sec)
	}
	return change, err
}

// emptyVersion is the version of a cancelled rotation that has AWSPENDING and no
// value; empty for none. A put of a value makes another revision of the secret, so
// that no change decided on this is committed.
func (c *call) emptyVersion(ctx context.Context, sec secret.Secret) (string, error) {
	version := sec.Unfinished()
	if version == "" || sec.Rotation.Enabled {
		return "", nil
	}
	_, found, err := c.store.Version(ctx, sec, version)
	if err != nil || found {
		return "", err
	}
	return version, nil
}

// invokable returns a function that asks once for each rotation function whether it
// can be invoked.
func (c *call) invokable() func(context.Context, string) error {
	var asked string
	var answer error
	return func(ctx context.Context, function string) error {
		if c.server.Rotator != nil && asked != function {
			asked, answer = function, c.server.Rotator.Check(ctx, function)
		}
		return answer
	}
}

// copyOnce returns a function that seals the current value of a secret as another
// version, and again only when that turns out to be another value.
func (c *call) copyOnce(token string) func(context.Context, secret.Secret) (secret.Sealed, error) {
	var of string
	var seal func(context.Context, secret.Secret) (secret.Sealed, error)
	return func(ctx context.Context, sec secret.Secret) (secret.Sealed, error) {
		current := sec.Stages[secret.Current]
		if of != sec.ARN+current {
			version, found, err := c.store.Version(ctx, sec, current)
			if err != nil {
				return secret.Sealed{}, err
			}
			if !found {
				return secret.Sealed{}, secret.NoSuchStage(secret.Current)
			}
			value, err := c.sealer.Open(ctx, envelope.Place{ARN: sec.ARN, VersionID: current}, version.Sealed)
			if err != nil {
				return secret.Sealed{}, err
			}
			of, seal = sec.ARN+current, c.sealOnce(token, value)
		}
		return seal(ctx, sec)
	}
}

func (c *call) startRotation(ctx context.Context, sec secret.Secret) {
	if c.server.Rotator == nil || sec.RotationDue().IsZero() || sec.RotationDue().After(c.now()) {
		return
	}
	if err := c.server.Rotator.Start(ctx, sec.ARN); err != nil && c.server.Log != nil {
		c.server.Log.WarnContext(ctx, "rotation is left to the schedule", slog.String("secret", sec.Name), slog.String("error", err.Error()))
	}
}

// rules are those asked for; nil for none, which leaves the stored ones. So do rules
// without a member (a guess).
func (r *rotationRules) rules() *secret.RotationRules {
	if r == nil || *r == (rotationRules{}) {
		return nil
	}
	return &secret.RotationRules{
		AutomaticallyAfterDays: orDefault(r.AutomaticallyAfterDays, 0),
		ScheduleExpression:     r.ScheduleExpression,
		Duration:               r.Duration,
	}
}
