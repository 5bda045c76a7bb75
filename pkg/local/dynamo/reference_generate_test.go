//go:build reference

package dynamo_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const table = "reference"

// A generator makes the steps of one history. Its universe is small, so that
// steps meet each other's items and conditions are true about half the time.
type generator struct {
	*rand.Rand
	// peek reads an item; what it finds goes into conditions.
	peek   func(key item) item
	source source
	used   map[string]int // how often each expression of pkg/store was used
	big    bool           // items of up to 400 KB, and pages of 1 MB

	follow any // the query of the next page
	sent   []*dynamodb.TransactWriteItemsInput
}

func newGenerator(seed int64, src source, used map[string]int, peek func(item) item) *generator {
	return &generator{
		Rand:   rand.New(rand.NewPCG(uint64(seed), 0)),
		peek:   peek,
		source: src,
		used:   used,
		big:    seed%16 == 0,
	}
}

// step is the next call's input.
func (g *generator) step() any {
	if in := g.follow; in != nil {
		g.follow = nil
		return in
	}
	in := g.call()
	if g.chance(12) {
		in = g.spoil(in)
	}
	if tx, ok := in.(*dynamodb.TransactWriteItemsInput); ok {
		g.tokens(tx)
	}
	return in
}

func (g *generator) call() any {
	switch n := g.IntN(100); {
	case g.big && n < 25:
		return g.bigCall()
	case n < 45:
		return g.storeCall()
	case n < 50:
		return &dynamodb.GetItemInput{TableName: aws.String(table), Key: g.key(), ConsistentRead: g.maybe(), ReturnConsumedCapacity: total}
	case n < 53:
		return g.projectedGet()
	case n < 58:
		return g.batchGet()
	case n < 72:
		return g.query()
	case n < 77:
		return g.batchWrite()
	case n < 88:
		return g.updateItem()
	}
	return g.transaction()
}

// note takes in what the reference answered to a step.
func (g *generator) note(in, out any) {
	query, ok := in.(*dynamodb.QueryInput)
	page, answered := out.(*dynamodb.QueryOutput)
	if ok && answered && len(page.LastEvaluatedKey) > 0 && !g.chance(5) {
		next := *query
		next.ExclusiveStartKey = page.LastEvaluatedKey
		g.follow = &next
	}
}

const total = types.ReturnConsumedCapacityTotal

// chance is true once in n.
func (g *generator) chance(n int) bool { return g.IntN(n) == 0 }

