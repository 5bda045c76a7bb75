package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"
)

// LogsClient is the part of the CloudWatch Logs client that Logs needs. It retries
// what can be retried.
type LogsClient interface {
	CreateLogStream(context.Context, *cloudwatchlogs.CreateLogStreamInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.CreateLogStreamOutput, error)
	PutLogEvents(context.Context, *cloudwatchlogs.PutLogEventsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.PutLogEventsOutput, error)
}

// Logs keeps records in an existing log group of CloudWatch Logs. The records of one
// Keep are one request if they fit, so that either all of them are kept or none.
//
// It needs logs:CreateLogStream and logs:PutLogEvents on the group. The client retries
// a request that failed after it took effect: a record may then be there twice, with
// the same eventID.
type Logs struct {
	Client LogsClient
	Group  string
	Stream string // of this process alone, as from StreamName; created when needed

	mu   sync.Mutex
	made bool
}

// StreamName is a name for the stream of a process that starts now; id is a UUID.
func StreamName(now time.Time, id string) string {
	return now.UTC().Format("2006/01/02/") + id
}

// To is the trail of a Lambda function: a stream of this process in a log group, or the
// function's own log if group is empty.
func To(cfg aws.Config, group string) Trail {
	if group == "" {
		return Lines(os.Stdout)
	}
	return &Logs{Client: cloudwatchlogs.NewFromConfig(cfg), Group: group, Stream: StreamName(time.Now(), uuid.NewString())}
}

// What one PutLogEvents may hold. The size counts 26 bytes for each event.
//
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
const (
	maxEvents    = 10_000
	maxBatch     = 1_048_576
	perEvent     = 26
	maxBatchSpan = 24 * 60 * 60 * 1000 // milliseconds
)

// Keep sends the records.
func (l *Logs) Keep(ctx context.Context, records ...Record) error {
	events, err := logEvents(records)
	if err != nil {
		return err
	}
	for len(events) > 0 {
		n := fitting(events)
		if err := l.put(ctx, events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

// logEvents are the records in order of time, as one request must have them.
func logEvents(records []Record) ([]types.InputLogEvent, error) {
	events := make([]types.InputLogEvent, len(records))
	for i, r := range records {
		line, err := r.line()
		if err != nil {
			return nil, err
		}
		events[i] = types.InputLogEvent{
			Message:   aws.String(strings.TrimSuffix(string(line), "\n")),
			Timestamp: aws.Int64(time.Time(r.EventTime).UnixMilli()),
		}
	}
	slices.SortStableFunc(events, func(a, b types.InputLogEvent) int { return cmp.Compare(*a.Timestamp, *b.Timestamp) })
	return events, nil
}

// fitting is how many of the events fit in one request: at least one.
func fitting(events []types.InputLogEvent) int {
	size := 0
	for i, e := range events {
		size += len(*e.Message) + perEvent
		if i > 0 && (i == maxEvents || size > maxBatch || *e.Timestamp-*events[0].Timestamp > maxBatchSpan) {
			return i
		}
	}
	return len(events)
}

// put sends one request. A deleted stream is created again, once.
func (l *Logs) put(ctx context.Context, events []types.InputLogEvent) error {
	if err := l.makeStream(ctx); err != nil {
		return err
	}
	out, err := l.send(ctx, events)
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
		l.mu.Lock()
		l.made = false
		l.mu.Unlock()
		if err := l.makeStream(ctx); err != nil {
			return err
		}
		out, err = l.send(ctx, events)
	}
	if err != nil {
		return l.failed("put records into", err)
	}
	if rejected := out.RejectedLogEventsInfo; rejected != nil {
		// The other events of the request are kept.
		return fmt.Errorf("the log group %s rejected audit records: %s", l.Group, reason(rejected))
	}
	return nil
}

func (l *Logs) send(ctx context.Context, events []types.InputLogEvent) (*cloudwatchlogs.PutLogEventsOutput, error) {
	return l.Client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
		LogGroupName: aws.String(l.Group), LogStreamName: aws.String(l.Stream), LogEvents: events,
	})
}

// makeStream creates the stream if this process has not.
func (l *Logs) makeStream(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made {
		return nil
	}
	_, err := l.Client.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{
		LogGroupName: aws.String(l.Group), LogStreamName: aws.String(l.Stream),
	})
	if _, exists := errors.AsType[*types.ResourceAlreadyExistsException](err); err != nil && !exists {
		return l.failed("make a stream in", err)
	}
	l.made = true
	return nil
}

// reason says why events were rejected.
func reason(info *types.RejectedLogEventsInfo) string {
	switch {
	case info.TooNewLogEventStartIndex != nil:
		return "too new; the clock is ahead by more than two hours"
	case info.TooOldLogEventEndIndex != nil:
		return "too old; the clock is behind by more than fourteen days"
	case info.ExpiredLogEventEndIndex != nil:
		return "older than the retention of the group"
	}
	return "no reason given"
}

// safeErrors are those whose text is about the caller and the group. That of others,
// such as InvalidParameterException, may quote the request.
var safeErrors = []string{
	"AccessDeniedException", "ExpiredTokenException", "ResourceNotFoundException", "ServiceUnavailableException",
	"ThrottlingException", "UnrecognizedClientException",
}

// failed is the error of a request, without any of its content.
func (l *Logs) failed(what string, err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok && !slices.Contains(safeErrors, api.ErrorCode()) {
		id := ""
		if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
			id = ", request ID " + response.ServiceRequestID()
		}
		return fmt.Errorf("%s the log group %s: %s%s", what, l.Group, api.ErrorCode(), id)
	}
	return fmt.Errorf("%s the log group %s: %w", what, l.Group, err)
}
