//go:build reference

package dynamo_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local/dynamo"
)

// A difference is one between this package and Dynoxide 1.2.1 in which Dynoxide
// is not DynamoDB.
type difference struct {
	name   string
	reason string // what DynamoDB does
	is     func(in any, ours, theirs answer) bool
	// example is a request that shows it on an empty table. Only what depends on
	// the table has none.
	example any
}

// Differences that no history can show:
//   - Dynoxide dies of a multi-byte character in the text of an expression; ours takes
//     it for a syntax error. The generator writes expressions in ASCII.
//   - Dynoxide forgets tokens when it ends. Histories do not restart it.
//   - Dynoxide never answers TransactionConflict and leaves no keys or writes unprocessed.
//     Histories are sequential and within its limits.
//   - Texts of errors differ. Only codes are compared.
var knownDifferences = []difference{
	{
		name:    "a path compared with itself",
		reason:  "DynamoDB: the first operand must be distinct from the remaining operands",
		is:      refusedByUs("The first operand must be distinct"),
		example: conditional("txt1 = txt1", nil),
	},
	{
		name:    "an operand of a type without an order",
		reason:  "DynamoDB refuses it before it looks at the item: incorrect operand type for operator or function",
		is:      refusedByUs("Incorrect operand type"),
		example: conditional("NOT txt1 < :v", item{":v": &types.AttributeValueMemberBOOL{Value: true}}),
	},
	{
		name:    "bounds in the wrong order",
		reason:  "DynamoDB refuses BETWEEN when the upper bound is less than the lower one",
		is:      refusedByUs("The BETWEEN operator requires"),
		example: conditional("NOT txt1 BETWEEN :b AND :a", item{":a": s("a"), ":b": s("b")}),
	},
	{
		name:    "a blank expression",
		reason:  "DynamoDB refuses an expression that is empty or only spaces",
		is:      refusedByUs("The expression can not be empty"),
		example: &dynamodb.UpdateItemInput{TableName: aws.String(table), Key: keyOf("p1", "a"), UpdateExpression: aws.String(" ")},
	},
	{
		name:    "an update of the key",
		reason:  "DynamoDB refuses to update an attribute that is part of the key, whatever the condition says",
		is:      refusedByUs("This attribute is part of the key"),
		example: transact(updating("SET sk = :v", nil, item{":v": s("x")})),
	},
	{
		name:   "a wrong expression or placeholder in a transaction",
		reason: "DynamoDB refuses the request before it looks at any item; Dynoxide cancels the transaction",
		is: inTransaction(refusedByUs("Two document paths overlap", "is not defined; attribute", "unused in expressions", "must not be empty",
			"contains invalid key", "Syntax error")),
		example: transact(updating("SET txt1 = :v REMOVE txt1", aws.String("attribute_exists(pk)"), item{":v": s("x")})),
	},
	{
		name:    "a value that no item may have",
		reason:  "DynamoDB refuses the request before it looks at any item; Dynoxide looks at conditions first",
		is:      refusedByUs("Supplied AttributeValue"),
		example: transact(types.TransactWriteItem{Put: &types.Put{TableName: aws.String(table), Item: item{"pk": s("p1"), "sk": s("a"), "misc1": &types.AttributeValueMemberSS{}}}}),
	},
	{
		name:   "a token of another request, and a request without an action",
		reason: "DynamoDB checks the shape of a request first",
		is: inTransaction(func(_ any, ours, theirs answer) bool {
			return ours["code"] == "ValidationException" && theirs["code"] == "IdempotentParameterMismatchException"
		}),
	},
	{
		name:   "a key condition in parentheses with a value that no key has",
		reason: "DynamoDB refuses a value of another type, and an empty one",
		is:     refusedByUs("Condition parameter type does not match schema type", "cannot contain an empty string value. Key: "),
		example: &dynamodb.QueryInput{
			TableName: aws.String(table), KeyConditionExpression: aws.String("(pk = :v) AND (sk = :v)"),
			ExpressionAttributeValues: item{":v": n("1")},
		},
	},
	{
		name:   "a start key outside of the query",
		reason: "DynamoDB: the provided starting key is outside query boundaries based on provided conditions, or invalid",
		is:     refusedByUs("The provided starting key"),
		example: &dynamodb.QueryInput{
			TableName: aws.String(table), KeyConditionExpression: aws.String("pk = :pk"),
			ExpressionAttributeValues: item{":pk": s("p1")}, ExclusiveStartKey: keyOf("p2", "a"),
		},
	},
	{
		name:   "the sort key before the partition key",
		reason: "DynamoDB takes the two conditions in either order, also when both are equalities",
		is: func(_ any, ours, theirs answer) bool {
			return ours["code"] == "OK" && strings.Contains(theirs[text], "Query condition missed key schema element")
		},
		example: &dynamodb.QueryInput{
			TableName: aws.String(table), KeyConditionExpression: aws.String("sk = :sk AND pk = :pk"),
			ExpressionAttributeValues: item{":pk": s("p1"), ":sk": s("a")},
		},
	},
	{
		name:   "a reserved word as a name",
		reason: "DynamoDB, too, refuses these; ours leaves them out on purpose, since pkg/store has placeholders only",
		is: func(_ any, _, theirs answer) bool {
			return strings.Contains(theirs[text], "reserved keyword")
		},
		example: &dynamodb.QueryInput{
			TableName: aws.String(table), IndexName: aws.String("due"), KeyConditionExpression: aws.String("shard = :v"),
			ExpressionAttributeValues: item{":v": s("x")},
		},
	},
	{
		name:   "a negative limit",
		reason: "DynamoDB answers ValidationException; Dynoxide cannot read the request",
		is: func(_ any, ours, theirs answer) bool {
			return ours["code"] == "ValidationException" && theirs["code"] == "SerializationException"
		},
		example: &dynamodb.QueryInput{
			TableName: aws.String(table), KeyConditionExpression: aws.String("pk = :pk"),
			ExpressionAttributeValues: item{":pk": s("p1")}, Limit: aws.Int32(-1),
		},
	},
	{
		name:   "two writes to one item, one of them by a key with another attribute",
		reason: "both are refused; which of the two faults DynamoDB names is not known",
		is: inTransaction(func(_ any, ours, theirs answer) bool {
			return ours["code"] == "TransactionCanceledException" && strings.Contains(theirs[text], "multiple operations on one item")
		}),
		example: transact(
			types.TransactWriteItem{Delete: &types.Delete{TableName: aws.String(table), Key: keyOf("p1", "a")}},
			types.TransactWriteItem{Delete: &types.Delete{TableName: aws.String(table), Key: item{"pk": s("p1"), "sk": s("a"), "more": s("x")}}},
		),
	},
	{
		name:   "the item at which a page becomes full",
		reason: "DynamoDB returns it, and then stops; Dynoxide counts it in ScannedCount and leaves it to the next page",
		is: func(in any, ours, theirs answer) bool {
			_, query := in.(*dynamodb.QueryInput)
			return query && ours["code"] == "OK" && ours["count"] == theirs["scanned count"] && theirs["count"] != theirs["scanned count"]
		},
	},
}

