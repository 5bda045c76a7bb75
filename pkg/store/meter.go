package store

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Metered is s, with all that it remembers, for one who wants to know what it
// costs: note is given the capacity units of each call. It may be called
// concurrently.
func (s *Store) Metered(note func(units float64)) *Store {
	metered := *s
	metered.db = &meter{s.db, note}
	return &metered
}

// A meter notes what the calls of a DynamoDB client cost.
type meter struct {
	DynamoDB
	note func(units float64)
}

func (m *meter) add(consumed ...types.ConsumedCapacity) {
	for _, c := range consumed {
		m.note(aws.ToFloat64(c.CapacityUnits))
	}
}

func (m *meter) one(consumed *types.ConsumedCapacity) {
	if consumed != nil {
		m.add(*consumed)
	}
}

func (m *meter) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	out, err := m.DynamoDB.GetItem(ctx, in, o...)
	if err == nil {
		m.one(out.ConsumedCapacity)
	}
	return out, err
}

func (m *meter) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	out, err := m.DynamoDB.Query(ctx, in, o...)
	if err == nil {
		m.one(out.ConsumedCapacity)
	}
	return out, err
}

func (m *meter) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	out, err := m.DynamoDB.UpdateItem(ctx, in, o...)
	if err == nil {
		m.one(out.ConsumedCapacity)
	}
	return out, err
}

func (m *meter) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	out, err := m.DynamoDB.BatchGetItem(ctx, in, o...)
	if err == nil {
		m.add(out.ConsumedCapacity...)
	}
	return out, err
}

func (m *meter) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	out, err := m.DynamoDB.TransactWriteItems(ctx, in, o...)
	if err == nil {
		m.add(out.ConsumedCapacity...)
	}
	return out, err
}
