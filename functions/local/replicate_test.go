package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/secret"
)

// Regions of these tests.
const (
	primary = "us-east-1"
	other   = "eu-west-1"
	third   = "ap-south-1"
)

// within waits until something holds, for a time that is longer than it ever takes.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 30 seconds: %s", what)
		}
	}
}

func statusOf(t *testing.T, url, name, region string) types.ReplicationStatusType {
	t.Helper()
	out, err := in(url, primary).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range out.ReplicationStatus {
		if aws.ToString(status.Region) == region {
			return status
		}
	}
	return types.ReplicationStatusType{}
}

func wantStatus(t *testing.T, url, name, region string, want types.StatusType) types.ReplicationStatusType {
	t.Helper()
	var is types.ReplicationStatusType
	within(t, fmt.Sprintf("%s is not %s in %s", name, want, region), func() bool {
		is = statusOf(t, url, name, region)
		return is.Status == want
	})
	return is
}

func createReplicated(t *testing.T, url, name, value string, regions ...string) (arn string) {
	t.Helper()
	out, err := in(url, primary).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value, AddReplicaRegions: replicasIn(regions...)})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.ARN)
}

func replicasIn(regions ...string) (replicas []types.ReplicaRegionType) {
	for _, region := range regions {
		replicas = append(replicas, types.ReplicaRegionType{Region: &region})
	}
	return replicas
}

// putIn puts a value into secret s.
func putIn(t *testing.T, url, region, value string) error {
	t.Helper()
	_, err := in(url, region).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("s"), SecretString: &value})
	return err
}

// A secret is replicated at once, follows its primary, and can be promoted and removed.
func TestReplication(t *testing.T) {
	t.Parallel()
	r := start(t, "--data", filepath.Join(t.TempDir(), "data"))
	arn := createReplicated(t, r.url, "s", "one", other, third)
	for _, region := range []string{other, third} {
		wantStatus(t, r.url, "s", region, types.StatusTypeInSync)
		wantValueIn(t, r.url, region, "s", "one")
	}
	began := time.Now()
	if err := putIn(t, r.url, primary, "two"); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r.url, "s", other, types.StatusTypeInSync)
	if took := time.Since(began); took > replicateEvery/2 {
		t.Errorf("it took %s, want that it does not wait for the schedule", took)
	}
	wantValueIn(t, r.url, other, strings.Replace(arn, primary, other, 1), "two")
	if err := putIn(t, r.url, other, "three"); err == nil {
		t.Error("a replica was changed")
	}
	name := "s"
	if _, err := in(r.url, other).StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: &name}); err != nil {
		t.Fatal(err)
	}
	if err := putIn(t, r.url, other, "three"); err != nil {
		t.Error(err)
	}
	within(t, "the primary lists what was promoted", func() bool { return statusOf(t, r.url, "s", other).Region == nil })
	wantValueIn(t, r.url, primary, "s", "two")
	wantValueIn(t, r.url, other, "s", "three")
	remove := &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &name, RemoveReplicaRegions: []string{third}}
	if _, err := in(r.url, primary).RemoveRegionsFromReplication(t.Context(), remove); err != nil {
		t.Fatal(err)
	}
	within(t, "what was removed is there", func() bool {
		_, err := in(r.url, third).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
		return err != nil
	})
	for _, region := range []string{"us-east", primary} {
		_, err := in(r.url, primary).ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &name, AddReplicaRegions: replicasIn(region)})
		if err == nil {
			t.Errorf("it is replicated to %s", region)
		}
	}
}

func TestReplicaOfATakenName(t *testing.T) {
	t.Parallel()
	r := start(t, "--memory")
	createIn(t, r.url, other, "s", "mine")
	createReplicated(t, r.url, "s", "theirs", other)
	if status := wantStatus(t, r.url, "s", other, types.StatusTypeFailed); aws.ToString(status.StatusMessage) == "" {
		t.Error("it does not say why")
	}
	wantValueIn(t, r.url, other, "s", "mine")
	replicate := &secretsmanager.ReplicateSecretToRegionsInput{SecretId: aws.String("s"), AddReplicaRegions: replicasIn(other), ForceOverwriteReplicaSecret: true}
	if _, err := in(r.url, primary).ReplicateSecretToRegions(t.Context(), replicate); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r.url, "s", other, types.StatusTypeInSync)
	wantValueIn(t, r.url, other, "s", "theirs")
}

// There is no room for a replica in one Region too many.
func TestReplicaInTooManyRegions(t *testing.T) {
	t.Parallel()
	r := start(t, "--memory")
	for i := range local.MaxRegions - 1 {
		createIn(t, r.url, fmt.Sprint("eu-west-", i), "s", "v")
	}
	_, err := in(r.url, primary).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("s"), AddReplicaRegions: replicasIn(third)})
	wantRefusedIn(t, "one too many", err, "InvalidParameterException", "Invalid replica region. This deployment does not replicate to ap-south-1.")
	createReplicated(t, r.url, "t", "v", "eu-west-7")
	wantStatus(t, r.url, "t", "eu-west-7", types.StatusTypeInSync)
}

// A troubled is a DynamoDB in which one table answers late, or not at all.
type troubled struct {
	local.DynamoDB
	table  string
	delay  atomic.Int64 // nanoseconds
	broken atomic.Bool
}

