// Package documented reads the tables of the documentation, for tests that compare them
// with what the code reads.
package documented

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var name = regexp.MustCompile("`([^`]+)`")

// Rows are the rows of the tables under a heading of a page, by the names in their first
// cell. Several names in a cell have the same row.
func Rows(t testing.TB, page, heading string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(page) //nolint:gosec // a page of this repository
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	section, _, _ = strings.Cut(section, "\n"+level+" ")
	rows := map[string]string{}
	for line := range strings.Lines(section) {
		cells := strings.SplitN(line, "|", 3)
		if len(cells) < 3 || cells[0] != "" {
			continue
		}
		for _, m := range name.FindAllStringSubmatch(cells[1], -1) {
			if _, twice := rows[m[1]]; twice {
				t.Errorf("%s: %s is twice under %q", page, m[1], heading)
			}
			rows[m[1]] = cells[2]
		}
	}
	return rows
}

// Same compares the names of these rows with those that the code knows.
func Same(t testing.TB, page, heading string, known []string) {
	t.Helper()
	rows := Rows(t, page, heading)
	for _, name := range known {
		if _, ok := rows[name]; !ok {
			t.Errorf("%s: %s is missing under %q", page, name, heading)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("%s: nothing reads %s, which is under %q", page, name, heading)
	}
}

// Variables compares the environment variables that a function reads with the rows that
// are for it: those without a name in front, or with the function's. AWS's own are named
// elsewhere on the page, but for the Region.
func Variables(t testing.TB, page, heading, function string, read []string) {
	t.Helper()
	marks := regexp.MustCompile(`\| \*([a-z, ]+)\*:`)
	mine := map[string]bool{}
	for name, row := range Rows(t, page, heading) {
		m := marks.FindStringSubmatch(row)
		mine[name] = m == nil || strings.Contains(", "+m[1]+",", ", "+function+",")
	}
	seen := map[string]bool{}
	for _, name := range read {
		seen[name] = true
		if isAWS := strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "LAMBDA_"); !mine[name] && !isAWS {
			t.Errorf("%s: %s reads %s, which is not under %q", page, function, name, heading)
		}
	}
	for name, is := range mine {
		if is && !seen[name] {
			t.Errorf("%s: %s does not read %s, which is under %q", page, function, name, heading)
		}
	}
}
