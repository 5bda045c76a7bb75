package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// service is CloudWatch Logs with one log group. What is in answers comes first,
// for one request each: a status, an operation it is for, and a body.
type service struct {
	t       *testing.T
	mu      sync.Mutex
	streams map[string]bool
	events  []types.InputLogEvent
	calls   []string
	batches [][]types.InputLogEvent
	answers []answer
}

type answer struct {
	operation string
	status    int
	body      string
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "Logs_20140328.")
	s.calls = append(s.calls, operation)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-RequestId", "request-1")
	if i := slices.IndexFunc(s.answers, func(a answer) bool { return a.operation == operation }); i >= 0 {
		a := s.answers[i]
		s.answers = slices.Delete(s.answers, i, i+1)
		w.WriteHeader(a.status)
		_, _ = fmt.Fprint(w, a.body)
		return
	}
	var in struct {
		LogGroupName, LogStreamName string
		LogEvents                   []types.InputLogEvent
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.t.Error(err)
	}
	refuse := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"__type":%q,"message":"refused"}`, code)
	}
	switch {
	case in.LogGroupName != "audit":
		refuse("ResourceNotFoundException")
	case operation == "CreateLogStream" && s.streams[in.LogStreamName]:
		refuse("ResourceAlreadyExistsException")
	case operation == "CreateLogStream":
		s.streams[in.LogStreamName] = true
	case !s.streams[in.LogStreamName]:
		refuse("ResourceNotFoundException")
	default:
		s.batches = append(s.batches, in.LogEvents)
		s.events = append(s.events, in.LogEvents...)
		_, _ = fmt.Fprint(w, "{}")
	}
}

// newLogs is a trail to a service, through the real client.
func newLogs(t *testing.T, answers ...answer) (*Logs, *service) {
	t.Helper()
	s := &service{t: t, streams: map[string]bool{}, answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client := cloudwatchlogs.New(cloudwatchlogs.Options{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String(server.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "x"}, nil
		}),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	})
	return &Logs{Client: client, Group: "audit", Stream: StreamName(noon, "id")}, s
}

func TestStreamName(t *testing.T) {
	if got := StreamName(noon, "id"); got != "2026/03/04/id" {
		t.Errorf("got %s", got)
	}
}

func TestLogs(t *testing.T) {
	const (
		create = "CreateLogStream"
		put    = "PutLogEvents"
	)
	failure := func(operation, code string) answer {
		return answer{operation, http.StatusBadRequest, `{"__type":"` + code + `","message":"about prod/db"}`}
	}
	for _, c := range []struct {
		name    string
		there   bool // the stream, before
		answers []answer
		calls   []string
		kept    int
		err     string // a part of it; empty for none
		never   string // what is not in it
	}{
		{name: "kept", calls: []string{create, put}, kept: 2},
		{name: "the stream is there", there: true, calls: []string{create, put}, kept: 2},
		{name: "the stream was deleted", answers: []answer{failure(put, "ResourceNotFoundException")}, calls: []string{create, put, create, put}, kept: 2},
		{
			name:    "the stream is deleted again",
			answers: []answer{failure(put, "ResourceNotFoundException"), failure(put, "ResourceNotFoundException")},
			calls:   []string{create, put, create, put}, err: "ResourceNotFoundException",
		},
		{
			name:    "there is no group",
			answers: []answer{failure(create, "ResourceNotFoundException")},
			calls:   []string{create}, err: "make a stream in the log group audit: ",
		},
		{name: "throttled", answers: []answer{failure(put, "ThrottlingException")}, calls: []string{create, put, put}, kept: 2},
		{name: "broken once", answers: []answer{{put, http.StatusServiceUnavailable, ""}}, calls: []string{create, put, put}, kept: 2},
		{
			name:    "throttled for long",
			answers: []answer{failure(put, "ThrottlingException"), failure(put, "ThrottlingException"), failure(put, "ThrottlingException")},
			calls:   []string{create, put, put, put}, err: "ThrottlingException",
		},
		{name: "not allowed", answers: []answer{failure(put, "AccessDeniedException")}, calls: []string{create, put}, err: "AccessDeniedException: about prod/db"},
		{
			name:    "not valid",
			answers: []answer{failure(put, "InvalidParameterException")},
			calls:   []string{create, put}, err: "put records into the log group audit: InvalidParameterException, request ID request-1", never: "prod/db",
		},
		{
			name:    "too new",
			answers: []answer{{put, http.StatusOK, `{"rejectedLogEventsInfo":{"tooNewLogEventStartIndex":0}}`}},
			calls:   []string{create, put}, err: "the log group audit rejected audit records: too new",
		},
		{
			name:    "too old",
			answers: []answer{{put, http.StatusOK, `{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":1}}`}},
			calls:   []string{create, put}, err: "too old",
		},
		{
			name:    "expired",
			answers: []answer{{put, http.StatusOK, `{"rejectedLogEventsInfo":{"expiredLogEventEndIndex":1}}`}},
			calls:   []string{create, put}, err: "older than the retention",
		},
		{name: "an answer that is none", answers: []answer{{put, http.StatusOK, `<html>`}}, calls: []string{create, put}, err: "put records into the log group audit: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			logs, s := newLogs(t, c.answers...)
			s.streams[logs.Stream] = c.there
			err := logs.Keep(t.Context(), aCall(), aRefusal())
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got error %v, want %q", err, c.err)
			}
			if err != nil && c.never != "" && strings.Contains(err.Error(), c.never) {
				t.Errorf("the error may quote a record: %v", err)
			}
			if len(s.events) != c.kept {
				t.Errorf("kept %d records, want %d", len(s.events), c.kept)
			}
			if !slices.Equal(s.calls, c.calls) {
				t.Errorf("got calls %v, want %v", s.calls, c.calls)
			}
		})
	}
}

