package main

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/replicate"
	"github.com/strongroom/strongroom/pkg/store"
)

const (
	// replicateEvery is how often is looked what is to be tried again; what changes is
	// delivered at once.
	replicateEvery = 5 * time.Second
	// replicateAtOnce is how many replicas of a Region's secrets are delivered at a time.
	replicateAtOnce = 4
)

// A stream plays the part of the stream of a table in the cloud: it says that a note of a
// replica was written.
type stream struct {
	store.DynamoDB
	noted chan struct{} // has room for one
}

// TransactWriteItems writes. One that fails may have been done all the same.
func (s stream) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	out, err := s.DynamoDB.TransactWriteItems(ctx, in, o...)
	if slices.ContainsFunc(in.TransactItems, writesNote) {
		select {
		case s.noted <- struct{}{}:
		default: // the next run sees this note, too
		}
	}
	return out, err
}

func writesNote(w types.TransactWriteItem) bool {
	var key map[string]types.AttributeValue
	switch {
	case w.Put != nil:
		key = w.Put.Item
	case w.Update != nil:
		key = w.Update.Key
	}
	pk, isText := key["pk"].(*types.AttributeValueMemberS)
	sk, areTexts := key["sk"].(*types.AttributeValueMemberS)
	if !isText || !areTexts {
		return false
	}
	_, isNote := store.ReplicaTask(pk.Value, sk.Value)
	return isNote
}

// replicatesTo says whether secrets may be replicated to a Region: to any, as long as there
// is room for it.
func (r *regions) replicatesTo(region string) bool {
	return local.IsRegion(region) && r.engines.CheckRoom(context.Background(), region) == nil
}

// replicateNowAndThen delivers what changes to the other Regions until the context ends, as
// the function in the cloud does.
func (r *regions) replicateNowAndThen(ctx context.Context, d *deployment) {
	replicator := &replicate.Replicator{
		Region:    d.region(),
		Open:      r.replicaIn,
		Retention: d.server.Retention,
		Parallel:  replicateAtOnce,
		Log:       d.server.Log,
	}
	nowAndThen(ctx, replicateEvery, d.noted, func() { _, _ = replicator.Run(ctx) }) // its errors are in the log
}

// replicaIn is the deployment of another Region, which is made for the first replica there.
func (r *regions) replicaIn(ctx context.Context, region string) (replicate.Region, error) {
	d, err := r.of(ctx, region)
	if err != nil {
		return replicate.Region{}, err
	}
	return d.region(), nil
}

func (d *deployment) region() replicate.Region {
	return replicate.Region{Store: d.server.Store, Sealer: d.server.Sealer, ARNs: d.server.ARNs}
}
