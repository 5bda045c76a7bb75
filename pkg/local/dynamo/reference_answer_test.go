//go:build reference

package dynamo_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/pkg/store"
)

type item = map[string]types.AttributeValue

// An engine is one side of the comparison.
type engine interface {
	store.DynamoDB
	CreateTable(context.Context, *dynamodb.CreateTableInput, ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error)
}

// An answer is what a call returned, by place: "code", "item", "reason 3".
// Two engines agree when their answers are equal.
type answer map[string]string

// call makes one call. Its input is one of the SDK's six; its output too.
func call(ctx context.Context, e engine, in any) (answer, any) {
	switch in := in.(type) {
	case *dynamodb.GetItemInput:
		return answered(e.GetItem(ctx, in))
	case *dynamodb.BatchGetItemInput:
		return answered(e.BatchGetItem(ctx, in))
	case *dynamodb.QueryInput:
		return answered(e.Query(ctx, in))
	case *dynamodb.BatchWriteItemInput:
		return answered(e.BatchWriteItem(ctx, in))
	case *dynamodb.UpdateItemInput:
		return answered(e.UpdateItem(ctx, in))
	case *dynamodb.TransactWriteItemsInput:
		return answered(e.TransactWriteItems(ctx, in))
	}
	panic(fmt.Sprintf("no call takes a %T", in))
}

func answered[T any](out *T, err error) (answer, any) {
	if err != nil {
		return refusal(err), nil
	}
	a := answer{"code": "OK"}
	switch out := any(out).(type) {
	case *dynamodb.GetItemOutput:
		a.item("item", out.Item)
		a.capacity(out.ConsumedCapacity)
	case *dynamodb.BatchGetItemOutput:
		a.batch(out)
	case *dynamodb.QueryOutput:
		a.query(out)
	case *dynamodb.BatchWriteItemOutput:
		a["unprocessed"] = fmt.Sprint(len(out.UnprocessedItems))
		a.capacities(out.ConsumedCapacity)
	case *dynamodb.UpdateItemOutput:
		a.item("attributes", out.Attributes)
		a.capacity(out.ConsumedCapacity)
	case *dynamodb.TransactWriteItemsOutput:
		a.capacities(out.ConsumedCapacity)
	}
	return a, out
}

// refusal keeps an error's code and what comes with it, but not its text. What is
// not an error of DynamoDB is kept as a whole.
func refusal(err error) answer {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return answer{"code": "not an answer: " + err.Error()}
	}
	a := answer{"code": api.ErrorCode(), text: api.ErrorMessage()}
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		a.item("item", failed.Item)
	}
	if cancelled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		for i, reason := range cancelled.CancellationReasons {
			place := fmt.Sprintf("reason %d", i)
			a[place] = aws.ToString(reason.Code)
			a.item(place+" item", reason.Item)
		}
	}
	return a
}

// text is a place that is printed and not compared.
const text = "text"

func (a answer) item(place string, it item) {
	if it != nil {
		a[place] = itemText(it)
	}
}

func (a answer) query(out *dynamodb.QueryOutput) {
	a["count"] = fmt.Sprint(out.Count)
	a["scanned count"] = fmt.Sprint(out.ScannedCount)
	for i, it := range out.Items {
		a.item(fmt.Sprintf("item %d", i), it)
	}
	a.item("last key", out.LastEvaluatedKey)
	a.capacity(out.ConsumedCapacity)
}

// batch sorts the items: DynamoDB returns them in any order.
func (a answer) batch(out *dynamodb.BatchGetItemOutput) {
	for table, items := range out.Responses {
		var texts []string
		for _, it := range items {
			texts = append(texts, itemText(it))
		}
		slices.Sort(texts)
		a["items of "+table] = strings.Join(texts, "\n")
	}
	for table, keys := range out.UnprocessedKeys {
		a["unprocessed keys of "+table] = fmt.Sprint(len(keys.Keys))
	}
	a.capacities(out.ConsumedCapacity)
}

func (a answer) capacities(all []types.ConsumedCapacity) {
	for i := range all {
		a.capacity(&all[i])
	}
}

func (a answer) capacity(c *types.ConsumedCapacity) {
	if c != nil {
		a["units of "+aws.ToString(c.TableName)] = fmt.Sprint(aws.ToFloat64(c.CapacityUnits))
	}
}

// differences are the places where two answers differ.
func differences(ours, theirs answer) []string {
	var places []string
	for _, place := range slices.Sorted(maps.Keys(union(ours, theirs))) {
		if place != text && ours[place] != theirs[place] {
			places = append(places, place)
		}
	}
	return places
}

