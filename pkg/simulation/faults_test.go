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
	"a replica takes an older state": {
		"pkg/secret/replica.go", `case s.Revision >= delivered.Revision:`, `case false:`,
	},
	"a replica takes the place of what came since it was looked at": {
		"pkg/store/replica.go", `l.add(c.putIf(headOf(c.next), isSeen, seenOf(c.seen), c.overtaken))`, `l.add(c.putIf(headOf(c.next), exists, nil, c.overtaken))`,
	},
	"a change is not noted for its replicas": {
		"pkg/store/commit.go", `	c.replication(&l)
`, ``,
	},
	"a promotion is not noted for the primary": {
		"pkg/store/replica.go", `if c.seen.IsReplica() && !c.next.IsReplica() {`, `if false {`,
	},
	"a replica is called in sync that lacks a change": {
		"pkg/store/expressions.go", `isDelivered  = "#revision <= :synced AND #copy = :copy"`, `isDelivered  = "attribute_exists(#pk)"`,
	},
	"a failure is noted of what another runner has delivered": {
		"pkg/store/expressions.go", `isUndone = isSameWanted + " AND attribute_exists(#shard)"`, `isUndone = isSameWanted`,
	},
	"a copy that was removed is not kept out": {
		"pkg/replicate/replicate.go", `there.Store.Fence(ctx, n.ID, n.Copy(), r.now())`, `error(nil)`,
	},
	"only the last copy is kept out": {
		"pkg/store/expressions.go", `isBeyond = isNew + " OR #copy < :copy"`, `isBeyond = isNew + " OR #copy <> :copy"`,
	},
	"copies of a replica have the same keys": {
		"pkg/secret/replica.go", `	if copied == 0 {
		return suffix`, `	if copied >= 0 {
		return suffix`,
	},
	"a pending version that got its value is not delivered": {
		"pkg/secret/replica.go", ` && !slices.Equal(labels, []string{Pending})`, ``,
	},
	"what may be overwritten may be so again": {
		"pkg/replicate/replicate.go", `replica.Overwrite && n.IsFirst()`, `replica.Overwrite`,
	},
	"another secret is overwritten unasked": {
		"pkg/secret/replica.go", `	case !overwrite:
		return Change{}, ErrNameTaken
`, ``,
	},
	"a promoted secret is changed by its old primary": {
		"pkg/secret/replica.go", `case same && s.Primary == delivered.Primary && s.Copy == delivered.Copy:`, `case same && s.Copy == delivered.Copy:`,
	},
	"versions are not sealed for the replica": {
		"pkg/replicate/deliver.go", `v.Sealed, err = d.there.Sealer.Seal(ctx, envelope.Place{ARN: d.secret.ARN, VersionID: v.ID}, d.secret.SealingKey(), value)`, `_, err = d.there.Sealer.Seal(ctx, envelope.Place{ARN: d.secret.ARN, VersionID: v.ID}, d.secret.SealingKey(), value)`,
	},
	"a version is delivered that was put after the state": {
		"pkg/store/replica.go", `return v.Revision > sec.Revision`, `return false`,
	},
	"an ID that is used again keeps its value in the replica": {
		"pkg/store/replica.go", `return r.note.Pruned != r.Secret.Prunings`, `return false`,
	},
	"a former primary is not told": {
		"pkg/replicate/replicate.go", `if n.Secret.Copy == 0 || !n.IsFirst() {`, `if true {`,
	},
	"a replica is changed in its own Region": {
		"pkg/secret/replica.go", `	if s.IsReplica() {
		return ErrReplica
	}
`, ``,
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
