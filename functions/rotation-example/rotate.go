package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// The staging labels of a rotation.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
	pending  = "AWSPENDING"
)

// An event says which step of which rotation to do. Do not log it: a holder of the
// RotationToken may write for the rotation while it runs.
type event struct {
	Step               string
	SecretId           string // ARN
	ClientRequestToken string // ID of the version that the rotation makes
	RotationToken      string
}

// A function does the steps of rotations. What it returns and logs goes to logs that
// many people read, so it holds no part of a value.
type function struct {
	secrets  *secretsmanager.Client
	database *database
	log      *slog.Logger
}

// handle does one step. A step that fails fails the rotation, which is tried again from
// createSecret: so every step must do no harm when it is done twice.
func (f *function) handle(ctx context.Context, e event) error {
	log := f.log.With("step", e.Step, "secret", e.SecretId, "version", e.ClientRequestToken)
	if err := f.step(ctx, e); err != nil {
		log.ErrorContext(ctx, "step failed", "error", err.Error())
		return fmt.Errorf("%s: %w", e.Step, err)
	}
	log.InfoContext(ctx, "step done")
	return nil
}

func (f *function) step(ctx context.Context, e event) error {
	steps := map[string]func(context.Context, event) error{
		"createSecret": f.createSecret,
		"setSecret":    f.setSecret,
		"testSecret":   f.testSecret,
		"finishSecret": f.finishSecret,
	}
	do, known := steps[e.Step]
	if !known {
		return errors.New("this is no step of a rotation")
	}
	done, err := f.isDone(ctx, e)
	if done || err != nil {
		return err
	}
	return do(ctx, e)
}

// isDone says whether the rotation is over, and refuses one that is not under way.
// Anybody who may invoke the function can send any event: without this check they could
// have the password of any secret changed that the function can write.
func (f *function) isDone(ctx context.Context, e event) (bool, error) {
	secret, err := f.describe(ctx, e)
	if err != nil {
		return false, err
	}
	labels := secret.VersionIdsToStages[e.ClientRequestToken]
	switch {
	case !aws.ToBool(secret.RotationEnabled):
		return false, errors.New("rotation of this secret is not enabled")
	case slices.Contains(labels, current):
		return true, nil // by an attempt whose answer was lost
	case !slices.Contains(labels, pending):
		return false, errors.New("this version of the secret does not have the label AWSPENDING, so no rotation makes it")
	}
	return false, nil
}

// createSecret makes the new value, and puts it where nobody uses it yet.
func (f *function) createSecret(ctx context.Context, e event) error {
	_, err := f.login(ctx, e, pending)
	if !isNotFound(err) {
		return err // done by an attempt before; a second value would not be the one that is set
	}
	now, err := f.login(ctx, e, current)
	if err != nil {
		return err
	}
	password, err := f.secrets.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{
		ExcludeCharacters: aws.String(`/@"'\<>&`), // which URLs, shells and JSON write in other ways
	})
	if err != nil {
		return fmt.Errorf("make a password: %w", err)
	}
	value, err := now.with(*password.RandomPassword)
	if err != nil {
		return err
	}
	put := &secretsmanager.PutSecretValueInput{
		SecretId:           aws.String(e.SecretId),
		ClientRequestToken: aws.String(e.ClientRequestToken), // a retry makes no second version
		SecretString:       aws.String(value),
		VersionStages:      []string{pending}, // without it the version would be current, and not in the database yet
	}
	if e.RotationToken != "" { // a service that sends none wants none
		put.RotationToken = aws.String(e.RotationToken)
	}
	if _, err := f.secrets.PutSecretValue(ctx, put); err != nil {
		return fmt.Errorf("put the new value: %w", err)
	}
	return nil
}

// setSecret sets the new password in the database.
func (f *function) setSecret(ctx context.Context, e event) error {
	next, err := f.login(ctx, e, pending)
	if err != nil {
		return err
	}
	if ok, err := f.database.letsIn(next); ok || err != nil {
		return err // done by an attempt before: the current password does not log in any more
	}
	// The previous value is the last resort: the current one does not log in where
	// somebody put it by hand and did not tell the database.
	for _, label := range []string{current, previous} {
		known, err := f.login(ctx, e, label)
		if label == previous && isNotFound(err) {
			break
		}
		if err != nil {
			return err
		}
		// Who writes AWSPENDING must not choose whose password is set.
		if known.username != next.username {
			return fmt.Errorf("AWSPENDING is of another user than %s", label)
		}
		if ok, err := f.database.letsIn(known); err != nil {
			return err
		} else if ok {
			return f.database.setPassword(known, next.password)
		}
	}
	return errors.New("neither AWSCURRENT nor AWSPREVIOUS logs in to the database")
}

// testSecret logs in to the database with the new value. RotateSecret with
// RotateImmediately=false asks for this step alone, on a copy of the current value.
func (f *function) testSecret(ctx context.Context, e event) error {
	next, err := f.login(ctx, e, pending)
	if err != nil {
		return err
	}
	ok, err := f.database.letsIn(next)
	if err == nil && !ok {
		err = errors.New("AWSPENDING does not log in to the database")
	}
	return err
}

// finishSecret makes the new version the current one. The service takes AWSPENDING off.
func (f *function) finishSecret(ctx context.Context, e event) error {
	// From here on all use the new value: it must work, also where a step was left out.
	if err := f.testSecret(ctx, e); err != nil {
		return err
	}
	secret, err := f.describe(ctx, e)
	if err != nil {
		return err
	}
	// The version that is current must be named, so that one that somebody put
	// meanwhile is not displaced: then the call is refused.
	move := &secretsmanager.UpdateSecretVersionStageInput{
		SecretId:        aws.String(e.SecretId),
		VersionStage:    aws.String(current),
		MoveToVersionId: aws.String(e.ClientRequestToken),
	}
	for version, labels := range secret.VersionIdsToStages {
		if slices.Contains(labels, current) {
			move.RemoveFromVersionId = aws.String(version)
		}
	}
	if _, err := f.secrets.UpdateSecretVersionStage(ctx, move); err != nil {
		return fmt.Errorf("move AWSCURRENT: %w", err)
	}
	return nil
}

func (f *function) describe(ctx context.Context, e event) (*secretsmanager.DescribeSecretOutput, error) {
	out, err := f.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(e.SecretId)})
	if err != nil {
		return nil, fmt.Errorf("describe the secret: %w", err)
	}
	return out, nil
}

// login reads the value with a label.
func (f *function) login(ctx context.Context, e event, label string) (login, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: aws.String(e.SecretId), VersionStage: aws.String(label)}
	if label == pending {
		in.VersionId = aws.String(e.ClientRequestToken) // of this rotation and no other
	}
	out, err := f.secrets.GetSecretValue(ctx, in)
	if err != nil {
		return login{}, fmt.Errorf("read %s: %w", label, err)
	}
	l, err := parseLogin(aws.ToString(out.SecretString))
	if err != nil {
		return login{}, fmt.Errorf("%s %w", label, err)
	}
	return l, nil
}

// isNotFound says whether a version has no value.
func isNotFound(err error) bool {
	_, is := errors.AsType[*types.ResourceNotFoundException](err)
	return is
}
