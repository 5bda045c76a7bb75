package replicate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"golang.org/x/sync/errgroup"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/replicate"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
	"github.com/strongroom/strongroom/pkg/verify"
)

const noKey = "A value cannot be sealed with the KMS key in eu-west-1: Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS key is available, enabled, and not in an invalid state."

func shown(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

func wantSound(t *testing.T, s *store.Store, now time.Time) {
	t.Helper()
	v := &verify.Verifier{Store: s, Retention: secret.DefaultRetention, Now: func() time.Time { return now }, Report: func(f verify.Finding) {
		t.Errorf("%s: %s", f.Secret, f.What)
	}}
	if _, err := v.Run(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

// Whatever is changed here shows there, and as a whole.
func TestReplicaFollows(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.create(t)
	for name, change := range map[string]func(){
		"a put": func() { put(t, p.here, "v2") },
		"puts in between": func() {
			for _, v := range []string{"v3", "v4", "v5"} {
				put(t, p.here, v)
			}
		},
		"a label": func() { put(t, p.here, "v6", "mine") },
		"tags": func() {
			must(p.here.SDK.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: theSecret, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}))(t)
		},
		"a description": func() {
			must(p.here.SDK.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: theSecret, Description: aws.String("d")}))(t)
		},
		"a policy": func() {
			must(p.here.SDK.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{
				SecretId: theSecret, ResourcePolicy: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:*","Resource":"*"}]}`),
			}))(t)
		},
		"rotation": func() {
			must(p.here.SDK.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
				SecretId: theSecret, ClientRequestToken: token("r1"), RotationLambdaARN: aws.String("arn:aws:lambda:us-east-1:000000000000:function:rotate"),
				RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(9)},
			}))(t)
		},
	} {
		p.now = p.now.Add(time.Second)
		change()
		p.wantStatus(t, types.StatusTypeInProgress, "")
		p.run(t)
		if p.wantSame(t); t.Failed() {
			t.Fatalf("after %s", name)
		}
	}
}

// A version that lost its labels is copied again when it gets one, also under an ID that
// was used before.
func TestRollback(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.create(t)
	for _, v := range []string{"v2", "v3", "v4"} {
		put(t, p.here, v)
		p.run(t)
	}
	move(t, p.here, "AWSCURRENT", "v4", "v1")
	p.run(t)
	p.wantSame(t)
	wantCurrent(t, p.there, valueMark+"v1")
}

// A rotation under way has AWSPENDING on a version without a value, which gets one.
func TestPendingWithoutValue(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.create(t)
	pending := func(sec secret.Secret) (secret.Change, error) {
		sec.Stages = sec.Stages.Attach(secret.Pending, *token("v2"))
		sec.Rotation.Lambda, sec.Rotation.Enabled = "f", true
		return secret.Change{Secret: sec}, nil
	}
	if _, err := p.here.Store.Update(t.Context(), secret.ID{Name: "s"}, pending); err != nil {
		t.Fatal(err)
	}
	p.run(t)
	p.wantSame(t)
	put(t, p.here, "v2", "AWSPENDING")
	p.run(t)
	p.wantSame(t)
	if got := read(t, p.there, "AWSPENDING"); got != valueMark+"v2" {
		t.Errorf("got %q there, want v2", got)
	}
	move(t, p.here, "AWSCURRENT", "v1", "v2")
	p.run(t)
	p.wantSame(t)
}

// The versions of a replica have keys of the replica's Region, and its own one where it
// names one.
func TestKeyOfReplica(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.create(t)
	keyOf := func(room *localtest.Room) string {
		sec := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
		v, _, err := room.Store.Version(t.Context(), sec, *token("v1"))
		if err != nil {
			t.Fatal(err)
		}
		return v.Sealed.KeyARN
	}
	if got := keyOf(p.there); !strings.HasPrefix(got, "arn:aws:kms:eu-west-1:") {
		t.Errorf("got key %s, want one of eu-west-1", got)
	}
	_, err := p.here.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: theSecret, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(there), KmsKeyId: aws.String(keyOf(p.here))}},
	})
	wantRefused(t, err, "InvalidParameterException", "The operation failed because of an invalid KMS key: Invalid arn us-east-1")
	must(p.here.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: theSecret, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(there), KmsKeyId: aws.String("alias/none")}},
	}))(t)
	p.run(t)
	p.wantStatus(t, types.StatusTypeFailed, noKey)
	wantCurrent(t, p.there, valueMark+"v1")
	must(p.here.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: theSecret, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(there), KmsKeyId: aws.String(keyOf(p.there))}},
	}))(t)
	p.run(t)
	p.wantSame(t)
}

