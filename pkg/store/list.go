package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	Created  time.Time // zero in rows by name that are older than this date in them
	Err      error     // a *[Damaged] error for a row that cannot be read
	suffix   string
}

// Position is where a secret is in the order of a date. Positions are in the order of
// their bytes: that of the dates, and of the names where the date is the same. Those
// of [ByCreated] are of the date of creation.
func Position(date time.Time, name string) string { return stamp(date).String() + "#" + name }

// Of says whether the row is of this secret, and not of one that had its name
// before or has it since.
func (r Row) Of(sec secret.Secret) bool { return r.Name == sec.Name && r.suffix == sec.Suffix() }

// Directory returns the next rows, and says whether there may be more: one
// strongly consistent query.
func (s *Store) Directory(ctx context.Context, w Walk) ([]Row, bool, error) {
	values := item{"pk": str(string(w.Order)), "prefix": str(w.Prefix)}
	condition := ofPartition
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
		Limit:                     aws.Int32(int32(w.Limit)), //nolint:gosec // callers ask for some thousands at most
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
		row, err := rowOf(it)
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, row)
	}
	return rows, len(out.LastEvaluatedKey) > 0, nil
}

// rowOf reads a row. One that cannot be read lists nothing, and has its position.
func rowOf(it item) (Row, error) {
	var d directoryItem
	damage := unmarshal(it, &d)
	if damage == nil {
		return Row{Name: d.Name, Position: d.SK, Created: time.Time(d.Created), suffix: d.Suffix}, nil
	}
	var k key
	if err := attributevalue.UnmarshalMap(it, &k); err != nil {
		return Row{}, fmt.Errorf("directory item: %w", err)
	}
	return Row{Position: k.SK, Err: &Damaged{k.SK, damage}}, nil
}

// MaxBatch is how many items DynamoDB reads in one BatchGetItem.
const MaxBatch = 100

// Secrets reads secrets by name, strongly consistent, a hundred in a call. A name
// without a secret is left out, and so is one whose secret cannot be read: damaged is
// told of it.
func (s *Store) Secrets(ctx context.Context, names []string, damaged func(error)) (map[string]secret.Secret, error) {
	found := make(map[string]secret.Secret, len(names))
	err := s.eachHead(ctx, names, types.KeysAndAttributes{}, func(it item) {
		sec, err := s.readHead(it)
		if err != nil {
			damaged(err)
			return
		}
		if _, remembered := s.heads.peek(sec.Name); remembered { // a long list would drive out the others
			s.remember(sec)
		}
		found[sec.Name] = sec
	})
	return found, err
}

// Policies reads the texts of the resource policies of secrets that were just read, a
// hundred in a call, by their hashes. One that was replaced since, or is lost, is left
// out: [Store.Policy] says which of the two it is.
func (s *Store) Policies(ctx context.Context, secrets []secret.Secret) (map[string]string, error) {
	keys := map[string]item{} // one of each text
	for _, sec := range secrets {
		if sec.PolicyHash != "" {
			keys[sec.PolicyHash] = policyKey(sec).item()
		}
	}
	texts := make(map[string]string, len(keys))
	for batch := range slices.Chunk(slices.Collect(maps.Values(keys)), MaxBatch) {
		items, err := s.batch(ctx, types.KeysAndAttributes{Keys: batch, ConsistentRead: aws.Bool(true)})
		if err != nil {
			return nil, fmt.Errorf("read policies: %w", err)
		}
		for _, it := range items {
			var p policyItem
			if err := unmarshal(it, &p); err == nil {
				texts[hashOf(p.Text)] = p.Text
			}
		}
	}
	return texts, nil
}

// Dates are those of a secret that no directory is in the order of.
type Dates struct{ Changed, Accessed time.Time }

// DatesOf are the dates of a secret.
func DatesOf(sec secret.Secret) Dates { return Dates{sec.Changed, sec.Accessed} }

// Dates reads of secrets what [Store.Secrets] does, but the dates alone. It takes as
// many calls and units, and a fifth of the time to decode them.
func (s *Store) Dates(ctx context.Context, names []string, damaged func(error)) (map[string]Dates, error) {
	found := make(map[string]Dates, len(names))
	alone := types.KeysAndAttributes{ProjectionExpression: aws.String(datesOnly), ExpressionAttributeNames: namesIn(datesOnly)}
	err := s.eachHead(ctx, names, alone, func(it item) {
		var head struct {
			key
			Changed  stamp `dynamodbav:"changed"`
			Accessed stamp `dynamodbav:"accessed"`
		}
		if err := unmarshal(it, &head); err != nil {
			damaged(damagedHead(it, err))
			return
		}
		found[nameIn(head.PK)] = Dates{time.Time(head.Changed), time.Time(head.Accessed)}
	})
	return found, err
}

// eachHead reads the heads of secrets, or what is wanted of them, and calls do with each.
func (s *Store) eachHead(ctx context.Context, names []string, want types.KeysAndAttributes, do func(item)) error {
	want.ConsistentRead = aws.Bool(true)
	for batch := range slices.Chunk(slices.Compact(slices.Sorted(slices.Values(names))), MaxBatch) {
		want.Keys = nil
		for _, name := range batch {
			want.Keys = append(want.Keys, headKey(name).item())
		}
		items, err := s.batch(ctx, want)
		if err != nil {
			return fmt.Errorf("read secrets: %w", err)
		}
		for _, it := range items {
			do(it)
		}
	}
	return nil
}

// batch reads items until none is left unprocessed: DynamoDB leaves some when the
// answer grows too large, or when it is short of capacity.
func (s *Store) batch(ctx context.Context, want types.KeysAndAttributes) ([]item, error) {
	var items []item
	err := s.drain(ctx, len(want.Keys), func() (int, error) {
		out, err := s.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems:           map[string]types.KeysAndAttributes{s.table: want},
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		})
		if err != nil {
			return 0, err
		}
		items = append(items, out.Responses[s.table]...)
		want.Keys = out.UnprocessedKeys[s.table].Keys
		return len(want.Keys), nil
	})
	return items, err
}

// drain makes calls until one says that it left nothing of what there is to do. The
// waits between them grow only while nothing is done.
func (s *Store) drain(ctx context.Context, left int, call func() (left int, err error)) error {
	wait := s.backoff()
	for {
		before := left
		var err error
		if left, err = call(); err != nil || left == 0 {
			return err
		}
		if left < before {
			wait = s.backoff()
		}
		if err := wait.next(ctx); err != nil {
			return err
		}
	}
}
