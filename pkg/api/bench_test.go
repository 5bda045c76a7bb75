package api_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// The whole handler over the local engines, connection to the caller left out. The
// allocations are those of the SDK's clients of the engines, too.
func BenchmarkPutSecretValue(b *testing.B) {
	room := localtest.New(b)
	serve(room, "CreateSecret", `{"Name":"s"}`)
	b.ReportAllocs()
	for b.Loop() {
		answer := serve(room, "PutSecretValue", `{"SecretId":"s","ClientRequestToken":"`+uuid.NewString()+`","SecretString":"`+kilobyte+`"}`)
		if answer.Code != http.StatusOK {
			b.Fatal(answer.Body)
		}
	}
}

func BenchmarkGetSecretValue(b *testing.B) {
	room := localtest.New(b)
	serve(room, "CreateSecret", `{"Name":"s","ClientRequestToken":"`+token("v1")+`","SecretString":"`+kilobyte+`"}`)
	serve(room, "GetSecretValue", `{"SecretId":"s"}`)
	b.ReportAllocs()
	for b.Loop() {
		if answer := serve(room, "GetSecretValue", `{"SecretId":"s"}`); answer.Code != http.StatusOK {
			b.Fatal(answer.Body)
		}
	}
}
