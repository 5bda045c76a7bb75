package api_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// A table restored to a moment within a put has its version and not its head. The same
// put again is not acknowledged for the version that is there, but made.
func TestPutAfterTornRestore(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	put(t, room, "s", "v2", "two")
	key := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "SECRET#s"}, "sk": &types.AttributeValueMemberS{Value: "HEAD"}}
	head := must(room.DynamoDB.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &room.Table, Key: key}))(t).Item
	put(t, room, "s", "v3", "three")
	must(room.DynamoDB.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &room.Table, Item: head}))(t)

	other := room.Another(t)
	put(t, other, "s", "v3", "three")
	checkStages(t, other, "s", map[string]string{"v1": "", "v2": "AWSPREVIOUS", "v3": "AWSCURRENT"})
	if got := *get(t, other, "s").SecretString; got != "three" {
		t.Errorf("got %q, want the value that was acknowledged", got)
	}
}
