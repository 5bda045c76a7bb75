package rotate_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
)

// crowd is callers that do to a few secrets what comes to their minds.
type crowd struct {
	*house
	names  []string
	tokens atomic.Int64
}

// token is a new one, and now and then an old one.
func (c *crowd) token(rnd *rand.Rand) *string {
	n := c.tokens.Add(1)
	if rnd.IntN(5) == 0 {
		n = 1 + rnd.Int64N(n)
	}
	return aws.String(token(fmt.Sprint("t", n)))
}

// something is one call of somebody. What is refused is refused.
func (c *crowd) something(ctx context.Context, sdk *secretsmanager.Client, rnd *rand.Rand) {
	name, token := &c.names[rnd.IntN(len(c.names))], c.token(rnd)
	put := func(labels ...string) {
		_, _ = sdk.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: name, ClientRequestToken: token, SecretString: aws.String(valueMark + *token), VersionStages: labels,
		})
	}
	switch rnd.IntN(14) {
	case 0, 1:
		put()
	case 2:
		put(secret.Pending)
	case 3:
		put("mine")
	case 4, 5, 6, 7:
		_, _ = sdk.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: name, ClientRequestToken: token, RotationLambdaARN: aws.String(function)})
	case 8:
		_, _ = sdk.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
			SecretId: name, ClientRequestToken: token, RotationLambdaARN: aws.String(function), RotateImmediately: aws.Bool(false),
			RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(3 minutes)")},
		})
	case 9:
		_, _ = sdk.CancelRotateSecret(ctx, &secretsmanager.CancelRotateSecretInput{SecretId: name})
	case 10:
		_, _ = sdk.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: name})
		_, _ = sdk.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: name})
	case 11:
		_, _ = sdk.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: name, ForceDeleteWithoutRecovery: aws.Bool(true)})
		in := &secretsmanager.CreateSecretInput{Name: name, ClientRequestToken: token}
		if rnd.IntN(3) > 0 {
			in.SecretString = aws.String(valueMark + *token)
		}
		_, _ = sdk.CreateSecret(ctx, in)
	default:
		c.moveLabels(ctx, sdk, name, rnd)
	}
}

// moveLabels takes AWSPENDING off, or has an older version be current.
func (c *crowd) moveLabels(ctx context.Context, sdk *secretsmanager.Client, name *string, rnd *rand.Rand) {
	out, err := sdk.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: name})
	if err != nil {
		return
	}
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: name, VersionStage: aws.String(secret.Pending)}
	back := rnd.IntN(2) == 0
	if back {
		in.VersionStage = aws.String(secret.Current)
	}
	for id, labels := range out.VersionIdsToStages {
		for _, label := range labels {
			switch {
			case label == *in.VersionStage:
				in.RemoveFromVersionId = &id
			case back && label == secret.Previous:
				in.MoveToVersionId = &id
			}
		}
	}
	_, _ = sdk.UpdateSecretVersionStage(ctx, in)
}

// wantConsistent compares the notes of what is due, the counts of versions and the labels
// with what is there.
func (c *crowd) wantConsistent(t testing.TB) {
	t.Helper()
	due, versions := map[string]string{}, map[string]int{}
	for _, item := range must(localtest.Shared().Tables.Items(c.Table))(t) {
		name, _ := strings.CutPrefix(textOf(item, "pk"), "SECRET#")
		kind, rest, _ := strings.Cut(textOf(item, "sk"), "#")
		suffix, id, _ := strings.Cut(rest, "#")
		switch kind {
		case "ROTATION":
			due[name+"-"+suffix] = textOf(item, "due")
		case "VERSION":
			versions[name+"-"+suffix]++
			versions[name+"-"+suffix+" "+id]++
		}
	}
	others := c.Another(t)
	for _, name := range c.names {
		sec := must(others.Store.Get(t.Context(), secret.ID{Name: name}))(t)
		key, want := name+"-"+sec.Suffix(), ""
		if at := sec.RotationDue(); !at.IsZero() {
			want = at.UTC().Format("2006-01-02T15:04:05.000Z")
		}
		if due[key] != want || sec.Versions != versions[key] {
			t.Errorf("%s: due %q and %d versions, want %q and %d", key, due[key], versions[key], want, sec.Versions)
		}
		delete(due, key)
		for label, id := range sec.Stages {
			if versions[key+" "+id] == 0 && label != secret.Pending {
				t.Errorf("%s: %s is on %s, which is not there", key, label, id)
			}
		}
		_, cancelled := sec.Rotation.State.(secret.Cancelled)
		if id := sec.Rotation.Run().Version; id != "" && !cancelled && sec.Stages[secret.Pending] != id && sec.Stages[secret.Current] != id {
			t.Errorf("%s: a rotation of %s, with %v", key, id, sec.Stages)
		}
	}
	if len(due) > 0 {
		t.Errorf("notes of what is no more: %v", due)
	}
}

