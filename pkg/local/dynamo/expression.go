package dynamo

import (
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
)

// The grammar of DynamoDB's expressions that is here, of top-level attributes:
//
//	condition  = and { OR and }
//	and        = not { AND not }
//	not        = NOT not | "(" condition ")" | predicate
//	predicate  = attribute_exists(path) | attribute_not_exists(path) | begins_with(operand, operand)
//	           | operand ( = | <> | < | <= | > | >= ) operand
//	           | operand BETWEEN operand AND operand
//	           | operand IN "(" operand { "," operand } ")"
//	operand    = path | :value
//	path       = name | #name
//	update     = { SET path = term { "," … } | REMOVE path { "," … } | ADD path :value { "," … } }
//	term       = part [ ( + | - ) part ]
//	part       = operand | if_not_exists(path, operand)
//	projection = path { "," path }
//
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html

// An operand is a path or a value, by its name or its placeholder.
type operand struct {
	text  string // as in the expression
	value bool   // :text
}

// A predicate compares: op is one of the comparators, or the name of a function.
type predicate struct {
	op   string
	args []operand
}

// A condition is a predicate, or conditions that AND, OR or NOT combines.
type condition struct {
	op        string // "AND", "OR", "NOT", or "" for the predicate
	parts     []*condition
	predicate predicate
}

// A part of a term is an operand, or what stands in its place when the path is absent.
type part struct {
	operand operand
	unless  *operand // if_not_exists(unless, operand)
}

// An action of an update expression. Its verb is SET, REMOVE or ADD.
type action struct {
	verb  string
	path  operand
	terms []part // of SET: one or two
	minus bool   // the second is subtracted
	added operand
}

const (
	exists    = "attribute_exists"
	notExists = "attribute_not_exists"
	begins    = "begins_with"
	between   = "BETWEEN"
	in        = "IN"
)

// tokens splits an expression. A token that is none becomes one character.
func tokens(expression string) []string {
	var found []string
	for rest := strings.TrimLeft(expression, " \t\r\n"); rest != ""; rest = strings.TrimLeft(rest, " \t\r\n") {
		n := tokenLength(rest)
		found = append(found, rest[:n])
		rest = rest[n:]
	}
	return found
}

