package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/api"
	"github.com/strongroom/strongroom/pkg/audit"
	"github.com/strongroom/strongroom/pkg/envelope"
	"github.com/strongroom/strongroom/pkg/local"
	"github.com/strongroom/strongroom/pkg/local/localtest"
	"github.com/strongroom/strongroom/pkg/policy"
	"github.com/strongroom/strongroom/pkg/prune"
	rotating "github.com/strongroom/strongroom/pkg/rotate"
	"github.com/strongroom/strongroom/pkg/secret"
)

// What must not be found. Encodings change some of the characters.
const (
	markedText    = `Zq7"mark<&>\of=the+value/é~?;Xw3`
	markedBlob    = "\x00\xfe\xffBlob?>~mark+/of=the\x80value\x01"
	markedToken   = "rOtAtIoN-7-mArK-oF-tHe-tOkEn-3-x2Y4z6W8"
	markedKey     = "\x9ddata\xf0key?mark~\x03\x00\xff>p+of/it=\x7f\xc3\x28\x81\xfe" // as long as an AES-256 key
	markedSecret  = "s3cReT+mArK/oF/tHe/aCcEsS/kEy/Qv5Rj1Lx8"
	wrongSecret   = "wR0nG+sEcReT+mArK/oF/aN/aCcEsS/kEy/T6n2"
	markedSession = "SeSsIoN/mArK+oF+tHe+cAlLeR//Jm4Pk0Hd7=="
)

func marks() map[string]string {
	return map[string]string{
		"SecretString": markedText, "SecretBinary": markedBlob, "RotationToken": markedToken, "access key's secret": markedSecret,
		"another secret": wrongSecret, "session token": markedSession, "data key's first half": markedKey[:16], "data key's other half": markedKey[16:],
	}
}

// forms are the ways in which text may hold a mark, by their names.
func forms(mark string) map[string]string {
	inner := func(quoted string) string { return quoted[1 : len(quoted)-1] }
	asJSON := func(s string, forHTML bool) string {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(forHTML)
		_ = e.Encode(s) // strings can always be encoded
		return inner(strings.TrimSuffix(b.String(), "\n"))
	}
	list := strings.Trim(fmt.Sprintf("%d", []byte(mark)), "[]")
	all := map[string]string{
		"plain": mark, "quoted": inner(strconv.Quote(mark)), "quoted in ASCII": inner(strconv.QuoteToASCII(mark)),
		"hex": hex.EncodeToString([]byte(mark)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(mark))),
		"URL query": url.QueryEscape(mark), "URL path": url.PathEscape(mark), "URL": (&url.URL{Path: mark}).EscapedPath(), "list": list, "list with commas": strings.ReplaceAll(list, " ", ","),
		"list in JSON": strings.ReplaceAll(list, " ", ", "), "Go": strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(mark)), "[]byte{"), "}"),
	}
	for _, name := range []string{"URL query", "URL path", "URL"} {
		all[name+" in lower case"] = percent.ReplaceAllStringFunc(all[name], strings.ToLower)
	}
	for before := range 3 { // bytes in front of it, in what was encoded
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 for URLs": base64.RawURLEncoding} {
			encoded := encoding.EncodeToString([]byte(strings.Repeat("x", before) + mark))
			encoded = encoded[(before*8+5)/6 : (before+len(mark))*8/6] // what depends on the mark alone
			all[fmt.Sprint(name, " at ", before)] = encoded
			all[fmt.Sprint(name, " at ", before, ", escaped")] = url.QueryEscape(encoded)
			all[fmt.Sprint(name, " at ", before, ", with slashes escaped")] = strings.ReplaceAll(encoded, "/", `\/`)
		}
	}
	// JSON, and JSON in JSON.
	for _, name := range []string{"plain", "quoted", "quoted in ASCII"} {
		for _, forHTML := range []bool{true, false} {
			once := asJSON(all[name], forHTML)
			all[fmt.Sprint(name, " in JSON, for HTML ", forHTML)] = once
			all[fmt.Sprint(name, " in JSON in JSON, for HTML ", forHTML)] = asJSON(once, forHTML)
		}
	}
	return all
}

var percent = regexp.MustCompile(`%[0-9A-F]{2}`)

// find is the form in which text holds a mark, and where; empty for none.
func find(text, mark string) (form, excerpt string) {
	for name, form := range forms(mark) {
		if i := strings.Index(text, form); i >= 0 {
			return name, fmt.Sprintf("%q", text[max(0, i-200):min(len(text), i+len(form)+80)])
		}
	}
	return "", ""
}