// refusedByUs matches a ValidationException of ours with one of these texts, where
// Dynoxide goes on or has another code.
func refusedByUs(texts ...string) func(in any, ours, theirs answer) bool {
	return func(_ any, ours, theirs answer) bool {
		has := func(words string) bool { return strings.Contains(ours[text], words) }
		return ours["code"] == "ValidationException" && slices.ContainsFunc(texts, has) && theirs["code"] != "ValidationException"
	}
}

func inTransaction(is func(in any, ours, theirs answer) bool) func(in any, ours, theirs answer) bool {
	return func(in any, ours, theirs answer) bool {
		_, ok := in.(*dynamodb.TransactWriteItemsInput)
		return ok && is(in, ours, theirs)
	}
}

func conditional(condition string, values item) any {
	return transact(types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: aws.String(table), Key: keyOf("p1", "a"), ConditionExpression: aws.String(condition), ExpressionAttributeValues: values,
	}})
}

func updating(update string, condition *string, values item) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: aws.String(table), Key: keyOf("p1", "a"), UpdateExpression: aws.String(update),
		ConditionExpression: condition, ExpressionAttributeValues: values,
	}}
}

func knownDifference(in any, ours, theirs answer) *difference {
	for i, d := range knownDifferences {
		if d.is(in, ours, theirs) {
			return &knownDifferences[i]
		}
	}
	return nil
}

// TestKnownDifferences fails when a difference is gone: then it must leave the list.
func TestKnownDifferences(t *testing.T) {
	c := &comparison{ours: func() engine { return dynamo.Memory() }, theirs: startReference(t)}
	for _, d := range knownDifferences {
		if d.example == nil {
			continue
		}
		ours, theirs, err := c.last(t.Context(), []any{d.example})
		if err != nil {
			t.Fatal(err)
		}
		if !d.is(d.example, ours, theirs) {
			t.Errorf("%s: ours\n%sDynoxide\n%sdo not differ as the list says", d.name, ours.at(differences(ours, theirs)), theirs.at(differences(ours, theirs)))
		}
	}
}