func one[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

// maybe is an absent flag, or one of either value.
func (g *generator) maybe() *bool { return one(g, nil, aws.Bool(true), aws.Bool(false)) }

func s(text string) types.AttributeValue   { return &types.AttributeValueMemberS{Value: text} }
func b(bytes string) types.AttributeValue  { return &types.AttributeValueMemberB{Value: []byte(bytes)} }
func n(number string) types.AttributeValue { return &types.AttributeValueMemberN{Value: number} }

// The universe. Keys and values go beyond ASCII; expressions do not, since a
// multi-byte character in one ends Dynoxide.
var (
	partitions = []string{"p1", "p2", "pé"}
	sorts      = []string{"a", "a#1", "a#2", "b", "é", "日本"}
	attributes = []string{"num1", "num2", "txt1", "txt2", "misc1", "misc2"}
	numbers    = []string{
		"0", "1", "2", "3", "-1", "10", "1.5", "-0", "0.10", "1e2", "1E-2", "100.00", "007", "-2.50",
		"12345678901234567890123456789012345678", "-9.9999999999999999999999999999999999999E+125", "1e-130",
		"0.00000000000000000000000000000000000001", "1e37", "5e125", ".5", "1.", "+7",
	}
	badNumbers = []string{"", "abc", "1e126", "1e-131", "123456789012345678901234567890123456789", " 1", "1_0", "0x1", "NaN", "Infinity", "1 2", "--1", "1e", "."}
	texts      = []string{"", "a", "ab", "abc", "b", "é", "日本", "a\x00b"}
	families   = []string{"f1", "f2"}
	shards     = []string{"DUE#0", "DUE#1"}
	stamps     = []string{"2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z", "2026-01-03T00:00:00.000Z"}
)

func keyOf(pk, sk string) item { return item{"pk": s(pk), "sk": s(sk)} }

func (g *generator) key() item { return keyOf(one(g, partitions...), one(g, sorts...)) }

// wideKey is one of many under a single partition key.
func (g *generator) wideKey(n int) item { return keyOf("p1", fmt.Sprintf("k%03d", n)) }

func (g *generator) number() types.AttributeValue {
	if g.chance(200) {
		return n(one(g, badNumbers...))
	}
	if g.chance(2) {
		return n(fmt.Sprint(g.IntN(4)))
	}
	return n(one(g, numbers...))
}

func (g *generator) text() types.AttributeValue { return s(one(g, texts...)) }

func (g *generator) value(depth int) types.AttributeValue {
	switch g.IntN(11) {
	case 0, 1, 2:
		return g.number()
	case 3, 4, 5:
		return g.text()
	case 6:
		return b(one(g, "", "a", "ab", "\xff\x00", "b"))
	case 7:
		return &types.AttributeValueMemberBOOL{Value: g.chance(2)}
	case 8:
		return &types.AttributeValueMemberNULL{Value: true}
	}
	if depth == 0 {
		return g.number()
	}
	if g.chance(2) {
		return &types.AttributeValueMemberL{Value: g.list(depth - 1)}
	}
	return &types.AttributeValueMemberM{Value: g.attributesOf(depth-1, g.IntN(3))}
}

func (g *generator) list(depth int) []types.AttributeValue {
	list := []types.AttributeValue{}
	for range g.IntN(3) {
		list = append(list, g.value(depth))
	}
	return list
}

// some are one or more of these, in any order.
func some[T any](g *generator, of ...T) []T {
	of = slices.Clone(of)
	g.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	return of[:1+g.IntN(len(of))]
}

// valueFor is one that an attribute of this name usually has.
func (g *generator) valueFor(name string) types.AttributeValue {
	switch {
	case g.chance(15):
		return g.value(2)
	case strings.HasPrefix(name, "num"):
		return g.number()
	case name == "secret":
		return s(one(g, families...))
	case name == "shard":
		return s(one(g, shards...))
	case name == "created", name == "due":
		return s(one(g, stamps...))
	case strings.HasPrefix(name, "txt"), name == "pk", name == "sk":
		return g.text()
	}
	return g.value(2)
}

func (g *generator) attributesOf(depth, count int) item {
	it := item{}
	for range count {
		it[one(g, attributes...)] = g.value(depth)
	}
	return it
}

// item is a whole item under a key, in none, one or both of the indexes.
func (g *generator) item(key item) item {
	it := item{}
	for _, name := range some(g, attributes...) {
		it[name] = g.valueFor(name)
	}
	if g.chance(2) {
		it["secret"], it["created"] = g.indexValue("secret"), g.indexValue("created")
	}
	if g.chance(2) {
		it["shard"], it["due"] = g.indexValue("shard"), g.indexValue("due")
	}
	if g.chance(10) {
		delete(it, one(g, "secret", "created", "shard", "due"))
	}
	it["pk"], it["sk"] = key["pk"], key["sk"]
	if g.chance(4) {
		g.fill(it)
	}
	return it
}

// fill makes an item about as large as one unit of writing, so that a byte more or
// less in the size of a value shows in the units.
func (g *generator) fill(it item) {
	size := len("filler")
	for name, v := range it {
		size += len(name)
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			size += len(v.Value)
		case *types.AttributeValueMemberN:
			size += len(v.Value)/2 + 1
		default:
			size += 3
		}
	}
	it["filler"] = s(strings.Repeat("f", max(0, 1024-size+g.IntN(16)-8)))
}