func union(a, b answer) answer {
	u := maps.Clone(a)
	maps.Copy(u, b)
	return u
}

// at shows an answer's code, its text, and what it has at these places.
func (a answer) at(places []string) string {
	var b strings.Builder
	for _, place := range slices.Sorted(maps.Keys(a)) {
		if place == "code" || place == text || slices.Contains(places, place) {
			fmt.Fprintf(&b, "    %s: %s\n", place, a[place])
		}
	}
	return b.String()
}

func itemText(it item) string {
	var b strings.Builder
	writeMap(&b, it)
	return b.String()
}

func writeMap(b *strings.Builder, m item) {
	b.WriteString("{")
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + " ")
		writeValue(b, m[name])
	}
	b.WriteString("}")
}

func writeValue(b *strings.Builder, v types.AttributeValue) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		fmt.Fprintf(b, "S %q", short(v.Value))
	case *types.AttributeValueMemberN:
		b.WriteString("N " + v.Value)
	case *types.AttributeValueMemberB:
		fmt.Fprintf(b, "B %q", short(string(v.Value)))
	case *types.AttributeValueMemberBOOL:
		fmt.Fprintf(b, "BOOL %t", v.Value)
	case *types.AttributeValueMemberNULL:
		fmt.Fprintf(b, "NULL %t", v.Value)
	case *types.AttributeValueMemberM:
		writeMap(b, v.Value)
	case *types.AttributeValueMemberL:
		b.WriteString("[")
		for _, e := range v.Value {
			writeValue(b, e)
			b.WriteString(" ")
		}
		b.WriteString("]")
	case *types.AttributeValueMemberSS:
		fmt.Fprintf(b, "SS %q", slices.Sorted(slices.Values(v.Value)))
	case *types.AttributeValueMemberNS:
		fmt.Fprintf(b, "NS %q", slices.Sorted(slices.Values(v.Value)))
	default:
		fmt.Fprintf(b, "%T %v", v, v)
	}
}

// short stands for a long text by its length, its hash and its beginning.
func short(s string) string {
	if len(s) <= 64 {
		return s
	}
	return fmt.Sprintf("%d bytes, SHA-256 %.6x", len(s), sha256.Sum256([]byte(s)))
}

// inputText shows a call's input as Go would write it, nearly.
func inputText(in any) string {
	var b strings.Builder
	writeInput(&b, reflect.ValueOf(in))
	return b.String()
}

func writeInput(b *strings.Builder, v reflect.Value) {
	switch v := v.Interface().(type) {
	case types.AttributeValue:
		writeValue(b, v)
		return
	case item:
		writeMap(b, v)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		writeInput(b, v.Elem())
	case reflect.Struct:
		writeFields(b, v)
	case reflect.Slice:
		b.WriteString("[")
		for i := range v.Len() {
			writeInput(b, v.Index(i))
			b.WriteString(" ")
		}
		b.WriteString("]")
	case reflect.Map:
		b.WriteString("{")
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			fmt.Fprintf(b, "%s: ", k)
			writeInput(b, v.MapIndex(k))
			b.WriteString(" ")
		}
		b.WriteString("}")
	case reflect.String:
		fmt.Fprintf(b, "%q", v)
	default:
		fmt.Fprint(b, v)
	}
}

// writeFields leaves out what is not set, and what is the same in every call.
func writeFields(b *strings.Builder, v reflect.Value) {
	b.WriteString(v.Type().Name() + "{")
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || v.Field(i).IsZero() || f.Name == "ReturnConsumedCapacity" {
			continue
		}
		b.WriteString(f.Name + ": ")
		writeInput(b, v.Field(i))
		b.WriteString(" ")
	}
	b.WriteString("}")
}

// scribble overwrites an output.
func scribble(out any) {
	switch out := out.(type) {
	case *dynamodb.GetItemOutput:
		scribbleItem(out.Item)
	case *dynamodb.UpdateItemOutput:
		scribbleItem(out.Attributes)
	case *dynamodb.QueryOutput:
		for _, it := range out.Items {
			scribbleItem(it)
		}
		scribbleItem(out.LastEvaluatedKey)
	case *dynamodb.BatchGetItemOutput:
		for _, items := range out.Responses {
			for _, it := range items {
				scribbleItem(it)
			}
		}
	}
}

func scribbleItem(it item) {
	for _, v := range it {
		if b, ok := v.(*types.AttributeValueMemberB); ok {
			for i := range b.Value {
				b.Value[i] ^= 0xff
			}
		}
	}
	clear(it)
}
