package dynamo

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A change is one write of one item, checked but for what it depends on: the item
// that is there.
type change struct {
	table     string
	key       item // nil for a put
	put       item // nil for all but a put
	remove    bool
	actions   []action
	condition *condition // nil for none
	env       *env
	wantOld   bool   // in the reason of a failed condition
	text      string // of the expressions
}

// An effect is what a change does to the kv, and what it costs in write units.
type effect struct {
	writes []write
	units  float64 // of the item; in a transaction it costs twice that
	index  float64 // of the rows in indexes, which are never part of a transaction
	size   int     // of the item that is written
	read   float64 // units of reading it, or what was there
}

// A refused change has the item that did not meet its condition.
type refused struct{ old item }

func (*refused) Error() string { return failedCondition }

// newChange checks the expressions of a change.
func newChange(tableName *string, update, conditionText *string, names map[string]string, values item, c change) (*change, error) {
	c.table, c.text = aws.ToString(tableName), aws.ToString(update)+"\x00"+aws.ToString(conditionText)
	var err error
	if c.env, err = newEnv(names, values); err != nil {
		return nil, err
	}
	if update != nil {
		if c.actions, err = parse("UpdateExpression", *update, (*parser).update); err != nil {
			return nil, err
		}
		if err := c.env.checkUpdate(c.actions); err != nil {
			return nil, err
		}
	}
	if conditionText != nil {
		if c.condition, err = parse("ConditionExpression", *conditionText, (*parser).condition); err != nil {
			return nil, err
		}
		if err := c.env.checkCondition(c.condition); err != nil {
			return nil, err
		}
	}
	return &c, c.env.unused()
}

// place finds the table of a change and where its item is, and checks what needs the
// table to be known.
func (c *change) place(r reader) (t table, k []byte, err error) {
	if t, err = findTable(r, &c.table); err != nil {
		return t, nil, err
	}
	if err := c.env.checkTargets(c.actions, t); err != nil {
		return t, nil, err
	}
	if c.put == nil {
		k, err = t.key(c.key)
		return t, k, err
	}
	if sizeOf(c.put) > maxItem {
		return t, nil, invalid("Item size has exceeded the maximum allowed size")
	}
	if k, err = t.keyOf(c.put); err == nil {
		_, err = t.indexed(c.put)
	}
	return t, k, err
}

// apply evaluates a change on what is stored. It returns *refused when the
// condition does not hold.
func (c *change) apply(r reader, t table, k []byte) (effect, error) {
	var old item
	if stored := r.get(k); stored != nil {
		var err error
		if old, err = decode(stored); err != nil {
			return effect{}, err
		}
	}
	if c.condition != nil && !c.env.holds(c.condition, old) {
		return effect{}, &refused{old}
	}
	next, err := c.next(old)
	if err != nil {
		return effect{}, err
	}
	return t.replace(k, old, next)
}

// next is the item after the change: nil for none.
func (c *change) next(old item) (item, error) {
	switch {
	case c.remove:
		return nil, nil
	case c.put != nil:
		return c.put, nil
	case c.actions == nil:
		return old, nil // a check
	}
	if old == nil {
		old = c.key
	}
	return c.env.update(c.actions, old)
}

// replace is the effect of one item taking the place of another; either may be nil.
func (t table) replace(k []byte, old, next item) (effect, error) {
	e := effect{size: sizeOf(next)}
	larger := max(e.size, sizeOf(old))
	e.units, e.read = writeUnits(larger), readUnits(larger, true)
	if e.size > maxItem {
		return e, invalid("Item size has exceeded the maximum allowed size")
	}
	if next == nil {
		if old != nil {
			e.writes = append(e.writes, write{key: k})
		}
	} else {
		text, err := encode(next)
		if err != nil {
			return e, err
		}
		e.writes = append(e.writes, write{k, text})
	}
	return e, t.reindex(&e, old, next)
}

// reindex adds what becomes of the rows in the indexes.
func (t table) reindex(e *effect, old, next item) error {
	before, err := t.indexed(old)
	if err != nil {
		return err
	}
	after, err := t.indexed(next)
	if err != nil {
		return err
	}
	for index := range t.Indexes {
		was, had := before[index]
		is, has := after[index]
		if had && has && string(was.key) == string(is.key) {
			continue
		}
		if had {
			e.writes = append(e.writes, write{key: was.key})
			e.index += writeUnits(sizeOf(was.item))
		}
		if has {
			text, err := encode(is.item)
			if err != nil {
				return err
			}
			e.writes = append(e.writes, write{is.key, text})
			e.index += writeUnits(sizeOf(is.item))
		}
	}
	return nil
}

