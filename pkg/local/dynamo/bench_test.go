package dynamo

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/uuid"
)

// put is the transaction of a put of 1 KB: a head, a version with its row in an
// index, and a token.
func putOf(secret string) *dynamodb.TransactWriteItemsInput {
	return transaction(uuid.NewString(),
		types.TransactWriteItem{Update: &types.Update{
			TableName: aws.String(testTable), Key: item{"pk": s("SECRET#" + secret), "sk": s("HEAD")}, UpdateExpression: aws.String("SET #a = :a ADD #n :n"),
			ExpressionAttributeNames: map[string]string{"#a": "a", "#n": "n"}, ExpressionAttributeValues: item{":a": s(string(make([]byte, 400))), ":n": n("1")},
		}},
		putting(item{
			"pk": s("SECRET#" + secret), "sk": s("VERSION#abcdef#" + uuid.NewString()), "shard": s(secret), "due": s(uuid.NewString()),
			"sealed": &types.AttributeValueMemberB{Value: make([]byte, 1200)},
		}, "attribute_not_exists(pk)"))
}

func BenchmarkTransaction(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			db, err := Open(filepath.Join(b.TempDir(), "table.db"))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			withTable(b, db)
			b.SetParallelism((clients + 1) / 2)
			b.ReportAllocs()
			b.ResetTimer()
			work := func(i int) {
				if _, err := db.TransactWriteItems(b.Context(), putOf(fmt.Sprint("s", i%64))); err != nil {
					b.Error(err)
				}
			}
			if clients == 1 {
				for i := range b.N {
					work(i)
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						work(i)
					}
				})
			}
			b.StopTimer()
			stats := db.kv.(*file).db.Stats().TxStats
			b.ReportMetric(float64(stats.GetWrite())/float64(b.N), "pages/op")
		})
	}
}

// BenchmarkSync is what the disk takes for the least that is durable.
func BenchmarkSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	data := make([]byte, 1500)
	for b.Loop() {
		if _, err := f.Write(data); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}
