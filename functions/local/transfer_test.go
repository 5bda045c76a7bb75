package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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

func TestWrongImport(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"secret-text", `{}`, `{"Item": {"pk": {"X": "secret-text"}}}`, `{"Item": {"pk": {"S": "secret-text"}}}`} {
		file := filepath.Join(t.TempDir(), "items.jsonl")
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got := refused(t, "--data", filepath.Join(t.TempDir(), "data"), "--import", file)
		if !strings.Contains(got, "line 1") || strings.Contains(got, "secret-text") {
			t.Errorf("%s: got %q", text, got)
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

	back := start(t, "--data", data)
	if _, err := localtest.Client(back.url).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("new")}); err == nil {
		t.Error("an item of a later format was read")
	}
	create(t, back.url, "third", "EXAMPLE-third")
	if got := get(t, back.url, "third"); got != "EXAMPLE-third" {
		t.Errorf("beside a later item: got %q", got)
	}
	back.interrupt(t)
	if log := back.errors.String(); !strings.Contains(log, "deploy the newer version again") {
		t.Errorf("the log does not say what to do: %s", log)
	}

	again := startProgram(t, newer, nil, "--data", data)
	for _, name := range []string{"new", "third"} {
		if got := get(t, again.url, name); got != "EXAMPLE-"+name {
			t.Errorf("forward again: %s is %q", name, got)
		}
	}
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
	const this = "const schema = 2\n"
	if strings.Count(string(text), this) != 1 {
		t.Fatalf("%s does not say %q", source, this)
	}
	folder := t.TempDir()
	changed, overlay := filepath.Join(folder, "items.go"), filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), this, "const schema = 3\n", 1)), 0o600); err != nil {
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