// A record that cannot be written takes the others with it.
func TestLogsAllOrNone(t *testing.T) {
	logs, s := newLogs(t)
	bad := aCall()
	bad.RequestParameters["bad"] = make(chan int)
	if err := logs.Keep(t.Context(), aCall(), bad); err == nil || len(s.calls) != 0 {
		t.Errorf("got %v and calls %v, want an error and none", err, s.calls)
	}
}

func TestLogsEvents(t *testing.T) {
	logs, s := newLogs(t)
	late, early := aCall(), aRefusal()
	early.EventTime = Time(noon.Add(-time.Second))
	keep(t, logs, late, early)
	keep(t, logs, late)
	if want := []string{"CreateLogStream", "PutLogEvents", "PutLogEvents"}; !slices.Equal(s.calls, want) {
		t.Errorf("got calls %v, want %v", s.calls, want)
	}
	if len(s.events) != 3 {
		t.Fatalf("got %d events", len(s.events))
	}
	for i, want := range []Record{early, late, late} {
		text, err := want.line()
		if err != nil {
			t.Fatal(err)
		}
		line := strings.TrimSuffix(string(text), "\n")
		if got := s.events[i]; *got.Message != line || *got.Timestamp != time.Time(want.EventTime).UnixMilli() {
			t.Errorf("event %d: got %d %s, want %s", i, *got.Timestamp, *got.Message, line)
		}
	}
}

// What is too much for one request is sent in several, in order of time.
func TestLogsBatches(t *testing.T) {
	large := aCall()
	large.RequestParameters["description"] = strings.Repeat("x", 250*1024)
	old := aCall()
	old.EventTime = Time(noon.Add(-25 * time.Hour))
	for _, c := range []struct {
		name    string
		records []Record
		want    []int
	}{
		{"nothing", nil, nil},
		{"by size", slices.Repeat([]Record{large}, 5), []int{4, 1}},
		{"by time", []Record{aCall(), old, aCall()}, []int{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			logs, s := newLogs(t)
			keep(t, logs, c.records...)
			var got []int
			for _, batch := range s.batches {
				got = append(got, len(batch))
				size := 0
				for i, e := range batch {
					size += len(*e.Message) + 26
					if i > 0 && *e.Timestamp < *batch[i-1].Timestamp {
						t.Error("not in order of time")
					}
				}
				if size > 1_048_576 || len(batch) > 10_000 {
					t.Errorf("a request of %d events and %d bytes", len(batch), size)
				}
			}
			if !slices.Equal(got, c.want) || len(s.events) != len(c.records) {
				t.Errorf("got requests of %v, want %v", got, c.want)
			}
		})
	}
	if got := fitting(slices.Repeat([]types.InputLogEvent{{Message: aws.String(""), Timestamp: aws.Int64(0)}}, 10_001)); got != 10_000 {
		t.Errorf("%d events fit, want 10000", got)
	}
}

func TestLogsConcurrently(t *testing.T) {
	logs, s := newLogs(t)
	n := keepMany(t, logs)
	if len(s.events) != n {
		t.Errorf("got %d events, want %d", len(s.events), n)
	}
	if i := slices.Index(s.calls[1:], "CreateLogStream"); i >= 0 {
		t.Error("the stream was made twice")
	}
	// Whoever finds it gone makes it again.
	s.mu.Lock()
	clear(s.streams)
	s.mu.Unlock()
	if n += keepMany(t, logs); len(s.events) != n {
		t.Errorf("got %d events, want %d", len(s.events), n)
	}
}

func TestLogsGivesUpWithItsContext(t *testing.T) {
	logs, _ := newLogs(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := logs.Keep(ctx, aCall()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
