package api_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/sync/errgroup"

	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/secret"
)

// A cost is what a call takes of the engines: the calls to them, and the
// capacity units of DynamoDB for reading and writing.
type cost struct {
	calls         string
	reads, writes float64
}

func took(room *localtest.Room) cost {
	calls, reads, writes := room.Wire.Took()
	return cost{calls, reads, writes}
}

// Units: a strongly consistent read of an item takes 1 for each 4 KB begun; a
// write 1 for each KB begun, in a transaction 2, also one that only checks; a row
// of an index 1 when it comes or goes. (A transaction that is refused is paid on
// AWS, too; the engine says nothing of it.) Here a head has some 500 bytes, and a
// version some 1,700, its value being 1,024.
const (
	readHead     = 1.0
	readVersion  = 1.0
	writeHead    = 2.0
	newVersion   = 4.0 + 1.0 // and its row in the index by age
	checkVersion = 4.0
	twoRows      = 2 * 2.0   // in the directory, by name and by creation
	becomesDue   = 1.0       // a row in the index of what is due
	leftover     = 2.0 + 1.0 // a small item, and its row in the index of what is due
	note         = 2.0 + 1.0 // likewise
	checkAbsent  = 2.0
	touchHead    = 1.0
	touchVersion = 2.0
)

var kilobyte = strings.Repeat("x", 1024)

// A priced is a call on the secret s whose cost is known.
type priced func(context.Context, *secretsmanager.Client) error

func pricedPut(version string) priced {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.PutSecretValue(ctx, putInput("s", version, kilobyte), once)
		return err
	}
}

func pricedGet(version, label string) priced {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.GetSecretValue(ctx, getInput("s", version, label), once)
		return err
	}
}

func pricedMove(label, from, to string) priced {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.UpdateSecretVersionStage(ctx, stageInput("s", label, from, to), once)
		return err
	}
}

func pricedList(in secretsmanager.ListSecretVersionIdsInput) priced {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		in.SecretId = aws.String("s")
		_, err := c.ListSecretVersionIds(ctx, &in, once)
		return err
	}
}

func pricedDelete(force bool) priced {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.DeleteSecret(ctx, deleteInput("s", -1, aws.Bool(force)), once)
		return err
	}
}

func pricedDescribe(ctx context.Context, c *secretsmanager.Client) error {
	_, err := c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")}, once)
	return err
}

func pricedRestore(ctx context.Context, c *secretsmanager.Client) error {
	_, err := c.RestoreSecret(ctx, restoreInput("s"), once)
	return err
}

func pricedCreate(in *secretsmanager.CreateSecretInput) priced {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.CreateSecret(ctx, in, once)
		return err
	}
}

// pricedRotate asks for a rotation, or for a test alone, of the secret s.
func pricedRotate(version string, immediately bool) priced {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		in := byFunction("s", version)
		in.RotateImmediately = aws.Bool(immediately)
		_, err := c.RotateSecret(ctx, in, once)
		return err
	}
}

// pricedUnfinished asks for a rotation, and puts another version in the place of its.
func pricedUnfinished(version, pending string) priced {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		if err := pricedRotate(version, true)(ctx, c); err != nil {
			return err
		}
		_, err := c.PutSecretValue(ctx, putInput("s", pending, kilobyte, "AWSPENDING"), once)
		return err
	}
}

// refused is a call that is known to be refused.
func refused(call priced) priced {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		if call(ctx, c) == nil {
			return errors.New("no refusal")
		}
		return nil
	}
}

func pricedCancel(ctx context.Context, c *secretsmanager.Client) error {
	_, err := c.CancelRotateSecret(ctx, cancelInput("s"), once)
	return err
}

