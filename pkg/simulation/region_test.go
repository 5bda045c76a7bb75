package simulation

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	sdkkms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/dynamo"
	"github.com/strongroom/strongroom/pkg/local/kms"
	"github.com/strongroom/strongroom/pkg/replicate"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// A region is a deployment: a table, keys, and the processes that serve them.
type region struct {
	name      string
	mark      string // of its secrets in a history; empty for the Region that all histories have
	arns      secret.ARNs
	db        *dynamo.DB
	table     string
	keys      *kms.Keys
	key       string // for secrets that name none
	otherKey  string
	processes []*process

	down     atomic.Bool
	trailing atomic.Bool // the indexes
	release  func()      // of the indexes that are held back; of the driver alone
}

func newRegion(db *dynamo.DB, name string) *region {
	r := &region{
		name: name, arns: secret.ARNs{Partition: "aws", Region: name, Account: local.Account},
		db: db, table: "table of " + name, keys: kms.Memory(name, local.Account),
	}
	var err error
	if r.key, err = r.keys.DefaultKey(time.Now()); err != nil {
		panic(err)
	}
	other, err := r.keys.CreateKey(context.Background(), &sdkkms.CreateKeyInput{})
	if err != nil {
		panic(err)
	}
	r.otherKey = *other.KeyMetadata.Arn
	if err := store.CreateTable(context.Background(), db, r.table); err != nil {
		panic(err)
	}
	return r
}

const (
	// elsewhere is the second Region of the histories that have one: one of so many.
	elsewhere = "eu-west-1"
	oneOf     = 3
)

func (w *world) addRegion(db *dynamo.DB) {
	r := newRegion(db, elsewhere)
	r.mark = " in " + elsewhere
	w.regions = append(w.regions, r)
	for _, name := range []string{"s", "t"} {
		r.processes = append(r.processes, w.newProcess(r, name, false))
	}
}

func (w *world) isTwo() bool { return len(w.regions) > 1 }

// region is the one of a name; nil for none.
func (w *world) region(name string) *region {
	for _, at := range w.regions {
		if at.name == name {
			return at
		}
	}
	return nil
}

// other is the Region that a Region replicates to; nil for none.
func (w *world) other(at *region) *region {
	for _, one := range w.regions {
		if one != at {
			return one
		}
	}
	return nil
}

// secrets are what the history calls all secrets.
func (w *world) secrets() []string {
	var all []string
	for _, at := range w.regions {
		for _, name := range secrets {
			all = append(all, name+at.mark)
		}
	}
	return all
}

// place is where a secret of the history is.
func (w *world) place(secret string) *region {
	if _, name, marked := strings.Cut(secret, " in "); marked {
		return w.region(name)
	}
	return w.here
}

// nameOf is the name of a secret of the history, which may be there in both Regions.
func nameOf(secret string) string {
	name, _, _ := strings.Cut(secret, " in ")
	return name
}

// open is how a process reaches the other Region.
func (p *process) open(_ context.Context, name string) (replicate.Region, error) {
	at := p.region(name)
	if at == nil {
		return replicate.Region{}, replicate.ErrUnknownRegion
	}
	link := wire{p.world, at, p, false}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reached == nil {
		p.reached = p.server.Store.Beside(link, at.table, at.arns)
		p.reached.Jitter = p.server.Store.Jitter
	}
	return replicate.Region{Store: p.reached, Sealer: p.server.Sealer.Beside(link, at.key), ARNs: at.arns}, nil
}

func (r *region) item(k item) item {
	out, err := r.db.GetItem(context.Background(), &dynamodb.GetItemInput{
		TableName: &r.table, Key: item{"pk": k["pk"], "sk": k["sk"]}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		panic(err)
	}
	return out.Item
}

func (r *region) head(secret string) item {
	return r.item(item{"pk": &types.AttributeValueMemberS{Value: "SECRET#" + secret}, "sk": &types.AttributeValueMemberS{Value: "HEAD"}})
}

// versionsOf are the versions of a secret that are there, in order.
func (r *region) versionsOf(secret string) []string {
	items, err := r.db.Items(r.table)
	if err != nil {
		panic(err)
	}
	prefix := "VERSION#" + familyOf(r.head(secret)) + "#"
	var versions []string
	for _, it := range items {
		if version, ok := strings.CutPrefix(text(it["sk"]), prefix); ok && text(it["pk"]) == "SECRET#"+secret {
			versions = append(versions, version)
		}
	}
	return versions
}

// free are the versions of a secret that have no label.
func (r *region) free(head item) []string {
	labelled := slices.Collect(maps.Values(stagesOf(head)))
	return slices.DeleteFunc(r.versionsOf(strings.TrimPrefix(text(head["pk"]), "SECRET#")), func(version string) bool { return slices.Contains(labelled, version) })
}

// familyOf is what the keys of a secret's versions have in common.
func familyOf(head item) string {
	if made := text(head["copy"]); made != "0" {
		return text(head["suffix"]) + "." + made
	}
	return text(head["suffix"])
}

// isOutOfReach says whether a call does not arrive, since a Region is down or the Regions
// are apart.
func (w *world) isOutOfReach(one *turn) bool {
	return one.to != nil && (one.to.down.Load() || one.on != nil && one.on.at != one.to && w.apart.Load())
}

// reconnect has all Regions reachable.
func (w *world) reconnect() {
	w.apart.Store(false)
	for _, at := range w.regions {
		at.down.Store(false)
	}
}

// happenBetween is what happens beside the calls in two Regions.
func (w *world) happenBetween() {
	away := w.regions[1]
	switch n := w.rng.IntN(400); {
	case n < 4:
		at := w.regions[w.rng.IntN(2)]
		w.kill(at, w.rng.IntN(len(at.processes)))
	case n < 6:
		w.hold(away)
	case n < 8:
		w.begin(away, "prune")
	case n < 14:
		w.begin(w.regions[w.rng.IntN(2)], "replicate")
	case n < 16:
		p := away.processes[w.rng.IntN(len(away.processes))]
		p.ahead.Store(int64(time.Duration(w.rng.Int64N(int64(2*skew))) - skew))
	case n < 18:
		w.apart.Store(true)
		w.note("the Regions are apart")
	case n < 20:
		at := w.regions[w.rng.IntN(2)]
		at.down.Store(true)
		w.note("%s is down", at.name)
	case n < 32:
		w.reconnect()
	}
}

// step is how long it is from one run of all schedules to the next, once the faults have
// stopped.
func (w *world) step() time.Duration {
	if w.isTwo() {
		return 5 * time.Minute // what failed is tried again after 15 at the latest
	}
	return time.Minute
}

// beginBetween runs the schedules that a second Region has.
func (w *world) beginBetween() {
	if w.isTwo() {
		w.begin(w.regions[1], "prune")
		w.begin(w.here, "replicate")
		w.begin(w.regions[1], "replicate")
	}
}
