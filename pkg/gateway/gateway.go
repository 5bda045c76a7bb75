// Package gateway turns an event of a front door, an API Gateway REST API or a Lambda
// function URL, into an HTTP request with its caller, and what is written for it into the
// answer that the front door waits for, so that the code behind it is the same in a
// Lambda function and behind a socket.
//
// The front door has checked the signature: who the caller is, is taken from what it
// says of it, and never from a header, which the caller writes.
//
// Every event has an answer or an error: an event of anything else, or of a function URL
// that checks no signatures, is an error of the invocation. Bodies are secrets: nothing of
// an event or of an answer enters an error.
package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/strongroom/strongroom/pkg/policy"
)

// event is the part of an event that is used. The types of aws-lambda-go
// know neither the caller's organisation nor the VPC a call came from.
type event struct {
	Version           string // of the form: 2.0 is that of a function URL
	HTTPMethod        string
	Path              string
	Headers           map[string]string
	MultiValueHeaders map[string][]string
	Body              string
	IsBase64Encoded   bool
	RequestContext    struct {
		RequestID  string
		DomainName string
		Path       string
		Identity   struct {
			UserARN        string
			AccountID      string
			Caller         string // aws:userid
			AccessKey      string
			PrincipalOrgID string
			SourceIP       string
			UserAgent      string
			VPCID          string
			VPCEID         string
		}
		// Of a function URL.
		HTTP       struct{ Method, Path, SourceIP, UserAgent string }
		Authorizer struct {
			IAM struct{ AccessKey, AccountID, CallerID, PrincipalOrgID, UserARN string }
		}
	}
}

// takeURL puts what the event of a function URL says into the places of a proxy event,
// if it is one whose caller was authenticated.
//
// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
func (e *event) takeURL() bool {
	http, iam := e.RequestContext.HTTP, e.RequestContext.Authorizer.IAM
	if e.Version != "2.0" || iam.UserARN == "" {
		return false
	}
	e.HTTPMethod, e.RequestContext.Path = http.Method, http.Path
	e.RequestContext.Identity.UserARN, e.RequestContext.Identity.AccountID = iam.UserARN, iam.AccountID
	e.RequestContext.Identity.Caller, e.RequestContext.Identity.AccessKey = iam.CallerID, iam.AccessKey
	e.RequestContext.Identity.PrincipalOrgID = iam.PrincipalOrgID
	e.RequestContext.Identity.SourceIP, e.RequestContext.Identity.UserAgent = http.SourceIP, http.UserAgent
	return true
}

// caller is who the front door says it is.
func (e event) caller() policy.Caller {
	id := e.RequestContext.Identity
	return policy.Caller{
		ARN:       id.UserARN,
		Account:   id.AccountID,
		UserID:    id.Caller,
		OrgID:     id.PrincipalOrgID,
		AccessKey: id.AccessKey,
		SourceIP:  id.SourceIP,
		VPC:       id.VPCID,
		VPCE:      id.VPCEID,
		UserAgent: id.UserAgent,
		Secure:    true, // no front door answers anything else
	}
}

// A Handler answers requests, each with its name and its caller.
type Handler interface {
	Answer(w http.ResponseWriter, r *http.Request, id string, caller policy.Caller)
}

