package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/client"
)

// steps are tried in this order. docs/deploy.md has them in a table, and a test
// compares the two.
var steps = []step{
	{"create", "API Gateway takes the signature, and hands body and caller on as the function reads them; the role reaches KMS, and the table under the key", create},
	{"put", "a second version is sealed, and its labels move in one transaction", put},
	{"label move", "UpdateSecretVersionStage commits on the condition that nothing changed", moveLabel},
	{"get", "KMS opens a data key with its encryption context; a label is seen where it was just put", get},
	{"large value", "65,536 bytes pass API Gateway, Lambda and DynamoDB both ways", largeValue},
	{"denied", "the policy on a secret refuses a caller who is allowed otherwise; errors reach SDKs with AWS's code", denied},
	{"wrong signing name", "the refusal of API Gateway, or of a function URL, tells SDKs what to sign for", wrongSigningName},
	{"list", "the directory lists a new secret at once", list},
	{"ten cold clients", "ten new connections at once are answered, cold starts included, within the time that clients wait", coldClients},
	{"latency", "how long a get takes from where this runs", latency},
	{"record", "Lambda writes records to the encrypted log group, under the request ID that the client saw", record},
	{"rotate", "functions/rotate is invoked by its alias, and may invoke your function, whose four steps end well", rotate},
	{"delete", "a deleted secret gives no value, and can be restored", deleteAndRestore},
}

const (
	firstValue  = `{"username":"smoke","password":"first"}`
	secondValue = `{"username":"smoke","password":"second"}`
	largest     = 65_536
)

func create(ctx context.Context, t *trial) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	t.tried = true
	out, err := t.client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: &t.name, SecretString: aws.String(firstValue), Description: aws.String("made by make smoke; it can be removed"),
	})
	if err != nil {
		return "", err
	}
	t.first = aws.ToString(out.VersionId)
	return fmt.Sprintf("CreateSecret made %s with version %s", aws.ToString(out.ARN), t.first), nil
}

func put(ctx context.Context, t *trial) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	out, err := t.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &t.name, SecretString: aws.String(secondValue)})
	if err != nil {
		return "", err
	}
	t.second = aws.ToString(out.VersionId)
	return "PutSecretValue made version " + t.second, t.checkLabels(ctx, t.second, t.first)
}

// checkLabels looks which versions have AWSCURRENT and AWSPREVIOUS.
func (t *trial) checkLabels(ctx context.Context, current, previous string) error {
	out, err := t.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &t.name})
	if err != nil {
		return err
	}
	for label, version := range map[string]string{"AWSCURRENT": current, "AWSPREVIOUS": previous} {
		if !slices.Contains(out.VersionIdsToStages[version], label) {
			return fmt.Errorf("%s is not on version %s: DescribeSecret says %v", label, version, out.VersionIdsToStages)
		}
	}
	return nil
}

func moveLabel(ctx context.Context, t *trial) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	_, err := t.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &t.name, VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: &t.first, RemoveFromVersionId: &t.second,
	})
	if err != nil {
		return "", err
	}
	return "UpdateSecretVersionStage moved AWSCURRENT to the first version, and AWSPREVIOUS followed", t.checkLabels(ctx, t.first, t.second)
}

func get(ctx context.Context, t *trial) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	for label, want := range map[string]string{"AWSPREVIOUS": secondValue, "AWSCURRENT": firstValue} {
		out, err := t.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &t.name, VersionStage: &label})
		if err != nil {
			return "", err
		}
		if aws.ToString(out.SecretString) != want {
			return "", fmt.Errorf("GetSecretValue of %s gave another value than was put", label)
		}
		t.request, _ = awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	}
	return "GetSecretValue gave the value of each label; the last request was " + t.request, nil
}

// largeValue has quotes, a control character and letters of two bytes, which JSON makes
// longer.
func largeValue(ctx context.Context, t *trial) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	const part = "\"\x01ä-smoke" // 10 bytes
	value := strings.Repeat(part, largest/len(part)) + strings.Repeat("x", largest%len(part))
	out, err := t.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &t.name, SecretString: &value, VersionStages: []string{"large"}})
	if err != nil {
		return "", err
	}
	got, err := t.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &t.name, VersionId: out.VersionId})
	if err != nil {
		return "", err
	}
	if aws.ToString(got.SecretString) != value {
		return "", fmt.Errorf("GetSecretValue gave another value than the %d bytes that were put", len(value))
	}
	return fmt.Sprintf("%d bytes were put and came back the same", len(value)), nil
}

// denySome refuses everybody a call that no other step makes.
const denySome = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:ListSecretVersionIds","Resource":"*"}]}`

func denied(ctx context.Context, t *trial) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	versions := func() error {
		_, err := t.client.ListSecretVersionIds(ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: &t.name})
		return err
	}
	if err := versions(); err != nil {
		return "", fmt.Errorf("before there was a policy that denies it: %w", err)
	}
	if _, err := t.client.PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{SecretId: &t.name, ResourcePolicy: aws.String(denySome)}); err != nil {
		return "", err
	}
	refusal := versions()
	if _, err := t.client.DeleteResourcePolicy(ctx, &secretsmanager.DeleteResourcePolicyInput{SecretId: &t.name}); err != nil {
		return "", err
	}
	return wantRefusal("ListSecretVersionIds, which a policy on the secret denied for a moment,", refusal, "AccessDeniedException", "explicit deny in a resource-based policy")
}

