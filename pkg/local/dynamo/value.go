package dynamo

import (
	"bytes"
	"cmp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/shopspring/decimal"
)

// compare orders two values of one type, strings and binary by their bytes and
// numbers as decimals. ok is false for values that have no order: of two types, or
// of a type without one, or absent.
func compare(a, b types.AttributeValue) (order int, ok bool) {
	switch a := a.(type) {
	case *types.AttributeValueMemberS:
		if b, same := b.(*types.AttributeValueMemberS); same {
			return cmp.Compare(a.Value, b.Value), true
		}
	case *types.AttributeValueMemberB:
		if b, same := b.(*types.AttributeValueMemberB); same {
			return bytes.Compare(a.Value, b.Value), true
		}
	case *types.AttributeValueMemberN:
		if b, same := b.(*types.AttributeValueMemberN); same {
			return number(a.Value).Cmp(number(b.Value)), true
		}
	}
	return 0, false
}

// equal says whether two values are the same, of whatever type.
func equal(a, b types.AttributeValue) bool {
	if order, ok := compare(a, b); ok {
		return order == 0
	}
	switch a := a.(type) {
	case *types.AttributeValueMemberBOOL:
		b, same := b.(*types.AttributeValueMemberBOOL)
		return same && a.Value == b.Value
	case *types.AttributeValueMemberNULL:
		_, same := b.(*types.AttributeValueMemberNULL)
		return same
	case *types.AttributeValueMemberL:
		b, same := b.(*types.AttributeValueMemberL)
		if !same || len(a.Value) != len(b.Value) {
			return false
		}
		for i := range a.Value {
			if !equal(a.Value[i], b.Value[i]) {
				return false
			}
		}
		return true
	case *types.AttributeValueMemberM:
		b, same := b.(*types.AttributeValueMemberM)
		return same && equalMaps(a.Value, b.Value)
	}
	return false
}

func equalMaps(a, b item) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if b[name] == nil || !equal(a[name], b[name]) {
			return false
		}
	}
	return true
}

// number is a number that was checked before.
func number(s string) decimal.Decimal {
	d, _ := decimal.NewFromString(s)
	return d
}

// The range of numbers, and how many significant digits they have.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
const (
	maxDigits   = 38
	maxExponent = 125
	minExponent = -130
)

// normal is a number as DynamoDB gives it back: in plain digits, without zeros
// that say nothing.
func normal(s string) (string, error) {
	if n := len(s); n > 0 && n < 18 && isPlain(s) {
		return s, nil
	}
	d, err := decimal.NewFromString(s)
	if err != nil || len(s) > 512 {
		return "", invalid("The parameter cannot be converted to a numeric value: %s", s)
	}
	return normalDecimal(d)
}

// isPlain says that s is an integer that is normal already.
func isPlain(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || digits[0] == '0' {
		return s == "0"
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return true
}

func normalDecimal(d decimal.Decimal) (string, error) {
	if d.IsZero() {
		return "0", nil
	}
	digits := strings.TrimRight(d.Coefficient().Text(10), "0")
	digits = strings.TrimPrefix(digits, "-")
	if len(digits) > maxDigits {
		return "", invalid("Attempting to store more than 38 significant digits in a Number")
	}
	// The exponent of the first digit.
	switch first := int(d.Exponent()) + d.NumDigits() - 1; {
	case first > maxExponent:
		return "", invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case first < minExponent:
		return "", invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	}
	text := d.String()
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text, nil
}

// clean checks a value that a caller sent and makes its numbers normal. Its errors
// are DynamoDB's.
func clean(av types.AttributeValue, depth int) (types.AttributeValue, error) {
	if depth > 32 {
		return nil, invalid("Nesting Levels have exceeded supported limits")
	}
	switch av := av.(type) {
	case *types.AttributeValueMemberS, *types.AttributeValueMemberB, *types.AttributeValueMemberBOOL:
		return av, nil
	case *types.AttributeValueMemberNULL:
		if !av.Value {
			return nil, invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
		return av, nil
	case *types.AttributeValueMemberN:
		n, err := normal(av.Value)
		return &types.AttributeValueMemberN{Value: n}, err
	case *types.AttributeValueMemberL:
		list := make([]types.AttributeValue, len(av.Value))
		for i, e := range av.Value {
			var err error
			if list[i], err = clean(e, depth+1); err != nil {
				return nil, err
			}
		}
		return &types.AttributeValueMemberL{Value: list}, nil
	case *types.AttributeValueMemberM:
		m, err := cleanMap(av.Value, depth+1)
		return &types.AttributeValueMemberM{Value: m}, err
	}
	return nil, invalid("Supplied AttributeValue is empty, or of a type that is not supported here")
}

func cleanMap(m item, depth int) (item, error) {
	next := make(item, len(m))
	for name, av := range m {
		var err error
		if next[name], err = clean(av, depth); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// sizeOf is the size of an item in bytes, as DynamoDB counts it.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
func sizeOf(it item) int {
	size := 0
	for name, av := range it {
		size += len(name) + sizeOfValue(av)
	}
	return size
}

func sizeOfValue(av types.AttributeValue) int {
	switch av := av.(type) {
	case *types.AttributeValueMemberS:
		return len(av.Value)
	case *types.AttributeValueMemberN:
		return sizeOfNumber(av.Value)
	case *types.AttributeValueMemberB:
		return len(av.Value)
	case *types.AttributeValueMemberL:
		size := 3
		for _, e := range av.Value {
			size += 1 + sizeOfValue(e)
		}
		return size
	case *types.AttributeValueMemberM:
		return 3 + len(av.Value) + sizeOf(av.Value)
	}
	return 1
}

// sizeOfNumber is a byte for two digits before the point and for two behind it, one
// more, and one for the minus. Zeros at both ends do not count.
func sizeOfNumber(s string) int {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		fraction = strings.TrimLeft(fraction, "0")
	}
	if fraction == "" {
		whole = strings.TrimRight(whole, "0")
	}
	size := 1 + (len(whole)+1)/2 + (len(fraction)+1)/2
	if negative {
		size++
	}
	return size
}
