package policy

import "strings"

// pathless makes of a pattern for aws:PrincipalArn the one that the role of a
// session is compared with, whose path the gateway does not give. Between the
// first slash and the last stands a path, if any, which is left out; certain
// says whether a match then stands.
//
//	arn:aws:iam::123456789012:role/team/app    app, certainly: no other role of the account has the name
//	arn:aws:iam::123456789012:role/app-*       as it is: without a path, stars stand for names
//	arn:aws:iam::123456789012:role/team/*      any role, which may be of the team or not
//	arn:aws:iam::123456789012:role/team-*/app  app, and whether that is its path is not known
//
// An uncertain match lets nobody in and spares nobody.
func pathless(all []element) (bare []element, certain, path bool) {
	var before, after []element
	slashed := false
	certain = true
	for _, e := range all {
		if e.kind == literal && !slashed {
			var head string
			head, e.text, slashed = strings.Cut(e.text, "/")
			if slashed {
				head += "/"
			}
			before = join(before, element{kind: literal, text: head})
		}
		switch {
		case !slashed && e.kind != literal:
			before = join(before, e)
			continue
		case e.kind != literal:
			certain = false
		default:
			if i := strings.LastIndexByte(e.text, '/'); i >= 0 {
				after, path, e.text = nil, true, e.text[i+1:]
			}
		}
		after = join(after, e)
	}
	if !path {
		return nil, true, false
	}
	for _, e := range after {
		before = join(before, e)
	}
	return before, certain, true
}
