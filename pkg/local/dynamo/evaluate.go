package dynamo

import (
	"bytes"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// An env is what the placeholders of one request stand for, and which were used.
type env struct {
	names  map[string]string
	values item
	used   map[string]bool
}

// newEnv checks the values that a caller sent.
func newEnv(names map[string]string, values item) (*env, error) {
	if names != nil && len(names) == 0 {
		return nil, invalid("ExpressionAttributeNames must not be empty")
	}
	if values != nil && len(values) == 0 {
		return nil, invalid("ExpressionAttributeValues must not be empty")
	}
	for name, attribute := range names {
		if !placeholder(name, '#') || attribute == "" {
			return nil, invalid("ExpressionAttributeNames contains invalid key: Syntax error; key: %q", name)
		}
	}
	for name := range values {
		if !placeholder(name, ':') {
			return nil, invalid("ExpressionAttributeValues contains invalid key: Syntax error; key: %q", name)
		}
	}
	values, err := cleanMap(values, 0)
	return &env{names, values, map[string]bool{}}, err
}

func placeholder(s string, mark byte) bool {
	return len(s) > 1 && s[0] == mark && tokenLength(s) == len(s)
}

// name is the attribute that a path means.
func (e *env) name(path operand) (string, error) {
	if path.text[0] != '#' {
		return path.text, nil
	}
	e.used[path.text] = true
	name, ok := e.names[path.text]
	if !ok {
		return "", invalid("An expression attribute name used in the document path is not defined; attribute name: %s", path.text)
	}
	return name, nil
}

// check resolves an operand once, so that a placeholder without a meaning is found
// before anything is evaluated. It returns the value, or nil for a path.
func (e *env) check(o operand) (types.AttributeValue, error) {
	if !o.value {
		_, err := e.name(o)
		return nil, err
	}
	e.used[o.text] = true
	av, ok := e.values[o.text]
	if !ok {
		return nil, invalid("An expression attribute value used in expression is not defined; attribute value: %s", o.text)
	}
	return av, nil
}

// unused refuses placeholders that no expression of the request has.
func (e *env) unused() error {
	for name := range e.names {
		if !e.used[name] {
			return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", name)
		}
	}
	for name := range e.values {
		if !e.used[name] {
			return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", name)
		}
	}
	return nil
}

// of is what an operand stands for in an item: nil for an absent attribute.
func (e *env) of(o operand, it item) types.AttributeValue {
	if o.value {
		return e.values[o.text]
	}
	name, _ := e.name(o)
	return it[name]
}

// checkCondition refuses a condition that can be seen to be wrong without an item.
func (e *env) checkCondition(c *condition) error {
	for _, part := range c.parts {
		if err := e.checkCondition(part); err != nil {
			return err
		}
	}
	if c.op != "" {
		return nil
	}
	p := c.predicate
	values := make([]types.AttributeValue, len(p.args))
	for i, arg := range p.args {
		var err error
		if values[i], err = e.check(arg); err != nil {
			return err
		}
	}
	return checkTypes(p, values)
}

// checkTypes refuses values that the predicate never fits, and paths compared with themselves.
func checkTypes(p predicate, values []types.AttributeValue) error {
	switch p.op {
	case begins:
		for _, v := range values {
			if v != nil && !isText(v) {
				return invalid("Invalid operand type for begins_with")
			}
		}
	case "<", "<=", ">", ">=", between:
		for _, v := range values {
			if _, ordered := compare(v, v); v != nil && !ordered {
				return invalid("Incorrect operand type for operator or function; operator: %s", p.op)
			}
		}
	}
	if p.op == between && values[1] != nil && values[2] != nil {
		if order, same := compare(values[1], values[2]); !same || order > 0 {
			return invalid("The BETWEEN operator requires upper bound to be greater than or equal to lower bound")
		}
	}
	if (p.op == begins || len(p.op) <= 2 && p.op != in) && p.args[0] == p.args[1] && !p.args[0].value {
		return invalid("The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: [%s]", p.op, p.args[0].text)
	}
	return nil
}

func isText(av types.AttributeValue) bool {
	switch av.(type) {
	case *types.AttributeValueMemberS, *types.AttributeValueMemberB:
		return true
	}
	return false
}

// holds evaluates a condition that was checked.
func (e *env) holds(c *condition, it item) bool {
	switch c.op {
	case "AND":
		for _, part := range c.parts {
			if !e.holds(part, it) {
				return false
			}
		}
		return true
	case "OR":
		for _, part := range c.parts {
			if e.holds(part, it) {
				return true
			}
		}
		return false
	case "NOT":
		return !e.holds(c.parts[0], it)
	}
	return e.predicate(c.predicate, it)
}

func (e *env) predicate(p predicate, it item) bool {
	left := e.of(p.args[0], it)
	switch p.op {
	case exists:
		return left != nil
	case notExists:
		return left == nil
	case begins:
		return beginsWith(left, e.of(p.args[1], it))
	case between:
		low, ok1 := compare(left, e.of(p.args[1], it))
		high, ok2 := compare(left, e.of(p.args[2], it))
		return ok1 && ok2 && low >= 0 && high <= 0
	case in:
		for _, arg := range p.args[1:] {
			if right := e.of(arg, it); left != nil && right != nil && equal(left, right) {
				return true
			}
		}
		return false
	}
	return compares(p.op, left, e.of(p.args[1], it))
}

// compares evaluates a comparator. An absent attribute makes it false, but for <>.
func compares(op string, left, right types.AttributeValue) bool {
	switch op {
	case "=":
		return left != nil && right != nil && equal(left, right)
	case "<>":
		return left == nil || right == nil || !equal(left, right)
	}
	order, ok := compare(left, right)
	switch op {
	case "<":
		return ok && order < 0
	case "<=":
		return ok && order <= 0
	case ">":
		return ok && order > 0
	}
	return ok && order >= 0
}

func beginsWith(left, right types.AttributeValue) bool {
	switch left := left.(type) {
	case *types.AttributeValueMemberS:
		right, same := right.(*types.AttributeValueMemberS)
		return same && strings.HasPrefix(left.Value, right.Value)
	case *types.AttributeValueMemberB:
		right, same := right.(*types.AttributeValueMemberB)
		return same && bytes.HasPrefix(left.Value, right.Value)
	}
	return false
}

// checkUpdate refuses actions that can be seen to be wrong without a table.
func (e *env) checkUpdate(actions []action) error {
	changed := map[string]bool{}
	for _, a := range actions {
		name, err := e.name(a.path)
		if err != nil {
			return err
		}
		if changed[name] {
			return invalid("Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [%[1]s], path two: [%[1]s]", name)
		}
		changed[name] = true
		if err := e.checkAction(a); err != nil {
			return err
		}
	}
	return nil
}

// checkTargets refuses actions that change the table's key.
func (e *env) checkTargets(actions []action, t table) error {
	for _, a := range actions {
		name, _ := e.name(a.path)
		if name == t.Key.Hash || name == t.Key.Range {
			return invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", name)
		}
	}
	return nil
}

// checkIndexTargets refuses actions that set an attribute of an index's key to an empty
// string. Another type there is found with the item.
func (e *env) checkIndexTargets(actions []action, t table) error {
	for _, a := range actions {
		name, _ := e.name(a.path)
		if len(a.terms) == 1 && a.terms[0].unless == nil && a.terms[0].operand.value {
			err := t.checkIndexed(name, e.of(a.terms[0].operand, nil))
			if _, later := errors.AsType[*misplaced](err); err != nil && !later {
				return err
			}
		}
	}
	return nil
}

func (e *env) checkAction(a action) error {
	for _, term := range a.terms {
		av, err := e.check(term.operand)
		if err != nil {
			return err
		}
		if av != nil && len(a.terms) == 2 && !isNumber(av) {
			return invalid("Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: +")
		}
		if term.unless != nil {
			if _, err := e.check(*term.unless); err != nil {
				return err
			}
		}
	}
	if a.verb != "ADD" {
		return nil
	}
	av, err := e.check(a.added)
	if err == nil && !isNumber(av) {
		err = invalid("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD")
	}
	return err
}

func isNumber(av types.AttributeValue) bool {
	_, ok := av.(*types.AttributeValueMemberN)
	return ok
}

// update is an item after the actions. All of them see it as it was before.
func (e *env) update(actions []action, old item) (item, error) {
	next := make(item, len(old)+len(actions))
	for name, av := range old {
		next[name] = av
	}
	for _, a := range actions {
		name, _ := e.name(a.path)
		if a.verb == "REMOVE" {
			delete(next, name)
			continue
		}
		av, err := e.result(a, name, old)
		if err != nil {
			return nil, err
		}
		next[name] = av
	}
	return next, nil
}

func (e *env) result(a action, name string, old item) (types.AttributeValue, error) {
	if a.verb == "ADD" {
		if old[name] == nil {
			return e.values[a.added.text], nil
		}
		return sum(old[name], e.values[a.added.text], false)
	}
	first, err := e.term(a.terms[0], old)
	if err != nil || len(a.terms) == 1 {
		return first, err
	}
	second, err := e.term(a.terms[1], old)
	if err != nil {
		return nil, err
	}
	return sum(first, second, a.minus)
}

func (e *env) term(t part, old item) (types.AttributeValue, error) {
	if t.unless != nil {
		if av := e.of(*t.unless, old); av != nil {
			return av, nil
		}
	}
	if av := e.of(t.operand, old); av != nil {
		return av, nil
	}
	return nil, invalid("The provided expression refers to an attribute that does not exist in the item")
}

func sum(a, b types.AttributeValue, minus bool) (types.AttributeValue, error) {
	if !isNumber(a) || !isNumber(b) {
		return nil, invalid("An operand in the update expression has an incorrect data type")
	}
	x, y := number(a.(*types.AttributeValueMemberN).Value), number(b.(*types.AttributeValueMemberN).Value)
	if minus {
		y = y.Neg()
	}
	n, err := normalDecimal(x.Add(y))
	return &types.AttributeValueMemberN{Value: n}, err
}
