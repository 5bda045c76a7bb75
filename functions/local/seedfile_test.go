package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseSeed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // as JSON
		"":                  `null`,
		"{}":                `null`,
		"[]":                `[]`,
		"\ufeff# nothing\n": `null`,
		`{"b":"x","a/b":{"user": "app", "n": 1.50},"c":[1, 2],"d":"ü\n<>"}`:                                                                        `[{"Name":"b","SecretString":"x"},{"Name":"a/b","SecretString":"{\"user\":\"app\",\"n\":1.50}"},{"Name":"c","SecretString":"[1,2]"},{"Name":"d","SecretString":"ü\n\u003c\u003e"}]`,
		` [{"Name":"a","SecretString":"x","Description":"d","KmsKeyId":"k","Tags":[{"Key":"k","Value":"v"}]}, {"Name":"b","SecretBinary":"AAE="}]`: `[{"Name":"a","Description":"d","KmsKeyId":"k","SecretString":"x","Tags":[{"Key":"k","Value":"v"}]},{"Name":"b","SecretBinary":"AAE="}]`,
		"A=x\n\n # c\r\n export B = y z \t# c\r\nprod/db-1=a#b\nC='a \"$#' # c\nD=\"a\\n\\\"\\\\\\$#'\"#c\nE=a=b":                                  `[{"Name":"A","SecretString":"x"},{"Name":"B","SecretString":"y z"},{"Name":"prod/db-1","SecretString":"a#b"},{"Name":"C","SecretString":"a \"$#"},{"Name":"D","SecretString":"a\n\"\\$#'"},{"Name":"E","SecretString":"a=b"}]`,
	} {
		secrets, err := parseSeed([]byte(text))
		got, _ := json.Marshal(secrets)
		if err != nil || string(got) != want {
			t.Errorf("%s\ngot  %s, %v\nwant %s", text, got, err, want)
		}
	}
}

// What is wrong with a seed file is said with its place, and without its values.
func TestParseSeedRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{\"a\":\"QXZ\",\n\"b\":QXZ}":             "line 2 is not JSON",
		"{\"a\":\"QXZ\"\n":                        "line 1 is not JSON",
		"{\"a\":\"QXZ\"}\n\n{}":                   "line 3 is not JSON",
		"[1,\n2,\n":                               "line 2 is not JSON",
		`{"a":"QXZ","b":92929}`:                   `secret "b" is no string, object or list; put numbers and the like in quotes, as "1"`,
		`{"a":null}`:                              `secret "a" is no string, object or list; put numbers and the like in quotes, as "1"`,
		`{"a":"QXZ","a":"QXZ"}`:                   `secret "a" is there twice`,
		"{\"a\":\"\xff\"}":                        "it is not UTF-8 text",
		`[{"Name":"a","SecretString":"QXZ"},1]`:   "entry 2 is no request of CreateSecret",
		`[{"Name":"a","QXZ":"QXZ"}]`:              "entry 1 is no request of CreateSecret",
		`[{"SecretString":"QXZ"}]`:                "entry 1 is no request of CreateSecret",
		`[{"Name":"a","SecretString":{"QXZ":1}}]`: "entry 1 is no request of CreateSecret",
		`[{"Name":"a","SecretBinary":"QXZ!"}]`:    "entry 1 is no request of CreateSecret",
		`[{"Name":"a"}]`:                          `secret "a" needs either SecretString or SecretBinary`,
		`[{"Name":"a","SecretString":"QXZ","SecretBinary":"QXZQ"}]`: `secret "a" needs either SecretString or SecretBinary`,
		"A=x\nQXZ QXZ": "line 2 is not NAME=value",
		"=QXZ":         "line 1 is not NAME=value",
		"A B=QXZ":      "line 1 is not NAME=value",
		"A=QXZ\nA=QXZ": `secret "A" is there twice`,
		"A=":           "line 1: the value of A is empty; a secret has at least one character",
		"A= # QXZ":     "line 1: the value of A is empty; a secret has at least one character",
		"A=QX$Z":       "line 1: the value of A has a quote, backslash, $ or ` in it; put it in single quotes",
		"A=it's":       "line 1: the value of A has a quote, backslash, $ or ` in it; put it in single quotes",
		"\nA='QXZ":     "line 2: the value of A has a quote that is not closed in its line",
		"A=\"QXZ\\\"":  "line 1: the value of A has a quote that is not closed in its line",
		"A=\"QXZ\\":    "line 1: the value of A has a quote that is not closed in its line",
		"A=\"$QXZ\"":   "line 1: the value of A has a $ or ` in double quotes",
		"A=\"\\QXZ\"":  "line 1: the value of A has a backslash before another character",
		"A='QXZ'QXZ":   "line 1: the value of A continues after its closing quote",
	} {
		_, err := parseSeed([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "QXZ") || strings.Contains(err.Error(), "9292")) {
			t.Errorf("%s: a value is in %v", text, err)
		}
	}
}

func FuzzParseSeed(f *testing.F) {
	for _, text := range []string{`{"a":"x"}`, `[{"Name":"a","SecretString":"x"}]`, "A='x' # y\nexport B=\"\\n\""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secrets, err := parseSeed([]byte(text))
		if err != nil {
			return
		}
		for _, s := range secrets {
			if s.Name == "" && text[0] != '{' || (s.SecretString == nil) == (len(s.SecretBinary) == 0) {
				t.Errorf("%q: got %+v", text, s)
			}
		}
	})
}
