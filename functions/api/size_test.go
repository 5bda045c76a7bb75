package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/strongroom/strongroom/functions/internal/runtimetest"
)

// The function invokes one function by one operation, so it links no client of Lambda.
func TestLinksWhatItNeeds(t *testing.T) {
	t.Parallel()
	runtimetest.WantLinked(t, "github.com/aws/aws-sdk-go-v2/service/lambda", "github.com/strongroom/strongroom/pkg/prune")
}

// What is deployed stays small: a process starts the sooner for it. In bytes, and not
// powers of two.
func TestSize(t *testing.T) {
	t.Parallel()
	const most, mostZipped = 9_500_000, 3_400_000
	path := filepath.Join(t.TempDir(), "bootstrap")
	if err := runtimetest.Build(path, ".", "linux", "arm64"); err != nil {
		t.Fatal(err)
	}
	program, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	// Zip compresses as gzip does, and Go's own library less.
	zipped, err := exec.Command("gzip", "-9", "-c", path).Output()
	if err != nil {
		t.Fatalf("compress the function: %v", err)
	}
	t.Logf("%d bytes, %d zipped", program.Size(), len(zipped))
	if program.Size() > most || len(zipped) > mostZipped {
		t.Errorf("the function has %d bytes, %d zipped, want at most %d and %d; go tool nm -size -sort size says of what", program.Size(), len(zipped), most, mostZipped)
	}
}
