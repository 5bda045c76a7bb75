package store

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/uuid"
)

// A step is one write of a transaction, with what it means when its condition does
// not hold.
type step struct {
	write types.TransactWriteItem
	// failed is given the item as it is, empty for none. It is nil for a write
	// without a condition.
	failed func(old item) error
}

// errConflict says that DynamoDB was busy with another write to the same items, or
// throttled: nothing was written, and the same may be tried again.
var errConflict = errors.New("conflict with another write")

// transact runs steps as one transaction. When the first step fails, its error says
// why; then a conflict does, and then the other steps in their order. After any other
// error the transaction may have happened or not.
func (s *Store) transact(ctx context.Context, steps []step) error {
	writes := make([]types.TransactWriteItem, len(steps))
	for i, step := range steps {
		writes[i] = step.write
	}
	_, err := s.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
		TransactItems:          writes,
		ClientRequestToken:     aws.String(uuid.NewString()), // makes the client's own retries safe
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if cancelled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		return meaning(steps, cancelled)
	}
	return err
}

// meaning is what a cancelled transaction means. Every step that failed is told so.
func meaning(steps []step, cancelled *types.TransactionCanceledException) error {
	var first, conflict, other error
	for i, reason := range cancelled.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
			conflict = errConflict
		case "ConditionalCheckFailed":
			err := error(cancelled)
			if i < len(steps) && steps[i].failed != nil {
				err = steps[i].failed(reason.Item)
			}
			if i == 0 {
				first = err
			} else if other == nil {
				other = err
			}
		}
	}
	for _, err := range []error{first, conflict, other} {
		if err != nil {
			return err
		}
	}
	return cancelled
}

// put writes an item that must not be there yet.
func (s *Store) put(v any, exists func(old item) error) (step, error) {
	return s.putIf(v, isNew, nil, exists)
}

// putIf writes an item under a condition on what is there.
func (s *Store) putIf(v any, condition string, values item, failed func(old item) error) (step, error) {
	attributes, err := marshal(v)
	write := &types.Put{
		TableName:                           &s.table,
		Item:                                attributes,
		ConditionExpression:                 aws.String(condition),
		ExpressionAttributeNames:            namesIn(condition),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if values = valuesIn(values, condition); len(values) > 0 { // DynamoDB takes no empty map
		write.ExpressionAttributeValues = values
	}
	return step{types.TransactWriteItem{Put: write}, failed}, err
}

// set writes an item, whatever is there.
func (s *Store) set(v any) (step, error) {
	attributes, err := marshal(v)
	return step{write: types.TransactWriteItem{Put: &types.Put{TableName: &s.table, Item: attributes}}}, err
}

// upsert changes an item, or makes it, whatever is there.
func (s *Store) upsert(k key, update string, attributes item) step {
	return step{write: types.TransactWriteItem{Update: &types.Update{
		TableName:                 &s.table,
		Key:                       k.item(),
		UpdateExpression:          aws.String(update),
		ExpressionAttributeNames:  namesIn(update),
		ExpressionAttributeValues: valuesIn(attributes, update),
	}}}
}

// update changes an item under a condition. Values of the expressions are taken from
// attributes.
func (s *Store) update(k key, update, condition string, attributes item, failed func(old item) error) step {
	return step{types.TransactWriteItem{Update: &types.Update{
		TableName:                           &s.table,
		Key:                                 k.item(),
		UpdateExpression:                    aws.String(update),
		ConditionExpression:                 aws.String(condition),
		ExpressionAttributeNames:            namesIn(update, condition),
		ExpressionAttributeValues:           valuesIn(attributes, update, condition),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}, failed}
}

// delete removes an item, if it is there.
func (s *Store) delete(k key) step {
	return step{write: types.TransactWriteItem{Delete: &types.Delete{TableName: &s.table, Key: k.item()}}}
}

// deleteIf removes an item under a condition.
func (s *Store) deleteIf(k key, condition string, attributes item, failed func(old item) error) step {
	return step{types.TransactWriteItem{Delete: &types.Delete{
		TableName:                           &s.table,
		Key:                                 k.item(),
		ConditionExpression:                 aws.String(condition),
		ExpressionAttributeNames:            namesIn(condition),
		ExpressionAttributeValues:           valuesIn(attributes, condition),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}, failed}
}

// check writes nothing and holds the transaction to a condition.
func (s *Store) check(k key, condition string, failed error) step {
	return s.checkIf(k, condition, nil, failed)
}

// checkIf is check with a condition that has values.
func (s *Store) checkIf(k key, condition string, values item, failed error) step {
	check := &types.ConditionCheck{
		TableName:                &s.table,
		Key:                      k.item(),
		ConditionExpression:      aws.String(condition),
		ExpressionAttributeNames: namesIn(condition),
	}
	if values = valuesIn(values, condition); len(values) > 0 { // DynamoDB takes no empty map
		check.ExpressionAttributeValues = values
	}
	return step{types.TransactWriteItem{ConditionCheck: check}, func(item) error { return failed }}
}
