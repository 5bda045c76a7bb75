package localtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A Wire is the connection from a service to its engines. It counts what goes
// over it, and breaks what it is told to.
//
// A call of an operation that is to break goes through the SDK's client, which
// retries, and breaks under it. All others are made directly.
type Wire struct {
	mu     sync.Mutex
	calls  []string
	reads  float64
	writes float64
	faults map[string][]Fault
	cloud  Cloud
	checks int

	elsewhere bool // whether the table and key are another Region's than the function that calls
}

// Elsewhere says that what is called from now on is in another Region than the function
// that calls.
func (w *Wire) Elsewhere() { w.elsewhere = true }

// A Cloud is what a DynamoDB in the cloud may do and a local one does not.
type Cloud struct {
	ShortPages  int // how many items a page of a query has at most; 0 for as many as fit
	Unprocessed int // how many keys of a batch are processed at most; 0 for all
}

// Behave makes the calls that follow meet such a DynamoDB.
func (w *Wire) Behave(c Cloud) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cloud = c
}

// A Fault is what becomes of a call: it is given the call and a way to make it.
type Fault func(call *http.Request, do func() (*http.Response, error)) (*http.Response, error)

var errCut = errors.New("connection cut by the test")

// Cut loses the call: it never arrives.
func Cut(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
	return nil, errCut
}

// LoseAnswer lets the call happen and loses its answer.
func LoseAnswer(_ *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
	answer, err := do()
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	return nil, errors.Join(errCut, answer.Body.Close())
}

// Late lets the call happen and answers only after the caller gave up, which needs
// a deadline.
func Late(call *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
	answer, err := do()
	if err != nil {
		return nil, err
	}
	<-call.Context().Done()
	return nil, errors.Join(call.Context().Err(), answer.Body.Close())
}

// Refuse answers with an error of AWS instead of making the call. The body's
// further members, if any, are given as JSON.
func Refuse(status int, code string, members ...string) Fault {
	body := `{"__type":"` + code + `","message":"refused by the test"` + strings.Join(append([]string{""}, members...), ",") + `}`
	return func(call *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
		return &http.Response{
			StatusCode: status,
			Header:     http.Header{"Content-Type": {call.Header.Get("Content-Type")}},
			Body:       io.NopCloser(strings.NewReader(body)),
			Request:    call,
		}, nil
	}
}

// Cancel refuses a transaction for these reasons, one for each of its items.
func Cancel(reasons ...string) Fault {
	var list []string
	for _, code := range reasons {
		list = append(list, `{"Code":"`+code+`"}`)
	}
	return Refuse(http.StatusBadRequest, "TransactionCanceledException", `"CancellationReasons":[`+strings.Join(list, ",")+`]`)
}

// Break makes the next calls of an operation fail, in this order.
func (w *Wire) Break(operation string, faults ...Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.faults == nil {
		w.faults = map[string][]Fault{}
	}
	w.faults[operation] = append(w.faults[operation], faults...)
}

// Took returns the calls since the last Took, in their order, and the capacity
// units of DynamoDB they cost.
func (w *Wire) Took() (calls string, reads, writes float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls, reads, writes = strings.Join(w.calls, " "), w.reads, w.writes
	w.calls, w.reads, w.writes = nil, 0, 0
	return calls, reads, writes
}

// Checks is how many condition checks transactions had in them up to now. IAM asks for a
// right of its own for them, whatever else a transaction does.
func (w *Wire) Checks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.checks
}

func (w *Wire) checked() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checks++
}

func (w *Wire) client(to http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport{w, to}}
}

type transport struct {
	*Wire
	http.RoundTripper
}

// RoundTrip makes a call, or what a fault makes of it.
func (t transport) RoundTrip(call *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(call.Header.Get("X-Amz-Target"), ".")
	do := func() (*http.Response, error) {
		answer, err := t.RoundTripper.RoundTrip(call)
		if err != nil {
			return nil, err
		}
		return answer, t.count(operation, answer)
	}
	fault := t.next(operation)
	if fault == nil {
		return do()
	}
	return fault(call, do)
}

func (w *Wire) next(operation string) Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, operation)
	queue := w.faults[operation]
	if len(queue) == 0 {
		return nil
	}
	w.faults[operation] = queue[1:]
	return queue[0]
}

// count adds up what the answer says that the call cost.
func (w *Wire) count(operation string, answer *http.Response) error {
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	var cost struct{ ConsumedCapacity json.RawMessage }
	if json.Unmarshal(body, &cost) != nil || cost.ConsumedCapacity == nil {
		return nil
	}
	type units struct{ CapacityUnits float64 }
	var several []units
	if json.Unmarshal(cost.ConsumedCapacity, &several) != nil {
		several = make([]units, 1)
		if err := json.Unmarshal(cost.ConsumedCapacity, &several[0]); err != nil {
			return err
		}
	}
	for _, u := range several {
		w.add(operation, u.CapacityUnits)
	}
	return nil
}

func (w *Wire) add(operation string, units float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Contains(operation, "Write") || operation == "UpdateItem" {
		w.writes += units
	} else {
		w.reads += units
	}
}

// Do sends a request and reads the answer.
func Do(t testing.TB, req *http.Request) (*http.Response, string) {
	t.Helper()
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}