// indexValue is rarely one that cannot be in an index.
func (g *generator) indexValue(name string) types.AttributeValue {
	if g.chance(100) {
		return one[types.AttributeValue](g, n("1"), s(""), &types.AttributeValueMemberNULL{Value: true})
	}
	for {
		if v, ok := g.valueFor(name).(*types.AttributeValueMemberS); ok && v.Value != "" {
			return v
		}
	}
}

func (g *generator) projectedGet() any {
	w := g.writer(nil)
	in := &dynamodb.GetItemInput{TableName: aws.String(table), Key: g.key(), ConsistentRead: g.maybe(), ReturnConsumedCapacity: total}
	in.ProjectionExpression = aws.String(w.projection())
	in.ExpressionAttributeNames = w.namesOrNone()
	return in
}

func (g *generator) batchGet() any {
	keys := map[string]item{}
	for range 1 + g.IntN(8) {
		k := g.key()
		keys[itemText(k)] = k
	}
	if count := g.IntN(20); count < 2 { // a hundred keys, or one more
		keys = map[string]item{}
		for i := range 100 + count {
			k := g.wideKey(i)
			keys[itemText(k)] = k
		}
	}
	want := types.KeysAndAttributes{Keys: sortedKeys(keys), ConsistentRead: g.maybe()}
	if g.chance(25) {
		want.Keys = append(want.Keys, want.Keys[0])
	}
	if g.chance(2) {
		w := g.writer(nil)
		want.ProjectionExpression = aws.String(w.projection())
		want.ExpressionAttributeNames = w.namesOrNone()
	}
	return &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{table: want}, ReturnConsumedCapacity: total}
}

func sortedKeys(keys map[string]item) []item {
	var sorted []item
	for _, text := range slices.Sorted(maps.Keys(keys)) {
		sorted = append(sorted, keys[text])
	}
	return sorted
}

func (g *generator) batchWrite() any {
	writes := map[string]types.WriteRequest{}
	for range 1 + g.IntN(6) {
		k := g.key()
		writes[itemText(k)] = g.write(k)
	}
	if count := g.IntN(12); count < 2 { // 25 writes, or one more
		writes = map[string]types.WriteRequest{}
		at := g.IntN(80)
		for i := range 25 + count {
			k := g.wideKey(at + i)
			writes[itemText(k)] = g.write(k)
		}
	}
	var requests []types.WriteRequest
	for _, k := range slices.Sorted(maps.Keys(writes)) {
		requests = append(requests, writes[k])
	}
	if g.chance(25) {
		requests = append(requests, requests[0])
	}
	return &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: requests}, ReturnConsumedCapacity: total}
}

func (g *generator) write(key item) types.WriteRequest {
	if g.chance(3) {
		return types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key}}
	}
	return types.WriteRequest{PutRequest: &types.PutRequest{Item: g.item(key)}}
}

func (g *generator) query() any {
	in := &dynamodb.QueryInput{
		TableName:              aws.String(table),
		ScanIndexForward:       g.maybe(),
		ConsistentRead:         g.maybe(),
		ReturnConsumedCapacity: total,
	}
	w := g.writer(nil)
	hash, sort := s(one(g, partitions...)), "sk"
	name := "pk"
	switch g.IntN(4) {
	case 0:
		in.IndexName, name, sort, hash = aws.String("age"), "secret", "created", s(one(g, families...))
	case 1:
		in.IndexName, name, sort, hash = aws.String("due"), "shard", "due", s(one(g, shards...))
	}
	if in.IndexName != nil && !g.chance(20) {
		in.ConsistentRead = one(g, nil, aws.Bool(false))
	}
	in.KeyConditionExpression = aws.String(w.keyCondition(name, hash, sort))
	if g.chance(4) {
		in.ProjectionExpression = aws.String(w.projection())
	}
	in.ExpressionAttributeNames, in.ExpressionAttributeValues = w.namesOrNone(), w.values
	if g.chance(2) {
		in.Limit = aws.Int32(int32(1 + g.IntN(4)))
	}
	if g.chance(8) {
		in.ExclusiveStartKey = g.startKey(in.IndexName, hash)
	}
	return in
}

