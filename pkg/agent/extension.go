package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// An Extension is the agent as a Lambda extension: it lives as long as the environment
// that the function runs in.
//
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
type Extension struct {
	API  string // host and port, from AWS_LAMBDA_RUNTIME_API
	Name string // of the file in /opt/extensions
}

const extensionPath = "/2020-01-01/extension/"

// Run registers, and waits until the environment ends. It returns when the agent must
// have ended. The agent must answer before: Lambda starts the function once every
// extension waits for events.
//
// It asks for no INVOKE: what waits for those has to be heard before each invocation
// counts as ended.
func (e Extension) Run(ctx context.Context) (deadline time.Time, err error) {
	res, err := e.call(ctx, http.MethodPost, "register", "Lambda-Extension-Name", e.Name, `{"events":["SHUTDOWN"]}`)
	if err != nil {
		return time.Time{}, fmt.Errorf("register the extension: %w", err)
	}
	id := res.id
	for {
		res, err = e.call(ctx, http.MethodGet, "event/next", "Lambda-Extension-Identifier", id, "")
		if err != nil {
			return time.Time{}, fmt.Errorf("wait for the end of the function: %w", err)
		}
		if res.event.EventType == "SHUTDOWN" {
			return time.UnixMilli(res.event.DeadlineMs), nil
		}
	}
}

type extensionAnswer struct {
	id    string
	event struct {
		EventType  string `json:"eventType"`
		DeadlineMs int64  `json:"deadlineMs"`
	}
}

// extensions has no timeout: between invocations the next event may take hours.
var extensions = &http.Client{Transport: &http.Transport{}}

func (e Extension) call(ctx context.Context, method, path, header, value, body string) (answer extensionAnswer, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+e.API+extensionPath+path, strings.NewReader(body))
	if err != nil {
		return answer, err
	}
	r.Header.Set(header, value)
	res, err := extensions.Do(r)
	if err != nil {
		return answer, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return answer, err
	}
	if res.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("the Extensions API answers %s: %.200q", res.Status, text)
	}
	answer.id = res.Header.Get("Lambda-Extension-Identifier")
	return answer, json.Unmarshal(text, &answer.event)
}
