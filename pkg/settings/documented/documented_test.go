package documented

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const page = `# Settings

## One

| flag | default | |
|---|---|---|
| ` + "`--a`, `--b` | `1` | with `--c`" + ` |

Text | with | lines.

## Two

| variable | default | |
|---|---|---|
| ` + "`ALL` | | every one" + ` |
| ` + "`SOME` | `60` | *api, prune*: of these" + ` |
`

// A noted is a test that notes what it is told.
type noted struct {
	testing.TB
	errors []string
}

func (n *noted) Helper() {}

func (n *noted) Errorf(format string, args ...any) {
	n.errors = append(n.errors, strings.TrimSpace(args[1].(string)))
}

func TestTables(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		check func(testing.TB)
		want  []string
	}{
		{"same", func(t testing.TB) { t.Helper(); Same(t, file, "## One", []string{"--a", "--b"}) }, nil},
		{"one more and one less", func(t testing.TB) { t.Helper(); Same(t, file, "## One", []string{"--a", "--c"}) }, []string{"--c", "--b"}},
		{"variables", func(t testing.TB) {
			t.Helper()
			Variables(t, file, "## Two", "api", []string{"ALL", "SOME", "AWS_REGION"})
		}, nil},
		{"of another", func(t testing.TB) { t.Helper(); Variables(t, file, "## Two", "rotate", []string{"ALL", "SOME"}) }, []string{"rotate"}},
		{"one not read", func(t testing.TB) { t.Helper(); Variables(t, file, "## Two", "prune", []string{"ALL"}) }, []string{"prune"}},
	} {
		n := &noted{TB: t}
		test.check(n)
		if !slices.Equal(n.errors, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, n.errors, test.want)
		}
	}
}
