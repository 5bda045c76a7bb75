package policy

import (
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A Condition is met by a request whose key compares to one of the values as the
// operator says; under a negated operator, to none of them.
type Condition struct {
	Operator Operator
	// Key is as it was written; its case means nothing.
	Key    string
	Values []string
}

// An Operator is a comparison: StringLike, ForAnyValue:StringLikeIfExists.
type Operator struct {
	// Each is how many of a key's values are to compare, for a key that may
	// have several: ForAllValues or ForAnyValue, or empty.
	Each string
	Name string
	// IfExists makes a condition on an absent key true.
	IfExists bool
}

// The two set operators. ForAllValues is also true of a key that is absent.
const (
	ForAllValues = "ForAllValues"
	ForAnyValue  = "ForAnyValue"
)

// operators says which values an operator compares with. What it makes of them is
// in meanings.
var operators = map[string]func(string) bool{
	"StringEquals":              anything,
	"StringNotEquals":           anything,
	"StringEqualsIgnoreCase":    anything,
	"StringNotEqualsIgnoreCase": anything,
	"StringLike":                anything,
	"StringNotLike":             anything,
	"NumericEquals":             isNumber,
	"NumericNotEquals":          isNumber,
	"NumericLessThan":           isNumber,
	"NumericLessThanEquals":     isNumber,
	"NumericGreaterThan":        isNumber,
	"NumericGreaterThanEquals":  isNumber,
	"DateEquals":                isDate,
	"DateNotEquals":             isDate,
	"DateLessThan":              isDate,
	"DateLessThanEquals":        isDate,
	"DateGreaterThan":           isDate,
	"DateGreaterThanEquals":     isDate,
	"Bool":                      isTruth,
	"BinaryEquals":              isBinary,
	"IpAddress":                 isNetwork,
	"NotIpAddress":              isNetwork,
	"ArnEquals":                 isARN,
	"ArnNotEquals":              isARN,
	"ArnLike":                   isARN,
	"ArnNotLike":                isARN,
	"Null":                      isTruth,
}

// parseConditions reads a Condition. One without operators is taken, as AWS's
// own examples have it; an operator without keys is not in the grammar. Which
// keys are known is asked when it is compiled.
func parseConditions(v any) ([]Condition, error) {
	block, ok := v.(object)
	if !ok {
		return nil, malformed("Condition is no object")
	}
	var all []Condition
	for _, m := range block {
		op, ok := parseOperator(m.name)
		if !ok {
			return nil, malformed("unknown condition operator %.40q", m.name)
		}
		keys, ok := m.value.(object)
		if !ok || len(keys) == 0 {
			return nil, malformed("the operator %s has no keys", m.name)
		}
		seen := map[string]bool{}
		for _, k := range keys {
			// IAM's checks call a key that is there in two cases an error.
			name := strings.ToLower(k.name)
			if prefix, rest, _ := strings.Cut(name, ":"); prefix == "" || rest == "" || seen[name] {
				return nil, malformed("the condition key %.40q has no prefix or is there twice", k.name)
			}
			seen[name] = true
			values, err := parseValues(op, k.value)
			if err != nil {
				return nil, err
			}
			all = append(all, Condition{op, k.name, values})
		}
	}
	return all, nil
}

// parseOperator reads the name of an operator, whose case counts (a guess). Null
// asks itself whether a key is there, and so takes neither prefix nor suffix.
func parseOperator(s string) (op Operator, ok bool) {
	each, name, ok := strings.Cut(s, ":")
	if !ok {
		each, name = "", s
	} else if each != ForAllValues && each != ForAnyValue {
		return op, false
	}
	name, ifExists := strings.CutSuffix(name, "IfExists")
	if name == "Null" && (ifExists || each != "") {
		return op, false
	}
	_, ok = operators[name]
	return Operator{each, name, ifExists}, ok
}

func parseValues(op Operator, v any) ([]string, error) {
	values, err := scalars(v)
	if err != nil {
		return nil, err
	}
	good := operators[op.Name]
	for i, s := range values {
		if !good(s) {
			return nil, malformed("%s can't compare with %.40q", op.Name, s)
		}
		if (op.Name == "Bool" || op.Name == "Null") && isTruth(s) {
			values[i] = strings.ToLower(s)
		}
	}
	return values, nil
}

func anything(string) bool { return true }

func hasVariable(s string) bool { return strings.Contains(s, "${") }

func isTruth(s string) bool { return strings.EqualFold(s, "true") || strings.EqualFold(s, "false") }

func isNumber(s string) bool {
	_, ok := parseNumber(s)
	return ok
}

// dates are the forms of the W3C's note on ISO 8601; Go reads a fraction of a
// second where there is none in the form.
var dates = []string{"2006", "2006-01", time.DateOnly, "2006-01-02T15:04Z07:00", time.RFC3339}

func isDate(s string) bool {
	_, ok := parseDate(s)
	return ok
}

func isBinary(s string) bool {
	_, err := base64.StdEncoding.DecodeString(s)
	return err == nil
}

func isNetwork(s string) bool {
	_, err := parseNetwork(s)
	return err == nil
}

// parseNetwork reads a range of addresses, or one address, which is a range too.
func parseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.ParsePrefix(s + "/" + strconv.Itoa(a.BitLen())) // which refuses a zone
}

// isARN says whether s has the six parts of an ARN, wildcards and variables
// among them. A star alone is taken: it is any ARN.
func isARN(s string) bool {
	return s == "*" || hasVariable(s) || strings.HasPrefix(s, "arn:") && strings.Count(s, ":") >= 5
}
