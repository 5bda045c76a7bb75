//go:build reference

package dynamo_test

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	gotypes "go/types"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A source is every expression of pkg/store, by what it is and by its constant's name.
type source struct {
	conditions, updates, keyConditions, projections map[string]string
}

var onlyNames = regexp.MustCompile(`^(#\w+(, )?)+$`)

// readSource reads the constants of pkg/store/expressions.go as they are now, so
// that a new one is replayed too.
func readSource(t *testing.T) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, filepath.Join("..", "..", "store", "expressions.go"), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	info := &gotypes.Info{Defs: map[*ast.Ident]gotypes.Object{}}
	config := gotypes.Config{Error: func(error) {}} // imports are not resolved
	_, _ = config.Check("store", fset, []*ast.File{file}, info)
	src := source{map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}}
	for _, object := range info.Defs {
		if c, ok := object.(*gotypes.Const); ok && c.Val().Kind() == constant.String {
			src.add(c.Name(), constant.StringVal(c.Val()))
		}
	}
	if len(src.conditions) == 0 || len(src.updates) == 0 || len(src.keyConditions) == 0 || len(src.projections) == 0 {
		t.Fatalf("pkg/store/expressions.go lacks some kind of expression: %v", src)
	}
	return src
}

func (src source) add(name, expression string) {
	clause := regexp.MustCompile(`^ ?(SET|ADD|REMOVE) `)
	switch {
	case clause.MatchString(expression):
		src.updates[name] = expression
	case onlyNames.MatchString(expression):
		src.projections[name] = expression
	case strings.HasPrefix(name, "of"):
		src.keyConditions[name] = expression
	default:
		src.conditions[name] = expression
	}
}

func (src source) names() []string {
	return slices.Concat(slices.Collect(maps.Keys(src.conditions)), slices.Collect(maps.Keys(src.updates)),
		slices.Collect(maps.Keys(src.keyConditions)), slices.Collect(maps.Keys(src.projections)))
}

// pick is one of the expressions of a kind.
func (g *generator) pick(of map[string]string) (name, expression string) {
	name = one(g, slices.Sorted(maps.Keys(of))...)
	return name, of[name]
}

// The secrets of the store's steps, and where their items are.
var (
	secrets  = []string{"alpha", "päter"}
	suffixes = []string{"AbCdEf", "GhIjKl"}
	versions = []string{"v1", "v2", "v3", "v4"}
)

const directory = "DIRECTORY#NAME"

func headKey(name string) item { return keyOf("SECRET#"+name, "HEAD") }

func versionKey(name, suffix, id string) item {
	return keyOf("SECRET#"+name, "VERSION#"+suffix+"#"+id)
}

// storeCall is a request of the shape of one of pkg/store's.
func (g *generator) storeCall() any {
	name := one(g, secrets...)
	switch g.IntN(12) {
	case 0, 1:
		return g.create(name)
	case 2, 3, 4, 5:
		return g.commit(name)
	case 6:
		return g.prune(name)
	case 7:
		return g.touch(name)
	case 8:
		return g.readVersions(name)
	case 9:
		return &dynamodb.GetItemInput{TableName: aws.String(table), Key: headKey(name), ConsistentRead: aws.Bool(true), ReturnConsumedCapacity: total}
	case 10:
		return g.sweep(name)
	}
	return g.storeQuery(name)
}

