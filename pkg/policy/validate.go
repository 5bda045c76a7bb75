package policy

import "fmt"

// A Finding is what ValidateResourcePolicy reports of a policy that does not
// pass, with AWS's member names.
type Finding struct {
	CheckName    string
	ErrorMessage string
}

// The names of checks. AWS documents that a check has a name, and not which:
// broadAccess is a guess, unsupportedSid is what IAM's policy checks call it.
const (
	broadAccess    = "BROAD_ACCESS"
	unsupportedSid = "UNSUPPORTED_SID"
)

// Validate reads a resource policy as Parse does, and reports what keeps it from
// passing: Sids that Parse refuses, and broad access.
func Validate(text string) ([]Finding, error) {
	p, err := parse(text, reader{sid: anySid})
	if err != nil {
		return nil, err
	}
	findings := []Finding{}
	for i, s := range p.Statements {
		if !sid.MatchString(s.Sid) {
			findings = append(findings, Finding{unsupportedSid, fmt.Sprintf(
				"Update the characters in the Sid element of statement %d to use one of the following character types: [a-z, A-Z, 0-9]", i+1)})
		}
	}
	return append(findings, p.Broad()...), nil
}
