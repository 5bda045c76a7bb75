package entry

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/pkg/audit"
)

// Records and the log are on one output, written at the same time. Each line is whole:
// os.File has one write at a time, also of lines that a pipe takes in parts.
func TestLinesOfOneOutputAreWhole(t *testing.T) {
	t.Parallel()
	const writers, each, size = 4, 20, 30_000 // bytes; a pipe takes 4,096 at once
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	trail, log := audit.Lines(w), slog.New(slog.NewJSONHandler(w, nil))
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range each {
				record := audit.Call("PutSecretValue", "id", time.Now())
				record.RequestParameters = map[string]any{"description": strings.Repeat("r", size)}
				if err := trail.Keep(context.Background(), record); err != nil {
					t.Error(err)
				}
			}
		})
		group.Go(func() {
			for range each {
				log.Info(strings.Repeat("l", size))
			}
		})
	}
	go func() {
		group.Wait()
		_ = w.Close()
	}()
	records, lines := 0, bufio.NewScanner(r)
	lines.Buffer(nil, 10*size)
	all := 0
	for ; lines.Scan(); all++ {
		var line struct{ EventCategory, Msg string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("a line is not whole: %v", err)
		}
		if line.EventCategory == "Management" {
			records++
		} else if line.Msg == "" {
			t.Error("a line is neither record nor log")
		}
	}
	if lines.Err() != nil || all != 2*writers*each || records != writers*each {
		t.Errorf("got %d lines, %d of them records, %v", all, records, lines.Err())
	}
}
