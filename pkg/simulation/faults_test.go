package simulation

import (
	"os"
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
		"pkg/secret/past.go", `if bytes.Equal(commit, wanted) {`, `if bytes.Equal(commit, wanted) && false {`,
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
		"pkg/store/commit.go", `if c.again || c.next.Copy > 0 {`, `if c.next.Copy > 0 {`,
	},
	"a change does not let the next of its secret pass": {
		"pkg/store/queue.go", `			g.token <- struct{}{}
			q.quit`, `			q.quit`,
	},
	"a record that is not kept, and an answer": {
		"pkg/api/server.go", `if c.server.AuditRequired {`, `if false {`,
	},
	"items of a newer format are read as of this one": {
		"pkg/store/items.go", `if format > replicatedSchema {`, `if false {`,
	},
	"versions that the index does not show yet are forgotten": {
		"pkg/prune/prune.go", `} else if next == nil {`, `} else if false {`,
	},
	"what a removed secret leaves over is not noted": {
		"pkg/store/commit.go", `		l.add(c.set(c.leftover()))
`, `		_ = c.leftover()
`,
	},
}

// root is the module's.
const root = "../.."

// source is the file of a fault, without it.
func (f fault) source(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, f.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), f.old); n != 1 {
		t.Errorf("%s has %d places like %q, want one", f.file, n, f.old)
	}
	return string(text)
}

// Every fault can still be planted. `make planted` plants them.
func TestFaultsFit(t *testing.T) {
	t.Parallel()
	for _, f := range planted {
		f.source(t)
	}
}
