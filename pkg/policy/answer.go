package policy

// An answer says whether a request has what a part of a statement asks for.
// Unsure is the answer where something is not known: a condition key of a policy
// that was stored before its key was refused, the path of a role. What is not
// known must not let anybody in, nor spare anybody: an Allow applies when the
// answer is yes, a Deny when it is not no.
type answer uint8

const (
	no answer = iota
	unsure
	yes
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// not turns an answer round; what is not known stays so.
func (a answer) not() answer { return yes - a }
