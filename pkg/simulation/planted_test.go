//go:build planted

package simulation

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every planted fault makes some history fail. Copies of the files with the faults are
// given to the compiler in place of those in the tree.
func TestPlantedFaults(t *testing.T) {
	t.Parallel()
	for name, f := range planted {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path, err := filepath.Abs(filepath.Join(root, f.file))
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(f.source(t), f.old, f.new, 1)
			if strings.Contains(f.new, "stalePolicies") {
				text += "\nvar stalePolicies sync.Map\n"
				text = strings.Replace(text, `	"slices"`, `	"slices"
	"sync"`, 1)
			}
			copied := filepath.Join(dir, "copy.go")
			write(t, copied, text)
			overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: copied}})
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "overlay.json"), string(overlay))
			binary := filepath.Join(dir, "simulation.test")
			build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("it does not compile: %v\n%s", err, out)
			}
			out, err := exec.CommandContext(t.Context(), binary, "-test.run", "^TestHistories$", "-histories", "3000").CombinedOutput()
			if err == nil {
				t.Fatal("no history of 3,000 fails")
			}
			first, _, _ := strings.Cut(string(out[max(0, strings.Index(string(out), "seed ")):]), "\n")
			t.Log(first)
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
