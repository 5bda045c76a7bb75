package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

const otherKey = "arn:aws:kms:eu-west-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"

func replicateInput(regions ...string) *secretsmanager.ReplicateSecretToRegionsInput {
	return &secretsmanager.ReplicateSecretToRegionsInput{SecretId: aws.String("s"), AddReplicaRegions: replicas(regions...)}
}

func replicate(t testing.TB, room *localtest.Room, regions ...string) {
	t.Helper()
	must(room.SDK.ReplicateSecretToRegions(t.Context(), replicateInput(regions...)))(t)
}

func removeRegions(t testing.TB, room *localtest.Room, regions ...string) []types.ReplicationStatusType {
	t.Helper()
	in := &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: aws.String("s"), RemoveReplicaRegions: regions}
	return must(room.SDK.RemoveRegionsFromReplication(t.Context(), in))(t).ReplicationStatus
}

// noteOf is what is noted of the replica of the secret s in a Region.
func noteOf(t testing.TB, room *localtest.Room, region string) store.Replication {
	t.Helper()
	sec := must(room.Store.Get(t.Context(), secret.ID{Name: "s"}))(t)
	task := store.Task{ID: secret.ID{Name: "s", Suffix: sec.Suffix()}, Region: region}
	return must(room.Store.Replication(t.Context(), task))(t)
}

// deliver notes that a replica has all that the secret s shows.
func deliver(t testing.TB, room *localtest.Room, region string) {
	t.Helper()
	n := noteOf(t, room, region)
	if !must(room.Store.Settled(t.Context(), n, n.Secret.Revision))(t) {
		t.Fatal("the delivery is not noted")
	}
}

// statuses are those of replicas, as Region, status, key and message.
func statuses(all []types.ReplicationStatusType) string {
	texts := []string{}
	for _, s := range all {
		texts = append(texts, strings.TrimSpace(fmt.Sprint(aws.ToString(s.Region), " ", s.Status, " ", aws.ToString(s.KmsKeyId), aws.ToString(s.StatusMessage))))
	}
	return strings.Join(texts, ", ")
}

func checkStatuses(t testing.TB, what string, got []types.ReplicationStatusType, want string) {
	t.Helper()
	if got := statuses(got); got != want {
		t.Errorf("%s: got replicas %q, want %q", what, got, want)
	}
}

// What is told of the replicas of a secret: in the order of their Regions, of each how far it
// is, and nothing of a secret that has none.
func TestReplicationStatus(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	in := replicateInput("eu-west-1", "ap-south-1")
	in.AddReplicaRegions[0].KmsKeyId = aws.String(otherKey)
	checkStatuses(t, "added", must(room.SDK.ReplicateSecretToRegions(t.Context(), in))(t).ReplicationStatus, "ap-south-1 InProgress, eu-west-1 InProgress "+otherKey)

	deliver(t, room, "ap-south-1")
	n := noteOf(t, room, "eu-west-1")
	if !must(room.Store.Failed(t.Context(), n, "why", time.Now(), time.Now()))(t) {
		t.Fatal("the failure is not noted")
	}
	checkStatuses(t, "described", describe(t, room, "s").ReplicationStatus, "ap-south-1 InSync, eu-west-1 Failed "+otherKey+"why")
	checkStatuses(t, "nothing removed", removeRegions(t, room, "us-west-2"), "ap-south-1 InSync, eu-west-1 Failed "+otherKey+"why")
	put(t, room, "s", "v2", "two")
	checkStatuses(t, "put", describe(t, room, "s").ReplicationStatus, "ap-south-1 InProgress, eu-west-1 InProgress "+otherKey)

	if got := aws.ToString(describe(t, room, "s").PrimaryRegion); got != "us-east-1" {
		t.Errorf("got primary Region %q, want us-east-1", got)
	}
	_, body := room.Post(t, "ListSecrets", `{}`)
	if !strings.Contains(body, `"PrimaryRegion":"us-east-1"`) || strings.Contains(body, "ReplicationStatus") {
		t.Errorf("got list %s, want the primary Region and no status", body)
	}
	checkStatuses(t, "one removed", removeRegions(t, room, "eu-west-1"), "ap-south-1 InProgress")
	checkStatuses(t, "the last removed", removeRegions(t, room, "ap-south-1", "eu-west-1"), "")
	_, body = room.Post(t, "DescribeSecret", `{"SecretId":"s"}`)
	checkMembers(t, body, "ARN", "Name", "CreatedDate", "LastChangedDate", "VersionIdsToStages")
	_, body = room.Post(t, "RemoveRegionsFromReplication", `{"SecretId":"s","RemoveReplicaRegions":["eu-west-1"]}`)
	checkMembers(t, body, "ARN", "ReplicationStatus")
	_, body = room.Post(t, "ReplicateSecretToRegions", `{"SecretId":"s","AddReplicaRegions":[{"Region":"eu-west-1"}]}`)
	checkMembers(t, body, "ARN", "ReplicationStatus")
	_, body = room.Post(t, "CreateSecret", `{"Name":"t","AddReplicaRegions":[{"Region":"eu-west-1"}]}`)
	checkMembers(t, body, "ARN", "Name", "ReplicationStatus")
	_, body = room.Post(t, "CreateSecret", `{"Name":"u"}`)
	checkMembers(t, body, "ARN", "Name")
}

