package dynamo

import (
	"bytes"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// What only tests do.

// HoldIndexes makes queries of a table's indexes answer from the state of now, until
// release is called: an index that trails, as those of a cloud do. It needs a DB in
// memory.
func (db *DB) HoldIndexes(table string) (release func()) {
	db.held.Store(table, reader(db.kv.(*memory).latest.Load()))
	return func() { db.held.Delete(table) }
}

// Items are all items of a table.
func (db *DB) Items(table string) ([]map[string]types.AttributeValue, error) {
	var items []item
	prefix := rows(table, "")
	err := db.kv.view(func(r reader) (err error) {
		r.walk(prefix, false, func(k, stored []byte) bool {
			if !bytes.HasPrefix(k, prefix) {
				return false
			}
			var it item
			if it, err = decode(stored); err != nil {
				return false
			}
			items = append(items, it)
			return true
		})
		return err
	})
	return items, err
}
