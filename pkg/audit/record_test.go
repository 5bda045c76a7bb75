package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

var updateGolden = flag.Bool("update", false, "write the golden records anew")

var noon = time.Date(2026, 3, 4, 13, 0, 0, 123456789, time.FixedZone("", 3600))

const secretARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db-a1B2c3"

func aCall() Record {
	r := Call("PutSecretValue", "11111111-2222-3333-4444-555555555555", noon)
	r.UserIdentity = IdentityOf("arn:aws:sts::123456789012:assumed-role/app/i-0abc", "123456789012", "AROAEXAMPLE:i-0abc", "ASIAEXAMPLE")
	r.AWSRegion, r.RecipientAccountID = "eu-central-1", "123456789012"
	r.SourceIPAddress, r.UserAgent = "192.0.2.7", "aws-cli/2 <a&b>"
	r.RequestParameters = map[string]any{Member("SecretId"): "prod/db", Member("ClientRequestToken"): "v2", Member("VersionStages"): []string{"AWSCURRENT"}}
	r.ResponseElements = map[string]any{Member("ARN"): secretARN}
	r.AdditionalEventData = map[string]any{"allowedBy": "statement 1"}
	r.RequestID = "99999999-2222-3333-4444-555555555555"
	r.Resources = Secrets(secretARN)
	return r
}

func aRefusal() Record {
	r := Call("GetSecretValue", "21111111-2222-3333-4444-555555555555", noon)
	r.UserIdentity = IdentityOf("arn:aws:iam::123456789012:user/team/ann", "123456789012", "AIDAEXAMPLE", "AKIAEXAMPLE")
	r.AWSRegion, r.RecipientAccountID = "eu-central-1", "123456789012"
	r.SourceIPAddress = "198.51.100.1"
	r.ErrorCode, r.ErrorMessage = "AccessDeniedException", "User is not authorized"
	r.RequestParameters = map[string]any{"secretId": "prod/db"}
	return r
}

func anEvent() Record {
	return Event(RotationFailed, "31111111-2222-3333-4444-555555555555", noon, secretARN,
		"Error when executing lambda arn:aws:lambda:eu-central-1:123456789012:function:rotate during setSecret step")
}

// What reads CloudTrail's records reads these: a file here is changed only for a
// better likeness.
func TestGoldenRecords(t *testing.T) {
	for file, r := range map[string]Record{"call.json": aCall(), "refusal.json": aRefusal(), "event.json": anEvent()} {
		t.Run(file, func(t *testing.T) {
			line, err := r.line()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasSuffix(line, []byte("\n")) {
				t.Errorf("not one line: %q", line)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, line, "", "  "); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", file)
			if *updateGolden {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got %s\nwant %s", &got, want)
			}
		})
	}
}

func TestRecordIsReadAsItWasWritten(t *testing.T) {
	line, err := aCall().line()
	if err != nil {
		t.Fatal(err)
	}
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	again, err := r.line()
	if err != nil || !bytes.Equal(line, again) {
		t.Errorf("got %s (%v), want %s", again, err, line)
	}
}

func TestMember(t *testing.T) {
	for name, want := range map[string]string{
		"SecretId": "secretId", "ARN": "arn", "KmsKeyId": "kmsKeyId", "ClientRequestToken": "clientRequestToken",
		"RotationLambdaARN": "rotationLambdaARN", "AddReplicaRegions": "addReplicaRegions", "Name": "name", "": "",
	} {
		if got := Member(name); got != want {
			t.Errorf("Member(%q) is %q, want %q", name, got, want)
		}
	}
}

