package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/prune"
	"github.com/strongroom/strongroom/pkg/replicate"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A process is the service whose remote calls are counted, and what it prints.
type process struct {
	*localtest.Room
	mu  sync.Mutex
	out bytes.Buffer
}

func (p *process) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(line)
}

func begin(room *localtest.Room) *process {
	p := &process{Room: room}
	p.Server.Log = slog.New(slog.NewJSONHandler(p, nil))
	p.Server.Trail = audit.Lines(p)
	return p
}

// another is a process that has seen nothing.
func (p *process) another(t *testing.T) *process {
	t.Helper()
	return begin(p.Another(t))
}

// took compares an operation with what was done since the last time.
func (p *process) took(t *testing.T, want operation) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	got := operation{name: want.name, logged: float64(p.out.Len())}
	p.out.Reset()
	calls, reads, writes := p.Wire.Took()
	names := strings.Fields(calls)
	slices.Sort(names) // shards are done at the same time
	got.calls, got.reads, got.writes = strings.Join(names, " "), reads, writes
	if math.Abs(got.logged-want.logged) < 100 { // times and versions differ in length
		got.logged = want.logged
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v: write it to operations.go, then run make costs", got, want)
	}
}

const tenant = "tenants/0042/database"

func (p *process) put(t *testing.T) {
	t.Helper()
	in := &secretsmanager.PutSecretValueInput{SecretId: aws.String(tenant), SecretString: aws.String(strings.Repeat("x", 1024))}
	if _, err := p.SDK.PutSecretValue(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func (p *process) get(t *testing.T) {
	t.Helper()
	if _, err := p.SDK.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(tenant)}); err != nil {
		t.Fatal(err)
	}
}

// made is a process that has just created the secret.
func made(t *testing.T) *process {
	t.Helper()
	p := begin(localtest.New(t))
	in := &secretsmanager.CreateSecretInput{Name: aws.String(tenant), SecretString: aws.String(strings.Repeat("x", 1024))}
	if _, err := p.SDK.CreateSecret(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	return p
}

// What the page's figures rest on is what the service does.
func TestOperations(t *testing.T) {
	t.Parallel()
	first := made(t)
	first.took(t, create)
	first.put(t)
	first.took(t, putWarm)

	second := first.another(t)
	second.put(t)
	second.took(t, put)

	third := first.another(t)
	third.get(t)
	third.took(t, getFirst)
	third.get(t)
	third.took(t, getWarm)

	fourth := first.another(t)
	fourth.get(t)
	fourth.took(t, get)
	if _, err := fourth.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(tenant)}); err != nil {
		t.Fatal(err)
	}
	fourth.took(t, describe)

	first.put(t)
	fifth := first.another(t) // on the same day
	fifth.get(t)
	fifth.took(t, getFirst)
}

func TestPruning(t *testing.T) {
	t.Parallel()
	p := made(t)
	now := time.Now()
	p.Server.Now = func() time.Time { return now }
	p.Server.Retention = secret.Retention{MaxVersions: 1}
	run := func(pruned int, want operation) {
		t.Helper()
		other := p.another(t)
		pruner := prune.Pruner{
			Store: other.Store, Retention: p.Server.Retention, Now: p.Server.Now,
			Trail: other.Server.Trail, Log: other.Server.Log,
		}
		sum, err := pruner.Run(t.Context())
		if err != nil || sum.Versions != pruned {
			t.Fatal(sum, err)
		}
		other.took(t, want)
	}
	run(0, pruneRun)
	for range 3 { // AWSCURRENT, AWSPREVIOUS, one to keep, and one too many
		now = now.Add(time.Second)
		p.put(t)
	}
	now = now.Add(time.Hour)
	run(1, pruneOne)
}

// A rotationFunction is Lambda with a function that does what each step must.
type rotationFunction struct {
	*secretsmanager.Client
}

