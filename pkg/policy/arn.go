package policy

import "strings"

// arnParts is how many parts an ARN has; colons after the fifth belong to the last.
const arnParts = 6

// An arnPattern is what the operators for ARNs compare with: "each of the six
// colon-delimited components of the ARN is checked separately and each can
// include" wildcards (IAM user guide, "Condition operators").
type arnPattern struct {
	// whole is a star, which is anything, or a variable, which is one ARN.
	whole *pattern
	parts [arnParts]pattern
}

func compileARN(all []element) (*arnPattern, error) {
	if len(all) == 1 && (all[0].kind == anyRun || all[0].kind == variables) {
		whole := patternOf(all)
		return &arnPattern{whole: &whole}, nil
	}
	var parts [arnParts][]element
	i := 0
	for _, e := range all {
		for e.kind == literal && i < arnParts-1 {
			before, after, ok := strings.Cut(e.text, ":")
			if !ok {
				break
			}
			parts[i] = join(parts[i], element{kind: literal, text: before})
			e.text, i = after, i+1
		}
		parts[i] = join(parts[i], e)
	}
	a := &arnPattern{}
	for i := range parts {
		a.parts[i] = patternOf(parts[i])
	}
	if i != arnParts-1 || a.parts[0].exactly != "arn" {
		return nil, malformed("it is no ARN")
	}
	return a, nil
}

func (a *arnPattern) match(s string, c *call) bool {
	if a.whole != nil {
		return a.whole.match(s, c)
	}
	for i := range arnParts - 1 {
		part, after, ok := strings.Cut(s, ":")
		if !ok || !a.parts[i].match(part, c) {
			return false
		}
		s = after
	}
	return a.parts[arnParts-1].match(s, c)
}
