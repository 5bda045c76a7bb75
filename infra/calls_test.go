package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestRolesAreWhatIsCalled compares what roles allow of DynamoDB and KMS with what make
// rights recorded over the tests of the functions: no more, and no fewer. A program may
// have calls in it that it never makes, which TestRightsAreTheCalls cannot tell; here also
// the indexes are told from the table. What AWS itself calls in a function's name is left
// out.
func TestRolesAreWhatIsCalled(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/rights.txt")
	if err != nil {
		t.Fatal(err)
	}
	recorded := strings.Split(strings.TrimSpace(string(text)), "\n")
	table := stack(t).arn(t, "AWS::DynamoDB::Table")
	place := strings.NewReplacer(table+"/", "", table, "table", stack(t).arn(t, "AWS::KMS::Key"), "key")
	var allowed []string
	for name, function := range stack(t).functions {
		for _, s := range stack(t).rights(t, stack(t).of(t, function.Properties["Role"])) {
			if slices.Contains(usedByAWS, s["Sid"].(string)) {
				continue
			}
			for _, action := range texts(s["Action"]) {
				if !strings.HasPrefix(action, "dynamodb:") && !strings.HasPrefix(action, "kms:") {
					continue
				}
				for _, resource := range texts(s["Resource"]) {
					allowed = append(allowed, name+" "+action+" "+place.Replace(resource))
				}
			}
		}
	}
	same(t, "rights", sorted(allowed), sorted(recorded))
}
