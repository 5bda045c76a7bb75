package replicate_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/replicate"
	"github.com/strongroom/strongroom/pkg/secret"
)

const (
	here  = "us-east-1"
	there = "eu-west-1"
)

// valueMark is in every value, and must be in nothing that is said.
const valueMark = "VALUE-"

// A pair is the service in two Regions, each with what replicates to the other.
type pair struct {
	here, there *localtest.Room
	forth, back *replicate.Replicator
	now         time.Time

	mu  sync.Mutex
	log bytes.Buffer
}

func open(t *testing.T) *pair {
	t.Helper()
	p := &pair{here: localtest.In(t, here), there: localtest.In(t, there), now: time.Now()}
	for _, room := range []*localtest.Room{p.here, p.there} {
		room.Server.Replicates = func(region string) bool { return region == here || region == there || region == "eu-gone-1" }
		room.Server.Now = p.time
	}
	p.forth, p.back = p.replicator(t, p.here, p.there), p.replicator(t, p.there, p.here)
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if strings.Contains(p.log.String(), valueMark) {
			t.Error("a value is logged")
		}
	})
	return p
}

func (p *pair) time() time.Time { return p.now }

// Write is the log of all replicators.
func (p *pair) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(line)
}

func regionOf(room *localtest.Room) replicate.Region {
	return replicate.Region{Store: room.Store, Sealer: room.Server.Sealer, ARNs: room.ARNs}
}

// replicator is one of a process of its own, which has these wires to both Regions.
func (p *pair) replicator(t *testing.T, from, to *localtest.Room) *replicate.Replicator {
	t.Helper()
	return p.over(from.Another(t), to.Another(t))
}

func (p *pair) over(from, to *localtest.Room) *replicate.Replicator {
	to.Wire.Elsewhere()
	return &replicate.Replicator{
		Region: regionOf(from),
		Open: func(_ context.Context, region string) (replicate.Region, error) {
			if region != to.ARNs.Region {
				return replicate.Region{}, replicate.ErrUnknownRegion
			}
			return regionOf(to), nil
		},
		Retention: secret.DefaultRetention,
		Parallel:  4,
		Now:       p.time,
		Log:       slog.New(slog.NewJSONHandler(p, nil)),
	}
}

// run runs what is due in both Regions until nothing is, which must not fail.
func (p *pair) run(t *testing.T) {
	t.Helper()
	for range 3 { // what a promotion tells has a note of its own
		for _, r := range []*replicate.Replicator{p.forth, p.back} {
			if _, err := r.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func must[Out any](out Out, err error) func(testing.TB) Out {
	return func(t testing.TB) Out {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func wantRefused(t *testing.T, err error, code, text string) {
	t.Helper()
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok || refused.ErrorCode() != code || refused.ErrorMessage() != text {
		t.Errorf("got %v, want %s %s", err, code, text)
	}
}

var theSecret = aws.String("s")

func token(name string) *string { return aws.String(strings.Repeat("0", 32-len(name)) + name) }

func to(regions ...string) []types.ReplicaRegionType {
	var all []types.ReplicaRegionType
	for _, r := range regions {
		all = append(all, types.ReplicaRegionType{Region: aws.String(r)})
	}
	return all
}

// create makes the secret with version v1, and its replica.
func (p *pair) create(t *testing.T) *secretsmanager.CreateSecretOutput {
	t.Helper()
	out := must(p.here.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: theSecret, ClientRequestToken: token("v1"), SecretString: aws.String(valueMark + "v1"), AddReplicaRegions: to(there),
	}))(t)
	p.run(t)
	p.wantSame(t)
	return out
}

// put puts a version whose value tells its name.
func put(t *testing.T, room *localtest.Room, version string, labels ...string) {
	t.Helper()
	must(room.SDK.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: theSecret, ClientRequestToken: token(version), SecretString: aws.String(valueMark + version), VersionStages: labels,
	}))(t)
}

func move(t *testing.T, room *localtest.Room, label, from, to string) {
	t.Helper()
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: theSecret, VersionStage: aws.String(label), MoveToVersionId: token(to)}
	if from != "" {
		in.RemoveFromVersionId = token(from)
	}
	must(room.SDK.UpdateSecretVersionStage(t.Context(), in))(t)
}

