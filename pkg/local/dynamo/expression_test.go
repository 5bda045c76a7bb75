package dynamo

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// thing is the item of most tests.
var thing = item{
	"s": s("abc"), "n": n("10"), "b": &types.AttributeValueMemberB{Value: []byte{1, 2}}, "t": &types.AttributeValueMemberBOOL{Value: true},
	"z": &types.AttributeValueMemberNULL{Value: true}, "l": &types.AttributeValueMemberL{Value: []types.AttributeValue{n("1.0")}},
	"m": &types.AttributeValueMemberM{Value: item{"x": s("y")}},
}

var given = item{
	":abc": s("abc"), ":ab": s("ab"), ":b": s("b"), ":ten": n("1e1"), ":nine": n("9"), ":tenth": n("0.1"), ":true": thing["t"], ":null": thing["z"],
	":list": &types.AttributeValueMemberL{Value: []types.AttributeValue{n("1")}}, ":map": thing["m"], ":bytes": thing["b"],
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"attribute_exists(s)":                    true,
		"attribute_exists(none)":                 false,
		"attribute_not_exists(none)":             true,
		"attribute_not_exists(#s)":               false,
		"s = :abc":                               true,
		":abc = s":                               true,
		"s = :ten":                               false,
		"s <> :ten":                              true,
		"none <> :ten":                           true,
		"none = :ten":                            false,
		"none < :ten":                            false,
		"n = :ten":                               true,
		"n > :nine":                              true, // as decimals; as text it would be less
		"n >= :ten AND n <= :ten":                true,
		"n < :ten":                               false,
		"s < :b":                                 true,
		"s < :ten":                               false,
		"NOT s < :ten":                           true,
		"b = :bytes AND t = :true AND z = :null": true,
		"l = :list AND m = :map":                 true, // 1.0 is 1
		"n BETWEEN :nine AND :ten":               true,
		"n BETWEEN :tenth AND :nine":             false,
		"s BETWEEN :ab AND :b AND n = :ten":      true,
		"s IN (:b, :abc)":                        true,
		"s IN (:b, :ten)":                        false,
		"begins_with(s, :ab)":                    true,
		"begins_with(s, :b)":                     false,
		"begins_with(n, :ab)":                    false,
		"s = :b OR n = :ten AND n = :nine":       false, // AND binds first
		"n = :ten OR s = :b AND n = :nine":       true,
		"(n = :ten OR s = :b) AND n = :nine":     false,
		"not s = :b and NOT (n = :nine or attribute_exists(none))": true,
		"NOT NOT s = :abc": true,
	} {
		c, err := parse("ConditionExpression", text, (*parser).condition)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		e, err := newEnv(map[string]string{"#s": "s"}, given)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.checkCondition(c); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := e.holds(c, thing); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
}

func TestConditionsThatAreWrong(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "s", "s =", "= s", "s = :abc AND", "s = :abc :abc", "(s = :abc", "s = :abc)", "s IN ()", "s IN :abc", "s BETWEEN :ab", "NOT", "s == :abc",
		"attribute_exists()", "attribute_exists(:abc)", "attribute_exists(s, n)", "begins_with(s)", "contains(s, :ab)", "size(s) = :ten", "s.x = :abc", "l[0] = :ten",
		"Begins_With(s, :ab)", "s = :none", "#none = :abc", "begins_with(s, :ten)", "s < :true", "s BETWEEN :b AND :ab", "s = s", "# = :abc", "s = :", "1s = :abc", "é = :abc",
	} {
		c, err := parse("ConditionExpression", text, (*parser).condition)
		if err == nil {
			e, _ := newEnv(map[string]string{"#s": "s"}, given)
			err = e.checkCondition(c)
		}
		wantCode(t, text, err, "ValidationException")
	}
}