// A secret that has replicas is not deleted; when their Regions are removed they go, and
// then it may.
func TestRemoveRegions(t *testing.T) {
	t.Parallel()
	p := open(t)
	made := p.create(t)
	for _, id := range []*string{theSecret, made.ARN} {
		for _, force := range []bool{false, true} {
			_, err := p.here.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: id, ForceDeleteWithoutRecovery: &force})
			wantRefused(t, err, "InvalidParameterException", "You can't delete secret "+*id+" that still has replica regions [eu-west-1].")
		}
	}
	_, err := p.there.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: theSecret, ForceDeleteWithoutRecovery: aws.Bool(true)})
	wantRefused(t, err, "InvalidParameterException", "Operation not permitted on a replica secret. Call must be made in primary secret's region.")
	remove := &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: theSecret, RemoveReplicaRegions: []string{there}}
	if out := must(p.here.SDK.RemoveRegionsFromReplication(t.Context(), remove))(t); len(out.ReplicationStatus) != 0 {
		t.Errorf("got replicas %v, want none", out.ReplicationStatus)
	}
	must(p.here.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: theSecret, ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
	wantCurrent(t, p.there, valueMark+"v1")
	p.run(t)
	wantCurrent(t, p.there, "ResourceNotFoundException")
	p.wantSound(t)
}

// A Region that is removed and added again has another copy, also when the first was
// never delivered.
func TestAddAgain(t *testing.T) {
	t.Parallel()
	for _, delivered := range []bool{true, false} {
		p := open(t)
		p.create(t)
		must(p.here.SDK.RemoveRegionsFromReplication(t.Context(), &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: theSecret, RemoveReplicaRegions: []string{there}}))(t)
		if delivered {
			p.run(t)
		}
		put(t, p.here, "v2")
		must(p.here.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: theSecret, AddReplicaRegions: to(there)}))(t)
		p.run(t)
		p.wantSame(t)
	}
}

// A name that is taken there is left alone, unless the secret may be overwritten: then it
// is gone, and a third one is not overwritten in its place.
func TestNameTaken(t *testing.T) {
	t.Parallel()
	p := open(t)
	must(p.there.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: theSecret, SecretString: aws.String(valueMark + "theirs")}))(t)
	must(p.here.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: theSecret, ClientRequestToken: token("v1"), SecretString: aws.String(valueMark + "v1"), AddReplicaRegions: to(there),
	}))(t)
	p.run(t)
	p.wantStatus(t, types.StatusTypeFailed, "Secret with this name already exists in this region")
	wantCurrent(t, p.there, valueMark+"theirs")
	// Nobody who operates the deployments can do anything about it, so no alarm is raised.
	for range 2 {
		p.now = p.now.Add(time.Hour)
		if sum := must(p.forth.Run(t.Context()))(t); sum.Outcomes[replicate.Refused] != 1 || sum.Outcomes[replicate.Failed] != 0 || !sum.Oldest.IsZero() {
			t.Errorf("got %+v, want a refusal alone", sum)
		}
		task := store.Task{ID: must(p.here.Server.ARNs.Parse(*describe(t, p.here).ARN))(t), Region: there}
		if sum := must(p.forth.Tasks(t.Context(), []store.Task{task}))(t); sum.Outcomes[replicate.NotDue] != 1 || !sum.Oldest.IsZero() {
			t.Errorf("between two attempts: got %+v, want that none is due", sum)
		}
	}
	must(p.here.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: theSecret, AddReplicaRegions: to(there), ForceOverwriteReplicaSecret: true,
	}))(t)
	p.run(t)
	p.wantSame(t)

	must(p.there.SDK.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: theSecret}))(t)
	must(p.there.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: theSecret, ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
	must(p.there.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: theSecret, SecretString: aws.String(valueMark + "third")}))(t)
	put(t, p.here, "v2")
	if _, err := p.forth.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wantStatus(t, types.StatusTypeFailed, "Secret with this name already exists in this region")
	wantCurrent(t, p.there, valueMark+"third")
}