// attribute is a value that an attribute of a head or a version may have.
func (g *generator) attribute(name string) types.AttributeValue {
	switch name {
	case "schema":
		return n("1")
	case "suffix":
		return s(one(g, suffixes...))
	case "revision", "versions", "moves", "keyed", "quota":
		return n(fmt.Sprint(g.IntN(4)))
	case "prunings", "once":
		return n(one(g, "0", "0", "1"))
	case "added":
		return n(fmt.Sprint(g.IntN(3) - 1))
	case "created", "changed", "accessed", "due", "next":
		return s(one(g, stamps...))
	case "deletion":
		return one[types.AttributeValue](g, s(stamps[0]), &types.AttributeValueMemberNULL{Value: true})
	case "shard":
		return s(one(g, shards...))
	case "secret":
		return s(one(g, secrets...) + "#" + one(g, suffixes...))
	case "stages":
		return &types.AttributeValueMemberM{Value: item{"AWSCURRENT": s(one(g, versions...)), "é": s(one(g, versions...))}}
	case "tags":
		return &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberM{Value: item{"key": s("k"), "value": s("")}}}}
	case "rotation":
		return one[types.AttributeValue](g, &types.AttributeValueMemberNULL{Value: true},
			&types.AttributeValueMemberM{Value: item{"enabled": &types.AttributeValueMemberBOOL{Value: true}, "days": n("30")}})
	case "default_key":
		return &types.AttributeValueMemberBOOL{Value: g.chance(2)}
	case "data_key", "sealed":
		return &types.AttributeValueMemberB{Value: []byte(strings.Repeat("\x00\xfe", g.IntN(900)))}
	case "prefix":
		return s("VERSION#" + one(g, suffixes...) + "#")
	}
	return s(one(g, "", "one", "two"))
}

// meant is the attribute whose value a placeholder is compared with or set to.
var meant = map[string]string{"seen": "revision", "quota": "versions", "next": "due"}

var placeholder = regexp.MustCompile(`[#:](\w+)`)

// placeholders are what the names and values in expressions stand for. Values are
// usually the item's own.
func (g *generator) placeholders(now item, expressions ...string) (map[string]string, item) {
	names, values := map[string]string{}, item{}
	for _, e := range expressions {
		for _, m := range placeholder.FindAllStringSubmatch(e, -1) {
			if m[0][0] == '#' {
				names[m[0]] = m[1]
				continue
			}
			values[m[0]] = g.valueOf(m[1], now)
		}
	}
	if len(values) == 0 {
		return names, nil
	}
	return names, values
}

func (g *generator) valueOf(name string, now item) types.AttributeValue {
	attribute := name
	if m, ok := meant[name]; ok {
		attribute = m
	}
	if v, ok := now[attribute]; ok && name != "quota" && !g.chance(10) {
		return v
	}
	return g.attribute(name)
}

// use counts the use of an expression, and stands for it.
func (g *generator) use(of map[string]string) string {
	name, expression := g.pick(of)
	g.used[name]++
	return expression
}

// usePrefer is use, mostly of one of these.
func (g *generator) usePrefer(of map[string]string, names ...string) string {
	preferred := map[string]string{}
	for _, name := range names {
		if e, ok := of[name]; ok {
			preferred[name] = e
		}
	}
	if len(preferred) == 0 || g.chance(5) {
		return g.use(of)
	}
	return g.use(preferred)
}

// condition is one that has a good chance to hold for an item that is there, or
// that is not.
func (g *generator) condition(key item, preferred ...string) string {
	switch now := g.peek(key); {
	case now == nil && !g.chance(3):
		preferred = []string{"isNew"}
	case now != nil && g.chance(2):
		preferred = []string{"exists", "isOldVersion"}
	}
	return g.usePrefer(g.source.conditions, preferred...)
}

func (g *generator) head(name string) item {
	head := headKey(name)
	for _, attribute := range []string{
		"schema", "suffix", "revision", "commit", "token", "description", "type", "kms_key", "keyed", "stages", "versions",
		"prunings", "moves", "policy_hash", "tags", "created", "changed", "deletion",
	} {
		head[attribute] = g.attribute(attribute)
	}
	if g.chance(2) {
		head["shard"], head["due"] = g.attribute("shard"), g.attribute("due")
	}
	return head
}

func (g *generator) version(key item) item {
	v := maps.Clone(key)
	for _, attribute := range []string{"schema", "secret", "id", "revision", "created", "kind", "key_arn", "default_key", "data_key", "sealed"} {
		v[attribute] = g.attribute(attribute)
	}
	return v
}