// The search finds what it looks for.
func TestMarksAreFound(t *testing.T) {
	t.Parallel()
	for what, mark := range marks() {
		for name, encode := range map[string]func(string) string{
			"plain": func(s string) string { return s },
			"JSON": func(s string) string {
				b, _ := json.Marshal(s)
				return string(b)
			},
			"JSON in a log": func(s string) string {
				var b, inside bytes.Buffer
				slog.New(slog.NewJSONHandler(&inside, nil)).Info("x", "y", s)
				slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "y", inside.String())
				return b.String()
			},
			"JSON of bytes": func(s string) string {
				b, _ := json.Marshal([]byte(s))
				return string(b)
			},
			"text log": func(s string) string {
				var b bytes.Buffer
				slog.New(slog.NewTextHandler(&b, nil)).Info("x", "y", s)
				return b.String()
			},
			"%q":                 func(s string) string { return fmt.Sprintf("%q", s) },
			"%q in a log":        func(s string) string { return quoted(fmt.Sprintf("%q", s)) },
			"%x":                 func(s string) string { return fmt.Sprintf("%x", s) },
			"%X":                 func(s string) string { return fmt.Sprintf("%X", s) },
			"%d of bytes":        func(s string) string { return fmt.Sprintf("%d", []byte(s)) },
			"%#v of bytes":       func(s string) string { return fmt.Sprintf("%#v", []byte(s)) },
			"form":               func(s string) string { return url.Values{"x": {s}}.Encode() },
			"path":               func(s string) string { return (&url.URL{Path: "/x/" + s}).String() },
			"base64":             func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
			"base64, one off":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte("a" + s + "bcd")) },
			"base64, two off":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte("ab" + s + "c")) },
			"base64 for URLs":    func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("abcd" + s)) },
			"base64 in a form":   func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s + "x"))) },
			"base64 of a longer": func(s string) string { return base64.URLEncoding.EncodeToString([]byte(strings.Repeat("y", 50) + s)) },
		} {
			if form, _ := find("before "+encode(mark)+" after", mark); form == "" {
				t.Errorf("%s is not found as %s in %q", what, name, encode(mark))
			}
		}
		for other, text := range marks() {
			if form, _ := find(text, mark); form != "" && other != what {
				t.Errorf("%s is found as %s in %s", what, form, other)
			}
		}
	}
}

// markingKMS is KMS whose data keys are, in plain, all the same.
type markingKMS struct {
	envelope.KMS
	panics bool // with the key
}

func (k *markingKMS) mark(plain *[]byte) {
	*plain = []byte(markedKey)
	if k.panics {
		panic(fmt.Sprintf("%s %x", *plain, *plain))
	}
}

func (k *markingKMS) GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, o ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	out, err := k.KMS.GenerateDataKey(ctx, in, o...)
	if err == nil {
		k.mark(&out.Plaintext)
	}
	return out, err
}

func (k *markingKMS) Decrypt(ctx context.Context, in *kms.DecryptInput, o ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	out, err := k.KMS.Decrypt(ctx, in, o...)
	if err == nil {
		k.mark(&out.Plaintext)
	}
	return out, err
}

// A spy is the service with everything it writes, by where it writes it.
type spy struct {
	*localtest.Room
	t        testing.TB
	kms      *markingKMS
	log      bytes.Buffer // JSON
	plainLog bytes.Buffer
	trail    bytes.Buffer
	// answers are all but those that give a value on purpose, which are revealed.
	answers, revealed strings.Builder
	// table is what was in it, each time that it was looked at.
	table strings.Builder
	ran   map[string]int

	mu sync.Mutex
	// alsoMarks are secrets that came up on the way.
	alsoMarks map[string]string
}

func newSpy(t testing.TB) *spy {
	t.Helper()
	s := &spy{Room: localtest.New(t), t: t, alsoMarks: map[string]string{}, ran: map[string]int{}}
	s.restart()
	return s
}

