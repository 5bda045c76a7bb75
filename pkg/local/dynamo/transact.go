package dynamo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// TransactWriteItems makes up to a hundred writes of different items, all of them
// or none. A request whose token was used in the last ten minutes does nothing: it
// succeeds when it is the same request, and is refused when it is another.
func (db *DB) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := only(in, "TransactItems", "ClientRequestToken", "ReturnConsumedCapacity"); err != nil {
		return nil, err
	}
	if len(aws.ToString(in.ClientRequestToken)) > maxToken {
		return nil, invalid("1 validation error detected: Value at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to %d", maxToken)
	}
	if err := checkReturn(in.ReturnConsumedCapacity); err != nil {
		return nil, err
	}
	changes, err := transacted(in.TransactItems)
	if err != nil {
		return nil, err
	}
	token, err := db.newToken(aws.ToString(in.ClientRequestToken), changes)
	if err != nil {
		return nil, err
	}
	var cost costs
	err = db.kv.update(func(r reader) (writes []write, err error) {
		var known bool
		if cost.Units, known, err = token.find(r); err != nil || known {
			return nil, err
		}
		if writes, cost, err = transact(r, changes); err != nil {
			return nil, err
		}
		kept, err := token.writes(r, cost.Again)
		return append(writes, kept...), err
	})
	if err != nil {
		return nil, err
	}
	out := &dynamodb.TransactWriteItemsOutput{}
	for name, n := range cost.Units {
		if c := consumed(in.ReturnConsumedCapacity, name, n); c != nil {
			out.ConsumedCapacity = append(out.ConsumedCapacity, *c)
		}
	}
	return out, nil
}

// transacted reads the actions of a transaction.
func transacted(items []types.TransactWriteItem) ([]*change, error) {
	if len(items) == 0 || len(items) > maxActions {
		return nil, invalid("1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length between 1 and %d", maxActions)
	}
	changes, size := make([]*change, len(items)), 0
	for i, it := range items {
		var err error
		if changes[i], err = changeOf(it); err != nil {
			return nil, err
		}
		size += sizeOf(changes[i].put)
	}
	return changes, checkAggregate(size)
}

