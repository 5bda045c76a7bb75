//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/functions/internal/loadtest"
)

// mostMemory is what SECURITY.md promises, in bytes of resident memory.
const mostMemory = 128 << 20

// However many come at once and however large bodies and answers are, the agent keeps
// within its memory, and a client that means well gets its answers.
func TestMemoryUnderAttack(t *testing.T) {
	value := strings.Repeat(`\u0001`, 64<<10) // as JSON has the worst value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.Header.Get("X-Amz-Target") {
		case "secretsmanager.GetSecretValue":
			_, _ = fmt.Fprintf(w, `{"ARN":"a","Name":"n","VersionId":"v","SecretString":"%s"}`, value)
		case "secretsmanager.BatchGetSecretValue":
			_, _ = w.Write(bytes.Repeat([]byte{' '}, 6<<20-1))
		case "secretsmanager.DescribeSecret":
			_, _ = io.WriteString(w, "{}")
		default:
			for range 100 { // more than there may be
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}
	}))
	defer server.Close()
	p, url := startAgent(t, server.URL, keys(), "--any-caller")
	address := strings.TrimPrefix(url, "http://")
	ctx, stop := context.WithCancel(t.Context())
	beside := make(chan error, 1)
	go func() { beside <- useBeside(ctx, url) }()
	report := func(attack string, began time.Time) {
		t.Logf("%-28s %5d ms, %3d MB", attack, time.Since(began).Milliseconds(), loadtest.PeakMemory(t, p.Process.Pid)>>20)
	}
	for _, attack := range []struct{ name, operation, body string }{
		{"large answers", "BatchGetSecretValue", "{}"},
		{"answers without end", "ListSecrets", "{}"},
		{"large values", "GetSecretValue", "{}"},
		{"large bodies", "DescribeSecret", strings.Repeat(" ", 512<<10)},
	} {
		began := time.Now()
		atOnce(200, func(int) {
			r, _ := http.NewRequest(http.MethodPost, url, strings.NewReader(attack.body))
			r.Header.Set("X-Amz-Target", "secretsmanager."+attack.operation)
			if res, err := http.DefaultClient.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		})
		report(attack.name, began)
	}
	began := time.Now()
	atOnce(200, func(i int) {
		for j := range 3 {
			get(fmt.Sprintf("%s/v1/%d-%d", url, i, j), "EXAMPLE-TOKEN")
		}
	})
	report("GET requests", began)
	const head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: secretsmanager."
	for _, attack := range []struct {
		name  string
		conns int
		text  string
	}{
		{"idle connections", 2000, ""},
		{"half a request", 2000, "POST / HTTP/1.1\r\nHost: 127"},
		{"bodies that stop", 200, head + "DescribeSecret\r\nContent-Length: 500001\r\n\r\n" + strings.Repeat("x", 500_000)},
		{"bodies that are too large", 200, head + "DescribeSecret\r\nContent-Length: 100000000\r\n\r\n" + strings.Repeat("x", 1_000_000)},
		{"long headers", 200, head + "DescribeSecret\r\nX-A: " + strings.Repeat("x", 1_000_000)},
		{"answers that nobody reads", 200, head + "BatchGetSecretValue\r\nContent-Length: 2\r\n\r\n{}"},
	} {
		began := time.Now()
		closeAll := loadtest.Hold(address, attack.conns, attack.text)
		time.Sleep(200 * time.Millisecond)
		report(attack.name, began)
		closeAll()
	}
	stop()
	if err := <-beside; err != nil {
		t.Errorf("the client that means well: %v", err)
	}
	if peak := loadtest.PeakMemory(t, p.Process.Pid); peak > mostMemory {
		t.Errorf("%d MB, want at most %d", peak>>20, mostMemory>>20)
	}
	if said := p.output(); strings.Contains(said, "goroutine ") {
		t.Errorf("it said %s", said)
	}
}

func atOnce(n int, do func(int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// useBeside gets a value until the context ends.
func useBeside(ctx context.Context, url string) error {
	c := goClient(url, firstKey, firstSecret)
	for i := 0; ctx.Err() == nil; i++ {
		if _, err := c.GetSecretValue(context.WithoutCancel(ctx), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")}, func(o *secretsmanager.Options) {
			o.RetryMaxAttempts = 8
		}); err != nil {
			return fmt.Errorf("get %d: %w", i, err)
		}
	}
	return nil
}
