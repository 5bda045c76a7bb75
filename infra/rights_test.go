package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRightsAreTheCalls compares what each role allows with the calls that its function
// can make. The linker drops every method that nothing reaches, so the SDK's operations
// whose names are left in a program are those that it can call, retries and repairs too.
func TestRightsAreTheCalls(t *testing.T) {
	t.Parallel()
	writes := transactionWrites(t)
	for _, name := range []string{apiName, pruneName, rotateName, replicateName} {
		calls, rights := callsOf(t, name, writes), whole(t).rightsOf(t, name)
		for _, difference := range differences(name, rights, calls) {
			t.Error(difference)
		}
	}
}

// TestDifferences has a right too many and one too few told, each in a sentence.
func TestDifferences(t *testing.T) {
	t.Parallel()
	got := differences("api", []string{"dynamodb:GetItem", "dynamodb:Scan"}, []string{"dynamodb:GetItem", "kms:Decrypt"})
	same(t, "differences", got, []string{
		"the role of functions/api allows dynamodb:Scan, which the function never calls",
		"the role of functions/api does not allow kms:Decrypt, which the function calls",
	})
}

func differences(name string, rights, calls []string) []string {
	var all []string
	for _, right := range rights {
		if !slices.Contains(calls, right) {
			all = append(all, "the role of functions/"+name+" allows "+right+", which the function never calls")
		}
	}
	for _, call := range calls {
		if !slices.Contains(rights, call) {
			all = append(all, "the role of functions/"+name+" does not allow "+call+", which the function calls")
		}
	}
	return all
}

// usedByAWS are the statements for what AWS does with a role, by their Sid: Lambda writes
// logs, traces and dead letters with it and reads the stream, and DynamoDB opens tables. The function makes
// none of these calls; the tests of each role have them in full.
var usedByAWS = []string{"WriteLogs", "EncryptLogs", "DescribeLogsKey", "Trace", "NoteFailure", "OpenTable", "OpenReplicaTables", "ReadStream"}

// rightsOf are the actions that the role of a function allows it to call.
func (m template) rightsOf(t *testing.T, name string) []string {
	t.Helper()
	role := m.of(t, m.function(t, name).Properties["Role"])
	statements := role.statements()[1:]
	for _, policy := range m.all("AWS::IAM::Policy") {
		if slices.Contains(texts(policy.Properties["Roles"]), "${"+role.ID+"}") {
			statements = append(statements, policy.statements()...)
		}
	}
	rights := map[string]bool{}
	for _, s := range statements {
		sid, _ := s["Sid"].(string)
		if s["Effect"] != "Allow" || slices.Contains(usedByAWS, sid) {
			continue
		}
		for _, action := range texts(s["Action"]) {
			rights[action] = true
		}
	}
	return slices.Sorted(maps.Keys(rights))
}

// The names of functions in a program, in the table that a stack trace is made from.
// Inlined functions are in it too.
var (
	operation = regexp.MustCompile(`github\.com/aws/aws-sdk-go-v2/service/(\w+)\.\(\*Client\)\.([A-Z]\w*)\x00`)
	inStore   = regexp.MustCompile(`github\.com/strongroom/strongroom/pkg/store\.\(\*Store\)\.(\w+)\x00`)
	invoke    = regexp.MustCompile(`github\.com/strongroom/strongroom/pkg/rotate/order\.Remote\.invoke\x00`)
)

// actionsOf are what IAM calls an operation, where it has another name for it.
// DescribeEndpoints is called by DynamoDB's client where endpoint discovery is turned on,
// which it is not here; Options calls nothing.
var actionsOf = map[string][]string{
	"dynamodb:DescribeEndpoints":  {},
	"dynamodb:Options":            {},
	"dynamodb:TransactWriteItems": {}, // see [transactionWrites]
	"kms:Options":                 {},
	"kms:ReEncrypt":               {"kms:ReEncryptFrom", "kms:ReEncryptTo"},
	"lambda:Invoke":               {"lambda:InvokeFunction"},
	"lambda:Options":              {},
}

// neverSent are writes of transactions that a function has in it, as all that commit
// changes, and never sends: no rule of rotations makes a change with a condition check.
// The tests of pkg/rotate count those of every rotator, and want none.
var neverSent = map[string][]string{rotateName: {"dynamodb:ConditionCheckItem"}}

// callsOf are the actions that functions/name can call.
func callsOf(t *testing.T, name string, writes map[string]string) []string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	// As the Makefile packages functions: net/rpc would keep every method of every type.
	if out, err := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", program, "../functions/"+name).CombinedOutput(); err != nil {
		t.Fatalf("build functions/%s: %v\n%s", name, err, out)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]bool{}
	for _, found := range operation.FindAllSubmatch(text, -1) {
		call := string(found[1]) + ":" + string(found[2])
		actions, ok := actionsOf[call]
		if !ok {
			actions = []string{call}
		}
		for _, action := range actions {
			calls[action] = true
		}
	}
	for _, found := range inStore.FindAllSubmatch(text, -1) {
		if action := writes[string(found[1])]; action != "" && !slices.Contains(neverSent[name], action) {
			calls[action] = true
		}
	}
	if invoke.Match(text) { // without the SDK's client
		calls["lambda:InvokeFunction"] = true
	}
	return slices.Sorted(maps.Keys(calls))
}

// transactionWrites are the methods of store.Store that make a write of a transaction,
// with the action that IAM asks for it.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
func transactionWrites(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../pkg/store/*.go")
	if err != nil {
		t.Fatal(err)
	}
	actions := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range parsed.Decls {
			method, ok := declared.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(method, func(n ast.Node) bool {
				if kind := writeMade(n); kind != "" {
					actions[method.Name.Name] = "dynamodb:" + kind
				}
				return true
			})
		}
	}
	same(t, "writes of transactions", slices.Compact(slices.Sorted(maps.Values(actions))),
		[]string{"dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"})
	return actions
}

// writeMade is the action of a literal that is a write of a transaction, as types.Put is.
func writeMade(n ast.Node) string {
	literal, ok := n.(*ast.CompositeLit)
	if !ok {
		return ""
	}
	selector, ok := literal.Type.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	switch name := selector.Sel.Name; name {
	case "Put", "Update", "Delete", "ConditionCheck":
		return name + "Item"
	}
	return ""
}