func TestUpdates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]item{
		"SET a = :ab":                               {"a": s("ab")},
		"SET n = n + :nine":                         {"n": n("19")},
		"SET n = :nine - n":                         {"n": n("-1")},
		"SET n = n - :tenth":                        {"n": n("9.9")},
		"SET a = if_not_exists(s, :b)":              {"a": s("abc")},
		"SET a = if_not_exists(none, :b)":           {"a": s("b")},
		"SET a = if_not_exists(none, :nine) + :ten": {"a": n("19")},
		"SET a = s, s = :b":                         {"a": s("abc"), "s": s("b")}, // all see the item as it was
		"REMOVE s, none":                            {"s": nil},
		"ADD n :nine":                               {"n": n("19")},
		"ADD a :nine":                               {"a": n("9")},
		"REMOVE s SET a = s ADD n :ten":             {"a": s("abc"), "s": nil, "n": n("20")},
		"set #s = :b remove m":                      {"s": s("b"), "m": nil},
	} {
		actions, err := parse("UpdateExpression", text, (*parser).update)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		e, _ := newEnv(map[string]string{"#s": "s"}, given)
		if err := e.checkUpdate(actions); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		next := item{}
		for name, av := range thing {
			next[name] = av
		}
		for name, av := range want {
			if next[name] = av; av == nil {
				delete(next, name)
			}
		}
		if got, err := e.update(actions, thing); err != nil || !reflect.DeepEqual(got, next) {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, next)
		}
	}
}

func TestUpdatesThatAreWrong(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "SET", "SET a", "SET a =", "SET a = :ab,", "SET a = :ab SET n = :ten", "REMOVE", "REMOVE :ab", "ADD a", "ADD a s", "DELETE s :ab", "PUT a = :ab",
		"SET a = :ab, a = :b", "SET a = :ab REMOVE a", "ADD a :ab", "SET a = :ab + :ten", "SET a = none", "SET a = s + n", "ADD s :ten",
		"SET a = if_not_exists(:ab, :b)", "SET a = list_append(l, :list)", "SET a = :none", "SET m.x = :ab",
	} {
		actions, err := parse("UpdateExpression", text, (*parser).update)
		e, _ := newEnv(map[string]string{"#s": "s"}, given)
		if err == nil {
			err = e.checkUpdate(actions)
		}
		if err == nil {
			_, err = e.update(actions, thing)
		}
		wantCode(t, text, err, "ValidationException")
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"0": "0", "-0": "0", "00": "0", "1.50": "1.5", "+7": "7", "-007": "-7", "1e3": "1000", "1E-3": "0.001", "100": "100", "12345678901234567890123456789012345678": "12345678901234567890123456789012345678",
		"0.00": "0", ".5": "0.5",
	} {
		if got, err := normal(given); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", given, got, err, want)
		}
	}
	for _, wrong := range []string{"", "x", "1x", "--1", "1e126", "1e-131", "1e999999999", "123456789012345678901234567890123456789", "NaN", "Infinity", "0x10"} {
		if got, err := normal(wrong); err == nil {
			t.Errorf("%q: got %q, want a refusal", wrong, got)
		}
	}
}

// What was stored is read as it was, and what is damaged is no item and no panic.
func TestCodec(t *testing.T) {
	t.Parallel()
	text, err := encode(thing)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decode(text); err != nil || !reflect.DeepEqual(got, thing) {
		t.Errorf("got %v, %v", got, err)
	}
	for i := range text {
		if got, err := decode(text[:i]); err == nil {
			t.Errorf("the first %d bytes are %v", i, got)
		}
	}
	if _, err := decode(append(text, 0)); err == nil {
		t.Error("a byte more is no error")
	}
}

func FuzzExpression(f *testing.F) {
	for _, text := range []string{"a = :a AND NOT (b < :b OR begins_with(#c, :c))", "SET a = if_not_exists(b, :c) + :d REMOVE e ADD f :g", "a, #b", "pk = :p AND sk BETWEEN :a AND :b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, _ := newEnv(map[string]string{"#s": "s"}, given)
		if c, err := parseAnew("ConditionExpression", text, (*parser).condition); err == nil && e.checkCondition(c) == nil {
			e.holds(c, thing)
			e.holds(c, nil)
		}
		if actions, err := parseAnew("UpdateExpression", text, (*parser).update); err == nil && e.checkUpdate(actions) == nil {
			_, _ = e.update(actions, thing)
		}
		if _, err := parseAnew("ProjectionExpression", text, (*parser).projection); err == nil {
			_, _ = e.projector(&text)
		}
	})
}

func FuzzDecode(f *testing.F) {
	text, _ := encode(thing)
	f.Add(text)
	f.Fuzz(func(t *testing.T, b []byte) {
		it, err := decode(b)
		if err != nil {
			return
		}
		again, err := encode(it)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(again); err != nil || !equalMaps(got, it) {
			t.Errorf("%x: %v is read as %v, %v", b, it, got, err)
		}
	})
}
