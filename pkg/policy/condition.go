package policy

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/pkg/spelling"
)

// A condition is one key of a Condition element.
type condition struct {
	operator operator
	key      key
	name     string   // the key as written
	values   []string // as written
	operands operands // the same, parsed
	// unsupported means that the key or a variable is not supported, so that the
	// condition may be met or not; see parser.stored.
	unsupported bool
}

// An operator is ForAnyValue:StringLikeIfExists, say.
type operator struct {
	*operatorType
	set      string // forAllValues, forAnyValue, or empty
	name     string // StringLike
	ifExists bool
}

const (
	forAllValues = "ForAllValues"
	forAnyValue  = "ForAnyValue"
)

type operatorType struct {
	values  valueType
	negated bool // true if no operand matches

	ordering              ordering // of numbers and dates
	wildcards, ignoreCase bool     // in strings
}

// A valueType is the type of the values that an operator compares.
type valueType uint8

const (
	strs valueType = iota
	arns
	numbers
	dates
	bools
	binaries
	addresses
	null // whether the key is absent
)

// An ordering is which results of a comparison are true: less, equal, greater.
type ordering [3]bool

var (
	equal          = ordering{false, true, false}
	less           = ordering{true, false, false}
	lessOrEqual    = ordering{true, true, false}
	greater        = ordering{false, false, true}
	greaterOrEqual = ordering{false, true, true}
)

func (o ordering) holds(result int) bool { return o[result+1] }

// operatorTypes are the condition operators. ArnEquals and ArnLike "behave
// identically". The case of their names matters (a guess).
var operatorTypes = map[string]*operatorType{
	"StringEquals":              {values: strs},
	"StringNotEquals":           {values: strs, negated: true},
	"StringEqualsIgnoreCase":    {values: strs, ignoreCase: true},
	"StringNotEqualsIgnoreCase": {values: strs, ignoreCase: true, negated: true},
	"StringLike":                {values: strs, wildcards: true},
	"StringNotLike":             {values: strs, wildcards: true, negated: true},
	"NumericEquals":             {values: numbers, ordering: equal},
	"NumericNotEquals":          {values: numbers, ordering: equal, negated: true},
	"NumericLessThan":           {values: numbers, ordering: less},
	"NumericLessThanEquals":     {values: numbers, ordering: lessOrEqual},
	"NumericGreaterThan":        {values: numbers, ordering: greater},
	"NumericGreaterThanEquals":  {values: numbers, ordering: greaterOrEqual},
	"DateEquals":                {values: dates, ordering: equal},
	"DateNotEquals":             {values: dates, ordering: equal, negated: true},
	"DateLessThan":              {values: dates, ordering: less},
	"DateLessThanEquals":        {values: dates, ordering: lessOrEqual},
	"DateGreaterThan":           {values: dates, ordering: greater},
	"DateGreaterThanEquals":     {values: dates, ordering: greaterOrEqual},
	"Bool":                      {values: bools},
	"BinaryEquals":              {values: binaries},
	"IpAddress":                 {values: addresses},
	"NotIpAddress":              {values: addresses, negated: true},
	"ArnEquals":                 {values: arns, wildcards: true},
	"ArnNotEquals":              {values: arns, wildcards: true, negated: true},
	"ArnLike":                   {values: arns, wildcards: true},
	"ArnNotLike":                {values: arns, wildcards: true, negated: true},
	"Null":                      {values: null},
}

// parseOperator parses the name of an operator. Null itself asks whether a key is
// absent, and so has neither prefix nor suffix.
func parseOperator(s string) (operator, bool) {
	set, name, ok := strings.Cut(s, ":")
	if !ok {
		set, name = "", s
	} else if set != forAllValues && set != forAnyValue {
		return operator{}, false
	}
	name, ifExists := strings.CutSuffix(name, "IfExists")
	t, ok := operatorTypes[name]
	if !ok || t.values == null && (ifExists || set != "") {
		return operator{}, false
	}
	return operator{t, set, name, ifExists}, true
}

// similarOperator suggests an operator for a misspelt one.
func similarOperator(s string) string {
	if _, name, ok := strings.Cut(s, ":"); ok {
		s = name
	}
	return spelling.DidYouMean(strings.TrimSuffix(s, "IfExists"), slices.Sorted(maps.Keys(operatorTypes)))
}

func (o operator) String() string {
	s := o.name
	if o.set != "" {
		s = o.set + ":" + s
	}
	if o.ifExists {
		s += "IfExists"
	}
	return s
}