func (f rotationFunction) Invoke(ctx context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	var e struct{ Step, SecretId, ClientRequestToken, RotationToken string }
	if err := json.Unmarshal(in.Payload, &e); err != nil {
		return nil, err
	}
	var err error
	switch e.Step {
	case "createSecret":
		_, err = f.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &e.SecretId, ClientRequestToken: &e.ClientRequestToken, RotationToken: &e.RotationToken,
			SecretString: aws.String("EXAMPLE-2"), VersionStages: []string{"AWSPENDING"},
		})
	case "finishSecret":
		var is *secretsmanager.GetSecretValueOutput
		if is, err = f.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &e.SecretId}); err != nil {
			break
		}
		_, err = f.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &e.SecretId, VersionStage: aws.String("AWSCURRENT"),
			MoveToVersionId: &e.ClientRequestToken, RemoveFromVersionId: is.VersionId,
		})
	}
	return &lambda.InvokeOutput{StatusCode: 200}, err
}

func TestRotating(t *testing.T) {
	t.Parallel()
	p := made(t)
	other := p.another(t)
	rotator := rotate.Rotator{
		Store: other.Store, Lambda: rotationFunction{p.SDK}, StepTimeout: time.Minute, RetryDelay: time.Minute, Parallel: 1,
		Log: other.Server.Log, OnEvent: rotate.Recorder(other.Server.Trail, other.Server.Log),
	}
	if _, err := rotator.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	other.took(t, rotateRun)
	in := &secretsmanager.RotateSecretInput{SecretId: aws.String(tenant), RotationLambdaARN: aws.String("arn:aws:lambda:us-east-1:000000000000:function:rotation")}
	if _, err := p.SDK.RotateSecret(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	outcome, err := rotator.Rotate(t.Context(), secret.ID{Name: tenant})
	if err != nil || outcome != rotate.Succeeded {
		t.Fatal(outcome, err)
	}
	other.took(t, rotateOne)
}

func TestReplicating(t *testing.T) {
	t.Parallel()
	const region = "eu-west-1"
	p, there := made(t), begin(localtest.In(t, region))
	task := store.Task{ID: secret.ID{Name: tenant}, Region: region}
	out, err := p.SDK.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: aws.String(tenant), AddReplicaRegions: []smtypes.ReplicaRegionType{{Region: aws.String(region)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	task.ID.Suffix = aws.ToString(out.ARN)[len(aws.ToString(out.ARN))-6:]
	p.Wire.Took()
	p.out.Reset()
	other := p.another(t)
	replicator := replicate.Replicator{
		Region: regionOf(other),
		Open:   func(context.Context, string) (replicate.Region, error) { return regionOf(there), nil },
		Log:    other.Server.Log,
	}
	replicated := func(want replicate.Outcome) {
		t.Helper()
		if outcome, err := replicator.Replicate(t.Context(), task); err != nil || outcome != want {
			t.Fatal(outcome, err)
		}
	}
	replicated(replicate.Delivered)
	other.Wire.Took()
	there.Wire.Took()

	p.put(t)
	p.took(t, putReplicated)
	replicated(replicate.Delivered)
	other.took(t, replicateHere)
	there.took(t, replicateThere)
	replicated(replicate.NotDue)
	other.took(t, replicateAgain)
	if _, err := replicator.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	other.took(t, replicateRun)
	if _, err := p.SDK.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(tenant)}); err != nil {
		t.Fatal(err)
	}
	p.took(t, describeReplicated)
}

func regionOf(p *process) replicate.Region {
	return replicate.Region{Store: p.Store, Sealer: p.Server.Sealer, ARNs: p.ARNs}
}

// A version's size is the read units of so many versions that a query takes, which are 1
// for 4 KB; a hundred bytes more or less are the rest of a unit.
func TestVersionSize(t *testing.T) {
	t.Parallel()
	const versions = 200
	p := made(t)
	for range versions - 1 {
		p.put(t)
	}
	found, err := p.DynamoDB.Query(t.Context(), &dynamodb.QueryInput{
		TableName: &p.Table, ConsistentRead: aws.Bool(true), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		KeyConditionExpression:    aws.String("pk = :pk AND begins_with(sk, :sk)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: "SECRET#" + tenant}, ":sk": &types.AttributeValueMemberS{Value: "VERSION#"}},
	})
	if err != nil || found.LastEvaluatedKey != nil || found.Count != versions {
		t.Fatal(found, err)
	}
	if got := 4096 * aws.ToFloat64(found.ConsumedCapacity.CapacityUnits) / versions; math.Abs(got-versionSize) > 50 {
		t.Errorf("a version has %v bytes, want about %v", got, versionSize)
	}
}
