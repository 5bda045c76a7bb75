package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// mark is in every value that is sent, and so must be in no log, no record, no answer
// that refuses, and nowhere in plain in the data folder. Its length is a multiple of
// three, so that it can be looked for in base64 as well.
const mark = "MARKED-VALUE-FOR-NO-LOG-AT-ALL"

var markInBase64 = base64.StdEncoding.EncodeToString([]byte(mark))

// holdsMark says that a value can be read in a text.
func holdsMark(text []byte) bool {
	return bytes.Contains(text, []byte(mark)) || bytes.Contains(text, []byte(markInBase64))
}

const (
	abusedSecrets = 200
	abuserKey     = "AKIABENCHABUSER00001"
	goodKey       = "AKIABENCHCLIENT00001"
	signingSecret = "bench/0123456789abcdefghijklmnopqrstuvwxyz"
	service       = "secretsmanager"
)

// A kind is a way to misuse a server.
type kind struct {
	name   string
	weight int
	// send sends one request and says what came of it.
	send func(ctx context.Context, g *generator) outcome
	// refused kinds never succeed, and answered ones always get an answer: the
	// connection is not cut.
	refused, answered bool
}

// An outcome is the answer to a request: its status, or 0 for none, and its body.
type outcome struct {
	status int
	body   []byte
}

var kinds = []kind{
	{name: "valid calls", weight: 30, send: posting(nil), answered: true},
	{name: "malformed bodies", weight: 20, send: posting(malformed), answered: true},
	{name: "deep nesting", weight: 3, send: posting(nested), answered: true},
	{name: "huge lists", weight: 3, send: posting(hugeList), answered: true},
	{name: "bodies that are too large", weight: 1, send: posting(tooLarge), refused: true},
	{name: "wrong targets", weight: 8, send: wrongTarget, refused: true, answered: true},
	{name: "wrong headers", weight: 8, send: wrongHeader},
	{name: "signature tricks", weight: 11, send: wrongSignature, refused: true, answered: true},
	{name: "not HTTP", weight: 5, send: notHTTP, refused: true},
	{name: "hang-ups", weight: 10, send: hangUp},
	{name: "slow bodies", weight: 1, send: slowBody},
}

// A generator makes requests from a seed: the same ones for the same seed, but for
// tokens and times.
type generator struct {
	*rand.Rand
	server  *target
	address string        // of the server, without http://
	slow    time.Duration // longest that a slow body takes
}

// pick picks the kind of a request, by weight.
func (g *generator) pick() kind {
	all := 0
	for _, k := range kinds {
		all += k.weight
	}
	n := g.IntN(all)
	for _, k := range kinds {
		if n -= k.weight; n < 0 {
			return k
		}
	}
	panic("unreachable: n is less than the sum of the weights")
}

func (g *generator) name() string { return nameOf("abused", g.IntN(abusedSecrets)) }

// value is a value of up to 2 KB.
func (g *generator) value() string { return mark + value[:g.IntN(valueSize)] }

func oneOf[E any](g *generator, list ...E) E { return list[g.IntN(len(list))] }

