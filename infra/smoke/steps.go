package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/client"
	"github.com/strongroom/strongroom/pkg/endpoint"
)

// largest is the size of the largest value in bytes.
const largest = 65_536

// A proof is a run of the steps over one secret.
type proof struct {
	options
	cfg    aws.Config
	client *secretsmanager.Client
	name   string
	out    io.Writer

	first, second string // IDs of versions
	request       string // ID of the call whose record is looked for
}

// prove runs the steps in order, and removes the secret whatever came of them.
func prove(ctx context.Context, cfg aws.Config, o options, out io.Writer) (err error) {
	p := &proof{options: o, cfg: cfg, name: "strongroom-smoke/" + rand.Text(), out: out}
	if p.client, err = p.newClient(cfg); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = p.client.DeleteSecret(context.WithoutCancel(ctx), &secretsmanager.DeleteSecretInput{
				SecretId: &p.name, ForceDeleteWithoutRecovery: aws.Bool(true),
			})
		}
	}()
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"create", p.create},
		{"put", p.put},
		{"get", p.get},
		{"move a label", p.move},
		{"denied", p.denied},
		{"65,536 bytes", p.large},
		{"rotate", p.rotate},
		{"list", p.list},
		{"ten clients at once", p.many},
		{"wrong signing name", p.wrongName},
		{"record", p.record},
		{"delete", p.remove},
	} {
		began := time.Now()
		err := step.run(ctx)
		var reason skipped
		switch {
		case errors.As(err, &reason):
			p.say("skipped  %-20s %s", step.name, string(reason))
		case err != nil:
			p.say("FAILED   %-20s %v", step.name, err)
			return fmt.Errorf("%s: %w", step.name, err)
		default:
			p.say("ok       %-20s %d ms", step.name, time.Since(began).Milliseconds())
		}
	}
	return nil
}

// newClient signs for what stands at the endpoint; at a domain of its own, which does not
// say, that is API Gateway.
func (p *proof) newClient(cfg aws.Config) (*secretsmanager.Client, error) {
	at, err := endpoint.Parse(p.endpoint)
	if err != nil {
		return nil, err
	}
	return client.FromConfig(cfg, p.endpoint, client.SignedFor(cmp.Or(at.Service, endpoint.Gateway)))
}

func (p *proof) say(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format+"\n", args...) }

// skipped is the reason why a step was not taken.
type skipped string

func (s skipped) Error() string { return string(s) }

func (p *proof) create(ctx context.Context) error {
	out, err := p.client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &p.name, SecretString: aws.String("one")})
	if err != nil {
		return err
	}
	p.first = aws.ToString(out.VersionId)
	return nil
}

func (p *proof) put(ctx context.Context) error {
	out, err := p.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &p.name, SecretString: aws.String("two")})
	if err != nil {
		return err
	}
	p.second = aws.ToString(out.VersionId)
	return nil
}

func (p *proof) get(ctx context.Context) error {
	out, err := p.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &p.name})
	if err != nil {
		return err
	}
	p.request, _ = middleware.GetRequestIDMetadata(out.ResultMetadata)
	return same("AWSCURRENT", aws.ToString(out.SecretString), "two")
}

func (p *proof) move(ctx context.Context) error {
	_, err := p.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &p.name, VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: &p.first, RemoveFromVersionId: &p.second,
	})
	if err != nil {
		return err
	}
	for stage, want := range map[string]string{"AWSCURRENT": "one", "AWSPREVIOUS": "two"} {
		out, err := p.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &p.name, VersionStage: &stage})
		if err != nil {
			return err
		}
		if err := same(stage, aws.ToString(out.SecretString), want); err != nil {
			return err
		}
	}
	return nil
}

// denied has a policy on the secret deny everybody a put, and takes it off again.
func (p *proof) denied(ctx context.Context) error {
	const policy = `{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:PutSecretValue", "Resource": "*"}]}`
	if _, err := p.client.PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{SecretId: &p.name, ResourcePolicy: aws.String(policy)}); err != nil {
		return err
	}
	_, err := p.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &p.name, SecretString: aws.String("three")})
	if err := refused(err, "AccessDeniedException"); err != nil {
		return err
	}
	_, err = p.client.DeleteResourcePolicy(ctx, &secretsmanager.DeleteResourcePolicyInput{SecretId: &p.name})
	return err
}

