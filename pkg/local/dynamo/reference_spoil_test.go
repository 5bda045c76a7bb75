//go:build reference

package dynamo_test

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// spoil breaks one thing in a request, without touching what the original holds.
func (g *generator) spoil(in any) any {
	switch in := in.(type) {
	case *dynamodb.GetItemInput:
		c := *in
		g.spoilTarget(&c.TableName, &c.Key)
		return &c
	case *dynamodb.BatchGetItemInput:
		return g.spoilBatchGet(in)
	case *dynamodb.QueryInput:
		return g.spoilQuery(in)
	case *dynamodb.BatchWriteItemInput:
		return g.spoilBatchWrite(in)
	case *dynamodb.UpdateItemInput:
		return g.spoilUpdate(in)
	case *dynamodb.TransactWriteItemsInput:
		return g.spoilTransaction(in)
	}
	return in
}

func (g *generator) spoilTarget(table **string, key *item) {
	if g.chance(6) {
		*table = aws.String("nowhere")
		return
	}
	*key = g.spoiltKey(*key)
}

func (g *generator) spoiltKey(key item) item {
	k := maps.Clone(key)
	name := one(g, "pk", "sk")
	switch g.IntN(7) {
	case 0:
		k[name] = n("1")
	case 1:
		delete(k, name)
	case 2:
		k["more"] = s("x")
	case 3:
		k[name] = s("")
	case 4:
		k = item{}
	case 5:
		k["pk"] = s(strings.Repeat("x", 2047+g.IntN(3)))
	case 6:
		k["sk"] = s(strings.Repeat("x", 1023+g.IntN(3)))
	}
	return k
}

// spoiltItem has a wrong key or a value that no item may have.
func (g *generator) spoiltItem(it item) item {
	if g.chance(2) {
		return g.spoiltKey(it)
	}
	it = maps.Clone(it)
	it["misc1"] = g.spoiltValue()
	return it
}

func (g *generator) spoiltValue() types.AttributeValue {
	v := one[types.AttributeValue](g, &types.AttributeValueMemberSS{Value: []string{}},
		&types.AttributeValueMemberNS{Value: []string{}},
		&types.AttributeValueMemberSS{Value: []string{"a", "a"}},
		&types.AttributeValueMemberNS{Value: []string{"1", "1.0"}},
		&types.AttributeValueMemberNS{Value: []string{one(g, badNumbers...)}},
		n(one(g, badNumbers...)), n(one(g, badNumbers...)))
	if g.chance(4) {
		return &types.AttributeValueMemberL{Value: []types.AttributeValue{v}}
	}
	return v
}

func (g *generator) spoilBatchGet(in *dynamodb.BatchGetItemInput) any {
	c := *in
	want := in.RequestItems[table]
	want.Keys = slices.Clone(want.Keys)
	c.RequestItems = map[string]types.KeysAndAttributes{table: want}
	switch g.IntN(6) {
	case 0:
		c.RequestItems = map[string]types.KeysAndAttributes{"nowhere": want}
	case 1:
		c.RequestItems = map[string]types.KeysAndAttributes{}
	case 2:
		want.Keys = []item{}
		c.RequestItems[table] = want
	case 3:
		g.spoilExpression(&want.ProjectionExpression, &want.ExpressionAttributeNames, nil)
		c.RequestItems[table] = want
	default:
		i := g.IntN(len(want.Keys))
		want.Keys[i] = g.spoiltKey(want.Keys[i])
	}
	return &c
}

func (g *generator) spoilQuery(in *dynamodb.QueryInput) any {
	c := *in
	switch g.IntN(8) {
	case 0:
		c.TableName = aws.String("nowhere")
	case 1:
		c.IndexName = aws.String("none")
	case 2:
		c.Limit = aws.Int32(int32(-g.IntN(2)))
	case 3:
		c.ConsistentRead, c.IndexName = aws.Bool(true), aws.String("age")
	case 4:
		c.ExclusiveStartKey = g.spoiltKey(g.key())
	case 5:
		c.KeyConditionExpression = aws.String(one(g, "pk > :v0", "sk = :v0", "pk <> :v0", "pk = :v0 OR sk = :v0",
			"pk = :v0 AND pk = :v0", "NOT pk = :v0", "pk = :v0 AND sk IN (:v0)", "pk = :v0 AND txt1 = :v0", "(pk = :v0) AND (sk = :v0)"))
		c.ExpressionAttributeNames, c.ExpressionAttributeValues = nil, item{":v0": one(g, s("p1"), s("p1"), n("1"), s(""))}
	default:
		g.spoilExpression(&c.KeyConditionExpression, &c.ExpressionAttributeNames, &c.ExpressionAttributeValues)
	}
	return &c
}