// restart is the service as another process has it, with nothing remembered.
func (s *spy) restart() {
	s.Room = s.Another(s.t)
	s.kms = &markingKMS{KMS: s.KMS}
	s.Server.Sealer = &envelope.Sealer{KMS: s.kms, DefaultKey: localtest.Shared().DefaultKey, Keep: time.Minute}
	everything := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	s.Server.Log = slog.New(slog.NewMultiHandler(slog.NewJSONHandler(&s.log, everything), slog.NewTextHandler(&s.plainLog, everything)))
	s.Server.Trail, s.Server.AuditRequired = audit.Lines(&s.trail), true
	s.Server.Policies = must(policy.ParseSet("policies.json", []byte(`[`+document(allowAll)+`]`)))(s.t)
	s.Server.Rotator = &checker{}
}

// call makes a call, and keeps its answer.
func (s *spy) call(caller policy.Caller, operation, body string) *httptest.ResponseRecorder {
	return s.send(caller, operation, newCall(s.t.Context(), operation, body))
}

func (s *spy) send(caller policy.Caller, operation string, call *http.Request) *httptest.ResponseRecorder {
	answer := answerTo(s.Room, call, uuid.NewString(), caller)
	s.ran[operation]++
	into := &s.answers
	if answer.Code == http.StatusOK && caller.ARN == alice.ARN && (operation == "GetSecretValue" || operation == "BatchGetSecretValue") {
		into = &s.revealed
	}
	fmt.Fprintf(into, "%s: %d %v %s\n", operation, answer.Code, answer.Header(), answer.Body)
	return answer
}

// must makes a call that must be answered.
func (s *spy) must(operation, body string) {
	s.t.Helper()
	if answer := s.call(alice, operation, body); answer.Code != http.StatusOK {
		s.t.Fatalf("%s %s: got %d %s, want 200", operation, body, answer.Code, answer.Body)
	}
}

// alsoMark has something more looked for.
func (s *spy) alsoMark(what, mark string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alsoMarks[what] = mark
}

// look keeps the raw items of the table: all that is stored, and the bytes as they are.
func (s *spy) look() {
	s.t.Helper()
	for key, text := range dump(s.t, s.Room) {
		s.table.WriteString(key + text + "\n")
	}
	for _, it := range must(localtest.Shared().Tables.Items(s.Table))(s.t) {
		for name, value := range it {
			if b, ok := value.(*types.AttributeValueMemberB); ok {
				s.table.WriteString(name + ": " + string(b.Value) + "\n")
			}
		}
	}
}

// check looks for the marks in all that was written.
func (s *spy) check() {
	s.t.Helper()
	all := marks()
	maps.Copy(all, s.alsoMarks)
	for place, text := range map[string]string{
		"log": s.log.String(), "log in text": s.plainLog.String(), "audit records": s.trail.String(), "answers": s.answers.String(), "table": s.table.String(),
	} {
		if len(text) < 1000 {
			s.t.Errorf("got a %s of %d bytes, which can't be all", place, len(text))
		}
		for what, mark := range all {
			if form, excerpt := find(text, mark); form != "" {
				s.t.Errorf("the %s is in the %s, %s: %s", what, place, form, excerpt)
			}
		}
	}
}

// sensitive are the members with marks, and what may be wrong about them.
func sensitive() []string {
	text, blob, rotation := quoted(markedText), quoted(base64.StdEncoding.EncodeToString([]byte(markedBlob))), quoted(markedToken)
	id := `"ClientRequestToken":"` + token("m1") + `",`
	return []string{
		id + `"SecretString":` + text,
		id + `"SecretBinary":` + blob,
		id + `"SecretString":` + text + `,"RotationToken":` + rotation,
		id + `"SecretString":` + text + `,"SecretBinary":` + blob + `,"RotationToken":` + rotation,
		`"SecretString":` + text,
		`"ClientRequestToken":"short","SecretString":` + text + `,"SecretBinary":` + blob + `,"RotationToken":` + rotation,
		id + `"SecretString":[` + text + `]`,
		id + `"SecretString":{` + text + `:` + text + `}`,
		id + `"SecretBinary":` + text,
		id + `"SecretBinary":[` + blob + `]`,
		id + `"SecretBinary":` + quoted(base64.RawURLEncoding.EncodeToString([]byte(markedBlob+"x"))),
		id + `"RotationToken":[` + rotation + `],"SecretString":` + text,
		id + `"RotationToken":` + quoted(markedToken+"*") + `,"SecretString":` + text,
		id + `"RotationToken":` + quoted(strings.Repeat(markedToken, 20)) + `,"SecretString":` + text,
		id + `"RotationToken":` + quoted(markedToken[:30]) + `,"SecretString":` + text,
		id + `"SecretString":` + quoted(strings.Repeat(markedText, 3000)),
		id + `"SecretBinary":` + quoted(base64.StdEncoding.EncodeToString([]byte(strings.Repeat(markedBlob, 3000)))),
		id + `"SecretString":` + quoted(strings.Repeat(markedText, 33_000)),
		id + `"VersionStages":[],"SecretString":` + text,
		id + `"VersionStages":"none","SecretString":` + text,
		id + `"KmsKeyId":"alias/none","SecretString":` + text,
		id + `"Description":5,"SecretString":` + text,
		id + `"SecretString":"` + markedText[:3] + "\xff" + `","SecretBinary":` + blob,
		id + `"SecretString":` + strings.TrimSuffix(text, `"`) + `\ud800"`,
		id + `"SecretString":` + strings.TrimSuffix(text, `"`),
		id + `"SecretString":` + text + `}` + text,
	}
}