func TestReadOnly(t *testing.T) {
	for name, want := range map[string]bool{
		"GetSecretValue": true, "BatchGetSecretValue": true, "DescribeSecret": true, "ListSecretVersionIds": true, "GetRandomPassword": true,
		"ValidateResourcePolicy": true, "PutSecretValue": false, "DeleteSecret": false, "TagResource": false, "RotateSecret": false, "": false,
	} {
		if got := Call(name, "", noon).ReadOnly; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestSecretsAreARNs(t *testing.T) {
	got := Secrets(secretARN, "prod/db", "")
	want := []Resource{{AccountID: "123456789012", Type: "AWS::SecretsManager::Secret", ARN: secretARN}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A caller may send what it likes: line breaks, what is not UTF-8, and a lot of it.
func TestAnythingIsOneLineOfLimitedSize(t *testing.T) {
	for name, bad := range map[string]string{
		"line breaks": "a\nb\r\u2028\u2029\x00\x1b",
		"not UTF-8":   "\xff\xfe",
		"long":        strings.Repeat("ä", MaxLine/8),
		"escaped":     strings.Repeat("\x01", MaxLine/8),
		"not cut":     strings.Repeat("\xbf", MaxLine/8),
	} {
		t.Run(name, func(t *testing.T) {
			r := aCall()
			r.EventName, r.UserAgent, r.ErrorCode, r.ErrorMessage, r.RequestID, r.SourceIPAddress = bad, bad, bad, bad, bad, bad
			r.UserIdentity = IdentityOf("arn:aws:sts::1:assumed-role/"+bad+"/x", bad, bad, bad)
			r.UserIdentity.UserName = bad
			r.RequestParameters = map[string]any{"secretId": bad, bad: []any{bad, map[string]any{bad: bad}}}
			r.ResponseElements, r.AdditionalEventData = r.RequestParameters, r.RequestParameters
			r.Resources = Secrets("arn:aws:secretsmanager:eu-central-1:1:secret:" + bad)
			before, _ := json.Marshal(r)
			line, err := r.line()
			if err != nil {
				t.Fatal(err)
			}
			if len(line) > MaxLine || bytes.Count(line, []byte("\n")) != 1 {
				t.Errorf("%d bytes in %d lines", len(line), bytes.Count(line, []byte("\n")))
			}
			if !json.Valid(line) {
				t.Error("it is not JSON")
			}
			if after, _ := json.Marshal(r); !bytes.Equal(before, after) {
				t.Error("the record itself was changed")
			}
		})
	}
}

func TestLargeRecordSaysWhatWasLeftOut(t *testing.T) {
	r := aCall()
	r.RequestParameters["description"] = strings.Repeat("x", MaxLine)
	size, _ := json.Marshal(r.RequestParameters)
	line, err := r.line()
	if err != nil {
		t.Fatal(err)
	}
	var got Record
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"omitted": true, "originalSize": float64(len(size))}; !reflect.DeepEqual(got.RequestParameters, want) {
		t.Errorf("got %v, want %v", got.RequestParameters, want)
	}
	if got.ResponseElements["arn"] != secretARN || got.AdditionalEventData["allowedBy"] == nil || got.UserAgent != r.UserAgent {
		t.Errorf("more was left out than need be: %s", line)
	}
	if r.RequestParameters["description"] == nil {
		t.Error("the record itself was changed")
	}
}

// What is shortened besides the parameters is marked in AdditionalEventData, which is
// left out before that itself.
func TestLargeRecordIsMarked(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	many := make([]Resource, 3000)
	for i := range many {
		many[i] = Secrets(secretARN)[0]
	}
	few := many[:100]
	for name, c := range map[string]struct {
		change     func(*Record)
		additional map[string]any
		resources  int
	}{
		"user agent":                      {func(r *Record) { r.UserAgent, r.AdditionalEventData = long, nil }, map[string]any{"omitted": true}, 1},
		"user agent and additional data":  {func(r *Record) { r.UserAgent = long }, map[string]any{"omitted": true, "originalSize": 50.0}, 1},
		"role":                            {func(r *Record) { r.UserIdentity.SessionContext.SessionIssuer.ARN, r.AdditionalEventData = long, nil }, map[string]any{"omitted": true}, 1},
		"many secrets":                    {func(r *Record) { r.Resources, r.AdditionalEventData = many, nil }, map[string]any{"omitted": true}, 0},
		"user agent and some secrets":     {func(r *Record) { r.UserAgent, r.Resources, r.AdditionalEventData = long, few, nil }, map[string]any{"omitted": true}, 100},
		"parameters, and nothing besides": {func(r *Record) { r.RequestParameters["x"], r.AdditionalEventData = long, nil }, nil, 1},
		"parameters": {
			func(r *Record) { r.RequestParameters["x"] = long },
			map[string]any{"policyStatement": "statement 1", "versionId": "v2"},
			1,
		},
		"response": {
			func(r *Record) { r.ResponseElements["x"] = long },
			map[string]any{"policyStatement": "statement 1", "versionId": "v2"},
			1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := aCall()
			r.AdditionalEventData = map[string]any{"policyStatement": "statement 1", "versionId": "v2"}
			c.change(&r)
			line, err := r.line()
			if err != nil {
				t.Fatal(err)
			}
			var got Record
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.AdditionalEventData, c.additional) || len(got.Resources) != c.resources {
				t.Errorf("got %v and %d resources, want %v and %d", got.AdditionalEventData, len(got.Resources), c.additional, c.resources)
			}
		})
	}
}

// A string is cut where it is longer than 512 bytes, between characters.
func TestClipped(t *testing.T) {
	for s, want := range map[string]string{
		strings.Repeat("x", 512):       strings.Repeat("x", 512),
		strings.Repeat("x", 513):       strings.Repeat("x", 512) + "…",
		"x" + strings.Repeat("ä", 256): "x" + strings.Repeat("ä", 255) + "…",
		strings.Repeat("\xff", 513):    "?…",
	} {
		r := aCall()
		r.UserAgent, r.ErrorMessage = strings.Repeat("x", MaxLine), s
		line, err := r.line()
		if err != nil {
			t.Fatal(err)
		}
		var got Record
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		if got.ErrorMessage != want {
			t.Errorf("got %q of %.20q…, want %q", got.ErrorMessage, s, want)
		}
	}
}

func TestLinesIsOneWritePerKeep(t *testing.T) {
	var w recorder
	trail := Lines(&w)
	if err := trail.Keep(t.Context(), aCall(), aRefusal()); err != nil {
		t.Fatal(err)
	}
	if err := trail.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(w.writes) != 1 || strings.Count(w.writes[0], "\n") != 2 {
		t.Errorf("got %q", w.writes)
	}
	if !strings.Contains(w.writes[0], "<a&b>") {
		t.Error("HTML is escaped")
	}
}

// A record that cannot be written takes the others with it, and the error does not
// say what is in it.
func TestLinesAllOrNone(t *testing.T) {
	for name, bad := range map[string]any{"number": math.Inf(1), "type": make(chan int), "own": leaky{}} {
		t.Run(name, func(t *testing.T) {
			var w recorder
			r := aCall()
			r.RequestParameters["mark"] = bad
			err := Lines(&w).Keep(t.Context(), aRefusal(), r)
			if err == nil || len(w.writes) != 0 {
				t.Errorf("got %v and %q", err, w.writes)
			}
			if strings.Contains(err.Error(), "Inf") || strings.Contains(err.Error(), "tail") {
				t.Errorf("the error quotes the record: %v", err)
			}
		})
	}
}

// leaky has an error that tells what is in it.
type leaky struct{}

func (leaky) MarshalJSON() ([]byte, error) { return nil, errors.New("telltale") }

// What follows a line that was half written begins on a line of its own.
func TestLinesAfterFailedWrite(t *testing.T) {
	full := errors.New("no space left")
	for name, c := range map[string]struct {
		n    int // written by the first write
		err  error
		torn bool
	}{
		"nothing":     {0, full, false},
		"half a line": {10, full, true},
		"short":       {10, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := recorder{n: c.n, err: c.err, fail: true}
			trail := Lines(&w)
			if err := trail.Keep(t.Context(), aCall()); err == nil || c.err != nil && !errors.Is(err, c.err) || c.err == nil && !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("got %v", err)
			}
			w.fail = false
			if err := trail.Keep(t.Context(), aCall()); err != nil {
				t.Fatal(err)
			}
			if got := strings.HasPrefix(w.writes[1], "\n"); got != c.torn {
				t.Errorf("got %q", w.writes[1])
			}
			if err := trail.Keep(t.Context(), aCall()); err != nil || strings.HasPrefix(w.writes[2], "\n") {
				t.Errorf("got %v and %q", err, w.writes[2])
			}
		})
	}
}

// recorder remembers its writes, and fails as it is told.
type recorder struct {
	writes []string
	fail   bool
	n      int
	err    error
}

func (w *recorder) Write(text []byte) (int, error) {
	w.writes = append(w.writes, string(text))
	if w.fail {
		return w.n, w.err
	}
	return len(text), nil
}

func keep(t *testing.T, trail Trail, records ...Record) {
	t.Helper()
	if err := trail.Keep(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
}

// keepMany keeps from several goroutines at once, and says how many records.
func keepMany(t *testing.T, trail Trail) int {
	t.Helper()
	const goroutines, each = 8, 25
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for range each {
				if err := trail.Keep(context.Background(), aCall(), aRefusal()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	return goroutines * each * 2
}

func TestLinesConcurrently(t *testing.T) {
	var w recorder
	n := keepMany(t, Lines(&w))
	if got := strings.Split(strings.TrimSpace(strings.Join(w.writes, "")), "\n"); len(got) != n {
		t.Errorf("got %d lines, want %d", len(got), n)
	}
}