// call is a valid call. Whether it succeeds depends on what others did to its secret.
func (g *generator) call() (operation string, in map[string]any) {
	id := g.name()
	switch g.IntN(22) {
	case 0, 1, 18, 19:
		return "CreateSecret", map[string]any{"Name": id, "ClientRequestToken": newToken(), "SecretString": g.value(), "Tags": []any{map[string]any{"Key": "team", "Value": "a"}}}
	case 2, 3:
		return "PutSecretValue", map[string]any{"SecretId": id, "ClientRequestToken": newToken(), "SecretBinary": []byte(g.value())}
	case 4, 5, 6, 20, 21:
		return "GetSecretValue", map[string]any{"SecretId": id}
	case 7:
		return "DescribeSecret", map[string]any{"SecretId": id}
	case 8:
		return "ListSecrets", map[string]any{"MaxResults": 1 + g.IntN(100), "IncludePlannedDeletion": g.IntN(2) == 0}
	case 9:
		return "BatchGetSecretValue", map[string]any{"SecretIdList": []string{id, g.name(), g.name()}}
	case 10:
		return "ListSecretVersionIds", map[string]any{"SecretId": id, "IncludeDeprecated": true}
	case 11:
		return "DeleteSecret", map[string]any{"SecretId": id, "ForceDeleteWithoutRecovery": g.IntN(2) == 0}
	case 12:
		return "RestoreSecret", map[string]any{"SecretId": id}
	case 13:
		return "TagResource", map[string]any{"SecretId": id, "Tags": []any{map[string]any{"Key": fmt.Sprint("k", g.IntN(60)), "Value": "v"}}}
	case 14:
		return "UpdateSecret", map[string]any{"SecretId": id, "Description": "d", "ClientRequestToken": newToken(), "SecretString": g.value()}
	case 15:
		return "PutResourcePolicy", map[string]any{"SecretId": id, "ResourcePolicy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}`}
	case 16:
		return "GetRandomPassword", map[string]any{"PasswordLength": 1 + g.IntN(4096)}
	}
	return "PutSecretValue", map[string]any{"SecretId": id, "ClientRequestToken": newToken(), "SecretString": g.value(), "VersionStages": []string{"mine"}, "RotationToken": mark + newToken()}
}

// valid is a valid call with its body.
func (g *generator) valid() (operation string, body []byte) {
	operation, in := g.call()
	body, err := json.Marshal(in)
	if err != nil {
		panic(err) // of plain maps
	}
	return operation, body
}

// posting sends valid calls with bodies that are spoiled, and then signed.
func posting(spoil func(*generator, string, []byte) []byte) func(context.Context, *generator) outcome {
	return func(ctx context.Context, g *generator) outcome {
		operation, body := g.valid()
		if spoil != nil {
			body = spoil(g, operation, body)
		}
		return g.do(g.request(ctx, operation, body))
	}
}

// request is a signed request.
func (g *generator) request(ctx context.Context, operation string, body []byte) (*http.Request, []byte) {
	r, err := signedRequest(ctx, g.server.url, abuserKey, operation, body)
	if err != nil {
		panic(err) // of a URL that was used before
	}
	return r, body
}

func signedRequest(ctx context.Context, url, key, operation string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	return r, sign(r, key, body, time.Now())
}

func sign(r *http.Request, key string, body []byte, at time.Time) error {
	sum := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: key, SecretAccessKey: signingSecret}
	return v4.NewSigner().SignHTTP(r.Context(), credentials, r, hex.EncodeToString(sum[:]), service, "us-east-1", at)
}

func (g *generator) do(r *http.Request, _ []byte) outcome {
	status, body, err := g.server.answerTo(r)
	if err != nil {
		return outcome{}
	}
	return outcome{status, body}
}

// malformed is a body that differs from a valid one, in one or more places.
func malformed(g *generator, _ string, body []byte) []byte {
	body = bytes.Clone(body)
	for range 1 + g.IntN(3) {
		at := g.IntN(len(body) + 1)
		switch g.IntN(10) {
		case 0:
			body = body[:at]
		case 1:
			if at < len(body) {
				body[at] ^= 1 << g.IntN(8)
			}
		case 2:
			body = insert(body, at, oneOf(g, "{", "}", "[", "]", `"`, ",", ":", "\\", "\x00", "\xff", "null", "-", "1e999", `\ud800`))
		case 3:
			body = []byte(oneOf(g, "", " ", "null", "[]", `"x"`, "1", "{", "{}", "{}{}", "\xef\xbb\xbf{}", "{\"\":\"\"}", `{"SecretId":null}`))
		case 4:
			body = append(body, oneOf(g, "x", "}", "{}", "\x00", strings.Repeat(" ", 1000))...)
		case 5: // a wrong type, the value beside it
			body = []byte(`{"SecretId":` + oneOf(g, "1", "true", "[]", "{}", `["x"]`, "1.5e3") + `,"SecretString":"` + g.value() + `"}`)
		case 6: // a value of a wrong type
			body = []byte(`{"SecretId":"` + g.name() + `","SecretString":` + oneOf(g, `["%s"]`, `{"a":"%s"}`, `"%s`, `"%s"x`) + `}`)
			body = bytes.ReplaceAll(body, []byte("%s"), []byte(g.value()))
		case 7: // one member twice, and both kinds of value
			body = []byte(`{"SecretId":"` + g.name() + `","SecretId":"` + g.name() + `","SecretString":"` + g.value() + `","SecretBinary":"` + markInBase64 + `"}`)
		case 8: // what is no base64
			body = []byte(`{"SecretId":"` + g.name() + `","SecretBinary":"` + markInBase64 + oneOf(g, "=", "!", "===", "\\u0000") + `"}`)
		case 9: // names and tokens as they must not be
			body = []byte(`{"SecretId":"` + oneOf(g, "", strings.Repeat("x", 3000), "a b", "../..", "arn:aws:secretsmanager:us-east-1:1:secret", "\\u0000", "é") + `","ClientRequestToken":"` + oneOf(g, "", "short", strings.Repeat("t", 65)) + `","SecretString":"` + g.value() + `"}`)
		}
	}
	return body
}