// A promoted replica is a secret of its own at once. What its primary sends ends there,
// and when it can be told it forgets the replica.
func TestPromotion(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.create(t)
	put(t, p.here, "v2")
	must(p.there.SDK.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: theSecret}))(t)
	put(t, p.there, "w2")
	if _, err := p.forth.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wantStatus(t, types.StatusTypeFailed, secret.ErrPromoted.Message)
	wantCurrent(t, p.there, valueMark+"w2")
	if sum := must(p.forth.Run(t.Context()))(t); sum.Notes != 0 {
		t.Errorf("%d are due, want none", sum.Notes)
	}
	p.now = p.now.Add(time.Hour) // it may be gone by then, or another copy may be there
	if sum := must(p.forth.Run(t.Context()))(t); sum.Outcomes[replicate.Refused] != 1 {
		t.Errorf("got %v, want that it is tried again", sum.Outcomes)
	}
	p.run(t)
	if got := describe(t, p.here); len(got.ReplicationStatus) != 0 || got.PrimaryRegion != nil {
		t.Errorf("got replicas %v, want none", got.ReplicationStatus)
	}
	if got := describe(t, p.there); got.PrimaryRegion != nil {
		t.Errorf("got primary Region %s of a secret of its own, want none", *got.PrimaryRegion)
	}
	// Back again: the one that was the primary becomes the replica.
	must(p.there.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: theSecret, AddReplicaRegions: to(here)}))(t)
	p.run(t)
	if got := describe(t, p.there).ReplicationStatus[0]; aws.ToString(got.StatusMessage) != "Secret with this name already exists in this region" {
		t.Errorf("got %v, want that the name is taken", got)
	}
	must(p.there.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: theSecret, AddReplicaRegions: to(here), ForceOverwriteReplicaSecret: true,
	}))(t)
	p.run(t)
	wantCurrent(t, p.here, valueMark+"w2")
	p.wantSound(t)
}

// Regions that are not known, missing or out of order say so, and are tried again, ever
// later, until they are in sync.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		operation string
		fault     localtest.Fault
		want      string
	}{
		"no table":  {"GetItem", localtest.Refuse(400, "ResourceNotFoundException"), "The table of the deployment in eu-west-1 is not there."},
		"no right":  {"TransactWriteItems", localtest.Refuse(400, "AccessDeniedException"), "The table of the deployment in eu-west-1 may not be written from here. Deploy both regions with the names of each other."},
		"throttled": {"GetItem", localtest.Refuse(400, "ThrottlingException"), "The deployment in eu-west-1 did not take the change in time. It is tried again."},
		"down":      {"GetItem", localtest.Cut, "The deployment in eu-west-1 could not be reached, or failed. It is tried again."},
		"no key":    {"GenerateDataKey", localtest.Refuse(400, "DisabledException"), noKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.create(t)
			put(t, p.here, "v2")
			bad := p.there.Another(t)
			r := p.over(p.here.Another(t), bad)
			var waits []time.Duration
			for range 12 {
				bad.Wire.Break(test.operation, slices.Repeat([]localtest.Fault{test.fault}, 20)...)
				before := p.now
				sum := must(r.Run(t.Context()))(t)
				for sum.Notes == 0 {
					p.now = p.now.Add(time.Second)
					sum = must(r.Run(t.Context()))(t)
				}
				if sum.Notes != 1 || sum.Oldest.IsZero() {
					t.Fatalf("got %+v, want one failure", sum)
				}
				p.wantStatus(t, types.StatusTypeFailed, test.want)
				waits = append(waits, p.now.Sub(before))
			}
			if waits[1] != 5*time.Second || waits[len(waits)-1] != 15*time.Minute {
				t.Errorf("got waits %v, want 5 s to 15 min", waits)
			}
			p.now = p.now.Add(time.Hour)
			p.run(t)
			p.wantSame(t)
		})
	}
	p := open(t)
	must(p.here.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: theSecret, AddReplicaRegions: to("eu-gone-1")}))(t)
	p.run(t)
	got := describe(t, p.here).ReplicationStatus[0]
	if want := "This deployment does not know of one in eu-gone-1. Deploy it there, and name it in replicaRegions."; got.Status != types.StatusTypeFailed || aws.ToString(got.StatusMessage) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// A process that ends at any of its calls, or whose answer is lost, leaves what the next