// No value, no token of a rotation, no data key and no secret of an access key is in
// anything that is written but the answers to those who asked for the value: not in
// a log, a record, a metric, an error or the table, whatever is asked and whatever
// goes wrong.
func TestNoLeaks(t *testing.T) {
	t.Parallel()
	s := newSpy(t)
	given := `"SecretString":` + quoted(markedText)
	given2 := `"SecretBinary":` + quoted(base64.StdEncoding.EncodeToString([]byte(markedBlob)))
	s.must("CreateSecret", `{"Name":"s","ClientRequestToken":"`+token("v1")+`",`+given+`}`)
	s.must("CreateSecret", `{"Name":"b","ClientRequestToken":"`+token("v1")+`",`+given2+`}`)
	s.must("CreateSecret", `{"Name":"deleted","ClientRequestToken":"`+token("v1")+`",`+given+`}`)
	s.must("DeleteSecret", `{"SecretId":"deleted"}`)

	s.look()
	s.operations()
	s.look()
	s.repeats(given, given2)
	s.faults(given)
	s.panics(given)
	s.accessKeys()
	s.rotations()
	s.schedules()
	s.look()

	for operation := range rights {
		if s.ran[operation] < 20 {
			t.Errorf("got %d calls of %s, want all sorts", s.ran[operation], operation)
		}
	}
	// The answers that are meant to have them do, as far as the search can see.
	for what, mark := range map[string]string{"SecretString": markedText, "SecretBinary": markedBlob} {
		if form, _ := find(s.revealed.String(), mark); form == "" {
			t.Errorf("the %s is not in the answers to who may read it", what)
		}
	}
	s.check()
}

// operations makes every call there is, right and wrong, by who may and by who may
// not.
func (s *spy) operations() {
	all := sensitive()
	for operation, right := range rights {
		names := []string{"s", "deleted", "none", "a b", ""}
		if right.subject == "Name" {
			names = []string{"s", "new-" + operation, "deleted", "a b", ""}
		}
		for n, name := range names {
			body := right.request(name)
			s.call(stranger, operation, body)
			s.call(policy.Caller{}, operation, body)
			if name != "s" || !slices.Contains([]string{"DeleteSecret", "UntagResource"}, operation) {
				s.call(alice, operation, body)
			}
			for i, members := range all {
				if name != "s" && (len(members) > 10_000 || 1+i%(len(names)-1) != n) {
					continue // each with s, and with one of the other names
				}
				more := "{" + strings.TrimSuffix(strings.TrimPrefix(right.request(name), "{"), "}")
				if operation == "CreateSecret" || operation == "PutSecretValue" || operation == "UpdateSecret" {
					more = `{"` + right.subject + `":` + quoted(name)
				}
				if more != "{" {
					more += ","
				}
				s.call(alice, operation, more+members+"}")
				if name == "s" {
					s.call(stranger, operation, more+members+"}")
				}
				if name == "s" && operation == "DeleteSecret" {
					s.must("RestoreSecret", `{"SecretId":"s"}`)
				}
			}
		}
		for _, body := range []string{quoted(markedText), markedText, `[` + quoted(markedText) + `]`, `{"SecretId":"s","SecretString":` + quoted(markedText)[:20]} {
			s.call(alice, operation, body)
		}
		call := newCall(s.t.Context(), operation, `{`+all[3]+`}`)
		call.Header.Set("Content-Type", "text/plain")
		s.send(alice, operation, call)
	}
	s.call(alice, "ExportSecret", `{"SecretId":"s",`+all[3]+`}`)
	s.restart()
}