func (g *generator) spoilBatchWrite(in *dynamodb.BatchWriteItemInput) any {
	c := *in
	writes := slices.Clone(in.RequestItems[table])
	c.RequestItems = map[string][]types.WriteRequest{table: writes}
	i := g.IntN(len(writes))
	switch g.IntN(6) {
	case 0:
		c.RequestItems = map[string][]types.WriteRequest{"nowhere": writes}
	case 1:
		c.RequestItems = map[string][]types.WriteRequest{table: {}}
	case 2:
		c.RequestItems = map[string][]types.WriteRequest{}
	case 3:
		writes[i] = types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: g.spoiltKey(g.key())}}
	default:
		writes[i] = types.WriteRequest{PutRequest: &types.PutRequest{Item: g.spoiltItem(g.item(g.key()))}}
	}
	return &c
}

func (g *generator) spoilUpdate(in *dynamodb.UpdateItemInput) any {
	c := *in
	switch g.IntN(4) {
	case 0:
		g.spoilTarget(&c.TableName, &c.Key)
	case 1:
		g.spoilExpression(&c.ConditionExpression, &c.ExpressionAttributeNames, &c.ExpressionAttributeValues)
	default:
		g.spoilExpression(&c.UpdateExpression, &c.ExpressionAttributeNames, &c.ExpressionAttributeValues)
	}
	return &c
}

func (g *generator) spoilTransaction(in *dynamodb.TransactWriteItemsInput) any {
	c := *in
	if g.chance(12) {
		c.TransactItems = []types.TransactWriteItem{}
		return &c
	}
	c.TransactItems = slices.Clone(in.TransactItems)
	a := &c.TransactItems[g.IntN(len(c.TransactItems))]
	switch {
	case g.chance(12):
		*a = types.TransactWriteItem{}
	case a.ConditionCheck != nil:
		check := *a.ConditionCheck
		a.ConditionCheck = &check
		if g.chance(2) {
			g.spoilTarget(&check.TableName, &check.Key)
		} else {
			g.spoilExpression(&check.ConditionExpression, &check.ExpressionAttributeNames, &check.ExpressionAttributeValues)
		}
	case a.Delete != nil:
		remove := *a.Delete
		a.Delete = &remove
		g.spoilTarget(&remove.TableName, &remove.Key)
	case a.Update != nil:
		update := *a.Update
		a.Update = &update
		if g.chance(2) {
			g.spoilTarget(&update.TableName, &update.Key)
		} else {
			g.spoilExpression(&update.UpdateExpression, &update.ExpressionAttributeNames, &update.ExpressionAttributeValues)
		}
	case a.Put != nil:
		put := *a.Put
		a.Put = &put
		put.Item = g.spoiltItem(put.Item)
	}
	return &c
}

// spoilExpression breaks an expression or its placeholders. Where there is none,
// a placeholder is left over.
func (g *generator) spoilExpression(expression **string, names *map[string]string, values *item) {
	switch n := g.IntN(10); {
	case n == 0 || *expression == nil:
		*names = with(*names, "#unused", "txt1")
	case n == 1 && values != nil:
		*values = with(*values, ":unused", s("x"))
	case n == 2 && len(*names) > 0:
		*names = without(g, *names)
	case n == 3 && values != nil && len(*values) > 0:
		*values = without(g, *values)
	case n == 4:
		*expression = aws.String(one(g, "", " ", "SET", "(", "txt1", "txt1 = ", ":v0", "SET txt1 = :v0 SET txt2 = :v0"))
	case n == 5 && values != nil && len(*values) > 0:
		*values = with(*values, slices.Sorted(maps.Keys(*values))[0], g.spoiltValue())
	case n == 6:
		*names = one(g, map[string]string{}, with(*names, "noHash", "txt1"), with(*names, "#", "txt1"), with(*names, "#a-b", "txt1"))
	default:
		*expression = aws.String(g.spoiltText(**expression))
	}
}

// spoiltText loses, repeats or gets a character. It may still be an expression.
func (g *generator) spoiltText(text string) string {
	if text == "" {
		return "("
	}
	i := g.IntN(len(text))
	switch g.IntN(4) {
	case 0:
		return text[:i] + text[i+1:]
	case 1:
		return text[:i] + text[i:i+1] + text[i:]
	case 2:
		return text[:i]
	}
	return text[:i] + one(g, "(", ")", ",", " ", "#", ":", "=", "'", "\"", "1", "AND", "+") + text[i:]
}

func with[V any](m map[string]V, key string, value V) map[string]V {
	c := map[string]V{key: value}
	for k, v := range m {
		if k != key {
			c[k] = v
		}
	}
	return c
}

func without[V any](g *generator, m map[string]V) map[string]V {
	c := maps.Clone(m)
	delete(c, one(g, slices.Sorted(maps.Keys(m))...))
	return c
}
