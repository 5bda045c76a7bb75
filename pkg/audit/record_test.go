package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
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

// A long string of a caller costs the record nothing else, and what does not fit in a
// line is left out one member after the other.
func TestLargeRecordKeepsTheRest(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	many := make([]Resource, 3000)
	for i := range many {
		many[i] = Secrets(secretARN)[0]
	}
	additional := map[string]any{"policyStatement": "statement 1", "versionId": "v2"}
	whole := aCall()
	for name, c := range map[string]struct {
		change func(*Record)
		want   func(*Record) // of the record without the change
	}{
		"user agent": {func(r *Record) { r.UserAgent = long }, func(r *Record) { r.UserAgent = long[:1024] + "…" }},
		"role": {
			func(r *Record) { r.UserIdentity.SessionContext.SessionIssuer.ARN = long },
			func(r *Record) { r.UserIdentity.SessionContext.SessionIssuer.ARN = long[:1024] + "…" },
		},
		"statement": {
			func(r *Record) { r.AdditionalEventData["policyStatement"] = long },
			func(r *Record) { r.AdditionalEventData["policyStatement"] = long[:1024] + "…" },
		},
		"parameters": {
			func(r *Record) { r.RequestParameters = map[string]any{"x": long} },
			func(r *Record) { r.RequestParameters = map[string]any{"omitted": true, "originalSize": 8.0 + MaxLine} },
		},
		"response": {
			func(r *Record) {
				r.RequestParameters, r.ResponseElements = map[string]any{"secretId": "s"}, map[string]any{"x": long}
			},
			func(r *Record) {
				r.RequestParameters = map[string]any{"omitted": true, "originalSize": 16.0}
				r.ResponseElements = map[string]any{"omitted": true, "originalSize": 8.0 + MaxLine}
			},
		},
		"many secrets": {
			func(r *Record) { r.Resources, r.RequestParameters, r.ResponseElements = many, nil, nil },
			func(r *Record) {
				r.Resources, r.RequestParameters, r.ResponseElements = nil, nil, nil
				r.AdditionalEventData = map[string]any{"omitted": true, "originalSize": 50.0}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, want := aCall(), aCall()
			r.AdditionalEventData, want.AdditionalEventData = maps.Clone(additional), maps.Clone(additional)
			c.change(&r)
			c.want(&want)
			line, err := r.line()
			if err != nil {
				t.Fatal(err)
			}
			if wanted, _ := encode(want); string(line) != string(wanted) {
				t.Errorf("got  %.2000s\nwant %.2000s", line, wanted)
			}
			if !reflect.DeepEqual(aCall(), whole) {
				t.Error("the record itself was changed")
			}
		})
	}
}

// The record of a refused call is short, whatever was sent, and says who called, when,
// what, about which secret, and why it was refused. One that may have changed something
// is whole.
func TestRefusedCallIsShort(t *testing.T) {
	long := strings.Repeat("x", MaxLine/4)
	r := aRefusal()
	r.UserAgent, r.ErrorMessage = long, "User is not authorized: "+long
	r.RequestParameters["description"] = long
	r.RequestParameters["tags"] = []any{map[string]any{"key": "k", "value": "v"}}
	r.AdditionalEventData = map[string]any{DenialReason: "denied by " + long, "policyStatement": "statement 1"}
	size, _ := encode(r.RequestParameters)
	line, err := r.line()
	if err != nil {
		t.Fatal(err)
	}
	if len(line) > 5000 {
		t.Errorf("got %d bytes", len(line))
	}
	var got Record
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"secretId": "prod/db", "omitted": true, "originalSize": float64(len(size) - 1)}; !reflect.DeepEqual(got.RequestParameters, want) {
		t.Errorf("got parameters %v, want %v", got.RequestParameters, want)
	}
	if got.UserIdentity != r.UserIdentity || time.Time(got.EventTime).IsZero() || got.EventName != r.EventName || got.ErrorCode != r.ErrorCode ||
		!strings.HasPrefix(got.ErrorMessage, "User is not authorized: ") || !strings.HasSuffix(got.ErrorMessage, "x…") ||
		!strings.HasPrefix(got.AdditionalEventData[DenialReason].(string), "denied by ") || got.AdditionalEventData["policyStatement"] != "statement 1" {
		t.Errorf("something else was cut: %s", line)
	}
	r.AdditionalEventData[Outcome] = OutcomeUnknown
	if line, err := r.line(); err != nil || !bytes.Contains(line, []byte(long)) {
		t.Errorf("the outcome is unknown, and the parameters are cut (%v)", err)
	}
	name := Call("CreateSecret", "id", noon)
	name.ErrorCode, name.RequestParameters = "ValidationException", map[string]any{"name": long}
	if line, err := name.line(); err != nil || len(line) > 3000 || !bytes.Contains(line, []byte(`"name":"xxxx`)) {
		t.Errorf("got %d bytes of a long name (%v): %.200s", len(line), err, line)
	}
	short := aRefusal()
	if line, err := short.line(); err != nil || !bytes.Contains(line, []byte(`"requestParameters":{"secretId":"prod/db"}`)) {
		t.Errorf("what is short anyway is cut: %s (%v)", line, err)
	}
}

// A string is cut where it is longer than 1024 bytes, between characters.
func TestClipped(t *testing.T) {
	for s, want := range map[string]string{
		strings.Repeat("x", 1024):      strings.Repeat("x", 1024),
		strings.Repeat("x", 1025):      strings.Repeat("x", 1024) + "…",
		"x" + strings.Repeat("ä", 512): "x" + strings.Repeat("ä", 511) + "…",
		strings.Repeat("\xff", 1025):   "?…",
	} {
		r := aCall()
		r.ErrorMessage = s
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
