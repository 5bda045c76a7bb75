package dynamo

import "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

// What only tests do.

// HoldIndexes makes queries of a table's indexes answer from the state of now, until
// release is called: an index that trails, as those of a cloud do. It needs a DB in
// memory.
func (db *DB) HoldIndexes(table string) (release func()) {
	db.held.Store(table, reader(db.kv.(*memory).latest.Load()))
	return func() { db.held.Delete(table) }
}

// Items are all items of a table.
func (db *DB) Items(table string) (items []map[string]types.AttributeValue, err error) {
	err = db.Each(table, func(it map[string]types.AttributeValue) error {
		items = append(items, it)
		return nil
	})
	return items, err
}