func (d *troubled) trouble(ctx context.Context, table *string) error {
	if aws.ToString(table) != d.table {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(d.delay.Load())):
	}
	if d.broken.Load() {
		return errors.New("the other Region is away")
	}
	return nil
}

// GetItem reads, unless there is trouble.
func (d *troubled) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	if err := d.trouble(ctx, in.TableName); err != nil {
		return nil, err
	}
	return d.DynamoDB.GetItem(ctx, in, o...)
}

// TransactWriteItems writes, unless there is trouble. Transactions of a store begin with
// the head.
func (d *troubled) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if put := in.TransactItems[0].Put; put != nil {
		if err := d.trouble(ctx, put.TableName); err != nil {
			return nil, err
		}
	}
	return d.DynamoDB.TransactWriteItems(ctx, in, o...)
}

// inProcess serves in this process, with trouble in the other Region.
func inProcess(t *testing.T) (url string, there *troubled) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	set := settings{region: primary, account: local.Account, retention: secret.DefaultRetention}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	s, err := startService(ctx, set, log)
	if err != nil {
		t.Fatal(err)
	}
	there = &troubled{DynamoDB: s.engines.DynamoDB, table: "strongroom-" + other}
	s.engines.DynamoDB = there
	who, err := readWho(set)
	if err != nil {
		t.Fatal(err)
	}
	wait := s.background(ctx)
	server := httptest.NewServer(newReloadingGate(s.regions, who, set, log))
	t.Cleanup(func() {
		server.Close()
		stop()
		wait()
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL, there
}

// A Region that answers late delays nobody but its replicas.
func TestReplicationToASlowRegion(t *testing.T) {
	t.Parallel()
	url, there := inProcess(t)
	there.delay.Store(int64(300 * time.Millisecond))
	createReplicated(t, url, "s", "one", other, third)
	if status := statusOf(t, url, "s", other).Status; status != types.StatusTypeInProgress {
		t.Errorf("got %s, want that it is in progress", status)
	}
	wantStatus(t, url, "s", third, types.StatusTypeInSync)
	wantStatus(t, url, "s", other, types.StatusTypeInSync)
	wantValueIn(t, url, other, "s", "one")
}

// A Region that is away is told later, and the status says so meanwhile.
func TestReplicationToABrokenRegion(t *testing.T) {
	t.Parallel()
	url, there := inProcess(t)
	there.broken.Store(true)
	createReplicated(t, url, "s", "one", other, third)
	if status := wantStatus(t, url, "s", other, types.StatusTypeFailed); aws.ToString(status.StatusMessage) == "" {
		t.Error("it does not say why")
	}
	wantStatus(t, url, "s", third, types.StatusTypeInSync)
	if err := putIn(t, url, primary, "two"); err != nil {
		t.Error(err)
	}
	there.broken.Store(false)
	wantStatus(t, url, "s", other, types.StatusTypeInSync)
	wantValueIn(t, url, other, "s", "two")
}

// Replicas of a server that is killed again and again while it replicates come to be in
// sync with their primaries, which have all that was acknowledged.
func TestKilledWhileReplicating(t *testing.T) {
	t.Parallel()
	const kills = 12
	data := filepath.Join(t.TempDir(), "data")
	r := start(t, "--data", data, "--rate", "0")
	values := make([]state, 6)
	for i := range values {
		createReplicated(t, r.url, fmt.Sprint("s-", i), "0", other, third)
		values[i] = state{is: "0"}
	}
	for round := range kills {
		wait := putUntilKilled(t, r.url, round, values)
		time.Sleep(time.Duration(20+round*15) * time.Millisecond)
		if err := r.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = r.Wait()
		wait()
		killAtStart(t, data)
		r = start(t, "--data", data, "--rate", "0")
		for i, value := range values {
			values[i].is = wantConverged(t, r.url, fmt.Sprint("s-", i), value)
		}
	}
	r.interrupt(t)
	once(t, program, "--data", data, "--verify")
}

// putUntilKilled puts one value after the other into each secret, and returns what waits
// until the server answers no more.
func putUntilKilled(t *testing.T, url string, round int, values []state) (wait func()) {
	var writers sync.WaitGroup
	for i := range values {
		writers.Go(func() {
			for n := 0; ; n++ {
				value := fmt.Sprint(round, ".", n)
				values[i].asked = value
				status, body, err := post(url, "PutSecretValue", map[string]any{
					"SecretId": fmt.Sprint("s-", i), "SecretString": value, "ClientRequestToken": "token-of-a-put-while-it-is-killed-" + value,
				})
				if err != nil {
					return
				}
				if status != http.StatusOK {
					t.Errorf("got %d %s", status, body)
					return
				}
				values[i].is = value
			}
		})
	}
	return writers.Wait
}

// wantConverged waits until a secret has one value everywhere, which it may have.
func wantConverged(t *testing.T, url, name string, may state) (is string) {
	t.Helper()
	for _, region := range []string{other, third} {
		wantStatus(t, url, name, region, types.StatusTypeInSync)
	}
	out, err := in(url, primary).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		t.Fatal(err)
	}
	if is = aws.ToString(out.SecretString); !may.may(is) {
		t.Errorf("%s is %s, want one of %v", name, is, may)
	}
	for _, region := range []string{other, third} {
		wantValueIn(t, url, region, name, is)
	}
	return is
}
