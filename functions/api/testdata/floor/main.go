// Command floor is what functions/api is measured against: a handler that does nothing
// but link the SDK's configuration and its clients of DynamoDB and KMS, and make them.
package main

import (
	"context"
	"encoding/json"
	"log"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	tables, keys := dynamodb.NewFromConfig(cfg), kms.NewFromConfig(cfg)
	lambda.Start(func(ctx context.Context, _ json.RawMessage) (any, error) {
		if _, err := tables.GetItem(ctx, &dynamodb.GetItemInput{}); err != nil {
			return nil, err
		}
		return keys.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{})
	})
}