// brings in sync.
func TestCrashAnywhere(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *pair){
		"put":     func(t *testing.T, p *pair) { put(t, p.here, "v2") },
		"another": func(t *testing.T, p *pair) { put(t, p.here, "v2"); p.again(t) },
		"removal": func(t *testing.T, p *pair) { p.remove(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			for _, after := range []bool{false, true} {
				for at := int64(1); ; at++ {
					p := open(t)
					p.create(t)
					change(t, p)
					crash := &localtest.Crash{At: at, After: after}
					from, to := p.here.Another(t), p.there.Another(t)
					crash.On(from.Wire)
					crash.On(to.Wire)
					_, _ = p.over(from, to).Run(t.Context())
					p.now = p.now.Add(time.Hour)
					p.run(t)
					if name == "removal" {
						wantCurrent(t, p.there, "ResourceNotFoundException")
						p.wantSound(t)
					} else {
						p.wantSame(t)
					}
					if t.Failed() {
						t.Fatalf("after a crash at call %d (it was made: %t)", at, after)
					}
					if crash.Calls() < at {
						break
					}
					calls++
				}
			}
			t.Logf("%d crashes", calls)
		})
	}
}

func (p *pair) again(t *testing.T) {
	t.Helper()
	must(p.here.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: theSecret, AddReplicaRegions: to(there)}))(t)
}

func (p *pair) remove(t *testing.T) {
	t.Helper()
	must(p.here.SDK.RemoveRegionsFromReplication(t.Context(), &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: theSecret, RemoveReplicaRegions: []string{there}}))(t)
}

// restore has the primary's Region go on with a table that has these items.
func (p *pair) restore(t *testing.T, backup []map[string]ddb.AttributeValue) {
	t.Helper()
	restored := localtest.In(t, here)
	for _, it := range backup {
		must(restored.DynamoDB.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &restored.Table, Item: it}))(t)
	}
	restored.Server.Replicates, restored.Server.Now = p.here.Server.Replicates, p.time
	p.here, p.forth, p.back = restored, p.replicator(t, restored, p.there), p.replicator(t, p.there, restored)
}

// A primary that is restored to an earlier state does not take its replica for its own: it
// says what to do, and that brings them in sync.
func TestRestoredPrimary(t *testing.T) {
	t.Parallel()
	for _, puts := range []int{0, 1, 2} { // with one, the revisions are the same
		p := open(t)
		p.create(t)
		backup := must(localtest.Shared().Tables.Items(p.here.Table))(t)
		put(t, p.here, "v2")
		put(t, p.here, "v3")
		p.run(t)
		p.restore(t, backup)
		must(p.here.SDK.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: theSecret, Tags: []types.Tag{{Key: aws.String("restored"), Value: aws.String("yes")}}}))(t)
		for i := range puts {
			put(t, p.here, fmt.Sprint("r", i))
		}
		p.run(t)
		if puts == 2 { // later than the replica, which goes on
			p.wantStatus(t, types.StatusTypeInSync, "")
			wantCurrent(t, p.there, valueMark+"r1")
			continue
		}
		p.wantStatus(t, types.StatusTypeFailed, secret.ErrAhead.Message)
		must(p.there.SDK.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: theSecret}))(t)
		must(p.here.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: theSecret, AddReplicaRegions: to(there), ForceOverwriteReplicaSecret: true}))(t)
		p.run(t)
		p.wantSame(t)
	}
}

// A replica does not keep more versions than its Region does.
func TestReplicaIsPruned(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.forth.Retention = secret.Retention{MaxVersions: 2, MinAge: time.Hour}
	p.create(t)
	for i := range 6 {
		put(t, p.here, fmt.Sprint("p", i))
		p.run(t)
	}
	p.now = p.now.Add(2 * time.Hour)
	pruner := &prune.Pruner{Store: p.there.Another(t).Store, Retention: p.forth.Retention, Now: p.time, Log: slog.New(slog.DiscardHandler)}
	if sum := must(pruner.Run(t.Context()))(t); sum.Versions != 3 { // of 7, of which 2 have labels
		t.Errorf("got %d versions pruned, want 3", sum.Versions)
	}
	p.wantSame(t)
	move(t, p.here, "AWSCURRENT", "p5", "v1") // which is gone there
	p.run(t)
	p.wantSame(t)
}