// UpdateItem changes one item, or makes it.
func (db *DB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	err := check(ctx, in, in.ReturnConsumedCapacity, "Key", "TableName", "UpdateExpression", "ConditionExpression",
		"ExpressionAttributeNames", "ExpressionAttributeValues", "ReturnValuesOnConditionCheckFailure", "ReturnConsumedCapacity")
	if err != nil {
		return nil, err
	}
	if in.UpdateExpression == nil {
		return nil, invalid("The local DynamoDB updates by an UpdateExpression only")
	}
	c, err := newChange(in.TableName, in.UpdateExpression, in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, change{
		key: in.Key, wantOld: in.ReturnValuesOnConditionCheckFailure == types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if err != nil {
		return nil, err
	}
	var units float64
	err = db.kv.update(func(r reader) ([]write, error) {
		t, k, err := c.place(r)
		if err != nil {
			return nil, err
		}
		e, err := c.apply(r, t, k)
		units = e.units + e.index
		return e.writes, err
	})
	if no, ok := err.(*refused); ok { //nolint:errorlint // as apply returns it
		failed := &types.ConditionalCheckFailedException{Message: aws.String(failedCondition)}
		if c.wantOld {
			failed.Item = no.old
		}
		return nil, failed
	}
	if err != nil {
		return nil, err
	}
	return &dynamodb.UpdateItemOutput{ConsumedCapacity: consumed(in.ReturnConsumedCapacity, c.table, units)}, nil
}

// BatchWriteItem puts and removes up to 25 items, here all of them or none.
func (db *DB) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	if err := check(ctx, in, in.ReturnConsumedCapacity, "RequestItems", "ReturnConsumedCapacity"); err != nil {
		return nil, err
	}
	changes, err := batched(in.RequestItems)
	if err != nil {
		return nil, err
	}
	units := map[string]float64{}
	err = db.kv.update(func(r reader) ([]write, error) {
		clear(units)
		effects, err := applyAll(r, changes, "Provided list of item keys contains duplicates")
		if err != nil {
			return nil, err
		}
		var writes []write
		for i, e := range effects {
			if e.err != nil {
				return nil, e.err
			}
			writes = append(writes, e.writes...)
			units[changes[i].table] += e.units + e.index
		}
		return writes, nil
	})
	if err != nil {
		return nil, err
	}
	out := &dynamodb.BatchWriteItemOutput{UnprocessedItems: map[string][]types.WriteRequest{}}
	for name, n := range units {
		if c := consumed(in.ReturnConsumedCapacity, name, n); c != nil {
			out.ConsumedCapacity = append(out.ConsumedCapacity, *c)
		}
	}
	return out, nil
}

func batched(requests map[string][]types.WriteRequest) ([]*change, error) {
	var changes []*change
	for name, list := range requests {
		for _, request := range list {
			c := change{}
			switch {
			case request.PutRequest != nil && request.DeleteRequest == nil:
				it, err := cleanMap(request.PutRequest.Item, 0)
				if err != nil {
					return nil, err
				}
				c.put = it
			case request.DeleteRequest != nil && request.PutRequest == nil:
				c.key, c.remove = request.DeleteRequest.Key, true
			default:
				return nil, invalid("Supplied AttributeValue has more than one datatypes set, or none: a write is a put or a delete")
			}
			made, err := newChange(&name, nil, nil, nil, nil, c)
			if err != nil {
				return nil, err
			}
			changes = append(changes, made)
		}
	}
	if len(changes) == 0 || len(changes) > maxWrites {
		return nil, invalid("Too many items requested for the BatchWriteItem call, or none")
	}
	return changes, nil
}

// An outcome is the effect of a change, or why it has none.
type outcome struct {
	effect
	err error
}

// applyAll evaluates changes of different items on one state. Its error is one of
// the request as a whole.
func applyAll(r reader, changes []*change, twice string) ([]outcome, error) {
	type placed struct {
		table table
		key   []byte
	}
	places, seen, outcomes := make([]placed, len(changes)), map[string]bool{}, make([]outcome, len(changes))
	for i, c := range changes {
		t, k, err := c.place(r)
		if err == nil {
			err = c.env.checkIndexTargets(c.actions, t)
		}
		_, refused := errors.AsType[*misplaced](err)
		if err != nil && !refused {
			return nil, err
		}
		if k != nil && seen[string(k)] {
			return nil, invalid("%s", twice)
		}
		if refused {
			outcomes[i].err = err
		}
		seen[string(k)] = true
		places[i] = placed{t, k}
	}
	for i, c := range changes {
		if outcomes[i].err == nil {
			outcomes[i].effect, outcomes[i].err = c.apply(r, places[i].table, places[i].key)
		}
	}
	return outcomes, nil
}
