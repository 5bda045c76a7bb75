// Package runtimetest runs a function as Lambda does: as the bootstrap that is
// deployed, but built for this machine, against a stand-in for the Runtime API.
package runtimetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An API stands in for the Lambda Runtime API: it hands events to the
// one process that asks for them, and takes what comes back.
//
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type API struct {
	*httptest.Server
	// Timeout is how long an invocation may take, as the process is told; New sets it
	// to Patience.
	Timeout time.Duration

	events  chan []byte
	results chan Result
}

// A Result is how an invocation ended: with a response, or with an error.
type Result struct {
	Response []byte
	Error    *struct{ ErrorMessage, ErrorType string }
}

// Patience is how long the process may take for anything.
const Patience = 30 * time.Second

// New starts one that is there for as long as the test.
func New(t *testing.T) *API {
	t.Helper()
	api := &API{Timeout: Patience, events: make(chan []byte), results: make(chan Result, 1)}
	invocations := 0 // touched by next alone, which the process asks for one at a time
	const prefix = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+prefix+"invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case event := <-api.events:
			invocations++
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", strconv.Itoa(invocations))
			w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(api.Timeout).UnixMilli(), 10))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:111122223333:function:strongroom")
			w.Header().Set("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0")
			if _, err := w.Write(event); err != nil {
				t.Errorf("hand out an event: %v", err)
			}
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST "+prefix+"invocation/{id}/{outcome}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the result of an invocation: %v", err)
		}
		res := Result{Response: body}
		if r.PathValue("outcome") == "error" {
			res.Response = nil
			if err := json.Unmarshal(body, &res.Error); err != nil {
				t.Errorf("the error of an invocation is %q: %v", body, err)
			}
		}
		w.WriteHeader(http.StatusAccepted)
		api.results <- res
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the Runtime API was asked for %s %s", r.Method, r.URL.Path)
		http.NotFound(w, r)
	})
	api.Server = httptest.NewServer(mux)
	t.Cleanup(api.Close)
	return api
}

// Invoke gives the event to the process and waits for how it ends.
func (a *API) Invoke(p *Process, event []byte) (Result, error) {
	late := time.After(Patience)
	select {
	case a.events <- event:
	case <-p.Done:
		return Result{}, fmt.Errorf("the process ended before the event: %w", p.err)
	case <-late:
		return Result{}, fmt.Errorf("the process asked for no event in %v", Patience)
	}
	select {
	case res := <-a.results:
		return res, nil
	case <-p.Done:
		return Result{}, fmt.Errorf("the process ended over the event: %w", p.err)
	case <-late:
		return Result{}, fmt.Errorf("the process gave no answer in %v", Patience)
	}
}

// WantNoStart starts the function in an environment in which it must not run: it ends with
// 1, and prints what is wrong.
func WantNoStart(t *testing.T, env []string, wrong string) {
	t.Helper()
	p := Start(t, New(t), env)
	select {
	case <-p.Done:
	case <-time.After(Patience):
		t.Fatal("the function runs")
	}
	if code := p.Cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(p.Out.String(), wrong) {
		t.Errorf("exit code %d, and it printed %s, want 1 and what is wrong", code, &p.Out)
	}
}
