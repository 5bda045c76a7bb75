package dynamo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	lru "github.com/hashicorp/golang-lru/v2"
)

// A table is its definition: keys of two strings, for the items and for each index.
type table struct {
	Name    string
	Key     pair
	Indexes map[string]pair `json:",omitempty"`
}

// A pair names the attributes of a partition key and a sort key.
type pair struct{ Hash, Range string }

// CreateTable makes a table. Its keys, and those of its indexes, have a partition
// and a sort key, both strings; the indexes are global and hold keys only.
func (db *DB) CreateTable(_ context.Context, in *dynamodb.CreateTableInput, _ ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error) {
	if err := only(in, "TableName", "BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes"); err != nil {
		return nil, err
	}
	made, err := define(in)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(made)
	if err != nil {
		return nil, err
	}
	err = db.kv.update(func(r reader) ([]write, error) {
		if r.get(tableKey(made.Name)) != nil {
			return nil, &types.ResourceInUseException{Message: aws.String("Table already exists: " + made.Name)}
		}
		return []write{{tableKey(made.Name), text}}, nil
	})
	if err != nil {
		return nil, err
	}
	return &dynamodb.CreateTableOutput{TableDescription: made.description()}, nil
}

func define(in *dynamodb.CreateTableInput) (table, error) {
	t := table{Name: aws.ToString(in.TableName), Indexes: map[string]pair{}}
	key, err := pairOf(in.KeySchema, in.AttributeDefinitions)
	if err != nil {
		return t, err
	}
	t.Key = key
	for _, index := range in.GlobalSecondaryIndexes {
		if index.Projection == nil || index.Projection.ProjectionType != types.ProjectionTypeKeysOnly {
			return t, invalid("The local DynamoDB has indexes of keys only")
		}
		if t.Indexes[aws.ToString(index.IndexName)], err = pairOf(index.KeySchema, in.AttributeDefinitions); err != nil {
			return t, err
		}
	}
	if len(t.Name) < 3 {
		return t, invalid("TableName must be at least 3 characters long")
	}
	return t, nil
}

func pairOf(schema []types.KeySchemaElement, attributes []types.AttributeDefinition) (pair, error) {
	if len(schema) != 2 || schema[0].KeyType != types.KeyTypeHash || schema[1].KeyType != types.KeyTypeRange {
		return pair{}, invalid("The local DynamoDB has keys of a partition key and a sort key only")
	}
	p := pair{aws.ToString(schema[0].AttributeName), aws.ToString(schema[1].AttributeName)}
	for _, name := range []string{p.Hash, p.Range} {
		isString := func(a types.AttributeDefinition) bool {
			return aws.ToString(a.AttributeName) == name && a.AttributeType == types.ScalarAttributeTypeS
		}
		if !slices.ContainsFunc(attributes, isString) {
			return pair{}, invalid("The local DynamoDB has keys of strings only; %s is not defined as one", name)
		}
	}
	return p, nil
}