// A promoted replica is told of as any other secret, and of its own Region.
func TestStopReplicationToReplica(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	arn := create(t, room, "s", "v1", "one").ARN
	makeReplica(t, room, "s")
	if got := aws.ToString(describe(t, room, "s").PrimaryRegion); got != "eu-west-1" {
		t.Errorf("got primary Region %q of the replica, want eu-west-1", got)
	}
	_, body := room.Post(t, "StopReplicationToReplica", `{"SecretId":"s"}`)
	if want, _ := json.Marshal(map[string]string{"ARN": *arn}); body != string(want) {
		t.Errorf("got %s, want %s", body, want)
	}
	if got := describe(t, room, "s"); got.PrimaryRegion != nil {
		t.Errorf("got primary Region %s, want none", *got.PrimaryRegion)
	}
	put(t, room, "s", "v2", "two")
	refuses(t, room, noReplica, func() (*secretsmanager.StopReplicationToReplicaOutput, error) {
		return room.SDK.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: arn})
	})
}

func TestReplicationRefuses(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	room.Server.Replicates = func(region string) bool { return region != "sa-east-1" }
	const (
		add, remove, stop = "ReplicateSecretToRegions", "RemoveRegionsFromReplication", "StopReplicationToReplica"
		pattern           = `failed to satisfy constraint: Member must satisfy regular expression pattern: ^([a-z]+-)+\d+$`
	)
	ownRegion := refusal{"InvalidParameterException", "Invalid replica region."}
	for _, test := range []struct {
		name, operation, body string
		want                  refusal
	}{
		{"own Region", add, `{"SecretId":"s","AddReplicaRegions":[{"Region":"us-east-1"}]}`, ownRegion},
		{"own Region beside another", add, `{"SecretId":"s","AddReplicaRegions":[{"Region":"eu-west-1"},{"Region":"us-east-1"}]}`, ownRegion},
		{"no Region", add, `{"SecretId":"s","AddReplicaRegions":[{"KmsKeyId":"alias/a"}]}`, ownRegion},
		{"a Region that is not known", add, `{"SecretId":"s","AddReplicaRegions":[{"Region":"sa-east-1"}]}`, refusal{"InvalidParameterException", "Invalid replica region. This deployment does not replicate to sa-east-1."}},
		{"a Region twice", add, `{"SecretId":"s","AddReplicaRegions":[{"Region":"eu-west-1"},{"Region":"eu-west-1","KmsKeyId":"alias/a"}]}`, refusal{"InvalidParameterException", "Replica regions must be unique: eu-west-1 is given more than once."}},
		{"a key of another Region", add, `{"SecretId":"s","AddReplicaRegions":[{"Region":"eu-west-2","KmsKeyId":"` + otherKey + `"}]}`, refusal{"InvalidParameterException", "The operation failed because of an invalid KMS key: Invalid arn eu-west-1"}},
		{"no key", add, `{"SecretId":"s","AddReplicaRegions":[{"Region":"eu-west-2","KmsKeyId":"not a key"}]}`, refusal{"InvalidParameterException", "The operation failed because of an invalid KMS key: Invalid keyId"}},
		{"no Regions", add, `{"SecretId":"s","AddReplicaRegions":[]}`, violation("Value at 'addReplicaRegions' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"no list", add, `{"SecretId":"s"}`, violation("Value null at 'addReplicaRegions' failed to satisfy constraint: Member must not be null")},
		{"nothing in the list", add, `{"SecretId":"s","AddReplicaRegions":[null]}`, violation("Value null at 'addReplicaRegions.1.member' failed to satisfy constraint: Member must not be null")},
		{"a bad Region", add, `{"SecretId":"s","AddReplicaRegions":[{"Region":"Ireland"}]}`, violation("Value 'Ireland' at 'addReplicaRegions.1.member.region' " + pattern)},
		{"a text for a list", add, `{"SecretId":"s","AddReplicaRegions":"eu-west-1"}`, refusal{"SerializationException", "The value at 'addReplicaRegions' is not a list."}},
		{"another secret", add, `{"SecretId":"none","AddReplicaRegions":[{"Region":"eu-west-1"}]}`, notFound},
		{"another secret and a bad Region", add, `{"SecretId":"none","AddReplicaRegions":[{"Region":"us-east-1"}]}`, notFound},
		{"a bad name", add, `{"SecretId":"a b","AddReplicaRegions":[{"Region":"eu-west-1"}]}`, invalidName},
		{"no secret", add, `{"AddReplicaRegions":[{"Region":"eu-west-1"}]}`, violation("Value null at 'secretId' failed to satisfy constraint: Member must not be null")},
		{"none removed", remove, `{"SecretId":"s","RemoveReplicaRegions":[]}`, violation("Value '[]' at 'removeReplicaRegions' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"no list of them", remove, `{"SecretId":"s"}`, violation("Value null at 'removeReplicaRegions' failed to satisfy constraint: Member must not be null")},
		{"nothing in the list of them", remove, `{"SecretId":"s","RemoveReplicaRegions":[null]}`, violation("Value null at 'removeReplicaRegions.1' failed to satisfy constraint: Member must not be null")},
		{"another secret of them", remove, `{"SecretId":"none","RemoveReplicaRegions":["eu-west-1"]}`, notFound},
		{"not a replica", stop, `{"SecretId":"s"}`, noReplica},
		{"no replica of that name", stop, `{"SecretId":"none"}`, notFound},
		{"no replica", stop, `{}`, violation("Value null at 'secretId' failed to satisfy constraint: Member must not be null")},
	} {
		t.Run(test.name, func(t *testing.T) { refusesPost(t, room, test.operation, test.body, test.want) })
	}
	room.Server.Replicates = nil
	refusesPost(t, room, add, `{"SecretId":"s","AddReplicaRegions":[{"Region":"eu-west-1"}]}`, refusal{"InvalidParameterException", "Invalid replica region. This deployment does not replicate to eu-west-1."})
}

// A deployment whose other Regions were taken out of its settings has nothing that would
// deliver a change, or note why not.
func TestReplicaInARegionTakenOut(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	replicate(t, room, "eu-west-1")
	deliver(t, room, "eu-west-1")
	room.Server.Replicates = nil
	if got, want := statuses(describe(t, room, "s").ReplicationStatus), "eu-west-1 InSync"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	put(t, room, "s", "v2", "two")
	if got, want := statuses(describe(t, room, "s").ReplicationStatus), "eu-west-1 Failed This deployment does not know of one in eu-west-1. Deploy it there, and name it in replicaRegions."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := removeRegions(t, room, "eu-west-1"); len(got) != 0 {
		t.Errorf("got %s, want that the Region can be removed", statuses(got))
	}
}

// A secret has no more replicas than the transaction of a change has notes for.
func TestMostReplicas(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	var regions []string
	for i := range secret.MaxReplicas {
		regions = append(regions, fmt.Sprint("eu-west-", i+1))
	}
	for half := range slices.Chunk(regions, len(regions)/2) {
		replicate(t, room, half...)
	}
	refuses(t, room, refusal{"InvalidParameterException", "A secret can be replicated to no more than 50 Regions."}, func() (*secretsmanager.ReplicateSecretToRegionsOutput, error) {
		return room.SDK.ReplicateSecretToRegions(t.Context(), replicateInput("eu-north-1"))
	})
	for i := range 18 {
		put(t, room, "s", fmt.Sprint("w", i), "value", fmt.Sprint("label-", i))
	}
	must(room.SDK.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: aws.String("s"), KmsKeyId: aws.String(newKey(t))}))(t)
	if got := describe(t, room, "s").ReplicationStatus; len(got) != secret.MaxReplicas {
		t.Errorf("got %d replicas, want %d", len(got), secret.MaxReplicas)
	}
}

// An answer that is lost is given to the SDK's next try, and nothing happens twice; a new
// call is judged anew.
func TestLostAnswersOfReplication(t *testing.T) {
	t.Parallel()
	type change = func(context.Context, *secretsmanager.Client, ...func(*secretsmanager.Options)) (string, error)
	for name, test := range map[string]struct {
		before func(testing.TB, *localtest.Room)
		call   change
		want   string // that is told
		again  refusal
	}{
		"ReplicateSecretToRegions": {func(testing.TB, *localtest.Room) {}, func(ctx context.Context, c *secretsmanager.Client, o ...func(*secretsmanager.Options)) (string, error) {
			out, err := c.ReplicateSecretToRegions(ctx, replicateInput("eu-west-1"), o...)
			if err != nil {
				return "", err
			}
			return statuses(out.ReplicationStatus), nil
		}, "eu-west-1 InProgress", refusal{}},
		"RemoveRegionsFromReplication": {func(t testing.TB, r *localtest.Room) { t.Helper(); replicate(t, r, "eu-west-1") }, func(ctx context.Context, c *secretsmanager.Client, o ...func(*secretsmanager.Options)) (string, error) {
			in := &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: aws.String("s"), RemoveReplicaRegions: []string{"eu-west-1"}}
			out, err := c.RemoveRegionsFromReplication(ctx, in, o...)
			if err != nil {
				return "", err
			}
			return statuses(out.ReplicationStatus), nil
		}, "", refusal{}},
		"StopReplicationToReplica": {func(t testing.TB, r *localtest.Room) { t.Helper(); makeReplica(t, r, "s") }, func(ctx context.Context, c *secretsmanager.Client, o ...func(*secretsmanager.Options)) (string, error) {
			_, err := c.StopReplicationToReplica(ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: aws.String("s")}, o...)
			return "", err
		}, "", noReplica},
	} {
		for _, between := range []int{0, 3} {
			t.Run(fmt.Sprint(name, ", with so many changes between: ", between), func(t *testing.T) {
				t.Parallel()
				room := localtest.New(t)
				create(t, room, "s", "v1", "one")
				test.before(t, room)
				before := revision(t, room)
				l := &losing{then: func() {
					for i := range between {
						must(room.SDK.TagResource(t.Context(), tagInput("s", tag("key", fmt.Sprint(i)))))(t)
					}
				}}
				if got, err := test.call(t.Context(), room.SDK, l.option); err != nil || got != test.want || l.calls.Load() != 2 {
					t.Errorf("got %q, %v after %d tries, want %q with the second", got, err, l.calls.Load(), test.want)
				}
				if got, want := revision(t, room)-before, int64(1+between); got != want {
					t.Errorf("got %d revisions, want %d", got, want)
				}
				_, err := test.call(t.Context(), room.SDK, once)
				if test.again == (refusal{}) {
					must(0, err)(t)
				} else {
					checkRefused(t, err, test.again)
				}
			})
		}
	}
}