// A secret with many versions is in sync as soon as one with few: what is copied has a
// label.
func TestManyVersions(t *testing.T) {
	t.Parallel()
	costs := map[int]string{}
	for _, versions := range []int{2, 500} {
		p := open(t)
		must(p.here.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: theSecret}))(t)
		for i := range versions {
			put(t, p.here, fmt.Sprint("p", i))
		}
		must(p.here.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: theSecret, AddReplicaRegions: to(there)}))(t)
		from, to := p.here.Another(t), p.there.Another(t)
		must(p.over(from, to).Run(t.Context()))(t)
		mine, _, _ := from.Wire.Took()
		theirs, _, _ := to.Wire.Took()
		calls := slices.Sorted(slices.Values(strings.Fields(mine + " " + theirs))) // the rest of the queue is read meanwhile
		costs[versions] = strings.Join(calls, " ")
		p.wantSame(t)
		if got := must(p.there.SDK.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: theSecret, IncludeDeprecated: aws.Bool(true)}))(t).Versions; len(got) != 2 {
			t.Errorf("got %d versions there, want 2", len(got))
		}
	}
	if costs[2] != costs[500] {
		t.Errorf("got calls %s with 500 versions, want %s as with 2", costs[500], costs[2])
	}
}

// Runners beside each other, and beside changes, bring a replica to the same end. A reader
// there sees no label without its version, and none that goes back.
func TestRunnersBesideEachOther(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.create(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running errgroup.Group
	for range 3 {
		r := p.replicator(t, p.here, p.there)
		running.Go(func() error {
			for ctx.Err() == nil {
				if _, err := r.Run(t.Context()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	reader := p.there.Another(t)
	running.Go(func() error {
		for seen := ""; ctx.Err() == nil; {
			out, err := reader.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: theSecret})
			if err != nil {
				return err
			}
			if got := aws.ToString(out.SecretString); got < seen {
				return fmt.Errorf("%s was seen after %s", got, seen)
			} else {
				seen = got
			}
		}
		return nil
	})
	for i := range 100 {
		put(t, p.here, fmt.Sprintf("v2%03d", i))
	}
	stop()
	if err := running.Wait(); err != nil {
		t.Error(err)
	}
	p.now = p.now.Add(time.Hour)
	p.run(t)
	p.wantSame(t)
}

// That a secret may be overwritten is not said of what becomes of the replica itself: one that
// is promoted before its first delivery is noted stays as it is.
func TestPromotedBeforeItIsNoted(t *testing.T) {
	t.Parallel()
	p := open(t)
	must(p.here.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: theSecret, ClientRequestToken: token("v1"), SecretString: aws.String(valueMark + "v1"),
		AddReplicaRegions: to(there), ForceOverwriteReplicaSecret: true,
	}))(t)
	from := p.here.Another(t)
	from.Wire.Break("UpdateItem", slices.Repeat([]localtest.Fault{localtest.Cut}, 20)...)
	if _, err := p.over(from, p.there.Another(t)).Run(t.Context()); err == nil {
		t.Fatal("the delivery was noted")
	}
	must(p.there.SDK.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: theSecret}))(t)
	put(t, p.there, "w2")
	if _, err := p.forth.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wantStatus(t, types.StatusTypeFailed, secret.ErrPromoted.Message)
	wantCurrent(t, p.there, valueMark+"w2")
}

// A promoted secret that is replicated back before its primary was told takes that one's
// place all the same: the primary has no replica that it would know of.
func TestBackBeforePrimaryIsTold(t *testing.T) {
	t.Parallel()
	for _, overwrite := range []bool{false, true} {
		p := open(t)
		p.create(t)
		must(p.there.SDK.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: theSecret}))(t)
		must(p.there.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
			SecretId: theSecret, AddReplicaRegions: to(here), ForceOverwriteReplicaSecret: overwrite,
		}))(t)
		put(t, p.there, "w2")
		p.run(t)
		if got := describe(t, p.here).ReplicationStatus; len(got) != 0 {
			t.Errorf("got replicas %v of what was the primary, want none", got)
		}
		want := map[bool]string{false: valueMark + "v1", true: valueMark + "w2"}[overwrite]
		wantCurrent(t, p.here, want)
		p.wantSound(t)
	}
}

