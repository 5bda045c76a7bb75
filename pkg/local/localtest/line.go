package localtest

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local/dynamo"
	localkms "github.com/strongroom/strongroom/pkg/local/kms"
	"github.com/strongroom/strongroom/pkg/store"
)

// A line is DynamoDB as a store has it: directly, but for calls that are to break.
type line struct {
	wire   *Wire
	db     *dynamo.DB
	client *dynamodb.Client
}

var _ store.DynamoDB = line{}

// call counts a call and makes it, through the SDK's client when it is to break.
func call[In, Out, Option any](ctx context.Context, w *Wire, operation string, in In, direct, client func(context.Context, In, ...func(*Option)) (Out, error)) (out Out, counted bool, err error) {
	note(in, w.elsewhere)
	w.mu.Lock()
	breaks := len(w.faults[operation]) > 0
	if !breaks {
		w.calls = append(w.calls, operation)
	}
	w.mu.Unlock()
	if breaks {
		out, err = client(ctx, in)
		return out, true, err
	}
	out, err = direct(ctx, in)
	return out, err != nil, err
}

func (w *Wire) behaviour() Cloud {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cloud
}

func (w *Wire) one(operation string, c *types.ConsumedCapacity) {
	if c != nil {
		w.add(operation, aws.ToFloat64(c.CapacityUnits))
	}
}

// GetItem reads an item.
func (l line) GetItem(ctx context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	out, counted, err := call(ctx, l.wire, "GetItem", in, l.db.GetItem, l.client.GetItem)
	if !counted {
		l.wire.one("GetItem", out.ConsumedCapacity)
	}
	return out, err
}

// Query reads a page.
func (l line) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	if n := int32(l.wire.behaviour().ShortPages); n > 0 && (in.Limit == nil || *in.Limit > n) {
		short := *in
		in, short.Limit = &short, &n
	}
	out, counted, err := call(ctx, l.wire, "Query", in, l.db.Query, l.client.Query)
	if !counted {
		l.wire.one("Query", out.ConsumedCapacity)
	}
	return out, err
}

// UpdateItem changes an item.
func (l line) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	out, counted, err := call(ctx, l.wire, "UpdateItem", in, l.db.UpdateItem, l.client.UpdateItem)
	if !counted {
		l.wire.one("UpdateItem", out.ConsumedCapacity)
	}
	return out, err
}

// split returns the first n of a list, at most, and the others.
func split[E any](list []E, n int) (first, rest []E) {
	n = min(n, len(list))
	return slices.Clone(list[:n]), list[n:]
}

// BatchGetItem reads items, and leaves some when it is to.
func (l line) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	asked, left := *in, map[string]types.KeysAndAttributes{}
	if n := l.wire.behaviour().Unprocessed; n > 0 {
		asked.RequestItems = map[string]types.KeysAndAttributes{}
		for table, want := range in.RequestItems {
			rest := want
			want.Keys, rest.Keys = split(want.Keys, n)
			asked.RequestItems[table] = want
			if len(rest.Keys) > 0 {
				left[table] = rest
			}
		}
	}
	in = &asked
	out, counted, err := call(ctx, l.wire, "BatchGetItem", in, l.db.BatchGetItem, l.client.BatchGetItem)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		out.UnprocessedKeys = left
	}
	for _, c := range out.ConsumedCapacity {
		if !counted {
			l.wire.one("BatchGetItem", &c)
		}
	}
	return out, nil
}

// BatchWriteItem writes items, and leaves some when it is to.
func (l line) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	asked, left := *in, map[string][]types.WriteRequest{}
	if n := l.wire.behaviour().Unprocessed; n > 0 {
		asked.RequestItems = map[string][]types.WriteRequest{}
		for table, writes := range in.RequestItems {
			some, rest := split(writes, n)
			asked.RequestItems[table] = some
			if len(rest) > 0 {
				left[table] = rest
			}
		}
	}
	in = &asked
	out, counted, err := call(ctx, l.wire, "BatchWriteItem", in, l.db.BatchWriteItem, l.client.BatchWriteItem)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		out.UnprocessedItems = left
	}
	for _, c := range out.ConsumedCapacity {
		if !counted {
			l.wire.one("BatchWriteItem", &c)
		}
	}
	return out, nil
}

// TransactWriteItems runs a transaction.
func (l line) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	for _, write := range in.TransactItems {
		if write.ConditionCheck != nil {
			l.wire.checked()
		}
	}
	out, counted, err := call(ctx, l.wire, "TransactWriteItems", in, l.db.TransactWriteItems, l.client.TransactWriteItems)
	if err != nil {
		return nil, err
	}
	for _, c := range out.ConsumedCapacity {
		if !counted {
			l.wire.one("TransactWriteItems", &c)
		}
	}
	return out, nil
}

// A lineOfKMS is KMS as a sealer has it.
type lineOfKMS struct {
	wire   *Wire
	keys   *localkms.Keys
	client *kms.Client
}

var _ envelope.KMS = lineOfKMS{}

// GenerateDataKey makes a data key.
func (l lineOfKMS) GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, _ ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	out, _, err := call(ctx, l.wire, "GenerateDataKey", in, l.keys.GenerateDataKey, l.client.GenerateDataKey)
	return out, err
}

// Decrypt opens a data key.
func (l lineOfKMS) Decrypt(ctx context.Context, in *kms.DecryptInput, _ ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	out, _, err := call(ctx, l.wire, "Decrypt", in, l.keys.Decrypt, l.client.Decrypt)
	return out, err
}

// ReEncrypt wraps a data key under another key.
func (l lineOfKMS) ReEncrypt(ctx context.Context, in *kms.ReEncryptInput, _ ...func(*kms.Options)) (*kms.ReEncryptOutput, error) {
	out, _, err := call(ctx, l.wire, "ReEncrypt", in, l.keys.ReEncrypt, l.client.ReEncrypt)
	return out, err
}
