package store

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	gotypes "go/types"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A source is this package as it is written, without its tests.
type source struct {
	*testing.T
	fset  *token.FileSet
	files []*ast.File
	info  *gotypes.Info
	// consts are the constants of expressions.go.
	consts map[gotypes.Object]string
}

func parse(t *testing.T) *source {
	t.Helper()
	s := &source{
		T: t, fset: token.NewFileSet(), consts: map[gotypes.Object]string{},
		info: &gotypes.Info{Uses: map[*ast.Ident]gotypes.Object{}, Defs: map[*ast.Ident]gotypes.Object{}},
	}
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(s.fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		s.files = append(s.files, file)
	}
	// What is imported is not looked at: names of this package are resolved
	// without, and nothing else is asked.
	config := gotypes.Config{Error: func(error) {}}
	_, _ = config.Check("store", s.fset, s.files, s.info)
	for _, object := range s.info.Defs {
		c, ok := object.(*gotypes.Const)
		if ok && s.fileOf(c.Pos()) == "expressions.go" {
			s.consts[c] = constant.StringVal(c.Val())
		}
	}
	return s
}

func (s *source) fileOf(p token.Pos) string { return filepath.Base(s.fset.Position(p).Filename) }

// each calls f with every node of the package.
func (s *source) each(f func(ast.Node)) {
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil {
				f(n)
			}
			return true
		})
	}
}

// isConstant says whether an expression can only be a constant of
// expressions.go: it is one, or a variable that is given nothing else, or a
// parameter that no call gives anything else.
func (s *source) isConstant(e ast.Expr) bool {
	if call, ok := e.(*ast.CallExpr); ok && nameOf(call.Fun) == "String" && len(call.Args) == 1 { // aws.String
		return s.isConstant(call.Args[0])
	}
	id, ok := e.(*ast.Ident)
	if !ok {
		return false
	}
	object := s.info.Uses[id]
	if object == nil {
		object = s.info.Defs[id]
	}
	if _, ok := s.consts[object]; ok {
		return true
	}
	variable, ok := object.(*gotypes.Var)
	if !ok {
		return false
	}
	given := s.givenTo(variable)
	return len(given) > 0 && !slices.ContainsFunc(given, func(e ast.Expr) bool { return !s.isConstant(e) })
}

// givenTo are all expressions that a variable or parameter is given; one that
// is nil is more than this can follow.
func (s *source) givenTo(v *gotypes.Var) []ast.Expr {
	var given []ast.Expr
	s.each(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && (s.info.Defs[id] == v || s.info.Uses[id] == v) {
					if len(n.Lhs) != len(n.Rhs) {
						given = append(given, nil)
						continue
					}
					given = append(given, n.Rhs[i])
				}
			}
		case *ast.ValueSpec:
			for i, id := range n.Names {
				if s.info.Defs[id] == v && i < len(n.Values) {
					given = append(given, n.Values[i])
				}
			}
		case *ast.UnaryExpr:
			if id, ok := n.X.(*ast.Ident); ok && n.Op == token.AND && s.info.Uses[id] == v {
				given = append(given, nil) // somebody may write to it
			}
		case *ast.FuncDecl:
			i := 0
			for _, field := range n.Type.Params.List {
				for _, id := range field.Names {
					if s.info.Defs[id] == v {
						given = append(given, s.arguments(n.Name, i)...)
					}
					i++
				}
			}
		}
	})
	return given
}

// arguments are what all calls of a function give as its nth argument.
func (s *source) arguments(function *ast.Ident, nth int) []ast.Expr {
	var given []ast.Expr
	s.each(func(n ast.Node) {
		if call, ok := n.(*ast.CallExpr); ok && nameOf(call.Fun) == function.Name && nth < len(call.Args) {
			given = append(given, call.Args[nth])
		}
	})
	return given
}

func nameOf(fun ast.Expr) string {
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	}
	return ""
}

func TestExpressionsAreConstants(t *testing.T) {
	t.Parallel()
	s := parse(t)
	found := 0
	ofRules := []string{"Expression", "ScheduleExpression"} // say when a secret is rotated
	check := func(field string, value ast.Expr) {
		if !strings.HasSuffix(field, "Expression") || slices.Contains(ofRules, field) {
			return
		}
		found++
		if !s.isConstant(value) {
			t.Errorf("%s: %s is not a constant of expressions.go, or may be something else", s.fset.Position(value.Pos()), field)
		}
	}
	s.each(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			check(nameOf(n.Key), n.Value)
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if field, ok := left.(*ast.SelectorExpr); ok {
					check(field.Sel.Name, n.Rhs[min(i, len(n.Rhs)-1)])
				}
			}
		}
	})
	if found < 10 {
		t.Errorf("found %d expressions, which cannot be all", found)
	}
}

func TestExpressionsHaveOnlyPlaceholders(t *testing.T) {
	t.Parallel()
	placeholder := regexp.MustCompile(`[#:]\w+`)
	word := regexp.MustCompile(`\w+`)
	keywords := []string{"SET", "REMOVE", "ADD", "if_not_exists", "AND", "OR", "attribute_exists", "attribute_not_exists", "begins_with"}
	ascii := regexp.MustCompile(`^[ -~]+$`)
	s := parse(t)
	if len(s.consts) < 10 {
		t.Errorf("found %d constants, which cannot be all", len(s.consts))
	}
	for object, text := range s.consts {
		if !ascii.MatchString(text) {
			t.Errorf("%s is not ASCII: %q", object.Name(), text)
		}
		for _, w := range word.FindAllString(placeholder.ReplaceAllString(text, ""), -1) {
			if !slices.Contains(keywords, w) {
				t.Errorf("%s has the word %s, which is no keyword and no placeholder", object.Name(), w)
			}
		}
	}
}

// An update writes every attribute of a head but the key, and those that are
// written beside the revisions.
func TestUpdatesWriteWholeHead(t *testing.T) {
	t.Parallel()
	for _, name := range attributesOf(reflect.TypeFor[headItem]()) {
		assignment := regexp.MustCompile(`#` + name + ` = :` + name + `\b`)
		want := !slices.Contains([]string{"pk", "sk", "accessed", "accessed_version", "versions", "prunings"}, name)
		if got := assignment.MatchString(setDue); got != want {
			t.Errorf("updates write %s: %t, want %t", name, got, want)
		}
	}
	for _, name := range attributesOf(reflect.TypeFor[due]()) {
		if !regexp.MustCompile(`REMOVE .*#` + name + `\b`).MatchString(prunedAll) {
			t.Errorf("pruning that leaves nothing due leaves %s", name)
		}
	}
}

func attributesOf(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			names = append(names, attributesOf(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("dynamodbav"), ",")
		names = append(names, name)
	}
	return names
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	attributes := item{"suffix": str("a"), "seen": str("b"), "copy": str("d"), "other": str("c")}
	if got, want := namesIn(isNew, isSeen), map[string]string{"#pk": "pk", "#revision": "revision", "#suffix": "suffix", "#copy": "copy"}; !reflect.DeepEqual(got, want) {
		t.Errorf("names = %v, want %v", got, want)
	}
	if got, want := valuesIn(attributes, isSeen), (item{":suffix": str("a"), ":seen": str("b"), ":copy": str("d")}); !reflect.DeepEqual(got, want) {
		t.Errorf("values = %v, want %v", got, want)
	}
	var none map[string]types.AttributeValue
	if got := valuesIn(none, isNew); len(got) != 0 {
		t.Errorf("values = %v, want none", got)
	}
}