// conditions parses a Condition element. An empty one is valid, as AWS's examples
// have it; an operator without keys is not in the grammar.
func (p *parser) conditions(v any) ([]condition, error) {
	block, ok := v.(object)
	if !ok {
		return nil, malformed("Condition is no object")
	}
	var all []condition
	for _, m := range block {
		op, ok := parseOperator(m.name)
		if !ok {
			return nil, malformed("unknown condition operator %.40q%s", m.name, similarOperator(m.name))
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
			c, err := p.condition(op, k)
			if err != nil && !p.ignores(err) {
				return nil, err
			}
			c.unsupported = err != nil
			all = append(all, c)
		}
	}
	return all, nil
}

func (p *parser) condition(op operator, m member) (c condition, err error) {
	c = condition{operator: op, name: m.name}
	if c.values, err = scalars(m.value); err != nil {
		return c, err
	}
	var unknown error
	if c.key, unknown = findKey(c.name); unknown == nil && c.key.multivalued && op.set == "" && op.values != null {
		// "Multivalued context keys require a condition set operator" (IAM user
		// guide, "Single-valued vs. multivalued context keys"). Without one AWS
		// accepts the policy, with undocumented meaning.
		unknown = unsupported("%s: %.80q may have several values, and needs ForAllValues or ForAnyValue", op.name, c.name)
	}
	c.operands, err = op.parse(c.values, c.key, p.variables)
	if _, ok := errors.AsType[unsupportedError](err); ok {
		err = fmt.Errorf("%s with %.80q: %w", op.name, c.name, err)
	} else if err != nil {
		return c, err
	}
	return c, cmp.Or(unknown, err)
}

// evaluate says whether a request meets the condition.
//
// With an absent key a condition is false, unless its operator is negated, ends in
// IfExists or begins with ForAllValues ("Condition operators", "Multivalued context
// keys"). For ForAnyValue with IfExists the guide says both: true where it explains
// IfExists, false where it explains ForAnyValue, as others saw it
// (iam.cloudcopilot.io). So that is unknown.
func (c *condition) evaluate(r *requestContext) tristate {
	if c.unsupported {
		return unknown
	}
	values, op := r.values(c.key), &c.operator
	switch lacks := r.lacks(c.key); {
	case lacks && op.values == null: // it is there, with whichever value
		absent, _ := c.operands.match("false", r)
		return absent
	case lacks:
		return unknown
	case op.values == null:
		absent, _ := c.operands.match(strconv.FormatBool(len(values) == 0), r)
		return absent
	case len(values) == 0 && op.set == forAnyValue:
		if op.ifExists {
			return unknown
		}
		return no
	case len(values) == 0:
		return tristateOf(op.ifExists || op.set == forAllValues || op.negated)
	case len(values) == 1:
		return c.test(values[0], r)
	case op.set == "":
		return unknown // which of them is meant?
	}
	result := tristateOf(op.set != forAnyValue)
	for _, value := range values {
		if one := c.test(value, r); op.set == forAnyValue {
			result = max(result, one)
		} else {
			result = min(result, one)
		}
	}
	return result
}

// test says whether one value of the request meets the condition. A value of
// another type than the operator's matches nothing, which must not make a negated
// condition of an Allow true.
func (c *condition) test(value string, r *requestContext) tristate {
	result, valid := c.operands.match(value, r)
	switch {
	case !valid && c.operator.negated:
		return unknown
	case c.operator.negated:
		return result.not()
	}
	return result
}

// operands are the values of a condition, parsed for its operator.
type operands interface {
	// match says whether a value of the request matches one of them. It is not
	// valid if it is of another type, such as a word under NumericEquals.
	match(value string, c *requestContext) (result tristate, valid bool)
}