// What each call costs, on a secret with the versions v0, v1 and v2.
func TestCosts(t *testing.T) {
	t.Parallel()
	all := secretsmanager.ListSecretVersionIdsInput{IncludeDeprecated: aws.Bool(true)}
	for _, test := range []struct {
		name string
		call priced
		// elsewhere is what another process did at first, before what this one did
		// then; a process that did nothing is cold.
		elsewhere, before priced
		// rival is what another process did after that.
		rival priced
		want  cost
	}{
		{"create", pricedCreate(createInput("new", "v0", kilobyte)), nil, nil, nil, cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion + twoRows}},
		{"create without a value", pricedCreate(&secretsmanager.CreateSecretInput{Name: aws.String("new")}), nil, nil, nil, cost{"TransactWriteItems", 0, writeHead + twoRows}},
		{"create again", pricedCreate(createInput("s", "v0", kilobyte)), nil, nil, nil, cost{"GenerateDataKey TransactWriteItems GetItem Decrypt", readVersion, 0}},
		{"put, cold", pricedPut("v3"), nil, nil, nil, cost{"GetItem GenerateDataKey TransactWriteItems", readHead, writeHead + newVersion}},
		{"put, warm by a put", pricedPut("v4"), nil, pricedPut("v3"), nil, cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion}},
		{"put, warm by a get", pricedPut("v3"), nil, pricedGet("", ""), nil, cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion}},
		{"put, warm, and another process was faster", pricedPut("v4"), nil, pricedPut("v3"), pricedMove("mine", "", "v0"), cost{"GenerateDataKey TransactWriteItems TransactWriteItems", 0, writeHead + newVersion}},
		{"put again, warm", pricedPut("v3"), nil, pricedPut("v3"), nil, cost{"GenerateDataKey TransactWriteItems Decrypt", 0, 0}},
		{"get, cold", pricedGet("", ""), pricedGet("", ""), nil, nil, cost{"GetItem GetItem Decrypt", readHead + readVersion, 0}},
		{"get, cold, the first of the day", pricedGet("", ""), nil, nil, nil, cost{"GetItem GetItem Decrypt UpdateItem UpdateItem", readHead + readVersion, touchHead + touchVersion}},
		{"get, warm", pricedGet("", ""), nil, pricedGet("", ""), nil, cost{"GetItem", readHead, 0}},
		{"get by label and ID, warm", pricedGet("v2", "AWSCURRENT"), nil, pricedGet("", ""), nil, cost{"GetItem", readHead, 0}},
		{"get, warm by a put, the first of the day", pricedGet("", ""), nil, pricedPut("v3"), nil, cost{"GetItem Decrypt UpdateItem UpdateItem", readHead, touchHead + touchVersion}},
		{"get of a deprecated version, warm", pricedGet("v0", ""), nil, pricedGet("v0", ""), nil, cost{"GetItem GetItem", readHead + readVersion, 0}},
		{"describe", pricedDescribe, nil, nil, nil, cost{"GetItem", readHead, 0}},
		{"describe, warm", pricedDescribe, nil, pricedDescribe, nil, cost{"GetItem", readHead, 0}},
		{"list labelled versions", pricedList(secretsmanager.ListSecretVersionIdsInput{}), nil, nil, nil, cost{"GetItem BatchGetItem", readHead + 2*readVersion, 0}},
		{"list all versions", pricedList(all), nil, nil, nil, cost{"GetItem Query", readHead + 2, 0}}, // one read of three versions
		{"move a label, cold", pricedMove("AWSCURRENT", "v2", "v1"), nil, nil, nil, cost{"GetItem TransactWriteItems", readHead, writeHead + checkVersion}},
		{"move a label, warm", pricedMove("AWSCURRENT", "v2", "v1"), nil, pricedDescribe, nil, cost{"TransactWriteItems", 0, writeHead + checkVersion}},
		{"take a label off, warm", pricedMove("AWSPREVIOUS", "v1", ""), nil, pricedDescribe, nil, cost{"TransactWriteItems", 0, writeHead}},
		{"delete, cold", pricedDelete(false), nil, nil, nil, cost{"GetItem TransactWriteItems", readHead, writeHead + becomesDue}},
		{"delete, warm", pricedDelete(false), nil, pricedDescribe, nil, cost{"TransactWriteItems", 0, writeHead + becomesDue}},
		{"forced delete, warm", pricedDelete(true), nil, pricedDescribe, nil, cost{"TransactWriteItems", 0, writeHead + twoRows + leftover}},
		{"restore, warm", pricedRestore, nil, pricedDelete(false), nil, cost{"TransactWriteItems", 0, writeHead + 2*becomesDue}}, // one row goes, one comes
		{"rotate, cold", pricedRotate("r", true), nil, nil, nil, cost{"GetItem TransactWriteItems", readHead, writeHead + note + checkAbsent}},
		{"rotate, warm", pricedRotate("r", true), nil, pricedDescribe, nil, cost{"TransactWriteItems", 0, writeHead + note + checkAbsent}},
		{"rotate again, warm", pricedRotate("r", true), nil, pricedRotate("r", true), nil, cost{"GetItem", readHead, 0}},
		{"rotate while another is under way, warm", refused(pricedRotate("q", true)), nil, pricedRotate("r", true), nil, cost{"GetItem", readHead, 0}},
		{"rotate that has another one tried again, cold", refused(pricedRotate("q", true)), pricedUnfinished("r", "p"), nil, nil, cost{"GetItem TransactWriteItems", readHead, writeHead + note + becomesDue}}, // the row moves
		{"rotate that has another one tried again, warm", refused(pricedRotate("q", true)), nil, pricedUnfinished("r", "p"), nil, cost{"TransactWriteItems", 0, writeHead + note + becomesDue}},
		{"rotate to a version that is there, warm", refused(pricedRotate("v1", true)), nil, pricedDescribe, nil, cost{"GetItem", readHead, 0}},
		{"test of a rotation, cold", pricedRotate("r", false), nil, nil, nil, cost{"GetItem GetItem Decrypt GenerateDataKey TransactWriteItems", readHead + readVersion, writeHead + newVersion + note}},
		{"test of a rotation, warm", pricedRotate("r", false), nil, pricedGet("", ""), nil, cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion + note}},
		{"put by the function, warm", pricedPut("r"), nil, pricedRotate("r", true), nil, cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion}},
		{"put that ends a rotation, warm", pricedPut("v3"), nil, pricedRotate("r", true), nil, cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion + note + becomesDue}}, // the row moves
		{"cancel, cold", pricedCancel, pricedRotate("r", true), nil, nil, cost{"GetItem TransactWriteItems", readHead, writeHead + note}},
		{"cancel, warm", pricedCancel, nil, pricedRotate("r", true), nil, cost{"TransactWriteItems", 0, writeHead + note}},
		{"cancel of a test, warm", pricedCancel, nil, pricedRotate("r", false), nil, cost{"TransactWriteItems", 0, writeHead + newVersion + note}}, // the copy goes
		{"restore of a secret that is not deleted, warm", pricedRestore, nil, pricedDescribe, nil, cost{"GetItem", readHead, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			first := localtest.New(t)
			must(first.SDK.CreateSecret(t.Context(), createInput("s", "v0", kilobyte)))(t)
			put(t, first, "s", "v1", kilobyte)
			put(t, first, "s", "v2", kilobyte)
			room := first.Another(t)
			for _, before := range []struct {
				call priced
				in   *localtest.Room
			}{{test.elsewhere, first}, {test.before, room}, {test.rival, first}} {
				if before.call != nil {
					if err := before.call(t.Context(), before.in.SDK); err != nil {
						t.Fatal(err)
					}
				}
			}
			took(room)
			if err := test.call(t.Context(), room.SDK); err != nil {
				t.Fatal(err)
			}
			if got := took(room); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// A secret costs the same however many versions it has: the head never lists them.
func TestCostsDoNotGrow(t *testing.T) {
	t.Parallel()
	for _, versions := range []int{10, 1_000, 20_000} {
		t.Run(fmt.Sprint(versions, " versions"), func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			must(room.SDK.CreateSecret(t.Context(), createInput("s", "current", kilobyte)))(t)
			addVersions(t, room, versions)
			cold := room.Another(t)
			noted := 0.0 // with the first put that finds too many versions
			if versions > secret.DefaultRetention.MaxVersions {
				noted = becomesDue
			}
			for _, test := range []struct {
				name string
				in   *localtest.Room
				call priced
				want cost
			}{
				{"put, cold", cold, pricedPut("p1"), cost{"GetItem GenerateDataKey TransactWriteItems", readHead, writeHead + newVersion + noted}},
				{"put, warm", cold, pricedPut("p2"), cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion}},
				{"get, the first of the day", room, pricedGet("", ""), cost{"GetItem GetItem Decrypt UpdateItem UpdateItem", readHead + readVersion, touchHead + touchVersion}},
				{"get, warm", room, pricedGet("", ""), cost{"GetItem", readHead, 0}},
				{"get, cold", room.Another(t), pricedGet("", ""), cost{"GetItem GetItem Decrypt", readHead + readVersion, 0}},
				{"describe", room, pricedDescribe, cost{"GetItem", readHead, 0}},
				{"list labelled versions", room, pricedList(secretsmanager.ListSecretVersionIdsInput{}), cost{"GetItem BatchGetItem", readHead + 2*readVersion, 0}},
				{"move a label", cold, pricedMove("AWSCURRENT", "p2", "p1"), cost{"TransactWriteItems", 0, writeHead + checkVersion}},
				{"delete", cold, pricedDelete(false), cost{"TransactWriteItems", 0, writeHead + becomesDue + noted}},
			} {
				took(test.in)
				if err := test.call(t.Context(), test.in.SDK); err != nil {
					t.Fatalf("%s: %v", test.name, err)
				}
				if got := took(test.in); got != test.want {
					t.Errorf("%s with %d versions: got %v, want %v", test.name, versions, got, test.want)
				}
			}
		})
	}
}

