package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/store"
)

// importOnce makes the table of a Region, in a folder where it has none, of the items in a
// file, all of them or none, and ends.
func importOnce(ctx context.Context, set settings, out io.Writer) error {
	if set.engines.DynamoDB != "" {
		return errOwnDynamoDB
	}
	file, err := os.Open(set.load)
	if err != nil {
		return fmt.Errorf("--import: %w", err)
	}
	defer func() { _ = file.Close() }() // it was read
	n, sealed := 0, []string(nil)
	err = local.Fill(ctx, set.engines, func(engines *local.Engines, at local.Deployment) error {
		l := &loader{db: engines.DynamoDB, table: at.Table, count: newTally(out, "items imported"), keys: map[string]bool{}}
		if err := l.load(ctx, file); err != nil {
			return fmt.Errorf("%s: %w", set.load, err)
		}
		n, sealed = l.read, l.unknownKeys(ctx, at.KMS)
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return errors.New("--import: interrupted; nothing was imported")
	case err != nil:
		return fmt.Errorf("--import: nothing was imported: %w", err)
	}
	_, err = fmt.Fprintf(out, "items imported: %d\n", n)
	for _, key := range sealed {
		_, err = fmt.Fprintf(out, "values that are sealed under %s cannot be opened here: the folder has no such key%s\n", key, ofAnotherRegion(key, set.region))
	}
	return err
}

// ofAnotherRegion says what else to do about values under a key of another Region: they
// open there alone.
func ofAnotherRegion(key, region string) string {
	if of, err := arn.Parse(key); err == nil && of.Region != region {
		return fmt.Sprintf(" for %s; import into another folder with --region %s", region, of.Region)
	}
	return ""
}

// A loader puts items into a new table, in transactions.
type loader struct {
	db    local.DynamoDB
	table string
	count *tally
	keys  map[string]bool // ARNs that values are sealed under

	read, written int // items so far
	batch         []types.TransactWriteItem
	bytes         int // of the batch, in JSON
}

// A transaction takes a hundred items of 4 MB in all; in JSON they are larger.
const (
	maxBatch = 100
	maxBytes = 3 << 20
)

// load reads what DynamoDB's export to S3 writes, {"Item": {…}} for each item, and what
// the AWS CLI's scan prints, {"Items": [{…}, …]}; compressed or not. What an item holds is
// not in its errors.
func (l *loader) load(ctx context.Context, file io.Reader) error {
	defer l.count.clear()
	text, err := unpacked(file)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(text)
	for decoder.More() {
		if err := l.object(ctx, decoder); err != nil {
			return err
		}
	}
	// More is also false for what is neither the end nor JSON.
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return l.notItems()
	}
	if l.read == 0 {
		return errors.New("it has no items")
	}
	return l.flush(ctx)
}

func unpacked(file io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(file)
	if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" { // a shorter file is not compressed
		return gzip.NewReader(buffered)
	}
	return buffered, nil
}

func (l *loader) notItems() error {
	return fmt.Errorf(`after %d items it goes on neither with {"Item": {"pk": {"S": "…"}, …}} nor with {"Items": [{…}, …]}, or it is cut short`, l.read)
}

// object reads one value of the file.
func (l *loader) object(ctx context.Context, decoder *json.Decoder) error {
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return l.notItems()
	}
	for decoder.More() {
		member, err := decoder.Token()
		if err != nil {
			return l.notItems()
		}
		switch member {
		case "Item":
			err = l.item(ctx, decoder)
		case "Items":
			err = l.items(ctx, decoder)
		case "Count", "ScannedCount", "ConsumedCapacity":
			var ignored json.RawMessage
			if decoder.Decode(&ignored) != nil {
				err = l.notItems()
			}
		case "NextToken", "LastEvaluatedKey":
			err = fmt.Errorf("it is a part of a table: it says with %s that there are more items", member)
		default:
			err = l.notItems()
		}
		if err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return l.notItems()
	}
	return nil
}

func (l *loader) items(ctx context.Context, decoder *json.Decoder) error {
	if token, err := decoder.Token(); err != nil || token != json.Delim('[') {
		return l.notItems()
	}
	for decoder.More() {
		if err := l.item(ctx, decoder); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return l.notItems()
	}
	return nil
}

func (l *loader) item(ctx context.Context, decoder *json.Decoder) error {
	var text json.RawMessage
	if decoder.Decode(&text) != nil {
		return l.notItems()
	}
	l.read++
	item, err := attributevalue.UnmarshalMapJSON(text)
	if err != nil {
		return fmt.Errorf("item %d is not in DynamoDB's JSON", l.read)
	}
	if err := checkItem(item); err != nil {
		return fmt.Errorf("item %d: %w", l.read, err)
	}
	if key, ok := item["key_arn"].(*types.AttributeValueMemberS); ok {
		l.keys[key.Value] = true
	}
	if len(l.batch) == maxBatch || l.bytes+len(text) > maxBytes {
		if err := l.flush(ctx); err != nil {
			return err
		}
	}
	l.batch = append(l.batch, types.TransactWriteItem{Put: &types.Put{TableName: &l.table, Item: item, ConditionExpression: aws.String("attribute_not_exists(pk)")}})
	l.bytes += len(text)
	return nil
}

func checkItem(item map[string]types.AttributeValue) error {
	_, pk := item["pk"].(*types.AttributeValueMemberS)
	_, sk := item["sk"].(*types.AttributeValueMemberS)
	if !pk || !sk {
		return errors.New("it has no texts pk and sk, as items of Strongroom have")
	}
	err := store.CheckFormat(item)
	if newer, ok := errors.AsType[*store.Newer](err); ok {
		return fmt.Errorf("it was written by a newer version, in format %d; import it with that version", newer.Schema)
	} else if err != nil {
		return errors.New("its schema is not a number")
	}
	return nil
}

// flush writes the batch.
func (l *loader) flush(ctx context.Context) error {
	if _, err := l.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: l.batch}); err != nil {
		return fmt.Errorf("items %d to %d: %w", l.written+1, l.written+len(l.batch), explained(err))
	}
	l.written += len(l.batch)
	l.count.show(l.written)
	l.batch, l.bytes = nil, 0
	return nil
}

// explained says what DynamoDB only has codes for.
func explained(err error) error {
	if cancelled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		for _, reason := range cancelled.CancellationReasons {
			if aws.ToString(reason.Code) == "ConditionalCheckFailed" {
				return errors.New("one of them was there before, under the same pk and sk")
			}
		}
	}
	return err
}

// unknownKeys are the ARNs of keys that are not here, though values are sealed under them.
func (l *loader) unknownKeys(ctx context.Context, keys any) (unknown []string) {
	known, ok := keys.(interface {
		DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
	})
	if !ok {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(l.keys)) {
		if _, err := known.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key}); err != nil {
			unknown = append(unknown, key)
		}
	}
	return unknown
}