// What is done in each Region takes these calls and units, in processes that have seen nothing,
// with a value of some bytes.
func TestCalls(t *testing.T) {
	t.Parallel()
	removal := func(t *testing.T, p *pair) { t.Helper(); p.remove(t) }
	for _, c := range []struct {
		name        string
		do          func(*testing.T, *pair)
		back        bool
		here, there string // with the units of DynamoDB that are read and written
	}{
		{"a put", func(t *testing.T, p *pair) { t.Helper(); put(t, p.here, "v2") }, false, "BatchGetItem BatchGetItem Decrypt UpdateItem: 3, 2", "GetItem GenerateDataKey TransactWriteItems: 1, 5"},
		{"a label", func(t *testing.T, p *pair) { t.Helper(); move(t, p.here, "mine", "", "v1") }, false, "BatchGetItem UpdateItem: 2, 2", "GetItem TransactWriteItems: 1, 2"},
		{"a tag, while a value is pending", func(t *testing.T, p *pair) {
			t.Helper()
			put(t, p.here, "v2", "AWSPENDING")
			p.run(t)
			must(p.here.SDK.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: theSecret, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}))(t)
		}, false, "BatchGetItem BatchGetItem UpdateItem: 3, 2", "GetItem TransactWriteItems: 1, 2"},
		{"another copy", func(t *testing.T, p *pair) { t.Helper(); p.again(t) }, false, "BatchGetItem BatchGetItem Decrypt UpdateItem: 3, 2", "GetItem GenerateDataKey TransactWriteItems: 1, 16"},
		{"a removal", removal, false, "BatchGetItem TransactWriteItems: 2, 3", "GetItem TransactWriteItems: 1, 12"},
		{"a removal of what is not there", func(t *testing.T, p *pair) {
			t.Helper()
			must(p.there.SDK.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: theSecret}))(t)
			must(p.there.SDK.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: theSecret, ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
			removal(t, p)
		}, false, "BatchGetItem TransactWriteItems: 2, 3", "GetItem TransactWriteItems: 1, 5"},
		{"a promotion", func(t *testing.T, p *pair) {
			t.Helper()
			must(p.there.SDK.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: theSecret}))(t)
		}, true, "GetItem TransactWriteItems: 1, 5", "BatchGetItem TransactWriteItems: 2, 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.create(t)
			c.do(t, p)
			here, there := p.here.Another(t), p.there.Another(t)
			id := secret.ID{Name: "s", Suffix: must(p.here.Store.Get(t.Context(), secret.ID{Name: "s"}))(t).Suffix()}
			from, to := here, there
			if c.back {
				from, to = there, here
			}
			if outcome, err := p.over(from, to).Replicate(t.Context(), store.Task{ID: id, Region: to.ARNs.Region}); err != nil || outcome != replicate.Delivered && outcome != replicate.Removed {
				t.Fatalf("got %s, %v", outcome, err)
			}
			for room, want := range map[*localtest.Room]string{here: c.here, there: c.there} {
				calls, reads, writes := room.Wire.Took()
				if got := fmt.Sprint(calls, ": ", reads, ", ", writes); got != want {
					t.Errorf("got %q in %s, want %q", got, room.ARNs.Region, want)
				}
			}
		})
	}
}

// What fails in the Region of the primary is said of that.
func TestFailuresHere(t *testing.T) {
	t.Parallel()
	pass := func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) { return do() }
	denied := localtest.Refuse(400, "AccessDeniedException")
	for name, test := range map[string]struct {
		operation string
		faults    []localtest.Fault
		want      string
	}{
		"no right to the key":   {"Decrypt", []localtest.Fault{denied}, "A value cannot be opened with its KMS key: Access to KMS is not allowed"},
		"no key":                {"Decrypt", []localtest.Fault{localtest.Refuse(400, "DisabledException")}, "A value cannot be opened with its KMS key: Secrets Manager can't decrypt the protected secret text using the provided KMS key."},
		"no right to the table": {"BatchGetItem", []localtest.Fault{pass, denied}, "The table of the primary could not be read. It is tried again."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.create(t)
			put(t, p.here, "v2")
			from := p.here.Another(t)
			from.Wire.Break(test.operation, test.faults...)
			must(p.over(from, p.there.Another(t)).Run(t.Context()))(t)
			p.wantStatus(t, types.StatusTypeFailed, test.want)
			p.now = p.now.Add(time.Hour)
			p.run(t)
			p.wantSame(t)
		})
	}
}