// DescribeTable says that a table is there, and active.
func (db *DB) DescribeTable(_ context.Context, in *dynamodb.DescribeTableInput, _ ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error) {
	var t table
	err := db.kv.view(func(r reader) (err error) {
		t, err = findTable(r, in.TableName)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &dynamodb.DescribeTableOutput{Table: t.description()}, nil
}

// maxListed is how many names ListTables returns at once.
const maxListed = 100

// ListTables names the tables in order, from the one behind ExclusiveStartTableName on.
func (db *DB) ListTables(_ context.Context, in *dynamodb.ListTablesInput, _ ...func(*dynamodb.Options)) (*dynamodb.ListTablesOutput, error) {
	if err := only(in, "ExclusiveStartTableName", "Limit"); err != nil {
		return nil, err
	}
	limit := int(aws.ToInt32(in.Limit))
	if in.Limit == nil {
		limit = maxListed
	}
	if limit < 1 || limit > maxListed {
		return nil, invalid("Limit must be from 1 to %d", maxListed)
	}
	out := &dynamodb.ListTablesOutput{TableNames: []string{}}
	after := aws.ToString(in.ExclusiveStartTableName)
	err := db.kv.view(func(r reader) error {
		r.keys(tableKey(after), func(key []byte) bool {
			name := string(key[1:])
			switch {
			case key[0] != spaceTable:
				return false
			case name == after:
			case len(out.TableNames) == limit:
				out.LastEvaluatedTableName = &out.TableNames[limit-1]
				return false
			default:
				out.TableNames = append(out.TableNames, name)
			}
			return true
		})
		return nil
	})
	return out, err
}

func (t table) description() *types.TableDescription {
	return &types.TableDescription{TableName: &t.Name, TableStatus: types.TableStatusActive}
}

// defined remembers definitions by their text, which never changes.
var defined, _ = lru.New[string, table](64) // fails only for sizes below 1

func findTable(r reader, name *string) (table, error) {
	text := r.get(tableKey(aws.ToString(name)))
	if text == nil {
		return table{}, noTable()
	}
	if t, ok := defined.Get(string(text)); ok {
		return t, nil
	}
	var t table
	if err := json.Unmarshal(text, &t); err != nil {
		return table{}, fmt.Errorf("%w: the definition of table %s", errDamaged, aws.ToString(name))
	}
	defined.Add(string(text), t)
	return t, nil
}

// key is where the table keeps the item with this key.
func (t table) key(key item) ([]byte, error) {
	if len(key) != 2 {
		return nil, misplacedf("The provided key element does not match the schema")
	}
	return t.keyOf(key)
}

// keyOf is where the table keeps this item.
func (t table) keyOf(it item) ([]byte, error) {
	hash, rng, err := t.Key.of(it)
	if err != nil {
		return nil, err
	}
	return appendPart(appendPart(rows(t.Name, ""), hash), rng), nil
}

// The longest keys, in bytes.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
const (
	maxHash  = 2048
	maxRange = 1024
)

// of are the two parts of a key.
func (p pair) of(it item) (hash, rng string, err error) {
	h, ok1 := it[p.Hash].(*types.AttributeValueMemberS)
	r, ok2 := it[p.Range].(*types.AttributeValueMemberS)
	switch {
	case !ok1 || !ok2:
		return "", "", misplacedf("The provided key element does not match the schema")
	case h.Value == "" || r.Value == "":
		return "", "", invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value.")
	case !utf8.ValidString(h.Value) || !utf8.ValidString(r.Value):
		return "", "", misplacedf("One or more parameter values were invalid: a key is not UTF-8")
	case len(h.Value) > maxHash || len(r.Value) > maxRange:
		return "", "", misplacedf("One or more parameter values were invalid: Size of a key attribute has exceeded the maximum size limit")
	}
	return h.Value, r.Value, nil
}

// checkIndexed refuses a value that an attribute of an index's key cannot have.
func (t table) checkIndexed(attribute string, av types.AttributeValue) error {
	for name, p := range t.Indexes {
		if av == nil || attribute != p.Hash && attribute != p.Range {
			continue
		}
		switch text, isString := av.(*types.AttributeValueMemberS); {
		case !isString:
			return misplacedf("One or more parameter values were invalid: Type mismatch for Index Key %s; IndexName: %s", attribute, name)
		case text.Value == "":
			return invalid("One or more parameter values are not valid. A value specified for a secondary index key is not supported. "+
				"The AttributeValue for a key attribute cannot contain an empty string value. IndexName: %s, IndexKey: %s", name, attribute)
		}
	}
	return nil
}

// indexed are the rows of an item in the indexes, by index: none where it lacks an
// attribute of the index's key.
func (t table) indexed(it item) (map[string]row, error) {
	rows := map[string]row{}
	for name, p := range t.Indexes {
		for _, attribute := range []string{p.Hash, p.Range} {
			if err := t.checkIndexed(attribute, it[attribute]); err != nil {
				return nil, err
			}
		}
		if it[p.Hash] == nil || it[p.Range] == nil {
			continue
		}
		row, err := t.row(name, it)
		if err != nil {
			return nil, err
		}
		rows[name] = row
	}
	return rows, nil
}

// A row is what an index has of an item.
type row struct {
	key  []byte
	item item
}

func (t table) row(index string, it item) (row, error) {
	hash, rng, err := t.Indexes[index].of(it)
	if err != nil {
		return row{}, err
	}
	pk, sk, err := t.Key.of(it)
	if err != nil {
		return row{}, err
	}
	k := rows(t.Name, index)
	for _, part := range []string{hash, rng, pk, sk} {
		k = appendPart(k, part)
	}
	held := item{}
	for _, name := range t.rowAttributes(index) {
		held[name] = it[name]
	}
	return row{k, held}, nil
}

// rowAttributes are those that an index, or the table itself, places an item by.
func (t table) rowAttributes(index string) []string {
	names := []string{t.Key.Hash, t.Key.Range}
	if index != "" {
		p := t.Indexes[index]
		names = append(names, p.Hash, p.Range)
	}
	return names
}
