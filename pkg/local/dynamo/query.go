package dynamo

import (
	"bytes"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Query reads items of one partition in order of their sort key: a page of at most
// Limit items and 1 MB.
func (db *DB) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	err := check(ctx, in, in.ReturnConsumedCapacity, "TableName", "IndexName", "KeyConditionExpression", "ProjectionExpression",
		"ExpressionAttributeNames", "ExpressionAttributeValues", "ConsistentRead", "ScanIndexForward", "Limit", "ExclusiveStartKey", "ReturnConsumedCapacity")
	if err != nil {
		return nil, err
	}
	if in.Limit != nil && *in.Limit < 1 {
		return nil, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *in.Limit)
	}
	var out *dynamodb.QueryOutput
	run := func(r reader) (err error) {
		q, err := newQuery(r, in)
		if err != nil {
			return err
		}
		out, err = q.run(r)
		return err
	}
	if held, ok := db.held.Load(aws.ToString(in.TableName)); ok && in.IndexName != nil {
		err = run(held.(reader))
	} else {
		err = db.kv.view(run)
	}
	return out, err
}

// A query is a Query that was checked.
type query struct {
	in     *dynamodb.QueryInput
	table  table
	index  string
	key    pair
	env    *env
	hash   string
	sort   *condition // on the sort key; nil for all
	picked projector
}