// Response is what a front door makes its answer of. API Gateway merges "headers" and
// "multiValueHeaders", so the latter alone is enough; a function URL knows the former.
type Response struct {
	StatusCode        int                 `json:"statusCode"`
	Headers           map[string]string   `json:"headers,omitempty"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders,omitempty"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

var errNotProxy = errors.New("this function answers events of an API Gateway REST API, or of a function URL with IAM, and the event it was given is none")

// Handle returns a Lambda handler that lets h answer events of front doors. Anything
// else, such as the event of a schedule that names the wrong function, is an
// error.
func Handle(h Handler) func(context.Context, json.RawMessage) (Response, error) {
	return func(ctx context.Context, raw json.RawMessage) (Response, error) {
		var e event
		// What the decoder objects to can be a piece of the body.
		if err := json.Unmarshal(raw, &e); err != nil {
			return Response{}, errNotProxy
		}
		isURL := e.takeURL()
		// The events of an HTTP API have no httpMethod, those of a load balancer no
		// request id.
		if e.HTTPMethod == "" || e.RequestContext.RequestID == "" {
			return Response{}, errNotProxy
		}
		body, err := e.body()
		if err != nil {
			return notBase64.as(isURL), nil
		}
		w := &recorder{header: http.Header{}}
		h.Answer(w, e.request(ctx, body), e.RequestContext.RequestID, e.caller())
		res := w.response(e.HTTPMethod)
		if res.tooLarge() {
			return tooLarge.as(isURL), nil
		}
		return res.as(isURL), nil
	}
}

func (e event) body() (string, error) {
	if !e.IsBase64Encoded {
		return e.Body, nil
	}
	body, err := base64.StdEncoding.DecodeString(e.Body)
	return string(body), err
}

// request is what a server would have read from the wire. Its path is the
// canonical URI, the one the caller signed: with the stage before it, or with
// the base path of a domain of one's own.
func (e event) request(ctx context.Context, body string) *http.Request {
	uri := e.RequestContext.Path
	if uri == "" {
		uri = e.Path
	}
	header := e.header()
	host := header.Get("Host")
	header.Del("Host") // a server moves it to Request.Host
	if host == "" {
		host = e.RequestContext.DomainName
	}
	r := &http.Request{
		Method:        e.HTTPMethod,
		URL:           &url.URL{Path: uri},
		RequestURI:    uri,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          http.NoBody,
		ContentLength: int64(len(body)),
		Host:          host,
		// API Gateway does not say which port the caller had.
		RemoteAddr: net.JoinHostPort(e.RequestContext.Identity.SourceIP, "0"),
	}
	if len(body) > 0 {
		r.Body = io.NopCloser(strings.NewReader(body))
	}
	return r.WithContext(ctx)
}

// header has every name in Go's spelling. API Gateway sends each header twice,
// under headers with its last value and under multiValueHeaders with all.
func (e event) header() http.Header {
	header := http.Header{}
	// In order of name: two spellings of one name give the same order each time.
	for _, name := range slices.Sorted(maps.Keys(e.MultiValueHeaders)) {
		for _, value := range e.MultiValueHeaders[name] {
			header.Add(name, value)
		}
	}
	single := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		single.Add(name, e.Headers[name])
	}
	for name, values := range single {
		if _, ok := header[name]; !ok {
			header[name] = values
		}
	}
	return header
}

// as is a response in the form of the front door that asked.
func (r Response) as(isURL bool) Response {
	if !isURL {
		return r
	}
	r.Headers = make(map[string]string, len(r.MultiValueHeaders))
	for name, values := range r.MultiValueHeaders {
		r.Headers[name] = strings.Join(values, ", ")
	}
	r.MultiValueHeaders = nil
	return r
}

var notBase64 = Response{
	StatusCode:        http.StatusBadRequest,
	MultiValueHeaders: map[string][]string{"Content-Type": {"application/x-amz-json-1.1"}},
	Body:              `{"__type":"SerializationException","message":"The body is not valid base64."}`,
}

// maxResponse is what Lambda takes of a synchronous answer, less some room for
// what is around it (Lambda quotas: 6 MB).
const maxResponse = 6<<20 - 4<<10

// tooLarge says whether Lambda would lose the answer, and the caller be told of a
// fault. As JSON in JSON, a body may grow several times.
func (r Response) tooLarge() bool {
	if len(r.Body) < maxResponse/6 { // the most that one byte can become
		return false
	}
	text, err := json.Marshal(r)
	return err != nil || len(text) > maxResponse
}

var tooLarge = Response{
	StatusCode:        http.StatusBadRequest,
	MultiValueHeaders: map[string][]string{"Content-Type": {"application/x-amz-json-1.1"}},
	Body:              `{"__type":"InvalidRequestException","Message":"The answer is larger than 6 MB. Ask for fewer secrets at a time."}`,
}

// recorder is an http.ResponseWriter that keeps what is written.
type recorder struct {
	header http.Header
	status int         // 0 until the header is written
	sent   http.Header // the header as it was then
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	// A 1xx announces the answer and is not it; an event has no place for one.
	if w.status != 0 || status < 200 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *recorder) response(method string) Response {
	w.WriteHeader(http.StatusOK)
	res := Response{StatusCode: w.status, MultiValueHeaders: w.sent}
	switch {
	case method == http.MethodHead: // has the header of an answer, and no body
	case utf8.Valid(w.body.Bytes()):
		res.Body = w.body.String()
	default:
		res.Body, res.IsBase64Encoded = base64.StdEncoding.EncodeToString(w.body.Bytes()), true
	}
	return res
}