func (p *proof) large(ctx context.Context) error {
	value := strings.Repeat("v", largest)
	if _, err := p.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &p.name, SecretString: &value}); err != nil {
		return err
	}
	out, err := p.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &p.name})
	if err != nil {
		return err
	}
	if aws.ToString(out.SecretString) != value {
		return fmt.Errorf("got %d bytes that are not those put", len(aws.ToString(out.SecretString)))
	}
	return nil
}

// rotate waits until the rotation has made a new version current.
func (p *proof) rotate(ctx context.Context) error {
	if p.rotationFunction == "" {
		return skipped("no rotation function was named with --rotation-function")
	}
	out, err := p.client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &p.name, RotationLambdaARN: &p.rotationFunction})
	if err != nil {
		return err
	}
	return p.until(ctx, 2*time.Minute, "the new version is not current", func() (bool, error) {
		all, err := p.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &p.name})
		return err == nil && slices.Contains(all.VersionIdsToStages[aws.ToString(out.VersionId)], "AWSCURRENT"), err
	})
}

func (p *proof) list(ctx context.Context) error {
	pages := secretsmanager.NewListSecretsPaginator(p.client, &secretsmanager.ListSecretsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, one := range page.SecretList {
			if aws.ToString(one.Name) == p.name {
				return nil
			}
		}
	}
	return errors.New("the secret is not in the list")
}

// many has ten clients, which share no connection, read at once: as many instances of the
// function start.
func (p *proof) many(ctx context.Context) error {
	const clients = 10
	took, failed := make([]time.Duration, clients), make([]error, clients)
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			own := p.cfg.Copy()
			own.HTTPClient = nil // its own
			one, err := p.newClient(own)
			if err == nil {
				began := time.Now()
				_, err = one.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &p.name})
				took[i] = time.Since(began)
			}
			failed[i] = err
		})
	}
	group.Wait()
	slices.Sort(took)
	p.say("         fastest %d ms, slowest %d ms", took[0].Milliseconds(), took[clients-1].Milliseconds())
	return errors.Join(failed...)
}

// wrongName signs as an SDK does that was told nothing, and must be told what to do.
func (p *proof) wrongName(ctx context.Context) error {
	wrong, err := client.FromConfig(p.cfg, p.endpoint, client.SignedFor("secretsmanager"), func(o *secretsmanager.Options) { o.RetryMaxAttempts = 1 })
	if err != nil {
		return err
	}
	_, err = wrong.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &p.name})
	if err == nil {
		return skipped("the endpoint takes requests that are signed for secretsmanager")
	}
	if err := refused(err, "InvalidSignatureException"); err != nil {
		return err
	}
	if !strings.Contains(err.Error(), "execute-api") && !strings.Contains(err.Error(), "lambda") {
		return fmt.Errorf("the error does not say what to sign for: %w", err)
	}
	return nil
}

// record looks for that of the first read.
func (p *proof) record(ctx context.Context) error {
	switch {
	case p.auditFile == "" && p.logGroup == "":
		return skipped("no log was named with --log-group")
	case p.request == "":
		return errors.New("the answer had no request ID")
	}
	return p.until(ctx, time.Minute, "there is no record of request "+p.request, func() (bool, error) {
		text, err := p.records(ctx)
		return bytes.Contains(text, []byte(p.request)), err
	})
}

func (p *proof) records(ctx context.Context) ([]byte, error) {
	if p.auditFile != "" {
		return os.ReadFile(p.auditFile)
	}
	pattern, err := json.Marshal(p.request)
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, "aws", "logs", "filter-log-events", "--log-group-name", p.logGroup, //nolint:gosec // the operator's own
		"--filter-pattern", "{ $.requestID = "+string(pattern)+" }", "--query", "events[].message", "--output", "json").Output()
}

func (p *proof) remove(ctx context.Context) error {
	if _, err := p.client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &p.name, ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
		return err
	}
	_, err := p.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &p.name})
	return refused(err, "ResourceNotFoundException")
}

// until asks once a second.
func (p *proof) until(ctx context.Context, patience time.Duration, otherwise string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s after %s", otherwise, patience)
		case <-time.After(time.Second):
		}
	}
}

// refused is nil if err is a refusal with this code.
func refused(err error, code string) error {
	var refusal smithy.APIError
	if errors.As(err, &refusal) && refusal.ErrorCode() == code {
		return nil
	}
	return fmt.Errorf("got %w, want %s", orNothing(err), code)
}

func orNothing(err error) error {
	if err == nil {
		return errors.New("an answer")
	}
	return err
}

func same(what, got, want string) error {
	if got != want {
		return fmt.Errorf("%s is not the value that was put", what)
	}
	return nil
}
