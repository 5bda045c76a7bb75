package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/template.json and whole.json")

// What changes with what is built, or with the CDK's hash of a resource's properties.
var hashes = regexp.MustCompile(`[0-9a-f]{64}|(CurrentVersion|GatewayDeployment)[0-9A-F]{8}[0-9a-f]{32}`)

// TestSnapshot has every change of the template in review, whatever a library brings.
// "go test ./infra -update" writes it anew. The second has what plain settings leave out.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	compare(t, stack(t), "template.json")
	compare(t, whole(t), "whole.json")
}

func compare(t *testing.T, made template, name string) {
	t.Helper()
	var text []byte
	indented, err := json.MarshalIndent(made.raw, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(hashes.ReplaceAllFunc(indented, func(found []byte) []byte {
		if name := hashes.FindSubmatch(found)[1]; len(name) > 0 {
			return append(name, "Hash"...)
		}
		return []byte("hash")
	}), '\n')
	file := filepath.Join("testdata", name)
	if *update {
		write(t, file, string(text))
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(want) {
		t.Errorf("the template is not that of infra/%s: run \"go test ./infra -update\" and look at what changed", file)
	}
}

// sizeOf is how long a policy is in characters that count.
func sizeOf(t *testing.T, policy any) int {
	t.Helper()
	text, err := json.Marshal(policy)
	if err != nil {
		t.Fatal(err)
	}
	return len(text)
}