func (p *pair) promote(t *testing.T) {
	t.Helper()
	must(p.there.SDK.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: theSecret}))(t)
}

func (p *pair) overwrite(t *testing.T) {
	t.Helper()
	must(p.here.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: theSecret, AddReplicaRegions: to(there), ForceOverwriteReplicaSecret: true,
	}))(t)
}

// A delivery that may overwrite and comes late does not overwrite what became of a later copy.
func TestLateDeliveryOverPromoted(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.create(t)
	p.overwrite(t)
	late := p.there.Another(t)
	late.Wire.Break("GetItem", func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		p.again(t)
		p.run(t)
		p.promote(t)
		put(t, p.there, "w2")
		return do()
	})
	if _, err := p.over(p.here.Another(t), late).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantCurrent(t, p.there, valueMark+"w2")
}

// A primary that was restored to before its Region was added again can overwrite what became
// of the copy that it does not know.
func TestRestoredBeforeCopy(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.create(t)
	backup := must(localtest.Shared().Tables.Items(p.here.Table))(t)
	for range 5 {
		p.again(t)
	}
	p.run(t)
	p.restore(t, backup)
	put(t, p.here, "r1")
	p.run(t)
	p.wantStatus(t, types.StatusTypeFailed, secret.ErrAhead.Message)
	p.promote(t)
	p.overwrite(t)
	p.run(t)
	p.wantSame(t)
}

// A delivery that is under way while its Region is removed is kept out, whatever is there.
func TestRemovedDuringDelivery(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, meanwhile func(*testing.T, *pair)
		want              string
		early             bool // it happens before what is there is read
	}{
		"nothing, and the region was added again meanwhile": {
			func(t *testing.T, p *pair) { t.Helper(); p.remove(t); p.run(t); p.again(t) },
			func(t *testing.T, p *pair) { t.Helper(); p.again(t); p.remove(t) },
			"ResourceNotFoundException", false,
		},
		"a promoted secret that was to be overwritten": {
			func(t *testing.T, p *pair) {
				t.Helper()
				p.promote(t)
				put(t, p.there, "w2")
				p.overwrite(t)
			},
			func(t *testing.T, p *pair) { t.Helper(); p.remove(t) },
			valueMark + "w2", false,
		},
		"the same, which is to be replicated back": {
			func(t *testing.T, p *pair) {
				t.Helper()
				p.promote(t)
				put(t, p.there, "w2")
				must(p.there.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: theSecret, AddReplicaRegions: to(here)}))(t)
				for i := range 5 { // so that the number of the copy is the larger one
					put(t, p.here, fmt.Sprint("more", i))
				}
				p.overwrite(t)
			},
			func(t *testing.T, p *pair) { t.Helper(); p.remove(t) },
			valueMark + "w2", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.create(t)
			test.before(t, p)
			to := p.there.Another(t)
			at := "TransactWriteItems"
			if test.early {
				at = "GetItem"
			}
			to.Wire.Break(at, func(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
				test.meanwhile(t, p)
				if _, err := p.forth.Run(t.Context()); err != nil {
					t.Error(err)
				}
				return do()
			})
			_, _ = p.over(p.here.Another(t), to).Run(t.Context())
			p.now = p.now.Add(time.Hour)
			p.run(t)
			wantCurrent(t, p.there, test.want)
			p.wantSound(t)
		})
	}
}

// An ID whose version was pruned may be used again, for another value: a replica that has had
// no delivery in between gets that value.
func TestReusedID(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.create(t)
	put(t, p.here, "v2")
	put(t, p.here, "v3")
	p.now = p.now.Add(2 * time.Hour)
	pruner := &prune.Pruner{Store: p.here.Another(t).Store, Retention: secret.Retention{MinAge: time.Hour}, Now: p.time, Log: slog.New(slog.DiscardHandler)}
	must(p.here.SDK.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: theSecret, Tags: []types.Tag{{Key: aws.String(secret.MaxVersionsTag), Value: aws.String("0")}}}))(t)
	if sum := must(pruner.Run(t.Context()))(t); sum.Versions != 1 {
		t.Fatalf("%d versions were pruned, want v1", sum.Versions)
	}
	must(p.here.SDK.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: theSecret, ClientRequestToken: token("v1"), SecretString: aws.String(valueMark + "another"),
	}))(t)
	p.run(t)
	p.wantSame(t)
}