// wantRefusal says that a call was refused, by code and a part of the message.
func wantRefusal(call string, err error, code, text string) (string, error) {
	refusal, ok := errors.AsType[smithy.APIError](err)
	switch {
	case err == nil:
		return "", fmt.Errorf("%s was allowed; it must be refused with %s", call, code)
	case !ok:
		return "", err
	case refusal.ErrorCode() != code || !strings.Contains(refusal.ErrorMessage(), text):
		return "", fmt.Errorf("%s was refused with %s: %s; want %s, and in it %q", call, refusal.ErrorCode(), refusal.ErrorMessage(), code, text)
	}
	return fmt.Sprintf("%s was refused with %s: %s", call, code, refusal.ErrorMessage()), nil
}

func wrongSigningName(ctx context.Context, t *trial) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	wrong, err := t.newClient(ctx, client.SignedFor("secretsmanager"))
	if err != nil {
		return "", err
	}
	_, err = wrong.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &t.name})
	if err == nil && !t.checked {
		return "", leftOut("a request signed for secretsmanager was taken, as by a local server or an agent; -signing-name says that none may be")
	}
	return wantRefusal("GetSecretValue, signed for secretsmanager,", err, "InvalidSignatureException", "Credential should be scoped to correct service: '"+t.signingName+"'")
}

func list(ctx context.Context, t *trial) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	out, err := t.client.ListSecrets(ctx, &secretsmanager.ListSecretsInput{Filters: []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{t.name}}}})
	if err != nil {
		return "", err
	}
	if len(out.SecretList) != 1 || aws.ToString(out.SecretList[0].Name) != t.name {
		return "", fmt.Errorf("ListSecrets with the name as a filter gave %d secrets, want this one", len(out.SecretList))
	}
	return "ListSecrets with the name as a filter gave the secret", nil
}

// cold is how many clients begin at the same time.
const cold = 10

// coldClients have connections of their own, and try each call once: a retry would hide
// that a cold start takes too long.
func coldClients(ctx context.Context, t *trial) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	var all sync.WaitGroup
	var errs [cold]error
	var took [cold]time.Duration
	for i := range cold {
		all.Go(func() {
			began := time.Now()
			errs[i] = t.getOnce(ctx)
			took[i] = time.Since(began)
		})
	}
	all.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return "", fmt.Errorf("of %d new clients at once: %w", cold, err)
	}
	return fmt.Sprintf("%d new clients at once had their value, the slowest after %s", cold, rounded(slices.Max(took[:]))), nil
}

func (t *trial) getOnce(ctx context.Context) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	fresh, err := t.newClient(ctx, func(o *secretsmanager.Options) {
		o.HTTPClient = &http.Client{Transport: transport}
		o.RetryMaxAttempts = 1
	})
	if err != nil {
		return err
	}
	_, err = fresh.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &t.name})
	return err
}

func latency(ctx context.Context, t *trial) (string, error) {
	took := make([]time.Duration, 0, t.gets)
	for range t.gets {
		one, cancel := context.WithTimeout(ctx, stepLimit)
		began := time.Now()
		_, err := t.client.GetSecretValue(one, &secretsmanager.GetSecretValueInput{SecretId: &t.name})
		cancel()
		if err != nil {
			return "", fmt.Errorf("after %d calls: %w", len(took), err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return fmt.Sprintf("%d calls of GetSecretValue, one after another: p50 %s, p99 %s, longest %s",
		len(took), rounded(percentile(took, 50)), rounded(percentile(took, 99)), rounded(took[len(took)-1])), nil
}

// percentile is the smallest of sorted times that so many percent are not above.
func percentile(sorted []time.Duration, percent int) time.Duration {
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

func rounded(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// rotationLimit is how long a rotation may take: the schedule starts each minute, and
// each of four steps may take one.
const rotationLimit = 6 * time.Minute

func rotate(ctx context.Context, t *trial) (string, error) {
	if t.function == "" {
		return "", leftOut("no rotation was tried; -rotation-function names a function for it")
	}
	ctx, cancel := context.WithTimeout(ctx, rotationLimit)
	defer cancel()
	token := uuid.NewString()
	_, err := t.client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &t.name, ClientRequestToken: &token, RotationLambdaARN: &t.function,
		RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	if err != nil {
		return "", err
	}
	for {
		out, err := t.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &t.name})
		switch {
		case err != nil && ctx.Err() != nil:
			return "", fmt.Errorf("version %s has not become current within %s; the records RotationFailed and the function's own log say why", token, rotationLimit)
		case err != nil:
			return "", err
		case slices.Contains(out.VersionIdsToStages[token], "AWSCURRENT"):
			return "RotateSecret made version " + token + " current", nil
		}
		pause(ctx, time.Second)
	}
}

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func deleteAndRestore(ctx context.Context, t *trial) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	if _, err := t.client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &t.name, RecoveryWindowInDays: aws.Int64(7)}); err != nil {
		return "", err
	}
	_, err := t.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &t.name})
	came, err := wantRefusal("GetSecretValue of the deleted secret", err, "InvalidRequestException", "marked for deletion")
	if err != nil {
		return "", err
	}
	if _, err := t.client.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: &t.name}); err != nil {
		return "", err
	}
	_, err = t.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &t.name})
	return came + " It was restored, and read again.", err
}

// cleanUp removes the secret for good. It succeeds when there is none.
func cleanUp(ctx context.Context, t *trial) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, cleanLimit)
	defer cancel()
	_, err := t.client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &t.name, ForceDeleteWithoutRecovery: aws.Bool(true)})
	if _, gone := errors.AsType[*types.ResourceNotFoundException](err); gone {
		err = nil
	}
	if err != nil {
		return "", err
	}
	_, err = t.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &t.name})
	return wantRefusal("The secret was removed; DescribeSecret", err, "ResourceNotFoundException", "can't find")
}