func describe(t *testing.T, room *localtest.Room) *secretsmanager.DescribeSecretOutput {
	t.Helper()
	return must(room.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: theSecret}))(t)
}

// labels are those of the secret, with the names of their versions.
func labels(t *testing.T, room *localtest.Room) map[string]string {
	t.Helper()
	found := map[string]string{}
	for id, all := range describe(t, room).VersionIdsToStages {
		for _, label := range all {
			found[label] = strings.TrimLeft(id, "0")
		}
	}
	return found
}

// wantStatus wants the secret to have one replica, with this status and message.
func (p *pair) wantStatus(t *testing.T, status types.StatusType, message string) {
	t.Helper()
	out := describe(t, p.here)
	if len(out.ReplicationStatus) != 1 {
		t.Fatalf("got replicas %v, want one", out.ReplicationStatus)
	}
	got := out.ReplicationStatus[0]
	if got.Status != status || aws.ToString(got.StatusMessage) != message || aws.ToString(got.Region) != there {
		t.Errorf("got %s: %s %q, want %s %q", aws.ToString(got.Region), got.Status, aws.ToString(got.StatusMessage), status, message)
	}
}

// wantSame wants the replica to be in sync, and to show what the primary shows.
func (p *pair) wantSame(t *testing.T) {
	t.Helper()
	p.wantStatus(t, types.StatusTypeInSync, "")
	a, b := describe(t, p.here), describe(t, p.there)
	if aws.ToString(a.PrimaryRegion) != here || aws.ToString(b.PrimaryRegion) != here {
		t.Errorf("got primary Regions %q and %q, want %q", aws.ToString(a.PrimaryRegion), aws.ToString(b.PrimaryRegion), here)
	}
	if want := strings.Replace(aws.ToString(a.ARN), here, there, 1); aws.ToString(b.ARN) != want {
		t.Errorf("got ARN %s of the replica, want %s", aws.ToString(b.ARN), want)
	}
	for _, label := range slices.Sorted(maps.Keys(labels(t, p.here))) {
		if mine, theirs := read(t, p.here, label), read(t, p.there, label); mine != theirs {
			t.Errorf("got %q of %s there, and %q here", theirs, label, mine)
		}
	}
	a.ARN, a.ReplicationStatus, a.LastAccessedDate, a.KmsKeyId = b.ARN, b.ReplicationStatus, b.LastAccessedDate, b.KmsKeyId
	a.ResultMetadata = b.ResultMetadata
	if mine, theirs := shown(a), shown(b); mine != theirs {
		t.Errorf("got %s there, and %s here", theirs, mine)
	}
	policy := func(room *localtest.Room) string {
		return aws.ToString(must(room.SDK.GetResourcePolicy(t.Context(), &secretsmanager.GetResourcePolicyInput{SecretId: theSecret}))(t).ResourcePolicy)
	}
	if mine, theirs := policy(p.here), policy(p.there); mine != theirs {
		t.Errorf("got policy %q there, and %q here", theirs, mine)
	}
	p.wantSound(t)
}

// read is the value under a label, and why there is none.
func read(t *testing.T, room *localtest.Room, label string) string {
	t.Helper()
	out, err := room.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: theSecret, VersionStage: &label})
	if refused, ok := errors.AsType[smithy.APIError](err); ok {
		return refused.ErrorCode()
	}
	return aws.ToString(must(out, err)(t).SecretString)
}

// wantCurrent wants a value under AWSCURRENT, or the code of the refusal to give one.
func wantCurrent(t *testing.T, room *localtest.Room, want string) {
	t.Helper()
	if got := read(t, room, "AWSCURRENT"); got != want {
		t.Errorf("got %q in %s, want %q", got, room.ARNs.Region, want)
	}
}

// wantSound wants nothing to be wrong in the tables.
func (p *pair) wantSound(t *testing.T) {
	t.Helper()
	for _, room := range []*localtest.Room{p.here, p.there} {
		wantSound(t, room.Another(t).Store, p.now)
	}
}
