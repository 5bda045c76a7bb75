package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// BenchmarkStart measures from the start of the process until it has answered that it
// is ready, on a folder that is not there yet and on one with many secrets.
func BenchmarkStart(b *testing.B) {
	b.Run("empty", func(b *testing.B) {
		for range b.N {
			startAndStop(b, filepath.Join(b.TempDir(), "data"), nil)
		}
	})
	b.Run("10000 secrets", func(b *testing.B) {
		data := filepath.Join(b.TempDir(), "data")
		startAndStop(b, data, func(url string) { createMany(b, url, 10_000) })
		b.ResetTimer()
		for range b.N {
			startAndStop(b, data, nil)
		}
	})
}

// startAndStop leaves out of the time what is done while the server runs.
func startAndStop(b *testing.B, data string, do func(url string)) {
	b.Helper()
	c := exec.Command(program, "--addr", "127.0.0.1:0", "--data", data, "--rate", "0")
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	m := answersOn.FindStringSubmatch(line)
	if m == nil {
		b.Fatalf("it printed %q", line)
	}
	answer, err := http.Get(m[1] + "/health")
	if err != nil || answer.StatusCode != http.StatusOK {
		b.Fatalf("got %v, %v", answer, err)
	}
	b.StopTimer()
	_ = answer.Body.Close()
	if do != nil {
		do(m[1])
	}
	time.Sleep(50 * time.Millisecond) // for the next one to find an idle machine
	_ = c.Process.Kill()
	_ = c.Wait()
	b.StartTimer()
}

func createMany(b *testing.B, url string, n int) {
	b.Helper()
	names := make(chan string)
	var writers sync.WaitGroup
	for range 16 {
		writers.Go(func() {
			for name := range names {
				in := map[string]any{"Name": name, "ClientRequestToken": uuid.NewString(), "SecretString": "EXAMPLE-1"}
				if status, body, err := post(url, "CreateSecret", in); status != http.StatusOK {
					b.Errorf("got %d %s, %v", status, body, err)
				}
			}
		})
	}
	for i := range n {
		names <- fmt.Sprint("secret-", i)
	}
	close(names)
	writers.Wait()
}