func textOf(item map[string]dynamodbtypes.AttributeValue, name string) string {
	s, _ := item[name].(*dynamodbtypes.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

// Whatever callers do at the same time as runners and a pruner are at it: of each secret
// one function is at work, nothing gets out of step, and all comes to its end.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	const callers, calls = 4, 50
	h := open(t)
	c := &crowd{house: h}
	for i := range 2 {
		c.names = append(c.names, fmt.Sprint("s", i))
		h.create(t, c.names[i])
	}
	retention := secret.Retention{MaxVersions: 2}
	rooms := []*localtest.Room{h.Room, h.Another(t)}
	for _, room := range rooms {
		room.Server.Now, room.Server.MinRotationInterval, room.Server.Retention = h.clock.Now, time.Minute, retention
		r, _ := h.rotator(t)
		room.Server.Rotator = &rotate.Background{Rotator: r, Context: t.Context(), ARNs: localtest.ARNs}
	}
	var working sync.Map
	h.lambda.run = func(ctx context.Context, in call) error {
		if other, ok := working.LoadOrStore(in.SecretID, in); ok {
			t.Errorf("%+v runs beside %+v", in, other)
		}
		defer working.Delete(in.SecretID)
		time.Sleep(20 * time.Millisecond) // for others to come in between
		return h.lambda.template(ctx, in)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var people, machines sync.WaitGroup
	for i := range callers {
		rnd := rand.New(rand.NewPCG(1, uint64(i)))
		people.Go(func() {
			for range calls {
				c.something(ctx, rooms[i%len(rooms)].SDK, rnd)
			}
		})
	}
	again := func(do func()) {
		machines.Go(func() {
			for ctx.Err() == nil {
				do()
			}
		})
	}
	for range 2 {
		r, _ := h.rotator(t)
		again(func() {
			if _, err := r.Run(t.Context()); err != nil && !strings.Contains(err.Error(), "the lease ends before") {
				t.Errorf("run: %v", err)
			}
		})
	}
	pruner := &prune.Pruner{Store: h.Another(t).Store, Retention: retention, Now: h.clock.Now, Log: slog.New(slog.NewJSONHandler(h, nil))}
	again(func() {
		if _, err := pruner.Run(t.Context()); err != nil {
			t.Errorf("prune: %v", err)
		}
	})
	again(func() {
		h.clock.add(time.Second) // slow enough for a step to end in its time
		time.Sleep(10 * time.Millisecond)
	})
	people.Wait()
	cancel()
	machines.Wait()
	for _, room := range rooms {
		room.Server.Rotator.(*rotate.Background).Wait()
	}
	c.wantConsistent(t)

	for range 2 * secret.MaxAttempts { // now that nobody calls any more
		h.run(t)
		h.clock.add(delay << secret.MaxAttempts)
	}
	c.wantConsistent(t)
	for _, name := range c.names {
		sec := h.get(t, name)
		switch state := sec.Rotation.State.(type) {
		case secret.Waiting, secret.Leased:
			if sec.Deletion.IsZero() {
				t.Errorf("%s: %+v, want nothing under way", name, state)
			}
		}
		if sec.Stages[secret.Current] != "" && sec.Deletion.IsZero() {
			h.wantSound(t, name)
		}
	}
}