// startKey is a place in a query's partition where there may be no item, or
// rarely one outside of it.
func (g *generator) startKey(index *string, hash types.AttributeValue) item {
	k := g.key()
	if index == nil && !g.chance(10) {
		k["pk"] = hash
	}
	switch aws.ToString(index) {
	case "age":
		k["secret"], k["created"] = hash, s(one(g, stamps...))
	case "due":
		k["shard"], k["due"] = hash, s(one(g, stamps...))
	}
	if g.chance(20) {
		delete(k, one(g, "pk", "sk", "created", "due"))
	}
	return k
}

func (g *generator) updateItem() any {
	k := g.key()
	w := g.writer(k)
	in := &dynamodb.UpdateItemInput{
		TableName:                           aws.String(table),
		Key:                                 k,
		UpdateExpression:                    aws.String(w.update()),
		ReturnConsumedCapacity:              total,
		ReturnValuesOnConditionCheckFailure: g.onFailure(),
	}
	if g.chance(2) {
		in.ConditionExpression = aws.String(w.condition(2))
	}
	in.ExpressionAttributeNames, in.ExpressionAttributeValues = w.namesOrNone(), w.valuesOrNone()
	return in
}

func (g *generator) onFailure() types.ReturnValuesOnConditionCheckFailure {
	return one(g, "", types.ReturnValuesOnConditionCheckFailureNone, types.ReturnValuesOnConditionCheckFailureAllOld)
}

func (g *generator) transaction() any {
	in := &dynamodb.TransactWriteItemsInput{ReturnConsumedCapacity: total}
	if count := g.IntN(30); count < 2 { // a hundred actions, or one more
		for i := range 100 + count {
			in.TransactItems = append(in.TransactItems, g.action(g.wideKey(i)))
		}
		return in
	}
	keys := map[string]item{}
	for range 1 + g.IntN(4) {
		k := g.key()
		keys[itemText(k)] = k
	}
	for _, k := range sortedKeys(keys) {
		in.TransactItems = append(in.TransactItems, g.action(k))
	}
	if g.chance(25) { // the same item twice
		in.TransactItems = append(in.TransactItems, g.action(one(g, sortedKeys(keys)...)))
	}
	return in
}

// tokens gives some transactions a token, and some the token of an earlier one:
// with that one's payload, or with their own.
func (g *generator) tokens(tx *dynamodb.TransactWriteItemsInput) {
	switch n := g.IntN(12); {
	case len(tx.TransactItems) > 100: // which error comes first is no matter
	case n < 3:
		tx.ClientRequestToken = aws.String(fmt.Sprintf("token-%d", len(g.sent)))
		g.sent = append(g.sent, tx)
	case n == 3 && len(g.sent) > 0:
		*tx = *one(g, g.sent...)
	case n == 4 && len(g.sent) > 0:
		tx.ClientRequestToken = one(g, g.sent...).ClientRequestToken
	case n == 5 && g.chance(5):
		tx.ClientRequestToken = aws.String(strings.Repeat("t", 37)) // too long
	}
}