func (g *generator) put(it item, condition string) types.TransactWriteItem {
	names, values := g.placeholders(g.peek(keyIn(it)), condition)
	return types.TransactWriteItem{Put: &types.Put{
		TableName:                           aws.String(table),
		Item:                                it,
		ConditionExpression:                 aws.String(condition),
		ExpressionAttributeNames:            names,
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}

func keyIn(it item) item { return item{"pk": it["pk"], "sk": it["sk"]} }

func (g *generator) update(key item, set, condition string) types.TransactWriteItem {
	now := g.peek(key)
	names, values := g.placeholders(now, set, condition)
	for _, name := range slices.Sorted(maps.Keys(values)) { // what only the update has is new
		if !strings.Contains(condition+" ", name+" ") && !g.chance(3) {
			values[name] = g.attribute(name[1:])
		}
	}
	return types.TransactWriteItem{Update: &types.Update{
		TableName:                           aws.String(table),
		Key:                                 key,
		UpdateExpression:                    aws.String(set),
		ConditionExpression:                 aws.String(condition),
		ExpressionAttributeNames:            names,
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}

func (g *generator) check(key item, condition string) types.TransactWriteItem {
	names, values := g.placeholders(g.peek(key), condition)
	return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: aws.String(table), Key: key, ConditionExpression: aws.String(condition),
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	}}
}

func (g *generator) remove(key item, condition string) types.TransactWriteItem {
	remove := &types.Delete{TableName: aws.String(table), Key: key}
	if condition != "" {
		remove.ConditionExpression = aws.String(condition)
		remove.ExpressionAttributeNames, remove.ExpressionAttributeValues = g.placeholders(g.peek(key), condition)
		remove.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	}
	return types.TransactWriteItem{Delete: remove}
}

func transact(writes ...types.TransactWriteItem) *dynamodb.TransactWriteItemsInput {
	return &dynamodb.TransactWriteItemsInput{TransactItems: writes, ReturnConsumedCapacity: total}
}

// create makes a secret with its first version and its row in the directory.
func (g *generator) create(name string) any {
	var writes []types.TransactWriteItem
	for _, it := range []item{
		g.head(name),
		g.version(versionKey(name, one(g, suffixes...), one(g, versions...))),
		{"pk": s(directory), "sk": s(name), "name": s(name), "schema": n("1")},
	} {
		writes = append(writes, g.put(it, g.condition(keyIn(it), "isNew")))
	}
	return transact(writes...)
}

// commit changes a secret, or removes it, with other items beside the head.
func (g *generator) commit(name string) any {
	suffix := one(g, suffixes...)
	var head types.TransactWriteItem
	if g.chance(8) {
		head = g.remove(headKey(name), g.condition(headKey(name), "isSeen"))
	} else {
		head = g.update(headKey(name), g.use(g.source.updates), g.condition(headKey(name), slices.Sorted(maps.Keys(g.source.conditions))...))
	}
	writes := []types.TransactWriteItem{head}
	ids := some(g, versions...)
	if g.chance(2) {
		k := versionKey(name, suffix, ids[0])
		writes = append(writes, g.put(g.version(k), g.condition(k, "isNew")))
		ids = ids[1:]
	}
	for _, id := range ids {
		k := versionKey(name, suffix, id)
		switch g.IntN(8) {
		case 0:
			writes = append(writes, g.update(k, g.usePrefer(g.source.updates, "setDataKey"), g.condition(k, "exists")))
		case 1:
			writes = append(writes, g.remove(k, ""))
		case 2:
			writes = append(writes, g.check(k, g.condition(k, "exists", "isNew")))
		}
	}
	switch g.IntN(4) {
	case 0:
		policy := item{"text": s("{}"), "pk": s("SECRET#" + name), "sk": s("POLICY#" + suffix), "schema": n("1")}
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: aws.String(table), Item: policy}})
	case 1:
		note := item{"pk": s("SECRET#" + name), "sk": s("ROTATION#" + suffix), "shard": g.attribute("shard"), "due": g.attribute("due")}
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: aws.String(table), Item: note}})
	case 2:
		writes = append(writes, g.remove(keyOf("SECRET#"+name, one(g, "POLICY#", "ROTATION#")+suffix), ""))
	}
	return transact(writes...)
}