// repeats uses tokens again, with the same value and with others.
func (s *spy) repeats(given, given2 string) {
	for _, value := range []string{given, given2, given2, given, `"SecretString":"another"`} {
		for _, version := range []string{"v1", "v2", "v3"} {
			for _, operation := range []string{"PutSecretValue", "UpdateSecret"} {
				s.call(alice, operation, `{"SecretId":"b","ClientRequestToken":"`+token(version)+`",`+value+`}`)
			}
			s.call(alice, "CreateSecret", `{"Name":"b","ClientRequestToken":"`+token(version)+`",`+value+`}`)
		}
	}
	for _, members := range []string{``, `,"VersionId":"` + token("v1") + `"`, `,"VersionId":"` + token("v2") + `"`, `,"VersionStage":"AWSPREVIOUS"`, `,"VersionStage":"none"`} {
		s.call(alice, "GetSecretValue", `{"SecretId":"b"`+members+`}`)
	}
	s.call(alice, "BatchGetSecretValue", `{"SecretIdList":["s","b","none","deleted"]}`)
	s.call(alice, "BatchGetSecretValue", `{"Filters":[{"Key":"name","Values":["s","b"]}]}`)
}

// echo refuses a call and says in the error what was asked.
func echo(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
	body, err := io.ReadAll(call.Body)
	if err != nil {
		return nil, err
	}
	return localtest.Refuse(http.StatusBadRequest, "ValidationException", `"Message":`+quoted(string(body)))(call, do)
}

// garbled lets a call happen, and cuts its answer short, which is no JSON then.
func (s *spy) garbled(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
	answer, err := do()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	var out struct{ Plaintext []byte }
	if json.Unmarshal(body, &out) == nil && len(out.Plaintext) == 32 {
		s.alsoMark(fmt.Sprintf("data key %x in an answer of KMS", sha256.Sum256(out.Plaintext)), string(out.Plaintext))
	}
	answer.Body = io.NopCloser(bytes.NewReader(body[:len(body)-2]))
	answer.ContentLength = -1
	answer.Header.Del("X-Amz-Crc32") // of the whole
	return answer, nil
}

// faults breaks each call to the engines in each way.
func (s *spy) faults(given string) {
	calls := 0
	for _, engine := range []string{"GetItem", "BatchGetItem", "Query", "UpdateItem", "TransactWriteItems", "GenerateDataKey", "Decrypt", "ReEncrypt"} {
		s.look()
		for _, fault := range []localtest.Fault{
			localtest.Cut, localtest.LoseAnswer, echo, s.garbled,
			localtest.Refuse(400, "AccessDeniedException"), localtest.Refuse(400, "ThrottlingException"), localtest.Refuse(400, "DisabledException"),
			localtest.Refuse(400, "InvalidCiphertextException"), localtest.Refuse(500, "InternalServerError"), localtest.Cancel("TransactionConflict"),
		} {
			s.restart()
			s.Wire.Break(engine, times(2*attempts, fault)...)
			calls++
			id := `"ClientRequestToken":"` + token(fmt.Sprint("f", calls)) + `",`
			for _, call := range []struct{ operation, body string }{
				{"PutSecretValue", `{"SecretId":"s",` + id + given + `}`},
				{"GetSecretValue", `{"SecretId":"s"}`},
				{"BatchGetSecretValue", `{"SecretIdList":["s","b"]}`},
				{"CreateSecret", fmt.Sprintf(`{"Name":"f%d",`, calls) + id + given + `}`},
				{"UpdateSecret", `{"SecretId":"b","KmsKeyId":"` + localtest.Shared().DefaultKey + `"}`},
				{"RotateSecret", `{"SecretId":"s",` + id + given + `,"RotationLambdaARN":"` + function + `","RotateImmediately":false}`},
				{"ListSecrets", `{}`},
				{"ListSecretVersionIds", `{"SecretId":"s"}`},
			} {
				s.call(alice, call.operation, call.body)
			}
			s.call(alice, "CancelRotateSecret", `{"SecretId":"s"}`)
		}
	}
	s.restart()
}