func insert(body []byte, at int, text string) []byte {
	return append(body[:at:at], append([]byte(text), body[at:]...)...)
}

// nested is a value many levels deep, in a member that is known or not.
func nested(g *generator, _ string, _ []byte) []byte {
	depth := 1 << g.IntN(17)
	begin, end := "[", "]"
	if g.IntN(2) == 0 {
		begin, end = `{"a":`, "}"
	}
	if g.IntN(4) == 0 {
		end = "" // never closed
	}
	inner := oneOf(g, "1", `"`+mark+`"`, "")
	member := oneOf(g, "SecretId", "Tags", "Filters", "unknown", "VersionStages", "SecretString")
	depth = min(depth, maxDepthBytes/(len(begin)+len(end)))
	return []byte(`{"` + member + `":` + strings.Repeat(begin, depth) + inner + strings.Repeat(end, depth) + `}`)
}

const (
	maxDepthBytes = 500_000 // under the limit of a body
	listBytes     = 200_000
)

// hugeList is a list of many elements where few are allowed.
func hugeList(g *generator, _ string, _ []byte) []byte {
	begin, element := `{"SecretId":"`+g.name()+`","Tags":[`, oneOf(g, `{}`, `{"Key":"k","Value":"v"}`, `null`, `[]`)
	switch g.IntN(4) {
	case 0:
		begin, element = `{"SecretIdList":[`, oneOf(g, `"a"`, `null`, `""`)
	case 1:
		begin, element = `{"Filters":[{"Key":"name","Values":[`, `"x"`
	case 2:
		begin, element = `{"SecretId":"`+g.name()+`","VersionStages":[`, oneOf(g, `"s"`, `1`)
	}
	n := 1 + g.IntN(listBytes/len(element))
	return []byte(begin + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]}")
}

func tooLarge(g *generator, _ string, _ []byte) []byte {
	return []byte(`{"SecretId":"` + g.name() + `","SecretString":"` + mark + strings.Repeat("x", 512<<10+g.IntN(1<<20)) + `"}`)
}

// wrongTarget asks for what is not there.
func wrongTarget(ctx context.Context, g *generator) outcome {
	operation, body := g.valid()
	r, _ := g.request(ctx, operation, body)
	switch g.IntN(4) {
	case 0:
		r.Header.Set("X-Amz-Target", oneOf(g, "", "secretsmanager", "secretsmanager.", "secretsmanager.getSecretValue", "SecretsManager.GetSecretValue",
			"secretsmanager.DeleteEverything", "DynamoDB_20120810.GetItem", "TrentService.Decrypt", "secretsmanager.GetSecretValue.x", strings.Repeat("x", 4000)))
	case 1:
		r.Header.Del("X-Amz-Target")
	case 2:
		r.Method = oneOf(g, http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, "PROPFIND")
	case 3:
		r.Header.Add("X-Amz-Target", "secretsmanager.GetSecretValue")
		r.Header.Add("X-Amz-Target", "secretsmanager.DeleteSecret")
	}
	resign(g, r, body)
	return g.do(r, body)
}

func resign(g *generator, r *http.Request, body []byte) {
	if g.IntN(2) == 0 {
		r.Header.Del("Authorization")
		_ = sign(r, abuserKey, body, time.Now()) // what cannot be signed is sent as it is
	}
}

