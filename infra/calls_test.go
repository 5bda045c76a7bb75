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
	table := whole(t).arn(t, "AWS::DynamoDB::Table")
	place := strings.NewReplacer(
		table+"/", "", table, "table", whole(t).arn(t, "AWS::KMS::Key"), "key",
		tableIn("eu-west-1", "ireland"), "table elsewhere", irelandKey, "key elsewhere",
	)
	// Of two tables and keys elsewhere one stands for both, and of keys the Region's own.
	leftOut := []string{tableIn("eu-west-3", "paris"), parisKey, irelandMore, ownFurther}
	var allowed []string
	for name, function := range whole(t).functions {
		for _, s := range whole(t).rights(t, whole(t).of(t, function.Properties["Role"])) {
			if slices.Contains(usedByAWS, s["Sid"].(string)) {
				continue
			}
			for _, action := range texts(s["Action"]) {
				if !strings.HasPrefix(action, "dynamodb:") && !strings.HasPrefix(action, "kms:") {
					continue
				}
				for _, resource := range texts(s["Resource"]) {
					if slices.Contains(leftOut, resource) {
						continue
					}
					allowed = append(allowed, name+" "+action+" "+place.Replace(resource))
				}
			}
		}
	}
	same(t, "rights", sorted(allowed), sorted(recorded))
}
