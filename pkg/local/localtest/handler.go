package localtest

import (
	"context"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/local/dynamo"
	"github.com/strongroom/strongroom/pkg/local/kms"
)

// A handler speaks the protocol of DynamoDB and KMS in front of the engines, for the
// SDK's clients and for processes of their own. No signature is checked.
type handler struct {
	operations map[string]func(ctx context.Context, body []byte) (any, error)
}

func newHandler(db *dynamo.DB, keys *kms.Keys) handler {
	more := moreOf{db}
	return handler{map[string]func(context.Context, []byte) (any, error){
		"DynamoDB_20120810.GetItem":            operation(db.GetItem),
		"DynamoDB_20120810.BatchGetItem":       operation(db.BatchGetItem),
		"DynamoDB_20120810.Query":              operation(db.Query),
		"DynamoDB_20120810.BatchWriteItem":     operation(db.BatchWriteItem),
		"DynamoDB_20120810.UpdateItem":         operation(db.UpdateItem),
		"DynamoDB_20120810.TransactWriteItems": operation(db.TransactWriteItems),
		"DynamoDB_20120810.CreateTable":        operation(db.CreateTable),
		"DynamoDB_20120810.DescribeTable":      operation(db.DescribeTable),
		"DynamoDB_20120810.ListTables":         operation(db.ListTables),
		"DynamoDB_20120810.PutItem":            operation(more.PutItem),
		"DynamoDB_20120810.DeleteItem":         operation(more.DeleteItem),
		"DynamoDB_20120810.Scan":               operation(more.Scan),
		"TrentService.GenerateDataKey":         operation(keys.GenerateDataKey),
		"TrentService.Decrypt":                 operation(keys.Decrypt),
		"TrentService.ReEncrypt":               operation(keys.ReEncrypt),
		"TrentService.CreateKey":               operation(keys.CreateKey),
		"TrentService.CreateAlias":             operation(keys.CreateAlias),
		"TrentService.DisableKey":              operation(keys.DisableKey),
		"TrentService.EnableKey":               operation(keys.EnableKey),
		"TrentService.RotateKeyOnDemand":       operation(keys.RotateKeyOnDemand),
		"TrentService.DescribeKey":             operation(keys.DescribeKey),
	}}
}

// operation reads the input of a call and makes it.
func operation[In, Out, Option any](call func(context.Context, *In, ...func(*Option)) (*Out, error)) func(context.Context, []byte) (any, error) {
	return func(ctx context.Context, body []byte) (any, error) {
		var members any
		in := new(In)
		if err := json.Unmarshal(body, &members); err != nil {
			return nil, err
		}
		if err := read(reflect.ValueOf(in).Elem(), members); err != nil {
			return nil, err
		}
		return call(ctx, in)
	}
}

// ServeHTTP answers a call.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone
	}
	status, answer := h.answer(r, body)
	text, _ := json.Marshal(answer) // of what was made for JSON
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(text)), 10))
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.Header().Set("X-Amzn-Requestid", uuid.NewString())
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func (h handler) answer(r *http.Request, body []byte) (status int, answer any) {
	call, ok := h.operations[r.Header.Get("X-Amz-Target")]
	if !ok {
		return http.StatusBadRequest, map[string]any{"__type": "UnknownOperationException", "message": r.Header.Get("X-Amz-Target")}
	}
	out, err := call(r.Context(), body)
	if err == nil {
		return http.StatusOK, write(reflect.ValueOf(out))
	}
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return http.StatusInternalServerError, map[string]any{"__type": "InternalServerError", "message": err.Error()}
	}
	members := map[string]any{}
	if v := reflect.Indirect(reflect.ValueOf(refused)); v.Type() != reflect.TypeFor[smithy.GenericAPIError]() {
		members = write(v).(map[string]any)
	}
	members["__type"], members["message"] = refused.ErrorCode(), refused.ErrorMessage()
	return http.StatusBadRequest, members
}

// A pipe is a connection to a handler without a port.
type pipe struct{ handler http.Handler }

// RoundTrip makes a call. It does not wait for a handler when the caller gives up.
func (p pipe) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer func() { _ = r.Body.Close() }()
	w := &recorder{header: http.Header{}}
	p.handler.ServeHTTP(w, r)
	return &http.Response{
		StatusCode: w.status, Header: w.header, Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(w.body.String())), ContentLength: int64(w.body.Len()),
	}, nil
}

// A recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }

// moreOf are calls that tests make beside those of the store.
type moreOf struct{ db *dynamo.DB }

// PutItem puts an item.
func (m moreOf) PutItem(ctx context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return &dynamodb.PutItemOutput{}, m.write(ctx, in.TableName, types.WriteRequest{PutRequest: &types.PutRequest{Item: in.Item}})
}

// DeleteItem removes an item.
func (m moreOf) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	return &dynamodb.DeleteItemOutput{}, m.write(ctx, in.TableName, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: in.Key}})
}

func (m moreOf) write(ctx context.Context, table *string, one types.WriteRequest) error {
	_, err := m.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{aws.ToString(table): {one}}})
	return err
}

// Scan reads a whole table at once.
func (m moreOf) Scan(_ context.Context, in *dynamodb.ScanInput, _ ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error) {
	items, err := m.db.Items(aws.ToString(in.TableName))
	return &dynamodb.ScanOutput{Items: items}, err
}
