package dynamo

import (
	"bytes"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A projector picks attributes; nil picks all.
type projector []string

func (e *env) projector(expression *string) (projector, error) {
	if expression == nil {
		return nil, nil
	}
	paths, err := parse("ProjectionExpression", *expression, (*parser).projection)
	if err != nil {
		return nil, err
	}
	picked := projector{}
	seen := map[string]bool{}
	for _, path := range paths {
		name, err := e.name(path)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, invalid("Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [%[1]s], path two: [%[1]s]", name)
		}
		seen[name] = true
		picked = append(picked, name)
	}
	return picked, nil
}

func (p projector) of(it item) item {
	if p == nil {
		return it
	}
	picked := item{}
	for _, name := range p {
		if av := it[name]; av != nil {
			picked[name] = av
		}
	}
	return picked
}

// Each visits all items of one state of a table in the order of their keys, until do
// returns an error, which it returns.
func (db *DB) Each(table string, do func(map[string]types.AttributeValue) error) error {
	prefix := rows(table, "")
	return db.kv.view(func(r reader) (err error) {
		r.walk(prefix, false, func(k, stored []byte) bool {
			if !bytes.HasPrefix(k, prefix) {
				return false
			}
			var it item
			if it, err = decode(stored); err == nil {
				err = do(it)
			}
			return err == nil
		})
		return err
	})
}

// GetItem reads one item.
func (db *DB) GetItem(ctx context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	err := check(ctx, in, in.ReturnConsumedCapacity, "Key", "TableName", "ConsistentRead", "ExpressionAttributeNames", "ProjectionExpression", "ReturnConsumedCapacity")
	if err != nil {
		return nil, err
	}
	picked, err := projection(in.ExpressionAttributeNames, in.ProjectionExpression)
	if err != nil {
		return nil, err
	}
	out := &dynamodb.GetItemOutput{}
	err = db.kv.view(func(r reader) error {
		t, err := findTable(r, in.TableName)
		if err != nil {
			return err
		}
		it, size, err := t.get(r, in.Key)
		if err != nil {
			return err
		}
		if it != nil {
			out.Item = picked.of(it)
		}
		out.ConsumedCapacity = consumed(in.ReturnConsumedCapacity, t.Name, readUnits(size, aws.ToBool(in.ConsistentRead)))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// projection is the projector of a call that has no other expression.
func projection(names map[string]string, expression *string) (projector, error) {
	e, err := newEnv(names, nil)
	if err != nil {
		return nil, err
	}
	picked, err := e.projector(expression)
	if err != nil {
		return nil, err
	}
	return picked, e.unused()
}

// get reads the item with this key, nil for none, and says how large it is.
func (t table) get(r reader, key item) (item, int, error) {
	k, err := t.key(key)
	if err != nil {
		return nil, 0, err
	}
	stored := r.get(k)
	if stored == nil {
		return nil, 0, nil
	}
	it, err := decode(stored)
	return it, sizeOf(it), err
}

// BatchGetItem reads up to a hundred items. What would make the answer larger than
// 16 MB is left unprocessed.
func (db *DB) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	if err := check(ctx, in, in.ReturnConsumedCapacity, "RequestItems", "ReturnConsumedCapacity"); err != nil {
		return nil, err
	}
	keys := 0
	for _, want := range in.RequestItems {
		keys += len(want.Keys)
	}
	if keys == 0 || keys > maxGets {
		return nil, invalid("Too many items requested for the BatchGetItem call, or none")
	}
	out := &dynamodb.BatchGetItemOutput{Responses: map[string][]item{}, UnprocessedKeys: map[string]types.KeysAndAttributes{}}
	err := db.kv.view(func(r reader) error {
		room := maxBatchRead
		for name, want := range in.RequestItems {
			if err := getSome(r, name, want, &room, in.ReturnConsumedCapacity, out); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// different refuses keys that are the same.
func different(keys []item) error {
	seen := map[string]bool{}
	for _, key := range keys {
		text, err := encode(key)
		if err != nil {
			return invalid("The provided key element does not match the schema")
		}
		if seen[string(text)] {
			return invalid("Provided list of item keys contains duplicates")
		}
		seen[string(text)] = true
	}
	return nil
}

// getSome reads the items of one table, as long as there is room for them.
func getSome(r reader, name string, want types.KeysAndAttributes, room *int, capacity types.ReturnConsumedCapacity, out *dynamodb.BatchGetItemOutput) error {
	if err := only(&want, "Keys", "ConsistentRead", "ExpressionAttributeNames", "ProjectionExpression"); err != nil {
		return err
	}
	picked, err := projection(want.ExpressionAttributeNames, want.ProjectionExpression)
	if err != nil {
		return err
	}
	if err := different(want.Keys); err != nil {
		return err
	}
	t, err := findTable(r, &name)
	if err != nil {
		return err
	}
	units, found := 0.0, []item{}
	for i, key := range want.Keys {
		it, size, err := t.get(r, key)
		if err != nil {
			return err
		}
		if *room -= size; *room < 0 {
			rest := want
			rest.Keys = want.Keys[i:]
			out.UnprocessedKeys[name] = rest
			break
		}
		units += readUnits(size, aws.ToBool(want.ConsistentRead))
		if it != nil {
			found = append(found, picked.of(it))
		}
	}
	out.Responses[name] = found
	if c := consumed(capacity, name, units); c != nil {
		out.ConsumedCapacity = append(out.ConsumedCapacity, *c)
	}
	return nil
}
