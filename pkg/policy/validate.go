package policy

import (
	"fmt"

	"github.com/strongroom/strongroom/pkg/spelling"
)

// A Finding is a result of ValidateResourcePolicy, with AWS's member names.
type Finding struct {
	CheckName    string
	ErrorMessage string
}

// The names of the checks. AWS does not document them: broadAccess is a guess, the
// others are IAM's names for its checks.
const (
	broadAccess    = "BROAD_ACCESS"
	invalidAction  = "INVALID_ACTION"
	unsupportedSid = "UNSUPPORTED_SID"
)

// Validate parses a resource policy and finds Sids that Parse rejects, actions that do
// not exist, and broad access.
func Validate(text string) ([]Finding, error) {
	p, err := parse(text, parser{sid: anySid})
	if err != nil {
		return nil, err
	}
	findings := []Finding{}
	for i := range p.statements {
		if !sid.MatchString(p.statements[i].sid) {
			findings = append(findings, Finding{unsupportedSid, fmt.Sprintf(
				"Update the characters in the Sid element of statement %d to use one of the following character types: [a-z, A-Z, 0-9]", i+1)})
		}
		for _, action := range p.statements[i].actions.unknownActions() {
			message := "The action " + action + " does not exist."
			if name := spelling.Nearest(action, actionNames); name != "" {
				message += " Did you mean " + name + "?"
			}
			findings = append(findings, Finding{invalidAction, message})
		}
	}
	return append(findings, p.Broad()...), nil
}
