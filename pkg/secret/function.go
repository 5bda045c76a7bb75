package secret

import "regexp"

// functionName is a Lambda function as RotateSecret may name it: by its ARN, by account
// and name, or by its name. Only the first two may be followed by any version or alias:
// what stands before the colon in us-east-1:rotate is not the function's name.
var functionName = regexp.MustCompile(`^(?:(?:(arn:[a-z-]+:lambda:[a-z0-9-]+:)?([0-9]{12}):function:([A-Za-z0-9._-]+)(?::([A-Za-z0-9_-]+|\$LATEST))?)|([A-Za-z0-9._-]+)(?::\$LATEST)?)$`)

// FunctionARN is the ARN of a Lambda function that a caller names, and that of the version
// or alias of it that is meant; both are the same if none is, or the latest one. It is
// false for a name that could mean several functions.
func (a ARNs) FunctionARN(function string) (unqualified, qualified string, ok bool) {
	m := functionName.FindStringSubmatch(function)
	if m == nil {
		return "", "", false
	}
	prefix, account, name, qualifier := m[1], m[2], m[3], m[4]
	if name == "" {
		account, name = a.Account, m[5]
	}
	if prefix == "" {
		prefix = "arn:" + a.Partition + ":lambda:" + a.Region + ":"
	}
	unqualified = prefix + account + ":function:" + name
	qualified = unqualified
	if qualifier != "" && qualifier != "$LATEST" {
		qualified += ":" + qualifier
	}
	return unqualified, qualified, true
}
