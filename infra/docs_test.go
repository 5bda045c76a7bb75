package main

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/strongroom/strongroom/pkg/settings/documented"
)

// docs/cost.md counts the alarms and dashboards of the stack as it comes.
func TestCostPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	for _, r := range stack(t).Resources {
		want[r.Type]++
	}
	for row, kind := range map[string]string{"alarms": "AWS::CloudWatch::Alarm", "dashboards": "AWS::CloudWatch::Dashboard"} {
		found := regexp.MustCompile(`(?m)^\| ` + row + ` \| ([0-9]+) \|`).FindSubmatch(page)
		if found == nil || string(found[1]) != strconv.Itoa(want[kind]) {
			t.Errorf("docs/cost.md says %q, want %d %s: set the number in bench/cost/months.go and run make costs", found, want[kind], row)
		}
	}
}

// docs/operate.md says of each alarm what it means and what to do.
func TestAlarmsInDocs(t *testing.T) {
	t.Parallel()
	var known []string
	for _, r := range stack(t).Resources {
		if r.Type == "AWS::CloudWatch::Alarm" {
			known = append(known, r.ID)
		}
	}
	documented.Same(t, "../docs/operate.md", "## Alarms", known)
}
