// Command replicate makes and updates replicas in other Regions: those whose notes the
// table's stream names, and on a schedule all that are due.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/strongroom/strongroom/functions/internal/entry"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/remote"
	"github.com/strongroom/strongroom/pkg/replicate"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/settings"
	"github.com/strongroom/strongroom/pkg/store"
)

const (
	// margin is what an invocation leaves of its time for the last line.
	margin = 5 * time.Second
	// parallel is how many replicas are made or updated at the same time.
	parallel = 20
)

func main() {
	entry.Start(build, func(f *function) any { return f.handle })
}

type function struct{ *replicate.Replicator }

func build(getenv func(string) string, log *slog.Logger) (*function, error) {
	r := settings.Reader{Get: getenv}
	table, arns := r.Table(), r.ARNs()
	peers, retention := readPeers(&r, arns.Region), r.Retention()
	if err := r.Err(); err != nil {
		return nil, err
	}
	cfg, err := remote.Config(getenv)
	if err != nil {
		return nil, err
	}
	others := map[string]replicate.Region{}
	for region, p := range peers {
		there := arns
		there.Region = region
		others[region] = open(cfg, p, there)
	}
	return &function{&replicate.Replicator{
		Region: open(cfg, peer{Table: table}, arns),
		Open: func(_ context.Context, region string) (replicate.Region, error) {
			there, known := others[region]
			if !known {
				return there, replicate.ErrUnknownRegion
			}
			return there, nil
		},
		Retention: retention,
		Parallel:  parallel,
		Log:       log,
	}}, nil
}

// A peer is the deployment of another Region.
type peer struct {
	Table string `json:"table"`
	Key   string `json:"key"` // for replicas that name none
}

// An alias is refused: it can be moved to another key later.
var keyARN = regexp.MustCompile(`^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)

// readPeers are the deployments of REPLICA_REGIONS, by their Regions.
func readPeers(r *settings.Reader, own string) map[string]peer {
	var peers map[string]peer
	r.Object("REPLICA_REGIONS", &peers, func() bool {
		for region, p := range peers {
			if !settings.IsRegion(region) || region == own || !settings.IsTable(p.Table) || !keyARN.MatchString(p.Key) {
				return false
			}
		}
		return len(peers) > 0
	}, `the tables and keys of other Regions, such as {"eu-west-1":{"table":"strongroom","key":"arn:aws:kms:…"}}`)
	return peers
}

// open has the clients of a Region. Where they are to find DynamoDB and KMS, if the
// environment says so, it says for all Regions.
func open(cfg aws.Config, p peer, arns secret.ARNs) replicate.Region {
	cfg.Region = arns.Region
	return replicate.Region{
		Store:  store.New(dynamodb.NewFromConfig(cfg), p.Table, arns),
		Sealer: &envelope.Sealer{KMS: kms.NewFromConfig(cfg), DefaultKey: p.Key},
		ARNs:   arns,
	}
}

// An event is that of the table's stream, of which only keys are read. That of the schedule
// has no records.
type event struct {
	Records []struct {
		DynamoDB struct {
			Keys struct {
				PK struct{ S string } `json:"pk"`
				SK struct{ S string } `json:"sk"`
			}
		} `json:"dynamodb"`
	}
}

// handle replicates what the event names, or else all that is due. What fails is in the log
// and in the secret's status, and is due again; the invocation itself fails when that could
// not be noted, so that Lambda tries it again.
func (f *function) handle(ctx context.Context, raw json.RawMessage) (any, error) {
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, errors.New("the event is neither that of a schedule nor of a stream")
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-margin))
		defer cancel()
	}
	began := time.Now()
	sum, err := f.replicate(ctx, e)
	attrs := append(replicate.Metrics(f.Store.Table(), sum, began), slog.Float64("ms", float64(time.Since(began).Microseconds())/1000))
	f.Log.LogAttrs(ctx, slog.LevelInfo, "replicated", attrs...)
	if err != nil {
		return nil, errors.New("not all was replicated that is due; the log says what failed")
	}
	return nil, nil
}

func (f *function) replicate(ctx context.Context, e event) (replicate.Summary, error) {
	if len(e.Records) == 0 {
		return f.Run(ctx)
	}
	var tasks []store.Task
	for _, r := range e.Records {
		task, ok := store.ReplicaTask(r.DynamoDB.Keys.PK.S, r.DynamoDB.Keys.SK.S)
		if ok && !slices.Contains(tasks, task) { // a note may have changed several times
			tasks = append(tasks, task)
		}
	}
	return f.Tasks(ctx, tasks)
}
