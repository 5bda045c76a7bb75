package remote

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// One connection that hangs costs an attempt, and not the call.
func TestHangingConnection(t *testing.T) {
	t.Parallel()
	const limit = 50 * time.Millisecond
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server would not notice that the client is gone
		if calls.Add(1) == 1 {
			<-r.Context().Done() // until the client gives up
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	client := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), HTTPClient: Client(limit),
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	})
	began := time.Now()
	_, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String("t"), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "p"}},
	})
	if err != nil || calls.Load() != 2 {
		t.Errorf("got %v after %d attempts, want an answer to the second", err, calls.Load())
	}
	if took := time.Since(began); took < limit {
		t.Errorf("it took %s, want at least one limit of %s", took, limit)
	}
}
