package policy

import (
	"cmp"
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A comparison is what a name of an operator means, but for its not, which is in
// condition.negated.
type comparison uint8

const (
	isNull comparison = iota
	equalText
	equalFold
	likeText
	likeARN
	equal
	less
	lessOrEqual
	greater
	greaterOrEqual
	isTrue
	equalBytes
	withinNetwork
)

// A family is the type of the values an operator compares.
type family uint8

const (
	nulls family = iota
	strs
	arns
	numbers
	dateTimes
	truths
	blobs
	networks
)

// A meaning is what the name of an operator says.
type meaning struct {
	family  family
	compare comparison
	negated bool
}

// meanings has the operators that operators has. ArnEquals and ArnLike "behave
// identically".
var meanings = map[string]meaning{
	"StringEquals":              {strs, equalText, false},
	"StringNotEquals":           {strs, equalText, true},
	"StringEqualsIgnoreCase":    {strs, equalFold, false},
	"StringNotEqualsIgnoreCase": {strs, equalFold, true},
	"StringLike":                {strs, likeText, false},
	"StringNotLike":             {strs, likeText, true},
	"NumericEquals":             {numbers, equal, false},
	"NumericNotEquals":          {numbers, equal, true},
	"NumericLessThan":           {numbers, less, false},
	"NumericLessThanEquals":     {numbers, lessOrEqual, false},
	"NumericGreaterThan":        {numbers, greater, false},
	"NumericGreaterThanEquals":  {numbers, greaterOrEqual, false},
	"DateEquals":                {dateTimes, equal, false},
	"DateNotEquals":             {dateTimes, equal, true},
	"DateLessThan":              {dateTimes, less, false},
	"DateLessThanEquals":        {dateTimes, lessOrEqual, false},
	"DateGreaterThan":           {dateTimes, greater, false},
	"DateGreaterThanEquals":     {dateTimes, greaterOrEqual, false},
	"Bool":                      {truths, isTrue, false},
	"BinaryEquals":              {blobs, equalBytes, false},
	"IpAddress":                 {networks, withinNetwork, false},
	"NotIpAddress":              {networks, withinNetwork, true},
	"ArnEquals":                 {arns, likeARN, false},
	"ArnNotEquals":              {arns, likeARN, true},
	"ArnLike":                   {arns, likeARN, false},
	"ArnNotLike":                {arns, likeARN, true},
	"Null":                      {nulls, isNull, false},
}

// A values is what a condition compares with, read once: as many as it has of the
// type of its operator.
type values struct {
	likes    []like
	numbers  []float64
	dates    []time.Time
	networks []netip.Prefix
	texts    []string // of Bool and Null in lower case, of BinaryEquals as bytes
}

// A like is what operators for strings and ARNs compare with.
type like struct {
	pattern pattern
	arn     *arnPattern
	// bare is pattern or arn for the role of a session, whose path is not known;
	// nil when it makes no difference. A match with it stands when it is certain.
	bare    *like
	certain bool
}

// add reads a value for an operator. Variables stand in the values of the
// operators for strings and ARNs: "You can't use a policy variable with other
// operators" (IAM user guide, "Variables and tags").
func (v *values) add(s string, m meaning, k key, withVariables bool) error {
	switch m.family {
	case strs, arns:
		all, err := parsePattern(s, syntax{wildcards: m.compare != equalText && m.compare != equalFold, variables: withVariables})
		if err != nil {
			return err
		}
		l, err := compileLike(all, m)
		if err != nil {
			return err
		}
		if bare, certain, path := pathless(all); path && k.source == principalARN {
			b, err := compileLike(bare, m)
			if err != nil {
				return err
			}
			l.pattern, l.bare, l.certain = patternOf(all), &b, certain
		}
		v.likes = append(v.likes, l)
	case numbers:
		n, _ := parseNumber(s)
		v.numbers = append(v.numbers, n)
	case dateTimes:
		t, _ := parseDate(s)
		v.dates = append(v.dates, t)
	case networks:
		p, err := parseNetwork(s)
		if err != nil {
			return err
		}
		v.networks = append(v.networks, unmapped(p))
	case blobs:
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return err
		}
		v.texts = append(v.texts, string(b))
	case truths, nulls:
		v.texts = append(v.texts, strings.ToLower(s))
	}
	return nil
}

func compileLike(all []element, m meaning) (l like, err error) {
	if m.family == arns {
		l.arn, err = compileARN(all)
		return l, err
	}
	l.pattern = patternOf(all)
	return l, nil
}

// unmapped is a network of IPv4 addresses written as IPv6 as what it is.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= mapped.Bits() {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped.Bits())
	}
	return p
}

// compares says whether s, a value of the request for the key, compares to any of
// the values, without the not of the operator; fits is false for one that is of
// another type.
func (o *condition) compares(s string, c *call) (a answer, fits bool) {
	v := &o.values
	switch o.meaning.family {
	case strs, arns:
		for i := range v.likes {
			if a = max(a, v.likes[i].compares(o.meaning.compare, s, c)); a == yes {
				break
			}
		}
		return a, true
	case numbers:
		n, ok := parseNumber(s)
		return answerOf(ok && slices.ContainsFunc(v.numbers, func(m float64) bool { return o.meaning.compare.holds(cmp.Compare(n, m)) })), ok
	case dateTimes:
		t, ok := c.time, true
		if o.key.source != currentTime && o.key.source != epochTime {
			t, ok = parseDate(s)
		}
		return answerOf(ok && slices.ContainsFunc(v.dates, func(u time.Time) bool { return o.meaning.compare.holds(t.Compare(u)) })), ok
	case networks:
		address, ok := c.addressOf(s)
		return answerOf(ok && slices.ContainsFunc(v.networks, func(p netip.Prefix) bool { return p.Contains(address) })), ok
	case truths:
		return answerOf(slices.ContainsFunc(v.texts, func(t string) bool { return strings.EqualFold(s, t) })), isTruth(s)
	}
	// What is binary on AWS's wire is text here.
	return answerOf(slices.Contains(v.texts, s)), true
}

func (l *like) compares(how comparison, s string, c *call) answer {
	certainly := yes
	if l.bare != nil && c.who.kind == session {
		// A variable in the path that has no value is like nothing, too.
		if !l.pattern.resolves(c) {
			return no
		}
		if !l.certain {
			certainly = unsure
		}
		l = l.bare
	}
	matches := false
	switch how {
	case likeARN:
		matches = l.arn.match(s, c)
	case equalFold:
		t, ok := l.pattern.expand(c)
		matches = ok && strings.EqualFold(s, t)
	default:
		matches = l.pattern.match(s, c)
	}
	if !matches {
		return no
	}
	return certainly
}

// holds says whether an order of two things is the one compared for.
func (o comparison) holds(order int) bool {
	switch o {
	case less:
		return order < 0
	case lessOrEqual:
		return order <= 0
	case greater:
		return order > 0
	case greaterOrEqual:
		return order >= 0
	}
	return order == 0
}

// parseNumber reads a decimal number. ParseFloat also reads .5, Inf and 0x1p-2.
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

// parseDate reads a date, or seconds since 1970.
func parseDate(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && !isYear(s) {
		return time.Unix(n, 0).UTC(), true
	}
	for _, form := range dates {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// isYear says whether s is a year: "2020" is a form of the W3C's note, and as
// seconds since 1970 it would be of no use.
func isYear(s string) bool { return len(s) == 4 && s[0] != '-' && s[0] != '+' }
