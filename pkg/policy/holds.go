package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A condition is a Condition, compiled.
type condition struct {
	operator Operator
	meaning  meaning
	key      key
	values   values
	// name is that of the key as it was written.
	name string
	// obscure is that it is not understood. None is that was written since
	// there is this check; see reader.
	obscure bool
}

// compileCondition makes ready what parseConditions read. Under the first version
// of the language variables are text.
func compileCondition(c Condition, version string) (condition, error) {
	o := condition{operator: c.Operator, meaning: meanings[c.Operator.Name], name: c.Key}
	var err error
	if o.key, err = findKey(c.Key); err != nil {
		return o, err
	}
	// "Multivalued context keys require a condition set operator" (IAM user
	// guide, "Single-valued vs. multivalued context keys"), which is no error
	// to AWS, and then means what nobody has written down.
	if o.key.many && c.Operator.Each == "" && o.meaning.family != nulls {
		return o, malformed("%s: %.80q may have several values, and needs ForAllValues or ForAnyValue", c.Operator.Name, c.Key)
	}
	for _, s := range c.Values {
		if err = o.values.add(s, o.meaning, o.key, version == Version2012); err != nil {
			return o, fmt.Errorf("%s with %.80q: %w", c.Operator.Name, c.Key, err)
		}
	}
	return o, nil
}

// holds says whether a call meets the condition.
//
// Of a key that the request does not have, a condition is false, but when its
// operator is negated, ends in IfExists or begins with ForAllValues ("Condition
// operators", "Multivalued context keys"). ForAnyValue with IfExists is true by
// the guide's word on IfExists, and false by its word on ForAnyValue, which is
// what others saw (iam.cloudcopilot.io): that stays open.
func (o *condition) holds(c *call) answer {
	if o.obscure {
		return unsure
	}
	g := c.values(o.key)
	n := g.len()
	if o.meaning.family == nulls {
		return answerOf(slices.Contains(o.values.texts, strconv.FormatBool(n == 0)))
	}
	switch {
	case n == 0 && o.operator.Each == ForAnyValue:
		if o.operator.IfExists {
			return unsure
		}
		return no
	case n == 0:
		return answerOf(o.operator.IfExists || o.operator.Each == ForAllValues || o.meaning.negated)
	case o.operator.Each == ForAllValues:
		a := yes
		for i := range n {
			a = min(a, o.test(g.at(i), c))
		}
		return a
	case o.operator.Each == ForAnyValue:
		a := no
		for i := range n {
			a = max(a, o.test(g.at(i), c))
		}
		return a
	case n == 1:
		return o.test(g.at(0), c)
	}
	return unsure // which of the values is meant?
}

// test says what one value of the request makes of the condition: under a
// negated operator it is to compare to none of the condition's values. A value
// of another type than the operator's compares to none, which is no reason to let
// anybody in.
func (o *condition) test(s string, c *call) answer {
	a, fits := o.compares(s, c)
	switch {
	case !fits && o.meaning.negated:
		return unsure
	case !fits:
		return no
	case o.meaning.negated:
		return a.not()
	}
	return a
}

func (o *condition) String() string {
	var b strings.Builder
	if o.operator.Each != "" {
		b.WriteString(o.operator.Each + ":")
	}
	b.WriteString(o.operator.Name)
	if o.operator.IfExists {
		b.WriteString("IfExists")
	}
	b.WriteString(" " + o.name)
	return b.String()
}
