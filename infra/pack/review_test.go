package main

import (
	"archive/zip"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type object = map[string]any

const reviewed = "../testdata/whole.json"

// review is a synthesized stack of the template in review, whose code is there.
func review(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	template := decoded(t, reviewed)
	for id, code := range codeOf(template) {
		code["S3Key"] = id + ".zip"
		for _, file := range contents[strings.ToLower(id[:len(id)-8])] {
			put(t, filepath.Join(folder, "asset."+id, file), id)
		}
	}
	text, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(folder, "Vault.template.json"), string(text))
	return folder
}

// codeOf are the places in a template that say where the code of a resource is.
func codeOf(template object) map[string]object {
	found := map[string]object{}
	for id, r := range template["Resources"].(object) {
		properties, _ := r.(object)["Properties"].(object)
		switch r.(object)["Type"] {
		case "AWS::Lambda::Function":
			found[id] = properties["Code"].(object)
		case "AWS::Lambda::LayerVersion":
			found[id] = properties["Content"].(object)
		}
	}
	return found
}

// TestReviewed has the package of the whole stack: the template is the one in review but for
// where code is, and each zip has what it should and nothing else, which Lambda can start.
func TestReviewed(t *testing.T) {
	t.Parallel()
	files, err := pack(review(t))
	if err != nil {
		t.Fatal(err)
	}
	var got object
	if err := json.Unmarshal(files["strongroom.template.json"], &got); err != nil {
		t.Fatal(err)
	}
	used := map[string][]string{}
	for id, code := range codeOf(got) {
		key, _ := code["S3Key"].(object)["Fn::Sub"].(string)
		file := strings.TrimPrefix(key, "${CodePrefix}")
		if want := (object{"S3Bucket": object{"Ref": "CodeBucket"}, "S3Key": object{"Fn::Sub": "${CodePrefix}" + file}}); !reflect.DeepEqual(code, want) {
			t.Errorf("the code of %s is %v, want %v", id, code, want)
		}
		used[id[:len(id)-8]] = zipped(t, files[file], id)
		clear(code)
	}
	want := map[string][]string{
		"Api":        {"bootstrap -rwxr-xr-x", "policies.json -rw-r--r--"},
		"Prune":      {"bootstrap -rwxr-xr-x"},
		"Rotate":     {"bootstrap -rwxr-xr-x"},
		"Replicate":  {"bootstrap -rwxr-xr-x"},
		"AgentArm64": {"extensions/strongroom-agent -rwxr-xr-x"},
		"AgentX86":   {"extensions/strongroom-agent -rwxr-xr-x"},
		"Signing":    {"strongroom/models/secretsmanager/2017-10-17/service-2.sdk-extras.json -rw-r--r--"},
	}
	if !reflect.DeepEqual(used, want) {
		t.Errorf("zips:\n got %v\nwant %v", used, want)
	}
	if n := len(want) + 1; len(files) != n { // the template
		t.Errorf("the package has %d files, want %d", len(files), n)
	}

	before := decoded(t, reviewed)
	for _, code := range codeOf(before) {
		clear(code)
	}
	for _, r := range before["Resources"].(object) {
		delete(r.(object), "Metadata")
	}
	delete(before, "Rules")
	delete(before, "Parameters")
	if parameters := slices.Sorted(maps.Keys(got["Parameters"].(object))); !slices.Equal(parameters, []string{"CodeBucket", "CodePrefix"}) {
		t.Errorf("the parameters are %v", parameters)
	}
	delete(got, "Parameters")
	if !reflect.DeepEqual(got, before) {
		t.Error("the template is not the one in review, but for where code is")
	}
}

// zipped are the names and modes in a zip, whose files say whose code they are.
func zipped(t *testing.T, text []byte, whose string) (names []string) {
	t.Helper()
	r, err := zip.NewReader(strings.NewReader(string(text)), int64(len(text)))
	if err != nil {
		t.Fatalf("the zip of %s: %v", whose, err)
	}
	for _, file := range r.File {
		names = append(names, file.Name+" "+file.Mode().String())
		if file.UncompressedSize64 != uint64(len(whose)) {
			t.Errorf("%s of %s is of something else", file.Name, whose)
		}
	}
	return names
}

// TestBeside has the agent's programs, which stay executable, and further files.
func TestBeside(t *testing.T) {
	t.Parallel()
	agents, to := t.TempDir(), filepath.Join(t.TempDir(), "package")
	args := []string{"-from", review(t), "-to", to, "-agents", agents, "../../LICENSE"}
	if err := run(args); err == nil || !strings.Contains(err.Error(), "make agent-binaries") {
		t.Errorf("got %v without the agent's programs", err)
	}
	put(t, filepath.Join(agents, "linux-arm64", "strongroom-agent"), "program")
	put(t, filepath.Join(agents, "windows-amd64", "strongroom-agent.exe"), "program")
	if err := run(args); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"agent/strongroom-agent-linux-arm64": "-rwxr-xr-x", "agent/strongroom-agent-windows-amd64.exe": "-rwxr-xr-x",
		"LICENSE": "-rw-r--r--",
	} {
		info, err := os.Stat(filepath.Join(to, file))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().String(); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
}

// TestRefused has what must not be published.
func TestRefused(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(folder string){
		"is .env and bootstrap and policies.json, want bootstrap and policies.json and nothing else": func(folder string) {
			found, _ := filepath.Glob(filepath.Join(folder, "asset.Api*"))
			put(t, filepath.Join(found[0], ".env"), "any")
		},
		"must hold one template": func(folder string) {
			put(t, filepath.Join(folder, "Other.template.json"), "{}")
		},
		`the template still has "cdk-hnb659fds" in it`: func(folder string) {
			file := filepath.Join(folder, "Vault.template.json")
			text, _ := os.ReadFile(file)
			put(t, file, strings.Replace(string(text), `"Description":"`, `"Description":"cdk-hnb659fds `, 1))
		},
	} {
		folder := review(t)
		change(folder)
		if _, err := pack(folder); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func decoded(t *testing.T, file string) (o object) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
