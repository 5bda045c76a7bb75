package api_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// Every operation that the SDK's client has is answered.
func TestOperations(t *testing.T) {
	t.Parallel()
	room := localtest.New(t)
	operations := sdkOperations()
	if len(operations) < 23 { // of the API of 2017-10-17, in 2026
		t.Fatalf("got %d operations of the SDK's client, want 23 or more", len(operations))
	}
	var missing []string
	for name := range operations {
		if !isAnswered(t, room, name) {
			missing = append(missing, name)
		}
	}
	checkNames(t, "operations not answered", missing)
}

var answeredRow = regexp.MustCompile("^\\| *`([A-Za-z]+)` *\\| *([a-z ]+?) *\\|")

// The table in docs/limits.md says of each operation whether it is answered.
func TestOperationsInDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Operations\n")
	if !found {
		t.Fatal("got no section Operations in docs/limits.md")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	got := map[string]string{}
	for line := range strings.Lines(section) {
		m := answeredRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if _, twice := got[m[1]]; twice {
			t.Errorf("got %s twice in docs/limits.md", m[1])
		}
		got[m[1]] = m[2]
	}
	want := map[string]string{}
	for name := range sdkOperations() {
		want[name] = "yes"
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("docs/limits.md: got %q for %s, want %q", got[name], name, want[name])
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("docs/limits.md: got %s, which is no operation", name)
	}
}
