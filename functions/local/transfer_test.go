package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/pkg/local/localtest"
)

// once runs a command that does one thing and ends.
func once(t *testing.T, binary string, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// TestRestore is the rehearsal of docs/restore.md: export, import beside the keys, verify,
// serve.
func TestRestore(t *testing.T) {
	t.Parallel()
	from, to := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "restored")
	file := filepath.Join(t.TempDir(), "items.jsonl")
	r := start(t, "--data", from)
	for _, name := range []string{"one", "two"} {
		create(t, r.url, name, "EXAMPLE-1")
		if _, err := localtest.Client(r.url).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: aws.String("EXAMPLE-" + name)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := refused(t, "--data", from, "--export", file); !strings.Contains(got, from) {
		t.Errorf("while a server uses the data: got %q", got)
	}
	r.interrupt(t)

	if got := once(t, program, "--data", from, "--export", file); !strings.HasPrefix(got, "items exported: ") {
		t.Errorf("got %q", got)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "EXAMPLE") {
		t.Fatalf("an export shows a value, or cannot be read: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read the export: %v, %v", info.Mode(), err)
	}
	var first struct{ Item map[string]map[string]any }
	if err := json.Unmarshal([]byte(strings.SplitN(string(text), "\n", 2)[0]), &first); err != nil || first.Item["pk"]["S"] == nil {
		t.Errorf("the first line is no item as DynamoDB exports it: %v", err)
	}
	if got := refused(t, "--data", from, "--export", file); !strings.Contains(got, "exists") {
		t.Errorf("over a file that is there: got %q", got)
	}

	keys, err := os.ReadFile(filepath.Join(from, "keys.json"))
	if err == nil {
		err = os.Mkdir(to, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "keys.json"), keys, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	imported := once(t, program, "--data", to, "--import", file)
	if want := strings.Count(string(text), "\n"); imported != "items imported: "+strconv.Itoa(want)+"\n" {
		t.Errorf("got %q, want %d items", imported, want)
	}
	if got := refused(t, "--data", to, "--import", file); !strings.Contains(got, "table already") {
		t.Errorf("into a table that is there: got %q", got)
	}
	once(t, program, "--data", to, "--verify")
	restored := start(t, "--data", to)
	for _, name := range []string{"one", "two"} {
		if got := get(t, restored.url, name); got != "EXAMPLE-"+name {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// golden are items of all kinds, each as a line of DynamoDB's export.
func golden(t *testing.T) (lines []string) {
	t.Helper()
	files, err := filepath.Glob("../../pkg/store/testdata/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("got %v, %v", files, err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var one map[string]any
		if err := json.Unmarshal(text, &one); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint(one["pk"], one["sk"])
		if seen[key] {
			continue // another variant
		}
		seen[key] = true
		lines = append(lines, lineOf(t, one))
	}
	return lines
}

func lineOf(t *testing.T, item map[string]any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"Item": item})
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// same says whether two exports hold the same items, in any order.
func same(t *testing.T, a, b string) bool {
	t.Helper()
	var all [2][]string
	for i, text := range []string{a, b} {
		for one := range strings.Lines(text) {
			var item map[string]any
			if err := json.Unmarshal([]byte(one), &item); err != nil {
				t.Fatal(err)
			}
			all[i] = append(all[i], fmt.Sprint(item)) // maps are printed in order
		}
		slices.Sort(all[i])
	}
	return slices.Equal(all[0], all[1])
}

// exported is what --export writes of a data folder.
func exported(t *testing.T, data string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "items.jsonl")
	once(t, program, "--data", data, "--export", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if parts, _ := filepath.Glob(file + "*"); len(parts) != 1 {
		t.Errorf("got the files %v, want the export alone", parts)
	}
	return string(text)
}

// Items of all kinds come back as they were, from what DynamoDB's export to S3 writes, from
// what the AWS CLI prints, and compressed. Keys that are missing are named.
func TestImportForms(t *testing.T) {
	t.Parallel()
	lines := golden(t)
	plain := strings.Join(lines, "")
	var items []string
	for _, one := range lines {
		items = append(items, strings.TrimSuffix(strings.TrimPrefix(one, `{"Item":`), "}\n"))
	}
	var packed bytes.Buffer
	for _, one := range lines { // members one after another, as cat makes them
		w := gzip.NewWriter(&packed)
		_, err := w.Write([]byte(one))
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"export":     plain,
		"compressed": packed.String(),
		"scan":       `{"Items": [` + strings.Join(items, ",\n ") + `], "Count": 1, "ScannedCount": 1, "ConsumedCapacity": null}`,
		"two scans":  `{"Items": [` + items[0] + `]}` + "\n" + `{"Items": [` + strings.Join(items[1:], ",") + `]}`,
	} {
		file, data := filepath.Join(t.TempDir(), "items"), filepath.Join(t.TempDir(), "data")
		writeFile(t, file, text)
		said := once(t, program, "--data", data, "--import", file)
		if want := fmt.Sprintf("items imported: %d\n", len(lines)); !strings.HasPrefix(said, want) || !strings.Contains(said, "cannot be opened here: the folder has no such key") {
			t.Errorf("%s: got %q, want %q and that a key is missing", name, said, want)
		}
		if got := exported(t, data); !same(t, got, plain) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, plain)
		}
		for _, made := range []string{"table.db", "keys.json", "lock"} {
			if info, err := os.Stat(filepath.Join(data, made)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s: got %v, %v", name, made, info, err)
			}
		}
	}
}

// A file that is not whole, or not of Strongroom, leaves no table, and the folder can be
// used for another try. No error shows what an item holds.
func TestWrongImport(t *testing.T) {
	t.Parallel()
	const good, other = `{"Item": {"pk": {"S": "secret-text"}, "sk": {"S": "1"}, "schema": {"N": "2"}}}`, `{"Item": {"pk": {"S": "secret-text"}, "sk": {"S": "2"}, "schema": {"N": "2"}}}`
	for text, want := range map[string]string{
		"":                                       "it has no items",
		"secret-text":                            "after 0 items",
		`{}`:                                     "it has no items",
		`["secret-text"]`:                        "after 0 items",
		good + "\n" + other[:40]:                 "after 1 items",
		good + "\nsecret-text":                   "after 1 items",
		good + "\n]":                             "after 1 items",
		good[:len(good)-1] + `,"secret-text":1}`: "after 1 items",
		`{"Items": [{"pk": {"S": "secret-text"}`: "after 0 items",
		`{"Items": [], "NextToken": "secret-text"}`:                                           "it is a part of a table: it says with NextToken that there are more items",
		`{"Item": {"pk": {"X": "secret-text"}}}`:                                              "item 1",
		`{"Item": ["secret-text"]}`:                                                           "item 1 is not in DynamoDB's JSON",
		`{"Item": {"pk": {"S": "secret-text"}}}`:                                              "item 1: it has no texts pk and sk",
		good + strings.Replace(other, `"N": "2"`, `"N": "99"`, 1):                             "item 2: it was written by a newer version, in format 99; import it with that version",
		good + strings.Replace(other, `"N": "2"`, `"S": "secret"`, 1):                         "item 2: its schema is not a number",
		good + other + good:                                                                   "items 1 to 3: ",
		strings.Repeat(other[:len(other)-1]+`, "Count": 1}`+"\n", 1) + manyItems(200) + other: "one of them was there before",
		"\x1f\x8bsecret-text":                                                                 "gzip",
	} {
		file, data := filepath.Join(t.TempDir(), "items.jsonl"), filepath.Join(t.TempDir(), "data")
		writeFile(t, file, text)
		said := refused(t, "--data", data, "--import", file)
		if !strings.Contains(said, want) || !strings.Contains(said, "nothing was imported") || strings.Contains(said, "secret-text") {
			t.Errorf("%.300s: got %q, want %q", text, said, want)
		}
		if left, _ := filepath.Glob(filepath.Join(data, "table.db*")); left != nil {
			t.Errorf("%.300s: left %v", text, left)
		}
		writeFile(t, file, good)
		once(t, program, "--data", data, "--import", file)
	}
}

// manyItems are lines of small items.
func manyItems(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"Item":{"pk":{"S":"SECRET#s%d"},"sk":{"S":"HEAD"},"schema":{"N":"2"}}}`+"\n", i)
	}
	return b.String()
}

// An import that is killed leaves the folder without a table, or with all of it.
func TestKilledImport(t *testing.T) {
	t.Parallel()
	const items = 2_000
	file := filepath.Join(t.TempDir(), "items.jsonl")
	writeFile(t, file, manyItems(items))
	whole, cut := 0, 0
	for i := range 6 { // the first at once, the others later and later
		data := filepath.Join(t.TempDir(), "data")
		c := exec.Command(program, "--data", data, "--import", file)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 20 * time.Millisecond)
		_ = c.Process.Kill()
		_ = c.Wait()
		if _, err := os.Stat(filepath.Join(data, "table.db")); err == nil {
			whole++
		} else {
			cut++
			once(t, program, "--data", data, "--import", file)
		}
		if n := strings.Count(exported(t, data), "\n"); n != items {
			t.Errorf("got %d items, want %d", n, items)
		}
	}
	if cut == 0 {
		t.Errorf("no import was killed before its end")
	}
	t.Logf("%d were cut off, %d whole", cut, whole)
}

// A DynamoDB of the user's own is neither exported nor filled.
func TestTransferOfAnotherDynamoDB(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--export", "--import"} {
		c := exec.Command(program, "--data", filepath.Join(t.TempDir(), "data"), flag, filepath.Join(t.TempDir(), "items"))
		c.Env = append(os.Environ(), "AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:1")
		if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "names another DynamoDB") {
			t.Errorf("%s: got %v, %s", flag, err, out)
		}
	}
}

// TestUpgradeAndBack has a program of a later format write into a folder of this one, and
// this one come back: it refuses what is newer in words, and serves and keeps the rest.
func TestUpgradeAndBack(t *testing.T) {
	t.Parallel()
	newer, data := filepath.Join(t.TempDir(), "newer"), filepath.Join(t.TempDir(), "data")
	once(t, "go", "build", "-overlay", laterFormat(t), "-o", newer, ".")

	r := start(t, "--data", data)
	create(t, r.url, "old", "EXAMPLE-old")
	r.interrupt(t)

	later := startProgram(t, newer, nil, "--data", data)
	if got := get(t, later.url, "old"); got != "EXAMPLE-old" {
		t.Errorf("after the upgrade: got %q", got)
	}
	create(t, later.url, "new", "EXAMPLE-new")
	later.interrupt(t)

	before := ofSecret(exported(t, data), "new")
	back := start(t, "--data", data)
	for operation, in := range map[string]map[string]any{
		"GetSecretValue":    {"SecretId": "new"},
		"DescribeSecret":    {"SecretId": "new"},
		"PutSecretValue":    {"SecretId": "new", "SecretString": "EXAMPLE-back", "ClientRequestToken": strings.Repeat("t", 32)},
		"UpdateSecret":      {"SecretId": "new", "Description": "back"},
		"TagResource":       {"SecretId": "new", "Tags": []map[string]string{{"Key": "k", "Value": "v"}}},
		"PutResourcePolicy": {"SecretId": "new", "ResourcePolicy": `{"Version":"2012-10-17","Statement":[]}`},
		"DeleteSecret":      {"SecretId": "new"},
		"CreateSecret":      {"Name": "new", "SecretString": "EXAMPLE-back", "ClientRequestToken": strings.Repeat("t", 32)},
	} {
		if status, body, err := post(back.url, operation, in); err != nil || status == http.StatusOK {
			t.Errorf("%s of an item of a later format: got %d %s, %v", operation, status, body, err)
		}
	}
	create(t, back.url, "third", "EXAMPLE-third")
	if got := get(t, back.url, "third"); got != "EXAMPLE-third" {
		t.Errorf("beside a later item: got %q", got)
	}
	back.interrupt(t)
	if log := back.errors.String(); !strings.Contains(log, "deploy the newer version again") {
		t.Errorf("the log does not say what to do: %s", log)
	}
	once(t, program, "--data", data, "--prune")
	if after := ofSecret(exported(t, data), "new"); before == "" || after != before {
		t.Errorf("items of a later format were written: got\n%s\nwant\n%s", after, before)
	}

	again := startProgram(t, newer, nil, "--data", data)
	for _, name := range []string{"new", "third"} {
		if got := get(t, again.url, name); got != "EXAMPLE-"+name {
			t.Errorf("forward again: %s is %q", name, got)
		}
	}
}

// ofSecret are the lines of an export that a secret is in.
func ofSecret(export, name string) string {
	var b strings.Builder
	for one := range strings.Lines(export) {
		if strings.Contains(one, `"SECRET#`+name+`"`) || strings.Contains(one, `"name":{"S":"`+name+`"}`) {
			b.WriteString(one)
		}
	}
	return b.String()
}

// laterFormat is an overlay of the store that writes the next format.
func laterFormat(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs(filepath.Join("..", "..", "pkg", "store", "items.go"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const this, next = "\tschema = 2\n", "\tschema = 4\n"
	if strings.Count(string(text), this) != 1 {
		t.Fatalf("%s does not say %q", source, this)
	}
	folder := t.TempDir()
	changed, overlay := filepath.Join(folder, "items.go"), filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(changed, []byte(strings.Replace(strings.Replace(string(text), this, next, 1), "replicatedSchema = 3", "replicatedSchema = 4", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