func tokenLength(s string) int {
	if s[0] == '#' || s[0] == ':' || isWord(s[0]) {
		n := 1
		for n < len(s) && isWord(s[n]) {
			n++
		}
		return n
	}
	if len(s) > 1 && (s[:2] == "<>" || s[:2] == "<=" || s[:2] == ">=") {
		return 2
	}
	return 1
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// A parser reads the tokens of one expression.
type parser struct {
	kind string // of the expression, for errors
	rest []string
}

// parsed remembers expressions: a program has few, and uses them again and again.
var parsed, _ = lru.New[[2]string, any](256) // fails only for sizes below 1

// parse reads a whole expression, or remembers it.
func parse[T any](kind, expression string, read func(*parser) T) (T, error) {
	name := [2]string{kind, expression}
	if known, ok := parsed.Get(name); ok {
		return known.(T), nil
	}
	made, err := parseAnew(kind, expression, read)
	if err == nil {
		parsed.Add(name, made)
	}
	return made, err
}

// parseAnew reads a whole expression. What the parts of the grammar panic with is the
// one error a parser has.
func parseAnew[T any](kind, expression string, read func(*parser) T) (made T, err error) {
	defer func() {
		if r := recover(); r != nil {
			near, ok := r.(syntaxError)
			if !ok {
				panic(r)
			}
			err = invalid("Invalid %s: Syntax error; token: %q", kind, string(near))
		}
	}()
	p := &parser{kind, tokens(expression)}
	if len(p.rest) == 0 {
		return made, invalid("Invalid %s: The expression can not be empty;", kind)
	}
	made = read(p)
	if len(p.rest) > 0 {
		p.fail()
	}
	return made, nil
}

type syntaxError string

func (p *parser) fail() { panic(syntaxError(p.peek())) }

func (p *parser) peek() string {
	if len(p.rest) == 0 {
		return "<EOF>"
	}
	return p.rest[0]
}

func (p *parser) next() string {
	if len(p.rest) == 0 {
		p.fail()
	}
	token := p.rest[0]
	p.rest = p.rest[1:]
	return token
}

// accept takes the next token if it is this one; keywords are in any case.
func (p *parser) accept(token string) bool {
	if len(p.rest) == 0 || !strings.EqualFold(p.rest[0], token) {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) expect(token string) {
	if !p.accept(token) {
		p.fail()
	}
}

func (p *parser) condition() *condition { return p.chain("OR", p.and) }

func (p *parser) and() *condition { return p.chain("AND", p.not) }

func (p *parser) chain(op string, read func() *condition) *condition {
	c := &condition{op: op, parts: []*condition{read()}}
	for p.accept(op) {
		c.parts = append(c.parts, read())
	}
	if len(c.parts) == 1 {
		return c.parts[0]
	}
	return c
}

func (p *parser) not() *condition {
	switch {
	case p.accept("NOT"):
		return &condition{op: "NOT", parts: []*condition{p.not()}}
	case p.accept("("):
		c := p.condition()
		p.expect(")")
		return c
	}
	return &condition{predicate: p.predicate()}
}

func (p *parser) predicate() predicate {
	if len(p.rest) > 1 && p.rest[1] == "(" {
		return p.function()
	}
	left := p.operand()
	switch {
	case p.accept(between):
		low := p.operand()
		p.expect("AND")
		return predicate{between, []operand{left, low, p.operand()}}
	case p.accept(in):
		p.expect("(")
		return predicate{in, append([]operand{left}, p.operands()...)}
	}
	switch op := p.next(); op {
	case "=", "<>", "<", "<=", ">", ">=":
		return predicate{op, []operand{left, p.operand()}}
	default:
		panic(syntaxError(op))
	}
}

func (p *parser) function() predicate {
	name := p.next()
	p.expect("(")
	f := predicate{name, p.operands()}
	pathOnly := name == exists || name == notExists
	if ok := pathOnly && len(f.args) == 1 && !f.args[0].value || name == begins && len(f.args) == 2; !ok {
		panic(syntaxError(name))
	}
	return f
}

// operands reads a list up to its closing parenthesis.
func (p *parser) operands() []operand {
	list := []operand{p.operand()}
	for p.accept(",") {
		list = append(list, p.operand())
	}
	p.expect(")")
	return list
}

func (p *parser) operand() operand {
	token := p.next()
	switch {
	case token[0] == ':' && len(token) > 1:
		return operand{token, true}
	case token[0] == '#' && len(token) > 1, isWord(token[0]) && !isKeyword(token):
		return operand{text: token}
	}
	panic(syntaxError(token))
}

func isKeyword(token string) bool {
	switch strings.ToUpper(token) {
	case "AND", "OR", "NOT", between, in, "SET", "REMOVE", "ADD", "DELETE":
		return true
	}
	return token[0] <= '9' // no name begins with a digit
}

func (p *parser) path() operand {
	o := p.operand()
	if o.value {
		panic(syntaxError(o.text))
	}
	return o
}

// projection reads the paths of a projection expression.
func (p *parser) projection() []operand {
	paths := []operand{p.path()}
	for p.accept(",") {
		paths = append(paths, p.path())
	}
	return paths
}

// update reads the actions of an update expression. Each verb may come once.
func (p *parser) update() []action {
	var actions []action
	seen := map[string]bool{}
	for len(p.rest) > 0 {
		verb := strings.ToUpper(p.peek())
		read := map[string]func() action{"SET": p.set, "REMOVE": p.remove, "ADD": p.add}[verb]
		if read == nil || seen[verb] {
			p.fail()
		}
		seen[verb] = true
		p.next()
		actions = append(actions, read())
		for p.accept(",") {
			actions = append(actions, read())
		}
	}
	return actions
}

func (p *parser) set() action {
	a := action{verb: "SET", path: p.path()}
	p.expect("=")
	a.terms = []part{p.part()}
	if a.minus = p.accept("-"); a.minus || p.accept("+") {
		a.terms = append(a.terms, p.part())
	}
	return a
}

func (p *parser) part() part {
	if len(p.rest) < 2 || p.rest[1] != "(" {
		return part{operand: p.operand()}
	}
	if name := p.next(); name != "if_not_exists" {
		panic(syntaxError(name))
	}
	p.expect("(")
	path := p.path()
	p.expect(",")
	o := p.operand()
	p.expect(")")
	return part{o, &path}
}

func (p *parser) remove() action { return action{verb: "REMOVE", path: p.path()} }

func (p *parser) add() action {
	a := action{verb: "ADD", path: p.path(), added: p.operand()}
	if !a.added.value {
		panic(syntaxError(a.added.text))
	}
	return a
}
