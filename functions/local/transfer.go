package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/private"
)

// A line is an item as DynamoDB exports a table to S3: what is exported in the cloud can
// be looked at here, and verified. Values open only with the keys they were sealed under,
// which are in no export.
type line struct{ Item json.RawMessage }

// maxLine is more than an item has in JSON, of which DynamoDB takes 400 kB.
const maxLine = 4 << 20

// items is the part of the engine that lists what is stored.
type items interface {
	Items(table string) ([]map[string]types.AttributeValue, error)
}

// exportOnce writes all items to a file that is not there yet, and ends.
func exportOnce(ctx context.Context, set settings, out io.Writer, log *slog.Logger) (err error) {
	if err := checkDataFolder("--export", set.engines); err != nil {
		return err
	}
	engines, _, err := open(ctx, set, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engines.Close()) }()
	stored, ok := engines.DynamoDB.(items)
	if !ok {
		return errors.New("--export reads the table that is part of the server, and AWS_ENDPOINT_URL_DYNAMODB names another; export that with its own tools")
	}
	all, err := stored.Items(table)
	if err != nil {
		return err
	}
	file, err := private.Open(set.export, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	if err != nil {
		return fmt.Errorf("--export: %w", err)
	}
	if err := errors.Join(writeItems(file, all), file.Close()); err != nil {
		return fmt.Errorf("--export %s: %w", set.export, err)
	}
	_, err = fmt.Fprintf(out, "items exported: %d\n", len(all))
	return err
}

func writeItems(w io.Writer, all []map[string]types.AttributeValue) error {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	for _, item := range all {
		text, err := attributevalue.MarshalMapJSON(item)
		if err != nil {
			return err
		}
		if err := encoder.Encode(line{text}); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// importOnce loads the items of a file into a table that is not there yet, and ends.
func importOnce(ctx context.Context, set settings, out io.Writer, log *slog.Logger) (err error) {
	if set.engines.DynamoDB == "" && local.HasTable(set.data) {
		return fmt.Errorf("--import: the data folder %s has a table already; name an empty one with --data", set.data)
	}
	file, err := os.Open(set.load)
	if err != nil {
		return fmt.Errorf("--import: %w", err)
	}
	defer func() { _ = file.Close() }() // it was read
	engines, _, err := open(ctx, set, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engines.Close()) }()
	lines, n := bufio.NewScanner(file), 0
	lines.Buffer(nil, maxLine)
	for ; lines.Scan(); n++ {
		if err := load(ctx, engines.DynamoDB, lines.Bytes()); err != nil {
			return fmt.Errorf("--import %s: line %d: %w; remove the folder %s before another try", set.load, n+1, err, set.data)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("--import %s: %w", set.load, err)
	}
	_, err = fmt.Fprintf(out, "items imported: %d\n", n)
	return err
}

// load puts one item. What it holds is not in its errors.
func load(ctx context.Context, db local.DynamoDB, text []byte) error {
	var one line
	if err := json.Unmarshal(text, &one); err != nil || one.Item == nil {
		return errors.New(`it is no item of a table, such as {"Item":{"pk":{"S":"..."}}}`)
	}
	item, err := attributevalue.UnmarshalMapJSON(one.Item)
	if err != nil {
		return errors.New("it is no item in DynamoDB's JSON")
	}
	out, err := db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{
		table: {{PutRequest: &types.PutRequest{Item: item}}},
	}})
	if err == nil && len(out.UnprocessedItems) > 0 {
		err = errors.New("the table is busy")
	}
	return err
}