// What replication costs in the Region of the primary: one more item in the transaction of a
// change for each replica, and in DescribeSecret one query. A secret without replicas costs
// what it did.
func TestCostsOfReplicas(t *testing.T) {
	t.Parallel()
	const late = "eu-north-1" // its replica is not in sync before the call
	promote := func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.StopReplicationToReplica(ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: aws.String("s")}, once)
		return err
	}
	add := func(regions ...string) priced {
		return func(ctx context.Context, c *secretsmanager.Client) error {
			_, err := c.ReplicateSecretToRegions(ctx, replicateInput(regions...), once)
			return err
		}
	}
	remove := func(ctx context.Context, c *secretsmanager.Client) error {
		in := &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: aws.String("s"), RemoveReplicaRegions: []string{"eu-west-1"}}
		_, err := c.RemoveRegionsFromReplication(ctx, in, once)
		return err
	}
	made := createInput("new", "v0", kilobyte)
	made.AddReplicaRegions = replicas("eu-west-1", "eu-west-2")
	for _, test := range []struct {
		name     string
		replicas []string // in sync before the call
		call     priced
		want     cost
	}{
		{"create with two replicas", nil, pricedCreate(made), cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion + twoRows + 2*note}},
		{"replicate to two Regions", nil, add("eu-west-1", "eu-west-2"), cost{"TransactWriteItems", 0, writeHead + 2*note}},
		{"replicate again", []string{"eu-west-1"}, add("eu-west-1"), cost{"TransactWriteItems", 0, writeHead + note}},
		{"put, no replica", nil, pricedPut("v3"), cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion}},
		{"put, one replica", []string{"eu-west-1"}, pricedPut("v3"), cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion + note}},
		{"put, one replica that is not in sync", []string{late}, pricedPut("v3"), cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion + note + becomesDue}}, // the row moves
		{"put, two replicas", []string{"eu-west-1", "eu-west-2"}, pricedPut("v3"), cost{"GenerateDataKey TransactWriteItems", 0, writeHead + newVersion + 2*note}},
		{"move a label, one replica", []string{"eu-west-1"}, pricedMove("AWSCURRENT", "v2", "v1"), cost{"TransactWriteItems", 0, writeHead + checkVersion + note}},
		{"remove a Region", []string{"eu-west-1"}, remove, cost{"TransactWriteItems", 0, writeHead + note}},
		{"remove a Region that is not listed", nil, remove, cost{"GetItem", readHead, 0}},
		{"describe, no replica", nil, pricedDescribe, cost{"GetItem", readHead, 0}},
		{"describe, one replica", []string{"eu-west-1"}, pricedDescribe, cost{"GetItem Query", readHead + 1, 0}},
		{"describe, two replicas", []string{"eu-west-1", "eu-west-2"}, pricedDescribe, cost{"GetItem Query", readHead + 1, 0}},
		{"get, one replica", []string{"eu-west-1"}, pricedGet("", ""), cost{"GetItem Decrypt UpdateItem UpdateItem", readHead, touchHead + touchVersion}},
		{"delete, one replica", []string{"eu-west-1"}, refused(pricedDelete(false)), cost{"GetItem", readHead, 0}},
		{"stop replication of what is no replica", nil, refused(promote), cost{"GetItem", readHead, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			room := localtest.New(t)
			clock := withClock(room, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
			must(room.SDK.CreateSecret(t.Context(), createInput("s", "v0", kilobyte)))(t)
			put(t, room, "s", "v1", kilobyte)
			put(t, room, "s", "v2", kilobyte)
			if len(test.replicas) > 0 {
				replicate(t, room, test.replicas...)
			}
			for _, region := range test.replicas {
				if region != late {
					deliver(t, room, region)
				}
			}
			clock.now = clock.now.Add(time.Second)
			took(room)
			if err := test.call(t.Context(), room.SDK); err != nil {
				t.Fatal(err)
			}
			if got := took(room); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// addVersions gives the secret s that many versions more, which nothing was
// ever sealed for: small copies of the one it has, written past the API.
func addVersions(t testing.TB, room *localtest.Room, n int) {
	t.Helper()
	db := localtest.Shared().Tables
	found := must(db.Query(t.Context(), &dynamodb.QueryInput{
		TableName:                 aws.String(room.Table),
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":pk": text("SECRET#s")},
	}))(t).Items
	var head, version map[string]types.AttributeValue
	for _, item := range found {
		if sk := item["sk"].(*types.AttributeValueMemberS).Value; sk == "HEAD" {
			head = item
		} else if strings.HasPrefix(sk, "VERSION#") {
			version = item
		}
	}
	version["sealed"] = &types.AttributeValueMemberB{Value: []byte{0}}
	prefix := "VERSION#" + head["suffix"].(*types.AttributeValueMemberS).Value + "#"
	writes := []types.WriteRequest{}
	var g errgroup.Group
	g.SetLimit(4)
	flush := func() {
		batch := writes
		writes = nil
		g.Go(func() error {
			_, err := db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{room.Table: batch}})
			return err
		})
	}
	for i := range n {
		item := maps.Clone(version)
		id := token(fmt.Sprint("old-", i))
		item["id"], item["sk"] = text(id), text(prefix+id)
		if writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}}); len(writes) == 25 {
			flush()
		}
	}
	head["versions"] = &types.AttributeValueMemberN{Value: fmt.Sprint(n + 1)}
	writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: head}})
	flush()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
