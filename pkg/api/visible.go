package api

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// seeing is the right that lists show a secret by.
const seeing = "DescribeSecret"

// visible leaves out the secrets that DescribeSecret would not tell the caller of.
func (c *call) visible(ctx context.Context, secrets map[string]secret.Secret) error {
	batches := slices.Collect(slices.Chunk(slices.Collect(maps.Values(secrets)), store.MaxBatch))
	hidden := make([][]string, len(batches))
	err := parallel(len(batches), func(i int) (err error) {
		hidden[i], err = c.hidden(ctx, batches[i])
		return err
	})
	for _, name := range slices.Concat(hidden...) {
		delete(secrets, name)
	}
	return err
}

// hidden are the names of the secrets that the caller may not see. The policies on them
// that are needed and not remembered are read in one call.
func (c *call) hidden(ctx context.Context, secrets []secret.Secret) (names []string, err error) {
	var needed []secret.Secret
	for _, sec := range secrets {
		switch d := c.decideBy(nil, seeing, "", sec); {
		case d.Explicit: // whatever a policy on the secret says
			names = append(names, sec.Name)
		case sec.PolicyHash != "":
			needed = append(needed, sec)
		case !d.Allowed:
			names = append(names, sec.Name)
		}
	}
	texts, err := c.store.Policies(ctx, slices.DeleteFunc(slices.Clone(needed), func(sec secret.Secret) bool {
		return c.server.Resources.Has("secretsmanager:"+seeing, sec.PolicyHash)
	}))
	if err != nil {
		return nil, err
	}
	for _, sec := range needed {
		var d policy.Decision
		err := c.onStablePolicy(ctx, &sec, func() (err error) {
			d, err = c.decideToSee(ctx, sec, texts)
			return err
		})
		if err != nil && !isNotFound(err) { // it was there a moment ago
			return nil, err
		}
		if !d.Allowed {
			names = append(names, sec.Name)
		}
	}
	return names, nil
}

// decideToSee decides whether a secret with a policy is shown. texts are of policies that
// were read.
func (c *call) decideToSee(ctx context.Context, sec secret.Secret, texts map[string]string) (policy.Decision, error) {
	if sec.PolicyHash == "" {
		return c.decideBy(nil, seeing, "", sec), nil
	}
	p, err := c.server.Resources.About("secretsmanager:"+seeing, sec.PolicyHash, func() (string, error) {
		if text, ok := texts[sec.PolicyHash]; ok {
			return text, nil
		}
		return c.store.Policy(ctx, sec)
	})
	if _, lost := errors.AsType[*store.Damaged](err); lost {
		p, err = policy.Unreadable, nil
	}
	if p == policy.Unreadable {
		p = c.unreadable(ctx, seeing, sec)
	}
	if err != nil {
		return policy.Decision{}, err
	}
	return c.decideBy(p, seeing, "", sec), nil
}

// seesAll says whether the caller may see just any secret, as far as the policies of the
// deployment go. It does not depend on which secrets there are.
func (c *call) seesAll() bool {
	return c.decideBy(nil, seeing, "", c.absent(secret.ID{Name: uuid.NewString()})).Allowed
}
