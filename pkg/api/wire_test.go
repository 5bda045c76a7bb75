package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

func serialization(text string) refusal { return refusal{"SerializationException", text} }

var (
	notJSON    = serialization("The request body is not valid JSON.")
	notUnicode = serialization("The request body is not valid Unicode text.")
	notObject  = serialization("The request body is not a JSON object.")
)

func nullAt(path string) refusal {
	return violation("Value null at '" + path + "' failed to satisfy constraint: Member must not be null")
}

// send makes a request with a method and headers of its own.
func send(t testing.TB, room *localtest.Room, method string, header map[string]string, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, room.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	return localtest.Do(t, req)
}

func TestBodies(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	id := `"SecretId":"s","ClientRequestToken":"` + token("v2") + `"`
	wrong := func(path, kind string) refusal {
		return serialization("The value at '" + path + "' is not " + kind + ".")
	}
	for _, test := range []struct {
		operation, body string
		want            refusal
	}{
		// Not JSON, or not an object.
		{"DescribeSecret", `{`, notJSON},
		{"DescribeSecret", `{"SecretId":"s"`, notJSON},
		{"DescribeSecret", `{"SecretId":"s"}}`, notJSON},
		{"DescribeSecret", `{"SecretId":"s"}{}`, notJSON},
		{"DescribeSecret", `{'SecretId':'s'}`, notJSON},
		{"DescribeSecret", `{"SecretId":"s",}`, notJSON},
		{"DescribeSecret", `{"SecretId":"a` + "\n" + `b"}`, notJSON},
		{"DescribeSecret", `SecretId=s`, notJSON},
		{"DescribeSecret", `<SecretId>s</SecretId>`, notJSON},
		{"DescribeSecret", strings.Repeat(`[`, 100_000), notJSON},
		{"DescribeSecret", `[]`, notObject},
		{"DescribeSecret", `[{"SecretId":"s"}]`, notObject},
		{"DescribeSecret", `"s"`, notObject},
		{"DescribeSecret", `1`, notObject},
		{"DescribeSecret", `true`, notObject},
		// Nothing in it.
		{"DescribeSecret", ``, nullAt("secretId")},
		{"DescribeSecret", " \n", nullAt("secretId")},
		{"DescribeSecret", `{}`, nullAt("secretId")},
		{"DescribeSecret", `null`, nullAt("secretId")},
		{"DescribeSecret", `{"SecretId":null}`, nullAt("secretId")},
		{"DescribeSecret", `{"SecretId": null }`, nullAt("secretId")},
		{"CreateSecret", `{}`, nullAt("name")},
		{"UpdateSecretVersionStage", `{}`, refusal{"ValidationException", "2 validation errors detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null; Value null at 'versionStage' failed to satisfy constraint: Member must not be null"}},
		// Names of members are case-sensitive.
		{"DescribeSecret", `{"secretId":"s"}`, nullAt("secretId")},
		{"DescribeSecret", `{"SECRETID":"s"}`, nullAt("secretId")},
		{"DescribeSecret", `{" SecretId":"s"}`, nullAt("secretId")},
		{"PutSecretValue", `{` + id + `,"secretString":"two"}`, refusal{"InvalidRequestException", "You must provide either SecretString or SecretBinary."}},
		// Wrong types.
		{"DescribeSecret", `{"SecretId":1}`, wrong("secretId", "a string")},
		{"DescribeSecret", `{"SecretId":true}`, wrong("secretId", "a string")},
		{"DescribeSecret", `{"SecretId":["s"]}`, wrong("secretId", "a string")},
		{"DescribeSecret", `{"SecretId":{"Name":"s"}}`, wrong("secretId", "a string")},
		{"PutSecretValue", `{` + id + `,"SecretString":{"user":"u"}}`, wrong("secretString", "a string")},
		{"PutSecretValue", `{` + id + `,"SecretString":12345678}`, wrong("secretString", "a string")},
		{"PutSecretValue", `{` + id + `,"SecretBinary":1}`, wrong("secretBinary", "a base64 string")},
		{"PutSecretValue", `{` + id + `,"SecretBinary":[1,2,3]}`, wrong("secretBinary", "a base64 string")},
		{"PutSecretValue", `{` + id + `,"SecretBinary":[]}`, wrong("secretBinary", "a base64 string")},
		{"PutSecretValue", `{` + id + `,"SecretBinary":{}}`, wrong("secretBinary", "a base64 string")},
		{"PutSecretValue", `{` + id + `,"SecretBinary":"#"}`, wrong("secretBinary", "a base64 string")},
		{"PutSecretValue", `{` + id + `,"SecretBinary":"eA"}`, wrong("secretBinary", "a base64 string")},
		{"PutSecretValue", `{` + id + `,"SecretBinary":"eA=="x}`, notJSON},
		{"PutSecretValue", `{` + id + `,"SecretBinary":"-_-_"}`, wrong("secretBinary", "a base64 string")},
		{"PutSecretValue", `{` + id + `,"SecretString":"two","VersionStages":"mine"}`, wrong("versionStages", "a list of strings")},
		{"PutSecretValue", `{` + id + `,"SecretString":"two","VersionStages":[1]}`, wrong("versionStages", "a list of strings")},
		{"PutSecretValue", `{` + id + `,"SecretString":"two","VersionStages":[["mine"]]}`, wrong("versionStages", "a list of strings")},
		{"PutSecretValue", `{` + id + `,"SecretString":"two","VersionStages":{"mine":1}}`, wrong("versionStages", "a list of strings")},
		{"CreateSecret", `{"Name":"n","Tags":{"Key":"a"}}`, wrong("tags", "a list")},
		{"CreateSecret", `{"Name":"n","Tags":"a"}`, wrong("tags", "a list")},
		{"CreateSecret", `{"Name":"n","Tags":["a"]}`, wrong("tags.1.member", "a structure")},
		{"CreateSecret", `{"Name":"n","Tags":[{"Key":"a"},{"Key":1}]}`, wrong("tags.2.member.key", "a string")},
		{"DeleteSecret", `{"SecretId":"s","RecoveryWindowInDays":"7"}`, wrong("recoveryWindowInDays", "a whole number")},
		{"DeleteSecret", `{"SecretId":"s","RecoveryWindowInDays":7.5}`, wrong("recoveryWindowInDays", "a whole number")},
		{"DeleteSecret", `{"SecretId":"s","RecoveryWindowInDays":9223372036854775808}`, wrong("recoveryWindowInDays", "a whole number")},
		{"DeleteSecret", `{"SecretId":"s","ForceDeleteWithoutRecovery":"true"}`, wrong("forceDeleteWithoutRecovery", "a boolean")},
		{"DeleteSecret", `{"SecretId":"s","ForceDeleteWithoutRecovery":1}`, wrong("forceDeleteWithoutRecovery", "a boolean")},
		{"ListSecretVersionIds", `{"SecretId":"s","MaxResults":"1"}`, wrong("maxResults", "a whole number")},
		{"ListSecretVersionIds", `{"SecretId":"s","IncludeDeprecated":"no"}`, wrong("includeDeprecated", "a boolean")},
		// A null is an element of no list.
		{"CreateSecret", `{"Name":"n","Tags":[{"Key":"a"},null]}`, nullAt("tags.2.member")},
		{"PutSecretValue", `{` + id + `,"SecretString":"two","VersionStages":[null]}`, nullAt("versionStages.1")},
		// Text that would not be read back as it was written.
		{"PutSecretValue", `{` + id + `,"SecretString":"` + "\xff" + `"}`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"` + "\xed\xa0\x80" + `"}`, notUnicode}, // U+D800 in UTF-8
		{"PutSecretValue", `{` + id + `,"SecretString":"` + "\xc0\x80" + `"}`, notUnicode},     // an overlong NUL
		{"PutSecretValue", `{` + id + `,"SecretString":"\ud800"}`, notUnicode},
		// The body is cut in the midst of a pair.
		{"PutSecretValue", `{` + id + `,"SecretString":"\ud800`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"\ud800\`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"\ud800\u`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"\ud800\udc0`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"\ud800\udc00`, notJSON},
		{"PutSecretValue", `{` + id + `,"SecretString":"\ud80`, notJSON},
		{"PutSecretValue", `{` + id + `,"SecretString":"\`, notJSON},
		{"PutSecretValue", `{` + id + `,"SecretString":"\udc00"}`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"\uDFFFx"}`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"\ud83dx\ude00"}`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"\ud83d\ud83d\ude00"}`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"\ude00\ud83d"}`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"\ud83d\\ude00"}`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"\\\ud83d"}`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"two","\ud83d":1}`, notUnicode},
		{"PutSecretValue", `{` + id + `,"SecretString":"\u12"}`, notJSON},
		{"PutSecretValue", "\xff\xfe{\x00}\x00", notUnicode},
		{"DescribeSecret", "\ufeff" + `{"SecretId":"s"}`, notJSON}, // a byte order mark
		// Several at once, in the order of the members; sensitive values not quoted.
		{"PutSecretValue", `{"SecretId":"","ClientRequestToken":"short","SecretString":"","SecretBinary":"","VersionStages":[],"RotationToken":"_"}`, refusal{
			"ValidationException", "7 validation errors detected: " +
				"Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value 'short' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32; " +
				"Value at 'secretBinary' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value at 'secretString' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value '[]' at 'versionStages' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value at 'rotationToken' failed to satisfy constraint: Member must have length greater than or equal to 36; " +
				`Value at 'rotationToken' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9\-]+$`,
		}},
		{"CreateSecret", `{"Name":"n","Tags":[{"Key":""},{"Key":"a","Value":"` + strings.Repeat("v", 257) + `"}]}`, refusal{
			"ValidationException", "2 validation errors detected: " +
				"Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value '" + strings.Repeat("v", 257) + "' at 'tags.2.member.value' failed to satisfy constraint: Member must have length less than or equal to 256",
		}},
		// Serialization comes before constraints, and these before names.
		{"PutSecretValue", `{"SecretId":"","SecretString":1}`, wrong("secretString", "a string")},
		{"PutSecretValue", `{"SecretId":"a b","SecretString":""}`, violation("Value at 'secretString' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"PutSecretValue", `{"SecretId":"a b","SecretString":"two"}`, invalidName},
	} {
		name := test.operation + " " + test.body
		t.Run(name[:min(len(name), 80)], func(t *testing.T) {
			refusesPost(t, room, test.operation, test.body, test.want)
		})
	}
}

func TestBodiesTaken(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v0", "zero")
	for i, test := range []struct{ members, want string }{
		{`"SecretString":"two"`, "two"},
		{`"SecretString":"two","SecretBinary":null,"VersionStages":null,"RotationToken":null`, "two"},
		{`"SecretString":"two","Foo":{"Bar":[1,{"\u0000":null}]},"secretBinary":7,"":""`, "two"}, // unknown members
		{`"SecretString":"\ud83d\ude00\uD83D\uDE00"`, "😀😀"},
		{`"SecretString":"\\ud800"`, `\ud800`},
		{`"SecretString":"\\\\ud800\\"`, `\\ud800\`},
		{`"SecretString":"\u0000\u001f\u007f\ufffd\uffff"`, "\x00\x1f\x7f\ufffd\uffff"},
		{`"SecretString":"<&>\u2028"`, "<&>\u2028"},
		{"\n\t\"SecretString\" : \"two\" \r\n", "two"},
	} {
		version := fmt.Sprint("v", i+1)
		answer, body := room.Post(t, "PutSecretValue", `{"SecretId":"s","ClientRequestToken":"`+token(version)+`",`+test.members+`}`)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("got %s to %s, want 200", body, test.members)
			continue
		}
		checkHeaders(t, answer)
		if got := *get(t, room, "s").SecretString; got != test.want {
			t.Errorf("got value %q of %s, want %q", got, test.members, test.want)
		}
	}
}

func TestBodySize(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	create(t, room, "s", "v1", "one")
	const largest = 524_288
	body := `{"SecretId":"s"}`
	body += strings.Repeat(" ", largest-len(body))
	if answer, text := room.Post(t, "DescribeSecret", body); answer.StatusCode != http.StatusOK {
		t.Errorf("got status %d and %s to %d bytes, want 200", answer.StatusCode, text, len(body))
	}
	before := dump(t, room)
	answer, text := room.Post(t, "DescribeSecret", body+" ")
	if want := `{"__type":"RequestEntityTooLargeException","message":"The request is larger than 524288 bytes."}`; answer.StatusCode != http.StatusRequestEntityTooLarge || text != want {
		t.Errorf("got status %d and %s to %d bytes, want 413 and %s", answer.StatusCode, text, len(body)+1, want)
	}
	checkHeaders(t, answer)
	checkSame(t, before, dump(t, room))
}

// An answer is not many times its request, however many violations it has.
func TestManyViolations(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	element := `{"Key":"","Value":"` + strings.Repeat("v", 257) + `"}`
	body := `{"Tags":[` + strings.Repeat(element+",", 49) + element + `]}`
	answer, text := room.Post(t, "CreateSecret", body)
	if answer.StatusCode != http.StatusBadRequest || !strings.Contains(text, `"100 validation errors detected: Value null at 'name'`) || len(text) > 2*len(body) {
		t.Errorf("got status %d and %d bytes that begin with %.60s, want the first 100 violations of 101", answer.StatusCode, len(text), text)
	}
	checkSame(t, nil, dump(t, room))
}

// A request that ends before its end is no request.
func TestBodyCut(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	call := httptest.NewRequest(http.MethodPost, "/", brokenBody{strings.NewReader(`{"Name":"s"}`)})
	call.Header.Set("Content-Type", "application/x-amz-json-1.1")
	call.Header.Set("X-Amz-Target", "secretsmanager.CreateSecret")
	answer := httptest.NewRecorder()
	room.ServeHTTP(answer, call)
	checkAnswer(t, answer.Result(), answer.Body.String(), serialization("The request body could not be read."))
	checkSame(t, nil, dump(t, room))
}

type brokenBody struct{ *strings.Reader }

func (b brokenBody) Read(p []byte) (int, error) {
	if n, _ := b.Reader.Read(p); n > 0 {
		return n, nil
	}
	return 0, http.ErrHandlerTimeout
}

func TestTargets(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for _, target := range []string{
		"",
		"secretsmanager.",
		"secretsmanager.Unknown",
		"secretsmanager.putSecretValue",
		"secretsmanager.PutSecretValue2",
		"PutSecretValue",
		"SecretsManager.PutSecretValue",
		"DynamoDB_20120810.GetItem",
		"TrentService.Decrypt",
	} {
		answer, body := send(t, room, http.MethodPost, map[string]string{"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}, `{"SecretId":"s"}`)
		checkAnswer(t, answer, body, refusal{code: "UnknownOperationException"})
	}
	answer, body := send(t, room, http.MethodPost, map[string]string{"Content-Type": "application/x-amz-json-1.1"}, `{"SecretId":"s"}`)
	checkAnswer(t, answer, body, refusal{code: "UnknownOperationException"})
}

// What is not of this protocol is answered in none: 404 and an XML element.
func TestNotJSON(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	const target, json = "secretsmanager.CreateSecret", "application/x-amz-json-1.1"
	for _, test := range []struct{ method, contentType string }{
		{http.MethodPost, ""},
		{http.MethodPost, "text/plain"},
		{http.MethodPost, "application/xml"},
		{http.MethodPost, "application/x-www-form-urlencoded"},
		{http.MethodPost, "application/x-amz-json"},
		{http.MethodPost, "application/x-amz-json-1.2"},
		{http.MethodPost, "text/" + json},
		{http.MethodGet, json},
		{http.MethodPut, json},
		{http.MethodDelete, json},
		{http.MethodPatch, json},
		{http.MethodOptions, json},
	} {
		header := map[string]string{"X-Amz-Target": target}
		if test.contentType != "" {
			header["Content-Type"] = test.contentType
		}
		answer, body := send(t, room, test.method, header, `{"Name":"s"}`)
		if answer.StatusCode != http.StatusNotFound || strings.TrimSpace(body) != "<UnknownOperationException/>" {
			t.Errorf("%s %q: got status %d and %q, want 404 and <UnknownOperationException/>", test.method, test.contentType, answer.StatusCode, body)
		}
		if answer.Header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s %q: got no request ID", test.method, test.contentType)
		}
	}
	checkSame(t, nil, dump(t, room))
}

func TestContentTypesTaken(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	createEmpty(t, room, "s")
	for _, contentType := range []string{"application/x-amz-json-1.1", "application/x-amz-json-1.0", "application/json", "application/x-amz-json-1.1; charset=utf-8", "Application/X-Amz-Json-1.1"} {
		answer, body := send(t, room, http.MethodPost, map[string]string{"Content-Type": contentType, "X-Amz-Target": "secretsmanager.DescribeSecret"}, `{"SecretId":"s"}`)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("got status %d and %s to content type %s, want 200", answer.StatusCode, body, contentType)
		}
		checkHeaders(t, answer)
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	seen := map[string]bool{}
	for _, body := range []string{`{"SecretId":"unknown"}`, `{}`, `{`, `{"SecretId":"unknown"}`} {
		for _, header := range []map[string]string{
			{"Content-Type": "application/json", "X-Amz-Target": "secretsmanager.DescribeSecret"},
			{"Content-Type": "application/json", "X-Amz-Target": "secretsmanager.CreateSecret"},
			{"Content-Type": "application/json"},
			{},
		} {
			// An ID that the caller brings is not ours.
			header["X-Amzn-Requestid"] = "brought"
			answer, _ := send(t, room, http.MethodPost, header, body)
			id := answer.Header.Get("X-Amzn-Requestid")
			if id == "" || id == "brought" || seen[id] {
				t.Errorf("got request ID %q, want a new one", id)
			}
			seen[id] = true
		}
	}
}

// Refusals of the service have a Message, those of the framework a message. The
// SDK reads both; here it is the text.
func TestMessages(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	for body, want := range map[string]string{
		`{"SecretId":"unknown"}`: `{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`,
		`{}`:                     `{"__type":"ValidationException","message":"1 validation error detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null"}`,
		`{`:                      `{"__type":"SerializationException","message":"The request body is not valid JSON."}`,
	} {
		if _, got := room.Post(t, "DescribeSecret", body); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	// What the caller sends is shown as it was sent.
	_, body := room.Post(t, "DescribeSecret", `{"SecretId":"<&>\u0000`+strings.Repeat("😀", 2048)+`"}`)
	var answer struct{ Message string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if want := "1 validation error detected: Value '<&>\x00" + strings.Repeat("😀", 2048) + "' at 'secretId' failed to satisfy constraint: Member must have length less than or equal to 2048"; answer.Message != want {
		t.Errorf("got message of %d bytes, want %d bytes", len(answer.Message), len(want))
	}
}
