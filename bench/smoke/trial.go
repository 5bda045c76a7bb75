package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/client"
	"github.com/strongroom/strongroom/pkg/terminal"
)

const (
	// stepLimit is the longest time of a step, but for those that wait for something.
	stepLimit = time.Minute
	// cleanLimit is the longest time to remove what was made.
	cleanLimit = 30 * time.Second
)

// A step tries one thing. Its answer says what came; leftOut says why it was not tried.
type step struct {
	name     string
	confirms string // the fact about AWS that success shows, as docs/deploy.md has it
	do       func(context.Context, *trial) (came string, err error)
}

// leftOut is why a step was not tried. That is no failure.
type leftOut string

func (l leftOut) Error() string { return string(l) }

// A trial is one run over one secret.
type trial struct {
	settings

	client *secretsmanager.Client
	name   string // of the secret

	tried         bool // to make the secret
	first, second string
	request       string // ID of a call that succeeded
	began         time.Time
}

func newTrial(ctx context.Context, set settings) (*trial, error) {
	t := &trial{settings: set, name: "strongroom-smoke/" + uuid.NewString(), began: time.Now()}
	var err error
	t.client, err = t.newClient(ctx)
	return t, err
}

// newClient makes a client that shares nothing with another.
func (t *trial) newClient(ctx context.Context, options ...func(*secretsmanager.Options)) (*secretsmanager.Client, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	made, err := client.FromConfig(cfg, t.url, append([]func(*secretsmanager.Options){client.SignedFor(t.signingName)}, options...)...)
	if err == nil && made.Options().Region == "" {
		return nil, errors.New("no Region is known: set AWS_REGION to that of the deployment")
	}
	return made, err
}

// run does the steps in order, and removes at the end what they made. A step that fails
// does not stop those behind it, unless it is the first, without which none can succeed.
func (t *trial) run(ctx context.Context, steps []step, out io.Writer) error {
	_, _ = fmt.Fprintf(out, "%s, with the secret %s, which is removed at the end\n", t.url, t.name)
	failed := 0
	for i, s := range steps {
		if ctx.Err() != nil {
			break
		}
		if !t.try(ctx, s, out) {
			failed++
			if i == 0 {
				break
			}
		}
	}
	interrupted := ctx.Err() != nil
	if t.tried && !t.try(context.WithoutCancel(ctx), step{"clean up", "", cleanUp}, out) {
		failed++
		_, _ = fmt.Fprintf(out, "Remove it by hand: aws secretsmanager delete-secret --endpoint-url %s --region %s --secret-id %s --force-delete-without-recovery\n",
			t.url, t.client.Options().Region, t.name)
	}
	switch {
	case interrupted:
		return errors.New("interrupted; not all was tried")
	case failed > 0:
		return fmt.Errorf("steps that failed: %d of %d", failed, len(steps)+1)
	}
	_, _ = fmt.Fprintln(out, "All that was tried is well. docs/deploy.md says which fact about AWS each line confirms, when the URL is that of a deployment.")
	return nil
}

// try does a step and writes its line. It says whether the step did not fail.
func (t *trial) try(ctx context.Context, s step, out io.Writer) bool {
	began := time.Now()
	came, err := s.do(ctx, t)
	mark := "ok"
	var left leftOut
	switch {
	case errors.As(err, &left):
		mark, came = "left out", left.Error()
	case err != nil && ctx.Err() != nil:
		mark, came = "stopped", err.Error()
	case err != nil:
		mark, came = "FAILED", err.Error()
	}
	_, _ = fmt.Fprintf(out, "%-8s  %-18s %7d ms  %s\n", mark, s.name, time.Since(began).Milliseconds(), terminal.Printable(came))
	return err == nil || left != ""
}
