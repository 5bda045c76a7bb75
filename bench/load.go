package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// maxClients is the larger number of clients that are measured in rounds, and
	// loadClients that of a long load.
	maxClients  = 16
	loadClients = 64
)

const (
	contentType   = "application/x-amz-json-1.1"
	authorization = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=00"
	// requestLimit ends a request that hangs.
	requestLimit = time.Minute
)

// A target is a server under load.
type target struct {
	name string
	url  string
	http *http.Client
}

func newTarget(name, url string) *target {
	transport := &http.Transport{
		MaxIdleConnsPerHost: loadClients,
		DisableCompression:  true,
	}
	return &target{name, url, &http.Client{Transport: transport, Timeout: requestLimit}}
}

// post sends one request and returns the answer. An answer other than 200 is an error.
func (t *target) post(ctx context.Context, path, operation string, body []byte) ([]byte, error) {
	status, answer, err := t.try(ctx, path, operation, body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the %s answered %s with status %d: %.300s", t.name, operation, status, answer)
	}
	return answer, err
}

// try sends one request and returns the status and the answer.
func (t *target) try(ctx context.Context, path, operation string, body []byte) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header = http.Header{
		"Content-Type":  {contentType},
		"Authorization": {authorization},
		"X-Amz-Target":  {"secretsmanager." + operation},
	}
	status, answer, err := t.answerTo(r)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", operation, err)
	}
	return status, answer, nil
}

// answerTo sends a request that is ready, and returns the status and the answer.
func (t *target) answerTo(r *http.Request) (int, []byte, error) {
	w, err := t.http.Do(r)
	if err != nil {
		return 0, nil, fmt.Errorf("the %s did not answer: %w", t.name, err)
	}
	defer func() { _ = w.Body.Close() }() // read to its end
	answer, err := io.ReadAll(w.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("the answer of the %s broke off: %w", t.name, err)
	}
	return w.StatusCode, answer, nil
}

// An operation is the nth that a client does in a round.
type operation func(ctx context.Context, client, n int) error

// A round is what some clients reached in a short time.
type round struct {
	rate      float64 // operations a second
	latencies []time.Duration
}

// measure has each client repeat an operation for a time. Operations still running at
// the end are waited for; they count in the latencies and not in the rate.
func measure(ctx context.Context, clients int, length time.Duration, do operation) (round, error) {
	group, ctx := errgroup.WithContext(ctx)
	latencies := make([][]time.Duration, clients)
	var inTime atomic.Int64
	deadline := time.Now().Add(length)
	for client := range clients {
		group.Go(func() error {
			for n, began := 0, time.Now(); began.Before(deadline); n++ {
				if err := do(ctx, client, n); err != nil {
					return err
				}
				now := time.Now()
				latencies[client] = append(latencies[client], now.Sub(began))
				if !now.After(deadline) {
					inTime.Add(1)
				}
				began = now
			}
			return nil
		})
	}
	err := group.Wait()
	r := round{rate: float64(inTime.Load()) / length.Seconds()}
	for _, l := range latencies {
		r.latencies = append(r.latencies, l...)
	}
	return r, err
}

// fill does an operation n times with many clients and returns how often it was done.
// It stops early after the limit.
func fill(ctx context.Context, n int, limit time.Duration, step func(done int), do func(ctx context.Context, i int) error) (int, error) {
	group, ctx := errgroup.WithContext(ctx)
	var next, done atomic.Int64
	deadline := time.Now().Add(limit)
	for range maxClients {
		group.Go(func() error {
			for time.Now().Before(deadline) {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := do(ctx, i); err != nil {
					return err
				}
				step(int(done.Add(1)))
			}
			return nil
		})
	}
	err := group.Wait()
	return int(done.Load()), err
}
