package localtest

import (
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
)

// A Crash ends a process at one of its remote calls, as far as others can see: the call is
// not made, or its answer never comes, and no call is made after it.
type Crash struct {
	At    int64 // the number of the call, from 1
	After bool  // the call is made
	calls atomic.Int64
}

// errCrashed is what a process that crashed gets for every call.
var errCrashed = errors.New("the process has crashed")

// Calls is how many calls the process tried.
func (c *Crash) Calls() int64 { return c.calls.Load() }

// Call makes a remote call, unless the process has crashed.
func (c *Crash) Call(do func() error) error {
	switch n := c.calls.Add(1); {
	case n < c.At:
		return do()
	case n == c.At && c.After:
		return errors.Join(do(), errCrashed)
	}
	return errCrashed
}

// On has the calls over a wire be those of the process.
func (c *Crash) On(w *Wire) {
	const forever = 1000
	fault := func(_ *http.Request, do func() (*http.Response, error)) (answer *http.Response, err error) {
		err = c.Call(func() (err error) {
			answer, err = do()
			return err
		})
		if err != nil && answer != nil {
			err = errors.Join(err, answer.Body.Close())
			answer = nil
		}
		return answer, err
	}
	for _, operation := range []string{
		"GetItem", "BatchGetItem", "Query", "UpdateItem", "BatchWriteItem", "TransactWriteItems", "GenerateDataKey", "Decrypt", "ReEncrypt",
	} {
		w.Break(operation, slices.Repeat([]Fault{fault}, forever)...)
	}
}