// newQuery checks first what can be checked without the table.
func newQuery(r reader, in *dynamodb.QueryInput) (_ *query, err error) {
	q := &query{in: in}
	if in.KeyConditionExpression == nil {
		return nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	if in.ExclusiveStartKey != nil && len(in.ExclusiveStartKey) == 0 {
		return nil, invalid("The provided starting key is invalid")
	}
	if q.env, err = newEnv(in.ExpressionAttributeNames, in.ExpressionAttributeValues); err != nil {
		return nil, err
	}
	c, err := parse("KeyConditionExpression", *in.KeyConditionExpression, (*parser).condition)
	if err != nil {
		return nil, err
	}
	if err := q.env.checkCondition(c); err != nil {
		return nil, err
	}
	if q.picked, err = q.env.projector(in.ProjectionExpression); err != nil {
		return nil, err
	}
	if err := q.env.unused(); err != nil {
		return nil, err
	}
	if err := q.find(r); err != nil {
		return nil, err
	}
	return q, q.readKeyCondition(c)
}

// find looks up the table, and the index if one is asked for.
func (q *query) find(r reader) (err error) {
	if q.table, err = findTable(r, q.in.TableName); err != nil {
		return err
	}
	q.key = q.table.Key
	if q.in.IndexName == nil {
		return nil
	}
	q.index = *q.in.IndexName
	key, ok := q.table.Indexes[q.index]
	switch {
	case !ok:
		return invalid("The table does not have the specified index: %s", q.index)
	case aws.ToBool(q.in.ConsistentRead):
		return invalid("Consistent reads are not supported on global secondary indexes")
	}
	q.key = key
	return nil
}

// readKeyCondition takes a key condition apart: equality of the partition key, and
// at most one condition on the sort key.
func (q *query) readKeyCondition(c *condition) error {
	parts := c.parts
	if c.op == "" {
		parts = []*condition{c}
	}
	if c.op == "OR" || c.op == "NOT" || len(parts) > 2 {
		return invalid("Invalid operator used in KeyConditionExpression: %s", c.op)
	}
	for _, part := range parts {
		if err := q.readKeyPart(part); err != nil {
			return err
		}
	}
	if q.hash == "" {
		return invalid("Query condition missed key schema element: %s", q.key.Hash)
	}
	return nil
}

func (q *query) readKeyPart(c *condition) error {
	p := c.predicate
	if c.op != "" || p.op == in || p.op == "<>" || p.op == exists || p.op == notExists || p.args[0].value {
		return invalid("Invalid operator used in KeyConditionExpression")
	}
	values := make([]types.AttributeValue, 0, 2)
	for _, arg := range p.args[1:] {
		s, isString := q.env.of(arg, nil).(*types.AttributeValueMemberS)
		if !arg.value || !isString {
			return invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
		}
		values = append(values, s)
	}
	name, _ := q.env.name(p.args[0])
	switch {
	case name == q.key.Hash && p.op == "=" && q.hash == "":
		if q.hash = values[0].(*types.AttributeValueMemberS).Value; q.hash == "" {
			return invalid("One or more parameter values are not valid. A key attribute cannot contain an empty string value. Key: %s", name)
		}
	case name == q.key.Range && q.sort == nil:
		q.sort = c
	default:
		return invalid("Query key condition not supported")
	}
	return nil
}

// run reads one page: it walks from one end of the range that the conditions leave
// until an item does not meet them.
func (q *query) run(r reader) (*dynamodb.QueryOutput, error) {
	forward := q.in.ScanIndexForward == nil || *q.in.ScanIndexForward
	from, after, err := q.start(forward)
	if err != nil {
		return nil, err
	}
	prefix := appendPart(rows(q.table.Name, q.index), q.hash)
	page := &page{query: q, items: []item{}}
	r.walk(from, !forward, func(k, stored []byte) bool {
		if !bytes.HasPrefix(k, prefix) {
			// Backwards, the walk may begin with an entry behind the partition.
			return !forward && bytes.Compare(k, prefix) > 0
		}
		return bytes.Equal(k, after) || page.add(stored, forward)
	})
	if page.err != nil {
		return nil, page.err
	}
	n := int32(len(page.items)) //nolint:gosec // no more than fit in 1 MB
	return &dynamodb.QueryOutput{
		Items: page.items, Count: n, ScannedCount: n, LastEvaluatedKey: page.last,
		ConsumedCapacity: consumed(q.in.ReturnConsumedCapacity, q.table.Name, readUnits(page.size, aws.ToBool(q.in.ConsistentRead))),
	}, nil
}

// start is where the walk begins, and the key to leave out: that of the item the
// last page ended with, which may be gone.
func (q *query) start(forward bool) (from, after []byte, err error) {
	if key := q.in.ExclusiveStartKey; len(key) > 0 {
		after, err = q.startKey(key)
		return after, after, err
	}
	from = appendPart(rows(q.table.Name, q.index), q.hash)
	low, high := q.bounds()
	switch {
	case forward && low != "":
		part := appendPart(from, low)
		from = part[:len(part)-2] // without the end of the part
	case !forward && high != "" && q.sort.predicate.op == begins:
		from = appendPart(from, high)
		from = append(from[:len(from)-2], 255, 255) // behind all that begin so: no string has a byte 255
	case !forward && high != "":
		from = append(appendPart(from, high), 255)
	case !forward:
		from = append(from, 255, 255)
	}
	return from, nil, nil
}

// bounds are the least and the greatest sort key that can meet the condition,
// empty for none; the bounds themselves need not meet it.
func (q *query) bounds() (low, high string) {
	if q.sort == nil {
		return "", ""
	}
	p := q.sort.predicate
	value := func(i int) string { return q.env.of(p.args[i], nil).(*types.AttributeValueMemberS).Value }
	switch p.op {
	case "<", "<=":
		return "", value(1)
	case ">", ">=":
		return value(1), ""
	case between:
		return value(1), value(2)
	}
	return value(1), value(1) // "=" and begins_with
}

func (q *query) startKey(key item) ([]byte, error) {
	wrong := invalid("The provided starting key is invalid")
	if len(key) != len(uniq(q.table.rowAttributes(q.index))) {
		return nil, wrong
	}
	hash, _, err := q.key.of(key)
	if err != nil || hash != q.hash {
		return nil, wrong
	}
	if q.sort != nil && !q.env.holds(q.sort, key) {
		return nil, invalid("The provided starting key is outside query boundaries based on provided conditions")
	}
	if q.index == "" {
		return q.table.keyOf(key)
	}
	row, err := q.table.row(q.index, key)
	if err != nil {
		return nil, wrong
	}
	return row.key, nil
}

func uniq(names []string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

func (q *query) holds(it item) bool { return q.sort == nil || q.env.holds(q.sort, it) }

// isBound says whether an item has the sort key that the walk begins with.
func (q *query) isBound(it item, forward bool) bool {
	low, high := q.bounds()
	if forward {
		high = low
	}
	return it[q.key.Range].(*types.AttributeValueMemberS).Value == high
}

// A page is what a query has read so far.
type page struct {
	query *query
	items []item
	size  int
	last  item
	err   error
}

// add takes the next item and says whether to go on.
func (p *page) add(stored []byte, forward bool) bool {
	it, err := decode(stored)
	if err != nil {
		p.err = err
		return false
	}
	if !p.query.holds(it) {
		return p.query.isBound(it, forward) // the end of the range, or its excluded beginning
	}
	p.items = append(p.items, p.query.picked.of(it))
	p.size += sizeOf(it)
	if p.size < maxPage && (p.query.in.Limit == nil || len(p.items) < int(*p.query.in.Limit)) {
		return true
	}
	p.last = item{}
	for _, name := range p.query.table.rowAttributes(p.query.index) {
		p.last[name] = it[name]
	}
	return false
}