func changeOf(it types.TransactWriteItem) (*change, error) {
	var made []*change
	add := func(c *change, err error) error {
		made = append(made, c)
		return err
	}
	var errs []error
	if p := it.Put; p != nil {
		put, err := cleanMap(p.Item, 0)
		errs = append(errs, err, add(newChange(p.TableName, nil, p.ConditionExpression, p.ExpressionAttributeNames, p.ExpressionAttributeValues,
			change{put: put, wantOld: allOld(p.ReturnValuesOnConditionCheckFailure)})))
	}
	if u := it.Update; u != nil {
		if u.UpdateExpression == nil {
			return nil, invalid("The update expression can not be empty")
		}
		errs = append(errs, add(newChange(u.TableName, u.UpdateExpression, u.ConditionExpression, u.ExpressionAttributeNames, u.ExpressionAttributeValues,
			change{key: u.Key, wantOld: allOld(u.ReturnValuesOnConditionCheckFailure)})))
	}
	if d := it.Delete; d != nil {
		errs = append(errs, add(newChange(d.TableName, nil, d.ConditionExpression, d.ExpressionAttributeNames, d.ExpressionAttributeValues,
			change{key: d.Key, remove: true, wantOld: allOld(d.ReturnValuesOnConditionCheckFailure)})))
	}
	if c := it.ConditionCheck; c != nil {
		if c.ConditionExpression == nil {
			return nil, invalid("The condition expression can not be empty")
		}
		errs = append(errs, add(newChange(c.TableName, nil, c.ConditionExpression, c.ExpressionAttributeNames, c.ExpressionAttributeValues,
			change{key: c.Key, wantOld: allOld(c.ReturnValuesOnConditionCheckFailure)})))
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	if len(made) != 1 {
		return nil, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	return made[0], nil
}

func allOld(want types.ReturnValuesOnConditionCheckFailure) bool {
	return want == types.ReturnValuesOnConditionCheckFailureAllOld
}

// Costs are the units of a transaction by table, and those of the same request again,
// which reads the items as they were written.
type costs struct{ Units, Again map[string]float64 }

// transact evaluates all actions on one state.
func transact(r reader, changes []*change) ([]write, costs, error) {
	cost := costs{map[string]float64{}, map[string]float64{}}
	outcomes, err := applyAll(r, changes, "Transaction request cannot include multiple operations on one item")
	if err != nil {
		return nil, cost, err
	}
	var writes []write
	size := 0
	for i, o := range outcomes {
		if o.err != nil {
			return nil, cost, cancelled(changes, outcomes)
		}
		size += o.size
		if !changes[i].isCheck() {
			writes = append(writes, o.writes...)
		}
		cost.Units[changes[i].table] += 2*o.units + o.index
		cost.Again[changes[i].table] += 2 * o.read
	}
	return writes, cost, checkAggregate(size)
}

func checkAggregate(size int) error {
	if size > maxTransaction {
		return invalid("Collection size of items exceeded, which can also be caused by the aggregate size of the items in the transaction exceeding the 4MB limit")
	}
	return nil
}

func (c *change) isCheck() bool { return c.put == nil && !c.remove && c.actions == nil }

// cancelled says for each action whether it stood in the way, and how.
func cancelled(changes []*change, outcomes []outcome) error {
	reasons, codes := make([]types.CancellationReason, len(outcomes)), make([]string, len(outcomes))
	for i, o := range outcomes {
		var api smithy.APIError
		var no *refused
		switch {
		case o.err == nil:
			codes[i] = "None"
		case errors.As(o.err, &no):
			codes[i] = "ConditionalCheckFailed"
			reasons[i].Message = aws.String(failedCondition)
			if changes[i].wantOld {
				reasons[i].Item = no.old
			}
		case errors.As(o.err, &api) && api.ErrorCode() == validation:
			codes[i] = "ValidationError"
			reasons[i].Message = aws.String(api.ErrorMessage())
		default:
			return o.err
		}
		reasons[i].Code = &codes[i]
	}
	return &types.TransactionCanceledException{
		Message:             aws.String("Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(codes, ", ") + "]"),
		CancellationReasons: reasons,
	}
}

// How long a token is remembered, in minutes, and how many old ones a transaction
// forgets: more than it adds.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
const (
	tokenMinutes = 10
	tokensGone   = 2
	maxToken     = 36 // characters
)

// A token names a request. Tokens are kept by the minute they were used in, so that
// the oldest are found without reading the others.
type token struct {
	name   string // empty for a request without one
	sum    [sha256.Size]byte
	minute uint64
}

func (db *DB) newToken(name string, changes []*change) (token, error) {
	if name == "" {
		return token{}, nil
	}
	sum, err := fingerprint(changes)
	return token{name, sum, uint64(db.Now().Unix() / 60)}, err //nolint:gosec // after 1970
}

// fingerprint is the same for the same request only.
func fingerprint(changes []*change) (sum [sha256.Size]byte, err error) {
	var b []byte
	for _, c := range changes {
		b = fmt.Appendf(b, "%t %t %t ", c.put != nil, c.remove, c.wantOld)
		b = appendText(appendText(b, c.table), c.text)
		for _, name := range slices.Sorted(maps.Keys(c.env.names)) {
			b = appendText(appendText(b, name), c.env.names[name])
		}
		for _, m := range []item{c.key, c.put, c.env.values} {
			if b, err = appendMap(b, m); err != nil {
				return sum, err
			}
		}
	}
	return sha256.Sum256(b), nil
}

func tokenKey(minute uint64, name string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{spaceToken}, minute), name...)
}

// find says whether the request was made before, and what it costs to repeat it.
func (t token) find(r reader) (units map[string]float64, known bool, err error) {
	if t.name == "" {
		return nil, false, nil
	}
	for minute := t.minute - tokenMinutes; minute <= t.minute; minute++ {
		kept := r.get(tokenKey(minute, t.name))
		if kept == nil {
			continue
		}
		if text, same := bytes.CutPrefix(kept, t.sum[:]); same {
			return units, true, json.Unmarshal(text, &units)
		}
		return nil, false, &types.IdempotentParameterMismatchException{Message: aws.String(
			fmt.Sprintf("There's an existing transaction with token %s and other parameters", t.name))}
	}
	return nil, false, nil
}

// writes keeps the token with the units of a repeat, and forgets some that are old
// enough.
func (t token) writes(r reader, again map[string]float64) ([]write, error) {
	if t.name == "" {
		return nil, nil
	}
	text, err := json.Marshal(again)
	writes := []write{{tokenKey(t.minute, t.name), append(t.sum[:], text...)}}
	oldest := tokenKey(t.minute-tokenMinutes, "")
	r.keys([]byte{spaceToken}, func(k []byte) bool {
		if bytes.Compare(k, oldest) >= 0 || k[0] != spaceToken || len(writes) > tokensGone {
			return false
		}
		writes = append(writes, write{key: bytes.Clone(k)})
		return true
	})
	return writes, err
}
