package store

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Schema is how the table is made: its key, and two indexes that hold keys only.
//
//	age   secret, created   the versions of a secret by age, for pruning alone: an index trails
//	due   shard, due        what the schedules must do next; sparse
func Schema(table string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName:   aws.String(table),
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			text("pk"), text("sk"), text("secret"), text("created"), text("shard"), text("due"),
		},
		KeySchema: keys("pk", "sk"),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{
			index("age", "secret", "created"),
			index("due", "shard", "due"),
		},
	}
}

func text(name string) types.AttributeDefinition {
	return types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: types.ScalarAttributeTypeS}
}

func keys(hash, rng string) []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: aws.String(hash), KeyType: types.KeyTypeHash},
		{AttributeName: aws.String(rng), KeyType: types.KeyTypeRange},
	}
}

func index(name, hash, rng string) types.GlobalSecondaryIndex {
	return types.GlobalSecondaryIndex{
		IndexName:  aws.String(name),
		KeySchema:  keys(hash, rng),
		Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
	}
}

// Tables is the part of the DynamoDB client that makes a table.
type Tables interface {
	CreateTable(context.Context, *dynamodb.CreateTableInput, ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error)
	DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
}

// CreateTable makes the table where there is none, for a local engine, and
// waits until it can be used. In the cloud the stack makes it.
func CreateTable(ctx context.Context, db Tables, table string) error {
	_, err := db.CreateTable(ctx, Schema(table))
	if apiCode(err) == "ResourceInUseException" {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("create table %s: %w", table, err)
	}
	// An engine answers CREATING first; a local one is done in a moment.
	waiter := dynamodb.NewTableExistsWaiter(db, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 5*time.Millisecond, time.Second
	})
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(table)}, time.Minute); err != nil {
		return fmt.Errorf("wait for table %s: %w", table, err)
	}
	return nil
}