// parse parses the values of a condition. Only operators for strings and ARNs have
// variables: "You can't use a policy variable with other operators" (IAM user
// guide, "Variables and tags").
func (o operator) parse(values []string, k key, variables bool) (operands, error) {
	switch o.values {
	case numbers:
		all, err := parseAll(o, values, parseNumber)
		return numberOperands{o.ordering, all}, err
	case dates:
		all, err := parseAll(o, values, parseDate)
		return dateOperands{o.ordering, k.name == currentTime || k.name == epochTime, all}, err
	case bools, null:
		all, err := parseAll(o, values, parseBool)
		return boolOperands(all), err
	case binaries:
		all, err := parseAll(o, values, parseBinary)
		return binaryOperands(all), err
	case addresses:
		all, err := parseAll(o, values, parseNetwork)
		return networkOperands(all), err
	case arns:
		if _, err := parseAll(o, values, parseARNPattern); err != nil {
			return nil, err
		}
	}
	all := make(stringOperands, len(values))
	for i, s := range values {
		p, err := parsePattern(s, o.wildcards, variables)
		if err != nil {
			return nil, err
		}
		if all[i], err = newStringOperand(p, o, k); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func parseAll[T any](o operator, values []string, parse func(string) (T, bool)) ([]T, error) {
	all := make([]T, len(values))
	for i, s := range values {
		var ok bool
		if all[i], ok = parse(s); !ok {
			return nil, malformed("%s can't compare with %.40q", o.name, s)
		}
	}
	return all, nil
}

type stringOperands []stringOperand

func (all stringOperands) match(value string, c *requestContext) (result tristate, valid bool) {
	for i := range all {
		if result = max(result, all[i].match(value, c)); result == yes {
			break
		}
	}
	return result, true
}

type numberOperands struct {
	ordering
	numbers []float64
}

func (o numberOperands) match(value string, _ *requestContext) (tristate, bool) {
	n, ok := parseNumber(value)
	return tristateOf(ok && slices.ContainsFunc(o.numbers, func(m float64) bool { return o.holds(cmp.Compare(n, m)) })), ok
}

// parseNumber parses a decimal number. ParseFloat also takes .5, Inf and 0x1p-2.
func parseNumber(s string) (float64, bool) {
	digits := strings.TrimLeft(s, "+-")
	if digits == "" || strings.Trim(s, "+-.0123456789eE") != "" || !isDigit(digits[0]) {
		return 0, false
	}
	if _, fraction, ok := strings.Cut(s, "."); ok && (fraction == "" || !isDigit(fraction[0])) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

type dateOperands struct {
	ordering
	ofRequest bool // the value is the time of the request and need not be parsed
	dates     []time.Time
}

func (o dateOperands) match(value string, c *requestContext) (tristate, bool) {
	t, ok := c.Time, true
	if !o.ofRequest {
		t, ok = parseDate(value)
	}
	return tristateOf(ok && slices.ContainsFunc(o.dates, func(u time.Time) bool { return o.holds(t.Compare(u)) })), ok
}

// dateFormats are those of the W3C's note on ISO 8601. Go also parses a fraction of
// a second where the format has none.
var dateFormats = []string{"2006", "2006-01", time.DateOnly, "2006-01-02T15:04Z07:00", time.RFC3339}

// parseDate parses a date or seconds since 1970. Four digits are a year.
func parseDate(s string) (time.Time, bool) {
	isYear := len(s) == 4 && isDigit(s[0])
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && !isYear {
		return time.Unix(n, 0).UTC(), true
	}
	for _, format := range dateFormats {
		if t, err := time.Parse(format, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

type boolOperands []string

func (o boolOperands) match(value string, _ *requestContext) (tristate, bool) {
	_, valid := parseBool(value)
	return tristateOf(containsFold(o, value)), valid
}

func parseBool(s string) (string, bool) {
	return s, strings.EqualFold(s, "true") || strings.EqualFold(s, "false")
}

func containsFold(all []string, s string) bool {
	return slices.ContainsFunc(all, func(one string) bool { return strings.EqualFold(one, s) })
}

// What is binary in AWS's protocol is text here.
type binaryOperands []string

func (o binaryOperands) match(value string, _ *requestContext) (tristate, bool) {
	return tristateOf(slices.Contains(o, value)), true
}

func parseBinary(s string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), err == nil
}

type networkOperands []netip.Prefix

func (o networkOperands) match(value string, c *requestContext) (tristate, bool) {
	a, ok := c.parseAddr(value)
	return tristateOf(ok && slices.ContainsFunc(o, func(p netip.Prefix) bool { return p.Contains(a) })), ok
}

// ipv4Mapped is all of IPv4 within IPv6.
var ipv4Mapped = netip.MustParsePrefix("::ffff:0:0/96")

// parseNetwork parses a range of addresses, or one address. IPv4 addresses written
// as IPv6 become IPv4.
func parseNetwork(s string) (p netip.Prefix, ok bool) {
	if !strings.Contains(s, "/") {
		s += "/" + strconv.Itoa(bitLen(s))
	}
	p, err := netip.ParsePrefix(s) // which rejects a zone
	if p.Addr().Is4In6() && p.Bits() >= ipv4Mapped.Bits() {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-ipv4Mapped.Bits())
	}
	return p, err == nil
}

func bitLen(address string) int {
	a, _ := netip.ParseAddr(address)
	return a.BitLen()
}
