package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/audit"
)

// deliveryLimit is how long CloudWatch Logs may take to show a line.
const deliveryLimit = 2 * time.Minute

// record looks for the record of a call that was answered.
func record(ctx context.Context, t *trial) (string, error) {
	switch {
	case t.audit == "" && t.logGroup == "":
		return "", leftOut("no record was looked for; -log-group names the log group of functions/api, and -audit the file of a local server")
	case t.request == "":
		return "", errors.New("no call has succeeded whose record could be looked for")
	}
	found, err := t.findRecord(ctx)
	if err != nil {
		return "", err
	}
	if found.EventName != "GetSecretValue" || found.ErrorCode != "" {
		return "", fmt.Errorf("the record of request %s is of %s with the error %q, want GetSecretValue without one", t.request, found.EventName, found.ErrorCode)
	}
	return fmt.Sprintf("request %s has its record: %s by %s", t.request, found.EventName, found.UserIdentity.ARN), nil
}

func (t *trial) findRecord(ctx context.Context) (audit.Record, error) {
	if t.audit != "" {
		text, err := os.ReadFile(t.audit) //nolint:gosec // the file is the user's choice
		if err != nil {
			return audit.Record{}, err
		}
		return t.recordIn(text)
	}
	ctx, cancel := context.WithTimeout(ctx, deliveryLimit)
	defer cancel()
	for {
		text, err := t.readLogs(ctx)
		if err != nil {
			return audit.Record{}, err
		}
		found, err := t.recordIn(text)
		if err == nil || ctx.Err() != nil {
			return found, err
		}
		pause(ctx, 2*time.Second)
	}
}

// readLogs asks for the lines with the request ID, with the AWS CLI: a client of
// CloudWatch Logs would be a dependency for this alone.
func (t *trial) readLogs(ctx context.Context) ([]byte, error) {
	//nolint:gosec // the arguments are the user's, and no shell reads them
	command := exec.CommandContext(ctx, "aws", "logs", "filter-log-events",
		"--region", t.client.Options().Region, "--log-group-name", t.logGroup,
		"--start-time", strconv.FormatInt(t.began.Add(-time.Minute).UnixMilli(), 10),
		"--filter-pattern", fmt.Sprintf(`{ $.requestID = "%s" }`, t.request),
		"--query", "events[].message", "--output", "json")
	var said strings.Builder
	command.Stderr = &said
	text, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("aws logs filter-log-events: %w: %s", err, strings.TrimSpace(said.String()))
	}
	var lines []string
	if err := json.Unmarshal(text, &lines); err != nil {
		return nil, fmt.Errorf("aws logs filter-log-events did not answer with a list: %w", err)
	}
	return []byte(strings.Join(lines, "\n")), nil
}

// recordIn finds the record of the request among lines.
func (t *trial) recordIn(text []byte) (audit.Record, error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		var r audit.Record
		if bytes.Contains(lines.Bytes(), []byte(t.request)) && json.Unmarshal(lines.Bytes(), &r) == nil && r.RequestID == t.request {
			return r, nil
		}
	}
	return audit.Record{}, fmt.Errorf("request %s has no record in %s", t.request, t.audit+t.logGroup)
}
