//go:build reference

package dynamo_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A writer writes the random expressions of one request, and gathers what their
// placeholders stand for.
type writer struct {
	*generator
	now    item // the item that the request is about, as it is now
	names  map[string]string
	values item
}

// writer is for a request about the item under a key; nil for no single item.
func (g *generator) writer(key item) *writer {
	w := &writer{generator: g, names: map[string]string{}, values: item{}}
	if key != nil {
		w.now = g.peek(key)
	}
	return w
}

// Requests without placeholders usually have no map of them.

func (w *writer) namesOrNone() map[string]string {
	if len(w.names) == 0 {
		return nil
	}
	return w.names
}

func (w *writer) valuesOrNone() item {
	if len(w.values) == 0 {
		return nil
	}
	return w.values
}

// name is an attribute as it is, or a placeholder of it.
func (w *writer) name(attribute string) string {
	if w.chance(2) && attribute != "shard" && attribute != "secret" { // shard is a reserved word
		return attribute
	}
	p := "#" + attribute
	if w.chance(4) {
		p = fmt.Sprintf("#n%d", len(w.names))
	}
	w.names[p] = attribute
	return p
}

func (w *writer) value(v types.AttributeValue) string {
	p := fmt.Sprintf(":v%d", len(w.values))
	w.values[p] = v
	return p
}

// attribute is one of the item under a key, or rarely another.
func (w *writer) attribute() string {
	if w.chance(12) {
		return one(w.generator, "pk", "sk", "secret", "shard", "due", "created", "absent")
	}
	return one(w.generator, attributes...)
}

// near is a value for an attribute: often the one that it has.
func (w *writer) near(name string) types.AttributeValue {
	if v, ok := w.now[name]; ok && !w.chance(3) {
		return v
	}
	return w.valueFor(name)
}

// word is a keyword in some writing.
func (w *writer) word(keyword string) string {
	if w.chance(10) {
		return strings.ToLower(keyword)
	}
	return keyword
}

// condition is one of random shape, of at most 2^depth comparisons.
func (w *writer) condition(depth int) string {
	if depth == 0 {
		return w.comparison()
	}
	switch w.IntN(6) {
	case 0:
		return w.operand(depth-1) + " " + w.word("AND") + " " + w.operand(depth-1)
	case 1:
		return w.operand(depth-1) + " " + w.word("OR") + " " + w.operand(depth-1)
	case 2:
		return w.word("NOT") + " " + w.operand(depth-1)
	case 3:
		return "(" + w.comparison() + ")"
	}
	return w.comparison()
}

// operand is a condition that is sometimes in parentheses. Only without them does
// the order of AND, OR and NOT matter.
func (w *writer) operand(depth int) string {
	c := w.condition(depth)
	if strings.HasPrefix(c, "(") || w.chance(2) {
		return c
	}
	return "(" + c + ")"
}

func (w *writer) comparison() string {
	name := w.attribute()
	switch w.IntN(10) {
	case 0:
		return "attribute_exists(" + w.name(name) + ")"
	case 1:
		return "attribute_not_exists( " + w.name(name) + " )"
	case 2:
		return "begins_with(" + w.name(name) + ", " + w.value(w.start()) + ")"
	case 3:
		return w.between(name)
	case 4:
		return w.in(name)
	}
	op := one(w.generator, "=", "=", "=", "<>", "<", "<=", ">", ">=")
	space := one(w.generator, " ", " ", "", "\n ")
	right := ""
	switch other := w.attribute(); {
	case w.chance(8) && other != name:
		right = w.name(other)
	case op == "=" || op == "<>":
		right = w.value(w.near(name))
	default:
		right = w.value(w.ordered(name))
	}
	if w.chance(8) {
		return right + space + op + space + w.name(name)
	}
	return w.name(name) + space + op + space + right
}

func (w *writer) between(name string) string {
	low, high := w.bounds()
	return w.name(name) + " " + w.word("BETWEEN") + " " + w.value(low) + " " + w.word("AND") + " " + w.value(high)
}

// ordered is a value that has an order: a number, a string or bytes.
func (w *writer) ordered(name string) types.AttributeValue {
	for {
		switch v := w.near(name).(type) {
		case *types.AttributeValueMemberN, *types.AttributeValueMemberS, *types.AttributeValueMemberB:
			return v
		}
	}
}

// bounds are a lower and an upper one of a type.
func (w *writer) bounds() (low, high types.AttributeValue) {
	values := one(w.generator,
		[]types.AttributeValue{n("-9e125"), n("-1"), n("-0"), n("1e-130"), n("0.1"), n("1"), n("1.50"), n("2"), n("1e2"), n("101"), n("9e125")},
		[]types.AttributeValue{s(""), s("a"), s("a#1"), s("ab"), s("b"), s("é"), s("日本")},
		[]types.AttributeValue{b(""), b("a"), b("ab"), b("b"), b("\xff")},
	)
	at := w.IntN(len(values))
	return values[at], values[at+w.IntN(len(values)-at)]
}

