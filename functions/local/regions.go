package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
	"github.com/strongroom/strongroom/pkg/store"
)

// regionAttr is the attribute, in the log, of what is not about the Region of --region.
const regionAttr = "awsRegion"

// openTime is how long it may take to make a Region, in a DynamoDB of the user's own.
const openTime = 20 * time.Second

// A deployment is one Region at work.
type deployment struct {
	local.Deployment
	server  *api.Server
	rotator *rotate.Background // nil in a process that does one thing and ends
	noted   chan struct{}      // receives when the note of a replica is written
}

// regions are the deployments of this process: one for each Region that has data, or that
// was called. They have memory, policies and records in common, and no secrets.
type regions struct {
	engines   *local.Engines
	set       settings
	log       *slog.Logger
	trail     audit.Trail // nil keeps no records
	resources *policy.Cache
	// equip completes a new deployment that is to serve, and begin starts what it does
	// by itself. Each may be nil.
	equip, begin func(*deployment)

	opening sync.Mutex
	opened  sync.Map    // of *deployment, by Region
	like    *deployment // the first, with whose memory the others remember
}

// startRegions starts the engines, and opens no Region yet.
func startRegions(ctx context.Context, set settings, log *slog.Logger) (*regions, error) {
	engines, err := local.Start(ctx, set.engines)
	if err != nil {
		return nil, err
	}
	return &regions{engines: engines, set: set, log: log, resources: policy.NewCache(rememberedPolicies)}, nil
}

// of is the deployment of a Region, which is made when it is used for the first time.
func (r *regions) of(ctx context.Context, region string) (*deployment, error) {
	if d, ok := r.opened.Load(region); ok {
		return d.(*deployment), nil
	}
	r.opening.Lock()
	defer r.opening.Unlock()
	if d, ok := r.opened.Load(region); ok {
		return d.(*deployment), nil
	}
	at, err := r.engines.Open(ctx, region)
	if err != nil {
		return nil, fmt.Errorf("cannot use the Region %s: %w", region, err)
	}
	d := r.newDeployment(at)
	if r.equip != nil {
		r.equip(d)
	}
	r.opened.Store(region, d)
	if r.begin != nil {
		r.begin(d)
	}
	return d, nil
}

func (r *regions) newDeployment(at local.Deployment) *deployment {
	arns := secret.ARNs{Partition: "aws", Region: at.Region, Account: r.set.account}
	d := &deployment{Deployment: at, noted: make(chan struct{}, 1), server: &api.Server{
		ARNs:       arns,
		Log:        r.log,
		Replicates: r.replicatesTo,

		Retention:           r.set.retention,
		MinRotationInterval: r.set.minRotation,

		Policies:      policy.AllowAll(),
		Resources:     r.resources,
		Trail:         r.trail,
		AuditRequired: true,
	}}
	if at.Region != r.set.region {
		d.server.Log = r.log.With(slog.String(regionAttr, at.Region))
	}
	db := stream{r.engines.DynamoDB, d.noted}
	if r.like == nil {
		r.like = d
		d.server.Store = store.New(db, at.Table, arns)
		d.server.Sealer = &envelope.Sealer{KMS: at.KMS, DefaultKey: at.DefaultKey, Keep: keepDataKeys}
	} else {
		d.server.Store = r.like.server.Store.Beside(db, at.Table, arns)
		d.server.Sealer = r.like.server.Sealer.Beside(at.KMS, at.DefaultKey)
	}
	return d
}

// home is the deployment of --region.
func (r *regions) home(ctx context.Context) (*deployment, error) { return r.of(ctx, r.set.region) }

// called is the deployment for a call that is signed for a Region: that of --region when
// it is not signed.
func (r *regions) called(ctx context.Context, region string) (*deployment, error) {
	if region != "" && !local.IsRegion(region) {
		return nil, secret.Errorf("InvalidSignatureException", "Credential should be scoped to a valid Region, such as '%s'.", r.set.region)
	}
	region = cmp.Or(region, r.set.region)
	if d, ok := r.opened.Load(region); ok {
		return d.(*deployment), nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openTime) // others may wait for it, too
	defer cancel()
	return r.of(ctx, region)
}

// found opens all Regions that have data, in order, or that of --region where there is
// none. A DynamoDB of the user's own may not let its tables be listed: then the other
// Regions are not known before they are called.
func (r *regions) found(ctx context.Context) (all []*deployment, err error) {
	names, err := r.engines.Regions(ctx)
	if err != nil && r.set.engines.DynamoDB != "" {
		r.log.Warn("the tables cannot be listed, so a Region is pruned, rotated and replicated only once it is called", slog.String("error", err.Error()))
		names, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		names = []string{r.set.region}
	}
	for _, name := range names {
		d, err := r.of(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// each does something for every Region that has data, one after the other, until the
// context ends. What is said of one of several has its name in front.
func (r *regions) each(ctx context.Context, do func(d *deployment, prefix string) error) error {
	all, err := r.found(ctx)
	for _, d := range all {
		err = errors.Join(err, do(d, prefix(d, all)))
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

// all are the deployments that were opened, in order.
func (r *regions) all() (all []*deployment) {
	for _, d := range r.opened.Range {
		all = append(all, d.(*deployment))
	}
	slices.SortFunc(all, func(a, b *deployment) int { return cmp.Compare(a.Region, b.Region) })
	return all
}

// prefix is what lines about a Region begin with, where there are several.
func prefix(d *deployment, all []*deployment) string {
	if len(all) < 2 {
		return ""
	}
	return d.Region + ": "
}

func (r *regions) close() error { return r.engines.Close() }
