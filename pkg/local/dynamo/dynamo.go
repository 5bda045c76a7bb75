// Package dynamo is the part of DynamoDB that Strongroom needs, in this process:
// over one file, or in memory.
//
// It has the six calls that store.DynamoDB names, with the SDK client's signatures
// and errors: GetItem, BatchGetItem, Query, BatchWriteItem, UpdateItem and
// TransactWriteItems; and CreateTable, DescribeTable and ListTables. Tables have a partition
// and a sort key, both strings, and global indexes that hold keys only. Conditions,
// updates, key conditions and projections are parsed as the grammar in
// expression.go says. Limits, pages, capacity units, reasons of cancelled
// transactions and remembered client request tokens are DynamoDB's.
//
// What is not here is refused and never passed over: sets, paths into maps and
// lists, contains, size and attribute_type, filters, returned values, the members
// that expressions replaced. Reserved words are taken as names.
//
// What is acknowledged is on the disk: see file.go. `make check` replays generated
// histories here and on another implementation of DynamoDB, and compares.
package dynamo

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A DB is a DynamoDB. Its methods may be called concurrently.
type DB struct {
	kv kv
	// Now tells the time, for how long tokens are remembered.
	Now func() time.Time
	// held are the states that indexes show while tests hold them back, by table.
	held sync.Map
}

// Open opens the tables in a file, which is made where there is none. One process
// at a time may have it open.
func Open(path string) (*DB, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return &DB{kv: f, Now: time.Now}, nil
}

// Memory has its tables in memory alone.
func Memory() *DB { return &DB{kv: newMemory(), Now: time.Now} }

// Close gives the file free. Nothing that was acknowledged is lost.
func (db *DB) Close() error { return db.kv.close() }

// Limits of DynamoDB, in bytes and in numbers of items.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
const (
	maxItem        = 400 << 10
	maxPage        = 1 << 20
	maxTransaction = 4 << 20
	maxBatchRead   = 16 << 20
	maxGets        = 100
	maxWrites      = 25
	maxActions     = 100
)

// readUnits is what it costs to read so many bytes.
func readUnits(size int, consistent bool) float64 {
	units := float64(max(1, (size+4095)/4096))
	if consistent {
		return units
	}
	return units / 2
}

// writeUnits is what it costs to write so many bytes.
func writeUnits(size int) float64 { return float64(max(1, (size+1023)/1024)) }

// consumed is the cost of a call, if it was asked for.
func consumed(want types.ReturnConsumedCapacity, table string, units float64) *types.ConsumedCapacity {
	if want != types.ReturnConsumedCapacityTotal {
		return nil
	}
	return &types.ConsumedCapacity{TableName: aws.String(table), CapacityUnits: aws.Float64(units)}
}

func checkReturn(want types.ReturnConsumedCapacity) error {
	switch want {
	case "", types.ReturnConsumedCapacityNone, types.ReturnConsumedCapacityTotal:
		return nil
	}
	return invalid("ReturnConsumedCapacity %s is not supported by the local DynamoDB", want)
}

// check refuses a call whose context has ended, and an input with members that are not
// supported here.
func check(ctx context.Context, input any, returned types.ReturnConsumedCapacity, supported ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := only(input, supported...); err != nil {
		return err
	}
	return checkReturn(returned)
}
