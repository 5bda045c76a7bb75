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

// A fault is a change of the service's code that the simulation has to notice.
type fault struct {
	file     string // from the module's root
	old, new string
}

var planted = map[string]fault{
	"a commit without the condition on the head": {
		"pkg/store/expressions.go", `isSeen = "#revision = :seen AND #suffix = :suffix"`, `isSeen = "#suffix = :suffix"`,
	},
	"a call that is tried again happens twice": {
		"pkg/secret/past.go", `if bytes.Equal(wanted, shortName(name)) {`, `if bytes.Equal(wanted, nil) {`,
	},
	"a forced delete that is tried again removes the next secret": {
		"pkg/api/delete_secret.go", `if c.again {`, `if false {`,
	},
	"a refusal that was decided on a stale head is given out": {
		"pkg/store/update.go", `r.outcome == unproven && !remembered`, `r.outcome == unproven && (!remembered || true)`,
	},
	"a label is moved to a version that is not checked": {
		"pkg/secret/stages.go", `s.restage(next, now).With(Require, to)`, `s.restage(next, now)`,
	},
	"a version is pruned that has a label since": {
		"pkg/store/expressions.go", `"#suffix = :suffix AND #moves = :moves AND`, `"#suffix = :suffix AND`,
	},
	"a secret is purged that was restored": {
		"pkg/prune/prune.go", `removed = !sec.Deletion.IsZero() && !sec.Deletion.After(r.now)`, `removed = true`,
	},
	"a policy is remembered by the secret's name": {
		"pkg/store/read.go", `	var policy policyItem
`, `	if text, ok := stalePolicies.Load(sec.ARN); ok {
		return text.(string), nil
	}
	var policy policyItem
	defer func() { stalePolicies.Store(sec.ARN, policy.Text) }()
`,
	},
	"a rotation token is taken when its attempt has ended": {
		"pkg/api/put_secret_value.go", `in.RotationToken != "" && !c.isRotating(sec)`, `false && !c.isRotating(sec)`,
	},
	"an answer before the commit": {
		"pkg/store/commit.go", `switch err := s.transact(ctx, steps); {`, `go func() { _ = s.transact(context.WithoutCancel(ctx), steps) }()
	switch err := error(nil); {`,
	},
	"a value is sealed for the last secret of that name": {
		"pkg/api/values.go", `arn == sec.ARN && key == sec.SealingKey()`, `arn != "" && key == sec.SealingKey()`,
	},
	"a version is shown by ID without the labels it was born with": {
		"pkg/api/get_secret_value.go", `case !found || version.Revision > sec.Revision:`, `case !found:`,
	},
	"a secret is created again after a conflict": {
		"pkg/store/update.go", `		if again {`, `		if again && false {`,
	},
	"a record that is not kept, and an answer": {
		"pkg/api/server.go", `if c.server.AuditRequired {`, `if false {`,
	},
	"items of a newer format are read as of this one": {
		"pkg/store/items.go", `if format > schema {`, `if false {`,
	},
	"versions that the index does not show yet are forgotten": {
		"pkg/prune/prune.go", `} else if next == nil {`, `} else if false {`,
	},
	"what a removed secret leaves over is not noted": {
		"pkg/store/commit.go", `		l.add(c.set(note))
`, `		_ = note
`,
	},
}

// Every planted fault makes some history fail. Copies of the files with the faults are
// given to the compiler in place of those in the tree.
func TestPlantedFaults(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range planted {
		t.Run(name, func(t *testing.T) {
			dir, path := t.TempDir(), filepath.Join(root, f.file)
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), f.old); n != 1 {
				t.Fatalf("%s has %d places like %q, want one", f.file, n, f.old)
			}
			text := strings.Replace(string(source), f.old, f.new, 1)
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