// panics has parts of the service panic with what they have at hand.
func (s *spy) panics(given string) {
	put := `{"SecretId":"s","ClientRequestToken":"` + token("x1") + `",` + given + `,"RotationToken":"` + markedToken + `"}`
	for _, with := range []any{markedText, []byte(markedText), errors.New(markedText), struct{ Value, Token string }{markedText, markedToken}, secret.NewValue(secret.String, []byte(markedText)), fmt.Errorf("%w", errors.New(markedToken))} {
		fault := func(*http.Request, func() (*http.Response, error)) (*http.Response, error) { panic(with) }
		s.restart()
		s.Wire.Break("TransactWriteItems", fault)
		s.Wire.Break("BatchGetItem", fault)
		s.Wire.Break("Decrypt", fault, fault)
		s.call(alice, "PutSecretValue", put)
		s.call(alice, "BatchGetSecretValue", `{"SecretIdList":["s","b"]}`)
		s.call(alice, "BatchGetSecretValue", `{"SecretIdList":["s","b"]}`)
		s.call(alice, "GetSecretValue", `{"SecretId":"s"}`)
		s.Server.Now = func() time.Time { panic(with) }
		s.call(alice, "PutSecretValue", put)
		s.Server.Now = nil
		for _, required := range []bool{true, false} {
			kept := s.Server.Trail
			s.Server.Trail, s.Server.AuditRequired = &memory{keep: func(context.Context, []audit.Record) error { panic(with) }}, required
			s.call(alice, "PutSecretValue", put)
			s.call(alice, "DescribeSecret", `{"SecretId":"s"}`)
			s.Server.Trail = kept
		}
	}
	s.restart()
	s.kms.panics = true
	s.call(alice, "PutSecretValue", put)
	s.call(alice, "GetSecretValue", `{"SecretId":"s"}`)
	s.call(alice, "BatchGetSecretValue", `{"SecretIdList":["s","b"]}`)
	s.restart()
}