func (g *generator) action(key item) types.TransactWriteItem {
	w := g.writer(key)
	var condition *string
	if g.chance(3) {
		condition = aws.String(w.condition(1))
	}
	var a types.TransactWriteItem
	switch g.IntN(5) {
	case 0:
		a.ConditionCheck = &types.ConditionCheck{TableName: aws.String(table), Key: key}
		if condition == nil {
			condition = aws.String(w.condition(1))
		}
		a.ConditionCheck.ConditionExpression = condition
		a.ConditionCheck.ExpressionAttributeNames, a.ConditionCheck.ExpressionAttributeValues = w.namesOrNone(), w.valuesOrNone()
		a.ConditionCheck.ReturnValuesOnConditionCheckFailure = g.onFailure()
	case 1:
		a.Delete = &types.Delete{TableName: aws.String(table), Key: key, ConditionExpression: condition}
		a.Delete.ExpressionAttributeNames, a.Delete.ExpressionAttributeValues = w.namesOrNone(), w.valuesOrNone()
		a.Delete.ReturnValuesOnConditionCheckFailure = g.onFailure()
	case 2:
		a.Update = &types.Update{TableName: aws.String(table), Key: key, ConditionExpression: condition, UpdateExpression: aws.String(w.update())}
		a.Update.ExpressionAttributeNames, a.Update.ExpressionAttributeValues = w.namesOrNone(), w.valuesOrNone()
		a.Update.ReturnValuesOnConditionCheckFailure = g.onFailure()
	default:
		a.Put = &types.Put{TableName: aws.String(table), Item: g.item(key), ConditionExpression: condition}
		a.Put.ExpressionAttributeNames, a.Put.ExpressionAttributeValues = w.namesOrNone(), w.valuesOrNone()
		a.Put.ReturnValuesOnConditionCheckFailure = g.onFailure()
	}
	return a
}

// bigCall is about items of hundreds of kilobytes under one partition key, and
// about the sizes where units and limits change.
func (g *generator) bigCall() any {
	k := keyOf("big", fmt.Sprintf("%d", g.IntN(6)))
	if g.chance(20) {
		return g.bigTransaction()
	}
	switch g.IntN(6) {
	case 0, 1:
		return &dynamodb.BatchWriteItemInput{
			RequestItems:           map[string][]types.WriteRequest{table: {{PutRequest: &types.PutRequest{Item: g.bigItem(k)}}}},
			ReturnConsumedCapacity: total,
		}
	case 2:
		put := types.TransactWriteItem{Put: &types.Put{TableName: aws.String(table), Item: g.bigItem(k)}}
		return &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{put}, ReturnConsumedCapacity: total}
	case 3:
		return g.bigUpdate(k)
	case 4:
		return &dynamodb.GetItemInput{TableName: aws.String(table), Key: k, ConsistentRead: g.maybe(), ReturnConsumedCapacity: total}
	}
	return &dynamodb.QueryInput{
		TableName:                 aws.String(table),
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": s("big")},
		ScanIndexForward:          g.maybe(),
		ConsistentRead:            g.maybe(),
		ReturnConsumedCapacity:    total,
	}
}

// bigItem has a size at which something changes, or one byte less or more.
func (g *generator) bigItem(key item) item {
	size := one(g, 1<<10, 4<<10, 8<<10, 350<<10, 400<<10) + g.IntN(3) - 1
	const names = len("pk") + len("big") + len("sk") + len("0") + len("txt1")
	return item{"pk": key["pk"], "sk": key["sk"], "txt1": s(strings.Repeat("x", size-names))}
}

// bigTransaction has about 4 MB, which is the limit.
func (g *generator) bigTransaction() any {
	tx := &dynamodb.TransactWriteItemsInput{ReturnConsumedCapacity: total}
	for i := range 12 {
		put := item{"pk": s("big"), "sk": s(fmt.Sprintf("%d", i)), "txt1": s(strings.Repeat("x", 349_000+g.IntN(1000)))}
		tx.TransactItems = append(tx.TransactItems, types.TransactWriteItem{Put: &types.Put{TableName: aws.String(table), Item: put}})
	}
	return tx
}

func (g *generator) bigUpdate(key item) any {
	return &dynamodb.UpdateItemInput{
		TableName:                 aws.String(table),
		Key:                       key,
		UpdateExpression:          aws.String("SET txt2 = :text"),
		ExpressionAttributeValues: item{":text": s(strings.Repeat("y", one(g, 0, 1000, 60<<10)))},
		ReturnConsumedCapacity:    total,
	}
}
