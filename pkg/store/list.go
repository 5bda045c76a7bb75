package store

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/secret"
)

// An Order is an order of the directory.
type Order string

// The orders in which secrets can be listed at the cost of what is listed.
const (
	ByName    Order = "DIRECTORY#NAME"
	ByCreated Order = "DIRECTORY#CREATED"
)

// A Walk is a part of the directory to go through.
type Walk struct {
	Order      Order
	Descending bool
	// After is the Position of the row to go on behind; empty to begin. The row
	// itself may be gone.
	After string
	// Prefix is what names begin with; it needs ByName.
	Prefix string
	// Limit is how many rows at most.
	Limit int
}

// A Row is a secret's place in the directory.
type Row struct {
	Name     string // empty for a row that cannot be read
	Position string
	Created  time.Time
	suffix   string
}

// Of says whether the row is of this secret, and not of one that had its name
// before or has it since.
func (r Row) Of(sec secret.Secret) bool { return r.Name == sec.Name && r.suffix == sec.Suffix() }

// Directory returns the next rows, and says whether there may be more: one
// strongly consistent query.
func (s *Store) Directory(ctx context.Context, w Walk) ([]Row, bool, error) {
	values := item{"pk": str(string(w.Order)), "prefix": str(w.Prefix)}
	condition := ofDirectory
	if w.Prefix != "" {
		condition = ofSecret
	}
	in := &dynamodb.QueryInput{
		TableName:                 &s.table,
		KeyConditionExpression:    aws.String(condition),
		ExpressionAttributeNames:  namesIn(condition),
		ExpressionAttributeValues: valuesIn(values, condition),
		ConsistentRead:            aws.Bool(true),
		ScanIndexForward:          aws.Bool(!w.Descending),
		Limit:                     aws.Int32(int32(w.Limit)), //nolint:gosec // callers ask for a thousand at most
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	}
	if w.After != "" {
		in.ExclusiveStartKey = key{string(w.Order), w.After}.item()
	}
	out, err := s.db.Query(ctx, in)
	if err != nil {
		return nil, false, fmt.Errorf("list secrets: %w", err)
	}
	rows := make([]Row, 0, len(out.Items))
	for _, it := range out.Items {
		var k key
		if err := attributevalue.UnmarshalMap(it, &k); err != nil {
			return nil, false, fmt.Errorf("directory item: %w", err)
		}
		var d directoryItem
		if err := unmarshal(it, &d); err != nil {
			d = directoryItem{} // it lists nothing
		}
		rows = append(rows, Row{d.Name, k.SK, time.Time(d.Created), d.Suffix})
	}
	return rows, len(out.LastEvaluatedKey) > 0, nil
}

// maxBatch is how many items DynamoDB reads in one BatchGetItem.
const maxBatch = 100

// Secrets reads secrets by name, strongly consistent, a hundred in a call. A name
// without a secret is left out, and so is one whose secret cannot be read: damaged is
// told of it.
func (s *Store) Secrets(ctx context.Context, names []string, damaged func(error)) (map[string]secret.Secret, error) {
	found := make(map[string]secret.Secret, len(names))
	asked := map[string]bool{}
	var keys []item
	for _, name := range names {
		if !asked[name] {
			asked[name] = true
			keys = append(keys, headKey(name).item())
		}
	}
	for len(keys) > 0 {
		n := min(len(keys), maxBatch)
		items, err := s.batch(ctx, types.KeysAndAttributes{Keys: keys[:n], ConsistentRead: aws.Bool(true)})
		if err != nil {
			return nil, fmt.Errorf("read secrets: %w", err)
		}
		keys = keys[n:]
		for _, it := range items {
			sec, err := s.readHead(it)
			if err != nil {
				damaged(err)
				continue
			}
			s.remember(sec)
			found[sec.Name] = sec
		}
	}
	return found, nil
}

// batch reads items until none is left unprocessed: DynamoDB leaves some when the
// answer grows too large, or when it is short of capacity.
func (s *Store) batch(ctx context.Context, want types.KeysAndAttributes) ([]item, error) {
	var items []item
	err := retry(ctx, func() error {
		out, err := s.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems:           map[string]types.KeysAndAttributes{s.table: want},
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		})
		if err != nil {
			return err
		}
		items = append(items, out.Responses[s.table]...)
		want.Keys = out.UnprocessedKeys[s.table].Keys
		if len(want.Keys) > 0 {
			return errConflict
		}
		return nil
	})
	return items, err
}