// What policies can ask of replication: to which Regions, whether what is there may be
// overwritten, and where the primary is.
func TestReplicationConditions(t *testing.T) {
	t.Parallel()
	const (
		oneRegion = `{"ForAllValues:StringEquals":{"secretsmanager:AddReplicaRegions":["eu-west-1"]}}`
		anyRegion = `{"ForAnyValue:StringEquals":{"secretsmanager:AddReplicaRegions":["eu-west-1"]}}`
		force     = `{"Bool":{"secretsmanager:ForceOverwriteReplicaSecret":"true"}}`
		noForce   = `{"Bool":{"secretsmanager:ForceOverwriteReplicaSecret":"false"}}`
		fromHere  = `{"StringEquals":{"secretsmanager:SecretPrimaryRegion":"us-east-1"}}`
		fromThere = `{"StringEquals":{"secretsmanager:SecretPrimaryRegion":"eu-west-1"}}`
		regions   = `"AddReplicaRegions":[{"Region":"eu-west-1"}]`
		more      = `"AddReplicaRegions":[{"Region":"eu-west-1"},{"Region":"us-west-2"}]`
		overwrite = `,"ForceOverwriteReplicaSecret":true`
		notOver   = `,"ForceOverwriteReplicaSecret":false`
	)
	for _, test := range []struct {
		operation, members, condition string
		byAllow, besideDeny           bool
	}{
		{"ReplicateSecretToRegions", regions, oneRegion, true, false},
		{"ReplicateSecretToRegions", more, oneRegion, false, true},
		{"ReplicateSecretToRegions", more, anyRegion, true, false},
		{"CreateSecret", regions, oneRegion, true, false},
		{"CreateSecret", more, oneRegion, false, true},
		{"ReplicateSecretToRegions", regions + overwrite, force, true, false},
		{"ReplicateSecretToRegions", regions + overwrite, noForce, false, true},
		{"ReplicateSecretToRegions", regions + notOver, noForce, true, false},
		{"ReplicateSecretToRegions", regions, force, false, true},
		{"ReplicateSecretToRegions", regions, noForce, false, false}, // nobody said so
		{"CreateSecret", regions + overwrite, force, true, false},
		{"CreateSecret", regions + overwrite, noForce, false, true},
		{"CreateSecret", regions, noForce, false, false},
		{"ReplicateSecretToRegions", regions, fromHere, true, false},
		{"CreateSecret", regions, fromHere, true, false},
		{"StopReplicationToReplica", ``, fromThere, true, false},
		{"StopReplicationToReplica", ``, fromHere, false, true},
	} {
		t.Run(test.operation+" "+test.members+" "+test.condition, func(t *testing.T) {
			t.Parallel()
			checkConditions(t, test.operation, test.members, test.byAllow, test.besideDeny, test.condition)
		})
	}
}

// Who may create a secret and not replicate it makes none with replicas, and learns nothing of
// one that has the name.
func TestCreateWithReplicasNeedsBoth(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "taken", "v1", "one")
	guard := guarded(t, room, alice, allow("CreateSecret"))
	for _, name := range []string{"new", "taken"} {
		body := `{"Name":"` + name + `","AddReplicaRegions":[{"Region":"eu-west-1"}]}`
		refusesPost(t, guard, "CreateSecret", body, denied(alice, "ReplicateSecretToRegions", name, policy.IdentityBased))
	}
	must(guard.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("new")}))(t)
	both := guarded(t, room, alice, allow("CreateSecret", "ReplicateSecretToRegions"))
	must(both.SDK.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("both"), AddReplicaRegions: replicas("eu-west-1")}))(t)
}
