package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
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
	for _, r := range whole(t).Resources {
		want["more "+r.Type]++
	}
	want["more AWS::CloudWatch::Alarm"] -= want["AWS::CloudWatch::Alarm"]
	for row, kind := range map[string]string{
		"alarms": "AWS::CloudWatch::Alarm", "dashboards": "AWS::CloudWatch::Dashboard", "alarms of replication, in each Region": "more AWS::CloudWatch::Alarm",
	} {
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
	for _, r := range whole(t).Resources {
		if r.Type == "AWS::CloudWatch::Alarm" {
			known = append(known, r.ID)
		}
	}
	documented.Same(t, "../docs/operate.md", "## Alarms", known)
}

// sentences are the texts in Go's source that say why a replica is not in sync, up to
// the end of their first part.
var sentences = regexp.MustCompile(`"((?:This deployment|A value|What is stored|The table|The deployment|Secret with|The replica|A replica|An earlier)[^".:]*)`)

// docs/replication.md says of each status of a replica what to do.
func TestReplicaStatusesInDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/replication.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range []string{"../pkg/replicate/reason.go", "../pkg/secret/replica.go", "../pkg/store/replica.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, sentence := range sentences.FindAllSubmatch(source, -1) {
			row := "| *" + strings.ReplaceAll(string(sentence[1]), "%s", "…")
			if found++; !strings.Contains(string(page), row) {
				t.Errorf("docs/replication.md has no row that begins with %s", row)
			}
		}
	}
	if found < 14 {
		t.Errorf("found %d sentences, want all 14 at least", found)
	}
}