// accessKeys comes through the gate of the local server, with the right secret and
// with a wrong one.
func (s *spy) accessKeys() {
	path := filepath.Join(s.t.TempDir(), "credentials.json")
	const id = "AKIAALICE00000000001"
	entry := `{"user":"alice","accessKeyId":"` + id + `","secretAccessKey":` + quoted(markedSecret)
	for _, text := range []string{`[` + entry, `[` + entry + `,"x":1}]`, `[` + entry + `},` + entry + `}]`, `[{"user":"alice","accessKeyId":"` + id + `","secretAccessKey":` + quoted(markedSecret+" "+markedSecret) + `}]`, `[` + entry + `}]`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
		found, err := local.ReadCredentials(path, local.Account)
		fmt.Fprintf(&s.answers, "credentials: %v %+v %#v %s %v\n", found, found, err, err, err)
	}
	identify := must(local.ReadCredentials(path, local.Account))(s.t).Identify
	gate := httptest.NewUnstartedServer(&local.Gate{
		Bounds: local.NewBounds(api.MaxBody, s.Server.Log), Identify: identify, Log: s.Server.Log,
		Answer: func(w http.ResponseWriter, r *http.Request, by local.Identity) error {
			s.Server.Answer(w, r, uuid.NewString(), by.Caller)
			return nil
		},
	})
	gate.Config.ErrorLog = log.New(&s.plainLog, "", 0)
	gate.Start()
	defer gate.Close()
	for _, key := range []struct{ id, secret, session string }{
		{id, markedSecret, markedSession}, {id, markedSecret, ""}, {id, wrongSecret, markedSession}, {"AKIAUNKNOWN00000001", markedSecret, markedSession},
	} {
		client := secretsmanager.New(secretsmanager.Options{
			Region: local.Region, BaseEndpoint: aws.String(gate.URL), Retryer: aws.NopRetryer{},
			Credentials: credentials.NewStaticCredentialsProvider(key.id, key.secret, key.session),
		})
		out, err := client.DescribeSecret(s.t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")})
		fmt.Fprintf(&s.answers, "%v %v\n", out, err)
		if allowed := key.id == id && key.secret == markedSecret; allowed != (err == nil) {
			s.t.Errorf("got error %v with the access key %s, want it let through: %v", err, key.id, allowed)
		}
	}
}

// A leakyFunction is a rotation function that tells all it knows.
type leakyFunction struct {
	*spy
	step int
}

func (f *leakyFunction) Invoke(_ context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	var order struct{ Step, SecretId, ClientRequestToken, RotationToken string }
	if err := json.Unmarshal(in.Payload, &order); err != nil {
		return nil, err
	}
	f.alsoMark("token of rotation "+order.ClientRequestToken, order.RotationToken)
	if f.step++; order.Step == "createSecret" {
		f.look()
	}
	switch {
	case order.Step == "createSecret":
		body := `{"SecretId":"` + order.SecretId + `","ClientRequestToken":"` + order.ClientRequestToken + `","VersionStages":["AWSPENDING"],"SecretString":` + quoted(markedText) + `,"RotationToken":"`
		f.call(runner, "PutSecretValue", body+order.RotationToken+`"}`)
		f.call(runner, "PutSecretValue", body+markedToken+`"}`)
		f.call(stranger, "PutSecretValue", body+order.RotationToken+`"}`)
	case f.step%3 == 0:
		return nil, errors.New("no connection")
	default:
		said := []byte(`{"errorMessage":` + quoted(order.RotationToken+" "+markedText) + `,"errorType":` + quoted(markedText) + `}`)
		return &lambda.InvokeOutput{FunctionError: aws.String("Unhandled"), Payload: said, LogResult: aws.String(base64.StdEncoding.EncodeToString(said))}, nil
	}
	return &lambda.InvokeOutput{Payload: []byte("null")}, nil
}

// rotations runs rotations that fail, to the last attempt, and one that is ended by
// a put.
func (s *spy) rotations() {
	s.must("CreateSecret", `{"Name":"r","ClientRequestToken":"`+token("v1")+`","SecretString":`+quoted(markedText)+`}`)
	s.must("RotateSecret", `{"SecretId":"r","ClientRequestToken":"`+token("r1")+`","RotationLambdaARN":"`+function+`","RotationToken":"`+markedToken+`"}`)
	now := time.Now()
	rotator := &rotating.Rotator{
		Store: s.Store, Lambda: &leakyFunction{spy: s}, StepTimeout: time.Minute, RetryDelay: time.Second, Parallel: 1,
		Now: func() time.Time { return now }, Log: s.Server.Log, OnEvent: rotating.Recorder(s.Server.Trail, s.Server.Log),
	}
	s.Server.Now = func() time.Time { return now }
	for range secret.MaxAttempts + 1 {
		now = now.Add(time.Hour)
		sum, err := rotator.Run(s.t.Context())
		s.Server.Log.LogAttrs(s.t.Context(), slog.LevelInfo, "rotated", rotating.Metrics(s.Table, sum, now)...)
		fmt.Fprintf(&s.answers, "%+v %v\n", sum, err)
	}
	s.Wire.Break("Query", many(localtest.Cut)...)
	sum, err := rotator.Run(s.t.Context())
	fmt.Fprintf(&s.answers, "%+v %v\n", sum, err)
	put := `{"SecretId":"r","ClientRequestToken":"` + token("v2") + `","SecretString":` + quoted(markedText)
	s.call(alice, "PutSecretValue", put+`,"RotationToken":"`+markedToken+`"}`) // of no rotation there is
	s.must("PutSecretValue", put+`}`)
	if len(s.alsoMarks) == 0 || !strings.Contains(s.trail.String(), `"RotationFailed"`) {
		s.t.Errorf("got %d tokens of rotations and no failure in the audit records", len(s.alsoMarks))
	}
	s.restart()
}

// schedules prunes, and purges what was deleted.
func (s *spy) schedules() {
	for i := range 5 {
		s.must("PutSecretValue", `{"SecretId":"b","ClientRequestToken":"`+token(fmt.Sprint("p", i))+`","SecretString":`+quoted(markedText)+`}`)
	}
	s.must("TagResource", `{"SecretId":"b","Tags":[{"Key":"strongroom:max-versions","Value":"0"},{"Key":"strongroom:min-age","Value":"0s"}]}`)
	s.must("DeleteSecret", `{"SecretId":"r","ForceDeleteWithoutRecovery":true}`)
	now := time.Now().AddDate(0, 2, 0)
	pruner := &prune.Pruner{Store: s.Store, Retention: secret.DefaultRetention, Log: s.Server.Log, Now: func() time.Time { return now }}
	for _, faults := range [][]localtest.Fault{many(localtest.Cut), many(echo), nil} {
		s.Wire.Break("TransactWriteItems", faults...)
		s.Wire.Break("BatchWriteItem", faults...)
		sum, err := pruner.Run(s.t.Context())
		s.Server.Log.LogAttrs(s.t.Context(), slog.LevelInfo, "pruned", prune.Metrics(s.Table, sum, now)...)
		fmt.Fprintf(&s.answers, "%+v %v\n", sum, err)
	}
}
