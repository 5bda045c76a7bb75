package localtest

import (
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	sdkkms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/dynamo"
	"github.com/strongroom/strongroom/pkg/local/kms"
)

// Engines are a DynamoDB and a KMS in memory.
type Engines struct {
	Tables     *dynamo.DB
	Keys       *kms.Keys
	DefaultKey string // ARN of the key for secrets that name none

	handler handler
}

// shared are the engines of all rooms of a test binary.
var shared = NewEngines()

// NewEngines makes engines without tables, and with the default key.
func NewEngines() *Engines { return newEngines(dynamo.Memory(), local.Region) }

// inRegion returns the shared engines with the KMS of another Region.
var inRegion = func() func(string) *Engines {
	var made sync.Map
	return func(region string) *Engines {
		if region == local.Region {
			return shared
		}
		e, _ := made.LoadOrStore(region, sync.OnceValue(func() *Engines { return newEngines(shared.Tables, region) }))
		return e.(func() *Engines)()
	}
}()

func newEngines(tables *dynamo.DB, region string) *Engines {
	e := &Engines{Tables: tables, Keys: kms.Memory(region, local.Account)}
	e.handler = newHandler(e.Tables, e.Keys)
	var err error
	if e.DefaultKey, err = e.Keys.DefaultKey(time.Now()); err != nil {
		panic(err)
	}
	return e
}

// Shared are the engines of all rooms.
func Shared() *Engines { return shared }

// DynamoDB is an SDK client whose calls nobody counts or breaks.
func (e *Engines) DynamoDB() *dynamodb.Client { return e.dynamoDB(&Wire{}) }

// KMS is such a client of KMS.
func (e *Engines) KMS() *sdkkms.Client { return e.kms(&Wire{}) }

// nowhere is where clients believe the engines to be.
const nowhere = "http://engine.invalid"

var anybody = credentials.NewStaticCredentialsProvider("local", "local", "")

func (e *Engines) dynamoDB(w *Wire) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region: local.Region, BaseEndpoint: aws.String(nowhere), Credentials: anybody, Retryer: quick(), HTTPClient: w.client(pipe{e.handler}),
	})
}

func (e *Engines) kms(w *Wire) *sdkkms.Client {
	return sdkkms.New(sdkkms.Options{
		Region: local.Region, BaseEndpoint: aws.String(nowhere), Credentials: anybody, Retryer: quick(), HTTPClient: w.client(pipe{e.handler}),
	})
}

// Serve answers on a loopback port for as long as the test, for processes of their
// own, and returns what they need in their environment to use the engines.
func (e *Engines) Serve(t testing.TB) (env []string) {
	t.Helper()
	server := httptest.NewServer(e.handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return []string{
		"AWS_ENDPOINT_URL_DYNAMODB=" + server.URL, "AWS_ENDPOINT_URL_KMS=" + server.URL,
		"AWS_REGION=" + local.Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_SESSION_TOKEN=",
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	}
}