// start is what a string or bytes may begin with.
func (w *writer) start() types.AttributeValue {
	return one(w.generator, s(""), s("a"), s("ab"), s("b"), s("p"), s("2026"), s("é"), b("a"), b("\xff"))
}

func (w *writer) in(name string) string {
	var list []string
	for range 1 + w.IntN(3) {
		list = append(list, w.value(w.near(name)))
	}
	if w.chance(6) {
		list = append(list, w.name(w.attribute()))
	}
	return w.name(name) + " " + w.word("IN") + " (" + strings.Join(list, ", ") + ")"
}

// update has up to three clauses on different attributes, or rarely on the same.
func (w *writer) update() string {
	targets := some(w.generator, attributes...)
	if w.chance(4) {
		targets = append(targets, one(w.generator, "secret", "created", "shard", "due"))
	}
	if w.chance(40) {
		targets = append(targets, targets[0])
	}
	if w.chance(40) {
		targets = append(targets, "sk")
	}
	clauses := map[string][]string{}
	for _, name := range targets {
		switch w.IntN(5) {
		case 0:
			clauses["REMOVE"] = append(clauses["REMOVE"], w.name(name))
		case 1:
			clauses["ADD"] = append(clauses["ADD"], w.name(name)+" "+w.value(w.added()))
		default:
			clauses["SET"] = append(clauses["SET"], w.name(name)+" = "+w.assigned(name))
		}
	}
	var all []string
	keywords := slices.Sorted(maps.Keys(clauses))
	w.Shuffle(len(keywords), func(i, j int) { keywords[i], keywords[j] = keywords[j], keywords[i] })
	for _, keyword := range keywords {
		all = append(all, w.word(keyword)+" "+strings.Join(clauses[keyword], ", "))
	}
	return strings.Join(all, " ")
}

func (w *writer) added() types.AttributeValue {
	if w.chance(20) {
		return w.generator.value(1)
	}
	return n(one(w.generator, numbers...))
}

func (w *writer) assigned(name string) string {
	if indexed := slices.Contains([]string{"secret", "created", "shard", "due"}, name); indexed {
		return w.value(w.indexValue(name))
	}
	switch w.IntN(8) {
	case 0:
		return "if_not_exists(" + w.name(one(w.generator, name, w.attribute())) + ", " + w.value(w.valueFor(name)) + ")"
	case 1:
		return w.term(name) + one(w.generator, " + ", " - ", "+", "-") + w.term(name)
	case 2:
		return w.name(w.attribute())
	}
	return w.value(w.valueFor(name))
}

// term is one side of a sum: mostly a number.
func (w *writer) term(name string) string {
	number := one(w.generator, "num1", "num2")
	switch w.IntN(8) {
	case 0:
		return "if_not_exists(" + w.name(number) + ", " + w.value(n(one(w.generator, numbers...))) + ")"
	case 1:
		return w.name(name)
	case 2, 3:
		return w.name(number)
	}
	return w.value(w.added())
}

func (w *writer) projection() string {
	names := some(w.generator, append([]string{"pk", "sk", "secret", "due", "absent"}, attributes...)...)
	var list []string
	for _, name := range names {
		list = append(list, w.name(name))
	}
	return strings.Join(list, ", ")
}

func (w *writer) keyCondition(hash string, value types.AttributeValue, sort string) string {
	first := w.name(hash) + " = " + w.value(value)
	if w.chance(4) {
		return first
	}
	second := w.sortCondition(sort)
	if w.chance(5) {
		first, second = second, first
	}
	return first + " " + w.word("AND") + " " + second
}

func (w *writer) sortCondition(sort string) string {
	bounds := sorts
	if sort != "sk" {
		bounds = stamps
	}
	bound := func() types.AttributeValue { return s(one(w.generator, bounds...)) }
	switch w.IntN(8) {
	case 0, 1:
		return "begins_with(" + w.name(sort) + ", " + w.value(s(one(w.generator, "a", "a#", "b", "k", "2026", bounds[0]))) + ")"
	case 2, 3:
		return w.name(sort) + " " + w.word("BETWEEN") + " " + w.value(bound()) + " " + w.word("AND") + " " + w.value(bound())
	}
	return w.name(sort) + one(w.generator, " ", "") + one(w.generator, "=", "<", "<=", ">", ">=") + " " + w.value(bound())
}
