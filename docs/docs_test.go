// Package docs has the tests of the documentation: that its links lead somewhere, and
// that what stands in the README to be copied can be.
package docs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const readme = "../README.md"

func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The README is for newcomers: it says what there is, how to begin, and where the rest is.
func TestREADMEIsShort(t *testing.T) {
	t.Parallel()
	if lines := strings.Count(read(t, readme), "\n"); lines >= 200 {
		t.Errorf("the README has %d lines, want fewer than 200: move some to a page of docs", lines)
	}
}

func pages(t *testing.T) []string {
	t.Helper()
	here, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	above, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(here, above...)
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fence   = regexp.MustCompile("(?ms)^( *)```.*?^ *```$")
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are those that GitHub gives the headings of a page.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		found[strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return found
}

// Links within the repository lead to a file and to a heading in it, and every page of
// docs is linked from the README.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s leads nowhere", page, m[1])
			} else if anchor != "" && !anchors(read(t, to))[anchor] {
				t.Errorf("%s: %s leads to no heading", page, m[1])
			}
		}
		if filepath.Dir(page) == "." && !strings.Contains(read(t, readme), "(docs/"+page+")") {
			t.Errorf("the README has no link to docs/%s", page)
		}
	}
}

// snippet is the one block of a language in the README, in a file of that name.
func snippet(t *testing.T, language, name string) string {
	t.Helper()
	blocks := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(read(t, readme), -1)
	if len(blocks) != 1 {
		t.Fatalf("got %d blocks of %s in the README, want 1", len(blocks), language)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(blocks[0][1]), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// check runs a program over a snippet. Without the program the snippet is not checked.
func check(t *testing.T, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = ".." // the module, for what Go imports
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); errors.Is(err, exec.ErrNotFound) {
		t.Skipf("the README's snippet is not checked: %s is not there", program)
	} else if err != nil {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, &out)
	}
}

func TestGo(t *testing.T) {
	t.Parallel()
	check(t, "go", "vet", snippet(t, "go", "main.go"))
}

func TestPython(t *testing.T) {
	t.Parallel()
	check(t, "python3", "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())", snippet(t, "python", "main.py"))
}

func TestJavaScript(t *testing.T) {
	t.Parallel()
	check(t, "node", "--check", snippet(t, "js", "main.mjs"))
}

var (
	testNamed = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Za-z0-9]+)\\b")
	testMade  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
)

// Every test that a page names is there.
func TestNamedTestsAreThere(t *testing.T) {
	t.Parallel()
	made := map[string]bool{}
	for _, folder := range []string{"bench", "docs", "functions", "infra", "pkg", "supply"} {
		err := filepath.WalkDir("../"+folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, m := range testMade.FindAllStringSubmatch(read(t, path), -1) {
				made[m[1]] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, page := range pages(t) {
		for _, m := range testNamed.FindAllStringSubmatch(read(t, page), -1) {
			if !made[m[1]] {
				t.Errorf("%s names %s, and there is no such test", page, m[1])
			}
		}
	}
}