func (g *generator) prune(name string) any {
	set := g.usePrefer(g.source.updates, "pruned", "prunedUntil", "prunedAll")
	condition := g.condition(headKey(name), "isUnmoved", "isQuiet")
	writes := []types.TransactWriteItem{g.update(headKey(name), set, condition)}
	suffix := one(g, suffixes...)
	for _, id := range some(g, versions...) {
		k := versionKey(name, suffix, id)
		writes = append(writes, g.remove(k, g.condition(k, "wasSeen")))
	}
	return transact(writes...)
}

func (g *generator) touch(name string) any {
	key := headKey(name)
	if g.chance(2) {
		key = versionKey(name, one(g, suffixes...), one(g, versions...))
	}
	set := g.usePrefer(g.source.updates, "setAccessed")
	condition := g.condition(key, "isOldHead", "isOldVersion")
	u := g.update(key, set, condition).Update
	return &dynamodb.UpdateItemInput{
		TableName: u.TableName, Key: u.Key, UpdateExpression: u.UpdateExpression, ConditionExpression: u.ConditionExpression,
		ExpressionAttributeNames: u.ExpressionAttributeNames, ExpressionAttributeValues: u.ExpressionAttributeValues,
		ReturnConsumedCapacity: total,
	}
}

func (g *generator) readVersions(name string) any {
	suffix := one(g, suffixes...)
	var keys []item
	for _, id := range some(g, versions...) {
		keys = append(keys, versionKey(name, suffix, id))
	}
	want := types.KeysAndAttributes{Keys: keys, ConsistentRead: aws.Bool(true)}
	if g.chance(2) {
		projection := g.use(g.source.projections)
		want.ProjectionExpression = aws.String(projection)
		want.ExpressionAttributeNames, _ = g.placeholders(nil, projection)
	}
	return &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{table: want}, ReturnConsumedCapacity: total}
}

func (g *generator) sweep(name string) any {
	suffix := one(g, suffixes...)
	var writes []types.WriteRequest
	for _, id := range some(g, versions...) {
		writes = append(writes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: versionKey(name, suffix, id)}})
	}
	return &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: writes}, ReturnConsumedCapacity: total}
}

// storeQuery is one of the store's queries: of versions or the directory, or of
// one of the indexes.
func (g *generator) storeQuery(name string) any {
	condition := g.use(g.source.keyConditions)
	in := &dynamodb.QueryInput{TableName: aws.String(table), KeyConditionExpression: aws.String(condition), ReturnConsumedCapacity: total}
	projection := ""
	switch {
	case strings.Contains(condition, "#shard"):
		in.IndexName = aws.String("due")
	case strings.Contains(condition, "#secret"):
		in.IndexName = aws.String("age")
	default:
		in.ConsistentRead = aws.Bool(true)
		in.ScanIndexForward = g.maybe()
		if g.chance(2) {
			projection = g.use(g.source.projections)
			in.ProjectionExpression = aws.String(projection)
		}
	}
	in.ExpressionAttributeNames, in.ExpressionAttributeValues = g.placeholders(nil, condition, projection)
	if _, ok := in.ExpressionAttributeValues[":pk"]; ok {
		in.ExpressionAttributeValues[":pk"] = s(one(g, "SECRET#"+name, "SECRET#"+name, directory))
	}
	if !g.chance(3) {
		in.Limit = aws.Int32(int32(1 + g.IntN(5)))
	}
	return in
}