// wrongHeader sends headers that no SDK sends; some are to be ignored.
func wrongHeader(ctx context.Context, g *generator) outcome {
	operation, body := g.valid()
	r, _ := g.request(ctx, operation, body)
	switch g.IntN(10) {
	case 0:
		r.Header.Del("Content-Type")
	case 1:
		r.Header.Set("Content-Type", oneOf(g, "text/html", "application/json", "multipart/form-data; boundary=x", "x", "application/x-amz-json-1.1; charset=utf-16"))
	case 2:
		r.Header.Set("Content-Encoding", oneOf(g, "gzip", "br", "identity", "x"))
	case 3:
		r.Header.Set("X-Long", strings.Repeat("x", 1+g.IntN(20_000)))
	case 4:
		for i := range 1 + g.IntN(300) {
			r.Header.Set(fmt.Sprint("X-", i), "v")
		}
	case 5:
		r.Header.Set("Host", oneOf(g, "evil.example", ""))
		r.Host = oneOf(g, "evil.example", "127.0.0.1", "localhost:1", "secretsmanager.us-east-1.amazonaws.com")
	case 6:
		r.Header.Set("Origin", "https://evil.example")
	case 7:
		r.Header.Set("Expect", oneOf(g, "100-continue", "x"))
	case 8:
		r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
	case 9:
		for _, name := range []string{"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "User-Agent", "X-Forwarded-For", "X-Amz-Security-Token"} {
			r.Header.Set(name, oneOf(g, strings.Repeat("é", 500), "\t", "1", `{"a":"b"}`, "attempt=999999999999999999999"))
		}
	}
	resign(g, r, body)
	return g.do(r, body)
}

// wrongSignature sends a valid call, which nobody signed who may.
func wrongSignature(ctx context.Context, g *generator) outcome {
	operation, body := g.valid()
	r, _ := g.request(ctx, operation, body)
	header := r.Header.Get("Authorization")
	set := func(text string) { r.Header.Set("Authorization", text) }
	again := func(key string, at time.Time) {
		r.Header.Del("Authorization")
		_ = sign(r, key, body, at) // what cannot be signed is sent as it is
	}
	switch g.IntN(14) {
	case 0:
		r.Header.Del("Authorization")
	case 1:
		again("AKIANOBODY0000000001", time.Now())
	case 2:
		set(flipLast(header))
	case 3:
		again(abuserKey, time.Now().Add(oneOf(g, -time.Hour, time.Hour, -6*time.Minute)))
	case 4: // another body than was signed, of the same length
		r, _ = g.request(ctx, operation, bytes.Repeat([]byte("x"), len(body)))
		r.Body, r.GetBody = http.NoBody, nil
		r.Body = readerOf(body)
	case 5:
		set(strings.Replace(header, "/secretsmanager/", oneOf(g, "/s3/", "/dynamodb/", "//"), 1))
	case 6:
		set(strings.Replace(header, "SignedHeaders=", "SignedHeaders=a;", 1))
	case 7: // what is not signed any more is changed
		r.Header.Set("X-Amz-Target", "secretsmanager."+oneOf(g, "ListSecretVersionIds2", "DeleteResourcePolicy"))
	case 8:
		r.Header.Add("Authorization", header)
	case 9:
		set(oneOf(g, "", "Basic "+base64.StdEncoding.EncodeToString([]byte("a:b")), "Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature="))
	case 10:
		r.Header.Set("X-Amz-Content-Sha256", oneOf(g, "UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", strings.Repeat("0", 64)))
	case 11:
		r.Header.Set("X-Amz-Date", oneOf(g, "", "now", "99991231T235959Z", time.Now().UTC().Format("20060102T150405.000Z")))
	case 12:
		set(strings.Replace(header, "Signature=", "Signature="+strings.Repeat("0", 4000), 1))
	case 13: // signed in the URL
		r.Header.Del("Authorization")
		r.URL.RawQuery = url.Values{"X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, "X-Amz-Credential": {abuserKey + "/20260101/us-east-1/secretsmanager/aws4_request"}, "X-Amz-Signature": {strings.Repeat("0", 64)}}.Encode()
	}
	return g.do(r, body)
}

// flipLast changes the last character of a signature.
func flipLast(header string) string {
	last := header[len(header)-1]
	if last == '0' {
		return header[:len(header)-1] + "1"
	}
	return header[:len(header)-1] + "0"
}
